# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phase of an instance: every row of the table, every pair of them, and the page that shows it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import NotFound, Unknown
from ansible_collections.bowline.fleet.plugins.module_utils._node.phase import ROWS, Facts, Verdict, came_true, is_ours, phase, seen
from ansible_collections.bowline.fleet.plugins.module_utils._node.transitions import TRANSITIONS
from node_objects import ID, NOW, beat, facts, instance, machine, opened

PAGE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "nodes.md"

# What makes each row match, as changes of the facts and of the instance; row 11 needs none.
MAKES: dict[int, tuple[dict, dict]] = {
    1: ({}, {"delete_requested_at": NOW, "finalizers": ()}),
    2: ({}, {"delete_requested_at": NOW, "finalizers": ("provider",)}),
    3: ({"sighting": NotFound()}, {"provider_id": "", "power": ""}),
    4: ({"sighting": NotFound(final=True)}, {}),
    5: ({"actions": (opened("create"),)}, {}),
    6: ({"sighting": machine(power="off")}, {"power": "off"}),
    7: ({"heartbeat": None}, {"contacted_at": None}),
    8: ({"heartbeat": beat(services_ready=False)}, {}),
    9: ({"actions": (opened("drain"),)}, {"cordoned_by": "drain"}),
    10: ({}, {"cordoned_by": "drain", "drained_at": NOW - 5}),
    11: ({}, {}),
}
WANTED = {
    1: ("terminated", ""), 2: ("terminating", "delete_requested"), 3: ("pending", "not_requested"), 4: ("terminated", "vanished"),
    5: ("provisioning", "building"), 6: ("stopped", "power_off"), 7: ("provisioning", "waiting_for_contact"), 8: ("bootstrapping", ""),
    9: ("draining", ""), 10: ("drained", ""), 11: ("running", ""),
}  # fmt: skip


def made(*numbers: int) -> Facts:
    """Facts in which all rows of ``numbers`` match; of what two of them set, the first has its way."""
    changed: dict = {}
    attributes: dict = {}
    for number in numbers:
        more, own = MAKES[number]
        actions = changed.get("actions", ()) + more.get("actions", ())
        changed = {**more, **changed, **({"actions": actions} if actions else {})}
        attributes = {**own, **attributes}
    return facts(instance=instance(**attributes), **changed)


@pytest.mark.parametrize("number", MAKES)
def test_each_row(number):
    assert phase(made(number)) == Verdict(*WANTED[number], number)


# Facts that contradict each other: asked for and never asked for, never seen and seen, found and not found.
APART = {(1, 2), (3, 4), (3, 5), (3, 6), (4, 6)}


@pytest.mark.parametrize("pair", [pair for pair in itertools.combinations(MAKES, 2) if pair not in APART], ids=str)
def test_of_two_rows_that_match_the_first_decides(pair):
    both = made(*pair)
    matching = [row.number for row in ROWS if row.matches(both, both.instance)]
    assert set(pair) <= set(matching)
    assert phase(both).row == min(pair)


def test_a_node_without_an_instance():
    assert phase(Facts(NOW)).phase == "no_instance"


@pytest.mark.parametrize(("changed", "wanted"), [
    pytest.param({"actions": (opened("start"),)}, "starting", id="start is open"),
    pytest.param({"actions": (opened("stop"),)}, "stopping", id="stop is open"),
    pytest.param({"sighting": Unknown("transient", "x"), "instance": instance(power="off")}, "stopped", id="what was seen last, when nobody answers"),
    pytest.param({"sighting": None, "instance": instance(power="off")}, "stopped", id="what was seen last, when nobody asks"),
])  # fmt: skip
def test_a_machine_that_is_off(changed, wanted):
    assert phase(facts(**{"sighting": machine(power="off"), **changed})).phase == wanted


@pytest.mark.parametrize(("sighting", "missing_since", "gone"), [
    pytest.param(NotFound(), None, False, id="not found once"),
    pytest.param(NotFound(), NOW - 59, False, id="not found for 59 s"),
    pytest.param(NotFound(), NOW - 60, True, id="not found for 60 s"),
    pytest.param(NotFound(final=True), None, True, id="finally"),
    pytest.param(Unknown("transient", "x"), None, False, id="no answer is no answer"),
    pytest.param(machine(), NOW - 600, False, id="found again"),
])  # fmt: skip
def test_what_is_not_found_for_a_while_has_vanished(sighting, missing_since, gone):
    known = instance(missing_since=missing_since, missed_at=None if missing_since is None else NOW)
    assert (phase(facts(sighting=sighting, instance=known)).reason == "vanished") is gone


