# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every line of the preflight planted on real servers: what is refused, nothing having been written, and what is only said."""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack

import bowline_pg_rig as rig
import pytest
from bowline_pg_plants import APART, REFUSED, WARNED, Plant, planted

CATALOGS = (
    "SELECT datname, datallowconn, datconnlimit FROM pg_database ORDER BY 1",
    "SELECT setdatabase = 0 AS every, setrole = 0 AS anyone, setconfig FROM pg_db_role_setting ORDER BY 1, 2, 3",
    "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1",
    "SELECT slot_name FROM pg_replication_slots ORDER BY 1",
    "SELECT subname, subenabled FROM pg_subscription ORDER BY 1",
)
INSIDE = ("SELECT pubname FROM pg_publication ORDER BY 1", "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_t' ORDER BY 1",
          "SELECT evtname FROM pg_event_trigger ORDER BY 1", "SELECT relname, relreplident FROM pg_class WHERE relkind = 'r' ORDER BY 1, 2")


def written(world):
    """All that a cutover could have written, and the next transaction id, which a statement that was rolled back would have moved, too."""
    parts = [
        cluster.rows(text, dbname="postgres")
        for cluster in world.clusters for text in (*CATALOGS, "SELECT pg_snapshot_xmax(pg_current_snapshot())")
    ]
    return parts + [world.legacy.rows(text) for text in INSIDE]


@pytest.fixture(scope="module")
def calm(clusters):
    """The application's database, which only has warnings; without autovacuum, whose transactions would look like ours."""
    clusters.reset()
    for cluster in clusters.clusters:
        for text in ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"):
            cluster.rows(text, dbname="postgres")
    yield clusters
    for cluster in clusters.clusters:
        for text in ("ALTER SYSTEM RESET autovacuum", "SELECT pg_reload_conf()"):
            cluster.rows(text, dbname="postgres")


@pytest.fixture(scope="module")
def base(calm):
    """From here on one session has written and does not commit, which is a finding after a minute."""
    session = calm.legacy.connect(autocommit=False, application_name="night job")
    session.execute("INSERT INTO balance VALUES ('long', 1)")
    calm.began = time.monotonic()
    yield calm
    session.close()


def findings(world, **more) -> list[dict]:
    told = world.ok("preflight", **more)["findings"]
    for finding in told:
        assert finding["message"] and finding["remedy"] and finding["code"] and finding["object"], finding
        # A warning never has the code of a refusal as such.
        assert finding["level"] == "fail" or finding["code"] != "preflight_failed", finding
    return told


def named(told: list[dict], level: str) -> set[str]:
    return {finding["object"] for finding in told if finding["level"] == level}


def refused(world, code: str, **more) -> dict:
    """The run fails with ``code`` and has written nothing."""
    before = written(world)
    outcome = world.run("seeded", **more)
    assert outcome.get("failed"), outcome
    assert outcome["failure"]["code"] == code and outcome["failure"]["remedy"], outcome["failure"]
    assert "Nothing was changed" in outcome["failure"]["message"]
    assert written(world) == before
    return outcome["failure"]


def judge(world, plant: Plant) -> None:
    """The plant is found, alone but for what follows from it, and the run is refused because of it."""
    told = findings(world)
    assert named(told, "fail") == {plant.object, *plant.also}
    found = next(finding for finding in told if finding["object"] == plant.object and finding["level"] == "fail")
    assert found["code"] == plant.code
    assert plant.says in found["message"] + found["remedy"]
    failure = refused(world, plant.code)
    assert found in failure["details"]["findings"]


# The first one of this file: a logical slot waits for every transaction that has written, and `base` has one that stays.
def test_a_slot_of_another_cutover_is_refused(calm):
    plant = Plant("slot of another cutover", "legacy.pgcut_rev", ("CREATE DATABASE wiki",), ("DROP DATABASE wiki",), dbname="postgres",
                  also=("database wiki",))
    with planted(calm, plant):
        calm.legacy.rows("SELECT pg_create_logical_replication_slot('pgcut_rev', 'pgoutput')", dbname="wiki")
        judge(calm, plant)
        found = next(finding for finding in findings(calm) if finding["object"] == plant.object)
        calm.legacy.rows(re.search(r"SELECT [^;]*;", found["remedy"])[0], dbname="postgres")
        assert plant.object not in {finding["object"] for finding in findings(calm)}


