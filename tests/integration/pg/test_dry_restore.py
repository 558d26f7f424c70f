# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever new refuses, rows or schema, is found before anything is written on legacy, all of it at once; and the remedy that is told is enough.

`rig.World.run` holds each failure that says so against the log of legacy.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

rig, writes = sys.modules["bowline_pg_rig"], sys.modules["bowline_pg_writes"]


@dataclass(frozen=True)
class Rows:
    """``make`` on legacy in a schema of its own; ``says`` is in the finding over ``object``; ``remedy`` is run there."""

    schema: str
    make: str
    object: str
    says: str
    remedy: str


# Set while the catalog is told that the index is not there, so that twins come in.
_OFF, _ON = ("UPDATE pg_index SET indisready = {0}, indislive = {0} WHERE indexrelid = '{{0}}'::regclass;".format(word) for word in ("false", "true"))
AUTO = (
    Rows("s1", "CREATE FUNCTION fine(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 100'; CREATE TABLE p (id int PRIMARY KEY CHECK (fine(id)));"
         " INSERT INTO p VALUES (1), (50), (60); CREATE OR REPLACE FUNCTION fine(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 10'",
         "constraint p_id_check of s1.p", "(50), (60)", "DELETE FROM p WHERE id > 9"),
    Rows("s2", "CREATE TABLE allowed (code text PRIMARY KEY); INSERT INTO allowed VALUES ('a'); CREATE FUNCTION ok(text) RETURNS boolean LANGUAGE plpgsql"
         " STABLE AS 'BEGIN RETURN EXISTS (SELECT FROM allowed WHERE code = $1); END'; CREATE TABLE p (id int PRIMARY KEY, c text CHECK (ok(c)));"
         " INSERT INTO p VALUES (1, 'a')", "constraint p_c_check of s2.p", 'relation "allowed" does not exist', "ALTER FUNCTION ok SET search_path = s2"),
    Rows("s3", "CREATE DOMAIN d AS int; CREATE DOMAIN e AS d; CREATE TABLE p (id int PRIMARY KEY, a e[]);"
         " INSERT INTO p SELECT n, ARRAY[0, n] FROM generate_series(1, 9) n; ALTER DOMAIN d ADD CONSTRAINT five CHECK (VALUE <> 5) NOT VALID",
         "constraint five of domain s3.d in s3.p.a", "(5)", "UPDATE p SET a = '{6}' WHERE id = 5"),
    Rows("s4", "CREATE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE TABLE p (id int PRIMARY KEY, b int GENERATED ALWAYS AS (g(id))"
         " STORED); INSERT INTO p VALUES (7); CREATE OR REPLACE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'",
         "generated column s4.p.b", "(7)", "UPDATE p SET id = id"),
    Rows("s5", "CREATE FUNCTION inside(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'; CREATE FUNCTION outside(text) RETURNS text LANGUAGE"
         " plpgsql IMMUTABLE AS 'BEGIN RETURN inside($1); END'; CREATE TABLE p (id int PRIMARY KEY, a text); INSERT INTO p VALUES (1, 'a');"
         " CREATE INDEX i ON p (outside(a))", "index i of s5.p", "function inside(text) does not exist", "ALTER FUNCTION outside SET search_path = s5"),
    Rows("s6", "CREATE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE TABLE p (id int PRIMARY KEY, a text);"
         " CREATE UNIQUE INDEX i ON p (folded(a)) WHERE id < 9; INSERT INTO p VALUES (1, 'x'), (2, 'X'), (3, NULL), (4, NULL), (10, 'x');"
         " CREATE OR REPLACE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'", "index i of s6.p", "(x)",
         "DELETE FROM p WHERE id = 2"),
    Rows("s7", "CREATE TABLE p (id int PRIMARY KEY, a int); CREATE UNIQUE INDEX i ON p (a); INSERT INTO p VALUES (1, NULL), (2, NULL);"
         " UPDATE pg_index SET indnullsnotdistinct = true WHERE indexrelid = 'i'::regclass", "index i of s7.p", "()", "DELETE FROM p WHERE id = 2"),
)
# Where both servers have ICU: an index that was built by another version of its order.
ORDERED = Rows(
    "s0", "CREATE COLLATION was (provider = icu, locale = 'de'); CREATE TABLE p (id int PRIMARY KEY, a text COLLATE was); CREATE UNIQUE INDEX i ON p (a);"
    + _OFF.format("i") + "INSERT INTO p VALUES (1, 'x'), (2, 'x');" + _ON.format("i") + "UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'was'",
    "index i of s0.p", "(x)", "DELETE FROM p WHERE id = 2")
