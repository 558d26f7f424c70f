# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge in a namespace of its own, so that no rule of this machine's firewall matters to it, and a namespace for each engine."""
from __future__ import annotations

from ..network import link, namespace
from ..shell import run
from .instance import PREFIX, Instance

BRIDGE = "bridge0"


def _outside(instance: Instance) -> str:
    """This machine's end: the name of an interface has at most 15 bytes."""
    return f"bsw{instance.letter or '0'}"


def ensure(instance: Instance) -> str:
    done = []
    if link(BRIDGE, instance.name) is None:
        run(["ip", "netns", "delete", instance.name], check=False)
        run(["ip", "netns", "add", instance.name])
        run(["ip", "-n", instance.name, "link", "set", "lo", "up"])
        run(["ip", "-n", instance.name, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"])
        run(["ip", "-n", instance.name, "address", "add", f"{instance.registry.partition(':')[0]}/{PREFIX}", "dev", BRIDGE])
        run(["ip", "-n", instance.name, "link", "set", BRIDGE, "up"])
        done.append(instance.name)
    outside = _outside(instance)
    if link(outside) is None:
        run(["ip", "link", "add", outside, "type", "veth", "peer", "name", "host", "netns", instance.name])
        run(["ip", "-n", instance.name, "link", "set", "host", "master", BRIDGE, "up"])
        run(["ip", "address", "add", f"{instance.host}/{PREFIX}", "dev", outside])
        run(["ip", "link", "set", outside, "up"])
        done.append(outside)
    for member in instance.members:
        if namespace(member.namespace, member.name, BRIDGE, f"{member.address}/{PREFIX}", within=instance.name):
            done.append(member.namespace)
    return f"made {', '.join(done)}" if done else "all there"


def remove(instance: Instance) -> None:
    for member in instance.members:
        run(["ip", "netns", "delete", member.namespace], check=False)
    run(["ip", "link", "delete", _outside(instance)], check=False)
    run(["ip", "netns", "delete", instance.name], check=False)


def left(instance: Instance) -> list[str]:
    """What of it still exists."""
    spaces = [line.split()[0] for line in run(["ip", "netns", "list"], check=False).stdout.splitlines() if line.strip()]
    found = [name for name in (instance.name, *(member.namespace for member in instance.members)) if name in spaces]
    return found + ([_outside(instance)] if link(_outside(instance)) else [])
