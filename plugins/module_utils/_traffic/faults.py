# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the description of an edge, and with the words of a proxy. Whatever becomes text of a configuration passes here."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .._core.errors import FleetError
from .model import RUN, SIDES, EdgeSpec, Service

# sockaddr_un holds 108 bytes; HAProxy binds under a temporary name with the pid appended.
_DIRECTORY_MAX = 60
_SOCKET_MAX = 90
# re.ASCII throughout: a letter of another alphabet is no letter of a host name.
_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9a-fA-F:.]+\])"
_HOST_PORT = rf"{_HOST}:[0-9]{{1,5}}"
_PATH = r"(?:/[A-Za-z0-9_.-]+)+"
TOKEN = r"[A-Za-z0-9_-]{22,128}"


def validate(spec: EdgeSpec) -> None:
    """Raise FleetError ``option_invalid`` with everything that is wrong with ``spec`` at once."""
    wrong = []
    if spec.side not in SIDES:
        wrong.append(f"side is {spec.side!r}; expected one of {', '.join(SIDES)}.")
    if not _path(spec.directory) or len(spec.directory) > _DIRECTORY_MAX:
        wrong.append(f"directory {spec.directory!r} must be absolute, of letters, digits and ./_-, at most {_DIRECTORY_MAX} characters.")
    if not spec.services:
        wrong.append("services is empty; name at least one.")
    names = [service.name for service in spec.services]
    wrong.extend(f"services: {name} is named twice." for name in sorted({name for name in names if names.count(name) > 1}))
    for service in spec.services:
        wrong.extend(_service(service, spec.directory))
    if spec.warmup.service not in names:
        wrong.append(f"warmup.service is {spec.warmup.service!r}; known: {', '.join(names)}.")
    if not re.fullmatch(r"/[!-~]*", spec.warmup.path):
        wrong.append(f"warmup.path is {spec.warmup.path!r}; expected a path that starts with /.")
    for field, value in (("peer.address", spec.peer.address), ("peer.hostname", spec.peer.hostname), ("warmup.host", spec.warmup.host)):
        if not (re.fullmatch(_HOST, value) or _address(value) or (field == "warmup.host" and re.fullmatch(_HOST_PORT, value))):
            wrong.append(f"{field} is {value!r}; expected a host name or an address.")
    if not 0 < spec.peer.port < 65536:
        wrong.append(f"peer.port is {spec.peer.port}; expected 1 to 65535.")
    if not 0 < spec.hold_max <= 120:
        wrong.append(f"hold_max is {spec.hold_max:g}; expected more than 0 and at most 120 s.")
    refuse(wrong)


def refuse(wrong: t.Sequence[str]) -> None:
    """Raise FleetError ``option_invalid`` with all of ``wrong``, if there is any."""
    if wrong:
        raise FleetError("option_invalid", " ".join(wrong), remedy="Correct the options; nothing was changed.", details={"faults": list(wrong)})


def door(address: str, port: int, hostname: str, path: str) -> None:
    """Raise FleetError ``option_invalid`` with everything that is wrong with the door of a proxy."""
    wrong = [
        f"proxy.door.{field} is {value!r}; expected a host name or an address."
        for field, value in (("address", address), ("hostname", hostname))
        if not (re.fullmatch(_HOST, value) or _address(value))
    ]
    wrong += [] if 0 < port < 65536 else [f"proxy.door.port is {port}; expected 1 to 65535."]
    wrong += [] if re.fullmatch(r"/[!-~]*", path) else [f"proxy.door.path is {path!r}; expected a path that starts with /."]
    refuse(wrong)


def via(value: str) -> bool:
    """Whether a proxy or an edge can be told to send to ``value``: host:port, or unix:/path."""
    return bool(re.fullmatch(rf"{_HOST_PORT}|unix:{_PATH}", value))


def upstream(value: str) -> bool:
    """Whether ``value`` can be what a proxy calls the application: a name, host:port, a socket. It is compared, and never written."""
    return bool(re.fullmatch(r"[A-Za-z0-9_.:/\[][A-Za-z0-9_.:/@\[\]-]*", value))


def clients(listen: str, asked: t.Sequence[str]) -> tuple[str, ...]:
    """Who may connect to ``listen``: as asked for, and without that the host itself where ``listen`` is of the host itself."""
    if asked or listen.startswith("/"):
        return tuple(asked)
    host = listen.rpartition(":")[0].strip("[]")
    return ("127.0.0.0/8", "::1") if host == "localhost" or (_address(host) and ipaddress.ip_address(host).is_loopback) else ()


def _service(service: Service, directory: str) -> list[str]:
    wrong = []
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,20}", service.name):
        wrong.append(f"services: name {service.name!r} must be lower-case letters, digits, - and _, at most 21.")
    field = f"services.{service.name}"
    if not via(service.local):
        wrong.append(f"{field}.local is {service.local!r}; expected host:port or unix:/path.")
    if service.socket():
        folder, name = service.listen.rpartition("/")[::2]
        if not _path(service.listen) or not name or len(service.listen) > _SOCKET_MAX or folder.rpartition("/")[0] != f"{directory}/{RUN}":
            wrong.append(f"{field}.listen is {service.listen!r}; a socket lies in a folder of its clients: {directory}/{RUN}/clients/{service.name}.")
        if service.clients:
            wrong.append(f"{field}.clients says nothing about a unix socket; name the group of the proxy in {field}.group.")
        return wrong
    if not re.fullmatch(_HOST_PORT, service.listen):
        wrong.append(f"{field}.listen is {service.listen!r}; expected host:port, or the path of a unix socket.")
    if not service.clients:
        wrong.append(
            f"{field}.clients is empty, and {service.listen!r} is not of this host alone: name the address of the proxy, such as 192.0.2.10,"
            " or the network that it is in, such as 172.18.0.0/16."
        )
    for client in service.clients:
        if not _network(client):
            wrong.append(f"{field}.clients has {client!r}; expected an address or a network, such as 192.0.2.10 or 172.18.0.0/16.")
    return wrong


def _path(value: str) -> bool:
    return bool(re.fullmatch(_PATH, value)) and not {".", ".."} & set(value.split("/"))


def _address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def _network(value: str) -> bool:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        return False
    return "%" not in value and network.prefixlen > 0
