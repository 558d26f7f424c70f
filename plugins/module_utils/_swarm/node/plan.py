# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain of a node does, service by service, and everything that stands in its way. Pure; one call, all blockers."""

from __future__ import annotations

import typing as t

from ..model import STACK_LABEL, Json, World
from ..spec import placement
from ..verdict.quorum import count, drain_risk, hostname
from .model import LIVE, Asked, Blocker, DrainPlan, Move, Stop
from .specs import evacuating

# States of an update that somebody else has begun and not ended. An update that was rolled back, or is complete, is over.
_ROLLING = ("updating", "paused", "rollback_started", "rollback_paused")

# An option of a local volume that says that its data is not on the node's disk: docs.docker.com, "Create a service which creates an NFS volume".
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs")

# States in which a task is with no engine yet (swarmkit, api/types.proto, TaskState).
_NOT_STARTED = ("new", "pending", "allocated")

Ports = t.Mapping[str, t.FrozenSet[t.Tuple[str, int]]]


def drain(world: World, node: Json, asked: Asked, rollouts: t.Iterable[str] = ()) -> DrainPlan:
    """The plan for ``node``. ``rollouts`` names the stacks with a rollout that was left open.

    A service that a drain of this node has touched already is continued: its own update is no foreign one.
    """
    blockers, moves, stops = _quorum(world, node, asked), [], []
    rolling, tasks = frozenset(rollouts), list(world.tasks)
    ports = {service["ID"]: placement.published(service["Spec"], "host") for service in world.services}
    for service in sorted(world.services, key=lambda one: str(one["Spec"].get("Name"))):
        # A task that has been told to end needs no place elsewhere: what takes its place is there, or is not wanted.
        here = [task for task in live_on(node["ID"], world.tasks, service["ID"]) if task.get("DesiredState") not in ("shutdown", "remove")]
        if not here:
            continue
        name, mode = service["Spec"]["Name"], placement.mode_of(service["Spec"])
        if mode == "global":
            stops.append(Stop(name, len(here), "global"))
            continue
        found, to = _of_service(world, node, service, here, asked, rolling, tasks, ports)
        blockers += [blocker for blocker in found if blocker.name not in asked.accept]
        taken = {blocker.name for blocker in found} & asked.accept
        if mode != "replicated" or taken & {"no_place", "pinned", "host_port"}:
            stops.append(Stop(name, len(here), "job" if mode != "replicated" else "accepted"))
        elif asked.mode == "plain" and "restart_none" in taken:
            stops.append(Stop(name, len(here), "accepted"))
        else:
            order = "start-first" if "local_volume" not in taken and asked.mode == "surge" else "stop-first"
            moves.append(Move(service["ID"], name, stack_of(service), len(here), order, to))
    return DrainPlan(node["ID"], tuple(moves), tuple(stops), tuple(blockers), count(world.nodes))


def live_on(node_id: str, tasks: t.Iterable[Json], service_id: str = "") -> t.List[Json]:
    """Tasks that may still run on a node, of one service or of all."""
    return [task for task in tasks if task.get("NodeID") == node_id and task["Status"]["State"] in LIVE
            and (not service_id or task.get("ServiceID") == service_id)]  # fmt: skip


def holding(world: World, node_id: str, accept: t.Collection[str]) -> t.List[Json]:
    """Tasks that keep a node from being empty. Of jobs none, where that was accepted: Docker 20.10 does not stop them for a drain, so they go on
    until they end or the engine does. A task that was never started and whose service is gone is none: Docker 20.10 keeps such tasks of a global
    job for good (seen as ``new``, with a node and desired ``complete``), and nothing ever starts or ends them."""
    known = {service["ID"] for service in world.services}
    jobs = {service["ID"] for service in world.services if placement.mode_of(service["Spec"]).endswith("-job")} if "job_running" in accept else set()
    return [task for task in live_on(node_id, world.tasks) if task.get("ServiceID") not in jobs
            and (task.get("ServiceID") in known or task["Status"]["State"] not in _NOT_STARTED)]  # fmt: skip


def stack_of(service: Json) -> str:
    """Empty for a service of no stack."""
    return str((service["Spec"].get("Labels") or {}).get(STACK_LABEL) or "")


def subject(stack: str, service: str) -> str:
    """Under which name the lock of a service is: its stack's, else its own. No name of a stack has a dot."""
    return stack or f"service.{service}"


def _quorum(world: World, node: Json, asked: Asked) -> t.List[Blocker]:
    risk = drain_risk(world.nodes, node, asked.intent, asked.quorum, asked.accept_quorum_loss)
    accept = "Repair or add a manager; quorum: votes, when the engine goes on running; accept_quorum_loss with one or two managers."
    return [Blocker("quorum", hostname(node), risk, accept)] if risk else []


