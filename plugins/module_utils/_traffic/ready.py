# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for the process of an edge: until it answers through itself, and not a moment longer than it can."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.wait import Deadline, wait_for
from .control import Edge
from .model import EdgeSpec
from .process import Process, Seen, hopeless

# A process that was started a moment ago is given so many seconds to open its sockets.
_COMES_UP = 10.0


class Ready:
    """``process`` is what runs the edge, None when nobody said it; ``secrets`` stand in no failure."""

    def __init__(self, edge: Edge, spec: EdgeSpec, process: Process | None, start: t.Sequence[str], secrets: t.Collection[str]) -> None:
        self._edge = edge
        self._spec = spec
        self._process = process
        self._secrets = secrets
        self._remedy = f"Start the edge ({' '.join(start)}) and the application behind it."

    def gate(self, seconds: float) -> None:
        """The edge answers the warm-up request through itself, hold and route included, before anyone is sent to it.

        Raises FleetError ``edge_crashed`` as soon as its process cannot run, and ``edge_not_ready`` after ``seconds``.
        """
        warmup = self._spec.warmup
        watch = _Watch(self._process, self._secrets, "The proxy is unchanged.")

        def ask() -> str:
            try:
                return str(self._edge.haproxy.get(f"{warmup.service}.sock", warmup.host, warmup.path, warmup.timeout)[0])
            except FleetError as error:
                if error.details.get("down"):
                    watch.look()
                return error.message

        wait_for(
            ask,
            lambda seen: seen == "200",
            Deadline(seconds),
            what=f"200 from the edge itself for GET {warmup.path}; the proxy is unchanged",
            code="edge_not_ready",
            remedy=self._remedy,
        )

    def reloaded(self, failed: int, mark: str, seconds: float) -> None:
        """The process runs the configuration ``mark``; ``failed`` is how many reloads had failed before this one.

        Raises FleetError ``edge_reload_failed`` as soon as the master says so, with what it complains of.
        """

        def running() -> str | None:
            return str(self._edge.haproxy.info().get("description")) if self._edge.haproxy.running() else None

        def seen() -> str | None:
            now = running()
            if now != mark and self._refused(failed) and running() != mark:
                output = self._process.last_words(self._secrets).rstrip(".") if self._process else ""
                raise FleetError(
                    "edge_reload_failed",
                    "The running edge did not take its new configuration and goes on with the old one, whose file is back"
                    + (f"; its last words: {output}." if output else "."),
                    remedy="Correct what it says; the edge's log has all of it.",
                    details={"field": "services", "log": output},
                )
            return now

        wait_for(
            seen, lambda now: now == mark, Deadline(seconds), what="the edge to run its new configuration", interval=0.05, remedy="Look at the edge's log."
        )

    def _refused(self, failed: int) -> bool:
        try:
            return self._edge.haproxy.failed_reloads() > failed
        except FleetError:
            # A master that reloads closes its socket for a moment.
            return False

    def alive(self) -> None:
        """An edge that is in the path and does not come up hurts every client: FleetError ``edge_crashed`` says why its process cannot run."""
        deadline = Deadline(_COMES_UP if self._process else 0)
        watch = _Watch(self._process, self._secrets, "The proxy sends to it, so clients get errors.")
        while not self._edge.haproxy.running() and not deadline.expired():
            watch.look()
            deadline.pause(0.2)


class _Watch:
    """Looks at a process that does not answer, as often as it is asked to."""

    def __init__(self, process: Process | None, secrets: t.Collection[str], means: str) -> None:
        self._process = process
        self._secrets = secrets
        self._means = means
        self._before: Seen | None = None
        self._down: Deadline | None = None

    def look(self) -> None:
        """Raises FleetError ``edge_crashed`` when waiting is of no use."""
        if self._process is None:
            return
        now = self._process.look()
        self._before = self._before or now
        self._down = None if now.running else self._down or Deadline(0)
        if hopeless(self._before, now, self._down.elapsed() if self._down else 0.0):
            raise self._process.crash(now, self._secrets, self._means)
