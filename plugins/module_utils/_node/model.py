# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists: nodes, the machines that they have had, what is known of each, and every failure of this room.

A node is a row that outlives its machines; it has at most one live instance. Times are unix seconds of the store's clock: the clock of a node
decides nothing. Words that a column or a result holds are plain text, listed here once.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

Json = t.Dict[str, t.Any]

Phase = t.Literal[
    "no_instance", "pending", "provisioning", "bootstrapping", "running", "draining", "drained", "stopping", "stopped", "starting", "terminating", "terminated",
]  # fmt: skip
Health = t.Literal["unknown", "ok", "late", "silent", "lost", "degraded", "stalled"]
Status = t.Literal["true", "false", "unknown"]
State = t.Literal["present", "running", "cordoned", "drained", "stopped", "absent"]

PHASES: t.Tuple[str, ...] = t.get_args(Phase)
HEALTHS: t.Tuple[str, ...] = t.get_args(Health)
STATES: t.Tuple[str, ...] = t.get_args(State)
# States that stay asked for until another one of them is; what stands in between is work on the way.
LASTING = ("present", "running", "stopped")
LIFECYCLES = ("persistent", "ephemeral", "spot")
ARCHITECTURES = ("amd64", "arm64")
SCHEDULINGS = ("schedulable", "cordoned")

# What a guard keeps from happening, whoever asks and with whatever force.
GUARDS: t.Mapping[str, str] = {
    "protected": "neither stopped nor removed",
    "no_stop": "not stopped, and so not removed either",
    "no_remediation": "never remediated by itself",
    "quarantined": "never handed out",
}

# States of an action that somebody has asked for. The last four are ends; a failed one may be tried anew.
ASKED = ("pending", "running", "failed", "complete", "rejected", "aborted")

# Troubles that are told; an action is a verb on an instance.
SIGNALS = (
    "instance.late", "instance.silent", "instance.lost", "instance.vanished", "instance.state_drifted", "machine.orphan", "machine.duplicate",
    "module.drift_detected", "cert.expiring", "action.stalled",
)  # fmt: skip

CONDITIONS = (
    "infrastructure_ready", "address_assigned", "contacted", "enrolled", "modules_active", "services_ready", "heartbeat_fresh", "certificate_valid",
    "cordoned", "drained", "up_to_date", "drifted", "stalled", "deleting",
)  # fmt: skip

# Reasons of phases and conditions, and codes of failures, are one list: what is shown of a node is what a failure says.
Reason = t.Literal[
    "", "action_final", "action_unknown", "approval_required", "as_asked", "auth", "authority_missing", "budget_exhausted", "building", "confirm_mismatch",
    "cordoned_by_drain", "cordoned_by_operator", "csr_invalid", "delete_requested", "drain_blocked", "duplicate_machine", "evidence_missing",
    "finalizers_pending", "held", "hook_missing", "host_key_changed", "identity_mismatch", "immutable_change", "immutable_class", "lease_lost", "locked",
    "modules_not_active", "name_clash", "never_seen", "no_address", "no_contact", "no_machine", "node_has_instance", "not_enrolled", "not_requested",
    "observer_down", "power_off", "provider_disabled", "provider_timeout", "provider_unavailable", "queue_or_quota", "quorum_risk", "rate_limit",
    "self_management", "service_failed", "services_not_ready", "silent", "spec_differs", "status_unreadable", "token_bound", "token_expired", "vanished",
    "waiting_for_contact",
]  # fmt: skip
REASONS: t.Tuple[str, ...] = t.get_args(Reason)

