# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server has let in past its own rules, and what only the server that reads it can judge."""

from __future__ import annotations

from ..draw import feature, literal


@feature(0.5)
def domains_within(d):
    """A domain inside a composite, an array of it, or a range; some rows break a constraint that came later."""
    domain, part, span, table = d.name("small"), d.name("part"), d.name("span"), d.name("t")
    yield f"CREATE DOMAIN {domain} AS int CHECK (VALUE > -1)"
    yield f"CREATE TYPE {part} AS (n {domain}, note text)"
    yield f"CREATE TYPE {span} AS RANGE (subtype = {domain})"
    columns = d.some((f"p {part}", f"ps {part}[]", f"s {span}"))
    values = {"p": f"ROW(n, 'x')::{part}", "ps": f"ARRAY[ROW(n, 'y')::{part}, NULL]", "s": f"{span}(0::{domain}, n::{domain}, '[]')"}
    yield f"CREATE TABLE {table} (id int{d.pick(('', ' PRIMARY KEY'))}, {', '.join(columns)})"
    yield f"INSERT INTO {table} SELECT n, {', '.join(values[column.split()[0]] for column in columns)} FROM generate_series(1, 20) n"
    if d.chance(0.6):
        yield f"ALTER DOMAIN {domain} ADD CONSTRAINT later CHECK (VALUE <> {d.pick((5, 7, 99))}) NOT VALID"


@feature(0.5)
def nulls_within_domains(d):
    """The way that CREATE DOMAIN tells in its notes."""
    domain, table = d.name("given"), d.name("t")
    yield f"CREATE DOMAIN {domain} AS text {d.pick(('NOT NULL', 'CHECK (VALUE IS NOT NULL)', 'CHECK (length(VALUE) > 0)'))}"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a {domain}, b {domain})"
    yield f"INSERT INTO {table} VALUES (1, 'x', 'y')"
    if d.chance(0.7):
        yield f"INSERT INTO {table} (id, a, b) VALUES (2, 'z', (SELECT b FROM {table} WHERE false))"


@feature(0.5)
def told_in_the_catalog(d):
    """By hand, to save a scan or a rewrite; now and then the rows hold."""
    table = d.name("t")
    yield "RESET ROLE"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a int, b varchar(20), c numeric(9, 3))"
    yield f"INSERT INTO {table} SELECT n, {d.pick(('n', 'nullif(n, 7)'))}, repeat('x', n % {d.pick((5, 15))}), n / 4.0 FROM generate_series(1, 20) n"
    of_table = f"attrelid = {literal(table)}::regclass"
    for change in d.some(("attnotnull = true WHERE attname = 'a'", "atttypmod = 14 WHERE attname = 'b'", "atttypmod = (9 << 16) + 5 WHERE attname = 'c'")):
        yield f"UPDATE pg_attribute SET {change} AND {of_table}"


@feature(0.5)
def storage_that_is_told_later(d):
    """Values that were put aside or made smaller, before their column was told what to do with them."""
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int{d.pick(('', ' PRIMARY KEY'))}, a text, b jsonb, c bytea)"
    yield (
        f"INSERT INTO {table} SELECT n, repeat(md5(n::text), {d.pick((10, 100, 1000))}), jsonb_build_object('n', repeat('y', 5000)),"
        " decode(repeat('00ff', 3000), 'hex') FROM generate_series(1, 4) n"
    )
    for column in d.some(("a", "b", "c")):
        yield f"ALTER TABLE {table} ALTER {column} SET STORAGE {d.pick(('PLAIN', 'MAIN', 'EXTERNAL', 'EXTENDED'))}"


@feature(0.5)
def exclusion_with_twins(d):
    function, table = d.name("folded"), d.name("t")
    yield f"CREATE FUNCTION {function}(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text, EXCLUDE USING btree ({function}(a) WITH =){d.pick(('', ' WHERE (id > 1)'))})"
    yield f"INSERT INTO {table} VALUES (1, 'x'), (2, 'X'), (3, {d.pick(('NULL', literal('y')))})"
    yield f"CREATE OR REPLACE FUNCTION {function}(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT {d.pick(('lower($1)', '$1'))}'"


@feature(0.5)
def values_that_name_objects(d):
    """By OID in the table, by name in a copy."""
    table, view, index = d.name("t"), d.name("v"), d.name("i")
    yield f"CREATE TABLE {table} (id int{d.pick(('', ' PRIMARY KEY'))}, r regclass, rs regclass[], p regprocedure, n regnamespace)"
    yield f"CREATE VIEW {view} AS SELECT 1 AS one"
    yield f"CREATE INDEX {index} ON {table} (id)"
    named = d.pick((table, view, index, "pg_class"))
    yield f"INSERT INTO {table} VALUES (1, {literal(named)}, ARRAY[{literal(table)}, {literal(d.pick((view, index)))}]::regclass[], 'now()', 'pg_catalog')"
