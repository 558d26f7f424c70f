# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two real clusters that the module itself stops and starts, for the engine physical: beside rig.py, whose servers run in the foreground."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

rig = sys.modules["bowline_pg_rig"]
until = rig.until


class Cluster(rig.Cluster):
    """A cluster that the module stops and starts, too, so its process is found by its data directory."""

    @property
    def data(self) -> Path:
        return self.home / "data"

    def ctl(self, *words: str) -> int:
        argv = [*rig.AS_POSTGRES, self.bin / "pg_ctl", f"--pgdata={self.data}", "--silent", f"--log={self.log}", *words]
        return subprocess.run(argv, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode

    def create(self, *settings: str) -> None:
        # Beside the logical tests: what a cluster has that nobody prepared, and hints so that pg_rewind can work.
        super().create("wal_level = replica", "wal_log_hints = on", *settings)
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
        super().__init__(settings=settings)
        self.legacy, self.new = (Cluster(old.name, self.home, old.major) for old in self.clusters)

    def start(self) -> None:
        super().start()
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
        # Limits of time are for the tests that are about them: this one shares its machine.
        params = super().params(state, **{"engine": "physical", "max_window": 60, **more})
        for cluster in self.clusters:
            params[cluster.name] = {"data_directory": str(cluster.data), "server_bindir": str(cluster.bin), "command_prefix": ["env"], **params[cluster.name]}
        return params

    def open_sides(self) -> list[str]:
        return [cluster.name for cluster in self.clusters if cluster.takes_writes()]

    def side(self, name: str) -> Cluster:
        return self.legacy if name == "legacy" else self.new
