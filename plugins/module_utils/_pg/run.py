# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a run: read, decide, and do exactly the steps that check mode shows."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict

from .._core.errors import FleetError
from .._core.result import Step, result
from .._core.runner import Runner
from .._core.wait import Deadline
from . import catalog, facts, fence, pair, physical_facts, physical_rescue, plan, preflight, roles, seed, sessions, status, survey, watchdog
from .carry import Carrier
from .model import SIDES, Facts, Finding, Link, Options, parse
from .physical_run import PhysicalRun
from .postgres import Server, ident, load
from .router import Clients
from .verify import Verification
from .window import Opened, Window

# A second run waits this long for the first one: longer than a window with its clean-up, shorter than an operator's patience.
_LOCK_WAIT = 30.0
# The design's limit: a follower that needs longer from commit to commit is not ready for a window.
_PING_LIMIT = 0.5
_RETRY = ("active_transactions", "prepared_transactions", "apply_lagging", "window_aborted")


def run(params: t.Mapping[str, t.Any], runner: Runner, check_mode: bool) -> dict[str, t.Any]:
    """One run of pg_cutover. The watchdog is forked first, before any connection exists."""
    options = parse(params)
    if options.engine == "dump":
        raise FleetError(
            "no_engine",
            "Engine dump is not available in this version; logical and physical are.",
            remedy="Use engine: logical (or auto), which needs wal_level = logical on both servers.",
        )
    if options.state != "preflight" and options.link is None:
        raise FleetError(
            "invalid_value", f"link: missing, and state {options.state} needs it.", remedy="Say how each server reaches the other one."
        )
    load()
    watchdog.ENGINES["physical"] = physical_rescue.rescue
    guard = watchdog.start(options, runner) if options.state in SIDES and not check_mode else None
    whole = options.engine == "physical" or (options.engine == "auto" and physical_facts.moved_whole(options))
    kind = PhysicalRun if whole else Run
    work = kind(options, runner, guard, check_mode)
    try:
        outcome = work.go()
    except FleetError as error:
        if guard is not None and error.code == "outcome_unknown":
            guard.leave()
            guard = None
        raise
    finally:
        work.close()
        if guard is not None:
            guard.end()
    return outcome


