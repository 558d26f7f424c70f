# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`swarm_node`: observe, plan, apply, read back."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.result import Step, result
from ..._core.wait import Deadline, wait_for
from ..client.engine import Engine
from ..model import Json, World
from ..record import records
from ..record.lock import Held, Lock
from ..record.records import DRAIN, ROLLOUT, Record
from ..verdict.converge import Limits
from ..verdict.quorum import count, demote_risk, hostname, member, reachable
from . import plan as planning
from .drain import POLL, Drain, blocked
from .hands import find, missing, set_node
from .model import Asked, DrainPlan
from .proof import refuse_unproven
from .specs import evacuating

# One drain at a time in the whole cluster. A stack can have no dot in its name, so none has this lock.
LOCK = "node.drain"

# A node that has left is seen as down after three missed heartbeats of 5 s (swarmkit, manager/dispatcher/dispatcher.go); a minute is ample.
_LEAVE = 60.0

_AVAILABILITY = {"active": "active", "paused": "pause", "drained": "drain"}

Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Goal:
    """What the node shall be: NodeSpec fields that differ, a drain or its undoing, and whether it shall go at all."""

    fields: t.Mapping[str, t.Any]
    drain: t.Optional[DrainPlan]
    revert: bool
    demote: bool
    promote: bool
    remove: bool
    steps: t.Tuple[Step, ...]


def run(params: Params, connect: t.Callable[[], Engine], check_mode: bool) -> Json:
    """Bring one node to its state. In check mode nothing is written."""
    engine = connect()
    try:
        return _run(params, engine, check_mode)
    finally:
        engine.close()


def _run(params: Params, engine: Engine, check_mode: bool) -> Json:
    world = engine.world()
    node = find(world.nodes, params["node"])
    if node is None and params["state"] == "absent":
        return result((), before=None, after=None, node=None, moves=[], quorum=count(world.nodes).as_data(), evidence={})
    if node is None:
        raise missing(world.nodes, params["node"])
    drains, rollouts = records.every(engine, DRAIN), [record.subject for record in records.every(engine, ROLLOUT)]
    goal = decide(params, world, node, drains, rollouts)
    if check_mode or not goal.steps:
        return _outcome(params, world, node, goal, _foreseen(node, goal), [], {}, "planned" if goal.steps else "unchanged")
    with Held(engine, LOCK, wait=params["lock_wait"], ttl=params["lock_ttl"], reason=params["reason"] or f"{hostname(node)} {params['state']}") as lock:
        work = _Work(engine, params, node, goal, rollouts, lock)
        work.all()
    after = find(engine.nodes(), node["ID"])
    return _outcome(params, engine.world(), node, goal, after, work.seen.changed, work.seen.lowest, "done")


# --- deciding, without a write ----------------------------------------------------------------------------------------------------


def decide(params: Params, world: World, node: Json, drains: t.Sequence[Record], rollouts: t.Sequence[str]) -> Goal:
    """Everything that is to be done. Raises FleetError with all that stands in the way. ``drains`` and ``rollouts`` were left open."""
    state, name = params["state"], hostname(node)
    record = next((one for one in drains if one.subject == node["ID"]), None)
    touched = [service for service in world.services if evacuating(service["Spec"]) == node["ID"]]
    dead = bool(params["dead"]) and state == "absent"
    if dead:
        refuse_unproven(node, params["dead_proof"], datetime.now(timezone.utc))
    drain = None
    if state in ("drained", "absent") and not dead and not _is_drained(params, world, node, touched, record):
        if any(one is not record for one in drains):
            raise records.opened(next(one for one in drains if one is not record))
        drain = planning.drain(world, node, _asked(params), rollouts)
        if drain.blockers:
            raise blocked(drain, name)
    fields = _fields(params, node)
    revert = bool((record or touched) and state in ("active", "paused") or (dead and touched))
    demote = member(node) and (state == "absent" or params["role"] == "worker")
    promote = params["role"] == "manager" and state != "absent" and node["Spec"].get("Role") != "manager"
    if demote:
        _refuse_demote(params, world, node)
    goal = Goal(fields, drain, revert, demote, promote, state == "absent", ())
    return Goal(fields, drain, revert, demote, promote, state == "absent", tuple(_steps(params, node, goal, len(touched))))


def _asked(params: Params) -> Asked:
    intent = "decommission" if params["state"] == "absent" else params["intent"]
    return Asked(params["mode"], intent, frozenset(params["accept"] or ()), params["quorum"], bool(params["accept_quorum_loss"]))


def _is_drained(params: Params, world: World, node: Json, touched: t.Sequence[Json], record: t.Optional[Record]) -> bool:
    empty = not planning.holding(world, node["ID"], params["accept"] or ())
    return empty and not touched and record is None and node["Spec"].get("Availability") == "drain"