FAILURES: dict[str, str] = {
    "action_final": "The action is over (complete, rejected or aborted), and one cause is acted on once.",
    "action_unknown": "No action of this node has this key.",
    "conflict": "The row was changed by another run since it was read; nothing was written over it.",
    "confirm_mismatch": "`confirm` is not the name of the node, so nobody has confirmed it; nothing was changed.",
    "approval_required": "Policy wants somebody's word for this step, by the name of the node; nothing was changed.",
    "authority_missing": "The fleet's CA is not where it was looked for, or is not the one that the store knows; nothing was signed.",
    "budget_exhausted": "What may be done about a node or its group by itself is used up; when there is more is named.",
    "csr_invalid": "What a machine sent is no request for a certificate that it has signed itself; nothing was signed.",
    "drain_blocked": "Something on the machine cannot move, or the machine cannot be asked; each blocker is named with what overrides it.",
    "duplicate_machine": "More than one machine carries the tag of the node; both are named, and neither was touched.",
    "evidence_missing": "Work that a hook has to do on the machine has left no evidence, or evidence that is too old.",
    "finalizers_pending": "The end of the machine has begun and is not complete; what is left, and why, is named.",
    "held": "A guard of the node, or the policy, forbids this; its kind, reason and end are named.",
    "hook_missing": "The machine reports a runtime that no hook of the node empties.",
    "host_key_changed": "The host key of a machine is not the one that was pinned or expected; it was not enrolled, and the pin stays.",
    "identity_mismatch": "The provider's id is that of another machine now; it was not touched.",
    "immutable_class": "The node has had a machine, so its class of life stays what it is.",
    "immutable_change": "What the machine was made with is not what is asked for now, which takes a new machine.",
    "lease_lost": "Another run has taken the node over; this one has stopped, wrote nothing more and called no provider.",
    "name_clash": "A machine that is not ours carries the name; it was not touched.",
    "node_unknown": "No node has this name; the nearest one is named.",
    "no_machine": "The node has no machine that could be cordoned, drained or stopped.",
    "no_contact": "The machine is on and has not spoken in the time that it has for its boot.",
    "node_has_instance": "The node has a machine, so its row stays.",
    "observer_down": "Nobody else has seen it, or nobody listened: what is silent may be we ourselves. Nothing was done.",
    "option_invalid": "An option has a value that cannot be worked with; nothing was asked.",
    "preflight_failed": "Several things stand in the way; each is named with its remedy, and nothing was changed.",
    "provider_disabled": "The provider is switched off, so no machine is made, started or stopped.",
    "provider_timeout": "The provider has not done in time what it was asked for; what was seen last is named.",
    "provider_unavailable": "The provider gave no answer that can be relied on, which is no answer that there is no machine.",
    "quorum_risk": "Without this node its group has no majority; the numbers are named.",
    "self_management": "The node is the host that the run itself is on.",
    "services_not_ready": "Modules or services of the machine were not ready in the time that they have; those that fail are named.",
    "token_bound": "The token came with another key before; nothing was signed.",
    "token_expired": "The token is over, was replaced, or nobody has issued it; nothing was signed.",
    "status_unreadable": "What the machine says of itself is missing, damaged, or not in the form that its agent writes.",
    "template_in_use": "Nodes are of this template, so it stays; they are named.",
    "template_unknown": "No template has this name; the nearest one is named.",
}


@dataclass(frozen=True)
class Guard:
    """Something that ``kind`` forbids. ``until`` is when it ends by itself; None stays until it is taken away."""

    kind: str
    reason: str = ""
    until: t.Optional[float] = None

    def holds(self, now: float) -> bool:
        return self.until is None or now < self.until


@dataclass(frozen=True)
class Template:
    """What nodes of one kind have in common. ``modules`` are ``{name, ref}`` with a digest in the reference, ``defaults`` what a machine is made with."""

    name: str
    platform: str = ""
    architecture: str = "amd64"
    image_family: str = ""
    modules: t.Tuple[Json, ...] = ()
    hooks: t.Tuple[str, ...] = ()
    defaults: t.Mapping[str, t.Any] = field(default_factory=dict)
    volumes: t.Tuple[Json, ...] = ()
    revision: int = 0


@dataclass(frozen=True)
class Node:
    """One node. ``hooks`` names what its work leaves by, in order; ``revision`` grows by one with each write, 0 was never written.

    What is empty of platform, architecture, modules and hooks is that of the template.
    """

    name: str
    template: str
    platform: str = ""
    architecture: str = ""
    lifecycle_class: str = "persistent"
    labels: t.Mapping[str, str] = field(default_factory=dict)
    modules: t.Tuple[Json, ...] = ()
    hooks: t.Tuple[str, ...] = ()
    guards: t.Tuple[Guard, ...] = ()
    quorum_group: str = ""
    revision: int = 0

    def guarded(self, kinds: t.Sequence[str], now: float) -> t.Tuple[Guard, ...]:
        """The guards of one of ``kinds`` that hold at ``now``."""
        return tuple(guard for guard in self.guards if guard.kind in kinds and guard.holds(now))

    def resolved(self, template: Template) -> Node:
        """The node with what its template gives."""
        given = {name: getattr(self, name) or getattr(template, name) for name in ("platform", "architecture", "modules", "hooks")}
        return replace(self, **given)


@dataclass(frozen=True)
class Skip:
    """A finalizer that somebody has passed over, by name."""

    finalizer: str
    actor: str
    reason: str
    at: float


