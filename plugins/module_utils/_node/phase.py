# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phase of an instance: facts in, one row of one table out. Pure; nothing here looks at a clock or asks anybody.

What a provider said and what a machine says of itself are facts. A phase is never stored as a truth: the column of that name is what was shown last.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .machine.model import NotFound, Observed, Sighting
from .model import Action, Heartbeat, Instance, Reason, Receiver

# A machine that its provider does not find for so many seconds is gone. Looks that are further apart than the second figure do not count together:
# a provider may forget a machine for a moment, and for another moment later.
VANISHED_AFTER = 60.0
LOOKS_APART = 30.0


@dataclass(frozen=True)
class Clocks:
    """Limits in seconds. ``boot_factor`` stretches what a slow (emulated) machine may take to boot."""

    late: float = 90.0
    silent: float = 300.0
    lost: float = 900.0
    boot_factor: float = 1.0
    drain: float = 600.0


@dataclass(frozen=True)
class Facts:
    """All that is known of one instance at ``now``, by the store's clock.

    ``sighting`` is the provider's answer of this run, None when it was not asked. ``actions`` are those of this instance that are open.
    ``wanted_hash`` is the hash of what the instance should have been made with, empty when nobody asks for that. ``drifted`` is None where nobody knows.
    """

    now: float
    instance: t.Optional[Instance] = None
    sighting: t.Optional[Sighting] = None
    heartbeat: t.Optional[Heartbeat] = None
    receivers: t.Tuple[Receiver, ...] = ()
    actions: t.Tuple[Action, ...] = ()
    wanted_hash: str = ""
    drifted: t.Optional[bool] = None
    clocks: Clocks = field(default_factory=Clocks)

    def opened(self, verb: str) -> bool:
        """Whether an action of this verb has begun and is not over."""
        return any(action.verb == verb and action.open() for action in self.actions)

    def power(self) -> str:
        """What the provider says now, or else what it said last."""
        if isinstance(self.sighting, Observed):
            return self.sighting.power
        return self.instance.power if self.instance else ""

    def contacted_at(self) -> t.Optional[float]:
        """When the machine last spoke, by whatever way."""
        moments = [self.instance.contacted_at if self.instance else None, self.heartbeat.received_at if self.heartbeat else None]
        return max((moment for moment in moments if moment is not None), default=None)

    def in_contact(self) -> bool:
        """Whether the machine has spoken since it was switched on."""
        said, on = self.contacted_at(), self.instance.powered_at if self.instance else None
        return said is not None and (on is None or said >= on)

    def ready(self) -> bool:
        """Whether enrolment, modules and services were all good once in this boot."""
        beat = self.heartbeat
        return beat is not None and (beat.good() or (bool(beat.boot_id) and beat.ready_boot == beat.boot_id))

    def all_good(self) -> bool:
        """Whether they are good now."""
        return self.heartbeat is not None and self.heartbeat.good()


@dataclass(frozen=True)
class Verdict:
    """The phase, the reason when there is one to give, and the number of the row that matched."""

    phase: str
    reason: Reason = ""
    row: int = 0


class Row(t.NamedTuple):
    """One row: ``matches`` gets facts with an instance; ``decides`` then says phase and reason."""

    number: int
    fact: str
    shown: str
    matches: t.Callable[[Facts, Instance], bool]
    decides: t.Callable[[Facts, Instance], t.Tuple[str, Reason]]


def _always(phase: str, reason: Reason = "") -> t.Callable[[Facts, Instance], t.Tuple[str, Reason]]:
    return lambda _facts, _instance: (phase, reason)


def vanished(facts: Facts) -> bool:
    """Whether the machine is gone behind our back, whatever was asked for."""
    return facts.instance is not None and _vanished(facts, facts.instance)


def _vanished(facts: Facts, instance: Instance) -> bool:
    """Only what was seen once can vanish: before that a machine may still be on its way."""
    if not instance.provider_id or isinstance(facts.sighting, Observed):
        return False
    if isinstance(facts.sighting, NotFound) and facts.sighting.final:
        return True
    return instance.missing_for >= VANISHED_AFTER


def _powered_off(facts: Facts, _instance: Instance) -> t.Tuple[str, Reason]:
    if facts.opened("start"):
        return "starting", ""
    return ("stopping", "") if facts.opened("stop") else ("stopped", "power_off")


