# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Emptying a node without a dip, and taking that back. Each step looks at the world first, so a killed run is continued by the next one."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field, replace

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.wait import Deadline, wait_for
from ..client.engine import Engine, OutOfSequence
from ..model import Json, Verdict, World
from ..verdict import watch
from ..verdict.converge import Limits
from ..verdict.health import counts
from ..verdict.quorum import hostname
from . import plan as planning
from .hands import set_node
from .model import Asked, DrainPlan, Move
from .specs import evacuated, evacuating, restored

POLL = 0.5

# Each is tried again from what is there then; more than a few in a row are no chance but a program that writes all the time.
_TRIES = 5

Hold = t.Callable[[str], t.ContextManager[t.Any]]


@dataclass
class Seen:
    """What a drain has done and seen: ``lowest`` running tasks by service while it was moved, ``changed`` what undo may touch."""

    lowest: t.Dict[str, int] = field(default_factory=dict)
    changed: t.List[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        self.changed += [] if what in self.changed else [what]


class Drain:
    """One drain of one node, inside its lock. ``hold`` takes the lock of a stack, or of a service of none."""

    def __init__(self, engine: Engine, node: Json, asked: Asked, limits: Limits, deadline: Deadline, hold: Hold, check: t.Callable[[], None],
                 max_parallel: int = 1) -> None:  # fmt: skip
        self._engine, self._id, self._name = engine, str(node["ID"]), hostname(node)
        self._asked, self._limits, self._deadline, self._hold, self._check = asked, limits, deadline, hold, check
        self._parallel = max(1, max_parallel)
        self.seen = Seen()

    def surge(self, rollouts: t.Iterable[str]) -> None:
        """Move what can move, then stop the rest. Raises FleetError; what was done by then is taken back by `undo`."""
        if self._availability() == "active":
            # A task that came between plan and pause is found below; F8: without the pause every event of a node kills at once.
            self._set("pause")
            hit("N2")
        while self._availability() == "pause":
            todo = self._moves(rollouts)
            if not todo:
                break
            for start in range(0, len(todo), self._parallel):
                self._move(todo[start : start + self._parallel])
        hit("N4")
        self.empty()

    def empty(self) -> None:
        """Set drain and wait until nothing runs here; then give the services their own specs back."""
        touched = self._touched()
        self._stop()
        hit("N6")
        self.restore()
        self._wait_counts(touched)

    def plain(self, moves: t.Sequence[Move]) -> None:
        """Drain as the engine does it: what runs here stops first, and starts elsewhere if it may."""
        self._stop()
        self._wait_counts([move.id for move in moves])

    def restore(self) -> t.List[str]:
        """Give every service that a drain of this node has touched its own spec back; this restarts nothing (F7). Returns their names."""
        names = []
        for service in self._engine.services():
            if evacuating(service["Spec"]) == self._id:
                with self._hold(planning.subject(planning.stack_of(service), service["Spec"]["Name"])):
                    self._post(service["ID"], restored)
                names.append(str(service["Spec"]["Name"]))
                hit("N7")
        return names

    def undo(self, availability: str) -> None:
        """The services as they were, and the node as it was."""
        self.restore()
        if self._availability() != availability:
            self._set(availability)

    def left(self) -> t.List[str]:
        """What still runs here, for people."""
        services = self._engine.services()
        names = {service["ID"]: service["Spec"]["Name"] for service in services}
        seen = World(self._engine.cluster_id, {}, services=services, tasks=self._engine.tasks({"node": [self._id]}))
        tasks = planning.holding(seen, self._id, self._asked.accept)
        return sorted(f"{names.get(task.get('ServiceID'), task.get('ServiceID'))} ({task['Status']['State']})" for task in tasks)

    # --- services

    def _moves(self, rollouts: t.Iterable[str]) -> t.Tuple[Move, ...]:
        world = self._engine.world()
        node = next(node for node in world.nodes if node["ID"] == self._id)
        # The majority was asked about before the first write. A manager that fell since then is no reason to leave half a drain behind.
        found = planning.drain(world, node, replace(self._asked, quorum="votes", intent="maintenance"), rollouts)
        if found.blockers:
            raise blocked(found, self._name)
        return found.moves

    def _move(self, moves: t.Sequence[Move]) -> None:
        with contextlib.ExitStack() as held:
            for subject in sorted({planning.subject(move.stack, move.service) for move in moves}):
                held.enter_context(self._hold(subject))
            before, applied = self._engine.tasks(), {}
            for move in moves:
                applied[move.id] = self._post(move.id, evacuation(self._id, move.order))
                hit("N3")
                self.seen.note(f"service {move.service}")
            limits = replace(self._limits, wait_timeout=max(1.0, min(self._limits.wait_timeout, self._deadline.remaining())))
            verdicts = watch.wait(_Counting(self._engine, self.seen.lowest), applied, dict.fromkeys(applied, limits), before=before, beat=self._check)
            # The wait ends with the first that failed; of several at once the others still wait, which is no reason.
            for verdict in verdicts:
                if verdict.code not in ("converged", "waiting"):
                    raise _failed(verdict, self._name)

    def _post(self, service_id: str, change: t.Callable[[Json], Json]) -> Json:
        """The spec as the engine gives it back after ``change``. Planned anew when somebody else was faster; nothing is written over."""
        tries = 0
        while True:
            service = self._engine.service(service_id)
            wanted = change(service["Spec"])
            if wanted == service["Spec"]:
                return wanted
            try:
                self._check()
                self._engine.service_update(service_id, int(service["Version"]["Index"]), wanted)
                return t.cast(Json, self._engine.service(service_id)["Spec"])
            except OutOfSequence:
                tries += 1
                if tries == _TRIES:
                    raise

    def _touched(self) -> t.List[str]:
        return [service["ID"] for service in self._engine.services() if evacuating(service["Spec"]) == self._id]

    def _wait_counts(self, ids: t.Sequence[str]) -> None:
        def short() -> t.List[str]:
            services = [service for service in self._engine.services() if service["ID"] in ids]
            tasks = self._engine.tasks()
            seen = [(service["Spec"]["Name"], *counts(service, tasks)) for service in services]
            return [f"{name} runs {running} of {wanted}" for name, wanted, running in seen if running < wanted]

        wait_for(short, lambda found: not found, self._deadline, what=f"the services that were on {self._name}", interval=POLL, code="drain_timeout",
                 remedy="Read docker service ps of the service that is named; then run again, or take the drain back with state: active.")  # fmt: skip

    # --- the node

    def _availability(self) -> str:
        return str(self._engine.node(self._id)["Spec"].get("Availability") or "active")

    def _set(self, availability: str) -> None:
        set_node(self._engine, self._id, Availability=availability)
        self.seen.note(f"availability {availability}")

    def _stop(self) -> None:
        if self._availability() != "drain":
            self._set("drain")
            hit("N5")
        wait_for(self.left, lambda found: not found, self._deadline, what=f"the tasks on {self._name} to end", interval=POLL, code="drain_timeout",
                 remedy="Read on that node why they do not end; stop_grace_period is how long each may take.")  # fmt: skip


class _Counting:
    """The engine as `watch.wait` asks it, keeping the lowest number of running tasks of each service."""

    def __init__(self, engine: Engine, lowest: t.Dict[str, int]) -> None:
        self._engine, self._lowest, self._tasks = engine, lowest, ()  # type: t.Tuple[Engine, t.Dict[str, int], t.Tuple[Json, ...]]

    def services(self, wanted: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> t.Tuple[Json, ...]:
        found = self._engine.services(wanted)
        for service in found:
            name, running = str(service["Spec"]["Name"]), counts(service, self._tasks)[1]
            self._lowest[name] = min(running, self._lowest.get(name, running))
        return found

    def tasks(self, wanted: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> t.Tuple[Json, ...]:
        self._tasks = self._engine.tasks(wanted)
        return self._tasks

    def nodes(self, wanted: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> t.Tuple[Json, ...]:
        return self._engine.nodes(wanted)

    def task_logs(self, task_id: str, tail: int = 100) -> str:
        return self._engine.task_logs(task_id, tail)


def evacuation(node_id: str, order: str) -> t.Callable[[Json], Json]:
    """The change of a spec that makes a service leave; none where a killed run has made it already."""
    return lambda spec: spec if evacuating(spec) == node_id else evacuated(spec, node_id, order)


def blocked(plan: DrainPlan, name: str) -> FleetError:
    """All blockers in one failure; of the majority alone it is ``quorum_risk``."""
    findings = [blocker.as_finding() for blocker in plan.blockers]
    details = {"findings": findings, "quorum": plan.quorum.as_data(), "blockers": [blocker.as_hook() for blocker in plan.blockers]}
    if [blocker.name for blocker in plan.blockers] == ["quorum"]:
        risk = plan.blockers[0]
        return FleetError("quorum_risk", f"{risk.reason} Nothing was changed.", risk.accept, details={key: details[key] for key in ("quorum", "blockers")})
    return FleetError("drain_blocked", f"{name} cannot be drained: {len(findings)} things stand in the way. Nothing was changed.",
                      "Make room, or accept what is named.", details)  # fmt: skip


def _failed(verdict: Verdict, name: str) -> FleetError:
    code = "drain_timeout" if verdict.code in ("timeout", "stuck") else verdict.code
    return FleetError(code, f"{verdict.service} did not move off {name}: {verdict.message}",
                      "Mend what is named, then run the same drain again.", {"tasks": list(verdict.evidence), "service": verdict.service})  # fmt: skip
