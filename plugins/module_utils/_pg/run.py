# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a run: read, decide, and do exactly the steps that check mode shows."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict, replace

from .._core.errors import FleetError
from .._core.result import Step, result
from .._core.runner import Runner
from .._core.wait import Deadline
from . import facts, plan, status
from .engines import choice as engine
from .engines.dump import copy_window
from .engines.logical import seed
from .engines.physical import conditions as physical, facts as physical_facts, rescue as physical_rescue
from .engines.physical.run import PhysicalRun
from .model import COPYING, OUTLINE, SIDES, Facts, Finding, Link, Options, SideFacts, parse, weak_tls
from .preflight import rules as preflight, survey
from .replication import pair, sync
from .routers.clients import clients
from .server import accounts, catalog, fence, link_account, materialized_views, owner_code, sessions
from .server.postgres import Server, ident, load
from .server.process import Control
from .snapshot import run as snapshot
from .snapshot.dump import Maker
from .window import loss, restart, trial, watchdog
from .window.carry import Carrier
from .window.trial import Trial
from .window.verify import Verification
from .window.window import Opened, Window

# A second run waits this long for the first one: longer than a window with its clean-up, shorter than an operator's patience.
_LOCK_WAIT = 30.0
# The design's limit: a follower that needs longer from commit to commit is not ready for a window.
_PING_LIMIT = 0.5
_RETRY = ("active_transactions", "prepared_transactions", "apply_lagging", "window_aborted")


def run(params: t.Mapping[str, t.Any], runner: Runner, check_mode: bool) -> dict[str, t.Any]:
    """One run of pg_cutover. The watchdog is forked first, before any connection exists."""
    options = parse(params)
    if options.state != "preflight" and options.link is None:
        raise FleetError(
            "invalid_value", f"link: missing, and state {options.state} needs it.", remedy="Say how each server reaches the other one."
        )
    load()
    restarts = options.allow_legacy_restart and options.state in ("seeded", "armed")
    watchdog.ENGINES["physical"] = physical_rescue.rescue
    guard = watchdog.start(options, runner) if (options.state in SIDES or options.trial_window or restarts) and not check_mode else None
    whole = options.engine == "physical" or (options.engine == "auto" and physical_facts.moved_whole(options))
    work = (PhysicalRun if whole else Run)(options, runner, guard, check_mode)
    try:
        return work.go()
    finally:
        work.close()
        if guard is not None:
            guard.end()


