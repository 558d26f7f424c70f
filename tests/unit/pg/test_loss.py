# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""accept_loss as steps: when nobody has to decide, when it is refused, and that only state legacy leads out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg import options as given, plan
from ansible_collections.bowline.fleet.plugins.module_utils._pg.facts import Half
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Facts, Pair, SideFacts
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import loss

OPEN, CLOSED = SideFacts(helper=True), SideFacts(fenced=True, helper=True, epoch="1:open")
NEW = replace(OPEN, epoch="1:commit")
NONE, RUNS = Pair(), Pair(True, "active", "enabled")
LOST, GONE = Pair(True, "lost", "enabled"), Pair(True, "", "enabled")
BROKEN = [NONE, LOST, GONE, Pair(True, "inactive")]
STATES = ("seeded", "armed", "new", "legacy", "finished")


def options(state, accept=False):
    side = {"host": "h", "dbname": "hub"}
    return given.parse({"state": state, "legacy": side, "new": side, "accept_loss": accept})


def decided(state, seen):
    found = loss.steps(options(state), seen, plan.phase(seen))
    return None if found is None else [step.action for step in found]


@pytest.mark.parametrize("reverse", BROKEN)
def test_new_serves_and_nothing_can_follow(reverse):
    seen = Facts(CLOSED, NEW, NONE, reverse)
    assert decided("legacy", seen) == ["close", "abandon", "leave"]
    assert [decided(state, seen) for state in STATES if state != "legacy"] == [None] * 4


@pytest.mark.parametrize(("legacy", "new", "forward", "reverse"), [
    pytest.param(CLOSED, NEW, NONE, RUNS, id="a pair that works"),
    pytest.param(CLOSED, NEW, RUNS, Pair(True, "inactive", "disabled"), id="opened, not cleaned up"),
    pytest.param(CLOSED, NEW, RUNS, NONE, id="opened without a way back"),
    pytest.param(CLOSED, replace(NEW, fenced=True), RUNS, Pair(True, "inactive", "disabled"), id="window"),
    pytest.param(OPEN, replace(NEW, fenced=True), RUNS, NONE, id="legacy serves"),
    pytest.param(replace(CLOSED, helper=False), NEW, NONE, NONE, id="finished"),
    pytest.param(OPEN, NEW, NONE, RUNS, id="split brain"),
])
def test_nobody_has_to_decide(legacy, new, forward, reverse):
    assert decided("legacy", Facts(legacy, new, forward, reverse)) is None


def test_only_state_legacy_leads_out():
    opened = replace(OPEN, epoch="2:loss")
    back = Facts(opened, NEW)
    settled = Facts(opened, replace(NEW, fenced=True, epoch="2:loss"))
    between = Facts(CLOSED, replace(NEW, fenced=True, epoch="2:loss"))
    assert (decided("legacy", back), decided("legacy", settled), decided("legacy", between)) == (["close"], [], ["abandon", "leave"])
    assert decided("legacy", replace(settled, reverse=Pair(subscription="disabled"))) == ["leave"]
    assert decided("legacy", replace(back, forward=Pair(True, "inactive"))) == ["close", "leave"]
    for seen, code in ((back, "target_not_fenced"), (settled, "loss_possible"), (between, "loss_possible")):
        for state in STATES:
            if state == "legacy" or (seen is between and state == "new"):
                continue
            with pytest.raises(FleetError) as failure:
                loss.steps(options(state), seen, plan.phase(seen))
            assert failure.value.code == code and "state: legacy" in failure.value.remedy + failure.value.message or "RENAME" in failure.value.remedy
    assert decided("new", between) is None
    assert all(loss.steps(options("preflight"), seen, plan.phase(seen)) is None for seen in (back, settled, between))


def half(side, **follows):
    return Half(side, {"pgcut_fwd": (False, ""), "pgcut_rev": (False, "")}, follows)


def test_alone():
    def actions(seen):
        found = loss.steps_without_new(seen)
        return None if found is None else [step.action for step in found]

    assert actions(half(CLOSED, pgcut_rev=("enabled", 0))) == ["abandon", "leave"]
    assert actions(half(CLOSED)) == ["abandon", "leave"]
    assert actions(half(OPEN)) is None and actions(half(SideFacts(exists=False))) is None
    assert actions(half(replace(OPEN, epoch="2:loss"))) == []
    assert actions(half(replace(OPEN, epoch="2:loss"), pgcut_rev=("disabled", 0))) == ["leave"]
    with pytest.raises(FleetError) as failure:
        loss.steps_without_new(half(replace(CLOSED, helper=False)))
    assert failure.value.code == "loss_possible" and "snapshot" in failure.value.remedy


KNOWN = {"guarantee": "async", "position": "0/5A2F", "applied_until": None, "last_contact": None,
         "marker": {"epoch": "7:ping", "at": "2026-01-02 03:04:05+00"}, "ids": {"public.ledger": 41}}


@pytest.mark.parametrize(("sound", "code", "words"), [
    ("refused", "loss_possible", ["Start it"]),
    ("silent", "target_not_fenced", ["power its host off", "accept_loss: true"]),
    ("alive", "target_not_fenced", ["stop it first"]),
    ("follows", "loss_possible", ["accept_loss: true"]),
])
def test_a_refusal_names_what_would_be_missing_and_the_command(sound, code, words):
    failure = loss.refusal(options("legacy"), KNOWN, sound)
    assert failure.code == code and failure.details == {"loss": KNOWN, "new": sound}
    for word in ("0/5A2F", "7:ping", "2026-01-02 03:04:05+00", "public.ledger up to 41", "Nothing was changed"):
        assert word in failure.message
    assert all(word in failure.remedy for word in words)


def test_sync_has_nothing_to_name():
    assert "every commit that was acknowledged has arrived" in loss.sentence({**KNOWN, "guarantee": "sync"})
