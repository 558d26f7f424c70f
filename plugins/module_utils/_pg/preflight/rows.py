# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of legacy that new would refuse, found on legacy in read-only transactions.

What the server has checked itself holds; so only that is looked at which may have changed behind its back: whatever calls a function that is
no extension's, constraints that are not validated, indexes over an order of text that is not the one they were built with. Where rows come by
dump, every foreign key and unique index, because a restore makes them behind the rows. No table is read whose owner's code would be run.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..server.catalog import stored_columns
from ..server.owner_code import Use
from ..server.postgres import Row, Server, Session, ident
from . import filled, loopholes
from .contents import TABLE
from .looks import CALLS, FROM, KEYS, NAMES, Look, key_of

# As replication and a restore have it: CVE-2018-1058, and InitializeLogRepWorker in src/backend/replication/logical/worker.c.
_PLANS = {"enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_bitmapscan": "off", "search_path": ""}
# Nobody shall wait for this behind a lock, nor this behind others without end.
_LIMITS = {"lock_timeout": "30s", "statement_timeout": "900s"}
# read_only_sql_transaction; object_not_in_prerequisite_state, which a view of a user is refused with; both limits.
NOT_HERE = ("25006", "55000", "55P03", "57014")

# Whether an order is not the one that was there when indexes were built; that of the database is noted since PostgreSQL 15.
_REORDERED = """EXISTS (SELECT FROM unnest(x.indcollation::oid[]) w(oid) JOIN pg_collation l ON l.oid = w.oid
  WHERE CASE WHEN l.collprovider = 'd' THEN {0} ELSE l.collversion IS DISTINCT FROM pg_collation_actual_version(l.oid) END)"""
_OF_DATABASE = (
    "(SELECT datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = current_database())"
)

_CHECKS = f"""
SELECT {NAMES}, 'constraint ' || quote_ident(k.conname) || ' of ' || {TABLE} AS name, pg_get_expr(k.conbin, k.conrelid) AS expression
FROM pg_constraint k JOIN {FROM} ON c.oid = k.conrelid
WHERE k.contype = 'c' AND k.convalidated AND {CALLS.format('pg_constraint', 'k.oid')} ORDER BY 5
"""
_GENERATED = f"""
SELECT {NAMES}, 'generated column ' || {TABLE} || '.' || quote_ident(a.attname) AS name, a.attname, pg_get_expr(g.adbin, g.adrelid) AS expression
FROM pg_attrdef g JOIN {FROM} ON c.oid = g.adrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = g.adnum
WHERE a.attgenerated = 's' AND {CALLS.format('pg_attrdef', 'g.oid')} ORDER BY 5
"""
_DOMAINS = f"""
WITH RECURSIVE based(type, domain) AS (SELECT oid, oid FROM pg_type WHERE typtype = 'd'
  UNION SELECT y.oid, b.domain FROM based b JOIN pg_type y ON y.typtype = 'd' AND y.typbasetype = b.type)
SELECT {NAMES}, 'constraint ' || quote_ident(k.conname) || ' of domain ' || k.contypid::regtype || ' in ' || {TABLE} || '.' || quote_ident(a.attname)
  AS name, a.attname, y.oid <> b.type AS many, pg_get_expr(k.conbin, 0) AS expression
FROM pg_constraint k JOIN based b ON b.domain = k.contypid JOIN pg_type y ON y.oid = b.type OR y.typcategory = 'A' AND y.typelem = b.type
JOIN pg_attribute a ON a.atttypid = y.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN {FROM} ON c.oid = a.attrelid
WHERE k.contype = 'c' AND (NOT k.convalidated OR {CALLS.format('pg_constraint', 'k.oid')}) ORDER BY 5
"""
_INDEXES = f"""
SELECT {NAMES}, 'index ' || quote_ident(i.relname) || ' of ' || {TABLE} AS name, pg_get_expr(x.indpred, x.indrelid) AS predicate,
  x.indisunique AND NOT EXISTS (SELECT FROM unnest(x.indclass::oid[]) w(oid) JOIN pg_opclass o ON o.oid = w.oid WHERE NOT o.opcdefault) AS alone,
  coalesce((to_jsonb(x)->>'indnullsnotdistinct')::boolean, false) AS nulls,
  ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, false) || coalesce((SELECT ' COLLATE ' || quote_ident(s.nspname) || '.' || quote_ident(l.collname)
    FROM pg_collation l JOIN pg_namespace s ON s.oid = l.collnamespace WHERE l.oid = (x.indcollation::oid[])[k - 1] AND l.collprovider <> 'd'), '')
    FROM generate_series(1, x.indnkeyatts) k) AS keys
FROM pg_index x JOIN {FROM} ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indisvalid AND ({CALLS.format('pg_class', 'x.indexrelid')}
  OR x.indisunique AND (%s OR coalesce((to_jsonb(x)->>'indnullsnotdistinct')::boolean, false) OR {_REORDERED})) ORDER BY 5
"""
# As RI_Initial_Check in src/backend/utils/adt/ri_triggers.c asks it.
_FOREIGN = f"""
SELECT {NAMES}, 'foreign key ' || quote_ident(k.conname) || ' of ' || {TABLE} AS name, r.relkind = 'p' AS parted, m.nspname AS above, r.relname AS parent,
  k.confmatchtype = 'f' AS fully, ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY w(n, i) JOIN pg_attribute a
    ON a.attrelid = k.conrelid AND a.attnum = w.n ORDER BY w.i) AS here,
  ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY w(n, i) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = w.n
    ORDER BY w.i) AS there,
  ARRAY(SELECT 'OPERATOR(' || quote_ident(s.nspname) || '.' || o.oprname || ')' FROM unnest(k.conpfeqop) WITH ORDINALITY w(oid, i)
    JOIN pg_operator o ON o.oid = w.oid JOIN pg_namespace s ON s.oid = o.oprnamespace ORDER BY w.i) AS equal
FROM pg_constraint k JOIN {FROM} ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace m ON m.oid = r.relnamespace
WHERE k.contype = 'f' AND k.convalidated AND coalesce((to_jsonb(k)->>'conenforced')::boolean, true)
  AND NOT coalesce((to_jsonb(k)->>'conperiod')::boolean, false)
ORDER BY 5
"""
# So many rows say whether a constraint holds only beside rows of other tables.
_SAMPLE = 100
_ALONE = "Use engine: logical, which waits for the other tables, or drop the constraint on legacy and make it again after the move; then run again."
_CORRECT = "Correct or delete these rows on legacy, or drop it there until the move is finished; then run again."
_QUALIFY = "Write names with their schema in the functions that it calls, or ALTER FUNCTION … SET search_path = … for them, on legacy; then run again."


