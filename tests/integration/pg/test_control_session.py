# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inside a database of lesser users a control session runs none of their code: every test is an attack that worked once."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import bowline_pg_enemy as enemies
import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg import facts
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.logical import seed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint, Link, Options
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight import rules as preflight, survey
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import identities, pair
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import (
    catalog,
    freeze,
    helper,
    link_account,
    materialized_views,
    scan,
    schema,
    session_settings,
)
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot import content as snapshot_content
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import carry, verify

BASE = "enemy"


@pytest.fixture(scope="module")
def databases(clusters):
    """A small database of its own on both servers."""
    for cluster in clusters.clusters:
        cluster.rows(f"CREATE DATABASE {BASE}", dbname="postgres")
    yield clusters
    for cluster in clusters.clusters:
        cluster.rows(f"DROP DATABASE {BASE} WITH (FORCE)", dbname="postgres")


@pytest.fixture
def enemy(databases):
    yield enemies.Enemy(databases.legacy, BASE)
    for cluster in databases.clusters:
        cluster.rows("DROP EVENT TRIGGER IF EXISTS pgcut_start; DROP EVENT TRIGGER IF EXISTS pgcut_ddl; DROP EVENT TRIGGER IF EXISTS pgcut_drop;"
                     "DROP PUBLICATION IF EXISTS pgcut_fwd; DROP SCHEMA IF EXISTS low CASCADE; DROP SCHEMA IF EXISTS was CASCADE;"
                     "DROP SCHEMA IF EXISTS pgcut CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public", dbname=BASE)


def server(clusters, name: str = "legacy") -> Server:
    cluster = getattr(clusters, name)
    return Server(Endpoint(name, "127.0.0.1", cluster.port, BASE, passfile=str(clusters.passfile), sslmode="disable"), "test")


@contextlib.contextmanager
def servers(clusters):
    both = server(clusters), server(clusters, "new")
    try:
        yield both
    finally:
        for one in both:
            one.close()


@pytest.fixture(params=["refused by the server", "locked and compared"])
def manner(request, monkeypatch):
    """Every minor version of today knows the setting; older ones take the other way."""
    if request.param == "locked and compared":
        monkeypatch.delitem(session_settings.CONTROL, session_settings.RESTRICT)
    return request.param


# --- reading ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hash", "md5"])
def test_a_cast_of_the_owner_of_a_table_is_not_called(clusters, enemy, mode):
    enemy.does("CREATE TABLE low.t (a int); INSERT INTO low.t VALUES (1)")
    enemy.function("low.t", "text", "'same'")
    enemy.does("CREATE CAST (low.t AS text) WITH FUNCTION low.evil(low.t)")
    with servers(clusters) as (legacy, _new):
        legacy.db.rows(scan.total_text(("low", "t"), mode))
        if mode == "hash":
            snapshot_content.Reading(legacy, snapshot_content.Frozen(legacy).name).content()
    assert not enemy.won


def test_a_row_as_text_is_what_its_cast_to_text_was(clusters, enemy):
    """A manifest that was written before compares equal."""
    clusters.legacy.rows("""
        CREATE TYPE pair AS (a int, b text); CREATE DOMAIN few AS int[] CHECK (cardinality(VALUE) < 9); CREATE TYPE mood AS ENUM ('calm', 'müde');
        CREATE TABLE odd (pgcut_row int, "Größe ""x" text, p pair, q pair[], d few, m mood, r int4range, j jsonb, x xml, t timestamptz, f float8,
          b bytea, gone int, c char(5));
        ALTER TABLE odd DROP gone;
        INSERT INTO odd SELECT n, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'a"b,(\\ ' || n END, (n, 'x y')::pair, ARRAY[(n, NULL), (1, '"')]::pair[],
          ARRAY[n, NULL], 'müde', int4range(n, NULL), '{"a": [1, null]}', '<a/>', now(), 0.1 + n, decode('00ff', 'hex'), 'c' FROM generate_series(1, 50) n;
        CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; CREATE TABLE nothing (a int);
    """, dbname=BASE)
    with servers(clusters) as (legacy, _new):
        for table in ("odd", "bare", "nothing"):
            for mode in ("hash", "md5"):
                now = scan.total_text(("public", table), mode)
                before = now.replace("textin(record_out(pgcut_row.*))", "(pgcut_row.*)::text")
                assert before != now and legacy.db.rows(now) == legacy.db.rows(before), table


