# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Functions of owners without rights that a session with rights would run, because tables call them: found, and refused unless accepted.

A CHECK constraint, a domain, a generated column, an index or the key of a partitioned table calls functions whenever a row is written, with
the rights of whoever writes: the apply worker up to PostgreSQL 15 (since 16 it acts as the owner of the table, CREATE SUBSCRIPTION,
run_as_owner), pg_restore, COPY. A function of a superuser counts as safe, and so does what initdb made. That a function belongs to an
extension says nothing: who owns an extension may add functions to it (ALTER EXTENSION … ADD); what its script makes belongs to a superuser
unless its control file says superuser = false.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.finding import Finding
from .catalog import IN_USER_SCHEMA
from .postgres import Session

# From here on workers act as the owners of the tables.
AS_OWNER = 160000
_FIRST = 16384  # FirstNormalObjectId, src/include/access/transam.h: everything below was made by initdb

# What holds expressions, or is held by something that does; walked to every function. An expression notes its functions, operators and
# types in pg_depend (find_expr_references_walker in src/backend/catalog/dependency.c). A cast is run by to_json and by || without being noted
# anywhere, so those from the types of a table count. Domains are in columns, arrays, composites, ranges; a range has functions of its own.
# Keys of partitions (ComputePartitionAttrs, transformPartitionBoundValue) and first values of aggregates (AggregateCreate) are evaluated when
# they are made, so by every restore, even of a schema. What a superuser owns is filled, indexed and analyzed as that superuser.
_WALK = f"""
WITH RECURSIVE tables AS (
  SELECT c.oid, c.relkind, c.reltype, c.relpersistence = 'u' OR a.rolsuper AS always, 'table ' || n.nspname || '.' || c.relname AS place
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles a ON a.oid = c.relowner
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut'
), reached(place, kind, always, class, object) AS (
  SELECT t.place, 'check'::text, t.always, 'pg_constraint'::regclass::oid, k.oid FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid
    WHERE k.contype IN ('c', 'x')
  UNION SELECT t.place, 'generated', t.always, 'pg_attrdef'::regclass, d.oid FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid
    JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum WHERE a.attgenerated <> ''
  UNION SELECT t.place, 'index', t.always, 'pg_class'::regclass, x.indexrelid FROM tables t JOIN pg_index x ON x.indrelid = t.oid
  UNION SELECT t.place, 'statistics', t.always, 'pg_statistic_ext'::regclass, s.oid FROM tables t JOIN pg_statistic_ext s ON s.stxrelid = t.oid
  UNION SELECT t.place, 'partition', t.always, 'pg_class'::regclass, t.oid FROM tables t WHERE t.relkind = 'p'
  UNION SELECT t.place, 'type', t.always, 'pg_type'::regclass, t.reltype FROM tables t
  UNION SELECT 'aggregate ' || p.oid::regprocedure::text, 'aggregate', false, 'pg_type'::regclass, y.type FROM pg_aggregate g
    JOIN pg_proc p ON p.oid = g.aggfnoid CROSS JOIN LATERAL (VALUES (g.aggtranstype), (g.aggmtranstype)) y(type)
    WHERE p.oid >= {_FIRST} AND (g.agginitval IS NOT NULL OR g.aggminitval IS NOT NULL)
  UNION SELECT 'view ' || n.nspname || '.' || c.relname, 'view', true, 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w
    JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles a ON a.oid = c.relowner
    WHERE c.relkind = 'm' AND {{filled}}
  UNION SELECT r.place, r.kind, r.always, e.class, e.object FROM reached r CROSS JOIN LATERAL (
    SELECT d.refclassid AS class, d.refobjid AS object FROM pg_depend d WHERE d.classid = r.class AND d.objid = r.object
      AND r.class <> 'pg_proc'::regclass AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
    UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM pg_depend d JOIN pg_rewrite w ON w.ev_class = d.refobjid
      WHERE r.class = 'pg_rewrite'::regclass AND d.classid = r.class AND d.objid = r.object AND d.refclassid = 'pg_class'::regclass
    UNION ALL SELECT 'pg_proc'::regclass, o.oprcode FROM pg_operator o WHERE r.class = 'pg_operator'::regclass AND o.oid = r.object
    UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE r.class = 'pg_type'::regclass AND k.contypid = r.object
    UNION ALL SELECT 'pg_proc'::regclass, k.castfunc FROM pg_cast k WHERE r.class = 'pg_type'::regclass AND k.castsource = r.object
      AND k.castfunc <> 0
    UNION ALL SELECT 'pg_type'::regclass, part.type FROM pg_type y CROSS JOIN LATERAL (
      SELECT y.typbasetype AS type UNION ALL SELECT y.typelem
      UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE g.rngtypid = y.oid
      UNION ALL SELECT g.rngtypid FROM pg_range g WHERE (to_jsonb(g)->>'rngmultitypid')::oid = y.oid
    ) part WHERE r.class = 'pg_type'::regclass AND y.oid = r.object AND part.type <> 0
  ) e
)
SELECT DISTINCT r.place, r.kind, r.always, p.oid::regprocedure::text AS function, pg_get_userbyid(p.proowner) AS owner,
  -- pg_dump puts a CHECK constraint behind the rows where a function of it needs the table: then it is evaluated once more.
  r.kind IN ('partition', 'aggregate') OR EXISTS (SELECT FROM pg_depend d LEFT JOIN pg_type y ON d.refclassid = 'pg_type'::regclass
    AND y.oid = d.refobjid WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
    AND (d.refclassid = 'pg_class'::regclass OR y.typtype IN ('c', 'd') OR y.typelem <> 0)) AS restored
FROM reached r JOIN pg_proc p ON r.class = 'pg_proc'::regclass AND p.oid = r.object
WHERE p.oid >= {_FIRST} AND {{foreign}} ORDER BY 4, 1, 2
"""
_LESSER = "NOT (SELECT a.rolsuper FROM pg_roles a WHERE a.oid = p.proowner)"
# Where a restore gave everything to the control account, the owner says nothing; what an extension's script made is the server's own.
_BROUGHT = "NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.deptype = 'e')"
_WORDS = {
    "check": "CHECK or EXCLUDE",
    "generated": "generated column",
    "index": "index",
    "statistics": "statistics",
    "partition": "partition key",
    "type": "type of a column",
    "aggregate": "first value",
    "view": "query",
    "text": "restored behind the rows",
}


