# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what stands on the host to what is wanted there, in steps. Pure."""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.result import Step
from .model import IMMUTABLE, Identity, Machine, Observed, World

UNTOUCHED = "Nothing was changed."


def plan(state: str, machine: Machine, drop_credentials: bool, world: World) -> t.Tuple[Step, ...]:
    """The steps to ``state``; their actions are the methods of `Hypervisor`, ``stop`` being shutdown, wait and, if forced, destroy.

    Raises FleetError "name_clash", "identity_mismatch" and "immutable_change", in every state in which going on could harm another machine.
    """
    name = machine.identity.name
    ours = owned(machine.identity, world)
    if state == "absent":
        return _absent(name, ours, world)
    if ours is None:
        _refuse_taken(machine.identity, world.by_name)
        steps = [Step("prepare", f"{name} has no files yet"), Step("define", f"no machine has the id {machine.identity.instance_id}")]
        return tuple(steps + ([Step("start", f"{name} is off")] if state == "running" else []))
    steps = []
    changes = differences(machine.declared, ours.details.get("declared") or {})
    _refuse_immutable(name, changes)
    if changes or ours.identity != machine.identity:
        steps.append(Step("define", f"{name}: {', '.join(changes or ['identity'])} changed"))
    if drop_credentials and ours.details.get("credentials"):
        steps.append(Step("forget", f"{name} still has its credentials"))
    if state == "running" and ours.power == "off":
        steps.append(Step("start", f"{name} is off"))
    if state == "stopped" and ours.power != "off":
        steps.append(Step("stop", f"{name} is {ours.power}", disruptive=True))
    return tuple(steps)


def owned(identity: Identity, world: World) -> t.Optional[Observed]:
    """The machine with our id, when it is ours in every other word too; None when there is none. Raises FleetError "identity_mismatch"."""
    found = world.by_id
    if found is None:
        return None
    if found.identity is None or _key(found.identity) != _key(identity) or found.details.get("name", identity.name) != identity.name:
        raise _mismatch(identity, found)
    return found


def differences(wanted: t.Mapping[str, t.Any], seen: t.Mapping[str, t.Any]) -> t.List[str]:
    """Names of the declared attributes that differ, sorted."""
    return sorted(name for name in {**wanted, **seen} if wanted.get(name) != seen.get(name))


def stranger(identity: Identity, world: World) -> t.Optional[Observed]:
    """The machine that has our name and is not ours; it is never touched."""
    found = world.by_name
    return found if found is not None and (found.identity is None or _key(found.identity) != _key(identity)) else None


def _absent(name: str, ours: t.Optional[Observed], world: World) -> t.Tuple[Step, ...]:
    steps = []
    if ours is not None:
        if ours.power != "off":
            steps.append(Step("destroy", f"{name} is {ours.power}", disruptive=True))
        steps.append(Step("undefine", f"{name} is there"))
    if ours is not None or world.files:
        steps.append(Step("clear", f"files of {name} are there"))
    return tuple(steps)


def _key(identity: Identity) -> t.Tuple[str, ...]:
    return identity.fleet, identity.instance_id, identity.node, identity.name


def said(identity: t.Optional[Identity]) -> str:
    """An identity for people."""
    if identity is None:
        return "no identity of ours"
    return f"fleet {identity.fleet}, node {identity.node}, instance {identity.instance_id}, name {identity.name}"


def _mismatch(wanted: Identity, found: Observed) -> FleetError:
    return FleetError(
        "identity_mismatch",
        f"{found.provider_id} carries {said(found.identity)} (name {found.details.get('name')}); meant is {said(wanted)}. {UNTOUCHED}",
        remedy="Compare both. If the machine is the one that is meant, give its identity; if not, give this instance a name and an id of its own.",
        details={"provider_id": found.provider_id, "found": said(found.identity), "wanted": said(wanted)},
    )


def _refuse_taken(identity: Identity, found: t.Optional[Observed]) -> None:
    if found is None:
        return
    if found.identity is not None:
        raise _mismatch(identity, found)
    raise FleetError(
        "name_clash",
        f"{found.provider_id} has the name {identity.name} and no identity of ours. It is untouched, and nothing was made.",
        remedy="Give the node another name, or remove that machine after looking at it.",
        details={"provider_id": found.provider_id, "name": identity.name},
    )


def _refuse_immutable(name: str, changes: t.Sequence[str]) -> None:
    fixed = [change for change in changes if change in IMMUTABLE]
    if fixed:
        raise FleetError(
            "immutable_change",
            f"{name}: {', '.join(fixed)} cannot be changed on a machine that exists. {UNTOUCHED}",
            remedy="Take the old value back, or replace the machine: state=absent, then a new instance id.",
            details={"attributes": fixed},
        )
