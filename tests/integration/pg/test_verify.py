# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A changed byte, a missing and an extra row in every table of odd.sql, a shifted sequence, a touched large object: all are found."""

from __future__ import annotations

import itertools
import json
import signal
from pathlib import Path

import bowline_pg_compare as compare
import bowline_pg_rig as rig
import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import pair
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.verify import Verification
from psycopg import sql

_TABLES = """
SELECT n.nspname AS schema, c.relname AS name, c.reltuples AS rows,
  coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL),
    'always', a.attidentity = 'a', 'unique', EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND (x.indisunique OR x.indisexclusion)
    AND a.attnum = ANY (x.indkey))) ORDER BY a.attnum) FILTER (WHERE a.attname IS NOT NULL), '[]') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgcut') GROUP BY c.oid, n.nspname, c.relname ORDER BY 1, 2
"""
# The smallest change of a value, by its type.
_BYTE = {
    "text": "left({0}, -1) || '~'", "character varying": "left({0}, -1) || '~'", "name": "left({0}::text, -1) || '~'", "json": "({0}::text || ' ')::json",
    "bytea": "CASE WHEN length({0}) > 0 THEN set_byte({0}, 0, get_byte({0}, 0) # 1) ELSE '\\x00' END", "boolean": "NOT {0}",
    "smallint": "{0} + 1", "integer": "{0} + 1", "bigint": "{0} + 1", "numeric": "{0} + 0.01",
}
_NUMBERS = ("smallint", "integer", "bigint")


def byte(connection, table) -> bool:
    """Change one value of one row, by one byte where its type is known. False for a table that has no value that could be changed."""
    name = sql.Identifier(table["schema"], table["name"])
    for column in sorted(table["columns"], key=lambda column: (column["unique"], column["type"] not in _BYTE)):
        if column["always"] or column["type"] not in _BYTE:
            continue
        value = sql.SQL(_BYTE[column["type"]].replace("{0}", "coalesce({0}, {1})")).format(
            sql.Identifier(column["name"]), sql.SQL("'1'::") + sql.SQL(column["type"])
        )
        if column["unique"] and column["type"] in _NUMBERS:
            value = sql.SQL("{} + 30011").format(sql.Identifier(column["name"]))
        done = connection.execute(
            # NaN and one more is still NaN.
            sql.SQL("UPDATE ONLY {0} SET {1} = {2} WHERE ctid = (SELECT min(ctid) FROM ONLY {0}) AND {1}::text IS DISTINCT FROM ({2})::text").format(
                name, sql.Identifier(column["name"]), value
            )
        )
        if done.rowcount == 1:
            return True
    return False


def missing(connection, table) -> bool:
    name = sql.Identifier(table["schema"], table["name"])
    return connection.execute(sql.SQL("DELETE FROM ONLY {} WHERE ctid = (SELECT min(ctid) FROM ONLY {})").format(name, name)).rowcount == 1


def extra(connection, table) -> bool:
    """One row more: like another one, with other numbers where it has to be unique."""
    name = sql.Identifier(table["schema"], table["name"])
    if not table["columns"]:
        return connection.execute(sql.SQL("INSERT INTO {} DEFAULT VALUES").format(name)).rowcount == 1
    numbers, texts = ([column for column in table["columns"] if column["unique"] and column["type"] in types] for types in (_NUMBERS, ("text",)))
    for number, new in itertools.product((*range(31001, 31010), *range(20)), (numbers, [*numbers, *texts])):
        values = {column["name"]: number if column["type"] in _NUMBERS else f"planted {number}" for column in new}
        columns = sql.SQL(", ").join(sql.Identifier(column["name"]) for column in table["columns"])
        shown = sql.SQL(", ").join(
            sql.Literal(values[column["name"]]) if column["name"] in values else sql.Identifier(column["name"]) for column in table["columns"]
        )
        try:
            done = connection.execute(
                sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM ONLY {} LIMIT 1").format(name, columns, shown, name)
            )
            return done.rowcount == 1
        except (psycopg.errors.UniqueViolation, psycopg.errors.CheckViolation):
            continue
    raise AssertionError(f"no row could be added to {table['name']}")


def plant(cluster, how) -> set[str]:
    """Do it to every table past replication, constraints that can be switched off, and fence. Names of the tables that were changed."""
    with cluster.connect() as connection:
        connection.execute("SET session_replication_role = replica; SET statement_timeout = 0; SET search_path = pg_catalog")
        connection.execute("ALTER TABLE odd.doubtful DROP CONSTRAINT positive")
        tables = connection.execute(_TABLES).fetchall()
        changed = {f"{table['schema']}.{table['name']}" for table in tables if how(connection, table)}
        connection.execute("ALTER TABLE odd.doubtful ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID")
        return changed


def comparison(world, mode: str) -> dict:
    """The product's comparison of both sides as they are now, without a switch."""
    options = parse(world.params("preflight"))
    servers = [Server(options.endpoint(side), "test") for side in ("legacy", "new")]
    try:
        check = Verification(pair.direction(*servers, "new"), mode, 60)
        check.freeze()
        return check.compare()
    finally:
        for server in servers:
            server.close()


