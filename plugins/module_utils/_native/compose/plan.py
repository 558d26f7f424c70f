# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole compose project as native modules. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ..._core.finding import Finding
from ..._core.secret_forms import MASK
from .confine import confine, sysctls
from .keys import KNOWN, LEFT_OUT, REFUSED
from .model import Conversion, Image, Json, Service
from .mounts import mounts
from .network import aliases, network, ports
from .process import process
from .reading import Reading, label, plain

_LOOPBACK = "127.0.0.1"
_DIGITS = re.compile(r"[0-9a-f]+")


def convert(project: Json, images: t.Mapping[str, Image], stack: str) -> Conversion:
    """``project`` is the output of `docker compose config --format json`, ``images`` the image of each service by the service's name.

    Nothing is dropped: a key is in the manifest, in ``left_out`` with a reason, or the service is refused.
    """
    resolved = plain(project)
    read = [_service(stack, name, resolved, images.get(name)) for name in resolved.get("services") or {}]
    services = tuple(_settled(service, resolved, {other.name for other in read if other.manifest is None}) for service in read)
    there = [service for service in services if service.manifest is not None]
    hosts: dict[str, str] = {}
    for service in there:
        hosts.update(dict.fromkeys(service.names, _LOOPBACK))
    for service in there:
        hosts.update({name: address for name, address in service.hosts if name not in hosts})
    findings = [*(finding for service in services for finding in service.refused), *_same_name(services), *_same_port(there)]
    return Conversion(stack, services, hosts, tuple(findings))


def _service(stack: str, name: str, project: Json, image: t.Optional[Image]) -> Service:
    reading = Reading(stack, name, project, image or Image(""))
    if image is None:
        reading.refuse("image", "is not on the old host", "Pull or build it there (`docker compose pull`, `docker compose build`), then run this again.")
    for key in sorted(reading.spec):
        if key in LEFT_OUT:
            reading.leave(key, LEFT_OUT[key])
        elif key in REFUSED and reading.spec[key]:
            reading.refuse(key, REFUSED[key])
        elif key not in KNOWN:
            reading.refuse(key, "is not known here, and nothing is dropped silently")
    runs = process(reading)
    seen, allowed, asked = mounts(reading), confine(reading), sysctls(reading)
    published, listening = ports(reading)
    where, names, lines = network(reading)
    hosts = (*lines, *((alias, _LOOPBACK) for alias in aliases(reading)))
    body = {"name": label(name), **runs, **seen, **allowed, **where, "ports": sorted({item.port for item in listening if item.protocol == "tcp"})}
    secrets = tuple(body.pop("secret_environment", ()))
    manifest = {
        "schema_version": 1,
        "name": label(name),
        "version": f"0.0.0+{(_DIGITS.search(reading.image.id.partition(':')[2]) or [''])[0][:12] or 'unknown'}",
        "image": {"id": reading.image.id},
        "published": sorted({item.to for item in published if item.protocol == "tcp"}),
        "hosts": {**dict(hosts), **dict.fromkeys(names, _LOOPBACK)},
        "services": [{**body, **({"secret_environment": list(secrets)} if secrets else {})}],
    }
    if MASK in str(manifest):
        remedy = "Give it to the service by a file or a variable named after it."
        reading.refuse("service", "has a value that was masked because it looks like a secret", remedy)
    return Service(
        name=name,
        manifest=None if reading.refused else manifest,
        refused=tuple(reading.refused),
        warned=tuple(reading.warned),
        left_out=reading.left_out,
        carried=tuple(reading.carried),
        published=published,
        listening=listening,
        names=names,
        hosts=hosts,
        sysctls=asked,
        secret_environment=secrets,
    )


def _settled(service: Service, project: Json, behind: t.Collection[str]) -> Service:
    """What only the whole project says: a service whose end others wait for runs once, and nobody waits for one that stays behind."""
    if service.manifest is None:
        return service
    body = dict(service.manifest["services"][0])
    if _runs_once(service.name, project):
        body["one_shot"] = True
    missed = [name for name in behind if f"{label(name)}/{label(name)}" in body.get("depends_on", ())]
    body["depends_on"] = [item for item in body.get("depends_on", ()) if item not in {f"{label(name)}/{label(name)}" for name in missed}]
    if not body["depends_on"]:
        del body["depends_on"]
    warned = tuple(
        Finding("differs_natively", "warn", service.name, f"{service.name}: depends_on names {name}, which stays behind.",
                f"See how {service.name} reaches {name} from the new host.", f"services.{service.name}.depends_on.{name}")
        for name in sorted(missed)
    )  # fmt: skip
    return replace(service, manifest={**service.manifest, "services": [body]}, warned=(*service.warned, *warned))


def _runs_once(name: str, project: Json) -> bool:
    return any(
        ((item or {}).get("depends_on") or {}).get(name, {}).get("condition") == "service_completed_successfully"
        for item in (project.get("services") or {}).values()
        if isinstance((item or {}).get("depends_on"), t.Mapping)
    )


def _same_name(services: t.Sequence[Service]) -> list[Finding]:
    """Two names of compose that are one DNS label."""
    owners: dict[str, list[str]] = {}
    for service in services:
        owners.setdefault(label(service.name), []).append(service.name)
    return [
        Finding("stays_behind", "fail", name, f"{' and '.join(names)} would both be the module {name or '(nothing)'!r}.", "Rename one of the services.",
                f"services.{names[-1]}")
        for name, names in owners.items()
        if len(names) > 1 or not name
    ]  # fmt: skip


def _same_port(services: t.Sequence[Service]) -> list[Finding]:
    """Services that would listen on one port of one host. One that only its image says so of is named, and need not be true."""
    owners: dict[tuple[int, str], list[tuple[Service, bool]]] = {}
    for service in services:
        for item in service.listening:
            owners.setdefault((item.port, item.protocol), []).append((service, item.sure))
    found = []
    for (port, protocol), pairs in sorted(owners.items()):
        if len(pairs) < 2:
            continue
        names = [service.name for service, _sure in pairs]
        level = "fail" if sum(sure for _service, sure in pairs) > 1 else "warn"
        found.append(
            Finding("port_pair", level, " and ".join(names), f"{' and '.join(names)} would all listen on {port}/{protocol} of one host.",
                    f"Let one of them listen elsewhere (a variable or an option of its program), and say so in its ports or expose: {names[-1]}.",
                    f"services.{names[-1]}.ports")
        )  # fmt: skip
    return found
