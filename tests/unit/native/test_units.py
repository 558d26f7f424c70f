# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decision what to do on a host, and doing it on a host in memory: check, real, again."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._native.model import UnitState
from ansible_collections.bowline.fleet.plugins.module_utils._native.render import render_stack
from ansible_collections.bowline.fleet.plugins.module_utils._native.run import run
from ansible_collections.bowline.fleet.plugins.module_utils._native.systemd import SystemdClient, parse_properties, unit_state
from ansible_collections.bowline.fleet.tests.unit.native.hosts import FakeHost, manifest, params, service

DB, WEB = "hub-db-postgres.service", "hub-app-web.service"


def stack(**keys):
    return params(manifest("app", service("web", depends_on=["db/postgres"])), manifest("db", service("postgres")), **keys)


@pytest.fixture
def host():
    """A host on which the stack runs."""
    host = FakeHost()
    run(stack(), host, None, check_mode=False)
    host.acts.clear()
    return host


def actions(outcome):
    return [step["action"] for step in outcome["plan"]]


def twice(host, asked):
    """The outcome of a real run, after a check run that said the same and wrote nothing, and before one that has nothing left to do."""
    before = dict(host.files), dict(host.units)
    foreseen = run(asked, host, None, check_mode=True)
    assert (host.acts, (host.files, host.units)) == ([], before)
    done = run(asked, host, None, check_mode=False)
    assert (foreseen["plan"], foreseen["diff"], foreseen["changed"]) == (done["plan"], done["diff"], done["changed"])
    host.acts.clear()
    again = run({**asked, "changing": []}, host, None, check_mode=False)
    assert (again["changed"], again["plan"], host.acts) == (False, [], [])
    assert again["diff"]["before"] == again["diff"]["after"]
    return done


def test_first_run_writes_all_then_starts_in_order():
    done = twice(FakeHost(), stack())
    assert actions(done) == [f"write {DB}", f"write {WEB}", "daemon_reload", f"enable {DB}", f"enable {WEB}", f"start {DB}", f"start {WEB}"]
    assert done["bookmark"] == {DB: "absent", WEB: "absent"}


def test_only_the_changed_unit_restarts(host):
    changed = params(
        manifest("app", service("web", depends_on=["db/postgres"], environment={"A": "2"})), manifest("db", service("postgres"))
    )
    done = twice(host, changed)
    assert actions(done) == [f"write {WEB}", "daemon_reload", f"restart {WEB}"] and done["restarted"] == [WEB]


def test_a_run_that_died_between_writing_and_restarting_is_finished(host):
    changed = params(
        manifest("app", service("web", depends_on=["db/postgres"], environment={"A": "2"})), manifest("db", service("postgres"))
    )
    text = next(unit.text for unit in render_stack([item["manifest"] for item in changed["modules"]], "hub") if unit.name == WEB)
    host.write(WEB, text)
    host.acts.clear()
    assert actions(twice(host, changed)) == [f"restart {WEB}"]


def test_a_younger_input_restarts_or_reloads(host):
    host.times["/etc/web.conf"] = host.tick()
    assert actions(run(stack(inputs={"web": ["/etc/web.conf"]}), host, None, check_mode=True)) == [f"restart {WEB}"]
    reloading = FakeHost()
    asked = stack(inputs={"web": ["/etc/web.conf"]}, reload=["web"])
    run(asked, reloading, None, check_mode=False)
    reloading.acts.clear()
    reloading.times["/etc/web.conf"] = reloading.tick()
    assert actions(twice(reloading, asked)) == [f"reload {WEB}"]


def test_an_input_that_is_about_to_change_is_foreseen(host):
    asked = stack(inputs={"app/web": ["/etc/web.conf"]}, changing=["/etc/web.conf"])
    assert actions(run(asked, host, None, check_mode=True)) == [f"restart {WEB}"]


