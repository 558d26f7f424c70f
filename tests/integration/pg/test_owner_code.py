# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Functions that tables call are not run with the rights of a superuser, unless they are named: found everywhere, refused before a row moves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bowline_pg_enemy as enemies
import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.logical import seed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import pair
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import owner_code
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot import run as snapshot
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import carry

sys.path.insert(0, str(Path(__file__).parent))
from drive import runner  # noqa: E402

BASE = "owned"
EVIL = "low.evil(integer)"


@pytest.fixture(scope="module")
def databases(clusters):
    for cluster in clusters.clusters:
        cluster.rows(f"CREATE DATABASE {BASE}", dbname="postgres")
    yield clusters
    for cluster in clusters.clusters:
        cluster.rows(f"DROP DATABASE IF EXISTS {BASE} WITH (FORCE)", dbname="postgres")


@pytest.fixture
def enemy(databases):
    yield enemies.Enemy(databases.legacy, BASE)
    for cluster in databases.clusters:
        cluster.rows(f"DO $$ BEGIN IF to_regrole('low') IS NOT NULL THEN REVOKE ALL ON DATABASE {BASE} FROM low; END IF; END $$;"
                     "DROP SCHEMA IF EXISTS low CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public", dbname=BASE)


@pytest.fixture
def session(databases):
    servers = [
        Server(Endpoint(name, "127.0.0.1", getattr(databases, name).port, BASE, passfile=str(databases.passfile), sslmode="disable"), "test")
        for name in ("legacy", "new")
    ]
    yield servers[0].db
    for server in servers:
        server.close()


PLACES = {
    "check": ("CREATE TABLE low.t (a int CHECK (low.evil(a)))", "check", False),
    "check of a table of a superuser": ("", "check", False),
    "operator": ("CREATE OPERATOR low.## (FUNCTION = low.evil, RIGHTARG = int); CREATE TABLE low.t (a int CHECK (OPERATOR(low.##) a))", "check", False),
    "domain": ("CREATE DOMAIN low.d AS int CHECK (low.evil(VALUE)); CREATE TABLE low.t (a low.d)", "type", False),
    "domain over a domain": ("CREATE DOMAIN low.d AS int CHECK (low.evil(VALUE)); CREATE DOMAIN low.e AS low.d; CREATE TABLE low.t (a low.e)", "type", False),
    "array of a domain": ("CREATE DOMAIN low.d AS int CHECK (low.evil(VALUE)); CREATE TABLE low.t (a low.d[])", "type", False),
    "composite with a domain": (
        "CREATE DOMAIN low.d AS int CHECK (low.evil(VALUE)); CREATE TYPE low.c AS (x low.d); CREATE TABLE low.t (a low.c[])", "type", False),
    "range of a domain": ("CREATE DOMAIN low.d AS int CHECK (low.evil(VALUE)); CREATE TYPE low.r AS RANGE (SUBTYPE = low.d);"
                          "CREATE TABLE low.t (a low.r)", "type", False),
    "generated": ("CREATE TABLE low.t (a int, b boolean GENERATED ALWAYS AS (low.evil(a)) STORED)", "generated", False),
    "index": ("CREATE TABLE low.t (a int); CREATE INDEX ON low.t ((low.evil(a)))", "index", False),
    "predicate": ("CREATE TABLE low.t (a int); CREATE INDEX ON low.t (a) WHERE low.evil(a)", "index", False),
    "exclusion": ("CREATE TABLE low.t (a int, EXCLUDE USING btree ((low.evil(a)) WITH =))", "index", False),
    "partition key": ("CREATE TABLE low.t (a int) PARTITION BY LIST (low.evil(a))", "partition", True),
    "domain in a partition key": ("CREATE DOMAIN low.d AS int CHECK (low.evil(VALUE)); CREATE TABLE low.t (a low.d) PARTITION BY LIST (a)", "partition", True),
    "cast to json": ("CREATE TABLE low.t (a int); CREATE FUNCTION low.other(low.t) RETURNS json LANGUAGE sql IMMUTABLE AS $$SELECT '1'::json$$;"
                     "CREATE CAST (low.t AS json) WITH FUNCTION low.other(low.t)", "type", True),
    "first value of an aggregate": (
        "CREATE DOMAIN low.d AS int CHECK (low.evil(VALUE)); CREATE FUNCTION low.step(low.d, int) RETURNS low.d LANGUAGE sql AS 'SELECT $1';"
        "CREATE AGGREGATE low.agg(int) (SFUNC = low.step, STYPE = low.d, INITCOND = '1')", "aggregate", True),
}


