# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store costs: one call of an action plugin by each way to speak to the database, heartbeats per second, and a copy for check mode.

``python tests/bench/store.py [--samples 15] [--library FOLDER] [--nodes 1000]`` writes build/bench/store.json and build/bench/store.md, and ends with 1
when heartbeats come at less than five times the rate of 1,000 nodes. ``--library`` is a site-packages with SQLAlchemy and Alembic for this Python;
without it only our own way is measured. The ways take turns. Seconds are those of this machine; only the ratios mean something on another one.

A call is: import what the way needs, connect, see that the tables are of the present number, read one lease, close; in a process that has loaded what
Ansible has loaded before it calls an action plugin. ``cpu`` is the processor time of the same, which a busy machine changes less; ``warm`` is
the same without the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from project import collection_tree  # noqa: E402

OUT = ROOT / "build" / "bench"
TREE = str(collection_tree(ROOT))
STORE = "ansible_collections.bowline.fleet.plugins.module_utils._store"
# A heartbeat each 30 s from 1,000 nodes.
RATE = 1000 / 30
WANTED = 5.0

BEFORE = f"""
import json, sys, time
sys.path.insert(0, {TREE!r})
import ansible.plugins.action, ansible.executor.task_executor, ansible_collections
where, library = sys.argv[1:]
sys.path += [library] if library else []
began, used = time.perf_counter(), time.process_time()
"""
AFTER = """
imported = time.perf_counter()
def call():
    begun = time.perf_counter()
    read()
    return time.perf_counter() - begun
cold = imported - began + call()
used = time.process_time() - used
print(json.dumps({"cold": cold, "cpu": used, "warm": min(call() for _ in range(5))}))
"""
OWN = f"""
from {STORE}.dsn import place
from {STORE}.open import open_for_writing
def read():
    database = open_for_writing(place(where, {{}}))
    with database.transaction() as transaction:
        transaction.execute("SELECT * FROM lease WHERE subject = ?", ("node/1",))
    database.close()
"""
# The least that one would write: no waiting for a locked file, no rights of the file, no schema, no lock on PostgreSQL.
LIBRARY = """
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Double, Integer, MetaData, Table, Text, create_engine, event, select
from sqlalchemy.pool import NullPool
lease = Table("lease", MetaData(), Column("subject", Text, primary_key=True), Column("number", Integer), Column("operation_id", Text),
              Column("owner", Text), Column("taken_at", Double), Column("expires_at", Double))
url = where.split("?")[0].replace(":///", ":////") if where.startswith("sqlite") else where.replace("postgresql:", "postgresql+psycopg:")
def read():
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL search_path = bowline")
        MigrationContext.configure(connection).get_current_heads()
        connection.execute(select(lease).where(lease.c.subject == "node/1")).all()
    engine.dispose()
"""
HEARTBEAT = (
    (
        """
        CREATE TABLE heartbeat (
            instance TEXT PRIMARY KEY, at DOUBLE PRECISION NOT NULL, boot_id TEXT NOT NULL, status TEXT NOT NULL)
        """,
        """
        CREATE TABLE heartbeat_hour (
            instance TEXT NOT NULL, hour INTEGER NOT NULL, seen INTEGER NOT NULL, largest_gap DOUBLE PRECISION NOT NULL, PRIMARY KEY (instance, hour))
        """,
    ),
)


def calls(samples: int, library: str, places: dict[str, str]) -> dict[str, dict[str, list[float]]]:
    """Seconds of each way, cold and warm."""
    programs = {"own": OWN, **({"library": LIBRARY} if library else {})}
    found: dict[str, dict[str, list[float]]] = {f"{way} {kind}": {"cold": [], "cpu": [], "warm": []} for kind in places for way in programs}
    for sample in range(samples + 1):
        for kind, where in places.items():
            for way, program in programs.items():
                argv = [sys.executable, "-c", BEFORE + program + AFTER, where, library]
                said = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
                # The first round writes bytecode and fills caches.
                for key in said if sample else ():
                    found[f"{way} {kind}"][key].append(said[key])
    return found


