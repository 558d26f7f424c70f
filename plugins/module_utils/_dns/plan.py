# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding: from the record that is there to the one that is wanted. Pure; the order of refusals is the order of the functions."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._core.errors import FleetError
from .._core.result import Step
from .model import Ownership, Record, RRset, Wanted, with_ttl


@dataclass(frozen=True)
class Change:
    """``steps`` lead from ``before`` to ``after`` in one message; none when they are equal.

    ``stale_until`` is the Unix second at which the last cache that keeps to the TTL has forgotten every earlier form of the RRset.
    """

    before: Record
    after: Record
    steps: tuple[Step, ...]
    stale_until: int


def plan(before: Record, wanted: Wanted, now: int) -> Change:
    """The change from ``before`` to what is ``wanted``. A record that needs no change is never refused for what was expected before.

    Raises FleetError apex_cname, conflict, not_owner, cname_conflict or too_many_changes; nothing is ever planned in part.
    """
    if wanted.state == "released" and before.ownership and before.ownership.owner != wanted.owner:
        # Nothing here is ours, so there is nothing to take away.
        return Change(before, before, (), _stale_until(before, wanted, now, changes=False))
    rrset = _rrset(before, wanted)
    _refuse_foreign(before, rrset, wanted)
    if rrset != before.rrset:
        _refuse_unexpected(before, rrset, wanted)
        _refuse_cname(before, rrset, wanted)
        _refuse_many(before, rrset, wanted)
    stale_until = _stale_until(before, wanted, now, changes=rrset != before.rrset)
    after = Record(rrset, _ownership(before, rrset, wanted, now, stale_until))
    return Change(before, after, _steps(before, after, wanted), stale_until)


def _rrset(before: Record, wanted: Wanted) -> RRset | None:
    shown = before.shown
    if wanted.state not in ("prepared", "settled", "released"):
        return with_ttl(wanted.rrset, shown.ttl) if wanted.rrset and shown and wanted.keep_ttl else wanted.rrset
    if shown is None:
        if wanted.state == "released" or (wanted.state == "prepared" and wanted.expect == ()):
            return None
        raise FleetError(
            "conflict",
            f"{wanted.key.name} {wanted.key.type} does not exist, so its TTL cannot be changed.",
            remedy="Correct name, type or zone; or say expect_current: absent when the RRset is to be created later.",
            details={"expected": "some values", "seen": "absent"},
        )
    if wanted.state == "released" and before.ownership and before.ownership.made:
        return None
    if wanted.state in ("settled", "released"):
        return before.rrset and with_ttl(before.rrset, _settled(before.rrset, before.ownership, wanted))
    if shown.values == wanted.goal:
        # It has been moved already: there is nothing left to prepare for.
        return before.rrset
    # A TTL that is already lower serves the purpose; raising it would not. What a wildcard shows gets a record of its own.
    return with_ttl(shown, min(shown.ttl, wanted.ttl_during))


def _settled(rrset: RRset, own: Ownership | None, wanted: Wanted) -> int:
    """The TTL that was asked for; else the one before it was lowered, if that was recorded. Nothing is guessed."""
    if not wanted.keep_ttl:
        return wanted.ttl
    return max(rrset.ttl, own.ttl or 0) if own else rrset.ttl


def _refuse_foreign(before: Record, rrset: RRset | None, wanted: Wanted) -> None:
    name, now_owner = f"{wanted.key.name} {wanted.key.type}", before.ownership.owner if before.ownership else None
    if now_owner is not None and now_owner != wanted.owner and (wanted.owner or rrset != before.rrset):
        raise FleetError(
            "not_owner",
            f"{name} is owned by {now_owner}, as {wanted.key.owner_name} says; "
            f"this run acts for {wanted.owner or 'nobody'}. Nothing was changed.",
            remedy=f"Let {now_owner} change it, or give owner: {now_owner} if that is you.",
            details={"owner": now_owner, "acting_for": wanted.owner},
        )
    if wanted.owner and now_owner is None and before.rrset is not None and wanted.expect is None and rrset != before.rrset:
        raise FleetError(
            "not_owner",
            f"{name} exists ({before.rrset}) and has no owner. Nothing was changed.",
            remedy=f"Name what is there to adopt it for {wanted.owner}: expect_current: [{', '.join(before.rrset.values)}].",
            details={"owner": None, "acting_for": wanted.owner},
        )


def _refuse_unexpected(before: Record, rrset: RRset | None, wanted: Wanted) -> None:
    seen = before.shown.values if before.shown else ()
    goal = rrset.values if rrset else ()
    # Only the TTL differs from the goal: an earlier run already replaced what was expected.
    arrived = wanted.state != "prepared" and seen == goal
    # A name of which only a wildcard speaks holds nothing itself: both are true.
    absent = wanted.expect == () and before.rrset is None
    if wanted.expect is None or seen == wanted.expect or arrived or absent:
        return
    raise conflict(wanted.key.name, wanted.key.type, wanted.expect, seen)


