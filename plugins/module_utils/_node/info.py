# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_instance_info`: what the store knows of nodes and their machines. Reads only."""

from __future__ import annotations

import typing as t

from .._core.argspec import unknown_keys
from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .._core.result import plain
from .._store.model import utc
from .argspec import FILTERS
from .beats import Beats
from .health import conditions, grade, health, silence
from .model import Json, Node
from .phase import Facts, phase
from .recovery import BY_NAME, stuck
from .run import nearest
from .store import Known, NodeStore

Params = t.Mapping[str, t.Any]

# Moments in a result are UTC text.
_MOMENTS = ("created_at", "phase_since", "machine_created_at", "powered_at", "contacted_at", "missing_since", "missed_at", "drained_at", "delete_requested_at")


def info(params: Params, store: NodeStore, beats: Beats) -> Json:
    """Every node that is asked for with its machine; ``truncated`` says that there are more than ``limit``."""
    _refuse(params)
    nodes = store.nodes()
    if params["name"] is not None:
        known = [node.name for node in nodes]
        nodes = [node for node in nodes if node.name == params["name"]]
        if not nodes:
            raise FleetError("node_unknown", nearest("node", params["name"], known), "Correct the name, or declare it with node.")
    found = [entry for entry in (_entry(node, params, store, beats) for node in nodes) if _wanted(entry, params["filter"])]
    return {"changed": False, "instances": plain(found[: params["limit"]]), "total": len(found), "truncated": len(found) > params["limit"]}


def _refuse(params: Params) -> None:
    wrong = unknown_keys("filter", params["filter"], FILTERS)
    found = [Finding("unknown_key", "fail", field="filter", message=words, remedy="Correct the key.") for words in wrong]
    for name, least, most in (("lookback_hours", 1, 168), ("limit", 1, 1000)):
        if not least <= params[name] <= most:
            message = f"{name} is {params[name]}; it takes {least} to {most}."
            found.append(Finding("option_invalid", "fail", field=name, message=message, remedy="Correct the option."))
    if found:
        raise failure(found, "Nothing was read.")


def _entry(node: Node, params: Params, store: NodeStore, beats: Beats) -> Json:
    known, template = store.known(node.name), store.template(node.template)
    facts = Facts(store.now(), known.instance, None, known.heartbeat, known.receivers, known.actions)
    verdict = phase(facts)
    instance = known.instance
    entry: Json = {
        "name": node.name,
        "node": node.resolved(template) if template else node,
        "phase": verdict.phase,
        "reason": verdict.reason,
        "health": health(facts, verdict),
        "scheduling": instance.scheduling if instance else None,
        "guards": [guard.kind for guard in node.guards if guard.holds(facts.now)],
        "heartbeat": _heartbeat(facts, known),
        "instance": None,
    }
    if instance is not None:
        entry["instance"] = {**plain(instance), **{name: utc(getattr(instance, name)) for name in _MOMENTS}}
    for what in params["gather"]:
        entry[what] = _gathered(what, node, facts, params, store, beats)
    return entry


def _heartbeat(facts: Facts, known: Known) -> t.Optional[Json]:
    beat = known.heartbeat
    if beat is None:
        return None
    return {**plain(beat), "received_at": utc(beat.received_at), "age": round(facts.now - beat.received_at, 1), "silent_for": silence(facts)}


def _gathered(what: str, node: Node, facts: Facts, params: Params, store: NodeStore, beats: Beats) -> t.Any:
    instance, since = facts.instance, facts.now - params["lookback_hours"] * 3600.0
    if what == "events":
        events = [event for event in store.events(node.name, params["limit"]) if event.at >= since]
        return [{**plain(event), "at": utc(event.at)} for event in events]
    if instance is None:
        return {} if what in ("conditions", "recovery") else []
    verdict = phase(facts)
    if what == "conditions":
        return {one.type: {**plain(one), "since": utc(one.since)} for one in conditions(facts, verdict, store.conditions(instance.id))}
    if what == "actions":
        return [{**plain(action), "attempted_at": utc(action.attempted_at)} for action in facts.actions]
    if what == "steps":
        steps = [step for step in store.steps(instance.id) if step.ended_at >= since]
        return [{**plain(step), "started_at": utc(step.started_at), "ended_at": utc(step.ended_at)} for step in steps]
    if what == "heartbeats":
        return beats.hours(instance.id, params["lookback_hours"])
    row = BY_NAME.get(stuck(facts, verdict, grade(facts)))
    return row._asdict() if row else {}


def _wanted(entry: Json, wanted: t.Mapping[str, t.Any]) -> bool:
    """Every key of the filter has to fit; a label is ``key=value``, or a key alone."""
    node, instance = entry["node"], entry["instance"] or {}
    have = {**{name: entry[name] for name in ("phase", "health", "scheduling")}, "provider": instance.get("provider"), "template": node.template,
            "lifecycle_class": node.lifecycle_class}  # fmt: skip
    for key, value in wanted.items():
        if key == "label":
            name, equal, text = str(value).partition("=")
            if name not in node.labels or (equal and node.labels[name] != text):
                return False
        elif have[key] != value:
            return False
    return True
