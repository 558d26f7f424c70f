# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as a test sees it: playbooks that can be killed, moments that can be waited for, parts that can be killed, and the judge.

Who serves and whether rows are lost is read from the catalogs and the writers' ledger, never from what a module says.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import jsonschema
import psycopg

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"
BIN = Path(sys.executable).parent
sys.path.insert(0, str(LAB))

import judge  # noqa: E402

# Longest undisturbed run is below 3 min; a run that meets a dead part waits for its own deadlines.
RUN_DEADLINE = 600.0
MOMENT_DEADLINE = 300.0
LOOK_EVERY = 0.004

SUBSCRIPTION = "select subenabled from pg_subscription where subname = %s"
# No row (None) while the database does not exist.
FENCED = """
select coalesce(bool_or(item = 'default_transaction_read_only=on'), false)
from pg_database d
left join pg_db_role_setting s on s.setdatabase = d.oid and s.setrole = 0
left join lateral unnest(s.setconfig) item on true
where d.datname = %s
group by d.oid
"""
PENDING = "select count(*) from pg_subscription_rel where srsubstate not in ('r', 's')"


class Run:
    """One command that runs a playbook, in a process group of its own, with its output in a file."""

    def __init__(self, kind: str, log: Path, argv: t.Sequence[str], cwd: Path = ROOT, **environment: str) -> None:
        self.log = log
        self.result = ROOT / "build" / kind / "result.json"
        self.result.unlink(missing_ok=True)
        path = f"{BIN}:{os.environ['PATH']}"
        with log.open("w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [str(BIN / argv[0]), *argv[1:]],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PATH": path, **environment},
            )

    def end(self) -> int:
        """Wait for the end and return the exit code; the group is killed at the deadline."""
        try:
            return self.process.wait(RUN_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL for the whole process group, as a terminal that is closed hard."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def figures(self) -> dict[str, t.Any]:
        """result.json of this run, which is as it is documented."""
        value: dict[str, t.Any] = json.loads(self.result.read_text(encoding="utf-8"))
        jsonschema.validate(value, json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8")))
        return value


class World:
    """The lab. ``reset`` gives the state before the first cutover."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.lab: dict[str, t.Any] = {}
        self._sessions: dict[tuple[str, str], psycopg.Connection[t.Any]] = {}
        self._runs = 0

    def up(self) -> None:
        self._script("lab.py", "up")
        self.lab = json.loads((ROOT / "build" / "lab.json").read_text(encoding="utf-8"))

    def reset(self) -> None:
        self.writers("stop")
        self.close()
        self._script("lab.py", "reset")
        self.up()

    def heal(self) -> None:
        self._script("lab.py", "heal")

    def writers(self, *words: str) -> dict[str, t.Any]:
        answer: dict[str, t.Any] = json.loads(self._script("writers.py", *words))
        return answer

    def verdict(self) -> dict[str, t.Any]:
        """The judge's word, as told by a process of its own."""
        answer: dict[str, t.Any] = json.loads(self._script("judge.py"))
        return answer

    def run(self, kind: str, *more: str, **environment: str) -> Run:
        """A playbook, run to its end."""
        run = self.start(kind, *more, **environment)
        run.end()
        return run

    def start(self, kind: str, *more: str, **environment: str) -> Run:
        argv = ["ansible-playbook", "-i", str(ROOT / "inventories" / "lab"), f"playbooks/{kind}.yml", *more]
        return Run(kind, self.log(kind), argv, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), **environment)

    def log(self, name: str) -> Path:
        """The file for the output of the next run."""
        self._runs += 1
        return self.logs / f"{self._runs:02d}-{name}.log"

    def make(self, kind: str, *more: str) -> subprocess.CompletedProcess[str]:
        """The command of the README, through its wrapper; all that it says is in ``stdout``."""
        words = [sys.executable, str(LAB / "run.py"), kind, *more]
        return subprocess.run(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=RUN_DEADLINE, check=False,
        )

    def ask(self, side: str, query: str, *values: t.Any, dbname: str = "") -> t.Any:
        """First column of the first row; None without a row, a database or a server. ``side`` is legacy or target."""
        known = (side, dbname)
        try:
            if known not in self._sessions:
                database = self.lab["databases"][side]
                self._sessions[known] = judge.connect({**database, "dbname": dbname or database["dbname"]})
            row = self._sessions[known].execute(query, values).fetchone()
            return row[0] if row else None
        except psycopg.OperationalError:
            self._sessions.pop(known, None)
            return None
        except psycopg.ProgrammingError:
            return None

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def fenced(self, side: str) -> t.Any:
        """True, False, or None for a side that cannot be read. Asked from another database: the window ends the sessions of its own."""
        return self.ask(side, FENCED, self.lab["databases"][side]["dbname"], dbname="postgres")

    def open_sides(self) -> list[str]:
        """Sides that take writes, each by its own catalog; one that has no tables yet does not count."""
        return [side for side in ("legacy", "target") if judge.database_state(self.lab["databases"][side]) == "open"]

    def held_until(self) -> float:
        """Unix time until which the legacy edge holds requests; 0 without a hold."""
        with contextlib.suppress(OSError, ValueError):
            return int(Path("/var/lib/bowline/edge-hub/edge.map").read_text(encoding="utf-8").strip().rpartition(":")[2]) / 1000
        return 0.0

    def wait(self, moment: str, run: Run) -> None:
        """Return as soon as the world is at ``moment``; fails when the run ends before."""
        seen = {**MOMENTS, **OTHER_MOMENTS}[moment]
        deadline = time.monotonic() + MOMENT_DEADLINE
        while not seen(self):
            if run.process.poll() is not None:
                raise AssertionError(f"the run ended before the moment {moment}:\n{run.text()[-3000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no moment {moment} in {MOMENT_DEADLINE:g} s:\n{run.text()[-3000:]}")
            time.sleep(LOOK_EVERY)

    def settle(self) -> None:
        """Return when no module that a killed run has left behind works on either host any more."""
        ssh = ["ssh", *self.lab["target"]["ssh"]["options"], f"root@{self.lab['target']['address']}"]
        # The brackets keep pgrep from finding the shell that ssh runs it in.
        look = ["pgrep", "-f", "[A]nsiballZ_"]

        def quiet(*words: str) -> bool:
            return subprocess.run(words, check=False, stdout=subprocess.DEVNULL).returncode == 1

        self.until("the modules of a killed run to end", lambda: quiet(*look) and quiet(*ssh, *look))

    @staticmethod
    def until(what: str, seen: t.Callable[[], bool]) -> None:
        """Return as soon as ``seen`` is true."""
        deadline = time.monotonic() + MOMENT_DEADLINE
        while not seen():
            assert time.monotonic() < deadline, f"waited {MOMENT_DEADLINE:g} s for {what}"
            time.sleep(0.1)

    def kill_part(self, part: str) -> None:
        """SIGKILL for the main process of a part of the lab."""
        for pid in PARTS[part](self):
            os.kill(pid, signal.SIGKILL)

    def container_pid(self, name: str) -> list[int]:
        words = ["docker", "inspect", "--format", "{{.State.Pid}}", name]
        return [int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)]

    def _script(self, name: str, *words: str) -> str:
        done = subprocess.run([sys.executable, str(LAB / name), *words], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise AssertionError(f"{name} {' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout


def _processes(*marks: str) -> list[int]:
    """Pids whose command line has all ``marks``; the oldest one first, which is a server's main process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(mark in words for mark in marks):
                    found.append(int(entry.name))
    return sorted(found)[:1]


# Moments that are only waited for.
OTHER_MOMENTS: dict[str, t.Callable[[World], bool]] = {
    "target": lambda world: world.ask("target", "select 1", dbname="postgres") == 1,
}
# Moments at which a run is killed.
MOMENTS: dict[str, t.Callable[[World], bool]] = {
    "seeding": lambda world: (world.ask("target", PENDING) or 0) > 0,
    "armed": lambda world: world.ask("legacy", SUBSCRIPTION, "pgcut_rev", dbname="postgres") is False,
    "hold": lambda world: world.held_until() > time.time(),
    "window": lambda world: world.fenced("legacy") is True and world.fenced("target") is True,
    "after": lambda world: world.fenced("legacy") is True and world.fenced("target") is False,
}

PARTS: dict[str, t.Callable[[World], list[int]]] = {
    "legacy-postgres": lambda world: world.container_pid(world.lab["databases"]["legacy"]["container"]),
    "target-postgres": lambda world: _processes("/postgres -D", "config_file=/etc/bowline/powernode/"),
    "edge": lambda world: world.container_pid(f"{world.lab['compose']['project']}-edge"),
    "primary-dns": lambda world: _processes("knotd", "/ns1/"),
}