@dataclass(frozen=True)
class Use:
    """One function (as regprocedure prints it, with its schema) that one table calls in one way.

    ``always``: whoever applies rows, since the table is unlogged or a superuser's. ``restored``: also when only a schema is restored.
    """

    function: str
    owner: str
    place: str
    kind: str
    always: bool
    restored: bool


def uses(session: Session, *, brought: bool = False) -> list[Use]:
    """Every function of a lesser owner that is called when rows are written or indexes kept; ``brought``: by owners that say nothing."""
    # Where owners say nothing, a view is filled as the session, too.
    text = _WALK.format(foreign=_BROUGHT if brought else _LESSER, filled="true" if brought else "a.rolsuper")
    return [Use(**row) for row in session.rows(text)]


def with_schema(session: Session) -> list[Use]:
    """What a restore of the schema alone runs, whoever owns it: a snapshot notes it, for a server that has yet to see the schema."""
    return [use for use in uses(session, brought=True) if use.kind in ("partition", "aggregate")]


def trusted(session: Session) -> list[str]:
    """Functions of superusers that no extension made. A snapshot notes them, because a restore without the owners makes them all its own."""
    rows = session.rows(f"SELECT p.oid::regprocedure::text AS name FROM pg_proc p WHERE p.oid >= {_FIRST} AND {_BROUGHT} AND NOT ({_LESSER}) ORDER BY 1")
    return [str(row["name"]) for row in rows]


