# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which phase the facts are, who serves, and which steps lead to a state. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.result import Step
from .model import COPY_FAILED, COPYING, OUTLINE, REST_FAILED, Facts, Pair

# Phases in which the same side serves, in the order in which they are passed.
LEGACY_SERVES = ("empty", "prepared", "seeding", "seeded", "armed", "rolled_back_cleanup")
NEW_SERVES = ("new", "new_armed", "switched_cleanup", "new_only", "finished")
# After accept_loss: legacy serves and new is not closed yet; new is closed and keeps its rows; killed between closing new and opening legacy.
ABANDONED, ABANDONED_FENCED, ABANDONING = "abandoned", "abandoned_fenced", "abandoning"
WINDOWS = ("window_forward", "window_reverse")
STATES = ("preflight", "seeded", "armed", "new", "legacy", "finished", "absent")

SEED = (
    ("globals", "accounts of legacy on new"),
    ("dry_restore", "schema of legacy restored empty on new, compared, and dropped, before anything is written on legacy"),
    ("link_account", "account of the link on both servers"),
    ("helper", "schema pgcut with the markers on legacy; replication workers start at once"),
    ("identities", "tables without a key need a replica identity"),
    ("freeze", "DDL would not be replicated"),
    ("database", "database on new, fenced from its first second"),
    ("schema", "schema and keys on new"),
    ("follow", "publication and slot on legacy, subscription on new"),
    ("copy", "all tables in step"),
    ("rest", "other indexes, foreign keys, triggers, statistics"),
)
# Engine dump: rows, keys and indexes follow inside the window.
SEED_DUMP = (*SEED[: [action for action, _reason in SEED].index("schema")], ("outline", "schema without rows, keys and indexes on new"))
RESTART = ("restart", "wal_level of legacy becomes logical by one restart while clients are held")


@dataclass(frozen=True)
class Situation:
    """What steps depend on beside the phase.

    ``seed`` leads from nothing to seeded. ``publishes`` is whether new can follow legacy after a way back, ``follows`` whether what it needs
    for that stands already, ``spoiled`` whether an interrupted window has left a part of the rows on new (engine dump). ``failed`` is what of
    the copy failed for good, "copy" or "rest", so that it is made anew; "healed" when its tables came into step after all.
    """

    seed: t.Sequence[tuple[str, str]] = SEED
    publishes: bool = True
    follows: bool = True
    spoiled: bool = False
    failed: str = ""


def situation(facts: Facts, seed: t.Sequence[tuple[str, str]] = SEED) -> Situation:
    """`Situation` of ``facts``. A slot that is missing after legacy was opened would be made too late: rows written before it never arrive."""
    stage, pending = facts.new.stage, facts.forward.pending
    # Tables that have come into step meanwhile need no new copy.
    failed = "rest" if stage == REST_FAILED else "" if stage != COPY_FAILED else "copy" if pending else "healed"
    return Situation(seed, facts.legacy.publishes, facts.forward.slot != "", stage == COPYING, failed)


def phase(facts: Facts) -> str:
    """The phase of ``facts``; the first row of the table that matches wins."""
    forward, reverse = facts.forward, facts.reverse
    abandoned = _abandoned(facts)
    if abandoned:
        return abandoned
    if "lost" in (forward.slot, reverse.slot):
        return "slot_lost"
    if not facts.legacy.fenced:
        return _legacy_open(facts, forward, reverse)
    if not facts.new.exists:
        return "inconsistent"
    return _both_fenced(facts, forward, reverse) if facts.new.fenced else _new_open(facts, forward, reverse)


def _abandoned(facts: Facts) -> str:
    """Whether legacy was opened, or is being opened, without what new did not send. A new copy on new begins with an epoch of its own."""
    legacy, new = facts.legacy, facts.new
    if not new.exists:
        return ""
    if legacy.fenced:
        return ABANDONING if new.fenced and new.epoch.endswith(":loss") else ""
    if not legacy.epoch.endswith(":loss") or new.epoch == "" or new.epoch.endswith(":seed"):
        return ""
    return ABANDONED_FENCED if new.fenced and new.epoch == legacy.epoch else ABANDONED


def _legacy_open(facts: Facts, forward: Pair, reverse: Pair) -> str:
    subscribed = forward.subscription or reverse.subscription
    if not facts.new.exists or not facts.new.fenced:
        if not subscribed:
            return "empty"
        return "split_brain" if facts.new.exists else "inconsistent"
    if forward.subscription == "":
        return _never_followed(facts, reverse)
    if forward.slot == "":
        return "slot_lost"
    if reverse.subscription == "enabled":
        return "rolled_back_cleanup"
    if forward.pending or facts.new.stage not in ("", "complete"):
        return "seeding"
    if forward.subscription == "disabled":
        return "rolled_back_cleanup"
    return "armed" if reverse.subscription == "disabled" and reverse.complete else "seeded"


def _never_followed(facts: Facts, reverse: Pair) -> str:
    """Legacy is open, and new does not follow it: the copy of engine dump is still to come, or it was given up, or legacy was returned to."""
    if facts.new.stage == OUTLINE:
        return "armed" if reverse.subscription == "disabled" and reverse.complete else "seeded"
    if reverse == Pair():
        return "prepared"
    if facts.legacy.publishes and facts.new.stage != COPYING:
        # It is never opened again without the pair that new follows it by, so that was dropped by hand: nothing keeps the rows for new, and
        # the copy has to be made again; not while rows may still come from new.
        return "inconsistent" if reverse.subscription == "enabled" else "prepared"
    return "rolled_back_cleanup"


