# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that one server has to do without the other, or without its rows: what is still possible then, and what is refused."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.finding import Finding
from .._core.result import Step, result
from .._core.wait import Deadline
from . import facts, plan, results, status
from .model import Facts, SideFacts
from .replication import sync
from .server.postgres import Server
from .window import loss, switch as switching
from .work import LOCK_WAIT, Work


def silent(work: Work) -> dict[str, FleetError]:
    """The servers that do not answer."""
    failures: dict[str, FleetError] = {}
    for server in (work.legacy, work.new):
        try:
            # A run that was killed inside the restart has left that to its watchdog.
            restarting = work.options.allow_legacy_restart and server is work.legacy and not work.check
            _answer(server, LOCK_WAIT if restarting else 0)
        except FleetError as error:
            failures[server.side] = error
    return failures


def with_one(work: Work, failures: t.Mapping[str, FleetError]) -> dict[str, t.Any] | None:
    """What can be done with one server; None for a new server that is planned. Raises with every server that does not answer."""
    options = work.options
    if set(failures) == {"new"}:
        if options.state == "legacy":
            outcome = without_new(work)
            if outcome is not None:
                return outcome
        planned = options.new_planned and (work.check or options.state == "preflight")
        if planned and failures["new"].code == "unreachable":
            return None
    elif set(failures) == {"legacy"} and options.state == "new" and options.guarantee == "async":
        outcome = without_legacy(work, failures["legacy"])
        if outcome is not None:
            return outcome
    findings = [Finding.of_error(error, error.details.get("side", "")).as_dict() for error in failures.values()]
    first = next(iter(failures.values()))
    code = first.code if len(failures) == 1 else "preflight_failed"
    message = " ".join(error.message for error in failures.values())
    raise FleetError(code, f"{message} Nothing was changed.", remedy=first.remedy, details={**first.details, "findings": findings})


def without_new(work: Work) -> dict[str, t.Any] | None:
    """State legacy, and new does not answer. None when legacy serves as it always did, so that nobody has to decide about loss."""
    legacy, options = work.legacy, work.options
    if not work.check:
        work.lock(legacy)
    half = facts.read(legacy)
    steps = loss.steps_without_new(half)
    if steps is None:
        return None
    opens = any(step.action == "abandon" for step in steps)
    if opens:
        work.loss = loss.known(legacy)
        sound = loss.reachability(options.new, legacy, work.check)
        if sound == "alive" or not options.accept_loss:
            raise loss.refusal(options, work.loss, sound)
        work.loss["new"] = sound
    if not work.check:
        give_up(work, steps, None)
        half = facts.read(legacy)
    work.warnings.append(
        f"{options.new} could not be closed. Keep clients from it, and run state: legacy as soon as it answers, which closes it."
    )
    after = Facts(half.side, SideFacts(exists=False))
    return ended(work, steps, "unknown" if opens else plan.ABANDONED, plan.ABANDONED, after, "new does not answer")


def without_rows(work: Work, steps: tuple[Step, ...], found: str, before: Facts) -> dict[str, t.Any]:
    """State legacy with both servers, when no lossless way is left or legacy was opened without rows already."""
    options = work.options
    if any(step.action == "abandon" for step in steps):
        work.loss = {**loss.known(work.legacy), "tables": loss.differing(work.legacy, work.new)}
        if not options.accept_loss:
            raise loss.refusal(options, work.loss, "follows")
        work.loss["new"] = "follows"
    if not work.check:
        give_up(work, steps, work.new)
    after = before if work.check or not steps else facts.observe(work.legacy, work.new)
    return ended(work, steps, found, plan.ABANDONED_FENCED if work.check else plan.phase(after), after, "nothing follows legacy")


def give_up(work: Work, steps: t.Sequence[Step], new: Server | None) -> None:
    for step in steps:
        if step.action == "close":
            loss.close(work.new, work.legacy)
        elif step.action == "abandon":
            work.loss = {**(work.loss or {}), **loss.abandon(work.legacy, new)}
        else:
            # First, so that a run that was killed in between finds something left to do, and routes again.
            work.clients.serve("legacy")
            loss.leave(work.legacy)
            switching.refresh(work, work.legacy, work.legacy)


def without_legacy(work: Work, error: FleetError) -> dict[str, t.Any] | None:
    """Legacy does not answer, and commits on new wait for it: let them go on, if new is what serves."""
    new = work.new
    if not work.check:
        work.lock(new)
    half, standing = facts.read(new), sync.read(None, new)
    if not half.side.exists or half.side.fenced or not (standing.waits or standing.kept):
        return None
    steps = sync.steps(work.options, "new", standing)
    if not work.check:
        sync.off(None, new)
    work.warnings.append(
        f"{error.message} Legacy still notes that no acknowledged commit is missing on it; that is not true from now on,"
        " until a run that reaches both servers."
    )
    return ended(work, steps, "unknown", "unknown", Facts(SideFacts(), half.side), "legacy does not answer", serving="new")


def ended(
    work: Work, steps: t.Sequence[Step], found: str, reached: str, after: Facts, reason: str, serving: str = ""
) -> dict[str, t.Any]:
    """The result of a run that leaves no way back."""
    outcome = result(
        steps,
        before={"phase": found, "serving": serving or plan.serving(found)},
        after={"phase": reached, "serving": serving or plan.serving(reached)},
        warnings=work.warnings,
        evidence={"facts": status.described(after)},
        rollback={"armed": False, "guarantee": "none", "lag_ms": None, "reason": reason},
    )
    return {**outcome, **results.common(work, found, reached, None), "serving": serving or plan.serving(reached)}


def _answer(server: Server, patience: float) -> None:
    deadline = Deadline(patience)
    while True:
        try:
            server.admin.run("SELECT 1")
            return
        except FleetError as error:
            if error.code != "unreachable" or deadline.expired():
                raise
            deadline.pause(0.2)
