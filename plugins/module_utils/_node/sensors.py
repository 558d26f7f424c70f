# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_sensor_info`: what is wrong with a fleet now, each thing as a signal. Reads only.

Nothing is written down about a signal. Its onset is derived from what is known anyway (the last heartbeat and its limit, the moment of a phase, the end of
a certificate), so two looks at one trouble give one fingerprint, whoever looks, and an action is asked for once for it.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .._store.model import unix, utc
from .drift import drift
from .health import grade, listening_since, onset, stuck
from .importing import Stood, place_of, shown_machines
from .machine.model import Observed
from .model import SIGNALS, Json, Node
from .phase import Clocks, Facts, Verdict, phase, vanished
from .policy import AT_WORK
from .provider.model import troubled
from .recovery import BY_NAME, GROUP_SHARE
from .recovery import stuck as stuck_row
from .run import nearest
from .store import Known, NodeStore
from .transitions import awaited, limit
from .wanted import PLACED

Params = t.Mapping[str, t.Any]

_SILENCE = SIGNALS[:3]
SEVERITIES = ("critical", "high", "medium", "low")
_SILENT: t.Mapping[str, t.Tuple[str, str]] = {"late": ("low", ""), "silent": ("high", "ladder"), "lost": ("critical", "ladder")}
_POWER: t.Mapping[str, str] = {"running": "on", "stopped": "off"}
# So many modules that differ are no slip any more.
_MANY = 5
# Seconds before the end of a certificate.
_EXPIRES, _EXPIRES_SOON = 14 * 86400.0, 86400.0
# Actions in which the power of a machine is not what it shall be in the end.
_POWERS = ("create", "start", "stop", "destroy", "reboot", "power_cycle", "replace", "terminate")


@dataclass(frozen=True)
class Signal:
    """One trouble. ``subject`` is what it is about (an instance, an action, a machine); ``verb`` is what node_action would be asked for, empty for none.

    ``cause`` tells two troubles of one subject and one onset apart; it is not shown.
    """

    kind: str
    node: str
    subject: str
    severity: str
    onset: float
    message: str
    verb: str = ""
    cause: str = ""

    def fingerprint(self) -> str:
        text = "\n".join((self.kind, self.subject, f"{self.onset:.3f}", self.cause))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def shown(self) -> Json:
        return {"kind": self.kind, "node": self.node, "subject": self.subject, "severity": self.severity, "onset": utc(self.onset), "message": self.message,
                "verb": self.verb, "fingerprint": self.fingerprint()}  # fmt: skip


def sensors(params: Params, store: NodeStore) -> Json:
    """Every signal that is wanted, the worst first. Raises FleetError ``observer_down`` when silence is asked about and nobody has listened."""
    since = _since(params["since"])
    nodes = store.nodes()
    if params["name"] is not None and params["name"] not in [node.name for node in nodes]:
        raise FleetError("node_unknown", nearest("node", params["name"], (node.name for node in nodes)), "Correct the name, or declare it with node.")
    templates = {template.name: template for template in store.templates()}
    nodes = [node.resolved(templates[node.template]) if node.template in templates else node for node in nodes]
    now, wanted = store.now(), params["sensors"] or SIGNALS
    known = {node.name: store.known(node.name) for node in nodes}
    found, silent = shown_machines(params["machines"])
    stood, answered = _of_fleet(found, store.named()), _answered(params["machines"])
    looks = {node.name: _facts(known[node.name], params["thresholds"] or {}, now, stood) for node in nodes}
    seen = [signal for node in nodes for signal in _of_node(node, looks[node.name], params["thresholds"] or {}, answered)]
    seen += _of_machines(stood, known)
    observer = _observer(looks.values(), now)
    shown = [one for one in seen if one.kind in wanted and one.onset >= since and params["name"] in (None, one.node)]
    if not observer["listens"] and set(_SILENCE) & set(wanted) and observer["speaking"]:
        raise _deaf(observer, shown)
    shown.sort(key=lambda one: (SEVERITIES.index(one.severity), one.onset, one.node))
    return {"changed": False, "signals": [one.shown() for one in shown], "groups": _groups(nodes, looks), "observer": observer,
            "findings": [finding.as_dict() for finding in silent]}  # fmt: skip


