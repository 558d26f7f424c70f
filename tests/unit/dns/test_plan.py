# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every decision about an RRset, without a server: what is planned, what is refused, and until when caches can be stale."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._dns.model import FAILURES, Key, Ownership, Record, RRset, Wanted
from ansible_collections.bowline.fleet.plugins.module_utils._dns.plan import plan

KEY = Key("hub.bowline.test.", "A", "bowline.test.")
NOW = 1_000_000
OWNER = "cutover/hub-1"


def rrset(*values: str, ttl: int = 300, **more: object) -> RRset:
    return RRset(KEY.name, more.pop("type", "A"), ttl, values or ("10.0.0.1",), **more)


def wanted(state: str = "present", new: RRset | None = None, **more: object) -> Wanted:
    fields = {"ttl": 300, "ttl_during": 60, "expect": None, "owner": None, "disown": False, "max_changes": 5, "key": KEY, **more}
    return Wanted(state=state, rrset=new, **fields)


def released() -> Wanted:
    return wanted("released", owner=OWNER, disown=True, expect=("10.0.0.1",), keep_ttl=True)


def owned(seen: RRset | None, owner: str = OWNER, **times: int) -> Record:
    return Record(seen, Ownership(owner, **times))


@pytest.mark.parametrize(
    ("before", "want", "actions", "after"),
    [
        pytest.param(Record(None), wanted(new=rrset()), ["create"], rrset(), id="first record"),
        pytest.param(Record(rrset()), wanted(new=rrset()), [], rrset(), id="already there"),
        pytest.param(Record(rrset()), wanted(new=rrset("10.0.0.2")), ["replace"], rrset("10.0.0.2"), id="another value"),
        pytest.param(Record(rrset()), wanted(new=rrset(ttl=60)), ["set_ttl"], rrset(ttl=60), id="another ttl"),
        pytest.param(
            Record(rrset()), wanted(new=rrset("10.0.0.2", ttl=60)), ["replace", "set_ttl"], rrset("10.0.0.2", ttl=60), id="value and ttl"
        ),
        pytest.param(Record(rrset()), wanted(new=rrset(proxied=True)), ["set_proxied"], rrset(proxied=True), id="behind a proxy"),
        pytest.param(Record(rrset()), wanted("absent"), ["remove"], None, id="removed"),
        pytest.param(Record(None), wanted("absent"), [], None, id="already gone"),
        pytest.param(Record(rrset()), wanted("prepared"), ["set_ttl"], rrset(ttl=60), id="lowered"),
        pytest.param(Record(rrset(ttl=30)), wanted("prepared"), [], rrset(ttl=30), id="a lower ttl is never raised"),
        pytest.param(Record(None), wanted("prepared", expect=()), [], None, id="nothing to lower, and that is expected"),
        pytest.param(
            Record(rrset()),
            wanted("prepared", owner=OWNER, expect=("10.0.0.1",)),
            ["set_ttl", "own"],
            rrset(ttl=60),
            id="adopted when named",
        ),
        pytest.param(Record(rrset()), wanted(new=rrset(), owner=OWNER), ["own"], rrset(), id="equal values need not be named"),
        pytest.param(owned(rrset()), wanted("absent", owner=OWNER), ["remove", "disown"], None, id="ownership goes with the record"),
        pytest.param(owned(rrset(ttl=60), ttl=900), released(), ["set_ttl", "disown"], rrset(ttl=900), id="given up"),
        pytest.param(owned(rrset(ttl=60)), released(), ["disown"], rrset(ttl=60), id="given up, and nobody knows the TTL"),
        pytest.param(owned(rrset(ttl=60), made=True), released(), ["remove", "disown"], None, id="given up over a wildcard"),
        pytest.param(Record(rrset()), released(), [], rrset(), id="given up before it began"),
        pytest.param(Record(None), released(), [], None, id="given up where nothing is"),
        pytest.param(owned(rrset(), "other"), released(), [], rrset(), id="given up beside another owner"),
        pytest.param(owned(rrset()), wanted(new=rrset(), disown=True, owner=OWNER), ["disown"], rrset(), id="back to nobody's"),
        pytest.param(
            Record(rrset("10.0.0.2")),
            wanted(new=rrset("10.0.0.2"), expect=("10.0.0.1",)),
            [],
            rrset("10.0.0.2"),
            id="second run of a switch",
        ),
        pytest.param(
            Record(rrset("10.0.0.2")),
            wanted(new=rrset("10.0.0.2", ttl=60), expect=("10.0.0.1",)),
            ["set_ttl"],
            rrset("10.0.0.2", ttl=60),
            id="switched already, only the ttl is missing",
        ),
        pytest.param(owned(rrset(), "else"), wanted(new=rrset()), [], rrset(), id="another's record that is right is no failure"),
    ],
)
def test_steps(before, want, actions, after):
    change = plan(before, want, NOW)
    assert [step.action for step in change.steps] == actions
    assert change.after.rrset == after
    assert (change.before == change.after) == (not actions)
    again = plan(change.after, want, NOW + 5)
    assert (again.steps, again.after) == ((), change.after)