def swap(enemy, name: str) -> None:
    """Another relation under the name of a table or sequence, as its owner may put it there."""
    kind = "SEQUENCE" if name == "s" else "TABLE"
    columns = "true AS is_called, low.evil(1)::int::bigint AS last_value" if name == "s" else "low.evil(1)::int AS a"
    enemy.does(f"ALTER {kind} low.{name} RENAME TO was; CREATE VIEW low.{name} AS SELECT {columns}")


def test_a_table_that_became_a_view_is_not_read(clusters, enemy, manner):
    enemy.function()
    enemy.does("CREATE TABLE low.t (a int); INSERT INTO low.t VALUES (1)")
    with servers(clusters) as (legacy, new):
        assert legacy.db.restricts is (manner == "refused by the server")
        compared = verify.Verification(pair.direction(legacy, new, "new"), "hash", 20)
        compared.freeze()
        reading = snapshot_content.Frozen(legacy)
        swap(enemy, "t")
        with pytest.raises(FleetError):
            compared.compare()
        # Its list is read from the frozen catalog, where the name is still a table's.
        with pytest.raises(FleetError):
            snapshot_content.Reading(legacy, reading.name).content()
    assert not enemy.won


def test_a_table_that_was_made_a_view_in_place_is_not_read(clusters, enemy, manner):
    """Up to PostgreSQL 15 a rule _RETURN turns an empty table into a view, under its name and OID."""
    if clusters.legacy.major > 15:
        pytest.skip("the server refuses it")
    enemy.function()
    enemy.does("CREATE TABLE low.t (a int)")
    with servers(clusters) as (legacy, _new):
        reading = snapshot_content.Frozen(legacy)
        enemy.does("""CREATE RULE "_RETURN" AS ON SELECT TO low.t DO INSTEAD SELECT low.evil(1)::int AS a""")
        with pytest.raises(FleetError):
            snapshot_content.Reading(legacy, reading.name).content()
    assert not enemy.won


def test_a_schema_does_not_change_its_name_while_it_is_read(clusters, enemy, monkeypatch):
    """On older servers: behind the lock on a table its name would mean another one, if that of its schema did."""
    monkeypatch.delitem(session_settings.CONTROL, session_settings.RESTRICT)
    enemy.does("CREATE TABLE low.t (a int)")
    clusters.legacy.rows(f"GRANT CREATE ON DATABASE {BASE} TO low", dbname=BASE)
    with servers(clusters) as (legacy, _new):
        with legacy.db.block():
            seed.relations.read(legacy.db, [("low", "t")])
            with pytest.raises(psycopg.errors.LockNotAvailable):
                enemy.does("SET lock_timeout = '200ms'; ALTER SCHEMA low RENAME TO was")


def test_a_sequence_that_became_a_view_is_not_read(clusters, enemy, manner):
    enemy.function()
    enemy.does("CREATE SEQUENCE low.s; SELECT nextval('low.s')")
    with servers(clusters) as (legacy, new):
        clusters.new.rows("CREATE SCHEMA low; CREATE SEQUENCE low.s", dbname=BASE)
        carrier = carry.Carrier(pair.direction(legacy, new, "new"))
        assert carrier.sequences() == 1 and clusters.new.value("SELECT last_value FROM low.s", dbname=BASE) == 1
        swap(enemy, "s")
        with pytest.raises(FleetError):
            carrier.sequences()
    assert not enemy.won


def test_views_are_filled_and_statistics_are_made_as_the_owner(clusters, enemy):
    """The one setting is lifted there, and there only: what is run then has the rights of the owner."""
    enemy.function()
    enemy.does("CREATE TABLE low.t (a int); INSERT INTO low.t VALUES (7); CREATE VIEW low.v AS SELECT a, low.evil(a) FROM low.t;"
               "CREATE MATERIALIZED VIEW low.m AS SELECT * FROM low.v WITH NO DATA;"
               "CREATE FUNCTION low.seen(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT max(a) FROM low.v';"
               "CREATE INDEX ON low.t (low.seen(a)); REFRESH MATERIALIZED VIEW low.m")
    with servers(clusters) as (legacy, _new):
        materialized_views.refresh_views(legacy, legacy)
        schema.analyze(legacy)
        assert legacy.db.value("SELECT current_setting('restrict_nonsystem_relation_kind')") == "view, foreign-table"
        with pytest.raises(FleetError) as refused:
            legacy.db.run("SELECT * FROM low.v")
    assert "restricted" in refused.value.message
    assert clusters.legacy.value("SELECT a FROM low.m", dbname=BASE) == 7
    assert clusters.legacy.value("SELECT count(*) FROM pg_statistic WHERE starelid = 'low.t_seen_idx'::regclass", dbname=BASE) == 1
    assert not enemy.won


