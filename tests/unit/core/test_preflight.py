# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The preflight fails closed: every row that is not plainly good is a finding."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.preflight import exposed, gates, judge, misspelt, observations

ROOT = Path(__file__).resolve().parents[3]
ENGINE = {"containers": [{"Names": ["/thing"], "State": "running"}, {"Names": ["/db"], "State": "running"}]}
SERVER = {"name": "ns1.example.org", "address": "192.0.2.53", "port": 53, "error": None}
ROOM = {"name": "room", "ok": True, "evidence": {"directory": "/data", "free_bytes": 1200}}
PORT = {"address": "192.0.2.2", "port": 5432, "unit": "pg.service"}
FREE = {"name": "192.0.2.2:5432", "ok": True, "evidence": {"listening": False}}
TAKEN = {"name": "192.0.2.2:5432", "ok": False, "evidence": {"listening": True, "active": False}, "findings": ["it answers"]}


def entry(kind, **more):
    return {"kind": kind, "field": "a_field", "subject": "thing", **more}


@pytest.mark.parametrize(
    ("observation", "codes"),
    [
        pytest.param(entry("host", result={"ping": "pong"}), [], id="host answers"),
        pytest.param(entry("host", result={"unreachable": True, "msg": "no route"}), ["unreachable"], id="host unreachable"),
        pytest.param(entry("host", result=None), ["unreachable"], id="host never asked"),
        pytest.param(entry("container", result=ENGINE), [], id="container runs"),
        pytest.param(entry("container", result={"containers": [{"Names": ["/thing2"], "State": "running"}]}), ["container_missing"], id="container missing"),
        pytest.param(entry("container", result={"containers": [{"Names": ["/thing"], "State": "exited"}]}), ["container_missing"], id="container exited"),
        pytest.param(entry("container", result={"failed": True, "msg": "no engine"}), ["not_run"], id="engine silent"),
        pytest.param(entry("container", result={}), ["not_run"], id="engine: empty answer"),
        pytest.param(entry("port", result=FREE, unit="x"), [], id="port free"),
        pytest.param(entry("port", result=TAKEN, unit="x"), ["port_taken"], id="port taken"),
        pytest.param(entry("port", result={"ok": True, "evidence": {"listening": True, "active": True}}, unit="x"), [], id="port is ours"),
        pytest.param(entry("port", result={"ok": False, "evidence": {}, "findings": ["TimeoutError"]}, unit="x"), ["not_run"], id="port silent"),
        pytest.param(entry("port", result={"unreachable": True}, unit="x"), ["not_run"], id="port not tried"),
        pytest.param(entry("disk", result=ROOM, needed=1000), [], id="disk just large enough"),
        pytest.param(entry("disk", result=ROOM, needed=1001), ["no_space"], id="disk too small"),
        pytest.param(entry("disk", result=ROOM, needed=0), [], id="nothing left to copy"),
        pytest.param(entry("disk", result={"unreachable": True}, needed=1), ["not_run"], id="room not read"),
        pytest.param(entry("disk", result={}, needed=1), ["not_run"], id="room: empty answer"),
        pytest.param(entry("disk", result=ROOM), ["not_run"], id="size unknown"),
        pytest.param(entry("module", result={"changed": False}), [], id="module content"),
        pytest.param(entry("module", result={"skipped": True, "changed": False}), [], id="module skipped on purpose"),
        pytest.param(entry("module", result={"failed": True, "failure": {"code": "auth", "message": "m", "remedy": "r"}}), ["auth"], id="module failed"),
        pytest.param(entry("module", result={"failed": True, "msg": "traceback"}), ["not_run"], id="module crashed"),
        pytest.param(entry("module", result={}), ["not_run"], id="module: empty answer"),
        pytest.param(entry("module", result={"failed": False, "changed": False, "msg": "traceback"}), ["not_run"], id="module crashed under failed_when"),
        pytest.param(entry("servers", result={"changed": False, "servers": [SERVER]}), [], id="name servers answer"),
        pytest.param(entry("servers", result={"changed": False, "servers": [SERVER, {**SERVER, "error": "timed out"}]}), ["no_authority"], id="one is silent"),
        pytest.param(entry("servers", result={"changed": False, "servers": []}), ["not_run"], id="no name server"),
    ],
)
def test_one_observation(observation, codes):
    assert [finding["code"] for finding in judge([observation])] == codes


def test_all_findings_at_once_and_in_order():
    inner = [{"code": "keyless_table", "level": "fail", "object": "public.t", "message": "no key", "remedy": "add one"}]
    seen = judge([
        entry("host", result={}),
        entry("module", result={"failed": True, "failure": {"code": "preflight_failed", "message": "m", "details": {"findings": inner}}}),
        entry("module", result={"changed": False, "findings": [{**inner[0], "level": "warn"}]}),
    ])  # fmt: skip
    assert [(finding["code"], finding["level"]) for finding in seen] == [("unreachable", "fail"), ("keyless_table", "fail"), ("keyless_table", "warn")]
    assert seen[1]["message"] == "thing: public.t: no key"


