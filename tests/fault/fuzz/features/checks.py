# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Constraints, indexes, statistics, collations."""

from __future__ import annotations

from ..draw import feature, in_public


@feature(2)
def checks(d):
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a int, b text, c jsonb)"
    yield f"INSERT INTO {table} SELECT n, n - 5, 'b' || n, jsonb_build_object('n', n) FROM generate_series(1, 20) n"
    for text in d.some(
        (
            "CHECK (a IS NULL OR a > -100)",
            "CHECK (a > 0) NOT VALID",
            "CHECK (b ~ '^b[0-9]+$' OR b IS NULL) NO INHERIT",
            "CHECK (c @> '{}' AND c ? 'n')",
            "CHECK ((a IS DISTINCT FROM 77) AND (id, a) <> (3, 99))",
            "CHECK (b NOT IN ('%', 'it''s', E'\\\\'))",
            "CHECK (length(b) BETWEEN 1 AND 999)",
        )
    ):
        yield f"ALTER TABLE {table} ADD CONSTRAINT {d.name('ck')} {text}"
    if d.chance(0.3):
        yield f"COMMENT ON CONSTRAINT {d.last} ON {table} IS 'was not always so'"


@feature()
def check_reads_other_table(d):
    """A check that calls a function which reads a table: what is legal only as long as it is not restored in the wrong order."""
    allowed, function, table = d.name("allowed"), d.name("known"), d.name("t")
    seen = d.pick((allowed, f"{d.schema}.{allowed}"))
    language = d.pick(("plpgsql", "sql"))
    body = f"SELECT EXISTS (SELECT 1 FROM {seen} WHERE code = $1)"
    yield f"CREATE TABLE {allowed} (code text PRIMARY KEY)"
    yield f"INSERT INTO {allowed} SELECT 'c' || n FROM generate_series(1, {d.pick((10, 10, 20000))}) n"
    yield (
        f"CREATE FUNCTION {function}(text) RETURNS boolean STABLE LANGUAGE {language} AS $$ {body if language == 'sql' else f'BEGIN RETURN ({body}); END'} $$"
    )
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, code text CHECK ({function}(code)))"
    yield f"INSERT INTO {table} SELECT n, 'c' || n FROM generate_series(1, 10) n"


@feature(1.5)
def foreign_keys(d):
    one, two, tree = d.name("hen"), d.name("egg"), d.name("tree")
    when = d.pick(("DEFERRABLE INITIALLY DEFERRED", "DEFERRABLE"))
    yield f"CREATE TABLE {one} (id int PRIMARY KEY, egg int)"
    yield f"CREATE TABLE {two} (id int PRIMARY KEY, hen int REFERENCES {one} {when})"
    yield f"INSERT INTO {one} SELECT n FROM generate_series(1, 20) n"
    yield f"INSERT INTO {two} SELECT n, n FROM generate_series(1, 20) n"
    yield f"UPDATE {one} SET egg = id"
    yield f"ALTER TABLE {one} ADD FOREIGN KEY (egg) REFERENCES {two} {when}"
    yield f"CREATE TABLE {tree} (id int PRIMARY KEY, up int REFERENCES {tree} ON DELETE CASCADE ON UPDATE CASCADE)"
    yield f"INSERT INTO {tree} SELECT n, nullif(n / 2, 0) FROM generate_series(1, 30) n"
    if d.chance(0.5):
        yield f"CREATE TABLE {d.name('pair')} (a int, b int, PRIMARY KEY (a, b))"
        pair = d.last
        yield f"INSERT INTO {pair} SELECT n, n FROM generate_series(1, 9) n"
        yield (
            f"CREATE TABLE {d.name('uses')} (id int PRIMARY KEY, x int, y int, FOREIGN KEY (x, y) REFERENCES {pair}"
            f" {d.pick(('MATCH FULL', 'ON DELETE SET NULL (y)', 'ON DELETE SET DEFAULT'))})"
        )
        yield f"INSERT INTO {d.last} SELECT n, n, n FROM generate_series(1, 9) n"