class Run:
    """One run over both servers."""

    def __init__(self, options: Options, runner: Runner, guard: watchdog.Watchdog | None, check_mode: bool) -> None:
        self._options = options
        self._runner = runner
        self._guard = guard
        self._check = check_mode
        purpose = f"pg_cutover {options.state}"
        self._legacy, self._new = Server(options.legacy, purpose), Server(options.new, purpose)
        self._clients = clients(options, runner)
        self._opened: Opened | None = None
        self._frozen: Verification | None = None
        self._verified: dict[str, t.Any] | None = None
        self._kept: dict[str, t.Any] | None = None
        self._findings: list[Finding] = []
        self._warnings: list[str] = []
        self._unmet: FleetError | None = None
        self._loss: dict[str, t.Any] | None = None
        self._choice = engine.Choice("", "")
        self._restarted: float | None = None
        self._owner_code: list[str] = []

    def close(self) -> None:
        self._legacy.close()
        self._new.close()
        self._clients.close()

    def go(self) -> dict[str, t.Any]:
        failures = self._failures()
        if failures:
            told = self._alone(failures)
            return told if told is not None else self._planned()
        if not self._check and self._options.state != "preflight":
            fence.lock_run((self._legacy, self._new), min(_LOCK_WAIT, self._options.wait_timeout))
        before = facts.observe(self._legacy, self._new)
        found = plan.phase(before)
        given_up = loss.steps(self._options, before, found)
        if given_up is not None:
            return self._without_rows(given_up, found, before)
        manner = self._engine(before, found)
        if self._choice.engine == "physical":
            return self._whole()
        steps = self._steps(found, sync.read(self._legacy, self._new), manner)
        if self._options.snapshot and any(step.action == "switch" for step in steps):
            self._maker(self._options.state).judge()
        if self._options.state == "preflight":
            self._judge(found, strict=False)
        elif self._check and steps:
            self._judge(found, strict=True)
        elif steps:
            self._do(steps, found)
        after = before if self._check or not steps else facts.observe(self._legacy, self._new)
        reached = self._foreseen(steps, found, manner) if self._check and steps else plan.phase(after)
        return self._result(steps, found, reached, after)

    def _steps(self, found: str, standing: sync.Standing, manner: plan.Manner) -> tuple[Step, ...]:
        engine.refuse_beside(self._options, self._choice.engine)
        steps = (*plan.steps(self._options.state, found, manner), *trial.steps(self._options))
        return sync.merge(steps, sync.steps(self._options, found, standing))

    def _failures(self) -> dict[str, FleetError]:
        """The servers that do not answer."""
        failures: dict[str, FleetError] = {}
        for server in (self._legacy, self._new):
            try:
                # A run that was killed inside the restart has left that to its watchdog.
                restarting = self._options.allow_legacy_restart and server is self._legacy and not self._check
                _answer(server, _LOCK_WAIT if restarting else 0)
            except FleetError as error:
                failures[server.side] = error
        return failures

    def _alone(self, failures: t.Mapping[str, FleetError]) -> dict[str, t.Any] | None:
        """What can be done with one server; None for a new server that is planned. Raises with every server that does not answer."""
        options = self._options
        if set(failures) == {"new"}:
            if options.state == "legacy":
                told = self._without_new()
                if told is not None:
                    return told
            planned = options.new_planned and (self._check or options.state == "preflight")
            if planned and failures["new"].code == "unreachable":
                return None
        elif set(failures) == {"legacy"} and options.state == "new" and options.guarantee == "async":
            told = self._without_legacy(failures["legacy"])
            if told is not None:
                return told
        findings = [
            Finding(error.code, "fail", error.details.get("side", ""), error.message, error.remedy).as_dict() for error in failures.values()
        ]
        first = next(iter(failures.values()))
        code = first.code if len(failures) == 1 else "preflight_failed"
        message = " ".join(error.message for error in failures.values())
        raise FleetError(code, f"{message} Nothing was changed.", remedy=first.remedy, details={**first.details, "findings": findings})

    def _without_new(self) -> dict[str, t.Any] | None:
        """State legacy, and new does not answer. None when legacy serves as it always did, so that nobody has to decide about loss."""
        legacy, options = self._legacy, self._options
        if not self._check:
            fence.lock_run((legacy,), min(_LOCK_WAIT, options.wait_timeout))
        half = facts.read(legacy)
        steps = loss.steps_alone(half)
        if steps is None:
            return None
        opens = any(step.action == "abandon" for step in steps)
        if opens:
            self._loss = loss.known(legacy)
            sound = loss.heard(options.new, legacy, self._check)
            if sound == "alive" or not options.accept_loss:
                raise loss.refusal(options, self._loss, sound)
            self._loss["new"] = sound
        if not self._check:
            self._give_up(steps, None)
            half = facts.read(legacy)
        self._warnings.append(
            f"{options.new} could not be closed. Keep clients from it, and run state: legacy as soon as it answers, which closes it."
        )
        after = Facts(half.side, SideFacts(exists=False))
        return self._ended(steps, "unknown" if opens else plan.ABANDONED, plan.ABANDONED, after, "new does not answer")

    def _without_rows(self, steps: tuple[Step, ...], found: str, before: Facts) -> dict[str, t.Any]:
        """State legacy with both servers, when no lossless way is left or legacy was opened without rows already."""
        options = self._options
        if any(step.action == "abandon" for step in steps):
            self._loss = {**loss.known(self._legacy), "tables": loss.differing(self._legacy, self._new)}
            if not options.accept_loss:
                raise loss.refusal(options, self._loss, "follows")
            self._loss["new"] = "follows"
        if not self._check:
            self._give_up(steps, self._new)
        after = before if self._check or not steps else facts.observe(self._legacy, self._new)
        return self._ended(steps, found, plan.ABANDONED_FENCED if self._check else plan.phase(after), after, "nothing follows legacy")

    def _give_up(self, steps: t.Sequence[Step], new: Server | None) -> None:
        for step in steps:
            if step.action == "close":
                loss.close(self._new, self._legacy)
            elif step.action == "abandon":
                self._loss = {**(self._loss or {}), **loss.abandon(self._legacy, new)}
            else:
                # First, so that a run that was killed in between finds something left to do, and routes again.
                self._clients.serve("legacy")
                loss.leave(self._legacy)
                self._refresh(self._legacy, self._legacy)

    def _without_legacy(self, error: FleetError) -> dict[str, t.Any] | None:
        """Legacy does not answer, and commits on new wait for it: let them go on, if new is what serves."""
        new = self._new
        if not self._check:
            fence.lock_run((new,), min(_LOCK_WAIT, self._options.wait_timeout))
        half, standing = facts.read(new), sync.read(None, new)
        if not half.side.exists or half.side.fenced or not (standing.waits or standing.kept):
            return None
        steps = sync.steps(self._options, "new", standing)
        if not self._check:
            sync.off(None, new)
        self._warnings.append(
            f"{error.message} Legacy still notes that no acknowledged commit is missing on it; that is not true from now on,"
            " until a run that reaches both servers."
        )
        return self._ended(steps, "unknown", "unknown", Facts(SideFacts(), half.side), "legacy does not answer", serving="new")

    def _ended(
        self, steps: t.Sequence[Step], found: str, reached: str, after: Facts, reason: str, serving: str = ""
    ) -> dict[str, t.Any]:
        """The result of a run that leaves no way back."""
        told = result(
            steps,
            before={"phase": found, "serving": serving or plan.serving(found)},
            after={"phase": reached, "serving": serving or plan.serving(reached)},
            warnings=self._warnings,
            evidence={"facts": status.described(after)},
            rollback={"armed": False, "guarantee": "none", "lag_ms": None, "reason": reason},
        )
        return {**told, **self._common(found, reached, None), "serving": serving or plan.serving(reached)}

    # --- judging ------------------------------------------------------------------------------------------------------------------

    def _engine(self, seen: Facts, found: str) -> plan.Manner:
        """Choose the engine, or learn which one the move has; what follows from it for the steps."""
        manner = plan.manner(seen)
        if not engine.undecided(found, manner):
            self._choice = engine.running(self._options.engine, self._options.state, found, seen)
            return manner
        self._choose(*(engine.ability(server, Control(server.endpoint, self._runner)) for server in (self._legacy, self._new)))
        return replace(manner, seed=self._choice.seed, publishes=manner.publishes or self._choice.restart)

    def _choose(self, legacy: engine.Ability, new: engine.Ability, *, planned: bool = False) -> None:
        # What stands against the engine physical is only looked for where auto cannot take logical.
        reasons = ["new is planned and does not answer yet"] if planned else []
        if self._options.engine == "auto" and not planned and not (legacy.publishes and new.publishes):
            reasons = physical.conditions(self._legacy, self._new, self._options, self._runner)
        self._choice = engine.choose(self._options.engine, self._options.allow_legacy_restart, legacy, new, reasons)

    def _whole(self) -> dict[str, t.Any]:
        """auto has chosen to move the cluster as a whole: that run begins anew, with connections and locks of its own."""
        self.close()
        work = PhysicalRun(self._options, self._runner, self._guard, self._check)
        try:
            return {**work.go(), "engine_reason": self._choice.reason}
        finally:
            work.close()

    def _judge(self, found: str, *, strict: bool) -> None:
        """All findings; raises "preflight_failed" with them when one of them is fatal and ``strict``."""
        user = self._options.link.user if self._options.link else ""
        seen = [survey.look(server, link_account.link_role, user) for server in (self._legacy, self._new)]
        dumped = self._choice.engine == "dump"
        copied = found in ("new", "new_armed") or (
            not dumped and (found in ("seeded", "armed") or (found == "seeding" and seed.is_complete(self._new)))
        )
        drifted = catalog.drift(self._legacy, self._new) if copied else []
        publishes = not dumped and (seen[0].settings["wal_level"] == "logical" or self._choice.restart)
        self._findings = [*self._choice.findings, *preflight.judge(self._options, found, seen[0], seen[1], drifted, publishes=publishes)]
        self._findings += self._judge_owner_code(seen, dumped)
        if dumped and plan.serving(found) == "legacy":
            self._findings += copy_window.findings(self._options, seen[0].size, copy_window.free_bytes())
        if self._options.state in ("preflight", *SIDES):
            self._findings += self._clients.findings()
        self._findings += sync.judge(self._options, self._legacy, self._new, sync.read(self._legacy, self._new))
        self._findings += weak_tls((self._options.legacy, self._options.new), self._options.link)
        if found in ("empty", "prepared"):
            self._findings += accounts.findings(self._legacy, self._new, self._options.link)
        self._findings.sort(key=lambda finding: finding.level)
        if strict:
            refuse(self._findings)

    def _judge_owner_code(self, seen: t.Sequence[survey.Seen], dumped: bool) -> list[Finding]:
        """Rows are written with the rights of a superuser where a side that follows is older than 16, and by engine dump."""
        everything = dumped or seen[0].version < owner_code.AS_OWNER
        used = owner_code.concerned([use for side in seen for use in side.owner_code], everything)
        self._owner_code = owner_code.accepted(used, self._options.accept_owner_code)
        return owner_code.findings(used, self._options.accept_owner_code)

    def _planned(self) -> dict[str, t.Any]:
        """The new server does not exist yet, an earlier step of the same play makes it: what can be known without it."""
        user = self._options.link.user if self._options.link else ""
        self._choose(engine.ability(self._legacy, Control(self._options.legacy, self._runner)), engine.Ability(), planned=True)
        seen = survey.look(self._legacy, link_account.link_role, user)
        self._findings = [*self._choice.findings, *preflight.judge(self._options, "empty", seen, None)]
        self._findings += self._judge_owner_code([seen], self._choice.engine == "dump")
        self._findings += [*weak_tls((self._options.legacy, self._options.new), self._options.link), *accounts.findings(self._legacy, None, self._options.link)]
        if self._options.state != "preflight":
            refuse(self._findings)
        manner = plan.Manner(self._choice.seed, publishes=self._choice.engine != "dump")
        steps = self._steps("empty", sync.Standing(), manner)
        reached = self._foreseen(steps, "empty", manner)
        told = result(
            steps,
            before={"phase": "empty"},
            after={"phase": reached},
            evidence=self._size(),
            warnings=["The new server does not answer yet; it is planned."],
            rollback={"armed": False, "guarantee": "async", "lag_ms": None, "reason": "no pair exists"},
        )
        return {**told, **self._common("empty", reached, None)}

    def _size(self) -> dict[str, int]:
        """Bytes of the database that is to be moved, which the role's preflight compares with the room on the target."""
        if self._options.state != "preflight":
            return {}
        text = "SELECT coalesce(sum(pg_database_size(oid)), 0) FROM pg_database WHERE datname = %s"
        return {"size_bytes": int(self._legacy.admin.value(text, self._legacy.dbname))}

    def _foreseen(self, steps: t.Sequence[Step], found: str, manner: plan.Manner) -> str:
        if not steps:
            return found
        serves = plan.serving(found)
        return {
            "seeded": "seeded",
            "armed": "armed" if serves != "new" else "new_armed" if manner.publishes else "new",
            "new": "new_armed" if steps[-1].action == "abort" and manner.publishes else "new",
            "legacy": _foreseen_back([step.action for step in steps], manner),
            "finished": "finished",
        }[self._options.state]

    # --- doing --------------------------------------------------------------------------------------------------------------------

    def _do(self, steps: t.Sequence[Step], found: str) -> None:
        judged = False
        serves = plan.serving(found)
        for step in steps:
            if not judged and step.action not in ("abort", "cleanup", "finish", "async"):
                # What an interrupted window left behind is settled first, whatever the preflight says.
                self._judge(plan.phase(facts.observe(self._legacy, self._new)), strict=True)
                judged = True
            if step.action == "abort":
                serves = "legacy" if found == "window_forward" else "new"
                self._abort(serves)
            elif step.action == "switch":
                serves = "new" if serves == "legacy" else "legacy"
                self._switch(serves)
            elif step.action == "trial":
                self._switch("new" if serves == "legacy" else "legacy", Trial)
            elif step.action == "sync":
                self._wait_for_legacy()
            elif step.action == "async":
                sync.off(self._legacy, self._new)
            elif step.action == "cleanup":
                self._cleanup(serves)
            elif step.action == "arm":
                road = pair.course(self._legacy, self._new, "new" if serves == "legacy" else "legacy")
                seed.complete(road, self._options.wait_timeout, self._options.accept_owner_code)
                owner_code.refuse_replicated(road.source.db, self._options.accept_owner_code)
                pair.arm(road, self._link)
            elif step.action == "finish":
                self._finish()
            elif step.action == "restart":
                self._restart()
            elif step.action == "outline":
                self._copy().outline()
            else:
                seed.Seed(self._legacy, self._new, self._options, self._link, self._runner).do(step.action)
        if self._opened is not None:
            self._connected(serves)
            try:
                self._verify()
            finally:
                self._keep(serves)
        if self._unmet is not None:
            raise self._unmet

    @property
    def _link(self) -> Link:
        if self._options.link is None:
            raise FleetError("invalid_value", "link: missing.")
        return self._options.link

    def _server(self, side: str) -> Server:
        return self._legacy if side == "legacy" else self._new

    def _restart(self) -> None:
        if self._guard is None:
            raise FleetError("control_failed", "No watchdog runs, so no server is restarted.")
        control = Control(self._options.legacy, self._runner)
        self._restarted = restart.restart(self._legacy, self._options, self._clients, control, self._guard)
        # The lock on legacy went with its sessions. Locks are taken in one order, so that two runs cannot wait for each other.
        self._new.close()
        fence.lock_run((self._legacy, self._new), _LOCK_WAIT)

    def _abort(self, serves: str) -> None:
        """End a window that nobody works in any more: its target first, so that its epoch can never commit, then its source."""
        source, target = self._server(serves), self._server("new" if serves == "legacy" else "legacy")
        epoch = (fence.settings_of(target.admin, target.dbname) or {}).get("pgcut.epoch", "").rsplit(":", 1)[0] or fence.new_epoch()
        fence.turn(target.admin, target.dbname, f"{epoch}:abort", True)
        fence.turn(source.admin, source.dbname, f"{epoch}:abort", False)
        sessions.end_idle(source)
        self._clients.serve(serves)

    def _switch(self, to: str, kind: type[Window] = Window) -> None:
        """One window of ``kind``, tried as often as window_attempts says."""
        road = self._road(to)
        if self._guard is None:
            raise FleetError("window_aborted", "No watchdog runs, so no window is opened.")
        self._ready(road)
        if to == "new" and kind is Window and self._options.guarantee == "sync":
            # Before the window, so that every session which begins after it has the setting already.
            sync.prepare(road.target)
        if self._options.verify != "none" or self._options.snapshot:
            self._frozen = Verification(road, self._options.verify, self._options.verify_timeout)
        for attempt in range(int(self._options.window_attempts)):
            try:
                self._opened = self._window(road, kind, self._guard).run()
                self._guard.say(watchdog.DONE)
                return
            except FleetError as error:
                alive = all(server.alive for server in (road.source, road.target))
                cause = error.details.get("cause", {}).get("code", error.code)
                if (
                    error.code not in _RETRY
                    or cause in ("connection_lost", "unreachable")
                    or not alive
                    or self._stage() == COPYING
                    or attempt + 1 >= self._options.window_attempts
                ):
                    raise
                if self._frozen is not None:
                    self._frozen.thaw()
                self._warnings.append(f"Window {attempt + 1} was given up: {error.message}")
                time.sleep(5 * 2**attempt)
                fence.lock_run((self._legacy, self._new), _LOCK_WAIT)

    def _road(self, to: str) -> pair.Course:
        """The switch after which ``to`` serves. New follows legacy afterwards only if its slot was made before legacy opened."""
        there = to == "new" or facts.observe(self._legacy, self._new).forward.slot != ""
        return replace(pair.course(self._legacy, self._new, to), returns=there)

    def _copies(self, road: pair.Course) -> bool:
        return road.target is self._new and self._stage() == OUTLINE

    def _stage(self) -> str:
        return (fence.settings_of(self._new.admin, self._new.dbname) or {}).get("pgcut.stage", "")

    def _copy(self) -> copy_window.Copy:
        return copy_window.Copy(pair.course(self._legacy, self._new, "new"), self._options, self._runner)

    def _window(self, road: pair.Course, kind: type[Window], guard: watchdog.Watchdog) -> Window:
        parts = (road, self._options, self._clients, guard, Carrier(road, self._options.accept_owner_code), self._frozen)
        return copy_window.CopyWindow(*parts).bring_by(self._copy()) if self._copies(road) else kind(*parts)

    def _ready(self, road: pair.Course) -> None:
        """The last gates before clients are held: in step, equal schemas, nobody in a long transaction; the unused slot is near."""
        if self._copies(road):
            self._copy().ready()
        else:
            self._in_step(road)
        self._quiet(road)
        if road.returns and not self._copies(road):
            pair.advance(road)

    def _in_step(self, road: pair.Course) -> None:
        epoch = f"{fence.new_epoch()}:ping"
        seconds = pair.ping(road, epoch, 30)
        attempts = 0
        while seconds > _PING_LIMIT:
            attempts += 1
            if attempts > 20:
                raise FleetError(
                    "apply_lagging",
                    f"{road.target.endpoint} needs {seconds:.2f} s to show a commit; the limit is {_PING_LIMIT} s. No window was opened.",
                    remedy="Run again when the source writes less, or give the follower more room.",
                    details={"ping_ms": round(seconds * 1000)},
                )
            seconds = pair.ping(road, f"{epoch}{attempts}", 30)

    def _quiet(self, road: pair.Course) -> None:
        busy = sessions.long_ones(road.source, self._options.drain_grace)
        if busy and self._options.on_active == "abort":
            raise FleetError(
                "active_transactions",
                f"Transactions on {road.source.endpoint} are older than drain_grace: {', '.join(busy)}. No window was opened.",
                remedy="End them, raise drain_grace, or set on_active: terminate.",
                details={"sessions": busy},
            )

    def _cleanup(self, serves: str) -> None:
        """Route the clients to the side that is open, and turn the direction of replication around."""
        target = self._server(serves)
        road = self._road(serves)
        copied = self._stage() == COPYING
        if self._opened is None and not fence.served(fence.settings_of(target.admin, target.dbname) or {}):
            if serves == "new" or not copied:
                sessions.end_now(target, sessions.now_on(target))
            self._clients.serve(serves)
        if serves == "new" and copied:
            copy_window.stage(target, seed.STAGE_COMPLETE)
        pair.cleanup(road, fence.new_epoch())
        if not copied:
            # Else the views came with the copy, or the copy was given up and no side was opened.
            self._refresh(road.source, target)

    def _refresh(self, source: Server, target: Server) -> None:
        try:
            materialized_views.refresh_views(source, target)
        except FleetError as error:
            self._warnings.append(f"A materialized view was not refreshed: {error.message}")

    def _wait_for_legacy(self) -> None:
        """The guarantee, after everything else; the rows of a switch are compared before its failure is told."""
        try:
            sync.on(self._options, self._legacy, self._new)
            self._warnings.append("Commits on new wait while legacy is unreachable (guarantee: sync).")
        except FleetError as error:
            self._unmet = error

    def _connected(self, serves: str) -> None:
        """Give the new direction a moment to connect, so that the result does not call the way back closed while it is opening."""
        road = pair.course(self._legacy, self._new, serves)
        deadline = Deadline(6 if self._road(serves).returns else 0)
        while pair.lag(road.target, road.back) is None and not deadline.expired():
            deadline.pause(0.05)

    def _verify(self) -> None:
        """Long, and nobody needs to wait for it: the run lock is given back first."""
        for server in (self._legacy, self._new):
            fence.unlock(server.admin, server.dbname)
        if self._frozen is None or self._options.verify == "none":
            return
        self._verified = self._frozen.compare()
        if not self._verified["equal"]:
            names = ", ".join(entry["table"] for entry in self._verified["mismatches"])
            opened, tried = self._opened, self._options.trial_window
            raise FleetError(
                "rows_differ",
                f"Rows differ between the sides as they were at the switch: {names}. {'No switch was made' if tried else 'The switch stays'}.",
                remedy="Look at the tables that are named; make the copy anew if new is wrong."
                if tried
                else "Go back with the other state (nothing is lost by it), and look at the tables that are named.",
                details={"verify": self._verified, "window_ms": opened.window_ms if opened else None},
            )

    def _maker(self, to: str) -> Maker:
        """Takes the snapshot of the side that the switch to ``to`` closes."""
        if self._options.snapshot is None:
            raise FleetError("invalid_value", "snapshot: missing.")
        return Maker(self._server("legacy" if to == "new" else "new"), self._options.snapshot, self._runner)

    def _keep(self, to: str) -> None:
        """The dump of the switch point. The switch stands, so a failure is told and not raised."""
        if self._options.snapshot is None:
            return
        try:
            if self._frozen is None:
                raise FleetError("evidence_missing", "No snapshot was frozen at the switch.")
            maker = self._maker(to)
            self._kept = snapshot.described(maker.make(self._frozen.snapshot(maker.side)))
        except FleetError as error:
            self._warnings.append(f"The snapshot of the switch was not taken: {error.message} The switch stays.")
            self._kept = {"failure": error.as_failure()}

    def _finish(self) -> None:
        """Take the pair away: subscriptions, slots, publications, freeze, identities, helper schema. Legacy stays fenced."""
        legacy, new = self._legacy, self._new
        pair.unsubscribe(legacy, "pgcut_rev")
        pair.unsubscribe(new, "pgcut_fwd")
        pair.unpublish(new, "pgcut_rev")
        pair.unpublish(legacy, "pgcut_fwd")
        for server in (legacy, new):
            if server.db.value("SELECT to_regclass('pgcut.identity') IS NOT NULL"):
                seed.restore_identities(server)
            seed.remove_helper(server)
        new.admin.run(f"ALTER DATABASE {ident(new.dbname)} RESET pgcut.stage")
        new.admin.run(f"ALTER DATABASE {ident(new.dbname)} RESET pgcut.served")

    # --- telling ------------------------------------------------------------------------------------------------------------------

    def _result(self, steps: t.Sequence[Step], found: str, reached: str, after: Facts) -> dict[str, t.Any]:
        predicted = self._predicted(found)
        told = result(
            steps,
            before={"phase": found, "serving": plan.serving(found)},
            after={"phase": reached, "serving": plan.serving(reached)},
            warnings=self._warnings,
            evidence={"facts": status.described(after), **self._size(), "accepted_owner_code": self._owner_code},
            rollback=status.rollback(self._legacy, self._new, after, plan.phase(after)),
        )
        return {**told, **self._common(found, reached, predicted)}

    def _predicted(self, found: str) -> float | None:
        serves = plan.serving(found)
        if self._options.state == "finished" or serves not in SIDES or not (self._check or self._options.state in plan.STATES[:3]):
            return None
        road = pair.course(self._legacy, self._new, "new" if serves == "legacy" else "legacy")
        dumped = self._choice.engine == "dump" and serves == "legacy"
        copied = not dumped and found not in ("empty", "prepared", "seeding")
        try:
            predicted = status.predicted_window_ms(self._options, self._clients, road, copied=copied)
            if dumped:
                size = self._legacy.admin.value("SELECT pg_catalog.pg_database_size(%s::name)", self._legacy.dbname)
                predicted += copy_window.copy_seconds(int(size)) * 1000
            return predicted
        except FleetError as error:
            self._warnings.append(f"The window cannot be predicted: {error.message}")
            return None

    def _common(self, found: str, reached: str, predicted: float | None) -> dict[str, t.Any]:
        opened = self._opened
        return {
            "phase_before": found,
            "phase_after": reached,
            "serving": plan.serving(reached),
            "engine": self._choice.engine or None,
            "engine_reason": self._choice.reason,
            "window_ms": opened.window_ms if opened else None,
            "database_ms": opened.database_ms if opened else None,
            "pause_ms": opened.pause_ms if opened else None,
            "restart_ms": self._restarted,
            "hold": {"from": opened.held_at, "until": opened.released_at} if opened else None,
            "steps": opened.steps if opened else [],
            "drained": asdict(opened.drained) if opened else None,
            "sequences": opened.sequences if opened else None,
            "verify": self._verified,
            "loss": self._loss,
            "snapshot": self._kept,
            "findings": [finding.as_dict() for finding in self._findings],
            "predicted_window_ms": predicted,
        }


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


def _foreseen_back(actions: t.Sequence[str], manner: plan.Manner) -> str:
    """The phase after state legacy, by the steps that lead there."""
    if actions[-1] == "abort":
        return "armed"
    return "seeded" if (manner.publishes if "switch" in actions else manner.follows) else "prepared"


def refuse(findings: t.Sequence[Finding]) -> None:
    """Raise with all findings when one of them is fatal. A single one gives its own code, several share "preflight_failed"."""
    wrong = preflight.fatal(findings)
    if not wrong:
        return
    codes = {finding.code for finding in wrong}
    details = {"findings": [finding.as_dict() for finding in findings]}
    message = " ".join(finding.message for finding in wrong) + " Nothing was changed."
    remedy = " ".join(finding.remedy for finding in wrong if finding.remedy)
    raise FleetError(codes.pop() if len(codes) == 1 else "preflight_failed", message, remedy=remedy, details=details)
