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
from .database import BUSY_SECONDS, Backend, Migrations, Row, Transaction
from .migrations import MIGRATIONS


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: t.Sequence[t.Any] = ()) -> list[Row]:
        return [dict(row) for row in self._connection.execute(statement, tuple(values)).fetchall()]


class SqliteDatabase(Backend):
    """One open store. Made by `open_for_writing` or `open_copy`."""

    def __init__(self, connection: sqlite3.Connection, name: str, as_it_is: bool = False) -> None:
        super().__init__(name, as_it_is)
        self._connection = connection
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

    def version(self) -> int:
        with self._typed():
            return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def set_version(self, transaction: Transaction, number: int) -> None:
        transaction.execute(f"PRAGMA user_version = {number}")

    def tables(self) -> list[str]:
        """Names of all tables, in the order in which they were made."""
        with self._typed():
            found = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
            return [str(row["name"]) for row in found if not row["name"].startswith("sqlite_")]

    @contextlib.contextmanager
    def _typed(self) -> t.Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _unavailable(self.name, error) from error


class Source(t.Protocol):
    """A store that cannot be copied as a file, as it was at one moment."""

    version: int
    rooms: t.Mapping[str, int]

    def rows(self, table: str) -> tuple[t.Sequence[str], t.Sequence[t.Sequence[t.Any]]]:
        """Columns and rows of a table."""

    def close(self) -> None: ...


class SqliteCopy(SqliteDatabase):
    """A store of another backend in memory.

    Its tables are made by the migrations that the source has run, filled, and then brought to the present number, as the real run would do it.
    Those of a room come when it joins: nobody else asks for them.
    """

    def __init__(self, source: Source, name: str, as_it_is: bool = False) -> None:
        super().__init__(sqlite3.connect(":memory:"), name, as_it_is)
        self._source = source
        self._waiting = dict(source.rooms)
        if source.version <= len(MIGRATIONS):
            self._fetch(MIGRATIONS[: source.version])
        with self.transaction() as transaction:
            self.set_version(transaction, source.version)
        self.migrate()

    def join(self, room: str, migrations: Migrations) -> None:
        number = self._waiting.pop(room, 0)
        if number <= len(migrations):
            self._fetch(migrations[:number])
        super().join(room, migrations)

    def close(self) -> None:
        self._source.close()
        super().close()

    def _fetch(self, migrations: Migrations) -> None:
        """Make the tables as the source has them, and put its rows there."""
        before = set(self.tables())
        with self.transaction() as transaction:
            # Rows of one table may name each other; https://www.sqlite.org/pragma.html#pragma_defer_foreign_keys ends with the transaction.
            transaction.execute("PRAGMA defer_foreign_keys = ON")
            for statements in migrations:
                for statement in statements:
                    self.define(transaction, statement)
            for table in [name for name in self.tables() if name not in before]:
                columns, rows = self._source.rows(table)
                places = ", ".join("?" * len(columns))
                self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)


def open_for_writing(path: Path) -> SqliteDatabase:
    """The store in the file ``path``, made with its directory when missing, readable for its user only.

    Who can open the file can lock it, and who can write in its folder can put another one there: both are refused with ``unsafe_path``.
    """
    path = Path(private.real(str(path), "store"))
    try:
        if not path.parent.is_dir():
            private.folder(str(path.parent), field="store")
        os.close(private.open_file(str(path), os.O_RDWR | os.O_CREAT))
        connection = sqlite3.connect(str(path), timeout=BUSY_SECONDS)
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
    deadline = Deadline(BUSY_SECONDS)
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or deadline.expired():
                raise
        deadline.pause(0.02)


def open_copy(path: Path, as_it_is: bool = False) -> SqliteDatabase:
    """A copy of the store in memory; a missing file is an empty store, unless it is wanted ``as_it_is``. Nothing is written to disk.

    A reader of a write-ahead log creates the files beside the database when they are missing, so those are only used when a writer has
    made them; else nobody writes and the file is read as it lies. Source: sqlite.org/wal.html#readonly.
    """
    path = Path(private.real(str(path), "store"))
    memory = sqlite3.connect(":memory:")
    if path.exists():
        os.close(private.open_file(str(path), os.O_RDONLY))
        mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
        try:
            source = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_SECONDS)
            try:
                source.backup(memory)
            finally:
                source.close()
        except sqlite3.Error as error:
            raise _unavailable(str(path), error) from error
    elif as_it_is:
        raise _missing(path)
    database = SqliteDatabase(memory, str(path), as_it_is)
    database.migrate()
    return database


def _missing(path: Path) -> FleetError:
    return FleetError(
        "store_unavailable",
        f"There is no store at {path}. Nothing was read, and nothing was made.",
        remedy="Name the store of this fleet (option store or dsn, BOWLINE_STATE_DSN), or declare the first node with node_template and node.",
    )


def _unavailable(name: str, error: Exception) -> FleetError:
    return FleetError(
        "store_unavailable",
        f"The store {name} could not be used: {error}.",
        remedy="Check the path and its permissions, or name another with store.",
    )
