# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host of a provider says of machines now, beside what the store says of them. One call for each kind and place on that host; writes nothing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .._core.errors import FleetError
from .health import shown
from .hypervisor import Call
from .machine.model import KINDS, NotFound, Observed, Sighting, Unknown
from .model import Instance
from .phase import is_ours, phase, seen
from .provider.model import observed, troubled, unavailable
from .reading import Read
from .wanted import PLACED

_WHERE = ("uri", "folder")


@dataclass(frozen=True)
class Asked:
    """``reads`` with what the provider says; ``saw`` is its answer by the name of the node, without those that stand elsewhere.

    ``orphans`` are machines of this fleet that are of no live row; ``elsewhere`` counts nodes by the host that their machines stand on.
    """

    reads: t.Tuple[Read, ...]
    saw: t.Mapping[str, Sighting]
    orphans: t.Tuple[Observed, ...] = ()
    elsewhere: t.Mapping[str, int] = field(default_factory=dict)


def ask(reads: t.Sequence[Read], fleet: str, host: str, call: Call, mode: t.Optional[str]) -> Asked:
    """Ask ``host`` for the machines that stand there. ``reads`` are all nodes of the fleet: a machine of none of them is an orphan.

    Raises FleetError ``provider_unavailable`` when nobody can be asked or an answer is none: no answer is never read as no machine.
    """
    places: t.Dict[t.Tuple[t.Tuple[str, str], ...], t.List[Read]] = {}
    elsewhere: t.List[Read] = []
    for one in reads:
        instance = one.facts.instance
        if instance is None:
            continue
        place = instance.spec.get(PLACED) or {}
        if instance.provider not in KINDS or place.get("host") != host:
            elsewhere.append(one)
            continue
        key = (("kind", instance.provider), *((name, str(place[name])) for name in _WHERE if name in place))
        places.setdefault(key, []).append(one)
    if not places:
        raise nobody(host, standing(elsewhere))
    known = {one.facts.instance.id for one in reads if one.facts.instance is not None}
    saw: t.Dict[str, Sighting] = {}
    orphans: t.List[Observed] = []
    for key, here in places.items():
        machines = _answer(call("node_machine_info", {**dict(key), "fleet": fleet, **({"mode": mode} if mode else {})}))
        for one in here:
            saw[one.node.name] = _of(machines, one.facts.instance)
        orphans += [machine for machine in machines if machine.identity is None or machine.identity.instance_id not in known]
    return Asked(tuple(_with(one, saw.get(one.node.name)) for one in reads), saw, tuple(orphans), standing(elsewhere))


def has(asked: Asked, one: Read) -> bool:
    """Whether the provider has the machine of this node."""
    return isinstance(asked.saw.get(one.node.name), Observed)


def standing(reads: t.Iterable[Read]) -> t.Dict[str, int]:
    """How many machines stand at which host; by the name of the provider where none is known."""
    found: t.Dict[str, int] = {}
    for one in reads:
        if one.facts.instance is not None:
            where = str((one.facts.instance.spec.get(PLACED) or {}).get("host") or one.facts.instance.provider)
            found[where] = found.get(where, 0) + 1
    return found


def _answer(result: t.Mapping[str, t.Any]) -> t.List[Observed]:
    trouble = troubled(result)
    found = [observed(one) for one in result.get("machines") or ()] if trouble is None else [trouble]
    for one in found:
        if isinstance(one, Unknown):
            raise unavailable(one)
    return t.cast("t.List[Observed]", found)


def _of(machines: t.Sequence[Observed], instance: t.Optional[Instance]) -> Sighting:
    wanted = instance.id if instance is not None else ""
    return next((one for one in machines if one.identity is not None and one.identity.instance_id == wanted), NotFound())


def _with(one: Read, sighting: t.Optional[Sighting]) -> Read:
    """The node with what its provider says; a machine that is not ours changes nothing but what is said of it."""
    instance = one.facts.instance
    if instance is None or sighting is None:
        return one
    facts = replace(one.facts, sighting=sighting, instance=seen(instance, sighting, one.facts.now) if is_ours(sighting, instance) else instance)
    verdict = phase(facts)
    kept = shown(facts.instance, verdict, facts.now) if facts.instance is not None else None
    return replace(one, facts=replace(facts, instance=kept), verdict=verdict)


def nobody(host: str, elsewhere: t.Mapping[str, int]) -> FleetError:
    places = ", ".join(f"{count} at {name}" for name, count in sorted(elsewhere.items())) or "none has a machine"
    other = next((name for name in sorted(elsewhere)), "")
    return FleetError(
        "provider_unavailable",
        f"No machine of these nodes stands on {host}, so it was not asked ({places}).",
        f"Run the task where they stand: delegate_to: {other}." if other else "Make a machine first, or read the store alone: source: store.",
        {"elsewhere": dict(elsewhere)},
    )
