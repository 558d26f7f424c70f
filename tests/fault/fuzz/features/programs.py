# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Functions, procedures, aggregates, operators, casts, triggers, event triggers, rules."""

from __future__ import annotations

from ..draw import feature


@feature(2)
def functions(d):
    f = d.name("f")
    for text in d.some(
        (
            "CREATE FUNCTION {f}(n int) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF COST 7 RETURN n / 2",
            "CREATE FUNCTION {f}(VARIADIC n int[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT sum(x) FROM unnest(n) x'",
            "CREATE FUNCTION {f}(a int, OUT b int, OUT c text) RETURNS SETOF record ROWS 7 LANGUAGE sql AS $$ SELECT a, 'x' $$",
            (
                "CREATE FUNCTION {f}(a text DEFAULT 'it''s', b int DEFAULT 1) RETURNS TABLE (x int, \"y z\" text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY"
                " SELECT 1, a; END $$"
            ),
            (
                'CREATE FUNCTION {f}() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, "$user", pg_temp SET work_mem ='
                " '5MB' AS 'SELECT current_user::text'"
            ),
            "CREATE FUNCTION {f}() RETURNS text LANGUAGE plpgsql SET search_path = '' SET datestyle = 'SQL, DMY' AS $$ BEGIN RETURN now()::text; END $$",
            "CREATE FUNCTION {f}(a int, b int[]) RETURNS boolean LANGUAGE sql BEGIN ATOMIC; SELECT $1 = ANY ($2); END",
            "CREATE PROCEDURE {f}(INOUT n int DEFAULT 0) LANGUAGE plpgsql AS 'BEGIN n := n + 1; COMMIT; END'",
            "CREATE FUNCTION {f}(pg_class) RETURNS text LANGUAGE sql AS 'SELECT $1.relname || ''%s'' '",
            (
                "CREATE FUNCTION {f}(int) RETURNS int LANGUAGE plpgsql SET plpgsql.variable_conflict = use_column AS $$ #variable_conflict error\nBEGIN"
                " RETURN $1; END $$"
            ),
            "CREATE FUNCTION {f}() RETURNS int LANGUAGE sql AS 'SELECT 1' SET check_function_bodies = off",
        )
    ):
        yield text.replace("{f}", d.name("f"))
    yield f"CREATE FUNCTION {f}() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    yield f"COMMENT ON FUNCTION {f}() IS E'no key''s \"here\"\\n\\\\second line'"


@feature()
def function_of_missing_things(d):
    """A body that names what was dropped since: it cannot be made again with check_function_bodies on."""
    table = d.name("gone")
    yield f"CREATE TABLE {table} (a int)"
    yield f"CREATE FUNCTION {d.name('f')}() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM {table} $$"
    yield f"DROP TABLE {table}"


@feature()
def aggregates(d):
    state = d.name("grow")
    yield f"CREATE FUNCTION {state}(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2'"
    yield f"CREATE AGGREGATE {d.name('longest')}(text) (sfunc = {state}, stype = text, initcond = '')"
    yield (
        f"CREATE AGGREGATE {d.name('summed')}(int) (sfunc = int4pl, stype = int, initcond = '0', combinefunc = int4pl, parallel = safe,"
        " msfunc = int4pl, minvfunc = int4mi, mstype = int, minitcond = '0')"
    )
    yield f"CREATE VIEW {d.name('v')} AS SELECT {state}('a', 'b') AS x"


@feature()
def operators(d):
    same, kind = d.name("same"), d.name("kind")
    yield f"CREATE TYPE {kind} AS (a int, b text)"
    yield f"CREATE FUNCTION {same}({kind}, {kind}) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.a = $2.a'"
    yield f"CREATE OPERATOR === (leftarg = {kind}, rightarg = {kind}, function = {same}, commutator = ===, restrict = eqsel, join = eqjoinsel, hashes)"
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, k {kind}, CHECK (k === k))"
    yield f"INSERT INTO {table} SELECT n, ROW(n, 'x')::{kind} FROM generate_series(1, 9) n"
    yield f"CREATE VIEW {d.name('v')} AS SELECT id FROM {table} WHERE k === ROW(3, 'q')::{kind}"
    yield f"CREATE CAST ({kind} AS text) WITH INOUT AS ASSIGNMENT"


