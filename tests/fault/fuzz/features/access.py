# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may what: grants, default privileges, policies, owners."""

from __future__ import annotations

from ..draw import feature


@feature(2)
def grants(d):
    one, two, table, function = d.account(), d.account(), d.name("t"), d.name("f")
    yield "RESET ROLE"
    yield f"CREATE ROLE {one}"
    yield f"CREATE ROLE {two} NOINHERIT"
    yield f"CREATE TABLE {table} (id serial PRIMARY KEY, a text, b int)"
    yield f"INSERT INTO {table} (a) VALUES ('x')"
    yield f"CREATE FUNCTION {function}(int) RETURNS int LANGUAGE sql AS 'SELECT $1'"
    yield f"CREATE TYPE {d.name('mood')} AS ENUM ('a')"
    mood = d.last
    yield f"GRANT USAGE ON SCHEMA {d.schema} TO {one} WITH GRANT OPTION"
    yield from d.some(
        (
            f"GRANT SELECT ON {table} TO {one} WITH GRANT OPTION",
            f"GRANT SELECT (id, a), UPDATE (a) ON {table} TO {two}",
            f"GRANT ALL ON {table} TO PUBLIC",
            f"REVOKE UPDATE, TRUNCATE ON {table} FROM postgres",
            f"REVOKE ALL ON FUNCTION {function}(int) FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {function}(int) TO {two}",
            f"GRANT USAGE ON TYPE {mood} TO {one} WITH GRANT OPTION",
            f"REVOKE ALL ON TYPE {mood} FROM PUBLIC",
            f"GRANT USAGE ON LANGUAGE plpgsql TO {one}",
            "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
            f"GRANT SELECT ON pg_catalog.pg_authid TO {two}",
            f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO {one}",
            "REVOKE ALL ON pg_catalog.pg_settings FROM PUBLIC",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        )
    )
    if d.chance(0.6):
        yield f"GRANT SELECT ON {table} TO {one} WITH GRANT OPTION"
        yield f"SET ROLE {one}"
        yield f"GRANT SELECT ON {d.schema}.{table} TO {two}"
        yield "RESET ROLE"


@feature(1.5)
def default_privileges(d):
    one, two = d.account(), d.account()
    yield "RESET ROLE"
    yield f"CREATE ROLE {one}"
    yield f"CREATE ROLE {two} LOGIN"
    for text in d.some(
        (
            f"FOR ROLE {one} IN SCHEMA {d.schema} GRANT SELECT ON TABLES TO {two} WITH GRANT OPTION",
            f"FOR ROLE {one} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
            f"FOR ROLE {one} GRANT USAGE ON SEQUENCES TO PUBLIC",
            f"FOR ROLE {two} REVOKE ALL ON TABLES FROM {two}",
            f"FOR ROLE {one} GRANT ALL ON SCHEMAS TO {two}",
            f"FOR ROLE {one} REVOKE USAGE ON TYPES FROM PUBLIC",
            f"FOR ROLE postgres IN SCHEMA {d.schema} GRANT INSERT ON TABLES TO {one}",
            f"FOR ROLE postgres GRANT SELECT ON TABLES TO {two}",
        )
    ):
        yield f"ALTER DEFAULT PRIVILEGES {text}"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY)"
    yield f"GRANT CREATE, USAGE ON SCHEMA {d.schema} TO {one}"
    yield f"SET ROLE {one}"
    yield f"CREATE TABLE {d.schema}.{d.name('t')} (id int PRIMARY KEY)"
    yield f"CREATE FUNCTION {d.schema}.{d.name('f')}() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    yield "RESET ROLE"


