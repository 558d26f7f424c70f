# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the time from nothing to state armed grows with the number of tables: ten times as many / once.

``python tests/bench/pg_scale.py [--tables 250] [--samples 3]`` writes build/bench/pg_scale.json and ends with 1 above the limit. Small tables
with a primary key, every fifth with a foreign key, every tenth with another index. Only the ratio means something on another machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from pg_verify import ROOT, rig, spread

# Ten times the tables may take ten times as long, and a little.
LIMIT = 12.0
MADE = """
DO $$ BEGIN FOR i IN 1..{tables} LOOP
  EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY, a text%s)', i, CASE WHEN i % 5 = 0 THEN ', r bigint REFERENCES t' || (i - 1) ELSE '' END);
  EXECUTE format('ALTER TABLE t%s OWNER TO hub', i); EXECUTE format('INSERT INTO t%s SELECT g, md5(g::text) FROM generate_series(1, 3) g', i);
  IF i % 10 = 3 THEN EXECUTE format('CREATE INDEX ON t%s (a)', i); END IF;
  IF i % 100 = 0 THEN COMMIT; END IF;
END LOOP; END $$
"""


def armed(tables: int) -> float:
    """Seconds from nothing to state armed, on two clusters of their own."""
    world = rig().World(settings={name: ("log_statement = none",) for name in ("legacy", "new")})
    world.patience = 1800
    try:
        world.start()
        world.reset()
        world.legacy.rows(MADE.replace("{tables}", str(tables)))
        began = time.monotonic()
        world.ok("armed", wait_timeout=1800)
        return round(time.monotonic() - began, 2)
    finally:
        world.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=250, help="of the smaller database; the larger one has ten times as many")
    parser.add_argument("--samples", type=int, default=3)
    given = parser.parse_args()
    taken = {number: [] for number in (given.tables, 10 * given.tables)}
    for _sample in range(given.samples):
        for number, found in taken.items():
            found.append(armed(number))
            print(f"{number} tables: {found[-1]} s", file=sys.stderr, flush=True)
    ratio = statistics.median(taken[10 * given.tables]) / statistics.median(taken[given.tables])
    found = {
        "what": "seconds from nothing to state armed, ten times the tables / once",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": f"python tests/bench/pg_scale.py --tables {given.tables} --samples {given.samples}",
        "seconds": {str(number): spread(seconds) for number, seconds in taken.items()},
        "ratio": round(ratio, 2),
        "limit": LIMIT,
        "ok": ratio <= LIMIT,
    }
    path = ROOT / "build" / "bench" / "pg_scale.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: found[name] for name in ("ratio", "limit", "ok", "seconds")}))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
