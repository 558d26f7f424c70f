# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether two databases are equal, found without any code of the product: rows by md5, pg_dump, pg_dumpall, bytes of large objects."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import subprocess

import psycopg
from psycopg import sql

# What a cutover itself leaves in a dump until it is finished.
_OURS = re.compile(r"pgcut|default_transaction_read_only|^--|^$|^\\(un)?restrict")
_RELATIONS = """
SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgcut') AND c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't'
  AND (c.relkind <> 'm' OR c.relispopulated) ORDER BY 1, 2
"""
# As the server shows values by itself, whatever the database is set to.
_PLAIN = "SET DateStyle = ISO; SET IntervalStyle = postgres; SET extra_float_digits = 3; SET bytea_output = hex; SET TimeZone = UTC;" \
    " SET search_path = pg_catalog; SET statement_timeout = 0"


def contents(cluster, dbname: str = "hub") -> dict[str, object]:
    """By name of table, materialized view or sequence: rows and their md5 in byte order, or the position; large objects by number."""
    found: dict[str, object] = {}
    with cluster.connect(dbname) as connection:
        connection.execute(_PLAIN)
        for row in connection.execute(_RELATIONS).fetchall():
            name = sql.Identifier(row["schema"], row["name"])
            if row["kind"] == "S":
                text = sql.SQL("SELECT last_value, is_called FROM {}").format(name)
            else:
                only = sql.SQL("ONLY " if row["kind"] == "r" else "")
                text = sql.SQL(
                    'SELECT count(*) AS rows, md5(string_agg("§"::text, chr(10) ORDER BY "§"::text COLLATE "C")) AS md5 FROM {}{} AS "§"'
                ).format(only, name)
            kind = "sequence " if row["kind"] == "S" else ""
            found[f"{kind}{row['schema']}.{row['name']}"] = tuple(connection.execute(text).fetchone().values())
        for row in connection.execute(
            "SELECT oid, pg_get_userbyid(lomowner) AS owner, lo_get(oid) AS data, obj_description(oid, 'pg_largeobject') AS comment,"
            " (SELECT array_agg(DISTINCT (grantee::regrole, privilege_type, is_grantable)::text) FROM aclexplode(coalesce(lomacl,"
            " acldefault('L', lomowner)))) AS grants FROM pg_largeobject_metadata ORDER BY 1"
        ).fetchall():
            digest = hashlib.sha256(bytes(row["data"])).hexdigest()
            found[f"large object {row['oid']}"] = (row["owner"], len(row["data"]), digest, row["comment"], sorted(row["grants"]))
    return found


def _program(cluster, bindir, name: str, *words: str) -> list[str]:
    env = {**os.environ, "PGPASSWORD": "canary-super-5e7", "PGOPTIONS": "-c pgcut.bypass=on"}
    argv = [str(bindir / name), "--host=127.0.0.1", f"--port={cluster.port}", "--username=postgres", *words]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=True)
    return done.stdout.split("\n")


def schema(cluster, bindir, dbname: str = "hub") -> list[str]:
    """The schema as pg_dump shows it, with settings, owner, comment and grants of the database; without what is ours."""
    lines = _program(cluster, bindir, "pg_dump", "--schema-only", "--create", "--no-publications", "--no-subscriptions",
                     "--exclude-schema=pgcut", dbname)
    # The roles of a policy are listed by OID, which differs between servers.
    lines = [re.sub(r"(CREATE POLICY .* TO )(.+?)( USING| WITH|;)", _in_order, line) for line in lines]
    return [line for line in lines if not _OURS.search(line)]


def _in_order(found: re.Match[str]) -> str:
    return found[1] + ", ".join(sorted(found[2].split(", "))) + found[3]


def roles(cluster, bindir) -> list[str]:
    """Roles with verifiers, memberships and settings; the link's role and the superuser belong to the server."""
    lines = _program(cluster, bindir, "pg_dumpall", "--roles-only")
    return sorted(line for line in lines if re.match("CREATE|ALTER|GRANT", line) and not re.search(r"pgcut_repl|ROLE postgres\b", line))


def assert_equal(world, bindir, *, switched: bool = True) -> dict[str, object]:
    """Both sides hold the same; what they hold. Before the first switch sequences stand where they were made."""
    legacy, new = (contents(cluster) for cluster in world.clusters)
    different = [name for name in sorted({*legacy, *new}) if legacy.get(name) != new.get(name) and (switched or not name.startswith("sequence "))]
    assert different == [], [(name, legacy.get(name), new.get(name)) for name in different[:5]]
    for lines in (schema, roles):
        shown = list(difflib.unified_diff(*(lines(cluster, bindir) for cluster in world.clusters), lineterm="", n=1))
        assert shown == [], "\n".join(shown[:60])
    return legacy


_COLUMNS = """
SELECT n.nspname AS schema, c.relname AS name,
  array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS stored,
  (array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND a.attgenerated = ''
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refobjid = c.oid AND d.refobjsubid = a.attnum
                    AND d.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass))))[1] AS text,
  (array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attidentity <> 'a' AND a.attgenerated = ''))[1] AS any,
  EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid) AS referenced
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgcut') AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.oid, n.nspname, c.relname ORDER BY 1, 2
"""


def churn(cluster, mark: str, dbname: str = "hub") -> int:
    """Change every table: each row updated (a text that says ``mark`` where there is one), a row taken out and put in again, one deleted.

    How many tables. Without constraints and triggers, since this is about what arrives, not about what an application may do.
    """
    with cluster.connect(dbname) as connection:
        connection.execute("SET session_replication_role = replica; SET statement_timeout = 0; SET search_path = pg_catalog")
        tables = connection.execute(_COLUMNS).fetchall()
        for table in (table for table in tables if table["stored"]):
            name, column = sql.Identifier(table["schema"], table["name"]), sql.Identifier(table["text"] or table["any"])
            value = sql.SQL("{} || {}").format(column, mark) if table["text"] else column
            stored = sql.SQL(", ").join(map(sql.Identifier, table["stored"]))
            one = sql.SQL("DELETE FROM ONLY {} WHERE ctid = (SELECT ctid FROM ONLY {} ORDER BY ctid LIMIT 1)").format(name, name)
            try:
                connection.execute(sql.SQL("UPDATE ONLY {} SET {} = {}").format(name, column, value))
                connection.execute(
                    sql.SQL("WITH gone AS ({} RETURNING *) INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM gone").format(
                        one, name, stored, stored
                    )
                )
            except psycopg.errors.CheckViolation:
                assert table["name"] == "doubtful"
            if not table["referenced"]:
                connection.execute(one)
        return len(tables)