@pytest.mark.parametrize("what", PLACES)
def test_code_is_found_wherever_a_row_calls_it(databases, enemy, session, what):
    text, kind, restored = PLACES[what]
    enemy.function()
    if text:
        enemy.does(text)
    else:
        databases.legacy.rows("CREATE TABLE public.t (a int CHECK (low.evil(a)))", dbname=BASE)
        # Whoever applies rows, also since PostgreSQL 16: as the owner of the table.
        with pytest.raises(FleetError):
            owner_code.refuse(session, [], everything=False)
    function = "low.other(low.t)" if what == "cast to json" else EVIL
    found = owner_code.uses(session)
    assert function in {use.function for use in found}
    assert (kind, restored) in {(use.kind, use.restored) for use in found if use.function == function}
    owner_code.refuse(session, {use.function for use in found}, everything=True)
    with pytest.raises(FleetError) as refused:
        owner_code.refuse(session, ["low.evil", "evil(integer)"], everything=True)
    assert refused.value.code == "owner_code" and function in refused.value.details["functions"] and function in refused.value.message
    # As a dump without owners has it, where everything belongs to the control role.
    databases.legacy.rows("DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'low'::regnamespace AND prokind = 'f'"
                          " LOOP EXECUTE 'ALTER FUNCTION ' || f || ' OWNER TO postgres'; END LOOP; END $$", dbname=BASE)
    assert owner_code.uses(session) == [] and function in {use.function for use in owner_code.uses(session, brought=True)}
    assert not enemy.won


def test_what_needs_no_trust_is_not_found(databases, enemy, session):
    databases.legacy.rows("""
        CREATE EXTENSION hstore; CREATE EXTENSION btree_gist;
        CREATE FUNCTION public.ours(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
        CREATE TABLE public.t (a int CHECK (public.ours(a) AND a > 0), h public.hstore, d date DEFAULT now(), r int4range,
          e text GENERATED ALWAYS AS (lower(a::text)) STORED, EXCLUDE USING gist (a WITH =, r WITH &&));
        CREATE INDEX ON public.t USING gin (h); CREATE TABLE p (a int) PARTITION BY HASH (a);
    """, dbname=BASE)
    enemy.function()
    # A default is no part of a row that is copied, a trigger does not fire, a view is not read.
    enemy.does("CREATE TABLE low.t (a boolean DEFAULT low.evil(1), m text CHECK (m <> '')); CREATE VIEW low.v AS SELECT low.evil(1)")
    try:
        assert owner_code.uses(session) == []
        assert [use.function for use in owner_code.uses(session, brought=True)] == ["public.ours(integer)"]
    finally:
        databases.legacy.rows("DROP EXTENSION hstore CASCADE; DROP EXTENSION btree_gist CASCADE", dbname=BASE)


def test_an_owner_of_an_extension_adds_no_function_that_is_trusted(databases, enemy, session):
    databases.legacy.rows(f"GRANT CREATE ON DATABASE {BASE} TO low", dbname=BASE)
    enemy.function()
    enemy.does("CREATE EXTENSION hstore SCHEMA low; ALTER EXTENSION hstore ADD FUNCTION low.evil(int); CREATE TABLE low.t (a int CHECK (low.evil(a)))")
    assert [use.function for use in owner_code.uses(session)] == [EVIL]


