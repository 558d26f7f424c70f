# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the comparison of all rows adds to the write pause: switches with and without it, taken in turns on one pair under load.

``python tests/bench/pg_verify.py [--samples 9] [--rows 200000]`` writes build/bench/pg_verify.json and ends with 1 above the limit. Only
the ratio of the two medians means something on another machine. The turns are none, hash, hash, none, so that both kinds see both
directions equally often and a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from project import collection_tree  # noqa: E402

LIMIT = 1.25
TURNS = ("none", "hash", "hash", "none")

TREE = str(collection_tree(ROOT))
# For this process and for those that it starts, as the tests have it.
sys.path.insert(0, TREE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [TREE, os.environ.get("PYTHONPATH")]))


def load(name: str):
    """A file of the integration tests, under the name by which those find it."""
    from ansible_collections.bowline.fleet.tests.loading import load as load_file

    return load_file(ROOT / "tests" / "integration" / "pg" / f"{name}.py", f"bowline_pg_{name}")


def rig():
    """The two clusters of the integration tests."""
    return load("rig")


def spread(values):
    return {"median": round(statistics.median(values), 1), "min": min(values), "max": max(values), "n": len(values)}


def measure(samples: int, rows: int) -> dict:
    pg = rig()
    world = pg.World()
    windows, freezes, compared = {"none": [], "hash": []}, {"none": [], "hash": []}, []
    try:
        world.start()
        world.reset()
        world.legacy.rows(f"INSERT INTO ledger (key, amount) SELECT md5(n::text), n FROM generate_series(1, {rows}) n")
        world.ok("armed")
        size = world.legacy.value("SELECT pg_database_size('hub')")
        with pg.Writers(world) as clients:
            number = 0
            while min(len(found) for found in windows.values()) < samples:
                verify, to = TURNS[number % 4], ("new", "legacy")[number % 2]
                outcome = world.ok(to, verify=verify)
                windows[verify].append(outcome["window_ms"])
                freezes[verify].append({step["name"]: step["ms"] for step in outcome["steps"]}["W5"])
                if verify == "hash":
                    assert outcome["verify"]["equal"] is True
                    compared.append(outcome["verify"]["seconds"])
                world.ok("armed")
                number += 1
                print(f"{number:3} to {to:6} verify {verify}: {outcome['window_ms']:.1f} ms", file=sys.stderr, flush=True)
        clients.assert_lossless()
    finally:
        world.stop()
    ratio = statistics.median(windows["hash"]) / statistics.median(windows["none"])
    return {
        "what": "window_ms of a switch with verify hash / with verify none",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": f"python tests/bench/pg_verify.py --samples {samples} --rows {rows}",
        "database_bytes": size,
        "window_ms": {kind: spread(found) for kind, found in windows.items()},
        "w5_ms": {kind: spread(found) for kind, found in freezes.items()},
        "compared_seconds": spread(compared),
        "acknowledged": len(clients.acknowledged),
        "ratio": round(ratio, 3),
        "limit": LIMIT,
        "ok": ratio <= LIMIT,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=9, help="of each kind, at least 7")
    parser.add_argument("--rows", type=int, default=200_000, help="rows beside those that the writers add")
    given = parser.parse_args()
    if given.samples < 7:
        parser.error(f"--samples: {given.samples} is below 7, which is too few for a median")
    found = measure(given.samples, given.rows)
    path = ROOT / "build" / "bench" / "pg_verify.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: found[name] for name in ("window_ms", "ratio", "limit", "ok")}))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
