# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One direction of replication: making it (A1 to A3), taking it away (F1 to F4), proving that it is in step.

A `Direction` is a switch seen from its source: ``ahead`` is the pair that brings rows to the target, ``back`` the one that brings them home
afterwards. Both directions run through the same code with the sides exchanged.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.wait import Deadline
from ..model import FORWARD, REVERSE, Link
from ..server import catalog
from ..server.postgres import Server, ident, literal
from . import reading, reasons

# Rows of pgcut.marker. All four exist before the copy and are only updated later, so they never conflict.
PING_FORWARD, PING_REVERSE, WINDOW, LATE = 1, 2, 3, 4


@dataclass(frozen=True)
class Direction:
    """A switch from ``source`` to ``target``. ``returns`` is false when the target cannot publish, so that the source cannot follow it."""

    source: Server
    target: Server
    ahead: str
    back: str
    returns: bool = True

    @property
    def ping_row(self) -> int:
        return PING_FORWARD if self.ahead == FORWARD else PING_REVERSE


def direction(legacy: Server, new: Server, to: str) -> Direction:
    """The switch after which side ``to`` serves."""
    return Direction(legacy, new, FORWARD, REVERSE) if to == "new" else Direction(new, legacy, REVERSE, FORWARD)


def conninfo(link: Link, to: Server, name: str, dbname: str = "") -> str:
    """How a server's own process reaches ``to``. The password stands in the passfile, never here."""
    reach = link.reach[to.side]
    words = {
        "host": reach.host,
        "port": str(reach.port),
        "user": link.user,
        "dbname": dbname or to.dbname,
        "passfile": reach.passfile,
        "sslmode": link.sslmode,
        "sslrootcert": reach.sslrootcert,
        "application_name": name,
        "connect_timeout": "5",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
    }
    return " ".join(f"{word}='{_escaped(value)}'" for word, value in words.items() if value)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def try_link(follower: Server, source: Server, link: Link) -> None:
    """Prove that the process of ``follower`` reaches ``source``: a subscription in a transaction that is rolled back.

    It needs no publication: a missing one is a warning since PostgreSQL 15 and not looked at before. Neither database has to exist yet; it is
    the one that is tried when it does, because its rights are its own.
    Raises FleetError "link_auth" or "link_unreachable". Writes dead rows into the catalog, so it has no place in check mode.
    """
    session = follower.admin
    exists = source.admin.rows("SELECT 1 FROM pg_database WHERE datname = %s AND datallowconn", source.dbname)
    there = source.dbname if exists else source.admin.dbname
    create = (
        f"CREATE SUBSCRIPTION pgcut_try CONNECTION {literal(conninfo(link, source, 'pgcut_try', there))} PUBLICATION pgcut_try"
        " WITH (connect = true, create_slot = false, enabled = false, slot_name = NONE, copy_data = false)"
    )
    session.run("BEGIN")
    try:
        session.run(create)
    except FleetError as error:
        raise link_failure(follower, source, link, error) from error
    finally:
        if not session.closed:
            session.run("ROLLBACK")


def hba_line(link: Link, database: str, follower: str) -> str:
    """The line of pg_hba.conf that lets the link in; a line of type hostssl is for connections with TLS only."""
    kind = "hostssl" if link.sslmode in ("require", "verify-ca", "verify-full") else "host"
    return f"{kind} {database} {link.user} <address of {follower}> scram-sha-256"


def before_the_account(attempt: t.Callable[[], None]) -> None:
    """Run ``attempt`` to reach a server whose account may not be there yet. Raises what it would be refused for then as well.

    With sslmode prefer there are two reasons in one failure.
    """
    words, cured = ("pg_hba.conf", "no password supplied"), ("password authentication failed", 'role "', "permission denied for database")
    try:
        attempt()
    except FleetError as error:
        lasting = any(word in error.message for word in words) and not any(word in error.message for word in cured)
        if error.code != "link_auth" or lasting:
            raise FleetError(error.code, f"{error.message} Nothing was written on legacy.", remedy=error.remedy, details=error.details) from error


