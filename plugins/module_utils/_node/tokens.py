# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lets a machine in: tokens for its first word, certificates for every other. The store holds digests and serials, never a token or a key.

A token is bound to the first key that comes with it, in one conditional update, before anything is signed: a reply that was lost is answered again for the
same key, and another key gets nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._store.database import Database, Transaction
from .migrations import MIGRATIONS
from .model import NodeEvent
from .store import ROOM, Held, note, prove

TOKEN_TTL = 86400.0
# A machine whose clock is a little slow takes a new certificate for valid.
BACKDATED = 600.0
# How long after its end a certificate still lets its machine ask for the next one.
GRACE = 7 * 86400.0


@dataclass(frozen=True)
class Certificate:
    """``key`` is the SHA-256 of the public key in DER. Times are unix seconds."""

    serial: str
    instance: str
    key: str
    not_before: float
    not_after: float
    revoked_at: t.Optional[float] = None
    reason: str = ""


class Tokens:
    """Tokens and certificates of one fleet. ``clock`` gives unix seconds."""

    def __init__(self, database: Database, clock: t.Callable[[], float] = time.time) -> None:
        self._database, self._now = database, clock
        database.join(ROOM, MIGRATIONS)

    def issue(self, held: Held, instance: str, ttl: float = TOKEN_TTL) -> str:
        """A new token for an instance; one that was issued before and not used is worth nothing any more. It is shown once, here."""
        token = secrets.token_urlsafe(32)
        with self._database.transaction() as transaction:
            prove(transaction, held, self._now())
            transaction.execute("UPDATE node_token SET revoked_at = ? WHERE instance = ? AND bound_key IS NULL AND revoked_at IS NULL", (self._now(), instance))
            transaction.execute(
                "INSERT INTO node_token (digest, instance, issued_at, expires_at) VALUES (?, ?, ?, ?)",
                (_digest(token), instance, self._now(), self._now() + ttl),
            )
        return token

    def bind(self, token: str, key: str) -> str:
        """The instance that ``token`` is for, bound to ``key`` from now on. A machine has no lease; the token is its right.

        Raises FleetError ``token_expired`` (also for one that nobody issued, which is not told apart), ``token_bound`` for another key.
        """
        with self._database.transaction() as transaction:
            transaction.execute(
                "UPDATE node_token SET bound_key = ?, bound_at = ? WHERE digest = ? AND bound_key IS NULL AND revoked_at IS NULL AND expires_at > ?",
                (key, self._now(), _digest(token), self._now()),
            )
            rows = transaction.execute(
                "SELECT node_token.*, node_instance.node FROM node_token JOIN node_instance ON node_instance.id = node_token.instance WHERE digest = ?",
                (_digest(token),),
            )
            row = rows[0] if rows else None
            if row is not None and row["bound_key"] not in (None, key):
                note(transaction, NodeEvent(row["node"], 0, self._now(), "token_bound", "critical", row["bound_key"], key, "a second key came with one token"))
        if row is None or row["revoked_at"] is not None or row["expires_at"] <= self._now() or row["bound_key"] is None:
            raise FleetError("token_expired", "The token is over, or nobody has issued it. Nothing was signed.", "Provision anew, or enrol by push.")
        if row["bound_key"] != key:
            raise FleetError("token_bound", f"The token of instance {row['instance']} is bound to another key. Nothing was signed.",
                             "Find out who came first; then issue a new token.", {"instance": row["instance"]})  # fmt: skip
        return str(row["instance"])

    def signed(self, certificate: Certificate) -> None:
        """Keep what was signed."""
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO node_certificate (serial, instance, key, not_before, not_after, reason) VALUES (?, ?, ?, ?, ?, '')",
                (certificate.serial, certificate.instance, certificate.key, certificate.not_before, certificate.not_after),
            )

    def lets_in(self, serial: str, grace: float = 0.0) -> t.Optional[Certificate]:
        """The certificate of this serial while it lets its machine in; None when it is over by more than ``grace``, revoked, or not ours."""
        with self._database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM node_certificate WHERE serial = ?", (serial,))
        found = Certificate(**rows[0]) if rows else None
        if found is None or found.revoked_at is not None:
            return None
        return found if found.not_before <= self._now() < found.not_after + grace else None

    def revoke(self, held: Held, instance: str, reason: str) -> int:
        """Nothing lets this instance in any more; how many certificates and tokens were worth something until now."""
        with self._database.transaction() as transaction:
            prove(transaction, held, self._now())
            left = _worth(transaction, instance, self._now())
            transaction.execute(
                "UPDATE node_certificate SET revoked_at = ?, reason = ? WHERE instance = ? AND revoked_at IS NULL", (self._now(), reason, instance)
            )
            transaction.execute("UPDATE node_token SET revoked_at = ? WHERE instance = ? AND revoked_at IS NULL", (self._now(), instance))
        return left

    def worth(self, instance: str) -> int:
        """How many certificates and tokens still let this instance in; 0 is the proof of finalizer ``credentials``."""
        with self._database.transaction() as transaction:
            return _worth(transaction, instance, self._now())


def _worth(transaction: Transaction, instance: str, now: float) -> int:
    found = 0
    for statement in (
        "SELECT COUNT(*) AS known FROM node_certificate WHERE instance = ? AND revoked_at IS NULL AND not_after > ?",
        "SELECT COUNT(*) AS known FROM node_token WHERE instance = ? AND revoked_at IS NULL AND expires_at > ?",
    ):
        found += int(transaction.execute(statement, (instance, now))[0]["known"])
    return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
