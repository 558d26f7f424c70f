# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What readers get to see of a cluster: rows of plain words out of the engine's objects. Pure, but for what asks the engine by name.

No row has an environment, a label's secret, or the content of a config: whoever needs a whole spec asks the engine.
"""

from __future__ import annotations

import typing as t

from .model import STACK_LABEL, Json, World
from .record import history, keep, records
from .record.revision import used_by
from .verdict.health import counts

# What `gather` of swarm_cluster_info may name beside the health.
INVENTORY = ("nodes", "services", "stacks", "revisions", "events", "networks", "volumes", "secrets", "configs")


def stack_of(thing: Json) -> str:
    """The stack of an object; "" for none. Networks have their labels elsewhere than the rest."""
    return str(((thing.get("Spec") or thing).get("Labels") or {}).get(STACK_LABEL) or "")


def name_of(thing: Json) -> str:
    return str((thing.get("Spec") or thing).get("Name") or "")


def alone(name: str) -> str:
    """The subject of history and lock of a service outside of any stack. No name of a stack has a dot (swarmkit, isValidDNSName)."""
    return f"service.{name}"


def subject_of(service: Json) -> str:
    """Under which name the history and the lock of ``service`` are: its stack's, else its own."""
    return stack_of(service) or alone(name_of(service))


def service(one: Json, world: World) -> Json:
    """``wanted`` and ``running`` count tasks; of a job they count completions. ``update`` is what Swarm says of its last update, null for none."""
    spec = one["Spec"]
    status = one.get("UpdateStatus") or {}
    mode, wanted, running = _counted(one, world)
    image, _at, digest = _image(spec).partition("@")
    return {
        "id": one["ID"],
        "name": spec["Name"],
        "stack": stack_of(one) or None,
        "version": one["Version"]["Index"],
        "image": image,
        "digest": digest or None,
        "mode": mode,
        "wanted": wanted,
        "running": running,
        "ports": [_port(port) for port in (one.get("Endpoint") or {}).get("Ports") or ()],
        "update": {"state": status.get("State"), "message": status.get("Message") or "", "started_at": status.get("StartedAt")} if status else None,
        "created_at": one.get("CreatedAt"),
        "updated_at": one.get("UpdatedAt"),
    }


def task(one: Json, nodes: t.Mapping[str, str], services: t.Mapping[str, str]) -> Json:
    """``nodes`` and ``services`` are names by id. ``error`` is what Swarm says of a failure, "" for none."""
    status = one.get("Status") or {}
    container = status.get("ContainerStatus") or {}
    return {
        "id": one["ID"],
        "service": services.get(str(one.get("ServiceID")), one.get("ServiceID")),
        "slot": one.get("Slot"),
        "node": nodes.get(str(one.get("NodeID")), one.get("NodeID")) or None,
        "state": status.get("State"),
        "desired_state": one.get("DesiredState"),
        "error": status.get("Err") or "",
        "message": status.get("Message") or "",
        "exit_code": container.get("ExitCode"),
        "container": container.get("ContainerID") or None,
        "image": _image(one.get("Spec") or {}, task_template=True),
        "since": status.get("Timestamp"),
    }


def node_names(world: World) -> dict[str, str]:
    return {str(node["ID"]): str((node.get("Description") or {}).get("Hostname") or node["ID"]) for node in world.nodes}


def service_names(world: World) -> dict[str, str]:
    return {str(one["ID"]): str(one["Spec"]["Name"]) for one in world.services}


def network_names(world: World) -> dict[str, str]:
    """Names by id: a live spec names its networks by id, a wanted one by name."""
    return {str(one.get("Id")): str(one.get("Name")) for one in world.networks}


def node(one: Json) -> Json:
    manager = one.get("ManagerStatus") or {}
    return {
        "id": one["ID"],
        "hostname": (one.get("Description") or {}).get("Hostname"),
        "role": one["Spec"].get("Role"),
        "availability": one["Spec"].get("Availability"),
        "state": (one.get("Status") or {}).get("State"),
        "leader": bool(manager.get("Leader")),
        "reachability": manager.get("Reachability"),
        "address": (one.get("Status") or {}).get("Addr"),
        "labels": one["Spec"].get("Labels") or {},
    }


def network(one: Json, world: World) -> Json:
    identity, name = str(one.get("Id")), str(one.get("Name"))
    users = [name_of(each) for each in world.services if {str(net.get("Target")) for net in _networks(each["Spec"])} & {identity, name}]
    return {
        "id": identity,
        "name": name,
        "stack": stack_of(one) or None,
        "driver": one.get("Driver"),
        "attachable": bool(one.get("Attachable")),
        "internal": bool(one.get("Internal")),
        "ingress": bool(one.get("Ingress")),
        "used_by": sorted(users),
    }


def stored(one: Json, world: World, kind: str) -> Json:
    """A config or secret, without its content. ``kind`` is configs or secrets; ``used_by`` are names of services."""
    name = name_of(one)
    return {
        "id": one["ID"],
        "name": name,
        "stack": stack_of(one) or None,
        "created_at": one.get("CreatedAt"),
        "used_by": sorted(name_of(each) for each in world.services if name in used_by(each["Spec"], kind)),
    }