@feature()
def foreign_keys_of_partitions(d):
    table, user = d.name("t"), d.name("uses")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, note text) PARTITION BY RANGE (id)"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES FROM (0) TO (10)"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} DEFAULT"
    yield f"INSERT INTO {table} SELECT n, 'x' FROM generate_series(1, 20) n"
    yield f"CREATE TABLE {user} (id int, t int REFERENCES {table} {d.pick(('', 'DEFERRABLE'))}, PRIMARY KEY (id)) PARTITION BY HASH (id)"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {user} FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
    yield f"INSERT INTO {user} SELECT n, n FROM generate_series(1, 20) n"


@feature(0.5)
def foreign_key_with_orphans(d):
    """A key that says it is valid, above a row that has no parent: a disabled trigger was enough."""
    one, two = d.name("parent"), d.name("child")
    valid = d.chance(0.7)
    yield f"CREATE TABLE {one} (id int PRIMARY KEY)"
    yield f"INSERT INTO {one} SELECT n FROM generate_series(1, 9) n"
    yield f"CREATE TABLE {two} (id int PRIMARY KEY, up int)"
    yield f"INSERT INTO {two} SELECT n, n FROM generate_series(1, 9) n"
    yield f"ALTER TABLE {two} ADD CONSTRAINT {d.name('fk')} FOREIGN KEY (up) REFERENCES {one}{'' if valid else ' NOT VALID'}"
    yield "RESET ROLE"
    yield f"SET session_replication_role = replica; INSERT INTO {two} VALUES (99, 4711); RESET session_replication_role"


@feature()
def check_with_wrong_rows(d):
    """A check that says it is valid, with a row that breaks it: its function was replaced afterwards."""
    function, table = d.name("fine"), d.name("t")
    yield f"CREATE FUNCTION {function}(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 100'"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY CHECK ({function}(id)))"
    yield f"INSERT INTO {table} SELECT n FROM generate_series(1, 20) n"
    yield f"CREATE OR REPLACE FUNCTION {function}(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 10'"


@feature()
def exclusions(d):
    table = d.name("booked")
    yield "RESET ROLE"
    yield from in_public("btree_gist")
    yield (
        f"CREATE TABLE {table} (room int, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH"
        f" &&){d.pick(('', ' WHERE (room > 0)', ' DEFERRABLE'))})"
    )
    yield (
        f"INSERT INTO {table} SELECT 1 + n % 5, tstzrange(timestamptz '2026-01-01' + n * interval '1 hour', timestamptz '2026-01-01' + (n + 1) * interval '1"
        " hour') FROM generate_series(1, 40) n"
    )
    yield f"CREATE TABLE {d.name('t')} (a int, b text, EXCLUDE (a WITH =, lower(b) WITH =))"
    yield f"INSERT INTO {d.last} SELECT n, 'B' || n FROM generate_series(1, 20) n"


@feature(2)
def indexes(d):
    table = d.name("t")
    yield f'CREATE TABLE {table} (id int PRIMARY KEY, a text, b text COLLATE "C", c jsonb, d int[], e tsrange, f point, g inet)'
    yield (
        f"INSERT INTO {table} SELECT n, 'a' || n, 'b' || n % 3, jsonb_build_object('n', n), ARRAY[n], tsrange('2026-01-01', NULL), point(n, n), '10.0.0.1'"
        " FROM generate_series(1, 40) n"
    )
    for text in d.some(
        (
            "(lower(a))",
            "(a text_pattern_ops, b DESC NULLS LAST)",
            "(b) INCLUDE (a, id) WHERE id % 2 = 0",
            "USING gin (c jsonb_path_ops)",
            "USING gin (d)",
            "USING gist (e, f)",
            "USING spgist (g)",
            "USING brin (id) WITH (pages_per_range = 4, autosummarize = on)",
            "USING hash (a)",
            '(a COLLATE "C", (b || \'x\') COLLATE "default")',
            "((c ->> 'n')) WITH (fillfactor = 50)",
            "USING gin (to_tsvector('english', a))",
            "(a, b) WHERE a <> '%'",
        )
    ):
        yield f"CREATE INDEX {d.name('i')} ON {table} {text}"
    yield from d.some(
        (
            f"CREATE UNIQUE INDEX {d.name('i')} ON {table} (a) NULLS NOT DISTINCT",
            f"CREATE UNIQUE INDEX {d.name('u')} ON {table} (id) INCLUDE (b)",
        ),
        0,
    )
    if d.chance(0.4):
        yield f"CREATE INDEX {d.name('clustered')} ON {table} (b)"
        yield f"ALTER TABLE {table} CLUSTER ON {d.last}"
    if d.chance(0.4):
        yield f"CREATE INDEX {d.name('counted')} ON {table} (lower(b))"
        yield f"ALTER INDEX {d.last} ALTER COLUMN 1 SET STATISTICS 300"


