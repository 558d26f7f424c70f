# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a run: read, decide, and do exactly the steps that check mode shows."""

from __future__ import annotations

import typing as t

from .._core.result import Step, result
from .._core.runner import Runner
from . import absent, contradiction, facts, one_sided, plan, results
from .engines import choice as engine
from .engines.logical import seed
from .engines.physical import facts as physical_facts, rescue as physical_rescue
from .engines.physical.run import PhysicalRun
from .model import SIDES, Options
from .options import link_of, parse
from .preflight import judge, survey
from .replication import identities, pair, reading, sync
from .server import barrier, link_account, owner_code
from .server.postgres import ident, load
from .window import loss, switch as switching, trial, watchdog
from .window.trial import Trial
from .work import Work, begin


def run(params: t.Mapping[str, t.Any], runner: Runner, check_mode: bool) -> dict[str, t.Any]:
    """One run of pg_cutover. The watchdog is forked first, before any connection exists."""
    options = parse(params)
    if options.state != "preflight":
        link_of(options)
    load()
    restarts = options.allow_legacy_restart and options.state in ("seeded", "armed")
    watchdog.ENGINES["physical"] = physical_rescue.rescue
    guard = watchdog.start(options, runner) if (options.state in SIDES or options.trial_window or restarts) and not check_mode else None
    by_physical = options.engine == "physical" or (options.engine == "auto" and physical_facts.is_moved(options))
    # What a copy of the whole cluster has left on legacy is taken from there alone.
    by_physical = by_physical and options.state != "absent"
    try:
        return _move_physical(options, runner, guard, check_mode) if by_physical else _rows(options, runner, guard, check_mode)
    finally:
        if guard is not None:
            guard.end()


def _move_physical(options: Options, runner: Runner, guard: watchdog.Watchdog | None, check: bool) -> dict[str, t.Any]:
    """The cluster moves as a whole."""
    work = PhysicalRun(options, runner, guard, check)
    try:
        return work.go()
    finally:
        work.close()


def _rows(options: Options, runner: Runner, guard: watchdog.Watchdog | None, check: bool) -> dict[str, t.Any]:
    """One database moves, row by row; the engine of a move that has not begun may turn out to be physical."""
    work = begin(options, runner, guard, check)
    try:
        done = go(work)
    finally:
        work.close()
    # That run has connections and locks of its own.
    return {**_move_physical(options, runner, guard, check), "engine_reason": work.choice.reason} if done is None else done


def go(work: Work) -> dict[str, t.Any] | None:
    """The result; None when auto has chosen to move the cluster as a whole."""
    failures = one_sided.silent(work)
    gone = absent.go(work, failures) if work.options.state == "absent" else None
    if gone is not None:
        return gone
    if failures:
        outcome = one_sided.with_one(work, failures)
        return outcome if outcome is not None else planned(work)
    if not work.check and work.options.state != "preflight":
        judge.refuse_one_server(work)
        work.lock()
    before = facts.observe(work.legacy, work.new)
    found = plan.phase(before)
    # First: a slot that is gone while new serves leaves state legacy with accept_loss.
    abandoned = loss.steps(work.options, before, found)
    if abandoned is not None:
        return one_sided.without_rows(work, abandoned, found, before)
    if plan.is_hopeless(work.options.state, found):
        raise contradiction.failure(work.legacy, work.new, before, found)
    situation = judge.situation(work, before, found)
    if work.choice.engine == "physical":
        return None
    steps = (*switching.account_steps(work, found), *wanted_steps(work, found, sync.read(work.legacy, work.new), situation))
    if work.options.snapshot and any(step.action == "switch" for step in steps):
        switching.snapshot_maker(work, work.options.snapshot, work.options.state).judge()
    if work.options.state == "preflight":
        judge.judge_both(work, found, strict=False)
    elif work.check and steps:
        judge.judge_both(work, found, strict=True)
    elif steps:
        do(work, steps, found)
    after = before if work.check or not steps else facts.observe(work.legacy, work.new)
    reached = phase_foreseen(work, steps, found, situation) if work.check and steps else plan.phase(after)
    return results.of_run(work, steps, found, reached, after)


def wanted_steps(work: Work, found: str, standing: sync.Standing, situation: plan.Situation) -> tuple[Step, ...]:
    engine.refuse_unsupported(work.options, work.choice.engine)
    steps = (*plan.steps(work.options.state, found, situation), *trial.steps(work.options))
    return sync.merge(steps, sync.steps(work.options, found, standing))