def _fields(params: Params, node: Json) -> t.Dict[str, t.Any]:
    """Fields of the NodeSpec that differ and that a single write sets: labels, and the availability of a state that needs no drain."""
    fields: t.Dict[str, t.Any] = {}
    wanted = {**(node["Spec"].get("Labels") or {}), **{str(key): str(value) for key, value in (params["labels"] or {}).items() if value is not None}}
    wanted = {key: value for key, value in wanted.items() if (params["labels"] or {}).get(key, "") is not None}
    if wanted != (node["Spec"].get("Labels") or {}):
        fields["Labels"] = wanted
    availability = _AVAILABILITY.get(params["state"])
    if params["state"] in ("active", "paused") and node["Spec"].get("Availability", "active") != availability:
        fields["Availability"] = availability
    return fields


def _refuse_demote(params: Params, world: World, node: Json) -> None:
    risk = demote_risk(world.nodes, node, bool(params["accept_quorum_loss"]))
    if risk:
        raise FleetError("quorum_risk", f"{risk} Nothing was changed.", "Repair or add a manager first; with two managers, accept_quorum_loss.",
                         {"quorum": count(world.nodes).as_data()})  # fmt: skip


def _steps(params: Params, node: Json, goal: Goal, touched: int) -> t.Iterator[Step]:
    name = hostname(node)
    if goal.revert:
        yield Step("revert", f"{touched} services get their own specs back; a drain of {name} was left open")
    for key in sorted(goal.fields):
        yield Step(key.lower(), f"{goal.fields[key]}, was {node['Spec'].get(key)}")
    if goal.drain:
        if params["mode"] == "surge" and node["Spec"].get("Availability", "active") == "active":
            yield Step("pause", f"{name} takes nothing new")
        for move in goal.drain.moves:
            order = "as the engine does it, stop first" if params["mode"] == "plain" else move.order
            yield Step("move", f"{move.service}: {move.tasks} tasks, {order}, to {', '.join(move.to) or 'where it has begun'}", params["mode"] == "plain")
        for stop in goal.drain.stops:
            yield Step("stop", f"{stop.service}: {stop.tasks} tasks, {stop.why}", stop.why != "global")
        yield Step("drain", f"nothing runs on {name}")
    if goal.promote:
        yield Step("promote", f"{name} becomes a manager")
    if goal.demote:
        yield Step("demote", f"{name} leaves raft")
    if goal.remove:
        if not params["dead"]:
            yield Step("leave", f"{name} is seen as down: docker swarm leave there")
        yield Step("remove", f"{name} is no member any more")


# --- doing ------------------------------------------------------------------------------------------------------------------------