@feature(0.7)
def operator_classes(d):
    """A class of one's own, as the default of nothing, used by an index."""
    yield "RESET ROLE"
    yield f"CREATE FUNCTION {d.schema}.backwards(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)'"
    yield (
        f"CREATE OPERATOR CLASS {d.schema}.desc_ops FOR TYPE int USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <,"
        f" FUNCTION 1 {d.schema}.backwards(int, int)"
    )
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY, a int)"
    yield f"INSERT INTO {d.last} SELECT n, n FROM generate_series(1, 20) n"
    yield f"CREATE INDEX ON {d.last} (a {d.schema}.desc_ops)"


@feature(2)
def triggers(d):
    table, audit, function = d.name("t"), d.name("audit"), d.name("note")
    where = d.pick((audit, f"{d.schema}.{audit}"))
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text, b int)"
    yield f"INSERT INTO {table} SELECT n, 'a', n FROM generate_series(1, 20) n"
    yield f"CREATE TABLE {audit} (id bigserial PRIMARY KEY, what text, at timestamptz DEFAULT now())"
    yield (
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql{d.pick(('', ' SECURITY DEFINER'))} AS $$ BEGIN INSERT INTO {where} (what)"
        " VALUES (tg_op || tg_level || coalesce(tg_argv[0], '')); RETURN coalesce(new, old); END $$"
    )
    for text in d.some(
        (
            "BEFORE INSERT OR UPDATE OF a ON {t} FOR EACH ROW",
            "AFTER DELETE ON {t} FOR EACH ROW",
            "AFTER TRUNCATE ON {t} FOR EACH STATEMENT",
            "AFTER UPDATE ON {t} REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT",
            "BEFORE UPDATE ON {t} FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)",
            "AFTER UPDATE ON {t} FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a OR NEW.b > 3)",
        )
    ):
        yield f"CREATE TRIGGER {d.name('tr')} {text.replace('{t}', table)} EXECUTE FUNCTION {function}('it''s', '%s', E'\\\\x')"
    yield f"CREATE CONSTRAINT TRIGGER {d.name('tr')} AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {function}()"
    if d.chance(0.5):
        yield f"ALTER TABLE {table} DISABLE TRIGGER {d.last}"
    if d.chance(0.2):
        yield f"ALTER TABLE {table} ENABLE {d.pick(('ALWAYS', 'REPLICA'))} TRIGGER {d.last}"
    yield f"CREATE VIEW {d.name('v')} AS SELECT * FROM {table}"
    yield f"CREATE TRIGGER {d.name('tr')} INSTEAD OF INSERT ON {d.names[-2]} FOR EACH ROW EXECUTE FUNCTION {function}()"


@feature()
def triggers_of_partitions(d):
    table, function, part = d.name("t"), d.name("f"), d.name("part")
    yield f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'"
    yield f"CREATE TABLE {table} (id int, note text) PARTITION BY RANGE (id)"
    yield f"CREATE TABLE {part} PARTITION OF {table} FOR VALUES FROM (0) TO (100)"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} DEFAULT"
    yield f"INSERT INTO {table} SELECT n * 9, 'x' FROM generate_series(1, 20) n"
    name = d.name("tr")
    yield f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
    if d.chance(0.5):
        yield f"ALTER TABLE {part} DISABLE TRIGGER {name}"
    yield f"CREATE TRIGGER {d.name('tr')} AFTER UPDATE ON {part} FOR EACH ROW EXECUTE FUNCTION {function}()"


@feature(last=True)
def event_triggers(d):
    """One that writes, one that refuses all DDL, one that is asleep, one that always fires."""
    yield "RESET ROLE"
    kind = d.pick(("writes", "refuses", "asleep", "always", "only drop", "rewrite"))
    audit, function = f"{d.schema}.ddl_audit", f"{d.schema}.on_ddl"
    yield f"CREATE TABLE {audit} (id bigserial PRIMARY KEY, what text)"
    body = f"INSERT INTO {audit} (what) VALUES (tg_tag)" if kind != "refuses" else "IF session_user <> 'hub' THEN RAISE EXCEPTION 'no DDL, %', tg_tag; END IF"
    yield f"CREATE FUNCTION {function}() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN {body}; END $$"
    event = {"only drop": "sql_drop", "rewrite": "table_rewrite"}.get(kind, d.pick(("ddl_command_start", "ddl_command_end")))
    tags = " WHEN TAG IN ('CREATE TABLE', 'DROP TABLE')" if kind == "writes" and d.chance(0.5) else ""
    name = d.name("et") if kind != "rewrite" else d.name("et", odd=1)
    yield f"CREATE EVENT TRIGGER {name} ON {event}{tags} EXECUTE FUNCTION {function}()"
    if kind == "asleep":
        yield f"ALTER EVENT TRIGGER {name} DISABLE"
    if kind == "always":
        yield f"ALTER EVENT TRIGGER {name} ENABLE {d.pick(('ALWAYS', 'REPLICA'))}"


