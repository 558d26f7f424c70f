# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_instance`: the machine of a node in a state. Where plan, store, provider and evidence meet.

Every run is foreseen on a copy of the store first. That is all that check mode does; and a run that has nothing to do ends there, without a lease.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict, dataclass

from .._core.errors import FleetError
from .._core.finding import failure
from .._core.result import plain, result
from .._store import process
from .._store.database import Database
from .._store.model import Owner, utc
from .._store.store import StateStore
from .beats import Beats
from .contradiction import contradiction
from .drive import Life
from .health import conditions, health
from .hypervisor import Call, Hypervisor
from .lease import Leases
from .model import LASTING, Instance, Json, Node, Template
from .outside import Outside, answers, evidence_of, heard
from .phase import Clocks, phase
from .plan import LifeStep, View
from .run import nearest
from .store import Held, NodeStore, subject_of
from .wanted import Asked, asked

Params = t.Mapping[str, t.Any]

# A guest may take two minutes to power off, in one call; a run on another machine that gives no sign of life for longer is taken over.
_LEASE = 300.0
# Steps in which the machine is looked at and nothing is done to it.
_WAITS = ("await_contact", "await_services")
_AFTER: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "create_machine": {"phase": "provisioning", "power": "on"}, "adopt": {"phase": "provisioning"}, "power_on": {"power": "on"},
    "power_off": {"power": "off", "phase": "stopped"}, "await_services": {"phase": "running"}, "cordon": {"scheduling": "cordoned"},
    "uncordon": {"scheduling": "schedulable", "phase": "running"}, "mark_drained": {"phase": "drained"},
    "reserve": {"phase": "pending", "scheduling": "schedulable", "power": ""}, "close": {"phase": "no_instance", "scheduling": "", "power": ""},
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """What a run stands on. ``open_store`` opens the store of the fleet, or a copy of it; ``host`` is the inventory name of the provider's host."""

    open_store: t.Callable[[bool], t.ContextManager[Database]]
    owner: Owner
    call: Call
    host: str
    pause: t.Callable[[float], None] = time.sleep
    clock: t.Callable[[], float] = time.time
    reaches: t.Callable[[t.Sequence[str]], bool] = answers


class _Run:
    """One command on one store."""

    def __init__(self, params: Params, world: World, database: Database, copy: bool) -> None:
        self.store = NodeStore(database, world.clock)
        self.node, self.template = declared(self.store, params["name"])
        self.known = self.store.live(self.node.name)
        self.wanted: Asked = asked(params, self.node, self.template, self.known, world.host, world.owner.actor)
        evidence, wrong = evidence_of(params["evidence"], self.store.now())
        if wrong:
            raise failure(wrong, "Nothing was changed.")
        presence = (lambda _other, _me: "gone") if copy else process.presence
        self._leases = Leases(database, StateStore(database, world.owner, presence, world.clock), world.owner)
        self._world, self._params = world, params
        beats = Beats(database, world.clock)
        spoken, self.warnings = heard(params, beats, self.known)
        asked_for = any(action.verb == "create" for action in self.store.known(self.node.name).actions)
        self.provider = Hypervisor(world.call, self.wanted.host, self.wanted.credentials, asked_for, self.wanted.proof)
        self._outside = Outside(self.node, self.template, evidence, beats, self.provider, spoken, world.clock, world.reaches)

    def foresee(self) -> t.Tuple[View, t.Tuple[LifeStep, ...]]:
        with self._held() as held:
            view, steps = self._life(held).foresee(self.node, self.wanted.desired)
        self.warnings += [finding.message for finding in contradiction(view, self.wanted.desired) if finding.level == "warn"]
        return view, steps

    def apply(self) -> t.Tuple[View, t.List[LifeStep]]:
        """What was done, and the node as it is after it."""
        with self._held() as held:
            life = self._life(held)
            try:
                steps = life.run(self.node, self.wanted.desired)
            except FleetError as error:
                raise self._explained(error) from error
            return life.look(), steps

    def _held(self) -> t.ContextManager[Held]:
        wanted = self.wanted.desired
        return self._leases.held(subject_of(self.node.name), "node_instance", {"state": wanted.state}, wanted.reason or None, _LEASE)

    def _life(self, held: Held) -> Life:
        return Life(self.store, held, self.provider, self._outside, self._world.pause, Clocks(boot_factor=self._params["boot_factor"]),
                    own_host=self._own_host())

    def _own_host(self) -> bool:
        """Whether the machine said that it is in the very boot that this run is in: random(4), boot_id. systemd-nspawn gives each machine one of its own."""
        beat = self.store.known(self.node.name).heartbeat
        return beat is not None and bool(beat.boot_id) and beat.boot_id == self._world.owner.boot

    def _explained(self, error: FleetError) -> FleetError:
        """What the host and the machine said last stands beside a wait that was in vain."""
        words = []
        if error.code in ("provider_timeout", "finalizers_pending") and self.provider.problems:
            words.append(f"The host said last: {self.provider.problems[-1]}")
        machine = self.provider.machine
        if error.code == "no_contact" and machine is not None and machine.identity is not None:
            lines = self.provider.console(machine.identity)
            words.append(f"The last lines of its console: {' | '.join(lines)}" if lines else "Its console is empty.")
        return FleetError(error.code, " ".join([error.message, *words]), error.remedy, error.details)