def _both_fenced(facts: Facts, forward: Pair, reverse: Pair) -> str:
    copied = forward == Pair() and facts.new.stage in (OUTLINE, COPYING)
    if (forward.subscription == "enabled" or copied) and reverse.subscription == "disabled":
        return "window_forward"
    if forward.subscription != "enabled" and reverse.subscription == "enabled":
        return "window_reverse"
    return "inconsistent"


def _new_open(facts: Facts, forward: Pair, reverse: Pair) -> str:
    if reverse.subscription == "" and forward.subscription == "enabled":
        # A slot made now would miss what was written since the opening.
        return "new_only"
    if reverse.subscription and reverse.slot == "":
        return "slot_lost"
    if forward.subscription == "enabled" or reverse.subscription == "disabled":
        return "switched_cleanup"
    if reverse.subscription == "enabled":
        return "new_armed" if forward.subscription == "disabled" and forward.complete and reverse.pending == 0 else "new"
    if forward.subscription == "disabled":
        return "inconsistent"
    return "new_only" if facts.new.helper or facts.legacy.helper else "finished"


def serving(found: str) -> str:
    """legacy, new, nobody (inside a window) or unknown."""
    if found in (*LEGACY_SERVES, ABANDONED, ABANDONED_FENCED):
        return "legacy"
    if found in NEW_SERVES:
        return "new"
    return "nobody" if found in (*WINDOWS, ABANDONING) else "unknown"


def steps(state: str, found: str, situation: Situation = Situation()) -> tuple[Step, ...]:
    """What leads from phase ``found`` to ``state``; empty when it is reached.

    Raises FleetError when no step can: split_brain, inconsistent, slot_lost, conflict, loss_possible.
    """
    refuse(state, found, serving(found))
    if state == "preflight":
        return ()
    return tuple(Step(action, reason, disruptive=action in ("switch", "restart")) for action, reason in _actions(state, found, situation))


def _actions(state: str, found: str, situation: Situation) -> list[tuple[str, str]]:
    away = {"new": "legacy", "legacy": "new"}
    serves = serving(found)
    if found == ABANDONING:
        return [("abort", "legacy was not opened yet, so new can go on")]
    if found in WINDOWS:
        back = "legacy" if found == "window_forward" else "new"
        after = "armed" if back == "legacy" else "new_armed" if situation.publishes else "new"
        if back == "legacy" and situation.spoiled:
            after = "rolled_back_cleanup"
        return [("abort", f"an interrupted window; {back} was open before it"), *_actions(state, after, situation)]
    if found in ("switched_cleanup", "rolled_back_cleanup"):
        after = "new" if serves == "new" else "seeded" if situation.follows else "prepared"
        return [("cleanup", f"{serves} was opened, the old direction is still there"), *_actions(state, after, situation)]
    if state == "finished":
        return [] if found == "finished" else [("finish", "the pair is not needed any more")]
    if state in ("new", "legacy"):
        if serves == state:
            return []
        return [*_armed(found, situation), ("switch", f"{away[state]} serves"), ("cleanup", "the old direction is not needed any more")]
    return _armed(found, situation) if state == "armed" else _seeded(found, situation)


def _seeded(found: str, situation: Situation) -> list[tuple[str, str]]:
    if found in ("empty", "prepared"):
        return list(situation.seed)
    if found != "seeding":
        return []
    if situation.failed in ("copy", "rest"):
        # The reason may have been removed on legacy, which new would never see.
        return list(situation.seed)
    wanted = ("freeze", "copy", "rest") if situation.failed else ("copy", "rest")
    return [step for step in SEED if step[0] in wanted]


def _armed(found: str, situation: Situation) -> list[tuple[str, str]]:
    if found in ("armed", "new_armed") or (found == "new" and not situation.publishes):
        return []
    return [*_seeded(found, situation), ("arm", "the direction back to the side that serves now")]


_HOPELESS = {
    "split_brain": (
        "Both databases are open, and a pair exists between them.",
        "Compare both markers and the last commits, then fence the side that must not serve: "
        "ALTER DATABASE … SET default_transaction_read_only = on, and end its sessions.",
    ),
    "inconsistent": (
        "The facts of the two servers fit no phase of a cutover.",
        "Look at the facts in the details, and take away by hand what does not belong there; then run again.",
    ),
    "slot_lost": (
        "A replication slot lost its log.",
        "Drop the subscription and slot (pgcut_fwd or pgcut_rev) whose wal_status is lost, raise max_slot_wal_keep_size, run seeded again."
        " Or give the move up with state: absent, while legacy serves.",
    ),
}


def is_hopeless(state: str, found: str) -> bool:
    return found in _HOPELESS and state != "preflight"


def hopeless(found: str) -> FleetError:
    """The failure of a phase that no step leads out of."""
    message, remedy = _HOPELESS[found]
    return FleetError(found, f"{message} Nothing was changed.", remedy=remedy)


def refuse(state: str, found: str, serves: str) -> None:
    """Raise when no step can lead from ``found`` to ``state``."""
    if is_hopeless(state, found):
        raise hopeless(found)
    if state in ("legacy", "armed", "seeded") and found in ("new_only", "finished"):
        raise FleetError(
            "loss_possible",
            f"The new side serves and nothing follows it (phase {found}): state {state} would lose what was written since."
            " Nothing was changed.",
            remedy="Restore a snapshot; or begin another move with legacy and new exchanged, after the old database was put aside, on legacy:"
            " ALTER DATABASE <database> RENAME TO <database>_before;",
        )
    if state == "finished" and serves != "new":
        raise FleetError(
            "conflict",
            f"state finished needs the new side to serve; the phase is {found}. Nothing was changed.",
            remedy="To give the move up and leave legacy as it was before, run state: absent. To go on, run state: new first."
            if serves == "legacy"
            else "Run state: new first, or state: legacy and then state: absent to give the move up.",
        )
