# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One form of a ServiceSpec, so that what means the same to Swarm is equal. Pure.

The engine gives a spec back with more than it was given: moby v28.2.2, daemon/cluster/convert/service.go and container.go (there and back),
network.go (endpoint), networks.go (populateNetworkID: a network's name becomes its id).
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ..model import Json

# The hash of what was wanted, in the labels of the service: labels of a service replace no task (F7).
HASH_LABEL = "bowline.hash"

Path = t.Tuple[str, ...]

_CONTAINER = ("TaskTemplate", "ContainerSpec")
_PORT = ("EndpointSpec", "Ports", "*")
_MOUNT = (*_CONTAINER, "Mounts", "*")

# What the engine puts where nothing was given; "*" is each item of a list.
DEFAULTS: dict[Path, t.Any] = {
    ("TaskTemplate", "Runtime"): "container",  # service.go, serviceSpecFromGRPC
    ("TaskTemplate", "RestartPolicy", "Condition"): "any",  # restartPolicyFromGRPC
    (*_CONTAINER, "Isolation"): "default",  # container.go, isolationToGRPC
    (*_CONTAINER, "Privileges", "Seccomp", "Mode"): "default",  # containerSpecFromGRPC
    (*_CONTAINER, "Privileges", "AppArmor", "Mode"): "default",
    (*_MOUNT, "Type"): "bind",  # swarmkit api/types.proto, MountType 0
    (*_MOUNT, "BindOptions", "Propagation"): "rprivate",  # MountPropagation 0
    ("EndpointSpec", "Mode"): "vip",  # network.go, endpointSpecFromGRPC
    (*_PORT, "Protocol"): "tcp",  # swarmPortConfigToAPIPortConfig
    (*_PORT, "PublishMode"): "ingress",
    ("UpdateConfig", "FailureAction"): "pause",  # updateConfigToGRPC
    ("UpdateConfig", "Order"): "stop-first",
    ("RollbackConfig", "FailureAction"): "pause",
    ("RollbackConfig", "Order"): "stop-first",
}

# Pointers, where false or 0 is something else than nothing.
_POINTERS: frozenset[Path] = frozenset(
    [
        (*_CONTAINER, "Init"),
        (*_CONTAINER, "StopGracePeriod"),
        ("TaskTemplate", "RestartPolicy", "Delay"),
        ("TaskTemplate", "RestartPolicy", "Window"),
        ("UpdateConfig", "Parallelism"),
        ("RollbackConfig", "Parallelism"),
    ]
)

# Fields that the engine takes and does not keep for services (container.go, containerToGRPC, hands none of them to swarmkit).
_NOT_KEPT: frozenset[Path] = frozenset(
    [
        (*_MOUNT, "Consistency"),
        (*_MOUNT, "BindOptions", "CreateMountpoint"),
        (*_MOUNT, "BindOptions", "ReadOnlyNonRecursive"),
        (*_MOUNT, "BindOptions", "ReadOnlyForceRecursive"),
    ]
)


def canonical(spec: Json, networks: t.Optional[t.Mapping[str, str]] = None) -> Json:
    """``spec`` without nulls, empty values and the engine's defaults, and without our own label. Equal forms mean the same to Swarm.

    ``networks`` has the name of each network by id, since a live spec names them by id. ForceUpdate is left out: it is a request to start the
    tasks anew, not a part of what runs.
    """
    template = {key: value for key, value in (spec.get("TaskTemplate") or {}).items() if key != "ForceUpdate"}
    # Older CLIs named the networks of a service in the service (docker/cli cli/compose/convert/service.go).
    attached = template.get("Networks") or spec.get("Networks") or []
    template["Networks"] = [{**item, "Target": (networks or {}).get(item.get("Target"), item.get("Target"))} for item in attached]
    labels = {key: value for key, value in (spec.get("Labels") or {}).items() if key != HASH_LABEL}
    rest = {key: value for key, value in spec.items() if key not in ("TaskTemplate", "Networks", "Labels", "Mode")}
    for config in ("UpdateConfig", "RollbackConfig"):
        # No config is one at a time; a config without parallelism is all at once (swarmkit manager/orchestrator/update/updater.go).
        rest[config] = {"Parallelism": 0, **rest[config]} if rest.get(config) is not None else None
    bare = _bare({**rest, "TaskTemplate": template, "Labels": labels}, ())
    return {**bare, "Mode": _mode(spec.get("Mode") or {})}


def digest(spec: Json) -> str:
    """SHA-256 of the canonical form in hex, without the ids of configs and secrets, which differ from cluster to cluster."""
    return hashlib.sha256(json.dumps(_without_ids(canonical(spec)), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def labelled(spec: Json, value: str) -> Json:
    """``spec`` with its hash in the labels of the service."""
    return {**spec, "Labels": {**(spec.get("Labels") or {}), HASH_LABEL: value}}


def mode_of(spec: Json) -> str:
    """Replicated, Global, ReplicatedJob or GlobalJob."""
    return next(iter(_mode(spec.get("Mode") or {})))


def _mode(mode: Json) -> Json:
    """service.go, ServiceSpecToGRPC: without a mode, and without a number, it is one replica."""
    for name in ("Global", "GlobalJob"):
        if mode.get(name) is not None:
            return {name: {}}
    if mode.get("ReplicatedJob") is not None:
        job = mode["ReplicatedJob"]
        most = 1 if job.get("MaxConcurrent") is None else job["MaxConcurrent"]
        return {"ReplicatedJob": {"MaxConcurrent": most, "TotalCompletions": most if job.get("TotalCompletions") is None else job["TotalCompletions"]}}
    replicas = (mode.get("Replicated") or {}).get("Replicas")
    return {"Replicated": {"Replicas": 1 if replicas is None else replicas}}


def _bare(value: t.Any, path: Path) -> t.Any:
    if isinstance(value, t.Mapping):
        inner = {str(key): _bare(item, (*path, str(key))) for key, item in value.items() if (*path, str(key)) not in _NOT_KEPT}
        return {key: item for key, item in inner.items() if not _says_nothing(item, (*path, key))}
    if isinstance(value, (list, tuple)):
        return [_bare(item, (*path, "*")) for item in value]
    return value


def _says_nothing(value: t.Any, path: Path) -> bool:
    if value is None or value in ("", [], {}):
        return True
    if value is False or (value == 0 and not isinstance(value, str)):
        return path not in _POINTERS
    return bool(path in DEFAULTS and value == DEFAULTS[path])


def _without_ids(form: Json) -> Json:
    container = dict(form.get("TaskTemplate", {}).get("ContainerSpec", {}))
    for kind, key in (("Configs", "ConfigID"), ("Secrets", "SecretID")):
        if kind in container:
            container[kind] = [{name: value for name, value in item.items() if name != key} for item in container[kind]]
    credentials = (container.get("Privileges") or {}).get("CredentialSpec") or {}
    if "Config" in credentials:
        # Its config is a reference of the kind Runtime, too, where it has its name.
        container["Privileges"] = {**container["Privileges"], "CredentialSpec": {"Config": ""}}
    return {**form, "TaskTemplate": {**form.get("TaskTemplate", {}), "ContainerSpec": container}}
