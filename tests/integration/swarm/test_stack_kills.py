# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of swarm_stack at every point: the same command goes on, or goes back, and at no time are there two who write.

`make test` takes a sample; ``BOWLINE_FAULTS=all`` (`make faults`) takes every point, and those that come once a wave both times.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.faults import ABSENT_POINTS, DEPLOY_POINTS, ROLLBACK_POINTS

sys.path.insert(0, str(Path(__file__).parent))

from stacks import CRASH, Stack  # noqa: E402

ALL = os.environ.get("BOWLINE_FAULTS") == "all"
EACH_WAVE = ("S6", "S7", "S8", "R2", "R3", "R4", "R5", "A3", "A4", "A5")
# Once a service is removed by a deployment; the stack here loses none in the sample.
DEPLOY = [point for point in DEPLOY_POINTS if point != "S9"]


def turns(points):
    return [f"{point}.{turn}" for point in points for turn in ((1, 2) if point in EACH_WAVE else (1,))]


@pytest.fixture(scope="module")
def pair(swarm_lab, tmp_path_factory):
    """Two services in two waves, deployed as version 1."""
    swarm_lab.remove("d-kill")
    pair = Stack(swarm_lab, tmp_path_factory.mktemp("kill"), "d-kill", waves=2, port=18431, ttl=10)
    yield pair
    swarm_lab.remove("d-kill")


def version(pair: Stack) -> set[str]:
    """What runs: the versions in the environments of all services."""
    return {entry for spec in pair.specs().values() for entry in spec["TaskTemplate"]["ContainerSpec"]["Env"] if entry.startswith("VERSION=")}


def settled(pair: Stack, written: bool = True) -> None:
    """Nothing of a run is left, and history tells of one state only. A dead lock stays until somebody has something to write."""
    assert pair.ours("rollout") == [] and (pair.ours("lock") == [] or not written)
    assert "pending" not in pair.statuses().values()
    assert pair.api.services(filters={"label": f"bowline.prepull={pair.name}"}) == []


@pytest.mark.parametrize("point", turns(DEPLOY) if ALL else ["S7.2", "S12.1"])
def test_a_deployment_that_was_killed_is_gone_on_with(pair, point):
    pair.ok(env={"VERSION": "1"})
    before = len(pair.statuses())
    # Each case another version, so that there is something to write.
    env = {"VERSION": f"2-{point}"}
    assert pair.killed(point, env=env, history_keep=50), point
    done = pair.ok(env=env, history_keep=50)
    assert done["outcome"] in ("converged", "unchanged") and version(pair) == {f"VERSION=2-{point}"}
    assert pair.ok(env=env)["outcome"] == "unchanged"
    settled(pair, written=done["changed"])
    assert len(pair.statuses()) == before + 1, "one run, one revision, however often it died"


@pytest.mark.parametrize("point", turns(ROLLBACK_POINTS) if ALL else ["R3.1"])
def test_a_way_back_that_was_killed_ends_as_it_was_before(pair, point):
    pair.ok(env={"VERSION": "1"})
    before = pair.specs()
    env = {"VERSION": f"3-{point}", **CRASH}
    assert pair.killed(point, env=env, history_keep=50), point
    failure = pair.fails(env=env, history_keep=50)
    assert failure["details"]["outcome"] == "rolled_back", failure
    assert pair.specs() == before and len(pair.tasks()) == 2
    settled(pair)


@pytest.mark.parametrize("point", turns(ABSENT_POINTS) if ALL else ["A5.2"])
def test_a_removal_that_was_killed_is_gone_on_with(pair, point):
    pair.ok(env={"VERSION": "1"})
    # Networks, configs and secrets are none here; the point after each object is not reached.
    reached = pair.killed(point, state="absent")
    assert reached is (not point.startswith("A6")), point
    done = pair.ok(state="absent")
    assert pair.services() == {} and pair.ok(state="absent")["changed"] is False
    settled(pair, written=done["changed"])


def test_other_content_after_a_kill_still_knows_the_way_back(pair):
    """The state before the first write is that of before the run that died, not what it left half done."""
    pair.ok(env={"VERSION": "1"})
    before = pair.specs()
    assert pair.killed("S7", env={"VERSION": "4"})
    assert pair.specs() != before
    failure = pair.fails(env={"VERSION": "5", **CRASH})
    assert failure["details"]["outcome"] == "rolled_back" and pair.specs() == before, failure
    assert "superseded" in pair.statuses().values()
    settled(pair)
