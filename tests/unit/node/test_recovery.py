# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done by itself about a machine that is stuck: each row with its bound, and the ladder with two observers and its budgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import NotFound, Unknown
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import LIFECYCLES, REASONS, Guard
from ansible_collections.bowline.fleet.plugins.module_utils._node.phase import phase
from ansible_collections.bowline.fleet.plugins.module_utils._node.recovery import (
    BY_NAME,
    POLICY,
    RECOVERY,
    RUNGS,
    Member,
    Move,
    Tried,
    again,
    boot_again,
    fetch_again,
    ladder,
    reissue,
    search,
    stuck,
)
from node_objects import NOW, beat, facts, instance, machine, node, opened

PAGE = Path(__file__).resolve().parents[3] / "docs" / "runbooks" / "nodes.md"
NEVER_SEEN = instance(provider_id="", power="", powered_at=None)


@pytest.mark.parametrize(("changed", "grade", "wanted"), [
    pytest.param({"instance": NEVER_SEEN, "sighting": NotFound(), "heartbeat": None}, "unknown", "pending", id="not asked for"),
    pytest.param({"instance": NEVER_SEEN, "sighting": NotFound(), "heartbeat": None, "actions": (opened("create"),)}, "unknown", "provisioning_no_machine",
                 id="asked for"),
    pytest.param({"heartbeat": None}, "unknown", "provisioning_no_word", id="on, and never heard"),
    pytest.param({"heartbeat": beat(modules_active=False)}, "ok", "bootstrapping", id="a module does not come"),
    pytest.param({"heartbeat": beat(400)}, "silent", "silent", id="silent"),
    pytest.param({"heartbeat": beat(400)}, "lost", "silent", id="lost"),
    pytest.param({"heartbeat": beat(100)}, "late", "", id="late is no reason"),
    pytest.param({"instance": instance(cordoned_by="drain"), "actions": (opened("drain"),)}, "ok", "draining", id="draining"),
    pytest.param({"instance": instance(delete_requested_at=NOW, finalizers=("dns",))}, "ok", "terminating", id="terminating"),
    pytest.param({}, "ok", "", id="well"),
    pytest.param({"instance": None}, "unknown", "", id="no machine"),
])  # fmt: skip
def test_the_row_of_a_machine(changed, grade, wanted):
    known = facts(**changed)
    assert stuck(known, phase(known), grade) == wanted


def test_every_row_of_the_page_is_a_row_here():
    text = PAGE.read_text(encoding="utf-8")
    for row in RECOVERY:
        assert f"| `{row.stuck}` | {row.automatic} | {row.bound} | {'; '.join(row.names)} |" in text, row.stuck
    assert len(BY_NAME) == len(RECOVERY) == 10


@pytest.mark.parametrize(("tries", "move"), [
    ((), Move("retry")),
    ((NOW - 29,), ("", 1.0, "")), ((NOW - 30,), Move("retry")),
    ((NOW - 90, NOW - 59), ("", 1.0, "")), ((NOW - 90, NOW - 60), Move("retry")),
    ((NOW - 300, NOW - 200, NOW - 119), ("", 1.0, "")), ((NOW - 300, NOW - 200, NOW - 120), Move("retry")),
    ((NOW - 900, NOW - 800, NOW - 700, NOW - 600), ("", 0.0, "budget_exhausted")),
])  # fmt: skip
def test_three_tries_more_each_after_twice_the_time(tries, move):
    found = again("pending", tries, NOW)
    assert found == move if isinstance(move, Move) else (found.verb, found.wait, found.code) == move


@pytest.mark.parametrize(("sighting", "asked", "wanted"), [
    pytest.param(NotFound(), (), ("create", 0.0, ""), id="never asked for"),
    pytest.param(NotFound(), (NOW - 59,), ("", 1.0, ""), id="a call may be in flight"),
    pytest.param(NotFound(final=True), (NOW - 59,), ("create", 0.0, ""), id="none is"),
    pytest.param(NotFound(), (NOW - 60,), ("create", 0.0, ""), id="once more"),
    pytest.param(NotFound(), (NOW - 500, NOW - 60), ("", 0.0, "provider_timeout"), id="not a third time"),
    pytest.param(Unknown("auth", "x"), (NOW - 500,), ("", 30.0, "provider_unavailable"), id="nobody knows"),
])  # fmt: skip
def test_a_machine_that_does_not_come(sighting, asked, wanted):
    found = search(facts(sighting=sighting), asked)
    assert (found.verb, found.wait, found.code) == wanted
    assert found.verb or found.names


def test_small_rows():
    assert boot_again(()).verb == "power_cycle"
    assert boot_again((Tried("power_cycle", NOW),)).code == "no_contact"
    assert fetch_again("timeout", (), NOW).verb == "retry"
    for reason in ("signature_invalid", "digest_mismatch", "key_not_trusted"):
        assert (fetch_again(reason, (), NOW).verb, fetch_again(reason, (), NOW).code) == ("", reason)
    assert reissue(True, ()).verb == "reissue"
    assert reissue(True, (Tried("reissue", NOW),)).code == reissue(False, ()).code == "token_expired"


SILENT = {"heartbeat": beat(400)}
DARK = {"heartbeat": beat(400), "sighting": Unknown("transient", "x")}


