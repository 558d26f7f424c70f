# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a run: read, decide, and do exactly the steps that check mode shows."""

from __future__ import annotations

import secrets as random
import time
import typing as t
from dataclasses import dataclass, field

from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .._core.result import Step, result
from .._core.runner import Runner
from . import alone, facts, link, plan, preflight, queues, watchdog, way_back, window
from .model import SIDES, Jobs, Options, Server, other
from .redis import Redis

# The command that quiets or resumes a worker sends a signal; it does not wait for its jobs.
_COMMAND = 60.0
_UNPROVEN = "Nothing was changed."


@dataclass
class Work:
    """One run, and what it has found out so far."""

    options: Options
    runner: Runner
    check: bool
    guard: t.Optional[watchdog.Watchdog]
    servers: t.Dict[str, Redis]
    findings: t.List[Finding] = field(default_factory=list)
    warnings: t.List[str] = field(default_factory=list)
    took: t.List[t.Dict[str, t.Any]] = field(default_factory=list)
    jobs: t.List[Jobs] = field(default_factory=list)
    opened: t.Optional[window.Opened] = None
    quieted: bool = False

    def close(self) -> None:
        for server in self.servers.values():
            server.close()


def run(options: Options, runner: Runner, check: bool) -> t.Dict[str, t.Any]:
    """One run of redis_sync. The watchdog is forked first, before any connection exists."""
    if options.mode == "none":
        return _nothing()
    token = random.token_hex(8)
    switches = options.state == "promoted" and options.mode == "replicate" and not check
    guard = watchdog.start(options, token) if switches else None
    name = alone.INFO if check or options.state == "empty" else alone.RUN + token
    work = Work(options, runner, check, guard, {side: Redis(options.endpoint(side), name) for side in SIDES})
    try:
        if name != alone.INFO:
            for side in SIDES:
                alone.alone(work.servers[side], token)
        return go(work)
    finally:
        work.close()
        if guard is not None:
            guard.end()


def _nothing() -> t.Dict[str, t.Any]:
    said = "mode is none: nothing in Redis matters for this move, and nothing was read or done."
    same = {"phase": "unread", "serving": "unknown"}
    return {**result((), before=same, after=same, evidence={"said": said}), **_objects("unread", "unread", None), "findings": [], "jobs": []}


def go(work: Work) -> t.Dict[str, t.Any]:
    options = work.options
    legacy, new = facts.both(work.servers)
    found = _phase(work, legacy, new)
    if options.state == "empty":
        return _empty(work, found)
    todo = plan.steps(options, found, legacy, new)
    settles = bool(todo) and todo[0].action.startswith("reopen_")
    if settles and not work.check:
        # What a killed run has left is settled first, whatever else is in the way.
        _timed(work, todo[0], found)
        legacy, new = facts.both(work.servers)
    if todo and options.state in ("replicating", "promoted"):
        _judge(work, legacy, new, plan.serving(_phase(work, legacy, new)))
    if not work.check:
        for step in todo[1:] if settles else todo:
            _timed(work, step, found)
    after = facts.both(work.servers) if todo and not work.check else (legacy, new)
    reached = foreseen(options, found, todo) if work.check else _phase(work, *after)
    outcome = result(
        todo,
        before={"phase": found, "serving": plan.serving(found)},
        after={"phase": reached, "serving": plan.serving(reached)},
        evidence={"took": work.took, "accepted": [*options.accept_loss, *options.accept_scheduled_loss]},
        warnings=[*work.warnings, *(f"{finding.code}: {finding.message}" for finding in work.findings)],
    )
    servers = {server.side: server.as_dict() for server in after}
    return {**outcome, **_objects(found, reached, work.opened), **_said(work), "servers": servers}


def _phase(work: Work, legacy: Server, new: Server) -> str:
    return plan.phase(legacy, new, {side: work.options.endpoint(side) for side in SIDES})


def _objects(found: str, reached: str, opened: t.Optional[window.Opened]) -> t.Dict[str, t.Any]:
    made = opened is not None
    return {
        "phase_before": found,
        "phase": reached,
        "serving": plan.serving(reached),
        "window_ms": opened.window_ms if opened else None,
        "window": {"attempts": opened.attempts, "offset": opened.offset, "keys": {str(db): n for db, n in opened.keys.items()}} if opened and made else {},
    }


def _said(work: Work) -> t.Dict[str, t.Any]:
    return {"findings": [finding.as_dict() for finding in work.findings], "jobs": [described(jobs) for jobs in work.jobs]}


def described(jobs: Jobs) -> t.Dict[str, t.Any]:
    """For a result; nothing of a job but how many there are."""
    return {
        "layout": jobs.layout,
        "queues": dict(jobs.queues),
        "busy": sum(jobs.busy.values()),
        "scheduled": dict(jobs.scheduled),
        "processes": None if jobs.processes is None else len(jobs.processes),
        "quiet": jobs.quiet,
        "idle": jobs.idle,
    }


