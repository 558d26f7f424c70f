# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Heartbeats and who listens for them. Facts, not decisions: they are written without a lease, by whoever hears them."""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import asdict, replace

from .._core.redact import redact
from .._core.result import plain
from .._store.database import Database, Transaction
from .migrations import MIGRATIONS
from .model import Heartbeat, Receiver
from .noticed import note_all, noticed
from .rows import heartbeat_of
from .store import ROOM
from .tidy import tidy

_HOUR = 3600


class Beats:
    """The last heartbeat of each instance, how regular they come, and the lives of receivers. ``clock`` gives unix seconds."""

    def __init__(self, database: Database, clock: t.Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = clock
        database.join(ROOM, MIGRATIONS)

    def heard(self, given: Heartbeat) -> Heartbeat:
        """Keep what a machine said. Its moment is the one of its receipt here; one that is older than the last of the same boot changes nothing."""
        with self._database.transaction() as transaction:
            return self._keep(transaction, given, self._now())

    def swept(self, receiver: t.Optional[str], gap: float, given: t.Sequence[Heartbeat]) -> t.List[Heartbeat]:
        """Keep what all machines said that ``receiver`` has asked, and its own sign of life, in one transaction.

        The receiver has listened without a break when it comes within the seconds that it gave itself last time, or gives itself now; the next
        time it comes within ``gap`` seconds. None has not listened.
        """
        now = self._now()
        with self._database.transaction() as transaction:
            kept = [self._keep(transaction, one, now) for one in given]
            if receiver is not None:
                rows = transaction.execute("SELECT started, last_alive, gap FROM node_receiver WHERE id = ?", (receiver,))
                unbroken = bool(rows) and 0 <= now - rows[0]["last_alive"] <= max(gap, rows[0]["gap"])
                self._alive(transaction, Receiver(receiver, rows[0]["started"] if unbroken else now, now, gap))
        return kept

    def tidied(self) -> t.Dict[str, int]:
        """Forget what is kept for long enough, in a transaction of its own; see `tidy`."""
        with self._database.transaction() as transaction:
            return tidy(transaction, self._now())

    def _keep(self, transaction: Transaction, given: Heartbeat, now: float) -> Heartbeat:
        rows = transaction.execute("SELECT * FROM node_heartbeat WHERE instance = ?", (given.instance,))
        last = heartbeat_of(rows[0]) if rows else None
        if last is not None and last.boot_id == given.boot_id and given.sequence <= last.sequence:
            return last
        ready = given.boot_id if given.good() or (last is not None and last.ready_boot == given.boot_id) else ""
        kept = replace(given, received_at=now, ready_boot=ready)
        values = {**asdict(kept), **{name: json.dumps(plain(redact(getattr(kept, name)))) for name in ("failed_units", "runtimes", "document")}}
        values.update({name: int(values[name]) for name in ("enrolled", "modules_active", "services_ready")})
        columns = [name for name in values if name != "instance"]
        transaction.execute(
            f"INSERT INTO node_heartbeat ({', '.join(values)}) VALUES ({', '.join('?' * len(values))}) ON CONFLICT (instance) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in columns),
            list(values.values()),
        )
        note_all(transaction, noticed(last, kept), given.instance, now)
        gap = now - last.received_at if last is not None else 0.0
        transaction.execute(
            "INSERT INTO node_heartbeat_hour (instance, hour, heartbeats, largest_gap) VALUES (?, ?, 1, ?) ON CONFLICT (instance, hour) DO UPDATE"
            " SET heartbeats = node_heartbeat_hour.heartbeats + 1, largest_gap ="
            " CASE WHEN excluded.largest_gap > node_heartbeat_hour.largest_gap THEN excluded.largest_gap ELSE node_heartbeat_hour.largest_gap END",
            (given.instance, int(now // _HOUR), gap),
        )
        return kept

    def last(self, instance: str) -> t.Optional[Heartbeat]:
        with self._database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM node_heartbeat WHERE instance = ?", (instance,))
        return heartbeat_of(rows[0]) if rows else None

    def hours(self, instance: str, limit: int = 24) -> t.List[t.Dict[str, t.Any]]:
        """How many came in each of the last hours, and the largest gap in seconds; the latest hour first."""
        with self._database.transaction() as transaction:
            rows = transaction.execute(
                "SELECT hour, heartbeats, largest_gap FROM node_heartbeat_hour WHERE instance = ? ORDER BY hour DESC LIMIT ?", (instance, limit)
            )
        return [dict(row) for row in rows]

    def certificates(self, instance: str) -> t.List[t.Dict[str, t.Any]]:
        """Certificates that were issued to an instance, the latest first; without their keys."""
        with self._database.transaction() as transaction:
            rows = transaction.execute(
                "SELECT serial, not_before, not_after, revoked_at, reason FROM node_certificate WHERE instance = ? ORDER BY not_before DESC, serial",
                (instance,),
            )
        return [dict(row) for row in rows]

    def listens(self, receiver: str, started: float) -> None:
        """A sign of life of a receiver that listens since ``started`` without a break."""
        with self._database.transaction() as transaction:
            self._alive(transaction, Receiver(receiver, started, self._now()))

    def _alive(self, transaction: Transaction, given: Receiver) -> None:
        transaction.execute(
            "INSERT INTO node_receiver (id, started, last_alive, gap) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET started = excluded.started,"
            " last_alive = excluded.last_alive, gap = excluded.gap",
            (given.id, given.started, given.last_alive, given.gap),
        )

    def receivers(self) -> t.Tuple[Receiver, ...]:
        with self._database.transaction() as transaction:
            return tuple(Receiver(**row) for row in transaction.execute("SELECT * FROM node_receiver ORDER BY id"))
