# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`swarm_service`: one service with the count, place and version that is asked for, or as it was before."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.result import diff_text
from ..._core.wait import Deadline
from .. import gather
from ..client.engine import Engine, Gone
from ..findings import wrong_options
from ..model import Change, Json, World
from ..record import records, revision
from ..record.history import History
from ..record.lock import Held
from ..spec.difference import shown
from ..spec.names import ids_of, with_ids, without_ids
from ..stack import settled
from ..stack.rollback import go_back
from ..stack.writer import Writer, failed
from ..verdict.converge import Limits
from .plan import NOTHING, Asked, Wanted, change_of, wanted


class ServiceWriter(Writer):
    """Writes of one service, in a stack or outside of any."""

    name = ""

    def live(self) -> t.Dict[str, Json]:
        return {str(one["Spec"]["Name"]): one for one in self.engine.services({"name": [self.name]}) if one["Spec"]["Name"] == self.name}


@dataclass(frozen=True)
class Seen:
    """One look: the service (None: it is not there), its subject for lock and history, what it is to become."""

    world: World
    live: t.Optional[Json]
    subject: str
    revisions: t.Tuple[revision.Revision, ...] = ()
    target: t.Optional[Wanted] = None
    change: t.Optional[Change] = None

    @property
    def name_of_service(self) -> str:
        return str(self.live["Spec"]["Name"]) if self.live else ""

    @property
    def around(self) -> t.Dict[str, Json]:
        """Live specs of all services of the same history."""
        return {str(one["Spec"]["Name"]): one["Spec"] for one in self.world.services if gather.subject_of(one) == self.subject}


def run_service(params: t.Mapping[str, t.Any], check_mode: bool, connect: t.Callable[..., t.Any] = Engine.connect) -> Json:
    """The result of the module. Raises FleetError; what became of the service stands in ``details.outcome``."""
    asked = read(params)
    engine = connect(params)
    try:
        return _Run(engine, asked, params, check_mode).run()
    finally:
        engine.close()


def read(params: t.Mapping[str, t.Any]) -> Asked:
    """Raises FleetError "option_invalid" with all findings at once."""
    version = params.get("revision")
    asked = Asked(
        str(params["name"]),
        str(params.get("state") or "present"),
        params.get("replicas"),
        int(version) if version and str(version).isdigit() else version or None,
        str(params.get("redistribute") or ""),
        str(params.get("expect_image") or ""),
    )
    said = []
    if isinstance(asked.revision, str) and asked.revision not in ("previous", "stable"):
        said.append(("revision", f"revision is {asked.revision!r}; a number, previous or stable is expected."))
    if asked.replicas is not None and asked.replicas < 0:
        said.append(("replicas", f"replicas is {asked.replicas}; 0 or more is expected."))
    if asked.expect_image and asked.revision is None:
        said.append(("expect_image", "expect_image says which image a revision has to have, and revision is not given."))
    least = {"lock_ttl": 5, "lock_wait": 0, "history_keep": 1, "wait_timeout": 1, "max_task_failures": 0, "pending_timeout": 1, "progress_deadline": 1}
    for name, number in least.items():
        if params.get(name) is not None and params[name] < number:
            said.append((name, f"{name} is {params[name]:g}; {number} or more is expected."))
    if asked.state == "absent" and (asked.replicas is not None or asked.revision is not None or asked.redistribute):
        said.append(("state", "A service that is to be gone has neither replicas nor revision nor redistribute."))
    if said:
        raise wrong_options(said, NOTHING)
    return asked


