# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A life driven: look at the world, refuse what cannot be, then do the plan step by step, each one proven before the next.

Each step is probed first: what is done already is passed over, what nobody knows is waited for, never done on a guess. The attempt is written down,
under the lease, before each call to a provider; so a run that was killed anywhere is continued by the same command, and a run that lost its node stops
before its next call. What is done on the machine itself is somebody else's `Work`.
"""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import replace

from .._core.errors import FleetError
from .._core.faults import hit
from .._core.wait import Deadline
from .boot import CALLS, Boot
from .contradiction import refuse
from .finalizers import NAMES, in_order, stands_before
from .health import conditions, grade, shown
from .machine.model import Identity, NotFound, Observed, Unknown
from .model import LASTING, ActionStep, Instance, Node, Skip
from .phase import VANISHED_AFTER, Clocks, Facts, came_true, is_ours, phase, seen
from .plan import Desired, LifeStep, View, create_verdict, destroy_verdict, plan
from .protocols import Provider, Work
from .store import Held, NodeStore
from .transitions import BY_ID, limit

# Steps that belong to the end of a machine: one that fails holds back what waits for it, and nothing else.
_ENDING = ("finish", "skip", "drain", "cordon", "mark_drained")
_POLL = 2.0
# Seconds in which a machine may do what it was asked for before it is asked once more, then without asking it.
_PATIENCE = 120.0


class Life(Boot):
    """The life of one node under one lease. ``pause`` waits so many seconds; time is the store's."""

    def __init__(self, store: NodeStore, held: Held, provider: Provider, work: Work, pause: t.Callable[[float], None],
                 clocks: t.Optional[Clocks] = None, new_id: t.Callable[[], str] = lambda: str(uuid.uuid4()), own_host: bool = False) -> None:  # fmt: skip
        self._store, self._held = store, held
        self._provider, self._work, self._pause = provider, work, pause
        self._clocks, self._new_id, self._own_host = clocks or Clocks(), new_id, own_host
        self._fleet = store.fleet()
        self._node = Node("", "")
        self._desired = Desired("present")
        self._does: t.Dict[str, t.Callable[[LifeStep], None]] = {
            "reserve": self._reserve, "adopt": self._adopt, "create_machine": self._create, "power_on": self._power_on, "power_off": self._power_off,
            "await_contact": self._contact, "await_services": self._services, "cordon": self._cordon, "uncordon": self._uncordon,
            "mark_drained": self._mark_drained, "request_delete": self._request_delete, "finish": self._finish, "skip": self._skip, "close": self._close,
            "sweep": self._sweep, "forget_credentials": self._forget, "enrol": self._elsewhere, "drain": self._elsewhere, "undo": self._elsewhere,
        }  # fmt: skip

    def foresee(self, node: Node, desired: Desired) -> t.Tuple[View, t.Tuple[LifeStep, ...]]:
        """What is known of ``node``, and the steps that `run` would do now. Raises FleetError with everything that stands in the way."""
        self._node, self._desired = node, desired
        view = self.look()
        refuse(view, desired)
        return view, plan(view, desired)

    def run(self, node: Node, desired: Desired) -> t.List[LifeStep]:
        """Bring ``node`` to ``desired.state``; the steps that were done. Raises FleetError, with everything that is left, when it does not get there."""
        _view, steps = self.foresee(node, desired)
        done: t.List[LifeStep] = []
        failed: t.Dict[str, FleetError] = {}
        for step in steps:
            if failed and not self._may(step, failed):
                continue
            try:
                self._do(step)
                done.append(step)
            except FleetError as error:
                if error.code == "lease_lost" or step.action not in _ENDING or desired.state not in ("absent", "present", "running"):
                    raise
                failed[step.subject if step.action in ("finish", "skip") else "drain"] = error
        hit("I5")
        self._note()
        if failed:
            raise self._pending(failed)
        return done

    def look(self) -> View:
        """The node as it is now. What a provider does not find, and has shown before, is looked for until that is settled."""
        deadline = Deadline(VANISHED_AFTER + 4 * _POLL, self._store.now, self._pause)
        while True:
            view = self._view()
            instance, sighting = view.instance, view.facts.sighting
            unsettled = isinstance(sighting, NotFound) and instance is not None and instance.provider_id and not view.vanished()
            if not (unsettled or isinstance(sighting, Unknown)) or deadline.expired():
                return view
            self._wait(deadline)

    def _view(self) -> View:
        facts = self._facts()
        instance, sighting = facts.instance, facts.sighting
        others = tuple(
            other for other in self._provider.list(self._identity(instance or self._fresh()))
            if not (isinstance(sighting, Observed) and other.provider_id == sighting.provider_id)
        )  # fmt: skip
        evidence, reachable = tuple(self._work.evidence(self._node)), self._work.reachable(self._node)
        return View(self._node, facts, self._fleet, others, evidence, self._group(), self._own_host, reachable)

    def _group(self) -> t.Dict[str, bool]:
        """Whether each other member of the node's quorum group takes work now, as far as the store knows."""
        if not self._node.quorum_group:
            return {}
        members = [node.name for node in self._store.nodes() if node.quorum_group == self._node.quorum_group and node.name != self._node.name]
        return {name: self._takes_work(name) for name in members}

    def _takes_work(self, name: str) -> bool:
        known = self._store.known(name)
        facts = Facts(self._store.now(), known.instance, None, known.heartbeat, known.receivers, known.actions)
        well = phase(facts).phase == "running" and grade(facts) in ("ok", "late", "unknown")
        return well and known.instance is not None and not known.instance.cordoned_by

    def _facts(self) -> Facts:
        """Everything about the live instance, the provider's answer among it; what that says is kept."""
        found = self._store.live(self._node.name)
        if found is None:
            return Facts(self._store.now(), clocks=self._clocks)
        sighting = self._provider.read(self._identity(found))
        # Read after the answer: a heartbeat may have come meanwhile.
        known = self._store.known(self._node.name)
        if known.instance is None:
            return Facts(self._store.now(), clocks=self._clocks)
        now = self._store.now()
        facts = Facts(now, seen(known.instance, sighting, now), sighting, known.heartbeat, known.receivers, known.actions, clocks=self._clocks)
        # A run that was killed behind its call has left it open; what came of it is there to see. It is written down before the call is over:
        # between the two, nobody would know that there is a machine.
        over = came_true(facts)
        facts = replace(facts, actions=tuple(action for action in facts.actions if action.verb not in over))
        facts = replace(facts, instance=self._kept(known.instance, facts, reason=phase(facts).reason))
        for verb in over:
            self._store.over(self._held, found.id, verb)
        return facts

    def _identity(self, instance: Instance) -> Identity:
        return Identity(self._fleet, instance.id, instance.node, instance.node, instance.spec_hash, instance.generation)

    def _fresh(self) -> Instance:
        wanted = self._desired
        return Instance(self._new_id(), self._node.name, wanted.provider, 0, 0.0, wanted.spec, wanted.spec_hash, wanted.state)

    def _live(self) -> Instance:
        instance = self._store.live(self._node.name)
        if instance is None:
            raise self._gone()
        return instance

    def _gone(self) -> FleetError:
        return FleetError("no_machine", f"{self._node.name} has no machine any more.", "Run the same command again.")

    def _keep(self, event: str = "", reason: str = "", **changed: t.Any) -> Instance:
        known = self._store.known(self._node.name)
        if known.instance is None:
            raise self._gone()
        instance = replace(known.instance, **changed)
        facts = Facts(self._store.now(), instance, None, known.heartbeat, known.receivers, known.actions, clocks=self._clocks)
        return self._kept(known.instance, facts, event, reason)

    def _kept(self, before: Instance, facts: Facts, event: str = "", reason: str = "") -> Instance:
        """The instance of ``facts`` with the phase that they give, written when that or anything else is new."""
        if facts.instance is None:
            raise self._gone()
        after = shown(facts.instance, phase(facts), facts.now)
        return self._store.save(self._held, after, (), event, reason, self._desired.actor) if after != before or event else after

    def _note(self) -> None:
        facts = self._facts()
        if facts.instance is not None:
            state = self._desired.state
            kept = replace(facts.instance, desired=state) if state in LASTING else facts.instance
            self._store.save(self._held, kept, conditions(facts, phase(facts), self._store.conditions(facts.instance.id)))

    # --- steps --------------------------------------------------------------------------------------------------------------------

    def _may(self, step: LifeStep, failed: t.Mapping[str, FleetError]) -> bool:
        if step.action in ("finish", "skip"):
            return step.subject not in failed and not stands_before(step.subject, self._live().finalizers)
        return step.action in _ENDING and "drain" not in failed

    def _do(self, step: LifeStep) -> None:
        started, instance = self._store.now(), self._store.live(self._node.name)
        hit("I1")
        self._does[step.action](step)
        hit("I4")
        instance = instance or self._store.live(self._node.name)
        if instance is not None:
            name = f"{step.action} {step.subject}".strip()
            self._store.did(self._held, ActionStep(instance.id, name, step.probe, "done", started, self._store.now()))

    def _until(self, probe: t.Callable[[], str], way: str, code: str, what: str, apply: t.Optional[t.Callable[[], None]] = None, calls: int = 1) -> None:
        """Probe until it is done. Where it is not, ``apply`` is called, ``calls`` times at most with patience between; where nobody knows, it is waited."""
        deadline = Deadline(limit(BY_ID[way], self._clocks) or 0.0, self._store.now, self._pause)
        due = self._store.now()
        while True:
            seen_now = probe()
            if seen_now == "done":
                return
            if seen_now == "not" and apply is not None and calls and self._store.now() >= due:
                calls, due = calls - 1, self._store.now() + _PATIENCE
                apply()
                continue
            if deadline.expired():
                raise FleetError(code, f"{self._node.name}: waited {deadline.seconds:g} s for {what}; last seen: {seen_now}.",
                                 "Run the same command again; nothing is made twice.", {"last_seen": seen_now, "waited": deadline.seconds})  # fmt: skip
            self._wait(deadline)

    def _wait(self, deadline: Deadline) -> None:
        """A pause, with a sign of life behind it: a run that waits for a slow machine is not taken for dead."""
        deadline.pause(_POLL)
        self._store.alive(self._held)

    def _reserve(self, _step: LifeStep) -> None:
        self._store.reserve(self._held, self._fresh(), self._desired.actor)

    def _adopt(self, step: LifeStep) -> None:
        found = [one.identity for one in self._provider.list(self._identity(self._fresh())) if one.provider_id == step.subject]
        if not found or found[0] is None:
            raise FleetError("no_machine", f"{step.subject} is there no more. Nothing was adopted.", "Run the same command again.")
        # The row takes the id that the machine carries: a tag is never written over.
        self._store.reserve(self._held, replace(self._fresh(), id=found[0].instance_id, spec_hash=found[0].spec_hash), self._desired.actor)
        self._facts()

    def _create(self, _step: LifeStep) -> None:
        def probe() -> str:
            facts = self._facts()
            verdict = create_verdict(facts)
            if verdict == "foreign" and isinstance(facts.sighting, Observed):
                raise FleetError("name_clash", f"{facts.sighting.provider_id} carries the name of {self._node.name}. It was not touched.",
                                 "Rename or remove that machine, or name the node otherwise.")  # fmt: skip
            return verdict

        def ask() -> None:
            # What was not found before a call says nothing of what the call makes.
            instance = self._keep(missing_since=None, missed_at=None)
            self._store.attempt(self._held, instance.id, "create", self._desired.actor)
            try:
                self._provider.create(self._identity(instance), instance.spec)
            except FleetError as error:
                # Refused in the host's own words: nothing is on its way, and the row waits for the next run.
                self._store.over(self._held, instance.id, "create", "failed")
                self._keep("create_refused", f"[{error.code}] {error.message}")
                raise

        self._until(probe, "T2", "provider_timeout", "the machine", ask, CALLS)
        self._store.over(self._held, self._live().id, "create")

    def _power_on(self, _step: LifeStep) -> None:
        self._power("start", "on", "T10")

    def _power_off(self, _step: LifeStep) -> None:
        self._power("stop", "off", "T9")

    def _power(self, verb: str, to: str, way: str) -> None:
        def probe() -> str:
            facts = self._facts()
            if not isinstance(facts.sighting, Observed) or facts.instance is None:
                return "unknown"
            if not is_ours(facts.sighting, facts.instance):
                raise _foreign(facts.sighting, facts.instance)
            return "done" if facts.sighting.power == to else "not"

        def ask() -> None:
            instance = self._live()
            asked = [one.attempted_at or 0.0 for one in self._store.actions(instance.id) if one.verb == verb]
            self._store.attempt(self._held, instance.id, verb, self._desired.actor)
            hard = to == "off" and self._desired.force and bool(asked) and self._store.now() - asked[0] >= _PATIENCE
            self._provider.power(self._identity(instance), "hard" if hard else to)

        self._until(probe, way, "provider_timeout", f"power {to}", ask, CALLS)
        self._store.over(self._held, self._live().id, verb)

    def _elsewhere(self, step: LifeStep) -> None:
        instance = self._live()
        way = "T6" if step.action in ("drain", "undo") else "T3" if step.action == "enrol" else "T11"
        code = {"T6": "drain_blocked", "T3": "no_contact"}.get(way, "finalizers_pending")
        self._until(lambda: self._work.probe(step, instance), way, code, step.probe, lambda: self._work.apply(step, instance))

    def _cordon(self, step: LifeStep) -> None:
        if step.subject == "drain":
            self._store.attempt(self._held, self._live().id, "drain", self._desired.actor)
        self._keep("cordoned", self._desired.reason, cordoned_by=step.subject)

    def _uncordon(self, _step: LifeStep) -> None:
        self._store.over(self._held, self._live().id, "drain", "cancelled")
        self._keep("uncordoned", self._desired.reason, cordoned_by="", drained_at=None)

    def _mark_drained(self, _step: LifeStep) -> None:
        self._store.over(self._held, self._live().id, "drain")
        self._keep("drained", cordoned_by=self._live().cordoned_by or "drain", drained_at=self._store.now())

    # --- the end ------------------------------------------------------------------------------------------------------------------

    def _request_delete(self, _step: LifeStep) -> None:
        self._keep("delete_requested", self._desired.reason, delete_requested_at=self._store.now(), finalizers=NAMES)

    def _finish(self, step: LifeStep) -> None:
        if step.subject == "guards":
            node = self._store.node(self._node.name) or self._node
            for guard in node.guarded(("protected", "no_stop"), self._store.now()):
                raise FleetError("held", f"Guard {guard.kind} holds for {node.name}. {guard.reason}".strip(), "Take it off with its owner first.")
        elif step.subject == "provider":
            self._destroy()
        elif step.subject != "drain":
            self._elsewhere(step)
        self._keep("finished", step.subject, finalizers=in_order(set(self._live().finalizers) - {step.subject}))

    def _skip(self, step: LifeStep) -> None:
        instance, wanted = self._live(), self._desired
        skip = Skip(step.subject, wanted.actor, wanted.reason or step.reason, self._store.now())
        left = in_order(set(instance.finalizers) - {step.subject})
        self._keep("skipped", f"{step.subject}: {skip.reason}", finalizers=left, skipped=(*instance.skipped, skip))

    def _destroy(self) -> None:
        def probe() -> str:
            facts = self._facts()
            verdict = destroy_verdict(facts)
            if verdict == "foreign" and isinstance(facts.sighting, Observed) and facts.instance is not None:
                raise _foreign(facts.sighting, facts.instance)
            return verdict

        def ask() -> None:
            instance = self._live()
            self._store.attempt(self._held, instance.id, "destroy", self._desired.actor)
            self._provider.destroy(self._identity(instance))

        self._until(probe, "T11", "provider_timeout", "the machine to be gone", ask, CALLS)

    def _close(self, _step: LifeStep) -> None:
        instance = self._live()
        if instance.finalizers:
            raise FleetError("finalizers_pending", f"Left for {self._node.name}: {', '.join(instance.finalizers)}.", "Run the same command again.")
        for action in self._store.actions(instance.id):
            # What was asked for is void with the machine, but for its end; a replacement is over when the next machine runs.
            if action.verb != "replace":
                self._store.over(self._held, instance.id, action.verb, "aborted" if action.fingerprint and action.verb != "terminate" else "complete")
        self._keep("closed", self._desired.reason, terminated_at=self._store.now())

    def _sweep(self, step: LifeStep) -> None:
        def found() -> t.List[Identity]:
            return [one.identity for one in self._provider.list(self._identity(self._fresh()))
                    if one.provider_id == step.subject and one.identity is not None and one.identity.fleet == self._fleet]  # fmt: skip

        def ask() -> None:
            for identity in found():
                self._provider.destroy(identity)

        self._until(lambda: "not" if found() else "done", "T11", "provider_timeout", f"{step.subject} to be gone", ask, CALLS)

    def _pending(self, failed: t.Mapping[str, FleetError]) -> FleetError:
        instance = self._store.live(self._node.name)
        left = instance.finalizers if instance is not None else ()
        said = " ".join(f"{name}: [{error.code}] {error.message}" for name, error in failed.items())
        return FleetError(
            "finalizers_pending",
            f"The end of {self._node.name} is not complete; left: {', '.join(left)}. {said}",
            "Mend what is named, then run the same command again; skip_finalizers passes one over by name.",
            {"left": list(left), "failures": {name: error.as_failure() for name, error in failed.items()}},
        )


def _foreign(found: Observed, instance: Instance) -> FleetError:
    tag = found.identity.instance_id if found.identity else "none"
    return FleetError("identity_mismatch", f"{found.provider_id} has tag {tag}, not {instance.id}. It was not touched.",
                      "Find out whose it is; skip_finalizers: [provider] lets go of ours.", {"provider_id": found.provider_id, "tag": tag})  # fmt: skip
