# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Swarm: founded on the first engine, the others join as managers."""
from __future__ import annotations

import json
import typing as t

from ..shell import LabError, wait
from . import engine
from .instance import Instance, Member


def state(member: Member) -> dict[str, t.Any]:
    """``Swarm`` of the engine's info: LocalNodeState, NodeID, ControlAvailable, Cluster."""
    seen: dict[str, t.Any] = json.loads(engine.docker(member, "info", "--format", "{{json .Swarm}}"))
    return seen


def ensure(instance: Instance) -> str:
    done = []
    founder, *others = instance.members
    states = engine.each(state, instance.members)
    inside = [member for member, seen in zip(instance.members, states) if seen["LocalNodeState"] != "inactive"]
    if not inside:
        # No address pool of its own: its networks are 10.0.x.0/24, far from the lab's.
        engine.docker(founder, "swarm", "init", "--advertise-addr", founder.address, "--listen-addr", f"{founder.address}:2377")
        done.append(f"founded on {founder.name}")
        inside = [founder]
    for member in instance.members:
        if member not in inside:
            token = engine.docker(inside[0], "swarm", "join-token", "-q", "manager")
            engine.docker(member, "swarm", "join", "--token", token, "--advertise-addr", member.address,
                          "--listen-addr", f"{member.address}:2377", f"{inside[0].address}:2377")
            done.append(f"{member.name} joined")
    wait("all managers to be reachable", lambda: healthy(instance), 60, 0.3)
    found = {seen.get("Cluster", {}).get("ID") for seen in engine.each(state, instance.members)}
    if len(found) != 1:
        raise LabError("The managers are in more than one cluster. Run swarm.py reset.")
    return f"{', '.join(done) or 'all there'}; cluster {found.pop()}"


def nodes(member: Member) -> list[dict[str, t.Any]]:
    """Nodes as this manager lists them; none while it has no quorum."""
    try:
        text = engine.docker(member, "node", "ls", "--format", "{{json .}}", timeout=20)
    except LabError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def healthy(instance: Instance) -> bool:
    """Every manager lists all of them as ready and part of the quorum."""
    for member in instance.members:
        seen = nodes(member)
        good = [one for one in seen if one["Status"] == "Ready" and one["ManagerStatus"] in ("Leader", "Reachable")]
        if len(good) != len(instance.members) or len(seen) != len(instance.members):
            return False
    return True


def forget(instance: Instance) -> None:
    """Leave the Swarm on every engine, and remove what runs outside of it. Images stay."""
    def clean(member: Member) -> None:
        engine.docker(member, "swarm", "leave", "--force", check=False)
        containers = engine.docker(member, "ps", "-aq").split()
        if containers:
            engine.docker(member, "rm", "-fv", *containers)
        engine.docker(member, "volume", "prune", "-f")
        engine.docker(member, "network", "prune", "-f")

    engine.each(clean, instance.members)
