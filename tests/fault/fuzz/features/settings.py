# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to the database itself: settings, grants, limits, tablespaces."""

from __future__ import annotations

from ..draw import feature
from .accounts import VALUES


@feature(2.5)
def settings_of_the_database(d):
    yield "RESET ROLE"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY, at timestamptz, i interval, f float8, b bytea, x xml, a int[])"
    yield f"INSERT INTO {d.last} VALUES (1, '2026-01-02 03:04:05+06', '1 mon -2 days', 0.1, '\\x00ff', '<a/>', '{{1,NULL}}')"
    for value in d.random.sample(VALUES, 4):
        yield f"ALTER DATABASE hub SET {value}"


@feature()
def rights_of_the_database(d):
    account = d.account()
    yield "RESET ROLE"
    yield f"CREATE ROLE {account}"
    yield f"GRANT TEMPORARY ON DATABASE hub TO {account}"
    yield from d.some(
        (
            "REVOKE TEMPORARY ON DATABASE hub FROM PUBLIC",
            "REVOKE CONNECT ON DATABASE hub FROM PUBLIC",
            f"GRANT CREATE ON DATABASE hub TO {account} WITH GRANT OPTION",
            "ALTER DATABASE hub CONNECTION LIMIT 90",
            "COMMENT ON DATABASE hub IS 'it''s % ours'",
            f"GRANT TEMPORARY, CONNECT ON DATABASE hub TO {account}",
            "REVOKE ALL ON DATABASE hub FROM hub",
            "ALTER DATABASE hub IS_TEMPLATE true",
        )
    )
    if d.chance(0.3):
        yield f"ALTER DATABASE hub OWNER TO {account}"


@feature(0.5)
def tablespaces(d):
    """In place, which needs no folder of its own (allow_in_place_tablespaces, a developer option)."""
    yield "RESET ROLE"
    yield "SET allow_in_place_tablespaces = on"
    space = d.name("space")
    yield f"CREATE TABLESPACE {space} LOCATION ''"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY) TABLESPACE {space}" if d.chance(0.7) else f"GRANT CREATE ON TABLESPACE {space} TO hub"


@feature(0.4)
def neighbours(d):
    """Another database, a slot, a subscription or a prepared transaction beside the one that moves."""
    yield "RESET ROLE"
    yield d.pick(
        (
            "SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')",
            "SELECT pg_create_physical_replication_slot('standby')",
        )
    )
