# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine physical on two real clusters: there and back under writers, killed after each step, refused before anything is written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.faults import POINTS

rig = sys.modules["bowline_pg_rig"]
until = rig.until
OTHER = {"new": "legacy", "legacy": "new"}


class Cluster(rig.Cluster):
    """A cluster that the module stops and starts, too, so its process is found by its data directory."""

    @property
    def data(self) -> Path:
        return self.home / "data"

    def ctl(self, *words: str) -> int:
        argv = [*rig.AS_POSTGRES, rig.BIN / "pg_ctl", f"--pgdata={self.data}", "--silent", f"--log={self.log}", *words]
        return subprocess.run(argv, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode

    def create(self, *settings: str) -> None:
        super().create()
        with (self.data / "postgresql.conf").open("a") as file:
            # Beside the logical tests: what a cluster has that nobody prepared, and hints so that pg_rewind can work.
            file.write("wal_level = replica\nwal_log_hints = on\n" + "".join(f"{line}\n" for line in settings))
        self.log.touch()
        shutil.chown(self.log, "postgres", "postgres")

    def start(self) -> None:
        assert self.ctl("start", "--wait") == 0, self.log.read_text()[-2000:]

    def stop(self, number: int = 2) -> None:
        self.ctl("stop", f"--mode={'fast' if number == 2 else 'immediate'}", "--wait")

    def kill(self) -> None:
        """Every process of the server at once."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        children = [
            int(entry.name) for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and (entry / "stat").exists() and _parent(entry) == pid
        ]
        for number in (pid, *children):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until(lambda: not Path(f"/proc/{pid}").exists(), 10, "the postmaster to be gone")

    def takes_writes(self) -> bool:
        try:
            with self.connect(options="") as client:
                row = client.execute("SELECT NOT pg_is_in_recovery() AS up, current_setting('default_transaction_read_only') AS ro").fetchone()
                return row["up"] and row["ro"] == "off"
        except psycopg.OperationalError:
            return False

    def in_recovery(self) -> bool:
        return self.value("SELECT pg_is_in_recovery()", dbname="postgres")


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


class World(rig.World):
    """Legacy with an application's database and a second one; new is an empty cluster."""

    def __init__(self, **settings: tuple[str, ...]) -> None:
        super().__init__()
        self.legacy, self.new = Cluster("legacy", self.home), Cluster("new", self.home)
        self.settings = settings

    def start(self) -> None:
        for cluster in self.clusters:
            cluster.create(*self.settings.get(cluster.name, ()))
            passfile = cluster.home / "link.pgpass"
            passfile.write_text(f"*:*:*:pgcut_repl:{rig.LINK}\n")
            passfile.chmod(0o600)
            shutil.chown(passfile, "postgres", "postgres")
            cluster.start()
        self.passfile = self.home / "control.pgpass"
        self.passfile.write_text(f"*:*:*:postgres:{rig.SUPER}\n")
        self.passfile.chmod(0o600)
        self.legacy.rows(rig.SCHEMA, dbname="postgres")
        self.legacy.rows(f"CREATE DATABASE {rig.DATABASE} OWNER hub", dbname="postgres")
        self.legacy.rows(rig.TABLES)
        self.legacy.rows("CREATE DATABASE wiki", dbname="postgres")
        self.legacy.rows("CREATE TABLE pages AS SELECT 7 AS n", dbname="wiki")

    def stop(self) -> None:
        for cluster in self.clusters:
            cluster.stop(9)
        if sys.exc_info()[0] is None or not os.environ.get("BOWLINE_KEEP"):
            shutil.rmtree(self.home, ignore_errors=True)

    def params(self, state: str, **more) -> dict:
        params = super().params(state, engine="physical", **more)
        for cluster in self.clusters:
            params[cluster.name] = {"data_directory": str(cluster.data), "command_prefix": ["env"], **params[cluster.name]}
        return params

    def open_sides(self) -> list[str]:
        return [cluster.name for cluster in self.clusters if cluster.takes_writes()]

    def side(self, name: str) -> Cluster:
        return self.legacy if name == "legacy" else self.new


@pytest.fixture
def world():
    made = World()
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_there_and_back_and_there_again_without_losing_a_row(world, writers):
    assert world.ok("seeded")["phase_after"] == "seeded"
    assert world.ok("armed")["phase_after"] == "armed"
    with writers(world) as clients:
        there = world.ok("new")
        assert (there["phase_after"], there["serving"], there["engine"]) == ("new_armed", "new", "physical")
        assert there["verify"]["equal"] is True and there["verify"]["checkpoint"]
        assert (there["rollback"]["armed"], there["rollback"]["reason"]) == (True, "")
        again = world.ok("new")
        assert (again["changed"], again["plan"]) == (False, [])
        back = world.ok("legacy")
        assert (back["serving"], back["phase_after"]) == ("legacy", "armed")
        assert world.ok("armed")["changed"] is False
        last = world.ok("new")
        assert [step["action"] for step in last["plan"]] == ["switch", "cleanup"]
    clients.assert_lossless()
    print({"pauses": [round(run["window_ms"]) for run in (there, back, last)], "gap": round(clients.longest_gap(), 3)})
    assert world.open_sides() == ["new"] and world.legacy.in_recovery()
    assert world.new.value("SELECT n FROM pages", dbname="wiki") == 7


BEFORE_COMMIT = ("W0", "W1", "W2", "W3", "W4", "W5", "W6")
SAMPLE = [(point, ("new", "legacy")[number % 2]) for number, point in enumerate(POINTS)]
MATRIX = [(point, to) for point in POINTS for to in ("new", "legacy")]


@pytest.fixture(scope="module")
def matrix():
    """One seeded pair for all crash points: each of them ends with the other side serving."""
    made = World()
    try:
        made.start()
        made.ok("seeded")
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(("point", "to"), MATRIX if os.environ.get("BOWLINE_FAULTS") == "all" else SAMPLE)
def test_killed_after_each_step_it_converges_and_loses_nothing(matrix, writers, point, to):
    world = matrix
    if world.open_sides() == [to]:
        world.ok(OTHER[to])
    if point.startswith("A"):
        # Arming has nothing left to do once both sides know each other.
        world.side(OTHER[to]).rows("ALTER SYSTEM RESET primary_slot_name", dbname="postgres")
        world.side(OTHER[to]).rows("SELECT pg_reload_conf()", dbname="postgres")
    with writers(world) as clients:
        process = world.spawn(to, fault=point)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        began = time.monotonic()
        until(lambda: len(world.open_sides()) == 1, 10, "one open side")
        back_after = time.monotonic() - began
        assert world.open_sides() == [OTHER[to] if point in (*BEFORE_COMMIT, "A1", "A2", "A3") else to]
        acknowledged = len(clients.acknowledged)
        until(lambda: len(clients.acknowledged) > acknowledged, 5, "writes after the kill")
        outcome = world.ok(to)
        assert (outcome["serving"], outcome["phase_after"]) == (to, "new_armed" if to == "new" else "armed")
    print(point, to, round(back_after, 2), round(clients.longest_gap(), 2))
    clients.assert_lossless()
    assert world.open_sides() == [to]
    again = world.ok(to)
    assert (again["changed"], again["plan"]) == (False, [])
    assert [row["slot_name"] for row in world.side(OTHER[to]).rows("SELECT slot_name FROM pg_replication_slots", dbname="postgres")] == []
