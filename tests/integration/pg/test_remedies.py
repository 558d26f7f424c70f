# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remedies, followed word by word: the finding is seen, the statements in its own text are run, and it is gone. tests/unit/pg/remedies.yml."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import bowline_pg_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint, Link
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight import contents
from ansible_collections.bowline.fleet.plugins.module_utils._pg.run import run
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import account_sync, accounts
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server
from bowline_pg_plants import planted_on

sys.path.insert(0, str(Path(__file__).parent))
from drive import runner  # noqa: E402

_STATEMENT = re.compile(r"\b((?:ALTER|CREATE|DROP|GRANT|REVOKE|REINDEX|COMMIT PREPARED|ROLLBACK PREPARED|SELECT|TRUNCATE)\b[^;]*);")


def statements(remedy: str, fill: dict[str, str]) -> list[str]:
    """What a reader pastes into psql: every statement of a remedy, with what he puts in for its <words>; those that he leaves out are not in it."""
    found = [re.sub(r"<(\w+)>", lambda word: fill.get(word[1], word[0]), text) for text in _STATEMENT.findall(remedy)]
    return [text for text in found if not re.search(r"<\w+>", text)]


@dataclass(frozen=True)
class Case:
    """``do`` plants on ``on`` (``!`` in front: has to fail), ``object`` is what is found because of it. ``pick`` are the statements of the remedy that
    are followed, with ``fill`` for its <words>; ``then`` are parameters that the remedy asks for."""

    object: str
    do: tuple[str, ...] = ()
    pick: tuple[int, ...] = (0,)
    undo: tuple[str, ...] = ()
    fill: dict[str, str] = field(default_factory=dict)
    on: str = "legacy"
    dbname: str = "hub"
    more: dict = field(default_factory=dict)
    then: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def base(clusters):
    clusters.reset()
    return clusters


def findings(world, **more) -> dict[str, dict]:
    """By object; the last one where there are several."""
    return {finding["object"]: finding for finding in run(world.params("preflight", **more), runner, False)["findings"]}


TRIGGER = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'"
# As pg_cron makes them: cron.schedule and cron.alter_job of its README, jobs in cron.job.
CRON = ("CREATE SCHEMA cron", "CREATE TABLE cron.job (jobid bigint PRIMARY KEY, schedule text, command text, active bool, database text)",
        "CREATE FUNCTION cron.alter_job(job_id bigint, schedule text DEFAULT NULL, command text DEFAULT NULL, database text DEFAULT NULL,"
        " username text DEFAULT NULL, active boolean DEFAULT NULL) RETURNS void LANGUAGE sql AS 'UPDATE cron.job SET active = $6 WHERE jobid = $1'",
        "INSERT INTO cron.job VALUES (3, '* * * * *', 'DELETE FROM ledger', true, 'hub')",
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
        " VALUES (99999, 'pg_cron', 10, 'cron'::regnamespace, false, '1.4')")
OTHER = {"slot": "pg_create_logical_replication_slot('debezium', 'pgoutput')", "standby": "pg_create_physical_replication_slot('barman')"}

