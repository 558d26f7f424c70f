# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of writes: one JSON line for each attempt, on disk before the attempt counts.

Fields: ``key``, ``amount``, ``state`` (acknowledged, refused, in_doubt), ``id`` (null unless acknowledged), ``side`` (X-Served-By or null),
``status`` (HTTP or null), ``error`` (null unless failed), ``failed``, ``reconnects``, ``started`` and ``finished`` (Unix time), ``writer``.

refused: the application said that nothing was written, or the request never left. in_doubt: anything may have happened.
"""
from __future__ import annotations

import json
import os
import threading
import typing as t
from pathlib import Path

from . import settings

FILE = settings.LEDGER / "writes.jsonl"
# From weak to strong: one acknowledged attempt settles a key, whatever the others said.
STATES = ("refused", "in_doubt", "acknowledged")


class Writer:
    """Appends whole lines; returns after the line is on disk. For any number of threads of one process."""

    def __init__(self, path: Path = FILE) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def append(self, entry: t.Mapping[str, t.Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._file.write(line)
        # Outside the lock: writers that finish together share the wait.
        os.fsync(self._file.fileno())


def read(path: Path = FILE) -> t.Iterator[dict[str, t.Any]]:
    """Every whole line, oldest first. A last line without its end was never counted, so it is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def verdicts(entries: t.Iterable[dict[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    """One verdict for each key from all its attempts: acknowledged once is acknowledged; else in doubt once is in doubt; else refused.

    ``ids`` holds every id that was acknowledged for the key: more than one is a duplicate.
    """
    found: dict[str, dict[str, t.Any]] = {}
    for entry in entries:
        verdict = found.setdefault(entry["key"], {"state": entry["state"], "amount": entry["amount"], "ids": set()})
        if STATES.index(entry["state"]) > STATES.index(verdict["state"]):
            verdict["state"] = entry["state"]
        if entry["id"] is not None:
            verdict["ids"].add(entry["id"])
    return found
