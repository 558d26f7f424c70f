# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phase table of the engine physical, row by row, and that no run, however it is interrupted, ever opens both sides."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.physical import facts as physical_facts, plan as physical_plan
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.physical.plan import Node, Nodes

OPEN = Node(slot="active")
ARMED = replace(OPEN, ready=True)
CLOSED = replace(ARMED, fenced=True, epoch="1:open")
DOWN = Node(running=False)
ABSENT = Node(role="absent")
FOLLOWS = Node(role="standby", follows=True, ready=True)
LOOSE = Node(role="standby", ready=True)
ASLEEP = Node(role="standby", running=False)
NEWER = {"timeline": 2}
OPENED = Node(slot="active", epoch="1:commit", timeline=2)

ROWS = [
    ("new is another, empty cluster", Node(), ABSENT, "empty"),
    ("slot on legacy, no copy yet", replace(OPEN, slot="inactive"), ABSENT, "prepared"),
    ("data directory half exchanged", OPEN, Node(role="replacing", running=False), "seeding"),
    ("copy was never started", OPEN, ASLEEP, "seeding"),
    ("copy catches up", OPEN, LOOSE, "seeding"),
    ("in step", OPEN, FOLLOWS, "seeded"),
    ("legacy knows what to follow", ARMED, FOLLOWS, "armed"),
    ("armed, new does not stream", ARMED, LOOSE, "seeding"),
    ("slot for the way back of a window that was given up", ARMED, replace(FOLLOWS, slot="inactive"), "rolled_back_cleanup"),
    ("slot on legacy lost", replace(OPEN, slot="lost"), LOOSE, "slot_lost"),
    ("fenced", CLOSED, FOLLOWS, "window_forward"),
    ("fenced, new stopped", CLOSED, ASLEEP, "window_forward"),
    ("legacy stopped", DOWN, replace(LOOSE, fenced=True), "window_forward"),
    ("both stopped by an abort", DOWN, ASLEEP, "window_forward"),
    ("promoted, not open", DOWN, replace(OPENED, fenced=True), "opening_new"),
    ("promoted, crashed", DOWN, replace(DOWN, **NEWER), "opening_new"),
    ("promoted, legacy came back by itself", CLOSED, replace(OPENED, fenced=True), "opening_new"),
    ("new serves, legacy stopped", DOWN, OPENED, "switched_cleanup"),
    ("new serves, legacy came back by itself", CLOSED, OPENED, "switched_cleanup"),
    ("killed after F1", ASLEEP, OPENED, "switched_cleanup"),
    ("killed after F2", LOOSE, OPENED, "switched_cleanup"),
    ("killed after F3", replace(FOLLOWS, slot="inactive"), OPENED, "switched_cleanup"),
    ("new serves", FOLLOWS, OPENED, "new"),
    ("new serves and knows the way", FOLLOWS, replace(OPENED, ready=True), "new_armed"),
    ("slot on new lost", LOOSE, replace(OPENED, slot="lost"), "slot_lost"),
    ("fenced on the way back", FOLLOWS, replace(CLOSED, **NEWER), "window_reverse"),
    ("new stopped on the way back", LOOSE, replace(DOWN, **NEWER), "window_reverse"),
    ("legacy promoted, not open", replace(CLOSED, timeline=3), replace(DOWN, **NEWER), "opening_legacy"),
    ("rolled back, new stopped", replace(OPENED, timeline=3), replace(DOWN, **NEWER), "rolled_back_cleanup"),
    ("rolled back, new came back by itself", replace(OPENED, timeline=3), replace(CLOSED, **NEWER), "rolled_back_cleanup"),
    ("rolled back, new not in step yet", replace(OPENED, timeline=3), LOOSE, "rolled_back_cleanup"),
    ("all removed", ASLEEP, replace(OPENED, slot=""), "finished"),
    ("both open", OPEN, OPENED, "split_brain"),
    ("both open, slot lost", replace(OPEN, slot="lost"), OPENED, "split_brain"),
    ("two standbys", FOLLOWS, LOOSE, "inconsistent"),
    ("two primaries of one history", CLOSED, replace(CLOSED, slot=""), "inconsistent"),
    ("legacy open, new promoted by hand", OPEN, replace(DOWN, **NEWER), "inconsistent"),
    ("legacy fenced by hand, no copy", CLOSED, ABSENT, "inconsistent"),
]