SQL = {
    "index of rows that are twins": Case("public.broken", ("CREATE TABLE dup (a int)", "INSERT INTO dup VALUES (1), (1)",
                                         "!CREATE UNIQUE INDEX CONCURRENTLY broken ON dup (a)"), (1,), ("DROP TABLE dup",)),
    "index that was interrupted": Case("public.broken", ("CREATE TABLE dup (a int)", "CREATE INDEX broken ON dup (a)",
                                       "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass"), (0,), ("DROP TABLE dup",)),
    "foreign table": Case("public.elsewhere", ("CREATE EXTENSION file_fdw", "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
                          "CREATE FOREIGN TABLE elsewhere (a text) SERVER files OPTIONS (filename '/dev/null')"), undo=("DROP EXTENSION file_fdw CASCADE",)),
    "trigger": Case('public."Größe"."lo.ud"', (TRIGGER, 'CREATE TRIGGER "lo.ud" BEFORE INSERT ON "Größe" FOR EACH ROW EXECUTE FUNCTION f()',
                    'ALTER TABLE "Größe" ENABLE ALWAYS TRIGGER "lo.ud"'), undo=("DROP FUNCTION f CASCADE",)),
    "rule": Case("public.ledger.loud", ("CREATE RULE loud AS ON DELETE TO ledger DO ALSO SELECT 1", "ALTER TABLE ledger ENABLE ALWAYS RULE loud"),
                 undo=("DROP RULE loud ON ledger",)),
    "event trigger": Case("loud", ("CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
                          "CREATE EVENT TRIGGER loud ON ddl_command_end EXECUTE FUNCTION e()", "ALTER EVENT TRIGGER loud ENABLE ALWAYS"),
                          undo=("DROP EVENT TRIGGER loud", "DROP FUNCTION e")),
    "smallserial": Case("public.planted_id_seq", ("CREATE TABLE planted (id smallserial PRIMARY KEY)", "SELECT setval('planted_id_seq', 31200)"), (0, 1),
                        ("DROP TABLE planted",), {"table": "planted", "column": "id"}),
    "sequence down": Case("public.down", ("CREATE SEQUENCE down INCREMENT -1 MINVALUE -100 MAXVALUE -1", "SELECT setval('down', -97)"),
                          undo=("DROP SEQUENCE down",)),
    "prepared, taken": Case("it's", ("BEGIN; CREATE TABLE held (a int PRIMARY KEY); PREPARE TRANSACTION 'it''s'",), (0,), ("DROP TABLE held",)),
    "prepared, given up": Case("it's", ("BEGIN; CREATE TABLE held (a int PRIMARY KEY); PREPARE TRANSACTION 'it''s'",), (1,)),
    "job": Case("pg_cron 3 (* * * * *) in postgres", CRON, (0,), ("DELETE FROM pg_extension WHERE extname = 'pg_cron'", "DROP SCHEMA cron CASCADE"),
                {"number": "3"}, dbname="postgres"),
    "subscription": Case('"o.th"', ("CREATE SUBSCRIPTION \"o.th\" CONNECTION 'host=192.0.2.1' PUBLICATION p WITH (connect = false)",), (0, 1, 2)),
    "account that beats the fence": Case("hub", ("ALTER ROLE hub SET default_transaction_read_only = off",)),
    "account that beats the fence here": Case("hub in hub", ("ALTER ROLE hub IN DATABASE hub SET default_transaction_read_only = off",)),
    "account that everybody becomes": Case("database hub", ("ALTER DATABASE hub SET role = 'readers'",), dbname="postgres"),
    "unlogged": Case("public.planted", ("CREATE UNLOGGED TABLE planted (a int PRIMARY KEY)",), (0,), ("DROP TABLE planted",)),
    "slot of somebody else": Case("debezium", (f"SELECT {OTHER['slot']}",)),
    "slot of a standby": Case("barman", (f"SELECT {OTHER['standby']}",)),
    "publication": Case("other", ("CREATE PUBLICATION other FOR TABLE ledger",)),
    "database on new that is another one": Case("new.encoding", ("CREATE DATABASE hub TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",),
                                                on="new", dbname="postgres"),
    "extension that is older here": Case("extension hstore", ("CREATE EXTENSION hstore VERSION '1.4'",), undo=("DROP EXTENSION hstore",)),
    "order that changed": Case(
        "public.german",
        (
            "CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk')",
            "CREATE TABLE planted (a text COLLATE german PRIMARY KEY)",
            "UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'german'",
        ),
        (0, 1), ("DROP TABLE planted", "DROP COLLATION german"), {"table": "planted"},
    ),
    "locale that was generated": Case("locale C.UTF-8", ("DELETE FROM pg_collation WHERE collcollate ILIKE 'c.utf%8'",), on="new", dbname="postgres"),
    "table without a key": Case("public.planted", ("CREATE TABLE planted (a int, b text)",), (0,), ("DROP TABLE planted",), {"columns": "a"}),
    "table without a key, refused": Case("public.planted", ("CREATE TABLE planted (a int, b text)",), (0,), ("DROP TABLE planted",), {"columns": "a"},
                                         more={"keyless": "fail"}),
    "type without equality": Case("public.planted", ("CREATE TABLE planted (a int, b json)",), (0,), ("DROP TABLE planted",), {"column": "b", "type": "jsonb"}),
    "large objects": Case("pg_largeobject", ("SELECT lo_create(0)",), undo=(r"SELECT lo_from_bytea(0, '\xdeadbeef')",)),
    "link's account lacks a right": Case("new.pgcut_repl", ("CREATE ROLE pgcut_repl LOGIN",), (0, 1), ("DROP ROLE pgcut_repl",), on="new", dbname="postgres"),
    "link's account has a member": Case("new.pgcut_repl", ("CREATE ROLE pgcut_repl LOGIN REPLICATION BYPASSRLS", "GRANT pg_read_all_data TO pgcut_repl",
                                        "CREATE ROLE one", "GRANT pgcut_repl TO one"), (2,), ("DROP ROLE pgcut_repl", "DROP ROLE one"), {"member": "one"},
                                        on="new", dbname="postgres"),
    "slot limit": Case("legacy.max_slot_wal_keep_size", ("ALTER SYSTEM SET max_slot_wal_keep_size = '512MB'", "SELECT pg_reload_conf()"), (0, 1),
                       ("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()"), dbname="postgres"),
    "member of an extension": Case("public.f()", ("CREATE EXTENSION citext", "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
                                   "ALTER EXTENSION citext ADD FUNCTION f()"), undo=("DROP EXTENSION citext CASCADE", "DROP FUNCTION f()")),
    "right to a function of an extension": Case(
        "public.pg_stat_statements_reset()",
        ("CREATE EXTENSION pg_stat_statements VERSION '1.4'", "GRANT EXECUTE ON FUNCTION pg_stat_statements_reset() TO readers"),
        (1,), ("DROP EXTENSION pg_stat_statements",), {"account": "readers"},
    ),
    "superuser that is carried": Case("boss", ("CREATE ROLE boss SUPERUSER",), undo=("DROP ROLE boss",), dbname="postgres"),
}
OPTIONS = {
    "database that is not there": Case("legacy.dbname", more={"legacy": {"dbname": "huh"}}),
    "another database": Case("database wiki", ("CREATE DATABASE wiki",), undo=("DROP DATABASE wiki",), dbname="postgres", then={"ignore_databases": ["wiki"]}),
    "link without password": Case("pgcut_repl", more={"link": {"password": None}}),
    "the same server twice": Case("new.host", more={"new": {"port": "legacy"}}),
    "keyless: fail": Case("public.unique_only", more={"keyless": "fail"}, then={"keyless": "index_or_full"}),
    "weak TLS": Case("legacy.sslmode", then={"legacy": {"sslmode": None, "host": "socket"}}),
    "two engines": Case("engine", more={"engine": "physical"}, then={"engine": "logical"}),
}
# Of a slot: it waits for every transaction that has written.
FIRST = sorted(SQL, key=lambda name: "slot" not in name)


