# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following a switch that runs as a detached job: from one look to the next, whether to wait on, and what stands. Pure."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from .._core.errors import FleetError

_SIDES = ("legacy", "new")


class Follower:
    """Looks at job and catalogs until ``wanted`` serves or the job has ended.

    A job whose process is gone never ends: its file says for ever that it runs. So a job that nobody holds the run lock for, in every look
    of ``lost_after`` seconds, counts as dead. It is longer than any window, for the engine physical stops the servers inside one.
    """

    def __init__(self, wanted: str, lost_after: float) -> None:
        self._wanted = wanted
        self._lost_after = lost_after
        self._unheld_since: t.Optional[float] = None

    def over(self, finished: bool, observed: t.Mapping[str, t.Any], now: float) -> bool:
        """Whether there is nothing to wait for any more; ``now`` is monotonic. Raises FleetError ``job_lost``."""
        if finished or observed.get("serving") == self._wanted:
            return True
        if observed.get("holder") or observed.get("serving") not in (*_SIDES, "nobody"):
            self._unheld_since = None
            return False
        if self._unheld_since is None:
            self._unheld_since = now
        if now - self._unheld_since < self._lost_after:
            return False
        raise FleetError(
            "job_lost",
            f"The job that switches to {self._wanted} has no result, and for {now - self._unheld_since:.0f} s no process works on the pair; "
            f"serving is {observed['serving']}.",
            remedy="Run the same playbook again; it reads both catalogs and goes on from there.",
            details={"serving": observed["serving"], "phase": observed.get("phase")},
        )


def summary(
    facts: t.Mapping[str, t.Any], since: t.Optional[float] = None, window_ms: t.Optional[float] = None, at: t.Optional[float] = None
) -> str:
    """One sentence about a pair, from a result of ``pg_cutover`` or ``pg_cutover_info``: who serves, since when, and the way back.

    ``since`` (unix seconds) and ``window_ms`` are those of a switch of this run; without them they are left out. ``at`` is when it was seen,
    which is all that is known of a switch whose job has not told its result yet.
    """
    serving, rollback = facts.get("serving"), facts.get("rollback") or {}
    pause = window_ms if window_ms is not None else facts.get("window_ms")
    words = [_served(serving, since, at)]
    if pause is not None:
        words.append(f"writes paused {pause:.0f} ms")
    words.append(_compared(facts.get("verify")))
    if facts.get("predicted_window_ms") is not None and pause is None:
        words.append(f"a switch would pause writes for about {facts['predicted_window_ms']:.0f} ms")
    if rollback.get("armed"):
        words.append("way back armed")
    elif serving == "new" and "armed" in rollback:
        words.append("way back not armed")
    return ", ".join(word for word in words if word)


def _served(serving: t.Any, since: t.Optional[float], at: t.Optional[float]) -> str:
    if serving not in _SIDES:
        return "nobody serves" if serving == "nobody" else "who serves is not known"
    moment = since or at
    if not moment:
        return f"{serving} serves"
    return f"{serving} serves {'since' if since else 'at'} {datetime.fromtimestamp(moment, timezone.utc):%H:%M:%S} UTC"


def _compared(verify: t.Any) -> str:
    if not isinstance(verify, t.Mapping) or verify.get("equal") is not True:
        return ""
    return "both sides at one position of the log" if verify.get("mode") == "position" else f"{verify.get('rows') or 0:,} rows equal"
