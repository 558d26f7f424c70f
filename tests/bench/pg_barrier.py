# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the trigger that holds behind the fence costs the side that serves, per statement (docs/adr/0037): with it / without it.

``python tests/bench/pg_barrier.py [--samples 9] [--statements 3000]`` writes build/bench/pg_barrier.json. One client sends prepared single-row
statements to an armed pair, as the application's account; the trigger of its table is there or disabled in turns (with, without, without,
with), so that a machine that slows down slows both. Two clocks: ``server`` is the processor time of the client's backend, which other work on
the machine does not change (schedstat of proc(5)), ``client`` the time until the answer, with the commit on disk as the application has it.
Only the ratios of the medians mean something on another machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from pg_verify import ROOT, rig, spread

TURNS = (True, False, False, True)
STATEMENTS = {
    "insert": ("ledger", "INSERT INTO ledger (key, amount) VALUES (%s || '-' || clock_timestamp(), 1)"),
    "update": ("balance", "UPDATE balance SET total = total + 1 WHERE name = 'account ' || 1 + %s %% 20"),
}


def once(cluster, text: str, statements: int) -> tuple[float, float]:
    """Microseconds of one statement: of the backend's processor, and until the answer."""
    with cluster.connect(options="", user="hub", password="canary-app-3c2") as session:
        clock = Path(f"/proc/{session.info.backend_pid}/schedstat")
        for number in range(50):
            session.execute(text, (number,), prepare=True)
        began, spent = time.monotonic(), int(clock.read_text().split()[0])
        for number in range(statements):
            session.execute(text, (number,), prepare=True)
        return (int(clock.read_text().split()[0]) - spent) / statements / 1000, (time.monotonic() - began) / statements * 1e6


def measure(samples: int, statements: int) -> dict:
    world = rig().World(settings={name: ("log_statement = none", "autovacuum = off") for name in ("legacy", "new")})
    taken = {(kind, clock): {True: [], False: []} for kind in STATEMENTS for clock in ("server", "client")}
    try:
        world.start()
        world.reset()
        world.ok("armed")
        assert world.legacy.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'pgcut_closed'") > 5
        for kind, (table, text) in STATEMENTS.items():
            for number in range(2 * samples):
                present = TURNS[number % 4]
                world.legacy.rows(f"ALTER TABLE {table} {'ENABLE' if present else 'DISABLE'} TRIGGER pgcut_closed")
                for clock, found in zip(("server", "client"), once(world.legacy, text, statements)):
                    taken[kind, clock][present].append(round(found, 1))
                print(f"{number + 1:3} {kind} {'with' if present else 'without'}", file=sys.stderr, flush=True)
        version = world.legacy.value("SHOW server_version", dbname="postgres")
    finally:
        world.stop()
    return {
        "what": "microseconds of a single-row statement with the trigger pgcut_closed / without it",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": f"python tests/bench/pg_barrier.py --samples {samples} --statements {statements}",
        "postgresql": version,
        "statements": {
            f"{kind}, {clock}": {
                "with_us": spread(found[True]),
                "without_us": spread(found[False]),
                "ratio": round(statistics.median(found[True]) / statistics.median(found[False]), 3),
                "difference_us": round(statistics.median(found[True]) - statistics.median(found[False]), 1),
            }
            for (kind, clock), found in taken.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=9, help="of each kind, at least 9")
    parser.add_argument("--statements", type=int, default=3000, help="of one sample")
    given = parser.parse_args()
    if given.samples < 9:
        parser.error(f"--samples: {given.samples} is below 9, which is too few for a median")
    found = measure(given.samples, given.statements)
    path = ROOT / "build" / "bench" / "pg_barrier.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: {key: each[key] for key in ("ratio", "difference_us")} for name, each in found["statements"].items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
