# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where swarmkit would put a task, and why not elsewhere: its own filters over what the Engine API shows of nodes and tasks. Pure.

Source: moby/swarmkit v2.0.0, manager/constraint/constraint.go and manager/scheduler/filter.go.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections import Counter
from dataclasses import dataclass

Json = t.Dict[str, t.Any]
Port = t.Tuple[str, int]

# constraint.go: alphaNumeric and valuePattern. Go's \s is ASCII only.
_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE | re.ASCII)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE | re.ASCII)
_OPERATORS = ("==", "!=")
# filter.go: platformEqual takes these for the same.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# States of a task in which it holds its resources and ports (swarmkit's task states up to RUNNING).
HOLDING = ("new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running")


@dataclass(frozen=True)
class Constraint:
    """``key`` as written, ``equal`` for ==, and the value."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key}{'==' if self.equal else '!='}{self.value}"


def parse(expressions: t.Sequence[str]) -> t.Tuple[Constraint, ...]:
    """The constraints; raises ValueError with the words of the engine's refusal for the first that it would refuse."""
    found = []
    for text in expressions:
        operator = next((word for word in _OPERATORS if word in text), None)
        if operator is None:
            raise ValueError(f"constraint {text!r} expected one operator from {', '.join(_OPERATORS)}")
        key, _operator, value = (word.strip() for word in text.partition(operator))
        if not _KEY.fullmatch(key):
            raise ValueError(f"constraint {text!r}: key {key!r} is invalid")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"constraint {text!r}: value {value!r} is invalid")
        found.append(Constraint(key, operator == "==", value))
    return tuple(found)


def unmet(constraints: t.Sequence[Constraint], node: Json) -> t.Tuple[Constraint, ...]:
    """Those of ``constraints`` that ``node`` does not meet. Values and keys are compared without case, the name of a label with it."""
    return tuple(constraint for constraint in constraints if not _met(constraint, node))


def matches(expressions: t.Sequence[str], node: Json) -> bool:
    return not unmet(parse(expressions), node)


def _met(constraint: Constraint, node: Json) -> bool:
    key, description = constraint.key.lower(), node.get("Description") or {}
    platform = description.get("Platform") or {}
    if key == "node.ip":
        return _ip_met(constraint, str((node.get("Status") or {}).get("Addr") or ""))
    plain = {
        "node.id": node.get("ID"),
        "node.hostname": description.get("Hostname"),
        "node.role": (node.get("Spec") or {}).get("Role"),
        "node.platform.os": platform.get("OS"),
        "node.platform.arch": platform.get("Architecture"),
    }
    if key in plain:
        return _same(constraint, plain[key])
    labels = {"node.labels.": (node.get("Spec") or {}).get("Labels"), "engine.labels.": (description.get("Engine") or {}).get("Labels")}
    for prefix, given in labels.items():
        if key.startswith(prefix) and len(key) > len(prefix):
            return _same(constraint, (given or {}).get(constraint.key[len(prefix) :]))
    # A key that is none of these matches no node, whatever the operator.
    return False


def _same(constraint: Constraint, seen: t.Any) -> bool:
    # A value is ASCII, so lower() folds it as strings.EqualFold does. What a node does not have is the empty text.
    return (constraint.value.lower() == str(seen or "").lower()) == constraint.equal


def _ip_met(constraint: Constraint, address: str) -> bool:
    try:
        network = ipaddress.ip_network(constraint.value, strict=False)
    except ValueError:
        return False
    try:
        inside = ipaddress.ip_address(address) in network
    except ValueError:
        inside = False
    return inside == constraint.equal


def ready(node: Json) -> bool:
    """Whether the scheduler gives new tasks to ``node``."""
    return (node.get("Status") or {}).get("State") == "ready" and (node.get("Spec") or {}).get("Availability") == "active"


def platform_fits(platforms: t.Sequence[Json], node: Json) -> bool:
    """Whether one of ``platforms`` is the node's. None at all says nothing; an empty field fits everything."""
    if not platforms:
        return True
    seen = (node.get("Description") or {}).get("Platform") or {}
    return any(
        _architecture(wanted) in ("", _architecture(seen)) and str(wanted.get("OS") or "") in ("", str(seen.get("OS") or ""))
        for wanted in platforms
    )


