# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQLite backend: one file, write-ahead log, one writer at a time. The only file that knows sqlite3."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import typing as t
from pathlib import Path

from .._core import private
from .._core.errors import FleetError
from .._core.wait import Deadline
from .migrations import MIGRATIONS

Row = t.Mapping[str, t.Any]

# Another run holds the write lock for milliseconds; ten seconds mean that something is wrong with the file system.
_BUSY_SECONDS = 10.0


class Transaction(t.Protocol):
    """Statements of one transaction. Placeholders are question marks."""

    def execute(self, statement: str, values: t.Sequence[t.Any] = ()) -> list[Row]:
        """Rows of ``statement``; empty for one that returns none."""


class Database(t.Protocol):
    """What a backend has to offer. Transactions are serializable; a block that raises is rolled back."""

    def transaction(self) -> t.ContextManager[Transaction]:
        """One transaction, committed at the end of the block."""

    def join(self, room: str, migrations: t.Sequence[t.Sequence[str]]) -> None:
        """Bring the tables of ``room`` to the number of its ``migrations``; written ones never change. Refuses tables of a newer collection."""

    def close(self) -> None:
        """Give the connection back."""


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: t.Sequence[t.Any] = ()) -> list[Row]:
        return [dict(row) for row in self._connection.execute(statement, tuple(values)).fetchall()]


class SqliteDatabase:
    """One open store. Made by `open_for_writing` or `open_copy`."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        connection.row_factory = sqlite3.Row
        connection.isolation_level = None
        with self._typed():
            connection.execute("PRAGMA foreign_keys = ON")

    @contextlib.contextmanager
    def transaction(self) -> t.Iterator[Transaction]:
        with self._typed():
            # IMMEDIATE takes the write lock before the first read, so what was read still holds when it is written.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield _SqliteTransaction(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def migrate(self) -> None:
        """Bring the tables to the present number; refuse a store of a newer collection."""
        with self._typed():
            version = self._version()
        if version == len(MIGRATIONS):
            return
        if version > len(MIGRATIONS):
            raise _newer(self._name, "tables", version, len(MIGRATIONS))
        with self.transaction() as transaction:
            # Read again under the lock: another run may have been faster.
            for number in range(self._version(), len(MIGRATIONS)):
                for statement in MIGRATIONS[number]:
                    transaction.execute(statement)
                transaction.execute(f"PRAGMA user_version = {number + 1}")

    def join(self, room: str, migrations: t.Sequence[t.Sequence[str]]) -> None:
        with self.transaction() as transaction:
            rows = transaction.execute("SELECT number FROM room WHERE name = ?", (room,))
            version = int(rows[0]["number"]) if rows else 0
            if version > len(migrations):
                raise _newer(self._name, f"tables of {room}", version, len(migrations))
            if version == len(migrations):
                return
            for statements in migrations[version:]:
                for statement in statements:
                    transaction.execute(statement)
            transaction.execute(
                "INSERT INTO room (name, number) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = excluded.number", (room, len(migrations))
            )

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def _typed(self) -> t.Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _unavailable(self._name, error) from error


def open_for_writing(path: Path) -> SqliteDatabase:
    """The store in the file ``path``, made with its directory when missing, readable for its user only.

    Who can open the file can lock it, and who can write in its folder can put another one there: both are refused with ``unsafe_path``.
    """
    path = Path(private.real(str(path), "store"))
    try:
        if not path.parent.is_dir():
            private.folder(str(path.parent), field="store")
        os.close(private.open_file(str(path), os.O_RDWR | os.O_CREAT))
        connection = sqlite3.connect(str(path), timeout=_BUSY_SECONDS)
        _write_ahead(connection)
        # A journal that is lost with the power would hand the same lease number out twice, hence FULL.
        connection.execute("PRAGMA synchronous = FULL")
    except (OSError, sqlite3.Error) as error:
        raise _unavailable(str(path), error) from error
    database = SqliteDatabase(connection, str(path))
    database.migrate()
    return database


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Several runs that make one store at the same moment: the first write-ahead log wants the file for itself, and SQLite refuses at once
    where waiting could be a deadlock, whatever the timeout (sqlite.org/c3ref/busy_handler.html)."""
    deadline = Deadline(_BUSY_SECONDS)
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or deadline.expired():
                raise
        deadline.pause(0.02)


def open_copy(path: Path) -> SqliteDatabase:
    """A copy of the store in memory; a missing file is an empty store. Nothing is written to disk.

    A reader of a write-ahead log creates the files beside the database when they are missing, so those are only used when a writer has
    made them; else nobody writes and the file is read as it lies. Source: sqlite.org/wal.html#readonly.
    """
    path = Path(private.real(str(path), "store"))
    memory = sqlite3.connect(":memory:")
    if path.exists():
        os.close(private.open_file(str(path), os.O_RDONLY))
        mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
        try:
            source = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=_BUSY_SECONDS)
            try:
                source.backup(memory)
            finally:
                source.close()
        except sqlite3.Error as error:
            raise _unavailable(str(path), error) from error
    database = SqliteDatabase(memory, str(path))
    database.migrate()
    return database


def _newer(name: str, what: str, seen: int, known: int) -> FleetError:
    return FleetError(
        "store_unavailable",
        f"{name} has {what} of version {seen}; this collection knows {known}. Nothing was changed.",
        remedy="Use the newer collection that wrote it.",
    )


def _unavailable(name: str, error: Exception) -> FleetError:
    return FleetError(
        "store_unavailable",
        f"The store {name} could not be used: {error}.",
        remedy="Check the path and its permissions, or name another with store.",
    )