class _Work:
    """The steps of a goal, in their order, under the lock of all drains."""

    def __init__(self, engine: Engine, params: Params, node: Json, goal: Goal, rollouts: t.Sequence[str], lock: Lock) -> None:
        self._engine, self._params, self._goal, self._rollouts = engine, params, goal, rollouts
        self._id, self._name, self._node = str(node["ID"]), hostname(node), node
        self._deadline = Deadline(params["wait_timeout"])
        self._lock = lock
        self._drain = self._made(self._deadline)
        self.seen = self._drain.seen

    def _made(self, deadline: Deadline) -> Drain:
        limits = Limits(wait_timeout=self._params["wait_timeout"])
        return Drain(self._engine, self._node, _asked(self._params), limits, deadline, self._hold, self._lock.check, self._params["max_parallel"])

    def _hold(self, subject: str) -> t.ContextManager[Lock]:
        """The lock of a stack inside the lock of all drains."""
        wait = min(self._params["lock_wait"], max(1.0, self._deadline.remaining()))
        return Held(self._engine, subject, wait=wait, ttl=self._params["lock_ttl"], reason=f"drain of {self._name}")

    def all(self) -> None:
        goal = self._goal
        if goal.revert:
            self._drain.restore()
        if goal.fields and set_node(self._engine, self._id, **goal.fields):
            self.seen.changed += [f"{key.lower()} {value}" for key, value in sorted(goal.fields.items())]
        if goal.revert or (self._params["state"] != "drained" and goal.drain is None):
            self._close()
        if goal.drain:
            self._empty()
        if goal.promote:
            self._promote()
        if goal.demote:
            self._demote()
        if goal.remove:
            self._remove()

    def _empty(self) -> None:
        record = records.find(self._engine, DRAIN, self._id) or records.begin(
            self._engine, DRAIN, self._id, {"availability": self._node["Spec"].get("Availability") or "active", "mode": self._params["mode"]},
            step=f"draining {self._name}", reason=self._params["reason"] or "",
        )  # fmt: skip
        hit("N1")
        try:
            if self._params["mode"] == "plain":
                self._drain.plain(self._goal.drain.moves if self._goal.drain else ())
            else:
                self._drain.surge(self._rollouts)
        except FleetError as error:
            self._on_timeout(error, record)
        self._close()
        hit("N8")

    def _close(self) -> None:
        record = records.find(self._engine, DRAIN, self._id)
        if record is not None:
            records.close(self._engine, record)

    def _on_timeout(self, error: FleetError, record: Record) -> None:
        """What becomes of a drain that failed; returns only when it was forced to its end."""
        left = {"left": self._drain.left(), "moved": dict(self.seen.lowest)}
        if error.code == "lease_lost" or self._params["on_timeout"] == "keep":
            said = f"{error.message} The drain of {self._name} is left open."
            raise FleetError(error.code, said, "Run the same drain again, or state: active to take it back.", {**error.details, **left}) from error
        if self._params["on_timeout"] == "force" and error.code != "drain_blocked":
            # A time of its own: the first one is over.
            forced = self._made(Deadline(self._params["wait_timeout"]))
            forced.seen = self.seen
            forced.empty()
            return
        self._drain.undo(str(record.data["availability"]))
        self._close()
        said = f"{error.message} The drain of {self._name} was taken back."
        raise FleetError(error.code, said, error.remedy, {**error.details, **left}) from error

    def _promote(self) -> None:
        set_node(self._engine, self._id, Role="manager")
        self._wait(reachable, "become a reachable manager", self._params["wait_timeout"])

    def _demote(self) -> None:
        _refuse_demote(self._params, self._engine.world(), self._engine.node(self._id))
        set_node(self._engine, self._id, Role="worker")
        # Raft lets a member go only while the others are a majority; until then the node has still its vote.
        self._wait(lambda node: not member(node), "leave raft", self._params["wait_timeout"])

    def _remove(self) -> None:
        if not self._params["dead"]:
            self._wait(lambda node: node["Status"]["State"] == "down", "leave the cluster", min(_LEAVE, self._params["wait_timeout"]),
                       f"docker swarm leave on {self._name}, then run again; role swarm_cluster does both.")  # fmt: skip
        self._engine.node_remove(self._id, force=bool(self._params["dead"]))

    def _wait(self, good: t.Callable[[Json], bool], what: str, seconds: float, remedy: str = "Read the log of its engine, then run again.") -> None:
        def read() -> Json:
            return self._engine.node(self._id)

        try:
            wait_for(read, good, Deadline(seconds), what="", interval=POLL)
        except FleetError as error:
            if error.code != "timeout":
                raise
            node = read()
            seen = f"{node['Status']['State']}, {node['Spec']['Role']}, {(node.get('ManagerStatus') or {}).get('Reachability') or 'no member of raft'}"
            raise FleetError("timeout", f"Waited {seconds:g} s for {self._name} to {what}; last seen: {seen}.", remedy, {"last_seen": seen}) from error


# --- the result -------------------------------------------------------------------------------------------------------------------


def described(node: t.Optional[Json]) -> t.Optional[Json]:
    """A node in the words of the result."""
    if node is None:
        return None
    spec, status = node["Spec"], node.get("ManagerStatus") or {}
    return {"id": node["ID"], "hostname": hostname(node), "role": spec.get("Role"), "availability": spec.get("Availability") or "active",
            "labels": spec.get("Labels") or {}, "state": node["Status"]["State"], "leader": bool(status.get("Leader")),
            "reachability": status.get("Reachability")}  # fmt: skip


def _foreseen(node: Json, goal: Goal) -> t.Optional[Json]:
    if goal.remove:
        return None
    spec = {**node["Spec"], **goal.fields}
    spec.update({"Availability": "drain"} if goal.drain else {})
    spec.update({"Role": "manager"} if goal.promote else {"Role": "worker"} if goal.demote else {})
    return {**node, "Spec": spec}


def _outcome(params: Params, world: World, node: Json, goal: Goal, after: t.Optional[Json], changed: t.Sequence[str],
             lowest: t.Mapping[str, int], stage: str) -> Json:  # fmt: skip
    moves = [{**move.as_data(), "lowest": lowest.get(move.service)} for move in goal.drain.moves] if goal.drain else []
    stops = [{"service": stop.service, "tasks": stop.tasks, "why": stop.why} for stop in goal.drain.stops] if goal.drain else []
    left = planning.holding(world, node["ID"], params["accept"] or ())
    evidence = {"hook": "swarm", "stage": stage, "outcome": "released" if params["state"] in ("active", "paused") else "blocked" if left else "empty",
                "blockers": [], "changed": list(changed), "observed_at": datetime.now(timezone.utc).isoformat(timespec="seconds")}  # fmt: skip
    return result(goal.steps, before=_shown(node), after=_shown(after), node=described(after), moves=moves, stops=stops,
                  quorum=count(world.nodes).as_data(), evidence=evidence)  # fmt: skip


def _shown(node: t.Optional[Json]) -> t.Optional[Json]:
    seen = described(node)
    return {key: seen[key] for key in ("hostname", "role", "availability", "labels")} if seen else None
