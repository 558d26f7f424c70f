# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How well an instance is, and what is known of it one by one. Pure.

Silence is measured by the store's clock at receipt, and counts only while somebody listened: a receiver that was down hears nothing, which says
nothing about a node. The clock of a node is looked at nowhere.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .machine.model import Observed
from .model import Condition, Instance, Reason, Receiver, Status
from .phase import Facts, Verdict, is_ours
from .transitions import stalled

# Who listens all the time writes every 20 s that it lives. A sweep says with each word how long it may take to the next one, and no less than this.
LEAST_GAP = 60.0

# Phases in which a machine is expected to speak by itself.
_SPEAKING = ("bootstrapping", "running", "draining", "drained")
_GRADES: t.Mapping[str, Reason] = {"late": "", "silent": "silent", "lost": "silent"}


def listening_since(receivers: t.Iterable[Receiver], now: float) -> t.Optional[t.Tuple[float, float]]:
    """From when until when somebody has listened without a break, up to the last sign of life; None when nobody does now.

    Several receivers that overlap listen as one. Between two sweeps the last one counts: what it has heard is what is known.
    """
    known = sorted(receivers, key=lambda one: one.last_alive, reverse=True)
    if _patience(known, now) is None:
        return None
    started, last_alive = known[0].started, known[0].last_alive
    for receiver in known[1:]:
        if receiver.last_alive >= started:
            started = min(started, receiver.started)
    return started, last_alive


def _patience(receivers: t.Iterable[Receiver], now: float) -> t.Optional[float]:
    """Seconds that may lie between two words of the most eager one who listens now; None when nobody does."""
    return min((receiver.gap for receiver in receivers if now - receiver.last_alive < receiver.gap), default=None)


def silence(facts: Facts) -> t.Optional[float]:
    """Seconds for which the machine was listened to and said nothing; None when nobody listens, or when it was never heard."""
    window = listening_since(facts.receivers, facts.now)
    said = facts.contacted_at()
    if window is None or said is None:
        return None
    return max(0.0, window[1] - max(said, window[0]))


def grade(facts: Facts) -> str:
    """ok, late, silent or lost; unknown without anybody who listens.

    Where machines are asked from time to time, the limits are no less than two, three and nine questions.
    """
    quiet, limits = silence(facts), _limits(facts)
    if quiet is None or limits is None:
        return "unknown"
    return next((name for name, after in limits if quiet >= after), "ok")


def onset(facts: Facts) -> t.Optional[float]:
    """When the machine came into the grade of silence that it has; None for one that is ok, or of which nobody knows. It stays while nobody speaks."""
    window, said, limits = listening_since(facts.receivers, facts.now), facts.contacted_at(), _limits(facts)
    after = dict(limits or ()).get(grade(facts))
    return None if window is None or said is None or after is None else max(said, window[0]) + after


def _limits(facts: Facts) -> t.Optional[t.Tuple[t.Tuple[str, float], ...]]:
    """Seconds of silence from which on each grade is told, the worst first; None while nobody listens."""
    patience, clocks = _patience(facts.receivers, facts.now), facts.clocks
    if patience is None:
        return None
    return ("lost", max(clocks.lost, 4.5 * patience)), ("silent", max(clocks.silent, 1.5 * patience)), ("late", max(clocks.late, patience))


def health(facts: Facts, verdict: Verdict) -> str:
    """The worst that is known: stalled in its phase, lost, silent, degraded, late, ok; unknown where nothing can be known."""
    instance = facts.instance
    if instance is None or verdict.phase in ("no_instance", "terminated", "stopped"):
        return "unknown"
    if stuck(facts, verdict):
        return "stalled"
    if verdict.phase not in _SPEAKING:
        return "unknown"
    heard = grade(facts)
    if heard in ("lost", "silent", "unknown"):
        return heard
    return "degraded" if verdict.phase != "bootstrapping" and not facts.all_good() else heard


