# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Materialized views whose query fails over the rows that are there by now, a division by zero for instance.

New fills them anew when the copy is done, and would fail there. So the query is run on legacy, in a read-only transaction, and nothing of its answer
is sent. A REFRESH runs as the owner of the view (ADR 0034), a query does not: one that calls a function of a user is not run, nor one over a view.
"""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..server.catalog import IN_USER_SCHEMA
from ..server.postgres import Row, Session, ident
from .contents import TABLE

# A refresh may take hours; this is asked of a server that serves.
_SECONDS = 60
# Data exceptions and cardinality violations (appendix A of the manual): what the rows do. Everything else says something about this session.
_OF_ROWS = ("21", "22")

_MADE_BY_USER = "{0}.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{1}'::regclass AND e.objid = {0}.oid AND e.deptype = 'e')"
# Constants of an enumeration are no code, unless somebody has made a cast of it, which to_json and || look for.
_VIEWS = f"""
WITH RECURSIVE filled AS (
  SELECT c.oid, n.nspname, c.relname, {TABLE} AS shown, w.oid AS rule FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_rewrite w ON w.ev_class = c.oid WHERE c.relkind = 'm' AND c.relispopulated AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut'
), reads(view, oid) AS (
  SELECT f.oid, d.refobjid FROM filled f JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = f.rule
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> f.oid
  UNION SELECT r.view, i.inhrelid FROM reads r JOIN pg_inherits i ON i.inhparent = r.oid
)
SELECT f.nspname, f.relname, f.shown, pg_get_viewdef(f.oid) AS query,
  ARRAY(SELECT 'table ' || s.nspname || '.' || t.relname FROM reads r JOIN pg_class t ON t.oid = r.oid JOIN pg_namespace s ON s.oid = t.relnamespace
    WHERE r.view = f.oid ORDER BY 1) AS places,
  EXISTS (SELECT FROM reads r JOIN pg_class t ON t.oid = r.oid WHERE r.view = f.oid AND t.relkind NOT IN ('r', 'p', 'S'))
  OR EXISTS (SELECT FROM pg_depend d LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    JOIN pg_proc p ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid WHEN 'pg_operator'::regclass THEN o.oprcode END
    JOIN pg_roles a ON a.oid = p.proowner WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = f.rule
    AND (({_MADE_BY_USER.format('p', 'pg_proc')}) OR NOT a.rolsuper))
  OR EXISTS (SELECT FROM pg_depend d JOIN pg_type y ON y.oid = d.refobjid WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = f.rule
    AND d.refclassid = 'pg_type'::regclass AND {_MADE_BY_USER.format('y', 'pg_type')}
    AND (y.typtype <> 'e' OR EXISTS (SELECT FROM pg_cast k WHERE k.castsource = y.oid))) AS closed
FROM filled f ORDER BY 3
"""
# Indexes may be used here, since nothing is judged by their order.
_SETTINGS = {"enable_indexscan": "on", "enable_indexonlyscan": "on", "enable_bitmapscan": "on", "statement_timeout": f"{_SECONDS}s"}


def look(session: Session, closed: set[str]) -> tuple[list[Finding], list[str]]:
    """Findings, and the names of views that were not tried. ``closed`` are tables whose owner's code would be run by a query over them.

    The session keeps the settings of this look.
    """
    found: list[Finding] = []
    untried: list[str] = []
    session.settings(_SETTINGS)
    for row in session.rows(_VIEWS):
        name = f"materialized view {row['shown']}"
        if row["closed"] or closed.intersection(row["places"]) or not session.restricts:
            untried.append(name)
            continue
        error = _fails(session, row)
        if error is not None and str(error.details.get("sqlstate", ""))[:2] in _OF_ROWS:
            found.append(_unfilled(name, ident(row["nspname"], row["relname"]), error))
        elif error is not None:
            untried.append(name)
    return found, untried


def _fails(session: Session, row: Row) -> t.Optional[FleetError]:
    """Why the query of a view fails; every column of every row is computed, and no row is sent."""
    query = str(row["query"]).rstrip().rstrip(";")
    try:
        with session.block():
            session.run("SET TRANSACTION READ ONLY")
            session.run(f"SELECT FROM ({query}) v WHERE textin(record_out(v)) IS NULL LIMIT 1")
    except FleetError as error:
        if error.code not in ("sql_error", "privileges") or session.closed:
            raise
        return error
    return None


def _unfilled(name: str, view: str, error: FleetError) -> Finding:
    message = f"The query of {name} fails over the rows that are there: {error.message} New fills it anew, and would fail."
    remedy = f"On legacy, correct the rows that it reads, or REFRESH MATERIALIZED VIEW {view} WITH NO DATA; then run again."
    return Finding("rows_unfit", "fail", name, message, remedy)
