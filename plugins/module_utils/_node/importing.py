# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_import`: rows of a store that was lost, made again from what machines carry and from what is declared.

A machine carries fleet, instance, node, generation, the hash of its attributes and the attributes themselves; its host knows when it was made and whether
it is on. Template and node are declared as they were the first time. Nobody knows any more who was cordoned, drained or about to end, and what happened
before. Every run is foreseen on a copy of the store, which is all that check mode does; a store that has other rows is refused, not written over.
"""

from __future__ import annotations

import collections
import time
import typing as t
from dataclasses import asdict, dataclass, field, replace

from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .._core.result import Step, plain, result
from .._store import process
from .._store.database import Database
from .._store.model import Owner
from .._store.store import StateStore
from .beats import Beats
from .health import health
from .lease import Leases
from .machine.model import Observed, Unknown
from .machine.options import identity_of
from .model import Instance, Json, Node
from .phase import Facts, phase
from .provider.model import observed, troubled
from .run import declared_node, declared_template, run_node, run_template, steps_of
from .status import read
from .store import NodeStore, subject_of
from .sweep import sweep
from .wanted import PLACED

Params = t.Mapping[str, t.Any]

# What no machine carries; the import writes what stands behind each.
UNKNOWN: t.Mapping[str, str] = {
    "created_at": "the birth of the machine; the row was written a moment before it",
    "desired": "running or stopped, as its power is",
    "phase_since": "the moment of the import",
    "powered_at": "nothing; it is known again when it is switched on the next time",
    "contacted_at": "nothing; its next heartbeat says it",
    "cordoned_by": "nothing: it takes new work; cordon it again",
    "drained_at": "nothing; drain it again",
    "delete_requested_at": "nothing; terminate it again",
    "finalizers": "nothing; terminating it again begins with the first one",
    "skipped": "nothing",
    "missing_since": "nothing",
    "missed_at": "nothing",
    "terminated_at": "nothing: machines that are gone have no row",
    "lease_number": "that of the import",
}
_AS_NEW = {"state": "present", "reason": "the store was lost"}
_ONCE_MORE = "Mend it, then run the same command again; what is imported already stays as it is."


@dataclass(frozen=True)
class Stood:
    """A machine that its host shows. ``kind`` is its provider, ``place`` the host and where on it, as the row of an instance has it."""

    machine: Observed
    kind: str
    place: t.Mapping[str, str]

    def said(self) -> str:
        tag = self.machine.identity
        return f"{self.machine.provider_id} on {self.place['host']}" + (f" (instance {tag.instance_id}, generation {tag.generation})" if tag else "")


@dataclass
class Judged:
    """``good`` are machines by their node; ``barred`` are nodes for which nothing is imported, and ``findings`` say why."""

    good: t.Dict[str, Stood] = field(default_factory=dict)
    barred: t.Set[str] = field(default_factory=set)
    findings: t.List[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class World:
    """What an import stands on. ``authority`` gives the fingerprint of the CA that the controller has for a fleet, empty without one."""

    open_store: t.Callable[[bool], t.ContextManager[Database]]
    owner: Owner
    authority: t.Callable[[str], str]
    clock: t.Callable[[], float] = time.time


def run_import(params: Params, world: World, check: bool = False) -> Json:
    """Write what is missing. Raises FleetError, with nothing written, for declarations that are wrong and for a store that says something else."""
    with world.open_store(True) as copy:
        outcome = _Import(params, world, copy, True).run()
    if check or not (outcome["plan"] or params["statuses"]):
        return outcome
    with world.open_store(False) as database:
        return _Import(params, world, database, False).run()


def place_of(given: Params) -> Json:
    """The host and where on it, as the row of an instance keeps it."""
    return {"host": given["host"], **{name: str(given[name]) for name in ("uri", "folder") if given[name]}}


def shown_machines(given: t.Sequence[Params]) -> t.Tuple[t.List[Stood], t.List[Finding]]:
    """Every machine that hosts have answered with, and a finding for each host that has not (no answer is no empty list) and each tag that is none."""
    found, wrong = [], []
    for one in given:
        where = f"{one['host']}, {one['kind'] or 'any provider'}"
        place = place_of(one)
        answers = [observed(machine) for machine in one["answer"].get("machines") or ()]
        unknown = troubled(one["answer"]) or next((answer for answer in answers if isinstance(answer, Unknown)), None)
        if unknown is not None or "machines" not in one["answer"]:
            said = unknown.message if unknown is not None else "it was not asked"
            wrong.append(Finding("provider_unavailable", "fail", where, f"Nobody knows which machines stand there: {said}", _ONCE_MORE))
            continue
        for machine in answers:
            if isinstance(machine, Observed) and machine.identity is not None:
                try:
                    # Fleet and node become names of files and of locks.
                    identity_of(asdict(machine.identity))
                except FleetError as error:
                    wrong.append(Finding("identity_mismatch", "fail", where, f"{machine.provider_id}: {error.message} It is left alone.", "Look at its tag."))
                    continue
                found.append(Stood(machine, one["kind"], place))
    return found, wrong


def fleet_of(named: str, known: str, found: t.Sequence[Stood]) -> str:
    """The fleet whose rows are made: the one that is named, that of the store, or the only one whose tag machines carry. Raises FleetError."""
    carried = collections.Counter(stood.machine.identity.fleet for stood in found if stood.machine.identity is not None)
    if named or known in carried or not carried:
        return named or known
    if len(carried) > 1:
        listed = ", ".join(f"{fleet} ({count})" for fleet, count in sorted(carried.items()))
        raise FleetError("option_invalid", f"Machines of {len(carried)} fleets stand there: {listed}. Nothing was imported.", "Name one of them in fleet.")
    return next(iter(carried))


def judged(found: t.Sequence[Stood], fleet: str, nodes: t.Collection[str], rows: t.Sequence[Instance]) -> Judged:
    """Which machines become rows of ``fleet``. ``nodes`` are known by name; ``rows`` are all that the store has, ended ones among them. Pure."""
    judgement = Judged()
    ours: t.List[Stood] = []
    for stood in found:
        tag = stood.machine.identity
        if tag is not None and tag.fleet != fleet:
            message = f"{stood.said()} carries the tag of fleet {tag.fleet}, and this is {fleet}. It is left alone."
            judgement.findings.append(Finding("identity_mismatch", "warn", tag.node, message, "Nothing, when another fleet has machines there."))
        elif tag is not None:
            ours.append(stood)
    for name in ("instance_id", "node"):
        for value, same in _grouped(ours, name).items():
            if len(same) > 1:
                judgement.barred |= {str(getattr(stood.machine.identity, "node")) for stood in same}
                listed = "; ".join(stood.said() for stood in same)
                message = f"{len(same)} machines carry {'instance' if name == 'instance_id' else 'node'} {value}: {listed}. Nothing was imported for it."
                judgement.findings.append(Finding("duplicate_machine", "fail", value, message, "Find out which one does the work and remove the other one by "
                                                  "hand, node_machine with its identity and state: absent; then run the same command again."))  # fmt: skip
    for stood in ours:
        _judge(stood, nodes, rows, judgement)
    judgement.findings = list(dict.fromkeys(judgement.findings))
    return judgement


def _grouped(found: t.Sequence[Stood], name: str) -> t.Dict[str, t.List[Stood]]:
    groups: t.Dict[str, t.List[Stood]] = {}
    for stood in found:
        groups.setdefault(str(getattr(stood.machine.identity, name)), []).append(stood)
    return groups


def _judge(stood: Stood, nodes: t.Collection[str], rows: t.Sequence[Instance], judgement: Judged) -> None:
    tag = stood.machine.identity
    if tag is None or tag.node in judgement.barred:
        return
    if tag.node not in nodes:
        message = f"{stood.said()} carries the tag of node {tag.node}, which nobody has declared. Nothing was imported for it."
        judgement.findings.append(Finding("node_unknown", "fail", tag.node, message, "Declare the node as it was, in nodes; or remove that machine."))
        return
    words = [words for words in (_contradicts(stood, row_of(stood, 0.0), row) for row in rows) if words]
    if words:
        judgement.barred.add(tag.node)
        judgement.findings.append(_conflict(tag.node, f"{words[0]} Nothing was imported for it."))
    else:
        judgement.good[tag.node] = stood


def _contradicts(stood: Stood, made: Instance, row: Instance) -> str:
    """Why a row of the store and a machine cannot both be right; empty when they can."""
    live = row.terminated_at is None
    if live and row.id == made.id:
        differs = [name for name in ("node", "provider", "generation", "spec_hash") if getattr(row, name) != getattr(made, name)]
        differs += ["provider_id"] if row.provider_id not in ("", made.provider_id) else []
        return f"The row of {made.node} and {stood.said()} differ in {', '.join(differs)}." if differs else ""
    if row.id == made.id or (row.node == made.node and (live or row.generation >= made.generation)):
        words = "" if live else ", which has ended,"
        return f"The store has instance {row.id}, generation {row.generation},{words} for node {row.node}, and there is {stood.said()}."
    return ""


def _conflict(node: str, message: str) -> Finding:
    return Finding("conflict", "fail", node, message, "Name the store that was lost in store. In a store that is right, node_instance and its adopt, or state: "
                   "absent, decide about a machine.")  # fmt: skip


def row_of(stood: Stood, now: float) -> Instance:
    """The row of a machine by what it carries. ``now`` stands for the birth of one whose host does not know it."""
    machine, tag = stood.machine, stood.machine.identity
    if tag is None:
        raise ValueError(f"{machine.provider_id} carries no tag")
    spec = {**(machine.details.get("declared") or {}), PLACED: dict(stood.place)}
    made = Instance(tag.instance_id, tag.node, stood.kind, tag.generation, now if machine.created_at is None else machine.created_at, spec, tag.spec_hash,
                    "stopped" if machine.power == "off" else "running", provider_id=machine.provider_id, machine_created_at=machine.created_at,
                    power=machine.power, addresses=machine.addresses)  # fmt: skip
    return replace(made, phase=phase(Facts(now, made, machine)).phase, phase_since=now)


class _Import:
    """One import into one store."""

    def __init__(self, params: Params, world: World, database: Database, copy: bool) -> None:
        self._params, self._world = params, world
        self._store = NodeStore(database, world.clock)
        presence = (lambda _other, _me: "gone") if copy else process.presence
        self._leases = Leases(database, StateStore(database, world.owner, presence, world.clock), world.owner)
        self._beats = Beats(database, world.clock)
        self._steps: t.List[Step] = []

    def run(self) -> Json:
        store, params = self._store, self._params
        before = self._rows()
        found, wrong = shown_machines(params["machines"])
        fleet = fleet_of(params["fleet"] or "", store.named(), found)
        declared = {one["name"]: one for one in params["nodes"]}
        self._refuse_declared()
        judgement = judged(found, fleet, {*declared, *(node.name for node in store.nodes())}, store.instances(None, 1_000_000))
        self._name(fleet)
        waiting = self._waiting(judgement, wrong)
        for name in sorted(set(declared) - judgement.barred - set(waiting)):
            if store.node(name) is None:
                run_node({**declared[name], **_AS_NEW}, store, self._leases)
                self._did("declare_node", name)
        findings = [*wrong, *judgement.findings, *waiting.values()]
        instances = [self._imported(node, stood, findings) for node, stood in sorted(judgement.good.items())]
        heard, not_heard = self._heard()
        for entry in instances:
            entry.update(self._shown(entry["node"], judgement.good[entry["node"]].machine))
        return result(self._steps, before=before, after=self._rows(), warnings=[], fleet=fleet, instances=instances, heard=heard, not_heard=not_heard,
                      findings=[finding.as_dict() for finding in findings], unknown=dict(UNKNOWN))  # fmt: skip

    def _refuse_declared(self) -> None:
        """Declare templates; raise for everything declared that is wrong, or that the store has otherwise. In the pass on the copy this comes first."""
        store, wrong = self._store, []
        for one in self._params["templates"]:
            known = store.template(one["name"])
            try:
                wanted = declared_template(one, known)
            except FleetError as error:
                wrong += _findings(error)
                continue
            steps = steps_of("template", one["name"], known, wanted)
            if known is not None and steps:
                wrong.append(_conflict(one["name"], f"The store has template {one['name']}, and not as it is declared: {steps[0].reason}."))
            elif steps and not wrong:
                run_template({**one, **_AS_NEW}, store, self._leases)
                self._did("declare_template", one["name"])
        for one in self._params["nodes"]:
            row = store.node(one["name"])
            try:
                node: Node = declared_node(one, store, row)
            except FleetError as error:
                wrong += _findings(error)
                continue
            steps = steps_of("node", one["name"], row, node) if row is not None else []
            if steps:
                wrong.append(_conflict(one["name"], f"The store has node {one['name']}, and not as it is declared: {steps[0].reason}."))
        names = [one["name"] for one in self._params["nodes"]]
        for name in sorted({name for name in names if names.count(name) > 1}):
            wrong.append(Finding("option_invalid", "fail", name, f"nodes has {name} more than once.", "Correct the option.", "nodes"))
        if wrong:
            raise failure(wrong, "Nothing was imported.")

    def _did(self, action: str, name: str) -> None:
        self._steps.append(Step(action, f"{name} is not in the store"))

    def _name(self, fleet: str) -> None:
        store = self._store
        if fleet and store.named() != fleet:
            store.keep_fleet(fleet)
            self._did("name_fleet", f"fleet {fleet}")
        fingerprint = self._world.authority(fleet) if fleet else ""
        if fingerprint and not store.ca_fingerprint():
            store.keep_ca_fingerprint(fingerprint)
            self._did("know_authority", f"CA {fingerprint[:16]}")

    def _waiting(self, judgement: Judged, wrong: t.Sequence[Finding]) -> t.Dict[str, Finding]:
        """Declared nodes whose machine may stand where nobody has answered. Declared now, they could get a second one."""
        waiting: t.Dict[str, Finding] = {}
        silent = [finding for finding in wrong if finding.code == "provider_unavailable"]
        said = {one["node"]: _instance_in(one["text"]) for one in self._params["statuses"] if one["reached"]}
        for name in sorted({one["name"] for one in self._params["nodes"]} - set(judgement.good) - judgement.barred):
            if self._store.node(name) is not None:
                continue
            if silent:
                where = ", ".join(sorted({finding.object for finding in silent}))
                message = f"The machine of {name} was not found, and may stand where nobody has answered: {where}. The node is not declared."
            elif said.get(name):
                message = f"{name} answers over SSH as instance {said[name]}, and no host that was asked has that machine. The node is not declared."
            else:
                continue
            waiting[name] = Finding("provider_unavailable", "fail", name, message, "Let the host that has it be asked, then run the same command again.")
        return waiting

    def _imported(self, node: str, stood: Stood, findings: t.List[Finding]) -> Json:
        store, made = self._store, row_of(stood, self._store.now())
        entry: Json = {"node": node, "instance": made.id, "provider_id": made.provider_id, "generation": made.generation, "outcome": "kept"}
        if store.live(node) is not None:
            return entry
        reason = self._params["reason"]
        try:
            with self._leases.held(subject_of(node), "node_import", {"instance": made.id}, reason) as held:
                store.restore(held, made, reason or _AS_NEW["reason"], self._world.owner.actor)
                self._did("import_instance", stood.said())
        except FleetError as error:
            if error.code != "locked":
                raise
            findings.append(Finding.of_error(error, node))
            return {**entry, "outcome": "locked"}
        return {**entry, "outcome": "imported"}

    def _heard(self) -> t.Tuple[int, t.List[Json]]:
        """How many heartbeats were kept, and of whom none was and why; those of machines that have no row are not kept."""
        if not self._params["statuses"]:
            return 0, []
        said = sweep({"statuses": self._params["statuses"], "receiver": "import", "interval": self._params["interval"]}, self._store, self._beats)
        return int(said["heard"]), [{name: one[name] for name in ("name", "outcome", "message")} for one in said["nodes"] if one["outcome"] != "heard"]

    def _shown(self, node: str, machine: Observed) -> Json:
        known = self._store.known(node)
        facts = Facts(self._store.now(), known.instance, machine, known.heartbeat, known.receivers, known.actions)
        verdict = phase(facts)
        return {"phase": verdict.phase, "reason": verdict.reason, "health": health(facts, verdict)}

    def _rows(self) -> Json:
        """What an import adds to, for the diff."""
        live = [one for one in self._store.instances(None, 1_000_000) if one.terminated_at is None]
        return {
            "fleet": self._store.named(),
            "templates": [template.name for template in self._store.templates()],
            "nodes": [node.name for node in self._store.nodes()],
            "instances": plain({one.node: {"id": one.id, "provider_id": one.provider_id, "generation": one.generation} for one in live}),
        }


def _instance_in(text: str) -> str:
    """The instance that a machine says it is; empty when it says nothing that can be read."""
    try:
        return read(text).instance
    except FleetError:
        return ""


def _findings(error: FleetError) -> t.List[Finding]:
    found = [Finding.of_dict(one) for one in error.details.get("findings") or ()]
    return found or [Finding.of_error(error)]
