# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store on a real PostgreSQL: one server per session, a database and an account of its own for each test."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._store.dsn import Server
from ansible_collections.bowline.fleet.plugins.module_utils._store.migrations import MIGRATIONS
from ansible_collections.bowline.fleet.plugins.module_utils._store.postgres import open_copy, open_for_writing
from ansible_collections.bowline.fleet.tests.loading import load as load_file

FOLDER = Path(__file__).resolve().parents[1]
# The server is the one of the tests of _pg. They may have loaded it already, and a second one would be another class.
rig = sys.modules.get("bowline_pg_rig") or load_file(FOLDER / "pg" / "rig.py", "bowline_pg_rig")
UNIT = FOLDER.parent / "unit"
contract = load_file(UNIT / "store" / "test_store_contract.py", "bowline_store_contract")
nodes = load_file(UNIT / "node" / "test_store.py", "bowline_node_store")

PASSWORD = "canary-store-4d1"


class PostgresPlace:
    """One database, owned by nobody who uses it; account ``fleet`` may make a schema there."""

    def __init__(self, cluster, name):
        self.cluster, self.name, self.passfile = cluster, name, cluster.home / "passfile"
        cluster.rows(f"CREATE DATABASE {name}", dbname="postgres")
        self.admin(f"GRANT CREATE ON DATABASE {name} TO fleet")

    def dsn(self, user="fleet", more=""):
        return f"postgresql://{user}@127.0.0.1:{self.cluster.port}/{self.name}?sslmode=disable&passfile={self.passfile}{more}"

    def open(self, user="fleet"):
        return open_for_writing(Server(self.dsn(user)))

    def copy(self, user="fleet", as_it_is=False):
        return open_copy(Server(self.dsn(user)), as_it_is)

    def admin(self, *statements):
        """As a superuser; the rows of the last statement."""
        return [self.cluster.rows(statement, dbname=self.name) for statement in statements][-1]

    def raw(self, *statements):
        """The first column of the last statement's rows, as the account of the store but past the store."""
        words = {"host": "127.0.0.1", "port": self.cluster.port, "dbname": self.name, "user": "fleet", "password": PASSWORD}
        with psycopg.connect(**words, autocommit=True, options="-c search_path=bowline") as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []

    def tables(self):
        return set(self.raw("SELECT tablename FROM pg_tables WHERE schemaname = 'bowline'"))

    def version(self):
        return self.raw("SELECT number FROM version")[0]

    def set_version(self, number):
        self.raw(f"UPDATE version SET number = {number}")

    def older(self, number, rows):
        """A schema as version ``number`` of the tables has left it."""
        made = (statement for statements in MIGRATIONS[:number] for statement in statements)
        self.raw("CREATE SCHEMA bowline", "CREATE TABLE version (number INTEGER NOT NULL)", f"INSERT INTO version VALUES ({number})", *made, *rows)


@pytest.fixture(scope="session")
def server():
    home = Path(tempfile.mkdtemp(prefix="bowline-store-test-"))
    home.chmod(0o711)
    cluster = rig.Cluster("store", home, rig.versions.wanted("target"))
    try:
        cluster.create("fsync = off", "log_statement = none")
        cluster.start()
        cluster.rows(f"CREATE ROLE fleet LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE other LOGIN PASSWORD '{PASSWORD}'", dbname="postgres")
        passfile = cluster.home / "passfile"
        passfile.touch(mode=0o600)
        passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def place(server, request):
    name = f"store_{os.urandom(4).hex()}"
    yield PostgresPlace(server, name)
    with contextlib.suppress(psycopg.OperationalError):
        server.rows(f"DROP DATABASE {name} WITH (FORCE)", dbname="postgres")
