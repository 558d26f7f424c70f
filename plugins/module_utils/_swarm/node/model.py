# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain is asked for, what it would do, and what stands in its way."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ..._core.finding import Finding
from ..model import Json
from ..verdict.quorum import Quorum

# What can stand in the way of a drain, and be accepted by its name. `quorum` is accepted by options of its own.
BLOCKERS = ("no_place", "pinned", "local_volume", "host_port", "restart_none", "job_running", "foreign_rollout")

# States of a task in which it may still run (swarmkit's task states below COMPLETE).
LIVE = ("new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running")


@dataclass(frozen=True)
class Asked:
    """The options of swarm_node that decide about a drain."""

    mode: str = "surge"
    intent: str = "maintenance"
    accept: t.FrozenSet[str] = frozenset()
    quorum: str = "strict"
    accept_quorum_loss: bool = False


@dataclass(frozen=True)
class Blocker:
    """``subject`` is a service or the node; ``accept`` the option that lets the drain go on all the same."""

    name: str
    subject: str
    reason: str
    accept: str

    def as_finding(self) -> Json:
        """As `_core.result.finding_line` shows it."""
        return Finding(self.name, "fail", self.subject, self.reason, self.accept).as_dict()

    def as_hook(self) -> Json:
        """As the evidence of a drain hook has it."""
        return {"name": self.name, "subject": self.subject, "reason": self.reason, "override": self.accept}


@dataclass(frozen=True)
class Move:
    """``tasks`` tasks of a service leave the node for ``to`` (hostnames, one a task). ``stack`` is empty for a service of none."""

    id: str
    service: str
    stack: str
    tasks: int
    order: str
    to: t.Tuple[str, ...] = ()

    def as_data(self) -> Json:
        return {**asdict(self), "to": list(self.to)}


@dataclass(frozen=True)
class Stop:
    """``tasks`` tasks of a service end with the node and start nowhere else, for this reason: global, accepted, job."""

    service: str
    tasks: int
    why: str


@dataclass(frozen=True)
class DrainPlan:
    """``blockers`` are those that nobody accepted; nothing is begun while there are any."""

    node_id: str
    moves: t.Tuple[Move, ...]
    stops: t.Tuple[Stop, ...]
    blockers: t.Tuple[Blocker, ...]
    quorum: Quorum