@pytest.mark.parametrize(("legacy", "new", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_every_row_of_the_table(legacy, new, expected):
    assert physical_plan.phase(Nodes(legacy, new)) == expected


def any_node(pick: random.Random) -> Node:
    return Node(
        pick.choice(["primary", "primary", "standby", "absent", "replacing"]), pick.random() < 0.7, pick.random() < 0.5,
        pick.choice(["", "1:open", "1:commit", "1:abort"]), pick.choice([1, 2, 3]), pick.random() < 0.5,
        pick.choice(["", "inactive", "active", "lost"]), pick.random() < 0.5)


def test_random_facts_never_have_two_serving_sides_nor_a_closed_one():
    pick = random.Random(20261121)
    for _round in range(30000):
        seen = Nodes(any_node(pick), any_node(pick))
        found = physical_plan.phase(seen)
        serves = physical_plan.serving(found)
        if serves in ("legacy", "new"):
            assert seen.side(serves).stands == "open", (found, seen)
            assert seen.side(physical_facts.OTHER[serves]).stands != "open" or found == "empty", (found, seen)
        if seen.legacy.stands == seen.new.stands == "open":
            assert found == "split_brain"


SEED = [action for action, _reason in physical_plan.SEED]


@pytest.mark.parametrize(("state", "found", "actions"), [
    ("seeded", "empty", SEED),
    ("seeded", "seeding", ["slot", "replace", "copy"]),
    ("seeded", "seeded", []),
    ("seeded", "new", []),
    ("seeded", "rolled_back_cleanup", ["cleanup"]),
    ("armed", "prepared", [*SEED, "arm"]),
    ("armed", "seeded", ["arm"]),
    ("armed", "new", ["arm"]),
    ("armed", "new_armed", []),
    ("armed", "window_forward", ["abort"]),
    ("new", "empty", [*SEED, "arm", "switch", "cleanup"]),
    ("new", "armed", ["switch", "cleanup"]),
    ("new", "window_forward", ["abort", "switch", "cleanup"]),
    ("new", "window_reverse", ["abort"]),
    ("new", "opening_new", ["open", "cleanup"]),
    ("new", "opening_legacy", ["open", "cleanup", "switch", "cleanup"]),
    ("new", "switched_cleanup", ["cleanup"]),
    ("new", "new", []),
    ("new", "finished", []),
    ("legacy", "new", ["arm", "switch", "cleanup"]),
    ("legacy", "new_armed", ["switch", "cleanup"]),
    ("legacy", "opening_new", ["open", "cleanup", "switch", "cleanup"]),
    ("legacy", "window_reverse", ["abort", "switch", "cleanup"]),
    ("legacy", "armed", []),
    ("finished", "new_armed", ["finish"]),
    ("finished", "finished", []),
    ("preflight", "split_brain", []),
])
def test_steps(state, found, actions):
    assert [step.action for step in physical_plan.steps(state, found)] == actions


@pytest.mark.parametrize(("state", "found", "code"), [
    ("new", "split_brain", "split_brain"),
    ("legacy", "inconsistent", "inconsistent"),
    ("armed", "slot_lost", "slot_lost"),
    ("legacy", "finished", "loss_possible"),
    ("finished", "armed", "conflict"),
    ("finished", "opening_new", "conflict"),
])
def test_refused(state, found, code):
    with pytest.raises(FleetError) as failure:
        physical_plan.steps(state, found)
    assert (failure.value.code, bool(failure.value.remedy)) == (code, True)


def control(state: str, checkpoint: int = 1, recovery: int = 0) -> dict[str, str]:
    return {"Database cluster state": state, "Latest checkpoint's TimeLineID": str(checkpoint),
            "Min recovery ending loc's timeline": str(recovery)}


@pytest.mark.parametrize(("data", "expected"), [
    pytest.param(control("shut down in recovery", 1, 1), True, id="stopped standby"),
    pytest.param(control("in archive recovery", 1, 1), True, id="crashed standby"),
    pytest.param(control("in archive recovery", 1, 2), False, id="crashed after its timeline began"),
    pytest.param(control("in production", 1, 2), False, id="promoted"),
    pytest.param(control("shut down", 2), False, id="a primary"),
    pytest.param(control("shutting down", 1, 1), False, id="not to be told"),
])
def test_only_a_server_that_never_left_recovery_is_unpromoted(data, expected):
    assert physical_facts.unpromoted(data) is expected


# --- a world in which every step can be cut short ---------------------------------------------------------------------------------


class World:
    """Nodes that change as the engine changes them, one durable write at a time; a kill may come after each, and then a watchdog."""

    def __init__(self, pick: random.Random) -> None:
        self.pick = pick
        self.nodes = Nodes(Node(), ABSENT)

    def put(self, side: str, **parts) -> None:
        self.nodes = replace(self.nodes, **{side: replace(self.nodes.side(side), **parts)})
        for one, other in (("legacy", "new"), ("new", "legacy")):
            here, there = self.nodes.side(one), self.nodes.side(other)
            streams = here.role == "standby" and here.running and there.role == "primary" and there.running
            self.nodes = replace(self.nodes, **{one: replace(here, follows=streams)})
        sides = [self.nodes.legacy.stands, self.nodes.new.stands]
        assert sides.count("open") <= 1 or "absent" in sides, self.nodes
        if self.pick.random() < 0.12:
            raise InterruptedError

    def settle(self, source: str, target: str) -> str:
        """Stop the target first; what it then is decides."""
        if self.nodes.side(target).role == "primary":
            return self.open(target)
        self.put(target, running=False)
        self.put(source, running=True)
        self.put(source, fenced=False, epoch="1:abort")
        self.put(target, running=True)
        self.put(target, slot="")
        return source

    def open(self, side: str) -> str:
        self.put(side, running=True)
        self.put(side, fenced=False, epoch="1:commit")
        return side

    def do(self, action: str, serves: str) -> str:
        other = physical_facts.OTHER[serves]
        if action == "slot":
            self.put("legacy", slot="inactive")
        elif action == "replace" and self.nodes.new.role in ("absent", "replacing"):
            self.put("new", role="replacing", running=False)
            self.put("new", role="standby")
        elif action == "copy":
            self.put("new", running=True)
        elif action == "arm":
            self.put(serves, ready=True)
        elif action == "abort":
            return self.settle(serves, other)
        elif action == "open":
            return self.open(serves)
        elif action == "switch":
            self.switch(serves, other)
            return other
        elif action == "cleanup":
            self.put(serves, slot="inactive")
            self.put(other, role="standby", running=False, fenced=False)
            self.put(other, running=True, ready=True)
            self.put(other, slot="")
        return serves

    def switch(self, source: str, target: str) -> None:
        asked = False
        try:
            self.put(target, slot="inactive")
            self.put(source, fenced=True, epoch="1:open")
            self.put(source, running=False)
            asked = True
            self.put(target, role="primary", fenced=True, timeline=self.nodes.side(source).timeline + 1)
            self.put(target, fenced=False, epoch="1:commit")
        except InterruptedError:
            try:
                if self.pick.random() < 0.5 and self.nodes.side(source).stands != "open":
                    self.settle(source, target) if asked else self.put(source, running=True, fenced=False)
            except InterruptedError:
                pass
            raise

    def run(self, state: str) -> None:
        found = physical_plan.phase(self.nodes)
        serves = physical_plan.before(found)
        for step in physical_plan.steps(state, found):
            serves = self.do(step.action, serves)


@pytest.mark.parametrize("seed", range(60))
def test_interrupted_anywhere_the_same_command_converges_and_never_two_sides_are_open(seed):
    pick = random.Random(seed)
    world = World(pick)
    for state in [pick.choice(["seeded", "armed", "new", "legacy"]) for _run in range(12)]:
        for _attempt in range(200):
            try:
                world.run(state)
                break
            except InterruptedError:
                continue
        else:
            pytest.fail("did not converge")
        assert physical_plan.steps(state, physical_plan.phase(world.nodes)) == ()