def test_a_slot_of_somebody_else_is_said(calm):
    with planted(calm, Plant("", "", ("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')",), ("SELECT pg_drop_replication_slot('debezium')",))):
        told = findings(calm)
        assert ("replication_slot", "debezium") in {(finding["code"], finding["object"]) for finding in told} and named(told, "fail") == set()


def test_a_plain_database_has_warnings_only(base):
    told = findings(base)
    assert named(told, "fail") == set()
    assert {(finding["code"], finding["object"]) for finding in told} == {
        ("keyless_table", "public.keyless"), ("keyless_table", "public.unique_only"), ("materialized_view", "public.totals"),
        ("large_objects", "pg_largeobject"), ("tls_weak", "legacy.sslmode"), ("tls_weak", "new.sslmode"), ("tls_weak", "link.sslmode"),
        ("not_tried", "schema"),
    } | {(finding["code"], finding["object"]) for finding in told if finding["code"] == "long_transaction"}


@pytest.mark.parametrize("plant", [*REFUSED, *APART], ids=str)
def test_refused_before_anything_was_written(base, plant):
    with planted(base, plant):
        judge(base, plant)


@pytest.mark.parametrize("plant", WARNED, ids=str)
def test_said_and_not_refused(base, plant):
    with planted(base, plant):
        told = findings(base)
        assert named(told, "fail") == set()
        found = [finding for finding in told if finding["object"] == plant.object]
        assert [finding["code"] for finding in found] == [plant.code]
        assert plant.says in found[0]["message"] + found[0]["remedy"]


def test_keyless_tables_are_refused_on_demand(base):
    """keyless: fail; a deferrable primary key counts as none, a unique index does not help either."""
    with planted(base, Plant("", "", ("CREATE TABLE planted (a int PRIMARY KEY DEFERRABLE)",), ("DROP TABLE planted",))):
        failure = refused(base, "keyless_table", keyless="fail")
        assert named(failure["details"]["findings"], "fail") == {"public.keyless", "public.unique_only", "public.planted"}
        assert "ADD PRIMARY KEY" in failure["remedy"]


def test_a_control_user_without_rights(base):
    base.legacy.rows("CREATE ROLE plain LOGIN PASSWORD 'canary-plain-1'", dbname="postgres")
    passfile = base.home / "plain.pgpass"
    passfile.write_text("*:*:*:plain:canary-plain-1\n")
    passfile.chmod(0o600)
    try:
        params = base.params("seeded")
        outcome = base.run("seeded", legacy={**params["legacy"], "user": "plain", "passfile": str(passfile)})
        assert outcome["failure"]["code"] == "privileges"
        base.legacy.rows(re.search(r"ALTER ROLE [^;]*;", outcome["failure"]["remedy"])[0], dbname="postgres")
        assert findings(base, legacy={**params["legacy"], "user": "plain", "passfile": str(passfile)})
    finally:
        base.legacy.rows("DROP ROLE plain", dbname="postgres")


def test_a_link_role_without_password(base):
    link = {name: value for name, value in base.params("preflight")["link"].items() if name != "password"}
    assert ("link_password", "warn", "pgcut_repl") in {(found["code"], found["level"], found["object"]) for found in findings(base, link=link)}


