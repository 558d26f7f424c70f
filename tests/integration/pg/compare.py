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

# What a cutover itself leaves in a dump until it is finished; pgcut_row is a name that schemas of the fault tests give.
_OURS = re.compile(r"pgcut(?!_row)|default_transaction_read_only|^--|^$|^\\(un)?restrict")
_RELATIONS = """
SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgcut') AND c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't'
  AND (c.relkind <> 'm' OR c.relispopulated) ORDER BY 1, 2
"""
# As the server shows values by itself, whatever the database is set to.
_PLAIN = "SET DateStyle = ISO; SET IntervalStyle = postgres; SET extra_float_digits = 3; SET bytea_output = hex; SET TimeZone = UTC;" \
    " SET statement_timeout = 0"

# A plan looks at the functions of an index, and those find others by the path of whoever made them.
_EVERYWHERE = """
SELECT set_config('search_path', string_agg(quote_ident(nspname), ', ' ORDER BY nspname), false) FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'pgcut')
"""


def contents(cluster, dbname: str = "hub") -> dict[str, object]:
    """By name of table, materialized view or sequence: rows and their md5 in byte order, or the position; large objects by number."""
    found: dict[str, object] = {}
    with cluster.connect(dbname) as connection:
        connection.execute(_PLAIN)
        connection.execute(_EVERYWHERE)
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
            found[f"{kind}{row['schema']}.{row['name']}"] = _read(connection, text, name)
        for row in connection.execute(
            "SELECT oid, pg_get_userbyid(lomowner) AS owner, lo_get(oid) AS data, obj_description(oid, 'pg_largeobject') AS comment,"
            " (SELECT array_agg(DISTINCT (grantee::regrole, privilege_type, is_grantable)::text) FROM aclexplode(coalesce(lomacl,"
            " acldefault('L', lomowner)))) AS grants FROM pg_largeobject_metadata ORDER BY 1"
        ).fetchall():
            digest = hashlib.sha256(bytes(row["data"])).hexdigest()
            found[f"large object {row['oid']}"] = (row["owner"], len(row["data"]), digest, row["comment"], sorted(row["grants"] or ()))
    return found


def _read(connection, text, name) -> tuple[object, ...]:
    """One row of figures. Where an index calls what is there no more, no query over its table is planned: then COPY shows the rows, which plans nothing."""
    try:
        return tuple(connection.execute(text).fetchone().values())
    except psycopg.errors.UndefinedFunction:
        with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(name)) as copy:
            lines = sorted(b"".join(copy).split(b"\n"))
        return len(lines) - 1, hashlib.sha256(b"\n".join(lines)).hexdigest()


def program(cluster, bindir, name: str, *words: str, must: bool = True) -> list[str]:
    """Lines of what a program printed; of one that may fail, its errors too."""
    env = {**os.environ, "PGPASSWORD": "canary-super-5e7", "PGOPTIONS": "-c pgcut.bypass=on"}
    argv = [str(bindir / name), "--host=127.0.0.1", f"--port={cluster.port}", "--username=postgres", *words]
    done = subprocess.run(argv, capture_output=True, text=True, errors="surrogateescape", env=env, check=must)
    return (done.stdout + ("" if must else done.stderr)).split("\n")


def schema(cluster, bindir, dbname: str = "hub") -> list[str]:
    """The schema as pg_dump shows it, with settings, owner, comment and grants of the database; without what is ours."""
    lines = program(cluster, bindir, "pg_dump", "--schema-only", "--create", "--no-publications", "--no-subscriptions",
                    "--exclude-schema=pgcut", dbname)
    # The roles of a policy are listed by OID, which differs between servers.
    lines = [re.sub(r"(CREATE POLICY .* TO )(.+?)( USING| WITH|;)", _in_order, line) for line in lines]
    return [line for line in lines if not _OURS.search(line)]


def _in_order(found: re.Match[str]) -> str:
    return found[1] + ", ".join(sorted(found[2].split(", "))) + found[3]