@feature(2)
def policies(d):
    reader, table = d.account("reader"), d.name("t")
    yield "RESET ROLE"
    yield f"CREATE ROLE {reader}"
    yield f"GRANT USAGE ON SCHEMA {d.schema} TO {reader}"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, owner name, a text, b varchar(9), c char(5))"
    yield (
        f"INSERT INTO {table} SELECT n, CASE WHEN n % 2 = 0 THEN 'hub' ELSE 'postgres' END, 'a' || n % 3, 'b' || n % 4, 'c' || n % 2 FROM generate_series(1,"
        " 30) n"
    )
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {reader}, hub"
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY{d.pick(('', ', FORCE ROW LEVEL SECURITY'))}"
    for text in d.some(
        (
            f"FOR SELECT TO {reader}, hub USING (owner = current_user OR a IS DISTINCT FROM 'a1')",
            "AS RESTRICTIVE FOR ALL USING (id > 2) WITH CHECK (id > 0)",
            f"FOR UPDATE TO {reader} USING (b <> 'b1') WITH CHECK (b LIKE 'b%')",
            "FOR INSERT WITH CHECK (pg_has_role(owner, 'MEMBER'))",
            f"TO {reader} USING (a IN (SELECT 'a' || g FROM generate_series(1, 2) g))",
            "USING (NULLIF(c, 'c1') IS NULL AND b IS NOT DISTINCT FROM 'b2')",
            "USING (current_setting('app.tenant', true) = a)",
            f"TO hub USING (EXISTS (SELECT FROM {table} x WHERE x.id = {table}.id + 1))" if d.chance(0.1) else "TO hub USING (true)",
        )
    ):
        yield f"CREATE POLICY {d.name('pol')} ON {table} {text}"
    if d.chance(0.3):
        yield f"COMMENT ON POLICY {d.last} ON {table} IS 'own rows'"
    yield f"CREATE TABLE {d.name('dark')} (id int PRIMARY KEY)"
    yield f"ALTER TABLE {d.last} ENABLE ROW LEVEL SECURITY"
    yield f"INSERT INTO {d.last} VALUES (1)"
    yield f"GRANT SELECT ON {d.last} TO {reader}"


@feature(1.5)
def owners(d):
    """Objects of accounts that cannot log in, own nothing else, or may not create."""
    one, two = d.account("owner"), d.account("owner")
    yield "RESET ROLE"
    yield f"CREATE ROLE {one} NOLOGIN"
    yield f"CREATE ROLE {two} LOGIN BYPASSRLS PASSWORD NULL"
    yield f"CREATE TABLE {d.name('t')} (id bigserial PRIMARY KEY, a text)"
    table = d.last
    yield f"INSERT INTO {table} (a) VALUES ('x')"
    yield f"ALTER TABLE {table} OWNER TO {one}"
    if d.chance(0.97):
        yield f"GRANT USAGE ON SCHEMA {d.schema} TO {one}, {two}"
    yield f"CREATE VIEW {d.name('v')} AS SELECT * FROM {table}"
    yield f"ALTER VIEW {d.last} OWNER TO {two}"
    yield f"CREATE MATERIALIZED VIEW {d.name('m')} AS SELECT count(*) FROM {table}"
    matview = d.last
    yield f"ALTER MATERIALIZED VIEW {matview} OWNER TO {d.pick((one, two))}"
    if d.chance(0.6):
        yield f"GRANT SELECT ON {table} TO {two}"
    yield f"CREATE FUNCTION {d.name('f')}() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    yield f"ALTER FUNCTION {d.last}() OWNER TO {two}"
    yield f"CREATE TYPE {d.name('mood')} AS ENUM ('a')"
    yield f"ALTER TYPE {d.last} OWNER TO {one}"
    if d.chance(0.4):
        yield f"ALTER SCHEMA {d.schema} OWNER TO {two}"
    if d.chance(0.3):
        yield f"ALTER SCHEMA public OWNER TO {one}"


@feature(0.5, last=True)
def no_public_schema(d):
    yield "RESET ROLE"
    yield d.pick(
        ("DROP SCHEMA public CASCADE", "ALTER SCHEMA public RENAME TO old_public", "COMMENT ON SCHEMA public IS 'ours'", "COMMENT ON SCHEMA public IS NULL")
    )


@feature(0.7)
def comments(d):
    table = d.name("t")
    yield f'CREATE TABLE {table} (id int PRIMARY KEY, "it\'s" int)'
    for kind in (f"TABLE {table}", f'COLUMN {table}."it\'s"', f"SCHEMA {d.schema}", f"INDEX {d.schema}.{d.name('i')}"):
        if kind.startswith("INDEX"):
            yield f'CREATE INDEX {d.last} ON {table} ("it\'s")'
        yield f"COMMENT ON {kind} IS E'it''s \"here\"\\n\\\\second % line; DROP TABLE x; --'"
    yield "RESET ROLE"
    yield "COMMENT ON DATABASE hub IS E'a database\\n''of ours'''"
