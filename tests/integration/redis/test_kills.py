# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of the module before and after each step, with producers on: writes are back at once, never on two sides, the same command converges,
no acknowledged job is lost, and a third run has nothing to do.

A sample is part of `make test`; ``BOWLINE_FAULTS=all`` kills in both directions, and some milliseconds inside each step as well.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._redis import window
from ansible_collections.bowline.fleet.plugins.module_utils._redis.faults import ABSENT_POINTS, LINK_POINTS, WINDOW_POINTS
from bowline_redis_load import QUEUE, Producer, pushed
from bowline_redis_pair import Pair
from bowline_redis_rig import OTHER, Said, wait_until

ALL = os.environ.get("BOWLINE_FAULTS") == "all"
# After these the source is closed and the target not yet open.
NOBODY = ("W3", "W4")


def cases() -> list[tuple[str, str]]:
    """(fault, side). ``W3:0.004`` kills four milliseconds behind W3."""
    points = [*WINDOW_POINTS, *LINK_POINTS]
    if not ALL:
        return [(point, ("new", "legacy")[number % 2]) for number, point in enumerate(points)]
    pick = random.Random(20261128)
    inside = [f"{point}:{pick.uniform(0, 0.006):.4f}" for point in points for _turn in range(5)]
    return [(fault, side) for fault in (*points, *inside) for side in ("new", "legacy")]


class Writes:
    """Producers for the time of a test, and what they were told."""

    def __init__(self, pair, count: int = 2) -> None:
        side = pair.open_sides()[0]
        self.producers = [Producer(pair, f"{time.monotonic_ns()}-{number}", side) for number in range(count)]

    def __enter__(self):
        for producer in self.producers:
            producer.start()
        self.go_on()
        return self

    def go_on(self) -> float:
        """Seconds until each of them has been acknowledged once more."""
        began = time.monotonic()
        goals = [len(producer.acknowledged) + 1 for producer in self.producers]
        wait_until("a write", lambda: all(len(producer.acknowledged) >= goal for producer, goal in zip(self.producers, goals)))
        return time.monotonic() - began

    def __exit__(self, *_error) -> None:
        for producer in self.producers:
            producer.stop()


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """One pair for all kills: every case begins where the one before it has ended."""
    pair = Pair(tmp_path_factory.mktemp("kills") / "pair").start()
    # For the trial of the way back, which offers one.
    pair.legacy.ask("SET", "small", "key")
    pair.run("replicating")
    yield pair
    pair.stop()


@pytest.mark.parametrize(("fault", "side"), cases(), ids=lambda value: value)
def test_killed_at_each_step_it_converges_and_loses_nothing(moved, fault, side):
    pair = moved
    pair.run("promoted", side=OTHER[side])
    pair.ask_all("DEL", QUEUE)
    with Writes(pair) as writes:
        params = pair.params("promoted", side=side)
        inside = ":" in fault
        process = pair.spawn(params, fault)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL or (inside and process.returncode == 0)
        assert len(pair.open_sides()) <= 1
        assert writes.go_on() < 1.6, "writes wait no longer than the rest of the pause, or are given back at once"
        assert len(pair.open_sides()) == 1
        pair.apart("promoted", side=side)
        writes.go_on()
    assert pair.open_sides() == [side]
    assert not pair.run("promoted", side=side)["changed"]
    held = pair.servers[side].ask("LRANGE", QUEUE, 0, -1)
    assert pushed(writes.producers) - set(held) == set() and len(held) == len(set(held))


@pytest.mark.parametrize("point", NOBODY)
def test_a_module_that_hangs_in_the_window_is_overruled_and_can_open_nothing_later(moved, point):
    """Stopped between the close and the opening: the watchdog gives the writes back; when it goes on, its connections are gone."""
    pair = moved
    pair.run("promoted", side="legacy")
    process = pair.spawn(pair.params("promoted", max_window=0.5), f"{point}:stop")
    try:
        wait_until("a closed source", lambda: pair.legacy.role() == "slave")
        wait_until("the writes to be given back", lambda: pair.open_sides() == ["legacy"], 5)
        pair.legacy.ask("SET", "given-back", point)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    # It may try once more from the beginning, as after any attempt that failed.
    assert pair.open_sides() == [json.loads(out).get("serving", "legacy")], (out, err)
    assert pair.servers[pair.open_sides()[0]].ask("GET", "given-back") == point
    pair.run("promoted")
    assert pair.open_sides() == ["new"] and pair.new.ask("GET", "given-back") == point


