# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether more nodes of a template would help, and what to do before. Pure; a pool asks the same of its members."""

from __future__ import annotations

import typing as t

from .model import Json
from .reading import Read

# Above that share of its processors a machine has work waiting; below, another one would have nothing to do.
BUSY = 0.8
# Phases of a machine that takes work, or will in the next minutes.
_COMING = ("pending", "provisioning", "bootstrapping", "starting")


def capacity(members: t.Sequence[Read]) -> Json:
    """``recommendation`` is investigate_silent, remediate_stalled, scale_up or none, the first that applies, with ``reasons``.

    ``members`` are all nodes of one template. ``load`` is the mean of theirs that are ready, as share of their processors; null where none says it.
    """
    by = {
        "ready": [one for one in members if _ready(one)],
        "coming": [one for one in members if one.verdict.phase in _COMING and one.health != "stalled"],
        "cordoned": [one for one in members if one.facts.instance is not None and one.facts.instance.cordoned_by],
        "silent": [one for one in members if one.health in ("silent", "lost")],
        "stalled": [one for one in members if one.health == "stalled"],
        "missing": [one for one in members if one.verdict.phase in ("no_instance", "terminated")],
    }
    names = {word: [one.node.name for one in found] for word, found in by.items()}
    loads = [load for load in map(_load, by["ready"]) if load is not None]
    load = round(sum(loads) / len(loads), 2) if loads else None
    recommendation, reasons = _recommended(names, load, len(members))
    return {"nodes": len(members), **names, "load": load, "recommendation": recommendation, "reasons": reasons}


def _recommended(names: t.Mapping[str, t.Sequence[str]], load: t.Optional[float], nodes: int) -> t.Tuple[str, t.List[str]]:
    """More nodes help nobody while those that are there fall silent or do not come on: the next ones may do the same."""
    if names["silent"]:
        return "investigate_silent", [f"{len(names['silent'])} of {nodes} are silent: {', '.join(names['silent'])}"]
    if names["stalled"]:
        return "remediate_stalled", [f"{len(names['stalled'])} of {nodes} do not come on: {', '.join(names['stalled'])}"]
    reasons = []
    if names["missing"] and not names["coming"]:
        reasons.append(f"{len(names['missing'])} of {nodes} are declared and have no machine: {', '.join(names['missing'])}")
    if load is not None and load > BUSY:
        reasons.append(f"those that are ready use {load:.0%} of their processors")
    if not names["ready"] and not names["coming"] and not reasons:
        reasons.append("none takes work")
    return ("scale_up", reasons) if reasons else ("none", [f"{len(names['ready'])} of {nodes} are ready"])


def _ready(one: Read) -> bool:
    return one.verdict.phase == "running" and one.health in ("ok", "late") and one.facts.instance is not None and not one.facts.instance.cordoned_by


def _load(one: Read) -> t.Optional[float]:
    """The load of the last minute for each processor that the machine was made with; None where either is not known."""
    beat, instance = one.facts.heartbeat, one.facts.instance
    said = beat.document.get("load") if beat is not None else None
    processors = instance.spec.get("vcpus") if instance is not None else None
    if not isinstance(said, (list, tuple)) or not said or not isinstance(processors, int) or processors < 1:
        return None
    return float(said[0]) / processors