def _since(given: t.Optional[str]) -> float:
    try:
        return unix(given) or 0.0
    except ValueError:
        message = f"since is {given!r}; it takes a moment like 2026-12-01T12:00:00Z."
        raise failure([Finding("option_invalid", "fail", field="since", message=message, remedy="Correct the option.")], "Nothing was read.") from None


def _of_fleet(found: t.Sequence[Stood], fleet: str) -> t.List[Stood]:
    return [one for one in found if one.machine.identity is not None and one.machine.identity.fleet == fleet]


def _facts(known: Known, thresholds: Params, now: float, stood: t.Sequence[Stood]) -> Facts:
    given = {name: thresholds[name] for name in ("late", "silent", "lost") if thresholds.get(name) is not None}
    mine = [one.machine for one in stood if known.instance is not None and one.machine.identity is not None
            and one.machine.identity.instance_id == known.instance.id]  # fmt: skip
    # Of two with one tag the first one: which is the one that is meant is for somebody who looks at both.
    sighting: t.Optional[Observed] = mine[0] if mine else None
    return Facts(now, known.instance, sighting, known.heartbeat, known.receivers, known.actions, clocks=Clocks(**given))


def _answered(given: t.Sequence[Params]) -> t.List[t.Tuple[str, Json]]:
    """Providers and places whose whole list of machines is known."""
    return [(one["kind"], place_of(one)) for one in given if troubled(one["answer"]) is None and "machines" in one["answer"]]


def _of_node(node: Node, facts: Facts, thresholds: Params, answered: t.Sequence[t.Tuple[str, Json]]) -> t.Iterator[Signal]:
    instance = facts.instance
    if instance is None:
        return
    verdict = phase(facts)
    working = instance.delete_requested_at is not None or any(facts.opened(verb) for verb in _POWERS)
    listed = (instance.provider, instance.spec.get(PLACED)) in answered
    missed = listed and facts.sighting is None and bool(instance.provider_id) and not working
    if vanished(facts) or missed:
        # The last sign of it: no later look, and no other observer, has another moment.
        first = facts.contacted_at() or instance.powered_at or instance.created_at
        yield Signal("instance.vanished", node.name, instance.id, "critical", first, f"Its provider has {instance.provider_id} no more.", "replace")
        return
    yield from _silence(node, facts, verdict)
    yield from _drift(node, facts)
    yield from _modules(node, facts)
    yield from _certificate(node, facts, thresholds)
    yield from _stalled(node, facts, verdict)


def _silence(node: Node, facts: Facts, verdict: Verdict) -> t.Iterator[Signal]:
    heard, began = grade(facts), onset(facts)
    if facts.instance is None or began is None or heard not in _SILENT or verdict.phase not in ("bootstrapping", "running", "draining", "drained"):
        return
    severity, verb = _SILENT[heard]
    message = f"It has said nothing since {utc(facts.contacted_at())}, while somebody listened."
    yield Signal(f"instance.{heard}", node.name, facts.instance.id, severity, began, message, verb)


def _drift(node: Node, facts: Facts) -> t.Iterator[Signal]:
    """Its power is not what was asked for last. The onset is the last moment at which it came on, which is one for each time that this happens."""
    instance = facts.instance
    if instance is None or not instance.provider_id or instance.delete_requested_at is not None or any(facts.opened(verb) for verb in _POWERS):
        return
    wanted, power = _POWER.get(instance.desired, ""), facts.power()
    if wanted and power in ("on", "off") and power != wanted:
        message = f"Its power is {power}, and {instance.desired} was asked for."
        yield Signal("instance.state_drifted", node.name, instance.id, "high", instance.powered_at or instance.created_at, message)


def _modules(node: Node, facts: Facts) -> t.Iterator[Signal]:
    """Its modules are not those of its node. When that began nobody knows; what differs makes it another trouble."""
    instance, apart = facts.instance, drift(node, facts.heartbeat)
    if instance is None or apart is None or not apart["drift"]:
        return
    differing = [*apart["attach"], *apart["detach"], *apart["update"]]
    cause = json.dumps([apart["missing"], apart["detach"] and apart["extra"], apart["mismatched"]], sort_keys=True)
    severity = "critical" if len(differing) >= _MANY else "high"
    message = f"Modules that differ from its node: {', '.join(differing)}; {apart['disruption_pct']} % of its services would be touched."
    yield Signal("module.drift_detected", node.name, instance.id, severity, instance.powered_at or instance.created_at, message, "reconcile", cause)


