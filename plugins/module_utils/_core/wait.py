# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting: one monotonic deadline, and a failure that says what was last seen."""

from __future__ import annotations

import time
import typing as t

from .errors import FleetError

T = t.TypeVar("T")


class Deadline:
    """``seconds`` from now on the monotonic clock."""

    def __init__(self, seconds: float, clock: t.Callable[[], float] = time.monotonic, sleep: t.Callable[[float], None] = time.sleep) -> None:
        self.seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._start = clock()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.seconds - self.elapsed())

    def expired(self) -> bool:
        return self.remaining() <= 0.0

    def pause(self, seconds: float) -> None:
        """Sleep ``seconds``, but never past the deadline."""
        self._sleep(min(seconds, self.remaining()))


def wait_for(
    read: t.Callable[[], T],
    satisfied: t.Callable[[T], bool],
    deadline: Deadline,
    *,
    what: str,
    interval: float = 0.2,
    code: str = "timeout",
    remedy: str = "Raise wait_timeout, or look at what was last seen.",
) -> T:
    """The first value of ``read`` that is ``satisfied``; it is read at least once.

    Raises FleetError ``code`` at the deadline with ``what`` was waited for and what was last seen. Errors of ``read`` pass through.
    """
    while True:
        seen = read()
        if satisfied(seen):
            return seen
        if deadline.expired():
            raise FleetError(
                code,
                f"Waited {deadline.seconds:g} s for {what}; last seen: {seen}.",
                remedy=remedy,
                details={"last_seen": str(seen), "waited": deadline.seconds},
            )
        deadline.pause(interval)
