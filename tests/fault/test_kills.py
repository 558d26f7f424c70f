# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of the module after every step and inside every step, with writers on: writes are back at once, the same command converges, nothing
is lost, and a third run has nothing to do."""

from __future__ import annotations

import random
import signal
import statistics
import time

import bench
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.faults import POINTS
from bench import ALL, OTHER, PAIRS, SEED, Watch, Writers

BEFORE_COMMIT = POINTS[: POINTS.index("W7")]
WINDOW = ("W0", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8")
# How long the way from the point before to this point takes at most, in seconds, where the result of a run does not say it.
INSIDE = {"A1": (0.3, 0.7), "A2": (0, 0.02), "A3": (0, 0.02), "W0": (0, 0.15), "F1": (0, 0.1), "F2": (0, 0.02), "F3": (0, 0.02), "F4": (0, 0.02)}


def cases() -> list:
    """(pair, point, how, to): every case begins where the one before it has ended.

    All: each pair, after and inside each point, both directions. Sample: each point once, in turns of after and inside, of
    both directions, and of both pairs.
    """
    if ALL:
        return [(pair, point, how, to) for pair in PAIRS for how in ("after", "in") for point in POINTS for to in ("new", "legacy")]
    chosen = [(PAIRS[number // 2 % 2], point, "after", ("new", "legacy")[number % 2]) for number, point in enumerate(POINTS)]
    inside = [(PAIRS[1], point, "in", ("new", "legacy")[number % 2]) for number, point in enumerate(("W1", "W2", "W5", "W7"))]
    return sorted(chosen, key=lambda case: case[0]) + inside


def names() -> list[str]:
    return [f"{number:03}-{bench.label(pair)}-{how}-{point}-to-{to}" for number, (pair, point, how, to) in enumerate(cases())]


@pytest.fixture
def measured(pair):
    """Its undisturbed pause is measured before the first kill."""
    if pair.pair not in bench.UNDISTURBED:
        undisturbed(pair)
    return pair


def undisturbed(world) -> None:
    """The pause of switches that nobody disturbs, seen by the writers, and how long each step takes."""
    found, world.takes = [], {}
    first = OTHER[world.open_sides()[0]]
    for to in (first, OTHER[first]) * (5 if ALL else 2):
        with Writers(world) as clients:
            started = time.monotonic()
            outcome = world.ok(to, verify="none")
            acknowledged = len(clients.acknowledged)
            bench.wait(lambda count=acknowledged, clients=clients: len(clients.acknowledged) > count, 5, "writes after the switch")
        found.append(bench.longest_between(clients.times, started, time.monotonic()))
        for step in outcome["steps"]:
            world.takes.setdefault(step["name"], []).append(step["ms"] / 1000)
        clients.assert_lossless()
    bench.UNDISTURBED[world.pair] = found


def moment(world, point: str, pick: random.Random) -> tuple[str, float]:
    """The fault that kills inside ``point``: the point before it, and seconds after that."""
    low, high = INSIDE.get(point) or (0.0, statistics.median(world.takes[point]))
    return (POINTS[POINTS.index(point) - 1] if point != "A1" else "", pick.uniform(low, high))


@pytest.mark.parametrize(("pair", "point", "how", "to"), cases(), ids=names(), indirect=["pair"])
def test_killed_after_or_inside_each_step_it_converges_and_loses_nothing(measured, point, how, to, request):
    world = measured
    if world.open_sides() == [to]:
        world.ok(OTHER[to], verify="none")
    # Each case draws from its own name, so that one case alone repeats what it did among all.
    fault, delay = (point, 0.0) if how == "after" else moment(world, point, random.Random(f"{SEED} {request.node.name}"))
    with Writers(world) as clients, Watch(world) as watch:
        started = time.monotonic()
        process = world.spawn(to, fault=fault + (f":{delay:.5f}" if how == "in" and fault else ""))
        if not fault:
            time.sleep(delay)
            process.kill()
        process.communicate(timeout=60)
        killed = process.returncode == -signal.SIGKILL
        back = bench.wait(lambda: len(world.open_sides()) == 1, 5, "one open side")
        after_kill = world.open_sides()
        acknowledged = len(clients.acknowledged)
        bench.wait(lambda: len(clients.acknowledged) > acknowledged, 5, "writes after the kill")
        entry = {"fault": f"kill {how} {'window' if point in WINDOW else 'arming' if point in POINTS[:3] else 'clean-up'}", "point": point,
                 "how": how, "delay": round(delay, 5), "killed": killed, "back": round(back, 3), "served": after_kill,
                 "pause": round(bench.longest_between(clients.times, started, time.monotonic()), 4) if point in WINDOW and killed else None}
        bench.settle(world, to, clients, watch, entry)
    # Connecting for the look itself takes some of this second; a machine that is busy with other things needs longer for everything.
    assert back < max(1.0, 5 * statistics.median(bench.UNDISTURBED[world.pair]))
    if how == "after":
        assert killed and after_kill == [OTHER[to] if point in BEFORE_COMMIT else to]


@pytest.mark.parametrize("versions", PAIRS, ids=bench.label)
def test_the_pause_after_a_kill_is_at_most_five_times_an_undisturbed_one(versions):
    found = bench.ratios(bench.label(versions))
    assert found and statistics.median(found) <= 5, sorted(found)
