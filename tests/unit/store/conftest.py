# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store of its own for each test of the contract, on SQLite."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._store.migrations import MIGRATIONS
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_copy, open_for_writing


class SqlitePlace:
    def __init__(self, path):
        self.path = path

    def open(self):
        return open_for_writing(self.path)

    def copy(self, as_it_is=False):
        return open_copy(self.path, as_it_is)

    def raw(self, *statements):
        """The first column of the last statement's rows, read and written past the store."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.path.touch(mode=0o600)
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return [[row[0] for row in connection.execute(statement)] for statement in statements][-1]

    def tables(self):
        return set(self.raw("SELECT name FROM sqlite_master WHERE type = 'table'")) if self.path.exists() else set()

    def version(self):
        return self.raw("PRAGMA user_version")[0]

    def set_version(self, number):
        self.raw(f"PRAGMA user_version = {number}")

    def older(self, number, rows):
        """A file as version ``number`` has left it."""
        self.raw(*(statement for statements in MIGRATIONS[:number] for statement in statements), *rows)
        self.set_version(number)


@pytest.fixture
def place(tmp_path):
    return SqlitePlace(tmp_path / "state" / "store.db")