def step(known, ssh=None, tried=(), group=(), approved=False, **changed):
    found = ladder(node(**changed), facts(**known), ssh, tried, group, approved)
    return found.verb or found.code or ("wait", found.wait)


@pytest.mark.parametrize(("known", "ssh", "wanted"), [
    pytest.param(SILENT, True, "restart_units", id="heartbeat and SSH"),
    pytest.param(SILENT, False, "power_cycle", id="heartbeat and power: no way in, so its power"),
    pytest.param(SILENT, None, "power_cycle", id="nobody tried SSH"),
    pytest.param(DARK, True, "restart_units", id="heartbeat and SSH, provider dark"),
    pytest.param(DARK, False, "observer_down", id="nobody answers us: the fault may be ours"),
    pytest.param(DARK, None, "observer_down", id="one observer"),
    pytest.param({"heartbeat": beat(400), "sighting": NotFound()}, False, "observer_down", id="not found is no power"),
    pytest.param({"heartbeat": beat(400), "sighting": machine(None)}, True, "identity_mismatch", id="another machine is not power-cycled"),
])  # fmt: skip
def test_two_observers(known, ssh, wanted):
    assert step(known, ssh) == wanted


def test_the_ladder_goes_up_and_never_twice():
    tried, seen = [], []
    for turn in range(3):
        seen.append(step(SILENT, True, [Tried(one.verb, one.at - 700 * (3 - turn)) for one in tried]))
        tried.append(Tried(seen[-1], NOW))
    assert seen == ["restart_units", "reboot", "power_cycle"]
    old = [Tried("restart_units", NOW - 90_000), Tried("reboot", NOW - 90_000), Tried("power_cycle", NOW - 90_000)]
    assert step(SILENT, True, old) == "restart_units", "yesterday's do not count"
    assert [verb for verb, _needs in RUNGS] == ["restart_units", "reboot", "power_cycle", "reenrol", "replace"]


@pytest.mark.parametrize(("tried", "wanted"), [
    pytest.param([Tried("restart_units", NOW - 599)], ("wait", 1.0), id="one in ten minutes"),
    pytest.param([Tried("restart_units", NOW - 600)], "reboot", id="ten minutes later"),
    pytest.param([Tried("restart_units", NOW - 9000), Tried("reboot", NOW - 6000), Tried("power_cycle", NOW - 3000)], "budget_exhausted", id="three a day"),
    pytest.param([Tried("restart_units", NOW - 86_400), Tried("power_cycle", NOW - 3000)], "reenrol", id="the first was a day ago"),
])  # fmt: skip
def test_budgets_of_a_machine(tried, wanted):
    assert step(SILENT, True, tried) == wanted


@pytest.mark.parametrize(("others", "wanted"), [
    pytest.param([Member()] * 9, "restart_units", id="one of ten"),
    pytest.param([Member(silent=True)] + [Member()] * 8, "restart_units", id="two of ten"),
    pytest.param([Member(silent=True)] * 2 + [Member()] * 7, "observer_down", id="three of ten fell silent together"),
    pytest.param([Member(remediated=True)] + [Member()] * 8, "restart_units", id="two of ten in remediation"),
    pytest.param([Member(remediated=True)] * 2 + [Member()] * 7, "budget_exhausted", id="not three"),
    pytest.param([Member(remediated=True)], "budget_exhausted", id="one of two, and one is at it"),
    pytest.param([Member()], "restart_units", id="one of two"),
])  # fmt: skip
def test_budgets_of_a_group(others, wanted):
    assert step(SILENT, True, group=others) == wanted


def test_a_quorum_is_kept():
    assert step(SILENT, True, group=[Member(), Member(schedulable=False)], quorum_group="db") == "quorum_risk"
    assert step(SILENT, True, group=[Member(), Member()], quorum_group="db") == "restart_units"
    assert step(SILENT, True, group=[Member(schedulable=False)] * 2) == "restart_units"


def test_the_guard_wins():
    guarded = (Guard("no_remediation", "being looked at"),)
    assert step(SILENT, True, guards=guarded, approved=True) == "held"
    assert step(SILENT, True, guards=(Guard("no_remediation", until=NOW),)) == "restart_units"


@pytest.mark.parametrize(("lifecycle", "approved", "wanted"), [
    ("persistent", False, "approval_required"), ("persistent", True, "reenrol"), ("ephemeral", False, "reenrol"), ("spot", False, "reenrol"),
])  # fmt: skip
def test_policy_is_asked_for_the_very_verb(lifecycle, approved, wanted):
    tried = [Tried("restart_units", NOW - 86_400), Tried("power_cycle", NOW - 3000)]
    assert step(SILENT, True, tried, approved=approved, lifecycle_class=lifecycle) == wanted
    assert step(SILENT, True, lifecycle_class=lifecycle) == "restart_units"


def test_policy_has_a_word_for_every_verb_and_class():
    assert {verb for verb, _needs in RUNGS} <= set(POLICY)
    assert all(set(words) == set(LIFECYCLES) for words in POLICY.values())


def test_codes_are_of_the_one_list():
    found = [ladder(node(), facts(**DARK), None, (), ()), ladder(node(), facts(**SILENT), True, (), [Member(silent=True)] * 9)]
    assert {move.code for move in found} <= set(REASONS) and all(move.names for move in found)
