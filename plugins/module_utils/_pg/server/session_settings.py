# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a control session: what keeps foreign code, fences, timeouts and logs away from it. One place for all of them."""

from __future__ import annotations

# A session with rights inside a database whose objects belong to lesser users runs none of their code: names are found in no schema of
# theirs (search_path), and what a user may name instead of a table, a view or a foreign table, is refused by the server. 12.20, 13.16,
# 14.13, 15.8, 16.4 and newer know that setting (CVE-2024-7348; ApplyRetrieveRule in src/backend/rewrite/rewriteHandler.c: only views with an
# OID of 16384 and above); what older ones need is in `relations`. session_replication_role is set in `connect`. docs/adr/0034.
RESTRICT = "restrict_nonsystem_relation_kind"
# A control session must not be stopped by what an operator set for the application, nor by our own fence and freeze. Settings that a
# version does not know are left out by the query. client_connection_check_interval ends a backend whose client was killed.
CONTROL = {
    RESTRICT: "view, foreign-table",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "client_connection_check_interval": "500",
    "synchronous_commit": "on",
    "standard_conforming_strings": "on",
    # Queries over catalogs are estimated high and done in milliseconds; compiling one took 80 ms to 5 s on a loaded machine.
    "jit": "off",
    "search_path": "",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    # The planner would evaluate CHECK constraints of the table's owner.
    "constraint_exclusion": "off",
    "quote_all_identifiers": "off",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "row_security": "on",
}
# All of them are settable by a superuser at any time (src/backend/utils/misc/guc_tables.c: PGC_SUSET or PGC_USERSET).
QUIET = {
    # pg_stat_activity shows the last statement of a session to members of pg_monitor.
    "track_activities": "off",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_min_error_statement": "panic",
    # An error's own message may quote the word at which it was seen; it comes back to us in any case.
    "log_min_messages": "panic",
    "log_error_verbosity": "terse",
    "debug_print_parse": "off",
    "debug_print_rewritten": "off",
    "debug_print_plan": "off",
    "debug_print_raw_parse": "off",
    "pgaudit.log": "none",
    "auto_explain.log_min_duration": "-1",
    "pg_stat_statements.track": "none",
    "pg_stat_statements.track_utility": "off",
}


# What a database's owner sets holds before a session's first statement: an account to become, a time to be ended after, whose = is meant. Settings of the
# connection's start win over them. Of all versions from 12 on; a name that a server does not know would end the connection.
_START = ("role=none", "search_path=", "statement_timeout=0", "lock_timeout=0", "idle_in_transaction_session_timeout=0", "default_transaction_read_only=off")


def start_options(*more: str) -> str:
    """Words for ``options`` of a connection, or PGOPTIONS of a program, that keep settings of others out from the first moment on."""
    return " ".join(f"-c {setting}" for setting in (*_START, *more))
