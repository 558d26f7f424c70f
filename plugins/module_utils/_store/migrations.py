# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbered migrations of the tables that `_store` owns. Written ones never change; a new need is a new number.

The SQL is what SQLite 3.24 and PostgreSQL 12 both understand. Documents are JSON in text, times are unix seconds.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE lease (
            subject TEXT PRIMARY KEY, number INTEGER NOT NULL, operation_id TEXT, owner TEXT,
            taken_at DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION NOT NULL)
        """,
        """
        CREATE TABLE operation (
            id TEXT PRIMARY KEY, kind TEXT NOT NULL, subjects TEXT NOT NULL, leases TEXT NOT NULL, lease_ttl DOUBLE PRECISION NOT NULL,
            owner TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT, vcs_ref TEXT, parameters TEXT NOT NULL,
            started_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION, outcome TEXT, result TEXT)
        """,
        """
        CREATE TABLE operation_subject (
            operation_id TEXT NOT NULL REFERENCES operation (id), subject TEXT NOT NULL, PRIMARY KEY (subject, operation_id))
        """,
        """
        CREATE TABLE step (
            operation_id TEXT NOT NULL REFERENCES operation (id), id TEXT NOT NULL, name TEXT NOT NULL, position INTEGER NOT NULL,
            PRIMARY KEY (operation_id, id))
        """,
        """
        CREATE TABLE step_host (
            operation_id TEXT NOT NULL, step_id TEXT NOT NULL, host TEXT NOT NULL, status TEXT NOT NULL,
            started_at DOUBLE PRECISION, ended_at DOUBLE PRECISION, changed INTEGER NOT NULL,
            evidence TEXT NOT NULL, bookmark TEXT NOT NULL, failure TEXT,
            PRIMARY KEY (operation_id, step_id, host), FOREIGN KEY (operation_id, step_id) REFERENCES step (operation_id, id))
        """,
        """
        CREATE TABLE event (
            operation_id TEXT NOT NULL REFERENCES operation (id), position INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL,
            kind TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (operation_id, position))
        """,
        "CREATE INDEX operation_kind ON operation (kind, started_at)",
    ),
    # How far the tables of each room are: a room brings migrations of its own, see `Database.join`.
    ("CREATE TABLE room (name TEXT PRIMARY KEY, number INTEGER NOT NULL)",),
)
