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
from .capacity import capacity
from .drift import drift
from .health import conditions, grade, silence
from .history import attributions
from .hypervisor import Call
from .machine.model import Observed, Sighting
from .model import Json
from .observing import Asked, ask, has, nobody, standing
from .phase import Facts
from .reading import Read, read
from .recovery import BY_NAME, stuck
from .run import nearest
from .store import NodeStore
from .tidy import DAY

Params = t.Mapping[str, t.Any]

# Moments in a result are UTC text.
_MOMENTS = ("created_at", "phase_since", "machine_created_at", "powered_at", "contacted_at", "missing_since", "missed_at", "drained_at", "delete_requested_at")


class Way(t.NamedTuple):
    """How a provider is asked: ``call`` runs node_machine_info on ``host``, the inventory name of the host that the task runs on."""

    call: Call
    host: str


def info(params: Params, store: NodeStore, beats: Beats, way: t.Optional[Way] = None) -> Json:
    """Every node that is asked for with its machine; ``truncated`` says that there are more than ``limit``. ``way`` is for another source than store."""
    _refuse(params)
    everyone = read(store)
    if params["name"] is not None and all(one.node.name != params["name"] for one in everyone):
        known = [one.node.name for one in everyone]
        raise FleetError("node_unknown", nearest("node", params["name"], known), "Correct the name, or declare it with node.")
    asked = ask(everyone, store.fleet(), way.host, way.call, params["mode"]) if way is not None and params["source"] != "store" else None
    reads = _chosen(asked.reads if asked is not None else everyone, asked, params, way)
    shown = reads[: params["limit"]]
    common = _common(params, store, everyone, [one.node.name for one in shown])
    found = [{**_entry(one, params, store, beats, common), **(_seen(asked.saw.get(one.node.name)) if asked is not None else {})} for one in shown]
    result = {"changed": False, "instances": plain(found), "total": len(reads), "truncated": len(reads) > len(found)}
    return {**result, **_of_provider(asked)} if asked is not None else result


def _chosen(reads: t.Iterable[Read], asked: t.Optional[Asked], params: Params, way: t.Optional[Way]) -> t.List[Read]:
    named = [one for one in reads if params["name"] in (None, one.node.name)]
    if asked is not None and way is not None and params["name"] is not None and named[0].facts.instance is not None and params["name"] not in asked.saw:
        raise nobody(way.host, standing(named))
    only = asked if params["source"] == "provider" else None
    return [one for one in named if _wanted(one, params["filter"]) and (only is None or has(only, one))]


def _common(params: Params, store: NodeStore, everyone: t.Sequence[Read], names: t.Sequence[str]) -> t.Dict[str, t.Dict[str, t.Any]]:
    """What of ``gather`` is found by looking at other nodes too: by its name, by node."""
    found: t.Dict[str, t.Dict[str, t.Any]] = {}
    if "attribution" in params["gather"]:
        found["attribution"] = dict(attributions(store, everyone, names, store.now() - params["lookback_hours"] * 3600.0))
    if "capacity" in params["gather"]:
        of_template: t.Dict[str, t.List[Read]] = {}
        for one in everyone:
            of_template.setdefault(one.node.template, []).append(one)
        answers = {name: capacity(members) for name, members in of_template.items()}
        found["capacity"] = {one.node.name: answers[one.node.template] for one in everyone}
    return found


def _seen(sighting: t.Optional[Sighting]) -> Json:
    """What the provider says of one machine; null where it was not asked or has none, which ``machine_seen`` tells apart."""
    if isinstance(sighting, Observed):
        return {"machine": sighting, "machine_seen": "observed"}
    return {"machine": None, "machine_seen": "not_asked" if sighting is None else "not_found"}


def _of_provider(asked: Asked) -> Json:
    warnings = [f"{count} of the nodes stand at {where}, which was not asked." for where, count in sorted(asked.elsewhere.items())]
    return {"orphans": plain(list(asked.orphans)), "not_asked": dict(asked.elsewhere), "warnings": warnings}


def _refuse(params: Params) -> None:
    wrong = [*unknown_keys("filter", params["filter"], FILTERS), *unknown_keys("gather", params["gather"], GATHER)]
    found = [Finding("unknown_key", "fail", field=words.partition(".")[0], message=words, remedy="Correct the key.") for words in wrong]
    for name, least, most in (("lookback_hours", 1, 168), ("limit", 1, 1000)):
        if not least <= params[name] <= most:
            message = f"{name} is {params[name]}; it takes {least} to {most}."
            found.append(Finding("option_invalid", "fail", field=name, message=message, remedy="Correct the option."))
    if found:
        raise failure(found, "Nothing was read.")


def _entry(one: Read, params: Params, store: NodeStore, beats: Beats, common: t.Mapping[str, t.Mapping[str, t.Any]]) -> Json:
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
        entry.update({what: common[what][one.node.name]} if what in common else _gathered(what, one, params, store, beats))
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
    if what == "certificates":
        return {what: _certificates(facts, beats.certificates(instance.id))}
    if what == "heartbeats":
        return {what: beats.hours(instance.id, params["lookback_hours"])}
    row = BY_NAME.get(stuck(facts, verdict, grade(facts)))
    return {"recovery": row._asdict() if row else {}}


def _certificates(facts: Facts, issued: t.Sequence[t.Mapping[str, t.Any]]) -> t.List[Json]:
    """Those that the store knows, and first the one that the machine says it carries, whose serial it does not say."""
    ends = facts.heartbeat.certificate_not_after if facts.heartbeat is not None else None
    carried = [{"serial": None, "not_before": None, "not_after": ends, "revoked_at": None, "reason": ""}] if ends is not None else []
    names = ("not_before", "not_after", "revoked_at")
    return [{**one, **{name: utc(one[name]) for name in names}, "days_left": round((one["not_after"] - facts.now) / DAY, 1)} for one in [*carried, *issued]]


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
