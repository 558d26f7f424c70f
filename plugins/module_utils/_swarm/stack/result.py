# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What swarm_stack returns: a plan that says for each service what is done, why, and which tasks are started anew."""

from __future__ import annotations

import typing as t

from ..model import Change, Json, StackPlan, World
from ..spec.difference import shown

_WORDS = {"networks": "network", "configs": "config", "secrets": "secret"}


def steps(plan: StackPlan) -> t.List[Json]:
    """The plan as data: objects to be made, services wave by wave, what goes. ``disruptive`` is true where tasks are started anew or end."""
    made = [_object("create", kind, name) for kind in ("networks", "configs", "secrets") for name in plan.create.get(kind) or ()]
    gone = [_object("remove", kind, name) for kind in ("configs", "secrets", "networks") for name in plan.remove.get(kind) or ()]
    changed = sorted((change for change in plan.changes if change.action not in ("none", "remove")), key=lambda change: (change.wave, change.service))
    removed = [change for change in plan.changes if change.action == "remove"]
    return [*made, *map(_service, changed), *map(_service, removed), *gone]


def _service(change: Change) -> Json:
    return {
        "action": change.action,
        "service": change.service,
        "wave": change.wave,
        "restarts": change.restarts,
        "reasons": list(change.reasons),
        "reason": f"service {change.service}: {', '.join(change.reasons) or change.action}",
        "disruptive": change.action == "remove" or change.restarts != "none",
    }


def _object(action: str, kind: str, name: str) -> Json:
    # The word secret in front of a name would make the name look like one.
    return {"action": action, "kind": _WORDS[kind], "name": name, "reason": f"{name} ({_WORDS[kind]})", "disruptive": False}


def services(live: t.Iterable[Json]) -> t.List[Json]:
    """Name, image and version of each service."""
    return [
        {
            "name": str(service["Spec"]["Name"]),
            "id": service.get("ID"),
            "version": (service.get("Version") or {}).get("Index"),
            "image": ((service["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image"),
        }
        for service in sorted(live, key=lambda service: str(service["Spec"]["Name"]))
    ]


def diff(plan: StackPlan, world: World) -> t.Tuple[Json, Json]:
    """What changes, before and after, in the canonical form of specs; what looks like a secret is a short hash. Contents are never shown."""
    networks = {str(item["Id"]): str(item["Name"]) for item in world.networks}
    changed = [change for change in plan.changes if change.action != "none"]
    before: Json = {"services": {change.service: shown((change.before or {}).get("Spec"), networks) for change in changed if change.before}}
    after: Json = {"services": {change.service: shown(change.after, networks) for change in changed if change.after}}
    for kind in ("networks", "configs", "secrets"):
        before[kind], after[kind] = list(plan.remove.get(kind) or ()), list(plan.create.get(kind) or ())
    return {key: value for key, value in before.items() if value}, {key: value for key, value in after.items() if value}