def test_unlogged_rows_are_written_only_where_their_code_is_accepted(databases, enemy, session):
    enemy.function()
    enemy.does("CREATE UNLOGGED TABLE low.t (a int CHECK (low.evil(a))); INSERT INTO low.t VALUES (1)")
    with databases.new.connect(BASE) as there:
        there.execute(f"DO $$ BEGIN IF to_regrole('low') IS NULL THEN CREATE ROLE low LOGIN PASSWORD '{enemies.PASSWORD}'; END IF; END $$;"
                      "CREATE SCHEMA low AUTHORIZATION low; SET ROLE low; CREATE FUNCTION low.evil(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS"
                      " 'SELECT true'; CREATE UNLOGGED TABLE low.t (a int CHECK (low.evil(a)))")
    target = Server(Endpoint("new", "127.0.0.1", databases.new.port, BASE, passfile=str(databases.passfile), sslmode="disable"), "test")
    try:
        with pytest.raises(FleetError) as refused:
            carry.carry_unlogged(session, target.db, [("low", "t")])
        assert refused.value.code == "owner_code" and databases.new.value("SELECT count(*) FROM low.t", dbname=BASE) == 0
        assert carry.carry_unlogged(session, target.db, [("low", "t")], [EVIL]) == 1
    finally:
        target.close()


# --- snapshots --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def snapshots(databases, tmp_path):
    """Runs of pg_snapshot in this process: taken on legacy, tested and restored on new."""
    def run(state: str, **more) -> dict:
        params = {"state": state, "directory": str(tmp_path / "kept"), "subject": "owned", "kind": "before", "compress": "auto", "max_age": 86400.0,
                  "retention": 90 * 86400.0, "elsewhere": [], "fenced": True, "name": None, "file": None, **more}
        side, cluster = ("source", databases.legacy) if state in ("present", "preflight") else ("target", databases.new)
        params[side] = {"host": "127.0.0.1", "port": cluster.port, "dbname": BASE, "passfile": str(databases.passfile), "sslmode": "disable",
                        "bindir": str(databases.new.bin)}
        return snapshot.run(params, runner, False)
    return run


def names(cluster) -> list[str]:
    return [row["datname"] for row in cluster.rows("SELECT datname FROM pg_database WHERE datname LIKE 'bowline%'", dbname="postgres")]


RESTORED = {
    "check": ("CREATE TABLE low.t (a int CHECK (low.evil(a)))", "int"),
    "check that is put apart": ("CREATE TABLE low.t (a int); SELECT", "low.t"),
    "index": ("CREATE TABLE low.t (a int); CREATE INDEX ON low.t ((low.evil(a)))", "int"),
    "partition key": ("CREATE TABLE low.t (a int) PARTITION BY LIST ((a > 0 AND low.evil(1))); CREATE TABLE low.one PARTITION OF low.t DEFAULT", "int"),
    "view": ("CREATE TABLE low.t (a int); CREATE MATERIALIZED VIEW low.m AS SELECT low.evil(a) FROM low.t", "int"),
}


LONG = pytest.mark.skipif(os.environ.get("BOWLINE_FAULTS") != "all", reason="make faults")


@pytest.mark.parametrize(("what", "owned"), [
    ("check", True), ("partition key", True), ("check that is put apart", True), ("view", False),
    pytest.param("view", True, marks=LONG), pytest.param("index", True, marks=LONG), pytest.param("index", False, marks=LONG)])
