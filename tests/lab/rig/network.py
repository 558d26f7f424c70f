# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge on which everything of the lab lives, and a namespace for each name server."""
from __future__ import annotations

import json

from . import settings
from .shell import ok, run

# Docker drops what is forwarded unless a rule says otherwise, and that includes frames that only cross this bridge.
_FORWARD = ["-i", settings.BRIDGE, "-o", settings.BRIDGE, "-j", "ACCEPT", "-m", "comment", "--comment", settings.PROJECT]


def _link(name: str, namespace: str | None = None) -> dict[str, object] | None:
    inside = ["-n", namespace] if namespace else []
    done = run(["ip", *inside, "-json", "address", "show", "dev", name], check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 and done.stdout.strip() else None


def ensure() -> str:
    done = []
    if _link(settings.BRIDGE) is None:
        run(["ip", "link", "add", settings.BRIDGE, "type", "bridge", "forward_delay", "0"])
        done.append(settings.BRIDGE)
    if f'"{settings.LEGACY}"' not in json.dumps(_link(settings.BRIDGE)):
        run(["ip", "address", "add", f"{settings.LEGACY}/{settings.PREFIX}", "dev", settings.BRIDGE])
    run(["ip", "link", "set", settings.BRIDGE, "up"])
    chain = "DOCKER-USER" if ok(["iptables", "-w", "-n", "-L", "DOCKER-USER"]) else "FORWARD"
    if not ok(["iptables", "-w", "-C", chain, *_FORWARD]):
        run(["iptables", "-w", "-I", chain, *_FORWARD])
        done.append(f"rule in {chain}")
    for server in settings.SERVERS:
        if _namespace(server):
            done.append(server.namespace)
    return f"made {', '.join(done)}" if done else "all there"


def _namespace(server: settings.Nameserver) -> bool:
    outside = f"bl-{server.name}"
    if _link("eth0", server.namespace) and _link(outside):
        return False
    run(["ip", "netns", "delete", server.namespace], check=False)
    run(["ip", "link", "delete", outside], check=False)
    run(["ip", "netns", "add", server.namespace])
    run(["ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", server.namespace])
    run(["ip", "link", "set", outside, "master", settings.BRIDGE, "up"])
    run(["ip", "-n", server.namespace, "address", "add", f"{server.address}/{settings.PREFIX}", "dev", "eth0"])
    run(["ip", "-n", server.namespace, "link", "set", "lo", "up"])
    run(["ip", "-n", server.namespace, "link", "set", "eth0", "up"])
    return True


def remove() -> None:
    for server in settings.SERVERS:
        run(["ip", "netns", "delete", server.namespace], check=False)
        run(["ip", "link", "delete", f"bl-{server.name}"], check=False)
    for chain in ("DOCKER-USER", "FORWARD"):
        while ok(["iptables", "-w", "-D", chain, *_FORWARD]):
            pass
    run(["ip", "link", "delete", settings.BRIDGE], check=False)


def left() -> list[str]:
    """What of it still exists."""
    spaces = run(["ip", "netns", "list"], check=False).stdout
    found = [server.namespace for server in settings.SERVERS if server.namespace in spaces]
    found += [name for name in (settings.BRIDGE, *(f"bl-{server.name}" for server in settings.SERVERS)) if _link(name)]
    return found
