# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain and its undo do next, from what is there and what is remembered. Pure."""

from __future__ import annotations

import typing as t

from ..._core.result import Step
from .model import Blocker, Container, Unit, accept

Json = t.Dict[str, t.Any]


# --- containers -------------------------------------------------------------------------------------------------------------------


def in_order(containers: t.Sequence[Container]) -> t.Tuple[Container, ...]:
    """The order in which they stop: by label, the lowest first; then those that depend on others before these; then by name. Circles do no harm."""
    by_id = {one.id: one for one in containers}
    depth: t.Dict[str, int] = {}

    def deep(one: Container, way: t.Tuple[str, ...]) -> int:
        """How long the longest way from it to what it depends on is."""
        if one.id not in depth:
            below = [deep(by_id[other], (*way, one.id)) for other in one.needs if other in by_id and other not in (*way, one.id)]
            depth[one.id] = 1 + max(below, default=0)
        return depth[one.id]

    return tuple(sorted(containers, key=lambda one: (one.order, -deep(one, ()), one.name)))


def held(containers: t.Sequence[Container], member: bool, after: t.Collection[str], accepted: t.Collection[str]) -> t.List[Blocker]:
    """What stands in the way of stopping ``containers``. ``after`` are the hooks that stand before this one."""
    found = []
    if member and "swarm" not in after:
        found.append(Blocker("swarm", "the engine is a member of a Swarm; its tasks have to move first", "hook swarm before docker in hooks of the node"))
    for one in (one for one in in_order(containers) if one.running):
        if one.task and "swarm_task" not in accepted and not (member and "swarm" not in after):
            found.append(Blocker(one.name, "it is a task of a Swarm that hook swarm has left here", accept("swarm_task")))
        if one.auto_remove and not one.task and "auto_remove" not in accepted:
            found.append(Blocker(one.name, "it is deleted when it stops (--rm), so nothing brings it back", accept("auto_remove")))
    return found


def remembered(one: Container) -> t.Optional[Json]:
    """What undo has to know of a container before it is touched; None for one that nobody can bring back, or that nothing is done to."""
    if one.auto_remove or one.task or not (one.running or one.policy != "no"):
        return None
    return {"name": one.name, "running": one.running, "paused": one.paused, "policy": one.policy, "retries": one.retries, "finished": ""}


def stopping(containers: t.Sequence[Container]) -> t.List[Step]:
    ordered = in_order(containers)
    kept = [Step("keep_stopped", f"{one.name} has restart policy {one.policy}") for one in ordered if one.policy != "no" and not one.task]
    return kept + [Step("stop", f"{one.name} runs", True) for one in ordered if one.running]


def starting(containers: t.Sequence[Container], parts: t.Mapping[str, Json]) -> t.Tuple[t.Tuple[Container, ...], t.Tuple[Container, ...]]:
    """Those that undo starts, in their order, and those that get their policy back. What somebody else has touched since is left as that one left it."""
    known = [one for one in reversed(in_order(containers)) if one.id in parts]
    start = tuple(one for one in known if parts[one.id]["running"] and not one.running and parts[one.id]["finished"] in ("", one.finished))
    policy = tuple(one for one in known if one.policy == "no" and parts[one.id]["policy"] != "no")
    return start, policy


# --- units ------------------------------------------------------------------------------------------------------------------------


def kept(units: t.Sequence[Unit], accepted: t.Collection[str]) -> t.List[Blocker]:
    """Units that hold data of this machine: who stops them has to say so."""
    if "data" in accepted:
        return []
    return [Blocker(one.name, f"it keeps data in {', '.join(one.data)} on this machine", accept("data")) for one in units if one.running and one.data]


def ending(units: t.Sequence[Unit]) -> t.List[Step]:
    disabled = [Step("keep_stopped", f"{one.name} starts at boot") for one in units if one.enabled]
    return disabled + [Step("stop", f"{one.name} runs", True) for one in units if one.running]


def beginning(units: t.Sequence[Unit], parts: t.Mapping[str, Json]) -> t.Tuple[t.List[str], t.List[str]]:
    """Names of units that undo enables again and that it starts."""
    known = [one for one in units if one.name in parts]
    return [one.name for one in known if parts[one.name]["enabled"] and not one.enabled], [
        one.name for one in known if parts[one.name]["running"] and not one.active
    ]
