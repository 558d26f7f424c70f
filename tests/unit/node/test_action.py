# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What policy says of a verb, what brings an action into its state, and what proves that it was done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import ACTION
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import ASKED, FAILURES, LIFECYCLES, Action, Guard
from ansible_collections.bowline.fleet.plugins.module_utils._node.policy import (
    DECIDED_FOR,
    VERBS,
    WORDS,
    answer,
    asked_again,
    awaited,
    decided,
    snapshot,
    steps_to,
    tried_of,
    word_of,
)
from ansible_collections.bowline.fleet.plugins.module_utils._node.recovery import Member, Tried
from node_objects import ID, NOW, beat, instance, node

# The table of the design, verb by verb: persistent, ephemeral, spot.
TABLE = {
    "renew": ("auto_approve", "auto_approve", "auto_approve"),
    "reconcile": ("notify_and_proceed", "notify_and_proceed", "notify_and_proceed"),
    "restart_units": ("notify_and_proceed", "notify_and_proceed", "notify_and_proceed"),
    "reboot": ("notify_and_proceed", "notify_and_proceed", "notify_and_proceed"),
    "power_cycle": ("notify_and_proceed", "notify_and_proceed", "notify_and_proceed"),
    "reenrol": ("require_approval", "notify_and_proceed", "notify_and_proceed"),
    "replace": ("require_approval", "notify_and_proceed", "auto_approve"),
    "terminate": ("require_approval", "notify_and_proceed", "auto_approve"),
}


def action(**changed) -> Action:
    base = Action(ID, "reboot", f"{ID}/reboot/f1", "pending", actor="ann", fingerprint="f1", asked_at=NOW - 100)
    return replace(base, **changed)


def asked(verb="reboot", found=None, tried=(), group=(), rules=(), **changed):
    return answer(verb, node(**changed), NOW, found, tried, group, rules)


def test_the_table_is_that_of_the_design():
    assert {verb: tuple(word_of(verb, node(lifecycle_class=name), ()) for name in LIFECYCLES) for verb in VERBS} == TABLE


@pytest.mark.parametrize(("rules", "wanted"), [
    ([{"answer": "block"}], "block"),
    ([{"verb": "reboot", "answer": "block"}], "block"),
    ([{"verb": "renew", "answer": "block"}], "notify_and_proceed"),
    ([{"lifecycle_class": "spot", "answer": "block"}], "notify_and_proceed"),
    ([{"node": "edge-1", "answer": "auto_approve"}, {"answer": "block"}], "auto_approve"),
    ([{"node": "edge-2", "verb": "reboot", "answer": "auto_approve"}, {"verb": "reboot", "lifecycle_class": "ephemeral", "answer": "require_approval"}],
     "require_approval"),
])  # fmt: skip
def test_the_first_rule_that_fits_wins(rules, wanted):
    assert word_of("reboot", node(), rules) == wanted and wanted in WORDS


def test_the_guard_wins_then_the_group_then_the_budget_then_approval():
    worn = [Tried("reboot", NOW - 60)]
    guard = (Guard("no_remediation", "soak"),)
    silent = [Member(silent=True)] * 3
    block, approve = [{"answer": "block"}], [{"answer": "require_approval"}]
    assert asked(guards=guard, tried=worn, group=silent, rules=block).code == "held"
    assert asked(tried=worn, group=silent, rules=block).code == "held"
    assert asked(tried=worn, group=silent, rules=approve).code == "observer_down"
    assert (asked(tried=worn, rules=approve).code, asked(tried=worn, rules=approve).wait) == ("budget_exhausted", 540.0)
    assert asked(rules=approve).code == "approval_required"
    assert asked(rules=approve, found=action(decision="approved", decided_at=NOW - 10)).code == ""
    assert asked(guards=(Guard("no_remediation", "", NOW - 1),)).code == ""


def test_budgets_are_of_the_ladder_alone():
    worn = [Tried("reboot", NOW - 60)] * 3
    for verb in ("renew", "reconcile", "terminate"):
        assert asked(verb, tried=worn, group=[Member(silent=True)] * 3).code == ""
    for verb in ("renew", "terminate"):
        assert asked(verb, guards=(Guard("no_remediation"),)).code == ""
    quorum = {"quorum_group": "etcd"}
    assert asked(group=[Member(), Member(False)], **quorum).code == "quorum_risk" and asked(group=[Member(), Member()], **quorum).code == ""
    assert asked(group=[Member(remediated=True)] + [Member()] * 7).code == "budget_exhausted"
    assert asked(group=[Member(remediated=True)] + [Member()] * 8).code == ""


def test_every_attempt_of_the_last_day_counts():
    past = [action(attempts=2, attempted_at=NOW - 60), action(attempts=1, attempted_at=NOW - 86401), action(verb="renew", attempts=1, attempted_at=NOW),
            action()]  # fmt: skip
    assert tried_of(past, NOW) == [Tried("reboot", NOW - 60)] * 2