def conflict(name: str, rtype: str, expected: t.Sequence[str], seen: t.Sequence[str], why: str = "") -> FleetError:
    """The failure for a record that is not what it was taken for."""
    sides = {"expected": list(expected) or "absent", "seen": list(seen) or "absent"}
    return FleetError(
        "conflict",
        f"{name} {rtype} is {', '.join(seen) or 'absent'}; expected {', '.join(expected) or 'absent'}. {why}Nothing was changed.",
        remedy="Find out who changed it; then set expect_current to what is there now, or change it back.",
        details=sides,
    )


def _refuse_cname(before: Record, rrset: RRset | None, wanted: Wanted) -> None:
    if rrset is None:
        return
    if rrset.type == "CNAME" and rrset.name == wanted.key.zone:
        raise FleetError("apex_cname", f"{rrset.name} is the apex of its zone and cannot be a CNAME.", remedy="Use A and AAAA records.")
    if before.others:
        raise FleetError(
            "cname_conflict",
            f"{rrset.name} has records of type {', '.join(before.others)}; {rrset.type} cannot stand beside them. Nothing was changed.",
            remedy=f"Remove {', '.join(before.others)} of {rrset.name} first.",
            details={"types": list(before.others)},
        )


def _refuse_many(before: Record, rrset: RRset | None, wanted: Wanted) -> None:
    old, new = set(before.rrset.values if before.rrset else ()), set(rrset.values if rrset else ())
    changes = len(old ^ new)
    if changes > wanted.max_changes:
        raise FleetError(
            "too_many_changes",
            f"{wanted.key.name} {wanted.key.type}: {len(new - old)} values would be added and {len(old - new)} removed; "
            f"max_changes is {wanted.max_changes}. Nothing was changed.",
            remedy=f"Check the values; if they are right, set max_changes: {changes}.",
            details={"added": sorted(new - old), "removed": sorted(old - new)},
        )


def _stale_until(before: Record, wanted: Wanted, now: int, *, changes: bool) -> int:
    known = before.ownership.stale_until if before.ownership else None
    if before.rrset is None:
        return max(known or 0, now + (before.wildcard.ttl if before.wildcard and changes else 0))
    if known is not None:
        return max(known, now + before.rrset.ttl) if changes else known
    # A low TTL of unknown age may just have been lowered: caches can hold the RRset for as long as its usual TTL.
    usual = wanted.ttl if before.rrset.ttl <= wanted.ttl_during else 0
    return now + max(before.rrset.ttl, usual)


def _ownership(before: Record, rrset: RRset | None, wanted: Wanted, now: int, stale_until: int) -> Ownership | None:
    if rrset is None or wanted.disown:
        return None
    if not wanted.owner:
        return before.ownership
    own = before.ownership or Ownership(wanted.owner, stale_until=stale_until, made=before.rrset is None and before.wildcard is not None)
    if before.shown is None or rrset == before.rrset:
        return own
    old = before.shown.ttl
    lowered = now if rrset.ttl < old else None if rrset.ttl > old else own.lowered
    return replace(own, lowered=lowered, stale_until=stale_until, ttl=_usual(old, rrset.ttl, own, wanted))


def _usual(old: int, new: int, own: Ownership, wanted: Wanted) -> int | None:
    """The TTL to come back to: of before the first lowering, until it is reached again."""
    usual = own.ttl or (old if wanted.state == "prepared" and new < old else None)
    return None if usual is None or new >= usual else usual


def _steps(before: Record, after: Record, wanted: Wanted) -> tuple[Step, ...]:
    old, new, name = before.rrset, after.rrset, f"{wanted.key.name} {wanted.key.type}"
    steps = []
    if old is None and new is not None:
        shows = f"; a wildcard shows {before.wildcard} for it" if before.wildcard else ""
        hides = f"; {', '.join(before.hides)} of a wildcard will not show for it any more" if before.hides else ""
        steps.append(Step("create", f"{name} does not exist{shows}; it becomes {new}{hides}", disruptive=bool(before.hides)))
    elif old is not None and new is None:
        steps.append(Step("remove", f"{name} is {old}", disruptive=True))
    elif old is not None and new is not None:
        if old.values != new.values:
            steps.append(Step("replace", f"{name}: {', '.join(old.values)} becomes {', '.join(new.values)}", disruptive=True))
        if old.ttl != new.ttl:
            steps.append(Step("set_ttl", f"{name}: ttl {old.ttl} becomes {new.ttl}"))
        if old.proxied != new.proxied:
            steps.append(Step("set_proxied", f"{name}: proxied {old.proxied} becomes {new.proxied}", disruptive=True))
    if before.ownership is None and after.ownership is not None:
        steps.append(Step("own", f"{after.ownership.owner} is recorded as owner of {name}"))
    if before.ownership is not None and after.ownership is None:
        steps.append(Step("disown", f"{before.ownership.owner} no longer owns {name}"))
    return tuple(steps)
