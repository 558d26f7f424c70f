# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State absent: legacy as it was before the move, from every phase in which it serves, with new or without it.

What new has is taken first, because its processes work on legacy; the schema pgcut of legacy goes last, because it tells what was there
before. Each step finds its own work done or not, so a run that was killed is finished by the same state.
"""

from __future__ import annotations

import re
import typing as t

from .._core.errors import FleetError
from .._core.faults import hit
from .._core.result import Step
from . import contradiction, facts, one_sided, plan
from .engines import choice as engine
from .engines.physical import seed as physical
from .model import FORWARD, REVERSE, Facts, SideFacts
from .replication import identities, pair, reading
from .server import barrier, fence, freeze, helper, link_account, target_database
from .server.postgres import Server, ident, literal
from .server.process import Control
from .window import loss, restart, switch as switching
from .work import Work

_ABORT = Step("abort", "an interrupted window; legacy was open before it", disruptive=True)
_CLEANUP = Step("cleanup", "legacy was opened, the old direction is still there")
_DROP = Step("drop", "subscription, database and account on new that were made for the move")
_STOP = Step("stop", "new is a standby that nobody needs any more")
_WITHDRAW = Step("withdraw", "legacy gets back what it had: nothing of the move is left on it")


def go(work: Work, failures: t.Mapping[str, FleetError]) -> dict[str, t.Any] | None:
    """The result; None when a server does not answer without which nothing can be done."""
    if "legacy" not in failures:
        stands = "new" not in failures and bool(work.new.admin.value("SELECT pg_is_in_recovery()"))
        if stands or _is_physical(work.legacy):
            return _physical(work, stands)
    if failures:
        return _without_new(work, failures["new"]) if set(failures) == {"new"} and failures["new"].code == "unreachable" else None
    if not work.check:
        work.lock()
    before = facts.observe(work.legacy, work.new)
    found = plan.phase(before)
    # Rows on new that legacy does not have are somebody's decision.
    loss.steps(work.options, before, found)
    refuse(found, before, work)
    steps = [_ABORT] if found == "window_forward" else [_CLEANUP] if found == "rolled_back_cleanup" else []
    if _on_new(work, before.new):
        steps.append(_DROP)
    if _on_legacy(work, facts.read(work.legacy)):
        steps.append(_WITHDRAW)
    if not work.check:
        for step in steps:
            _do(work, step, before)
    after = before if work.check or not steps else facts.observe(work.legacy, work.new)
    reached = "empty" if work.check and steps else plan.phase(after)
    return one_sided.ended(work, steps, found, reached, after, "no pair exists", serving="legacy")


def refuse(found: str, observed: Facts, work: Work) -> None:
    """Raise unless legacy serves, or did before the window that is open, and new has no row that legacy lacks."""
    never_served = observed.new.fenced and not observed.new.epoch.endswith(":commit")
    hopeful = observed.legacy.exists and not observed.legacy.fenced and (not observed.new.exists or (found == "slot_lost" and never_served))
    if hopeful or found in (*plan.LEGACY_SERVES, "window_forward"):
        return
    if found in ("window_reverse", "switched_cleanup", "new", "new_armed"):
        raise FleetError(
            "conflict",
            f"State absent needs legacy to serve; the phase is {found}. Nothing was changed.",
            remedy="Run state: legacy first, which brings the rows of new home, then state: absent.",
        )
    if found in ("new_only", "finished"):
        raise FleetError(
            "loss_possible",
            f"New serves and nothing follows it (phase {found}): state absent would lose what was written since. Nothing was changed.",
            remedy="Run state: finished to take away what is left of the pair. Or give new's rows up: state: legacy with accept_loss: true, which"
            " keeps them there; after what is needed was taken from them, on new:"
            f" ALTER DATABASE {ident(work.options.new.dbname)} RENAME TO {ident(work.options.new.dbname + '_abandoned')}; then state: absent.",
        )
    raise contradiction.failure(work.legacy, work.new, observed, found)


def _without_new(work: Work, error: FleetError) -> dict[str, t.Any]:
    """New does not answer. Legacy has to be open: else new may have been opened, and nobody can see it."""
    legacy = work.legacy
    if not work.check:
        work.lock(legacy)
    half = facts.read(legacy)
    if half.side.fenced:
        raise FleetError(
            "target_not_fenced",
            f"{error.message} Legacy is closed, so new may have been opened. Nothing was changed.",
            remedy="Start new and run again, which loses nothing; or run state: legacy with accept_loss: true, then state: absent.",
            details=error.details,
        )
    steps = [_WITHDRAW] if _on_legacy(work, half) else []
    work.warnings.append(
        f"{work.options.new} did not answer: what the move made there (database {work.new.dbname}, subscription {FORWARD}, account"
        f" {work.link.user}) is left. Run state: absent once more when it answers."
    )
    if steps and not work.check:
        if half.follows.get(REVERSE, ("", 0))[0] == "enabled":
            # A way back that was not finished: its clients may still have to be brought here.
            work.clients.serve("legacy")
        _withdraw(work)
        half = facts.read(legacy)
    after = Facts(half.side, SideFacts(exists=False))
    return one_sided.ended(work, steps, "unknown" if steps else "empty", "empty", after, "no pair exists", serving="legacy")


def _is_physical(legacy: Server) -> bool:
    """Whether the engine physical has made something on legacy, or has legacy follow new."""
    return bool(
        legacy.admin.value(
            "SELECT pg_is_in_recovery() OR (current_setting('primary_slot_name') = ANY (%s) OR EXISTS"
            " (SELECT FROM pg_replication_slots WHERE slot_name = ANY (%s) AND slot_type = 'physical'))",
            [FORWARD, REVERSE],
            [FORWARD, REVERSE],
        )
    )


def _physical(work: Work, stands: bool) -> dict[str, t.Any]:
    """A standby that nobody needs any more: it is stopped, and keeps its copy."""
    legacy, control = work.legacy, Control(work.options.new, work.runner)
    if not work.check:
        work.lock(legacy)
    if legacy.admin.value("SELECT pg_is_in_recovery()") or fence.is_fenced(fence.settings_of(legacy.admin, legacy.dbname) or {}):
        raise FleetError(
            "conflict",
            "Legacy is closed, so a switch is under way or new serves. Nothing was changed.",
            remedy="Run state: legacy first, then state: absent.",
        )
    work.choice = engine.Choice("physical", "the pair that exists streams")
    made = _is_physical(legacy) or link_account.made(legacy.admin, work.link.user)
    steps = [*([_STOP] if stands else []), *([_WITHDRAW] if made else [])]
    if stands and not work.check:
        work.new.close()
        control.stop("fast", 60)
    if made and not work.check:
        physical.withdraw(legacy)
        for name in legacy.admin.rows("SELECT d.datname FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setrole = 0"):
            _give_settings_back(legacy, name["datname"], {})
        work.warnings += link_account.drop(legacy, work.link.user)
    work.warnings.append("New is a stopped copy of legacy's cluster; it has to be made anew before it may serve anything.")
    after = Facts(SideFacts(), SideFacts(exists=False))
    return one_sided.ended(work, steps, "unknown" if steps else "empty", "empty", after, "no pair exists", serving="legacy")


def _made(side: SideFacts) -> bool:
    """Whether the database on new is one that a seed has made, or taken over empty; not one that a snapshot is restored into."""
    return side.exists and side.stage not in ("", "restoring")


def _on_new(work: Work, side: SideFacts) -> bool:
    return _made(side) or link_account.made(work.new.admin, work.link.user) or bool(target_database.left(work.new))


def _on_legacy(work: Work, half: facts.Half) -> bool:
    legacy = work.legacy
    lossy = half.side.epoch.endswith(f":{loss.LOSS}")
    pairs = any(published or slot for published, slot in half.publishes.values()) or bool(half.follows)
    return lossy or pairs or bool(legacy.db.value("SELECT to_regnamespace('pgcut') IS NOT NULL")) or link_account.made(
        legacy.admin, work.link.user
    )


def _do(work: Work, step: Step, before: Facts) -> None:
    if step is _ABORT:
        switching.abort(work, "legacy")
    elif step is _CLEANUP:
        switching.cleanup(work, "legacy")
    elif step is _DROP:
        # Its slot on new is used by legacy.
        pair.unsubscribe(work.legacy, REVERSE)
        _drop(work, _made(before.new))
    else:
        _withdraw(work)


def _drop(work: Work, database: bool) -> None:
    new = work.new
    target_database.tidy(new)
    if database:
        pair.unsubscribe(new, FORWARD)
        pair.unpublish(new, REVERSE)
        new.forget()
        target_database.drop(new, new.dbname)
        pair.usual_start(new)
    hit("Y1")
    work.warnings += link_account.drop(new, work.link.user)


def _withdraw(work: Work) -> None:
    legacy, user = work.legacy, work.link.user
    pair.unsubscribe(legacy, REVERSE)
    hit("Y2")
    if any(facts.read(legacy).publishes[FORWARD]):
        pair.unpublish(legacy, FORWARD)
    notes = helper.notes(legacy.db)
    for name in _copying(legacy, notes):
        pair.drop_slot(legacy, name)
    hit("Y3")
    # Before its schema goes, since that tells what was there; and while nothing else changes the schema.
    if legacy.db.value("SELECT to_regclass('pgcut.identity') IS NOT NULL"):
        identities.restore_identities(legacy)
        if notes.get(helper.RETRY) != helper.THEIRS:
            pair.usual_start(legacy)
    hit("Y4")
    reading.give_back(legacy)
    link_account.take_connect(legacy.admin, legacy.dbname, user)
    work.warnings += link_account.drop(legacy, user)
    work.warnings += link_account.give_back(legacy.admin, user, notes)
    _give_settings_back(legacy, legacy.dbname, notes)
    work.warnings += restart.give_back(legacy, notes)
    hit("Y5")
    barrier.remove(legacy)
    freeze.off(legacy)
    legacy.db.run("DROP SCHEMA IF EXISTS pgcut CASCADE")


def _give_settings_back(legacy: Server, dbname: str, notes: t.Mapping[str, str]) -> None:
    """Those of an earlier move, which the database may have had; a snapshot's are not touched."""
    found, database = fence.settings_of(legacy.admin, dbname) or {}, ident(dbname)
    for name in helper.SETTINGS:
        was = notes.get(helper.SETTING + name)
        if was is not None and found.get(name) != was:
            legacy.admin.run(f"ALTER DATABASE {database} SET {name} = {literal(was)}")
        elif was is None and name in found:
            legacy.admin.run(f"ALTER DATABASE {database} RESET {name}")


def _copying(legacy: Server, notes: t.Mapping[str, str]) -> list[str]:
    """Slots of the copy of single tables. Their name ends with the identifier of the server that follows (ReplicationSlotNameForTablesync)."""
    followers = [name.partition("/")[2] for name in notes if name.startswith(helper.FOLLOWER)]
    found = legacy.admin.rows(
        "SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = %s AND plugin = 'pgoutput' ORDER BY 1", legacy.dbname
    )
    ours = re.compile(r"pg_\d+_sync_\d+_(\d+)")
    return [row["name"] for row in found for match in [ours.fullmatch(row["name"])] if match and match[1] in followers]
