# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a dump does not write down, or replication cannot apply: found on legacy in its catalogs, refused by name.

An expression is read as the catalog keeps it (pg_node_tree); none is evaluated or planned.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..._core.finding import Finding
from ..server.catalog import IN_USER_SCHEMA
from ..server.owner_code import AS_OWNER
from ..server.postgres import Session
from .objects import filled

# Locks on this many sequences are held by one statement.
_CHUNK = 500

TABLE = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)"

OBJECTS: dict[str, str] = {
    # Since 16 a row is applied as the owner of its table, whose rights hold (CREATE SUBSCRIPTION, run_as_owner; TargetPrivilegesCheck in
    # src/backend/replication/logical/worker.c, which also refuses an owner who is subject to row security).
    "closed_schemas": f"SELECT {TABLE} || ' of ' || quote_ident(a.rolname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    f" JOIN pg_roles a ON a.oid = c.relowner WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut'"
    " AND NOT has_schema_privilege(a.oid, n.oid, 'USAGE') ORDER BY 1",
    "own_rights": f"SELECT {TABLE} || ' of ' || quote_ident(a.rolname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    f" JOIN pg_roles a ON a.oid = c.relowner WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut'"
    " AND NOT (has_table_privilege(a.oid, c.oid, 'SELECT') AND has_table_privilege(a.oid, c.oid, 'INSERT') AND"
    " has_table_privilege(a.oid, c.oid, 'UPDATE') AND has_table_privilege(a.oid, c.oid, 'DELETE') AND"
    " has_table_privilege(a.oid, c.oid, 'TRUNCATE')) ORDER BY 1",
    "forced_policies": f"SELECT {TABLE} || ' of ' || quote_ident(a.rolname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    f" JOIN pg_roles a ON a.oid = c.relowner WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {IN_USER_SCHEMA} AND c.relrowsecurity"
    " AND c.relforcerowsecurity AND NOT a.rolsuper AND NOT a.rolbypassrls ORDER BY 1",
    # The hash of an enum is that of its OID (hashenum), which is another one on new; reg* types are restored by name.
    "hash_partitions": "WITH RECURSIVE reached(root, type) AS (SELECT p.partrelid, a.atttypid FROM pg_partitioned_table p"
    " CROSS JOIN LATERAL unnest(p.partattrs::int2[]) k JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k"
    " WHERE p.partstrat = 'h' AND k <> 0 UNION SELECT p.partrelid, o.opcintype FROM pg_partitioned_table p"
    " CROSS JOIN LATERAL unnest(p.partclass::oid[]) k JOIN pg_opclass o ON o.oid = k WHERE p.partstrat = 'h'"
    " UNION SELECT r.root, part.type FROM reached r JOIN pg_type y ON y.oid = r.type CROSS JOIN LATERAL (SELECT y.typbasetype AS type"
    " UNION ALL SELECT y.typelem UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid"
    " AND a.attnum > 0 AND NOT a.attisdropped UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE g.rngtypid = y.oid"
    " UNION ALL SELECT g.rngtypid FROM pg_range g WHERE (to_jsonb(g)->>'rngmultitypid')::oid = y.oid) part WHERE part.type <> 0)"
    f" SELECT DISTINCT {TABLE} AS name FROM reached r JOIN pg_class c ON c.oid = r.root JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_type y ON y.oid = r.type WHERE y.typtype = 'e' OR y.oid = 'anyenum'::regtype OR y.typnamespace = 'pg_catalog'::regnamespace"
    " AND y.typname LIKE 'reg%' AND y.typtype = 'b' AND y.typelem = 0 ORDER BY 1",
    "physical_slots": "SELECT slot_name::text AS name FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary"
    " AND slot_name NOT LIKE 'pgcut\\_%' ORDER BY 1",
    "other_slots": "SELECT slot_name::text AS name FROM pg_replication_slots WHERE slot_type = 'logical' AND database = current_database()"
    " AND NOT temporary AND slot_name NOT LIKE 'pgcut\\_%' AND slot_name !~ '^pg_\\d+_sync_\\d+_\\d+$' ORDER BY 1",
}