@dataclass
class RowFindings:
    """``untried`` are names of what was not looked at."""

    findings: t.List[Finding] = field(default_factory=list)
    untried: t.List[str] = field(default_factory=list)


def look(legacy: Server, foreign: t.Sequence[Use], *, dumped: bool) -> RowFindings:
    """``foreign`` are the functions of lesser owners on legacy: a table that may call one is not read, whether it is accepted or not."""
    observed = RowFindings()
    session = legacy.fresh(legacy.dbname)
    try:
        looks = _looks(session, dumped)
        closed = {use.place for use in foreign}
        session.settings({**_PLANS, **_LIMITS})
        for each in looks:
            # Without that setting, a name would have to be held by locks, which write.
            if closed.intersection(each.places) or not session.restricts:
                observed.untried.append(each.name)
            else:
                _ask(session, each, observed)
        found, untried_ = filled.look(session, closed)
        observed.findings += found
        observed.untried += untried_
    finally:
        session.close()
    return observed


def without_other_rows(holder: Session, empty: Session, foreign: t.Sequence[Use]) -> list[Finding]:
    """Constraints that some rows break in a database without others, so in a restore that brings tables one after the other. ``empty`` is for that alone."""
    closed = {use.place for use in foreign}
    found: list[Finding] = []
    tables = {(row["nspname"], row["relname"]): row for text in (_CHECKS, _DOMAINS) for row in holder.rows(text)} if holder.restricts else {}
    for table, row in sorted(tables.items()):
        if row["place"] in closed:
            continue
        columns = ", ".join(ident(name) for name in stored_columns(holder, table))
        source = f"COPY (SELECT {columns} FROM ONLY {ident(*table)} LIMIT {_SAMPLE}) TO STDOUT"
        try:
            holder.copy(source, empty, lambda: None, f"COPY {ident(*table)} ({columns}) FROM STDIN")
            empty.run(f"TRUNCATE ONLY {ident(*table)} CASCADE")
        except FleetError as error:
            if error.code != "sql_error" or empty.closed or error.details.get("sqlstate") in NOT_HERE:
                raise
            message = f"Rows of {row['shown']} break a constraint where no other table has rows: {error.message} A dump brings tables one after the other."
            found.append(Finding("rows_unfit", "fail", f"constraints of {row['shown']}", message, _ALONE))
    return found


def untried(names: t.Sequence[str]) -> Finding:
    """What only the copy will tell."""
    return Finding(
        "not_tried",
        "warn",
        "rows",
        f"It was not looked at whether the rows fit: {', '.join(names[:10])}{' …' if len(names) > 10 else ''}. Functions of lesser owners are not"
        " run here, a minor version that is old cannot keep views away, a function writes or reads a view, or somebody holds a lock.",
        "Nothing has to be done: when rows do not fit, the copy fails before clients are held, and state absent leaves legacy as it was.",
    )


def unfit(name: str, message: str) -> Finding:
    return Finding("rows_unfit", "fail", name, message, _CORRECT)


