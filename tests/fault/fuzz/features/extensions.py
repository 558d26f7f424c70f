# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extensions of contrib, their types and operators in expressions of every kind."""

from __future__ import annotations

from ..draw import feature, in_public

_EXTENSIONS = (
    "citext",
    "hstore",
    "ltree",
    "pg_trgm",
    "btree_gist",
    "btree_gin",
    "pg_stat_statements",
    "unaccent",
    "pgcrypto",
    "lo",
    "cube",
    "earthdistance",
    "isn",
    "seg",
    "intarray",
    "tablefunc",
    "fuzzystrmatch",
    "bloom",
    "dict_int",
    "moddatetime",
    "tsm_system_rows",
    "pgstattuple",
    "pg_buffercache",
    "postgres_fdw",
    "dblink",
    "intagg",
    "xml2",
    "uuid-ossp",
    "pg_prewarm",
    "adminpack",
    "old_snapshot",
    "pageinspect",
    "amcheck",
    "sslinfo",
    "tcn",
    "refint",
    "autoinc",
    "insert_username",
    "file_fdw",
    "pgrowlocks",
    "pg_visibility",
    "pg_freespacemap",
)


@feature(1.5)
def extensions(d):
    yield "RESET ROLE"
    for name in d.random.sample(_EXTENSIONS, 3):
        yield f"CREATE EXTENSION IF NOT EXISTS \"{name}\"{d.pick(('', ' SCHEMA public', f' SCHEMA {d.schema}'))} CASCADE"
    if d.chance(0.3):
        yield f"COMMENT ON EXTENSION \"{name}\" IS 'it''s used'"


@feature(0.7)
def extension_of_old_version(d):
    yield "RESET ROLE"
    name, version = d.pick(
        (
            ("hstore", "1.4"),
            ("pg_trgm", "1.3"),
            ("ltree", "1.1"),
            ("btree_gist", "1.2"),
            ("citext", "1.4"),
            ("pg_stat_statements", "1.4"),
            ("pgcrypto", "1.3"),
        )
    )
    yield f"CREATE EXTENSION {name} SCHEMA {d.schema} VERSION '{version}'"


@feature()
def extension_that_was_changed(d):
    """Rights, owners and comments of its members, and members of one's own."""
    yield "RESET ROLE"
    yield from in_public("citext")
    yield from in_public("pg_stat_statements")
    yield from d.some(
        (
            "REVOKE ALL ON FUNCTION public.pg_stat_statements_reset(oid, oid, bigint) FROM PUBLIC",
            "GRANT EXECUTE ON FUNCTION public.pg_stat_statements_reset(oid, oid, bigint) TO hub",
            "REVOKE ALL ON FUNCTION public.citext_eq(public.citext, public.citext) FROM PUBLIC",
            "COMMENT ON TYPE public.citext IS 'folded'",
            "GRANT SELECT ON public.pg_stat_statements TO hub",
            "REVOKE SELECT ON public.pg_stat_statements FROM PUBLIC",
        )
    )
    if d.chance(0.4):
        yield f"CREATE TABLE {d.name('member')} (id int PRIMARY KEY)"
        yield f"INSERT INTO {d.last} VALUES (1)"
        yield f"ALTER EXTENSION citext ADD TABLE {d.last}"
    elif d.chance(0.4):
        yield f"CREATE FUNCTION {d.name('member')}() RETURNS int LANGUAGE sql AS 'SELECT 1'"
        yield f"ALTER EXTENSION citext ADD FUNCTION {d.last}()"


@feature(2)
def types_of_extensions(d):
    """Columns, keys and indexes of types that an extension brings, in public or where the feature is."""
    yield "RESET ROLE"
    name, kind, values, index = d.pick(
        (
            ("citext", "citext", ("'CaSe'", "''"), "(v)"),
            ("hstore", "hstore", ('\'a=>1, "b c"=>NULL, "ü"=>"\\"q\\""\'', "''"), "USING gin (v)"),
            ("ltree", "ltree", ("'a.b.c'", "'x'"), "USING gist (v)"),
            ("cube", "cube", ("'(1,2),(3,4)'", "'(0)'"), "USING gist (v)"),
            ("isn", "isbn", ("'978-0-393-04002-9'",), "(v)"),
            ("seg", "seg", ("'1.0 .. 2.00'", "'~5'"), "USING gist (v)"),
            ("lo", "lo", ("0",), "(v)"),
            ("intarray", "int[]", ("'{1,2}'",), "USING gist (v gist__int_ops)"),
            ("ltree", "lquery", ("'*.a.*{1,2}'",), ""),
        )
    )
    yield from in_public(name)
    if d.owner != '"postgres"':
        yield f"GRANT USAGE ON SCHEMA public TO {d.owner}"
        yield f"SET ROLE {d.owner}"
    key = d.pick(("", " PRIMARY KEY"))
    table = d.name("t")
    yield (
        f"CREATE TABLE {table} (id int{key}, v {kind}, vs {kind}[]{', UNIQUE (v)' if kind in ('citext', 'ltree') and d.chance(0.5) else ''})"
        if kind != "int[]"
        else (f"CREATE TABLE {table} (id int{key}, v int[])")
    )
    for number, value in enumerate(values):
        yield f"INSERT INTO {table} (id, v) VALUES ({number}, {value})"
    if index and not (kind == "lo"):
        yield f"CREATE INDEX ON {table} {index}"


