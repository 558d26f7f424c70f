# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening legacy without what the new side did not send: only when no lossless way is left, only with ``accept_loss``.

Two situations: new does not answer, or it answers and nothing follows it. Legacy opens with the epoch ``<id>:loss``. New gets the same
epoch together with its fence, before legacy opens if it answers, else at the next contact; until then the phase is ``abandoned``, which
every state but ``legacy`` refuses. The database on new keeps its rows: nothing here drops them, and no seed overwrites them.
"""

from __future__ import annotations

import errno
import socket
import time
import typing as t

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.result import Step
from ..._core.wait import Deadline
from ..facts import Half
from ..model import FORWARD, REVERSE, Endpoint, Facts, Options
from ..plan import ABANDONED, ABANDONED_FENCED, ABANDONING
from ..replication import pair, sync
from ..server import catalog, fence, freeze, relations, scan, sessions
from ..server.postgres import Server, Session, ident, literal

LOSS = "loss"
_TABLES = 20
# Counting rows for a message must not take longer than an operator waits for one.
_COUNTING = 20.0
_BATCH = 100
_OPEN = Step("abandon", "legacy opens without what the new side did not send", disruptive=True)
_CLOSE = Step("close", "new is closed, and keeps the rows that legacy does not have", disruptive=True)
_LEAVE = Step("leave", "clients to legacy; nothing is left of the pair there")


# --- deciding: pure ---------------------------------------------------------------------------------------------------------------


def nothing_follows(observed: Facts) -> bool:
    """New serves, and what it writes cannot reach legacy any more; not after state finished, which gave legacy up on purpose."""
    if not observed.legacy.fenced or not observed.new.exists or observed.new.fenced or not observed.legacy.helper:
        return False
    if observed.forward.subscription == "enabled":
        return False
    return observed.reverse.subscription == "" or observed.reverse.slot in ("", "lost")


def steps(options: Options, observed: Facts, found: str) -> tuple[Step, ...] | None:
    """What both servers need here; None when this is no case of loss. A refusal that needs no look at the rows is raised."""
    if options.state == "preflight":
        return None
    if options.state == "legacy":
        rest = (_LEAVE,) if observed.reverse.subscription or observed.forward.publication or observed.forward.slot else ()
        if found in (ABANDONED, ABANDONED_FENCED):
            return (_CLOSE, *rest) if found == ABANDONED else rest
        if found == ABANDONING:
            return (_OPEN, _LEAVE)
        return (_CLOSE, _OPEN, _LEAVE) if nothing_follows(observed) else None
    if found == ABANDONED:
        raise FleetError(
            "target_not_fenced",
            f"Legacy was opened with accept_loss and serves; new takes writes, too, and state {options.state} cannot say which rows count."
            " Nothing was changed.",
            remedy="Run state: legacy, which closes new and keeps its rows there.",
        )
    if found == ABANDONED_FENCED:
        raise FleetError(
            "loss_possible",
            f"Database {options.new.dbname} on new holds rows that legacy does not have, since legacy was opened with accept_loss;"
            f" state {options.state} would make it anew. Nothing was changed.",
            remedy="Take from it what is needed (pg_dump), then rename or drop it: "
            f"ALTER DATABASE {ident(options.new.dbname)} RENAME TO {ident(options.new.dbname + '_abandoned')}.",
        )
    if found == ABANDONING and options.state != "new":
        raise FleetError(
            "loss_possible",
            "A run with accept_loss was interrupted: both sides are closed. Nothing was changed.",
            remedy="Run state: legacy with accept_loss: true to go on, or state: new to open new again.",
        )
    return None


def steps_without_new(half: Half) -> tuple[Step, ...] | None:
    """What legacy needs while new does not answer; None when nobody has to decide about loss."""
    if not half.side.exists:
        return None
    if not half.side.fenced:
        if not half.side.epoch.endswith(f":{LOSS}"):
            return None
        return (_LEAVE,) if half.follows or any(published or slot for published, slot in half.publishes.values()) else ()
    if not half.side.helper and not half.follows:
        raise FleetError(
            "loss_possible",
            "New does not answer, and nothing has followed it since state finished: legacy is as it was then. Nothing was changed.",
            remedy="Restore a snapshot there (pg_snapshot with state: restored), after the old database was put aside, on legacy:"
            " ALTER DATABASE <database> RENAME TO <database>_before;",
        )
    return (_OPEN, _LEAVE)


# --- what is known ----------------------------------------------------------------------------------------------------------------


def reachability(endpoint: Endpoint, legacy: Server, check_mode: bool) -> str:
    """Whether new runs: alive, refused (the connection is refused, so no server listens there) or silent.

    Tried from here and, since the network may be cut here only, from the legacy server over the link, too.
    """
    here = _knock(endpoint)
    if here == "alive" or check_mode:
        return here
    # The rolled back CREATE SUBSCRIPTION writes dead rows, so it has no place in check mode.
    return "alive" if _alive_for(legacy) else here


def _knock(endpoint: Endpoint) -> str:
    try:
        if endpoint.host.startswith("/"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(f"{endpoint.host}/.s.PGSQL.{endpoint.port}")
        else:
            socket.create_connection((endpoint.host, endpoint.port), timeout=3).close()
    except OSError as error:
        return "refused" if error.errno in (errno.ECONNREFUSED, errno.ENOENT) else "silent"
    return "alive"


def _followed(legacy: Server) -> list[dict[str, t.Any]]:
    """The subscription of this database on legacy; the catalog holds those of all databases."""
    return legacy.db.rows(
        "SELECT s.subconninfo FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
        " WHERE d.datname = current_database() AND s.subname = %s",
        REVERSE,
    )


def _alive_for(legacy: Server) -> bool:
    found = _followed(legacy)
    if not found:
        return False
    session = legacy.db
    # The words of libpq are judged below; an operator may have set another language.
    session.run("BEGIN; SET LOCAL lc_messages = 'C'")
    try:
        session.run(
            f"CREATE SUBSCRIPTION pgcut_try CONNECTION {literal(found[0]['subconninfo'])} PUBLICATION pgcut_try"
            " WITH (connect = true, create_slot = false, enabled = false, slot_name = NONE, copy_data = false)"
        )
    except FleetError as error:
        return any(word in error.message for word in ("authentication", "no password supplied", "pg_hba.conf", 'role "', "database \""))
    finally:
        if not session.closed:
            session.run("ROLLBACK")
    return True


def known(legacy: Server) -> dict[str, t.Any]:
    """What legacy knows of the rows that it has: everything that new committed up to here has arrived.

    ``position`` is a place in the log of new; ``applied_until`` its clock at the last commit that arrived, None unless
    track_commit_timestamp is on; ``last_contact`` None unless the apply worker still waits; ``marker`` the newest one that arrived;
    ``ids`` the last value of the counting key of the largest tables; ``guarantee`` sync when no acknowledged commit can be missing.
    """
    row = legacy.db.rows(
        "SELECT o.remote_lsn::text AS position, w.last_msg_receipt_time::text AS contact"
        " FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()"
        " LEFT JOIN pg_replication_origin_status o ON o.external_id = 'pg_' || s.oid::text"
        " LEFT JOIN pg_stat_subscription w ON w.subid = s.oid AND w.relid IS NULL WHERE s.subname = %s",
        REVERSE,
    )
    marker = legacy.db.rows("SELECT epoch, at::text AS at FROM pgcut.marker WHERE epoch <> '' ORDER BY at DESC LIMIT 1")
    timed = legacy.db.value("SHOW track_commit_timestamp") == "on"
    return {
        "guarantee": "sync" if sync.noted(legacy) else "async",
        "position": row[0]["position"] if row else None,
        "applied_until": legacy.db.value("SELECT timestamp::text FROM pg_last_committed_xact()") if timed else None,
        "last_contact": row[0]["contact"] if row else None,
        "marker": {"epoch": marker[0]["epoch"], "at": marker[0]["at"]} if marker else None,
        "ids": _ids(legacy),
    }


def sentence(loss: t.Mapping[str, t.Any]) -> str:
    """`known` as sentences."""
    if loss["guarantee"] == "sync":
        return (
            "With guarantee: sync every commit that was acknowledged has arrived; only unacknowledged ones can be missing,"
            " unless the guarantee was taken back while legacy was unreachable."
        )
    parts = [f"its log up to {loss['position']} has arrived" if loss["position"] else "nothing of what it wrote has arrived"]
    if loss["applied_until"]:
        parts.append(f"that is until {loss['applied_until']}")
    if loss["last_contact"]:
        parts.append(f"last heard at {loss['last_contact']}")
    if loss["marker"]:
        parts.append(f"the newest marker is {loss['marker']['epoch']} of {loss['marker']['at']}")
    parts += [f"{name} up to {value}" for name, value in list(loss["ids"].items())[:5]]
    return f"What new committed after this is not on legacy: {'; '.join(parts)}."


def differing(legacy: Server, new: Server) -> list[dict[str, t.Any]]:
    """Tables whose number of rows differs, largest first, while new still answers; None for one that could not be counted.

    A change of a row in place is not seen by it.
    """
    deadline = Deadline(_COUNTING)
    found: list[dict[str, t.Any]] = []
    tables = catalog.tables(new.db)
    for start in range(0, len(tables), _BATCH):
        if deadline.expired():
            found.append({"table": "…", "legacy": None, "new": None})
            break
        batch = tables[start : start + _BATCH]
        here, there = (_counted(server.db, batch, deadline) for server in (legacy, new))
        for table in batch:
            counts = {"legacy": here.get(table), "new": there.get(table)}
            if None in counts.values() or counts["legacy"] != counts["new"]:
                found.append({"table": ".".join(table), **counts})
    return found


def _counted(session: Session, tables: t.Sequence[relations.Name], deadline: Deadline) -> dict[relations.Name, int]:
    """Rows of ``tables``, in one statement; one by one where that fails, so that a table that cannot be read costs no other one its number."""
    session.settings({"statement_timeout": str(int(deadline.remaining() * 1000) + 1)})
    try:
        with session.block():
            relations.read(session, tables)
            return scan.counts(session, tables)
    except FleetError:
        if session.closed or len(tables) == 1 or deadline.expired():
            return {}
    finally:
        if not session.closed:
            session.settings({"statement_timeout": "0"})
    return {name: rows for table in tables for name, rows in _counted(session, [table], deadline).items()}


def refusal(options: Options, loss: t.Mapping[str, t.Any], sound: str) -> FleetError:
    """Why legacy is not opened. ``sound`` is what `heard` says, or follows when new answers and nothing follows it."""
    command = "pg_cutover with state: legacy and accept_loss: true"
    details = {"loss": dict(loss), "new": sound}
    tables = ", ".join(f"{entry['table']} ({entry['legacy']} rows on legacy, {entry['new']} on new)" for entry in loss.get("tables", ()))
    if sound == "follows":
        return FleetError(
            "loss_possible",
            f"New serves and nothing follows it, so legacy would open without what was written since. {sentence(loss)}"
            f" Tables that differ in number: {tables or 'none'}. Nothing was changed.",
            remedy=f"To close new, keep its rows there, and open legacy without them: {command}.",
            details=details,
        )
    if sound == "alive":
        return FleetError(
            "target_not_fenced",
            f"{options.new} runs, but cannot be closed from here, so it may take writes. {sentence(loss)} Nothing was changed.",
            remedy="Make it reachable and run again without loss, or stop it first.",
            details=details,
        )
    if sound == "silent":
        return FleetError(
            "target_not_fenced",
            f"{options.new} does not answer, which does not prove that it is stopped. {sentence(loss)} Nothing was changed.",
            remedy=f"Stop its server or power its host off; then open legacy without what is missing: {command}.",
            details=details,
        )
    return FleetError(
        "loss_possible",
        f"Nothing listens at {options.new.host}:{options.new.port}, where the new server was. {sentence(loss)} Nothing was changed.",
        remedy=f"Start it and run again, which loses nothing; or open legacy without what is missing: {command}.",
        details=details,
    )


def _ids(server: Server) -> dict[str, int]:
    """The largest value of each counting primary key (one column of an integer type with a sequence), by table."""
    found = server.db.rows(
        "SELECT n.nspname, c.relname, a.attname FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]"
        " WHERE x.indisprimary AND x.indnkeyatts = 1 AND a.atttypid = ANY ('{int2,int4,int8}'::regtype[])"
        f" AND (a.atthasdef OR a.attidentity <> '') AND {catalog.IN_USER_SCHEMA} AND n.nspname <> 'pgcut'"
        f" ORDER BY pg_relation_size(c.oid) DESC, 1, 2 LIMIT {_TABLES}"
    )
    ids = {}
    for row in found:
        name = (row["nspname"], row["relname"])
        with server.db.block():
            relations.read(server.db, [name])
            ids[".".join(name)] = server.db.value(f"SELECT max({ident(row['attname'])})::bigint FROM {ident(*name)}")
    return {name: int(value) for name, value in ids.items() if value is not None}


# --- doing: each function may be interrupted and repeated -------------------------------------------------------------------------


def close(new: Server, legacy: Server) -> None:
    """Fence new for good and take its half of the pair away; its rows stay. Its epoch says since which loss.

    While legacy is closed, too, that epoch comes first: it alone tells a later run that both sides were closed on purpose. When legacy is
    open, it comes last: with it, new counts as settled.
    """
    there = fence.settings_of(legacy.admin, legacy.dbname) or {}
    opened = there.get("pgcut.epoch", "") if not fence.is_fenced(there) else ""
    here = (fence.settings_of(new.admin, new.dbname) or {}).get("pgcut.epoch", "")
    fence.turn(new.admin, new.dbname, here if opened else f"{fence.new_epoch()}:{LOSS}", True)
    hit("L1")
    _settle(new)
    if opened:
        fence.turn(new.admin, new.dbname, opened, True)


def _settle(new: Server) -> None:
    sessions.end_now(new, sessions.now_on(new))
    sync.off(None, new)
    pair.unsubscribe(new, FORWARD)
    pair.unpublish(new, REVERSE)


def abandon(legacy: Server, new: Server | None) -> dict[str, t.Any]:
    """Open legacy. ``sequences`` that were moved behind the rows that arrived, and ``uncounted`` ones that no column tells about."""
    epoch = f"{fence.new_epoch()}:{LOSS}"
    if new is not None:
        _settle(new)
        epoch = (fence.settings_of(new.admin, new.dbname) or {})["pgcut.epoch"]
    _stop_applying(legacy)
    hit("L2")
    moved, uncounted = _count_on(legacy)
    fence.turn(legacy.admin, legacy.dbname, epoch, False)
    hit("L3")
    # Sessions that began under the fence would stay read only.
    sessions.end_now(legacy, sessions.now_on(legacy))
    return {"sequences": moved, "uncounted": uncounted}


def leave(legacy: Server) -> None:
    """Take legacy's half of the pair away: its slot would keep the log for ever, and its subscription would bring rows back by surprise."""
    sync.forget(legacy)
    freeze.off(legacy)
    pair.unpublish(legacy, FORWARD)
    pair.unsubscribe(legacy, REVERSE)


