# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`traffic_edge` with state absent: the proxy as it was, and no file left."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from dataclasses import replace

from .._core.errors import FleetError
from .._core.result import result
from .._core.runner import Runner
from .._core.wait import Deadline, wait_for
from . import door, owner, place, process, proxy, render
from .control import Edge
from .plan import Observed, plan_absent
from .proxies.insertion import Insertion


class Absent:
    """Take the edge out of its proxy, and its files away."""

    def __init__(self, params: t.Mapping[str, t.Any], run: Runner) -> None:
        self.params = params
        self.run = run
        self.directory = params["directory"].rstrip("/")
        self.edge = Edge(self.directory)

    def work(self, check_mode: bool) -> dict[str, t.Any]:
        owner.refuse_others(self.directory, self.params.get("subject") or "", (self.params["peer"] or {}).get("hostname") or "")
        runs = process.asked_for(self.params.get("process"), self.directory, self.run)
        if runs:
            runs.refuse_others()
        recorded, outdated = place.recorded(self.directory), place.outdated(self.directory)
        insertion = self._insertion(recorded, outdated)
        if insertion and insertion.reload and self.params.get("given_up"):
            # Its proxy has ended; it reads the file when somebody starts it.
            insertion = replace(insertion, check=(), reload=())
        # A proxy that went together with its configuration sends nowhere, and there is nothing to give back.
        gone = insertion is not None and bool(insertion.config) and not os.path.exists(insertion.config)
        there = proxy.of(insertion, self.directory, self.run) if insertion and not gone else None
        text = there.seen() if there else None
        restored = there.restored(text or "") if there else None
        # Another stack on this host may hold its requests with the same command.
        command = () if owner.neighbours(self.directory) else (self.params["command"],)
        paths = (self.directory, self.directory + render.PRIVATE, *command)
        leftovers = tuple(path for path in paths if os.path.lexists(path))
        taken = recorded["digest"] if recorded else "unknown" if outdated else None
        observed = Observed(files={}, proxy_text=text, proxy_taken=taken, leftovers=leftovers)
        steps = plan_absent(observed, restored, bool(insertion and insertion.reload))
        served = not gone and not self.params.get("given_up")
        if served and leftovers and os.path.exists(self.edge.map_path) and self.edge.state().route == "peer" and self.edge.haproxy.running():
            raise FleetError(
                "edge_forwards",
                f"The edge in {self.directory} sends requests to the peer; without it the application here gets them. Nothing was changed.",
                remedy="Route local first (traffic_edge with route local), or stop the edge's process when this side is to serve nobody.",
            )
        before = {"files": list(leftovers), "inserted": taken is not None}
        if not check_mode:
            for step in steps:
                if step.action == "take_out" and there is not None:
                    there.change(text or "", restored or "", restored or "", lambda: self._left(recorded))
                    place.forget(self.directory)
                elif step.action == "remove_files":
                    self._remove(leftovers)
        return result(steps, before=before, after={"files": [], "inserted": False}, edge=None)

    def _insertion(self, recorded: dict[str, t.Any] | None, outdated: bool) -> Insertion | None:
        """Commands come from the options, or from what only root can write."""
        asked = proxy.asked_for(self.params["proxy"], None)
        if asked and (recorded or outdated or not asked.config or os.path.exists(asked.config)):
            return asked
        if recorded:
            return proxy.recorded(recorded)
        if outdated:
            raise FleetError(
                "option_invalid",
                f"The record of the proxy in {self.directory} is of an earlier version and lies where the edge can write; nothing was changed.",
                remedy="Give proxy as at the insertion, so that no command is taken from that file.",
            )
        return None

    def _left(self, recorded: t.Mapping[str, t.Any] | None) -> None:
        """Wait until no request comes through the edge any more: a proxy that reads its file by itself takes its time (Traefik, 2 s)."""
        token, place_of = place.token(self.directory), (recorded or {}).get("door")
        if token and place_of and self.edge.haproxy.running() and not self.params.get("given_up"):
            door.left(door.Door(**place_of), door.proof(token), Deadline(self.params["wait_timeout"]))

    def _in_flight(self) -> int:
        try:
            return self.edge.in_flight(self.edge.spec())
        except FleetError as error:
            if error.code != "edge_state_unreadable":
                raise
            # An earlier version counted what asked for an upgrade as upgraded.
            return sum(count for name, count in self.edge.haproxy.sessions().items() if not name.endswith(".upgraded"))

    def _remove(self, leftovers: tuple[str, ...]) -> None:
        if self.edge.haproxy.running():
            wait_for(
                self._in_flight,
                lambda count: count == 0,
                Deadline(self.params["wait_timeout"] if self.params["wait"] else 0),
                what="the last request through the edge to end",
                code="in_flight",
                interval=0.05,
                remedy="The proxy sends no more; run again when they have ended.",
            )
        # The process owns a folder in there; rmtree follows no link.
        for path in leftovers:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        # Folders of ours that were made for the edge; another one's keep them.
        for parent in {os.path.dirname(path) for path in leftovers}:
            if os.path.basename(parent) == "bowline":
                with contextlib.suppress(OSError):
                    os.rmdir(parent)
