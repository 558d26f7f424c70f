# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One scan of one table: its number of rows and a sum of their hashes, without a function of the table's owner being run.

A query is planned before it reads, and the planner evaluates calls of immutable functions with constant arguments: those in expressions and
predicates of the table's indexes and of its extended statistics, too (get_relation_info in plancat.c, eval_const_expressions in relcache.c).
COPY of a table plans nothing. So a table that has such functions of a lesser owner is sent here as text and hashed here.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from .postgres import Session, ident
from .relations import Name

# Behind it stands a sum that was made here, which no sum of the server equals.
_HERE = "here:"


@dataclass(frozen=True)
class Total:
    """Rows of one table on one side and the sum of their hashes; "" in mode counts."""

    rows: int
    sum: str

    @property
    def copied(self) -> bool:
        return self.sum.startswith(_HERE)


_PLANNED = """
SELECT DISTINCT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT 'pg_class'::regclass AS class, x.indexrelid AS object FROM pg_index x WHERE x.indrelid = c.oid
  UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s WHERE s.stxrelid = c.oid
) o JOIN pg_depend d ON d.classid = o.class AND d.objid = o.object
LEFT JOIN pg_operator p ON d.refclassid = 'pg_operator'::regclass AND p.oid = d.refobjid
JOIN pg_proc f ON f.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid WHEN 'pg_operator'::regclass THEN p.oprcode END
JOIN pg_roles a ON a.oid = f.proowner
WHERE f.oid >= 16384 AND NOT a.rolsuper AND (%s::text IS NULL OR (n.nspname, c.relname) = (%s, %s))
"""


def unplannable(session: Session, table: Name | None = None) -> set[Name]:
    """Tables (or whether ``table`` is one) whose mere planning may run a function of an owner who is no superuser."""
    schema, name = table or (None, None)
    return {(row["nspname"], row["relname"]) for row in session.rows(_PLANNED, schema, schema, name)}


def row_hash(mode: str) -> str:
    """An expression of type bigint over the row ``pgcut_row``. The text is compared by bytes, whatever the collation.

    With a star, because ``pgcut_row`` alone would be a column of that name where there is one. By the output function, because a cast to
    text would first look for one that the owner of the table has made (pg_cast; find_coercion_pathway in src/backend/parser/parse_coerce.c).
    """
    text = "textin(record_out(pgcut_row.*))"
    if mode == "md5":
        return f"('x' || left(md5({text}), 16))::bit(64)::bigint"
    return f'hashtextextended({text} COLLATE "C", 0)'


def total_text(table: Name, mode: str) -> str:
    """One scan of one table; ONLY, because each partition is a table of its own here."""
    summed = "''::text" if mode == "counts" else f"coalesce(sum({row_hash(mode)}), 0)::text"
    return f"SELECT count(*) AS rows, {summed} AS sum FROM ONLY {ident(*table)} AS pgcut_row"


def total(session: Session, table: Name, mode: str, *, copied: bool) -> Total:
    """Rows and their sum; ``copied``: sent as text and hashed here, which costs the line and this processor. Generated columns stay out then."""
    if not copied:
        row = session.rows(total_text(table, mode))[0]
        return Total(int(row["rows"]), row["sum"])
    rows = summed = 0
    for line in session.lines(f"COPY {ident(*table)} TO STDOUT"):
        rows += 1
        summed += int.from_bytes(hashlib.blake2b(line, digest_size=8).digest(), "big")
    return Total(rows, "" if mode == "counts" else f"{_HERE}{summed}")


def counts(session: Session, tables: t.Sequence[Name]) -> dict[Name, int]:
    """Rows of each of ``tables``, in one statement but for those that are `unplannable`."""
    apart = unplannable(session)
    plain = [table for table in tables if table not in apart]
    parts = [f"SELECT {number}::int AS n, count(*) AS rows FROM ONLY {ident(*table)}" for number, table in enumerate(plain)]
    found = {plain[row["n"]]: int(row["rows"]) for row in session.rows(" UNION ALL ".join(parts))} if parts else {}
    return {**found, **{table: total(session, table, "counts", copied=True).rows for table in tables if table in apart}}