@pytest.mark.parametrize(
    ("before", "want", "code"),
    [
        pytest.param(Record(rrset()), wanted(new=rrset("10.0.0.2"), expect=("10.0.0.7",)), "conflict", id="another value than expected"),
        pytest.param(Record(rrset()), wanted(new=rrset("10.0.0.2"), expect=()), "conflict", id="expected to be absent"),
        pytest.param(Record(None), wanted(new=rrset("10.0.0.2"), expect=("10.0.0.1",)), "conflict", id="expected to exist"),
        pytest.param(Record(rrset()), wanted("prepared", expect=("10.0.0.7",)), "conflict", id="lowering something else"),
        pytest.param(Record(rrset()), wanted("absent", expect=("10.0.0.7",)), "conflict", id="removing something else"),
        pytest.param(Record(None), wanted("prepared"), "conflict", id="nothing to lower"),
        pytest.param(owned(rrset(), "else"), wanted(new=rrset("10.0.0.2"), owner=OWNER, expect=("10.0.0.1",)), "not_owner", id="another's"),
        pytest.param(
            owned(rrset(), "else"), wanted(new=rrset(), owner=OWNER), "not_owner", id="another's, even unchanged, when we claim it"
        ),
        pytest.param(owned(rrset(), "else"), wanted("absent"), "not_owner", id="another's, removed by nobody in particular"),
        pytest.param(owned(None, "else"), wanted(new=rrset(), owner=OWNER), "not_owner", id="another's that is absent now"),
        pytest.param(Record(rrset()), wanted(new=rrset("10.0.0.2"), owner=OWNER), "not_owner", id="nobody's, and not named"),
        pytest.param(Record(None, others=("CNAME",)), wanted(new=rrset()), "cname_conflict", id="A beside CNAME"),
        pytest.param(Record(rrset(), others=("TXT",)), wanted(new=rrset("x.", type="CNAME")), "cname_conflict", id="CNAME beside TXT"),
        pytest.param(
            Record(None),
            wanted(new=RRset("bowline.test.", "CNAME", 300, ("x.",)), key=Key("bowline.test.", "CNAME", "bowline.test.")),
            "apex_cname",
            id="CNAME at the apex",
        ),
        pytest.param(
            Record(rrset("10.0.0.1")), wanted(new=rrset("10.0.0.2"), max_changes=1), "too_many_changes", id="one removed, one added"
        ),
    ],
)
def test_refusals(before, want, code):
    with pytest.raises(FleetError) as failure:
        plan(before, want, NOW)
    assert failure.value.code == code
    assert failure.value.remedy
    assert code in FAILURES


