# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fence and epoch of one side: two settings of the database that are always turned in one transaction, compared first.

The fence is ``default_transaction_read_only`` on the database; replication works under it. The epoch says which switch turned it last and
how that ended. Both survive a crash of the server, need no table, and can be read without connecting to the database.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import typing as t

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..model import Endpoint
from .postgres import Server, Session, block, ident, literal

STALE = "PGC01"
CLOSED = "pgcut.closed"
# The databases of a cluster but those that initdb makes to copy from; an application's own may be a template as well (IS_TEMPLATE).
NO_TEMPLATE = "datname NOT IN ('template0', 'template1')"
_ON = ("on", "true", "yes", "1")


def key(dbname: str, purpose: str) -> int:
    """The advisory lock of ``purpose`` for this database, equal on both servers."""
    return int.from_bytes(hashlib.sha256(f"bowline {purpose} {dbname}".encode()).digest()[:8], "big", signed=True)


def new_epoch() -> str:
    """A name that no other switch has; later ones sort later."""
    return f"{int(time.time() * 1000)}-{secrets.token_hex(3)}"


def settings_of(session: Session, dbname: str) -> dict[str, str] | None:
    """Settings of the database itself (not of accounts in it); None when there is no such database."""
    found = session.rows(
        "SELECT s.setconfig FROM pg_database d LEFT JOIN pg_db_role_setting s"
        " ON s.setdatabase = d.oid AND s.setrole = 0 WHERE d.datname = %s",
        dbname,
    )
    if not found:
        return None
    return dict(entry.split("=", 1) for entry in found[0]["setconfig"] or [])


def is_fenced(settings: t.Mapping[str, str]) -> bool:
    return settings.get("default_transaction_read_only", "off").lower() in _ON


def turn_text(dbname: str, epoch: str, fenced: bool, expect: str | None = None, *, cluster: bool = False) -> str:
    """One transaction that sets epoch and fence; with ``expect`` only if that is the epoch now.

    ``whole``: of every database of the cluster. Those that are read-only for reasons of their own are left alone: only those that carry our
    epoch are opened, and only ``dbname`` keeps it afterwards. ALTER DATABASE … SET takes no lock that would order two of them, hence the
    advisory lock around compare and set.
    """
    compare = ""
    if expect is not None:
        compare = (
            "IF seen IS DISTINCT FROM " + literal(expect) + " THEN RAISE EXCEPTION USING ERRCODE = '" + STALE + "',"
            " MESSAGE = 'epoch is ' || coalesce(seen, 'unset'); END IF;"
        )
    body = (
        "DECLARE one record; seen text := (SELECT split_part(c, '=', 2) FROM pg_database d"
        " JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0, unnest(s.setconfig) c"
        f" WHERE d.datname = {literal(dbname)} AND c LIKE 'pgcut.epoch=%'); BEGIN {compare}"
        f" {_every_database(dbname, epoch, fenced) if cluster else _one_database(dbname, epoch, fenced)} END"
    )
    return f"SELECT pg_advisory_xact_lock({key(dbname, 'epoch')}); {block(body)}"


def _one_database(dbname: str, epoch: str, fenced: bool) -> str:
    """`CLOSED` is for `barrier`: what a session has of it says, without a look at the catalog, whether it began behind the fence."""
    change = "SET {} = 'on'" if fenced else "RESET {}"
    changes = (f"SET pgcut.epoch = {literal(epoch)}", change.format("default_transaction_read_only"), change.format(CLOSED))
    return " ".join(f"ALTER DATABASE {ident(dbname)} {one};" for one in changes)


def _every_database(dbname: str, epoch: str, fenced: bool) -> str:
    which = f"d.datname = {literal(dbname)} OR coalesce(s.setconfig::text, '') LIKE '%pgcut.epoch=%'"
    change = "EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', one.datname);"
    change += f" IF one.datname <> {literal(dbname)} THEN EXECUTE format('ALTER DATABASE %I RESET pgcut.epoch', one.datname); END IF;"
    if fenced:
        which += " OR coalesce(s.setconfig::text, '') NOT LIKE '%default\\_transaction\\_read\\_only=%'"
        change = "EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = ''on''', one.datname);"
    return (
        "FOR one IN SELECT d.datname FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0"
        f" WHERE d.datallowconn AND {NO_TEMPLATE} AND ({which}) ORDER BY d.datname LOOP"
        f" EXECUTE format('ALTER DATABASE %I SET pgcut.epoch = %L', one.datname, {literal(epoch)}); {change} END LOOP;"
    )


def turn(session: Session, dbname: str, epoch: str, fenced: bool, expect: str | None = None, *, cluster: bool = False) -> bool:
    """Set epoch and fence durably; False, and nothing written, when the epoch is not ``expect``."""
    try:
        session.run(turn_text(dbname, epoch, fenced, expect, cluster=cluster))
    except FleetError as error:
        if error.details.get("sqlstate") == STALE:
            return False
        raise
    return True


def served(settings: t.Mapping[str, str]) -> bool:
    """Whether the clients were already brought to the side that its last switch opened; then its sessions are good ones."""
    epoch = settings.get("pgcut.epoch", "")
    return epoch.endswith(":commit") and settings.get("pgcut.served", "") == epoch.rsplit(":", 1)[0]


def say_served(session: Session, dbname: str, epoch: str) -> None:
    session.run(f"ALTER DATABASE {ident(dbname)} SET pgcut.served = {literal(epoch)}")


def holder(session: Session, dbname: str) -> dict[str, t.Any] | None:
    """Who holds the run lock on this server: pid, application and age in seconds; None when nobody does."""
    found = session.rows(
        "SELECT a.pid, a.application_name, a.client_addr::text AS address,"
        " extract(epoch FROM clock_timestamp() - a.backend_start)::float8 AS age"
        " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND (l.classid::bigint << 32 | l.objid::bigint) = %s AND a.pid <> pg_backend_pid()",
        key(dbname, "run"),
    )
    return found[0] if found else None


def try_lock(session: Session, dbname: str) -> bool:
    return bool(session.value("SELECT pg_try_advisory_lock(%s)", key(dbname, "run")))


def unlock(session: Session, dbname: str) -> None:
    session.run("SELECT pg_advisory_unlock(%s)", key(dbname, "run"))


def lock_run(servers: t.Sequence[Server], seconds: float) -> None:
    """Take the run lock on every server, in the given order. Raises FleetError "locked" with the holder at the end of ``seconds``."""
    deadline = Deadline(seconds)
    for server in servers:
        while not try_lock(server.admin, server.dbname):
            if deadline.expired():
                raise _locked(server.endpoint, server.dbname, holder(server.admin, server.dbname))
            deadline.pause(0.1)


def _locked(endpoint: Endpoint, dbname: str, found: dict[str, t.Any] | None) -> FleetError:
    owner, end = "a session that has just ended", ""
    if found:
        owner = f"{found['application_name']} (pid {found['pid']} from {found['address'] or 'a socket of its host'}, {found['age']:.0f} s old)"
        end = f" If it hangs, end its session there: SELECT pg_terminate_backend({found['pid']})."
    return FleetError(
        "locked",
        f"Another run works on database {dbname} at {endpoint}: {owner}. Nothing was changed.",
        remedy=f"Wait for it; the next run reads the facts and continues.{end}",
        details={"holder": found, "age": found["age"] if found else None},
    )
