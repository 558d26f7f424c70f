# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store holds about operations: who holds which lease, and what each step did on each host.

Times are unix seconds; a result shows them as UTC text.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timezone

FAILURES = {
    "locked": "Another run holds the lease of a subject; its holder, age and step are named, and what to type if it is dead.",
    "lease_lost": "Another run has taken the lease of this operation over; nothing more is written in its name.",
    "operation_unknown": "The store has no operation with this id.",
    "store_unavailable": "The store could not be opened, read or written.",
    "store_ephemeral": "The store is a file that vanishes together with this container.",
    "tool_missing": "The store is on PostgreSQL, and psycopg 3 is not installed for the Python of the controller.",
    "unsafe_path": "Others could read, write or swap the file of the store; nothing was changed.",
    "evidence_missing": "A role ended without saying what it did.",
    "task_failed": "A task failed without a code of its own; the message is that of the task.",
}

STEP_STATUSES = ("planned", "started", "done", "failed", "skipped")
OUTCOMES = ("succeeded", "failed", "rolled_back", "abandoned")


@dataclass(frozen=True)
class Owner:
    """The process that holds a lease.

    ``machine``, ``boot``, ``namespace`` and ``born`` tell the same process from another one with the same number: a digest of the machine's
    id, the id of its boot, its process namespace, and the start time of the process. Each is empty where the system does not tell.
    """

    actor: str
    user: str
    host: str
    pid: int
    machine: str = ""
    boot: str = ""
    namespace: str = ""
    born: str = ""

    def __str__(self) -> str:
        return f"{self.actor} (pid {self.pid} on {self.host})"


@dataclass(frozen=True)
class Lease:
    """``number`` grows by one with every holder, so an old holder can be told from the present one.

    Released when ``operation_id`` is None.
    """

    subject: str
    number: int
    operation_id: t.Optional[str]
    owner: t.Optional[Owner]
    taken_at: float
    expires_at: float


@dataclass(frozen=True)
class Report:
    """What one role said on one host at the end of its work."""

    role: str
    changed: bool
    evidence: t.Mapping[str, t.Any] = field(default_factory=dict)
    bookmark: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HostStep:
    """One step as one host saw it. ``evidence`` and ``bookmark`` are keyed by role."""

    host: str
    status: str
    started_at: t.Optional[float] = None
    ended_at: t.Optional[float] = None
    changed: bool = False
    evidence: t.Mapping[str, t.Any] = field(default_factory=dict)
    bookmark: t.Mapping[str, t.Any] = field(default_factory=dict)
    failure: t.Optional[t.Mapping[str, t.Any]] = None


def utc(moment: t.Optional[float]) -> t.Optional[str]:
    """Unix seconds as ISO 8601 in UTC with milliseconds; None stays None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix(moment: t.Optional[str]) -> t.Optional[float]:
    """The other way round."""
    if moment is None:
        return None
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()
