# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which phase two servers of one cluster are in, who serves, and which steps lead to a state. Pure.

The engine physical moves the whole cluster by streaming replication, so both servers have one catalog: what tells them apart is what
their control files and their processes are. The names of the phases are those of `plan`, and two more: ``opening_new`` and
``opening_legacy``, in which a server was promoted (the commit of a switch) and does not take writes yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...._core.result import Step
from ... import plan

OPENING = ("opening_new", "opening_legacy")


@dataclass(frozen=True)
class Node:
    """One server of the pair.

    ``role``: primary, standby, absent (not a copy of the other one's cluster) or replacing (its data directory is being exchanged for the
    copy). A stopped server is a standby if it has standby.signal or never left recovery. ``follows``: it streams from the other one.
    ``slot``: the pair's slot on this server that the other one uses: "", inactive, active or lost. ``ready``: it knows what it will follow
    once it is a standby. ``fenced`` and ``epoch`` are read from a running server only. ``timeline`` is the newest one that it has begun.
    """

    role: str = "primary"
    running: bool = True
    fenced: bool = False
    epoch: str = ""
    timeline: int = 1
    follows: bool = False
    slot: str = ""
    ready: bool = False

    @property
    def stands(self) -> str:
        """open, closed (a fenced primary), down (a primary that does not run), standby, absent or replacing."""
        if self.role != "primary":
            return self.role
        if not self.running:
            return "down"
        return "closed" if self.fenced else "open"


@dataclass(frozen=True)
class Nodes:
    legacy: Node
    new: Node

    def side(self, name: str) -> Node:
        return self.legacy if name == "legacy" else self.new


def phase(nodes: Nodes) -> str:
    """The phase of ``nodes``; the first row of the table that matches wins."""
    legacy, new = nodes.legacy, nodes.new
    stand = (legacy.stands, new.stands)
    if stand == ("open", "open"):
        return "split_brain"
    if "lost" in (legacy.slot if legacy.stands != "standby" else "", new.slot if new.stands != "standby" else ""):
        return "slot_lost"
    if new.stands in ("absent", "replacing"):
        return _no_copy(legacy, new)
    if stand[1] == "standby":
        return _one_standby(legacy, new, ("window_forward", "armed", "seeded", "rolled_back_cleanup"))
    if stand[0] == "standby":
        return _one_standby(new, legacy, ("window_reverse", "new_armed", "new", "switched_cleanup"))
    return _two_primaries(legacy, new)


def _no_copy(legacy: Node, new: Node) -> str:
    if legacy.stands != "open":
        return "inconsistent"
    if new.stands == "replacing":
        return "seeding"
    return "prepared" if legacy.slot else "empty"


def _one_standby(ahead: Node, behind: Node, names: tuple[str, str, str, str]) -> str:
    """``ahead`` is or was the primary, ``behind`` a standby; ``names``: window, armed, in step, and what is left behind by a switch."""
    window, armed, seeded, cleanup = names
    if ahead.stands == "standby":
        return "inconsistent"
    if ahead.stands != "open":
        return window
    if window == "window_reverse" and ahead.slot == "":
        return "finished"
    if behind.follows and behind.slot == "":
        return armed if ahead.ready else seeded
    # A slot on the side that follows is a leftover of a switch or of a window that was given up, and would keep its log for ever.
    return cleanup if behind.slot or window == "window_reverse" or ahead.epoch.endswith(":commit") else "seeding"


def _two_primaries(legacy: Node, new: Node) -> str:
    """One of them was promoted, which the newer timeline tells; the other one has to become its standby."""
    if new.timeline > legacy.timeline and legacy.stands != "open":
        return "switched_cleanup" if new.stands == "open" else "opening_new"
    if legacy.timeline > new.timeline and new.stands != "open":
        return "rolled_back_cleanup" if legacy.stands == "open" else "opening_legacy"
    return "inconsistent"


def serving(found: str) -> str:
    """legacy, new, nobody (inside a window) or unknown."""
    return "nobody" if found in OPENING else plan.serving(found)


def before(found: str) -> str:
    """Who serves in phase ``found``, or did before the window that is open, or will once a promotion is finished."""
    if found in OPENING:
        return found.split("_")[1]
    if found in plan.WINDOWS:
        return "legacy" if found == "window_forward" else "new"
    return serving(found)


SEED = (
    ("link_account", "account of the link on both servers, and its ways proven"),
    ("slot", "slot on legacy, so that no log is lost"),
    ("backup", "base backup of legacy beside the cluster of new"),
    ("replace", "the copy takes the place of the cluster of new, which holds nothing"),
    ("copy", "new follows and is in step"),
)


def steps(state: str, found: str) -> tuple[Step, ...]:
    """What leads from phase ``found`` to ``state``; empty when it is reached. Raises FleetError as `plan.steps` does."""
    plan.refuse(state, found, serving(found))
    if state == "preflight":
        return ()
    return tuple(Step(action, reason, disruptive=action == "switch") for action, reason in _actions(state, found))


def _actions(state: str, found: str) -> list[tuple[str, str]]:
    if found in OPENING:
        side = found.split("_")[1]
        after = "new_armed" if side == "new" else "armed"
        return [("open", f"{side} was promoted, which ends the old side"), ("cleanup", "the old side follows"), *_actions(state, after)]
    if found in plan.WINDOWS:
        back, after = ("legacy", "armed") if found == "window_forward" else ("new", "new_armed")
        return [("abort", f"an interrupted window; {back} was open before it"), *_actions(state, after)]
    serves = serving(found)
    if found in ("switched_cleanup", "rolled_back_cleanup"):
        after = "new_armed" if serves == "new" else "armed"
        return [("cleanup", f"{serves} serves; the other side has to follow, without leftovers"), *_actions(state, after)]
    if state == "finished":
        return [] if found == "finished" else [("finish", "the pair is not needed any more")]
    before = _prepared(found)
    if state == "seeded":
        return before[:-1]
    if state in ("new", "legacy"):
        other = "legacy" if state == "new" else "new"
        return [] if serves == state else [*before, ("switch", f"{other} serves"), ("cleanup", "the old side follows")]
    return before


def _prepared(found: str) -> list[tuple[str, str]]:
    """What is missing before a switch; the last one is arming."""
    if found in ("armed", "new_armed", "finished"):
        return []
    seed = list(SEED) if found in ("empty", "prepared") else [SEED[1], *SEED[-2:]] if found == "seeding" else []
    return [*seed, ("arm", "the old side will know what it follows")]