def _stop_applying(legacy: Server) -> None:
    if not _followed(legacy):
        return
    legacy.db.run(f"ALTER SUBSCRIPTION {ident(REVERSE)} DISABLE")
    deadline = Deadline(15)
    while True:
        running = legacy.admin.rows("SELECT pid FROM pg_stat_subscription WHERE subname = %s AND pid IS NOT NULL", REVERSE)
        if not running:
            return
        if deadline.elapsed() > 2:
            for row in running:
                legacy.admin.run("SELECT pg_terminate_backend(%s)", row["pid"])
        if deadline.expired():
            pids, said = ", ".join(str(row["pid"]) for row in running), "does not end. Legacy is still closed."
            raise FleetError("timeout", f"The apply worker {pids} on legacy {said}", remedy=f"End process {pids} on legacy's host, and run again.")
        time.sleep(0.05)


def _count_on(server: Server) -> tuple[dict[str, int], list[str]]:
    """Move each sequence behind the largest value that its columns hold: replication brings rows, and no sequences."""
    found = server.db.rows(
        "SELECT n.nspname, c.relname, s.seqincrement > 0 AS up, array_remove(array_agg(DISTINCT u.col), NULL) AS columns,"
        " coalesce(jsonb_agg(DISTINCT jsonb_build_array(u.nspname, u.relname)) FILTER (WHERE u.col IS NOT NULL), '[]') AS tables"
        " FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN LATERAL (SELECT format('(SELECT %s(%I)::bigint FROM %I.%I)', CASE WHEN s.seqincrement > 0 THEN 'max' ELSE 'min' END,"
        "   a.attname, tn.nspname, tc.relname) AS col, tn.nspname, tc.relname"
        "  FROM (SELECT d.refobjid AS rel, d.refobjsubid AS att FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
        "    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0"
        "   UNION SELECT f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid"
        "    WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) k"
        "  JOIN pg_attribute a ON a.attrelid = k.rel AND a.attnum = k.att AND a.atttypid = ANY ('{int2,int4,int8}'::regtype[])"
        "  JOIN pg_class tc ON tc.oid = k.rel JOIN pg_namespace tn ON tn.oid = tc.relnamespace) u ON true"
        f" WHERE {catalog.IN_USER_SCHEMA} AND c.relpersistence <> 't' GROUP BY 1, 2, 3 ORDER BY 1, 2"
    )
    moved, uncounted = {}, []
    for row in found:
        name = f"{row['nspname']}.{row['relname']}"
        if not row["columns"]:
            uncounted.append(name)
            continue
        pick, beyond = ("greatest", ">") if row["up"] else ("least", "<")
        sequence = ident(row["nspname"], row["relname"])
        with server.db.block():
            relations.sequences(server.db, [(row["nspname"], row["relname"])])
            relations.read(server.db, [(table[0], table[1]) for table in row["tables"]])
            set_to = server.db.rows(
                f"SELECT setval({literal(sequence)}::regclass, v.top) AS value FROM {sequence} s,"
                f" LATERAL (SELECT {pick}({', '.join(row['columns'])}) AS top) v"
                f" WHERE v.top {beyond} s.last_value OR v.top = s.last_value AND NOT s.is_called"
            )
        if set_to:
            moved[name] = int(set_to[0]["value"])
    return moved, uncounted
