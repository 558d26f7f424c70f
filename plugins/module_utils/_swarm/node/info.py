# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`swarm_node_info`: nodes as they are, and what a drain of each would find now."""

from __future__ import annotations

import typing as t

from .. import placement, records
from ..engine import Engine
from ..model import Json, World
from ..quorum import count
from ..records import DRAIN, ROLLOUT
from . import plan as planning
from .hands import find, missing
from .model import Asked
from .run import described


def info(params: t.Mapping[str, t.Any], connect: t.Callable[[], Engine]) -> Json:
    """The nodes, or the one that is asked for. A failed read is a failure, never an empty list."""
    engine = connect()
    try:
        return _info(params, engine, set(params["gather"] or ()))
    finally:
        engine.close()


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
