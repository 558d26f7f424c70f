# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routers against the real programs: PgBouncer in transaction pooling, libpq with several hosts; and the prediction of the window."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

PGBOUNCER = "/usr/sbin/pgbouncer"
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
ADMIN, APPLICATION = "canary-admin-7f1", "canary-app-3c2"
OTHER = {"new": "legacy", "legacy": "new"}
BUILD = Path(__file__).parents[3] / "build" / "bench"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)


def failed(outcome, code):
    assert outcome.get("failed"), outcome
    assert outcome["failure"]["code"] == code, outcome["failure"]
    return outcome["failure"]


class Bouncer:
    """One PgBouncer before both servers, with an administrator who has a password."""

    def __init__(self, world, *, mode="transaction") -> None:
        self.world = world
        self.port = free_port()
        self.home = world.home / f"bouncer-{self.port}"
        self.home.mkdir()
        self.config, self.log = self.home / "pgbouncer.ini", self.home / "log"
        users = self.home / "users.txt"
        users.write_text(f'"hub" "{APPLICATION}"\n"operator" "{ADMIN}"\n"viewer" "{ADMIN}"\n')
        self.config.write_text(
            "; the databases, kept by hand\n[databases]\n"
            f"hub = host=127.0.0.1 port={world.legacy.port} dbname=hub ; no comment here for PgBouncer\n".replace(" ; no comment here for PgBouncer", "")
            + f"  other=dbname=postgres host='127.0.0.1' port={world.legacy.port}   \n\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
            f"auth_file = {users}\nadmin_users = operator\nstats_users = viewer\npool_mode = {mode}\ndefault_pool_size = 8\n"
            f"max_client_conn = 200\nlogfile = {self.log}\nserver_tls_sslmode = disable\n"
        )
        for path in (users, self.config):
            path.chmod(0o640)
        for path in (self.home, users, self.config):
            shutil.chown(path, "postgres", "postgres")
        self.passfile = self.home / "pgpass"
        self.passfile.write_text(f"*:*:*:*:{ADMIN}\n")
        self.passfile.chmod(0o600)

    def __enter__(self) -> Bouncer:
        self.process = subprocess.Popen([*AS_POSTGRES, PGBOUNCER, "-q", str(self.config)], cwd="/", start_new_session=True)
        wait_until(self._answers, 10, "PgBouncer")
        return self

    def __exit__(self, *_error) -> None:
        self.process.kill()
        self.process.wait(10)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    @property
    def router(self) -> dict:
        return {
            "type": "pgbouncer", "host": "127.0.0.1", "port": self.port, "user": "operator", "passfile": str(self.passfile),
            "config": str(self.config), "databases": ["hub"],
        }

    def connect(self, dbname="hub", user="hub", password=APPLICATION, **more):
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, dbname=dbname, connect_timeout=20, prepare_threshold=None, **more
        )

    def console(self, text: str) -> list[dict]:
        with self.connect("pgbouncer", "operator", ADMIN, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []

    def goes_to(self) -> tuple[int, int]:
        """Port and paused of the entry, as PgBouncer says."""
        row = next(row for row in self.console("SHOW DATABASES") if row["name"] == "hub")
        return int(row["port"]), int(row["paused"])


@dataclass
class PoolWriters:
    """Clients of a pool: they stay connected, take every error for a failure, and remember how long each transaction took."""

    bouncer: Bouncer
    count: int = 8
    fresh: int = 0
    taken: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> PoolWriters:
        self._stop = threading.Event()
        self._label = f"{time.time_ns():x}"
        self.acknowledged: set[str] = set()
        work = [(self._stay, number) for number in range(self.count)] + [(self._come, number) for number in range(self.fresh)]
        self._threads = [threading.Thread(target=target, args=(f"{target.__name__}{number}",), daemon=True) for target, number in work]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.taken) > 3 * len(work) or self.errors, 20, "the first writes")
        return self

    def __exit__(self, *_error) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _stay(self, name: str) -> None:
        serial = 0
        try:
            with self.bouncer.connect() as connection:
                while not self._stop.is_set():
                    serial += 1
                    self._write(connection, f"{self._label}-{name}-{serial}")
        except psycopg.Error as error:
            self.errors.append(f"{name} {time.monotonic():.3f}: {error}")

    def _come(self, name: str) -> None:
        serial = 0
        while not self._stop.is_set():
            serial += 1
            try:
                with self.bouncer.connect() as connection:
                    self._write(connection, f"{self._label}-{name}-{serial}")
            except psycopg.Error as error:
                self.errors.append(f"{name} {time.monotonic():.3f}: {error}")

    def _write(self, connection, key: str) -> None:
        began = time.monotonic()
        connection.execute("INSERT INTO ledger (key, amount) VALUES (%s, 1)", (key,))
        connection.execute("UPDATE balance SET total = total + 1 WHERE name = 'account ' || (1 + floor(random() * 20))::int")
        connection.commit()
        now = time.monotonic()
        self.acknowledged.add(key)
        self.taken.append((now, now - began))
        time.sleep(0.004)

    def longest(self, since: float) -> float:
        """Milliseconds of the slowest transaction that ended after ``since``."""
        return max(seconds for at, seconds in list(self.taken) if at >= since) * 1000

    def assert_lossless(self, world) -> None:
        present = {row["key"] for row in world.serving().rows("SELECT key FROM ledger WHERE key LIKE %s", f"{self._label}-%")}
        assert len(self.acknowledged) > 50
        assert (self.acknowledged - present, present - self.acknowledged) == (set(), set())


@pytest.fixture(scope="module")
def pair(clusters):
    clusters.reset()
    clusters.ok("armed")
    return clusters


@pytest.fixture
def armed(pair):
    if pair.open_sides() != ["legacy"]:
        pair.ok("legacy", verify="none")
    pair.ok("armed")
    return pair


def record(name: str, data) -> None:
    """Ratios and their parts, for the table of the project; nothing is judged by them here."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


def test_clients_of_a_pool_see_latency_only(armed):
    """Six switches with writers that stay connected: no error, no row lost, and nobody waits longer than three times the database does."""
    seen = []
    with Bouncer(armed) as bouncer, PoolWriters(bouncer) as clients:
        for to in ("new", "legacy") * 3:
            since = time.monotonic()
            outcome = armed.ok(to, router=bouncer.router, verify="none")
            time.sleep(0.5)
            seen.append({"to": to, "longest_ms": round(clients.longest(since), 1)}
                        | {name: outcome[name] for name in ("database_ms", "window_ms", "pause_ms", "steps")})
            assert bouncer.goes_to() == (getattr(armed, to).port, 0)
            assert clients.errors == []
    clients.assert_lossless(armed)
    ratios = [one["longest_ms"] / one["database_ms"] for one in seen]
    record("pgbouncer", {"switches": seen, "transactions": len(clients.taken), "errors": len(clients.errors), "ratio": statistics.median(ratios)})
    assert statistics.median(ratios) <= 3, seen
