# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would make a deployment fail, found before it begins. Pure: one observation of the whole cluster, the plan, and what is wanted."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..._core.finding import Finding
from ..._core.secret_forms import names_secret
from ..model import Change, Desired, Json, StackPlan, World
from ..spec.placement import Port, eligible, fits, global_nodes, hostname, mode_of, parse, placement_of, published, replicas_of, room, why_not
from ..verdict import quorum
from ..verdict.converge import MONITOR

# Each check and what it does by default: fail refuses the deployment, warn says it.
CHECKS = {
    "quorum": "fail",
    "externals": "fail",
    "constraints": "fail",
    "placement": "fail",
    "start_first": "fail",
    "ports": "fail",
    "healthcheck": "warn",
    "rollback_window": "warn",
    "secrets": "warn",
}
LEVELS = ("fail", "warn", "skip")


def findings(world: World, desired: Desired, plan: StackPlan, levels: t.Mapping[str, str]) -> t.List[Finding]:
    """All findings, those that refuse first. ``levels`` says for a check of `CHECKS` whether it shall fail, warn or be skipped.

    Only services that are made or changed are looked at: the others run.
    """
    asked_for = sorted(plan.changes, key=lambda change: change.service)
    changed = [change for change in asked_for if change.after is not None and change.action in ("create", "update", "recreate")]
    asked: t.Mapping[str, t.Callable[[], t.List[Finding]]] = {
        "quorum": lambda: _quorum(world),
        "externals": lambda: _externals(world, desired),
        "constraints": lambda: [found for change in changed for found in _constraints(change)],
        "placement": lambda: [found for change in changed for found in _placement(change, world)],
        "start_first": lambda: [found for change in changed for found in _start_first(change, world)],
        "ports": lambda: _ports(changed, world),
        "healthcheck": lambda: _healthchecks(changed),
        "rollback_window": lambda: [found for change in changed for found in _rollback_window(change)],
        "secrets": lambda: _secrets(changed),
    }
    told = []
    for name, check in asked.items():
        level = levels.get(name, CHECKS[name])
        told += [replace(found, level=level) for found in check()] if level != "skip" else []
    return sorted(told, key=lambda found: found.level)


def _quorum(world: World) -> t.List[Finding]:
    seen = quorum.count(world.nodes)
    if seen.margin >= 0:
        return []
    return [Finding("quorum_lost", "fail", field="docker_host", message=f"{seen}.", remedy="Start managers, or run the playbook swarm_recover.")]


def _externals(world: World, desired: Desired) -> t.List[Finding]:
    there = {
        "networks": {str(item.get("Name")) for item in world.networks},
        "configs": {str((item.get("Spec") or {}).get("Name")) for item in world.configs},
        "secrets": {str((item.get("Spec") or {}).get("Name")) for item in world.secrets},
    }
    make = {
        "networks": "docker network create --driver overlay {name}; or correct the name.",
        "configs": "docker config create {name} <file>; or correct the name.",
        "secrets": "docker secret create {name} <file>; or correct the name.",
    }
    missing = [(kind, name) for kind, names in sorted(desired.externals.items()) for name in names if name not in there.get(kind, set())]
    return [
        Finding("external_missing", "fail", field=f"{kind}.{name}", message=f"The external {kind[:-1]} {name} does not exist.",
                remedy=make[kind].format(name=name))
        for kind, name in missing
    ]


def _constraints(change: Change) -> t.List[Finding]:
    try:
        parse(placement_of(change.after or {}).get("Constraints") or ())
    except ValueError as error:
        return [_finding("unschedulable", change, "placement.constraints", f"{error}.", "Write it as node.labels.<name>==<value> or !=.")]
    return []


def _placement(change: Change, world: World) -> t.List[Finding]:
    spec = change.after or {}
    if _constraints(change):
        return []
    if mode_of(spec) in ("global", "global-job"):
        return _global(change, world)
    wanted, nodes = _wanted(change), eligible(spec, world.nodes)
    if wanted and not nodes:
        said = "; ".join(f"{hostname(node)} {why_not(spec, node)}" for node in world.nodes)
        remedy = "Correct the constraints, label a node (docker node update --label-add), or add one."
        return [_finding("unschedulable", change, "placement", f"No node can take a task: {said}.", remedy)]
    count, limits = _capacity(spec, nodes, world, _id(change), without_own=True)
    if count >= wanted:
        return []
    said = f"{wanted} tasks are wanted, {count} have room: {limits}."
    return [_finding("unschedulable", change, "placement", said, "Reserve less, want fewer replicas, or add nodes.")]


def _global(change: Change, world: World) -> t.List[Finding]:
    """Swarm makes a task on each node that meets the constraints; one that cannot run there stays pending for ever."""
    spec, said = change.after or {}, []
    chosen = global_nodes(spec, world.nodes)
    for node in world.nodes:
        if str(node.get("ID")) in chosen:
            limit = why_not(spec, node) or _capacity(spec, (node,), world, _id(change), without_own=True)[1]
            said += [f"{hostname(node)} {limit}"] if limit and not _fits(spec, node, world, _id(change)) else []
    if chosen and not said:
        return []
    message = f"Its task cannot run on: {'; '.join(said)}." if said else "No node meets its constraints."
    return [_finding("unschedulable", change, "placement", message, "Keep those nodes out with a constraint, or make room on them.")]


