# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kill before and after every call and every write of provision, drain, stop and terminate; the same command then gets there, with one machine."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Node
from ansible_collections.bowline.fleet.plugins.module_utils._node.plan import Desired
from node_world import OUTSIDE, Controllers, World, stray


def begun(cloud: bool, *states: str) -> tuple[World, Controllers]:
    """A calm world in which these commands were given."""
    world = World(1, cloud)
    world.faults = False
    runs = Controllers(world, Node("edge-1", "edge", lifecycle_class="ephemeral", hooks=("docker",)))
    for state in states:
        assert runs.command(desired(state))[0] == "done"
    return world, runs


def desired(state: str) -> Desired:
    return Desired(state, "cloud", {"image": "a"}, "v1:a", actor="ann")


@pytest.mark.parametrize("cloud", [False, True], ids=["local", "cloud"])
@pytest.mark.parametrize(("before", "state", "power"), [
    ((), "running", ["on"]), (("running",), "drained", ["on"]), (("running",), "stopped", ["off"]), (("running", "stopped"), "running", ["on"]),
    (("running",), "absent", []),
], ids=["provision", "drain", "stop", "start", "terminate"])  # fmt: skip
def test_a_kill_anywhere_changes_nothing_but_the_clock(cloud, before, state, power):
    world, runs = begun(cloud, *before)
    world.ticks = 0
    outcome, whole = runs.command(desired(state))
    ticks = world.ticks
    assert outcome == "done" and ticks > 15
    for kill_at in range(1, ticks + 1):
        world, runs = begun(cloud, *before)
        world.ticks, world.kill_at = 0, kill_at
        assert runs.command(desired(state)) == ("killed", []), kill_at
        outcome, rest = runs.command(desired(state))
        assert outcome == "done", (kill_at, outcome)
        assert set(rest) <= set(whole), "what is left is part of the same plan"
        assert [box.power for box in world.mine()] == power and world.numbers == 1, "machines made / wanted: 1.00"
        rows = world.plain.instances("edge-1")
        assert len(rows) == 1 and stray(world, rows) == []
        if state == "absent":
            assert all((rows[0].id, name) in world.finished for name in OUTSIDE) and rows[0].terminated_at is not None
        assert runs.command(desired(state)) == ("done", []), "and again nothing"