def planned(work: Work) -> dict[str, t.Any]:
    """The new server does not exist yet, an earlier step of the same play makes it: what can be known without it."""
    judge.judge_planned(work)
    situation = plan.Situation(work.choice.seed, publishes=work.choice.engine != "dump")
    steps = wanted_steps(work, "empty", sync.Standing(), situation)
    reached = phase_foreseen(work, steps, "empty", situation)
    outcome = result(
        steps,
        before={"phase": "empty"},
        after={"phase": reached},
        evidence=judge.size(work),
        warnings=["The new server does not answer yet; it is planned."],
        rollback={"armed": False, "guarantee": "async", "lag_ms": None, "reason": "no pair exists"},
    )
    return {**outcome, **results.common(work, "empty", reached, None)}


def phase_foreseen(work: Work, steps: t.Sequence[Step], found: str, situation: plan.Situation) -> str:
    if not steps:
        return found
    serves = plan.serving(found)
    return {
        "seeded": "seeded",
        "armed": "armed" if serves != "new" else "new_armed" if situation.publishes else "new",
        "new": "new_armed" if steps[-1].action == "abort" and situation.publishes else "new",
        "legacy": _foreseen_back([step.action for step in steps], situation),
        "finished": "finished",
    }[work.options.state]


def do(work: Work, steps: t.Sequence[Step], found: str) -> None:
    judged = False
    serves = plan.serving(found)
    for step in steps:
        if not judged and step.action not in ("abort", "cleanup", "finish", "async"):
            # What an interrupted window left behind is settled first, whatever the preflight says.
            judge.judge_both(work, plan.phase(facts.observe(work.legacy, work.new)), strict=True)
            judged = True
        if step.action == "abort":
            serves = "legacy" if found == "window_forward" else "new"
            switching.abort(work, serves)
        elif step.action == "switch":
            serves = "new" if serves == "legacy" else "legacy"
            switching.switch(work, serves)
        elif step.action == "trial":
            switching.switch(work, "new" if serves == "legacy" else "legacy", Trial)
        elif step.action == "sync":
            switching.wait_for_legacy(work)
        elif step.action == "async":
            sync.off(work.legacy, work.new)
        elif step.action == "cleanup":
            switching.cleanup(work, serves)
        elif step.action == "arm":
            arm(work, "new" if serves == "legacy" else "legacy")
        elif step.action == "accounts":
            switching.carry_accounts(work, pair.direction(work.legacy, work.new, "new" if serves == "legacy" else "legacy"))
        elif step.action == "finish":
            finish(work)
        elif step.action == "restart":
            switching.restart_legacy(work)
        elif step.action == "dry_restore":
            judge.try_schema(work)
        elif step.action == "outline":
            with seed.thawing(work.legacy):
                switching.copier(work).outline()
        else:
            seed.Seed(work.legacy, work.new, work.options, work.link, work.runner).do(step.action)
    if work.opened is not None:
        switching.wait_connected(work, serves)
        try:
            switching.compare(work)
        finally:
            switching.keep_snapshot(work, serves)
    if work.unmet is not None:
        raise work.unmet


def arm(work: Work, to: str) -> None:
    """What the switch to side ``to`` needs before it: everything in step, and the way back."""
    direction = pair.direction(work.legacy, work.new, to)
    seed.complete(direction, work.options.wait_timeout, work.options.accept_owner_code)
    owner_code.refuse_replicated(direction.source.db, work.options.accept_owner_code)
    switching.carry_accounts(work, direction)
    for server in (work.new, work.legacy):
        barrier.keep(server)
    pair.arm(direction, work.link)
    work.warnings += survey.asleep(work.new)


def finish(work: Work) -> None:
    """Take the pair away: subscriptions, slots, publications, freeze, identities, helper schema. Legacy stays fenced."""
    legacy, new = work.legacy, work.new
    pair.unsubscribe(legacy, "pgcut_rev")
    pair.unsubscribe(new, "pgcut_fwd")
    pair.unpublish(new, "pgcut_rev")
    pair.unpublish(legacy, "pgcut_fwd")
    for server in (legacy, new):
        if server.db.value("SELECT to_regclass('pgcut.identity') IS NOT NULL"):
            identities.restore_identities(server)
        seed.remove_helper(server)
        reading.give_back(server)
        link_account.take_connect(server.admin, server.dbname, work.link.user)
    new.admin.run(f"ALTER DATABASE {ident(new.dbname)} RESET pgcut.stage")
    new.admin.run(f"ALTER DATABASE {ident(new.dbname)} RESET pgcut.served")


def _foreseen_back(actions: t.Sequence[str], situation: plan.Situation) -> str:
    """The phase after state legacy, by the steps that lead there."""
    if actions[-1] == "abort":
        return "armed"
    return "seeded" if (situation.publishes if "switch" in actions else situation.follows) else "prepared"