def beat(transaction: t.Any, instance: str, at: float) -> None:
    """What one heartbeat writes: the latest row, and the row of its hour."""
    before = transaction.execute("SELECT at FROM heartbeat WHERE instance = ?", (instance,))
    gap = at - before[0]["at"] if before else 0.0
    transaction.execute(
        "INSERT INTO heartbeat (instance, at, boot_id, status) VALUES (?, ?, ?, ?) ON CONFLICT (instance) DO UPDATE SET at = excluded.at,"
        " boot_id = excluded.boot_id, status = excluded.status",
        (instance, at, "0c2b1b8e", '{"units": [], "load": 0.2}'),
    )
    transaction.execute(
        "INSERT INTO heartbeat_hour (instance, hour, seen, largest_gap) VALUES (?, ?, 1, ?) ON CONFLICT (instance, hour) DO UPDATE SET"
        " seen = heartbeat_hour.seen + 1, largest_gap = CASE WHEN excluded.largest_gap > heartbeat_hour.largest_gap THEN excluded.largest_gap"
        " ELSE heartbeat_hour.largest_gap END",
        (instance, int(at // 3600), gap),
    )


def heartbeats(where: str, nodes: int) -> dict[str, float]:
    """Heartbeats per second: one transaction for each, and one for a sweep of all nodes, as the product writes them."""
    from ansible_collections.bowline.fleet.plugins.module_utils._store.dsn import place
    from ansible_collections.bowline.fleet.plugins.module_utils._store.open import open_for_writing

    database = open_for_writing(place(where, {}))
    database.join("_bench", HEARTBEAT)
    rates = {}
    for way, size, rounds in (("each", 1, min(nodes, 300)), ("sweep", nodes, 5)):
        begun = time.perf_counter()
        for number in range(rounds):
            with database.transaction() as transaction:
                for node in range(size):
                    beat(transaction, f"node-{node if size > 1 else number}", 1_764_000_000.0 + number * 30)
        rates[way] = size * rounds / (time.perf_counter() - begun)
    database.close()
    return rates


def copies(where: str, operations: int) -> float:
    """Seconds to copy a store with so many operations of five steps for check mode."""
    from ansible_collections.bowline.fleet.plugins.module_utils._store.dsn import place
    from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
    from ansible_collections.bowline.fleet.plugins.module_utils._store.open import open_copy, open_for_writing
    from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

    store = StateStore(open_for_writing(place(where, {})), Owner("bench", "bench", "here", 1))
    with store._database.transaction() as transaction:
        made = store_rows(operations)
        for statement, values in made:
            transaction.execute(statement, values)
    store.close()
    seconds = []
    for _sample in range(5):
        begun = time.perf_counter()
        open_copy(place(where, {})).close()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def store_rows(operations: int) -> t.Iterator[tuple[str, tuple[t.Any, ...]]]:
    owner, evidence = json.dumps({"host": "here"}), json.dumps({"role": {"seen": "x" * 400}})
    for number in range(operations):
        key = f"op-{number}"
        yield (
            "INSERT INTO operation (id, kind, subjects, leases, lease_ttl, owner, actor, parameters, started_at)"
            " VALUES (?, 'k', '[]', '{}', 9, ?, 'a', '{}', ?)",
            (key, owner, 1.0 + number),
        )
        for step in range(5):
            yield "INSERT INTO step (operation_id, id, name, position) VALUES (?, ?, 'n', ?)", (key, f"s{step}", step)
            yield (
                "INSERT INTO step_host (operation_id, step_id, host, status, changed, evidence, bookmark) VALUES (?, ?, 'h', 'done', 1, ?, '{}')",
                (key, f"s{step}", evidence),
            )


def postgres(home: Path) -> tuple[t.Any, str]:
    """A server on loopback with an empty database, as the tests have it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from loading import load

    rig = load(ROOT / "tests" / "integration" / "pg" / "rig.py", "bowline_pg_rig")
    home.chmod(0o711)
    cluster = rig.Cluster("store", home, rig.versions.DEFAULT)
    cluster.create("log_statement = none")
    cluster.start()
    for statement in ("CREATE ROLE fleet LOGIN PASSWORD 'bench'", "CREATE DATABASE fleet OWNER fleet"):
        cluster.rows(statement, dbname="postgres")
    return cluster, f"postgresql://fleet:bench@127.0.0.1:{cluster.port}/fleet?sslmode=disable"


def report(found: dict[str, dict[str, list[float]]], rates: dict[str, dict[str, float]], copied: dict[str, float], operations: int) -> list[str]:
    """The page, as lines of Markdown."""
    kinds = ("cold", "cpu", "warm")
    lines = [f"| call of an action plugin | {' | '.join(f'{key}, ms | of own SQLite' for key in kinds)} |", "|---" * 7 + "|"]
    base = {key: statistics.median(found["own sqlite"][key]) for key in kinds}
    for way, seen in found.items():
        medians = {key: statistics.median(seen[key]) for key in kinds}
        lines.append(f"| {way} | {' | '.join(f'{value * 1e3:.1f} | {value / base[key]:.2f}' for key, value in medians.items())} |")
    lines += ["", "| heartbeats per second | one transaction each | / 33 | one for a sweep | / 33 |", "|---|---|---|---|---|"]
    for kind, rate in rates.items():
        lines.append(f"| {kind} | {rate['each']:.0f} | {rate['each'] / RATE:.1f} | {rate['sweep']:.0f} | {rate['sweep'] / RATE:.0f} |")
    lines += ["", f"| copy of a store with {operations} operations, for check mode | ms |", "|---|---|"]
    return [*lines, *(f"| {kind} | {seconds * 1e3:.0f} |" for kind, seconds in copied.items())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--library", default="")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--operations", type=int, default=1000)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    home, cluster = Path(tempfile.mkdtemp(prefix="bowline-bench-")), None
    # The disk of this clone, since /tmp may be memory.
    folder = Path(tempfile.mkdtemp(prefix="store-", dir=OUT))
    sys.path.insert(0, TREE)
    try:
        cluster, server = postgres(home)
        places = {"sqlite": f"sqlite://{folder}/store.db?ephemeral=true", "postgresql": server}
        found = calls(given.samples, given.library, places)
        rates = {kind: heartbeats(where, given.nodes) for kind, where in places.items()}
        copied = {kind: copies(where, given.operations) for kind, where in places.items()}
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    lines = report(found, rates, copied, given.operations)
    (OUT / "store.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (OUT / "store.json").write_text(json.dumps({"calls": found, "heartbeats": rates, "copies": copied, "cpus": os.cpu_count()}, indent=2), encoding="utf-8")
    print("\n".join(lines))
    return 0 if rates["sqlite"]["sweep"] / RATE >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