def _silent_since_power_on(facts: Facts, _instance: Instance) -> t.Tuple[str, Reason]:
    return ("starting" if facts.opened("start") else "provisioning"), "waiting_for_contact"


# The first row that matches decides. A node without an instance has phase no_instance.
ROWS: t.Tuple[Row, ...] = (
    Row(1, "deleted, and no finalizer is left", "terminated", lambda _f, i: i.delete_requested_at is not None and not i.finalizers, _always("terminated")),
    Row(2, "its end is asked for", "terminating", lambda _f, i: i.delete_requested_at is not None, _always("terminating", "delete_requested")),
    Row(3, "no machine was ever seen, none is asked for", "pending", lambda f, i: not i.provider_id and not f.opened("create")
        and not isinstance(f.sighting, Observed), _always("pending", "not_requested")),
    Row(4, "it was seen, and its provider has it no more: finally, or in every look for 60 s", "terminated (vanished)", _vanished,
        _always("terminated", "vanished")),
    Row(5, "it is asked for, or being built", "provisioning", lambda f, _i: f.opened("create") or f.power() == "building", _always("provisioning", "building")),
    Row(6, "its power is off", "starting, stopping or stopped", lambda f, _i: f.power() == "off", _powered_off),
    Row(7, "it has not spoken since it was switched on", "starting or provisioning", lambda f, _i: not f.in_contact(), _silent_since_power_on),
    Row(8, "enrolled, modules and services were not yet good together in this boot", "bootstrapping", lambda f, _i: not f.ready(), _always("bootstrapping")),
    Row(9, "cordoned, and a drain is open", "draining", lambda f, i: bool(i.cordoned_by) and f.opened("drain"), _always("draining")),
    Row(10, "cordoned and drained", "drained", lambda _f, i: bool(i.cordoned_by) and i.drained_at is not None, _always("drained")),
    Row(11, "otherwise", "running", lambda _f, _i: True, _always("running")),
)  # fmt: skip


def phase(facts: Facts) -> Verdict:
    """The phase of ``facts``, by the first row that matches."""
    if facts.instance is None:
        return Verdict("no_instance")
    for row in ROWS[:-1]:
        if row.matches(facts, facts.instance):
            return Verdict(*row.decides(facts, facts.instance), row.number)
    return Verdict("running", "", ROWS[-1].number)


def is_ours(sighting: t.Optional[Sighting], instance: Instance) -> bool:
    """Whether the machine that was seen is that of ``instance``: by its tag, its node, and when it was made.

    A provider may give the id of a machine that is gone to another one.
    """
    if not isinstance(sighting, Observed) or sighting.identity is None:
        return False
    if (sighting.identity.instance_id, sighting.identity.node) != (instance.id, instance.node):
        return False
    known = instance.provider_id == sighting.provider_id and instance.machine_created_at is not None and sighting.created_at is not None
    return not known or instance.machine_created_at == sighting.created_at


def came_true(facts: Facts) -> t.Tuple[str, ...]:
    """Verbs of open actions whose end the provider shows now."""
    sighting, instance = facts.sighting, facts.instance
    if instance is None or not isinstance(sighting, Observed) or not is_ours(sighting, instance):
        return ()
    ends = {"create": ("on", "off"), "start": ("on",), "stop": ("off",), **({"power_cycle": ("on",)} if facts.in_contact() else {})}
    return tuple(verb for verb, powers in ends.items() if sighting.power in powers and facts.opened(verb))


def seen(instance: Instance, sighting: t.Optional[Sighting], now: float) -> Instance:
    """``instance`` with what its provider said at ``now``. A foreign machine and an answer that cannot be relied on change nothing."""
    if isinstance(sighting, NotFound):
        goes_on = instance.missed_at is not None and now - instance.missed_at <= LOOKS_APART
        return replace(instance, missing_since=instance.missing_since if goes_on else now, missed_at=now)
    if not isinstance(sighting, Observed) or not is_ours(sighting, instance):
        return instance
    return replace(
        instance,
        provider_id=sighting.provider_id,
        machine_created_at=sighting.created_at if instance.provider_id != sighting.provider_id else instance.machine_created_at,
        power=sighting.power,
        powered_at=now if sighting.power == "on" and instance.power != "on" else instance.powered_at,
        # A machine that boots has none for a while; the next look tells whether it has got another one.
        addresses=sighting.addresses or instance.addresses,
        missing_since=None,
        missed_at=None,
    )
