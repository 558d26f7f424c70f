# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the preflight refuses or says, each planted on a real server and taken back; those that are refused can stand there together.

`ELSEWHERE` names the test of each rule that two servers of one major, with these settings, cannot show. tests/unit/pg/test_refusals.py keeps
both complete.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest


@dataclass(frozen=True)
class Plant:
    """Statements on one server, and those that take them back, each sent by itself; a statement that starts with ! has to fail."""

    name: str
    object: str
    do: tuple[str, ...]
    undo: tuple[str, ...]
    code: str = "preflight_failed"
    says: str = ""
    level: str = "fail"
    on: str = "legacy"
    dbname: str = "hub"
    # What else is found because of the same thing.
    also: tuple[str, ...] = ()
    # The rule of `ELSEWHERE`'s kind that this is for.
    rule: str = ""

    def __str__(self) -> str:
        return self.name


TRIGGER = "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'".format
EVENT = "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"
CRON = ("CREATE SCHEMA cron", "CREATE TABLE cron.job (jobid bigint PRIMARY KEY, schedule text, command text, active bool, database text)",
        "INSERT INTO cron.job VALUES (3, '* * * * *', 'DELETE FROM ledger', true, 'hub'), (4, '@daily', '', false, 'hub'), (5, '@daily', '', true, 'x')",
        "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
        " VALUES (99999, 'pg_cron', 10, 'cron'::regnamespace, false, '1.4')")
NO_CRON = ("DELETE FROM pg_extension WHERE extname = 'pg_cron'", "DROP SCHEMA cron CASCADE")


def table(columns: str, name: str = "planted", more: str = "") -> dict:
    return {"do": (f"CREATE TABLE {name} ({columns})", *((more,) if more else ())), "undo": (f"DROP TABLE {name}",)}