def test_a_write_that_the_target_has_not_got_stops_the_opening(moved, monkeypatch):
    """The proof itself: should the pause end too early, or the wait be wrong, the side that lacks a write is not opened."""
    pair = moved
    pair.run("promoted", side="legacy")

    def too_early(source, target, deadline):
        pair.legacy.ask("ACL", "DELUSER", "bowline-link")
        wait_until("the end of the link", lambda: pair.new.info()["master_link_status"] == "down")
        pair.legacy.ask("CLIENT", "UNPAUSE")
        pair.legacy.ask("SET", "late", "write")

    monkeypatch.setattr(window, "_level", too_early)
    with pytest.raises(FleetError) as failed:
        pair.run("promoted", window_attempts=1)
    assert failed.value.code == "window_aborted" and "offset" in failed.value.message and pair.open_sides() == ["legacy"]
    assert pair.legacy.ask("SET", "and", "on") == "OK"
    monkeypatch.undo()
    pair.run("promoted")
    assert (pair.new.ask("GET", "late"), pair.open_sides()) == ("write", ["new"])


def test_two_controllers_at_once_act_one_after_the_other(moved):
    """Each wants another side to serve: both come to an end, no write is lost, and never do two sides take one."""
    pair = moved
    pair.run("promoted", side="legacy")
    pair.ask_all("DEL", QUEUE)
    with Writes(pair) as writes:
        runs = [pair.spawn(pair.params("promoted", side=side)) for side in ("new", "legacy", "new")]
        while any(run.poll() is None for run in runs):
            assert not pair.both_open()
        said = [json.loads(run.communicate()[0]) for run in runs]
        writes.go_on()
    assert [outcome for outcome in said if "failure" in outcome] == []
    serves = pair.open_sides()
    assert len(serves) == 1
    held = pair.servers[serves[0]].ask("LRANGE", QUEUE, 0, -1)
    assert pushed(writes.producers) - set(held) == set() and len(held) == len(set(held))


def test_a_dead_module_and_a_dead_watchdog_leave_both_closed_until_the_next_run(moved):
    """The host of the module lost its power: nobody is left to give the writes back, and nothing may be opened twice."""
    pair = moved
    pair.run("promoted", side="legacy")
    pair.legacy.ask("SET", "last", "write")
    process = pair.spawn(pair.params("promoted"), "W3:stop")
    wait_until("a closed source", lambda: pair.legacy.role() == "slave")
    children = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(pid) == process.pid]
    for pid in (*children, process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert pair.open_sides() == [] and pair.info()["serving"] == "nobody"
    for server in pair.servers.values():
        with pytest.raises(Said, match="READONLY"):
            server.ask("SET", "a", "b")
    outcome = pair.run("promoted")
    assert outcome["phase_before"] == "window" and pair.open_sides() == ["new"] and pair.new.ask("GET", "last") == "write"
    assert not pair.run("promoted")["changed"]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("point", ABSENT_POINTS)
def test_killed_while_everything_is_taken_away_it_converges(make, point):
    pair = make()
    pair.legacy.ask("SET", "a", "b")
    before = {side: server.configuration() for side, server in pair.servers.items()}
    pair.run("replicating")
    pair.killed(pair.params("absent"), point)
    pair.run("absent")
    assert not pair.run("absent")["changed"]
    assert {side: server.configuration() for side, server in pair.servers.items()} == before
    assert (pair.legacy.ask("DBSIZE"), pair.new.ask("DBSIZE")) == (1, 0)


@pytest.mark.parametrize("point", LINK_POINTS)
def test_killed_while_the_first_link_is_made_it_converges(make, point):
    pair = make()
    pair.legacy.ask("SET", "a", "b")
    pair.killed(pair.params(), point)
    assert pair.run("replicating")["phase"] == "following"
    assert not pair.run("replicating")["changed"]
    pair.new.restart()
    assert pair.new.role() == "slave", "its role is on its disk"
