# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phase table, row by row; the steps of every state; and that no run, however it is interrupted, ever opens both sides."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg import plan
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Facts, Pair, SideFacts

OPEN, FENCED = SideFacts(), SideFacts(fenced=True)
ABSENT = SideFacts(exists=False)
NONE = Pair()
RUNS = Pair(True, "active", "enabled")
WAITS = Pair(True, "inactive", "disabled")
COPIES = Pair(True, "active", "enabled", pending=3)
STOPPED = Pair(subscription="disabled")
LOSS = SideFacts(epoch="2:loss")
REPLICA = SideFacts(publishes=False)
# Engine dump: the schema stands on new, rows come inside the window, or came there in part.
OUTLINED, COPIED = SideFacts(fenced=True, stage="outline"), SideFacts(fenced=True, stage="copying")

ROWS = [
    ("no pair, new without database", OPEN, ABSENT, NONE, NONE, "empty"),
    ("no pair, new stands empty", OPEN, OPEN, NONE, NONE, "empty"),
    ("database made, nothing follows", OPEN, FENCED, NONE, NONE, "prepared"),
    ("killed between publication and subscription", OPEN, FENCED, Pair(True, "inactive"), NONE, "prepared"),
    ("tables pending", OPEN, FENCED, COPIES, NONE, "seeding"),
    ("all tables ready, indexes still missing", OPEN, replace(FENCED, stage="schema"), RUNS, NONE, "seeding"),
    ("in step", OPEN, FENCED, RUNS, NONE, "seeded"),
    ("in step, sender between two connections", OPEN, FENCED, Pair(True, "inactive", "enabled"), NONE, "seeded"),
    ("killed after A1", OPEN, FENCED, RUNS, Pair(True), "seeded"),
    ("killed after A2", OPEN, FENCED, RUNS, Pair(True, "inactive"), "seeded"),
    ("armed", OPEN, FENCED, RUNS, WAITS, "armed"),
    ("armed, but the slot is gone", OPEN, FENCED, RUNS, Pair(True, "", "disabled"), "seeded"),
    ("window to new", FENCED, FENCED, RUNS, WAITS, "window_forward"),
    ("window to new, the table list grew", FENCED, FENCED, COPIES, WAITS, "window_forward"),
    ("window to legacy", FENCED, FENCED, WAITS, RUNS, "window_reverse"),
    ("window to legacy without forward pair", FENCED, FENCED, NONE, RUNS, "window_reverse"),
    ("opened, old direction runs", FENCED, OPEN, RUNS, WAITS, "switched_cleanup"),
    ("killed after F1", FENCED, OPEN, WAITS, WAITS, "switched_cleanup"),
    ("killed after F2", FENCED, OPEN, Pair(True, "inactive"), WAITS, "switched_cleanup"),
    ("killed after F3", FENCED, OPEN, NONE, WAITS, "switched_cleanup"),
    ("opened, both directions run", FENCED, OPEN, RUNS, RUNS, "switched_cleanup"),
    ("new serves", FENCED, OPEN, NONE, RUNS, "new"),
    ("new serves, killed after A2", FENCED, OPEN, Pair(True, "inactive"), RUNS, "new"),
    ("new serves, armed", FENCED, OPEN, WAITS, RUNS, "new_armed"),
    ("rolled back, old direction runs", OPEN, FENCED, WAITS, RUNS, "rolled_back_cleanup"),
    ("rolled back, killed after F1", OPEN, FENCED, WAITS, WAITS, "rolled_back_cleanup"),
    ("rolled back, killed after F3", OPEN, FENCED, WAITS, NONE, "rolled_back_cleanup"),
    ("forward subscription dropped, its lost slot too", OPEN, FENCED, NONE, WAITS, "prepared"),
    ("forward subscription dropped while rows come from new", OPEN, FENCED, NONE, RUNS, "inconsistent"),
    ("slot dropped under an enabled subscription", OPEN, FENCED, Pair(True, "", "enabled"), WAITS, "slot_lost"),
    ("slot dropped under a disabled subscription", OPEN, FENCED, STOPPED, NONE, "slot_lost"),
    ("opened without a way home", FENCED, OPEN, RUNS, NONE, "new_only"),
    ("opened, the slot home is gone", FENCED, OPEN, RUNS, STOPPED, "slot_lost"),
    ("new serves, the slot home is gone", FENCED, OPEN, NONE, Pair(True, "", "enabled"), "slot_lost"),
    ("new serves, nothing follows", FENCED, replace(OPEN, helper=True), NONE, NONE, "new_only"),
    ("all removed", FENCED, OPEN, NONE, NONE, "finished"),
    ("both open", OPEN, OPEN, RUNS, NONE, "split_brain"),
    ("both open, reverse", OPEN, OPEN, NONE, RUNS, "split_brain"),
    ("slot lost on legacy", OPEN, FENCED, Pair(True, "lost", "enabled"), NONE, "slot_lost"),
    ("slot lost on new", FENCED, OPEN, NONE, Pair(True, "lost", "enabled"), "slot_lost"),
    ("legacy fenced by hand, no new", FENCED, ABSENT, NONE, NONE, "inconsistent"),
    ("both fenced, no pair", FENCED, FENCED, NONE, NONE, "inconsistent"),
    ("both fenced, both directions run", FENCED, FENCED, RUNS, RUNS, "inconsistent"),
    ("new open, only a stopped forward pair", FENCED, OPEN, STOPPED, NONE, "inconsistent"),
    ("loss accepted, new came back", LOSS, replace(OPEN, epoch="1:commit"), NONE, NONE, "abandoned"),
    ("loss accepted, new came back with its half of the pair", LOSS, replace(OPEN, epoch="1:commit"), STOPPED, Pair(True, "lost"), "abandoned"),
    ("loss accepted, killed while new was closed", LOSS, replace(FENCED, epoch="1:commit"), NONE, NONE, "abandoned"),
    ("loss accepted, new opened again by hand", LOSS, replace(OPEN, epoch="2:loss"), NONE, NONE, "abandoned"),
    ("loss accepted, new closed", LOSS, replace(FENCED, epoch="2:loss"), NONE, NONE, "abandoned_fenced"),
    ("killed before legacy was opened", replace(FENCED, epoch="1:open"), replace(FENCED, epoch="2:loss"), NONE, STOPPED, "abandoning"),
    ("loss accepted, database on new dropped", LOSS, ABSENT, NONE, NONE, "empty"),
    ("loss accepted, empty database on new", LOSS, OPEN, NONE, NONE, "empty"),
    ("loss accepted, copied anew", LOSS, replace(FENCED, epoch="3:seed", stage="complete"), RUNS, NONE, "seeded"),
    ("loss accepted, copied anew and armed", LOSS, replace(FENCED, epoch="3:seed", stage="complete"), RUNS, WAITS, "armed"),
    ("dump: schema without rows", OPEN, OUTLINED, NONE, NONE, "seeded"),
    ("dump: killed after A1", OPEN, OUTLINED, NONE, Pair(True), "seeded"),
    ("dump: killed after A2", OPEN, OUTLINED, NONE, Pair(True, "inactive"), "seeded"),
    ("dump: armed", OPEN, OUTLINED, NONE, WAITS, "armed"),
    ("dump: armed, but the slot is gone", OPEN, OUTLINED, NONE, Pair(True, "", "disabled"), "seeded"),
    ("dump: window before the copy", FENCED, OUTLINED, NONE, WAITS, "window_forward"),
    ("dump: window in the copy", FENCED, COPIED, NONE, Pair(True, "", "disabled"), "window_forward"),
    ("dump: window behind the copy", FENCED, COPIED, NONE, WAITS, "window_forward"),
    ("dump: window with a lost follower", FENCED, COPIED, NONE, Pair(True, "inactive"), "inconsistent"),
    ("dump: copy given up, slot not made yet", OPEN, COPIED, NONE, Pair(True, "", "disabled"), "rolled_back_cleanup"),
    ("dump: copy given up", OPEN, COPIED, NONE, WAITS, "rolled_back_cleanup"),
    ("dump: copy given up, killed after F2", OPEN, COPIED, NONE, Pair(True, "inactive"), "rolled_back_cleanup"),
    ("dump: copy given up and cleaned", OPEN, COPIED, NONE, NONE, "prepared"),
    ("dump: opened", FENCED, replace(OPEN, stage="copying"), NONE, WAITS, "switched_cleanup"),
    ("dump: new serves", FENCED, replace(OPEN, stage="complete"), NONE, RUNS, "new"),
    ("dump: window to legacy", FENCED, replace(FENCED, stage="complete"), NONE, RUNS, "window_reverse"),
    ("dump: rolled back, old direction runs", REPLICA, replace(FENCED, stage="complete"), NONE, RUNS, "rolled_back_cleanup"),
    ("dump: rolled back, killed after F2", REPLICA, replace(FENCED, stage="complete"), NONE, Pair(True, "inactive"), "rolled_back_cleanup"),
    ("rolled back, nothing that new could follow by", OPEN, replace(FENCED, stage="complete"), NONE, RUNS, "inconsistent"),
    ("dump: rolled back and cleaned", REPLICA, replace(FENCED, stage="complete"), NONE, NONE, "prepared"),
]


