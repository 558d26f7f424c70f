# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that legacy has although its own rules forbid them, and rows that it can keep and not send: found on legacy, before the first write.

NULL comes into a domain that forbids it by a subquery without a row (CREATE DOMAIN, Notes). NOT NULL and lengths are set in the catalog by hand,
to save the scan or the rewrite of a large table. An exclusion constraint stands over a function that says something else by now.
"""

from __future__ import annotations

from ..._core.errors import FleetError
from ..server.postgres import Row, Session, ident
from .contents import TABLE
from .looks import CALLS, FROM, KEYS, NAMES, Look, key_of

# A row is sent as one text, by COPY and by replication alike: MaxAllocSize in src/include/utils/memutils.h, less the names and lengths around it.
_LONGEST = 2**30 - 2**16
# pglz and lz4 make a value at most so much smaller, so what is put aside for a table tells how long its rows can be at most.
_COMPRESSED = 256
# A table that is larger is read only where its statistics say that there is something.
_READ = 256 * 1024 * 1024
_AS_BACKSLASH = 160000
# Pairs are compared, each with each.
_PAIRED = 4 * 1024 * 1024

_IN_DOMAINS = f"""
WITH RECURSIVE based(type, domain) AS (SELECT oid, oid FROM pg_type WHERE typtype = 'd'
  UNION SELECT y.oid, b.domain FROM based b JOIN pg_type y ON y.typtype = 'd' AND y.typbasetype = b.type),
plain(domain, type) AS (SELECT oid, typbasetype FROM pg_type WHERE typtype = 'd'
  UNION SELECT p.domain, y.typbasetype FROM plain p JOIN pg_type y ON y.typtype = 'd' AND y.oid = p.type)
SELECT {NAMES}, a.attname, r.rule || ' of domain ' || b.domain::regtype || ' in ' || {TABLE} || '.' || quote_ident(a.attname) AS name, r.expression,
  (SELECT p.type::regtype::text FROM plain p JOIN pg_type y ON y.oid = p.type WHERE p.domain = b.domain AND y.typtype <> 'd') AS plain
FROM based b CROSS JOIN LATERAL (SELECT 'NOT NULL' AS rule, NULL AS expression FROM pg_type y WHERE y.oid = b.domain AND y.typnotnull
  UNION ALL SELECT 'constraint ' || quote_ident(k.conname), pg_get_expr(k.conbin, 0) FROM pg_constraint k WHERE k.contypid = b.domain
    AND k.contype = 'c' AND k.convalidated AND NOT {CALLS.format('pg_constraint', 'k.oid')}) r
JOIN pg_attribute a ON a.atttypid = b.type AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attnotnull JOIN {FROM} ON c.oid = a.attrelid ORDER BY 6
"""
# The columns of the system are as old as the table.
_ALTERED = f"""
SELECT {NAMES}, a.attname, {TABLE} || '.' || quote_ident(a.attname) AS column, a.atttypid::regtype::text AS type, a.atttypmod AS mod, w.empty
FROM pg_attribute a JOIN {FROM} ON c.oid = a.attrelid
CROSS JOIN LATERAL (SELECT a.attnotnull AND a.attgenerated = '' AND NOT EXISTS
  (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND a.attnum = ANY (x.indkey::int2[])) AS empty) w
WHERE a.attnum > 0 AND NOT a.attisdropped AND (w.empty OR a.atttypmod >= 0 AND a.atttypid = ANY (ARRAY['varchar', 'bpchar', 'numeric']::regtype[]))
AND (pg_relation_size(c.oid) <= {_READ} AND EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attnum < 0 AND o.xmin <> a.xmin)
  OR w.empty AND EXISTS (SELECT FROM pg_statistic s WHERE s.starelid = c.oid AND s.staattnum = a.attnum AND s.stanullfrac > 0)) ORDER BY 6
