# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routers against the real programs: PgBouncer in transaction pooling, libpq with several hosts; and the prediction of the window."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.routers.clients import clients as clients_of

rig = sys.modules["bowline_pg_rig"]
wait_until, failed = rig.until, rig.failed

PGBOUNCER = "/usr/sbin/pgbouncer"
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
ADMIN, APPLICATION = "canary-admin-7f1", "canary-app-3c2"
OTHER = {"new": "legacy", "legacy": "new"}
BUILD = Path(__file__).parents[3] / "build" / "bench"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bouncer:
    """One PgBouncer before both servers, with an administrator who has a password."""

    def __init__(self, world, *, mode="transaction") -> None:
        self.world = world
        self.port = free_port()
        # A port may come again.
        self.home = world.home / f"bouncer-{self.port}-{time.monotonic_ns()}"
        self.home.mkdir()
        self.config, self.log = self.home / "pgbouncer.ini", self.home / "log"
        users = self.home / "users.txt"
        users.write_text(f'"hub" "{APPLICATION}"\n"operator" "{ADMIN}"\n"viewer" "{ADMIN}"\n')
        self.config.write_text(
            "; the databases, kept by hand\n[databases]\n"
            f"hub = host=127.0.0.1 port={world.legacy.port} dbname=hub\n"
            f"  other=dbname=postgres host='127.0.0.1' port={world.legacy.port}   \n\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
            f"auth_file = {users}\nadmin_users = operator\nstats_users = viewer\npool_mode = {mode}\ndefault_pool_size = 4\n"
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

    def point(self, cluster, port: int = 0) -> None:
        """Send the entry to another server, as an operator would."""
        lines = self.config.read_text().splitlines(keepends=True)
        self.config.write_text("".join(
            f"hub = host=127.0.0.1 port={port or cluster.port} dbname=hub\n" if line.startswith("hub = ") else line for line in lines
        ))
        self.console("RELOAD")

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

    def gap(self, since: float) -> float:
        """Milliseconds in which no transaction of any client was acknowledged, the longest after ``since``: the pause of the database."""
        times = sorted(at for at, _seconds in list(self.taken) if at >= since - 0.2)
        return max(later - earlier for earlier, later in zip(times, times[1:])) * 1000

    def assert_lossless(self, world) -> None:
        present = {row["key"] for row in world.serving().rows("SELECT key FROM ledger WHERE key LIKE %s", f"{self._label}-%")}
        assert len(self.acknowledged) > 50
        assert (self.acknowledged - present, present - self.acknowledged) == (set(), set())


class Distance:
    """Loopback ports that lead to a server with ``rtt`` seconds of round trip in between; bytes stay in order."""

    def __init__(self, rtt: float) -> None:
        self.rtt = rtt
        self._tasks, self._servers = set(), []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Distance:
        return self

    def __exit__(self, *_error) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def to(self, port: int) -> int:
        async def serve() -> int:
            server = await asyncio.start_server(lambda *ends: self._join(ends, port), "127.0.0.1", 0)
            self._servers.append(server)
            return server.sockets[0].getsockname()[1]

        return asyncio.run_coroutine_threadsafe(serve(), self._loop).result(5)

    async def _join(self, near, port: int) -> None:
        far = await asyncio.open_connection("127.0.0.1", port)
        for source, sink in ((near[0], far[1]), (far[0], near[1])):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source, sink) -> None:
        data = b"begin"
        while data:
            try:
                data = await source.read(65536)
            except OSError:
                data = b""
            self._loop.call_later(self.rtt / 2, sink.write if data else lambda _data: sink.close(), data)


def stopped(process) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1].startswith("T")


