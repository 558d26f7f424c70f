# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge on which everything of the lab lives, a namespace for each name server, and what any lab makes of namespaces."""
from __future__ import annotations

import json

from . import settings
from .shell import ok, run

# Docker drops what is forwarded unless a rule says otherwise, and that includes frames that only cross this bridge.
_FORWARD = ["-i", settings.BRIDGE, "-o", settings.BRIDGE, "-j", "ACCEPT", "-m", "comment", "--comment", settings.PROJECT]


def link(name: str, namespace: str | None = None) -> dict[str, object] | None:
    inside = ["-n", namespace] if namespace else []
    done = run(["ip", *inside, "-json", "address", "show", "dev", name], check=False)
    return json.loads(done.stdout)[0] if done.returncode == 0 and done.stdout.strip() else None


def ensure() -> str:
    done = []
    if link(settings.BRIDGE) is None:
        run(["ip", "link", "add", settings.BRIDGE, "type", "bridge", "forward_delay", "0"])
        done.append(settings.BRIDGE)
    if f'"{settings.LEGACY}"' not in json.dumps(link(settings.BRIDGE)):
        run(["ip", "address", "add", f"{settings.LEGACY}/{settings.PREFIX}", "dev", settings.BRIDGE])
    run(["ip", "link", "set", settings.BRIDGE, "up"])
    chain = "DOCKER-USER" if ok(["iptables", "-w", "-n", "-L", "DOCKER-USER"]) else "FORWARD"
    if not ok(["iptables", "-w", "-C", chain, *_FORWARD]):
        run(["iptables", "-w", "-I", chain, *_FORWARD])
        done.append(f"rule in {chain}")
    for server in settings.SERVERS:
        if namespace(server.namespace, f"bl-{server.name}", settings.BRIDGE, f"{server.address}/{settings.PREFIX}"):
            done.append(server.namespace)
    return f"made {', '.join(done)}" if done else "all there"


def namespace(name: str, outside: str, bridge: str, address: str, within: str | None = None) -> bool:
    """A namespace whose eth0 with ``address`` (with its prefix) hangs on ``bridge``, which is in namespace ``within``; true when made now."""
    inside = ["-n", within] if within else []
    if link("eth0", name) and link(outside, within):
        return False
    run(["ip", "netns", "delete", name], check=False)
    run(["ip", *inside, "link", "delete", outside], check=False)
    run(["ip", "netns", "add", name])
    run(["ip", *inside, "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name])
    run(["ip", *inside, "link", "set", outside, "master", bridge, "up"])
    run(["ip", "-n", name, "address", "add", address, "dev", "eth0"])
    run(["ip", "-n", name, "link", "set", "lo", "up"])
    run(["ip", "-n", name, "link", "set", "eth0", "up"])
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
    found += [name for name in (settings.BRIDGE, *(f"bl-{server.name}" for server in settings.SERVERS)) if link(name)]
    return found
