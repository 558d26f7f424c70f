# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all fault tests share: the pairs of versions, a world that is watched, the record of each run, and the table at the end."""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import threading
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from bowline_pg_rig import DATABASE, LINK, World, Writers

ALL = os.environ.get("BOWLINE_FAULTS") == "all"
PAIRS = ((15, 15), (15, 17))
SEED = int(os.environ.get("BOWLINE_FAULT_SEED") or random.SystemRandom().randrange(1_000_000))
RECORD = Path(__file__).resolve().parents[2] / "build" / "fault" / "runs.jsonl"
SESSION = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}-{os.getpid()}"
OTHER = {"new": "legacy", "legacy": "new"}
PHASE = {"new": "new", "legacy": "seeded"}
# The slots that a finished switch leaves: the direction home from the side that serves.
SLOTS = {"new": {"legacy": set(), "new": {"pgcut_rev"}}, "legacy": {"legacy": {"pgcut_fwd"}, "new": set()}}

RUNS: list[dict] = []
UNDISTURBED: dict[str, list[float]] = {}


def pairs() -> list[tuple[int, int]]:
    """Parameters for a test that runs on each pair: all of them, or the last one in the sample."""
    return list(PAIRS if ALL else PAIRS[-1:])


def label(pair) -> str:
    return f"{pair[0]}-{pair[1]}"


class Bench(World):
    """A world with the names that the record needs."""

    @property
    def pair(self) -> str:
        return label((self.legacy.major, self.new.major))

    def side(self, name: str):
        return self.legacy if name == "legacy" else self.new

    def arm(self) -> None:
        """Legacy serves and the pair is armed, whatever the last test has left."""
        for cluster in self.clusters:
            if cluster.process is None or cluster.process.poll() is not None:
                cluster.start()
        found = self.run("info")
        if "failure" in found or found["phase"] in ("empty", "slot_lost", "inconsistent", "split_brain"):
            self.reset()
        elif found["serving"] != "legacy":
            self.ok("legacy", verify="none")
        self.ok("armed")

    def slots(self) -> dict[str, set[str]]:
        """Names of all logical slots by side; slots of table copies are among them."""
        return {
            cluster.name: {row["slot_name"] for row in cluster.rows("SELECT slot_name FROM pg_replication_slots", dbname="postgres")}
            for cluster in self.clusters
        }


class Watch:
    """Looks all the time whether both sides are open at one instant, past the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.both = 0
        self.looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._stop.set()
        self._thread.join(20)

    def _look(self) -> None:
        sessions: dict[str, psycopg.Connection] = {}
        while not self._stop.wait(0.02):
            try:
                for cluster in self._world.clusters:
                    if cluster.name not in sessions:
                        sessions[cluster.name] = cluster.connect("postgres", connect_timeout=2, application_name="bowline watch")
                # Legacy twice around new: with one epoch and open both times it was open all the while.
                first, new, second = (self._open(sessions[name]) for name in ("legacy", "new", "legacy"))
                self.looks += 1
                self.both += bool(new and first and first == second)
            except psycopg.Error:
                for session in sessions.values():
                    with suppress(psycopg.Error):
                        session.close()
                sessions = {}
        for session in sessions.values():
            session.close()

    @staticmethod
    def _open(session: psycopg.Connection) -> str | None:
        """The epoch of a database that takes writes; None when it does not, or does not exist."""
        row = session.execute(
            "SELECT s.setconfig FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0"
            " WHERE d.datname = %s", (DATABASE,)
        ).fetchone()
        if row is None:
            return None
        settings = dict(entry.split("=", 1) for entry in row["setconfig"] or [])
        fenced = settings.get("default_transaction_read_only", "off") in ("on", "true")
        return None if fenced else settings.get("pgcut.epoch", "none")


def wait(condition, seconds: float, what: str) -> float:
    """Seconds until ``condition``."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"waited {seconds} s for {what}"
        time.sleep(0.005)
    return time.monotonic() - started


def stopped(process) -> bool:
    """Whether a process that is to stop itself has done so."""
    assert process.poll() is None, process.communicate()[0]
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def longest_between(times: list[float], start: float, end: float) -> float:
    """The longest time without an acknowledged commit, in seconds."""
    inside = sorted(at for at in times if start <= at <= end)
    return max((later - earlier for earlier, later in itertools.pairwise(inside)), default=0.0)