def run_instance(params: Params, world: World, check: bool = False) -> Json:
    """Bring the machine of one node to ``state``. Raises FleetError; whatever was done by then is recorded, and the same command goes on."""
    with world.open_store(True) as copy:
        foreseen = _Run(params, world, copy, True)
        before = foreseen.known
        view, planned = foreseen.foresee()
        asked_before = before is None or params["state"] not in LASTING or before.desired == params["state"]
        settled = not planned and view.instance == before and asked_before and params["status"] is None
        if check or settled:
            return _result(foreseen, view, view, planned)
    with world.open_store(False) as database:
        run = _Run(params, world, database, False)
        after, done = run.apply()
        return _result(run, view, after, done)


def declared(store: NodeStore, name: str) -> t.Tuple[Node, Template]:
    """A node with what its template gives. Raises FleetError ``node_unknown``, ``template_unknown``."""
    node = store.node(name)
    if node is None:
        raise FleetError("node_unknown", nearest("node", name, (one.name for one in store.nodes())), "Correct the name, or declare it with node.")
    template = store.template(node.template)
    if template is None:
        raise FleetError("template_unknown", nearest("template", node.template, (one.name for one in store.templates())), "Declare it with node_template.")
    return node.resolved(template), template


def _result(run: _Run, first: View, last: View, steps: t.Sequence[LifeStep]) -> Json:
    before = _axes(first)
    after = dict(before)
    for step in steps:
        after.update(_AFTER.get(step.action, {}))
    shown = result(
        steps, before=before, after=after, warnings=run.warnings,
        instance={**_shown(run.store, last), "host_key": run.provider.host_key},
        evidence={"mode": run.provider.mode, "host": run.provider.calls},
    )  # fmt: skip
    return {**shown, "changed": any(step.action not in _WAITS for step in steps)}


def _axes(view: View) -> t.Dict[str, t.Any]:
    """What of a machine a state is about."""
    instance = view.instance
    return {"phase": phase(view.facts).phase, "scheduling": instance.scheduling if instance else "", "power": view.facts.power() if instance else ""}


def _shown(store: NodeStore, view: View) -> Json:
    facts, instance = view.facts, view.instance
    verdict, machine = phase(facts), view.machine()
    known: t.Tuple[t.Any, ...] = conditions(facts, verdict, store.conditions(instance.id)) if instance is not None else ()
    return {
        "node": view.node.name,
        **_axes(view),
        "reason": verdict.reason,
        "health": health(facts, verdict),
        "guards": [guard.kind for guard in view.node.guards if guard.holds(facts.now)],
        "id": instance.id if instance else None,
        **(_row(instance) if instance else {}),
        "addresses": list(machine.addresses) if machine else [],
        "conditions": {one.type: {"status": one.status, "reason": one.reason, "message": one.message, "since": utc(one.since)} for one in known},
    }


def _row(instance: Instance) -> Json:
    names = ("provider", "provider_id", "generation", "spec", "spec_hash", "finalizers", "skipped")
    row: Json = plain(asdict(instance))
    return {**{name: row[name] for name in names}, "created_at": utc(instance.created_at)}