def stacks(world: World, past: t.Iterable[str] = ()) -> list[Json]:
    """Every stack with its services; ``past`` are names that have a history, so that one that was removed is seen, too."""
    objects = (world.services, world.networks, world.configs, world.secrets)
    names = {stack_of(one) for kind in objects for one in kind} | set(past)
    rows = []
    for name in sorted(names - {""}):
        mine = [one for one in world.services if stack_of(one) == name]
        rows.append({"name": name, "services": sorted(name_of(one) for one in mine), "short": sorted(name_of(one) for one in mine if _short(one, world))})
    return rows


def inventory(engine: t.Any, world: World, wanted: t.Collection[str], since: float = 0.0) -> Json:
    """The lists of ``wanted`` (words of INVENTORY). ``since`` is for events, in unix seconds; volumes are those of the one host that answers.

    A failed read is a failure, never an empty list.
    """
    rows: dict[str, t.Callable[[], t.Any]] = {
        "nodes": lambda: [node(one) for one in world.nodes],
        "services": lambda: [service(one, world) for one in world.services],
        "stacks": lambda: stacks(world, history.stacks(engine)),
        "revisions": lambda: revisions(engine),
        # Of the cluster: those of containers show every command that is run in one.
        "events": lambda: [event(one) for one in engine.events(since, None, {"scope": ["swarm"]})],
        "networks": lambda: [network(one, world) for one in world.networks],
        "volumes": lambda: [{"name": one.get("Name"), "driver": one.get("Driver"), "stack": stack_of(one) or None} for one in engine.volumes()],
        "secrets": lambda: [stored(one, world, "secrets") for one in world.secrets],
        "configs": lambda: [stored(one, world, "configs") for one in world.configs if keep.KIND not in keep.labels_of(one)],
    }
    return {name: rows[name]() for name in INVENTORY if name in wanted}


def revisions(engine: t.Any) -> list[Json]:
    """The history of every stack, without specs."""
    found = []
    for stack in sorted(history.stacks(engine)):
        found += [{"stack": stack, **one.summary()} for one in history.History(engine, stack).revisions()]
    return found


def event(one: Json) -> Json:
    actor = one.get("Actor") or {}
    attributes = {str(key): value for key, value in (actor.get("Attributes") or {}).items()}
    return {
        "at": int(one.get("timeNano") or 0) / 1e9 or one.get("time"),
        "type": one.get("Type"),
        "action": one.get("Action"),
        "id": actor.get("ID"),
        "name": attributes.get("name"),
        "changes": {key: value for key, value in attributes.items() if key.endswith((".new", ".old"))},
    }


def open_work(engine: t.Any) -> list[str]:
    """Sentences for what was begun and not ended."""
    found = [record for kind in (records.ROLLOUT, records.DRAIN) for record in records.every(engine, kind)]
    return [f"{record.kind} of {record.subject}, at step {record.step}, by {record.owner} since {record.since}" for record in found]


def lock_of(engine: t.Any, subject: str) -> t.Optional[Json]:
    """Who works on ``subject`` now, as far as that shows; null for nobody."""
    for config in engine.configs(keep.wanted("lock", subject)):
        labels = keep.labels_of(config)
        if labels.get("bowline.state") == "held":
            return {word: labels.get(f"bowline.{word}", "") for word in ("owner", "since", "reason", "operation")}
    return None


def _image(spec: Json, task_template: bool = False) -> str:
    template = spec if task_template else spec.get("TaskTemplate") or {}
    return str((template.get("ContainerSpec") or {}).get("Image") or "")


def _networks(spec: Json) -> t.Sequence[Json]:
    return (spec.get("TaskTemplate") or {}).get("Networks") or spec.get("Networks") or ()


def _short(one: Json, world: World) -> bool:
    wanted, running = counts(one, world.tasks)
    return running < wanted


def _counted(one: Json, world: World) -> tuple[str, int, int]:
    mode = one["Spec"].get("Mode") or {}
    words = {"Replicated": "replicated", "Global": "global", "ReplicatedJob": "replicated-job", "GlobalJob": "global-job"}
    word = next((words[key] for key in mode if key in words), "replicated")
    if not word.endswith("job"):
        return (word, *counts(one, world.tasks))
    turn = ((one.get("JobStatus") or {}).get("JobIteration") or {}).get("Index")
    mine = [each for each in world.tasks if each.get("ServiceID") == one["ID"] and (each.get("JobIteration") or {}).get("Index") == turn]
    done = sum(1 for each in mine if (each.get("Status") or {}).get("State") == "complete")
    total = (mode.get("ReplicatedJob") or {}).get("TotalCompletions")
    return word, int(total) if total is not None else len({each.get("NodeID") for each in mine}), done


def _port(port: Json) -> Json:
    words = {"published": "PublishedPort", "target": "TargetPort", "protocol": "Protocol", "mode": "PublishMode"}
    return {word: port.get(key) for word, key in words.items()}
