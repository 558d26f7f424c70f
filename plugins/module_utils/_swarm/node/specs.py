# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service while a node is emptied: its own spec with one constraint more, and the way back inside of it. Pure.

The way back travels in a label of the service, so that it is written with the change and by no call of its own: whatever kills a drain, the
service knows what it was. A label of a service restarts nothing (swarmkit, manager/orchestrator/task.go, IsTaskDirty looks at the task
template and the endpoint only).
"""

from __future__ import annotations

import copy
import json
import typing as t

from ..model import Json

LABEL = "bowline.drain"


def constraint(node_id: str) -> str:
    return f"node.id!={node_id}"


def evacuated(spec: Json, node_id: str, order: str) -> Json:
    """``spec`` without ``node_id`` as a place, one task at a time. ``order`` is start-first or stop-first.

    The monitor time of the service stays; a failure pauses the update, so that nothing is rolled back behind our back.
    """
    made: Json = copy.deepcopy(spec)
    template = made.setdefault("TaskTemplate", {})
    saved = {"node": node_id, "update_config": _value(spec, "UpdateConfig"), "labels": _empty(spec, "Labels"),
             "placement": _empty(template, "Placement"), "constraints": _empty(template.get("Placement") or {}, "Constraints")}  # fmt: skip
    update = dict(spec.get("UpdateConfig") or {})
    update.update({"Parallelism": 1, "Order": order, "FailureAction": "pause"})
    update.pop("Delay", None)
    made["UpdateConfig"] = update
    placement = dict(template.get("Placement") or {})
    placement["Constraints"] = [*(placement.get("Constraints") or ()), constraint(node_id)]
    template["Placement"] = placement
    made["Labels"] = {**(spec.get("Labels") or {}), LABEL: json.dumps(saved, sort_keys=True)}
    return made


def evacuating(spec: Json) -> str:
    """Id of the node that ``spec`` is kept away from by a drain; empty without one."""
    return str(_saved(spec).get("node") or "")


def restored(spec: Json) -> Json:
    """The way back from `evacuated`: the very spec that it was given, with whatever was changed in it meanwhile."""
    saved = _saved(spec)
    if not saved:
        return spec
    made: Json = copy.deepcopy(spec)
    del made["Labels"][LABEL]
    placement = made["TaskTemplate"].get("Placement") or {}
    placement["Constraints"] = _without_last(placement.get("Constraints") or [], constraint(saved["node"]))
    made["TaskTemplate"]["Placement"] = placement
    _put(made, "UpdateConfig", saved.get("update_config"))
    _tidy(placement, "Constraints", saved.get("constraints"))
    _tidy(made["TaskTemplate"], "Placement", saved.get("placement"))
    _tidy(made, "Labels", saved.get("labels"))
    return made


def _saved(spec: Json) -> Json:
    text = (spec.get("Labels") or {}).get(LABEL)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("node"), str) else {}


def _value(parent: Json, key: str) -> t.List[t.Any]:
    """What stands under ``key``, in a list; the empty list when nothing does: null and missing are not the same."""
    return [parent[key]] if key in parent else []


def _empty(parent: Json, key: str) -> t.Optional[t.List[t.Any]]:
    """As `_value`, for what is empty; None for what is not, and needs no shape to come back to."""
    return None if parent.get(key) else _value(parent, key)


def _put(parent: Json, key: str, value: t.Optional[t.List[t.Any]]) -> None:
    if value:
        parent[key] = value[0]
    else:
        parent.pop(key, None)


def _tidy(parent: Json, key: str, shape: t.Optional[t.List[t.Any]]) -> None:
    if shape is not None and not parent.get(key):
        _put(parent, key, shape)


def _without_last(items: t.Sequence[str], item: str) -> t.List[str]:
    kept = list(items)
    if item in kept:
        del kept[len(kept) - 1 - kept[::-1].index(item)]
    return kept
