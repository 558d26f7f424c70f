# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random lives of a node in a hostile world: never two machines, never one that nobody knows, never an end with a hole in it.

A sequence is a few commands with faults between and within them, then calm and one last command. A seed is the whole sequence.
"""

from __future__ import annotations

import os
import random

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.finalizers import NAMES
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Node
from ansible_collections.bowline.fleet.plugins.module_utils._node.plan import Desired
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import chained
from node_world import OUTSIDE, TTL, Box, Broken, Controllers, Identity, World, replace, stray

STATES = ("present", "running", "running", "running", "cordoned", "drained", "stopped", "absent", "absent")
SEEDS = 400
FOREIGN = "cloud:///other"
KILLS = (
    "after create", "after create", "after create", "after create", "before create", "wrote attempt", "write attempt", "wrote reserve", "after destroy",
    "before destroy", "after power",
    "after work", "before work", "write save", "wrote save", "write did", "wrote over",
)  # fmt: skip


class Sequence:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World(seed, cloud=self.random.random() < 0.5)
        hooks = ("docker",) if self.random.random() < 0.3 else ()
        self.runs = Controllers(self.world, Node("edge-1", "edge", lifecycle_class="ephemeral", hooks=hooks))
        self.log: list[str] = []

    def desired(self, state: str | None = None) -> Desired:
        skip = ("dns",) if self.random.random() < 0.1 else ()
        spec = "v1:b" if self.random.random() < 0.15 else "v1:a"
        drain = self.random.random() < 0.9
        return Desired(state or self.random.choice(STATES), "cloud", {"image": spec}, spec, skip=skip, replace=True, drain=drain, actor="ann")

    def play(self) -> None:
        for turn in range(self.random.randint(1, 3)):
            self.behind_our_back()
            desired = self.desired("running" if turn == 0 and self.random.random() < 0.6 else None)
            if self.command(desired) == "killed" and self.random.random() < 0.8:
                # What an operator does: the same command again, at once; or the end of it all.
                self.command(desired if self.random.random() < 0.7 else self.desired("absent"))
        self.calm()
        self.last()

    def behind_our_back(self) -> None:
        world, dice = self.world, self.random.random()
        if dice < 0.12 and world.boxes:
            self.log.append("vanish")
            world.boxes.pop()
        elif dice < 0.17 and world.boxes:
            self.log.append("recycle")
            world.foreign.append(replace(world.boxes.pop(), identity=None, born=world.now))
        elif dice < 0.22 and not world.foreign:
            self.log.append("foreign")
            theirs = self.random.choice((None, Identity("theirs", "ffffffffffffffff", "edge-1", "edge-1", "v1:a")))
            world.foreign.append(Box(FOREIGN, "edge-1", theirs, "on", world.now, world.now, world.now))
        elif dice < 0.32:
            world.hidden_until = world.now + self.random.uniform(5, 40)
        elif dice < 0.4:
            world.mute_until = world.now + self.random.uniform(5, 200)
        elif dice < 0.5 and world.boxes:
            world.boxes[-1].power = "off"
        world.now += self.random.choice((0.0, 5.0, 70.0, 400.0))

    def command(self, desired: Desired) -> str:
        world = self.world
        world.ticks, self.taken_over = 0, -1
        dice = self.random.random()
        if dice < 0.2:
            world.kill_at = self.random.randint(1, 90)
        elif dice < 0.65:
            world.kill_on = (self.random.choice(KILLS), self.random.choice((1, 1, 1, 1, 2)))
        elif dice < 0.85:
            world.freeze_at, world.meanwhile = self.random.randint(1, 60), self.rival
        outcome, _steps = self.runs.command(desired)
        self.log.append(f"{desired.state}: {outcome}")
        if self.taken_over >= 0 and (outcome != "lease_lost" or len(world.calls) != self.taken_over):
            raise Broken(f"a run that lost its node goes on: {outcome}, {world.calls[self.taken_over:]}")
        world.kill_at, world.kill_on, world.freeze_at, world.meanwhile = 0, ("", 0), 0, None
        row = world.plain.live("edge-1")
        if row is not None and row.provider_id == FOREIGN:
            raise Broken("a foreign machine is taken for ours")
        return outcome

    def rival(self) -> None:
        """Another controller while one is frozen: locked out while the lease lives, at work after it."""
        woken = self.random.random() < 0.6
        if woken:
            self.world.now += TTL + 1
            if self.random.random() < 0.5:
                self.world.kill_on = (self.random.choice(KILLS), 1)
        outcome, _steps = self.runs.command(self.desired())
        self.world.kill_on = ("", 0)
        self.log.append(f"rival: {outcome}")
        if woken and outcome != "locked":
            self.taken_over = len(self.world.calls)
        if outcome == "locked" and woken:
            raise Broken("a lease that is over keeps a rival out")
        if outcome != "locked" and not woken:
            raise Broken(f"two at work: {outcome}")

    def calm(self) -> None:
        """No fault any more, and foreign machines are gone their way."""
        world = self.world
        world.faults = False
        world.now += 300
        world.speak()
        if world.foreign:
            self.log.append("foreign gone")
            world.foreign.clear()

    def last(self) -> None:
        state = self.random.choice(("running", "absent"))
        desired = replace(self.desired(state), skip=(), drain=True)
        planned, done, again = self.runs.checked(desired)
        assert done == planned, "the plan is what was done"
        assert again == [], "and a second run does nothing"
        self.whole(state)

    def whole(self, state: str) -> None:
        world = self.world
        rows = world.plain.instances("edge-1")
        assert stray(world, rows) == [], "machines that nobody knows"
        assert len(world.mine()) == (1 if state == "running" else 0)
        assert [box.provider_id for box in world.mine()] == [row.provider_id for row in rows if row.terminated_at is None]
        for row in rows:
            if row.terminated_at is not None:
                skipped = {skip.finalizer for skip in row.skipped}
                assert all(skip.actor for skip in row.skipped) and not row.finalizers
                assert [name for name in OUTSIDE if name not in skipped and (row.id, name) not in world.finished] == [], "a hole in the end"
                done = [step.name.split(" ")[1] for step in world.plain.steps(row.id) if step.name.split(" ")[0] in ("finish", "skip")]
                assert list(dict.fromkeys(sorted(done, key=NAMES.index))) == [name for name in NAMES if name in done]
        events = list(reversed(world.plain.events("edge-1", 500)))
        for before, event in zip([None, *events], events):
            assert event.digest == chained(event, before.digest if before else "")


def played(seed: int) -> Sequence:
    sequence = Sequence(seed)
    try:
        sequence.play()
    except (AssertionError, FleetError) as error:
        raise AssertionError(f"seed {seed}: {error}\n{sequence.log}") from error
    return sequence


@pytest.mark.parametrize("part", range(4))
def test_fixed_seeds(part):
    for seed in range(part, SEEDS, 4):
        played(seed)


def test_a_drawn_seed():
    first = int(os.environ.get("BOWLINE_NODE_SEED") or random.SystemRandom().randrange(10**9))
    print(f"BOWLINE_NODE_SEED={first}")
    for seed in range(first, first + 60):
        played(seed)
