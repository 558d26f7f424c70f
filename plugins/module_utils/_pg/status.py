# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pair is like now, for results: the way back, its lag, and the prediction of the next window. Read only."""

from __future__ import annotations

import time
import typing as t

from .._core.errors import FleetError
from .model import FORWARD, MAINTENANCE, REVERSE, Facts, Options
from .plan import ABANDONED, ABANDONED_FENCED, serving
from .replication import pair, sync
from .routers.clients import Clients
from .server import freeze, sessions
from .server.catalog import drift
from .server.postgres import Server
from .window.carry import Carrier

# What a window takes beside its statements: 20 ms until W2 has looked twice, the flushes of three commits (W3, W6, W7), the end of sessions
# in W2 and W8, and the apply worker's turn. On loopback with fsync on, idle and with eight writers, it is 25 to 45 ms.
_FIXED_MS = 35.0
# Statements one after the other: W2 looks three times, W3 is one, on the target W4 is half a trip for the row and one for the question, W6
# and W7 are two each, W8 looks once.
_STATEMENTS_SOURCE, _STATEMENTS_TARGET = 13, 9.5
# Two more on each side for its frozen snapshot.
_STATEMENTS_FREEZE = 2
_SAMPLES = 3


def rollback(legacy: Server, new: Server, facts: Facts, found: str, *, thorough: bool = False) -> dict[str, t.Any]:
    """``{armed, guarantee, lag_ms, reason}``: whether the side that served before can serve again without losing a row.

    Armed means that no slow step is left: rows flow back (phase new; the slot for the time after is made in the switch) or will flow back
    (phase armed), without errors, and nobody can change the schema of one side alone. ``thorough`` compares the schemas, too.
    """
    answer = {"armed": False, "guarantee": "async", "lag_ms": None, "reason": ""}
    if found in ("new_only", "finished", "empty", "prepared", "seeding", "seeded", ABANDONED, ABANDONED_FENCED):
        reason = (
            "no pair exists"
            if found in ("empty", "prepared", ABANDONED, ABANDONED_FENCED)
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
    if open_side is new and sync.read(legacy, new).holds:
        answer["guarantee"] = "sync"
    behind = pair.lag(open_side, name)
    answer["lag_ms"] = behind["ms"] if behind else None
    reasons = []
    if behind is None:
        reasons.append(f"the {follower.side} server is not connected")
    pending = (facts.forward if found == "armed" else facts.reverse).pending
    if pending:
        reasons.append(f"{pending} tables are not in step; run state armed")
    if not freeze.is_on(open_side.db):
        reasons.append("the DDL freeze is off")
    if thorough:
        different = drift(legacy, new)
        if different:
            reasons.append(f"the schemas differ: {', '.join(different[:5])}")
    return {**answer, "armed": not reasons, "reason": "; ".join(reasons)}


def predicted_window_ms(options: Options, clients: Clients, direction: pair.Direction, *, copied: bool) -> float:
    """What the window of a switch along ``road`` will take: its statements, the reads of W5 and the router, timed now. Reads only.

    A router that waits for an answer of the application waits for a new session of it, too: W8 ends those that it had on the target.

    The database is on the target only once it is ``copied``; before, W5 is taken to be one statement on each side.
    """
    freezing = 0 if options.verify == "none" else _STATEMENTS_FREEZE
    source, target = _statement_ms(direction.source), _statement_ms(direction.target)
    reads = source + target
    if copied:
        carrier = Carrier(direction)
        started = time.monotonic()
        carrier.look()
        reads = (time.monotonic() - started) * 1000
    statements = source * (_STATEMENTS_SOURCE + freezing) + target * (_STATEMENTS_TARGET + freezing)
    answer = clients.inside_ms(direction.target.side)
    if answer and clients.asks:
        answer += _session_ms(direction.target)
    return round(_FIXED_MS + statements + reads + answer, 1)


def _session_ms(server: Server) -> float:
    started = time.monotonic()
    server.fresh(MAINTENANCE).close()
    return (time.monotonic() - started) * 1000


def _statement_ms(server: Server) -> float:
    """The mean, not the best: a window has no better moments than the machine has."""
    server.admin.run("SELECT 1")
    started = time.monotonic()
    asked = sum(sessions.look(server) for _sample in range(_SAMPLES))
    return (time.monotonic() - started) * 1000 / asked


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
