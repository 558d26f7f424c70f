# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_action`: one verb on the machine of one node, asked for once for each cause, allowed by policy and budget, closed by what is seen afterwards.

A power cycle is done here, under the lease, by the provider. Every other verb is done by whoever has begun it (`begin` writes the attempt before that)
and closed when the machine itself shows that it was done. Every run is foreseen on a copy of the store; in check mode that is all, with policy's answer.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .._core.result import Step, plain, result
from .._store import process
from .._store.database import Database
from .._store.model import utc
from .._store.store import StateStore
from .argspec import INSTANCE
from .beats import Beats
from .health import grade
from .hypervisor import Hypervisor
from .instance import World, declared
from .lease import Leases
from .machine.model import Sighting
from .model import Action, Instance, Json, Node
from .outside import heard
from .phase import Facts, phase
from .policy import AT_WORK, DECIDED_FOR, Answer, answer, asked_again, awaited, decided, snapshot, steps_to, tried_of, word_of
from .power import cycle, identity_of
from .recovery import DAY, RUNGS, Member, ladder
from .requests import Requests
from .store import Held, NodeStore, subject_of
from .wanted import asked

Params = t.Mapping[str, t.Any]

_LEASE = 300.0
_LADDER = "ladder"


def run_action(params: Params, world: World, check: bool = False) -> Json:
    """Bring one action into ``state``. Raises FleetError; whatever was done by then is recorded, and the same command goes on."""
    with world.open_store(True) as copy:
        foreseen = _Run(params, world, copy, True)
        steps = foreseen.plan()
        if check or not (steps or params["status"]):
            return foreseen.outcome(steps)
    with world.open_store(False) as database:
        run = _Run(params, world, database, False)
        return run.outcome(run.apply())