def _ask(session: Session, each: Look, observed: RowFindings) -> None:
    try:
        with session.block():
            session.run("SET TRANSACTION READ ONLY")
            found = session.rows(each.text)
    except FleetError as error:
        if error.code not in ("sql_error", "privileges") or session.closed:
            raise
        if error.details.get("sqlstate") in NOT_HERE:
            observed.untried.append(each.name)
            return
        why = "when names are found without a search_path, as replication and a restore do"
        message = f"{each.name} fails over the rows that are there, {why}: {error.message}"
        observed.findings.append(Finding("rows_unfit", "fail", each.name, message, _QUALIFY))
        return
    if found:
        keys = ", ".join(str(row["key"]) for row in found[:KEYS]) + (" …" if len(found) > KEYS else "")
        message = f"{each.wrong} {each.name}: {keys}. New would refuse them."
        observed.findings.append(unfit(each.name, message))


def _looks(session: Session, dumped: bool) -> list[Look]:
    reordered = _OF_DATABASE if session.version >= 150000 else "false"
    looks = [_false(session, row, f"({row['expression']})", "") for row in session.rows(_CHECKS)]
    looks += [_generated(session, row) for row in session.rows(_GENERATED)]
    looks += [_false(session, row, f"({row['expression']})", row["attname"]) for row in session.rows(_DOMAINS)]
    looks += [_index(row) for row in session.rows(_INDEXES.replace("{0}", reordered), dumped)]
    looks += [_orphans(session, row) for row in session.rows(_FOREIGN)] if dumped else []
    looks += loopholes.looks(session, reordered, dumped=dumped)
    return looks


def _false(session: Session, row: Row, expression: str, value: str) -> Look:
    """Where ``value`` is a column, or an array, the expression is a domain's, which calls it (or each element) VALUE."""
    table, key = f"ONLY {ident(row['nspname'], row['relname'])}", key_of(session, row)
    if not value:
        text = f"SELECT {key} FROM {table} WHERE {expression} IS FALSE LIMIT {KEYS + 1}"
    else:
        column = f"{ident(row['relname'])}.{ident(value)}"
        inner = f"SELECT {key}, {f'unnest({column})' if row['many'] else column} AS value FROM {table}"
        text = f"SELECT key FROM ({inner}) s WHERE {expression} IS FALSE LIMIT {KEYS + 1}"
    return Look(row["name"], (row["place"],), text, "Rows break")


def _generated(session: Session, row: Row) -> Look:
    one, two = f"({row['expression']})", f"{ident(row['relname'])}.{ident(row['attname'])}"
    differ = " <> ".join(f"textin(record_out(ROW({value})))" for value in (one, two))
    text = f"SELECT {key_of(session, row)} FROM ONLY {ident(row['nspname'], row['relname'])} WHERE {differ}"
    return Look(row["name"], (row["place"],), f"{text} LIMIT {KEYS + 1}", "Rows have another value than what is computed now in")


def _index(row: Row) -> Look:
    where = f" WHERE {row['predicate']}" if row["predicate"] else ""
    keys = [f"k{number}" for number in range(len(row["keys"]))]
    inner = ", ".join(f"{text} AS {key}" for key, text in zip(keys, row["keys"]))
    rows = f"(SELECT {inner} FROM ONLY {ident(row['nspname'], row['relname'])}{where}) s"
    if not row["alone"]:
        # Nothing is compared, but each row is computed.
        text = f"SELECT '' AS key FROM {rows} WHERE textin(record_out(ROW({', '.join(keys)}))) IS NULL LIMIT 1"
        return Look(row["name"], (row["place"],), text, "Rows break")
    there = "" if row["nulls"] else f" WHERE {' AND '.join(f'{key} IS NOT NULL' for key in keys)}"
    listed = ", ".join(keys)
    text = f"SELECT textin(record_out(ROW({listed}))) AS key FROM {rows}{there} GROUP BY {listed} HAVING count(*) > 1 LIMIT {KEYS + 1}"
    return Look(row["name"], (row["place"],), text, "Several rows have the same key in")


def _orphans(session: Session, row: Row) -> Look:
    child, parent = ident(row["nspname"], row["relname"]), ident(row["above"], row["parent"])
    joined = " AND ".join(f"up.{ident(there)} {equal} down.{ident(here)}" for here, there, equal in zip(row["here"], row["there"], row["equal"]))
    given = (" OR " if row["fully"] else " AND ").join(f"down.{ident(name)} IS NOT NULL" for name in row["here"])
    text = (
        f"SELECT {key_of(session, row, 'down')} FROM ONLY {child} down LEFT JOIN {'' if row['parted'] else 'ONLY '}{parent} up ON {joined}"
        f" WHERE up.{ident(row['there'][0])} IS NULL AND ({given}) LIMIT {KEYS + 1}"
    )
    return Look(row["name"], (row["place"], f"table {row['above']}.{row['parent']}"), text, "Rows have no parent under")