@feature()
def index_with_function(d):
    """An index over a function whose body finds others by the search_path."""
    inner, outer, table = d.name("inner"), d.name("outer"), d.name("t")
    yield f"CREATE FUNCTION {inner}(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'"
    language, body = d.pick((("sql", f"SELECT {inner}($1)"), ("plpgsql", f"BEGIN RETURN {inner}($1); END")))
    yield f"CREATE FUNCTION {outer}(text) RETURNS text LANGUAGE {language} IMMUTABLE AS $$ {body} $$"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text)"
    yield f"INSERT INTO {table} SELECT n, 'a' || n FROM generate_series(1, 20) n"
    yield f"CREATE INDEX ON {table} ({outer}(a))"


@feature(0.5)
def unique_index_with_twins(d):
    """A unique index that its table breaks, as a wrong collation leaves it: the function of its expression was replaced."""
    function, table = d.name("folded"), d.name("t")
    yield f"CREATE FUNCTION {function}(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text)"
    yield f"CREATE UNIQUE INDEX ON {table} ({function}(a))"
    yield f"INSERT INTO {table} VALUES (1, 'x'), (2, 'X')"
    yield f"CREATE OR REPLACE FUNCTION {function}(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'"


@feature()
def statistics(d):
    table = d.name("t")
    yield f"CREATE TABLE {table} (a int, b int, c text)"
    yield f"INSERT INTO {table} SELECT n, n % 7, 'c' FROM generate_series(1, 50) n"
    yield f"CREATE STATISTICS {d.name('s')} (ndistinct, dependencies, mcv) ON a, b FROM {table}"
    yield f"CREATE STATISTICS {d.name('s')} ON (a % 3), lower(c) FROM {table}"
    yield f"ALTER STATISTICS {d.last} SET STATISTICS 40"
    yield f"ALTER TABLE {table} ALTER c SET STATISTICS 500, ALTER a SET (n_distinct = -0.5)"


@feature()
def collations(d):
    made, table = d.name("coll"), d.name("t")
    provider = d.pick(
        (
            "provider = icu, locale = 'de-u-co-phonebk'",
            "provider = icu, locale = 'und-u-ks-level2', deterministic = false",
            "locale = 'C'",
            "lc_collate = 'C', lc_ctype = 'C.UTF-8'",
            "provider = icu, locale = 'en-u-kn-true'",
        )
    )
    yield f"CREATE COLLATION {made} ({provider})"
    yield (
        f"CREATE TABLE {table} (id int PRIMARY KEY, g text COLLATE {made}{d.pick(('', ' UNIQUE'))}, c text COLLATE \"C.utf8\", d text COLLATE \"ucs_basic\")"
    )
    yield f"INSERT INTO {table} SELECT n, 'Ärger ' || n, 'Ä' || n, 'z' FROM generate_series(1, 20) n"
    if d.chance(0.5):
        yield f"CREATE INDEX ON {table} (upper(g) COLLATE {made})"