class _Run:
    def __init__(self, engine: t.Any, asked: Asked, params: t.Mapping[str, t.Any], check_mode: bool) -> None:
        self.engine, self.asked, self.params, self.check_mode = engine, asked, params, check_mode
        self.clock = Deadline(0)
        self.limits = Limits(
            params["max_task_failures"], params["pending_timeout"], params["progress_deadline"], params["wait_timeout"], params.get("monitor")
        )

    def run(self) -> Json:
        seen = self._look()
        if seen.live is None or not self._anything(seen):
            return self._unchanged(seen)
        self._refuse_open(seen)
        if self.check_mode:
            return self._result(seen, "converged", None)
        reason = self.params.get("reason") or f"swarm_service {self.asked.name}"
        with Held(self.engine, seen.subject, wait=self.params["lock_wait"], ttl=self.params["lock_ttl"], reason=reason) as lock:
            hit("E1")
            seen = self._look()
            if seen.live is None or not self._anything(seen):
                return self._unchanged(seen)
            self._refuse_open(seen)
            writer = ServiceWriter(self.engine, seen.subject, lock.check)
            writer.name = str(seen.live["Spec"]["Name"])
            return self._changed(seen, seen.live, writer)

    def _refuse_open(self, seen: Seen) -> None:
        records.refuse(self.engine, records.ROLLOUT, seen.subject)
        records.refuse_drained(self.engine, [seen.live["Spec"]] if seen.live else [])

    def _look(self) -> Seen:
        """Observe and plan."""
        world, live = self.engine.world(), self._found()
        if live is None:
            if self.asked.state == "absent":
                return Seen(world, None, gather.alone(self.asked.name))
            said = f"No service of the cluster is called {self.asked.name}. {NOTHING}"
            raise FleetError("service_missing", said, "Correct the name (`docker service ls` lists them), or deploy it with swarm_stack.")
        subject = gather.subject_of(live)
        if self.asked.state == "absent" and gather.stack_of(live):
            said = f"{self.asked.name} belongs to stack {subject}, whose next deployment would make it again. {NOTHING}"
            raise FleetError("in_stack", said, "Take it out of the compose file and run swarm_stack.", {"stack": subject})
        revisions = History(self.engine, subject).revisions()
        networks = gather.network_names(world)
        target = wanted(self.asked, live, revisions, subject, networks)
        if target.spec is not None:
            target = replace(target, spec=_bound(target, world))
        return Seen(world, live, subject, revisions, target, change_of(live, target, networks))

    def _found(self) -> t.Optional[Json]:
        """By its whole name or id; the engine would also take the beginning of an id."""
        try:
            one = t.cast(Json, self.engine.service(self.asked.name))
        except Gone:
            return None
        return one if self.asked.name in (one["ID"], one["Spec"]["Name"]) else None

    def _anything(self, seen: Seen) -> bool:
        """Whether there is work: a difference, or the same work of a run that died."""
        left = revision.dead(seen.revisions)
        if seen.change is None or seen.change.action != "none":
            return seen.change is not None
        return left is not None and seen.target is not None and left.action == seen.target.action and left.content.digest() == self._content(seen).digest()

    def _content(self, seen: Seen) -> revision.Content:
        """What the history holds of this: the last revision with this service changed. After a run that died, what is live is the better base."""
        parent = None if revision.dead(seen.revisions) else revision.last(seen.revisions)
        base = parent.content if parent else revision.Content(seen.around)
        services = {name: spec for name, spec in base.services.items() if name != seen.name_of_service}
        if seen.target is not None and seen.target.spec is not None:
            services[seen.name_of_service] = without_ids(seen.target.spec)
        return revision.Content(services, base.networks, base.configs, base.secrets, base.digests, base.waves, base.gates)

    def _changed(self, seen: Seen, live: Json, writer: ServiceWriter) -> Json:
        history, target = History(self.engine, seen.subject), seen.target
        if target is None:
            raise RuntimeError("a service that is there has a target")
        # Where no run has come to a good end yet, what is there now is the state to come back to.
        if revision.last(seen.revisions) is None and revision.dead(seen.revisions) is None:
            history.adopt(revision.Content(seen.around))
        known = {one.number for one in seen.revisions}
        words = {"reason": self.params.get("reason") or "", "vcs_ref": self.params.get("vcs_ref") or ""}
        current = history.begin(target.action, self._content(seen), seen.around, **words)
        hit("E2")
        before = live["Spec"]
        if current.number in known:
            before = revision.before(current, history.revisions()).get(writer.name, before)
        try:
            if target.spec is None:
                writer.remove(live)
                writer.gone([str(live["ID"])], self.limits.wait_timeout)
            else:
                self._write(seen, live, target.spec, writer)
        except FleetError as error:
            raise self._failed(error, current, before, writer, history) from error
        hit("E4")
        done = history.finish(current, revision.SUCCEEDED, stable=target.spec is not None, duration=self.clock.elapsed())
        hit("E5")
        history.collect(self.params["history_keep"])
        return {**self._result(seen, "converged", done, writer.live().get(writer.name)), "steps": writer.steps}

    def _write(self, seen: Seen, live: Json, spec: Json, writer: ServiceWriter) -> None:
        tasks = self.engine.tasks({"service": [str(live["ID"])]})
        # A run that died may have written it already; then it is only waited for.
        now = live if seen.change is not None and seen.change.action == "none" else writer.update(live, spec)
        hit("E3")
        cause = failed(writer.wait([now], {writer.name: self.limits}, tasks))
        if cause:
            raise cause

    def _failed(self, cause: FleetError, current: revision.Revision, before: Json, writer: ServiceWriter, history: History) -> FleetError:
        """The failure keeps its cause; what became of the service is said beside it."""
        if cause.code in ("lease_lost", "superseded", "conflict"):
            if cause.code != "lease_lost":
                history.finish(current, "superseded", duration=self.clock.elapsed())
            return _told(cause, "left", "It stays as it is: somebody else works on it.", writer)
        if self.asked.state == "absent":
            return _told(cause, "left", "It is removed, and some of its tasks are not.", writer)
        try:
            lost = go_back(writer, {writer.name: before}, {}, self.limits, {})
        except FleetError as error:
            return _told(cause, "left", f"The way back was broken off: {error.message}", writer)
        history.finish(current, "rollback_failed" if lost else "rolled_back", duration=self.clock.elapsed())
        if lost:
            said = "; ".join(str(entry["message"]) for entry in lost)
            failure = {"code": cause.code, "message": cause.message, "details": cause.details}
            both = FleetError("rollback_failed", f"{cause.message} The way back failed, too: {said}", "", {"cause": failure, "lost": lost})
            return _told(both, "rollback_failed", "Everything stays as it is.", writer)
        return _told(cause, "rolled_back", "The service is as it was before.", writer)

    def _unchanged(self, seen: Seen) -> Json:
        """An equal spec is not enough: the service has to be good now, or to become it."""
        if seen.live is not None and not self.check_mode:
            settled.require(self.engine, {str(seen.live["Spec"]["Name"]): seen.live}, self.limits)
        return self._result(seen, "unchanged", revision.last(seen.revisions))

    def _result(self, seen: Seen, outcome: str, of: t.Optional[revision.Revision], now: t.Optional[Json] = None) -> Json:
        change = seen.change
        step = [] if change is None or outcome == "unchanged" else [_step(change, seen.target)]
        live = now or (seen.live if change is None or change.action != "remove" or outcome == "unchanged" else None)
        return {
            "changed": outcome != "unchanged",
            "outcome": outcome,
            "plan": step,
            "diff": _diff(seen, outcome),
            "service": gather.service(live, World(seen.world.cluster_id, {}, seen.world.nodes, (), self._tasks(live))) if live else None,
            "revision": of.summary() if of else None,
            "evidence": {"source": seen.target.source} if seen.target else {},
            "warnings": [],
        }

    def _tasks(self, live: Json) -> t.Tuple[Json, ...]:
        return tuple(self.engine.tasks({"service": [str(live["ID"])]}))