"""
_TOO_LONG = {
    "character varying": "char_length({0}) > {1} - 4",
    "character": "char_length({0}) > {1} - 4",
    # A column is believed to keep its own length already (numeric_support), a sum is not.
    "numeric": "pg_catalog.numeric({0} + 0, {1}) IS DISTINCT FROM {0}",
}
# COPY and replication send the byte as it is, and it is no letter of an encoding of several bytes (charout; with a backslash since 16).
_BYTES = f"""
SELECT {NAMES}, a.attname, 'the byte of ' || {TABLE} || '.' || quote_ident(a.attname) AS name FROM pg_attribute a JOIN {FROM} ON c.oid = a.attrelid
WHERE a.atttypid = '"char"'::regtype AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 6
"""
# Indexes are made behind the rows, but for keys where rows come by replication; the name of a TOAST table is its OID.
_NAMING = f"""
SELECT {NAMES}, a.attname, {TABLE} || '.' || quote_ident(a.attname) AS column, a.atttypid <> 'regclass'::regtype AS many FROM pg_attribute a
JOIN {FROM} ON c.oid = a.attrelid WHERE a.atttypid = ANY (ARRAY['regclass', 'regclass[]']::regtype[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 6
"""
_NAMED = """EXISTS (SELECT FROM pg_class o WHERE o.oid = ANY ({0}::oid[]) AND (o.relkind = 't' OR o.relkind IN ('i', 'I')
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = o.oid AND k.contype IN ({1}))))"""
_WIDE = f"""
SELECT {NAMES}, ARRAY(SELECT CASE coalesce(nullif(y.typbasetype, 0), y.oid) WHEN 'bytea'::regtype THEN '2::bigint * octet_length(' WHEN 'text'::regtype
  THEN 'octet_length(' WHEN 'varchar'::regtype THEN 'octet_length(' ELSE 'pg_column_size(' END || quote_ident(a.attname) || ')'
  FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attlen = -1
  ORDER BY a.attnum) AS lengths
FROM {FROM} WHERE c.reltoastrelid <> 0 AND pg_relation_size(c.reltoastrelid) > %s ORDER BY 3
"""
_EXCLUDED = f"""
SELECT {NAMES}, 'constraint ' || quote_ident(k.conname) || ' of ' || {TABLE} AS name, pg_get_expr(x.indpred, x.indrelid) AS predicate,
  ARRAY(SELECT pg_get_indexdef(x.indexrelid, i, false) FROM generate_series(1, x.indnkeyatts) i) AS keys,
  ARRAY(SELECT 'OPERATOR(' || quote_ident(s.nspname) || '.' || o.oprname || ')' FROM unnest(k.conexclop) WITH ORDINALITY w(oid, i)
    JOIN pg_operator o ON o.oid = w.oid JOIN pg_namespace s ON s.oid = o.oprnamespace ORDER BY w.i) AS apart
FROM pg_constraint k JOIN {FROM} ON c.oid = k.conrelid JOIN pg_index x ON x.indexrelid = k.conindid
WHERE k.contype = 'x' AND pg_relation_size(c.oid) <= {_PAIRED} AND ({CALLS.format('pg_class', 'x.indexrelid')}
  OR {CALLS.format('pg_constraint', 'k.oid')} OR {{0}}) ORDER BY 5
"""


def looks(session: Session, reordered: str, *, dumped: bool = False, longest: int = _LONGEST) -> list[Look]:
    """``reordered`` is the condition over an index x that its order of text is not the one that it was built with; ``dumped``: rows come by dump."""
    found = [_empty(session, row, row["name"]) for row in session.rows(_IN_DOMAINS) if _forbids(session, row)]
    for row in session.rows(_ALTERED):
        if row["empty"]:
            found.append(_empty(session, row, f"NOT NULL of {row['column']}"))
        if row["mod"] >= 0 and row["type"] in _TOO_LONG:
            wrong = _TOO_LONG[row["type"]].format(ident(row["attname"]), int(row["mod"]))
            found.append(_where(session, row, f"the length of {row['column']}", wrong, "Rows are beyond"))
    for row in session.rows(_NAMING):
        named = ident(row["attname"]) if row["many"] else f"ARRAY[{ident(row['attname'])}]"
        condition = _NAMED.format(named, "NULL" if dumped else "'p', 'u'")
        found.append(_where(session, row, f"what {row['column']} names", condition, "Rows name an index, which new makes behind them, in"))
    for row in session.rows(_BYTES) if session.version < _AS_BACKSLASH else ():
        found.append(_where(session, row, row["name"], f"pg_catalog.int4({ident(row['attname'])}) < 0", "Rows are beyond ASCII in"))
    for row in session.rows(_WIDE, longest // _COMPRESSED):
        total = " + ".join(f"coalesce({length}, 0)" for length in row["lengths"])
        found.append(_where(session, row, f"rows of {row['shown']}", f"{total} > {longest}", "COPY and replication cannot send what is 1 GB as text, of"))
    return found + [_paired(session, row) for row in session.rows(_EXCLUDED.replace("{0}", reordered))]


def _forbids(session: Session, row: Row) -> bool:
    """Whether a domain forbids NULL: the answer of its own expression, which calls nothing of a user."""
    if not row["expression"]:
        return True
    try:
        with session.block():
            session.run("SET TRANSACTION READ ONLY")
            return bool(session.value(f"SELECT ({row['expression']}) IS FALSE FROM (SELECT NULL::{row['plain']} AS value) s"))
    except FleetError as error:
        if error.code != "sql_error" or session.closed:
            raise
        return False


def _empty(session: Session, row: Row, name: str) -> Look:
    return _where(session, row, name, f"{ident(row['attname'])} IS NULL", "Rows break")


def _where(session: Session, row: Row, name: str, condition: str, wrong: str) -> Look:
    table = ident(row["nspname"], row["relname"])
    return Look(name, (row["place"],), f"SELECT {key_of(session, row)} FROM ONLY {table} WHERE {condition} LIMIT {KEYS + 1}", wrong)


def _paired(session: Session, row: Row) -> Look:
    """Two rows that exclude each other."""
    keys = [f"k{number}" for number in range(len(row["keys"]))]
    inner = ", ".join(f"{text} AS {key}" for key, text in zip(keys, row["keys"]))
    where = f" WHERE {row['predicate']}" if row["predicate"] else ""
    rows = f"SELECT row_number() OVER () AS n, {key_of(session, row)}, {inner} FROM ONLY {ident(row['nspname'], row['relname'])}{where}"
    apart = " AND ".join(f"a.{key} {operator} b.{key}" for key, operator in zip(keys, row["apart"]))
    text = f"WITH s AS MATERIALIZED ({rows}) SELECT a.key FROM s a JOIN s b ON a.n < b.n AND {apart} LIMIT {KEYS + 1}"
    return Look(row["name"], (row["place"],), text, "Rows exclude each other under")
