# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sessions of the product wrote on a server: statements in its log, and accounts, since those pass through sessions that log nothing."""

from __future__ import annotations

import re

import psycopg

# One statement of the log, by a session of the module or of a program that it runs; rig.py sets the prefix of a line.
_ENTRY = re.compile(r"\n(?=\d{4}-\d\d-\d\d )")
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*?)(?=\n\d{4}-\d\d-\d\d |\Z)", re.S)
_WRITES = re.compile(
    r"(?:^|;)\s*(?:CREATE|ALTER|DROP|GRANT|REVOKE|INSERT|UPDATE|DELETE|TRUNCATE|COMMENT|REFRESH|REINDEX"
    r"|LOCK(?!.* IN ACCESS SHARE MODE)|COPY\s+[^\s(]+(?:\s*\([^)]*\))?\s+FROM)\b"
    r"|\bFOR (?:KEY )?SHARE\b|\bFOR (?:NO KEY )?UPDATE\b"
    r"|\b(?:setval|nextval|lo_\w+|pg_create_\w+_slot|pg_drop_replication_slot|pg_replication_slot_advance|pg_logical_emit_message|"
    r"pg_replication_origin_\w+|pg_reload_conf|pg_terminate_backend)\s*\(", re.I,
)
# A name or a value may be anything.
_QUOTED = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'")
# The other server is reached from this one by a subscription in a transaction that is rolled back (pair.try_link).
_TRIED = re.compile(r"CREATE SUBSCRIPTION pgcut_try ")
_ACCOUNTS = """
SELECT (SELECT md5(string_agg(a::text, '' ORDER BY a.oid)) FROM pg_authid a) || (SELECT md5(coalesce(string_agg(m::text, '' ORDER BY m::text), ''))
  FROM pg_auth_members m) || (SELECT md5(coalesce(string_agg(s::text, '' ORDER BY s::text), '')) FROM pg_db_role_setting s)
  || (SELECT md5(string_agg(coalesce(d.datacl::text, '-'), '' ORDER BY d.oid)) FROM pg_database d) AS known
"""
# What the product says when it has refused.
CLAIM = re.compile(r"[Nn]othing was (?:changed|written on legacy)")


def accounts(cluster) -> str:
    """Empty for a server that does not answer."""
    try:
        return cluster.value(_ACCOUNTS, dbname="postgres")
    except psycopg.Error:
        return ""


def statements(cluster, at: int, process: int = 0) -> list[str]:
    """Statements in the log of ``cluster`` from byte ``at`` on that write, by sessions of the module; of one ``process`` where it is given."""
    with cluster.log.open("rb") as file:
        file.seek(at)
        text = file.read().decode("utf-8", errors="replace")
    who = re.compile(rf"@\S+ bowline .*:{process} LOG" if process else r"@\S+ (?:bowline|pgcut)")
    found = []
    for entry in _ENTRY.split(text):
        statement = _STATEMENT.search(entry)
        if statement and who.search(entry) and _WRITES.search(_QUOTED.sub("x", statement[1])) and not _TRIED.match(statement[1]):
            found.append(" ".join(statement[1].split())[:100])
    return found


class Mark:
    """A moment before a run."""

    def __init__(self, cluster) -> None:
        self._cluster = cluster
        self._at = cluster.log.stat().st_size if cluster.log.exists() else 0
        self._accounts = accounts(cluster)

    def judge(self, outcome: dict, process: int) -> None:
        """A failure that says that nothing was changed is believed by the log of the server only."""
        failure = outcome.get("failure") or {}
        if not CLAIM.search(failure.get("message", "")):
            return
        assert statements(self._cluster, self._at, process) == [], failure
        if failure["code"] != "locked" and self._accounts and accounts(self._cluster):
            # The other run may change them.
            assert accounts(self._cluster) == self._accounts, failure
