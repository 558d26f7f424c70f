# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ending the sessions that began before a fence was turned: they still have the old default."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from .postgres import Row, Server

# Sessions of a run of this module carry this name; they write markers under the fence and end by themselves.
_OWN = "bowline %"
# Programs that copy rows inside a window (engine dump) outlive a module that is killed.
COPIES = "bowline pg_cutover copy"


@dataclass
class Drained:
    """How the sessions ended: at once because idle, after their transaction, or by force."""

    idle: int = 0
    waited: int = 0
    terminated: int = 0


def now_on(server: Server) -> t.Any:
    """The clock of the server, to be read after the commit that turned the fence."""
    return server.admin.value("SELECT clock_timestamp()")


def end(server: Server, before: t.Any, grace: float, on_active: str, budget: float, *, confirm: bool = True) -> Drained:
    """End every client session of the database that began before ``before``.

    Idle ones end at once, the others get ``grace`` seconds to finish their transaction; then ``on_active`` decides: abort raises FleetError
    "active_transactions", terminate ends them. A session that is just starting has read its defaults already but is not listed yet
    (InitPostgres reads them before it reports itself); it holds a lock on the database until it is listed, so those are waited for.
    """
    drained = Drained()
    deadline = Deadline(grace)
    limit = Deadline(budget)
    starting = set(_starting(server))
    observed: dict[int, str] = {}
    gone_once = False
    while True:
        starting &= set(_starting(server))
        present = _present(server, before)
        force = deadline.expired() and on_active == "terminate"
        ended = [row["pid"] for row in present if row["idle"] or force]
        for row in present:
            observed.setdefault(row["pid"], "idle" if row["idle"] else "terminated" if force else "waited")
            if force and not row["idle"] and observed[row["pid"]] == "waited":
                observed[row["pid"]] = "terminated"
        if ended:
            server.admin.run("SELECT pg_terminate_backend(p) FROM unnest(%s::int[]) p", ended)
        if not present and not starting:
            # Once more, 20 ms later: nothing may have appeared in between.
            if gone_once or not confirm:
                break
            gone_once = True
            time.sleep(0.02)
            continue
        gone_once = False
        active = [row for row in present if not row["idle"]]
        if (active and deadline.expired() and on_active == "abort") or limit.expired():
            raise _active(server, active or present, grace)
        time.sleep(0.005)
    for how in observed.values():
        setattr(drained, how, getattr(drained, how) + 1)
    return drained


def end_now(server: Server, before: t.Any) -> int:
    """End all of them without asking: on a side that was closed they cannot have written, and a late one would only have to reconnect."""
    drained = end(server, before, 0.0, "terminate", 10, confirm=False)
    return drained.idle + drained.waited + drained.terminated


def end_idle(server: Server) -> None:
    """End what a given up window leaves: sessions that began under the fence would refuse to write as long as a pool keeps them.

    Their default cannot be read from outside. Older idle ones, which a window that ended before W2 leaves, only connect anew; a session
    inside a transaction is left alone.
    """
    server.admin.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' AND state = 'idle'"
        " AND application_name NOT LIKE %s",
        server.dbname,
        _OWN,
    )


def look(server: Server) -> int:
    """Ask what a window asks of one side about its sessions, and end none. How many questions that were."""
    now = now_on(server)
    _starting(server)
    _present(server, now)
    prepared(server)
    return 4


def end_copies(server: Server) -> None:
    """End what a dead run left copying: whoever calls this holds the run lock, so no living run copies."""
    server.admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", COPIES)


def long_ones(server: Server, seconds: float) -> list[str]:
    """Transactions that have written and are older than ``seconds``: a window would only wait for them and give up."""
    return [
        f"pid {row['pid']} ({row['application_name'] or row['usename']}, {row['age']:.0f} s)"
        for row in server.admin.rows(
            "SELECT pid, usename, application_name, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age"
            " FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' AND backend_xid IS NOT NULL"
            " AND xact_start < clock_timestamp() - %s * interval '1 second' AND application_name NOT LIKE %s ORDER BY pid",
            server.dbname,
            seconds,
            _OWN,
        )
    ]


def prepared(server: Server) -> list[str]:
    """Names of prepared transactions in the database; they outlive their session, so no fence ends them."""
    return [str(row["gid"]) for row in server.admin.rows("SELECT gid FROM pg_prepared_xacts WHERE database = %s", server.dbname)]


def _present(server: Server, before: t.Any) -> list[Row]:
    return server.admin.rows(
        "SELECT pid, coalesce(state = 'idle', false) AS idle, state, usename, application_name, client_addr::text AS address,"
        " extract(epoch FROM clock_timestamp() - coalesce(xact_start, backend_start))::float8 AS age"
        " FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' AND backend_start <= %s"
        " AND application_name NOT LIKE %s ORDER BY pid",
        server.dbname,
        before,
        _OWN,
    )


def _starting(server: Server) -> list[int]:
    return [
        int(row["pid"])
        for row in server.admin.rows(
            "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.objid LEFT JOIN pg_stat_activity a"
            " ON a.pid = l.pid WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND d.datname = %s"
            " AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()"
            " AND (a.pid IS NULL OR a.backend_type IS NULL OR a.backend_type = 'client backend')",
            server.dbname,
        )
    ]


def _active(server: Server, rows: t.Sequence[Row], grace: float) -> FleetError:
    listed = ", ".join(
        f"pid {row['pid']} ({row['application_name'] or row['usename']}, {row['age']:.1f} s, {row['state']})" for row in rows
    )
    return FleetError(
        "active_transactions",
        f"Sessions on {server.endpoint} were still busy after {grace:g} s: {listed}. The window was given up and writes are back.",
        remedy="End them, raise drain_grace, or set on_active: terminate.",
        details={"sessions": [dict(row) for row in rows]},
    )
