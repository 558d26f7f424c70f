# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What node_instance does not do itself: whether it is done is read from the evidence that roles hand over, and from the machine's own report.

What a node has none of (hooks, names in DNS, volumes, a certificate) is proven by that, and nobody is asked for it.
"""

from __future__ import annotations

import socket
import typing as t

from .._core.errors import FleetError
from .._core.finding import Finding
from .._store.model import unix
from .beats import Beats
from .hooks.evidence import blockers
from .hooks.model import STAGES
from .hypervisor import Hypervisor
from .model import Evidence, Heartbeat, Instance, Node, Template
from .plan import ABOUT_UNDO, ABOUT_WORK, EVIDENCE_FRESH, LifeStep

Params = t.Mapping[str, t.Any]

_PORT = 22
_SECONDS = 2.0
# What of the end of a machine somebody else does, and how.
_ELSEWHERE: t.Mapping[str, str] = {
    "hooks": "Run what has to run before the end",
    "memberships": "Let it leave its clusters, load balancers and overlays",
    "dns": "Take its names away with dns_record (node_terminate_dns of the role)",
    "volumes": "Detach its volumes",
    "credentials": "Revoke its certificate",
    "traces": "Remove its traces",
}


def evidence_of(given: t.Sequence[Params], now: float) -> t.Tuple[t.Tuple[Evidence, ...], t.List[Finding]]:
    """Evidence of the option; what has no moment is of ``now``."""
    found, wrong = [], []
    for one in given:
        message = f"evidence.observed_at is {one['observed_at']!r}; it takes a moment like 2026-12-01T12:00:00Z."
        try:
            moment = unix(one["observed_at"])
            message = f"evidence of {one['hook']}: each blocker is a name with reason and override, texts all of them; 100 at most."
            known = tuple(blockers(one["blockers"]))
        except ValueError:
            wrong.append(Finding("option_invalid", "fail", one["hook"], message, "Correct the option.", "evidence"))
            continue
        changed = tuple(one["changed"])
        found.append(Evidence(one["hook"], one["outcome"], now if moment is None else moment, known, changed, one["stage"] or ""))
    return tuple(found), wrong


def heartbeat_of(given: Params, instance: Instance, last: t.Optional[Heartbeat]) -> Heartbeat:
    """What the machine said of itself, as the option ``status`` hands it over. Without a sequence number it is later than ``last``."""
    return Heartbeat(
        instance.id, 0.0, given["boot_id"], _after(last) if given["sequence"] is None else given["sequence"], given["enrolled"], given["modules_active"],
        given["services_ready"], tuple(given["failed_units"]), tuple(given["runtimes"]), given["certificate_not_after"], dict(given),
    )  # fmt: skip


def _after(last: t.Optional[Heartbeat]) -> int:
    return last.sequence + 1 if last is not None else 1


def answers(addresses: t.Sequence[str]) -> bool:
    """Whether somebody takes a connection to the port of SSH at one of ``addresses``, from here."""
    for address in addresses:
        try:
            with socket.create_connection((address, _PORT), _SECONDS):
                return True
        except OSError:
            continue
    return False


class Outside:
    """`drive.Work` by evidence. ``spoken``: a report of the running machine was handed over with this run."""

    def __init__(self, node: Node, template: Template, evidence: t.Sequence[Evidence], beats: Beats, provider: Hypervisor, spoken: bool,
                 now: t.Callable[[], float], reaches: t.Callable[[t.Sequence[str]], bool] = answers) -> None:  # fmt: skip
        self._node, self._template, self._evidence = node, template, tuple(evidence)
        self._beats, self._provider, self._spoken = beats, provider, spoken
        self._now, self._reaches = now, reaches

    def evidence(self, node: Node) -> t.Sequence[Evidence]:
        return self._evidence

    def reachable(self, node: Node) -> bool:
        machine = self._provider.machine
        return self._spoken or self._provider.recorded or (machine is not None and self._reaches(machine.addresses))

    def probe(self, step: LifeStep, instance: Instance) -> str:
        if step.action == "await_contact":
            return "done" if self._contacted(instance) else "not"
        if step.action == "enrol":
            return "done" if self._provider.recorded or self._said("enrol") else "not"
        if step.action == "undo":
            return "done" if self._said(step.subject, ("released",), ABOUT_UNDO) else "not"
        if step.action == "drain":
            return "done" if self._said(step.subject, stages=ABOUT_WORK) else "not"
        return "done" if self._nothing(step.subject, instance) or self._said(step.subject) else "not"

    def apply(self, step: LifeStep, instance: Instance) -> None:
        hook = "enrol" if step.action == "enrol" else step.subject
        said = [one for one in self._evidence if one.hook == hook]
        seen = "None was handed over" if not said else f"The last one says {said[-1].outcome} and is {self._now() - said[-1].observed_at:.0f} s old"
        seen += "".join(f"; {one['name']} stays: {one['reason']}" for one in said[-1].blockers[:5]) if said else ""
        does = {"enrol": "Enrol it", "drain": f"Run hook {hook}", "undo": f"Let hook {hook} take back what it has changed"}.get(step.action)
        remedy = f"{does or _ELSEWHERE.get(hook, 'Do it')}, then hand over evidence: [{{hook: {hook}, outcome: released}}]"
        remedy += " or a status of the machine that says enrolled: true." if step.action == "enrol" else "."
        message = f"{self._node.name}: evidence of {hook} is missing. {seen}; it counts for {EVIDENCE_FRESH:.0f} s."
        raise FleetError("evidence_missing", message, remedy, {"hook": hook, "step": step.action})

    def _said(self, hook: str, outcomes: t.Sequence[str] = ("empty", "released"), stages: t.Sequence[str] = ("", *STAGES)) -> bool:
        about = [one for one in self._evidence if one.hook == hook and one.stage in stages]
        said = [one for one in about if self._now() - one.observed_at < EVIDENCE_FRESH]
        return bool(said) and max(said, key=lambda one: one.observed_at).outcome in outcomes

    def _contacted(self, instance: Instance) -> bool:
        if self._provider.recorded:
            # Nothing boots in a recorder; its machines say that they are well, once for each time that they were switched on.
            boot = f"recorder-{instance.powered_at or 0:.0f}"
            self._beats.heard(Heartbeat(instance.id, 0.0, boot, _after(self._beats.last(instance.id)), True, True, True))
            return True
        machine = self._provider.machine
        return machine is not None and machine.power == "on" and self._reaches(machine.addresses)

    def _nothing(self, finalizer: str, instance: Instance) -> bool:
        """Whether there is nothing that this finalizer could take away."""
        if finalizer in ("hooks", "memberships"):
            return not self._node.hooks
        if finalizer == "dns":
            return not self._node.labels.get("dns_name")
        if finalizer == "volumes":
            return not self._template.volumes
        if finalizer == "credentials":
            beat = self._beats.last(instance.id)
            return beat is None or beat.certificate_not_after is None
        # Everything that the provider lays down for a machine goes with it, and nothing is written anywhere else.
        return finalizer == "traces"


def heard(params: Params, beats: Beats, instance: t.Optional[Instance]) -> t.Tuple[bool, t.List[str]]:
    """Keep the report of the option ``status``; whether that counts, and a warning when it does not."""
    if params["status"] is None:
        return False, []
    if instance is None or instance.power != "on":
        return False, ["status: no running machine of the node was known when it was taken, so it was not kept. Run state: present first."]
    beats.heard(heartbeat_of(params["status"], instance, beats.last(instance.id)))
    return True, []
