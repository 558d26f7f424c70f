# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the catalogs: what the seed needs, the fingerprint of a schema, and what the preflight judges. Nothing is written."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .postgres import Server, Session, ident

# Schemas of the system; pgcut is ours and equal on both sides by construction.
IN_USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

# A type has equality when a default btree or hash operator class takes it, directly or by a binary cast that is implicit (varchar, unlike
# xml: IsBinaryCoercible in src/backend/parser/parse_coerce.c); a domain when its base has it, an array when its elements have, a composite
# when all its columns have; enums, ranges and multiranges always. Without it (json, xml, point) REPLICA IDENTITY FULL stops the apply worker
# at the first UPDATE: tuples_equal in src/backend/executor/execReplication.c.
_UNEQUAL = f"""
reached(root, type) AS (
  SELECT DISTINCT a.atttypid, a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {IN_USER_SCHEMA} AND a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT r.root, part.type FROM reached r JOIN pg_type y ON y.oid = r.type CROSS JOIN LATERAL (
    SELECT y.typbasetype AS type WHERE y.typtype = 'd'
    UNION ALL SELECT y.typelem WHERE y.typcategory = 'A' AND y.typelem <> 0
    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) part
), unequal AS MATERIALIZED (
  SELECT DISTINCT r.root FROM reached r JOIN pg_type b ON b.oid = r.type
  WHERE b.typtype = 'b' AND NOT (b.typcategory = 'A' AND b.typelem <> 0) AND NOT EXISTS (
    SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod WHERE m.amname IN ('btree', 'hash') AND o.opcdefault
    AND (o.opcintype = b.oid OR EXISTS
      (SELECT FROM pg_cast k WHERE k.castsource = b.oid AND k.casttarget = o.opcintype AND k.castmethod = 'b' AND k.castcontext = 'i')))
)
"""


@dataclass(frozen=True)
class Keyless:
    """A table whose UPDATE and DELETE cannot be published as it is.

    ``index`` could become its identity; ``without`` are columns that have no equality, so that the whole row cannot.
    """

    schema: str
    name: str
    was: str
    bytes: int
    index: str
    without: tuple[str, ...]
    quoted: str = ""

    def __str__(self) -> str:
        return self.quoted or f"{self.schema}.{self.name}"


def keyless(session: Session) -> list[Keyless]:
    """Ordinary tables (partitions too, since each is published by itself) whose UPDATE or DELETE could not be sent or not be applied.

    A deferrable primary key is none here, REPLICA IDENTITY NOTHING hides one, and an identity index may have been dropped. A table that has
    FULL already is listed only when a column without equality would stop the apply worker.
    """
    found = session.rows(
        f"""
WITH RECURSIVE {_UNEQUAL}, listed AS (
SELECT n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted,
  c.relreplident::text AS was, pg_relation_size(c.oid) AS bytes,
  (SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
   WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL
     -- What an index includes may be NULL: ATExecReplicaIdentity looks at its key columns (src/backend/commands/tablecmds.c).
     AND NOT EXISTS (SELECT FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k
                     WHERE NOT a.attnotnull)
   ORDER BY x.indnkeyatts, i.relname LIMIT 1) AS index,
  ARRAY(SELECT a.attname || ' (' || format_type(a.atttypid, a.atttypmod) || ')' FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
    AND NOT a.attisdropped AND a.attgenerated = '' AND a.atttypid IN (SELECT root FROM unequal) ORDER BY a.attnum) AS without,
  EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indisvalid AND x.indimmediate) AS keyed,
  EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisreplident AND x.indisvalid) AS chosen
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut')
SELECT * FROM listed WHERE was = 'n' OR was = 'd' AND NOT keyed OR was = 'i' AND NOT chosen OR was = 'f' AND NOT keyed AND without <> '{{}}'
ORDER BY 1, 2"""
    )
    return [
        Keyless(row["nspname"], row["relname"], row["was"], int(row["bytes"]), row["index"] or "", tuple(row["without"]), row["quoted"])
        for row in found
    ]


def identity_indexes(session: Session) -> list[str]:
    """Names, as pg_dump's table of contents shows them, of indexes that are a replica identity without being a constraint."""
    return [
        str(row["relname"])
        for row in session.rows(
            "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indisreplident AND NOT EXISTS"
            " (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x')) ORDER BY 1"
        )
    ]


def valid_checks(session: Session) -> list[str]:
    """CHECK constraints that every row keeps, as pg_dump's table of contents shows them: schema, table or domain, name."""
    return [
        str(row["name"])
        for row in session.rows(
            "SELECT n.nspname || ' ' || coalesce(c.relname, y.typname) || ' ' || k.conname AS name FROM pg_constraint k"
            " JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type y ON y.oid = k.contypid"
            f" WHERE k.contype = 'c' AND k.convalidated AND {IN_USER_SCHEMA} ORDER BY 1"
        )
    ]