# --- writing by name --------------------------------------------------------------------------------------------------------------

FIRES = "CREATE RULE fires AS ON DELETE TO {table} DO ALSO SELECT low.evil(1); ALTER TABLE {table} ENABLE {word} RULE fires"


@pytest.mark.parametrize("word", ["ALWAYS", "REPLICA"])
def test_a_rule_that_fires_for_our_delete_is_found_and_looked_for_again(clusters, enemy, word):
    enemy.function()
    enemy.does(f"CREATE UNLOGGED TABLE low.t (a int); INSERT INTO low.t VALUES (1); {FIRES.format(table='low.t', word=word)}")
    clusters.new.rows("CREATE SCHEMA low; CREATE UNLOGGED TABLE low.t (a int)", dbname=BASE)
    with servers(clusters) as (legacy, new):
        assert survey.look(legacy, link_account.query, "").objects["firing_rules"] == ("low.t.fires",)
        # As in the window of the way back.
        with pytest.raises(FleetError) as refused:
            carry.carry_unlogged(new.db, legacy.db, [("low", "t")])
    assert (refused.value.code, refused.value.details["objects"]) == ("object_changed", ['"low"."t"'])
    assert not enemy.won and clusters.legacy.value("SELECT count(*) FROM low.t", dbname=BASE) == 1


def test_a_view_under_the_name_of_a_table_is_not_written(clusters, enemy):
    """What a rule of a view does instead needs no view to be read, so the setting of the server alone would not do."""
    enemy.function()
    enemy.does("CREATE VIEW low.t AS SELECT 1 AS a; CREATE RULE instead AS ON DELETE TO low.t DO INSTEAD SELECT low.evil(1)")
    with servers(clusters) as (legacy, _new):
        legacy.db.run("CREATE TABLE public.other (a int)")
        with pytest.raises(FleetError) as refused, legacy.db.block():
            seed.relations.write(legacy.db, [("public", "other"), ("low", "t")])
            legacy.db.run('DELETE FROM ONLY "low"."t"')
        assert refused.value.details["objects"] == ['"low"."t"']
        with pytest.raises(FleetError) as refused:
            identities.give_identity(legacy, catalog.Keyless("low", "t", "d", 0, "", ()), keep=False)
        assert refused.value.code == "object_changed"
    assert not enemy.won


def test_rows_of_unlogged_tables_are_carried(clusters, enemy):
    for cluster, rows in ((clusters.legacy, 5), (clusters.new, 2)):
        cluster.rows(f"CREATE UNLOGGED TABLE cache AS SELECT n AS a FROM generate_series(1, {rows}) n", dbname=BASE)
    with servers(clusters) as (legacy, new):
        assert carry.carry_unlogged(legacy.db, new.db, [("public", "cache")]) == 1
        assert carry.carry_unlogged(legacy.db, new.db, [("public", "cache")]) == 0
    assert clusters.new.value("SELECT count(*) FROM cache", dbname=BASE) == 5


# --- names of the cutover ---------------------------------------------------------------------------------------------------------