DUMP = (
    Rows("s8", "CREATE TABLE u (a int, b int, PRIMARY KEY (a, b)); INSERT INTO u VALUES (1, 1); CREATE TABLE p (id int, a int, b int, FOREIGN KEY (a, b)"
         " REFERENCES u) PARTITION BY LIST (id); CREATE TABLE up PARTITION OF p FOR VALUES IN (1, 2, 3); ALTER TABLE up ADD PRIMARY KEY (id);"
         " SET session_replication_role = replica; INSERT INTO p VALUES (1, 1, 1), (2, 1, NULL), (3, 1, 7)", "foreign key p_a_b_fkey of s8.up", "(3)",
         "DELETE FROM p WHERE id = 3"),
    Rows("s9", "CREATE TABLE p (id int PRIMARY KEY);" + _OFF.format("p_pkey") + "INSERT INTO p VALUES (1), (1);" + _ON.format("p_pkey"), "index p_pkey of s9.p",
         "(1)", "DELETE FROM p WHERE ctid = (SELECT min(ctid) FROM p)"),
)
UNFIT = ("rows_unfit", "schema_unfit")


def unfit(findings: list[dict]) -> dict[str, str]:
    return {each["object"]: each["message"] for each in findings if each["code"] in UNFIT}


def test_rows_that_new_would_refuse_are_found_and_the_remedies_are_enough(world):
    legacy = world.legacy
    icu = "SELECT 1 FROM pg_collation WHERE collprovider = 'i' AND collversion IS NOT NULL LIMIT 1"
    built_alike = all(cluster.rows(icu, dbname="postgres") for cluster in world.clusters)
    auto = (*AUTO, *([ORDERED] if built_alike else []))
    for case in (*auto, *DUMP):
        legacy.rows(f"CREATE SCHEMA {case.schema}; SET search_path = {case.schema}; {case.make}")
    for engine, cases in (("auto", auto), ("dump", (*auto, *DUMP))):
        failure = world.run("seeded", engine=engine)["failure"]
        found = unfit(failure["details"]["findings"])
        assert set(found) == {case.object for case in cases} and failure["code"] == "rows_unfit", failure
        assert [case for case in cases if case.says not in found[case.object]] == [], found
        assert writes.CLAIM.search(failure["message"])
    for case in (*auto, *DUMP):
        legacy.rows(f"SET session_replication_role = replica; SET search_path = {case.schema}; {case.remedy}")
    assert unfit(world.ok("preflight", engine="dump")["findings"]) == {}


# It holds as long as the other table has its rows.
BESIDE = """
CREATE TABLE allowed (code text PRIMARY KEY); INSERT INTO allowed VALUES ('a');
CREATE FUNCTION ok(text) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN EXISTS (SELECT FROM public.allowed WHERE code = $1); END';
CREATE TABLE coded (id int PRIMARY KEY, c text CHECK (ok(c)), up int REFERENCES coded); INSERT INTO coded VALUES (1, 'a', 1);
"""


def test_a_constraint_that_reads_another_table_is_found_before_a_dump_and_waited_for_otherwise(world):
    world.legacy.rows(BESIDE)
    failure = world.run("seeded", engine="dump")["failure"]
    assert failure["code"] == "rows_unfit" and "violates check constraint" in failure["message"] and "engine: logical" in failure["remedy"], failure
    assert databases(world.new) == []
    world.ok("seeded")
    assert world.new.value("SELECT count(*) FROM coded") == 1


