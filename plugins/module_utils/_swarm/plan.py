# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what one run does to a stack: for each service create, update, remove, recreate or nothing, why, and which tasks that replaces. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.finding import Finding, failure
from .model import STACK_LABEL, Change, Desired, Json, StackPlan, World
from .spec.canonical import HASH_LABEL, canonical, digest, labelled, mode_of
from .spec.difference import reasons

# What an overlay network gains when Swarm gives it its numbers (moby libnetwork, drivers/overlay/ovmanager).
_GIVEN_OPTIONS = ("com.docker.network.driver.overlay.vxlanid_list",)

# Drivers of one host (docker network create, --driver); a compose file cannot ask for a scope, so Swarm refuses every service on such a network.
_LOCAL_DRIVERS = ("bridge", "host", "null", "none", "macvlan", "ipvlan")

_JOBS = ("ReplicatedJob", "GlobalJob")


@dataclass(frozen=True)
class _View:
    """What decisions about one stack look at."""

    desired: Desired
    options: t.Mapping[str, t.Any]
    networks: t.Mapping[str, str]  # name by id
    live: t.Mapping[str, Json]  # services of this stack by name


def plan(world: World, desired: Desired, options: t.Mapping[str, t.Any]) -> StackPlan:
    """What leads from ``world`` (the whole cluster) to ``desired``, whose names are final and whose images are pinned.

    ``options``: ``replicas`` enforce or keep (keep leaves the number that runs), ``drift`` repair, report or ignore, ``prune``, ``allow_recreate``
    (names of services), and ``recorded`` (specs of the last revision by name: where they are what is wanted, a difference is drift). A service
    whose live spec means what is wanted is left alone, whoever wrote it. Raises FleetError recreate_needed or conflict with all findings.
    """
    live = {str(item["Spec"]["Name"]): item for item in world.services if _labels(item).get(STACK_LABEL) == desired.name}
    view = _View(desired, options, {str(item["Id"]): str(item["Name"]) for item in world.networks}, live)
    found = _taken(world, view) + _networks(world, view)
    changes: list[Change] = []
    drift: list[str] = []
    for name, spec in sorted(desired.services.items(), key=lambda item: (desired.waves.get(item[0], 0), item[0])):
        change, drifted = _change(name, spec, view)
        changes.append(change)
        drift += [f"{name}: {reason}" for reason in drifted]
        if change.action == "recreate" and name not in (options.get("allow_recreate") or ()):
            found.append(_recreate(name, change.reasons))
    for name in sorted(set(live) - set(desired.services)):
        prune = options.get("prune", True)
        why = "is not in the compose files" if prune else "is not in the compose files, and prune is false"
        changes.append(Change(name, "remove" if prune else "none", (why,), "all" if prune else "none", live[name], None, 0))
    if found:
        raise failure(found, "Nothing was changed.")
    reported = tuple(f"Drift, left as it is: {line}" for line in drift) if options.get("drift") == "report" else ()
    return StackPlan(desired.name, tuple(changes), _create(world, desired), _remove(world, desired, options), tuple(drift), reported)


def _change(name: str, spec: Json, view: _View) -> tuple[Change, tuple[str, ...]]:
    """The change of one wanted service, and what of it is drift."""
    wave, live = view.desired.waves.get(name, 0), view.live.get(name)
    if live is None:
        return Change(name, "create", ("does not exist",), "none", None, labelled(spec, digest(spec)), wave), ()
    kept = _kept(spec, live["Spec"]) if view.options.get("replicas") == "keep" else spec
    before, wanted = canonical(live["Spec"], view.networks), canonical(kept, view.networks)
    why = reasons(before, wanted)
    if before == wanted:
        return Change(name, "none", (), "none", live, live["Spec"], wave), ()
    if mode_of(live["Spec"]) != mode_of(spec):
        change = f"mode {mode_of(live['Spec'])} becomes {mode_of(spec)}"
        return Change(name, "recreate", (change,), "all", live, labelled(spec, digest(spec)), wave), ()
    drifted = _is_drift(name, spec, live, view)
    if drifted and view.options.get("drift", "repair") != "repair":
        return Change(name, "none", (), "none", live, live["Spec"], wave), why if view.options.get("drift") == "report" else ()
    after = labelled(grafted(kept, live["Spec"], view.networks), digest(spec))
    why = tuple(f"drift: {reason}" for reason in why) if drifted else why
    return Change(name, "update", why, restarts(before, wanted), live, after, wave), why if drifted else ()