def foreseen(options: Options, found: str, todo: t.Sequence[Step]) -> str:
    """The phase that check mode tells: what a run that does ``todo`` reaches."""
    actions = [step.action for step in todo]
    if not actions:
        return found
    if options.mode == "drain":
        return "drained" if options.side == "new" else "drained_back"
    if options.state == "absent":
        return "apart"
    if options.state == "standalone":
        return "joining" if plan.serving(found) == "legacy" else "rejoining"
    last = [action for action in actions if action.startswith(("link_", "close_"))][-1]
    return {"link_new": "following", "link_legacy": "promoted", "close_legacy": "drained", "close_new": "drained_back"}[last]


def judgement(options: Options, servers: t.Mapping[str, Redis], legacy: Server, new: Server, serves: str) -> t.List[Finding]:
    """All findings about both servers, those that need a look at one of them too."""
    found = preflight.judge(options, legacy, new, serves)
    if options.mode == "replicate":
        seen = {"legacy": legacy, "new": new}
        for side in SIDES:
            refused = link.own_credentials(servers[other(side)], servers[side], seen[side])
            if refused is not None:
                message = f"masterauth of {side} is set already, and {other(side)} refuses it: {refused.message}"
                remedy = f"Correct masteruser and masterauth of {side}, or empty both; then an account is made for the move."
                found.append(Finding("link_auth", "fail", f"redis {side}", message, remedy))
    return found


def _judge(work: Work, legacy: Server, new: Server, serves: str) -> None:
    found = judgement(work.options, work.servers, legacy, new, serves)
    work.findings = [finding for finding in found if finding.level == "warn"]
    blocking = [finding for finding in found if finding.level == "fail"]
    if blocking:
        raise failure(blocking, _UNPROVEN)


def _empty(work: Work, found: str) -> t.Dict[str, t.Any]:
    """The proof alone. Check mode looks once and waits for nothing."""
    side = plan.serving(found) if plan.serving(found) in SIDES else "legacy"
    options, seconds = work.options, 0.0 if work.check else work.options.drain_timeout
    work.jobs = queues.wait_empty(work.servers[side], options.layouts, seconds, options.accept_scheduled_loss, once=work.check)
    same = {"phase": found, "serving": plan.serving(found)}
    evidence = {"said": f"queues, schedules and jobs in progress of {side} are empty, seen twice"}
    return {**result((), before=same, after=same, evidence=evidence), **_objects(found, found, None), **_said(work)}


def _timed(work: Work, step: Step, found: str) -> None:
    begun = time.monotonic()
    try:
        _do(work, step, found)
    except FleetError:
        _resume(work)
        raise
    work.took.append({"action": step.action, "ms": round((time.monotonic() - begun) * 1000, 1)})


def _do(work: Work, step: Step, found: str) -> None:
    options, servers = work.options, work.servers
    legacy, new = servers["legacy"], servers["new"]
    action, _line, side = step.action.partition("_")
    source = servers[other(options.side)]
    if action == "link":
        closed = work.opened is not None
        work.warnings += link.follow(servers[other(side)], servers[side], options.persist, options.wait_timeout, closed=closed)
        if not closed:
            _try_back(work, follower=other(side), master=side)
    elif action == "quiet":
        _command(work, options.quiet, "quiet")
        work.quieted = True
    elif action == "idle":
        work.jobs = queues.wait_idle(source, options.layouts, options.drain_timeout)
    elif action == "drained":
        work.jobs = queues.wait_empty(source, options.layouts, options.drain_timeout, options.accept_scheduled_loss)
    elif action == "switch":
        _try_back(work, follower=source.side, master=options.side)
        work.opened = window.switch(options, servers, options.side, t.cast(watchdog.Watchdog, work.guard))
    elif action == "close":
        work.warnings += link.close(servers[side], servers[other(side)], options.persist)
    elif action in ("open", "reopen"):
        servers[side].ask("REPLICAOF", "NO", "ONE")
        # The file of a side that is opened again says still what it was before the switch.
        work.warnings += link.keep_role(servers[side], options.persist) if action == "open" else []
    elif action == "detach":
        link.detach(new)
    elif action == "flush":
        link.flush(new)
    elif action == "clean":
        work.warnings += link.clean(legacy, new, options.persist)
    elif action == "part":
        serves = plan.serving(found)
        work.warnings += link.part(servers[serves], servers[other(serves)], options.persist, options.wait_timeout)


def _try_back(work: Work, follower: str, master: str) -> None:
    """Before it is needed, and again right before a switch. A side that is too old to follow is closed without a link."""
    reader, writer = (facts.read(work.servers[side]) for side in (follower, master))
    if preflight.reads(reader, writer):
        said = way_back.tried(work.servers[follower], work.servers[master])
        work.warnings += [said] if said and said not in work.warnings else []


def _command(work: Work, argv: t.Sequence[str], name: str) -> None:
    done = work.runner(list(argv), timeout=_COMMAND)
    if done.rc != 0:
        raise FleetError(
            "worker_failed",
            f"worker.{name} ({argv[0]}) ended with {done.rc}: {(done.err or done.out).strip()[:300]}. The side that served goes on.",
            remedy="Try that command by hand on this host, correct it, and run again.",
        )


def _resume(work: Work) -> None:
    """A worker that was quieted for a switch that did not come goes on; the first failure stays the one that is told."""
    if not (work.quieted and work.options.resume) or work.opened is not None:
        return
    work.quieted = False
    try:
        _command(work, work.options.resume, "resume")
    except FleetError as error:
        work.warnings.append(error.message)
