# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bowline-edge, the modules and a watchdog do with an edge that is in place: hold, route, warm up, release, tell.

Imports are few on purpose: a router command runs inside the window, and every import is paid for with it.
"""

from __future__ import annotations

import json
import os
import time
import typing as t
from dataclasses import replace

from .._core import private
from .._core.errors import FleetError
from .._core.lock import locked
from .._core.wait import Deadline, wait_for
from .haproxy import HAProxy
from .model import EdgeSpec, State, map_text, parse_epoch, parse_map, spec_from_json

# Between two looks at the counters: a request that was not held can be on its way to its backend, which takes microseconds.
_QUIET = 0.02


class Edge:
    """The edge in ``directory``. ``clock`` gives unix seconds: a hold is an absolute time, so that it ends by itself."""

    def __init__(self, directory: str, clock: t.Callable[[], float] = time.time) -> None:
        self.directory = directory
        self.map_path = os.path.join(directory, "edge.map")
        self.haproxy = HAProxy(directory)
        self._clock = clock

    def spec(self) -> EdgeSpec:
        """The edge's description; raises FleetError ``edge_missing`` when there is none."""
        try:
            data = json.loads(self._read("edge.json"))
        except ValueError as error:
            raise FleetError(
                "edge_state_unreadable", f"{self.directory}/edge.json is no JSON: {error}.", remedy="Run traffic_edge again."
            ) from error
        return spec_from_json(data)

    def state(self) -> State:
        """The state in the file, which a restarted edge would go by."""
        return parse_map(self._read("edge.map"))

    def hold(self, seconds: float, drain: float) -> dict[str, t.Any]:
        """Make new requests wait for ``seconds`` at most, and return when none is being served any more.

        Raises FleetError ``in_flight`` when that takes longer than ``drain`` seconds; the hold is released then, and no request is cut.
        """
        spec = self.spec()
        if not 0 < seconds <= spec.hold_max:
            raise FleetError(
                "hold_refused",
                f"A hold of {seconds:g} s was asked for; hold_max is {spec.hold_max:g} s. Requests are not held.",
                remedy="Hold for a shorter time, or raise hold_max of traffic_edge.",
            )
        begun = time.monotonic()
        try:
            held = self.set_hold(seconds)
            self._drain(spec, drain)
            if not self.state().held(self._now()):
                raise FleetError(
                    "hold_refused", f"The hold of {seconds:g} s ended before the drain did.", remedy="Hold for longer than drain."
                )
        except BaseException:
            self.set_hold(0)
            raise
        return {"hold_until": held.hold_until, "drained_ms": round((time.monotonic() - begun) * 1000)}

    def set_hold(self, seconds: float) -> State:
        """Begin a hold, or end it with 0; returns the state as the running edge read it back."""
        until = self._now() + round(seconds * 1000) if seconds else 0
        return self._change(lambda state: replace(state, hold_until=until), running=bool(seconds))

    def route(self, side: str) -> dict[str, t.Any]:
        """Send requests to ``side``. Unchanged, and of unchanged epoch, when they go there already."""
        spec = self.spec()
        wanted = spec.route_to(side)
        before = self.state()

        def change(state: State) -> State:
            # Strictly increasing, also when the clock was set back.
            return state if state.route == wanted else replace(state, route=wanted, epoch=max(self._now(), state.epoch + 1))

        after = self._change(change)
        return {"changed": before.route != wanted, "route": after.route, "epoch": after.epoch, "serves": side}

    def warmup(self, side: str, service: str | None = None) -> dict[str, t.Any]:
        """Ask until ``side`` answers, and be newer than a peer that does; raises FleetError ``warmup_failed``.

        A peer tells its own epoch. When it is not older than ours (its clock is ahead), ours is raised before anything is released, so that
        the edge that was switched last has the newest epoch, however the clocks differ.
        """
        spec = self.spec()
        answered, headers = self._ask(spec, side, service, wait=True)
        if spec.route_to(side) == "peer":
            self._outlive(parse_epoch(headers.get("x-bowline-epoch")))
        return answered

    def ask(self, side: str) -> dict[str, t.Any]:
        """Ask ``side`` past hold and route as a warm-up does, and change nothing; raises FleetError ``warmup_failed`` at the first answer but 200.

        It takes about as long as `switch`, so the length of a write pause can be told beforehand.
        """
        return self._ask(self.spec(), side, None, wait=False)[0]

    def _ask(self, spec: EdgeSpec, side: str, service: str | None, *, wait: bool) -> tuple[dict[str, t.Any], dict[str, str]]:
        """Until there are enough answers in a row; ``wait`` goes on after another one. How it went, and the headers of the last answer."""
        route = spec.route_to(side)
        begun = time.monotonic()
        deadline = Deadline(spec.warmup.timeout)
        seen, passed, tried = "nothing", 0, 0
        headers: dict[str, str] = {}
        while passed < spec.warmup.count:
            tried += 1
            try:
                name = f"{service or spec.warmup.service}.{route}.sock"
                status, headers = self.haproxy.get(name, spec.warmup.host, spec.warmup.path, max(deadline.remaining(), 0.1))
                seen = " ".join(filter(None, [f"status {status}", headers.get("x-bowline-error", "")]))
                passed = passed + 1 if status == 200 else 0
            except FleetError as error:
                passed = 0
                # At the end of the time there is no time left for an answer; the one before says more.
                if tried == 1 or not deadline.expired():
                    seen = error.message.rstrip(".")
            if passed < spec.warmup.count and (deadline.expired() or not (passed or wait)):
                raise FleetError(
                    "warmup_failed",
                    f"GET {spec.warmup.path} on {side} was answered with 200 {passed} times in a row after {time.monotonic() - begun:.1f} s,"
                    f" expected {spec.warmup.count}; last seen: {seen}.",
                    remedy=f"Look at the application of {side}"
                    + ("." if route == "local" else " and at the certificate that its proxy shows."),
                    details={"side": side, "tried": tried, "last_seen": seen},
                )
            if not passed:
                deadline.pause(0.05)
        return {"side": side, "tried": tried, "ms": round((time.monotonic() - begun) * 1000)}, headers

    def release(self) -> dict[str, t.Any]:
        """End the hold, and close upgraded connections to the side that requests do not go to, so that they connect anew.

        They can only be closed all at once with everything of their backend. So they are left where a request that asked for an upgrade is
        not answered yet, which after a drain is none; the number is ``left_upgraded``.
        """
        spec = self.spec()
        before = self.state()
        state = self.set_hold(0)
        other = "peer" if state.route == "local" else "local"
        closed = left = 0
        if self.haproxy.running():
            sessions, tunnels = self.haproxy.sessions(), self.haproxy.tunnels()
            for service in spec.services:
                backend = f"{service.name}.{other}.upgrade"
                if sessions.get(backend, 0) > tunnels.get(backend, 0):
                    left += tunnels.get(backend, 0)
                elif tunnels.get(backend, 0):
                    closed += tunnels[backend]
                    self.haproxy.end_sessions(backend, other)
        return {"changed": before.held(self._now()), "route": state.route, "closed_upgraded": closed, "left_upgraded": left}

    def switch(self, side: str) -> dict[str, t.Any]:
        """Route to ``side``, warm it up, release: what a write pause ends with. Requests stay held when ``side`` does not answer."""
        routed = self.route(side)
        warm = self.warmup(side)
        released = self.release()
        return {**routed, **released, "changed": routed["changed"] or released["changed"], "tried": warm["tried"], "ms": warm["ms"]}

    def status(self) -> dict[str, t.Any]:
        """Everything at once. ``in_flight``, ``upgraded``, ``in_step``, ``old_workers`` are None while the edge does not run."""
        spec = self.spec()
        state = self.state()
        running = self.haproxy.running()
        loaded = self.haproxy.states(self.map_path) if running else []
        counted = self._count(spec) if running else (None, None)
        return {
            "side": spec.side,
            "directory": spec.directory,
            "running": running,
            "route": state.route,
            "serves": spec.serves(state.route),
            "epoch": state.epoch,
            "hold": round(max(0, state.hold_until - self._now()) / 1000, 3),
            "in_step": all(seen == state for seen in loaded) if running else None,
            "in_flight": counted[0],
            "upgraded": counted[1],
            "old_workers": len(self.haproxy.old_workers()) if running else None,
        }

    def in_flight(self, spec: EdgeSpec) -> int:
        """Requests that are being served now, upgraded connections and held requests apart."""
        return self._count(spec)[0]

    def _count(self, spec: EdgeSpec) -> tuple[int, int]:
        sessions, tunnels = self.haproxy.sessions(), self.haproxy.tunnels()
        requests = upgraded = 0
        for service in spec.services:
            for route in ("local", "peer"):
                # A missing backend is a failed gate, not an empty one.
                try:
                    asked = f"{service.name}.{route}.upgrade"
                    opened = min(tunnels.get(asked, 0), sessions[asked])
                    requests += sessions[f"{service.name}.{route}"] + sessions[asked] - opened
                    upgraded += opened
                except KeyError as error:
                    raise FleetError(
                        "edge_state_unreadable",
                        f"The running edge has no backend {error}; its configuration is an older one.",
                        remedy="Reload the edge.",
                    ) from error
        return requests, upgraded

    def _drain(self, spec: EdgeSpec, drain: float) -> None:
        def busy() -> str:
            count = self.in_flight(spec)
            if not count:
                time.sleep(_QUIET)
                count = self.in_flight(spec)
            return f"{count} requests" if count else ""

        wait_for(
            busy,
            lambda seen: not seen,
            Deadline(drain),
            what="no request to be served any more; the hold was released",
            interval=0.005,
            code="in_flight",
            remedy="Find what runs so long, or raise drain; requests go on as before.",
        )

    def _outlive(self, peer_epoch: int) -> None:
        def change(state: State) -> State:
            return state if state.route == "local" or state.epoch > peer_epoch else replace(state, epoch=peer_epoch + 1)

        self._change(change)

    def _change(self, change: t.Callable[[State], State], running: bool = True) -> State:
        """Apply ``change`` to file and process under a lock; when the process is down, the file is set and ``unreachable`` is raised.

        The file comes first: a process that starts in between reads it. With ``running`` false a process that is down is no failure.
        """
        with locked(self.directory):
            before = self.state()
            after = change(before)
            if after != before:
                private.write(self.map_path, map_text(after).encode())
            if not running and not self.haproxy.running():
                return after
            self._tell(after)
            return after

    def _tell(self, state: State) -> None:
        """Until every worker reads ``state`` back. A master that reloads in this moment loses what it was to pass on."""
        deadline = Deadline(self.haproxy.timeout)
        while True:
            wrong = [loaded.encode() for loaded in self.haproxy.states(self.map_path) if loaded != state]
            if not wrong:
                return
            if deadline.expired():
                raise FleetError(
                    "edge_state_unreadable",
                    f"The edge was told {state.encode()} and reads {', '.join(wrong)}.",
                    remedy="Reload the edge.",
                )
            self.haproxy.set_state(self.map_path, state)

    def _read(self, name: str) -> str:
        try:
            return private.read(os.path.join(self.directory, name)).decode()
        except FileNotFoundError as error:
            raise FleetError(
                "edge_missing", f"{self.directory} has no {name}, so there is no edge.", remedy="Run traffic_edge with state present."
            ) from error

    def _now(self) -> int:
        return int(self._clock() * 1000)