@pytest.mark.parametrize(("legacy", "new", "forward", "reverse", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_every_row_of_the_table(legacy, new, forward, reverse, expected):
    assert plan.phase(Facts(legacy, new, forward, reverse)) == expected


def any_facts(pick: random.Random) -> Facts:
    def side():
        epoch = pick.choice(["", "", "1:commit", "2:loss", "3:loss", "4:seed"])
        stage = pick.choice(["", "schema", "complete", "outline", "copying"])
        return SideFacts(pick.random() < 0.9, pick.random() < 0.5, epoch, stage, pick.random() < 0.5, pick.random() < 0.7)

    def pair():
        slot, subscription = pick.choice(["", "inactive", "active", "lost"]), pick.choice(["", "disabled", "enabled"])
        return Pair(pick.random() < 0.5, slot, subscription, pick.choice([0, 0, 2]))

    return Facts(side(), side(), pair(), pair())


def test_random_facts_never_have_two_serving_sides_nor_a_fenced_one():
    pick = random.Random(20260829)
    for _round in range(20000):
        seen = any_facts(pick)
        found = plan.phase(seen)
        serves = plan.serving(found)
        if serves in ("legacy", "new"):
            assert seen.side(serves).exists or serves == "legacy"
            assert not seen.side(serves).fenced, (found, seen)
        if seen.legacy.exists and seen.new.exists and not seen.legacy.fenced and not seen.new.fenced:
            assert found in ("empty", "split_brain", "slot_lost", "abandoned"), (found, seen)
            if found == "empty":
                assert not seen.forward.subscription and not seen.reverse.subscription


SEED = [action for action, _reason in plan.SEED]


@pytest.mark.parametrize(("state", "found", "actions"), [
    ("seeded", "empty", SEED),
    ("seeded", "seeding", ["copy", "rest"]),
    ("seeded", "armed", []),
    ("seeded", "new", []),
    ("armed", "prepared", [*SEED, "arm"]),
    ("armed", "seeded", ["arm"]),
    ("armed", "new", ["arm"]),
    ("armed", "new_armed", []),
    ("armed", "window_forward", ["abort"]),
    ("new", "empty", [*SEED, "arm", "switch", "cleanup"]),
    ("new", "armed", ["switch", "cleanup"]),
    ("new", "window_forward", ["abort", "switch", "cleanup"]),
    ("new", "window_reverse", ["abort"]),
    ("new", "switched_cleanup", ["cleanup"]),
    ("new", "rolled_back_cleanup", ["cleanup", "arm", "switch", "cleanup"]),
    ("new", "new", []),
    ("new", "new_armed", []),
    ("new", "finished", []),
    ("legacy", "new", ["arm", "switch", "cleanup"]),
    ("legacy", "new_armed", ["switch", "cleanup"]),
    ("legacy", "window_forward", ["abort"]),
    ("legacy", "window_reverse", ["abort", "switch", "cleanup"]),
    ("legacy", "rolled_back_cleanup", ["cleanup"]),
    ("legacy", "armed", []),
    ("finished", "new", ["finish"]),
    ("finished", "switched_cleanup", ["cleanup", "finish"]),
    ("finished", "new_only", ["finish"]),
    ("finished", "finished", []),
    ("preflight", "split_brain", []),
    ("new", "abandoning", ["abort"]),
])
def test_steps(state, found, actions):
    assert [step.action for step in plan.steps(state, found)] == actions


DUMP = plan.Situation(plan.SEED_DUMP, publishes=False, follows=False)
OUTLINE = [*SEED[: SEED.index("schema")], "outline"]


@pytest.mark.parametrize(("state", "found", "manner", "actions"), [
    pytest.param("new", "empty", DUMP, [*OUTLINE, "arm", "switch", "cleanup"], id="all"),
    pytest.param("armed", "seeded", DUMP, ["arm"], id="arm"),
    pytest.param("new", "armed", DUMP, ["switch", "cleanup"], id="switch"),
    pytest.param("new", "window_forward", DUMP, ["abort", "switch", "cleanup"], id="killed before the copy"),
    pytest.param("new", "window_forward", replace(DUMP, spoiled=True),
                 ["abort", "cleanup", *OUTLINE, "arm", "switch", "cleanup"], id="killed in the copy"),
    pytest.param("legacy", "window_forward", replace(DUMP, spoiled=True), ["abort", "cleanup"], id="given up in the copy"),
    pytest.param("new", "rolled_back_cleanup", DUMP, ["cleanup", *OUTLINE, "arm", "switch", "cleanup"], id="again after a way back"),
    pytest.param("armed", "new", DUMP, [], id="nothing to arm: legacy cannot be followed"),
    pytest.param("legacy", "new", DUMP, ["switch", "cleanup"], id="way back"),
    pytest.param("legacy", "window_reverse", DUMP, ["abort", "switch", "cleanup"], id="way back, killed"),
    pytest.param("legacy", "switched_cleanup", DUMP, ["cleanup", "switch", "cleanup"], id="way back at once"),
    pytest.param("legacy", "new", replace(DUMP, publishes=True), ["arm", "switch", "cleanup"], id="way back to a server that publishes"),
])
def test_steps_of_a_legacy_that_new_cannot_follow(state, found, manner, actions):
    assert [step.action for step in plan.steps(state, found, manner)] == actions


def test_what_steps_depend_on_is_read_from_the_facts():
    def of(legacy=OPEN, new=FENCED, forward=NONE):
        seen = plan.situation(Facts(legacy, new, forward, WAITS))
        return seen.publishes, seen.follows, seen.spoiled

    assert of(forward=WAITS) == (True, True, False)
    # A slot that is made after legacy was opened begins too late.
    assert of() == (True, False, False)
    assert of(legacy=replace(OPEN, publishes=False), new=COPIED) == (False, False, True)


def test_only_the_switch_is_disruptive():
    assert [step.action for step in plan.steps("new", "empty") if step.disruptive] == ["switch"]
    restart = plan.Situation((*plan.SEED, plan.RESTART))
    assert [step.action for step in plan.steps("new", "empty", restart) if step.disruptive] == ["restart", "switch"]


@pytest.mark.parametrize(("state", "found", "code"), [
    ("new", "split_brain", "split_brain"),
    ("legacy", "inconsistent", "inconsistent"),
    ("armed", "slot_lost", "slot_lost"),
    ("legacy", "new_only", "loss_possible"),
    ("armed", "finished", "loss_possible"),
    ("finished", "armed", "conflict"),
    ("finished", "window_forward", "conflict"),
])
def test_refused(state, found, code):
    with pytest.raises(FleetError) as failure:
        plan.steps(state, found)
    assert failure.value.code == code
    assert failure.value.remedy


# --- a world in which every step can be cut short ---------------------------------------------------------------------------------


class World:
    """Facts that change as the engine changes them, one durable write at a time; a kill may come after each."""

    def __init__(self, pick: random.Random, dump: bool = False) -> None:
        self.pick = pick
        self.dump = dump
        self.facts = Facts(replace(OPEN, publishes=not dump), ABSENT)
        self.written = 0

    def manner(self):
        return plan.situation(self.facts, plan.SEED_DUMP) if self.dump else plan.situation(self.facts)

    def put(self, **parts) -> None:
        self.facts = replace(self.facts, **parts)
        opened = [side for side in (self.facts.legacy, self.facts.new) if side.exists and not side.fenced]
        assert len(opened) <= 1, self.facts
        self.written += 1
        if self.pick.random() < 0.15:
            raise InterruptedError

    def names(self, to):
        return ("forward", "reverse", "legacy", "new") if to == "new" else ("reverse", "forward", "new", "legacy")

    def do(self, action: str, serves: str) -> str:
        to = "new" if serves == "legacy" else "legacy"
        if action == "database":
            self.put(new=SideFacts(fenced=True, stage="schema"))
            self.copied = False
        elif action == "follow":
            self.put(forward=Pair(True))
            self.put(forward=Pair(True, "inactive"))
            self.put(forward=replace(RUNS, pending=4))
        elif action == "copy":
            self.put(forward=RUNS)
        elif action == "rest":
            self.put(new=replace(self.facts.new, stage="complete", helper=True))
        elif action == "outline":
            self.put(new=replace(self.facts.new, stage="outline", helper=True))
        elif action == "arm":
            back = self.names(to)[1]
            self.put(**{back: Pair(True)})
            self.put(**{back: Pair(True, "inactive")})
            self.put(**{back: WAITS})
        elif action == "switch":
            _ahead, _back, source, target = self.names(to)
            try:
                self.put(**{target: replace(self.facts.side(target), fenced=True)})
                self.put(**{source: replace(self.facts.side(source), fenced=True)})
                if to == "new" and self.facts.new.stage == "outline":
                    self.put(new=replace(self.facts.new, stage="copying"))
                    self.put(reverse=replace(self.facts.reverse, slot=""))
                    self.copied = True
                    self.put(reverse=WAITS)
                # Nothing is opened that does not hold the rows.
                assert to == "legacy" or not self.dump or self.copied
                self.put(**{target: replace(self.facts.side(target), fenced=False)})
            except InterruptedError:
                # The watchdog: it may act, or be dead too. It opens the source only, and only under a fenced target.
                if self.pick.random() < 0.5 and self.facts.side(target).fenced:
                    self.facts = replace(self.facts, **{source: replace(self.facts.side(source), fenced=False)})
                raise
            return to
        elif action == "cleanup":
            ahead, back, _source, _target = self.names(serves)
            if getattr(self.facts, ahead).subscription:
                self.put(**{ahead: WAITS})
            returns = serves == "new" or self.facts.forward.slot != ""
            if serves == "new" and self.facts.new.stage == "copying":
                self.put(new=replace(self.facts.new, stage="complete"))
            if getattr(self.facts, ahead) != NONE:
                self.put(**{ahead: Pair(True, "inactive")})
                self.put(**{ahead: NONE})
            if returns:
                self.put(**{back: RUNS})
        elif action == "abort":
            self.put(**{serves: replace(self.facts.side(serves), fenced=False)})
        return serves

    def run(self, state: str) -> None:
        found = plan.phase(self.facts)
        serves = plan.serving(found)
        if serves == "nobody":
            serves = "legacy" if found == "window_forward" else "new"
        for step in plan.steps(state, found, self.manner()):
            serves = self.do(step.action, serves)


@pytest.mark.parametrize("dump", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_interrupted_anywhere_the_same_command_converges_and_never_two_sides_are_open(seed, dump):
    pick = random.Random(seed)
    world = World(pick, dump)
    for state in [pick.choice(["seeded", "armed", "new", "legacy"]) for _run in range(12)]:
        for _attempt in range(200):
            try:
                world.run(state)
                break
            except InterruptedError:
                continue
        else:
            pytest.fail("did not converge")
        assert plan.steps(state, plan.phase(world.facts), world.manner()) == ()
