# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transitions of a machine's life, T1 to T14, as one table: from where, by what, under which guard, to where, and how long it may take.

Pure. Ages are by the store's clock.
"""

from __future__ import annotations

import typing as t

from .model import Reason
from .phase import Clocks, Verdict


class Transition(t.NamedTuple):
    """``limit`` is in seconds; None has none of its own. ``slow`` limits are stretched by the boot factor. ``reason`` is said when it has passed."""

    id: str
    source: t.Tuple[str, ...]
    event: str
    guard: str
    target: str
    limit: t.Optional[float] = None
    slow: bool = False
    reason: Reason = ""


TRANSITIONS: t.Tuple[Transition, ...] = (
    Transition("T1", ("no_instance",), "present or running is asked for", "the node exists, quota, image", "pending", 300.0, False, "queue_or_quota"),
    Transition("T2", ("pending",), "the lease is taken", "mode is not disabled", "provisioning", 600.0, False, "provider_timeout"),
    Transition("T3", ("provisioning", "starting"), "first contact", "token bound, or host key matches", "bootstrapping", 900.0, True, "no_contact"),
    Transition("T4", ("bootstrapping",), "modules active, services ready", "level reached", "running", 300.0, True, "services_not_ready"),
    Transition("T5", ("running",), "no heartbeat for 90, 300, 900 s", "a receiver lived all the while", "running: late, silent, lost"),
    Transition("T6", ("running",), "drained, stopped, or a notice of its provider", "quorum; hooks known", "draining", None, False, "drain_blocked"),
    Transition("T7", ("draining",), "every hook says empty", "evidence younger than 300 s", "drained"),
    Transition("T8", ("draining", "drained"), "running is asked for", "", "running"),
    Transition("T9", ("drained", "running", "stopping"), "stopped is asked for", "not protected, not no_stop", "stopped", 300.0, False, "provider_timeout"),
    Transition("T10", ("stopped",), "running is asked for", "certificate valid, or enrolled anew", "starting", 600.0, False, "provider_timeout"),
    Transition("T11", ("any",), "absent is asked for", "not protected, not no_stop, not the controller's host; approval", "terminating", 300.0, False,
               "finalizers_pending"),
    Transition("T12", ("terminating",), "no finalizer is left", "the provider says gone", "terminated"),
    Transition("T13", ("bootstrapping", "running"), "a new boot", "", "bootstrapping"),
    Transition("T14", ("any",), "adopt", "host key and identity match; nobody else's tag", "bootstrapping or running"),
)  # fmt: skip

BY_ID: t.Mapping[str, Transition] = {transition.id: transition for transition in TRANSITIONS}

# Which transition is awaited in a phase. Provisioning has two: the machine first, then its voice.
_AWAITED: t.Mapping[str, str] = {
    "pending": "T1", "provisioning": "T2", "starting": "T3", "bootstrapping": "T4", "draining": "T6", "stopping": "T9", "terminating": "T11",
}  # fmt: skip


def awaited(verdict: Verdict) -> t.Optional[Transition]:
    """The transition that a machine in this phase has to make; None where it may stay for ever."""
    if verdict.reason == "waiting_for_contact":
        return BY_ID["T3"]
    return BY_ID[_AWAITED[verdict.phase]] if verdict.phase in _AWAITED else None


def limit(transition: Transition, clocks: Clocks) -> t.Optional[float]:
    """Seconds that ``transition`` may take under ``clocks``."""
    if transition.id == "T6":
        return clocks.drain
    return transition.limit * (clocks.boot_factor if transition.slow else 1.0) if transition.limit is not None else None


def stalled(verdict: Verdict, since: float, now: float, clocks: Clocks) -> Reason:
    """Why a machine that is in its phase since ``since`` is stalled; empty while there is time, and where there is no limit."""
    step = awaited(verdict)
    allowed = limit(step, clocks) if step is not None else None
    return step.reason if step is not None and allowed is not None and now - since >= allowed else ""
