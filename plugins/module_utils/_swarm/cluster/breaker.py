# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a registered cluster is called after each probe, and when the next one is due. Pure; times are Unix seconds."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

STATUSES = ("pending", "connected", "disconnected", "error")

# So many failures in a row open the circuit, so many good probes close it.
FAILURES, GOOD = 5, 2

# Seconds until the next probe while the circuit is open: doubled with each failure.
PAUSE, PAUSE_MAX = 30.0, 3600.0


@dataclass(frozen=True)
class Standing:
    """``failures`` and ``good`` count probes in a row. ``next_probe_at`` is None when a probe is due by its interval alone."""

    status: str = "pending"
    failures: int = 0
    good: int = 0
    next_probe_at: t.Optional[float] = None


def probed(before: Standing, answered: bool, now: float) -> Standing:
    """The standing after a probe at ``now``."""
    if answered:
        good = before.good + 1
        if before.status == "error" and good < GOOD:
            return replace(before, failures=0, good=good, next_probe_at=None)
        return Standing("connected", 0, good)
    failures = before.failures + 1
    if before.status == "error" or failures >= FAILURES:
        # An error that answered once and fell silent again begins with the first pause.
        turns = max(0, failures - FAILURES)
        return Standing("error", failures, 0, now + min(PAUSE * 2**min(turns, 32), PAUSE_MAX))
    return Standing("pending" if before.status == "pending" else "disconnected", failures)


def due(standing: Standing, synced_at: t.Optional[float], interval: float, now: float) -> bool:
    """Whether a probe is to be made: never while the circuit is open, else when the inventory is as old as ``interval``."""
    if standing.next_probe_at is not None:
        return now >= standing.next_probe_at
    return standing.status != "connected" or synced_at is None or now - synced_at >= interval