def record(name: str, data) -> None:
    """Ratios and their parts, for the table of the project."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


# --- PgBouncer --------------------------------------------------------------------------------------------------------------------


def test_clients_of_a_pool_see_latency_only(armed):
    """Six switches, clients that stay and clients that come anew: no error, no row lost, and nobody waits three times as long as the database."""
    seen = []
    with Bouncer(armed) as bouncer, PoolWriters(bouncer, fresh=2) as clients:
        before = bouncer.config.read_text()
        for to in ("new", "legacy") * 3:
            since = time.monotonic()
            outcome = armed.ok(to, router=bouncer.router, verify="none")
            time.sleep(0.4)
            seen.append(
                {"to": to, "longest_ms": round(clients.longest(since), 1), "gap_ms": round(clients.gap(since), 1)}
                | {name: outcome[name] for name in ("database_ms", "window_ms", "pause_ms")}
            )
            assert bouncer.goes_to() == (getattr(armed, to).port, 0)
            assert clients.errors == []
        assert bouncer.config.read_text() == before
    clients.assert_lossless(armed)
    to_gap, to_window = (statistics.median(one["longest_ms"] / one[name] for one in seen) for name in ("gap_ms", "window_ms"))
    ratios = {"longest_to_gap": round(to_gap, 2), "longest_to_window": round(to_window, 2)}
    record("pgbouncer", {"switches": seen, "transactions": len(clients.taken), "errors": len(clients.errors), **ratios})
    assert to_gap <= 3, seen


def test_only_the_entry_of_the_database_is_changed_and_others_are_not_held(armed):
    with Bouncer(armed) as bouncer:
        before, mode = bouncer.config.read_text(), bouncer.config.stat()
        with bouncer.connect("other", autocommit=True) as other:
            armed.ok("new", router=bouncer.router, verify="none")
            # One session through it all: PAUSE of one database closes no connection of another.
            assert other.execute("SELECT inet_server_port()").fetchone() == (armed.legacy.port,)
        after = bouncer.config.stat()
        assert bouncer.config.read_text() == before.replace(f"hub = host=127.0.0.1 port={armed.legacy.port}", f"hub = host=127.0.0.1 port={armed.new.port}")
        assert (after.st_mode, after.st_uid, after.st_gid) == (mode.st_mode, mode.st_uid, mode.st_gid)
        assert sorted(path.name for path in bouncer.home.iterdir()) == ["log", "pgbouncer.ini", "pgpass", "users.txt"]
        assert armed.ok("new", router=bouncer.router)["changed"] is False


def test_check_mode_and_preflight_touch_nothing(armed):
    with Bouncer(armed) as bouncer:
        before = (bouncer.config.read_bytes(), bouncer.config.stat().st_mtime_ns)
        for state in ("preflight", "new"):
            outcome = armed.ok(state, router=bouncer.router, check_mode=True)
            assert [finding for finding in outcome["findings"] if finding["code"] == "router_failed"] == []
        assert (bouncer.config.read_bytes(), bouncer.config.stat().st_mtime_ns) == before
        told = bouncer.log.read_text()
        assert "PAUSE" not in told and "RELOAD" not in told and "RECONNECT" not in told


def test_a_pooler_that_gives_no_answer_is_asked_again(armed):
    with Bouncer(armed) as bouncer:
        bouncer.process.send_signal(signal.SIGSTOP)
        found = [finding for finding in armed.ok("preflight", router={**bouncer.router, "timeout": 1})["findings"] if finding["code"] == "router_failed"]
        assert found and found[0]["remedy"], found
        bouncer.process.send_signal(signal.SIGCONT)
        told = armed.ok("preflight", router=bouncer.router)["findings"]
        assert [finding for finding in told if finding["code"] == "router_failed"] == []


def test_a_pause_that_cannot_end_is_taken_back_before_the_fence(armed):
    with Bouncer(armed) as bouncer, bouncer.connect(application_name="slow job") as slow:
        slow.execute("INSERT INTO ledger (key, amount) VALUES ('slow', 1)")
        epochs = armed.ok("info")["epoch"]
        began = time.monotonic()
        failure = failed(armed.run("new", router=bouncer.router, window_attempts=1, drain_grace=0.5, on_active="terminate"), "active_transactions")
        assert "slow job" in failure["message"] and "0.5 s" in failure["message"]
        assert bouncer.goes_to() == (armed.legacy.port, 0)
        assert armed.open_sides() == ["legacy"] and armed.ok("info")["epoch"] == epochs
        with bouncer.connect(autocommit=True) as client:
            client.execute("INSERT INTO balance VALUES (%s, 1)", (f"after {began}",))
        slow.commit()
        assert armed.ok("new", router=bouncer.router, verify="none")["serving"] == "new"


def test_session_pooling_is_refused_before_anything_is_held(armed):
    with Bouncer(armed, mode="session") as bouncer:
        before = bouncer.config.read_bytes()
        failure = failed(armed.run("new", router=bouncer.router), "router_failed")
        assert "pooled by session" in failure["message"] and "pool_mode = transaction" in failure["remedy"]
        assert (bouncer.config.read_bytes(), armed.open_sides()) == (before, ["legacy"])
        assert "PAUSE" not in bouncer.log.read_text()
        # The remedy; a pool that exists keeps its mode until its clients are gone.
        bouncer.config.write_text(bouncer.config.read_text().replace("pool_mode = session", "pool_mode = transaction"))
        bouncer.console("RELOAD")
        assert [finding for finding in armed.ok("preflight", router=bouncer.router)["findings"] if finding["code"] == "router_failed"] == []


@pytest.mark.parametrize(("change", "edit", "said"), [
    pytest.param({"port": 1}, None, "does not let user operator into its console", id="no console"),
    pytest.param({"user": "viewer"}, None, "admin access needed", id="no administrator"),
    pytest.param({"config": "/nonexistent/pgbouncer.ini"}, None, "cannot be read: No such file", id="no file"),
    pytest.param({"databases": ["hubb"]}, None, "has no entry hubb", id="no entry"),
    pytest.param({}, ("hub = ", "; hub = "), "has no entry hub", id="entry in a comment"),
    pytest.param({}, ("hub = ", "%include /etc/more.ini\n; hub = "), "%include are not searched", id="entry elsewhere"),
    pytest.param({}, ("hub = ", "* = "), "An entry * serves other databases", id="entry for all"),
    pytest.param({}, ("hub = host=127.0.0.1", "hub = host=127.0.0.2"), "sends hub to 127.0.0.2:", id="another file"),
    pytest.param({"to_legacy": {"host": "192.0.2.1"}}, None, "which is neither legacy (192.0.2.1:5432)", id="another address"),
])
def test_what_would_fail_is_found_by_the_preflight(armed, change, edit, said):
    with Bouncer(armed) as bouncer:
        before = bouncer.config.read_text()
        if edit:
            bouncer.config.write_text(bouncer.config.read_text().replace(*edit))
        found = [finding for finding in armed.ok("preflight", router={**bouncer.router, **change})["findings"] if finding["code"] == "router_failed"]
        assert [finding["level"] for finding in found] == ["fail"]
        assert said in found[0]["message"] and found[0]["remedy"]
        failure = failed(armed.run("new", router={**bouncer.router, **change}), "router_failed")
        assert said in failure["message"] and armed.open_sides() == ["legacy"]
        # The remedy: what is named is as it is when nothing was changed.
        bouncer.config.write_text(before)
        assert [finding for finding in armed.ok("preflight", router=bouncer.router)["findings"] if finding["code"] == "router_failed"] == []


@pytest.mark.parametrize(("line", "named", "said", "remedy"), [
    pytest.param("query_wait_timeout = 5\n", ["hub"], "query_wait_timeout", "query_wait_timeout = 120\n", id="clients are given up on"),
    pytest.param("", ["fresh"], "does not know fresh", "", id="not reloaded"),
])
def test_what_a_finding_about_the_pooler_says_ends_it(armed, line, named, said, remedy):
    with Bouncer(armed) as bouncer:
        text = bouncer.config.read_text() + line
        if named == ["fresh"]:
            text = text.replace("hub = ", f"fresh = host=127.0.0.1 port={armed.legacy.port} dbname=hub\nhub = ")
        bouncer.config.write_text(text)
        if line:
            bouncer.console("RELOAD")
        router = {**bouncer.router, "databases": named}
        found = [finding for finding in armed.ok("preflight", router=router)["findings"] if finding["code"] == "router_failed"]
        assert len(found) == 1 and said in found[0]["message"] + found[0]["object"] and ("RELOAD" in found[0]["remedy"] or "Raise" in found[0]["remedy"])
        bouncer.config.write_text(text.replace(line, remedy) if line else text)
        bouncer.console("RELOAD")
        assert [finding for finding in armed.ok("preflight", router=router)["findings"] if finding["code"] == "router_failed"] == []


@pytest.mark.parametrize(("point", "to"), [("W2", "new"), ("W7", "new"), ("W8", "legacy"), ("W2", "legacy")])
def test_killed_in_the_window_clients_of_a_pool_are_served(pair, point, to):
    """The watchdog says what the module cannot any more: clients notice latency only, and the same command converges."""
    world = pair
    if world.open_sides() == [to]:
        world.ok(OTHER[to], verify="none")
    world.ok("armed")
    with Bouncer(world) as bouncer:
        if to == "legacy":
            bouncer.point(world.new)
        with PoolWriters(bouncer) as clients:
            process = world.spawn(to, fault=point, router=bouncer.router, verify="none")
            process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL
            since = len(clients.taken)
            wait_until(lambda: len(clients.taken) > since + 8 or clients.errors, 3, "clients to be served")
            serves = OTHER[to] if point == "W2" else to
            assert (world.open_sides(), bouncer.goes_to()) == ([serves], (getattr(world, serves).port, 0))
            assert world.ok(to, router=bouncer.router)["serving"] == to
            assert bouncer.goes_to() == (getattr(world, to).port, 0)
            time.sleep(0.2)
            assert clients.errors == []
        clients.assert_lossless(world)
        again = world.ok(to, router=bouncer.router)
        assert (again["changed"], again["plan"]) == (False, [])


def test_killed_while_it_waits_for_a_pause(armed):
    """The watchdog releases the clients at once; that nobody hears the end of this PAUSE any more harms neither PgBouncer nor the next one."""
    with Bouncer(armed) as bouncer, bouncer.connect() as slow, PoolWriters(bouncer, count=4) as clients:
        slow.execute("INSERT INTO ledger (key, amount) VALUES ('given up', 1)")
        process = armed.spawn("new", router=bouncer.router, drain_grace=8, verify="none")
        wait_until(lambda: bouncer.goes_to()[1] == 1, 20, "the pause")
        process.kill()
        wait_until(lambda: bouncer.goes_to() == (armed.legacy.port, 0), 2, "the watchdog")
        since = len(clients.taken)
        wait_until(lambda: len(clients.taken) > since + 8 or clients.errors, 3, "clients to be served")
        slow.rollback()
        assert armed.ok("new", router=bouncer.router, verify="none")["serving"] == "new"
        assert bouncer.goes_to() == (armed.new.port, 0)
        assert clients.errors == []
    clients.assert_lossless(armed)


def test_a_module_that_wakes_up_late_leaves_the_route_alone(armed):
    """Stopped after W6, given up by the watchdog, overtaken by another run: it must not send the clients back to a closed side."""
    with Bouncer(armed) as bouncer, PoolWriters(bouncer, count=4) as clients:
        process = armed.spawn("new", fault="W6:stop", max_window=2.5, drain_grace=1, window_attempts=1, router=bouncer.router, verify="none")
        try:
            wait_until(lambda: stopped(process), 20, "the point")
            wait_until(lambda: armed.open_sides() == ["legacy"], 10, "the watchdog")
            assert armed.ok("new", router=bouncer.router, verify="none")["serving"] == "new"
            process.send_signal(signal.SIGCONT)
            out, _err = process.communicate(timeout=30)
            assert json.loads(out)["failed"] is True
        finally:
            process.poll() is None and process.kill()
        assert (armed.open_sides(), bouncer.goes_to()) == (["new"], (armed.new.port, 0))
        time.sleep(0.2)
        assert clients.errors == []
    clients.assert_lossless(armed)


def test_a_pooler_that_dies_in_the_window_is_routed_by_its_file_and_the_next_run_agrees(armed):
    with Bouncer(armed) as bouncer:
        process = armed.spawn("new", fault="W7:stop", router=bouncer.router, verify="none")
        wait_until(lambda: stopped(process), 20, "the point")
        bouncer.__exit__()
        process.send_signal(signal.SIGCONT)
        out, _err = process.communicate(timeout=60)
        failure = failed(json.loads(out), "router_failed")
        assert "does not let" in failure["message"] or "refused" in failure["message"]
        assert armed.open_sides() == ["new"]
        with bouncer:
            assert bouncer.goes_to() == (armed.new.port, 0)
            assert armed.ok("new", router=bouncer.router)["serving"] == "new"
            assert bouncer.goes_to() == (armed.new.port, 0)


def test_pause_waits_for_a_login_that_it_would_cut_off(armed):
    """PgBouncer counts a login that PAUSE cuts off as failed, and lets clients wait for server_login_retry (15 s); so PAUSE comes after it."""
    with Distance(0.2) as far, Bouncer(armed) as bouncer:
        slow = {**bouncer.router, "to_legacy": {"host": "127.0.0.1", "port": far.to(armed.legacy.port)}}
        bouncer.point(armed.legacy, slow["to_legacy"]["port"])
        errors = []

        def use():
            try:
                with bouncer.connect(autocommit=True) as client:
                    client.execute("SELECT 1")
            except psycopg.Error as error:
                errors.append(str(error))

        options = parse({**armed.params("new"), "router": slow})
        router = clients_of(options, None)
        try:
            thread = threading.Thread(target=use)
            thread.start()
            wait_until(lambda: any(row["sv_login"] for row in bouncer.console("SHOW POOLS") if row["database"] == "hub"), 5, "a login")
            router.pause("legacy")
            assert bouncer.goes_to()[1] == 1
            router.serve("legacy")
            resumed = time.monotonic()
            use()
            thread.join(20)
            served = time.monotonic() - resumed
        finally:
            router.close()
        # A login takes about a second here.
        assert errors == [] and served < 6
        assert bouncer.goes_to()[1] == 0


# --- libpq ------------------------------------------------------------------------------------------------------------------------


def test_clients_with_several_hosts_reconnect_once(armed):
    """target_session_attrs=read-write: the fence is the router. Each client loses one session per switch and finds the other side."""
    switches = ("new", "legacy") * 3
    lost = Counter()
    stop = threading.Event()

    def use(name):
        connection = None
        while not stop.is_set():
            try:
                connection = connection or psycopg.connect(
                    host="127.0.0.1,127.0.0.1", port=f"{armed.legacy.port},{armed.new.port}", user="hub", password=APPLICATION, dbname="hub",
                    target_session_attrs="read-write", connect_timeout=2, autocommit=True,
                )
                connection.execute("UPDATE balance SET total = total + 1 WHERE name = %s", (f"account {name + 1}",))
            except psycopg.OperationalError:
                # An attempt that finds no open side is not a session that was lost.
                lost[name] += connection is not None
                connection = None
            time.sleep(0.01)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        for to in switches:
            armed.ok(to, router={"type": "libpq"}, verify="none")
            time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    record("libpq", {"switches": len(switches), "reconnects": dict(lost)})
    assert [lost[number] for number in range(8)] == [len(switches)] * 8


# --- prediction -------------------------------------------------------------------------------------------------------------------


def distant(world, far: Distance, to: str) -> dict:
    """Parameters of a switch to ``to``: the module stands beside the side that serves, and a distance lies between the servers."""
    params = world.params(to)
    new, legacy = far.to(world.new.port), far.to(world.legacy.port)
    params[to] = {**params[to], "port": {"new": new, "legacy": legacy}[to]}
    link = {**params["link"]}
    for name, port in (("to_legacy", legacy), ("to_new", new)):
        link[name] = {**link[name], "port": port}
    return {"legacy": params["legacy"], "new": params["new"], "link": link}


def routers(world, bouncer: Bouncer) -> dict[str, dict]:
    """One of each type. A command is as slow as a start of this interpreter with a sleep; the harmless one is, too."""
    work = [sys.executable, "-c", "import time; time.sleep(0.05)"]
    command = {"type": "command", **{verb: [work] for verb in ("pause", "route", "warmup", "resume", "check")}}
    # PgBouncer knows the servers by the addresses of its file, whatever way the module takes.
    sides = {f"to_{cluster.name}": {"host": "127.0.0.1", "port": cluster.port} for cluster in world.clusters}
    return {"pgbouncer": {**bouncer.router, **sides}, "none": {"type": "none"}, "libpq": {"type": "libpq"}, "command": command}


@pytest.mark.slow
@pytest.mark.parametrize(("rtt", "turns"), [(0.0, ("new", "legacy", "new")), (0.02, ("legacy", "new", "legacy"))])
def test_check_mode_predicts_the_window(clusters, rtt, turns):
    """Predicted and actual window for each router, between neighbours and over a distance, with writers on; of several turns the median."""
    world = clusters
    world.reset()
    seen = []
    with Distance(rtt) as far, Bouncer(world) as bouncer:
        # The copy is made from nearby; what it leaves behind goes over the distance.
        world.ok("armed", link=distant(world, far, "new")["link"])
        with PoolWriters(bouncer, count=3) as clients:
            for name, router in routers(world, bouncer).items():
                ratios = []
                for to in turns:
                    to = to if world.open_sides() != [to] else OTHER[to]
                    extra = {**distant(world, far, to), "router": router, "verify": "counts"}
                    predicted = world.ok(to, check_mode=True, **extra)["predicted_window_ms"]
                    actual = world.ok(to, **extra)["window_ms"]
                    ratios.append(round(predicted / actual, 2))
                    seen.append({"router": name, "to": to, "predicted_ms": predicted, "window_ms": actual, "ratio": ratios[-1]})
                seen[-1]["median"] = statistics.median(ratios)
    assert clients.taken
    record(f"prediction-{round(rtt * 1000)}ms", seen)
    assert [one["median"] for one in seen if not 0.5 <= one.get("median", 1) <= 2] == [], seen