# Others: `make faults`.
WHOLE = os.environ.get("BOWLINE_FAULTS") == "all"
long = pytest.mark.skipif(not WHOLE, reason="make faults runs it")
SAMPLE = ("slot of a standby", "index of rows that are twins", "trigger", "prepared, given up", "job", "account that beats the fence here", "large objects")


@pytest.mark.parametrize("name", FIRST if WHOLE else SAMPLE)
def test_the_statements_of_a_finding_take_it_away(base, name):
    case = SQL[name]
    cluster = getattr(base, case.on)
    with planted_on(cluster, case):
        found = findings(base, **case.more).get(case.object)
        assert found, findings(base, **case.more)
        given = statements(found["remedy"], case.fill)
        assert len(given) > max(case.pick), found["remedy"]
        side = re.match(r"On (\w+)|.*on (legacy|new)", found["remedy"])
        assert side is None or case.on in side.groups(), found["remedy"]
        for number in case.pick:
            cluster.rows(given[number], dbname=case.dbname)
        again = findings(base, **case.more).get(case.object)
        assert again is None or again["code"] != found["code"], again


@pytest.mark.parametrize("name", OPTIONS if WHOLE else ("another database",))
def test_the_options_of_a_finding_take_it_away(base, name):
    case = OPTIONS[name]

    def given(change: dict) -> dict:
        params = base.params("preflight")
        words = {"legacy": base.legacy.port, "socket": str(base.legacy.home)}
        known = {key: {name: words.get(value, value) for name, value in part.items()} if isinstance(part, dict) else part for key, part in change.items()}
        return {key: {**params[key], **part} if isinstance(part, dict) else part for key, part in known.items()}

    with planted_on(base.legacy, case):
        found = findings(base, **given(case.more)).get(case.object)
        assert found and found["remedy"], findings(base, **given(case.more))
        for word in case.then:
            assert word in found["remedy"], found["remedy"]
        again = findings(base, **given(case.then)).get(case.object)
        assert again is None or (again["code"], again["level"]) != (found["code"], found["level"]), again


