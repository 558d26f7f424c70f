# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`swarm_node_info`: nodes as they are, and what a drain of each would find now."""

from __future__ import annotations

import os
import typing as t

from ..._core.errors import FleetError
from ..._core.wait import Deadline, wait_for
from ..client.certificate import organization
from ..client.endpoint import options
from ..client.engine import Engine
from ..client.wire import Unknown, Unsent, Wire
from ..model import Json, World
from ..record import records
from ..record.records import DRAIN, ROLLOUT
from ..spec import placement
from ..verdict.quorum import count, reachable
from . import plan as planning
from .hands import find, missing
from .model import Asked
from .run import described


def info(params: t.Mapping[str, t.Any], connect: t.Callable[[], Engine]) -> Json:
    """The nodes, or the one that is asked for. A failed read is a failure, never an empty list."""
    gather = set(params["gather"] or ())
    known = {"identity": identity(params)} if "identity" in gather else {}
    if gather == {"identity"}:
        # It is asked of workers, and of managers without a majority, too.
        return {"changed": False, **known}
    engine = connect()
    try:
        if params["node"] and params["wait_timeout"] > 0:
            _wait(engine, params["node"], params["wait_timeout"])
        return {**_info(params, engine, gather), **known}
    finally:
        engine.close()


def _wait(engine: Engine, name: str, seconds: float) -> None:
    """Until the node is a member, ready, and reachable where it is to be a manager."""

    def fault() -> str:
        node = find(engine.nodes(), name)
        if node is None:
            return f"{name} is no member"
        if node["Status"]["State"] != "ready":
            return f"{name} is {node['Status']['State']}"
        return f"{name} is not reached by the other managers" if node["Spec"].get("Role") == "manager" and not reachable(node) else ""

    try:
        wait_for(fault, lambda said: not said, Deadline(seconds), what="", interval=0.5)
    except FleetError as error:
        if error.code != "timeout":
            raise
        said = fault() or "it is ready now"
        remedy = "Read the log of its engine; ports 2377, 7946 and 4789 have to be open."
        raise FleetError("member_missing", f"Waited {seconds:g} s; {said}.", remedy) from error


def identity(params: t.Mapping[str, t.Any]) -> Json:
    """What one engine says of itself: alone, as a worker, as a manager with or without a majority.

    Only a manager with a majority is told the id of its cluster; every other member has it in its certificate, on the engine's own host.
    """
    settings = options(params, os.environ)
    if len(settings.endpoints) != 1:
        raise FleetError("option_invalid", "identity is asked of one engine; docker_host names several.", "Give one endpoint.")
    wire = Wire(settings.endpoints[0], settings)
    try:
        info = wire.json("GET", "/info") or {}
    except (Unsent, Unknown) as error:
        raise wire.explain(error) from error
    finally:
        wire.close()
    swarm, root = info.get("Swarm") or {}, str(info.get("DockerRootDir") or "/var/lib/docker")
    cluster_id = str((swarm.get("Cluster") or {}).get("ID") or "")
    path = f"{root}/swarm/certificates/swarm-node.crt"
    if swarm.get("LocalNodeState") not in (None, "", "inactive") and not cluster_id:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                cluster_id = organization(file.read())
        except OSError:
            cluster_id = ""
    return {
        "member": swarm.get("LocalNodeState") not in (None, "", "inactive"),
        "manager": bool(swarm.get("ControlAvailable")),
        "majority": bool((swarm.get("Cluster") or {}).get("ID")),
        "node_id": swarm.get("NodeID") or "",
        "cluster_id": cluster_id,
        "managers": len(swarm.get("RemoteManagers") or ()),
        "addresses": sorted(str(one.get("Addr")) for one in swarm.get("RemoteManagers") or ()),
        "hostname": info.get("Name") or "",
        "state_directory": f"{root}/swarm",
    }


def _info(params: t.Mapping[str, t.Any], engine: Engine, gather: t.Set[str]) -> Json:
    world = engine.world() if gather & {"tasks", "resources", "blockers"} else World(engine.cluster_id, {}, engine.nodes())
    chosen = world.nodes
    if params["node"]:
        node = find(world.nodes, params["node"])
        if node is None:
            raise missing(world.nodes, params["node"])
        chosen = (node,)
    drains = {record.subject: record.shown() for record in records.every(engine, DRAIN)}
    rollouts = [record.subject for record in records.every(engine, ROLLOUT)] if "blockers" in gather else []
    found = [_of(world, node, gather, params, drains, rollouts) for node in chosen]
    return {"changed": False, "nodes": found, "quorum": count(world.nodes).as_data()}


def _of(world: World, node: Json, gather: t.Set[str], params: t.Mapping[str, t.Any], drains: t.Mapping[str, Json], rollouts: t.Sequence[str]) -> Json:
    description = node.get("Description") or {}
    seen: Json = {
        **(described(node) or {}),
        "address": node["Status"].get("Addr"),
        "message": node["Status"].get("Message") or "",
        "platform": description.get("Platform") or {},
        "engine_version": (description.get("Engine") or {}).get("EngineVersion"),
        "drain": drains.get(node["ID"]),
    }
    if "tasks" in gather:
        names = {service["ID"]: service["Spec"]["Name"] for service in world.services}
        seen["tasks"] = [
            {"id": task.get("ID"), "service": names.get(task.get("ServiceID")), "slot": task.get("Slot"), "state": task["Status"]["State"],
             "desired_state": task.get("DesiredState")}
            for task in planning.live_on(node["ID"], world.tasks)
        ]  # fmt: skip
    if "resources" in gather:
        seen["resources"] = _resources(world, node)
    if "blockers" in gather:
        plan = planning.drain(world, node, Asked(mode=params["mode"], intent=params["intent"], quorum=params["quorum"]), rollouts)
        seen["blockers"] = [blocker.as_hook() for blocker in plan.blockers]
        seen["moves"] = [move.as_data() for move in plan.moves]
    return seen


def _resources(world: World, node: Json) -> Json:
    """Totals of the node and what its tasks have reserved: nanoseconds of CPU a second, and bytes."""
    total = (node.get("Description") or {}).get("Resources") or {}
    left = placement.room(node, world.tasks, {}, "", False)
    nano, memory = int(total.get("NanoCPUs") or 0), int(total.get("MemoryBytes") or 0)
    return {"nano_cpus": nano, "memory_bytes": memory, "nano_cpus_reserved": nano - left.nano_cpus, "memory_bytes_reserved": memory - left.memory}
