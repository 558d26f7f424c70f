# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbered migrations of the tables of this room. Written ones never change; a new need is a new number.

The SQL is what SQLite 3.24 and PostgreSQL 12 both understand. Documents are JSON in text, times are unix seconds of the store's clock.
Sources of the partial indexes: sqlite.org/partialindex.html (3.8.0), PostgreSQL's documentation, chapter "Partial Indexes".
"""

from __future__ import annotations

import typing as t

MIGRATIONS: t.Tuple[t.Tuple[str, ...], ...] = (
    (
        "CREATE TABLE node_fleet (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, ca_fingerprint TEXT NOT NULL)",
        """
        CREATE TABLE node_template (
            name TEXT PRIMARY KEY, document TEXT NOT NULL, revision INTEGER NOT NULL, lease_number INTEGER NOT NULL, changed_at DOUBLE PRECISION NOT NULL)
        """,
        """
        CREATE TABLE node (
            name TEXT PRIMARY KEY, template TEXT NOT NULL REFERENCES node_template (name), lifecycle_class TEXT NOT NULL, document TEXT NOT NULL,
            revision INTEGER NOT NULL, lease_number INTEGER NOT NULL, changed_at DOUBLE PRECISION NOT NULL)
        """,
        # Rows of instances outlive their node, as the record of what it had.
        """
        CREATE TABLE node_instance (
            id TEXT PRIMARY KEY, node TEXT NOT NULL, provider TEXT NOT NULL, generation INTEGER NOT NULL, spec TEXT NOT NULL, spec_hash TEXT NOT NULL,
            created_at DOUBLE PRECISION NOT NULL, desired TEXT NOT NULL, phase TEXT NOT NULL, phase_since DOUBLE PRECISION NOT NULL,
            provider_id TEXT NOT NULL, machine_created_at DOUBLE PRECISION, power TEXT NOT NULL, powered_at DOUBLE PRECISION,
            contacted_at DOUBLE PRECISION, missing_since DOUBLE PRECISION, missed_at DOUBLE PRECISION, cordoned_by TEXT NOT NULL, drained_at DOUBLE PRECISION,
            delete_requested_at DOUBLE PRECISION, finalizers TEXT NOT NULL, skipped TEXT NOT NULL, terminated_at DOUBLE PRECISION,
            lease_number INTEGER NOT NULL, UNIQUE (node, generation))
        """,
        "CREATE UNIQUE INDEX node_instance_live ON node_instance (node) WHERE terminated_at IS NULL",
        "CREATE UNIQUE INDEX node_instance_machine ON node_instance (provider_id) WHERE terminated_at IS NULL AND provider_id <> ''",
        """
        CREATE TABLE node_condition (
            instance TEXT NOT NULL REFERENCES node_instance (id), type TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,
            since DOUBLE PRECISION NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (instance, type))
        """,
        """
        CREATE TABLE node_heartbeat (
            instance TEXT PRIMARY KEY REFERENCES node_instance (id), received_at DOUBLE PRECISION NOT NULL, boot_id TEXT NOT NULL, sequence INTEGER NOT NULL,
            enrolled INTEGER NOT NULL, modules_active INTEGER NOT NULL, services_ready INTEGER NOT NULL, failed_units TEXT NOT NULL, runtimes TEXT NOT NULL,
            certificate_not_after DOUBLE PRECISION, document TEXT NOT NULL, ready_boot TEXT NOT NULL)
        """,
        """
        CREATE TABLE node_heartbeat_hour (
            instance TEXT NOT NULL REFERENCES node_instance (id), hour INTEGER NOT NULL, heartbeats INTEGER NOT NULL,
            largest_gap DOUBLE PRECISION NOT NULL, PRIMARY KEY (instance, hour))
        """,
        "CREATE TABLE node_receiver (id TEXT PRIMARY KEY, started DOUBLE PRECISION NOT NULL, last_alive DOUBLE PRECISION NOT NULL)",
        """
        CREATE TABLE node_action (
            key TEXT PRIMARY KEY, instance TEXT NOT NULL REFERENCES node_instance (id), verb TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
            attempted_at DOUBLE PRECISION, ended_at DOUBLE PRECISION, actor TEXT NOT NULL, lease_number INTEGER NOT NULL)
        """,
        "CREATE UNIQUE INDEX node_action_open ON node_action (instance, verb) WHERE ended_at IS NULL",
        """
        CREATE TABLE node_action_step (
            instance TEXT NOT NULL REFERENCES node_instance (id), position INTEGER NOT NULL, name TEXT NOT NULL, probe TEXT NOT NULL, result TEXT NOT NULL,
            started_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (instance, position))
        """,
        """
        CREATE TABLE node_event (
            node TEXT NOT NULL, position INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL, type TEXT NOT NULL, severity TEXT NOT NULL, before TEXT NOT NULL,
            after TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (node, position))
        """,
        "CREATE INDEX node_event_at ON node_event (at)",
        # Neither holds a secret: a token is kept as its SHA-256, a certificate by its serial and the SHA-256 of its key.
        """
        CREATE TABLE node_token (
            digest TEXT PRIMARY KEY, instance TEXT NOT NULL REFERENCES node_instance (id), issued_at DOUBLE PRECISION NOT NULL,
            expires_at DOUBLE PRECISION NOT NULL, bound_key TEXT, bound_at DOUBLE PRECISION, revoked_at DOUBLE PRECISION)
        """,
        """
        CREATE TABLE node_certificate (
            serial TEXT PRIMARY KEY, instance TEXT NOT NULL REFERENCES node_instance (id), key TEXT NOT NULL, not_before DOUBLE PRECISION NOT NULL,
            not_after DOUBLE PRECISION NOT NULL, revoked_at DOUBLE PRECISION, reason TEXT NOT NULL)
        """,
    ),
    (
        # Who sweeps every five minutes is not gone after one; see `health.listening_since`.
        "ALTER TABLE node_receiver ADD COLUMN gap DOUBLE PRECISION NOT NULL DEFAULT 60",
        "ALTER TABLE node_instance ADD COLUMN addresses TEXT NOT NULL DEFAULT '[]'",
    ),
    (
        # Verbs that somebody has asked for: why, once for each cause, and who has decided about it.
        "ALTER TABLE node_action ADD COLUMN fingerprint TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE node_action ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE node_action ADD COLUMN asked_at DOUBLE PRECISION",
        "ALTER TABLE node_action ADD COLUMN decision TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE node_action ADD COLUMN decided_at DOUBLE PRECISION",
        "ALTER TABLE node_action ADD COLUMN decided_by TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE node_action ADD COLUMN seen TEXT NOT NULL DEFAULT '{}'",
        "CREATE UNIQUE INDEX node_action_cause ON node_action (instance, verb, fingerprint) WHERE fingerprint <> ''",
    ),
)