# Kind of object, message, remedy: each of level fail.
_RULES = (
    (
        "hash_partitions",
        "{} is partitioned by the hash of an enum (or of a type that names objects, or holds one of these), and such a hash is another one on every server.",
        "Make it anew on legacy, partitioned by LIST or RANGE over the same column, or by the hash of another one.",
    ),
    (
        "other_operators",
        "{}: a dump does not write down which operator this is, so it would mean another one on new, or cannot be made there.",
        "Write it with the operator itself: a IS DISTINCT FROM b as NOT coalesce(a = b, a IS NULL AND b IS NULL), NULLIF(a, b) as"
        " CASE WHEN a = b THEN NULL ELSE a END, CASE a WHEN b … as CASE WHEN a = b …, JOIN … USING (a) as JOIN … ON x.a = y.a.",
    ),
)
_AS_OWNER = (
    (
        "closed_schemas",
        "The owner has no right to the schema: table {}, and PostgreSQL 16 and newer apply rows as the owner of the table.",
        "On legacy: GRANT USAGE ON SCHEMA {schema} TO {owner}; or give the table another owner: ALTER TABLE {table} OWNER TO <account>;",
    ),
    (
        "own_rights",
        "The owner lacks rights to the own table {}, and PostgreSQL 16 and newer apply rows as the owner of the table.",
        "On legacy: GRANT ALL ON TABLE {table} TO {owner};",
    ),
    (
        "forced_policies",
        "Row security is forced upon the owner of table {}, and PostgreSQL 16 and newer apply rows as that owner.",
        "On legacy, for the move: ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY; or ALTER ROLE {owner} BYPASSRLS;",
    ),
)


def findings(objects: t.Mapping[str, t.Sequence[str]], newest: int) -> list[Finding]:
    """Pure. ``newest`` is the version of the newer server: either side follows the other one in time."""
    rules = (*_RULES, *(_AS_OWNER if newest >= AS_OWNER else ()))
    return [
        Finding("preflight_failed", "fail", name, message.replace("{}", name), filled(remedy, name))
        for kind, message, remedy in rules
        for name in objects.get(kind, ())
    ]


# Every expression that a dump writes down and that depends on an operator outside pg_catalog; what an extension made is not in a dump.
# Since an expression notes its operators (find_expr_references_walker in src/backend/catalog/dependency.c), few are left to read.
_TREES = f"""
WITH used AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid FROM pg_depend d JOIN pg_operator o ON o.oid = d.refobjid
  WHERE d.refclassid = 'pg_operator'::regclass AND o.oprnamespace <> 'pg_catalog'::regnamespace
), trees(name, class, object, tree) AS (
  SELECT (CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'rule ' || quote_ident(r.rulename) || ' on ' END) || {TABLE},
    'pg_class'::regclass::oid, c.oid, r.ev_qual::text || ' ' || r.ev_action::text FROM used u JOIN pg_rewrite r ON u.classid = 'pg_rewrite'::regclass
    AND r.oid = u.objid JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'policy ' || quote_ident(p.polname) || ' on ' || {TABLE}, 'pg_class'::regclass, c.oid,
    concat_ws(' ', p.polqual::text, p.polwithcheck::text) FROM used u JOIN pg_policy p ON u.classid = 'pg_policy'::regclass AND p.oid = u.objid
    JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'trigger ' || quote_ident(g.tgname) || ' on ' || {TABLE}, 'pg_class'::regclass, c.oid, g.tgqual::text FROM used u
    JOIN pg_trigger g ON u.classid = 'pg_trigger'::regclass AND g.oid = u.objid JOIN pg_class c ON c.oid = g.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'constraint ' || quote_ident(k.conname) || ' on ' || coalesce({TABLE}, k.contypid::regtype::text),
    CASE WHEN k.conrelid <> 0 THEN 'pg_class'::regclass ELSE 'pg_type'::regclass END, greatest(k.conrelid, k.contypid), k.conbin::text FROM used u
    JOIN pg_constraint k ON u.classid = 'pg_constraint'::regclass AND k.oid = u.objid LEFT JOIN pg_class c ON c.oid = k.conrelid
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'default of ' || {TABLE} || '.' || quote_ident(a.attname), 'pg_class'::regclass, c.oid, d.adbin::text FROM used u
    JOIN pg_attrdef d ON u.classid = 'pg_attrdef'::regclass AND d.oid = u.objid JOIN pg_class c ON c.oid = d.adrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'index ' || {TABLE}, 'pg_class'::regclass, x.indrelid, concat_ws(' ', x.indexprs::text, x.indpred::text) FROM used u
    JOIN pg_index x ON u.classid = 'pg_class'::regclass AND x.indexrelid = u.objid JOIN pg_class c ON c.oid = x.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'partition key of ' || {TABLE}, 'pg_class'::regclass, c.oid, p.partexprs::text FROM used u
    JOIN pg_partitioned_table p ON u.classid = 'pg_class'::regclass AND p.partrelid = u.objid JOIN pg_class c ON c.oid = p.partrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
  UNION ALL SELECT 'statistics ' || quote_ident(s.stxname), 'pg_class'::regclass, s.stxrelid, to_jsonb(s)->>'stxexprs' FROM used u
    JOIN pg_statistic_ext s ON u.classid = 'pg_statistic_ext'::regclass AND s.oid = u.objid
  UNION ALL SELECT 'function ' || p.oid::regprocedure, 'pg_proc'::regclass, p.oid, concat_ws(' ', p.proargdefaults::text, to_jsonb(p)->>'prosqlbody')
    FROM used u JOIN pg_proc p ON u.classid = 'pg_proc'::regclass AND p.oid = u.objid
)
SELECT name, tree FROM trees s WHERE tree IS NOT NULL
AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = s.class AND e.objid = s.object AND e.deptype = 'e') ORDER BY 1
"""
# These are written without the name of their operator (get_rule_expr and get_from_clause_item in src/backend/utils/adt/ruleutils.c).
_UNNAMED = (
    ("IS DISTINCT FROM", re.compile(r"\{DISTINCTEXPR (:opno \d+)")),
    ("NULLIF", re.compile(r"\{NULLIFEXPR (:opno \d+)")),
    ("CASE … WHEN", re.compile(r"\{OPEXPR (:opno \d+)[^{}]*:args \(\{CASETESTEXPR")),
    ("JOIN … USING", re.compile(r":usingClause \([^)]*\)(?: :join_using_alias (?:<>|\{.*?\}))? :quals (.*?) :alias", re.S)),
)
_OPERATOR = re.compile(r":opno (\d+)")


