# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run of the engine physical: the same states, results and promises as the logical one, with other steps."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict

from ...._core.errors import FleetError
from ...._core.finding import Finding
from ...._core.result import Step, result
from ...._core.runner import Runner
from ...._core.wait import Deadline
from ...model import OTHER, SIDES, Link, Options, weak_tls
from ...options import link_of
from ...replication import pair
from ...routers.clients import clients
from ...server import fence
from ...status import predicted_window_ms
from ...window import watchdog
from ...window.watchdog import watching
from ...window.window import Opened
from .. import choice as engine
from . import (
    conditions as physical,
    facts as physical_facts,
    follow as physical_follow,
    plan as physical_plan,
    seed as physical_seed,
    settle as physical_settle,
)
from .facts import PhysicalDirection, Site
from .plan import Nodes
from .window import PhysicalWindow, ready

_LOCK_WAIT = 30.0
_RETRY = ("active_transactions", "apply_lagging", "window_aborted")
# The shutdown, its checkpoint and the promotion, beside what a logical window has; measured on loopback with fsync on, 64 MB of
# shared_buffers and four writers. pg_ctl looks for the end every 100 ms.
_SHUTDOWN_MS = 200.0


class PhysicalRun:
    """One run over both servers, of which one may be stopped."""

    def __init__(self, options: Options, runner: Runner, guard: watchdog.Watchdog | None, check_mode: bool) -> None:
        self._options = options
        self._runner = runner
        self._guard = guard
        self._check = check_mode
        self._sites = physical_facts.sites(options, runner, f"pg_cutover {options.state}")
        self._clients = clients(options, runner)
        self._opened: Opened | None = None
        self._verified: dict[str, t.Any] | None = None
        self._findings: list[Finding] = []
        self._warnings: list[str] = []

    def close(self) -> None:
        self._sites.close()
        self._clients.close()

    def go(self) -> dict[str, t.Any]:
        options = self._options
        engine.refuse_unsupported(options, "physical")
        before = physical_facts.observe(self._sites)
        if not self._check and options.state != "preflight":
            self._lock(before)
            before = physical_facts.observe(self._sites)
        found = physical_plan.phase(before)
        steps = physical_plan.steps(options.state, found)
        if self._judged(found) and (steps or options.state == "preflight"):
            self._judge(strict=options.state != "preflight")
        if steps and not self._check:
            self._do(steps, found)
        after = before if self._check or not steps else physical_facts.observe(self._sites)
        reached = self._foreseen(steps, found) if self._check and steps else physical_plan.phase(after)
        return self._result(steps, found, reached, after)

    def _lock(self, nodes: Nodes) -> None:
        """The run lock on every server that runs; a standby can hold it, too."""
        servers = [site.server for site in self._sites.both() if nodes.side(site.side).running]
        fence.lock_run(servers, min(_LOCK_WAIT, self._options.wait_timeout))

    def _judged(self, found: str) -> bool:
        """Whether both servers answer, and nothing interrupted has to be settled first, whatever the conditions say."""
        return found in ("empty", "prepared", "seeded", "armed", "new", "new_armed")

    def _judge(self, *, strict: bool) -> None:
        sites = self._sites
        reasons = physical.conditions(sites.legacy.server, sites.new.server, self._options, self._runner)
        self._findings = [Finding("no_engine", "fail", "engine", f"Engine physical: {reason}.", "Mend it, or choose another engine.")
                          for reason in reasons]
        self._findings += weak_tls((self._options.legacy, self._options.new), self._options.link)
        if reasons and strict:
            raise FleetError(
                "no_engine",
                f"The engine physical cannot move this cluster: {'; '.join(reasons)}. Nothing was changed.",
                remedy="Mend what is named, or use engine: logical (wal_level = logical, allow_legacy_restart) or dump.",
                details={"findings": [finding.as_dict() for finding in self._findings]},
            )

    # --- doing --------------------------------------------------------------------------------------------------------------------

    @property
    def _link(self) -> Link:
        return link_of(self._options)

    def _do(self, steps: t.Sequence[Step], found: str) -> None:
        serves = physical_plan.before(found)
        for step in steps:
            if step.action == "abort":
                self._settle(serves)
            elif step.action == "open":
                physical_settle.open_target(self._sites.direction(serves), self._clients, Deadline(self._options.max_window + 30))
            elif step.action == "arm":
                physical_seed.arm(self._sites, serves, self._link)
            elif step.action == "switch":
                serves = OTHER[serves]
                serves = self._switch(serves)
            elif step.action == "cleanup":
                self._cleanup(serves)
            elif step.action == "finish":
                physical_seed.finish(self._sites)
            else:
                physical_seed.Seed(self._sites, self._link, self._options.wait_timeout).do(step.action)

    def _settle(self, back: str) -> None:
        """A window that nobody works in any more, in which ``back`` was open before. Raises when the other side was promoted after all."""
        limit = Deadline(self._options.max_window + 30)
        direction = self._sites.direction(OTHER[back])
        served = physical_settle.settle(direction, self._clients, limit, sent=True, warn=self._warnings.append)
        if served == physical_settle.TARGET:
            raise FleetError(
                "window_aborted",
                f"{OTHER[back]} turned out to be promoted; it serves now.",
                remedy="Run again; the next run finishes the switch or goes back.",
            )
        self._ended(direction)

    def _ended(self, direction: PhysicalDirection) -> None:
        physical_seed.wait_following(direction.target, direction.source, 60)

    def _switch(self, to: str) -> str:
        direction = self._sites.direction(to)
        guard = watching(self._guard)
        # What was settled before may have restarted a server, and the lock ends with its session.
        self._lock(physical_facts.observe(self._sites))
        ready(direction, self._options)
        attempt = 0
        while True:
            attempt += 1
            window = PhysicalWindow(direction, self._options, self._clients, guard, self._warnings.append)
            try:
                self._opened = window.run()
                guard.say(watchdog.DONE)
                self._verified = {
                    "mode": "position", "tables": 0, "rows": 0, "equal": True, "seconds": 0.0, "mismatches": [], **window.position,
                }
                return to
            except FleetError as error:
                cause = error.details.get("cause", {}).get("code", error.code)
                last = attempt >= self._options.window_attempts
                if error.code not in _RETRY or cause in ("connection_lost", "unreachable", "control_failed") or last:
                    raise
                self._warnings.append(f"Window {attempt} was given up: {error.message}")
                time.sleep(5 * 2 ** (attempt - 1))
                self._ended(direction)
                self._lock(physical_facts.observe(self._sites))

    def _cleanup(self, serves: str) -> None:
        direction = self._sites.direction(serves)
        if self._opened is None:
            server = direction.target.server
            physical_settle.end_sessions(server, server.admin.value("SELECT clock_timestamp()"))
            self._clients.serve(serves)
        if physical_follow.cleanup(direction, self._link):
            self._warnings.append(f"{direction.source.side} had log of its own after the switch and was rewound.")

    # --- telling ------------------------------------------------------------------------------------------------------------------

    def _foreseen(self, steps: t.Sequence[Step], found: str) -> str:
        serves = physical_plan.serving(found)
        armed = {"legacy": "armed", "new": "new_armed"}
        state = self._options.state
        if state == "seeded":
            return found if steps[-1].action not in ("copy", "cleanup", "abort") else "seeded" if serves != "new" else "new_armed"
        return "finished" if state == "finished" else armed[state if state in SIDES else serves if serves in armed else physical_plan.before(found)]

    def _result(self, steps: t.Sequence[Step], found: str, reached: str, after: Nodes) -> dict[str, t.Any]:
        serves, predicted = physical_plan.serving(found), None
        wanted = self._check or self._options.state in ("preflight", "seeded", "armed")
        if serves in SIDES and wanted and self._options.state != "finished" and after.side(OTHER[serves]).running:
            direction = pair.direction(self._sites.legacy.server, self._sites.new.server, OTHER[serves])
            try:
                predicted = predicted_window_ms(self._options, self._clients, direction, copied=False) + _SHUTDOWN_MS
            except FleetError as error:
                self._warnings.append(f"The window cannot be predicted: {error.message}")
        outcome = result(
            steps,
            before={"phase": found, "serving": serves},
            after={"phase": reached, "serving": physical_plan.serving(reached)},
            warnings=self._warnings,
            evidence={"facts": {"legacy": asdict(after.legacy), "new": asdict(after.new)}, **self._size(serves)},
            rollback=rollback(self._sites, after, physical_plan.phase(after)),
        )
        opened = self._opened
        return {
            **outcome,
            "phase_before": found,
            "phase_after": reached,
            "serving": physical_plan.serving(reached),
            "engine": "physical",
            "engine_reason": "engine: physical was asked for" if self._options.engine == "physical" else "both servers are one cluster",
            "restart_ms": None,
            "window_ms": opened.window_ms if opened else None,
            "database_ms": opened.database_ms if opened else None,
            "pause_ms": opened.pause_ms if opened else None,
            "hold": {"from": opened.held_at, "until": opened.released_at} if opened else None,
            "steps": opened.steps if opened else [],
            "drained": asdict(opened.drained) if opened else None,
            "sequences": None,
            "verify": self._verified,
            "loss": None,
            "snapshot": None,
            "findings": [finding.as_dict() for finding in self._findings],
            "predicted_window_ms": predicted,
        }

    def _size(self, serves: str) -> dict[str, int]:
        """Bytes of the whole cluster, which the role's preflight compares with the room on the target."""
        if self._options.state != "preflight" or serves not in SIDES:
            return {}
        admin = self._sites.side(serves).server.admin
        return {"size_bytes": int(admin.value("SELECT sum(pg_database_size(oid))::bigint FROM pg_database"))}


