# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which engine is chosen, row by row; that dump is never taken unasked; and what a copy inside the window is refused for."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg import plan
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines import choice as engine
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.choice import Ability
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.dump import copy_window
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Facts, Pair, SideFacts
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse

LOGICAL = Ability()
REPLICA = Ability("replica", control=True)
FIXED = Ability("replica", "command line", True)
ALONE = Ability("replica", control=False)
NOT_PHYSICAL = ("majors differ",)


@pytest.mark.parametrize(("asked", "allow", "legacy", "new", "physical", "chosen", "restart", "codes"), [
    pytest.param("auto", False, LOGICAL, LOGICAL, (), "logical", False, [], id="logical before physical"),
    pytest.param("auto", True, REPLICA, LOGICAL, (), "logical", True, [], id="restart allowed"),
    pytest.param("auto", False, REPLICA, LOGICAL, (), "physical", False, [], id="no restart, physical fits"),
    pytest.param("auto", True, FIXED, LOGICAL, (), "physical", False, [], id="command line, physical fits"),
    pytest.param("auto", True, ALONE, LOGICAL, (), "physical", False, [], id="nothing restarts it, physical fits"),
    pytest.param("auto", True, REPLICA, REPLICA, (), "physical", False, [], id="new publishes nothing"),
    pytest.param("auto", False, REPLICA, LOGICAL, NOT_PHYSICAL, "", False, ["no_engine"], id="none"),
    pytest.param("auto", True, FIXED, LOGICAL, NOT_PHYSICAL, "", False, ["no_engine"], id="none, command line"),
    pytest.param("auto", False, LOGICAL, REPLICA, NOT_PHYSICAL, "", False, ["no_engine"], id="none, new"),
    pytest.param("logical", False, LOGICAL, LOGICAL, NOT_PHYSICAL, "logical", False, [], id="asked, fits"),
    pytest.param("logical", False, REPLICA, LOGICAL, (), "logical", True, ["restart_required"], id="asked, no restart"),
    pytest.param("logical", True, FIXED, LOGICAL, (), "logical", True, ["restart_required"], id="asked, command line"),
    pytest.param("logical", True, ALONE, REPLICA, (), "logical", True, ["restart_required"] * 2, id="asked, both"),
    pytest.param("logical", True, REPLICA, LOGICAL, (), "logical", True, [], id="asked, restart"),
    pytest.param("dump", False, FIXED, LOGICAL, NOT_PHYSICAL, "dump", False, [], id="dump asked"),
    pytest.param("dump", True, REPLICA, REPLICA, (), "dump", False, ["restart_required"], id="dump without a way back"),
])
def test_choice(asked, allow, legacy, new, physical, chosen, restart, codes):
    choice = engine.choose(asked, allow, legacy, new, physical)
    assert (choice.engine, choice.restart and not codes) == (chosen, restart and not codes)
    assert [finding.code for finding in choice.findings] == codes
    assert choice.reason
    assert all(finding.level == "fail" and finding.object and finding.remedy for finding in choice.findings)


def test_dump_is_never_taken_unasked_and_a_restart_never_done_unallowed():
    sides = [LOGICAL, REPLICA, FIXED, ALONE]
    for asked, allow, legacy, new, physical in itertools.product(("auto", "logical"), (False, True), sides, sides, ((), NOT_PHYSICAL)):
        choice = engine.choose(asked, allow, legacy, new, physical)
        assert choice.engine != "dump"
        if choice.restart and not choice.findings:
            assert allow and legacy == REPLICA
        if choice.engine == "logical" and not choice.findings:
            assert new.publishes


def test_the_three_ways_on_are_named():
    remedy = engine.choose("auto", False, REPLICA, LOGICAL, NOT_PHYSICAL).findings[0].remedy
    assert all(word in remedy for word in ("allow_legacy_restart", "Physical", "engine: dump", "max_window"))
    fixed = engine.choose("auto", True, FIXED, LOGICAL, NOT_PHYSICAL).findings[0].remedy
    assert "command: postgres -c wal_level=logical" in fixed and "allow_legacy_restart" not in fixed


def test_the_restart_comes_when_everything_else_has_been_proven():
    seed = [action for action, _reason in engine.choose("auto", True, REPLICA, LOGICAL, ()).seed]
    assert seed.index("restart") == seed.index("follow") - 1
    assert engine.choose("auto", True, LOGICAL, LOGICAL, ()).seed == plan.SEED
    assert engine.choose("dump", True, REPLICA, LOGICAL, ()).seed == plan.SEED_DUMP


