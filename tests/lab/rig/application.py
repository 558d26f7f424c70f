# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What writers and judge must know of an application: how one writes to it, and how its rows are read past it."""
from __future__ import annotations

import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from . import ledger, settings
from .shell import Daemon


@dataclass(frozen=True)
class Application:
    """``description`` is a file in the form of build/lab.json; ``worker`` the command whose process is the writers."""

    description: Path
    ledger: Path
    daemon: Daemon
    worker: tuple[str | Path, ...]
    # A path that answers 200 on a side that serves.
    health: str
    # Method, path and value of the request that writes an amount under a key. It may be repeated.
    write: t.Callable[[str, int], tuple[str, str, t.Any]]
    # The number that an acknowledged answer gave the row; None when the answer is no such acknowledgement.
    number: t.Callable[[t.Any], int | None]
    # A table by which an empty database is told from one that has the rows, and the query for (number, key, amount) of the writers' keys.
    table: str
    rows: str
    headers: t.Mapping[str, str] = field(default_factory=dict)


def _number(value: t.Any) -> int | None:
    number = value.get("id") if isinstance(value, dict) else None
    return number if isinstance(number, int) else None


HUB = Application(
    description=settings.JSON,
    ledger=ledger.FILE,
    daemon=Daemon("writers"),
    worker=(sys.executable, settings.LAB / "writers.py", "work"),
    health="/up",
    write=lambda key, amount: ("POST", "/ledger", {"key": key, "amount": amount}),
    number=_number,
    table="public.ledger",
    rows="select id, key, amount from ledger where key like 'w-%'",
)