def test_a_snapshot_is_restored_only_where_its_code_is_accepted(databases, enemy, snapshots, owned, what):
    text, arguments = RESTORED[what]
    databases.new.rows("DROP ROLE IF EXISTS low", dbname="postgres")
    if owned:
        databases.new.rows("CREATE ROLE low", dbname="postgres")
    if arguments == "low.t":
        enemy.does("CREATE TABLE low.t (a int)")
        enemy.function(arguments)
        enemy.does("ALTER TABLE low.t ADD CHECK (low.evil(t.*)); INSERT INTO low.t VALUES (1), (2)")
    else:
        enemy.function(arguments)
        enemy.does(f"{text}; INSERT INTO low.t VALUES (1), (2)")
        if what == "view":
            enemy.does("REFRESH MATERIALIZED VIEW low.m")
    name = EVIL if arguments == "int" else "low.evil(low.t)"
    # Before anything is taken, as on a server without the accounts, which a target is when its snapshot is proven.
    assert [finding["object"] for finding in snapshots("preflight")["findings"]] == [name] and not enemy.won
    assert snapshots("preflight", accept_owner_code=[name])["findings"] == []
    snapshots("present")
    # The server builds an index and fills a view as the owner of the table, if there is one.
    if owned and what in ("view", "index"):
        assert snapshots("tested")["evidence"]["accepted_owner_code"] == [] and not enemy.won
        return
    with pytest.raises(FleetError) as refused:
        snapshots("tested")
    assert refused.value.code == "owner_code" and refused.value.details["functions"] == [name]
    assert names(databases.new) == [] and not enemy.won
    if what == "check":
        databases.new.rows(f"DROP DATABASE {BASE} WITH (FORCE)", dbname="postgres")
        with pytest.raises(FleetError) as refused:
            snapshots("restored")
        assert refused.value.code == "owner_code" and not enemy.won
        settings = databases.new.value("SELECT s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = %s",
                                       BASE, dbname="postgres")
        assert "default_transaction_read_only=on" in settings
    assert snapshots("tested", accept_owner_code=[name])["evidence"]["accepted_owner_code"] == [name]
    assert names(databases.new) == []


def test_code_of_the_superuser_who_restores_needs_no_word_where_owners_are_left_out(databases, enemy, snapshots):
    """An account is missing where the snapshot is proven, so everything is restored as that superuser's own; what was a superuser's was so before."""
    databases.new.rows("DROP ROLE IF EXISTS low", dbname="postgres")
    databases.legacy.rows("CREATE FUNCTION public.ours(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';"
                          "CREATE TABLE public.t (a int PRIMARY KEY CHECK (public.ours(a))); CREATE INDEX ON public.t (public.ours(a));"
                          "INSERT INTO public.t VALUES (1);"
                          "CREATE TABLE public.p (a int) PARTITION BY LIST ((public.ours(a)))", dbname=BASE)
    enemy.does("CREATE TABLE low.t (a int)")
    assert snapshots("preflight")["findings"] == []
    snapshots("present")
    assert snapshots("tested")["evidence"]["accepted_owner_code"] == []
    enemy.function()
    enemy.does("ALTER TABLE low.t ADD CHECK (low.evil(a))")
    assert [finding["object"] for finding in snapshots("preflight", max_age=0.001)["findings"]] == [EVIL] and not enemy.won
    snapshots("present", max_age=0.001)
    with pytest.raises(FleetError) as refused:
        snapshots("tested", max_age=0.001)
    assert refused.value.details["functions"] == [EVIL] and not enemy.won and names(databases.new) == []


# --- a whole run ------------------------------------------------------------------------------------------------------------------

# The database of the tests above.
REST = {"ignore_databases": [BASE]}
APART = "low.evil(low.apart)"