@pytest.mark.parametrize(
    ("before", "want", "until"),
    [
        pytest.param(Record(rrset()), wanted("prepared"), NOW + 300, id="lowered now: the old ttl"),
        pytest.param(Record(rrset(ttl=60)), wanted("prepared"), NOW + 300, id="low for an unknown time: one full usual ttl"),
        pytest.param(owned(rrset(ttl=60), stale_until=NOW + 99), wanted("prepared", owner=OWNER), NOW + 99, id="low since a known time"),
        pytest.param(owned(rrset(ttl=60), stale_until=NOW - 99), wanted("prepared", owner=OWNER), NOW - 99, id="low for long"),
        pytest.param(
            owned(rrset(ttl=60), stale_until=NOW + 99), wanted(new=rrset("10.0.0.2"), owner=OWNER), NOW + 99, id="lowered too late"
        ),
        pytest.param(
            owned(rrset(ttl=60), stale_until=NOW - 99), wanted(new=rrset("10.0.0.2"), owner=OWNER), NOW + 60, id="lowered in time"
        ),
        pytest.param(Record(rrset(ttl=3600)), wanted("absent"), NOW + 3600, id="removed with a long ttl"),
        pytest.param(Record(None), wanted(new=rrset()), NOW, id="nothing that could be stale"),
    ],
)
def test_end_of_staleness(before, want, until):
    assert plan(before, want, NOW).stale_until == until


def test_times_of_the_ownership_record():
    lowered = plan(Record(rrset()), wanted("prepared", owner=OWNER, expect=("10.0.0.1",)), NOW).after
    assert lowered.ownership == Ownership(OWNER, lowered=NOW, stale_until=NOW + 300, ttl=300)
    moved = plan(lowered, wanted(new=rrset("10.0.0.2", ttl=60), owner=OWNER), NOW + 400).after
    assert moved.ownership == Ownership(OWNER, lowered=NOW, stale_until=NOW + 460, ttl=300)
    raised = plan(moved, wanted(new=rrset("10.0.0.2"), owner=OWNER), NOW + 1000).after
    assert raised.ownership == Ownership(OWNER, lowered=None, stale_until=NOW + 1060)


def test_the_ttl_comes_back_to_what_it_was():
    lowered = plan(Record(rrset(ttl=900)), wanted("prepared", owner=OWNER, expect=("10.0.0.1",)), NOW).after
    lowest = plan(lowered, wanted("prepared", owner=OWNER, ttl_during=30), NOW + 1).after
    moved = plan(lowest, wanted(new=rrset("10.0.0.2", ttl=300), keep_ttl=True, owner=OWNER), NOW + 900).after
    assert moved.rrset == rrset("10.0.0.2", ttl=30), "no other ttl was asked for"
    settled = plan(moved, wanted("settled", keep_ttl=True, owner=OWNER), NOW + 1000)
    assert settled.after.rrset == rrset("10.0.0.2", ttl=900)
    assert settled.after.ownership.ttl is None
    assert plan(settled.after, wanted("settled", keep_ttl=True, owner=OWNER), NOW + 1001).steps == ()


@pytest.mark.parametrize(
    ("ttl", "more", "after"),
    [
        pytest.param(60, {"keep_ttl": True}, 60, id="nobody recorded one: nothing is guessed"),
        pytest.param(60, {"ttl": 600}, 600, id="asked for"),
        pytest.param(900, {"ttl": 600}, 600, id="asked for, and lower"),
        pytest.param(900, {"keep_ttl": True}, 900, id="never lowered"),
    ],
)
def test_settled_without_a_recorded_ttl(ttl, more, after):
    assert plan(Record(rrset(ttl=ttl)), wanted("settled", **more), NOW).after.rrset == rrset(ttl=after)


def test_settled_needs_an_rrset():
    with pytest.raises(FleetError) as failure:
        plan(Record(None), wanted("settled"), NOW)
    assert failure.value.code == "conflict"


def test_nothing_is_prepared_for_a_move_that_was_made():
    done = Record(rrset("10.0.0.2", ttl=900))
    assert plan(done, wanted("prepared", goal=("10.0.0.2",), expect=("10.0.0.1",)), NOW).steps == ()
    assert plan(Record(rrset(ttl=900)), wanted("prepared", goal=("10.0.0.2",)), NOW).steps != ()


def test_a_wildcard_counts_as_what_caches_hold():
    shown = Record(None, wildcard=rrset(ttl=600), hides=("MX",))
    change = plan(shown, wanted(new=rrset("10.0.0.2"), expect=("10.0.0.1",)), NOW)
    assert change.stale_until == NOW + 600
    assert [(step.action, step.disruptive) for step in change.steps] == [("create", True)]
    assert "MX" in change.steps[0].reason
    assert plan(shown, wanted(new=rrset("10.0.0.2"), expect=()), NOW).steps == change.steps, "the name itself holds nothing"
