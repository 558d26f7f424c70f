# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps around a window: gates before it, the window itself, and what follows while clients work already."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from ..._core.errors import FleetError
from ..._core.result import Step
from ..._core.wait import Deadline
from .. import facts, plan
from ..engines.dump import copy_window
from ..model import COMPLETE, COPYING, OUTLINE, SnapshotSpec
from ..replication import pair, reading, sync
from ..server import account_sync, barrier, fence, materialized_views, sessions, target_database
from ..server.postgres import Server
from ..server.process import Control
from ..snapshot import run as snapshot
from ..snapshot.dump import Maker
from ..work import Work
from . import restart, watchdog
from .carry import Carrier
from .verify import Verification
from .window import Window

# The design's limit: a follower that needs longer from commit to commit is not ready for a window.
_PING_LIMIT = 0.5
_RETRY = ("active_transactions", "prepared_transactions", "apply_lagging", "window_aborted")


def restart_legacy(work: Work) -> None:
    guard = watchdog.watching(work.guard)
    control = Control(work.options.legacy, work.runner)
    work.restarted = restart.restart(work.legacy, work.options, work.clients, control, guard)
    # The lock on legacy went with its sessions. Locks are taken in one order, so that two runs cannot wait for each other.
    work.new.close()
    work.lock()


def abort(work: Work, serves: str) -> None:
    """End a window that nobody works in any more: its target first, so that its epoch can never commit, then its source."""
    source, target = work.server(serves), work.server("new" if serves == "legacy" else "legacy")
    epoch = (fence.settings_of(target.admin, target.dbname) or {}).get("pgcut.epoch", "").rsplit(":", 1)[0] or fence.new_epoch()
    fence.turn(target.admin, target.dbname, f"{epoch}:abort", True)
    fence.turn(source.admin, source.dbname, f"{epoch}:abort", False)
    sessions.end_idle(source)
    work.clients.serve(serves)


def switch(work: Work, to: str, kind: type[Window] = Window) -> None:
    """One window of ``kind``, tried as often as window_attempts says."""
    direction = direction_to(work, to)
    guard = watchdog.watching(work.guard)
    ready(work, direction)
    if to == "new" and kind is Window and work.options.guarantee == "sync":
        # Before the window, so that every session which begins after it has the setting already.
        sync.prepare(direction.target)
    if work.options.verify != "none" or work.options.snapshot:
        work.frozen = Verification(direction, work.options.verify, work.options.verify_timeout)
    for attempt in range(int(work.options.window_attempts)):
        try:
            work.opened = window_for(work, direction, kind, guard).run()
            guard.say(watchdog.DONE)
            return
        except FleetError as error:
            alive = all(server.alive for server in (direction.source, direction.target))
            cause = error.details.get("cause", {}).get("code", error.code)
            if (
                error.code not in _RETRY
                or cause in ("connection_lost", "unreachable")
                or not alive
                or stage_of_copy(work) == COPYING
                or attempt + 1 >= work.options.window_attempts
            ):
                raise
            if work.frozen is not None:
                work.frozen.thaw()
            work.warnings.append(f"Window {attempt + 1} was given up: {error.message}")
            time.sleep(5 * 2**attempt)
            work.lock()


def direction_to(work: Work, to: str) -> pair.Direction:
    """The switch after which ``to`` serves. New follows legacy afterwards only if its slot was made before legacy opened."""
    there = to == "new" or facts.observe(work.legacy, work.new).forward.slot != ""
    return replace(pair.direction(work.legacy, work.new, to), returns=there)


def copies(work: Work, direction: pair.Direction) -> bool:
    return direction.target is work.new and stage_of_copy(work) == OUTLINE


def stage_of_copy(work: Work) -> str:
    return (fence.settings_of(work.new.admin, work.new.dbname) or {}).get("pgcut.stage", "")


def copier(work: Work) -> copy_window.Copy:
    return copy_window.Copy(pair.direction(work.legacy, work.new, "new"), work.options, work.runner)


def window_for(work: Work, direction: pair.Direction, kind: type[Window], guard: watchdog.Watchdog) -> Window:
    parts = (direction, work.options, work.clients, guard, Carrier(direction, work.options.accept_owner_code), work.frozen)
    return copy_window.CopyWindow(*parts).bring_by(copier(work)) if copies(work, direction) else kind(*parts)


def ready(work: Work, direction: pair.Direction) -> None:
    """The last gates before clients are held: in step, equal schemas, nobody in a long transaction; the unused slot is near."""
    carry_accounts(work, direction)
    if copies(work, direction):
        copier(work).ready()
    else:
        in_step(work, direction)
    quiet(work, direction)
    work.warnings += accounts_of_target_only(direction, carry_accounts(work, direction))
    # Tables that were made on both sides since.
    for server in (direction.target, direction.source):
        barrier.keep(server)
    if direction.returns and not copies(work, direction):
        pair.advance(direction)


def carry_accounts(work: Work, direction: pair.Direction) -> list[str]:
    """Make the side that follows equal in what is no row; the accounts that only it has."""
    only_there = account_sync.follow(direction.source, direction.target, work.link)[1]
    reading.keep(direction.target)
    return only_there


