# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service may do and how much it may take."""

from __future__ import annotations

import typing as t

from ..findings import Findings
from ..process import limits
from .model import ENGINE_CAPABILITIES
from .reading import Reading

# Beside those of the engine, what concerns the process itself. All others reach over a container's own network, clock or processes, which a unit
# shares with the host.
_OWN = ("IPC_LOCK", "LEASE", "NET_BROADCAST", "SYS_NICE", "SYS_RESOURCE")
_RUNTIMES = ("", "runc", "io.containerd.runc.v2", "crun")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_DEPLOY = ("endpoint_mode", "labels", "mode", "placement", "replicas", "resources", "restart_policy", "rollback_config", "update_config")
_OF_A_CLUSTER = ("endpoint_mode", "labels", "placement", "rollback_config", "update_config")
_RESOURCES = ("cpus", "memory", "pids", "devices", "generic_resources")
# The engine counts shares from 2 to 262144 and systemd weights from 1 to 10000; both take the kernel's own scale of cgroup v2.
# https://github.com/opencontainers/cgroups/blob/main/utils.go (ConvertCPUSharesToCgroupV2Value)
_SHARES, _WEIGHTS = (2, 262144), (1, 10000)


def confine(reading: Reading) -> dict[str, t.Any]:
    """Keys of the service's part of a manifest."""
    _one_copy(reading)
    _not_the_host(reading)
    found: dict[str, t.Any] = {
        "capabilities": [f"CAP_{name}" for name in _capabilities(reading)],
        "no_new_privileges": _security(reading),
        "limits": _limits(reading),
        "resources": _resources(reading),
    }
    return {key: value for key, value in found.items() if value or key == "capabilities"}


def sysctls(reading: Reading) -> tuple[tuple[str, str], ...]:
    """What the container sets for itself and a unit has from its host: name and value, for whoever compares."""
    given = reading.spec.get("sysctls") or {}
    pairs = given.items() if isinstance(given, t.Mapping) else (str(item).partition("=")[::2] for item in given)
    found = tuple(sorted((str(name), str(value)) for name, value in pairs))
    for name, value in found:
        reading.warn(f"sysctls.{name}", f"is {value} in the container alone; a unit has what its host has",
                     f"Compare with `sysctl {name}` of the new host; set it there in /etc/sysctl.d if nothing else minds.")  # fmt: skip
    return found


def _one_copy(reading: Reading) -> None:
    deploy = reading.mapping("deploy", reading.spec.get("deploy") or {}, _DEPLOY)
    for name in sorted(set(deploy) & set(_OF_A_CLUSTER)):
        reading.leave(f"deploy.{name}", "is for a cluster; compose does not read it either")
    copies = reading.spec.get("scale", deploy.get("replicas", 1))
    if deploy.get("mode", "replicated") not in ("replicated", "global"):
        reading.refuse("deploy.mode", f"is {deploy['mode']}, which only a cluster runs")
    if copies != 1:
        reading.refuse("scale" if "scale" in reading.spec else "deploy.replicas", f"is {copies}: copies would want one port of one host")


def _not_the_host(reading: Reading) -> None:
    spec = reading.spec
    if spec.get("privileged"):
        reading.refuse("privileged", "gives it the host")
    for key in ("pid", "ipc"):
        word = str(spec.get(key) or "private")
        if word not in ("private", "shareable", "none"):
            reading.refuse(key, f"is {word}: it would share what others run in")
    if str(spec.get("runtime") or "") not in _RUNTIMES:
        reading.refuse("runtime", f"is {spec['runtime']}, which a unit has not")
    wanted = str(spec.get("platform") or "")
    system, _slash, rest = wanted.partition("/")
    architecture = _ARCHITECTURES.get(rest.partition("/")[0], rest.partition("/")[0])
    if wanted and (system != "linux" or (reading.image.architecture and architecture not in ("", reading.image.architecture))):
        reading.refuse("platform", f"is {wanted}, the image is {reading.image.os}/{reading.image.architecture or 'unknown'}")
    if reading.image.os != "linux":
        reading.refuse("image", f"is for {reading.image.os}")
    if spec.get("storage_opt"):
        reading.warn("storage_opt", "limits what the container writes outside of its volumes", "Give the folder of the stack a file system of its own.")


def _capabilities(reading: Reading) -> list[str]:
    """What the container has: the engine's own, less cap_drop, and cap_add."""
    added, dropped = ([str(name).upper().replace("CAP_", "", 1) for name in reading.items(key)] for key in ("cap_add", "cap_drop"))
    found = set() if "ALL" in dropped else set(ENGINE_CAPABILITIES) - set(dropped)
    if "ALL" in added:
        reading.refuse("cap_add", "is ALL: it would have the host")
    for name in sorted(set(added) - {"ALL"}):
        if name in ENGINE_CAPABILITIES or name in _OWN:
            found.add(name)
        else:
            reading.refuse("cap_add", f"has {name}, which in a container reaches its own network or processes, and natively those of the host")
    return sorted(found)