def _of_service(world: World, node: Json, service: Json, here: t.Sequence[Json], asked: Asked, rolling: t.FrozenSet[str],
                tasks: t.List[Json], ports: Ports) -> t.Tuple[t.List[Blocker], t.Tuple[str, ...]]:  # fmt: skip
    """The blockers of one service, and where its tasks would go; these are added to ``tasks``, so that the next one finds the room taken."""
    spec, found = service["Spec"], []
    if placement.mode_of(spec) != "replicated":
        said = f"{len(here)} tasks of the job run here: Swarm does not stop them for a drain, and the end of the engine kills them."
        return [_blocker("job_running", service, said)], ()
    if evacuating(spec) == node["ID"]:
        # Begun by an earlier run, which found no blocker or was told to go on; its new tasks hold the places that would be looked for.
        return [], ()
    condition = ((spec.get("TaskTemplate") or {}).get("RestartPolicy") or {}).get("Condition")
    if asked.mode == "plain" and condition == "none":
        # Swarm stops what it drains, and starts nothing that must not be restarted.
        found.append(_blocker("restart_none", service, "Its restart condition is none: a plain drain ends its tasks for good; mode surge moves them."))
    state = str((service.get("UpdateStatus") or {}).get("State") or "")
    if state in _ROLLING:
        found.append(_blocker("foreign_rollout", service, f"Its update is {state}, and somebody else's."))
    elif stack_of(service) in rolling:
        found.append(_blocker("foreign_rollout", service, f"A rollout of stack {stack_of(service)} is open."))
    volumes = local_data(spec)
    if volumes:
        found.append(_blocker("local_volume", service, f"Its data is on this node: {', '.join(volumes)}. It would start without it elsewhere."))
    lack, to = _place(world, node, service, len(here), tasks, ports)
    return [*found, *lack], to


def _blocker(name: str, service: Json, reason: str) -> Blocker:
    return Blocker(name, str(service["Spec"]["Name"]), reason, f"accept: [{name}]")


def local_data(spec: Json) -> t.List[str]:
    """Mounts of ``spec`` whose data would stay on the node: named volumes of the local driver, and folders of the host that are written.

    A volume without a name is thrown away with its task; a socket is the node's own everywhere.
    """
    found = []
    for mount in ((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Mounts") or ():
        driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
        remote = str((driver.get("Options") or {}).get("type") or "").lower() in _REMOTE
        if mount.get("Type") == "volume" and mount.get("Source") and driver.get("Name") in (None, "", "local") and not remote:
            found.append(f"volume {mount['Source']}")
        elif mount.get("Type") == "bind" and not mount.get("ReadOnly") and not str(mount.get("Source")).endswith(".sock"):
            found.append(f"folder {mount['Source']}")
    return found


def _place(world: World, node: Json, service: Json, needed: int, tasks: t.List[Json], ports: Ports) -> t.Tuple[t.List[Blocker], t.Tuple[str, ...]]:
    spec, others = service["Spec"], [other for other in world.nodes if other["ID"] != node["ID"]]
    able = [other for other in others if not placement.why_not(spec, _as_ready(other))]
    if not able:
        said = "; ".join(f"{hostname(other)} {placement.why_not(spec, _as_ready(other))}" for other in others) or "there is no other node"
        return [_blocker("pinned", service, f"No other node may run it: {said}.")], ()
    full = [f"{hostname(other)} {placement.why_not(spec, other)}" for other in able if placement.why_not(spec, other)]
    ready = [other for other in able if not placement.why_not(spec, other)]
    to: t.List[str] = []
    while len(to) < needed:
        rooms = [(placement.fits(spec, placement.room(other, tasks, ports, service["ID"], False)), other) for other in ready]
        free = [(fit[0], hostname(other), other) for fit, other in rooms if fit[0] > 0]
        if not free:
            said = "; ".join([*full, *(f"{hostname(other)}: {fit[1]}" for fit, other in rooms)])
            port = bool(rooms) and all("host port" in fit[1] for fit, _other in rooms)
            return [_blocker("host_port" if port else "no_place", service, f"{len(to)} of {needed} tasks find a place: {said}.")], ()
        # The roomiest first, as swarmkit spreads; only how many fit is promised, not where.
        _room, name, chosen = max(free, key=lambda one: (one[0] - _own(chosen_id=one[2]["ID"], tasks=tasks, service=service), one[1]))
        to.append(name)
        tasks.append({"NodeID": chosen["ID"], "ServiceID": service["ID"], "Status": {"State": "running"}, "Spec": spec.get("TaskTemplate") or {}})
    return [], tuple(to)


def _own(*, chosen_id: str, tasks: t.Iterable[Json], service: Json) -> int:
    return sum(1 for task in tasks if task.get("NodeID") == chosen_id and task.get("ServiceID") == service["ID"] and placement.holds(task))


def _as_ready(node: Json) -> Json:
    """``node`` as if it took tasks, to tell what can never run there from what cannot now."""
    return {**node, "Status": {**node["Status"], "State": "ready"}, "Spec": {**node["Spec"], "Availability": "active"}}
