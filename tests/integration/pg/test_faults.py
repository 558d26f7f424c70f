# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module is killed after every step, with writers on: the same command converges and nothing is lost.

`make test` kills once after each step; BOWLINE_FAULTS=all does it in both directions (33 cases, three minutes on a quiet machine).
"""

from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.faults import POINTS

OTHER = {"new": "legacy", "legacy": "new"}
BEFORE_COMMIT = ("W0", "W1", "W2", "W3", "W4", "W5", "W6")


@pytest.fixture(scope="module")
def matrix(clusters):
    """One seeded pair for all crash points: each of them ends with the other side serving."""
    clusters.reset()
    clusters.ok("seeded")
    return clusters


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)
    return seconds - (deadline - time.monotonic())


# Every case begins where the one before it has ended. The sample touches every point, in turns of both directions.
SAMPLE = [(point, ("new", "legacy")[number % 2]) for number, point in enumerate(POINTS)]
MATRIX = [(point, to) for point in POINTS for to in ("new", "legacy")]


@pytest.mark.parametrize(("point", "to"), MATRIX if os.environ.get("BOWLINE_FAULTS") == "all" else SAMPLE)
def test_killed_after_each_step_it_converges_and_loses_nothing(matrix, writers, point, to):
    world = matrix
    if world.open_sides() == [to]:
        world.ok(OTHER[to], verify="none")
    with writers(world) as clients:
        process = world.spawn(to, fault=point, verify="none")
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        back_after = wait_until(lambda: len(world.open_sides()) == 1, 3, "one open side")
        # Connecting for the look itself takes some of this second.
        assert back_after < 1.0
        assert world.open_sides() == [OTHER[to] if point in (*BEFORE_COMMIT, "A1", "A2", "A3") else to]
        acknowledged = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) > acknowledged, 3, "writes after the kill")
        outcome = world.ok(to)
        assert (outcome["serving"], outcome["phase_after"]) == (to, "new" if to == "new" else "seeded")
    clients.assert_lossless()
    assert world.open_sides() == [to]
    again = world.ok(to)
    assert (again["changed"], again["plan"]) == (False, [])


def test_a_hanging_module_loses_the_window_and_cannot_open_anything_later(world, writers):
    """SIGSTOP after W6: the watchdog acts at max_window; the module, continued after a whole other switch, must write nothing."""
    world.ok("armed")
    with writers(world) as clients:
        process = world.spawn("new", fault="W6:stop", max_window=2.5, drain_grace=1, window_attempts=1)
        try:
            wait_until(lambda: world.open_sides() == [], 20, "the window")
            wait_until(lambda: world.open_sides() == ["legacy"], 10, "the watchdog")
            assert world.ok("new")["serving"] == "new"
            assert world.ok("legacy")["serving"] == "legacy"
            os.kill(process.pid, signal.SIGCONT)
            out, _err = process.communicate(timeout=30)
            assert '"failed": true' in out
        finally:
            process.poll() is None and process.kill()
        assert world.open_sides() == ["legacy"]
    clients.assert_lossless()
    assert world.ok("legacy")["changed"] is False