def test_a_misspelt_kind_cannot_pass():
    with pytest.raises(KeyError):
        judge([entry("contaner", result=ENGINE)])


def test_a_misspelt_variable_is_found_with_its_near_miss():
    spec = {"argument_specs": {"main": {"options": {"edge_sides": {}}}, "absent": {"options": {"edge_name": {}}}}}
    assert misspelt(["edge_sides", "edge_name"], [spec]) == []
    (finding,) = misspelt(["edge_sidse"], [spec])
    assert (finding["code"], finding["field"]) == ("unknown_variable", "edge_sidse")
    assert finding["message"] == "edge_sidse: unknown key. Did you mean edge_sides?"


def seen(**changes):
    good = {
        "hosts": [{"host": "old", "ping": "pong"}, {"host": "new", "ping": "pong"}],
        "engine": ENGINE,
        "target": {"changed": False, "checks": [ROOM, FREE]},
        "edges": [{"edge_side": "legacy", "changed": False, "findings": []}],
        "databases": {"changed": False, "evidence": {"size_bytes": 10}},
        "names": {"changed": False, "servers": [SERVER]},
        "containers": ["db"],
        "ports": [PORT],
        "data_directory": "/var/lib/pg",
    }
    return {**good, **changes}


def test_registered_results_become_observations():
    assert judge(observations(seen())) == []
    assert [entry["subject"] for entry in observations(seen())] == [
        "old", "new", "db", "192.0.2.2:5432", "/var/lib/pg", "databases", "edge of legacy", "name servers",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["hosts", "engine", "target", "edges", "databases", "names"])
def test_a_task_that_never_ran_is_a_finding(name):
    assert judge(observations(seen(**{name: {}}))) != []


def test_a_size_that_nobody_told_leaves_the_room_unproven():
    assert [finding["code"] for finding in judge(observations(seen(databases={"changed": False})))] == ["not_run"]


def test_what_was_copied_needs_no_room():
    large = {"changed": False, "evidence": {"size_bytes": 10**12}}
    assert [finding["code"] for finding in judge(observations(seen(databases={**large, "phase_before": "prepared"})))] == ["no_space"]
    assert judge(observations(seen(databases={**large, "phase_before": "new_armed"}))) == []


def test_a_missing_part_cannot_pass():
    without = seen()
    del without["target"]
    with pytest.raises(KeyError):
        observations(without)


def test_a_gate_that_failed_tells_each_check():
    failed = {"failed": False, "msg": "1 of 2 checks failed", "failure": {"code": "check_failed", "details": {"checks": [ROOM, TAKEN]}}}
    (finding,) = judge(observations(seen(target=failed)))
    assert (finding["code"], finding["message"]) == ("port_taken", "Port 192.0.2.2:5432 answers, but not for unit pg.service.")


def test_the_target_is_asked_once_for_room_and_ports():
    assert [(check["name"], check["type"]) for check in gates([PORT], "/data")] == [("room", "disk"), ("192.0.2.2:5432", "free")]


@pytest.mark.parametrize(
    ("mode", "text", "codes"),
    [
        pytest.param(0o600, "secret", [], id="ours alone"),
        pytest.param(0o400, "secret", [], id="ours alone, to read"),
        pytest.param(0o640, "secret", ["unsafe_path"], id="the group reads"),
        pytest.param(0o644, "secret", ["unsafe_path"], id="everybody reads"),
        pytest.param(0o644, "$ANSIBLE_VAULT;1.1;AES256\n33", [], id="everybody reads what is encrypted"),
        pytest.param(0o666, "$ANSIBLE_VAULT;1.1;AES256\n33", ["unsafe_path"], id="everybody writes what is encrypted"),
    ],
)
def test_files_with_secrets_belong_to_one_user(tmp_path, mode, text, codes):
    file = tmp_path / "secrets" / "deep" / ".pgpass"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    file.chmod(mode)
    for place in (tmp_path / "secrets", file):
        findings = exposed([str(tmp_path / "missing"), str(place)], "a_field")
        assert [finding["code"] for finding in findings] == codes
        for finding in findings:
            assert (finding["field"], finding["level"]) == ("a_field", "fail")
            assert str(file) in finding["message"] and f"{mode:04o}" in finding["message"] and f"{file}. Or" in finding["remedy"]


def test_a_folder_of_secrets_that_others_write_in_and_a_link_that_leads_nowhere_are_findings(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert [finding["code"] for finding in exposed([str(tmp_path)], "f")] == ["not_run"]
    (tmp_path / "link").unlink()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "file").touch(mode=0o600)
    assert [finding["code"] for finding in exposed([str(tmp_path)], "f")] == ["unsafe_path"]


def test_the_folder_of_secrets_that_the_readme_names_is_not_committed():
    """README: copy inventories/example_hub to inventories/mine; the example reads its secrets beside itself."""
    words = ["git", "check-ignore", "--no-index", "--quiet", "inventories/mine/secrets/link"]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0