def test_a_decision_holds_for_a_day():
    assert decided(None, NOW) == "" == decided(action(), NOW)
    for word in ("approved", "rejected"):
        assert decided(action(decision=word, decided_at=NOW - DECIDED_FOR + 1), NOW) == word
        assert decided(action(decision=word, decided_at=NOW - DECIDED_FOR), NOW) == ""


REJECTED = {"state": "rejected", "decision": "rejected", "decided_by": "bob"}
FOUND = {
    "none": None, "pending": action(), "approved": action(decision="approved", decided_at=NOW - 5), "running": action(state="running", attempted_at=NOW),
    "failed": action(state="failed"), "complete": action(state="complete"), "aborted": action(state="aborted"),
    "rejected": action(decided_at=NOW - 5, **REJECTED), "rejected long ago": action(decided_at=NOW - DECIDED_FOR, **REJECTED),
}  # fmt: skip
F, U = "action_final", "action_unknown"
# For each state of an action what brings it to pending, approved, rejected, running, completed and aborted.
WAYS = {
    "none": ("ask", "ask approve", "ask reject", "ask begin", U, ""),
    "pending": ("", "approve", "reject", "begin", "close", "abort"),
    "approved": ("", "", "reject", "begin", "close", "abort"),
    "running": ("", F, F, "", "close", "abort"),
    "failed": ("ask", "ask approve", "ask reject", "ask begin", "ask close", ""),
    "complete": ("", F, F, "", "", ""),
    "aborted": (F, F, F, F, F, ""),
    "rejected": (F, F, "", F, F, ""),
    "rejected long ago": ("ask", "ask approve", "ask reject", "ask begin", "ask close", ""),
}
STATES = tuple(ACTION["state"]["choices"])


@pytest.mark.parametrize(("name", "state", "wanted"), [(name, state, way) for name, ways in WAYS.items() for state, way in zip(STATES, ways)])
def test_every_state_from_every_other(name, state, wanted):
    try:
        said = " ".join(step.action for step in steps_to(state, FOUND[name], "reboot", NOW))
    except FleetError as error:
        said = error.code
        assert name != "rejected" or "bob" in error.message
    assert said == wanted
    assert (F in FAILURES) and (U in FAILURES) and {one.state for one in FOUND.values() if one} <= set(ASKED)


def test_a_power_cycle_is_done_here():
    assert [step.action for step in steps_to("completed", None, "power_cycle", NOW)] == ["ask", "begin", "power_cycle", "close"]
    assert [step.action for step in steps_to("completed", action(verb="power_cycle", state="running"), "power_cycle", NOW)] == ["power_cycle", "close"]


def test_asked_again_forgets_the_decision_and_keeps_the_count():
    again = asked_again(action(state="failed", attempts=2, attempted_at=NOW - 9, ended_at=NOW - 1, decision="approved", decided_at=NOW - 5), NOW)
    assert (again.state, again.attempts, again.attempted_at, again.ended_at, again.decision, again.asked_at) == ("pending", 2, NOW - 9, None, "", NOW)


OLD = beat(200, certificate_not_after=NOW + 5)


@pytest.mark.parametrize(("verb", "heard", "proven"), [
    pytest.param("restart_units", beat(5), True, id="it speaks again"),
    pytest.param("restart_units", beat(60), False, id="a word from before the attempt"),
    pytest.param("restart_units", None, False, id="nothing was heard"),
    pytest.param("reboot", beat(5, boot_id="boot-2"), True, id="another boot"),
    pytest.param("reboot", beat(5), False, id="the same boot"),
    pytest.param("renew", beat(5), True, id="it lives longer"),
    pytest.param("renew", beat(5, certificate_not_after=NOW + 5), False, id="the same certificate"),
    pytest.param("renew", beat(5, certificate_not_after=None), False, id="none at all"),
    pytest.param("reenrol", beat(5), True, id="enrolled"),
    pytest.param("reenrol", beat(5, enrolled=False), False, id="not enrolled"),
    pytest.param("reconcile", beat(5), True, id="its modules are active"),
    pytest.param("reconcile", beat(5, modules_active=False), False, id="they are not"),
])  # fmt: skip
def test_what_proves_it_by_the_word_of_the_machine(verb, heard, proven):
    begun = action(verb=verb, state="running", attempted_at=NOW - 30, seen=snapshot(OLD))
    assert (awaited(begun, instance(), heard, instance(), "running") == "") is proven


def test_what_proves_the_end_and_the_next_machine():
    ended, other = instance(terminated_at=NOW), instance(id="other")
    for verb in ("terminate", "replace"):
        assert awaited(action(verb=verb), instance(), None, instance(), "running") != ""
    assert awaited(action(verb="terminate"), ended, None, None, "no_instance") == ""
    assert awaited(action(verb="replace"), ended, None, other, "bootstrapping") != "" and awaited(action(verb="replace"), ended, None, other, "running") == ""
    cycled = action(verb="power_cycle")
    assert awaited(cycled, instance(powered_at=NOW - 100), None, None, "") != "" and awaited(cycled, instance(powered_at=NOW - 99), None, None, "") == ""