UNNAMED = {
    "view public.a (NULLIF)": "CREATE VIEW a AS SELECT nullif(c, 'x') FROM planted",
    "view public.b (CASE … WHEN)": "CREATE VIEW b AS SELECT CASE c WHEN 'x'::citext THEN 1 END FROM planted",
    "view public.d (JOIN … USING)": "CREATE VIEW d AS SELECT a.id FROM planted a JOIN planted b USING (id, c)",
    "rule r on public.planted (IS DISTINCT FROM)": "CREATE RULE r AS ON UPDATE TO planted WHERE old.c IS DISTINCT FROM new.c DO ALSO SELECT 1",
    "policy p on public.planted (IS DISTINCT FROM)": "CREATE POLICY p ON planted USING (c IS DISTINCT FROM 'X')",
    "trigger g on public.planted (IS DISTINCT FROM)": "CREATE TRIGGER g BEFORE UPDATE ON planted FOR EACH ROW"
    " WHEN (old.c IS DISTINCT FROM new.c) EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "constraint k on public.planted (IS DISTINCT FROM)": "ALTER TABLE planted ADD CONSTRAINT k CHECK (c IS DISTINCT FROM 'x')",
    "constraint odd on public.word (NULLIF)": "CREATE DOMAIN word AS citext CONSTRAINT odd CHECK (nullif(VALUE, 'x') <> 'y')",
    "index public.i (NULLIF)": "CREATE INDEX i ON planted (nullif(c, 'x'))",
    "index public.j (IS DISTINCT FROM)": "CREATE INDEX j ON planted (id) WHERE c IS DISTINCT FROM 'x'",
    "default of public.planted.d (NULLIF)": "ALTER TABLE planted ADD d citext DEFAULT nullif('x'::citext, 'X'::citext)",
    "statistics s (NULLIF)": "CREATE STATISTICS s ON nullif(c, 'x') FROM planted",
    "function public.f(public.citext) (NULLIF)": "CREATE FUNCTION f(c citext) RETURNS citext LANGUAGE sql RETURN nullif(c, 'x'::citext)",
}
# A dump names these operators, or there is no other one.
NAMED = (
    "CREATE VIEW e AS SELECT a.id, a.c IN (SELECT c FROM planted) AS k, a.c = ANY (ARRAY['x'::citext]) AS l, nullif(a.id, 1) AS m, greatest(a.c, 'x') AS n"
    " FROM planted a JOIN planted b USING (id) WHERE NOT coalesce(a.c = 'x', a.c IS NULL) AND a.c <> b.c ORDER BY a.c",
    "CREATE POLICY q ON planted USING (id IS DISTINCT FROM 3 AND c <> 'x')",
)


def test_operators_that_a_dump_does_not_name_are_found_wherever_they_are(base):
    make = ("CREATE EXTENSION citext", "CREATE TABLE planted (id int PRIMARY KEY, c citext)", *NAMED, *UNNAMED.values())
    with planted(base, Plant("", "", make, ("DROP TABLE planted CASCADE", "DROP EXTENSION citext CASCADE"))):
        assert named(refused(base, "preflight_failed")["details"]["findings"], "fail") == set(UNNAMED)


def test_hashes_that_are_others_on_each_server_are_found(base):
    make = ("CREATE DOMAIN moods AS mood[]", "CREATE TYPE two AS (a int, b moods)", "CREATE TABLE h1 (k two) PARTITION BY HASH (k)",
            "CREATE TABLE h2 (k mood) PARTITION BY HASH ((coalesce(k, 'calm')))", "CREATE TABLE h3 (a int, k regclass) PARTITION BY HASH (a, k)",
            "CREATE TABLE equal (a oid, b text, c int4range, d uuid[]) PARTITION BY HASH (a, b, c, d)", "CREATE TABLE listed (k mood) PARTITION BY LIST (k)")
    with planted(base, Plant("", "", make, ("DROP TABLE h1, h2, h3, equal, listed", "DROP TYPE two", "DROP DOMAIN moods"))):
        assert named(refused(base, "preflight_failed")["details"]["findings"], "fail") == {"public.h1", "public.h2", "public.h3"}


def test_a_collation_of_the_system_that_new_has_not(base):
    rename = "UPDATE pg_collation SET collname = %s WHERE collname = %s RETURNING collname"
    with planted(base, Plant("", "", ('CREATE TABLE planted (a text COLLATE "de-x-icu" PRIMARY KEY)',), ("DROP TABLE planted",))):
        assert named(findings(base), "fail") == set()
        base.new.rows(rename, "none", "de-x-icu", dbname="postgres")
        try:
            assert "make its cluster anew" in refused(base, "preflight_failed")["remedy"]
        finally:
            base.new.rows(rename, "de-x-icu", "none", dbname="postgres")