@feature()
def rules(d):
    table, log = d.name("t"), d.name("log")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text)"
    yield f"CREATE TABLE {log} (id int, what text)"
    yield f"INSERT INTO {table} SELECT n, 'a' FROM generate_series(1, 20) n"
    for text in d.some(
        (
            f"ON DELETE TO {table} WHERE old.id = 4711 DO INSTEAD NOTHING",
            f"ON UPDATE TO {table} DO ALSO INSERT INTO {log} VALUES (new.id, old.a || ' %')",
            f"ON INSERT TO {table} WHERE new.id > 9000 DO INSTEAD (INSERT INTO {log} VALUES (new.id, 'x'); SELECT 1)",
        )
    ):
        yield f"CREATE RULE {d.name('ru')} AS {text}"
    if d.chance(0.3):
        yield f"ALTER TABLE {table} {d.pick(('DISABLE', 'ENABLE ALWAYS', 'ENABLE REPLICA'))} RULE {d.last}"


@feature(0.7)
def text_search(d):
    dictionary, configuration = d.name("dict"), d.name("cfg")
    yield f"CREATE TEXT SEARCH DICTIONARY {dictionary} (TEMPLATE = pg_catalog.simple, stopwords = german, accept = false)"
    yield f"CREATE TEXT SEARCH CONFIGURATION {configuration} (COPY = pg_catalog.german)"
    yield f"ALTER TEXT SEARCH CONFIGURATION {configuration} ALTER MAPPING FOR word, asciiword WITH {dictionary}, german_stem"
    table = d.name("t")
    shown = f"{d.schema}.{configuration}".replace("'", "''")
    if d.chance(0.5):
        shown = configuration.replace("'", "''")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text, v tsvector GENERATED ALWAYS AS (to_tsvector('{shown}', a)) STORED)"
    yield f"INSERT INTO {table} SELECT n, 'Die Häuser am Meer ' || n FROM generate_series(1, 9) n"
    yield f"CREATE INDEX ON {table} USING gin (v)"


@feature(0.5)
def conversions_and_languages(d):
    yield "RESET ROLE"
    yield f"CREATE CONVERSION {d.schema}.{d.name('conv')} FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8"
    yield f"CREATE ACCESS METHOD {d.name('am', odd=0)} TYPE TABLE HANDLER heap_tableam_handler"
    yield f"CREATE TABLE {d.schema}.{d.name('t')} (id int PRIMARY KEY) USING heap"
    if d.chance(0.3):
        yield f"CREATE TRUSTED LANGUAGE {d.name('lang', odd=0)} HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator"


@feature(0.5)
def foreign_servers(d):
    """A server and its users without a table of it; and a table, which is refused."""
    yield "RESET ROLE"
    options = d.pick(("", " OPTIONS (debug 'true')"))
    yield f"CREATE FOREIGN DATA WRAPPER {d.name('fdw')}{options}"
    yield f"CREATE SERVER {d.name('srv')} TYPE 't' VERSION '1' FOREIGN DATA WRAPPER {d.names[-2]} OPTIONS (host 'a', password 'it''s')"
    server = d.last
    yield f"CREATE USER MAPPING FOR hub SERVER {server} OPTIONS (\"user\" 'x', password 'canary % \"')"
    yield f"GRANT USAGE ON FOREIGN SERVER {server} TO hub WITH GRANT OPTION"
    if d.chance(0.3):
        yield f"CREATE FOREIGN TABLE {d.schema}.{d.name('ft')} (a int) SERVER {server}"


@feature(0.7)
def publications(d):
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text)"
    yield f"INSERT INTO {table} VALUES (1, 'x')"
    yield "RESET ROLE"
    yield f"CREATE PUBLICATION {d.name('pub')} " + d.pick(
        (
            "FOR ALL TABLES",
            f"FOR TABLE {table} WHERE (id > 3) WITH (publish = 'insert, update')",
            f"FOR TABLES IN SCHEMA {d.schema}",
            f"FOR TABLE {table} (id)",
        )
    )