def account_steps(work: Work, found: str) -> tuple[Step, ...]:
    """State armed again: what has changed since is carried, and nothing is done when nothing has."""
    if work.options.state != "armed" or found not in ("armed", "new", "new_armed"):
        return ()
    direction = pair.direction(work.legacy, work.new, "legacy" if plan.serving(found) == "new" else "new")
    changed = account_sync.pending(work.legacy, work.new, work.link.user, direction.source.side)
    return (Step("accounts", f"changed on {direction.source.side} since: {'; '.join(changed[:5])}"),) if changed else ()


def accounts_of_target_only(direction: pair.Direction, names: t.Sequence[str]) -> list[str]:
    shown = f"Accounts that only {direction.target.side} has keep their rights there: {', '.join(map(repr, names[:10]))}{' …' if len(names) > 10 else ''}."
    return [shown] if names else []


def in_step(work: Work, direction: pair.Direction) -> None:
    epoch = f"{fence.new_epoch()}:ping"
    seconds = pair.ping(direction, epoch, 30)
    attempts = 0
    while seconds > _PING_LIMIT:
        attempts += 1
        if attempts > 20:
            raise FleetError(
                "apply_lagging",
                f"{direction.target.endpoint} needs {seconds:.2f} s to show a commit; the limit is {_PING_LIMIT} s. No window was opened.",
                remedy="Run again when the source writes less, or give the follower more room.",
                details={"ping_ms": round(seconds * 1000)},
            )
        seconds = pair.ping(direction, f"{epoch}{attempts}", 30)


def quiet(work: Work, direction: pair.Direction) -> None:
    busy = sessions.long_ones(direction.source, work.options.drain_grace)
    if busy and work.options.on_active == "abort":
        raise FleetError(
            "active_transactions",
            f"Transactions on {direction.source.endpoint} are older than drain_grace: {', '.join(busy)}. No window was opened.",
            remedy="End them, raise drain_grace, or set on_active: terminate.",
            details={"sessions": busy},
        )


def cleanup(work: Work, serves: str) -> None:
    """Route the clients to the side that is open, and turn the direction of replication around."""
    target = work.server(serves)
    direction = direction_to(work, serves)
    copied = stage_of_copy(work) == COPYING
    if work.opened is None and not fence.served(fence.settings_of(target.admin, target.dbname) or {}):
        if serves == "new" or not copied:
            sessions.end_now(target, sessions.now_on(target))
        work.clients.serve(serves)
    if serves == "new" and copied:
        target_database.stage(target, COMPLETE)
    pair.cleanup(direction, fence.new_epoch())
    if not copied:
        # Else the views came with the copy, or the copy was given up and no side was opened.
        refresh(work, direction.source, target)


def refresh(work: Work, source: Server, target: Server) -> None:
    try:
        materialized_views.refresh_views(source, target)
    except FleetError as error:
        work.warnings.append(f"A materialized view was not refreshed: {error.message}")


def wait_for_legacy(work: Work) -> None:
    """The guarantee, after everything else; the rows of a switch are compared before its failure is told."""
    try:
        sync.on(work.options, work.legacy, work.new)
        work.warnings.append("Commits on new wait while legacy is unreachable (guarantee: sync).")
    except FleetError as error:
        work.unmet = error


def wait_connected(work: Work, serves: str) -> None:
    """Give the new direction a moment to connect, so that the result does not call the way back closed while it is opening."""
    direction = pair.direction(work.legacy, work.new, serves)
    deadline = Deadline(6 if direction_to(work, serves).returns else 0)
    while pair.lag(direction.target, direction.back) is None and not deadline.expired():
        deadline.pause(0.05)


def compare(work: Work) -> None:
    """Long, and nobody needs to wait for it: the run lock is given back first."""
    for server in (work.legacy, work.new):
        fence.unlock(server.admin, server.dbname)
    if work.frozen is None or work.options.verify == "none":
        return
    work.verified = work.frozen.compare()
    if not work.verified["equal"]:
        names = ", ".join(entry["table"] for entry in work.verified["mismatches"])
        opened, tried = work.opened, work.options.trial_window
        raise FleetError(
            "rows_differ",
            f"Rows differ between the sides as they were at the switch: {names}. {'No switch was made' if tried else 'The switch stays'}.",
            remedy="Look at the tables that are named; make the copy anew if new is wrong."
            if tried
            else "Go back with the other state (nothing is lost by it), and look at the tables that are named.",
            details={"verify": work.verified, "window_ms": opened.window_ms if opened else None},
        )


def snapshot_maker(work: Work, order: SnapshotSpec, to: str) -> Maker:
    """Takes the snapshot of the side that the switch to ``to`` closes."""
    return Maker(work.server("legacy" if to == "new" else "new"), order, work.runner)


def keep_snapshot(work: Work, to: str) -> None:
    """The dump of the switch point. The switch stands, so a failure is told and not raised."""
    if work.options.snapshot is None or work.frozen is None:
        return
    try:
        maker = snapshot_maker(work, work.options.snapshot, to)
        work.kept = snapshot.described(maker.make(work.frozen.snapshot(maker.side)))
    except FleetError as error:
        work.warnings.append(f"The snapshot of the switch was not taken: {error.message} The switch stays.")
        work.kept = {"failure": error.as_failure()}