VIEWS = """
CREATE VIEW v AS SELECT buffers_checkpoint FROM pg_stat_bgwriter;
COMMENT ON VIEW v IS 'about what cannot be made';
GRANT SELECT ON v TO readers;
CREATE TRIGGER said BEFORE UPDATE ON ledger FOR EACH ROW WHEN (starts_with(new.key, 'x')) EXECUTE FUNCTION suppress_redundant_updates_trigger();
"""
# As on a server of another version: new makes its databases of this one.
OTHER = (
    "UPDATE pg_attribute SET attname = {} WHERE attname = {} AND attrelid = 'pg_stat_bgwriter'::regclass".format,
    "UPDATE pg_proc SET proname = {} WHERE proname = {}".format,
)


def spoil(new, there: bool) -> None:
    new.rows("UPDATE pg_database SET datallowconn = true WHERE datname = 'template0'", dbname="postgres")
    for text, name in zip(OTHER, ("buffers_checkpoint", "starts_with")):
        words = (f"'{name}_gone'", f"'{name}'")
        new.rows(text(*(words if there else words[::-1])), dbname="template0")
    new.rows("UPDATE pg_database SET datallowconn = false WHERE datname = 'template0'", dbname="postgres")


def databases(new) -> list[str]:
    return [row["datname"] for row in new.rows("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'", dbname="postgres")]


def test_what_new_cannot_make_is_found_by_trying_and_the_remedy_is_enough(world):
    world.legacy.rows(VIEWS)
    spoil(world.new, True)
    try:
        # A killed run leaves the trial, whichever it was in.
        process = world.spawn("seeded", fault="D1")
        assert process.wait(60) == -9 and databases(world.new) == ["hub"]
        for _beside in (True, False):
            failure = world.run("seeded")["failure"]
            assert set(unfit(failure["details"]["findings"])) == {"VIEW public.v", "TRIGGER said"}, failure
            assert failure["code"] == "schema_unfit" and "Nothing was written on legacy" in failure["message"]
            assert "buffers_checkpoint does not exist" in failure["message"] and "starts_with(text" in failure["message"]
            if _beside:
                assert databases(world.new) == ["hub"]
                world.new.rows("DROP DATABASE hub", dbname="postgres")
        assert databases(world.new) == []
        for text in ("DROP VIEW v", "DROP TRIGGER said ON ledger"):
            world.legacy.rows(text)
        world.ok("seeded")
        assert databases(world.new) == ["hub"]
    finally:
        spoil(world.new, False)


UNREADABLE = """
CREATE ROLE clerk; CREATE SCHEMA desk AUTHORIZATION clerk; GRANT SELECT ON ledger, balance TO clerk;
CREATE MATERIALIZED VIEW desk.emptied AS SELECT count(*) FROM ledger; ALTER MATERIALIZED VIEW desk.emptied OWNER TO clerk;
CREATE MATERIALIZED VIEW desk.granted AS SELECT count(*) FROM balance; ALTER MATERIALIZED VIEW desk.granted OWNER TO clerk;
CREATE MATERIALIZED VIEW desk.divided AS SELECT 1 / count(*) FROM balance; REVOKE SELECT ON ledger, balance FROM clerk;
"""


def test_a_view_that_cannot_be_filled_is_found_and_the_remedies_are_enough(world):
    """One that only fails without rows is none."""
    world.legacy.rows(UNREADABLE)
    failure = world.run("seeded")["failure"]
    found = {each["object"]: each for each in failure["details"]["findings"] if each["code"] in UNFIT}
    assert set(found) == {"materialized view desk.emptied", "materialized view desk.granted"}, failure
    remedy = found["materialized view desk.emptied"]["remedy"]
    assert "permission denied for table ledger" in found["materialized view desk.emptied"]["message"]
    world.legacy.rows(remedy[remedy.index("REFRESH") :])
    world.legacy.rows("GRANT SELECT ON balance TO clerk")
    world.ok("seeded")


def test_what_was_not_tried_is_said(world):
    told = [each["object"] for each in world.ok("armed", check_mode=True)["findings"] if each["code"] == "not_tried"]
    assert told == ["schema"] and databases(world.new) == []
