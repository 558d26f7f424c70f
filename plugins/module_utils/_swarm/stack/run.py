# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swarm_stack: a whole stack as it is wanted, or back as it was."""

from __future__ import annotations

import base64
import time
import typing as t
from dataclasses import dataclass, replace

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.finding import Finding
from ..._core.gates import Tools
from ..._core.result import diff_text
from ..._core.wait import Deadline
from ..client.engine import Engine
from ..client.wire import OutOfSequence
from ..model import Json
from ..record import records, revision
from ..record.history import History
from ..record.lock import Held
from ..verdict.converge import Limits
from ..verdict.health import counts
from . import absent, result, salt, settled
from .canary import Canary, open_as_wanted
from .deploy import Forward
from .options import Options, read
from .rollback import go_back
from .situation import Situation, look, refuse
from .writer import Writer


def run(params: t.Mapping[str, t.Any], check_mode: bool, tools: Tools, connect: t.Callable[..., t.Any] = Engine.connect) -> t.Dict[str, t.Any]:
    """The result of the module. Raises FleetError; what became of the stack stands in ``details.outcome``."""
    options, found = read(params)
    try:
        engine = connect(params)
    except FleetError as error:
        if found and error.code in ("insecure_endpoint", "option_invalid"):
            refuse(found + [_as_finding(error)])
        refuse(found)
        raise
    try:
        if options.state == "absent":
            refuse(found)
            return absent.run(engine, options, check_mode)
        return _Run(engine, options, tools, check_mode).run(found)
    finally:
        engine.close()


def _as_finding(error: FleetError) -> Finding:
    return Finding(error.code, "fail", field="docker_host", message=error.message, remedy=error.remedy)


@dataclass
class _Run:
    engine: t.Any
    options: Options
    tools: Tools
    check_mode: bool

    def run(self, found: t.Sequence[t.Any]) -> t.Dict[str, t.Any]:
        seen = look(self.engine, self.options, self.tools.runner, found)
        self.tools.secrets.extend(_secrets_of(seen))
        self._refuse_open(seen)
        seen.refuse()
        if not self._anything(seen):
            return self._unchanged(seen)
        if self.check_mode:
            return self._result(seen, "canary" if self.options.state == "canary" else "converged", list(seen.live.values()), None)
        held = Held(
            self.engine, self.options.name, wait=self.options.lock_wait, ttl=self.options.lock_ttl, reason=self._reason(seen), operation=self.options.operation
        )
        with held as lock:
            hit("S1")
            # Another run may have ended meanwhile; files and registry are not asked again.
            seen = self._proven(look(self.engine, self.options, self.tools.runner, earlier=seen))
            self._refuse_open(seen)
            seen.refuse()
            if not self._anything(seen):
                return self._unchanged(seen)
            return _Deployment(self, seen, Writer(self.engine, self.options.name, lock.check)).run()

    def _proven(self, seen: Situation) -> Situation:
        """Whether secrets that the CLI made have the content that is wanted: the engine refuses other data for the same name, and nothing else tells."""
        other = []
        for name, body in seen.named.unproven.items():
            there = self.engine.secret(name)
            try:
                self.engine.secret_update(str(there["ID"]), int(there["Version"]["Index"]), body)
            except OutOfSequence:
                raise
            except FleetError:
                other.append(name)
        return look(self.engine, self.options, self.tools.runner, earlier=seen, other=other) if seen.named.unproven else seen

    def _reason(self, seen: Situation) -> str:
        return self.options.reason or f"{self.options.state} ({seen.action})"

    def _anything(self, seen: Situation) -> bool:
        """Whether there is work: a difference, a run that died, a canary that ends here."""
        if self.options.state == "canary":
            of, names, share = seen.rollout, self.options.canary_services, self.options.share or 0
            stands = of is not None and of.step == "observing" and open_as_wanted(self.engine, seen.plan, names, self.options.name, share, of.position)
            return not stands
        return seen.plan.writes() or bool(seen.named.unproven) or revision.dead(seen.revisions) is not None or seen.rollout is not None

    def _refuse_open(self, seen: Situation) -> None:
        """A canary waits for its promotion (the same content), for a larger share of it, or for its end (a revision); a drain moves services."""
        for drain in records.every(self.engine, records.DRAIN):
            raise records.opened(drain)
        if seen.rollout is None or self.options.revision is not None:
            return
        if seen.rollout.data.get("content") != seen.content().digest():
            raise records.opened(seen.rollout)

    def _unchanged(self, seen: Situation) -> t.Dict[str, t.Any]:
        """Equal specs are not enough: each service has to be good now, or to become it."""
        if self.options.state != "canary":
            settled.require(self.engine, seen.live, self.options.limits)
        return self._result(seen, "unchanged", list(seen.live.values()), revision.last(seen.revisions))

    def _result(self, seen: Situation, outcome: str, live: t.Sequence[Json], of: t.Optional[revision.Revision], **more: t.Any) -> t.Dict[str, t.Any]:
        changed = outcome != "unchanged"
        before, after = result.diff(seen.plan, seen.world) if changed else ({}, {})
        return {
            "changed": changed,
            "outcome": outcome,
            "stack": self.options.name,
            "revision": of.summary() if of else None,
            # A canary that stands differs from its promotion, and that is not what was asked for.
            "plan": result.steps(seen.plan) if changed else [],
            "services": result.services(live),
            "diff": {"before": diff_text(before), "after": diff_text(after)},
            "warnings": seen.warnings(),
            "evidence": {},
            **more,
        }


