# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict over a whole cluster: healthy, warning, error, critical or unreachable, each with all of its reasons. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from ..model import Json, World
from .quorum import Quorum, count, hostname, member, reachable

# From good to bad.
LEVELS = ("healthy", "warning", "error", "critical", "unreachable")

# Failed tasks of one service within so many seconds are an error, a single one is what Swarm is there for.
FAILED_TASKS, FAILED_WITHIN = 3, 600

CERTIFICATE_DAYS = 14

# Labels by which people say where a node stands; the first one that a manager has is taken.
_DOMAINS = ("failure_domain", "zone", "datacenter", "rack")

# Seconds of a moment as the engine writes it are read by the caller: a plan reads no calendar.
Seconds = t.Callable[[str], float]


@dataclass(frozen=True)
class Reason:
    """One thing that is not as it should be. ``level`` is one of LEVELS, ``subject`` a node, service, certificate or record."""

    level: str
    code: str
    subject: str
    message: str


@dataclass(frozen=True)
class Health:
    """``verdict`` is the worst level of ``reasons``; healthy without any."""

    verdict: str
    reasons: t.Tuple[Reason, ...]
    quorum: Quorum

    def as_data(self) -> Json:
        """The result ``health`` of swarm_cluster_info and swarm_cluster."""
        reasons = [{"level": one.level, "code": one.code, "subject": one.subject, "message": one.message} for one in self.reasons]
        return {"verdict": self.verdict, "reasons": reasons, **self.quorum.as_data()}


def judge(world: World, now: float, seconds: Seconds, *, min_fault_tolerance: int = 1,
          certificates: t.Optional[t.Mapping[str, float]] = None, open_work: t.Iterable[str] = ()) -> Health:  # fmt: skip
    """The health of ``world`` at ``now`` (Unix seconds; ``seconds`` reads the engine's moments).

    ``certificates`` has the days left by what each is for; ``open_work`` names rollouts and drains that were left open.
    """
    quorum = count(world.nodes)
    reasons = [*_quorum(quorum, world.nodes, min_fault_tolerance), *_nodes(world.nodes), *_services(world), *_failures(world, now, seconds)]
    for name, days in sorted((certificates or {}).items()):
        if days <= CERTIFICATE_DAYS:
            reasons.append(Reason("warning", "certificate", name, f"The certificate of {name} ends in {max(days, 0):.0f} days."))
    reasons += [Reason("warning", "open_work", name, f"{name} was left open.") for name in sorted(open_work)]
    return verdict(reasons, quorum)


def lost(quorum: Quorum) -> Health:
    """The health of a cluster whose managers answer, each for itself, and decide nothing."""
    return verdict([Reason("critical", "quorum", "managers", f"{quorum}: the cluster decides nothing.")], quorum)


def unreachable(message: str) -> Health:
    """No endpoint answered, so nothing is known."""
    return verdict([Reason("unreachable", "endpoint", "endpoints", message)], Quorum(0, 0))


def verdict(reasons: t.Sequence[Reason], quorum: Quorum) -> Health:
    """The worst reason decides; the worst come first."""
    ordered = sorted(reasons, key=lambda one: (-LEVELS.index(one.level), one.code, one.subject))
    return Health(ordered[0].level if ordered else LEVELS[0], tuple(ordered), quorum)


def _quorum(quorum: Quorum, nodes: t.Iterable[Json], min_fault_tolerance: int) -> t.Iterator[Reason]:
    if quorum.margin < 0 or not quorum.leader:
        yield Reason("critical", "quorum", "managers", f"{quorum}: the cluster decides nothing.")
    elif quorum.margin < min_fault_tolerance:
        yield Reason("warning", "fault_tolerance", "managers", f"{quorum}: {quorum.margin} may be lost, {min_fault_tolerance} should be.")
    if quorum.managers and quorum.managers % 2 == 0:
        yield Reason("warning", "even_managers", "managers", f"{quorum.managers} managers bear no more losses than {quorum.managers - 1}.")
    managers = [node for node in nodes if member(node)]
    label = next((name for name in _DOMAINS if any(name in _labels(node) for node in managers)), "")
    if label and len(managers) > 1:
        domain, held = Counter(_labels(node).get(label, "") for node in managers).most_common(1)[0]
        if domain and quorum.managers - held < quorum.quorum:
            yield Reason("warning", "failure_domain", f"{label}={domain}", f"{held} of {quorum.managers} managers stand in {label}={domain}.")


def _nodes(nodes: t.Iterable[Json]) -> t.Iterator[Reason]:
    for node in nodes:
        name, state, availability = hostname(node), node["Status"]["State"], node["Spec"].get("Availability", "active")
        if member(node) and not reachable(node):
            yield Reason("error", "manager_unreachable", name, f"The other managers do not reach manager {name}.")
        if state != "ready":
            yield Reason("error", "node_down", name, f"Node {name} is {state}: {node['Status'].get('Message') or 'no reason given'}.")
        if availability != "active":
            yield Reason("warning", "node_unavailable", name, f"Node {name} is set to {availability}.")


def _services(world: World) -> t.Iterator[Reason]:
    for service in world.services:
        wanted, running = counts(service, world.tasks)
        name = service["Spec"]["Name"]
        if wanted and running < wanted:
            level = "error" if running == 0 else "warning"
            yield Reason(level, "service_down" if running == 0 else "service_short", name, f"Service {name} runs {running} of {wanted}.")


def counts(service: Json, tasks: t.Iterable[Json]) -> t.Tuple[int, int]:
    """Tasks that ``service`` shall have and those that run. (0, 0) for a job, which ends by itself.

    Swarm calls a task with a health check running only once it is healthy (moby, daemon/cluster/executor/container/controller.go, Start).
    A global service is wanted on as many nodes as its orchestrator has made tasks for.
    """
    mode = service["Spec"].get("Mode") or {}
    if "ReplicatedJob" in mode or "GlobalJob" in mode:
        return 0, 0
    own = [task for task in tasks if task.get("ServiceID") == service["ID"] and task.get("DesiredState") == "running"]
    running = sum(1 for task in own if task["Status"]["State"] == "running")
    if "Global" in mode:
        return len({task.get("NodeID") for task in own}), running
    return int((mode.get("Replicated") or {}).get("Replicas", 1)), running


def _failures(world: World, now: float, seconds: Seconds) -> t.Iterator[Reason]:
    names = {service["ID"]: service["Spec"]["Name"] for service in world.services}
    failed = Counter(names[task["ServiceID"]] for task in world.tasks
                     if task.get("ServiceID") in names and task["Status"]["State"] in ("failed", "rejected")
                     and now - seconds(task["Status"]["Timestamp"]) <= FAILED_WITHIN)  # fmt: skip
    for name, number in failed.items():
        if number >= FAILED_TASKS:
            yield Reason("error", "tasks_fail", name, f"{number} tasks of service {name} failed within {FAILED_WITHIN // 60} minutes.")


def _labels(node: Json) -> t.Mapping[str, str]:
    engine = ((node.get("Description") or {}).get("Engine") or {}).get("Labels") or {}
    return {**engine, **(node["Spec"].get("Labels") or {})}
