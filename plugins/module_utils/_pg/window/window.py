# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The write pause, W0 to W8, and its way out at every point. One function for both directions."""

from __future__ import annotations

import threading
import time
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.wait import Deadline, wait_for
from ..model import Options
from ..replication import pair
from ..replication.pair import Direction
from ..routers.clients import Clients
from ..server import fence, sessions
from .carry import Carrier
from .watchdog import COMMIT, DONE, FENCE, OPENED, Watchdog

# What stays of max_window for aborting and giving the writes back before the watchdog would.
RESERVE = 0.8
# Ending the sessions of the target takes milliseconds; a target that is silent for longer is left to the next run.
_ENDING = 10.0


@dataclass
class Opened:
    """What one window did. Milliseconds; ``window_ms`` is from the fence on the source until clients can write on the target (commands of
    the router included), ``database_ms`` until the target's fence is off, ``pause_ms`` from the first command of the router to its last.
    ``held_at`` and ``released_at`` are unix seconds: before the first command, and before the clients are released."""

    epoch: str
    steps: list[dict[str, t.Any]] = field(default_factory=list)
    window_ms: float = 0.0
    database_ms: float = 0.0
    pause_ms: float = 0.0
    held_at: float = 0.0
    released_at: float = 0.0
    drained: sessions.Drained = field(default_factory=sessions.Drained)
    sequences: int = 0
    large_objects: int = 0


class Freeze(t.Protocol):
    """Freezes a snapshot of both sides at the switch point, for the comparison afterwards."""

    def freeze(self) -> None: ...


class Pause:
    """What a window of every engine does alike: its clock, its steps, the release of the clients, the words of one that was given up."""

    def __init__(self, options: Options, clients: Clients, watchdog: Watchdog) -> None:
        self._options = options
        self._clients = clients
        self._watchdog = watchdog
        self._opened = Opened(fence.new_epoch())
        self._limit = Deadline(options.max_window)
        self._clock = 0.0

    def _left(self) -> float:
        left = self._limit.remaining() - RESERVE
        if left <= 0:
            raise FleetError(
                "window_aborted", f"The window was not done within {self._options.max_window:g} s.", remedy="Raise max_window."
            )
        return left

    def _step(self, name: str) -> None:
        now = time.monotonic()
        self._opened.steps.append({"name": name, "ms": ms(now - self._clock)})
        self._clock = now
        if name.startswith("W"):
            hit(name)

    def _release(self, side: str) -> None:
        self._clients.route(side)
        self._step("route")
        self._clients.warmup(side)
        self._step("warmup")
        self._opened.released_at = time.time()
        self._clients.resume(side)
        self._step("resume")

    def _abandoned(self, error: FleetError, side: str) -> t.NoReturn:
        """Raise ``error`` after the writes are back on ``side``; what is no reason of its own becomes "window_aborted" with it as cause."""
        if error.code in ("active_transactions", "prepared_transactions", "router_failed", "apply_lagging", "apply_error", "window_aborted"):
            raise error
        step = self._opened.steps[-1]["name"] if self._opened.steps else "the hold"
        raise FleetError(
            "window_aborted",
            f"The window was given up after {step}: {error.message} Writes are back on {side}.",
            remedy=error.remedy,
            details={"cause": error.as_failure(), "after": step},
        ) from error