# Found in the catalogs of the older server as of the newer one, whose rules they are.
AS_OWNER = {
    "schema": ("public.planted of low", ("CREATE ROLE low", "CREATE TABLE planted (a int PRIMARY KEY)", "ALTER TABLE planted OWNER TO low",
               "REVOKE ALL ON SCHEMA public FROM PUBLIC"), ("GRANT ALL ON SCHEMA public TO PUBLIC", "REVOKE ALL ON SCHEMA public FROM low")),
    "rights": ("public.planted of low", ("CREATE ROLE low", "CREATE TABLE planted (a int PRIMARY KEY)", "ALTER TABLE planted OWNER TO low",
               "REVOKE TRUNCATE ON planted FROM low"), ()),
    "policies": ("public.planted of low", ("CREATE ROLE low", "CREATE TABLE planted (a int PRIMARY KEY)", "ALTER TABLE planted OWNER TO low",
                 "ALTER TABLE planted ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"), ()),
}


@long
@pytest.mark.parametrize("name", AS_OWNER)
def test_what_an_owner_lacks_where_rows_are_applied_as_him(base, name):
    told, do, undo = AS_OWNER[name]

    def found() -> list:
        seen = {kind: [row["name"] for row in base.legacy.rows(text)] for kind, text in contents.OBJECTS.items()}
        return [finding for finding in contents.findings(seen, 160000) if finding.object == told]

    with planted_on(base.legacy, Case(told, do, undo=(*undo, "DROP TABLE planted", "DROP ROLE low"))):
        finding = found()[0]
        base.legacy.rows(statements(finding.remedy, {})[0])
        assert found() == []


@pytest.fixture
def sides(base):
    made = [Server(Endpoint(each.name, each.host, each.port, "hub", passfile=str(base.passfile), sslmode="disable"), "test") for each in base.clusters]
    yield made
    for each in made:
        each.close()


ACCOUNTS = {
    "name that is no name": ('CREATE ROLE "a\nb"', "SELECT 1", "'a\\nb'", 'ALTER ROLE "a\nb" RENAME TO renamed', "legacy", ("renamed",)),
    "more rights there": ("CREATE ROLE app LOGIN", "CREATE ROLE app LOGIN CREATEROLE", "app", "ALTER ROLE app NOCREATEROLE", "new", ("app",)),
}


