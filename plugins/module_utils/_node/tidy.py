# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long what happened is kept. What is over goes a bounded number of rows at a time, so that no sweep waits for it."""

from __future__ import annotations

import typing as t

from .._store.database import Transaction

DAY = 86400.0
EVENTS, EVENT_DAYS, TERMINATED_DAYS = 300, 30, 90
# Rows of one turn; what is left goes with the next one.
_EVENTS_AT_ONCE, _HOURS_AT_ONCE, _INSTANCES_AT_ONCE = 5000, 5000, 100

# The last event of a node stays for ever: the next one is counted from it, and its digest is over that one's.
_EVENTS = """
DELETE FROM node_event WHERE (node, position) IN (
    SELECT old.node, old.position FROM node_event old JOIN (SELECT node, MAX(position) AS last FROM node_event GROUP BY node) newest
    ON newest.node = old.node WHERE old.position <= newest.last - ? OR (old.at < ? AND old.position < newest.last) ORDER BY old.at LIMIT ?)
"""
_HOURS = "DELETE FROM node_heartbeat_hour WHERE (instance, hour) IN (SELECT instance, hour FROM node_heartbeat_hour WHERE hour < ? LIMIT ?)"
# The last machine of a node that is declared stays: the next one is counted from it. So does one whose certificate, denied or not, still lives.
_INSTANCES = """
SELECT id FROM node_instance gone WHERE terminated_at < ?
AND NOT EXISTS (SELECT 1 FROM node_certificate WHERE instance = gone.id AND not_after > ?)
AND (NOT EXISTS (SELECT 1 FROM node WHERE name = gone.node)
     OR EXISTS (SELECT 1 FROM node_instance later WHERE later.node = gone.node AND later.generation > gone.generation))
ORDER BY terminated_at LIMIT ?
"""
# Tables whose rows are of an instance, and itself last.
_OF_INSTANCE = (
    ("node_condition", "instance"), ("node_heartbeat", "instance"), ("node_heartbeat_hour", "instance"), ("node_action_step", "instance"),
    ("node_action", "instance"), ("node_token", "instance"), ("node_certificate", "instance"), ("node_instance", "id"),
)  # fmt: skip


def tidy(transaction: Transaction, now: float) -> t.Dict[str, int]:
    """Forget events beyond 300 of a node or 30 days, hourly counts of 30 days ago, and machines whose end is 90 days ago; how many machines went."""
    transaction.execute(_EVENTS, (EVENTS, now - EVENT_DAYS * DAY, _EVENTS_AT_ONCE))
    transaction.execute(_HOURS, (int((now - EVENT_DAYS * DAY) // 3600), _HOURS_AT_ONCE))
    gone = [row["id"] for row in transaction.execute(_INSTANCES, (now - TERMINATED_DAYS * DAY, now, _INSTANCES_AT_ONCE))]
    for table, column in _OF_INSTANCE if gone else ():
        transaction.execute(f"DELETE FROM {table} WHERE {column} IN ({', '.join('?' * len(gone))})", gone)
    return {"instances": len(gone)}
