# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of services that run in the files of a container image: the tree, what is laid into it, and the sandbox. Pure.

The files of an artifact are never written: an overlay lies over them, as in a container, with a folder of its own for each artifact, so that a new
one begins without what the old one left. Tried on systemd 252 with the entrypoints of official images.
"""

from __future__ import annotations

import typing as t

from .container import RESOURCES
from .model import BASE, MARK, Inside, Manifest, Service
from .words import quoted, specifiers

# What a container has not either. RestrictNamespaces and the like stay out: the engine leaves them to its programs too.
_SANDBOX = (
    "MountAPIVFS=yes",
    "PrivateDevices=yes",
    "ProtectControlGroups=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelLogs=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "PrivateIPC=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
)
_LOW_PORTS = 1024


def tree_of(digest: str) -> str:
    """Where the files of the artifact ``sha256:…`` lie."""
    return f"{BASE}/modules/{digest.partition(':')[2]}/root"


def root_of(stack: str, manifest: Manifest, service: Service) -> str:
    return f"{BASE}/{stack}/roots/{manifest.id}-{service.name}"


def layer_of(stack: str, manifest: Manifest, service: Service, digest: str) -> str:
    """The folder that holds what the service writes outside of its volumes, for this artifact alone."""
    return f"{BASE}/{stack}/writable/{manifest.id}-{service.name}/{digest.partition(':')[2][:16]}"


def environment_of(stack: str, manifest: Manifest, service: Service) -> str:
    return f"/etc/bowline/{stack}/environment/{manifest.id}-{service.name}"


def hosts_of(stack: str) -> str:
    return f"/etc/bowline/{stack}/hosts"


def mount_name(path: str) -> str:
    """The name that systemd wants for the mount unit of ``path``; see systemd-escape(1)."""
    words = path.strip("/")
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in ":_.") else "-" if sign == "/" else _escaped(sign) for sign in words)
    return f"{plain}.mount"


def _escaped(sign: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in sign.encode())


def mount_text(stack: str, manifest: Manifest, service: Service, digest: str) -> str:
    layer = layer_of(stack, manifest, service, digest)
    options = f"lowerdir={tree_of(digest)},upperdir={layer}/upper,workdir={layer}/work"
    return "\n".join(
        (
            "[Unit]",
            f"Description={stack} {manifest.id}/{service.name}: its files",
            f"{MARK}{stack}",
            f"X-Bowline-Module={manifest.id}",
            f"X-Bowline-Digest={digest}",
            "",
            "[Mount]",
            "What=overlay",
            f"Where={root_of(stack, manifest, service)}",
            "Type=overlay",
            f"Options={options}",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        )
    )


def tree_lines(stack: str, manifest: Manifest, service: Service, inside: Inside) -> list[str]:
    """Lines of [Service] beside those that each service has: its root, its user, what lies in memory, its capabilities and its share of the host."""
    uid, _colon, gid = service.user.partition(":")
    lines = [
        f"RootDirectory={root_of(stack, manifest, service)}",
        f"User={uid}",
        f"Group={gid or uid}",
        *([f"SupplementaryGroups={' '.join(str(group) for group in inside.groups)}"] if inside.groups else []),
        *_SANDBOX,
        f"BindReadOnlyPaths={hosts_of(stack)}:/etc/hosts -/etc/resolv.conf:/etc/resolv.conf",
        *(f"TemporaryFileSystem={quoted(item)}" for item in _in_memory(inside)),
        # MountAPIVFS= lays an empty /run over what the image has there, such as the folder of a socket.
        *([] if "/run" in _places(inside) else [f"BindPaths={root_of(stack, manifest, service)}/run:/run"]),
        *(_bind(bind) for bind in service.binds),
        *(_only_read(service) if inside.read_only else ()),
        *(["PrivateNetwork=yes"] if inside.network == "none" else []),
        *(["NoNewPrivileges=yes"] if inside.no_new_privileges else []),
        f"CapabilityBoundingSet={' '.join(service.capabilities)}",
        *_low_ports(service),
        *(_resource(name, value) for name, value in inside.resources),
    ]
    if inside.secret_environment:
        lines.append(f"EnvironmentFile={specifiers(environment_of(stack, manifest, service))}")
    return lines


def _only_read(service: Service) -> list[str]:
    """Everything but what it binds to write in; what lies in memory is above it."""
    return ["ReadOnlyPaths=/", *(f"ReadWritePaths={quoted(bind.split(':')[1])}" for bind in service.binds if not bind.endswith(":ro"))]


def _in_memory(inside: Inside) -> list[str]:
    shared = "/dev/shm:mode=1777" + (f",size={inside.shared_memory}" if inside.shared_memory else "")
    return [*([] if "/dev/shm" in _places(inside) else [shared]), *inside.tmpfs]


def _places(inside: Inside) -> set[str]:
    return {item.partition(":")[0].rstrip("/") for item in inside.tmpfs}


def _bind(bind: str) -> str:
    source, target, mode = ([*bind.split(":"), ""] if ":" in bind else [bind, bind, ""])[:3]
    return f"{'BindReadOnlyPaths' if mode == 'ro' else 'BindPaths'}={quoted(source + ':' + target)}"


def _low_ports(service: Service) -> list[str]:
    """In a container everybody may listen below 1024 (net.ipv4.ip_unprivileged_port_start=0 since Docker 20.10); on a host that is a capability."""
    low = service.user.partition(":")[0] != "0" and any(port < _LOW_PORTS for port in service.ports)
    return ["AmbientCapabilities=CAP_NET_BIND_SERVICE"] if low and "CAP_NET_BIND_SERVICE" in service.capabilities else []


def _resource(name: str, value: t.Any) -> str:
    if name == "cpuset":
        return f"AllowedCPUs={value}"
    if name == "cpus":
        return f"CPUQuota={value * 100:g}%"
    return f"{RESOURCES[name][0]}={int(value)}"
