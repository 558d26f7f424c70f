# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queries over the rows of legacy that say whether new would refuse them: what those have in common."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..server.catalog import IN_USER_SCHEMA
from ..server.postgres import Row, Session, ident
from .contents import TABLE

# So many rows are named.
KEYS = 3
FROM = f"""pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut'
  AND c.relkind = 'r' AND c.relpersistence <> 't'"""
NAMES = f"n.nspname, c.relname, {TABLE} AS shown, 'table ' || n.nspname || '.' || c.relname AS place"
# Functions of {0}, directly or by an operator, that no initdb and no extension made.
CALLS = """EXISTS (SELECT FROM pg_depend d LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
  JOIN pg_proc p ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid WHEN 'pg_operator'::regclass THEN o.oprcode END
  WHERE d.classid = '{0}'::regclass AND d.objid = {1} AND p.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'))"""
_PRIMARY = """
SELECT a.attname::text AS name FROM pg_index x CROSS JOIN LATERAL unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) WITH ORDINALITY w(n, i)
JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = w.n WHERE x.indrelid = %s::regclass AND x.indisprimary ORDER BY w.i
"""


@dataclass(frozen=True)
class Look:
    """One query. ``places`` are the tables that it reads, ``wrong`` is what a row that it gives means."""

    name: str
    places: t.Tuple[str, ...]
    text: str
    wrong: str


def key_of(session: Session, row: Row, alias: str = "") -> str:
    """The key of a row as text, by the output function of its type: no cast of anybody is looked for."""
    columns = [name["name"] for name in session.rows(_PRIMARY, ident(row["nspname"], row["relname"]))]
    named = ", ".join(f"{ident(alias or row['relname'])}.{ident(name)}" for name in columns or ["ctid"])
    return f"textin(record_out(ROW({named}))) AS key"
