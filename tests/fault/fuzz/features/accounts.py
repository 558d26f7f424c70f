# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of the server: attributes, memberships, settings. What applications log in with, whether they own something or not."""

from __future__ import annotations

from ..draw import PASSWORD, feature, literal


@feature(1.5)
def attributes(d):
    """Each of them owns a table, so that the database cannot do without it."""
    yield "RESET ROLE"
    for words in d.some(
        (
            "LOGIN PASSWORD {p} VALID UNTIL 'infinity' CONNECTION LIMIT 40",
            "NOLOGIN NOINHERIT",
            "LOGIN BYPASSRLS VALID UNTIL '2044-02-29 12:00+02'",
            "LOGIN CREATEDB CREATEROLE PASSWORD {p}",
            "LOGIN PASSWORD {m}",
            "LOGIN REPLICATION CONNECTION LIMIT 0",
            "SUPERUSER LOGIN",
            "LOGIN PASSWORD {p} VALID UNTIL '2001-01-01'",
            "NOLOGIN PASSWORD {p}",
        )
    ):
        account = d.account()
        yield f"CREATE ROLE {account} {words.format(p=literal(PASSWORD), m=literal('md5' + '0123456789abcdef' * 2))}"
        yield f"CREATE TABLE {d.name('t', odd=0)} (id int PRIMARY KEY)"
        yield f"ALTER TABLE {d.last} OWNER TO {account}"
        if d.chance(0.97):
            yield f"GRANT USAGE ON SCHEMA {d.schema} TO {account}"
        if d.chance(0.2):
            yield f"COMMENT ON ROLE {account} IS 'it''s one'"


@feature(1.5)
def accounts_without_objects(d):
    """They log in by the rights of PUBLIC, of a group, or of the database; they own nothing."""
    yield "RESET ROLE"
    group = d.account("group")
    yield f"CREATE ROLE {group}"
    for _number in range(3):
        account = d.account()
        yield f"CREATE ROLE {account} LOGIN PASSWORD {literal(PASSWORD)}"
        yield from d.some((f"GRANT {group} TO {account}", f"GRANT CONNECT ON DATABASE hub TO {account}", f"ALTER ROLE {account} SET work_mem = '7MB'"), 0)
    if d.chance(0.5):
        yield f"GRANT CREATE ON DATABASE hub TO {group} WITH GRANT OPTION"


@feature(1.5)
def memberships(d):
    """Chains, options, grantors; groups of the server and of one's own."""
    yield "RESET ROLE"
    boss, group, one, two = (d.account() for _number in range(4))
    for account, words in ((boss, "CREATEROLE LOGIN"), (group, ""), (one, "LOGIN"), (two, "NOINHERIT LOGIN")):
        yield f"CREATE ROLE {account} {words}"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY)"
    yield f"GRANT SELECT ON {d.last} TO {group}"
    yield from d.some(
        (
            f"GRANT {group} TO {one} WITH ADMIN OPTION",
            f"GRANT {group} TO {two}",
            f"GRANT {one} TO {two}",
            f"GRANT pg_monitor TO {group}",
            f"GRANT pg_read_all_data TO {two} WITH ADMIN OPTION",
            f"GRANT {group} TO {boss} WITH ADMIN OPTION",
            f"GRANT {boss} TO {one}",
            f"GRANT {d.pick((f'hub TO {group}', f'{group} TO hub'))}",
            f"GRANT postgres TO {boss}",
        )
    )
    if d.chance(0.5):
        yield f"GRANT {group} TO {boss} WITH ADMIN OPTION"
        yield f"SET ROLE {boss}"
        yield f"GRANT {group} TO {one}"
        yield "RESET ROLE"


@feature(0.7)
def membership_in_the_owner_of_the_database(d):
    account = d.account()
    yield "RESET ROLE"
    yield f"CREATE ROLE {account} LOGIN"
    yield f"GRANT hub TO {account}"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY)"
    yield f"GRANT SELECT ON {d.last} TO pg_database_owner"


