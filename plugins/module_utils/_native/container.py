# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of a manifest whose services run in the files of a container image: what an engine gives a process and a unit has to give. Pure."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .findings import Findings
from .model import Inside

KEYS = ("groups", "network", "one_shot", "tmpfs", "shared_memory", "read_only", "no_new_privileges", "resources", "secret_environment")
# Key -> directive of systemd.resource-control(5) and systemd.exec(5), smallest and largest value.
RESOURCES: t.Mapping[str, tuple[str, float, float]] = {
    "memory": ("MemoryMax", 4096, 2**63 - 1),
    "memory_reservation": ("MemoryLow", 0, 2**63 - 1),
    "swap": ("MemorySwapMax", 0, 2**63 - 1),
    "cpus": ("CPUQuota", 0.01, 10000),
    "cpu_weight": ("CPUWeight", 1, 10000),
    "tasks": ("TasksMax", 1, 2**31 - 1),
    "oom_score_adjust": ("OOMScoreAdjust", -1000, 1000),
}
_CPUS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*\Z")
_IMAGE = re.compile(r"sha256:[0-9a-f]{64}\Z")
_NUMBERS = re.compile(r"\d{1,10}(:\d{1,10})?\Z")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?\Z")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
# /path, or /path with options of tmpfs(5) that say how much and who.
_TMPFS = re.compile(r"/[^:\n,%\"\\ ]+(:[a-z0-9=,.]+)?\Z")


def image_id(findings: Findings, path: str, value: t.Any) -> str:
    """The id of ``image``, empty without one."""
    if value is None:
        return ""
    given = findings.mapping(path, value, ("id",))
    return findings.text(f"{path}.id", given.get("id", "" if given else None), "", _IMAGE, "must be the id of an image, sha256:…")


def user(findings: Findings, path: str, value: t.Any) -> str:
    """``uid`` or ``uid:gid``: names are those of the image, which the host does not know."""
    return findings.text(path, value, "0:0", _NUMBERS, "must be uid or uid:gid in numbers, for names are those of the image")


def hosts(findings: Findings, path: str, value: t.Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, t.Mapping):
        findings.add(path, f"must map names to addresses; is {value!r}.")
        return ()
    for name, address in value.items():
        if not _NAME.match(str(name)):
            findings.add(f"{path}.{name}", "is no name of a host.")
        try:
            ipaddress.ip_address(str(address))
        except ValueError:
            findings.add(f"{path}.{name}", f"must be an address; is {address!r}.")
    return tuple(sorted((str(name), str(address)) for name, address in value.items()))


def inside(findings: Findings, path: str, given: t.Mapping[str, t.Any]) -> Inside:
    groups = enumerate(findings.items_of(f"{path}.groups", given.get("groups")))
    return Inside(
        groups=tuple(int(findings.number(f"{path}.groups[{n}]", item, 0, 0, 2**32 - 2)) for n, item in groups),
        network=findings.choice(f"{path}.network", given.get("network"), ("host", "none"), "host"),
        one_shot=findings.boolean(f"{path}.one_shot", given.get("one_shot"), False),
        tmpfs=findings.texts(f"{path}.tmpfs", given.get("tmpfs"), _TMPFS, "must be /path or /path:size=…,mode=…"),
        shared_memory=int(findings.number(f"{path}.shared_memory", given.get("shared_memory"), 0, 0, 2**63 - 1)),
        read_only=findings.boolean(f"{path}.read_only", given.get("read_only"), False),
        no_new_privileges=findings.boolean(f"{path}.no_new_privileges", given.get("no_new_privileges"), False),
        resources=_resources(findings, f"{path}.resources", given.get("resources")),
        secret_environment=findings.texts(
            f"{path}.secret_environment", given.get("secret_environment"), _ENVIRONMENT_NAME, "must be the name of an environment variable"
        ),
    )


def _resources(findings: Findings, path: str, value: t.Any) -> tuple[tuple[str, t.Any], ...]:
    given = findings.mapping(path, value, (*RESOURCES, "cpuset")) if value is not None else {}
    found: list[tuple[str, t.Any]] = [
        (name, findings.number(f"{path}.{name}", given[name], low, low, high)) for name, (_key, low, high) in RESOURCES.items() if name in given
    ]
    if "cpuset" in given:
        found.append(("cpuset", findings.text(f"{path}.cpuset", given["cpuset"], "", _CPUS, "must be a list of processors such as 0-1,3")))
    return tuple(found)