def stuck(facts: Facts, verdict: Verdict) -> Reason:
    """Why the machine is stalled in its phase; empty while there is time. A machine has the time of its boot from when it came on."""
    if facts.instance is None:
        return ""
    since = facts.instance.phase_since
    if verdict.reason == "waiting_for_contact":
        since = max(since, facts.instance.powered_at or 0.0)
    return stalled(verdict, since, facts.now, facts.clocks)


def conditions(facts: Facts, verdict: Verdict, before: t.Sequence[Condition] = ()) -> t.Tuple[Condition, ...]:
    """Every condition of the instance, in the order of `model.CONDITIONS`; ``since`` of ``before`` is kept where the status is the same."""
    instance = facts.instance
    if instance is None:
        return ()
    known = {condition.type: condition for condition in before}
    found = []
    for name, (status, reason, message) in _judged(facts, verdict, instance).items():
        old = known.get(name)
        since = old.since if old is not None and old.status == status else facts.now
        found.append(Condition(name, status, reason, message, since, instance.generation))
    return tuple(found)


Judged = t.Tuple[Status, Reason, str]


def _judged(facts: Facts, verdict: Verdict, instance: Instance) -> t.Dict[str, Judged]:
    beat = facts.heartbeat
    sighting = facts.sighting
    why = stuck(facts, verdict)
    heard = grade(facts) if verdict.phase in _SPEAKING else "unknown"
    addresses = sighting.addresses if isinstance(sighting, Observed) and is_ours(sighting, instance) else None
    unready: Reason = "service_failed" if facts.ready() else "services_not_ready"
    return {
        "infrastructure_ready": _infrastructure(facts, verdict, instance),
        "address_assigned": _said(None if addresses is None else bool(addresses), "no_address"),
        "contacted": _said(facts.in_contact(), "waiting_for_contact"),
        "enrolled": _said(beat.enrolled if beat else None, "not_enrolled"),
        "modules_active": _said(beat.modules_active if beat else None, "modules_not_active"),
        "services_ready": _said(beat.services_ready if beat else None, unready, ", ".join(beat.failed_units) if beat else ""),
        "heartbeat_fresh": _said(None if heard == "unknown" else heard in ("ok", "late"), _GRADES.get(heard, ""), heard),
        "certificate_valid": _said(beat.certificate_not_after > facts.now if beat and beat.certificate_not_after is not None else None, "token_expired"),
        "cordoned": _cordoned(instance),
        "drained": _said(instance.drained_at is not None and bool(instance.cordoned_by), "not_requested"),
        "up_to_date": _said(facts.wanted_hash == instance.spec_hash if facts.wanted_hash else None, "spec_differs"),
        "drifted": _said(facts.drifted, ""),
        "stalled": ("true", why, f"in phase {verdict.phase} since {facts.now - instance.phase_since:.0f} s") if why else ("false", "", ""),
        "deleting": _said(instance.delete_requested_at is not None, "", ", ".join(instance.finalizers)),
    }


def _said(value: t.Optional[bool], reason: Reason, message: str = "") -> Judged:
    """``reason`` is why it is not so; what nobody knows has none."""
    if value is None:
        return ("unknown", "", "")
    return ("true", "", message) if value else ("false", reason, message)


def _infrastructure(facts: Facts, verdict: Verdict, instance: Instance) -> Judged:
    if verdict.reason == "vanished":
        return ("false", "vanished", "")
    if isinstance(facts.sighting, Observed) and not is_ours(facts.sighting, instance):
        return ("false", "identity_mismatch", facts.sighting.provider_id)
    if facts.power() == "building":
        return ("false", "building", "")
    return ("true", "", facts.power()) if instance.provider_id or facts.power() else ("false", "never_seen", "")


def _cordoned(instance: Instance) -> Judged:
    if not instance.cordoned_by:
        return ("false", "", "")
    return ("true", "cordoned_by_drain" if instance.cordoned_by == "drain" else "cordoned_by_operator", "")


def shown(instance: Instance, verdict: Verdict, now: float) -> Instance:
    """``instance`` with the phase that was found; when it came into it is kept while it is the same."""
    return instance if instance.phase == verdict.phase else replace(instance, phase=verdict.phase, phase_since=now)
