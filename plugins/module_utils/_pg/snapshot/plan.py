# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of pg_snapshot does and refuses, from what is there. Pure."""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.result import Step

DAY = 86400.0
RETENTION, FLOOR = 90 * DAY, 30 * DAY
# A copy counts when the same play has just read it, not when somebody once did.
FRESH = 3600.0


def present(age: float | None, max_age: float, partials: t.Collection[str], able: bool) -> tuple[Step, ...]:
    """``age`` in seconds of the newest snapshot that is there, None for none; ``able`` when a server to take one from is named.

    Raises FleetError "evidence_missing" when a snapshot has to be there and is not.
    """
    left = [Step("sweep", f"an interrupted run left {name}") for name in sorted(partials)]
    if age is not None and (age <= max_age or not able):
        return tuple(left)
    if not able:
        raise FleetError(
            "evidence_missing",
            "The snapshot does not exist here, and no source is named to take one from. Nothing was changed.",
            remedy="Name source for a live one (kind before); kind switch is taken by pg_cutover with its option snapshot.",
        )
    return (*left, Step("dump", "there is none" if age is None else f"the newest is {age:.0f} s old, max_age is {max_age:.0f} s"))


def tested(tested_age: float | None, max_age: float) -> tuple[Step, ...]:
    """``tested_age`` in seconds since the newest restore of exactly these files."""
    if tested_age is not None and tested_age <= max_age:
        return ()
    reason = "it was never restored" if tested_age is None else f"the last test is {tested_age:.0f} s old, max_age is {max_age:.0f} s"
    return (Step("test", reason),)


def absent(name: str | None, age: float, retention: float, good: bool, others: t.Sequence[str]) -> tuple[Step, ...]:
    """``name`` is None when it is gone already; ``good`` when its sums hold; ``others`` are proven copies elsewhere.

    Raises FleetError "retained" or "only_copy".
    """
    if name is None:
        return ()
    if age < retention:
        raise FleetError(
            "retained",
            f"Snapshot {name} is {age / DAY:.1f} days old and is kept for {retention / DAY:.1f}. Nothing was changed.",
            remedy=f"Wait {(retention - age) / DAY:.1f} days, or lower retention ({FLOOR:.0f} s at least).",
            details={"name": name, "age": age, "retention": retention},
        )
    if good and not others:
        raise FleetError(
            "only_copy",
            f"Snapshot {name} has no other copy that was proven good. Nothing was changed.",
            remedy="Run state present for the same name on a host with another copy, and pass its result's snapshot in elsewhere.",
            details={"name": name},
        )
    return (Step("remove", f"older than retention; {len(others)} other copies" if good else "older than retention and damaged"),)


def copies(
    sums: t.Mapping[str, str], here: tuple[str, str], elsewhere: t.Sequence[t.Mapping[str, t.Any]], now: float
) -> list[str]:
    """``host:directory`` of each entry of ``elsewhere`` that is another place where the same files were read less than `FRESH` ago."""
    found = {
        f"{entry.get('host')}:{entry.get('directory')}"
        for entry in elsewhere
        if entry.get("sums") == dict(sums)
        and (entry.get("host"), entry.get("directory")) != here
        and abs(now - float(entry.get("checked_at") or 0)) < FRESH
    }
    return sorted(found)


def restored(wanted: str, exists: bool, empty: bool, settings: t.Mapping[str, str], fenced: bool) -> tuple[Step, ...]:
    """``settings`` of the target database; ``wanted`` is what pgcut.restored says of a whole restore of exactly this dump.

    Raises FleetError "conflict" for a database that holds something else.
    """
    is_fenced = settings.get("default_transaction_read_only") == "on"
    opening = () if fenced else (Step("open", "it shall take writes", disruptive=True),)
    if exists and settings.get("pgcut.restored") == wanted:
        return opening if is_fenced else ()
    if exists and settings.get("pgcut.stage") == "restoring":
        return (Step("restore", "an interrupted run left it half made; it is made anew"), *opening)
    if exists and not empty:
        raise FleetError(
            "conflict",
            "The target database exists and holds something else than this dump. Nothing was changed.",
            remedy="Name another target.dbname, or drop that database if it is not needed.",
            details={"restored": settings.get("pgcut.restored")},
        )
    return (Step("restore", "the database is empty" if exists else "there is no such database"), *opening)
