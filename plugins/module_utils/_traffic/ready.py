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
from .process import Process


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

        Raises FleetError ``edge_crashed`` as soon as its process has ended, and ``edge_not_ready`` after ``seconds``.
        """
        warmup = self._spec.warmup
        before = self._process.look() if self._process else None

        def ask() -> str:
            try:
                return str(self._edge.haproxy.get(f"{warmup.service}.sock", warmup.host, warmup.path, warmup.timeout)[0])
            except FleetError as error:
                crash = self._process.crash(before, self._secrets) if error.details.get("down") and self._process and before else None
                if crash:
                    raise crash from error
                return error.message

        wait_for(
            ask,
            lambda seen: seen == "200",
            Deadline(seconds),
            what=f"200 from the edge itself for GET {warmup.path}; the proxy is unchanged",
            code="edge_not_ready",
            remedy=self._remedy,
        )

    def alive(self) -> None:
        """An edge that is in the path and does not answer hurts every client: FleetError ``edge_crashed`` says why its process ended."""
        if self._process and not self._edge.haproxy.running():
            crash = self._process.crash(self._process.look(), self._secrets, "The proxy sends to it, so clients get errors.")
            if crash:
                raise crash
