# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store is to a room, whichever database is behind it, and how its tables are brought to the present number.

A statement is written once for both databases: see `migrations`.
"""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .migrations import MIGRATIONS

Row = t.Mapping[str, t.Any]
Migrations = t.Sequence[t.Sequence[str]]

# Another run holds the store for milliseconds; ten seconds mean that it hangs, or that something is wrong below the database.
BUSY_SECONDS = 10.0


class Transaction(t.Protocol):
    """Statements of one transaction. Placeholders are question marks."""

    def execute(self, statement: str, values: t.Sequence[t.Any] = ()) -> list[Row]:
        """Rows of ``statement``; empty for one that returns none."""


class Database(t.Protocol):
    """What a backend has to offer. Transactions are serializable; a block that raises is rolled back."""

    def transaction(self) -> t.ContextManager[Transaction]:
        """One transaction, committed at the end of the block. All others wait meanwhile, so nothing slow belongs into it, least of all a host.

        Raises FleetError ``store_unavailable``.
        """

    def join(self, room: str, migrations: Migrations) -> None:
        """Bring the tables of ``room`` to the number of its ``migrations``; written ones never change. Refuses tables of a newer collection."""

    def close(self) -> None:
        """Give the connection back."""


class Backend:
    """What both databases share: migrations, of the tables of `_store` and of those of a room, under the one lock of a transaction."""

    def __init__(self, name: str, as_it_is: bool = False) -> None:
        """``as_it_is``: tables that are not of the present number are refused, and none is made."""
        self.name, self._as_it_is = name, as_it_is

    def transaction(self) -> t.ContextManager[Transaction]:
        raise NotImplementedError

    def version(self) -> int:
        """Number of the migrations of `_store` that were run; 0 for a store without tables."""
        raise NotImplementedError

    def set_version(self, transaction: Transaction, number: int) -> None:
        raise NotImplementedError

    def define(self, transaction: Transaction, statement: str) -> None:
        """Run one statement of a migration."""
        transaction.execute(statement)

    def migrate(self) -> None:
        """Bring the tables of `_store` to the present number; refuse a store of a newer collection."""
        pending = self._pending()
        if pending == 0:
            return
        if self._as_it_is:
            raise self.older("tables", len(MIGRATIONS) - pending, len(MIGRATIONS))
        with self.transaction() as transaction:
            # Read again under the lock: another run may have been faster.
            pending = self._pending()
            for statements in MIGRATIONS[len(MIGRATIONS) - pending :]:
                for statement in statements:
                    self.define(transaction, statement)
            if pending:
                self.set_version(transaction, len(MIGRATIONS))

    def join(self, room: str, migrations: Migrations) -> None:
        with self.transaction() as transaction:
            rows = transaction.execute("SELECT number FROM room WHERE name = ?", (room,))
            version = int(rows[0]["number"]) if rows else 0
            if version > len(migrations):
                raise self.newer(f"tables of {room}", version, len(migrations))
            if version == len(migrations):
                return
            if self._as_it_is:
                raise self.older(f"tables of {room}", version, len(migrations))
            for statements in migrations[version:]:
                for statement in statements:
                    self.define(transaction, statement)
            transaction.execute(
                "INSERT INTO room (name, number) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = excluded.number", (room, len(migrations))
            )

    def _pending(self) -> int:
        version = self.version()
        if version > len(MIGRATIONS):
            raise self.newer("tables", version, len(MIGRATIONS))
        return len(MIGRATIONS) - version

    def newer(self, what: str, seen: int, known: int) -> FleetError:
        return FleetError(
            "store_unavailable",
            f"{self.name} has {what} of version {seen}; this collection knows {known}. Nothing was changed.",
            remedy="Use the newer collection that wrote it.",
        )

    def older(self, what: str, seen: int, known: int) -> FleetError:
        said = f"has {what} of version {seen}; this collection knows {known}" if seen else f"has no {what}"
        return FleetError(
            "store_unavailable",
            f"{self.name} {said}. Nothing was read, and nothing was changed.",
            remedy="Is it the right store? If so, a task that writes brings it to the present version, even one that has nothing to do: "
            """ansible localhost -m bowline.fleet.node_sweep -a '{"statuses": []}'.""",
        )