REFUSED = [
    Plant("invalid index", "public.broken", ("CREATE TABLE dup (a int)", "INSERT INTO dup VALUES (1), (1)",
          "!CREATE UNIQUE INDEX CONCURRENTLY broken ON dup (a)"), ("DROP TABLE dup",), says="REINDEX", rule="invalid_indexes"),
    Plant("foreign table", "public.elsewhere", ("CREATE EXTENSION file_fdw", "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
          "CREATE FOREIGN TABLE elsewhere (a text) SERVER files OPTIONS (filename '/dev/null')"), ("DROP EXTENSION file_fdw CASCADE",),
          rule="foreign_tables"),
    Plant("trigger always", "public.ledger.loud", (TRIGGER("f"), "CREATE TRIGGER loud BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION f()",
          "ALTER TABLE ledger ENABLE ALWAYS TRIGGER loud"), ("DROP FUNCTION f CASCADE",), says="without ALWAYS or REPLICA", rule="firing_triggers"),
    Plant("trigger replica", "public.ledger.louder", (TRIGGER("g"), "CREATE TRIGGER louder BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION g()",
          "ALTER TABLE ledger ENABLE REPLICA TRIGGER louder"), ("DROP FUNCTION g CASCADE",), rule="firing_triggers"),
    Plant("rule always", "public.unique_only.ruled", ("CREATE RULE ruled AS ON DELETE TO unique_only DO ALSO SELECT 1",
          "ALTER TABLE unique_only ENABLE ALWAYS RULE ruled"),
          ("DROP RULE ruled ON unique_only",), rule="firing_rules"),
    Plant("event trigger always", "loud", (EVENT, "CREATE EVENT TRIGGER loud ON ddl_command_end EXECUTE FUNCTION e()",
          "ALTER EVENT TRIGGER loud ENABLE ALWAYS"), ("DROP EVENT TRIGGER loud", "DROP FUNCTION e"), rule="firing_event_triggers"),
    Plant("smallserial", "public.small_id_seq", **table("id smallserial PRIMARY KEY", "small", more="SELECT setval('small_id_seq', 31200)"),
          says="95 %", rule="full_sequences"),
    Plant("sequence of a narrow column", "public.wide", ("CREATE TABLE narrow (id int PRIMARY KEY)", "CREATE SEQUENCE wide OWNED BY narrow.id",
          "SELECT setval('wide', 2100000000)"), ("DROP TABLE narrow",), rule="full_sequences"),
    Plant("sequence down", "public.down", ("CREATE SEQUENCE down INCREMENT -1 MINVALUE -100 MAXVALUE -1", "SELECT setval('down', -97)"),
          ("DROP SEQUENCE down",), rule="full_sequences"),
    Plant("prepared", "left", ("BEGIN; CREATE TABLE held (a int PRIMARY KEY); PREPARE TRANSACTION 'left'",), ("ROLLBACK PREPARED 'left'",),
          "prepared_transactions", "ROLLBACK PREPARED", rule="prepared"),
    Plant("pg_cron elsewhere", "pg_cron 3 (* * * * *) in postgres", CRON, NO_CRON, dbname="postgres", says="cron.alter_job", rule="jobs"),
    Plant("pg_cron here", "pg_cron 3 (* * * * *) in hub", CRON, NO_CRON, also=("extension pg_cron",), rule="jobs"),
    Plant("subscription", "other", ("CREATE SUBSCRIPTION other CONNECTION 'host=192.0.2.1' PUBLICATION p WITH (connect = false)",),
          ("ALTER SUBSCRIPTION other SET (slot_name = NONE)", "DROP SUBSCRIPTION other"), rule="subscriptions"),
    Plant("fence beaten", "hub in hub", ("ALTER ROLE hub IN DATABASE hub SET default_transaction_read_only = off",),
          ("ALTER ROLE hub IN DATABASE hub RESET ALL",), rule="unfencing"),
    Plant("other database", "database wiki", ("CREATE DATABASE wiki",), ("DROP DATABASE wiki",), dbname="postgres", says="ignore_databases",
          rule="rules._legacy_only f'database {name}'"),
    Plant("keyless json", "public.jsons", **table("a int, b json", "jsons"), code="type_unsupported", says="b (json)", rule="rules._keyless name"),
    Plant("keyless xml", "public.xmls", **table("a int, b xml[]", "xmls"), code="type_unsupported", says="b (xml[])", rule="rules._keyless name"),
    Plant("keyless point", "public.points", **table("a point", "points"), code="type_unsupported", says="a (point)", rule="rules._keyless name"),
    Plant("keyless json in a composite in a domain", "public.parts", ("CREATE TYPE part AS (n int, doc json)",
          "CREATE DOMAIN some_parts AS part[] CHECK (true)", "CREATE DOMAIN more_parts AS some_parts", "CREATE TABLE parts (a int, b more_parts)"),
          ("DROP TYPE part CASCADE", "DROP TABLE parts"), "type_unsupported", "b (public.more_parts)", rule="rules._keyless name"),
    Plant("full identity with json", "public.full_json", **table("a int, b json", "full_json", more="ALTER TABLE full_json REPLICA IDENTITY FULL"),
          code="type_unsupported", rule="rules._keyless name"),
    Plant("name that needs quotes", 'public."Quelle"', ('CREATE TABLE "Quelle" (a int, b json)',),
          ('DROP TABLE "Quelle"',), code="type_unsupported", says='public."Quelle" has no key', rule="rules._keyless name"),
    Plant("extension missing", "extension gone", ("INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
          " VALUES (99998, 'gone', 10, 'public'::regnamespace, false, '1')",), ("DELETE FROM pg_extension WHERE extname = 'gone'",),
          says="cannot be installed", rule="fit._extension f'extension {name}'"),
    Plant("extension older", "extension hstore", ("CREATE EXTENSION hstore", "UPDATE pg_extension SET extversion = '1.10' WHERE extname = 'hstore'"),
          ("DROP EXTENSION hstore",), says="older", rule="fit._extension f'extension {name}'"),
    Plant("added to an extension", "public.added()", ("CREATE EXTENSION ltree", "CREATE FUNCTION added() RETURNS int LANGUAGE sql RETURN 1",
          "ALTER EXTENSION ltree ADD FUNCTION added()"), ("DROP EXTENSION ltree CASCADE",), says='ALTER EXTENSION "ltree" DROP',
          rule="extensions._added row['identity']"),
    Plant("hash of an enum", "public.hashed", ("CREATE TABLE hashed (k mood) PARTITION BY HASH (k)",), ("DROP TABLE hashed",), rule="hash_partitions"),
    Plant("operator without a name", "view public.unnamed (NULLIF)", ("CREATE EXTENSION citext", "CREATE TABLE words (id int PRIMARY KEY, c citext)",
          "CREATE VIEW unnamed AS SELECT nullif(c, 'x') FROM words"), ("DROP TABLE words CASCADE", "DROP EXTENSION citext CASCADE"), rule="other_operators"),
    Plant("code of an owner", "public.theirs(integer)", ("SET ROLE hub; CREATE FUNCTION theirs(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
          " CREATE TABLE checked (a int PRIMARY KEY CHECK (theirs(a)))",), ("DROP TABLE checked", "DROP FUNCTION theirs"), "owner_code",
          rule="owner_code.findings function"),
    Plant("name of an account", "'bell\\x07'", ("CREATE ROLE \"bell\x07\"",), ("DROP ROLE \"bell\x07\"",), "account_unsafe", rule="accounts._unsafe name",
          dbname="postgres"),
    Plant(
        "rows that break a check", "constraint small of public.few",
        (
            "CREATE FUNCTION low(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'",
            "CREATE TABLE few (a int PRIMARY KEY CONSTRAINT small CHECK (low(a)))", "INSERT INTO few VALUES (1)",
            "CREATE OR REPLACE FUNCTION low(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'",
        ),
        ("DROP TABLE few", "DROP FUNCTION low"), "rows_unfit", rule="rows._ask each.name",
    ),
]
# Each of these is about the database on new, or what it would be made of, so it stands alone.
APART = [
    Plant("locale", "locale C.UTF-8", ("UPDATE pg_collation SET collcollate = 'none' WHERE collcollate ILIKE 'c.utf%8'",),
          ("UPDATE pg_collation SET collcollate = 'C.utf8' WHERE collcollate = 'none'",), on="new", dbname="postgres", says="locale-gen",
          rule="fit.both f'locale {wanted}'"),
    Plant("encoding and locale of a database that stands there", "new.encoding",
          ("CREATE DATABASE hub TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",), ("DROP DATABASE hub",),
          on="new", dbname="postgres", also=("new.datcollate", "new.datctype"), rule="fit.both f'new.{column}'"),
    Plant("order of a database that stands there", "new.datlocprovider",
          ("CREATE DATABASE hub TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'",), ("DROP DATABASE hub",),
          on="new", dbname="postgres", also=("new.datlocale",), rule="fit.both f'new.{column}'"),
    Plant("role for everybody", "database hub", ("ALTER DATABASE hub SET role = 'readers'",), ("ALTER DATABASE hub RESET role",), rule="becoming",
          dbname="postgres"),
    Plant("more rights on new", "hub", ("CREATE ROLE hub SUPERUSER",), ("DROP ROLE hub",), "account_unsafe", on="new", dbname="postgres",
          rule="accounts._unsafe name"),
    Plant("link's account of others", "legacy.pgcut_repl", ("CREATE ROLE pgcut_repl", "GRANT pgcut_repl TO hub"), ("DROP ROLE pgcut_repl",), "link_account",
          dbname="postgres", rule="rules._link_account f'{side}.{user}'"),
]
WARNED = [
    Plant("unlogged", "public.planted", ("CREATE UNLOGGED TABLE planted (a int)",), ("DROP TABLE planted",), "unlogged_table", "window"),
    Plant("publication", "other", ("CREATE PUBLICATION other FOR TABLE ledger",), ("DROP PUBLICATION other",), "publication"),
    Plant("key that includes what has no equality", "public.planted", **table("a int NOT NULL, b json, UNIQUE (a) INCLUDE (b)"), code="keyless_table",
          says="planted_a_b_key"),
    Plant("timeout", "statement_timeout = 3s", ("ALTER DATABASE hub SET statement_timeout = '3s'",),
          ("ALTER DATABASE hub RESET statement_timeout",), "server_timeout"),
    Plant("timeout of a role", "lock_timeout = 1s for hub", ("ALTER ROLE hub IN DATABASE hub SET lock_timeout = '1s'",),
          ("ALTER ROLE hub IN DATABASE hub RESET ALL",), "server_timeout"),
    Plant("extension newer", "extension hstore", ("CREATE EXTENSION hstore VERSION '1.4'",), ("DROP EXTENSION hstore",), "extension_version",
          'ALTER EXTENSION "hstore" UPDATE'),
    Plant("keyless, large", "public.planted", **table("a int, b text", more="INSERT INTO planted SELECT n, repeat('x', 1000) FROM"
          " generate_series(1, 12000) n"), code="keyless_table", says="13 MB"),
    Plant("deferrable key", "public.planted", **table("a int PRIMARY KEY DEFERRABLE"), code="keyless_table", says="whole rows"),
    Plant("identity index dropped", "public.planted", ("CREATE TABLE planted (a int NOT NULL, b int NOT NULL UNIQUE)",
          "CREATE UNIQUE INDEX was ON planted (a)", "ALTER TABLE planted REPLICA IDENTITY USING INDEX was", "DROP INDEX was"),
          ("DROP TABLE planted",), "keyless_table", "planted_b_key"),
    Plant("indexes out of order", "public.german", ("CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk')",
          "CREATE TABLE planted (a text COLLATE german PRIMARY KEY)", "UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'german'"),
          ("DROP TABLE planted", "DROP COLLATION german"), "collation_version", "REFRESH VERSION"),
]


