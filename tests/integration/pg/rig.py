# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two real PostgreSQL clusters on loopback, a module process to drive them, and writers whose ledger judges what was lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from ansible_collections.bowline.fleet.tests.loading import load as load_file
from psycopg import sql
from psycopg.rows import dict_row


def load(name: str):
    """A file beside this one, as ``bowline_pg_<name>``."""
    return load_file(Path(__file__).parent / f"{name}.py", f"bowline_pg_{name}")


versions, writes = load("versions"), load("writes")

AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
SUPER, LINK = "canary-super-5e7", "canary-link-9b1"
DATABASE = "hub"
# What a test looks at or plants: past fence and freeze, and not ended by a timeout that the database under test has.
BYPASS = "-c default_transaction_read_only=off -c pgcut.bypass=on -c statement_timeout=0 -c lock_timeout=0"
# No event trigger of the database under test.
QUIET = "SET session_replication_role = replica"
ODD = Path(__file__).parent / "odd.sql"
ROLES = ("hub", "readers", "pgcut_repl", "odd_owner", 'Ünlauter "Gast"', "odd_reader", "odd_definer", "low", "mallory")

SCHEMA = """
CREATE ROLE hub LOGIN PASSWORD 'canary-app-3c2';
CREATE ROLE readers;
GRANT readers TO hub;
"""
TABLES = r'''
SET ROLE hub;
CREATE TABLE ledger (id bigserial PRIMARY KEY, key text NOT NULL UNIQUE, amount bigint NOT NULL, at timestamptz DEFAULT now());
CREATE TABLE balance (name text PRIMARY KEY, total bigint NOT NULL);
INSERT INTO balance SELECT 'account ' || n, 0 FROM generate_series(1, 20) n;
CREATE SCHEMA counters;
CREATE SEQUENCE counters.ticket START 1000 INCREMENT 7;
CREATE TYPE mood AS ENUM ('calm', 'müde');
CREATE TABLE "Größe" ("Schlüssel" int PRIMARY KEY,
  "Zahl der ""Dinge""" int DEFAULT nextval('counters.ticket'), state mood DEFAULT 'calm');
INSERT INTO "Größe" SELECT n FROM generate_series(1, 300) n;
CREATE TABLE events (at date NOT NULL, id bigint NOT NULL, note text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE events_a PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_b PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO events SELECT date '2025-01-01' + n % 700, n, md5(n::text) FROM generate_series(1, 3000) n;
CREATE TABLE keyless (a int, b text);
INSERT INTO keyless SELECT n, md5(n::text) FROM generate_series(1, 200) n;
CREATE TABLE unique_only (a int NOT NULL, b text);
CREATE UNIQUE INDEX unique_only_a ON unique_only (a);
INSERT INTO unique_only SELECT n, md5(n::text) FROM generate_series(1, 200) n;
CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint REFERENCES ledger,
  double bigint GENERATED ALWAYS AS (parent * 2) STORED);
CREATE INDEX child_parent ON child (parent);
CREATE MATERIALIZED VIEW totals AS SELECT name, total FROM balance;
GRANT SELECT ON ledger TO readers;
RESET ROLE;
SELECT lo_from_bytea(0, '\xdeadbeef');
'''


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Cluster:
    """One server. ``log`` records every statement, so that a canary in it would be found, unless the settings say otherwise."""

    def __init__(self, name: str, home: Path, major: int, host: str = "127.0.0.1", around: tuple[str, ...] = ()) -> None:
        """``host`` is where others reach it; ``around`` are words before the command that starts it, such as a network namespace."""
        self.name = name
        self.host = host
        self.around = around
        self.home = home / name
        self.major = major
        self.bin = versions.bindir(major)
        self.port = free_port()
        self.log = self.home / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def create(self, *settings: str) -> None:
        """``settings`` are lines for postgresql.conf; a later line wins over an earlier one."""
        self.home.mkdir()
        shutil.chown(self.home, "postgres", "postgres")
        password = self.home / "password"
        password.write_text(SUPER)
        shutil.chown(password, "postgres", "postgres")
        subprocess.run(
            [*AS_POSTGRES, self.bin / "initdb", f"--pgdata={self.home / 'data'}", "--username=postgres", f"--pwfile={password}",
             "--auth=scram-sha-256",
             "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd="/",
        )
        with (self.home / "data" / "postgresql.conf").open("a") as file:
            file.write(
                f"port = {self.port}\nlisten_addresses = '{self.host}'\nunix_socket_directories = '{self.home}'\nwal_level = logical\n"
                "max_wal_senders = 20\nmax_replication_slots = 20\nmax_connections = 120\nmax_prepared_transactions = 5\n"
                "max_logical_replication_workers = 8\nmax_worker_processes = 16\nshared_buffers = 64MB\n"
                "autovacuum_naptime = 1h\n"
                # Its transactions would look like writes of ours to those who count them.
                "log_statement = all\nlog_line_prefix = '%m [%p] %q%u@%d %a '\n" + "".join(f"{line}\n" for line in settings)
            )
        with (self.home / "data" / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet scram-sha-256\n")

    def start(self) -> None:
        with self.log.open("ab") as log:
            argv = [*self.around, *AS_POSTGRES, self.bin / "postgres", "-D", self.home / "data"]
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()[-2000:]
                time.sleep(0.05)

    def stop(self, number: int = 2) -> None:
        """2 is SIGINT, the fast shutdown; 9 is a crash of every process of the server."""
        if self.process is None:
            return
        if number == 9:
            # Each of its processes leads a session of its own, so they are not in its process group.
            for pid in (self.process.pid, *children(self.process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
        else:
            self.process.send_signal(number)
        self.process.wait(30)
        self.process = None
        if number == 9:
            (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)

    def connect(self, dbname: str = DATABASE, **more) -> psycopg.Connection:
        words = {"host": self.host, "port": self.port, "user": "postgres", "password": SUPER, "dbname": dbname, "autocommit": True,
                 "row_factory": dict_row, "options": BYPASS, "client_encoding": "UTF8", **more}
        return psycopg.connect(**words)

    def rows(self, text: str | sql.Composable, *params, dbname: str = DATABASE) -> list[dict]:
        with self.connect(dbname) as connection:
            cursor = connection.execute(text, params or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, text: str, *params, dbname: str = DATABASE):
        return next(iter(self.rows(text, *params, dbname=dbname)[0].values()))

    def takes_writes(self) -> bool:
        """Whether a new session of a client may write, read past the module."""
        while True:
            # A server that is down says so here. A session that has begun may be ended with those of a window, as any other.
            with self.connect(options="") as client, contextlib.suppress(psycopg.OperationalError):
                return client.execute("SHOW default_transaction_read_only").fetchone()["default_transaction_read_only"] == "off"


class World:
    """Both clusters and everything that a test does with them. Majors come from LAB_PG_LEGACY and LAB_PG_TARGET unless they are given.

    ``settings`` has lines for postgresql.conf by side. A run of the module that takes longer than ``patience`` seconds is an error.
    """

    patience = 180.0

    def __init__(self, legacy: int | None = None, new: int | None = None, settings: dict[str, tuple[str, ...]] | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="bowline-pg-test-"))
        self.home.chmod(0o711)
        self.legacy = Cluster("legacy", self.home, legacy or versions.wanted("legacy"))
        self.new = Cluster("new", self.home, new or versions.wanted("target"))
        self.settings = settings or {}
        self.serial = 0
        self.owner_code: list[str] = []

    @property
    def clusters(self) -> tuple[Cluster, Cluster]:
        return self.legacy, self.new

    def start(self) -> None:
        for cluster in self.clusters:
            cluster.create(*self.settings.get(cluster.name, ()))
            passfile = cluster.home / "link.pgpass"
            passfile.write_text(f"*:*:*:pgcut_repl:{LINK}\n")
            passfile.chmod(0o600)
            shutil.chown(passfile, "postgres", "postgres")
            cluster.start()
        self.passfile = self.home / "control.pgpass"
        self.passfile.write_text(f"*:*:*:postgres:{SUPER}\n")
        self.passfile.chmod(0o600)

    def stop(self) -> None:
        for cluster in self.clusters:
            cluster.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def reset(self, odd: int = 0) -> None:
        """An application's database on legacy, or the odd one with ``odd`` rows in its bulk tables; nothing on new."""
        for cluster in self.clusters:
            if cluster.process is None or cluster.process.poll() is not None:
                cluster.start()
            if cluster.rows("SELECT 1 FROM pg_database WHERE datname = %s", DATABASE, dbname="postgres"):
                for row in cluster.rows("SELECT subname FROM pg_subscription"):
                    for text in ("DISABLE", "SET (slot_name = NONE)"):
                        cluster.rows(f"{QUIET}; ALTER SUBSCRIPTION {row['subname']} {text}")
                    cluster.rows(f"{QUIET}; DROP SUBSCRIPTION {row['subname']}")
        for cluster in self.clusters:
            for row in cluster.rows("SELECT slot_name, active_pid FROM pg_replication_slots", dbname="postgres"):
                until(lambda slot=row["slot_name"]: self._dropped(cluster, slot), 10, f"slot {row['slot_name']} to be dropped")
            cluster.rows(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", dbname="postgres")
            for role in ROLES:
                cluster.rows(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)), dbname="postgres")
        self.legacy.rows(SCHEMA, dbname="postgres")
        self.legacy.rows(f"CREATE DATABASE {DATABASE} OWNER hub", dbname="postgres")
        # An index of the odd database calls a function of its owner.
        self.owner_code = ["odd.half(integer)"] if odd else []
        if odd:
            self.legacy.rows(f"SET odd.rows = '{odd}'; " + ODD.read_text(encoding="utf-8"))
        else:
            self.legacy.rows(TABLES)

    def _dropped(self, cluster: Cluster, slot: str) -> bool:
        try:
            cluster.rows(f"SELECT pg_drop_replication_slot('{slot}')", dbname="postgres")
            return True
        except psycopg.Error:
            cluster.rows("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", slot, dbname="postgres")
            return False

    def params(self, state: str, **more) -> dict:
        def endpoint(cluster: Cluster) -> dict:
            words = {"host": cluster.host, "port": cluster.port, "dbname": DATABASE, "passfile": str(self.passfile), "bindir": str(cluster.bin)}
            # Loopback, or a network of our own. Servers that prove who they are: test_accounts.py, the lab.
            return {**words, "sslmode": "disable"}

        def reach(to: Cluster, seen_by: Cluster) -> dict:
            return {"host": to.host, "port": to.port, "passfile": str(seen_by.home / "link.pgpass")}

        ways = {"to_legacy": reach(self.legacy, self.new), "to_new": reach(self.new, self.legacy)}
        link = {"user": "pgcut_repl", "password": LINK, "sslmode": "prefer", **ways}
        return {"state": state, "legacy": endpoint(self.legacy), "new": endpoint(self.new), "link": link, "wait_timeout": 120,
                "accept_owner_code": self.owner_code, **more}

    def spawn(self, state: str, fault: str = "", **more) -> subprocess.Popen[str]:
        self.serial += 1
        path = self.home / f"params-{self.serial}.json"
        params = self.params(state, **more)
        if state == "info":
            params = {"info": True, "legacy": params["legacy"], "new": params["new"]}
        path.write_text(json.dumps(params))
        env = {**os.environ, **({"BOWLINE_FAULT": fault} if fault else {})}
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "drive.py"), str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True,
        )

    def run(self, state: str, **more) -> dict:
        """The result, or the failure under ``failure``. One that says that nothing was changed is held against the log of legacy."""
        before = writes.Mark(self.legacy)
        process = self.spawn(state, **more)
        out, err = process.communicate(timeout=self.patience)
        assert out.strip(), err[-3000:]
        assert "canary" not in out
        outcome = json.loads(out)
        before.judge(outcome, process.pid)
        return outcome

    def ok(self, state: str, **more) -> dict:
        outcome = self.run(state, **more)
        assert "failure" not in outcome, outcome["failure"]
        return outcome

    def open_sides(self) -> list[str]:
        """Read past the module: which databases give a new session write access."""
        return [
            cluster.name for cluster in self.clusters
            if cluster.rows("SELECT 1 FROM pg_database WHERE datname = %s", DATABASE, dbname="postgres")
            and cluster.takes_writes()
        ]

    def serving(self) -> Cluster:
        sides = self.open_sides()
        assert len(sides) == 1, sides
        return self.legacy if sides == ["legacy"] else self.new


