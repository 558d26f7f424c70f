# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the preflight wants to know of one server, read without writing."""

from __future__ import annotations

import os
import struct
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ..server import collations, fence
from ..server.catalog import IN_USER_SCHEMA, Keyless, keyless
from ..server.collations import Collation
from ..server.owner_code import Use, uses
from ..server.postgres import Row, Server, Session
from .contents import OBJECTS, TABLE, NamedCollation, full_sequences, named_collations, other_operators

_OBJECTS: dict[str, str] = {
    "invalid_indexes": f"SELECT {TABLE} AS name FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT x.indisvalid ORDER BY 1",
    "foreign_tables": f"SELECT {TABLE} AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'f' ORDER BY 1",
    "firing_triggers": f"SELECT {TABLE} || '.' || quote_ident(g.tgname) AS name FROM pg_trigger g JOIN pg_class c"
    " ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R') ORDER BY 1",
    "firing_rules": f"SELECT {TABLE} || '.' || quote_ident(r.rulename) AS name FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND r.ev_enabled IN ('A', 'R') ORDER BY 1",
    "firing_event_triggers": "SELECT quote_ident(evtname) AS name FROM pg_event_trigger WHERE evtenabled IN ('A', 'R') AND evtname NOT LIKE 'pgcut\\_%'"
    " ORDER BY 1",
    "unlogged": f"SELECT {TABLE} AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND c.relpersistence = 'u' ORDER BY 1",
    "views": f"SELECT {TABLE} AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'm' ORDER BY 1",
    "subscriptions": "SELECT quote_ident(subname) AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
    " WHERE d.datname = current_database() AND subname NOT LIKE 'pgcut\\_%' ORDER BY 1",
    "publications": "SELECT quote_ident(pubname) AS name FROM pg_publication WHERE pubname NOT LIKE 'pgcut\\_%' ORDER BY 1",
    "prepared": "SELECT gid AS name FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1",
    "old_transactions": "SELECT 'pid ' || pid || ' (' || application_name || ', ' || date_trunc('second', clock_timestamp() - xact_start)"
    " || ')' AS name FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
    " AND xact_start < clock_timestamp() - interval '60 seconds' ORDER BY 1",
    # What means on (parse_bool_with_len in src/backend/utils/adt/bool.c) only makes an account read.
    "unfencing": "SELECT quote_ident(a.rolname) || coalesce(' in ' || quote_ident(d.datname), '') AS name FROM pg_db_role_setting s JOIN pg_roles a ON a.oid ="
    " s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c"
    " WHERE c LIKE 'default\\_transaction\\_read\\_only=%' AND lower(split_part(c, '=', 2)) !~ '^(on|1|t(r(ue?)?)?|y(es?)?)$'"
    " AND (s.setdatabase = 0 OR d.datname = current_database()) ORDER BY 1",
    "becoming": "SELECT 'database ' || quote_ident(d.datname) AS name FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase,"
    " unnest(s.setconfig) c WHERE s.setrole = 0 AND d.datname = current_database() AND c LIKE 'role=%' ORDER BY 1",
    "timeouts": "SELECT split_part(c, '=', 1) || ' = ' || split_part(c, '=', 2) || coalesce(' for ' || a.rolname, '') AS name"
    " FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles a ON a.oid = s.setrole, unnest(s.setconfig) c"
    " WHERE d.datname = current_database() AND c ~ '^[a-z_]*_timeout=' ORDER BY 1",
    "used_tablespaces": "SELECT DISTINCT t.spcname::text AS name FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace"
    " WHERE t.spcname <> 'pg_global' ORDER BY 1",
    "text_ranges": f"SELECT {TABLE} AS name FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.partstrat = 'r' AND EXISTS (SELECT FROM unnest(p.partcollation) o"
    " JOIN pg_collation l ON l.oid = o WHERE l.collcollate IS DISTINCT FROM 'C' AND l.collcollate IS DISTINCT FROM 'POSIX') ORDER BY 1",
    "user_tables": f"SELECT {TABLE} AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    f" WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {IN_USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid"
    " AND e.deptype = 'e') UNION ALL SELECT i.type || ' ' || i.identity FROM (SELECT 'pg_namespace'::regclass AS class, oid FROM pg_namespace"
    " UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typtype IN ('d', 'e', 'r')"
    " UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation) o"
    " CROSS JOIN LATERAL pg_identify_object(o.class, o.oid, 0) i WHERE o.oid >= 16384 AND i.identity !~ '^pg_(temp|toast)'"
    " AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype IN ('e', 'i'))"
    " AND i.identity <> 'pgcut' AND i.identity !~ '^pgcut\\.' ORDER BY 1",
}


@dataclass(frozen=True)
class Observed:
    """What the preflight wants to know of one server. ``objects`` by the names of `_OBJECTS`, and jobs; without the database they are empty.

    ``available`` is the version of each extension that CREATE EXTENSION would install. ``room`` is bytes free where the data directory is,
    None when this host is not the server's. ``sorted_by`` are the collation versions that the server knows, by provider and locale;
    ``collations`` those that the database uses.
    """

    version: int
    settings: t.Mapping[str, str]
    system: str
    slots_free: int
    senders_free: int
    databases: tuple[str, ...]
    database: Row | None
    size: int
    extensions: t.Mapping[str, str]
    available: t.Mapping[str, str]
    locales: tuple[str, ...]
    large_objects: int
    link_account: Row | None
    objects: t.Mapping[str, tuple[str, ...]]
    keyless: tuple[Keyless, ...] = ()
    foreign_slots: tuple[str, ...] = ()
    recovery: bool = False
    large_bytes: int = 0
    room: int | None = None
    tablespaces: tuple[str, ...] = ()
    sorted_by: t.Mapping[tuple[str, str], str] = field(default_factory=dict)
    collations: tuple[Collation, ...] = ()
    owner_code: tuple[Use, ...] = ()
    # Tables or sequences, whichever are more: one transaction locks all of them.
    locked: int = 0
    named_collations: tuple[NamedCollation, ...] = ()
    own_collations: tuple[str, ...] = ()


_WANTED = (
    "wal_level",
    "max_replication_slots",
    "max_wal_senders",
    "max_logical_replication_workers",
    "max_worker_processes",
    "max_slot_wal_keep_size",
    "idle_replication_slot_timeout",
    "max_prepared_transactions",
    "max_locks_per_transaction",
    "max_connections",
    "synchronous_standby_names",
    "server_version",
)

_DATABASE = (
    "SELECT datcollate, datctype, pg_encoding_to_char(encoding) AS encoding, pg_database_size(oid) AS size,"
    " to_jsonb(d)->>'datcollversion' AS collversion, coalesce(to_jsonb(d)->>'datlocprovider', 'c') AS datlocprovider,"
    " coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', '') AS datlocale,"
    " coalesce(to_jsonb(d)->>'daticurules', '') AS daticurules FROM pg_database d WHERE datname = %s"
)


def _settings(admin: Session) -> dict[str, str]:
    rows = admin.rows("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", list(_WANTED))
    return {row["name"]: row["setting"] for row in rows}


def look(server: Server, link_query: t.Callable[[Session], str], link_user: str) -> Observed:
    """Everything that the preflight judges, read without writing."""
    admin = server.admin
    settings = _settings(admin)
    used = admin.rows(
        "SELECT (SELECT count(*) FROM pg_replication_slots) AS slots,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender') AS senders,"
        " pg_is_in_recovery() AS recovery,"
        " (SELECT system_identifier::text FROM pg_control_system()) AS system"
    )[0]
    database = admin.rows(_DATABASE, server.dbname)
    others = admin.rows(f"SELECT datname FROM pg_database WHERE {fence.NO_TEMPLATE} AND datname NOT IN (%s, 'postgres') ORDER BY 1", server.dbname)
    account = admin.rows(link_query(admin), link_user) if link_user else []
    here = bool(database)
    return Observed(
        version=admin.version,
        settings=settings,
        system=str(used["system"]),
        slots_free=int(settings["max_replication_slots"]) - int(used["slots"]),
        senders_free=int(settings["max_wal_senders"]) - int(used["senders"]),
        databases=tuple(row["datname"] for row in others),
        database=database[0] if here else None,
        size=int(database[0]["size"]) if here else 0,
        extensions=_pairs(server.db, "SELECT extname AS name, extversion AS value FROM pg_extension") if here else {},
        available=_available(admin),
        locales=_locales(admin),
        large_objects=int(server.db.value("SELECT count(*) FROM pg_largeobject_metadata")) if here else 0,
        link_account={name: value for name, value in account[0].items() if name != "rolpassword"} if account else None,
        objects=_objects(server) if here else {},
        keyless=tuple(keyless(server.db)) if here else (),
        foreign_slots=tuple(
            str(row["slot_name"])
            for row in admin.rows(
                "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'pgcut\\_%%' AND database <> %s ORDER BY 1",
                server.dbname,
            )
        ),
        recovery=bool(used["recovery"]),
        large_bytes=int(server.db.value("SELECT pg_total_relation_size('pg_largeobject')")) if here else 0,
        room=_room(server, str(used["system"])),
        tablespaces=_names(admin, "SELECT spcname::text AS name FROM pg_tablespace"),
        sorted_by=collations.known(admin),
        locked=_locked(server.db) if here else 0,
        named_collations=named_collations(server.db) if here else (),
        own_collations=_names(admin, "SELECT collname AS name FROM pg_collation WHERE collnamespace = 'pg_catalog'::regnamespace"),
        collations=collations.used(server.db) if here else (),
        owner_code=tuple(uses(server.db)) if here else (),
    )


def _names(session: Session, text: str) -> tuple[str, ...]:
    return tuple(str(row["name"]) for row in session.rows(text))


def _objects(server: Server) -> dict[str, tuple[str, ...]]:
    db = server.db
    found = {name: _names(db, text) for name, text in {**_OBJECTS, **OBJECTS}.items()}
    return {**found, "jobs": _jobs(server), "full_sequences": full_sequences(db), "other_operators": other_operators(db)}


def _locked(session: Session) -> int:
    text = (
        "SELECT greatest(count(*) FILTER (WHERE c.relkind IN ('r', 'p')), count(*) FILTER (WHERE c.relkind = 'S')) FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' AND {IN_USER_SCHEMA}"
    )
    return int(session.value(text))


def _pairs(session: Session, text: str) -> dict[str, str]:
    return {row["name"]: row["value"] for row in session.rows(text)}


def _available(session: Session) -> dict[str, str]:
    return _pairs(session, "SELECT name, default_version AS value FROM pg_available_extensions")


def _jobs(server: Server) -> tuple[str, ...]:
    """What starts work in the database by itself. pg_cron keeps its jobs in one database of the server and may run them in any."""
    found = list(_names(server.db, "SELECT extname::text AS name FROM pg_extension WHERE extname IN ('pgagent', 'pg_timetable')"))
    home = server.admin.rows("SELECT datname FROM pg_database WHERE datname = current_setting('cron.database_name', true)")
    sessions = {server.dbname: server.db, server.admin.dbname: server.admin}
    for name in [row["datname"] for row in home if row["datname"] not in sessions]:
        sessions[name] = server.fresh(name)
    for name, session in sessions.items():
        if session.value("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') AND to_regclass('cron.job') IS NOT NULL"):
            text = "SELECT jobid, schedule FROM cron.job WHERE active AND database = %s ORDER BY 1"
            found += [f"pg_cron {row['jobid']} ({row['schedule']}) in {name}" for row in session.rows(text, server.dbname)]
    return tuple(found)


def asleep(server: Server) -> list[str]:
    """A warning where pg_cron starts no job any more: its scheduler ends for good with the database that it is in, as a copy makes it anew (it takes
    SIGTERM, which DROP DATABASE sends, for the end of the server: pg_cron_sigterm in src/pg_cron.c)."""
    text = (
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') AND strpos(current_setting('shared_preload_libraries'), 'pg_cron') > 0"
        " AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_cron launcher')"
    )
    if not server.db.value(text):
        return []
    return [f"pg_cron of {server.endpoint} has ended with an earlier database of its name and starts no job: restart that server before the switch."]


def _room(server: Server, system: str) -> int | None:
    """Bytes free where the data directory is, when it can be seen from here: a server cannot tell it by itself.

    The first eight bytes of global/pg_control are the system identifier (src/include/catalog/pg_control.h), so a folder of another server,
    or the same path on another host, is never taken for it.
    """
    folder = Path(server.endpoint.data_directory or str(server.admin.value("SHOW data_directory")))
    try:
        with (folder / "global" / "pg_control").open("rb") as file:
            if str(struct.unpack("=Q", file.read(8))[0]) != system:
                return None
        here = os.statvfs(folder)
    except (OSError, struct.error):
        return None
    return here.f_bavail * here.f_frsize


def _locales(session: Session) -> tuple[str, ...]:
    """Names that lc_collate may have here, in the spelling of pg_collation, plus C and POSIX."""
    return tuple(
        row["collcollate"]
        for row in session.rows("SELECT DISTINCT collcollate FROM pg_collation WHERE collprovider = 'c' AND collcollate IS NOT NULL")
    )
