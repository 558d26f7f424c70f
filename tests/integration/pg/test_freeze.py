# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of the schema during a cutover: refused where they would be lost, found where they happened, taken in when both sides have them."""

from __future__ import annotations

import bowline_pg_compare as compare
import bowline_pg_rig as rig
import psycopg
import pytest

REFUSED = [
    "CREATE TABLE more (a int)", "CREATE UNLOGGED TABLE more (a int)", "CREATE TABLE more AS SELECT 1 AS a", "SELECT 1 AS a INTO more",
    "CREATE TABLE events_c PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')", "ALTER TABLE events DETACH PARTITION events_a",
    "ALTER TABLE events DETACH PARTITION events_b CONCURRENTLY",
    "ALTER TABLE ledger ADD x int", "ALTER TABLE ledger RENAME amount TO x", "ALTER TABLE ledger SET (fillfactor = 70)", "DROP TABLE keyless",
    "CREATE INDEX ON keyless (a)", "CREATE INDEX CONCURRENTLY more ON keyless (a)", "ALTER INDEX child_parent RENAME TO x", "DROP INDEX child_parent",
    "DROP INDEX CONCURRENTLY child_parent",
    "CREATE VIEW more AS SELECT 1 AS a", "CREATE MATERIALIZED VIEW more AS SELECT 1 AS a", "DROP MATERIALIZED VIEW totals",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE PROCEDURE more() LANGUAGE sql AS ''",
    "CREATE TYPE more AS ENUM ('a')", "ALTER TYPE mood ADD VALUE 'new'", "CREATE DOMAIN more AS int", "DROP TYPE mood CASCADE",
    "CREATE SEQUENCE more", "ALTER SEQUENCE counters.ticket INCREMENT 3", "DROP SEQUENCE counters.ticket CASCADE", "CREATE SCHEMA more",
    "CREATE RULE more AS ON DELETE TO ledger DO INSTEAD NOTHING", "CREATE POLICY more ON ledger", "CREATE STATISTICS more ON a, b FROM keyless",
    "GRANT SELECT ON balance TO readers", "REVOKE SELECT ON ledger FROM readers", "ALTER TABLE keyless SET SCHEMA counters",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO readers", "COMMENT ON TABLE ledger IS 'x'", "DROP OWNED BY hub CASCADE",
    "CREATE TEMP TABLE t (a int); DROP TABLE keyless", "DO $$ BEGIN EXECUTE 'CREATE TABLE more (a int)'; END $$",
]
PASSED = [
    "TRUNCATE unique_only", "TRUNCATE ledger CASCADE", "ANALYZE", "VACUUM keyless", "VACUUM FULL keyless", "REINDEX TABLE keyless",
    "REINDEX TABLE CONCURRENTLY ledger",
    "CLUSTER ledger USING ledger_pkey", "REFRESH MATERIALIZED VIEW totals", "BEGIN; LOCK TABLE ledger; COMMIT", "SELECT nextval('counters.ticket')",
    "SELECT lo_create(0)", "PREPARE p AS SELECT 1", "LISTEN x", "SET work_mem = '5MB'", "CREATE TEMP TABLE t (a serial PRIMARY KEY, b mood)",
    "CREATE TEMP TABLE t (a int UNIQUE); CREATE INDEX ON t (a); ALTER TABLE t ADD b text; COMMENT ON TABLE t IS 'x'; DROP TABLE t",
    "CREATE TEMP TABLE t AS SELECT * FROM balance; CREATE TEMP VIEW v AS SELECT * FROM t; DROP TABLE t CASCADE",
    "SELECT * INTO TEMP t FROM balance", "CREATE TEMP SEQUENCE s; SELECT nextval('s'); DROP SEQUENCE s", "CREATE TABLE pg_temp.t (a int)",
    "BEGIN; CREATE TEMP TABLE t (a int) ON COMMIT DROP; INSERT INTO t VALUES (1); COMMIT", "CREATE TEMP TABLE t (a int); DISCARD TEMP",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT pg_temp.f(); DROP FUNCTION pg_temp.f()",
    "DO $$ BEGIN CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); DROP TABLE t; END $$",
]


def application(cluster):
    return cluster.connect(options="-c search_path=public", user="hub", password="canary-app-3c2")


def in_step(world) -> None:
    rig.until(lambda: world.ok("info")["rollback"]["armed"], 20, "the way back")


def test_what_is_not_replicated_is_refused_and_everything_else_passes_on_the_side_that_serves(world):
    world.ok("armed")
    for to, cluster in (("legacy", world.legacy), ("new", world.new)):
        world.ok(to, verify="none")
        before = compare.schema(cluster, world.new.bin)
        for text in REFUSED:
            with application(cluster) as session, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
                session.execute(text)
            assert "frozen" in str(refused.value), text
        assert compare.schema(cluster, world.new.bin) == before
        for text in PASSED:
            with application(cluster) as session:
                session.execute(text)
        in_step(world)
    assert world.ok("legacy")["verify"]["equal"] is True