def test_a_move_refuses_the_code_of_an_owner_and_takes_what_is_accepted(world):
    """``low.apart`` has a check that takes its row: pg_dump puts it behind the rows, where ALTER TABLE would call it with the session's rights."""
    low = enemies.Enemy(world.legacy)
    low.does("CREATE TABLE low.apart (id int PRIMARY KEY); INSERT INTO low.apart SELECT generate_series(1, 5)")
    # Once it is accepted, the apply worker runs it with the rights of its owner up to PostgreSQL 15; our own sessions do not.
    ours = "current_setting('application_name') LIKE 'bowline%'"
    low.function(when=ours)
    low.function("low.apart", when=ours)
    low.does("ALTER TABLE low.apart ADD CHECK (low.evil(apart.*)); CREATE TABLE low.t (id int PRIMARY KEY CHECK (low.evil(id)));"
             "INSERT INTO low.t VALUES (1)")
    wanted = [EVIL, APART] if min(cluster.major for cluster in world.clusters) < 16 else [APART]

    def found(**more) -> list[str]:
        return sorted(finding["object"] for finding in world.ok("preflight", **REST, **more)["findings"] if finding["code"] == "owner_code")

    assert found() == sorted(wanted)
    assert found(engine="dump", max_window=90, accept_owner_code=[EVIL]) == [APART]
    failure = world.run("seeded", **REST, accept_owner_code=wanted[1:] or [EVIL])["failure"]
    assert failure["code"] == "owner_code" and f"accept_owner_code: ['{wanted[0]}']" in failure["remedy"]
    assert world.legacy.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'pgcut'") == []
    done = world.ok("seeded", **REST, accept_owner_code=wanted)
    assert done["evidence"]["accepted_owner_code"] == sorted(wanted)
    assert [world.new.value(f"SELECT count(*) FROM low.{table}") for table in ("t", "apart")] == [1, 5]
    assert world.new.value("SELECT count(*) FROM pg_constraint WHERE conrelid = 'low.apart'::regclass AND contype = 'c'") == 1
    assert not low.won
    # Nobody changes on either side what was judged.
    for cluster in world.clusters:
        with cluster.connect(user="low", password=enemies.PASSWORD, options="-c default_transaction_read_only=off") as client:
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
                client.execute("SET pgcut.bypass = on; CREATE TABLE low.more (a int)")


RESTORE = """#!{python}
import os, sys, psycopg
if "--version" in sys.argv:
    os.execv("{real}", ["{real}", "--version"])
with psycopg.connect(host="127.0.0.1", port={port}, user="postgres", dbname="hub", passfile="{passfile}") as session:
    frozen = session.execute("SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'pgcut%' AND evtenabled = 'A'").fetchone()[0]
open("{seen}", "a").write(str(frozen) + "\\n")
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""


def test_code_that_came_after_the_preflight_is_refused_before_it_is_run(world, tmp_path):
    """The freeze is on new before the schema is, so who changes it is a superuser; what he brings is judged again all the same."""
    restore, seen = tmp_path / "pg_restore", tmp_path / "seen"
    restore.write_text(RESTORE.format(python=sys.executable, port=world.new.port, passfile=world.passfile, seen=seen, real=world.new.bin / "pg_restore"))
    restore.chmod(0o755)
    new = {**world.params("seeded")["new"], "bindir": str(tmp_path)}
    seeded = world.ok("seeded", **REST, engine="logical", new=new)
    assert set(seen.read_text().split()) == {"3"}
    assert seeded["evidence"]["accepted_owner_code"] == []
    for cluster in world.clusters:
        low = enemies.Enemy(cluster)
        cluster.rows(f"SET ROLE low; {enemies.HARM.format(when='true', mark=low.mark)};"
                     + enemies.EVIL.format(arguments="int", result="boolean", value="true", words="IMMUTABLE")
                     + "; CREATE TABLE low.t (id int PRIMARY KEY CHECK (low.evil(id)))")
    server = Server(Endpoint("new", "127.0.0.1", world.new.port, "hub", passfile=str(world.passfile), sslmode="disable"), "test")
    legacy = Server(Endpoint("legacy", "127.0.0.1", world.legacy.port, "hub", passfile=str(world.passfile), sslmode="disable"), "test")
    try:
        if world.new.major < 16:
            with pytest.raises(FleetError) as refused:
                seed.take_in(pair.direction(legacy, server, "new"), ())
            assert refused.value.code == "owner_code"
        seed.take_in(pair.direction(legacy, server, "new"), (EVIL,))
    finally:
        server.close()
        legacy.close()
