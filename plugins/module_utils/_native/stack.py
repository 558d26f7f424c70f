# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of a stack mean to each other: capabilities, and one start order over all services. Pure."""

from __future__ import annotations

import itertools
import re
import typing as t

from .._core.errors import FleetError
from .findings import refuse
from .model import Manifest, Service


def version_in(version: str, limits: str) -> bool:
    """Whether ``version`` is inside ``limits``; "" is any, ``15`` is every 15.x, ``>=15 <17`` needs both."""
    numbers = _numbers(version)
    return all(_holds(numbers, limit) for limit in limits.replace(",", " ").split())


def _holds(numbers: tuple[int, ...], limit: str) -> bool:
    match = re.match(r"(>=|<=|>|<|=|)(.*)", limit)
    sign, text = match.groups() if match else ("", limit)
    wanted = _numbers(text)
    if sign in ("", "="):
        return numbers[: len(wanted)] == wanted
    width = max(len(numbers), len(wanted))
    left, right = _padded(numbers, width), _padded(wanted, width)
    return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[sign]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.split(r"[-+]", version)[0].split(".") if part.isdigit())


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return numbers + (0,) * (width - len(numbers))


def check_relations(manifests: t.Sequence[Manifest], approved: t.Collection[str] = ()) -> None:
    """Raise FleetError ``capability_conflict`` with every double, missing or excluded capability of the stack at once.

    A privileged module whose id is not in ``approved`` is one of the findings.
    """
    providers: dict[str, list[tuple[str, str]]] = {}
    for manifest in manifests:
        for capability, version in manifest.provides:
            providers.setdefault(capability, []).append((manifest.id, version))
    findings = [
        f"{capability} is provided by {' and '.join(name for name, _version in owners)}; a stack has one provider."
        for capability, owners in sorted(providers.items())
        if len(owners) > 1
    ]
    for manifest in manifests:
        for capability, limits in manifest.requires:
            offered = [(name, version) for name, version in providers.get(capability, []) if version_in(version, limits)]
            if not offered:
                there = ", ".join(f"{name} has {version}" for name, version in providers.get(capability, [])) or "no module provides it"
                findings.append(f"{manifest.id} requires {capability}{'@' + limits if limits else ''}: {there}.")
        for capability, limits in manifest.conflicts:
            for name, version in providers.get(capability, []):
                if name != manifest.id and version_in(version, limits):
                    findings.append(
                        f"{manifest.id} conflicts with {capability}{'@' + limits if limits else ''}, which {name} provides as {version}."
                    )
        if manifest.security.privileged and manifest.id not in approved:
            findings.append(f"{manifest.id} is privileged and not approved.")
    refuse(findings, "Change the set of modules, or approve the named one.", "capability_conflict")


def start_order(manifests: t.Sequence[Manifest]) -> tuple[tuple[Manifest, Service, tuple[str, ...]], ...]:
    """Every service with its module and the services that start before it, in start order.

    Edges come from ``depends_on`` and from ``requires`` (all services of the providing module first). Among services that may start
    together the given order is kept, so that the same stack always renders the same units. Raises ``manifest_invalid`` for a dependency
    that is not there and ``unit_cycle``.
    """
    services = {f"{manifest.id}/{service.name}": (manifest, service) for manifest in manifests for service in manifest.services}
    before = {name: _before(name, manifest, service, manifests) for name, (manifest, service) in services.items()}
    missing = [
        f"{name} depends on {other}, which is no service of this stack."
        for name in services
        for other in before[name]
        if other not in services
    ]
    refuse(missing, "Correct depends_on; nothing was changed.")
    ordered: list[str] = []
    waiting = list(services)
    while waiting:
        ready = next((name for name in waiting if all(other in ordered for other in before[name])), None)
        if ready is None:
            circle = " -> ".join(_circle(waiting, before))
            raise FleetError(
                "unit_cycle",
                f"These services wait for each other: {circle}.",
                remedy="Remove one of the dependencies.",
                details={"cycle": circle},
            )
        ordered.append(ready)
        waiting.remove(ready)
    return tuple((*services[name], before[name]) for name in ordered)


def _before(name: str, manifest: Manifest, service: Service, manifests: t.Sequence[Manifest]) -> tuple[str, ...]:
    required = {capability for capability, _limits in manifest.requires}
    provided = [
        f"{other.id}/{item.name}"
        for other in manifests
        if other.id != manifest.id and required & {capability for capability, _version in other.provides}
        for item in other.services
    ]
    return tuple(dict.fromkeys(itertools.chain(service.depends_on, provided)))


def _circle(waiting: t.Sequence[str], before: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """One circle among ``waiting``, first name repeated at the end. Every one of them waits for another one, so a walk must come back."""
    walk = [waiting[0]]
    while walk[-1] not in walk[:-1]:
        walk.append(next(other for other in before[walk[-1]] if other in waiting))
    return walk[walk.index(walk[-1]) :]