def settle(world: Bench, to: str, clients: Writers, watch: Watch, entry: dict, **options) -> None:
    """The same command again ends well, loses nothing, leaves nothing, and has nothing to do a third time. Records the run."""
    started = time.monotonic()
    entry = {"session": SESSION, "seed": SEED, "pair": world.pair, "to": to, **entry}
    try:
        outcome = world.run(to, **options)
        entry["failure"] = outcome.get("failure", {}).get("code")
        entry["converged"] = (outcome.get("serving"), outcome.get("phase_after")) == (to, PHASE[to])
        acknowledged = len(clients.acknowledged)
        wait(lambda: len(clients.acknowledged) > acknowledged, 10, "writes after the second run")
    finally:
        clients.__exit__()
        watch.__exit__()
    entry["both"] = watch.both
    entry["seconds"] = round(time.monotonic() - started, 3)
    again = world.run(to, **options)
    entry["changes"] = len(again["plan"]) + bool(again["changed"]) if "plan" in again else 1
    entry |= world_verdict(world, clients)
    slots = world.slots()
    entry["orphans"] = sorted(f"{side}:{name}" for side in slots for name in slots[side] - SLOTS[to][side])
    note(entry)
    assert entry["converged"], outcome
    assert not again["changed"] and again["plan"] == [], again
    assert (entry["lost"], entry["unacknowledged"], entry["wrong"]) == (0, 0, []), entry
    assert entry["both"] == 0 and watch.looks > 0, entry
    assert entry["orphans"] == [] and world.open_sides() == [to], entry


def world_verdict(world: Bench, clients: Writers) -> dict:
    verdict = clients.judge()
    return {"acknowledged": verdict["acknowledged"], "lost": verdict["lost"],
            "unacknowledged": verdict["unacknowledged_present"], "wrong": verdict["wrong"]}


def note(entry: dict) -> None:
    RUNS.append(entry)
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with RECORD.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, default=str) + "\n")


def ratios(pair: str) -> list[float]:
    """Pause of each kill inside the window, over the median of the undisturbed ones of the same pair; empty when none was measured."""
    if pair not in UNDISTURBED:
        return []
    usual = statistics.median(UNDISTURBED[pair])
    return [run["pause"] / usual for run in RUNS if run["pair"] == pair and run.get("pause") is not None]


def table() -> list[str]:
    """One line for each pair and kind of fault, Markdown."""
    if not RUNS:
        return []
    lines = ["", f"fault runs (seed {SEED}); all lines of this and earlier sessions: {RECORD.relative_to(RECORD.parents[2])}", "",
             "| pair | fault | runs | converged | lost | unacknowledged | changes in a further run | both open | pause / undisturbed, median (max) |",
             "|---|---|---|---|---|---|---|---|---|"]
    for (pair, kind), group in sorted(_grouped().items()):
        usual = statistics.median(UNDISTURBED[pair]) if pair in UNDISTURBED else None
        found = [run["pause"] / usual for run in group if usual and run.get("pause") is not None]
        ratio = f"{statistics.median(found):.1f} ({max(found):.1f})" if found else "–"
        converged = sum(bool(run.get("converged")) for run in group)
        sums = [sum(run.get(name) or 0 for run in group) for name in ("lost", "unacknowledged", "changes", "both")]
        lines.append(f"| {pair} | {kind} | {len(group)} | {converged} | {' | '.join(map(str, sums))} | {ratio} |")
    for pair, seconds in sorted(UNDISTURBED.items()):
        lines.append(f"undisturbed pause {pair}: median {statistics.median(seconds) * 1000:.0f} ms of {len(seconds)}, "
                     f"{min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f} ms")
    return lines


def _grouped() -> dict[tuple[str, str], list[dict]]:
    groups: dict[tuple[str, str], list[dict]] = {}
    for run in RUNS:
        groups.setdefault((run["pair"], run["fault"]), []).append(run)
    return groups


__all__ = ["ALL", "LINK", "OTHER", "PAIRS", "SEED", "Bench", "Watch", "Writers"]