def _security(reading: Reading) -> bool:
    """Whether the service may gain no privileges."""
    found = False
    for item in (str(option) for option in reading.items("security_opt")):
        name, _sign, value = item.replace("=", ":", 1).partition(":")
        if name == "no-new-privileges":
            found = value in ("", "true")
        elif (name, value) in (("seccomp", "unconfined"), ("apparmor", "unconfined"), ("label", "disable"), ("seccomp", "builtin")):
            reading.leave(f"security_opt.{item}", "a unit has no such profile")
        elif name == "label":
            reading.leave(f"security_opt.{item}", "labels are those of the new host")
        else:
            reading.refuse("security_opt", f"has {item}, a profile of the old host or a rule that is not known here")
    return found


def _limits(reading: Reading) -> dict[str, t.Any]:
    given = reading.spec.get("ulimits") or {}
    findings = Findings()
    limits(findings, "ulimits", given, ())
    for sentence in findings.items:
        key, _colon, words = sentence.partition(": ")
        reading.refuse(key, words.rstrip("."))
    return dict(given) if isinstance(given, t.Mapping) else {}


def _resources(reading: Reading) -> dict[str, t.Any]:
    """``memory``, ``memory_reservation`` and ``swap`` in bytes, ``cpus`` as a number, ``cpu_weight``, ``cpuset``, ``tasks``, ``oom_score_adjust``."""
    spec = reading.spec
    resources = reading.mapping("deploy.resources", (spec.get("deploy") or {}).get("resources") or {}, ("limits", "reservations"))
    most, least = (reading.mapping(f"deploy.resources.{key}", resources.get(key) or {}, _RESOURCES) for key in ("limits", "reservations"))
    for key, given in (("limits", most), ("reservations", least)):
        for name in ("devices", "generic_resources"):
            if given.get(name):
                reading.refuse(f"deploy.resources.{key}.{name}", "gives it devices of the host")
    for name in ("cpus", "pids"):
        if name in least:
            reading.leave(f"deploy.resources.reservations.{name}", "decides where a cluster puts it")
    for key in ("cpu_count", "cpu_percent", "cpu_rt_period", "cpu_rt_runtime", "mem_swappiness"):
        if key in spec:
            reading.leave(key, "cgroup v2 does not know it")
    sizes = {
        "memory": spec.get("mem_limit", most.get("memory")),
        "memory_reservation": spec.get("mem_reservation", least.get("memory")),
    }
    found: dict[str, t.Any] = {name: reading.size(name, value) for name, value in sizes.items() if value is not None}
    if "memswap_limit" in spec and found.get("memory"):
        both = reading.spec["memswap_limit"]
        # Memory and swap together there; swap alone in a unit. -1 is no limit.
        if str(both) != "-1":
            found["swap"] = max(0, reading.size("memswap_limit", both) - found["memory"])
    found.update(_processor(reading, most))
    tasks = spec.get("pids_limit", most.get("pids"))
    if tasks is not None and int(reading.number("pids_limit", tasks)) > 0:
        found["tasks"] = int(reading.number("pids_limit", tasks))
    if "oom_score_adj" in spec:
        found["oom_score_adjust"] = int(reading.number("oom_score_adj", spec["oom_score_adj"]))
    return found


def _processor(reading: Reading, most: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    spec = reading.spec
    found: dict[str, t.Any] = {}
    cpus = spec.get("cpus", most.get("cpus"))
    if cpus is None and spec.get("cpu_quota"):
        # Both in microseconds. https://docs.docker.com/engine/containers/resource_constraints/
        cpus = reading.number("cpu_quota", spec["cpu_quota"]) / reading.number("cpu_period", spec.get("cpu_period") or 100000)
    if cpus is not None and reading.number("cpus", cpus) > 0:
        found["cpus"] = reading.number("cpus", cpus)
    if spec.get("cpu_shares"):
        shares = min(max(reading.number("cpu_shares", spec["cpu_shares"]), _SHARES[0]), _SHARES[1])
        found["cpu_weight"] = int(_WEIGHTS[0] + (shares - _SHARES[0]) * (_WEIGHTS[1] - _WEIGHTS[0]) / (_SHARES[1] - _SHARES[0]))
    if spec.get("cpuset"):
        found["cpuset"] = str(spec["cpuset"])
    return found