def _certificate(node: Node, facts: Facts, thresholds: Params) -> t.Iterator[Signal]:
    ends = facts.heartbeat.certificate_not_after if facts.heartbeat is not None else None
    if facts.instance is None or ends is None:
        return
    warn, soon = (thresholds.get(name) or default for name, default in (("certificate", _EXPIRES), ("certificate_critical", _EXPIRES_SOON)))
    for severity, before in (("high", soon), ("medium", warn)):
        if facts.now >= ends - before:
            yield Signal("cert.expiring", node.name, facts.instance.id, severity, ends - before, f"Its certificate ends {utc(ends)}.", "renew")
            return


def _stalled(node: Node, facts: Facts, verdict: Verdict) -> t.Iterator[Signal]:
    """A phase that lasts longer than it may, and an action that somebody has begun and nobody has ended."""
    instance, why, way = facts.instance, stuck(facts, verdict), awaited(verdict)
    if instance is not None and why and way is not None:
        since = max(instance.phase_since, instance.powered_at or 0.0) if verdict.reason == "waiting_for_contact" else instance.phase_since
        row = BY_NAME.get(stuck_row(facts, verdict, grade(facts)))
        look = f" Look at: {', '.join(row.names)}." if row is not None else ""
        message = f"It is {verdict.phase} since {utc(since)} ({why}).{look}"
        yield Signal("action.stalled", node.name, instance.id, "high", since + (limit(way, facts.clocks) or 0.0), message)
    for action in facts.actions:
        begun = action.attempted_at if action.fingerprint and action.state == "running" else None
        if begun is not None and facts.now - begun >= AT_WORK:
            message = f"{action.verb} was begun {utc(begun)} and neither completed nor aborted."
            yield Signal("action.stalled", node.name, action.key, "high", begun + AT_WORK, message)


def _of_machines(stood: t.Sequence[Stood], known: t.Mapping[str, Known]) -> t.Iterator[Signal]:
    """Machines of this fleet that no row has, and rows that have more than one."""
    live = {one.instance.id for one in known.values() if one.instance is not None}
    groups: t.Dict[str, t.List[Stood]] = {}
    for one in stood:
        if one.machine.identity is not None:
            groups.setdefault(one.machine.identity.instance_id, []).append(one)
    for instance, same in sorted(groups.items()):
        tag = same[0].machine.identity
        name, first = (tag.node if tag is not None else ""), min(one.machine.created_at or 0.0 for one in same)
        listed = "; ".join(one.said() for one in same)
        if len(same) > 1:
            yield Signal("machine.duplicate", name, instance, "high", first, f"{len(same)} machines carry it: {listed}.", "terminate")
        elif instance not in live:
            yield Signal("machine.orphan", name, instance, "high", first, f"No row of the store has it: {listed}.", "terminate")


def _observer(looks: t.Iterable[Facts], now: float) -> Json:
    looks = list(looks)
    receivers = {one.id: one for facts in looks for one in facts.receivers}
    window = listening_since(receivers.values(), now)
    last = max((one.last_alive for one in receivers.values()), default=None)
    speaking = sum(facts.contacted_at() is not None and facts.power() == "on" for facts in looks)
    return {"listens": window is not None, "since": utc(window[0]) if window else None, "last_alive": utc(last), "speaking": speaking}


def _deaf(observer: Json, shown: t.Sequence[Signal]) -> FleetError:
    last = f"the last one was alive at {observer['last_alive']}" if observer["last_alive"] else "nobody ever has"
    return FleetError("observer_down", f"Nobody listens to {observer['speaking']} machines that speak ({last}), so nobody knows which of them are silent.",
                      "Run sweep, and see why its timer does not. Other sensors are asked with sensors.",
                      {"observer": observer, "signals": [one.shown() for one in shown]})  # fmt: skip


def _groups(nodes: t.Sequence[Node], looks: t.Mapping[str, Facts]) -> t.Dict[str, Json]:
    """How many of each quorum group, or else template, are silent; ``together`` says that these are more than machines fall silent by themselves."""
    found: t.Dict[str, t.List[str]] = {}
    for node in nodes:
        found.setdefault(node.quorum_group or node.template, []).append(node.name)
    shown = {}
    for name, members in sorted(found.items()):
        quiet = [member for member in members if grade(looks[member]) in ("silent", "lost")]
        shown[name] = {"members": len(members), "silent": quiet, "together": len(quiet) > max(1, int(GROUP_SHARE * len(members)))}
    return shown