def _architecture(platform: Json) -> str:
    name = str(platform.get("Architecture") or "")
    return _ARCHITECTURES.get(name, name)


def placement_of(spec: Json) -> Json:
    found: Json = (spec.get("TaskTemplate") or {}).get("Placement") or {}
    return found


def constraints_of(spec: Json) -> t.Tuple[Constraint, ...]:
    return parse(placement_of(spec).get("Constraints") or ())


def mode_of(spec: Json) -> str:
    """replicated, global, replicated-job or global-job, as ``docker service ls`` calls them. The engine's default is replicated."""
    given = spec.get("Mode") or {}
    names = {"Global": "global", "ReplicatedJob": "replicated-job", "GlobalJob": "global-job"}
    return next((name for key, name in names.items() if given.get(key) is not None), "replicated")


def replicas_of(spec: Json) -> int:
    """Wanted tasks of a replicated service or completions of a replicated job; for a global one 0, since its nodes decide.

    The engine takes 1 for a service and for a job that say nothing (daemon/cluster/convert/service.go of moby).
    """
    given = spec.get("Mode") or {}
    mode = mode_of(spec)
    if mode == "replicated":
        count = (given.get("Replicated") or {}).get("Replicas")
        return 1 if count is None else int(count)
    if mode == "replicated-job":
        job = given.get("ReplicatedJob") or {}
        return int(job.get("TotalCompletions") or job.get("MaxConcurrent") or 1)
    return 0


def published(spec: Json, mode: str) -> t.FrozenSet[Port]:
    """Ports that ``spec`` publishes in ``mode`` (host, ingress) under a number of its own. Ingress is the engine's default."""
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    return frozenset(
        (str(port.get("Protocol") or "tcp"), int(port["PublishedPort"]))
        for port in ports
        if port.get("PublishedPort") and (port.get("PublishMode") or "ingress") == mode
    )


def holds(task: Json) -> bool:
    """Whether ``task`` holds resources and ports on its node."""
    return (task.get("Status") or {}).get("State") in HOLDING and bool(task.get("NodeID"))


@dataclass(frozen=True)
class Room:
    """What one node has left for tasks of a service: ``nano_cpus``, ``memory``, generic resources by kind, ports in use, tasks of the service."""

    nano_cpus: int
    memory: int
    generic: t.Mapping[str, int]
    ports: t.FrozenSet[Port]
    own: int


def room(node: Json, tasks: t.Sequence[Json], ports: t.Mapping[str, t.FrozenSet[Port]], service_id: str, without_own: bool) -> Room:
    """What is left on ``node``. ``ports`` has the host ports of each service by its id; ``without_own`` counts the service's own tasks as gone."""
    total = (node.get("Description") or {}).get("Resources") or {}
    nano, memory = int(total.get("NanoCPUs") or 0), int(total.get("MemoryBytes") or 0)
    generic, own = _generic(total.get("GenericResources")), 0
    used: t.Set[Port] = set()
    for task in tasks:
        mine = bool(service_id) and task.get("ServiceID") == service_id
        if task.get("NodeID") != node.get("ID") or not holds(task) or (mine and without_own):
            continue
        taken = reservations(task.get("Spec") or {})
        nano, memory = nano - int(taken.get("NanoCPUs") or 0), memory - int(taken.get("MemoryBytes") or 0)
        generic.subtract(_generic(taken.get("GenericResources")))
        used |= ports.get(str(task.get("ServiceID")), frozenset())
        own += mine
    return Room(nano, memory, dict(generic), frozenset(used), own)


def reservations(template: Json) -> Json:
    found: Json = (template.get("Resources") or {}).get("Reservations") or {}
    return found


def _generic(given: t.Any) -> t.Counter[str]:
    """Generic resources by kind: a discrete one counts its value, each named one counts as one."""
    count: t.Counter[str] = Counter()
    for item in given or ():
        if item.get("DiscreteResourceSpec"):
            count[str(item["DiscreteResourceSpec"].get("Kind"))] += int(item["DiscreteResourceSpec"].get("Value") or 0)
        elif item.get("NamedResourceSpec"):
            count[str(item["NamedResourceSpec"].get("Kind"))] += 1
    return count