@dataclass(frozen=True)
class Instance:
    """One machine of a node, from the wish for it to its last trace.

    ``id`` is a UUID that is chosen before the machine is asked for; ``generation`` counts the node's machines from 1. ``provider_id`` and
    ``machine_created_at`` are what the provider said when the machine was first seen; ``power`` is what it said last, empty before that, and
    ``powered_at`` when that became on; ``addresses`` are those that it named last; ``contacted_at`` is when a controller last reached it.
    ``missing_since`` is when the provider first said, without a break, that there is no such machine, and ``missed_at`` when it last did.
    ``cordoned_by`` is operator or drain, empty when it takes new work. ``finalizers`` are those that are left, in order, once ``delete_requested_at`` is
    set. ``lease_number`` is that of the last writer.
    """

    id: str
    node: str
    provider: str
    generation: int
    created_at: float
    spec: t.Mapping[str, t.Any] = field(default_factory=dict)
    spec_hash: str = ""
    desired: str = "running"
    phase: str = "pending"
    phase_since: float = 0.0
    provider_id: str = ""
    machine_created_at: t.Optional[float] = None
    power: str = ""
    powered_at: t.Optional[float] = None
    contacted_at: t.Optional[float] = None
    missing_since: t.Optional[float] = None
    missed_at: t.Optional[float] = None
    cordoned_by: str = ""
    drained_at: t.Optional[float] = None
    delete_requested_at: t.Optional[float] = None
    finalizers: t.Tuple[str, ...] = ()
    skipped: t.Tuple[Skip, ...] = ()
    terminated_at: t.Optional[float] = None
    lease_number: int = 0
    addresses: t.Tuple[str, ...] = ()

    @property
    def missing_for(self) -> float:
        """Seconds for which it was looked for again and again, and never found."""
        return 0.0 if self.missing_since is None or self.missed_at is None else self.missed_at - self.missing_since

    @property
    def scheduling(self) -> str:
        return "cordoned" if self.cordoned_by else "schedulable"


@dataclass(frozen=True)
class Condition:
    """One thing that is known of an instance. ``since`` is when ``status`` became what it is; ``generation`` is that of the instance."""

    type: str
    status: Status
    reason: Reason = ""
    message: str = ""
    since: float = 0.0
    generation: int = 0


@dataclass(frozen=True)
class Heartbeat:
    """The last word of a machine about itself. ``received_at`` is by the store's clock; ``document`` is as it was sent, and decides nothing.

    ``ready_boot`` is the boot in which enrolment, modules and services were all good once; the store keeps it.
    """

    instance: str
    received_at: float
    boot_id: str
    sequence: int = 0
    enrolled: bool = False
    modules_active: bool = False
    services_ready: bool = False
    failed_units: t.Tuple[str, ...] = ()
    runtimes: t.Tuple[str, ...] = ()
    certificate_not_after: t.Optional[float] = None
    document: t.Mapping[str, t.Any] = field(default_factory=dict)
    ready_boot: str = ""

    def good(self) -> bool:
        return self.enrolled and self.modules_active and self.services_ready


@dataclass(frozen=True)
class Receiver:
    """Somebody who took heartbeats in, or asked for them, from ``started`` to ``last_alive`` without a break.

    ``gap`` is how many seconds may lie between two signs of its life; after that it counts as gone.
    """

    id: str
    started: float
    last_alive: float
    gap: float = 60.0


@dataclass(frozen=True)
class Action:
    """One verb on one instance. ``attempts`` counts the calls; ``attempted_at`` is written before each of them, ``ended_at`` when it is over.

    One that somebody has asked for has ``fingerprint``, the cause that it is asked for once, ``asked_at`` and a state of `ASKED`; ``decision`` is approved
    or rejected, by ``decided_by`` at ``decided_at``. ``seen`` is JSON text of what the machine said of itself when it was begun.
    """

    instance: str
    verb: str
    key: str
    state: str = "running"
    attempts: int = 0
    attempted_at: t.Optional[float] = None
    ended_at: t.Optional[float] = None
    actor: str = ""
    lease_number: int = 0
    fingerprint: str = ""
    reason: str = ""
    asked_at: t.Optional[float] = None
    decision: str = ""
    decided_at: t.Optional[float] = None
    decided_by: str = ""
    seen: str = "{}"

    def open(self) -> bool:
        return self.ended_at is None


@dataclass(frozen=True)
class ActionStep:
    """One step as it was done to an instance. ``probe`` is what was seen before it: done, not or unknown."""

    instance: str
    name: str
    probe: str
    result: str
    started_at: float
    ended_at: float
    position: int = 0


@dataclass(frozen=True)
class NodeEvent:
    """Something that happened to a node. ``digest`` is over the event and the digest of the one before, so that none can be taken out unseen."""

    node: str
    position: int
    at: float
    type: str
    severity: str = "info"
    before: str = ""
    after: str = ""
    reason: str = ""
    actor: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a hook saw on the machine. ``outcome`` is empty, released or blocked; ``blockers`` are ``{name, reason, override}``.

    ``stage`` is observe, drain, undo or leave; empty for a word that was given by hand, which counts for every one of them.
    """

    hook: str
    outcome: str
    observed_at: float
    blockers: t.Tuple[Json, ...] = ()
    changed: t.Tuple[str, ...] = ()
    stage: str = ""