def extension_tables(session: Session) -> list[tuple[str, str]]:
    return [
        (row["nspname"], row["relname"])
        for row in session.rows(
            "SELECT n.nspname, c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'"
            f" AND c.relkind = 'r' AND {IN_USER_SCHEMA} ORDER BY 1, 2"
        )
    ]


def filled_views(session: Session) -> list[tuple[str, str]]:
    """Materialized views that are filled, each after those that it reads, directly or through other views."""
    return [
        (row["nspname"], row["relname"])
        for row in session.rows(
            "WITH RECURSIVE reads AS (SELECT r.ev_class AS view, d.refobjid AS read FROM pg_rewrite r JOIN pg_depend d"
            " ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class),"
            " placed AS (SELECT oid, 0 AS depth FROM pg_class WHERE relkind IN ('v', 'm')"
            " UNION SELECT reads.view, placed.depth + 1 FROM placed JOIN reads ON reads.read = placed.oid)"
            " SELECT n.nspname, c.relname, max(placed.depth) AS depth FROM placed JOIN pg_class c USING (oid)"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated GROUP BY 1, 2 ORDER BY 3, 1, 2"
        )
    ]


# Tables that a subscription of this database does not know, because they were made after it. What comes for them is skipped silently.
UNFOLLOWED = f"""
SELECT s.subname, n.nspname, c.relname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
CROSS JOIN pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {IN_USER_SCHEMA}
AND NOT EXISTS (SELECT FROM pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srrelid = c.oid)
"""


def unfollowed(session: Session, name: str) -> list[tuple[str, str]]:
    """Tables that subscription ``name`` does not know; none when there is no such subscription."""
    return [
        (row["nspname"], row["relname"])
        for row in session.rows(f"SELECT * FROM ({UNFOLLOWED}) u WHERE u.subname = %s ORDER BY 2, 3", name)
    ]


def tables(session: Session) -> list[tuple[str, str]]:
    """Every table whose rows are moved, unlogged ones too, partitions and not their parents, largest first."""
    return _tables(session, "'p', 'u'")


def unlogged(session: Session) -> list[tuple[str, str]]:
    return _tables(session, "'u'")


def _tables(session: Session, persistence: str) -> list[tuple[str, str]]:
    return [
        (row["nspname"], row["relname"])
        for row in session.rows(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.relkind = 'r' AND c.relpersistence IN ({persistence}) AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut'"
            " ORDER BY pg_relation_size(c.oid) DESC, 1, 2"
        )
    ]


def stored_columns(session: Session, table: tuple[str, str]) -> list[str]:
    """Names of the columns that a COPY may fill."""
    return [
        str(row["attname"])
        for row in session.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
            " ORDER BY attnum",
            ident(*table),
        )
    ]


# --- the fingerprint of a schema --------------------------------------------------------------------------------------------------

_NOT_OF_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {0}.oid AND e.classid = '{1}'::regclass AND e.deptype = 'e')"

