# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts that no step leads out of: what both sides say, how old that is, and the statements that somebody may choose between."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict, dataclass

from .._core.errors import FleetError
from . import plan, status
from .model import SIDES, Facts
from .server import fence
from .server.postgres import Server, ident, literal


@dataclass(frozen=True)
class Side:
    """``epoch_age`` is the seconds since the switch that turned this side last began; ``marker`` the newest one that it has."""

    exists: bool
    open: bool
    epoch: t.Optional[str]
    epoch_age: t.Optional[float]
    marker: t.Optional[t.Dict[str, t.Any]]

    def sentence(self, name: str) -> str:
        if not self.exists:
            return f"{name} has no such database"
        epoch = f"turned last by {self.epoch} {self.epoch_age:.0f} s ago" if self.epoch_age is not None else "never turned by a switch"
        marker = f"newest marker {self.marker['epoch']} of {self.marker['at']}" if self.marker else "no marker"
        return f"{name} is {'open' if self.open else 'closed'}, {epoch}, {marker}"


def failure(legacy: Server, new: Server, observed: Facts, found: str) -> FleetError:
    """`plan.hopeless` with what was seen. Reads only."""
    servers = {"legacy": legacy, "new": new}
    sides = {name: look(servers[name], observed) for name in SIDES}
    base = plan.hopeless(found)
    statements = {name: {"close": close_text(server.dbname), "open": open_text(server.dbname)} for name, server in servers.items()}
    return FleetError(
        found,
        f"{base.message} {'; '.join(side.sentence(name) for name, side in sides.items())}.",
        remedy=_remedy(found, sides, statements) or base.remedy,
        details={
            "facts": status.described(observed),
            "sides": {name: asdict(side) for name, side in sides.items()},
            "older": _older(sides),
            "statements": statements,
        },
    )


def look(server: Server, observed: Facts) -> Side:
    facts = observed.side(server.side)
    if not facts.exists:
        return Side(False, False, None, None, None)
    newest = []
    if facts.helper:
        newest = server.db.rows("SELECT epoch, at::text AS at FROM pgcut.marker WHERE epoch <> '' ORDER BY pgcut.marker.at DESC LIMIT 1")
    begun = facts.epoch.partition("-")[0]
    age = round(time.time() - int(begun) / 1000, 1) if begun.isdigit() else None
    return Side(True, not facts.fenced, facts.epoch or None, age, dict(newest[0]) if newest else None)


def close_text(dbname: str) -> str:
    """For psql, as a superuser in the database postgres: no new session writes, and those that are there end."""
    return (
        f"ALTER DATABASE {ident(dbname)} SET default_transaction_read_only = on; ALTER DATABASE {ident(dbname)} SET {fence.CLOSED} = on;"
        f" SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {literal(dbname)} AND backend_type = 'client backend'"
        " AND pid <> pg_backend_pid();"
    )


def open_text(dbname: str) -> str:
    return f"ALTER DATABASE {ident(dbname)} RESET default_transaction_read_only;"


def _older(sides: t.Mapping[str, Side]) -> t.Optional[str]:
    """The side that was turned first; None when one of them never was."""
    ages = {name: side.epoch_age for name, side in sides.items()}
    known = {name: age for name, age in ages.items() if age is not None}
    return max(known, key=lambda name: known[name]) if len(known) == len(ages) and len(set(known.values())) == len(known) else None


def _remedy(found: str, sides: t.Mapping[str, Side], statements: t.Mapping[str, t.Mapping[str, str]]) -> str:
    if found == "split_brain":
        return (
            "Compare what both hold, decide, and close the other one, as a superuser in its database postgres; then run again."
            f" Legacy is to serve, so on new: {statements['new']['close']} New is to serve, so on legacy: {statements['legacy']['close']}"
        )
    legacy, new = sides["legacy"], sides["new"]
    if found != "inconsistent":
        return ""
    if legacy.open:
        return "Run state: absent, which takes away what is left on legacy; then begin again."
    if new.open:
        return "New serves, and nothing follows it. To close it, keep its rows there and open legacy without them: state: legacy with accept_loss: true."
    return (
        "Both sides are closed. Compare what both hold, decide, and open one, as a superuser in its database postgres; then run again."
        f" Legacy is to serve, so there: {statements['legacy']['open']}"
        + (f" New is to serve, so there: {statements['new']['open']}" if new.exists else "")
    )