def test_a_stopped_unit_is_started_and_nothing_else_touched(host):
    host.act("stop", WEB)
    host.acts.clear()
    assert actions(twice(host, stack())) == [f"start {WEB}"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param("masked", [f"stop {WEB}", f"disable {WEB}", f"mask {WEB}"], id="nothing can start it"),
        pytest.param("inactive", [f"stop {WEB}", f"disable {WEB}"], id="off"),
        pytest.param("present", [], id="left as it is"),
        pytest.param("active", [], id="already there"),
    ],
)
def test_from_active(host, condition, expected):
    assert actions(twice(host, stack(services={"web": condition}))) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param("active", [f"unmask {WEB}", f"enable {WEB}", f"start {WEB}"], id="brought back"),
        pytest.param("present", [f"unmask {WEB}"], id="staged again"),
        pytest.param("inactive", [f"unmask {WEB}"], id="allowed again"),
        pytest.param("masked", [], id="stays"),
    ],
)
def test_from_masked(host, condition, expected):
    run(stack(services={"web": "masked"}), host, None, check_mode=False)
    host.acts.clear()
    assert actions(twice(host, stack(services={"web": condition}))) == expected


def test_stops_go_in_reverse_order(host):
    done = twice(host, stack(state="inactive"))
    assert actions(done)[:2] == [f"stop {WEB}", f"stop {DB}"] and all(state.masked for state in host.units.values())


def test_absent_finds_units_by_their_mark_and_leaves_others(host):
    host.files["hub-x-y.service"] = "[Unit]\nX-Bowline-Stack=hub-x\n"
    done = run(params(state="absent"), host, None, check_mode=False)
    assert set(host.files) == {"hub-x-y.service"} and done["bookmark"] == {DB: "active", WEB: "active"}
    assert run(params(state="absent"), host, None, check_mode=False)["changed"] is False


def test_units_of_modules_that_left_are_named_and_purged_on_request(host):
    fewer = params(manifest("db", service("postgres")))
    assert (run(fewer, host, None, check_mode=False)["extra"], host.acts) == ([WEB], [])
    assert actions(twice(host, {**fewer, "purge": True})) == [f"stop {WEB}", f"disable {WEB}", f"remove {WEB}", "daemon_reload"]


def test_units_of_the_distribution_give_way_before_ours_start(host):
    host.units["nginx.service"] = UnitState(load="loaded", active="active", file="enabled", needs_daemon_reload=True)
    host.act("stop", WEB)
    host.acts.clear()
    done = twice(host, stack(replaces=["nginx.service", "later.service"]))
    assert actions(done) == ["stop nginx.service", "mask nginx.service", "mask later.service", f"start {WEB}"]
    assert (done["bookmark"]["nginx.service"], done["bookmark"]["later.service"]) == ("active", "absent")


def test_a_foreign_unit_of_the_same_name_is_never_overwritten():
    host = FakeHost()
    host.files[WEB] = "[Unit]\nDescription=mine\n"
    with pytest.raises(FleetError) as failure:
        run(stack(), host, None, check_mode=True)
    assert (failure.value.code, host.acts) == ("not_owner", [])


def test_nothing_is_written_when_systemd_refuses_one_text():
    host = FakeHost()
    host.refused = {WEB}
    with pytest.raises(FleetError) as failure:
        run(stack(), host, None, check_mode=False)
    assert (failure.value.code, host.acts) == ("unit_invalid", [])


def test_a_unit_that_breaks_fails_the_run_and_the_next_run_starts_it():
    host = FakeHost()
    host.broken = {WEB}
    with pytest.raises(FleetError) as failure:
        run(stack(), host, None, check_mode=False)
    assert failure.value.code == "unit_failed"
    host.broken.clear()
    host.acts.clear()
    assert actions(run(stack(), host, None, check_mode=False)) == [f"start {WEB}"]


