# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_sweep`: what was read from machines becomes heartbeats, and what was not heard becomes silence. Called on the controller."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.visible import one_line
from .beats import Beats
from .health import LEAST_GAP, health, silence
from .model import Heartbeat, Instance, Json
from .phase import Clocks, Facts, phase
from .status import Said, read
from .store import NodeStore

Params = t.Mapping[str, t.Any]

# A document that is older when it is read is no sign of life.
STALE_AFTER = Clocks().late
# What is old goes once an hour, with the first sweep of it.
_HOUR = 3600.0


@dataclass(frozen=True)
class Outcome:
    """What came of asking the machine of one node. ``outcome`` is one of heard, stale, unreadable, stranger, unreached, no_machine, unknown_node."""

    node: str
    outcome: str
    message: str = ""
    instance: t.Optional[Instance] = None
    heartbeat: t.Optional[Heartbeat] = None
    said: t.Optional[Said] = None


def sweep(params: Params, store: NodeStore, beats: Beats) -> Json:
    """Write every heartbeat of ``statuses`` and the sweep's own sign of life in one transaction; say of each node how well its machine is."""
    outcomes = [_outcome(given, store) for given in params["statuses"]]
    last = next((one.last_alive for one in beats.receivers() if one.id == params["receiver"]), 0.0)
    asked = [one for one in outcomes if one.instance is not None]
    # Nobody answers: of two and more that speaks of the way to them, not of them, so this sweep has not listened.
    listened = len(asked) < 2 or any(one.outcome != "unreached" for one in asked)
    gap = max(LEAST_GAP, 2 * params["interval"])
    beats.swept(params["receiver"] if listened else None, gap, [one.heartbeat for one in outcomes if one.heartbeat is not None])
    if last // _HOUR != store.now() // _HOUR:
        beats.tidied()
    shown = [_shown(one, store) for one in outcomes]
    words = sorted({one["health"] for one in shown if one["health"]})
    return {
        "changed": False,
        "listened": listened,
        "nodes": shown,
        "health": {word: [one["name"] for one in shown if one["health"] == word] for word in words},
        "heard": sum(one["outcome"] == "heard" for one in shown),
        "warnings": [] if listened else ["[observer_down] None of the machines was reached, so this sweep counts as time in which nobody listened."],
    }


def _outcome(given: Params, store: NodeStore) -> Outcome:
    name = given["node"]
    node = store.node(name)
    if node is None:
        return Outcome(name, "unknown_node", "No node of the store has this name.")
    instance = store.live(name)
    if instance is None:
        return Outcome(name, "no_machine", "The node has no machine.")
    if not given["reached"]:
        return Outcome(name, "unreached", one_line(given["message"])[:300], instance)
    try:
        said = read(given["text"])
    except FleetError as error:
        return Outcome(name, "unreadable", error.message, instance)
    if said.instance != instance.id:
        message = f"The machine says that it is {said.instance or 'nobody, so it has not enrolled'}; that of {name} is {instance.id}."
        return Outcome(name, "stranger", message, instance, said=said)
    if said.age is not None and said.age >= STALE_AFTER:
        return Outcome(name, "stale", f"Its last word is {said.age:.0f} s old: the agent does not run.", instance, said=said)
    template = store.template(node.template)
    wanted = [str(module["name"]) for module in (node.resolved(template) if template else node).modules]
    return Outcome(name, "heard", "; ".join(said.document["problems"])[:300], instance, said.heartbeat(wanted), said)


def _shown(one: Outcome, store: NodeStore) -> Json:
    found: Json = {"name": one.node, "outcome": one.outcome, "message": one.message, "phase": "", "health": "", "silent_for": None, "ahead": None}
    if one.instance is None:
        return found
    known = store.known(one.node)
    facts = Facts(store.now(), known.instance, None, known.heartbeat, known.receivers, known.actions)
    verdict = phase(facts)
    skew = one.said.document["sent_at"] - facts.now if one.said is not None else 0.0
    well = {"phase": verdict.phase, "health": health(facts, verdict), "silent_for": silence(facts)}
    return {**found, **well, "ahead": round(skew, 1) if skew > 5.0 else None}