# Ours is made on each side, or not yet.
_COMPARED = f"{IN_USER_SCHEMA} AND n.nspname <> 'pgcut'"
# NOT NULL constraints stay out: they are rows since 18.
_FINGERPRINT = f"""
SELECT 'column ' || n.nspname || '.' || c.relname || '.' || a.attname AS object,
  concat_ws(' ', a.attnum - (SELECT count(*) FROM pg_attribute g WHERE g.attrelid = a.attrelid AND g.attnum < a.attnum
    AND g.attnum > 0 AND g.attisdropped), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated) AS text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't' AND {_COMPARED}
  AND {_NOT_OF_EXTENSION.format('c', 'pg_class')}
UNION ALL
SELECT 'table ' || n.nspname || '.' || c.relname, concat_ws(' ', c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
  pg_get_expr(c.relpartbound, c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {_COMPARED}
  AND {_NOT_OF_EXTENSION.format('c', 'pg_class')}
UNION ALL
SELECT 'constraint ' || n.nspname || '.' || coalesce(c.relname, t.typname) || '.' || k.conname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_type t ON t.oid = k.contypid
WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND c.relpersistence IS DISTINCT FROM 't' AND {_COMPARED}
  AND {_NOT_OF_EXTENSION.format('c', 'pg_class')} AND {_NOT_OF_EXTENSION.format('t', 'pg_type')}
UNION ALL
SELECT 'index ' || n.nspname || '.' || i.relname, pg_get_indexdef(x.indexrelid)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
WHERE x.indisvalid AND i.relpersistence <> 't' AND {_COMPARED}
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = x.indrelid AND e.classid = 'pg_class'::regclass AND e.deptype = 'e')
UNION ALL
SELECT 'trigger ' || n.nspname || '.' || c.relname || '.' || g.tgname, pg_get_triggerdef(g.oid) || g.tgenabled::text
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND g.tgname <> 'pgcut_closed' AND c.relpersistence <> 't' AND {_COMPARED}
  AND {_NOT_OF_EXTENSION.format('c', 'pg_class')}
UNION ALL
SELECT 'event trigger ' || evtname, concat_ws(' ', evtevent, evtenabled) FROM pg_event_trigger WHERE evtname NOT LIKE 'pgcut\\_%'
UNION ALL
SELECT 'identity ' || n.nspname || '.' || c.relname, c.relreplident::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {_COMPARED}
  AND {_NOT_OF_EXTENSION.format('c', 'pg_class')}
UNION ALL
SELECT 'sequence ' || n.nspname || '.' || c.relname,
  concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND {_COMPARED}
  AND {_NOT_OF_EXTENSION.format('c', 'pg_class')}
UNION ALL
SELECT 'type ' || n.nspname || '.' || t.typname, concat_ws(' ', t.typtype, CASE WHEN t.typtype = 'd' THEN
  format_type(t.typbasetype, t.typtypmod) END, t.typnotnull, (SELECT string_agg(quote_literal(l.enumlabel), ',' ORDER BY l.enumsortorder)
  FROM pg_enum l WHERE l.enumtypid = t.oid), (SELECT r.rngsubtype::regtype FROM pg_range r WHERE r.rngtypid = t.oid))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('d', 'e', 'r') AND {_COMPARED} AND {_NOT_OF_EXTENSION.format('t', 'pg_type')}
UNION ALL
SELECT 'function ' || p.oid::regprocedure::text, concat_ws(' ', p.prokind, p.prosecdef, p.proretset, md5(p.prosrc))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {_COMPARED} AND {_NOT_OF_EXTENSION.format('p', 'pg_proc')}
UNION ALL
SELECT 'policy ' || n.nspname || '.' || c.relname || '.' || o.polname, concat_ws(' ', o.polcmd, o.polpermissive,
  (SELECT string_agg(quote_ident(pg_get_userbyid(u)), ',' ORDER BY pg_get_userbyid(u)) FROM unnest(o.polroles) u WHERE u <> 0))
FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_COMPARED}
UNION ALL
SELECT 'extension ' || extname, '' FROM pg_extension WHERE extname <> 'plpgsql'
"""

# Expressions are shown by each major in its own way, so between different majors only their existence is compared.
_EXPRESSIONS = f"""
SELECT 'default ' || n.nspname || '.' || c.relname || '.' || a.attname AS object, pg_get_expr(d.adbin, d.adrelid) AS text
FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE c.relpersistence <> 't' AND {_COMPARED}
  AND {_NOT_OF_EXTENSION.format('c', 'pg_class')}
UNION ALL
SELECT 'rule ' || n.nspname || '.' || c.relname || '.' || r.rulename, md5(pg_get_ruledef(r.oid))
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND {_COMPARED} AND {_NOT_OF_EXTENSION.format('c', 'pg_class')}
UNION ALL
SELECT 'policy of ' || n.nspname || '.' || c.relname || '.' || o.polname,
  concat_ws(' / ', pg_get_expr(o.polqual, o.polrelid), pg_get_expr(o.polwithcheck, o.polrelid))
FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_COMPARED}
"""


def fingerprint(session: Session, *, expressions: bool) -> dict[str, str]:
    """Everything that replication and the way back rely on, by object; with ``expressions`` what views, rules, defaults and policies say, too."""
    found = {row["object"]: row["text"] for row in session.rows(_FINGERPRINT)}
    return found | {row["object"]: row["text"] if expressions else "" for row in session.rows(_EXPRESSIONS)}


def drift(legacy: Server, new: Server) -> list[str]:
    """Objects that only one side has, or that differ; sorted by name."""
    same = legacy.db.version // 10000 == new.db.version // 10000
    return differences(fingerprint(legacy.db, expressions=same), fingerprint(new.db, expressions=same))


def differences(legacy: t.Mapping[str, str], new: t.Mapping[str, str]) -> list[str]:
    """Pure: one phrase per object that differs."""
    found = [f"{name} (only on legacy)" for name in legacy if name not in new]
    found += [f"{name} (only on new)" for name in new if name not in legacy]
    found += [f"{name} (differs)" for name, text in legacy.items() if name in new and new[name] != text]
    return sorted(found)