def test_a_unit_that_only_looks_started_fails_the_run(host):
    host._set(WEB, active="activating")
    with pytest.raises(FleetError, match="shall be active; after 0 s it is activating"):
        run(stack(), host, None, check_mode=False)


@pytest.mark.parametrize(
    ("services", "part"),
    [
        ({"wep": "active"}, "Did you mean web?"),
        ({"web": "on"}, "must be one of active, present, inactive, masked"),
        ({"app/wep": "active"}, "Did you mean app/web?"),
    ],
)
def test_services_that_cannot_be_meant(services, part):
    with pytest.raises(FleetError) as failure:
        run(stack(services=services), FakeHost(), None, check_mode=True)
    assert part in failure.value.message


def test_a_service_name_of_two_modules_must_be_written_in_full():
    twins = params(manifest("a", service("s")), manifest("b", service("s")), services={"s": "masked"})
    with pytest.raises(FleetError, match="a/s or b/s"):
        run(twins, FakeHost(), None, check_mode=True)
    twins["services"] = {"a/s": "masked"}
    assert [unit["condition"] for unit in run(twins, FakeHost(), None, check_mode=True)["units"]] == ["masked", "active"]


def told(**properties):
    return {"Id": "x", "LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", **properties}


def test_times_of_systemd_are_read_and_a_reload_counts():
    seen = unit_state(
        told(
            ActiveEnterTimestamp="Sat 2026-11-21 10:02:37.500000 UTC",
            StateChangeTimestamp="Sat 2026-11-21 10:02:38.000000 UTC",
            NRestarts="3",
        )
    )
    assert (seen.since, seen.restarts) == (1795255358.0, 3)
    assert unit_state(told(ActiveEnterTimestamp="", StateChangeTimestamp="")).since == 0.0


@pytest.mark.parametrize(
    "answer", [Completed(0, "", ""), Completed(1, "", "Failed to connect to bus"), Completed(0, "Id=a.service\nLoadState=loaded\n", "")]
)
def test_an_unreadable_answer_is_never_taken_for_a_stopped_unit(answer):
    client = SystemdClient(lambda argv, **options: answer, "/nowhere")
    with pytest.raises(FleetError) as failure:
        client.states(["a.service"])
    assert failure.value.code == "status_unreadable"


def test_unit_files_are_found_by_name_or_by_mark_only(tmp_path):
    client = SystemdClient(lambda argv, **options: Completed(0, "", ""), str(tmp_path / "units"))
    assert client.texts("hub", [WEB]) == {}
    for name, text in (
        (WEB, "x\n"),
        ("hub-old.service", "X-Bowline-Stack=hub\n"),
        ("hub-other.service", "X-Bowline-Stack=hub-other\n"),
        ("ssh.service", "y\n"),
    ):
        client.write(name, text)
    assert set(client.texts("hub", [WEB])) == {WEB, "hub-old.service"}
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == sorted(
        [WEB, "hub-old.service", "hub-other.service", "ssh.service"]
    )


def test_values_with_equal_signs_are_kept():
    assert parse_properties("A=b=c\nD=\n") == {"A": "b=c", "D": ""}


def test_restarts_of_before_this_run_are_said_once_and_forgotten(host):
    host.units[DB] = UnitState(**{**vars(host.units[DB]), "restarts": 2})
    done = twice(host, stack())
    assert done["plan"] == [{"action": f"reset_failed {DB}", "reason": "systemd restarted it 2 times before this run", "disruptive": False}]


@pytest.mark.parametrize(("change", "services"), [
    pytest.param({"active": "activating"}, {}, id="it is still being restarted"),
    pytest.param({"active": "active"}, {"postgres": "present"}, id="nobody said that it shall run"),
])
def test_restarts_that_go_on_are_not_forgotten(host, change, services):
    host.units[DB] = UnitState(**{**vars(host.units[DB]), "restarts": 2, **change})
    assert actions(run(stack(services=services), host, None, check_mode=True)) == []