def _is_drift(name: str, spec: Json, live: Json, view: _View) -> bool:
    """Nobody asked for another content, and what runs is another one: somebody changed it past us."""
    asked = _labels(live).get(HASH_LABEL)
    recorded = (view.options.get("recorded") or {}).get(name)
    return digest(spec) in (asked, digest(recorded) if recorded else None)


def _kept(spec: Json, live: Json) -> Json:
    """``spec`` with the number of replicas that runs, which an autoscaler or a person has set."""
    mode = live.get("Mode") or {}
    return {**spec, "Mode": mode} if mode_of(spec) == mode_of(live) == "Replicated" else spec


def grafted(spec: Json, live: Json, networks: t.Mapping[str, str]) -> Json:
    """``spec`` with every part that means the same as it stands in the live spec: swarmkit compares tasks field by field, so another spelling of
    the same would replace them (manager/orchestrator/task.go, IsTaskDirty). The count of forced updates goes on, as with the CLI.
    """
    one, two = canonical(live, networks), canonical(spec, networks)
    old, new = live.get("TaskTemplate") or {}, spec.get("TaskTemplate") or {}
    forms = one["TaskTemplate"], two["TaskTemplate"]
    template: Json = {}
    for key in [*new, *(key for key in old if key not in new)]:
        same = key == "ForceUpdate" or forms[0].get(key) == forms[1].get(key)
        if same and key in old:
            template[key] = old[key]
        elif key in new and not same:
            template[key] = new[key]
    endpoint = live if one.get("EndpointSpec") == two.get("EndpointSpec") else spec
    after = {**spec, "TaskTemplate": template, "EndpointSpec": endpoint.get("EndpointSpec")}
    if after["EndpointSpec"] is None:
        del after["EndpointSpec"]
    return after


def restarts(before: Json, after: Json) -> str:
    """F7, for what `grafted` posts. Each write to a job runs it again (controlapi/service.go, UpdateService: JobIteration)."""
    if next(iter(after["Mode"])) in _JOBS or before.get("EndpointSpec") != after.get("EndpointSpec"):
        return "all"
    old, new = before["TaskTemplate"], after["TaskTemplate"]
    if old == new:
        return "none"
    # Only tasks on nodes that no longer match (IsTaskDirtyPlacementConstraintsOnly).
    return "some" if {**old, "Placement": None} == {**new, "Placement": None} else "all"


def _taken(world: World, view: _View) -> list[Finding]:
    """Names of services and networks that belong to somebody else; the engine would refuse them in the middle of the run."""
    found = []
    for item in world.services:
        name, owner = str(item["Spec"]["Name"]), _labels(item).get(STACK_LABEL)
        if name in view.desired.services and owner != view.desired.name:
            found.append(_foreign("service", name, owner))
    for item in world.networks:
        name, owner = str(item["Name"]), (item.get("Labels") or {}).get(STACK_LABEL)
        if name in view.desired.networks and owner != view.desired.name and item.get("Scope", "swarm") == "swarm":
            found.append(_foreign("network", name, owner))
    return found


def _foreign(kind: str, name: str, owner: t.Optional[str]) -> Finding:
    whose = f"belongs to the stack {owner}" if owner else "belongs to no stack"
    other = ", or declare it with external: true" if kind == "network" else ""
    return Finding("conflict", "fail", field=f"{kind}s.{name}", message=f"The {kind} {name} exists and {whose}.",
                   remedy=f"Choose another name for the stack, or remove it{other}.")


