# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a service listens, who reaches it, and the names by which others know it. Units share the network of their host."""

from __future__ import annotations

import typing as t

from .model import Listening, Published
from .reading import Reading

_PORT = ("target", "published", "protocol", "host_ip", "mode", "name", "app_protocol")
_NETWORK = ("aliases", "ipv4_address", "ipv6_address", "link_local_ips", "mac_address", "priority", "gw_priority", "driver_opts", "interface_name")
_GATEWAY = "host-gateway"
_LOOPBACK = "127.0.0.1"
# Labels that lead a reverse proxy to the container; a unit has none.
_PROXIES = ("traefik.", "caddy", "virtual_host", "nginx-proxy.")


def ports(reading: Reading) -> tuple[tuple[Published, ...], tuple[Listening, ...]]:
    """What is open outside, and on what the service listens, by compose (``ports``, ``expose``) or by its image alone."""
    published, listening = [], {}
    for n, item in enumerate(reading.items("ports")):
        port = reading.mapping(f"ports[{n}]", item, _PORT)
        target, protocol = int(reading.number(f"ports[{n}].target", port.get("target"))), str(port.get("protocol") or "tcp")
        if protocol not in ("tcp", "udp"):
            reading.refuse(f"ports[{n}]", f"has the protocol {protocol}")
            continue
        listening[target, protocol] = Listening(target, protocol, True)
        outside = str(port.get("published") or "")
        if outside in ("", "0"):
            reading.leave(f"ports[{n}]", f"the engine chose a port outside for {target}; as a unit it is closed outside")
        elif not outside.isdigit():
            reading.refuse(f"ports[{n}].published", f"is {outside!r}; give the output of `docker compose config`, which names each port of a range")
        else:
            if int(outside) != target:
                reading.warn(f"ports[{n}]", f"is reached at {outside} and listens on {target}; a unit is reached where it listens",
                             f"Let it listen on {outside}, or lead {outside} there with a proxy or the host's firewall.")  # fmt: skip
            published.append(Published(int(outside), target, protocol, str(port.get("host_ip") or "").replace("0.0.0.0", "")))
    for key, words in (("expose", reading.items("expose")), ("image", sorted(reading.image.config.get("ExposedPorts") or {}))):
        for word in words:
            number, _slash, protocol = str(word).partition("/")
            first, _dash, last = number.partition("-")
            if not first.isdigit() or (last and not last.isdigit()):
                reading.refuse("expose", f"has {word!r}, which is no port")
                continue
            for found in range(int(first), int(last or first) + 1):
                listening.setdefault((found, protocol or "tcp"), Listening(found, protocol or "tcp", key == "expose"))
    return tuple(published), tuple(listening[key] for key in sorted(listening))


def network(reading: Reading) -> tuple[dict[str, t.Any], tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Keys of the manifest, the names by which others know the service, and lines that it adds to the hosts file."""
    mode = str(reading.spec.get("network_mode") or "bridge")
    if mode not in ("bridge", "default", "host", "none"):
        reading.refuse("network_mode", f"is {mode}: it would be in the network of a container")
    names = [reading.name, *([str(reading.spec["container_name"])] if reading.spec.get("container_name") else [])]
    given = reading.spec.get("networks") or {}
    for network_name, item in (given if isinstance(given, t.Mapping) else dict.fromkeys(given)).items():
        names += _one(reading, str(network_name), item or {})
    _differs(reading)
    return ({"network": "none"} if mode == "none" else {}), tuple(dict.fromkeys(names)), _hosts(reading)


def aliases(reading: Reading) -> dict[str, str]:
    """Names that this service alone has for others, by `links`: ``db:database``."""
    return {alias: name for name, _colon, alias in (str(item).partition(":") for item in reading.items("links")) if alias}


def _one(reading: Reading, name: str, item: t.Mapping[str, t.Any]) -> list[str]:
    details = reading.mapping(f"networks.{name}", item, _NETWORK)
    for key in sorted({"ipv4_address", "ipv6_address", "link_local_ips"} & set(details)):
        reading.refuse(f"networks.{name}.{key}", f"is {details[key]}: an address that nothing has on the new host",
                       "Use the name of the service where the address is used, and take the address out.")  # fmt: skip
    for key in sorted({"mac_address", "priority", "gw_priority", "driver_opts", "interface_name"} & set(details)):
        reading.leave(f"networks.{name}.{key}", "the service uses the network of the host")
    declared = (reading.project.get("networks") or {}).get(name) or {}
    if str(declared.get("driver") or "bridge") not in ("bridge", "host", "overlay"):
        reading.refuse(f"networks.{name}", f"is of the driver {declared['driver']}: the service has an address of its own in another network")
    if declared.get("internal"):
        reading.warn(f"networks.{name}", "is internal: its services reach nothing outside; as units they do",
                     "Close it with a firewall of the new host if that is a promise.")  # fmt: skip
    return [str(alias) for alias in details.get("aliases") or []]


def _differs(reading: Reading) -> None:
    for key in ("hostname", "domainname"):
        if reading.spec.get(key):
            reading.warn(key, f"is {reading.spec[key]} in the container; a unit has the name of its host", "See whether the application uses its name.")
    for key in ("dns", "dns_opt", "dns_search"):
        if reading.spec.get(key):
            reading.warn(key, "is of the container alone; a unit asks the resolver of its host",
                         "See whether the names that the service looks up are known on the new host.")  # fmt: skip
    given = reading.spec.get("labels") or {}
    words = sorted(given) if isinstance(given, t.Mapping) else sorted(str(item).partition("=")[0] for item in given)
    if any(word.lower().startswith(_PROXIES) for word in words):
        reading.warn("labels", "lead a reverse proxy to the container; a unit has none", "Give the proxy of the new side a route to this service.")
    elif words:
        reading.leave("labels", "notes for an engine")


def _hosts(reading: Reading) -> tuple[tuple[str, str], ...]:
    found = []
    for item in _lines(reading.spec.get("extra_hosts") or []):
        sign = "=" if "=" in item else ":"
        name, _sign, address = item.partition(sign)
        found.append((name, _LOOPBACK if address == _GATEWAY else address.strip("[]")))
    return tuple(found)


def _lines(given: t.Any) -> list[str]:
    if isinstance(given, t.Mapping):
        return [f"{name}={one}" for name, many in given.items() for one in (many if isinstance(many, list) else [many])]
    return [str(item) for item in given]