def fits(spec: Json, left: Room) -> t.Tuple[int, str]:
    """How many more tasks of ``spec`` a node with ``left`` takes, and what limits it (empty when nothing does)."""
    wanted = reservations(spec.get("TaskTemplate") or {})
    limits = [(1 << 30, "")]
    if published(spec, "host"):
        taken = sorted(published(spec, "host") & left.ports)
        limits.append((0, f"host port {taken[0][1]}/{taken[0][0]} is in use there") if taken else (1, "one task a node, because of its host port"))
    highest = int(placement_of(spec).get("MaxReplicas") or 0)
    if highest:
        limits.append((max(0, highest - left.own), f"max_replicas_per_node is {highest}"))
    for name, need, have in (
        ("cpus", int(wanted.get("NanoCPUs") or 0), left.nano_cpus),
        ("memory", int(wanted.get("MemoryBytes") or 0), left.memory),
        *((kind, need, left.generic.get(kind, 0)) for kind, need in _generic(wanted.get("GenericResources")).items()),
    ):
        if need > 0:
            limits.append((max(0, have) // need, f"{name}: {_amount(name, need)} reserved, {_amount(name, max(0, have))} left"))
    return min(limits, key=lambda limit: limit[0])


def _amount(name: str, value: int) -> str:
    if name == "cpus":
        return f"{value / 1e9:g}"
    return f"{value / 1e6:.0f} MB" if name == "memory" else str(value)


def why_not(spec: Json, node: Json) -> str:
    """Why ``node`` can never take a task of ``spec`` as it stands; empty when it can. Room is another question, see `fits`."""
    if not ready(node):
        state, availability = (node.get("Status") or {}).get("State"), (node.get("Spec") or {}).get("Availability")
        return f"is {state}, availability {availability}"
    missing = unmet(constraints_of(spec), node)
    if missing:
        return "does not meet " + ", ".join(map(str, missing))
    platforms = placement_of(spec).get("Platforms") or ()
    if not platform_fits(platforms, node):
        seen = (node.get("Description") or {}).get("Platform") or {}
        names = ", ".join(sorted(f"{platform.get('OS') or '*'}/{platform.get('Architecture') or '*'}" for platform in platforms))
        return f"is {seen.get('OS')}/{seen.get('Architecture')}, the image is for {names}"
    missing_plugins = _plugins_missing(spec, node)
    return f"lacks {', '.join(missing_plugins)}" if missing_plugins else ""


def _plugins_missing(spec: Json, node: Json) -> t.List[str]:
    """PluginFilter: drivers of volumes and of logs. A node that tells no plugin of a kind Log is an older engine and is not judged by it."""
    engine = (node.get("Description") or {}).get("Engine")
    if not engine:
        return []
    template, missing = spec.get("TaskTemplate") or {}, []
    have = {(str(plugin.get("Type")), str(plugin.get("Name")).partition(":latest")[0]) for plugin in engine.get("Plugins") or ()}
    for mount in (template.get("ContainerSpec") or {}).get("Mounts") or ():
        driver = (((mount.get("VolumeOptions") or {}).get("DriverConfig")) or {}).get("Name")
        if mount.get("Type") == "volume" and driver and driver != "local" and ("Volume", driver) not in have:
            missing.append(f"volume driver {driver}")
    log = (template.get("LogDriver") or {}).get("Name")
    if log and log != "none" and ("Log", log) not in have and any(kind == "Log" for kind, _name in have):
        missing.append(f"log driver {log}")
    return missing


def eligible(spec: Json, nodes: t.Sequence[Json]) -> t.Tuple[Json, ...]:
    """The nodes that may take a task of ``spec``."""
    return tuple(node for node in nodes if not why_not(spec, node))


def global_nodes(spec: Json, nodes: t.Sequence[Json]) -> t.FrozenSet[str]:
    """Ids of the nodes on which a global service runs: swarmkit makes its task wherever the constraints hold, whether it can run there or not."""
    constraints = constraints_of(spec)
    return frozenset(str(node["ID"]) for node in nodes if ready(node) and not unmet(constraints, node))


def hostname(node: Json) -> str:
    return str((node.get("Description") or {}).get("Hostname") or node.get("ID"))