class _Deployment:
    """Steps 4 to 8 under the lock, and the way back."""

    def __init__(self, outer: _Run, seen: Situation, writer: Writer) -> None:
        self.outer, self.seen, self.writer, self.options = outer, seen, writer, outer.options
        self.history = History(outer.engine, outer.options.name)
        self.clock = Deadline(0)

    def run(self) -> t.Dict[str, t.Any]:
        seen, started = self.seen, time.time()
        live = {name: service["Spec"] for name, service in seen.live.items()}
        hit("S2")
        if seen.desired.secrets and not seen.salted:
            salt.write(self.outer.engine, self.options.name, seen.salt)
        if live and not seen.revisions:
            self.history.adopt(revision.Content(live))
        elif seen.past():
            # Without it nobody could go back to what ran until now. Whether it is good is asked: `stable` has to be.
            good = all(running >= wanted for wanted, running in (counts(service, seen.world.tasks) for service in seen.live.values()))
            self.history.adopt(revision.Content(live), reason=f"changed past the history: {', '.join(seen.past())}", anew=True, stable=good)
        action = "canary" if self.options.state == "canary" else seen.action
        self.current = self.history.begin(
            action, seen.content(), live, reason=self.options.reason, vcs_ref=self.options.vcs_ref, operation=self.options.operation
        )
        hit("S3")
        self.baseline = revision.before(self.current, self.history.revisions())
        kind = Canary if self.options.state == "canary" else Forward
        self.forward = kind(self.writer, self.options, seen.desired, seen.plan, self.baseline, self.outer.tools, started, self.current.content.digest())
        try:
            self.forward.run()
        except FleetError as error:
            raise self._failed(error) from error
        return self._done()

    def _done(self) -> t.Dict[str, t.Any]:
        hit("S11")
        outcome = "canary" if isinstance(self.forward, Canary) else "converged"
        if outcome == "converged":
            # Marked before anything is deleted that only older revisions need.
            self.current = self.history.finish(self.current, revision.SUCCEEDED, stable=True, duration=self.clock.elapsed())
            self._close_rollout()
        hit("S12")
        said = [] if outcome == "canary" else self._collect()
        hit("S13")
        live = list(self.writer.live().values())
        found = self.outer._result(self.seen, outcome, live, self.current, steps=self.writer.steps, evidence=self.forward.evidence)
        found["warnings"] += said
        found["duration_s"] = round(self.clock.elapsed(), 2)
        hit("S14")
        return found

    def _collect(self) -> t.List[str]:
        """Old revisions, then what no service and no kept revision names."""
        self.history.collect(self.options.history_keep)
        kept = self.history.revisions()
        return self.forward.collect({kind: revision.named(kept, kind) for kind in ("configs", "secrets")})

    def _close_rollout(self) -> None:
        record = records.find(self.outer.engine, records.ROLLOUT, self.options.name)
        if record is not None:
            records.close(self.outer.engine, record)

    def _failed(self, cause: FleetError) -> FleetError:
        """The failure keeps its cause; what became of the stack is said beside it."""
        if cause.code == "lease_lost":
            return self._told(cause, "left", "Another run may work on the stack: this one stopped.")
        if cause.details.get("paused") or self.options.on_failure == "stop" or not self.options.reversible:
            status = self.current.status if cause.details.get("paused") else "failed"
            if status != self.current.status:
                self.history.finish(self.current, status, duration=self.clock.elapsed())
            why = "gate" if cause.details.get("paused") else "reversible: false" if not self.options.reversible else "on_failure: stop"
            return self._told(cause, "left", f"Everything stays as it is ({why}).")
        clock = Deadline(0)
        try:
            lost = self._back()
        except FleetError as error:
            if error.code == "lease_lost":
                return self._told(cause, "left", f"The way back was broken off: {error.message}")
            lost = [{"service": self.options.name, "code": error.code, "message": error.message, "tasks": []}]
        seconds = round(clock.elapsed(), 2)
        hit("R7")
        self.history.finish(self.current, "rollback_failed" if lost else "rolled_back", duration=self.clock.elapsed())
        hit("R8")
        if lost:
            said = "; ".join(f"{entry['service']}: {entry['message']}" for entry in lost)
            failure = {"code": cause.code, "message": cause.message, "details": cause.details}
            both = FleetError("rollback_failed", f"{cause.message} The way back failed, too: {said}", "", {"cause": failure, "lost": lost})
            return self._told(both, "rollback_failed", "Everything stays as it is.", rollback_duration_s=seconds)
        self._close_rollout()
        return self._told(cause, "rolled_back", f"The whole stack is as it was before ({seconds:.0f} s).", rollback_duration_s=seconds)

    def _back(self) -> t.List[Json]:
        """Waves of the former state count, too: a service may have changed its wave."""
        limits = _with_timeout(self.options)
        content = self.current.content
        parents = [one for one in self.history.revisions() if one.number == self.current.parent]
        waves = {**(parents[0].content.waves if parents else {}), **content.waves}
        before = parents[0].content if parents else revision.Content({})
        made = {
            "networks": set(content.networks) - set(before.networks) - self._networks_before(),
            "configs": set(content.configs) - set(before.configs),
            "secrets": set(content.secrets) - set(before.secrets),
        }
        return go_back(self.writer, self.baseline, waves, limits, made)

    def _networks_before(self) -> t.Set[str]:
        """Names of networks that the services of before used: of an adopted stack no bodies are known."""
        ids = {str((net or {}).get("Target")) for spec in self.baseline.values() for net in (spec.get("TaskTemplate") or {}).get("Networks") or ()}
        return {str(item["Name"]) for item in self.outer.engine.networks() if str(item.get("Id")) in ids or str(item.get("Name")) in ids}

    def _told(self, cause: FleetError, outcome: str, said: str, **more: t.Any) -> FleetError:
        details = {
            **cause.details,
            "outcome": outcome,
            "stack": self.options.name,
            "revision": self.current.summary(),
            "plan": result.steps(self.seen.plan),
            "steps": self.writer.steps,
            "evidence": self.forward.evidence,
            **more,
        }
        return FleetError(cause.code, f"{cause.message} {said}", cause.remedy or _REMEDY[outcome], details)


_REMEDY = {
    "left": "Look at it, mend the cause, then run the same command again, which goes on; revision: stable goes back.",
    "rolled_back": "Mend the cause, then run again.",
    "rollback_failed": "Mend the cause for each service, then run swarm_stack with revision: stable.",
}


def _with_timeout(options: Options) -> Limits:
    return replace(options.limits, wait_timeout=options.rollback_timeout)


def _secrets_of(seen: Situation) -> t.List[str]:
    """What must never be in a result: credentials, and contents of secrets."""
    found = [str(auth) for auth in seen.raw.auth.values()]
    for body in seen.raw.secrets.values():
        data = str(body.get("Data") or "")
        found.append(data)
        try:
            text = base64.b64decode(data).decode()
        except ValueError:
            continue
        # A line is what a message would show; shorter texts would blank out half of every result.
        found += [line for line in {text, *text.splitlines()} if len(line) >= 6]
    return [entry for entry in found if entry]
