# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers: clients that write to the ledger through its public name, and remember on disk what was acknowledged.

``start`` leaves them running on their own; they end at ``stop`` or after LAB_WRITERS_SECONDS (default 1800). LAB_WRITERS (default 8)
is their number, LAB_WRITERS_RATE (default 10) the writes per second of each. The record is build/lab/ledger/writes.jsonl.
"""
from __future__ import annotations

import argparse
import collections
import http.client
import json
import os
import signal
import sys
import threading
import time
import typing as t

from rig import client, ledger
from rig.application import HUB, Application
from rig.shell import LabError, wait

# A key is tried again until it is acknowledged, at most this long: any hold, restart or switch of the lab is over by then.
PERSISTENCE = 60


def classify(reply: client.Reply, app: Application = HUB) -> str:
    """acknowledged, refused or in_doubt. Only the application can refuse: a proxy's error says nothing about what happened behind it."""
    value = reply.json()
    if reply.status in (200, 201) and app.number(value) is not None:
        return "acknowledged"
    if isinstance(value, dict) and (value.get("outcome") == "refused" or 400 <= reply.status < 500):
        return "refused"
    return "in_doubt"


def attempt(http_client: client.Client, key: str, amount: int, app: Application = HUB) -> dict[str, t.Any]:
    """One write as a line of the ledger file."""
    entry: dict[str, t.Any] = {"key": key, "amount": amount, "id": None, "side": None, "status": None, "error": None}
    reconnects, entry["started"] = http_client.reconnects, time.time()
    try:
        reply = http_client.request(*app.write(key, amount))
        entry.update(state=classify(reply, app), side=reply.side, status=reply.status)
        if entry["state"] == "acknowledged":
            entry["id"] = app.number(reply.json())
        else:
            entry["error"] = reply.body[:200].decode("utf-8", "replace").strip()
    except client.NotSent as problem:
        entry.update(state="refused", error=f"not sent: {problem}")
    except (OSError, http.client.HTTPException) as problem:
        entry.update(state="in_doubt", error=f"{type(problem).__name__}: {problem}")
    entry["finished"] = time.time()
    entry["reconnects"] = http_client.reconnects - reconnects
    entry["failed"] = entry["status"] is None or entry["status"] >= 500
    return entry


def write(number: int, run: str, file: ledger.Writer, stop: threading.Event, rate: float, app: Application) -> None:
    http_client = client.Client(client.load(app.description), headers=app.headers)
    due = time.monotonic()
    count = 0
    while not stop.is_set():
        count += 1
        key, amount, until = f"w-{run}-{number}-{count}", count % 1000, time.monotonic() + PERSISTENCE
        while True:
            entry = attempt(http_client, key, amount, app)
            file.append({**entry, "writer": number})
            if entry["state"] == "acknowledged" or time.monotonic() > until or stop.wait(0.1):
                break
        due = max(due + 1 / rate, time.monotonic() - 1 / rate)
        stop.wait(max(0.0, due - time.monotonic()))
    http_client.close()


def work(app: Application = HUB) -> None:
    """The process that stays."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    writers = int(os.environ.get("LAB_WRITERS", "8"))
    rate = min(20.0, float(os.environ.get("LAB_WRITERS_RATE", "10")))
    file, run = ledger.Writer(app.ledger), f"{time.time_ns() // 1_000_000:x}"
    threads = [threading.Thread(target=write, args=(number, run, file, stop, rate, app)) for number in range(1, writers + 1)]
    for thread in threads:
        thread.start()
    stop.wait(float(os.environ.get("LAB_WRITERS_SECONDS", "1800")))
    stop.set()
    for thread in threads:
        thread.join()


def start(fresh: bool = False, app: Application = HUB) -> dict[str, t.Any]:
    """Running writers are adopted; returns when the first write of this run is acknowledged."""
    daemon = app.daemon
    if daemon.pid() is None:
        if not app.description.exists():
            raise LabError(f"There is no {app.description}: start the lab first (lab.py up).")
        if fresh and app.ledger.exists():
            app.ledger.rename(app.ledger.with_name(f"writes-{time.time_ns() // 1_000_000}.jsonl"))
        before = status(app)["acknowledged"]
        daemon.start(app.worker)
        wait("the writers' first acknowledged write", lambda: daemon.pid() is None or status(app)["acknowledged"] > before, 30, 0.2)
        if daemon.pid() is None:
            raise LabError(f"The writers ended at once:\n{daemon.tail()}")
    return status(app)


def stop(app: Application = HUB) -> dict[str, t.Any]:
    """Each writer ends its request first; in the worst case that is the timeout of 35 s."""
    app.daemon.stop(40)
    return status(app)


def status(app: Application = HUB) -> dict[str, t.Any]:
    """Counts of attempts by state, of keys by verdict, and of failed requests; sides with their first and last acknowledged write."""
    states: collections.Counter[str] = collections.Counter()
    sides: dict[str, dict[str, t.Any]] = {}
    failures: collections.deque[dict[str, t.Any]] = collections.deque(maxlen=5)
    entries = []
    for entry in ledger.read(app.ledger):
        entries.append(entry)
        states[entry["state"]] += 1
        states["failed"] += entry["failed"]
        states["reconnects"] += entry["reconnects"]
        if entry["failed"]:
            failures.append({name: entry[name] for name in ("finished", "key", "status", "error", "side")})
        if entry["state"] == "acknowledged":
            side = sides.setdefault(str(entry["side"]), {"acknowledged": 0, "first": entry["finished"], "last": entry["finished"]})
            side["acknowledged"] += 1
            side["last"] = max(side["last"], entry["finished"])
    return {
        "running": app.daemon.pid() is not None, "attempts": len(entries), **{state: states[state] for state in ledger.STATES},
        "failed": states["failed"], "reconnects": states["reconnects"], "sides": sides, "failures": list(failures),
        "file": str(app.ledger),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("start", help="start, or adopt those that run").add_argument(
        "--fresh", action="store_true", help="put the old ledger file aside first")
    commands.add_parser("stop", help="let them end their requests and go")
    commands.add_parser("status", help="counts as JSON")
    commands.add_parser("work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        if arguments.command == "work":
            work()
        else:
            result = start(arguments.fresh) if arguments.command == "start" else stop() if arguments.command == "stop" else status()
            print(json.dumps(result, indent=2))
    except LabError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