class Run:
    """One run over both servers."""

    def __init__(self, options: Options, runner: Runner, guard: watchdog.Watchdog | None, check_mode: bool) -> None:
        self._options = options
        self._runner = runner
        self._guard = guard
        self._check = check_mode
        purpose = f"pg_cutover {options.state}"
        self._legacy, self._new = Server(options.legacy, purpose), Server(options.new, purpose)
        self._clients = Clients(options.router, runner)
        self._opened: Opened | None = None
        self._frozen: Verification | None = None
        self._verified: dict[str, t.Any] | None = None
        self._findings: list[Finding] = []
        self._warnings: list[str] = []

    def close(self) -> None:
        self._legacy.close()
        self._new.close()

    def go(self) -> dict[str, t.Any]:
        if not self._reach():
            return self._planned()
        if not self._check and self._options.state != "preflight":
            fence.lock_run((self._legacy, self._new), min(_LOCK_WAIT, self._options.wait_timeout))
        before = facts.observe(self._legacy, self._new)
        found = plan.phase(before)
        steps = plan.steps(self._options.state, found)
        if self._options.state == "preflight":
            self._judge(found, strict=False)
        elif self._check and steps:
            self._judge(found, strict=True)
        elif steps:
            self._do(steps, found)
        after = before if self._check or not steps else facts.observe(self._legacy, self._new)
        reached = self._foreseen(steps, found) if self._check and steps else plan.phase(after)
        return self._result(steps, found, reached, after)

    def _reach(self) -> bool:
        """Whether both servers answer. False only for a new server that is planned. Raises with every server that does not answer."""
        failures: list[FleetError] = []
        for server in (self._legacy, self._new):
            try:
                server.admin.run("SELECT 1")
            except FleetError as error:
                planned = self._options.new_planned and (self._check or self._options.state == "preflight")
                if server is self._new and planned and error.code == "unreachable" and not failures:
                    return False
                failures.append(error)
        if failures:
            findings = [
                Finding(error.code, "fail", error.details.get("side", ""), error.message, error.remedy).as_dict() for error in failures
            ]
            first = failures[0]
            code = first.code if len(failures) == 1 else "preflight_failed"
            message = " ".join(error.message for error in failures)
            raise FleetError(code, f"{message} Nothing was changed.", remedy=first.remedy, details={**first.details, "findings": findings})
        return True

    # --- judging ------------------------------------------------------------------------------------------------------------------

    def _judge(self, found: str, *, strict: bool) -> None:
        """All findings; raises "preflight_failed" with them when one of them is fatal and ``strict``."""
        user = self._options.link.user if self._options.link else ""
        seen = [survey.look(server, roles.link_role, user) for server in (self._legacy, self._new)]
        drifted = catalog.drift(self._legacy, self._new) if found in ("seeded", "armed", "new", "new_armed") else []
        self._findings = preflight.judge(self._options, found, seen[0], seen[1], drifted)
        if strict:
            refuse(self._findings)

    def _planned(self) -> dict[str, t.Any]:
        """The new server does not exist yet, an earlier step of the same play makes it: what can be known without it."""
        user = self._options.link.user if self._options.link else ""
        self._findings = preflight.judge(self._options, "empty", survey.look(self._legacy, roles.link_role, user), None)
        if self._options.state != "preflight":
            refuse(self._findings)
        steps = plan.steps(self._options.state, "empty")
        reached = self._foreseen(steps, "empty")
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
        return {"size_bytes": int(self._legacy.admin.value("SELECT pg_catalog.pg_database_size(%s::name)", self._legacy.dbname))}

    def _foreseen(self, steps: t.Sequence[Step], found: str) -> str:
        if not steps:
            return found
        serves = plan.serving(found)
        return {
            "seeded": "seeded",
            "armed": "new_armed" if serves == "new" else "armed",
            "new": "new" if steps[-1].action != "abort" else "new_armed",
            "legacy": "seeded" if steps[-1].action != "abort" else "armed",
            "finished": "finished",
        }[self._options.state]

    # --- doing --------------------------------------------------------------------------------------------------------------------

    def _do(self, steps: t.Sequence[Step], found: str) -> None:
        judged = False
        serves = plan.serving(found)
        for step in steps:
            if not judged and step.action not in ("abort", "cleanup", "finish"):
                # What an interrupted window left behind is settled first, whatever the preflight says.
                self._judge(plan.phase(facts.observe(self._legacy, self._new)), strict=True)
                judged = True
            if step.action == "abort":
                serves = "legacy" if found == "window_forward" else "new"
                self._abort(serves)
            elif step.action == "switch":
                serves = "new" if serves == "legacy" else "legacy"
                self._switch(serves)
            elif step.action == "cleanup":
                self._cleanup(serves)
            elif step.action == "arm":
                pair.arm(pair.course(self._legacy, self._new, "new" if serves == "legacy" else "legacy"), self._link)
            elif step.action == "finish":
                self._finish()
            else:
                seed.Seed(self._legacy, self._new, self._options, self._link, self._runner).do(step.action)
        if self._opened is not None:
            self._connected(serves)
            self._verify()

    @property
    def _link(self) -> Link:
        if self._options.link is None:
            raise FleetError("invalid_value", "link: missing.")
        return self._options.link

    def _server(self, side: str) -> Server:
        return self._legacy if side == "legacy" else self._new

    def _abort(self, serves: str) -> None:
        """End a window that nobody works in any more: its target first, so that its epoch can never commit, then its source."""
        source, target = self._server(serves), self._server("new" if serves == "legacy" else "legacy")
        epoch = (fence.settings_of(target.admin, target.dbname) or {}).get("pgcut.epoch", "").rsplit(":", 1)[0] or fence.new_epoch()
        fence.turn(target.admin, target.dbname, f"{epoch}:abort", True)
        fence.turn(source.admin, source.dbname, f"{epoch}:abort", False)
        self._clients.serve(serves)

    def _switch(self, to: str) -> None:
        road = pair.course(self._legacy, self._new, to)
        if self._guard is None:
            raise FleetError("window_aborted", "No watchdog runs, so no window is opened.")
        self._ready(road)
        if self._options.verify != "none":
            self._frozen = Verification(road, self._options.verify, self._options.verify_timeout)
        for attempt in range(int(self._options.window_attempts)):
            try:
                window = Window(road, self._options, self._clients, self._guard, Carrier(road), self._frozen)
                self._opened = window.run()
                self._guard.say(watchdog.DONE)
                return
            except FleetError as error:
                alive = not any(server.admin.closed for server in (road.source, road.target))
                cause = error.details.get("cause", {}).get("code", error.code)
                if (
                    error.code not in _RETRY
                    or cause in ("connection_lost", "unreachable")
                    or not alive
                    or attempt + 1 >= self._options.window_attempts
                ):
                    raise
                if self._frozen is not None:
                    self._frozen.thaw()
                self._warnings.append(f"Window {attempt + 1} was given up: {error.message}")
                time.sleep(5 * 2**attempt)
                fence.lock_run((self._legacy, self._new), _LOCK_WAIT)

    def _ready(self, road: pair.Course) -> None:
        """The last gates before clients are held: in step, equal schemas, nobody in a long transaction; the unused slot is near."""
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
        busy = sessions.long_ones(road.source, self._options.drain_grace)
        if busy and self._options.on_active == "abort":
            raise FleetError(
                "active_transactions",
                f"Transactions on {road.source.endpoint} are older than drain_grace: {', '.join(busy)}. No window was opened.",
                remedy="End them, raise drain_grace, or set on_active: terminate.",
                details={"sessions": busy},
            )
        pair.advance(road.target, road.back)

    def _cleanup(self, serves: str) -> None:
        """Route the clients to the side that is open, and turn the direction of replication around."""
        target = self._server(serves)
        road = pair.course(self._legacy, self._new, serves)
        if self._opened is None:
            sessions.end_now(target, sessions.now_on(target))
            self._clients.serve(serves)
        pair.cleanup(road, self._link, fence.new_epoch())
        try:
            seed.refresh_views(road.source, target)
        except FleetError as error:
            self._warnings.append(f"A materialized view was not refreshed: {error.message}")

    def _connected(self, serves: str) -> None:
        """Give the new direction a moment to connect, so that the result does not call the way back closed while it is opening."""
        road = pair.course(self._legacy, self._new, serves)
        deadline = Deadline(6)
        while pair.lag(road.target, road.back) is None and not deadline.expired():
            deadline.pause(0.05)

    def _verify(self) -> None:
        """Long, and nobody needs to wait for it: the run lock is given back first."""
        for server in (self._legacy, self._new):
            fence.unlock(server.admin, server.dbname)
        if self._frozen is None:
            return
        self._verified = self._frozen.compare()
        if not self._verified["equal"]:
            names = ", ".join(entry["table"] for entry in self._verified["mismatches"])
            opened = self._opened
            raise FleetError(
                "rows_differ",
                f"Rows differ between the sides as they were at the switch: {names}. The switch stays.",
                remedy="Go back with the other state (nothing is lost by it), and look at the tables that are named.",
                details={"verify": self._verified, "window_ms": opened.window_ms if opened else None},
            )

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

    # --- telling ------------------------------------------------------------------------------------------------------------------

    def _result(self, steps: t.Sequence[Step], found: str, reached: str, after: Facts) -> dict[str, t.Any]:
        predicted = None
        if (
            self._options.state != "finished"
            and plan.serving(found) in SIDES
            and (self._check or self._options.state in ("preflight", "seeded", "armed"))
        ):
            source = self._server(plan.serving(found))
            predicted = status.predicted_window_ms(self._options, source, self._new if source is self._legacy else self._legacy)
        told = result(
            steps,
            before={"phase": found, "serving": plan.serving(found)},
            after={"phase": reached, "serving": plan.serving(reached)},
            warnings=self._warnings,
            evidence={"facts": status.described(after), **self._size()},
            rollback=status.rollback(self._legacy, self._new, after, plan.phase(after)),
        )
        return {**told, **self._common(found, reached, predicted)}

    def _common(self, found: str, reached: str, predicted: float | None) -> dict[str, t.Any]:
        opened = self._opened
        return {
            "phase_before": found,
            "phase_after": reached,
            "serving": plan.serving(reached),
            "engine": "logical",
            "window_ms": opened.window_ms if opened else None,
            "database_ms": opened.database_ms if opened else None,
            "pause_ms": opened.pause_ms if opened else None,
            "hold": {"from": opened.held_at, "until": opened.released_at} if opened else None,
            "steps": opened.steps if opened else [],
            "drained": asdict(opened.drained) if opened else None,
            "sequences": opened.sequences if opened else None,
            "verify": self._verified,
            "findings": [finding.as_dict() for finding in self._findings],
            "predicted_window_ms": predicted,
        }


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