class Window(Pause):
    """One attempt to move the writes along ``road``."""

    def __init__(
        self, direction: Direction, options: Options, clients: Clients, watchdog: Watchdog, carrier: Carrier, frozen: Freeze | None
    ) -> None:
        super().__init__(options, clients, watchdog)
        self._direction = direction
        self._carrier = carrier
        self._frozen = frozen
        self._commit_sent = False
        self._old_sessions: t.Any = None

    def run(self) -> Opened:
        """Move the writes. Raises FleetError after the writes are back on the source, or "outcome_unknown", "router_failed" as they say."""
        source, epoch = self._direction.source, self._opened.epoch
        self._limit = Deadline(self._options.max_window)
        backends = {server.side: server.admin.pid for server in (source, self._direction.target)}
        self._watchdog.window(epoch, source.side, backends, self._options.max_window)
        began = self._clock = time.monotonic()
        self._opened.held_at = time.time()
        try:
            with self._answered(self._options.max_window - RESERVE):
                self._clients.pause(source.side)
                self._step("pause")
                # A hold that took all of the time is no server that is silent.
                self._left()
                fenced = self._close()
                self._prove()
                self._open()
        except FleetError as error:
            self._abort(error)
        self._opened.database_ms = ms(time.monotonic() - fenced)
        self._finish()
        now = time.monotonic()
        self._opened.window_ms, self._opened.pause_ms = ms(now - fenced), ms(now - began)
        return self._opened

    # W0 to W2: nobody can write any more.
    def _close(self) -> float:
        source, target, epoch = self._direction.source, self._direction.target, self._opened.epoch
        self._watchdog.say(FENCE)
        fence.turn(target.admin, target.dbname, f"{epoch}:open", True)
        if self._clients.choosy:
            self._old_sessions = sessions.now_on(target)
        self._step("W0")
        fence.turn(source.admin, source.dbname, f"{epoch}:open", True)
        fenced = time.monotonic()
        self._step("W1")
        before = sessions.now_on(source)
        self._opened.drained = sessions.end(source, before, self._options.drain_grace, self._options.on_active, self._left())
        prepared = sessions.prepared(source)
        if prepared:
            raise FleetError(
                "prepared_transactions",
                f"Prepared transactions on {source.endpoint}: {', '.join(prepared)}. The window was given up and writes are back.",
                remedy="COMMIT PREPARED or ROLLBACK PREPARED each of them.",
                details={"transactions": prepared},
            )
        self._step("W2")
        return fenced

    # W3 to W6: everything that was written is on the target, nothing of it will come back.
    def _prove(self) -> None:
        source, target, epoch = self._direction.source, self._direction.target, self._opened.epoch
        pair.mark(source, pair.WINDOW, epoch)
        self._step("W3")
        self._bring()
        pair.see_mark(target, pair.WINDOW, epoch, self._left())
        self._step("W4")
        self._opened.sequences = self._carrier.sequences()
        self._carrier.unlogged()
        self._opened.large_objects = self._carrier.objects()
        if self._frozen is not None:
            self._frozen.freeze()
        self._step("W5")
        self._prepare_return()
        self._step("W6")

    def _bring(self) -> None:
        """Rows reach the target by replication, so there is nothing to do but wait for the marker."""

    def _prepare_return(self) -> None:
        if self._direction.returns:
            pair.advance(self._direction)

    # W7: the one commit that moves the writes.
    def _open(self) -> None:
        target, epoch = self._direction.target, self._opened.epoch
        self._left()
        # After the next word only the target knows the outcome, so a target that is gone already shall be found before it.
        target.admin.run("SELECT 1")
        self._carrier.prove()
        self._watchdog.say(COMMIT)
        self._commit_sent = True
        if not fence.turn(target.admin, target.dbname, f"{epoch}:commit", False, f"{epoch}:open"):
            self._commit_sent = False
            raise FleetError("window_aborted", f"Epoch {epoch} was ended by the watchdog.", remedy="Raise max_window, or run again.")
        self._step("W7")
        self._watchdog.say(OPENED)

    # W8 and the clients. From here on there is no way back but a switch of its own.
    def _finish(self) -> None:
        target = self._direction.target
        with self._answered(_ENDING):
            sessions.end_now(target, self._old_sessions or sessions.now_on(target))
        self._step("W8")
        self._release(target.side)

    @contextmanager
    def _answered(self, seconds: float) -> t.Iterator[None]:
        """Cut the connections after ``seconds``: a statement that waits for a silent server would outlast the window by far."""
        silent: list[bool] = []

        def cut() -> None:
            silent.append(True)
            for server in (self._direction.source, self._direction.target):
                server.cut()

        clock = threading.Timer(max(seconds, 0.0), cut)
        clock.daemon = True
        clock.start()
        try:
            yield
        except FleetError as error:
            if not silent or error.code != "connection_lost":
                raise
            raise FleetError(
                "connection_lost",
                f"The {error.details.get('side')} server did not answer a statement within the {seconds:.1f} s that were left for it.",
                remedy="Look at the network between this host and that server, then run again; the facts decide.",
                details=error.details,
            ) from error
        finally:
            clock.cancel()

    def _abort(self, error: FleetError) -> None:
        """Give the writes back to the source and raise ``error``; return only when the target turns out to be open."""
        epoch = self._opened.epoch
        if self._commit_sent:
            if self._outcome(error) == "committed":
                self._watchdog.say(OPENED)
                return
        else:
            self._close_target(epoch)
        source = self._direction.source
        try:
            _again(lambda: self._reopen(epoch), source, self._limit)
        except FleetError as unreachable:
            raise FleetError(
                "connection_lost",
                f"{source.endpoint} could not be told to take the writes back: {unreachable.message} They are on no side until it can;"
                " the watchdog goes on trying for a minute.",
                remedy=f"Make {source.endpoint} reachable and run again; nothing is lost.",
                details={"cause": error.as_failure()},
            ) from error
        self._clients.serve(source.side)
        self._watchdog.say(DONE)
        self._abandoned(error, source.side)

    def _reopen(self, epoch: str) -> None:
        source = self._direction.source
        fence.turn(source.admin, source.dbname, f"{epoch}:abort", False, f"{epoch}:open")
        sessions.end_idle(source)

    def _close_target(self, epoch: str) -> None:
        """The commit was never sent, so a target that cannot be reached cannot open later either."""
        target = self._direction.target
        try:
            fence.turn(target.admin, target.dbname, f"{epoch}:abort", True, f"{epoch}:open")
        except FleetError:
            target.close()

    def _outcome(self, error: FleetError) -> str:
        """The reply to W7 was lost: end the epoch, or learn that it was committed. Raises "outcome_unknown" at the deadline."""
        target, epoch = self._direction.target, self._opened.epoch

        def ask() -> str:
            try:
                target.close()
                if fence.turn(target.admin, target.dbname, f"{epoch}:abort", True, f"{epoch}:open"):
                    return "aborted"
                now = (fence.settings_of(target.admin, target.dbname) or {}).get("pgcut.epoch", "")
                return "committed" if now == f"{epoch}:commit" else "aborted"
            except FleetError:
                return "unreadable"

        return wait_for(
            ask,
            lambda value: value != "unreadable",
            self._limit,
            what=f"{target.endpoint} to say whether it was opened ({error.message})",
            code="outcome_unknown",
            remedy=f"Make {target.endpoint} reachable and run again; until then {self._direction.source.side} stays closed and nothing is lost.",
        )


def _again(work: t.Callable[[], t.Any], server: t.Any, limit: Deadline) -> None:
    """Do it, over a new connection if the old one is gone, until ``limit``."""
    while True:
        try:
            work()
            return
        except FleetError:
            if limit.expired():
                raise
            server.close()
            limit.pause(0.1)


def ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
