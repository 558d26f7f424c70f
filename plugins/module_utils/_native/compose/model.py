# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the conversion reads and what it gives."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.finding import Finding

Json = t.Mapping[str, t.Any]

FAILURES = {
    "stays_behind": "A service of the compose project cannot become a unit; the key that stands against it is named.",
    "differs_natively": "Something of a service means another thing as a unit than in a container.",
    "port_pair": "Two services would listen on one port of one host.",
}

# What Docker Engine lets a container do unless it is told otherwise. https://docs.docker.com/engine/security/#linux-kernel-capabilities
ENGINE_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_CHROOT",
)  # fmt: skip
# Seconds that the engine waits before it kills. https://docs.docker.com/reference/compose-file/services/#stop_grace_period
ENGINE_PATIENCE = 10.0


@dataclass(frozen=True)
class Image:
    """What `docker image inspect` says of the image of a service, and the users that its own files name.

    ``config`` is its ``Config``; ``users`` and ``groups`` map a name to its numbers ``(uid, gid, home)`` and ``gid``, as the image's
    /etc/passwd and /etc/group have them; ``programs`` maps the first word of a command to where it lies in the image. None where nobody has looked.
    """

    id: str
    config: Json = field(default_factory=dict)
    architecture: str = ""
    os: str = "linux"
    users: t.Optional[t.Mapping[str, tuple[int, int, str]]] = None
    groups: t.Optional[t.Mapping[str, int]] = None
    programs: t.Optional[t.Mapping[str, str]] = None


@dataclass(frozen=True)
class Carried:
    """Something of the old host that the service needs: ``kind`` is volume, bind, config, secret or anonymous.

    ``source`` is the volume's name or the path on the old host, ``path`` where it will stand on the new one, ``target`` where the service sees it.
    """

    kind: str
    source: str
    path: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Published:
    """A port that the old host answers on: ``port`` outside leads to ``to``, where the service listens. ``address`` is empty for all."""

    port: int
    to: int
    protocol: str = "tcp"
    address: str = ""


@dataclass(frozen=True)
class Listening:
    """A port on which a service listens, and who says so: compose or the image alone."""

    port: int
    protocol: str
    sure: bool


@dataclass(frozen=True)
class Service:
    """One service of the project after the conversion.

    ``manifest`` is None when the service stays behind; then ``refused`` says why. ``left_out`` maps each key that has no meaning for a unit
    to the reason. ``secret_environment`` names variables whose values are secrets: they are in no manifest.
    """

    name: str
    manifest: t.Optional[dict[str, t.Any]]
    refused: tuple[Finding, ...] = ()
    warned: tuple[Finding, ...] = ()
    left_out: t.Mapping[str, str] = field(default_factory=dict)
    carried: tuple[Carried, ...] = ()
    published: tuple[Published, ...] = ()
    listening: tuple[Listening, ...] = ()
    names: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    secret_environment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversion:
    """All services in the order of the project. ``hosts`` is what the stack's hosts file says: name to address.

    ``findings`` are those of services that stay behind and of services that cannot stand beside each other.
    """

    stack: str
    services: tuple[Service, ...]
    hosts: t.Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def manifests(self) -> list[dict[str, t.Any]]:
        return [service.manifest for service in self.services if service.manifest is not None]