def rollback(sites: physical_facts.Sites, nodes: Nodes, found: str) -> dict[str, t.Any]:
    """As `status.rollback`: armed means that the other side streams and can be promoted at any time."""
    answer: dict[str, t.Any] = {"armed": False, "guarantee": "async", "lag_ms": None, "reason": ""}
    if found not in ("armed", "new_armed"):
        serves = physical_plan.serving(found)
        reason = "nothing follows the new side" if found == "finished" else "not armed yet" if serves == "legacy" else f"the phase is {found}"
        return {**answer, "guarantee": "none" if found == "finished" else "async", "reason": reason}
    serves = physical_plan.serving(found)
    behind = _lag(sites.side(serves), physical_facts.SLOT[serves])
    if behind is None:
        return {**answer, "reason": f"the {OTHER[serves]} server is not connected"}
    able = physical_follow.rewindable(sites.side(serves))
    note = f"{able}: a {serves} server that starts as a primary after the next switch needs a new base backup" if able else ""
    return {**answer, "armed": True, "lag_ms": behind["ms"], "reason": note}


def info(both: physical_facts.Sites) -> dict[str, t.Any]:
    """What pg_cutover_info says of a physical pair. Raises "unreachable" when a side should answer and does not."""
    nodes = physical_facts.observe(both)
    found = physical_plan.phase(nodes)
    serves = physical_plan.serving(found)
    holders = [fence.holder(site.server.admin, site.server.dbname) for site in both.both() if nodes.side(site.side).running]
    lag = {name: _lag(both.side(side), name) if nodes.side(side).stands == "open" else None for side, name in physical_facts.SLOT.items()}
    return {
        "changed": False,
        "engine": "physical",
        "phase": found,
        "serving": serves,
        "epoch": {"legacy": nodes.legacy.epoch or None, "new": nodes.new.epoch or None},
        "facts": {"legacy": asdict(nodes.legacy), "new": asdict(nodes.new)},
        "lag": lag,
        "apply_errors": dict.fromkeys(lag),
        "databases_not_moved": [],
        "holder": next((holder for holder in holders if holder), None),
        "rollback": rollback(both, nodes, found),
        "failures": {},
    }


def _lag(site: Site, name: str) -> dict[str, t.Any] | None:
    """How far the standby that streams by slot ``name`` is behind: milliseconds and bytes; None when it is not connected."""
    rows = site.server.admin.rows(
        "SELECT round(extract(epoch FROM coalesce(replay_lag, interval '0')) * 1000, 1)::float8 AS ms,"
        " pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS bytes FROM pg_stat_replication WHERE application_name = %s",
        name,
    )
    return dict(rows[0]) if rows else None
