# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of nodes: what machines say of themselves."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import FleetError
from ..module_utils._node.hooks.evidence import ending, failed, taken, words
from ..module_utils._node.status import read
from ..module_utils._store.model import utc


def node_statuses(hosts: t.Iterable[t.Mapping[str, t.Any]], register: str) -> list[dict[str, t.Any]]:
    """``hosts`` are variables of hosts; one without ``register`` was not asked."""
    found = []
    for host in hosts:
        seen = host.get(register)
        if seen is None:
            continue
        reached = not seen.get("unreachable", False)
        told = {"text": str(seen.get("stdout") or "")} if reached else {"message": str(seen.get("msg") or "")}
        found.append({"node": str(host.get("node_name") or host["inventory_hostname"]), "reached": reached, **told})
    return found


def node_places(templates: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Where machines of these templates stand on a host: kind, and address and folder where the template names them."""
    found: list[dict[str, t.Any]] = []
    for template in templates:
        defaults = template.get("defaults") or {}
        place = {"kind": defaults.get("provider"), **{name: str(defaults[name]) for name in ("uri", "folder") if defaults.get(name)}}
        if place["kind"] and place not in found:
            found.append(place)
    return found


def node_machines(hosts: t.Iterable[t.Mapping[str, t.Any]], register: str) -> list[dict[str, t.Any]]:
    """What hosts answered, a place each; ``hosts`` are their variables. One without ``register`` was not asked."""
    found = []
    for host in hosts:
        seen = host.get(register)
        if seen is None:
            continue
        for answer in seen.get("results") or [seen]:
            item = answer.get("item") or {}
            place = {name: str(item[name]) for name in ("kind", "uri", "folder") if item.get(name)}
            found.append({"host": str(host["inventory_hostname"]), **place, "answer": dict(answer)})
    return found


def node_status(text: str, wanted: t.Iterable[str] = ()) -> dict[str, t.Any]:
    """The document of one machine as the option ``status`` of node_instance takes it. ``wanted`` are names of modules that have to be there."""
    try:
        beat = read(text).heartbeat(wanted)
    except FleetError as error:
        raise AnsibleFilterError(f"[{error.code}] {error.message} Remedy: {error.remedy}") from error
    names = ("boot_id", "sequence", "enrolled", "modules_active", "services_ready", "certificate_not_after")
    return {**{name: getattr(beat, name) for name in names}, "failed_units": list(beat.failed_units), "runtimes": list(beat.runtimes)}


def node_hook_evidence(given: t.Any, hook: str, stage: str) -> dict[str, t.Any]:
    """What a hook has said, as the option ``evidence`` of node_instance takes it; what is no evidence is a blocker that says why."""
    return taken(given, hook, stage, utc(time.time()) or "")


def node_hook_failed(result: t.Any, hook: str) -> dict[str, t.Any]:
    """The answer in place of that of a hook whose task has failed."""
    return failed(result, hook)


def node_hook_words(given: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """What stays on the machine, a sentence for each blocker."""
    return words(given)


def node_hook_ending(given: t.Sequence[dict[str, t.Any]], names: t.Sequence[str]) -> list[dict[str, t.Any]]:
    """Evidence of finalizers that are done when all hooks have let go."""
    return ending(given, names)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        hooks: dict[str, t.Callable[..., t.Any]] = {
            "node_hook_ending": node_hook_ending, "node_hook_evidence": node_hook_evidence, "node_hook_failed": node_hook_failed,
            "node_hook_words": node_hook_words,
        }  # fmt: skip
        return {**hooks, "node_machines": node_machines, "node_places": node_places, "node_status": node_status, "node_statuses": node_statuses}