def link_failure(follower: Server, source: Server, link: Link, error: FleetError) -> FleetError:
    """The failure of a connection that a server opened, in words of this cutover."""
    if error.details.get("sqlstate", "")[:2] not in ("08", ""):
        return error
    reach = link.reach[source.side]
    refused = any(word in error.message for word in ("authentication", "no password supplied", "pg_hba.conf", 'role "'))
    if "permission denied for database" in error.message:
        return FleetError(
            "link_auth",
            f"The link's account {link.user} may not connect to database {source.dbname} on {source.side}: {error.message}",
            remedy=f"On {source.side}: GRANT CONNECT ON DATABASE {ident(source.dbname)} TO {ident(link.user)};",
            details={"from": follower.side, "to": source.side, **error.details},
        )
    where = f"The {follower.side} server cannot reach {source.side} at {reach.host}:{reach.port} as {link.user}"
    remedy = (
        f"Check link.to_{source.side}.passfile on the {follower.side} server (mode 0600, owned by its process) and this line of "
        f"pg_hba.conf on {source.side}, above those that refuse it: {hba_line(link, source.dbname, follower.side)}"
        if refused
        else f"Check link.to_{source.side}: host and port as the {follower.side} server sees them, sslmode and sslrootcert."
    )
    return FleetError(
        "link_auth" if refused else "link_unreachable",
        f"{where}: {error.message}",
        remedy=remedy,
        details={"from": follower.side, "to": source.side, **error.details},
    )


# --- making a direction -----------------------------------------------------------------------------------------------------------


def publish(source: Server, name: str) -> None:
    """Publication and slot, each only if it is missing. The slot waits for transactions that are open now."""
    if not source.db.rows("SELECT 1 FROM pg_publication WHERE pubname = %s", name):
        source.db.run(f"CREATE PUBLICATION {ident(name)} FOR ALL TABLES")