ELSEWHERE = {
    # Of a snapshot, which only reads.
    "foresee.findings error": "tests/integration/pg/test_snapshot.py::test_a_schema_that_cannot_be_dumped_is_foreseen",
    "dry_restore._unfilled f'materialized view {'.'.join(name)}'":
        "tests/integration/pg/test_dry_restore.py::test_a_view_that_cannot_be_filled_is_found_and_the_remedies_are_enough",
    "filled._unfilled name": "tests/integration/pg/test_dry_restore.py::test_rows_that_new_would_refuse_are_found_and_the_remedies_are_enough",
    # With a plan or an option of its own, in test_refusals.py.
    **dict.fromkeys(("rules._legacy_only 'legacy.dbname'", "rules.one_server 'new.host'", "clients.findings 'router'", "programs.unfit name"),
                    "tests/integration/pg/test_refusals.py::test_what_was_asked_for_does_not_fit"),
    **dict.fromkeys(("fit.room 'new.data_directory'", "copy_window.findings 'TMPDIR'", "copy_window.findings 'max_window'"),
                    "tests/integration/pg/test_refusals.py::test_too_little_room"),
    **dict.fromkeys(("fit.both f'tablespace {name}'", "rules._empty 'new.dbname'"),
                    "tests/integration/pg/test_refusals.py::test_a_database_on_new_that_is_not_empty_and_a_tablespace_that_it_has_not"),
    **dict.fromkeys(("rules._replication f'{side}.{name}'", "rules._replication f'{side}.max_logical_replication_workers'",
                     "choice._unpublished f'{side}.wal_level'"),
                    "tests/integration/pg/test_refusals.py::test_settings_that_need_a_restart_are_listed_together"),
    "contents.findings name": "tests/integration/pg/test_refusals.py::test_all_that_can_stand_together_is_told_at_once",
    "objects.findings name": "tests/integration/pg/test_refusals.py::test_all_that_can_stand_together_is_told_at_once",
    **dict.fromkeys(("dry_restore._refused name", "dry_restore.findings f'database {new.dbname}'", "dry_restore._differs name"),
                    "tests/integration/pg/test_dry_restore.py::test_what_new_cannot_make_is_found_by_trying_and_the_remedy_is_enough"),
    "rows.unfit name": "tests/integration/pg/test_dry_restore.py::test_rows_that_only_new_can_judge_are_sent_there_before_the_first_write",
    "rows.without_other_rows f'constraints of {row['shown']}'":
        "tests/integration/pg/test_dry_restore.py::test_a_constraint_that_reads_another_table_is_found_before_a_dump_and_waited_for_otherwise",
    # Servers of two majors, or of other builds.
    **dict.fromkeys(("closed_schemas", "own_rights", "forced_policies"),
                    "tests/unit/pg/test_preflight.py::test_owners_matter_where_rows_are_applied_with_their_rights"),
    **dict.fromkeys(("rules._versions 'new'", "rules._server side"), "tests/unit/pg/test_preflight.py::test_rules_over_new"),
    "fit.locks f'{side}.max_locks_per_transaction'": "tests/unit/pg/test_preflight.py::test_rules_over_legacy",
    "fit._collations name": "tests/integration/pg/test_preflight.py::test_a_collation_of_the_system_that_new_has_not",
    "extensions._granted row['identity']": "tests/fault/test_fuzz.py::test_a_case_is_moved_equal_or_refused_first",
    # Other engines, other guarantees, other accounts.
    **dict.fromkeys(("choice._against_logical 'legacy.wal_level'", "judge.restart_findings 'legacy'", "choice._none 'engine'"),
                    "tests/integration/pg/test_engines.py::test_what_a_restart_is_refused_for"),
    **dict.fromkeys(("run._judge 'engine'",),
                    "tests/integration/pg/test_physical.py::test_what_stands_in_the_way_is_named_at_once_and_nothing_is_written"),
    **dict.fromkeys(("sync.judge 'new.synchronous_standby_names'", "sync.judge f'account {account}'"),
                    "tests/integration/pg/test_sync.py::test_refused_by_name_before_anything_was_changed"),
    "clients._fail what": "tests/integration/pg/test_routers.py::test_what_would_fail_is_found_by_the_preflight",
    "account_sync.findings change.what": "tests/integration/pg/test_accounts.py::test_an_account_that_the_module_logs_in_with_is_never_changed",
    "rules._server f'{side}.{name}'": "tests/integration/pg/test_preflight.py::test_a_slot_of_another_cutover_is_refused",
    # A copy stands already.
    "rules._schema name": "tests/integration/pg/test_freeze.py",
    "one_sided.with_one error.details.get('side', '')": "tests/integration/pg/test_loss.py",
}


@contextmanager
def planted_on(cluster, plant):
    """``plant`` has ``do``, ``undo`` and ``dbname``."""
    try:
        for text in plant.do:
            if text.startswith("!"):
                with pytest.raises(psycopg.Error):
                    cluster.rows(text[1:], dbname=plant.dbname)
            else:
                cluster.rows(text, dbname=plant.dbname)
        yield
    finally:
        for text in plant.undo:
            cluster.rows(text, dbname=plant.dbname)


def planted(world, plant: Plant):
    return planted_on(getattr(world, plant.on), plant)
