# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the managers of a Swarm can lose, as arithmetic over GET /nodes. Pure.

Source: swarmkit, manager/state/raft/raft.go, CanRemoveMember (a member goes only if the others that are reachable are a majority of the
rest) and manager/controlapi/node.go, UpdateNode (the last manager is never demoted). Availability is no part of raft: a drained manager votes.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..model import Json

# What follows a drain: the engine stays, is stopped for a while, or is stopped for good.
INTENTS = ("maintenance", "reboot", "decommission")

# Managers with so few members have nothing to lose but their majority, so a person has to say that it may be lost.
_FEW = 2


@dataclass(frozen=True)
class Quorum:
    """N ``managers``, of which ``reachable`` answer and ``quorum`` have to. ``leader`` is the hostname, empty without one."""

    managers: int
    reachable: int
    leader: str = ""
    unreachable: t.Tuple[str, ...] = ()

    @property
    def quorum(self) -> int:
        return majority(self.managers)

    @property
    def margin(self) -> int:
        """So many more managers may be lost; negative when the majority is lost."""
        return self.reachable - self.quorum

    def __str__(self) -> str:
        silent = f" (not: {', '.join(self.unreachable)})" if self.unreachable else ""
        return f"{self.managers} managers, {self.reachable} reachable{silent}, {self.quorum} needed"

    def as_data(self) -> Json:
        """Result and details of a failure."""
        return {"managers": self.managers, "reachable": self.reachable, "quorum": self.quorum, "margin": self.margin,
                "leader": self.leader, "unreachable": list(self.unreachable)}  # fmt: skip


def majority(managers: int) -> int:
    """How many of ``managers`` have to be reachable."""
    return managers // 2 + 1


def count(nodes: t.Iterable[Json]) -> Quorum:
    """The arithmetic of ``nodes``. A member of raft is a node with a ManagerStatus, whatever its wanted role says meanwhile."""
    members = [node for node in nodes if member(node)]
    return Quorum(
        managers=len(members),
        reachable=sum(1 for node in members if reachable(node)),
        leader=next((hostname(node) for node in members if node["ManagerStatus"].get("Leader")), ""),
        unreachable=tuple(sorted(hostname(node) for node in members if not reachable(node))),
    )


def member(node: Json) -> bool:
    return bool(node.get("ManagerStatus"))


def reachable(node: Json) -> bool:
    return (node.get("ManagerStatus") or {}).get("Reachability") == "reachable"


def leads(node: Json) -> bool:
    return bool((node.get("ManagerStatus") or {}).get("Leader"))


def hostname(node: Json) -> str:
    """Name for people; the id where the node never reported one."""
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])


def drain_risk(nodes: t.Sequence[Json], node: Json, intent: str, rule: str, accept_loss: bool = False) -> str:
    """Why the drain of ``node`` for ``intent`` endangers the majority; empty when it does not.

    ``rule`` "votes" permits a drain behind which the engine goes on running; "strict" wants every manager there and one to spare,
    because what is drained is often stopped next. ``accept_loss`` is for clusters of one or two managers, which have none to spare.
    """
    if not member(node) or not reachable(node):
        return ""
    now = count(nodes)
    if rule == "votes" and intent == "maintenance":
        return ""
    if accept_loss and now.managers <= _FEW:
        return ""
    if rule == "strict" and now.reachable < now.managers:
        return f"{now}: another manager is already gone, so {hostname(node)} stays."
    if now.reachable - 1 < now.quorum:
        return f"{now}: without {hostname(node)} only {now.reachable - 1} would be left."
    return ""


def demote_risk(nodes: t.Sequence[Json], node: Json, accept_loss: bool = False) -> str:
    """Why ``node`` must not leave raft now; empty when it may, or is no member."""
    if not member(node):
        return ""
    now = count(nodes)
    if now.managers == 1:
        return f"{hostname(node)} is the last manager: without it there is no cluster."
    if now.managers <= _FEW and not accept_loss:
        return f"{now}: the one that is left could not lose anything any more."
    if reachable(node) and now.unreachable:
        return f"{now}: a manager that is unreachable goes first."
    left = now.reachable - (1 if reachable(node) else 0)
    if left < majority(now.managers - 1):
        return f"{now}: without {hostname(node)} {left} of {now.managers - 1} would be left, {majority(now.managers - 1)} are needed."
    return ""


def order(nodes: t.Iterable[Json]) -> t.List[Json]:
    """The order in which ``nodes`` are worked on one after the other: workers, silent managers, managers, the leader last.

    Each step that takes a leader away costs an election, so it is taken once.
    """
    return sorted(nodes, key=lambda node: (member(node), reachable(node), leads(node), hostname(node), node["ID"]))