def _networks(world: World, view: _View) -> list[Finding]:
    """Networks whose definition changed. Swarm changes none in place, and the CLI says nothing about it."""
    found = [
        Finding(
            "compose_invalid", "fail",
            field=f"networks.{name}",
            message=f"The network {name} has the driver {body.get('Driver')}, which is one of a single host; services need one of the whole Swarm.",
            remedy="Write driver: overlay in the compose file, or leave driver out.",
        )
        for name, body in sorted(view.desired.networks.items())
        if body.get("Driver") in _LOCAL_DRIVERS
    ]
    live = {str(item["Name"]): item for item in world.networks if (item.get("Labels") or {}).get(STACK_LABEL) == view.desired.name}
    for name, body in sorted(view.desired.networks.items()):
        differs = _differs(live[name], body) if name in live and body.get("Driver") not in _LOCAL_DRIVERS else []
        if differs:
            found.append(
                Finding(
                    "recreate_needed", "fail",
                    field=f"networks.{name}",
                    message=f"The network {name} cannot be changed in place: {', '.join(differs)}.",
                    remedy="Give the network another name in the compose file; services move to it one by one.",
                )
            )
    return found


def _differs(live: Json, body: Json) -> list[str]:
    said = []
    if live.get("Driver") and live["Driver"] != (body.get("Driver") or "overlay"):
        said.append(f"driver {live['Driver']} becomes {body.get('Driver')}")
    for key in ("Internal", "Attachable", "Ingress", "EnableIPv6"):
        if bool(live.get(key)) != bool(body.get(key)):
            said.append(f"{key} {bool(live.get(key))} becomes {bool(body.get(key))}")
    if live.get("Driver"):
        options = {key: value for key, value in (live.get("Options") or {}).items() if key not in _GIVEN_OPTIONS}
        wanted = {key: value for key, value in (body.get("Options") or {}).items() if key not in _GIVEN_OPTIONS}
        said += [f"option {key} changed" for key in sorted({*options, *wanted}) if options.get(key) != wanted.get(key)]
    subnets = [str(item.get("Subnet")) for item in (body.get("IPAM") or {}).get("Config") or [] if item.get("Subnet")]
    there = [str(item.get("Subnet")) for item in (live.get("IPAM") or {}).get("Config") or [] if item.get("Subnet")]
    if subnets and sorted(subnets) != sorted(there):
        said.append(f"subnet {', '.join(there) or 'of Swarm'} becomes {', '.join(subnets)}")
    return said


def _recreate(name: str, why: t.Sequence[str]) -> Finding:
    return Finding(
        "recreate_needed", "fail",
        field=f"services.{name}",
        message=f"The service {name} can only be made anew: {', '.join(why)}. It stands still in between.",
        remedy=f"allow_recreate: [{name}]",
    )


def _create(world: World, desired: Desired) -> dict[str, tuple[str, ...]]:
    there = {
        "networks": {str(item["Name"]) for item in world.networks},
        "configs": {str(item["Spec"]["Name"]) for item in world.configs},
        "secrets": {str(item["Spec"]["Name"]) for item in world.secrets},
    }
    return {kind: tuple(sorted(set(getattr(desired, kind)) - names)) for kind, names in there.items()}


def _remove(world: World, desired: Desired, options: t.Mapping[str, t.Any]) -> dict[str, tuple[str, ...]]:
    """Objects of the stack that nothing names any more. Kept revisions are the history's affair."""
    if not options.get("prune", True):
        return {"networks": (), "configs": (), "secrets": ()}
    networks = {str(item["Name"]) for item in world.networks if (item.get("Labels") or {}).get(STACK_LABEL) == desired.name}
    gone = {"networks": tuple(sorted(networks - set(desired.networks)))}
    for kind, listed, key in (("configs", "Configs", "ConfigName"), ("secrets", "Secrets", "SecretName")):
        # A stored revision has no bodies of them, only services that name them.
        containers = [(spec.get("TaskTemplate") or {}).get("ContainerSpec") or {} for spec in desired.services.values()]
        used = {str(entry[key]) for container in containers for entry in container.get(listed) or ()}
        own = {str(item["Spec"]["Name"]) for item in getattr(world, kind) if _labels(item).get(STACK_LABEL) == desired.name}
        gone[kind] = tuple(sorted(own - set(getattr(desired, kind)) - used))
    return gone


def _labels(item: Json) -> Json:
    return (item.get("Spec") or {}).get("Labels") or {}
