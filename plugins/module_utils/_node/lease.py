# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The right to write a node: the lease that this run holds already, or a short operation of its own."""

from __future__ import annotations

import contextlib
import json
import typing as t

from .._store import process
from .._store.database import Database
from .._store.model import Owner
from .._store.store import StateStore
from .store import Held


class Leases:
    """Leases of one run. ``owner`` is its process."""

    def __init__(self, database: Database, state: StateStore, owner: Owner) -> None:
        self._database, self._state, self._owner = database, state, owner

    @contextlib.contextmanager
    def held(self, subject: str, kind: str, parameters: t.Mapping[str, t.Any], reason: t.Optional[str] = None, ttl: float = 60.0) -> t.Iterator[Held]:
        """The right to write ``subject`` for the block. Inside an operation of this run it is that operation's; else one is opened and ended here.

        Raises FleetError ``locked`` when another run works on the subject.
        """
        number = self._ours(subject)
        if number is not None:
            yield Held(subject, number)
            return
        opened = self._state.open(kind, [subject], [], lease_ttl=ttl, reason=reason, parameters=parameters)
        try:
            yield Held(subject, opened["lease_numbers"][subject])
        except BaseException:
            self._state.end(opened["id"], "failed")
            raise
        self._state.end(opened["id"], "succeeded")

    def _ours(self, subject: str) -> t.Optional[int]:
        """The number under which an operation of this very process holds the subject."""
        with self._database.transaction() as transaction:
            rows = transaction.execute("SELECT number, owner FROM lease WHERE subject = ? AND operation_id IS NOT NULL", (subject,))
        if not rows or not process.same_process(Owner(**json.loads(rows[0]["owner"])), self._owner):
            return None
        return int(rows[0]["number"])
