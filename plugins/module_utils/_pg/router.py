# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holding, routing and releasing the clients: nothing, or commands that the caller gives. Each is idempotent and has a timeout."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.runner import Runner
from .model import Router


class Clients:
    """What stands between the clients and the two databases."""

    def __init__(self, router: Router, runner: Runner | None) -> None:
        self._router = router
        self._runner = runner

    @property
    def commands_after_fence(self) -> int:
        """How many commands run while nobody can write; the prediction needs it."""
        return len(self._router.route) + len(self._router.warmup) + len(self._router.resume)

    def pause(self, side: str) -> None:
        """Hold the clients of ``side``; returns when none of their requests is on its way."""
        self._run("pause", self._router.pause, side)

    def serve(self, side: str) -> None:
        """Send the clients to ``side``, prove that it answers, and release them."""
        self._run("route", self._router.route, side)
        self._run("warmup", self._router.warmup, side)
        self._run("resume", self._router.resume, side)

    def route(self, side: str) -> None:
        self._run("route", self._router.route, side)

    def warmup(self, side: str) -> None:
        self._run("warmup", self._router.warmup, side)

    def resume(self, side: str) -> None:
        self._run("resume", self._router.resume, side)

    def _run(self, verb: str, commands: t.Sequence[t.Sequence[str]], side: str) -> None:
        if self._router.type == "none" or not commands:
            return
        if self._runner is None:
            raise FleetError("router_failed", f"router.{verb} has commands, but nothing here can run them.")
        for command in commands:
            argv = [word.replace("{side}", side) for word in command]
            done = self._runner(argv, timeout=self._router.timeout)
            if done.rc != 0:
                said = (done.err or done.out).strip()[-400:]
                raise FleetError(
                    "router_failed",
                    f"router.{verb} for side {side} ended with {done.rc}: {' '.join(argv)}: {said or 'no output'}.",
                    remedy="Repair the command and run again; the route follows from the facts.",
                    details={"verb": verb, "side": side, "argv": argv, "rc": done.rc},
                )