OUTLINED = Facts(SideFacts(publishes=False), SideFacts(fenced=True, stage="outline"))


@pytest.mark.parametrize(("asked", "state", "found", "code"), [
    ("dump", "new", "armed", None),
    ("auto", "new", "armed", "conflict"),
    ("logical", "armed", "seeded", "conflict"),
    ("auto", "new", "window_forward", "conflict"),
    ("auto", "legacy", "window_forward", None),
    ("auto", "preflight", "armed", None),
])
def test_a_copy_that_is_to_come_goes_on_only_when_it_is_asked_for(asked, state, found, code):
    if code is None:
        assert engine.running(asked, state, found, OUTLINED).engine == "dump"
        return
    with pytest.raises(FleetError) as failure:
        engine.running(asked, state, found, OUTLINED)
    assert failure.value.code == code and "engine: dump" in failure.value.remedy


def test_a_pair_that_exists_goes_on_whatever_is_asked_for():
    following = replace(OUTLINED, new=SideFacts(stage="complete"), forward=Pair(True, "active", "enabled"))
    assert engine.running("dump", "new", "armed", following).engine == "logical"


@pytest.mark.parametrize(("found", "manner", "expected"), [
    ("empty", plan.Situation(), True),
    ("prepared", plan.Situation(), True),
    ("armed", plan.Situation(follows=False), False),
    ("window_forward", plan.Situation(follows=False), False),
    ("window_forward", plan.Situation(follows=False, spoiled=True), True),
    ("rolled_back_cleanup", plan.Situation(), False),
    ("rolled_back_cleanup", plan.Situation(follows=False), True),
])
def test_an_engine_is_chosen_when_rows_have_to_come_from_the_beginning(found, manner, expected):
    assert engine.undecided(found, manner) is expected


def options(**more):
    side = {"host": "a", "dbname": "hub"}
    return parse({"state": "new", "legacy": side, "new": side, "engine": "dump", **more})


@pytest.mark.parametrize(("size", "free", "more", "found"), [
    pytest.param(10 * 2**20, 2**40, {}, [], id="small"),
    pytest.param(2**30, 2**40, {}, [("window_too_long", "fail")], id="does not fit"),
    pytest.param(2**30, 2**40, {"state": "armed"}, [("window_too_long", "warn")], id="does not fit, but nobody waits yet"),
    pytest.param(2**30, 2**40, {"max_window": 600}, [], id="fits"),
    pytest.param(2**30, 2**30, {"max_window": 600}, [("preflight_failed", "fail")], id="no room"),
])
def test_what_a_copy_is_refused_for(size, free, more, found):
    told = copy_window.findings(options(**more), size, free)
    assert [(finding.code, finding.level) for finding in told] == found
    assert all(finding.remedy for finding in told)


@pytest.mark.parametrize(("chosen", "more", "named"), [
    ("dump", {"guarantee": "sync", "state": "new"}, ["guarantee: sync"]),
    ("dump", {"guarantee": "sync", "state": "legacy"}, []),
    ("dump", {"trial_window": True, "state": "armed"}, ["trial_window"]),
    ("dump", {"accept_loss": True, "state": "legacy"}, []),
    ("dump", {"snapshot": {"directory": "/srv"}, "state": "new"}, []),
    ("physical", {"guarantee": "sync", "snapshot": {"directory": "/srv"}, "state": "new"}, ["guarantee: sync", "snapshot"]),
    ("physical", {"accept_loss": True, "state": "legacy"}, ["accept_loss"]),
    ("physical", {"trial_window": True, "state": "armed"}, ["trial_window"]),
    ("logical", {"guarantee": "sync", "trial_window": True, "state": "armed"}, []),
    ("", {"guarantee": "sync", "state": "preflight"}, []),
])
def test_what_an_engine_does_not_do_is_refused_by_name(chosen, more, named):
    options = parse({"legacy": {"host": "a", "dbname": "hub"}, "new": {"host": "b", "dbname": "hub"}, **more})
    if not named:
        return engine.refuse_unsupported(options, chosen)
    with pytest.raises(FleetError) as failure:
        engine.refuse_unsupported(options, chosen)
    assert (failure.value.code, failure.value.details["options"]) == ("invalid_value", named)
    assert all(name in failure.value.message for name in named)