def keep_slot(source: Server, name: str) -> None:
    if not source.db.rows("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", name):
        source.db.run("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)


def subscribe(follower: Server, source: Server, link: Link, name: str, *, copy: bool, first: str = "") -> None:
    """A subscription to the slot that exists: enabled with a copy of all tables, or disabled and taken to be in step.

    With ``first`` it is enabled, and the tables of that publication alone are taken to be in step; it does not know any other one yet.
    """
    if follower.db.rows(
        "SELECT 1 FROM pg_subscription s WHERE subname = %s AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        name,
    ):
        return
    reading.keep(follower)
    word = "true" if copy else "false"
    create = (
        f"CREATE SUBSCRIPTION {ident(name)} CONNECTION {literal(conninfo(link, source, name))} PUBLICATION {ident(first or name)}"
        f" WITH (connect = true, create_slot = false, slot_name = {literal(name)}, copy_data = {word}, enabled = {word})"
    )
    if first:
        # One transaction: whoever comes after a kill finds all of it, or nothing.
        create += f"; ALTER SUBSCRIPTION {ident(name)} SET PUBLICATION {ident(name)} WITH (refresh = false); ALTER SUBSCRIPTION {ident(name)} ENABLE"
    try:
        follower.db.run(create)
    except FleetError as error:
        raise link_failure(follower, source, link, error) from error


def arm(direction: Direction, link: Link) -> None:
    """Prepare the way back of a switch that has not happened: publication and slot on its target, disabled subscription on its source."""
    publish(direction.target, direction.back)
    hit("A1")
    keep_slot(direction.target, direction.back)
    hit("A2")
    if catalog.unfollowed(direction.source.db, direction.back):
        # A disabled subscription cannot be refreshed; its slot stays, and a new one starts where the slot stands.
        unsubscribe(direction.source, direction.back)
    subscribe(direction.source, direction.target, link, direction.back, copy=False)
    hit("A3")


# A worker that has ended is started again after wal_retrieve_retry_interval (5 s), before PostgreSQL 16 any worker of the server; a switch
# soon after another one would wait for it.
_RETRY = "wal_retrieve_retry_interval"


def quick_start(server: Server) -> None:
    """Let workers start at once. A value that an operator has set by ALTER SYSTEM is left alone."""
    found = server.admin.rows("SELECT setting::int AS ms, coalesce(sourcefile, '') AS file FROM pg_settings WHERE name = %s", _RETRY)[0]
    if found["ms"] > 200 and not found["file"].endswith("postgresql.auto.conf"):
        server.admin.run(f"ALTER SYSTEM SET {_RETRY} = '200ms'")
        server.admin.run("SELECT pg_reload_conf()")


def starts_quickly(server: Server) -> bool:
    """Whether the setting is there already, as `quick_start` makes it."""
    found = server.admin.rows("SELECT setting::int AS ms, coalesce(sourcefile, '') AS file FROM pg_settings WHERE name = %s", _RETRY)[0]
    return bool(found["ms"] == 200 and found["file"].endswith("postgresql.auto.conf"))


def usual_start(server: Server) -> None:
    """Take `quick_start` back."""
    if starts_quickly(server):
        server.admin.run(f"ALTER SYSTEM RESET {_RETRY}")
        server.admin.run("SELECT pg_reload_conf()")


# --- proving that it is in step ---------------------------------------------------------------------------------------------------


def mark(server: Server, row: int, epoch: str) -> None:
    """One synchronous commit; every commit before it is on disk and ahead of it in the log, asynchronous ones too."""
    server.db.run("UPDATE pgcut.marker SET epoch = %s, at = clock_timestamp() WHERE id = %s", epoch, row)


def marked(server: Server, row: int) -> str:
    return str(server.db.value("SELECT epoch FROM pgcut.marker WHERE id = %s", row))


def see_mark(server: Server, row: int, epoch: str, seconds: float) -> None:
    """Wait until the follower has applied this very marker. Commit order proves all earlier rows; a lag of 0 would prove nothing.

    Raises FleetError "apply_error" as soon as its workers fail again and again, else "apply_lagging" at the end of ``seconds``.
    """
    deadline = Deadline(seconds)
    what = f"the {server.side} server to apply marker {epoch}"
    watch: reasons.Watch | None = None
    asked = 0.0
    while (observed := marked(server, row)) != epoch:
        expired = deadline.expired()
        if deadline.elapsed() > asked + 0.3 or expired:
            asked = deadline.elapsed()
            watch = watch or reasons.Watch(server)
            if watch.new_errors() > (0 if expired else 2):
                raise watch.failure(f"Waited {asked:.1f} s for {what}.")
        if expired:
            raise FleetError(
                "apply_lagging",
                f"Waited {seconds:g} s for {what}; last seen: {observed}.",
                remedy="Let the follower catch up (its log names errors), then run again.",
                details={"last_seen": observed, "waited": seconds},
            )
        deadline.pause(0.002)


def ping(direction: Direction, epoch: str, seconds: float) -> float:
    """Seconds from a commit on the source until the target shows it."""
    started = time.monotonic()
    mark(direction.source, direction.ping_row, epoch)
    see_mark(direction.target, direction.ping_row, epoch, seconds)
    return time.monotonic() - started


def advance(direction: Direction) -> None:
    """Move the unused slot home to here, past the rows that arrived from the source; they would come back as conflicts.

    The apply worker commits asynchronously, so the flush position can lie before rows that are visible already. The transactional
    message is a synchronous commit of its own: it flushes all of them.

    The slot itself remembers its new place at the next checkpoint only, so a crash would put it back. Hence the follower that will use it
    is told, too: it asks for what comes after the position of its origin, and that one is in the log of the source.
    """
    direction.target.db.run("SELECT pg_logical_emit_message(true, 'pgcut', 'barrier')")
    here = direction.target.db.value("SELECT end_lsn::text FROM pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())", direction.back)
    direction.source.db.run(
        "SELECT pg_replication_origin_advance('pg_' || s.oid, "
        f"{literal(str(here))}) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        f" WHERE d.datname = current_database() AND s.subname = {literal(direction.back)};"
        " SELECT pg_logical_emit_message(true, 'pgcut', 'barrier')"
    )


# --- taking a direction away ------------------------------------------------------------------------------------------------------


def cleanup(direction: Direction, epoch: str) -> None:
    """After the target was opened: end the old direction, start the one home. Each step finds its own work done or not.

    Slot and subscription of the way home were made before the window. They are never made here: a slot of now would miss what was written
    since the opening.
    """
    if _subscribed(direction.target, direction.ahead):
        if _enabled(direction.target, direction.ahead):
            _late(direction, epoch)
            direction.target.db.run(f"ALTER SUBSCRIPTION {ident(direction.ahead)} DISABLE")
        hit("F1")
        unsubscribe(direction.target, direction.ahead)
    hit("F2")
    unpublish(direction.source, direction.ahead)
    hit("F3")
    if not direction.returns:
        return
    if not _enabled(direction.source, direction.back):
        direction.source.db.run(f"ALTER SUBSCRIPTION {ident(direction.back)} ENABLE")
    hit("F4")


def _late(direction: Direction, epoch: str) -> None:
    """A commit that the fence let slip would still be ahead of this marker, so it arrives before the direction ends."""
    mark(direction.source, LATE, f"{epoch}:late")
    see_mark(direction.target, LATE, f"{epoch}:late", 10)


def _subscribed(server: Server, name: str) -> bool:
    return _enabled(server, name) is not None


def _enabled(server: Server, name: str) -> bool | None:
    """None when there is no such subscription in this database."""
    found = server.db.rows(
        "SELECT s.subenabled FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        " WHERE d.datname = current_database() AND s.subname = %s",
        name,
    )
    return bool(found[0]["subenabled"]) if found else None


def unsubscribe(server: Server, name: str) -> None:
    """Drop the subscription without talking to the other side: its slot is dropped there by itself."""
    if not _subscribed(server, name):
        return
    if _enabled(server, name):
        server.db.run(f"ALTER SUBSCRIPTION {ident(name)} DISABLE")
    server.db.run(f"ALTER SUBSCRIPTION {ident(name)} SET (slot_name = NONE)")
    server.db.run(f"DROP SUBSCRIPTION {ident(name)}")


def unpublish(server: Server, name: str) -> None:
    """Drop slot and publication. A walsender that outlives its subscriber is ended after a moment."""
    drop_slot(server, name)
    # The other one is there for a moment, while a subscription to many small tables is made.
    server.db.run(f"DROP PUBLICATION IF EXISTS {ident(name)}, {ident(name + '_small')}")


def drop_slot(server: Server, name: str) -> None:
    deadline = Deadline(10)
    while True:
        found = server.db.rows("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", name)
        if not found:
            return
        pid = found[0]["active_pid"]
        if pid is None:
            server.db.run("SELECT pg_drop_replication_slot(%s)", name)
            return
        if deadline.elapsed() > 2:
            server.db.run("SELECT pg_terminate_backend(%s)", pid)
        if deadline.expired():
            raise FleetError(
                "timeout", f"Slot {name} on {server.endpoint} is still used by pid {pid}.", remedy="End that process and run again."
            )
        deadline.pause(0.05)


def lag(source: Server, name: str) -> dict[str, t.Any] | None:
    """How far the follower of slot ``name`` is behind: milliseconds and bytes; None when it is not connected."""
    found = source.admin.rows(
        "SELECT extract(epoch FROM r.replay_lag)::float8 * 1000 AS ms,"
        " pg_wal_lsn_diff(pg_current_wal_flush_lsn(), r.replay_lsn)::bigint AS bytes"
        " FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = %s",
        name,
    )
    if not found:
        return None
    # An idle sender has no replay_lag (NULL): nothing was sent for a while, so nothing is behind but the log that is not replicated.
    return {"ms": round(found[0]["ms"] or 0.0, 1), "bytes": int(found[0]["bytes"] or 0)}