@long
@pytest.mark.parametrize("name", ACCOUNTS)
def test_accounts_that_are_refused_are_taken_after_what_the_remedy_says(base, sides, name):
    here, there, told, remedy, on, left = ACCOUNTS[name]
    base.legacy.rows(here, dbname="postgres")
    base.new.rows(there, dbname="postgres")
    try:
        found = [finding for finding in accounts.findings(*sides, Link("pgcut_repl", "disable", {})) if finding.object == told]
        assert found and "ALTER ROLE" in found[0].remedy
        getattr(base, on).rows(remedy, dbname="postgres")
        assert [finding for finding in accounts.findings(*sides, Link("pgcut_repl", "disable", {})) if finding.object in (told, *left)] == []
    finally:
        for cluster in base.clusters:
            for role in left:
                cluster.rows(f"DROP ROLE IF EXISTS {role}", dbname="postgres")


@long
def test_an_account_of_the_same_name_is_renamed_on_new(base, sides):
    base.legacy.rows("CREATE ROLE app LOGIN", dbname="postgres")
    base.new.rows("CREATE ROLE app NOLOGIN", dbname="postgres")
    try:
        found = [finding for finding in account_sync.findings(*sides, "pgcut_repl") if finding.object == "app"]
        assert [finding.code for finding in found] == ["account_taken"]
        base.new.rows(statements(found[0].remedy, {"name": "theirs"})[0], dbname="postgres")
        assert [finding for finding in account_sync.findings(*sides, "pgcut_repl") if finding.object == "app"] == []
    finally:
        base.legacy.rows("DROP ROLE app", dbname="postgres")
        base.new.rows("DROP ROLE IF EXISTS app; DROP ROLE IF EXISTS theirs", dbname="postgres")


@long
def test_a_tablespace_is_made_where_it_is_missing(base):
    for cluster in base.clusters:
        (cluster.home / "fast").mkdir()
        os.chown(cluster.home / "fast", cluster.home.stat().st_uid, cluster.home.stat().st_gid)
    base.legacy.rows(f"CREATE TABLESPACE fast LOCATION '{base.legacy.home}/fast'", dbname="postgres")
    base.legacy.rows("CREATE TABLE planted (a int PRIMARY KEY) TABLESPACE fast")
    try:
        given = statements(findings(base)["tablespace fast"]["remedy"], {"directory": f"{base.new.home}/fast"})
        base.new.rows(given[0], dbname="postgres")
        assert "tablespace fast" not in findings(base)
        base.new.rows("DROP TABLESPACE fast", dbname="postgres")
        # The other way.
        base.legacy.rows(given[1])
        assert "tablespace fast" not in findings(base)
    finally:
        base.legacy.rows("DROP TABLE planted")
        base.legacy.rows("DROP TABLESPACE fast", dbname="postgres")


@long
def test_a_database_that_is_not_empty_is_put_aside(base):
    base.new.rows("CREATE DATABASE hub", dbname="postgres")
    base.new.rows("CREATE TABLE theirs (a int)")
    try:
        given = statements(findings(base)["new.dbname"]["remedy"], {})
        assert len(given) == 2
        base.new.rows(given[0], dbname="postgres")
        assert "new.dbname" not in findings(base)
        base.new.rows("ALTER DATABASE hub_before RENAME TO hub", dbname="postgres")
        base.new.rows(given[1], dbname="postgres")
        assert "new.dbname" not in findings(base)
    finally:
        base.new.rows("DROP DATABASE IF EXISTS hub", dbname="postgres")


@long
def test_a_standby_is_no_primary(base):
    """A copy of new that follows it: the remedy names the primary."""
    home = base.home / "standby"
    words = [base.new.bin / "pg_basebackup", f"--pgdata={home}", f"--host={base.new.host}", f"--port={base.new.port}", "--username=postgres",
             "--checkpoint=fast", "--write-recovery-conf", "--no-sync"]
    rig.subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PGPASSFILE": str(base.passfile)})
    rig.subprocess.run(["chown", "-R", "postgres:", home], check=True)
    port = rig.free_port()
    with base.new.log.open("ab") as log:
        process = rig.subprocess.Popen([*rig.AS_POSTGRES, base.new.bin / "postgres", "-D", home, "-p", str(port)], stdout=log, stderr=log, cwd="/")
    try:
        params = base.params("preflight")
        there = {"new": {**params["new"], "port": port}}
        found = rig.until(lambda: answered(base, there), 30, "the standby").get("new")
        assert found and "new.host and new.port" in found["remedy"], found
        assert "new" not in findings(base)
    finally:
        process.send_signal(2)
        process.wait(30)


