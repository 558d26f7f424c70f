# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories, names and ports of an edge that nobody gave, made from the subject, so that two stacks on one host have two of everything. Pure."""

from __future__ import annotations

import re
import typing as t
import zlib

from .._core.errors import FleetError

_PARENT = "/var/lib/bowline"
# With the longest service name a socket in the directory still fits into 90 characters (faults.py).
_LONGEST = 24
# Below Linux' ephemeral ports (ip_local_port_range begins at 32768).
_PORTS = range(20000, 30000)
_CONTAINER_PORT = 18080


def slug(subject: str) -> str:
    """``subject`` as part of a path and of a name; what had to be changed has a digest behind it, so that two subjects stay two."""
    plain = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")
    return plain if plain == subject and len(plain) <= _LONGEST else f"{plain[: _LONGEST - 9]}-{zlib.crc32(subject.encode()):08x}".lstrip("-")


def port(subject: str, service: str) -> int:
    """The port of a service where each needs one of its own on the host."""
    return _PORTS.start + zlib.crc32(f"{subject}/{service}".encode()) % len(_PORTS)


def edge_of(sides: t.Mapping[str, t.Mapping[str, t.Any]], side: str, subject: str) -> dict[str, t.Any]:
    """``sides[side]`` with everything that was left out: directory, unit or container.name, listen of services, via of upstreams, the proxy's door.

    Raises FleetError ``option_invalid`` when something is to be made from a subject that is empty.
    """
    given = sides[side]
    if not subject and not (given.get("directory") and (given.get("unit") or (given.get("container") or {}).get("name"))):
        raise FleetError(
            "option_invalid",
            f"edge_sides.{side} leaves out its directory or its name, and edge_subject, from which they are made, is empty.",
            remedy="Set edge_subject (cutover_subject); nothing was changed.",
            details={"field": "edge_subject"},
        )
    name = f"bowline-edge-{slug(subject)}"
    directory = str(given.get("directory") or f"{_PARENT}/edge-{slug(subject)}").rstrip("/")
    edge: dict[str, t.Any] = {**given, "directory": directory}
    if given.get("container") is not None:
        edge["container"] = {"name": name, **given["container"]}
    elif not given.get("unit"):
        edge["unit"] = name
    edge["services"] = [_service(service, index, edge, subject) for index, service in enumerate(given.get("services") or [])]
    if given.get("proxy") is not None:
        listens = {service["name"]: service["listen"] for service in edge["services"] if service.get("name")}
        upstreams = [{"via": _via(listens.get(item.get("service"), ""), edge), **item} for item in given["proxy"].get("upstreams") or []]
        edge["proxy"] = {"door": _door(sides, side), **given["proxy"], **({"upstreams": upstreams} if upstreams else {})}
    return edge


def _door(sides: t.Mapping[str, t.Mapping[str, t.Any]], side: str) -> dict[str, t.Any]:
    """Where a side answers its clients is where the other side's edge forwards to."""
    peer = sides.get({"legacy": "new", "new": "legacy"}[side], {}).get("peer") or {}
    return {name: peer[name] for name in ("address", "port", "hostname") if peer.get(name)}


def _service(service: t.Mapping[str, t.Any], index: int, edge: t.Mapping[str, t.Any], subject: str) -> dict[str, t.Any]:
    name = str(service.get("name", ""))
    if "container" in edge and edge["container"] is not None:
        # In a network of its own: no other edge is there.
        listen = f"0.0.0.0:{_CONTAINER_PORT + index}"
    elif service.get("group"):
        listen = f"unix@{edge['directory']}/run/clients/{name}"
    else:
        listen = f"127.0.0.1:{port(subject, name)}"
    return {"listen": listen, **service}


def _via(listen: str, edge: t.Mapping[str, t.Any]) -> str:
    """The listener as the proxy sees it: a socket by its path, a container by its name."""
    if listen.startswith(("unix@", "/")):
        return f"unix:{listen[len('unix@') :] if listen.startswith('unix@') else listen}"
    if edge.get("container") is not None:
        return f"{edge['container']['name']}:{listen.rpartition(':')[2]}"
    return listen