PLANTED = {
    "a table with a check": "CREATE SCHEMA pgcut; CREATE TABLE pgcut.marker (id int PRIMARY KEY, epoch text NOT NULL, at timestamptz NOT NULL,"
    " CHECK (low.evil(id))); CREATE TABLE pgcut.identity (nspname text, relname text, was text NOT NULL, PRIMARY KEY (nspname, relname))",
    "a schema only": "CREATE SCHEMA pgcut",
    "a function for the freeze": "CREATE SCHEMA pgcut; CREATE FUNCTION pgcut.frozen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "a publication": "CREATE PUBLICATION pgcut_fwd",
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_stands_under_our_names_is_not_taken_over(clusters, enemy, what):
    enemy.function()
    clusters.legacy.rows(f"GRANT CREATE ON DATABASE {BASE} TO low", dbname=BASE)
    enemy.does(PLANTED[what])
    with servers(clusters) as (legacy, new):
        for attempt in (lambda: facts.observe(legacy, new), lambda: helper.judge(legacy)):
            with pytest.raises(FleetError) as refused:
                attempt()
            assert refused.value.code == "name_taken" and refused.value.details["side"] == "legacy", refused.value.message
        if what != "a publication":
            with pytest.raises(FleetError):
                seed.Seed(legacy, new, None, None, None).do("helper")
    assert not enemy.won


def test_rights_on_our_tables_that_default_privileges_would_give_are_taken_away(clusters, enemy):
    clusters.legacy.rows("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO low; ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC", dbname=BASE)
    with servers(clusters) as (legacy, _new):
        helper.make(legacy, rows=True)
        helper.judge(legacy)
        assert pair.marked(legacy, pair.LATE) == ""
        for text in ("CREATE TABLE pgcut.more (a int)", "UPDATE pgcut.marker SET epoch = '1'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                enemy.does(text)
        legacy.db.run("GRANT UPDATE ON pgcut.marker TO low")
        with pytest.raises(FleetError):
            helper.judge(legacy)
        legacy.db.run("REVOKE ALL ON pgcut.marker FROM low; ALTER TABLE pgcut.marker ADD CHECK (id > 0)")
        with pytest.raises(FleetError) as refused:
            helper.judge(legacy)
    assert refused.value.details["objects"] == ["constraint marker_id_check of pgcut.marker"]


def test_the_freeze_is_passed_by_superusers_only(clusters, enemy):
    with servers(clusters) as (legacy, _new):
        helper.make(legacy, rows=True)
        freeze.on(legacy)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
            enemy.does("SET pgcut.bypass = on; CREATE TABLE low.more (a int)")
        assert "as a superuser" in str(refused.value)
        clusters.legacy.rows("SET pgcut.bypass = on; SET ROLE low; CREATE TABLE low.more (a int)", dbname=BASE)
        legacy.db.run("ALTER TABLE low.more ADD b int")


# --- the role of the link ---------------------------------------------------------------------------------------------------------

LINK = Link("pgcut_repl", "prefer", {}, "canary-link-9b1")
TAKEN = {
    "lacks rights": "CREATE ROLE pgcut_repl LOGIN PASSWORD 'mine'",
    "has a member": "CREATE ROLE pgcut_repl LOGIN REPLICATION BYPASSRLS; GRANT pg_read_all_data TO pgcut_repl; GRANT pgcut_repl TO low",
    "has a member of a member": "CREATE ROLE pgcut_repl LOGIN REPLICATION BYPASSRLS; GRANT pg_read_all_data TO pgcut_repl; CREATE ROLE middle;"
    "GRANT pgcut_repl TO middle; GRANT middle TO low",
}


@pytest.fixture
def in_the_way(clusters, enemy):
    drop = "DROP ROLE IF EXISTS pgcut_repl; DROP ROLE IF EXISTS middle"
    clusters.new.rows(drop, dbname="postgres")
    clusters.legacy.rows(drop, dbname="postgres")
    yield lambda: clusters.legacy.rows("SELECT rolreplication, rolbypassrls, rolsuper, rolpassword, pg_has_role(oid, 'pg_read_all_data', 'USAGE') AS"
                                       " reads FROM pg_authid WHERE rolname = 'pgcut_repl'", dbname="postgres")
    clusters.legacy.rows(drop, dbname="postgres")


@pytest.mark.parametrize("what", TAKEN)
def test_a_role_that_somebody_else_made_gets_no_rights(clusters, in_the_way, what):
    clusters.legacy.rows(TAKEN[what], dbname="postgres")
    before = in_the_way()
    with servers(clusters) as (legacy, _new):
        seen = survey.look(legacy, link_account.query, "pgcut_repl")
        found = preflight.judge(Options("seeded", legacy.endpoint, replace(legacy.endpoint, side="new"), LINK), "empty", seen, None)
        assert [finding.object for finding in found if finding.code == "link_account"] == ["legacy.pgcut_repl"]
        with pytest.raises(FleetError) as refused:
            link_account.keep(legacy, LINK)
    assert refused.value.code == "link_account" and in_the_way() == before


def test_the_role_is_made_once_and_whole(clusters, in_the_way):
    with servers(clusters) as (legacy, _new):
        assert link_account.keep(legacy, LINK) is True and link_account.keep(legacy, LINK) is False
    made = in_the_way()[0]
    assert (made["rolreplication"], made["rolbypassrls"], made["rolsuper"], made["reads"]) == (True, True, False, True)


def test_no_superuser_is_made_where_reading_everything_needs_one(clusters, in_the_way):
    with servers(clusters) as (legacy, _new):
        session = legacy.fresh("postgres")
        session.version = 130010
        with pytest.raises(FleetError) as refused:
            link_account._keep(session, LINK)
    assert refused.value.code == "link_account" and 'ALTER ROLE "pgcut_repl" SUPERUSER' in refused.value.remedy
    assert in_the_way() == []