@feature(1.5)
def expressions_over_extensions(d):
    """Operators that a dump does not write down: IS DISTINCT FROM, NULLIF, IN, CASE, BETWEEN, USING, over types of an extension."""
    yield "RESET ROLE"
    name, kind, one, two = d.pick(
        (("citext", "citext", "'x'", "'Y'"), ("ltree", "ltree", "'a.b'", "'c'"), ("hstore", "hstore", "'a=>1'", "'b=>2'"), ("cube", "cube", "'(1)'", "'(2)'"))
    )
    yield from in_public(name)
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, c {kind}, e {kind})"
    yield (
        f"INSERT INTO {table} VALUES (1, {one}, {two}), (2, {two}, {two}), (3, NULL, {one}), (4, upper({one})::{kind}, {one})"
        if kind == "citext"
        else (f"INSERT INTO {table} VALUES (1, {one}, {two}), (2, {two}, {two}), (3, NULL, {one})")
    )
    conditions = (
        f"c IS DISTINCT FROM {one}",
        f"NULLIF(c, {one}) IS NULL",
        f"c IN ({one}, {two})",
        f"CASE c WHEN {one} THEN true ELSE false END",
        "c IS NOT DISTINCT FROM e",
        f"c = ANY (ARRAY[{one}, {two}]::{kind}[])",
        "(c, id) IS DISTINCT FROM (e, 3)",
        f"c BETWEEN {one} AND {two}" if kind != "hstore" else "c @> e",
    )
    condition = d.pick(conditions)
    where = d.pick(("view", "matview", "check", "index", "policy", "trigger", "generated", "rule", "default", "using"))
    if where == "view":
        yield f"CREATE VIEW {d.name('v')} AS SELECT id, {condition} AS x FROM {table}"
    elif where == "matview":
        yield f"CREATE MATERIALIZED VIEW {d.name('m')} AS SELECT id, {condition} AS x FROM {table}"
    elif where == "check":
        yield f"ALTER TABLE {table} ADD CHECK (({condition}) IS NOT NULL OR c IS NULL)"
    elif where == "index":
        yield f"CREATE INDEX ON {table} (id) WHERE {condition}"
    elif where == "policy":
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield f"CREATE POLICY p ON {table} USING ({condition})"
        yield f"GRANT SELECT ON {table} TO hub"
        yield f"GRANT USAGE ON SCHEMA {d.schema} TO hub"
    elif where == "trigger":
        yield (
            f"CREATE TRIGGER {d.name('tr')} BEFORE UPDATE ON {table} FOR EACH ROW WHEN (OLD.c IS DISTINCT FROM NEW.c) EXECUTE FUNCTION"
            " suppress_redundant_updates_trigger()"
        )
    elif where == "generated":
        yield f"ALTER TABLE {table} ADD g boolean GENERATED ALWAYS AS ({condition}) STORED"
    elif where == "rule":
        yield f"CREATE RULE r AS ON UPDATE TO {table} WHERE old.c IS DISTINCT FROM new.c DO ALSO SELECT 1"
    elif where == "default":
        yield f"ALTER TABLE {table} ADD b boolean DEFAULT (NULLIF({one}::{kind}, {two}) IS NULL)"
    else:
        yield f"CREATE VIEW {d.name('v')} AS SELECT a.id FROM {table} a JOIN {table} b USING (c)"


@feature(0.7)
def functions_of_extensions(d):
    """Unaccent in an index, digest in a default, a trigger function of moddatetime."""
    yield "RESET ROLE"
    yield from in_public("unaccent")
    yield from in_public("pgcrypto")
    yield from in_public("pg_trgm")
    table, function = d.name("t"), d.name("f")
    seen = d.pick(("unaccent($1)", "public.unaccent('public.unaccent', $1)"))
    yield f"CREATE FUNCTION {function}(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT {seen} $$"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text, h bytea DEFAULT digest('x', 'sha256'), at timestamptz)"
    yield f"INSERT INTO {table} (id, a) SELECT n, 'Ärger ' || n FROM generate_series(1, 20) n"
    yield f"CREATE INDEX ON {table} ({function}(a))"
    yield f"CREATE INDEX ON {table} USING gin (a gin_trgm_ops)"