def other_operators(session: Session) -> tuple[str, ...]:
    """Expressions that use an operator outside pg_catalog in a way that a dump writes down without its name."""
    ours = [(str(row["name"]), word, number) for row in session.rows(_TREES) for word, number in _unnamed(row["tree"])]
    if not ours:
        return ()
    rows = session.rows(
        "SELECT oid::text AS oid, oprname FROM pg_operator WHERE oid::text = ANY (%s) AND oprnamespace <> 'pg_catalog'::regnamespace",
        sorted({number for _name, _word, number in ours}),
    )
    operators = {row["oid"]: row["oprname"] for row in rows}
    return tuple(dict.fromkeys(f"{name} ({word})" for name, word, number in ours if number in operators))


def _unnamed(tree: str) -> list[tuple[str, str]]:
    """What in an expression is written without the name of its operator, and the operator's OID."""
    return [(word, number) for word, pattern in _UNNAMED for found in pattern.findall(tree) for number in _OPERATOR.findall(found)]


# The end of a sequence is its own, or that of the column that owns it (a smallserial made before PostgreSQL 10, a widened sequence).
_FULL = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (SELECT pg_sequence_last_value(c.oid) AS last_value) v CROSS JOIN LATERAL (SELECT
  least(s.seqmax, min(CASE a.atttypid::regtype::text WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 END)) AS top,
  greatest(s.seqmin, max(CASE a.atttypid::regtype::text WHEN 'smallint' THEN -32768 WHEN 'integer' THEN -2147483648 END)) AS bottom
  FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass) e
WHERE s.seqrelid = ANY (%s::oid[]) AND NOT s.seqcycle AND v.last_value IS NOT NULL AND CASE WHEN s.seqincrement > 0
  THEN v.last_value::numeric - s.seqmin > 0.95 * (e.top::numeric - s.seqmin)
  ELSE s.seqmax::numeric - v.last_value > 0.95 * (s.seqmax::numeric - e.bottom) END ORDER BY 1
"""


def full_sequences(session: Session) -> tuple[str, ...]:
    """Sequences near their end. Reading one locks it until the statement ends, so they are read in parts."""
    text = "SELECT s.seqrelid::text AS name FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relpersistence <> 't' ORDER BY 1"
    oids = [str(row["name"]) for row in session.rows(text)]
    parts = [oids[start : start + _CHUNK] for start in range(0, len(oids), _CHUNK)]
    return tuple(str(row["name"]) for part in parts for row in session.rows(_FULL, part))


@dataclass(frozen=True)
class NamedCollation:
    """A collation that new needs. ``of_system``: it stands in pg_catalog, where initdb put it, so a dump has its name only."""

    name: str
    plain: str
    provider: str
    locale: str
    of_system: bool


def named_collations(session: Session) -> tuple[NamedCollation, ...]:
    """Those that the database has made, and those of the system that something uses (default, C and POSIX are noted nowhere)."""
    rows = session.rows(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname) AS name, l.collname AS plain, l.collprovider::text AS provider,"
        " coalesce(to_jsonb(l)->>'colllocale', to_jsonb(l)->>'colliculocale', l.collcollate, '') AS locale, n.nspname = 'pg_catalog' AS of_system"
        " FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE n.nspname <> 'pg_catalog' OR EXISTS"
        " (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = l.oid) ORDER BY 1"
    )
    return tuple(NamedCollation(**row) for row in rows)