def answered(world, more: dict) -> dict:
    try:
        return findings(world, **more)
    except FleetError as error:
        assert error.code == "unreachable", error
        return {}


@long
def test_what_only_a_restart_changes_is_followed_together(base):
    """Slots, senders, workers, locks and wal_level: every statement of the remedies, one restart, and nothing is left."""
    settings = {"wal_level": "replica", "max_replication_slots": "3", "max_wal_senders": "3", "max_logical_replication_workers": "2",
                "max_locks_per_transaction": "10", "max_connections": "20"}
    auto, cluster = base.legacy.home / "data" / "postgresql.auto.conf", base.legacy
    kept = auto.read_bytes()
    base.legacy.rows("DO $$ BEGIN FOR n IN 1..260 LOOP EXECUTE 'CREATE SEQUENCE many_' || n; END LOOP; END $$")
    try:
        for name, value in settings.items():
            cluster.rows(f"ALTER SYSTEM SET {name} = '{value}'", dbname="postgres")
        cluster.stop()
        cluster.start()
        told = {name: found for name, found in findings(base, engine="logical").items() if found["level"] == "fail"}
        assert set(told) == {f"legacy.{name}" for name in settings if name != "max_connections"}
        for found in told.values():
            assert "restart" in found["remedy"]
            cluster.rows(statements(found["remedy"], {})[0], dbname="postgres")
        cluster.stop()
        cluster.start()
        assert [found for found in findings(base, engine="logical").values() if found["level"] == "fail"] == []
    finally:
        cluster.stop()
        auto.write_bytes(kept)
        cluster.start()
        base.legacy.rows("DO $$ BEGIN FOR n IN 1..260 LOOP EXECUTE 'DROP SEQUENCE many_' || n; END LOOP; END $$")


@pytest.fixture(scope="module")
def eighteen(base):
    """Two servers of PostgreSQL 18, for what only they know, and to be older than."""
    made = [rig.Cluster(name, base.home, 18) for name in ("first", "second")]
    try:
        for cluster in made:
            cluster.create()
            cluster.start()
        yield made
    finally:
        for cluster in made:
            cluster.stop()


def at(world, side: str, cluster) -> dict:
    return {**world.params("preflight")[side], "port": cluster.port, "bindir": str(cluster.bin)}


@long
def test_a_slot_is_not_lost_by_a_timeout(base, eighteen):
    first, second = eighteen
    first.rows("CREATE DATABASE hub", dbname="postgres")
    first.rows("ALTER SYSTEM SET idle_replication_slot_timeout = '1h'", dbname="postgres")
    first.rows("SELECT pg_reload_conf()", dbname="postgres")
    more = {"legacy": at(base, "legacy", first), "new": at(base, "new", second)}
    found = findings(base, **more)["legacy.idle_replication_slot_timeout"]
    for text in statements(found["remedy"], {}):
        first.rows(text, dbname="postgres")
    rig.until(lambda: first.value("SHOW idle_replication_slot_timeout", dbname="postgres") == "0", 10, "the reload")
    assert "legacy.idle_replication_slot_timeout" not in findings(base, **more)
    # An older one would have to follow it.
    found = findings(base, legacy=more["legacy"])["new"]
    assert found["code"] == "no_engine" and "PostgreSQL 18 or newer" in found["remedy"]
    assert "new" not in findings(base, **more)
    first.rows("DROP DATABASE hub", dbname="postgres")


# --- in the middle of a move --------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(clusters):
    clusters.reset()
    return clusters


