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
from .argspec import FILTERS, GATHER
from .beats import Beats
from .drift import drift
from .health import conditions, grade, silence
from .model import Json
from .phase import Facts
from .reading import Read, read
from .recovery import BY_NAME, stuck
from .store import NodeStore

Params = t.Mapping[str, t.Any]

# Moments in a result are UTC text.
_MOMENTS = ("created_at", "phase_since", "machine_created_at", "powered_at", "contacted_at", "missing_since", "missed_at", "drained_at", "delete_requested_at")


def info(params: Params, store: NodeStore, beats: Beats) -> Json:
    """Every node that is asked for with its machine; ``truncated`` says that there are more than ``limit``."""
    _refuse(params)
    reads = [one for one in read(store, params["name"]) if _wanted(one, params["filter"])]
    found = [_entry(one, params, store, beats) for one in reads[: params["limit"]]]
    return {"changed": False, "instances": plain(found), "total": len(reads), "truncated": len(reads) > len(found)}


def _refuse(params: Params) -> None:
    wrong = [*unknown_keys("filter", params["filter"], FILTERS), *unknown_keys("gather", params["gather"], GATHER)]
    found = [Finding("unknown_key", "fail", field=words.partition(".")[0], message=words, remedy="Correct the key.") for words in wrong]
    for name, least, most in (("lookback_hours", 1, 168), ("limit", 1, 1000)):
        if not least <= params[name] <= most:
            message = f"{name} is {params[name]}; it takes {least} to {most}."
            found.append(Finding("option_invalid", "fail", field=name, message=message, remedy="Correct the option."))
    if found:
        raise failure(found, "Nothing was read.")


def _entry(one: Read, params: Params, store: NodeStore, beats: Beats) -> Json:
    facts, instance = one.facts, one.facts.instance
    entry: Json = {
        "name": one.node.name,
        "node": one.node,
        "phase": one.verdict.phase,
        "reason": one.verdict.reason,
        "health": one.health,
        "scheduling": instance.scheduling if instance else None,
        "guards": [guard.kind for guard in one.node.guards if guard.holds(facts.now)],
        "heartbeat": _heartbeat(facts),
        "instance": None,
    }
    if instance is not None:
        entry["instance"] = {**plain(instance), **{name: utc(getattr(instance, name)) for name in _MOMENTS}}
    for what in params["gather"]:
        entry.update(_gathered(what, one, params, store, beats))
    return entry


def _heartbeat(facts: Facts) -> t.Optional[Json]:
    beat = facts.heartbeat
    if beat is None:
        return None
    return {**plain(beat), "received_at": utc(beat.received_at), "age": round(facts.now - beat.received_at, 1), "silent_for": silence(facts)}


def _gathered(what: str, one: Read, params: Params, store: NodeStore, beats: Beats) -> Json:
    facts, instance, verdict = one.facts, one.facts.instance, one.verdict
    since = facts.now - params["lookback_hours"] * 3600.0
    if what == "events":
        events = [event for event in store.events(one.node.name, params["limit"] + 1) if event.at >= since]
        shown = [{**plain(event), "at": utc(event.at)} for event in events[: params["limit"]]]
        return {"events": shown, "events_truncated": len(events) > len(shown)}
    if what == "drift":
        return {"drift": drift(one.node, facts.heartbeat)}
    if instance is None:
        return {what: {} if what in ("conditions", "recovery") else []}
    if what == "conditions":
        found = conditions(facts, verdict, store.conditions(instance.id))
        return {what: {condition.type: {**plain(condition), "since": utc(condition.since)} for condition in found}}
    if what == "actions":
        return {what: [{**plain(action), "attempted_at": utc(action.attempted_at)} for action in facts.actions]}
    if what == "steps":
        steps = [step for step in store.steps(instance.id) if step.ended_at >= since]
        return {what: [{**plain(step), "started_at": utc(step.started_at), "ended_at": utc(step.ended_at)} for step in steps]}
    if what == "heartbeats":
        return {what: beats.hours(instance.id, params["lookback_hours"])}
    row = BY_NAME.get(stuck(facts, verdict, grade(facts)))
    return {"recovery": row._asdict() if row else {}}


def _wanted(one: Read, wanted: t.Mapping[str, t.Any]) -> bool:
    """Every key of the filter has to fit; a label is ``key=value``, or a key alone."""
    node, instance = one.node, one.facts.instance
    have = {"phase": one.verdict.phase, "health": one.health, "scheduling": instance.scheduling if instance else None,
            "provider": instance.provider if instance else None, "template": node.template, "lifecycle_class": node.lifecycle_class}  # fmt: skip
    for key, value in wanted.items():
        if key == "label":
            name, equal, text = str(value).partition("=")
            if name not in node.labels or (equal and node.labels[name] != text):
                return False
        elif have[key] != value:
            return False
    return True