def test_looks_that_are_far_apart_do_not_count_together():
    """A provider may forget a machine for a moment, and for another one later."""
    missed = seen(seen(instance(), NotFound(), NOW), NotFound(), NOW + 30)
    assert missed.missing_for == 30
    assert seen(missed, NotFound(), NOW + 61).missing_for == 0


def test_what_was_never_seen_cannot_vanish():
    known = instance(provider_id="", power="", missing_since=NOW - 600, missed_at=NOW)
    assert phase(facts(instance=known, sighting=NotFound(final=True), actions=(opened("create"),), heartbeat=None)).phase == "provisioning"


def test_a_new_boot_is_ready_anew():
    later = beat(boot_id="boot-2", ready_boot="boot-1", modules_active=False)
    assert phase(facts(heartbeat=later)).phase == "bootstrapping"
    assert phase(facts(heartbeat=replace(later, ready_boot="boot-2"))).phase == "running"


def test_power_that_came_back_waits_for_a_word():
    silent = instance(powered_at=NOW - 5)
    assert phase(facts(instance=silent)).reason == "waiting_for_contact"
    assert phase(facts(instance=silent, actions=(opened("start"),))).phase == "starting"
    assert phase(facts(instance=replace(silent, contacted_at=NOW - 1))).phase == "running"


def test_no_clock_of_a_node_decides():
    """What a node says about the time stands in its document, and nowhere else."""
    for sent in (0, NOW - 365 * 86400, NOW + 365 * 86400):
        assert phase(facts(heartbeat=beat(document={"sent_at": sent}))) == Verdict("running", "", 11)


@pytest.mark.parametrize(("found", "ours"), [
    pytest.param(machine(), True, id="tag, node and birth"),
    pytest.param(machine(instance_id=None), False, id="no tag"),
    pytest.param(machine(instance_id="22222222-2222-4222-8222-222222222222"), False, id="another instance"),
    pytest.param(machine(node="edge-2"), False, id="another node"),
    pytest.param(machine(created_at=NOW - 5), False, id="the id was given to another machine"),
    pytest.param(machine(created_at=None), True, id="a provider that does not say when"),
    pytest.param(NotFound(final=True), False, id="none"),
])  # fmt: skip
def test_whose_machine_it_is(found, ours):
    assert is_ours(found, instance()) is ours


def test_what_is_kept_of_a_sighting():
    fresh = instance(provider_id="", machine_created_at=None, power="", powered_at=None)
    first = seen(fresh, machine(power="building"), NOW)
    assert (first.provider_id, first.machine_created_at, first.power, first.powered_at) == ("local:///edge-1", NOW - 3600, "building", None)
    on = seen(first, machine(), NOW + 5)
    assert (on.power, on.powered_at) == ("on", NOW + 5)
    assert seen(on, machine(), NOW + 9).powered_at == NOW + 5
    missed = seen(seen(on, NotFound(), NOW + 10), NotFound(), NOW + 20)
    assert missed.missing_since == NOW + 10
    assert seen(missed, machine(), NOW + 30).missing_since is None
    for nothing in (None, Unknown("auth", "x"), machine(instance_id=None), machine(node="edge-2")):
        assert seen(on, nothing, NOW + 40) == on
    assert seen(fresh, NotFound(), NOW) == replace(fresh, missing_since=NOW, missed_at=NOW), "looked for, which counts once it was asked for"


def test_the_page_shows_the_tables():
    text = PAGE.read_text(encoding="utf-8")
    for row in ROWS:
        assert f"| {row.number} | {row.fact} | {row.shown} |" in text, row.number
    for way in TRANSITIONS:
        limit = f"{way.limit:g} s" + (" × boot factor" if way.slow else "") if way.limit is not None else "–"
        limit = "`drain.timeout`" if way.id == "T6" else limit
        reason = f"`{way.reason}`" if way.reason else "–"
        assert f"| {way.id} | {', '.join(way.source)} | {way.event} | {way.guard or '–'} | {way.target} | {limit} | {reason} |" in text, way.id
    assert ID not in text


def test_an_action_that_a_killed_run_left_open_has_come_true():
    """By what the provider shows of our machine, and by nothing else."""
    def said(verb, **changed):
        return came_true(facts(actions=(opened(verb),), **changed))

    assert said("create") == ("create",) and said("create", sighting=machine(power="off")) == ("create",)
    for sighting in (machine(power="building"), machine(instance_id="other"), NotFound(True)):
        assert said("create", sighting=sighting) == ()
    assert said("start") == ("start",) and said("start", sighting=machine(power="off")) == ()
    assert said("stop", sighting=machine(power="off")) == ("stop",) and said("stop") == said("drain") == said("destroy") == ()
