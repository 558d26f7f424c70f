# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the preflight wants to know of one server, read without writing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .catalog import IN_USER_SCHEMA, Keyless, keyless
from .postgres import Row, Server, Session

_OBJECTS: dict[str, str] = {
    "invalid_indexes": "SELECT n.nspname || '.' || c.relname AS name FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT x.indisvalid ORDER BY 1",
    "foreign_tables": "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'f' ORDER BY 1",
    "firing_triggers": "SELECT n.nspname || '.' || c.relname || '.' || g.tgname AS name FROM pg_trigger g JOIN pg_class c"
    " ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R') ORDER BY 1",
    "full_sequences": "SELECT schemaname || '.' || sequencename AS name FROM pg_sequences WHERE NOT cycle AND last_value IS NOT NULL"
    " AND CASE WHEN increment_by > 0 THEN last_value > 0.95 * max_value ELSE last_value < 0.95 * min_value END ORDER BY 1",
    "unlogged": "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND c.relpersistence = 'u' ORDER BY 1",
    "views": "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'm' ORDER BY 1",
    "subscriptions": "SELECT subname::text AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
    " WHERE d.datname = current_database() AND subname NOT LIKE 'pgcut\\_%' ORDER BY 1",
    "publications": "SELECT pubname::text AS name FROM pg_publication WHERE pubname NOT LIKE 'pgcut\\_%' ORDER BY 1",
    "jobs": "SELECT extname::text AS name FROM pg_extension WHERE extname IN ('pg_cron', 'pgagent', 'pg_timetable') ORDER BY 1",
    "row_security": "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relrowsecurity ORDER BY 1",
    "prepared": "SELECT gid AS name FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1",
    "old_transactions": "SELECT 'pid ' || pid || ' (' || application_name || ', ' || date_trunc('second', clock_timestamp() - xact_start)"
    " || ')' AS name FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
    " AND xact_start < clock_timestamp() - interval '60 seconds' ORDER BY 1",
    "unfencing": "SELECT a.rolname || coalesce(' in ' || d.datname, '') AS name FROM pg_db_role_setting s JOIN pg_roles a ON a.oid ="
    " s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c"
    " WHERE c LIKE 'default\\_transaction\\_read\\_only=%' AND (s.setdatabase = 0 OR d.datname = current_database()) ORDER BY 1",
    "timeouts": "SELECT split_part(c, '=', 1) AS name FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase,"
    " unnest(s.setconfig) c WHERE d.datname = current_database() AND c ~ '^(statement|lock|idle)_?[a-z_]*timeout=' ORDER BY 1",
    "user_tables": "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    f" WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {IN_USER_SCHEMA} AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid"
    " AND e.deptype = 'e') ORDER BY 1",
}


@dataclass(frozen=True)
class Seen:
    """What the preflight wants to know of one server. ``objects`` by the names of `_OBJECTS`; without the database they are empty."""

    version: int
    settings: t.Mapping[str, str]
    superuser: bool
    system: str
    slots_free: int
    senders_free: int
    databases: tuple[str, ...]
    database: Row | None
    size: int
    extensions: t.Mapping[str, str]
    available: t.Mapping[str, tuple[str, ...]]
    locales: tuple[str, ...]
    large_objects: int
    link_role: Row | None
    objects: t.Mapping[str, tuple[str, ...]]
    keyless: tuple[Keyless, ...] = ()
    foreign_slots: tuple[str, ...] = ()


_WANTED = (
    "wal_level",
    "max_replication_slots",
    "max_wal_senders",
    "max_logical_replication_workers",
    "max_worker_processes",
    "max_slot_wal_keep_size",
    "max_prepared_transactions",
    "synchronous_standby_names",
    "server_version",
)


def look(server: Server, link_query: t.Callable[[Session], str], link_user: str) -> Seen:
    """Everything that the preflight judges, read without writing."""
    admin = server.admin
    settings = {
        row["name"]: row["setting"] for row in admin.rows("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", list(_WANTED))
    }
    used = admin.rows(
        "SELECT (SELECT count(*) FROM pg_replication_slots) AS slots,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender') AS senders,"
        " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,"
        " (SELECT system_identifier::text FROM pg_control_system()) AS system"
    )[0]
    database = admin.rows(
        "SELECT datcollate, datctype, pg_encoding_to_char(encoding) AS encoding, pg_database_size(oid) AS size,"
        " to_jsonb(d)->>'datcollversion' AS collversion FROM pg_database d WHERE datname = %s",
        server.dbname,
    )
    others = admin.rows(
        "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN (%s, 'postgres') ORDER BY 1", server.dbname
    )
    role = admin.rows(link_query(admin), link_user) if link_user else []
    here = bool(database)
    return Seen(
        version=admin.version,
        settings=settings,
        superuser=bool(used["superuser"]),
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
        link_role={name: value for name, value in role[0].items() if name != "rolpassword"} if role else None,
        objects={name: _names(server.db, text) if here else () for name, text in _OBJECTS.items()},
        keyless=tuple(keyless(server.db)) if here else (),
        foreign_slots=tuple(
            str(row["slot_name"])
            for row in admin.rows(
                "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'pgcut\\_%%' AND database <> %s ORDER BY 1",
                server.dbname,
            )
        ),
    )


def _names(session: Session, text: str) -> tuple[str, ...]:
    return tuple(str(row["name"]) for row in session.rows(text))


def _pairs(session: Session, text: str) -> dict[str, str]:
    return {row["name"]: row["value"] for row in session.rows(text)}


def _available(session: Session) -> dict[str, tuple[str, ...]]:
    rows = session.rows("SELECT name, array_agg(version ORDER BY version) AS versions FROM pg_available_extension_versions GROUP BY 1")
    return {row["name"]: tuple(row["versions"]) for row in rows}


def _locales(session: Session) -> tuple[str, ...]:
    """Names that lc_collate may have here, in the spelling of pg_collation, plus C and POSIX."""
    return tuple(
        row["collcollate"]
        for row in session.rows("SELECT DISTINCT collcollate FROM pg_collation WHERE collprovider = 'c' AND collcollate IS NOT NULL")
    )
