# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever new refuses, rows or schema, is found before anything is written on legacy, all of it at once; and the remedy that is told is enough.

`rig.World.run` holds each failure that says so against the log of legacy.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight import loopholes
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server

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
    # The documentation of CREATE DOMAIN tells this way.
    Rows("s10", "CREATE DOMAIN given AS int NOT NULL; CREATE TABLE p (id int PRIMARY KEY, a given); INSERT INTO p (id, a) VALUES (3, (SELECT a FROM p))",
         "NOT NULL of domain s10.given in s10.p.a", "(3)", "UPDATE p SET a = 7"),
    Rows("s11", "CREATE DOMAIN given AS text CHECK (VALUE IS NOT NULL); CREATE DOMAIN more AS given; CREATE TABLE p (id int PRIMARY KEY, a more);"
         " INSERT INTO p (id, a) VALUES (3, (SELECT a FROM p))", "constraint given_check of domain s11.given in s11.p.a", "(3)", "UPDATE p SET a = 'x'"),
    # In the catalog by hand, in a later transaction.
    Rows("s12", "CREATE TABLE p (id int PRIMARY KEY, a int); INSERT INTO p VALUES (1, 1), (2, NULL); COMMIT; SET search_path = s12;"
         " UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'p'::regclass AND attname = 'a'", "NOT NULL of s12.p.a", "(2)", "UPDATE p SET a = 2"),
    Rows("s13", "CREATE TABLE p (id int PRIMARY KEY, a varchar(9), n numeric(9,3)); INSERT INTO p VALUES (1, 'abc', 1.5), (2, 'abcd', 2.25); COMMIT;"
         " SET search_path = s13; UPDATE pg_attribute SET atttypmod = 7 WHERE attrelid = 'p'::regclass AND attname = 'a'", "the length of s13.p.a", "(2)",
         "UPDATE p SET a = 'abc'"),
    Rows("s14", "CREATE TABLE p (id int PRIMARY KEY, n numeric(9,3)); INSERT INTO p VALUES (1, 1.5), (2, 2.25); COMMIT; SET search_path = s14;"
         " UPDATE pg_attribute SET atttypmod = (9 << 16) + 1 + 4 WHERE attrelid = 'p'::regclass AND attname = 'n'", "the length of s14.p.n", "(2)",
         "UPDATE p SET n = 2.3"),
    Rows("s15", "CREATE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE TABLE p (id int PRIMARY KEY, a text, EXCLUDE"
         " USING btree (folded(a) WITH =) WHERE (id < 9)); INSERT INTO p VALUES (1, 'x'), (2, 'X'), (3, NULL), (4, NULL), (10, 'x');"
         " CREATE OR REPLACE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'", "constraint p_folded_excl of s15.p", "(1)",
         "DELETE FROM p WHERE id = 2"),
    Rows("s16", "CREATE TABLE p (id int PRIMARY KEY, c \"char\"); INSERT INTO p VALUES (1, 'a'), (2, 'ü'::text::\"char\")", "the byte of s16.p.c", "(2)",
         "UPDATE p SET c = 'u'"),
    Rows("s17", "CREATE TABLE p (id int PRIMARY KEY, r regclass, rs regclass[]); CREATE INDEX later ON p (id); INSERT INTO p VALUES (1, 'p', '{p}'),"
         " (2, NULL, '{p,later}')", "what s17.p.rs names", "(2)", "DELETE FROM p WHERE id = 2"),
    Rows("s18", "CREATE TABLE p (id int PRIMARY KEY, b int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1, 1);"
         " CREATE TYPE mood AS ENUM ('calm'); CREATE MATERIALIZED VIEW m AS SELECT sum(9 / b) AS n, 'calm'::mood AS state FROM p; INSERT INTO p VALUES (2, 0)",
         "materialized view s18.m", "division by zero", "UPDATE p SET b = 1"),
    Rows("s19", "CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1); CREATE MATERIALIZED VIEW m AS SELECT (SELECT id FROM p) AS one, 1 AS b;"
         " INSERT INTO p VALUES (2)", "materialized view s19.m", "more than one row", "REFRESH MATERIALIZED VIEW s19.m WITH NO DATA"),
)
# Their queries may call what a user wrote, or stand over what somebody may change, so they are named and not run.
NOT_RUN = """
CREATE SCHEMA s20; SET search_path = s20; CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1); CREATE DOMAIN d AS int CHECK (VALUE < 9);
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql STRICT AS 'SELECT 9 / $1'; CREATE VIEW v AS SELECT 9 / id AS n FROM p;
CREATE MATERIALIZED VIEW over_a_view AS SELECT * FROM v; CREATE MATERIALIZED VIEW over_a_function AS SELECT f(id) FROM p;
CREATE MATERIALIZED VIEW over_a_domain AS SELECT (8 + id - 1)::d FROM p; CREATE MATERIALIZED VIEW over_another AS SELECT * FROM over_a_domain;
INSERT INTO p VALUES (0)
"""
# What only new can judge, so it is tried there.
SENT = (
    Rows("t1", "CREATE DOMAIN small AS int; CREATE TYPE part AS (n small, note text); CREATE TYPE whole AS (ps part[]); CREATE TABLE p (id int PRIMARY KEY,"
         " a text, w whole, g int GENERATED ALWAYS AS (id * 2) STORED NOT NULL); INSERT INTO p SELECT n, 'x', ROW(ARRAY[ROW(n, 'y')::part])::whole"
         " FROM generate_series(1, 9) n; ALTER DOMAIN small ADD CONSTRAINT five CHECK (VALUE <> 5) NOT VALID", "rows of t1.p", "the row (5), column w,",
         "DELETE FROM p WHERE id = 5"),
    Rows("t2", "CREATE DOMAIN small AS int; CREATE TYPE span AS RANGE (subtype = small); CREATE TABLE p (id int PRIMARY KEY, s span); INSERT INTO p VALUES"
         " (1, '[1,5)'), (2, '[2,7)'); ALTER DOMAIN small ADD CHECK (VALUE < 6) NOT VALID", "rows of t2.p", "the row (2), column s,",
         "UPDATE p SET s = '[2,3)' WHERE id = 2"),
    Rows("t3", "CREATE TABLE p (id int PRIMARY KEY, a text); INSERT INTO p SELECT n, repeat(md5(n::text), n * 200) FROM generate_series(1, 2) n;"
         " ALTER TABLE p ALTER a SET STORAGE PLAIN", "rows of t3.p", "row is too big", "ALTER TABLE p ALTER a SET STORAGE EXTENDED"),
)
# Where both servers have ICU: legacy has sorted by another version.
_NEWER = "UPDATE pg_collation SET colliculocale = 'de-u-kf-upper', collversion = '1.0' WHERE collname = '{}'"
SENT_ORDERED = (
    Rows("t4", "CREATE COLLATION was4 (provider = icu, locale = 'de'); CREATE TABLE p (k text COLLATE was4, id int, PRIMARY KEY (k, id)) PARTITION BY RANGE"
         " (k); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('a') TO ('m'); CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p VALUES ('A', 1), ('b', 2),"
         " ('n', 3);" + _NEWER.format("was4"), "rows of t4.p1", "another partition than t4.p1, as new sorts text: (A,1)", "UPDATE p SET k = k"),
    Rows("t5", "CREATE COLLATION was5 (provider = icu, locale = 'de'); CREATE TYPE words AS RANGE (subtype = text, collation = was5); CREATE TABLE p (id int"
         " PRIMARY KEY, w words); INSERT INTO p VALUES (1, '[a,b]'), (2, '[a,A]');" + _NEWER.format("was5"), "rows of t5.p", "the row (2), column w,",
         "DELETE FROM p WHERE id = 2"),
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
    legacy.rows(NOT_RUN)
    for engine, cases in (("auto", auto), ("dump", (*auto, *DUMP))):
        failure = world.run("seeded", engine=engine)["failure"]
        found = unfit(failure["details"]["findings"])
        assert set(found) == {case.object for case in cases} and failure["code"] == "rows_unfit", failure
        assert [case for case in cases if case.says not in found[case.object]] == [], found
        assert writes.CLAIM.search(failure["message"])
    for case in (*auto, *DUMP):
        legacy.rows(f"SET session_replication_role = replica; SET search_path = {case.schema}; {case.remedy}")
    told = world.ok("preflight", engine="dump")["findings"]
    assert unfit(told) == {}
    untried = next(each["message"] for each in told if (each["code"], each["object"]) == ("not_tried", "rows"))
    assert [f"materialized view s20.over_a{name}" in untried for name in ("_view", "_function", "_domain", "nother")] == [True] * 4, untried
    assert "s18.m" not in untried and "totals" not in untried, untried


def test_rows_that_only_new_can_judge_are_sent_there_before_the_first_write(world):
    """In the database that the schema is tried in, which is gone afterwards."""
    legacy = world.legacy
    icu = "SELECT 1 FROM pg_collation WHERE collprovider = 'i' AND collversion IS NOT NULL LIMIT 1"
    cases = (*SENT, *(SENT_ORDERED if all(cluster.rows(icu, dbname="postgres") for cluster in world.clusters) else ()))
    for case in cases:
        legacy.rows(f"CREATE SCHEMA {case.schema}; SET search_path = {case.schema}; {case.make}")
    failure = world.run("seeded")["failure"]
    found = unfit(failure["details"]["findings"])
    assert set(found) == {case.object for case in cases} and failure["code"] == "rows_unfit", failure
    assert [case for case in cases if case.says not in found[case.object]] == [], found
    assert writes.CLAIM.search(failure["message"]) and databases(world.new) == []
    for case in cases:
        legacy.rows(f"SET search_path = {case.schema}; {case.remedy}")
    assert unfit(world.ok("seeded")["findings"]) == {}
    assert world.new.value("SELECT count(*) FROM t1.p") == 8


def test_a_row_that_is_too_long_as_text_is_found_by_arithmetic(world):
    """With a limit that is lower; the server's own is 1 GB. Lengths stand beside what is put aside, so nothing of it is read."""
    world.legacy.rows("CREATE TABLE wide (id int PRIMARY KEY, a bytea, b text, c jsonb); ALTER TABLE wide ALTER a SET STORAGE EXTERNAL; INSERT INTO wide"
                      " SELECT n, decode(repeat('00', bytes), 'hex'), repeat('x', letters), '{}' FROM (VALUES (1, 60000, 1), (2, 30000, 30000),"
                      " (3, NULL, 150000), (4, NULL, NULL)) v(n, bytes, letters)")
    server = Server(Endpoint("legacy", "127.0.0.1", world.legacy.port, "hub", passfile=str(world.passfile), sslmode="disable"), "test")
    try:
        found = {look.name: look for look in loopholes.looks(server.db, "false", longest=100_000)}
        assert [row["key"] for row in server.db.rows(found["rows of public.wide"].text)] == ["(1)", "(3)"]
        assert "rows of public.wide" not in {look.name for look in loopholes.looks(server.db, "false")}
    finally:
        server.close()


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