def _fits(spec: Json, node: Json, world: World, service_id: str) -> bool:
    return not why_not(spec, node) and _capacity(spec, (node,), world, service_id, without_own=True)[0] > 0


def _start_first(change: Change, world: World) -> t.List[Finding]:
    """moby 40797: with start-first the old task is still there when the new one is placed; with no room for both the update never ends."""
    spec = change.after or {}
    order = (spec.get("UpdateConfig") or {}).get("Order")
    if change.action != "update" or change.restarts == "none" or order != "start-first" or "global" in mode_of(spec) or _constraints(change):
        return []
    nodes = eligible(spec, world.nodes)
    count, limits = _capacity(spec, nodes, world, _id(change), without_own=False)
    if count or not nodes or not _wanted(change):
        return []
    said = f"update_config.order is start-first and no node takes one task more than there are: {limits}."
    return [_finding("unschedulable", change, "update_config.order", said, "Use order: stop-first, raise the limit, or add a node.")]


def _capacity(spec: Json, nodes: t.Sequence[Json], world: World, service_id: str, without_own: bool) -> t.Tuple[int, str]:
    """How many tasks of ``spec`` have room on ``nodes``, and what limits each node."""
    ports = _host_ports(world)
    found = [(hostname(node), fits(spec, room(node, world.tasks, ports, service_id, without_own))) for node in nodes]
    return sum(count for _name, (count, _why) in found), "; ".join(f"{name}: {why}" for name, (_count, why) in found if why)


def _host_ports(world: World) -> t.Dict[str, t.FrozenSet[Port]]:
    return {str(service.get("ID")): published(service["Spec"], "host") for service in world.services}


def _ports(changed: t.Sequence[Change], world: World) -> t.List[Finding]:
    """The engine refuses a port of ingress that any other service publishes, and a port of a host that another one has as ingress."""
    specs = {str((service["Spec"]).get("Name")): service["Spec"] for service in world.services}
    specs.update({change.service: change.after or {} for change in changed})
    found = []
    for change in changed:
        own = change.after or {}
        for name, other in sorted(specs.items()):
            if name == change.service:
                continue
            taken = published(own, "ingress") & (published(other, "ingress") | published(other, "host")) | published(own, "host") & published(other, "ingress")
            said = [f"Port {port}/{protocol} is published by {name} already." for protocol, port in sorted(taken)]
            found += [_finding("port_taken", change, "ports", message, "Publish another port, or take it from there.") for message in said]
    return found


def _healthchecks(changed: t.Sequence[Change]) -> t.List[Finding]:
    lacking = []
    for change in changed:
        template = (change.after or {}).get("TaskTemplate") or {}
        test = ((template.get("ContainerSpec") or {}).get("Healthcheck") or {}).get("Test") or []
        if "job" not in mode_of(change.after or {}) and test[:1] in ([], ["NONE"]):
            lacking.append(change.service)
    if not lacking:
        return []
    said = f"No healthcheck in the files for {', '.join(sorted(lacking))}: unless the image has one, a task is good as soon as its process runs."
    return [Finding("healthcheck_missing", "fail", field="healthcheck", message=said, remedy="Add a healthcheck, or a gate that asks the service.")]


def _rollback_window(change: Change) -> t.List[Finding]:
    """F15, moby 37972."""
    given = (change.after or {}).get("UpdateConfig") or {}
    delay, monitor = int(given.get("Delay") or 0) / 1e9, int(given.get("Monitor") or 0) / 1e9 or MONITOR
    if given.get("FailureAction") not in ("rollback", "pause") or not delay or delay < monitor:
        return []
    said = f"update_config.delay ({delay:g} s) is not below monitor ({monitor:g} s), so Swarm misses failures (moby 37972). This module sees them all the same."
    return [_finding("rollback_missed", change, "update_config.monitor", said, f"Set monitor above {delay:g}s.")]


def _secrets(changed: t.Sequence[Change]) -> t.List[Finding]:
    """Names only. A path is no secret, which is what ``PASSWORD_FILE`` holds."""
    found = []
    for change in changed:
        given = (((change.after or {}).get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Env") or ()
        pairs = [str(entry).partition("=") for entry in given]
        names = sorted(name for name, _equal, value in pairs if value and names_secret(name) and not value.startswith("/"))
        if names:
            said = f"{', '.join(names)} look like secrets; whoever may use the manager's API can read them, here and in the history."
            found.append(_finding("secret_in_history", change, "environment", said, "Use a Docker secret and name its file."))
    return found


def _wanted(change: Change) -> int:
    return replicas_of(change.after or {})


def _id(change: Change) -> str:
    return str((change.before or {}).get("ID") or "")


def _finding(code: str, change: Change, field: str, message: str, remedy: str) -> Finding:
    return Finding(code, "fail", field=f"services.{change.service}.{field}", message=f"{change.service}: {message}", remedy=remedy)
