# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The story of the README, in order: the example given up, a run that is killed, plan, cutover, once more, back, forward again, installed.

Each test needs the one before it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import judge
import old_host
import pytest
from commands import CommandLines
from example import Example
from installed import Installed
from prints import unchanged
from sockets import Sockets
from world import ROOT

STORY: dict[str, dict] = {}
# Everything of a run that somebody could read later.
TRACES = ("build/cutover", "build/rollback", "build/state", "build/docs", "build/test/cutover")


def recap(text: str) -> dict[str, int]:
    """Changed tasks per host, from Ansible's own recap."""
    return {host: int(changed) for host, changed in re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", text, re.MULTILINE)}


def assert_lossless(result: dict) -> None:
    assert result["probe"]["failed"] == 0, result["probe"]
    assert result["served_by_old_after_release"] == 0
    ledger = result["ledger"]
    assert ledger["acknowledged"] > 50
    assert (ledger["lost"], ledger["unacknowledged_present"], ledger["duplicates"], ledger["failed_requests"]) == (0, 0, 0, 0), ledger


def passwords() -> list[str]:
    """Every secret of the lab."""
    secrets = ROOT / "build" / "lab" / "secrets"
    values = [path.read_text(encoding="utf-8").strip() for path in secrets.iterdir() if path.name != "tsig.key"]
    # Made by the first cutover, and the only secret of the lab that no file of the controller has.
    values.append(Path("/var/lib/bowline/edge-hub.private/token").read_text(encoding="utf-8").strip())
    return [*values, json.loads((secrets / "tsig.key").read_text(encoding="utf-8"))["secret"]]


def assert_no_secret_was_an_argument(lines: CommandLines) -> None:
    # Both hosts and the containers were looked at: a module on each, and a server in each.
    for known in ("ansible-playbook", "/usr/libexec/bowline/bowline-edge.pyz", "pg_dump", "postgres: "):
        assert lines.holding(known), f"no command line with {known}"
    assert [line for value in passwords() for line in lines.holding(value)] == []


def assert_nobody_else_reaches_an_edge(sockets: Sockets) -> None:
    """The edges are what the move opened, on the old host in a container only, and a stranger gets no answer of any."""
    edges = sockets.edges()
    assert {found.address.rpartition(":")[2] for found in edges if found.host == "edge" and ":" in found.address} == {"18080", "18081"}
    paths = {found.address.rpartition("/edge-hub/")[2] for found in edges if found.host == "target"}
    assert {"run/nginx/app", "run/nginx/web", "run/admin.sock", "run/master.sock"} <= paths, "no address of the target, only sockets"
    assert all(path.startswith("run/") for path in paths), paths
    assert sockets.knocked >= edges
    assert sockets.answered == set()
    # Programs that are no proxies may come and go.
    assert not {found for found in sockets.new if found.host == "legacy" and found.program in ("haproxy", "docker-proxy")}


def snapshots(world) -> dict[str, list[str]]:
    """Names below the directory of each host that are the lab's, sorted; what a killed run left would be among them."""
    ssh = ["ssh", *world.lab["target"]["ssh"]["options"], f"root@{world.lab['target']['address']}"]
    words = ["ls", "-1", world.lab["snapshots"]]
    hosts = {"legacy": words, "target": [*ssh, *words]}
    found = {side: subprocess.run(argv, check=True, capture_output=True, text=True).stdout for side, argv in hosts.items()}
    return {side: sorted(name for name in text.split() if name.startswith("hub-")) for side, text in found.items()}


@pytest.fixture(scope="module")
def example(world, tmp_path_factory):
    """The example for a stack of one's own, with the lab's addresses, passwords and names."""
    filled = Example(tmp_path_factory.mktemp("example") / "project", world.lab)
    with filled.hosts(ROOT / "build" / "lab" / "target" / "rootfs"):
        STORY["before"] = old_host.look(world)
        yield filled


@pytest.fixture(scope="module")
def installed(world, tmp_path_factory):
    return Installed(world, tmp_path_factory.mktemp("installed"))


def test_the_example_filled_in_is_prepared_and_given_up_and_the_old_host_is_as_it_was(world, example):
    """Behind C9, with everything prepared. What comes after it begins anew, on a target that was used before. All steps: `make faults`."""
    run = example.run("cutover", "-e", "cutover_until=armed")
    assert run.returncode == 0, run.stdout[-6000:]
    assert "bowline.fleet.cutover goes on from here" in example.result("cutover")["standing"]["next"]
    assert old_host.differing(STORY["before"], old_host.look(world))
    done = example.run("cancel")
    assert done.returncode == 0, done.stdout[-6000:]
    assert old_host.differing(STORY["before"], old_host.look(world)) == {}
    result = example.result("cancel")
    assert (result["outcome"], result["serving"], result["standing"]["held"]) == ("succeeded", "legacy", False)
    assert [step["id"] for step in result["steps"] if step["changed"]] == ["K2", "K3", "K4", "K5"]
    # What is gone is not among what is left.
    assert "/var/lib/postgresql/15/hub" in result["standing"]["said"]
    assert "/etc/bowline/" not in result["standing"]["said"]


def test_second_run_while_one_is_active(world):
    first = world.start("cutover")
    try:
        world.until("the first run to begin its first step", lambda: "Preflight" in first.text())
        second = world.run("cutover")
        text = " ".join(second.text().split())
        assert second.process.returncode != 0, text[-3000:]
        assert " locked " in text, text[-3000:]
        assert re.search(rf"is held by \S+ \(pid {first.process.pid} on \S+\) since [0-9.]+ s", text), text[-3000:]
        # It goes on until the new server is there, which the test below needs.
        world.wait("target", first)
    finally:
        first.kill()


def test_target_database_that_is_not_empty(refused, world):
    """After the run that was ended above: its new server answers, and somebody fills the database before it does. The remedy is followed."""
    world.settle()
    database = world.lab["databases"]["target"]
    with judge.connect({**database, "dbname": "postgres"}) as session:
        session.execute(f'CREATE DATABASE "{database["dbname"]}"')
    with judge.connect(database) as session:
        session.execute("CREATE TABLE strangers (id int)")
    rename = f'ALTER DATABASE "{database["dbname"]}" RENAME TO'
    text = refused({}, ("preflight_failed",), "is not empty and not ours: public.strangers", rename)
    with judge.connect({**database, "dbname": "postgres"}) as session:
        session.execute(re.search(rf'{rename} "[^"]+"', text).group(0))


def test_plan_writes_nothing_anywhere(world):
    with unchanged(world):
        done = world.make("cutover", "--check")
        assert done.returncode == 0, done.stdout[-4000:]
    STORY["plan"] = json.loads((ROOT / "build" / "cutover" / "check.json").read_text(encoding="utf-8"))


def test_cutover_loses_nothing(world):
    with Sockets(world) as sockets, CommandLines() as lines:
        done = world.make("cutover")
    assert done.returncode == 0, done.stdout[-6000:]
    assert_nobody_else_reaches_an_edge(sockets)
    assert_no_secret_was_an_argument(lines)
    assert "ansible-playbook -i inventories/lab playbooks/cutover.yml" in done.stdout
    result = json.loads((ROOT / "build" / "cutover" / "result.json").read_text(encoding="utf-8"))
    STORY["cutover"] = result
    assert (result["outcome"], result["serving"]) == ("succeeded", "new")
    assert_lossless(result)
    assert 0 < result["window_ms"] < 5000
    assert result["rollback"]["armed"] is True
    assert world.open_sides() == ["target"]
    assert Path(result["report"]).is_file()
    assert list((ROOT / "build" / "docs" / "cutover-log").glob("*-hub.md"))


def test_a_green_plan_was_followed_by_a_green_run():
    assert (STORY["plan"]["outcome"], STORY["plan"]["failure"]) == ("succeeded", None)
    assert (STORY["cutover"]["outcome"], STORY["cutover"]["failure"]) == ("succeeded", None)


def test_plan_named_the_steps_that_were_done():
    planned = {step["id"]: step["changed"] for step in STORY["plan"]["steps"]}
    done = {step["id"]: step["changed"] for step in STORY["cutover"]["steps"]}
    assert planned == done
    assert [name for name, changed in done.items() if changed]


def test_both_dumps_are_proven_and_on_both_hosts(world):
    names = {name.rpartition("-")[2]: name for name in snapshots(world)["legacy"]}
    assert sorted(names) == ["before", "switch"]
    assert snapshots(world) == {"legacy": sorted(names.values()), "target": sorted(names.values())}
    log = next((ROOT / "build" / "docs" / "cutover-log").glob("*-hub.md")).read_text(encoding="utf-8")
    assert f"- C5 snapshot: name = `{names['before']}`" in log
    assert f"- C13 snapshot: name = `{names['switch']}`" in log
    STORY["snapshots"] = names


def test_second_cutover_changes_nothing(world):
    run = world.run("cutover")
    assert run.process.returncode == 0, run.text()[-4000:]
    changed = recap(run.text())
    assert changed
    assert set(changed.values()) == {0}, changed
    assert not [step["id"] for step in run.figures()["steps"] if step["changed"]]
    assert snapshots(world)["legacy"] == sorted(STORY["snapshots"].values())


def test_plan_of_the_way_back_asks_everything_and_is_green(world):
    run = world.run("rollback", "--check")
    assert run.process.returncode == 0, run.text()[-4000:]
    assert "preflight" not in run.text() and world.open_sides() == ["target"]


def test_rollback_brings_every_row_back(world):
    done = world.make("rollback")
    assert done.returncode == 0, done.stdout[-6000:]
    result = json.loads((ROOT / "build" / "rollback" / "result.json").read_text(encoding="utf-8"))
    assert (result["outcome"], result["serving"]) == ("succeeded", "legacy")
    assert_lossless(result)
    assert result["rollback"]["seconds_to_200"] <= 30
    assert world.open_sides() == ["legacy"]
    assert list((ROOT / "build" / "docs" / "cutover-incidents").glob("*-rollback.md"))


def test_the_plan_that_awx_makes_is_refused_without_a_volume_and_green_with_one(world, installed):
    """Job *plan*, by ansible-runner: a journal that vanishes with its container is what the run would stumble over, and the remedy is enough."""
    refused = installed.plan("cutover", operation_store="sqlite:///dev/shm/bowline-nowhere/store.db")
    assert refused.process.returncode == 2, refused.text()[-6000:]
    failure = next(event["event_data"]["res"]["failure"] for event in installed.events() if event["event"] == "runner_on_failed")
    remedy = re.search(r"name a file on one: (operation_store): (sqlite:///<volume>/\S+)", failure["remedy"])
    assert (failure["code"], bool(remedy)) == ("store_ephemeral", True), failure
    credential = Path(world.lab["link"]["password_file"]).read_text(encoding="utf-8").strip()
    place = remedy.group(2).replace("/<volume>", str(ROOT / "build" / "state"))
    plan = installed.plan("cutover", pg_link_password=credential, **{remedy.group(1): place})
    assert plan.process.returncode == 0, plan.text()[-6000:]
    kept = installed.kept()
    assert "C16" in kept
    assert [value for value in passwords() if value in kept] == []


def test_next_cutover_copies_no_table_and_runs_installed_from_another_folder(world, installed):
    world.writers("start")
    try:
        run = installed.run("cutover")
    finally:
        world.writers("stop")
    assert run.process.returncode == 0, run.text()[-6000:]
    result = {**run.figures(), "ledger": world.verdict()}
    assert (result["outcome"], result["serving"], world.open_sides()) == ("succeeded", "new", ["target"])
    assert_lossless(result)
    changed = {step["id"]: step["changed"] for step in result["steps"]}
    # The dump of the first cutover is young enough; the one of this switch is new.
    assert (changed["C5"], changed["C6"]) == (False, False)
    assert [name.rpartition("-")[2] for name in snapshots(world)["target"]].count("before") == 1
    assert len(snapshots(world)["target"]) == 3


@pytest.mark.parametrize("trace", TRACES)
def test_no_secret_in_what_a_run_leaves(world, trace):
    values = passwords()
    found = []
    for path in (ROOT / trace).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [str(path) for value in values if value.encode() in content]
    assert found == []