def roles(cluster, bindir) -> list[str]:
    """Roles with verifiers, memberships and settings; the link's role and the superuser belong to the server."""
    lines = program(cluster, bindir, "pg_dumpall", "--roles-only")
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


# --- what a dump does not show: who granted, what a view shows, what a policy lets through --------------------------------------------

_NOT_SYSTEM = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgcut')"
# Objects with rights, by name; those of the system only where somebody has changed them. MAINTAIN came with 17, as a part of ALL.
_GRANTS = f"""
WITH acl(kind, name, acl) AS (
  SELECT 'relation', format('%I.%I', n.nspname, c.relname), coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND {_NOT_SYSTEM}
      AND NOT EXISTS (SELECT FROM pg_depend e LEFT JOIN pg_init_privs i ON i.objoid = c.oid AND i.classoid = 'pg_class'::regclass AND i.objsubid = 0
        WHERE e.objid = c.oid AND e.classid = 'pg_class'::regclass AND e.deptype = 'e' AND c.relacl IS NOT DISTINCT FROM i.initprivs)
  UNION ALL SELECT 'column', format('%I.%I.%I', n.nspname, c.relname, a.attname), a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND {_NOT_SYSTEM}
  UNION ALL SELECT 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_NOT_SYSTEM}
      -- What an extension's script gave is its own, as its signatures are.
      AND NOT EXISTS (SELECT FROM pg_depend e LEFT JOIN pg_init_privs i ON i.objoid = p.oid AND i.classoid = 'pg_proc'::regclass
        WHERE e.objid = p.oid AND e.classid = 'pg_proc'::regclass AND e.deptype = 'e' AND p.proacl IS NOT DISTINCT FROM i.initprivs)
  UNION ALL SELECT 'type', format('%I.%I', n.nspname, y.typname), coalesce(y.typacl, acldefault('T', y.typowner))
    FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace WHERE y.typtype IN ('e', 'd', 'r', 'b') AND y.typelem = 0 AND {_NOT_SYSTEM}
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = y.oid AND e.deptype = 'e' AND y.typacl IS NULL)
  UNION ALL SELECT 'schema', n.nspname::text, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n WHERE {_NOT_SYSTEM}
  UNION ALL SELECT 'database', datname::text, coalesce(datacl, acldefault('d', datdba)) FROM pg_database WHERE datname = current_database()
  UNION ALL SELECT 'language', lanname::text, coalesce(lanacl, acldefault('l', lanowner)) FROM pg_language
  UNION ALL SELECT 'server', srvname::text, srvacl FROM pg_foreign_server WHERE srvacl IS NOT NULL
  UNION ALL SELECT 'default ' || defaclobjtype::text, pg_get_userbyid(defaclrole) || coalesce(' in ' || n.nspname, ''), defaclacl
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
  UNION ALL SELECT 'system', s.classid::regclass || ' ' || coalesce(s.relname, s.proname), s.acl FROM (
    SELECT 'pg_class'::regclass AS classid, c.oid, c.relname::text, NULL AS proname, c.relacl AS acl FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'pg_catalog'
    UNION ALL SELECT 'pg_proc', p.oid, NULL, p.oid::regprocedure::text, p.proacl FROM pg_proc p
      JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'pg_catalog') s
    LEFT JOIN pg_init_privs i ON i.objoid = s.oid AND i.classoid = s.classid AND i.objsubid = 0 WHERE s.acl IS DISTINCT FROM i.initprivs
)
SELECT concat_ws(' ', kind, name, x.privilege_type, 'to', CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
  CASE WHEN x.is_grantable THEN 'with grant option' END, 'by', pg_get_userbyid(x.grantor)) AS line
FROM acl, aclexplode(acl.acl) x WHERE x.privilege_type <> 'MAINTAIN' ORDER BY 1
"""
# Before 16 a membership inherits as its member says, lets it SET ROLE, and who granted it decides nothing.
_MEMBERSHIPS = {
    False: "SELECT concat_ws(' ', 'membership of', c.rolname, 'in', p.rolname, 'admin', bool_or(m.admin_option), 'inherit', bool_or(c.rolinherit),"
           " 'set', true) AS line"
           " FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.roleid JOIN pg_roles c ON c.oid = m.member GROUP BY c.rolname, p.rolname ORDER BY 1",
    True: "SELECT concat_ws(' ', 'membership of', c.rolname, 'in', p.rolname, 'admin', bool_or(m.admin_option), 'inherit', bool_or(m.inherit_option),"
          " 'set', bool_or(m.set_option)) AS line"
          " FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.roleid JOIN pg_roles c ON c.oid = m.member GROUP BY c.rolname, p.rolname ORDER BY 1",
}
_SETTINGS = """
SELECT concat_ws(' ', 'setting of', coalesce(a.rolname, 'everybody'), 'in', coalesce(d.datname, 'every database'), c) AS line
FROM pg_db_role_setting s LEFT JOIN pg_roles a ON a.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
WHERE (s.setdatabase = 0 OR d.datname = current_database()) AND c !~ '^(pgcut\\.|default_transaction_read_only=(on|off)$)' ORDER BY 1
"""
_EXTENSIONS = """
SELECT concat_ws(' ', 'extension', e.extname, 'in', n.nspname, 'of', pg_get_userbyid(e.extowner)) AS line,
  concat_ws(' ', 'version', e.extversion, 'with', (SELECT string_agg(
  pg_describe_object(d.classid, d.objid, d.objsubid), '; ' ORDER BY pg_describe_object(d.classid, d.objid, d.objsubid)) FROM pg_depend d
  WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e')) AS members
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1
"""
_DATABASE = """
SELECT concat_ws(' ', 'database', pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datlocprovider, coalesce(to_jsonb(d)->>'daticulocale',
  to_jsonb(d)->>'datlocale'), to_jsonb(d)->>'daticurules', d.datistemplate, d.datallowconn, d.datconnlimit, pg_get_userbyid(d.datdba)) AS line
FROM pg_database d WHERE datname = current_database()
"""


