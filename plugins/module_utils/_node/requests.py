# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions that somebody has asked for, as the store keeps them. Every write proves the lease of the node and is an event of it."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict, replace

from .._core.redact import redact
from .._store.database import Database
from .migrations import MIGRATIONS
from .model import Action, NodeEvent
from .store import ROOM, Held, note, prove


class Requests:
    """Asked actions of one fleet. ``clock`` gives unix seconds."""

    def __init__(self, database: Database, clock: t.Callable[[], float] = time.time) -> None:
        self._database, self._now = database, clock
        database.join(ROOM, MIGRATIONS)

    def of_node(self, node: str, since: float = 0.0) -> t.List[Action]:
        """Those of every machine that the node has had, the latest first: open ones, and others that were asked for after ``since``."""
        with self._database.transaction() as transaction:
            rows = transaction.execute(
                "SELECT * FROM node_action WHERE fingerprint <> '' AND (ended_at IS NULL OR asked_at >= ?) AND instance IN"
                " (SELECT id FROM node_instance WHERE node = ?) ORDER BY asked_at DESC, key",
                (since, node),
            )
        return [Action(**row) for row in rows]

    def node_of(self, key: str) -> str:
        """The node whose action has this key; empty when nobody's has."""
        with self._database.transaction() as transaction:
            rows = transaction.execute("SELECT node FROM node_instance WHERE id = (SELECT instance FROM node_action WHERE key = ?)", (key,))
        return str(rows[0]["node"]) if rows else ""

    def keep(self, held: Held, node: str, action: Action, word: str, actor: str, severity: str = "info") -> Action:
        """Write an action as it is now; ``word`` says what was done to it."""
        with self._database.transaction() as transaction:
            prove(transaction, held, self._now())
            written = replace(action, reason=str(redact(action.reason)), lease_number=held.number)
            values = asdict(written)
            names = [name for name in values if name not in ("key", "instance", "verb", "fingerprint")]
            transaction.execute(
                f"INSERT INTO node_action ({', '.join(values)}) VALUES ({', '.join('?' * len(values))}) ON CONFLICT (key) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}" for name in names),
                list(values.values()),
            )
            reason = f"{written.verb} ({written.fingerprint}) {written.reason}".strip()
            note(transaction, NodeEvent(node, 0, self._now(), "action", severity, "", word, reason, actor))
        return written