def until(condition, seconds: float, what: str):
    deadline = time.monotonic() + seconds
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def failed(outcome: dict, code: str, *words: str) -> dict:
    """The failure of a run, which has ``code`` and a remedy with all ``words``."""
    failure = outcome.get("failure", {})
    assert outcome.get("failed") and failure["code"] == code, failure or outcome
    assert failure["remedy"] and all(word in failure["remedy"] for word in words), failure
    return failure


@dataclass
class Writers:
    """Clients that find the side that takes writes by themselves (libpq, target_session_attrs) and remember what was acknowledged."""

    world: World
    count: int = 4
    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    # For each acknowledged commit: its client, when that began to try (attempts that failed included), and when it was acknowledged.
    waits: list[tuple[int, float, float]] = field(default_factory=list)

    def __enter__(self) -> Writers:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(self.count)]
        self._label = f"{time.time_ns():x}"
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.acknowledged) > self.count or self.wrong, 10, "the first writes")
        return self

    def __exit__(self, *_error) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _connect(self):
        legacy, new = self.world.clusters
        return psycopg.connect(
            host=f"{legacy.host},{new.host}", port=f"{legacy.port},{new.port}", user="hub", password="canary-app-3c2", dbname=DATABASE,
            target_session_attrs="read-write", connect_timeout=2,
        )

    def _write(self, number: int) -> None:
        connection, serial, pick, began = None, 0, random.Random(number), 0.0
        while not self._stop.is_set():
            began = began or time.monotonic()
            try:
                connection = connection or self._connect()
            except psycopg.OperationalError:
                time.sleep(0.01)
                continue
            serial += 1
            key = f"{self._label}-{number}-{serial}"
            sent = False
            try:
                connection.execute("INSERT INTO ledger (key, amount) VALUES (%s, %s)", (key, serial))
                connection.execute("UPDATE balance SET total = total + 1 WHERE name = %s", (f"account {pick.randint(1, 20)}",))
                if serial % 5 == 0:
                    connection.execute("UPDATE keyless SET b = %s WHERE a = %s", (key, pick.randint(1, 200)))
                    connection.execute("UPDATE unique_only SET b = %s WHERE a = %s", (key, pick.randint(1, 200)))
                sent = True
                connection.commit()
                with self._lock:
                    self.acknowledged.add(key)
                    self.times.append(time.monotonic())
                    self.waits.append((number, began, self.times[-1]))
                began = 0.0
            except psycopg.Error as error:
                with self._lock:
                    if sent:
                        self.doubtful.add(key)
                    else:
                        self.refused.add(key)
                    if isinstance(error, (psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.DataError)):
                        self.wrong.append(str(error))
                connection.close()
                connection = None
            time.sleep(0.002)
        if connection is not None:
            connection.close()

    def longest_gap(self, since: float = 0.0) -> float:
        """Between two acknowledged commits of any client, the later one after ``since``."""
        times = sorted(self.times)
        return max((later - earlier for earlier, later in zip(times, times[1:]) if later > since), default=0.0)

    def longest_wait(self, since: float = 0.0) -> float:
        """Of one client for one commit that was acknowledged after ``since``."""
        return max((ended - began for _client, began, ended in self.waits if ended > since), default=0.0)

    def judge(self) -> dict:
        """Lost and unexpectedly present rows, by what the serving side holds now."""
        present = {row["key"] for row in self.world.serving().rows("SELECT key FROM ledger WHERE key LIKE %s", f"{self._label}-%")}
        return {"acknowledged": len(self.acknowledged), "lost": len(self.acknowledged - present),
                "unacknowledged_present": len(present - self.acknowledged - self.doubtful), "wrong": self.wrong[:3]}

    def assert_lossless(self) -> None:
        verdict = self.judge()
        assert verdict["acknowledged"] > 20, verdict
        assert (verdict["lost"], verdict["unacknowledged_present"], verdict["wrong"]) == (0, 0, []), verdict
