# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pair is like now, for results: the way back, its lag, and the prediction of the next window. Read only."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from . import freeze, pair
from .catalog import drift
from .model import FORWARD, REVERSE, Facts, Options
from .plan import serving
from .postgres import Server

# Measured on loopback with fsync on and four writers: beside round trips, a window waits 20 ms for late sessions, for the sessions that it
# ends, for four commits and for the apply worker. A command of the router is a process start.
_FIXED_MS = 80.0
_COMMAND_MS = 80.0
_TRIPS_SOURCE, _TRIPS_TARGET = 14, 24


def rollback(legacy: Server, new: Server, facts: Facts, found: str, *, thorough: bool = False) -> dict[str, t.Any]:
    """``{armed, guarantee, lag_ms, reason}``: whether the side that served before can serve again without losing a row.

    Armed means that no slow step is left: rows flow back (phase new; the slot for the time after is made in the switch) or will flow back
    (phase armed), without errors, and nobody can change the schema of one side alone. ``thorough`` compares the schemas, too.
    """
    answer = {"armed": False, "guarantee": "async", "lag_ms": None, "reason": ""}
    if found in ("new_only", "finished", "empty", "prepared", "seeding", "seeded"):
        reason = (
            "no pair exists"
            if found in ("empty", "prepared")
            else "nothing follows the new side"
            if serving(found) == "new"
            else "not armed yet"
        )
        return {**answer, "guarantee": "none" if serving(found) == "new" else "async", "reason": reason}
    if found not in ("armed", "new", "new_armed"):
        return {**answer, "reason": f"the phase is {found}; run the same state again"}
    if found == "armed" and not facts.forward.subscription:
        frozen = freeze.is_on(legacy.db)
        return {**answer, "armed": frozen, "reason": "" if frozen else "the DDL freeze is off"}
    open_side, follower, name = (legacy, new, FORWARD) if found == "armed" else (new, legacy, REVERSE)
    behind = pair.lag(open_side, name)
    answer["lag_ms"] = behind["ms"] if behind else None
    reasons = []
    if behind is None:
        reasons.append(f"the {follower.side} server is not connected")
    if not freeze.is_on(open_side.db):
        reasons.append("the DDL freeze is off")
    if thorough:
        different = drift(legacy, new)
        if different:
            reasons.append(f"the schemas differ: {', '.join(different[:5])}")
    return {**answer, "armed": not reasons, "reason": "; ".join(reasons)}


def predicted_window_ms(options: Options, source: Server, target: Server) -> float:
    """What the next window will take, by the round trips of now; reads only."""
    commands = (
        len(options.router.route) + len(options.router.warmup) + len(options.router.resume) if options.router.type == "command" else 0
    )
    trips = source.round_trip() * _TRIPS_SOURCE + target.round_trip() * _TRIPS_TARGET
    return round(_FIXED_MS + trips * 1000 + commands * _COMMAND_MS, 1)


def described(facts: Facts) -> dict[str, t.Any]:
    """The facts as a result shows them."""
    return {
        side: {
            "exists": part.exists,
            "fenced": part.fenced,
            "epoch": part.epoch or None,
            "stage": part.stage or None,
            "helper": part.helper,
            "publishes": part.publishes,
        }
        for side, part in (("legacy", facts.legacy), ("new", facts.new))
    } | {
        name: {
            "publication": part.publication,
            "slot": part.slot or None,
            "subscription": part.subscription or None,
            "pending": part.pending,
        }
        for name, part in (("forward", facts.forward), ("reverse", facts.reverse))
    }


def unreadable(error: FleetError) -> dict[str, t.Any]:
    return error.as_failure()