def rights(cluster, dbname: str = "hub", *, members: bool = True) -> list[str]:
    """Grants with their grantors, memberships with their options, settings, extensions, attributes of the database; a line each.

    ``members`` of an extension and its version are its own across majors.
    """
    found: list[str] = []
    with cluster.connect(dbname) as connection:
        connection.execute(_PLAIN)
        memberships = _MEMBERSHIPS[connection.info.server_version >= 160000]
        for text in (_GRANTS, memberships, _SETTINGS, _EXTENSIONS, _DATABASE):
            found += [f"{row['line']} {row.get('members', '') if members else ''}".strip() for row in connection.execute(text).fetchall()]
    return [line for line in found if "pgcut_repl" not in line]


_SHOWN = f"""
SELECT n.nspname AS schema, c.relname AS name, NULL AS account FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND {_NOT_SYSTEM} AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')
UNION ALL
SELECT n.nspname, c.relname, a.rolname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN pg_roles a
WHERE c.relrowsecurity AND c.relkind IN ('r', 'p') AND {_NOT_SYSTEM} AND a.rolname !~ '^pg' ORDER BY 1, 2, 3
"""


def shown(cluster, dbname: str = "hub") -> dict[str, object]:
    """What each view shows, and what each account sees of each table with row level security; or the SQLSTATE of the refusal."""
    found: dict[str, object] = {}
    with cluster.connect(dbname) as connection:
        connection.execute(_PLAIN)
        for row in connection.execute(_SHOWN).fetchall():
            text = sql.SQL('SELECT count(*) AS rows, md5(string_agg("§"::text, chr(10) ORDER BY "§"::text COLLATE "C")) AS md5 FROM {} AS "§"')
            try:
                with connection.transaction():
                    if row["account"] is not None:
                        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(row["account"])))
                    said: object = tuple(connection.execute(text.format(sql.Identifier(row["schema"], row["name"]))).fetchone().values())
            except psycopg.Error as error:
                said = error.sqlstate
            found[f"{row['schema']}.{row['name']}{'' if row['account'] is None else ' as ' + row['account']}"] = said
    return found