def written(session: Session, text: str, *, brought: bool) -> list[Use]:
    """Functions that ``text`` may call, statements that were not run yet: those whose name, or the name of a type or operator, is in it."""
    if not text:
        return []
    rows = session.rows(
        "WITH named AS (SELECT p.oid FROM pg_proc p WHERE strpos(%s, replace(p.proname, '\"', '\"\"')) > 0"
        " UNION SELECT o.oprcode FROM pg_operator o WHERE strpos(%s, 'OPERATOR(') > 0 AND strpos(%s, o.oprname) > 0"
        " UNION SELECT d.refobjid FROM pg_type y JOIN pg_constraint k ON k.contypid = y.oid JOIN pg_depend d ON d.objid = k.oid"
        " AND d.classid = 'pg_constraint'::regclass AND d.refclassid = 'pg_proc'::regclass WHERE strpos(%s, replace(y.typname, '\"', '\"\"')) > 0)"
        " SELECT p.oid::regprocedure::text AS function, pg_get_userbyid(p.proowner) AS owner FROM named JOIN pg_proc p USING (oid)"
        f" WHERE p.oid >= {_FIRST} AND {_BROUGHT if brought else _LESSER} ORDER BY 1",
        *[text] * 4,
    )
    return [Use(row["function"], row["owner"], "what pg_dump puts behind the rows", "text", False, True) for row in rows]


def concerned(found: t.Sequence[Use], everything: bool) -> list[Use]:
    """Those that a session with rights runs: all of them when it writes ``everything``."""
    return [use for use in found if everything or use.always or use.restored]


def accepted(found: t.Sequence[Use], names: t.Collection[str]) -> list[str]:
    """Functions among ``names`` that are run: for the evidence."""
    return sorted({use.function for use in found if use.function in names})


def findings(found: t.Sequence[Use], names: t.Collection[str]) -> list[Finding]:
    """One for each function that is not among ``names``."""
    places: dict[tuple[str, str], list[str]] = {}
    for use in found:
        if use.function not in names:
            where, place = places.setdefault((use.function, use.owner), []), f"{use.place} ({_WORDS[use.kind]})"
            where += [] if place in where else [place]
    return [
        Finding(
            "owner_code",
            "fail",
            function,
            f"Function {function} of {owner}, who is no superuser here, would run with the rights of a superuser: {', '.join(where[:5])}"
            f"{' …' if len(where) > 5 else ''}.",
            f"Read it; if its owner is trusted with a superuser's rights, name it: accept_owner_code: ['{function}'].",
        )
        for (function, owner), where in places.items()
    ]


def refuse(session: Session, names: t.Collection[str], *, everything: bool) -> None:
    """Right before it would run. Raises FleetError "owner_code"."""
    refuse_uses(session, concerned(uses(session), everything), names)


def refuse_replicated(session: Session, names: t.Collection[str]) -> None:
    """Right before a subscription is made or gets tables, whose worker has the rights of its owner up to PostgreSQL 15."""
    if session.version < AS_OWNER:
        refuse(session, names, everything=True)


def refuse_uses(session: Session, found: t.Sequence[Use], names: t.Collection[str]) -> None:
    wrong = findings(found, names)
    if not wrong:
        return
    functions = [finding.object for finding in wrong]
    raise FleetError(
        "owner_code",
        f"On {session.endpoint}, code of owners that are no superusers would run with the rights of one:"
        f" {' '.join(finding.message for finding in wrong[:5])}{' …' if len(wrong) > 5 else ''} Nothing of it was run.",
        remedy="Read these functions. If their owners are trusted with a superuser's rights, name each in accept_owner_code; else"
        " test or restore on a server that serves nobody, or use engine logical with PostgreSQL 16 or newer on both sides.",
        details={"functions": functions, "side": session.endpoint.side, "findings": [finding.as_dict() for finding in wrong]},
    )
