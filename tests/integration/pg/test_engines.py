# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy server that cannot publish (wal_level = replica): engine dump, its way back, and the restart that makes it publish."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

rig = sys.modules["bowline_pg_rig"]
LONG = {"engine": "dump", "max_window": 60}


@pytest.fixture(scope="module")
def replicas():
    """Clusters of its own, since wal_level of legacy needs a start."""
    world = rig.World()
    try:
        world.start()
        world.legacy.stop()
        with (world.legacy.home / "data" / "postgresql.conf").open("a") as file:
            file.write("wal_level = replica\n")
        world.legacy.start()
        yield world
    finally:
        world.stop()


@pytest.fixture
def replica(replicas):
    replicas.reset()
    return replicas


def failed(outcome, code):
    assert outcome.get("failed"), outcome
    assert outcome["failure"]["code"] == code, outcome["failure"]
    return outcome["failure"]


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)


def test_a_dump_and_the_way_back_lose_no_row(replica, writers):
    world = replica
    assert world.ok("armed", **LONG)["phase_after"] == "armed"
    with writers(world) as clients:
        there = world.ok("new", **LONG)
        assert (there["engine"], there["phase_after"], there["serving"]) == ("dump", "new", "new")
        assert (there["verify"]["equal"], there["rollback"]["armed"], there["rollback"]["reason"]) == (True, True, "")
        time.sleep(1)
        back = world.ok("legacy", **LONG)
        assert (back["phase_after"], back["serving"], back["verify"]["equal"]) == ("prepared", "legacy", True)
    clients.assert_lossless()


# --- the restart ------------------------------------------------------------------------------------------------------------------


def controlled(world, **more):
    """Parameters that allow the restart, by pg_ctl."""
    params = world.params("armed")["legacy"]
    return {"allow_legacy_restart": True, "legacy": {**params, "data_directory": str(world.legacy.home / "data"), **more}}


def recorder(world):
    """A router that writes down what it is told."""
    path = world.home / "router.log"
    path.write_text("")
    say = [sys.executable, "-c", "import sys, time; print(time.time(), *sys.argv[2:], file=open(sys.argv[1], 'a'))", str(path)]
    return path, {"type": "command", **{verb: [[*say, verb, "{side}"]] for verb in ("pause", "route", "warmup", "resume")}}


@pytest.fixture
def restartable(replica):
    """Legacy with wal_level = replica that pg_ctl may restart; what pg_ctl has started is stopped afterwards."""
    world = replica
    yield world
    data = world.legacy.home / "data"
    command = [*rig.AS_POSTGRES, rig.BIN / "pg_ctl", "stop", "-D", data, "-m", "fast"]
    rig.subprocess.run(command, check=False, capture_output=True, cwd="/")
    (data / "postgresql.auto.conf").write_text("")
    world.legacy.process = None
    world.legacy.start()


def test_auto_restarts_legacy_under_the_hold_and_moves_logically(restartable, writers):
    world = restartable
    log, router = recorder(world)
    more = {**controlled(world), "router": router}
    foreseen = world.ok("armed", check_mode=True, **more)
    assert (foreseen["engine"], "restart" in [step["action"] for step in foreseen["plan"]]) == ("logical", True)
    with writers(world) as clients:
        armed = world.ok("armed", on_active="terminate", **more)
        assert armed["plan"] == foreseen["plan"]
        assert (armed["engine"], armed["phase_after"]) == ("logical", "armed") and armed["restart_ms"] > 0
        assert [line.split()[1:] for line in log.read_text().splitlines()] == [
            ["pause", "legacy"], ["route", "legacy"], ["warmup", "legacy"], ["resume", "legacy"]]
        there = world.ok("new", **more)
        assert (there["engine"], there["verify"]["equal"], there["rollback"]["armed"]) == ("logical", True, True)
    clients.assert_lossless()
    print("restart_ms", armed["restart_ms"], "gap", clients.longest_gap())