# What ALTER ROLE and ALTER DATABASE may set: empty lists, quotes, umlauts, numbers, and what turns the grammar of a session around.
VALUES = (
    'search_path = "$user", public, "Größe & Maß", \'a,b\'',
    "search_path = ''''",
    "search_path TO DEFAULT",
    "work_mem = '5MB'",
    "statement_timeout = '200ms'",
    "lock_timeout = 3000",
    "idle_in_transaction_session_timeout = '1min'",
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = sql_standard",
    "TimeZone = 'Asia/Kathmandu'",
    "extra_float_digits = -3",
    "bytea_output = escape",
    "application.setting = 'it''s = \"odd\"'",
    '"app"."tenant" = \'\'',
    "app.umlaut = 'ä % \\ $1'",
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "quote_all_identifiers = on",
    "array_nulls = off",
    "client_encoding = 'LATIN1'",
    "client_min_messages = error",
    "row_security = off",
    "check_function_bodies = off",
    "default_text_search_config = 'pg_catalog.german'",
    "xmloption = document",
    "xmlbinary = hex",
    "transform_null_equals = on",
    "default_table_access_method = 'heap'",
    "default_toast_compression = 'lz4'",
    "synchronous_commit = off",
    "enable_seqscan = off",
    "jit = off",
    "lc_monetary = 'C'",
    "lc_messages = 'C'",
    "session_replication_role = replica",
    "log_statement = 'none'",
    "idle_session_timeout = '90s'",
    "plan_cache_mode = force_generic_plan",
    "DateStyle = 'Postgres, MDY'",
    "default_statistics_target = 7",
    "constraint_exclusion = on",
    "search_path = pg_temp, public",
    "log_min_messages = panic",
    "event_source.x = 'y'",
    "role = 'none'",
    "default_transaction_read_only = off",
    "geqo = off",
    "lo_compat_privileges = on",
    "gin_pending_list_limit = 128",
    "application_name = 'it''s'",
    "escape_string_warning = off",
    "password_encryption = md5",
    "createrole_self_grant.x = '1'",
    "vacuum_cost_delay = '1.5ms'",
    "seq_page_cost = 1.25",
    "max_parallel_workers_per_gather = 0",
)


@feature(2)
def settings_of_accounts(d):
    account = d.account()
    yield "RESET ROLE"
    yield f"CREATE ROLE {account} LOGIN"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY)"
    yield f"ALTER TABLE {d.last} OWNER TO {account}"
    if d.chance(0.97):
        yield f"GRANT USAGE ON SCHEMA {d.schema} TO {account}"
    for value in d.random.sample(VALUES, 5):
        yield f"ALTER ROLE {account}{d.pick(('', ' IN DATABASE hub'))} SET {value}"


@feature(0.7)
def settings_that_are_empty(d):
    """A list without elements is stored as a pair of quotes."""
    yield "RESET ROLE"
    for name in d.some(("search_path", "temp_tablespaces", "app.list")):
        yield f"ALTER {d.pick(('ROLE hub', 'DATABASE hub', 'ROLE hub IN DATABASE hub'))} SET {name} = ''"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY)"


@feature(0.7)
def settings_of_everybody(d):
    yield "RESET ROLE"
    for value in d.random.sample(VALUES, 1):
        yield f"ALTER ROLE ALL SET {value}"


@feature(0.7)
def account_that_only_reads(d):
    account = d.account("bi")
    yield "RESET ROLE"
    yield f"CREATE ROLE {account} LOGIN"
    yield f"ALTER ROLE {account}{d.pick(('', ' IN DATABASE hub'))} SET default_transaction_read_only = {d.pick(('on', 'true', 'off', '1'))}"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY)"
    yield f"GRANT SELECT ON {d.last} TO {account}"
