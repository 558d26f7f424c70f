# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows whose values only new itself can judge, sent there and thrown away: into the database without rows that the schema was tried in.

Few tables have such: a domain within a composite or a range that is not validated, or whose function may say something else by now; columns that
were told to keep their values in the row; and, where new sorts text otherwise than legacy did, ranges of text and partitions by ranges of it.
"""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..server import collations, owner_code
from ..server.catalog import stored_columns
from ..server.postgres import Row, Session, ident
from . import rows
from .looks import CALLS, FROM, KEYS, NAMES, key_of

# What is larger is left to the copy itself, and named.
_READ = 2**30
_TWIN = "pg_temp.pgcut_twin"
# Domains by themselves, under others, and in arrays are looked at on legacy (rows._DOMAINS).
_SUSPECTS = f"""
WITH RECURSIVE parts(root, type) AS (
  SELECT DISTINCT a.atttypid, a.atttypid FROM pg_attribute a JOIN {FROM} ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION SELECT p.root, part.type FROM parts p JOIN pg_type y ON y.oid = p.type CROSS JOIN LATERAL (
    SELECT y.typbasetype AS type UNION ALL SELECT y.typelem
    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE g.rngtypid = y.oid
    UNION ALL SELECT g.rngtypid FROM pg_range g WHERE (to_jsonb(g)->>'rngmultitypid')::oid = y.oid) part WHERE part.type <> 0
), based(type, domain) AS (SELECT oid, oid FROM pg_type WHERE typtype = 'd'
  UNION SELECT y.oid, b.domain FROM based b JOIN pg_type y ON y.typtype = 'd' AND y.typbasetype = b.type
), doubtful(domain) AS (SELECT k.contypid FROM pg_constraint k WHERE k.contypid <> 0 AND k.contype = 'c'
  AND (NOT k.convalidated OR {CALLS.format('pg_constraint', 'k.oid')})
), hidden(root) AS (SELECT p.root FROM parts p JOIN doubtful d ON d.domain = p.type WHERE NOT EXISTS
  (SELECT FROM based b JOIN pg_type y ON y.oid = p.root WHERE b.domain = d.domain AND (y.oid = b.type OR y.typcategory = 'A' AND y.typelem = b.type))
), sorted(root) AS (SELECT p.root FROM parts p JOIN pg_range g ON g.rngtypid = p.type WHERE %s AND g.rngcollation NOT IN (0, 950, 951))
SELECT {NAMES}, pg_table_size(c.oid) AS size FROM {FROM} WHERE EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.atttypid IN (SELECT root FROM hidden UNION SELECT root FROM sorted)
    OR a.attstorage = 'p' AND a.attlen = -1 AND y.typstorage <> 'p'))
OR %s AND c.relispartition AND EXISTS (SELECT FROM pg_partition_ancestors(c.oid) u JOIN pg_partitioned_table t ON t.partrelid = u.relid
  CROSS JOIN LATERAL unnest(t.partcollation::oid[]) l(oid) WHERE t.partstrat = 'r' AND l.oid NOT IN (0, 950, 951))
ORDER BY 3
"""


def findings(holder: Session, empty: Session) -> list[Finding]:
    """``holder`` has the snapshot of legacy, ``empty`` the database for that alone on new."""
    sorts = collations.known(empty)
    reordered = any(each.made != each.now or collations.differs(each, sorts) for each in collations.used(holder))
    suspects = holder.rows(_SUSPECTS, reordered, reordered)
    closed = {use.place for use in owner_code.uses(holder)} if suspects else set()
    holder.settings({"synchronize_seqscans": "off", "max_parallel_workers_per_gather": "0"})
    untried = [row["shown"] for row in suspects if not holder.restricts or row["place"] in closed or row["size"] > _READ]
    found = [finding for row in suspects if row["shown"] not in untried for finding in _sent(holder, empty, row)]
    return [*found, *([rows.untried(untried)] if untried else [])]


def _sent(holder: Session, empty: Session, row: Row) -> list[Finding]:
    table = (row["nspname"], row["relname"])
    names = stored_columns(holder, table)
    columns = ", ".join(ident(name) for name in names)
    try:
        _twin(empty, table, names)
        holder.copy(f"COPY (SELECT {columns} FROM ONLY {ident(*table)}) TO STDOUT", empty, lambda: None, f"COPY {_TWIN} ({columns}) FROM STDIN")
        belongs = empty.value("SELECT pg_get_partition_constraintdef(%s::regclass)", ident(*table))
        lost = empty.rows(f"SELECT {_key(empty, row)} FROM {_TWIN} t WHERE ({belongs}) IS NOT TRUE LIMIT {KEYS + 1}") if belongs else []
    except FleetError as error:
        if error.code != "sql_error" or empty.closed or error.details.get("sqlstate") in rows.NOT_HERE:
            raise
        return [rows.unfit(f"rows of {row['shown']}", f"New refuses the row {_row(holder, row, error.details)} of {row['shown']}: {error.message}")]
    finally:
        if not empty.closed:
            empty.run(f"DROP TABLE IF EXISTS {_TWIN}")
    if not lost:
        return []
    keys = ", ".join(str(each["key"]) for each in lost[:KEYS]) + (" …" if len(lost) > KEYS else "")
    return [rows.unfit(f"rows of {row['shown']}", f"Rows belong into another partition than {row['shown']}, as new sorts text: {keys}. New would refuse them.")]


def _row(holder: Session, row: Row, where: t.Mapping[str, t.Any]) -> str:
    """The key of the row that COPY was at, read once more in the same order; and the column."""
    found = holder.rows(f"SELECT {key_of(holder, row)} FROM ONLY {ident(row['nspname'], row['relname'])} OFFSET %s LIMIT 1", where.get("line", 1) - 1)
    return "".join(str(each["key"]) for each in found) + (f", column {where['column']}," if where.get("column") else "")


def _key(empty: Session, row: Row) -> str:
    return key_of(empty, row, "t")


def _twin(empty: Session, table: tuple[str, str], names: list[str]) -> None:
    """Columns as they are, without constraints, but for NOT NULL of what is sent."""
    empty.run(f"CREATE TEMPORARY TABLE {_TWIN} (LIKE {ident(*table)} INCLUDING STORAGE)")
    text = f"SELECT attname FROM pg_attribute WHERE attrelid = '{_TWIN}'::regclass AND attnum > 0 AND attnotnull AND attname <> ALL (%s)"
    for each in empty.rows(text, names):
        empty.run(f"ALTER TABLE {_TWIN} ALTER {ident(each['attname'])} DROP NOT NULL")