@pytest.fixture(scope="module")
def armed(clusters):
    """An armed pair whose sides are equal; what a test plants it takes away."""
    clusters.reset(odd=100)
    clusters.ok("armed")
    return clusters


# Tables that have no row, or no column whose value could be changed.
NO_ROW, NO_VALUE = {"odd.empty"}, {"odd.nothing", "odd.only_generated"}
CARRIED = {"odd.scratch", "odd.scratch_keyless"}


@pytest.mark.parametrize(("how", "mode", "spared"), [
    pytest.param(byte, "hash", NO_ROW | NO_VALUE, id="changed byte, hash"),
    pytest.param(byte, "md5", NO_ROW | NO_VALUE, id="changed byte, md5"),
    pytest.param(missing, "counts", NO_ROW, id="missing row, counts"),
    pytest.param(extra, "counts", NO_ROW, id="extra row, counts"),
])
def test_a_difference_in_every_single_table_is_found_by_the_switch(clusters, how, mode, spared):
    clusters.reset(odd=100)
    clusters.ok("armed")
    changed = plant(clusters.new, how)
    every = {f"{row['schema']}.{row['name']}" for row in clusters.new.rows(_TABLES)}
    assert every - changed == spared and len(changed) > 50
    outcome = clusters.run("new", verify=mode)
    assert outcome["failure"]["code"] == "rows_differ", outcome
    found = {entry["table"]: entry for entry in outcome["failure"]["details"]["verify"]["mismatches"]}
    # Unlogged tables are carried inside the window, so what was planted there is gone.
    assert set(found) == changed - CARRIED
    if how is byte:
        keyed = [entry["keys"] for name, entry in found.items() if name in ("odd.bulk", "odd.wide", "odd.typed", "odd.pgcut_row")]
        assert [len(keys) for keys in keyed] == [1, 1, 1, 1]
        # Counting sees none of it, as its documentation says.
        assert comparison(clusters, "counts")["equal"] is True


TOUCHES = [
    ("SELECT lo_put(900004, 1000000, '\\x01')", 900004), ("SELECT lo_unlink(900002)", 900002), ("SELECT lo_create(900099)", 900099),
    ("GRANT SELECT ON LARGE OBJECT 900001 TO odd_definer", 900001), ("ALTER LARGE OBJECT 900005 OWNER TO odd_reader", 900005),
    # A hole that was filled with what it reads as.
    ("SELECT lo_put(900003, 0, '\\x00')", 900003), ("SELECT lo_create(900100); COMMENT ON LARGE OBJECT 900100 IS 'planted'", 900100),
]


def test_every_touched_large_object_is_found_and_the_switch_carries_it(armed):
    touched = []
    for text, oid in TOUCHES:
        armed.new.rows(f"{rig.QUIET}; {text}")
        touched.append(str(oid))
        found = comparison(armed, "counts")["mismatches"]
        assert [(entry["table"], entry["keys"]) for entry in found] == [("pg_largeobject", sorted(touched))]
    assert armed.ok("new")["verify"]["equal"] is True
    compare.assert_equal(armed, armed.new.bin)
    armed.ok("legacy", verify="none")
    armed.ok("armed")


def test_a_sequence_that_is_shifted_before_the_switch_is_set_exactly(armed):
    armed.new.rows("SELECT setval('odd.bulk_id_seq', 777777), setval('counters.never', -5, false), setval('odd.backwards', -9000)")
    armed.ok("new", verify="none")
    for name in ("odd.bulk_id_seq", "counters.never", "odd.backwards"):
        text = f"SELECT last_value, is_called FROM {name}"
        assert armed.legacy.rows(text) == armed.new.rows(text)
    armed.ok("legacy", verify="none")
    armed.ok("armed")


def test_every_sequence_that_is_shifted_inside_the_window_is_found_before_the_opening(armed):
    """After W5, on a target that is fenced: the last look before W7 sees them, and the writes stay where they are."""
    process = armed.spawn("new", fault="W5:stop", verify="none", window_attempts=1, max_window=60)
    rig.until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1].startswith("T"), 30, "the point")
    every = armed.new.rows("SELECT schemaname AS schema, sequencename AS name FROM pg_sequences ORDER BY 1, 2")
    for row in every:
        name = sql.Identifier(row["schema"], row["name"])
        armed.new.rows(sql.SQL("SELECT setval({}, last_value, NOT is_called) FROM {}").format(sql.Literal(name.as_string()), name))
    process.send_signal(signal.SIGCONT)
    failure = json.loads(process.communicate(timeout=60)[0])["failure"]
    assert failure["code"] == "window_aborted", failure
    assert failure["details"]["sequences"] == sorted(f"{row['schema']}.{row['name']}" for row in every)
    assert len(every) > 8 and armed.open_sides() == ["legacy"]
    # Nobody writes there any more.
    assert armed.ok("new", verify="none")["serving"] == "new"