REMEDIES = {
    "hash": (("CREATE TABLE planted (k mood) PARTITION BY HASH (k)",), ("DROP TABLE planted", "CREATE TABLE planted (k mood) PARTITION BY LIST (k)")),
    "operators": (
        ("CREATE VIEW v AS SELECT nullif(c, 'x') AS n, CASE c WHEN 'x'::citext THEN 1 END AS w, c IS DISTINCT FROM 'x' AS d FROM planted",),
        ("DROP VIEW v", "CREATE VIEW v AS SELECT CASE WHEN c = 'x' THEN NULL ELSE c END AS n, CASE WHEN c = 'x' THEN 1 END AS w,"
         " NOT coalesce(c = 'x', c IS NULL AND 'x' IS NULL) AS d FROM planted"),
    ),
    "member": (("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1", "ALTER EXTENSION citext ADD FUNCTION f()"),
               ('ALTER EXTENSION "citext" DROP FUNCTION public.f()', "SELECT f()")),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_what_a_remedy_says_is_enough(base, name):
    bad, remedy = REMEDIES[name]
    more = () if name == "hash" else ("CREATE EXTENSION citext", "CREATE TABLE planted (c citext)")
    undo = ("DROP TABLE planted CASCADE", *(("DROP EXTENSION citext CASCADE", "DROP FUNCTION IF EXISTS f") if more else ()))
    with planted(base, Plant(name, "", (*more, *bad), undo)):
        assert named(findings(base), "fail")
        for text in remedy:
            base.legacy.rows(text)
        assert named(findings(base), "fail") == set()


def test_too_little_room_is_seen_where_the_new_server_is(base):
    """A file with a hole makes the database look larger than any disk; the same file system is the target's."""
    oid = base.legacy.value("SELECT oid FROM pg_database WHERE datname = 'hub'", dbname="postgres")
    size = base.legacy.value("SELECT pg_database_size('hub')", dbname="postgres")
    room = os.statvfs(base.new.home)
    hole = base.legacy.home / "data" / "base" / str(oid) / "999999999"
    try:
        with hole.open("wb") as file:
            file.truncate(min(room.f_bavail * room.f_frsize, 2**43))
        assert base.legacy.value("SELECT pg_database_size('hub')", dbname="postgres") > size
        assert "MB free" in refused(base, "no_space")["message"]
        # A folder that is not this server's says nothing about it.
        params = base.params("preflight")
        other = {**params["new"], "data_directory": str(base.legacy.home / "data")}
        assert "no_space" not in {finding["code"] for finding in findings(base, new=other)}
    finally:
        hole.unlink()


def test_text_that_sorts_differently_on_new_names_the_partitions(base):
    plant = Plant("", "", ("CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk')",
                           "CREATE TABLE names (n text COLLATE german PRIMARY KEY) PARTITION BY RANGE (n)",
                           "CREATE TABLE names_a PARTITION OF names FOR VALUES FROM (MINVALUE) TO ('m')"),
                  ("DROP TABLE names", "DROP COLLATION german"))
    older = "UPDATE pg_collation SET collversion = %s WHERE colliculocale = 'de' RETURNING collversion"
    was = base.new.value("SELECT collversion FROM pg_collation WHERE colliculocale = 'de'", dbname="postgres")
    with planted(base, plant):
        assert findings(base) and "collation_version" not in {finding["code"] for finding in findings(base)}
        base.new.rows(older, "1.1", dbname="postgres")
        try:
            found = [finding for finding in findings(base) if finding["code"] == "collation_version"]
            assert [finding["object"] for finding in found] == ["public.german"]
            assert "public.names" in found[0]["message"]
        finally:
            base.new.rows(older, was, dbname="postgres")


def test_a_transaction_that_writes_for_more_than_a_minute(base):
    rig.until(lambda: time.monotonic() - base.began > 61, 70, "a minute to pass")
    long = [finding for finding in findings(base) if finding["code"] == "long_transaction"]
    assert len(long) == 1 and "night job" in long[0]["object"]
    base.legacy.rows(re.search(r"SELECT [^;]*;", long[0]["remedy"])[0], dbname="postgres")
    rig.until(lambda: "long_transaction" not in {finding["code"] for finding in findings(base)}, 10, "its end")


def test_after_the_copy_what_can_still_change_is_judged(clusters):
    clusters.reset()
    clusters.ok("armed")
    clusters.new.rows("ALTER ROLE pgcut_repl NOBYPASSRLS", dbname="postgres")
    with ExitStack() as stack:
        stack.callback(clusters.new.rows, "ALTER ROLE pgcut_repl BYPASSRLS", dbname="postgres")
        assert named(findings(clusters), "fail") == {"new.pgcut_repl"}
        outcome = clusters.run("new")
        assert outcome["failure"]["code"] == "link_auth" and clusters.open_sides() == ["legacy"]
        remedy = next(finding["remedy"] for finding in findings(clusters) if finding["object"] == "new.pgcut_repl")
        clusters.new.rows(re.search(r"ALTER ROLE [^;]*;", remedy)[0], dbname="postgres")
        assert named(findings(clusters), "fail") == set()