class _Run:
    """One command on one store."""

    def __init__(self, params: Params, world: World, database: Database, copy: bool) -> None:
        self._params, self._world = params, world
        self.store, self._requests, self._beats = NodeStore(database, world.clock), Requests(database, world.clock), Beats(database, world.clock)
        presence = (lambda _other, _me: "gone") if copy else process.presence
        self._leases = Leases(database, StateStore(database, world.owner, presence, world.clock), world.owner)
        self._provider: t.Optional[Hypervisor] = None
        name = params["name"] or self._requests.node_of(params["action_id"])
        if not name:
            raise FleetError("action_unknown", f"No action has the key {params['action_id']!r}.", "Take action.id of an earlier result, or name and verb.")
        self.node, self._template = declared(self.store, name)
        self.known = self.store.known(name)
        self.now = self.store.now()
        _said, self.warnings = heard(params, self._beats, self.known.instance)
        self.known = self.store.known(name)
        self._past = self._requests.of_node(name, self.now - DAY)
        self.verb, self.action = self._meant()
        self.answer = self._answer()

    # --- what is meant ------------------------------------------------------------------------------------------------------------

    def _meant(self) -> t.Tuple[str, t.Optional[Action]]:
        """The verb, and its action when there is one; for the ladder the rung that stands to be taken, one that was begun first."""
        params = self._params
        if params["action_id"]:
            found = next((one for one in self._requests.of_node(self.node.name) if one.key == params["action_id"]), None)
            return (found.verb if found is not None else ""), found
        mine = [one for one in self._requests.of_node(self.node.name) if one.fingerprint == params["fingerprint"]]
        verb = params["verb"]
        if verb == _LADDER:
            begun = next((one for one in mine if one.state == "running"), None)
            verb = begun.verb if begun is not None else self._rung()
        return verb, next((one for one in mine if one.verb == verb), None)

    def _rung(self) -> str:
        """The rung that is next for a silent machine. Raises FleetError where none is."""
        facts = Facts(self.now, self._live(), self._sighting(), self.known.heartbeat, self.known.receivers, self.known.actions)
        if grade(facts) not in ("silent", "lost"):
            raise FleetError("held", f"{self.node.name} is not silent ({grade(facts)}), so no rung of the ladder is taken. Nothing was done.",
                             "Look at its health with node_instance_info.", {"grade": grade(facts)})  # fmt: skip
        move = ladder(self.node, facts, self._params["ssh"], tried_of(self._past, self.now), self._group(), True)
        if not move.verb:
            raise _refused(self.node, Answer(_LADDER, "", move.code or "budget_exhausted", move.why, move.wait), "", move.names)
        return move.verb

    def _group(self) -> t.Tuple[Member, ...]:
        """The other members of its quorum group, or without one the other nodes of its template."""
        node = self.node
        others = [one for one in self.store.nodes() if one.name != node.name]
        same = [one for one in others if (one.quorum_group == node.quorum_group if node.quorum_group else one.template == node.template)]
        return tuple(self._member(one) for one in same)

    def _member(self, node: Node) -> Member:
        known = self.store.known(node.name)
        facts = Facts(self.now, known.instance, None, known.heartbeat, known.receivers, known.actions)
        quiet = grade(facts) in ("silent", "lost")
        well = phase(facts).phase == "running" and not quiet and known.instance is not None and not known.instance.cordoned_by
        return Member(well, quiet, any(self._at_work(one) for one in known.actions))

    def _at_work(self, action: Action) -> bool:
        """Whether a rung is being taken. One that nobody has ended for so long was left behind by a run that died."""
        begun = action.state == "running" and action.fingerprint and action.verb in dict(RUNGS)
        return bool(begun) and action.attempted_at is not None and self.now - action.attempted_at < AT_WORK

    def _answer(self) -> Answer:
        begun = self.action is not None and self.action.state == "running"
        if begun or self.verb == "":
            return Answer(self.verb, word_of(self.verb, self.node, self._params["policy"]) if self.verb else "")
        return answer(self.verb, self.node, self.now, self.action, tried_of(self._past, self.now), self._group(), self._params["policy"])

    def _live(self) -> Instance:
        if self.known.instance is None:
            raise FleetError("no_machine", f"{self.node.name} has no machine. Nothing was done.", "state: running of node_instance makes one.")
        return self.known.instance

    # --- plan ---------------------------------------------------------------------------------------------------------------------

    def plan(self) -> t.Tuple[Step, ...]:
        """The steps. Outside of check mode what forbids them is raised by `apply`; what cannot be is raised here."""
        steps = steps_to(self._params["state"], self.action, self.verb, self.now)
        if any(step.action == "ask" for step in steps):
            self._refuse_second()
        if steps and steps[-1].action == "close" and self.verb != "power_cycle" and not self._refusal(steps):
            self._prove()
        return steps

    def _refusal(self, steps: t.Sequence[Step]) -> bool:
        """Whether policy forbids one of these steps. What is only asked for is forbidden by a guard or a block, not by what is used up or not yet approved."""
        actions = {step.action for step in steps}
        return bool(self.answer.code) and ("begin" in actions or ("ask" in actions and self.answer.code == "held"))

    def _refuse_second(self) -> None:
        """Another cause of the same verb that has begun, node_instance's own among them. One that only waits gives way."""
        if self.action is None:
            self._live()
        for one in self.known.actions:
            begun = one.state == "running" and one.verb == self.verb
            if begun and (self.action is None or one.key != self.action.key):
                raise FleetError("conflict", f"{self.verb} of {self.node.name} has begun for {one.fingerprint or 'node_instance'}. Nothing was changed.",
                                 "Let it end, or stop it with state: aborted; what node_instance has begun it ends itself.", {"action": one.key})  # fmt: skip

    def _prove(self) -> None:
        action = self.action
        if action is None:
            return
        instance = next((one for one in self.store.instances(self.node.name, 1000) if one.id == action.instance), None)
        facts = Facts(self.now, self.known.instance, None, self.known.heartbeat, self.known.receivers, self.known.actions)
        missing = awaited(action, instance, self._beats.last(action.instance), self.known.instance, phase(facts).phase)
        if missing:
            raise FleetError("evidence_missing", f"{self.verb} of {self.node.name} is not proven: {missing} is not there. The action stays as it is.",
                             "Hand over status of the machine, or run sweep; then the same command again.", {"awaited": missing})  # fmt: skip

    # --- apply --------------------------------------------------------------------------------------------------------------------

    def apply(self) -> t.Tuple[Step, ...]:
        steps = self.plan()
        if self._refusal(steps):
            raise _refused(self.node, self.answer, self._waiting_key(steps))
        if not steps:
            return ()
        with self._held() as held:
            for step in steps:
                self._do(step, held)
        # What may be done after it.
        self.now, self._past = self.store.now(), self._requests.of_node(self.node.name, self.now - DAY)
        self.answer = self._answer()
        return steps

    def _held(self) -> t.ContextManager[Held]:
        given = {"verb": self.verb, "state": self._params["state"]}
        return self._leases.held(subject_of(self.node.name), "node_action", given, self._params["reason"], _LEASE)

    def _waiting_key(self, steps: t.Sequence[Step]) -> str:
        """Where an approval is missing, the action is asked for, so that there is something to approve; its key."""
        if self.answer.code != "approval_required" or self.action is not None or not steps or steps[0].action != "ask":
            return self.action.key if self.action is not None else ""
        with self._held() as held:
            self._do(steps[0], held)
        return self.action.key if self.action is not None else ""

    def _do(self, step: Step, held: Held) -> None:
        actor, now = self._world.owner.actor, self.store.now()
        if step.action == "ask":
            self._give_way(held)
            reason = self._params["reason"] or ""
            if self.action is None:
                instance = self._live().id
                key = f"{instance}/{self.verb}/{self._params['fingerprint']}"
                made = Action(instance, self.verb, key, "pending", actor=actor, fingerprint=self._params["fingerprint"], reason=reason, asked_at=now)
            else:
                made = asked_again(self.action, now)
            self._keep(held, made, "asked")
            return
        action = self.action
        if action is None:
            raise FleetError("action_unknown", f"{self.verb} of {self.node.name} is gone.", "Run the same command again.")
        if step.action == "power_cycle":
            self._cycle(held, action)
            return
        changed: t.Dict[str, Action] = {
            "approve": replace(action, decision="approved", decided_at=now, decided_by=actor),
            "reject": replace(action, decision="rejected", decided_at=now, decided_by=actor, state="rejected", ended_at=now),
            "begin": replace(action, state="running", attempts=action.attempts + 1, attempted_at=now, seen=snapshot(self.known.heartbeat)),
            "close": replace(action, state="complete", ended_at=now),
            "abort": replace(action, state="aborted", ended_at=now),
        }
        notify = step.action == "begin" and self.answer.word == "notify_and_proceed"
        self._keep(held, changed[step.action], _WORDS[step.action], "warn" if notify else "info")
        if notify:
            self.warnings.append(f"{self.verb} of {self.node.name} has begun for {action.fingerprint}: policy says to tell and go on.")

    def _keep(self, held: Held, action: Action, word: str, severity: str = "info") -> None:
        self.action = self._requests.keep(held, self.node.name, action, word, self._world.owner.actor, severity)

    def _give_way(self, held: Held) -> None:
        for one in self.known.actions:
            if one.verb == self.verb and one.fingerprint and one.state == "pending" and (self.action is None or one.key != self.action.key):
                gone = replace(one, state="aborted", ended_at=self.store.now())
                self._requests.keep(held, self.node.name, gone, "aborted", self._world.owner.actor)

    def _cycle(self, held: Held, action: Action) -> None:
        try:
            cycle(self.store, held, self._machines(), self.node.name, action.asked_at or 0.0, self._params["wait_timeout"], self._world.pause)
        except FleetError as error:
            if error.code != "lease_lost":
                self._keep(held, replace(action, state="failed", ended_at=self.store.now()), "failed", "high")
            raise

    # --- the provider -------------------------------------------------------------------------------------------------------------

    def _machines(self) -> Hypervisor:
        if self._provider is None:
            given = {"name": self.node.name, "state": "running", "mode": self._params["mode"], "provider_options": self._params["provider_options"]}
            read = ArgumentSpecValidator(INSTANCE).validate(given)
            if read.error_messages:
                wrong = [Finding("option_invalid", "fail", field="provider_options", message=words, remedy="Correct it.") for words in read.error_messages]
                raise failure(wrong, "Nothing was done.")
            instance = self._live()
            wanted = asked(read.validated_parameters, self.node, self._template, instance, self._world.host, self._world.owner.actor)
            self._provider = Hypervisor(self._world.call, wanted.host, wanted.credentials)
        return self._provider

    def _sighting(self) -> Sighting:
        return self._machines().read(identity_of(self.store, self._live()))

    # --- result -------------------------------------------------------------------------------------------------------------------

    def outcome(self, steps: t.Sequence[Step]) -> Json:
        said = plain(self.answer)
        done = result(steps, before=None, after=None, warnings=self.warnings, action=self._shown(), answer=said)
        return {**done, "diff": {"before": "", "after": ""}}

    def _shown(self) -> t.Optional[Json]:
        action = self.action
        if action is None:
            return None
        until = action.decided_at + DECIDED_FOR if action.decided_at is not None else None
        return {
            "id": action.key, "node": self.node.name, "instance": action.instance, "verb": action.verb, "fingerprint": action.fingerprint,
            "state": action.state, "reason": action.reason, "actor": action.actor, "attempts": action.attempts, "asked_at": utc(action.asked_at),
            "attempted_at": utc(action.attempted_at), "ended_at": utc(action.ended_at), "decision": decided(action, self.store.now()),
            "decided_by": action.decided_by, "decided_until": utc(until), "runnable": action.state in ("pending", "failed") and not self.answer.code,
        }  # fmt: skip


_WORDS: t.Mapping[str, str] = {"approve": "approved", "reject": "rejected", "begin": "begun", "close": "complete", "abort": "aborted"}
_REMEDIES: t.Mapping[str, str] = {
    "approval_required": "node_action with state: approved and this action_id, after a look at the machine; then the same command again.",
    "budget_exhausted": "Wait, and look for what is really wrong: its console, its journal, what changed before.",
    "observer_down": "Let somebody else look: SSH, or the power that its provider shows; see that the sweep runs.",
    "quorum_risk": "Repair or add a member first.",
    "held": "Take the guard off with its owner, or change the rule.",
    "identity_mismatch": "Find out whose machine it is; it is not touched.",
}


def _refused(node: Node, said: Answer, key: str, names: t.Sequence[str] = ()) -> FleetError:
    wait = f" In {said.wait:.0f} s there may be more." if said.wait else ""
    look = f" Look at: {', '.join(names)}." if names else ""
    details: Json = {"verb": said.verb, "policy": said.word, "wait": said.wait, "action": key}
    message = f"{said.verb} of {node.name}: {said.why}.{wait}{look} Nothing was done."
    return FleetError(said.code, message, _REMEDIES.get(said.code, "Mend what is named."), details)
