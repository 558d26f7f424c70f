# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which phase the facts are, who serves, and which steps lead to a state. Pure."""

from __future__ import annotations

from .._core.errors import FleetError
from .._core.result import Step
from .model import Facts, Pair

# Phases in which the same side serves, in the order in which they are passed.
LEGACY_SERVES = ("empty", "prepared", "seeding", "seeded", "armed", "rolled_back_cleanup")
NEW_SERVES = ("new", "new_armed", "switched_cleanup", "new_only", "finished")
WINDOWS = ("window_forward", "window_reverse")
STATES = ("preflight", "seeded", "armed", "new", "legacy", "finished")

SEED = (
    ("link_role", "role of the link on both servers"),
    ("helper", "schema pgcut with the markers on legacy; replication workers start at once"),
    ("identities", "tables without a key need a replica identity"),
    ("freeze", "DDL would not be replicated"),
    ("globals", "roles that the database uses"),
    ("database", "database on new, fenced from its first second"),
    ("schema", "schema and keys on new"),
    ("follow", "publication and slot on legacy, subscription on new"),
    ("copy", "all tables in step"),
    ("rest", "other indexes, foreign keys, triggers, statistics"),
)


def phase(facts: Facts) -> str:
    """The phase of ``facts``; the first row of the table that matches wins."""
    forward, reverse = facts.forward, facts.reverse
    if "lost" in (forward.slot, reverse.slot):
        return "slot_lost"
    if not facts.legacy.fenced:
        return _legacy_open(facts, forward, reverse)
    if not facts.new.exists:
        return "inconsistent"
    return _both_fenced(forward, reverse) if facts.new.fenced else _new_open(facts, forward, reverse)


def _legacy_open(facts: Facts, forward: Pair, reverse: Pair) -> str:
    subscribed = forward.subscription or reverse.subscription
    if not facts.new.exists or not facts.new.fenced:
        if not subscribed:
            return "empty"
        return "split_brain" if facts.new.exists else "inconsistent"
    if reverse.subscription == "enabled":
        return "rolled_back_cleanup"
    if forward.subscription == "":
        return "rolled_back_cleanup" if reverse.subscription else "prepared"
    if forward.pending or facts.new.stage not in ("", "complete"):
        return "seeding"
    if forward.subscription == "disabled":
        return "rolled_back_cleanup"
    return "armed" if reverse.subscription == "disabled" and reverse.whole else "seeded"


def _both_fenced(forward: Pair, reverse: Pair) -> str:
    if forward.subscription == "enabled" and reverse.subscription == "disabled":
        return "window_forward"
    if forward.subscription != "enabled" and reverse.subscription == "enabled":
        return "window_reverse"
    return "inconsistent"


def _new_open(facts: Facts, forward: Pair, reverse: Pair) -> str:
    if forward.subscription == "enabled" or reverse.subscription == "disabled":
        return "switched_cleanup"
    if reverse.subscription == "enabled":
        return "new_armed" if forward.subscription == "disabled" and forward.whole else "new"
    if forward.subscription == "disabled":
        return "inconsistent"
    return "new_only" if facts.new.helper or facts.legacy.helper else "finished"


def serving(found: str) -> str:
    """legacy, new, nobody (inside a window) or unknown."""
    if found in LEGACY_SERVES:
        return "legacy"
    if found in NEW_SERVES:
        return "new"
    return "nobody" if found in WINDOWS else "unknown"


def steps(state: str, found: str) -> tuple[Step, ...]:
    """What leads from phase ``found`` to ``state``; empty when it is reached.

    Raises FleetError when no step can: split_brain, inconsistent, slot_lost, conflict, loss_possible.
    """
    refuse(state, found, serving(found))
    if state == "preflight":
        return ()
    return tuple(Step(action, reason, disruptive=action == "switch") for action, reason in _actions(state, found))


def _actions(state: str, found: str) -> list[tuple[str, str]]:
    away = {"new": "legacy", "legacy": "new"}
    serves = serving(found)
    if found in WINDOWS:
        back = "legacy" if found == "window_forward" else "new"
        after = "armed" if back == "legacy" else "new_armed"
        return [("abort", f"an interrupted window; {back} was open before it"), *_actions(state, after)]
    if found in ("switched_cleanup", "rolled_back_cleanup"):
        after = "new" if serves == "new" else "seeded"
        return [("cleanup", f"{serves} was opened, the old direction is still there"), *_actions(state, after)]
    if state == "finished":
        return [] if found == "finished" else [("finish", "the pair is not needed any more")]
    if state in ("new", "legacy"):
        if serves == state:
            return []
        return [*_armed(found), ("switch", f"{away[state]} serves"), ("cleanup", "the old direction is not needed any more")]
    return _armed(found) if state == "armed" else _seeded(found)


def _seeded(found: str) -> list[tuple[str, str]]:
    if found in ("empty", "prepared"):
        return list(SEED)
    return [step for step in SEED if step[0] in ("copy", "rest")] if found == "seeding" else []


def _armed(found: str) -> list[tuple[str, str]]:
    if found in ("armed", "new_armed"):
        return []
    return [*_seeded(found), ("arm", "the direction back to the side that serves now")]


_HOPELESS = {
    "split_brain": (
        "Both databases are open, and a pair exists between them.",
        "Compare both markers and the last commits, then fence the side that must not serve: "
        "ALTER DATABASE … SET default_transaction_read_only = on, and end its sessions.",
    ),
    "inconsistent": ("The facts of the two servers fit no phase of a cutover.", "Look at the facts in the details; nothing was changed."),
    "slot_lost": (
        "A replication slot lost its log.",
        "Drop the subscription and slot (pgcut_fwd or pgcut_rev) whose wal_status is lost, raise max_slot_wal_keep_size, run seeded again.",
    ),
}


def refuse(state: str, found: str, serves: str) -> None:
    """Raise when no step can lead from ``found`` to ``state``."""
    if found in _HOPELESS and state != "preflight":
        message, remedy = _HOPELESS[found]
        raise FleetError(found, f"{message} Nothing was changed.", remedy=remedy)
    if state in ("legacy", "armed", "seeded") and found in ("new_only", "finished"):
        raise FleetError(
            "loss_possible",
            f"The new side serves and nothing follows it (phase {found}): state {state} would lose what was written since."
            " Nothing was changed.",
            remedy="Restore a snapshot, or start another cutover with the sides exchanged.",
        )
    if state == "finished" and serves != "new":
        raise FleetError(
            "conflict",
            f"state finished needs the new side to serve; the phase is {found}. Nothing was changed.",
            remedy="Run state new first.",
        )