failed = rig.failed


@long
def test_names_that_are_taken_are_given_back(empty):
    empty.legacy.rows("SET ROLE hub; CREATE SCHEMA pgcut")
    failure = failed(empty.run("armed"), "name_taken")
    empty.legacy.rows(re.search(r"\((DROP SCHEMA [^)]*)\)", failure["remedy"])[1])
    assert empty.ok("armed", check_mode=True)["plan"]


@long
def test_a_copy_that_nobody_waits_for_goes_on(empty):
    """Its time was too short, or its caller is gone: the same state again, with more time. Without workers nothing is copied."""
    for text in ("ALTER SYSTEM SET max_sync_workers_per_subscription = 0", "SELECT pg_reload_conf()"):
        empty.new.rows(text, dbname="postgres")
    try:
        failure = failed(empty.run("seeded", wait_timeout=2), "timeout")
        assert "Raise wait_timeout" in failure["remedy"] and "not in step" in failure["message"], failure
        process = empty.spawn("seeded")
        process.stdout.close()
        process.wait(60)
        assert empty.ok("info")["phase"] == "seeding"
    finally:
        for text in ("ALTER SYSTEM RESET max_sync_workers_per_subscription", "SELECT pg_reload_conf()"):
            empty.new.rows(text, dbname="postgres")
    assert empty.ok("seeded", wait_timeout=120)["phase_after"] == "seeded"


VIEW = """
SET app.year = '1'; CREATE MATERIALIZED VIEW yearly AS SELECT current_setting('app.year')::int AS y;
"""


@long
def test_a_view_that_needs_a_setting_of_its_session_is_emptied(empty):
    empty.legacy.rows(VIEW)
    failure = failed(empty.run("seeded"), "seed_error")
    assert "public.yearly" in failure["message"] and "WITH NO DATA" in failure["remedy"], failure
    empty.legacy.rows("REFRESH MATERIALIZED VIEW yearly WITH NO DATA")
    assert empty.ok("seeded")["phase_after"] == "seeded"


WRAPPED = {
    "pg_dump": ("case \"$*\" in *--schema-only*) echo broken >&2; exit 1;; esac", "new.bindir"),
    "pg_restore": ("case \"$*\" in *--section=pre-data*) echo broken >&2; exit 1;; esac", "run again"),
}


@long
@pytest.mark.parametrize("name", WRAPPED)
def test_a_program_that_fails_is_named_and_another_one_goes_on(empty, tmp_path, name):
    instead, word = WRAPPED[name]
    tmp_path.chmod(0o755)
    for program in ("pg_dump", "pg_restore"):
        real = empty.new.bin / program
        (tmp_path / program).write_text(f"#!/bin/sh\n{instead if program == name else ':'}\nexec {real} \"$@\"\n")
        (tmp_path / program).chmod(0o755)
    new = {**empty.params("seeded")["new"], "bindir": str(tmp_path)}
    failure = failed(empty.run("seeded", new=new), "seed_error")
    assert "broken" in failure["message"] and word in failure["remedy"], failure
    assert empty.ok("seeded")["phase_after"] == "seeded"


@long
def test_a_window_that_is_too_short_is_made_longer(empty):
    empty.ok("armed")
    slow = {"type": "command", "pause": [[sys.executable, "-c", "import time; time.sleep(1.2)"]], "timeout": 20}
    failure = failed(empty.run("new", router=slow, max_window=1.5, drain_grace=0.2, window_attempts=1), "window_aborted")
    assert "Raise max_window" in failure["remedy"] and empty.open_sides() == ["legacy"], failure
    told = empty.ok("new", router=slow, max_window=30)
    assert told["serving"] == "new"
    failure = failed(empty.run("legacy", verify_timeout=0.0001), "verify_incomplete")
    assert "Raise verify_timeout" in failure["remedy"] and empty.open_sides() == ["legacy"], failure
    assert empty.ok("new")["verify"]["equal"] is True