def test_without_the_freeze_the_way_back_is_not_promised_and_drift_is_found(world):
    told = world.ok("armed", ddl_freeze=False)
    assert (told["rollback"]["armed"], told["rollback"]["reason"]) == (False, "the DDL freeze is off")
    application(world.legacy).execute("CREATE TABLE ours (a int PRIMARY KEY)")
    application(world.legacy).execute("ALTER TABLE balance ADD note text")
    application(world.legacy).execute("ALTER TYPE mood ADD VALUE 'new'")
    application(world.legacy).execute("CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    failure = world.run("new", ddl_freeze=False)["failure"]
    assert failure["code"] == "schema_drift"
    objects = {finding["object"] for finding in failure["details"]["findings"] if finding["level"] == "fail"}
    assert {"table public.ours (only on legacy)", "column public.balance.note (only on legacy)", "type public.mood (differs)",
            "function public.more() (only on legacy)"} <= objects
    assert "pgcut.bypass" in failure["remedy"] and world.open_sides() == ["legacy"]
    for text in ("CREATE TABLE ours (a int PRIMARY KEY); ALTER TABLE ours OWNER TO hub", "ALTER TABLE balance ADD note text",
                 "ALTER TYPE mood ADD VALUE 'new'",
                 "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION more() OWNER TO hub"):
        world.new.rows(text)
    there = world.ok("new", ddl_freeze=False)
    assert there["verify"]["equal"] is True
    assert (there["rollback"]["armed"], there["rollback"]["reason"]) == (False, "the DDL freeze is off")
    compare.assert_equal(world, world.new.bin)


CHANGE = """
CREATE TABLE events_{n} PARTITION OF events FOR VALUES FROM ('20{n}-01-01') TO ('20{n}-12-31');
CREATE TABLE bare_{n} (a int, b text);
CREATE TABLE copied_{n} AS SELECT name, total FROM balance;
ALTER TYPE mood ADD VALUE 'of 20{n}';
ALTER TABLE balance ADD note_{n} text DEFAULT 'none';
CREATE SEQUENCE more_{n} START {n};
ALTER TABLE events_{n} OWNER TO hub; ALTER TABLE bare_{n} OWNER TO hub; ALTER TABLE copied_{n} OWNER TO hub;
"""
# While the tables are not followed yet, and a table without key cannot be updated.
FIRST = """
INSERT INTO events VALUES ('20{n}-05-05', 1, 'x'), ('20{n}-05-06', 2, 'y');
INSERT INTO bare_{n} SELECT n, 'b' FROM generate_series(1, 30) n;
"""
THEN = """
UPDATE bare_{n} SET b = 'changed' WHERE a % 3 = 0;
DELETE FROM copied_{n} WHERE name LIKE '%7';
UPDATE "Größe" SET state = 'of 20{n}' WHERE "Schlüssel" = {n};
UPDATE balance SET note_{n} = 'some', total = total + 1 WHERE name LIKE '%3';
SELECT nextval('more_{n}');
REFRESH MATERIALIZED VIEW totals;
"""


def change_both(world, number: int) -> None:
    """The follower first, so that nothing arrives that it does not have."""
    serving = world.serving()
    follower = world.new if serving is world.legacy else world.legacy
    for cluster in (follower, serving):
        for text in CHANGE.replace("{n}", str(number)).strip().split("\n"):
            cluster.rows(text)


def test_a_change_that_was_made_on_both_sides_is_taken_in(world):
    """Tables that a subscription does not know are skipped silently by the server, so this is where rows would be lost."""
    world.ok("armed")
    for number in (41, 42):
        change_both(world, number)
        world.serving().rows(FIRST.replace("{n}", str(number)))
        seen = world.ok("info")
        assert seen["rollback"]["armed"] is False, seen["rollback"]
        foreseen = world.ok("armed", check_mode=True)
        assert foreseen["changed"] is True
        done = world.ok("armed")
        assert done["plan"] == foreseen["plan"] and done["phase_after"] == foreseen["phase_after"]
        world.serving().rows(THEN.replace("{n}", str(number)))
        assert world.ok("armed")["changed"] is False
        if number == 41:
            assert world.ok("new")["verify"]["equal"] is True
            compare.assert_equal(world, world.new.bin)
            assert world.new.value("SELECT count(*) FROM bare_41 WHERE b = 'changed'") == 10
    rig.until(lambda: world.legacy.value("SELECT count(*) FROM bare_42 WHERE b = 'changed'") == 10, 20, "the old side to follow")
    assert world.ok("finished")["phase_after"] == "finished"
    assert world.new.rows("SELECT 1 FROM pg_class WHERE relname ~ '^(bare|copied)_' AND relreplident <> 'd'") == []


def test_a_change_that_is_taken_in_by_the_switch_itself(world):
    world.ok("new")
    change_both(world, 51)
    world.new.rows(FIRST.replace("{n}", "51"))
    assert world.ok("legacy")["verify"]["equal"] is True
    assert world.legacy.value("SELECT count(*) FROM bare_51") == 30
    compare.assert_equal(world, world.new.bin)
