# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules over what stands in legacy's catalogs, one row for each kind of object; the remedies can be pasted into psql. Pure."""

from __future__ import annotations

import re
import typing as t

from ..._core.finding import Finding
from ..server.postgres import literal

_WRITTEN = "Nothing has to be done."

# Kind of object, level, code, message, remedy. The name of the object is put in for {}, and parts of it as `filled` says.
_RULES = (
    (
        "invalid_indexes",
        "fail",
        "preflight_failed",
        "Index {} is invalid.",
        "On legacy: REINDEX INDEX {}; or, where its rows are not unique any more, DROP INDEX {};",
    ),
    (
        "foreign_tables",
        "fail",
        "preflight_failed",
        "{} is a foreign table; its rows are elsewhere.",
        "On legacy, after its rows were put into a table if they are needed: DROP FOREIGN TABLE {};",
    ),
    (
        "firing_triggers",
        "fail",
        "preflight_failed",
        "Trigger {} fires for replicated rows too.",
        "On legacy, so that it fires for the application only, without ALWAYS or REPLICA: ALTER TABLE {table} ENABLE TRIGGER {last};",
    ),
    (
        "firing_rules",
        "fail",
        "preflight_failed",
        "Rule {} fires for the cutover's own statements too.",
        "On legacy, so that it fires for the application only, without ALWAYS or REPLICA: ALTER TABLE {table} ENABLE RULE {last};",
    ),
    (
        "firing_event_triggers",
        "fail",
        "preflight_failed",
        "Event trigger {} fires for the cutover's own DDL too, on each side by itself.",
        "On legacy, so that it fires for the application only, without ALWAYS or REPLICA: ALTER EVENT TRIGGER {} ENABLE;",
    ),
    (
        "full_sequences",
        "fail",
        "preflight_failed",
        "Sequence {} is beyond 95 % of its range, or of the column that owns it.",
        "On legacy: ALTER SEQUENCE {} AS bigint NO MINVALUE NO MAXVALUE; and, for the column that it fills, ALTER TABLE <table> ALTER COLUMN <column>"
        " TYPE bigint;",
    ),
    ("prepared", "fail", "prepared_transactions", "Transaction {} is prepared.", "On legacy: COMMIT PREPARED {literal}; or ROLLBACK PREPARED {literal};"),
    (
        "jobs",
        "fail",
        "preflight_failed",
        "{} starts work in the database by itself, also on the side that follows.",
        "Stop it for the cutover, for pg_cron in the database that is named, on the side that serves: SELECT cron.alter_job(<number>, active => false); and"
        " start it again on the side that serves.",
    ),
    (
        "jobs_beside",
        "warn",
        "scheduled_job",
        "{} starts work in the database by itself, and its row is on the side that follows as well, whose pg_cron may start it, too.",
        "Nothing has to be done for one that only writes into the database, which refuses it there. Else start it on new when the pair is finished.",
    ),
    (
        "subscriptions",
        "fail",
        "preflight_failed",
        "Subscription {} writes into the database, past every fence; on new nothing would follow.",
        "On legacy: ALTER SUBSCRIPTION {} DISABLE; ALTER SUBSCRIPTION {} SET (slot_name = NONE); DROP SUBSCRIPTION {}; and on the server that it follows,"
        " whose slot would keep its log for ever: SELECT pg_drop_replication_slot(<slot>);",
    ),
    (
        "unfencing",
        "fail",
        "preflight_failed",
        "Account {} has default_transaction_read_only = off of its own, which beats the fence.",
        "On legacy: ALTER ROLE {account} RESET default_transaction_read_only;",
    ),
    (
        "becoming",
        "fail",
        "preflight_failed",
        "{} sets role for everybody who comes, the workers of replication too.",
        "On legacy, in its database postgres, since a session in this one becomes that role, too: ALTER {} RESET role; and for each account"
        " that is meant: ALTER ROLE <account> SET role = <role>;",
    ),
    (
        "unlogged",
        "warn",
        "unlogged_table",
        "{} is unlogged, so it is not replicated: its rows are compared and carried inside the window.",
        "Nothing has to be done for a small one. Else, on legacy: ALTER TABLE {} SET LOGGED; or, if its rows do not matter, TRUNCATE {}; before the switch.",
    ),
    ("views", "warn", "materialized_view", "Materialized view {} is filled by a refresh of its own after each switch.", _WRITTEN),
    (
        "other_slots",
        "warn",
        "replication_slot",
        "Logical replication slot {} on legacy belongs to somebody else: it stays there, and its reader will not see what is written on new.",
        "Stop its reader before the switch and make a slot on new for it; then, on legacy: SELECT pg_drop_replication_slot({literal});",
    ),
    (
        "physical_slots",
        "warn",
        "replication_slot",
        "Physical replication slot {} on legacy belongs to a standby or a backup of that server, which will not see what is written on new.",
        "Give new a standby or a backup of its own; then, on legacy: SELECT pg_drop_replication_slot({literal});",
    ),
    (
        "publications",
        "warn",
        "publication",
        "Publication {} is not moved, and its subscribers will not see what is written on new.",
        "Create it on new after the switch, and let its subscribers start anew; if it has none, on legacy: DROP PUBLICATION {};",
    ),
    (
        "timeouts",
        "warn",
        "server_timeout",
        "The database sets {}; link and control sessions switch it off for themselves.",
        "Nothing has to be done; the setting is moved.",
    ),
    (
        "old_transactions",
        "warn",
        "long_transaction",
        "{} has been writing for more than a minute; slots and the window wait for it.",
        "Let it end, or end it, on legacy: SELECT pg_terminate_backend({number});",
    ),
)

_NAME = r'(?:"(?:[^"]|"")*"|[^". ]+)'
_OF_TABLE = re.compile(rf"(?P<table>.*)\.(?P<last>{_NAME})")
_OF_OWNER = re.compile(rf"(?P<table>(?P<schema>{_NAME})\..*) of (?P<owner>{_NAME})")
_ACCOUNT = re.compile(rf"(?P<account>{_NAME})(?: in (?P<dbname>{_NAME}))?")


def filled(remedy: str, name: str) -> str:
    """``remedy`` with the parts of ``name``, which itself stands in it as {}: {table} and {last} of table.part, {schema}, {table} and {owner} of
    schema.table of owner, {account} with its database, a string {literal}, the first {number}."""
    words = {"table": name, "last": name, "account": name, "literal": literal(name), "number": "".join(re.findall(r"\d+", name)[:1])}
    parts = _OF_OWNER.fullmatch(name) or _OF_TABLE.fullmatch(name)
    account = _ACCOUNT.fullmatch(name)
    if account:
        words["account"] = account["account"] + (f" IN DATABASE {account['dbname']}" if account["dbname"] else "")
    # By replacement, because a name may hold braces.
    for word, value in {"": name, **words, **(parts.groupdict() if parts else {})}.items():
        remedy = remedy.replace("{" + word + "}", value)
    return remedy


def findings(found: t.Mapping[str, t.Sequence[str]]) -> list[Finding]:
    return [
        Finding(code, level, name, message.replace("{}", name), filled(remedy, name))
        for kind, level, code, message, remedy in _RULES
        for name in found.get(kind, ())
    ]