def _bound(target: Wanted, world: World) -> Json:
    """The spec with the ids of its configs and secrets, which have to be there before anything is written."""
    spec, ids = target.spec or {}, ids_of(world)
    missing = [f"{kind[:-1]} {name}" for kind in ids for name in revision.used_by(spec, kind) if name not in ids[kind]]
    if missing:
        raise FleetError(
            "revision_unavailable",
            f"{target.source} of {spec.get('Name')} needs {', '.join(missing)}, which is not in the cluster. {NOTHING}",
            "Deploy the compose files of that version.",
            {"missing": missing},
        )
    return with_ids(spec, ids)


def _step(change: Change, target: t.Optional[Wanted]) -> Json:
    why = ", ".join(change.reasons) or "a run that died is ended"
    action = change.action if change.action != "none" else "finish"
    return {
        "action": action,
        "service": change.service,
        "restarts": change.restarts,
        "reason": f"service {change.service}: {why}",
        "disruptive": change.action == "remove" or change.restarts != "none",
        "source": target.source if target else "live",
    }


def _diff(seen: Seen, outcome: str) -> Json:
    before = seen.live["Spec"] if seen.live else None
    after = before if outcome == "unchanged" or seen.target is None else seen.target.spec
    networks = gather.network_names(seen.world)
    sides = [shown(spec, networks) for spec in (before, after)]
    return {"before": diff_text(sides[0]), "after": diff_text(sides[1])}


def _told(cause: FleetError, outcome: str, said: str, writer: Writer) -> FleetError:
    remedy = cause.remedy or ("Mend the cause, then run again." if outcome == "rolled_back" else "Look at it with swarm_stack_info, mend the cause, run again.")
    return FleetError(cause.code, f"{cause.message} {said}", remedy, {**cause.details, "outcome": outcome, "steps": writer.steps})
