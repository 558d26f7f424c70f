# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process of its own that gives the writes back when the module dies or hangs inside the window. It never opens a target.

It is forked before the module has any connection (a copy of a socket would keep the module's backends alive after its death), leads its
own session, and hears of the window through a pipe. The end of the pipe means that the module is dead. It acts on one epoch only, by
compare-and-set in the catalogs: an epoch that is not the current one any more makes it do nothing at all.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import typing as t

from ..._core.detached import detached
from ..._core.errors import FleetError
from ..._core.runner import Runner
from ..._core.wait import Deadline
from ..model import Options
from ..routers.clients import clients
from ..server import fence, sessions
from ..server.postgres import Server, block, literal
from ..server.process import Control, waited

# What the module says through the pipe, in this order. Between "commit" and "opened" nobody but the target's catalog knows the outcome.
# "stop" is said by the engine physical only.
HOLD, FENCE, STOP, COMMIT, OPENED, DONE = "hold", "fence", "stop", "commit", "opened", "done"
# The source is restarted while its clients are held: no epoch, no other side.
RESTART, STOPPING, STARTED = "restart", "stopping", "started"
# How long a stop that a dead module has sent may take to begin; its command outlives the module, and a start before it would be undone.
_STOP_BEGINS = 15.0
_NO_EPOCH = (HOLD, RESTART, STOPPING, STARTED)
# How long it goes on trying when a server does not answer.
PATIENCE = 60.0


def decide(last_word: str, cause: str, target: str) -> str:
    """What to do: release, abort, serve_target, wait or nothing. Pure.

    ``said`` is the last word of the module, ``cause`` is eof or deadline, ``target`` what its catalog says of the epoch after the attempt
    to abort it: aborted, committed, stale or unreadable.
    """
    if last_word in ("", DONE):
        return "nothing"
    if last_word in _NO_EPOCH:
        return "release"
    if target == "aborted":
        return "abort"
    if target == "committed":
        return "serve_target"
    if target == "unreadable":
        # A dead module that never sent the commit cannot send it later; a hanging one can, and a sent one may have arrived.
        return "abort" if last_word == FENCE and cause == "eof" else "wait"
    return "nothing"


def watching(guard: t.Optional[Watchdog]) -> Watchdog:
    """``guard``, without which no clients are held. Raises FleetError "window_aborted" when there is none."""
    if guard is None:
        raise FleetError(
            "window_aborted",
            "No watchdog runs, so no client is held, no window is opened and no server restarted. Nothing was changed.",
            remedy="Run the same state without check mode: the module starts its watchdog itself.",
        )
    return guard


class Watchdog:
    """The module's end of the pipe."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid = pid
        self._pipe = pipe
        self._last = ""

    def window(self, epoch: str, source: str, backends: t.Mapping[str, int], seconds: float, engine: str = "logical") -> None:
        """A window begins: clients are about to be held. ``backends`` hold the run lock, by side."""
        known = {"epoch": epoch, "source": source, "backends": dict(backends), "seconds": seconds, "engine": engine, "pid": os.getpid()}
        self._say({"word": HOLD, **known})

    def restart(self, source: str, backends: t.Mapping[str, int], seconds: float) -> None:
        """``source`` is about to be restarted, its clients are about to be held."""
        self._say({"word": RESTART, "source": source, "backends": dict(backends), "seconds": seconds})

    def say(self, word: str, more: float | None = None) -> None:
        """``more`` seconds from now until the module is late."""
        self._say({"word": word} if more is None else {"word": word, "more": more})

    def end(self) -> None:
        """The module is through. A window that it could not settle itself is left to this process: the pipe ends without a last word.

        Otherwise nothing is left to watch, and the process is reaped if it ends soon.
        """
        settled = self._last in ("", DONE)
        if settled:
            try:
                os.write(self._pipe, b'{"word": "done"}\n')
            except BrokenPipeError:
                pass
        os.close(self._pipe)
        deadline = Deadline(2)
        while settled and os.waitpid(self._pid, os.WNOHANG) == (0, 0) and not deadline.expired():
            deadline.pause(0.005)

    def _say(self, message: t.Mapping[str, t.Any]) -> None:
        self._last = message["word"]
        try:
            os.write(self._pipe, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise FleetError("window_aborted", "The watchdog has ended, so no window may be open.", remedy="Run again.") from None


# How a window of another engine is settled, by its name; filled before the fork.
Settle = t.Callable[[Options, "Runner | None", t.Mapping[str, t.Any], str], bool]
ENGINES: dict[str, Settle] = {}


def start(options: Options, runner: Runner | None) -> Watchdog:
    """Fork it. Must be called before any connection exists in this process."""
    reading, writing = os.pipe()
    pid = detached(reading, lambda: watch(options, runner, reading))
    os.close(reading)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return Watchdog(pid, writing)


def watch(options: Options, runner: Runner | None, pipe: int) -> None:
    """Listen until the module is done, dead, or late."""
    window: dict[str, t.Any] = {"word": ""}
    buffer = b""
    late: Deadline | None = None
    while True:
        left = None if late is None else late.remaining()
        ready, _writable, _broken = select.select([pipe], [], [], left)
        if not ready:
            act(options, runner, window, "deadline")
            # The module may come back to life and end its own clean-up; it can open nothing with this epoch.
            late, window = None, {"word": ""}
            continue
        chunk = os.read(pipe, 65536)
        if not chunk:
            act(options, runner, window, "eof")
            return
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            window.update(json.loads(line))
            more = window.pop("more", None)
            if more is not None:
                late = Deadline(more)
            elif window["word"] in (HOLD, RESTART):
                late = Deadline(window["seconds"])
            elif window["word"] == OPENED:
                # The target takes writes, only clients may still be held: no reason to end a module that is alive.
                late = Deadline(PATIENCE)
            elif window["word"] == DONE:
                late, window = None, {"word": ""}


def act(options: Options, runner: Runner | None, window: t.Mapping[str, t.Any], cause: str) -> None:
    """Settle the epoch of ``window``: repeat until it is settled, found to be stale, or patience ends."""
    if window["word"] in ("", DONE):
        return
    settle = ENGINES.get(window.get("engine", ""), _settle)
    patience = Deadline(PATIENCE)
    while not patience.expired():
        try:
            if settle(options, runner, window, cause):
                return
        except FleetError:
            pass
        time.sleep(0.2)


def _settle(options: Options, runner: Runner | None, window: t.Mapping[str, t.Any], cause: str) -> bool:
    source = Server(options.endpoint(window["source"]), "watchdog")
    target = Server(options.endpoint("new" if window["source"] == "legacy" else "legacy"), "watchdog")
    router = clients(options, runner)
    try:
        if window["word"] == STOPPING and runner is not None:
            control = Control(source.endpoint, runner)
            waited(control, False, _STOP_BEGINS)
            control.start()
        if not own_lock(source, window["backends"][source.side]):
            return True
        verdict = decide(window["word"], cause, "stale" if window["word"] in _NO_EPOCH else _target(target, window))
        if verdict == "wait":
            return False
        if verdict == "abort" and fence.turn(source.admin, source.dbname, f"{window['epoch']}:abort", False, f"{window['epoch']}:open"):
            sessions.end_copies(source)
            sessions.end_idle(source)
            _note(source, f"gave the writes back to {source.side} ({cause}, epoch {window['epoch']})")
        if verdict in ("release", "abort") and not _fenced(source):
            # A source that is closed by now was left by a later switch, which routes the clients itself.
            router.serve(source.side)
        elif verdict == "serve_target":
            sessions.end_now(target, sessions.now_on(target))
            router.serve(target.side)
            fence.say_served(target.admin, target.dbname, window["epoch"])
        return True
    finally:
        source.close()
        target.close()
        router.close()


def own_lock(source: Server, backend: int) -> bool:
    """Take the run lock on the source, so that no other run acts meanwhile. False when another run has it: that one reads the facts.

    The backend of a module that is dead or late is ended first; what it had sent is either committed or gone.
    """
    deadline = Deadline(5)
    while not fence.try_lock(source.admin, source.dbname):
        found = fence.holder(source.admin, source.dbname)
        if found is not None and found["pid"] != backend:
            return False
        if found is not None:
            source.admin.run("SELECT pg_terminate_backend(%s)", backend)
        if deadline.expired():
            raise FleetError("locked", "The run lock did not become free.", remedy="End the process that holds it, and run again.")
        deadline.pause(0.02)
    return True


def _target(target: Server, window: t.Mapping[str, t.Any]) -> str:
    """Try to abort the epoch where it would commit: from then on it cannot. A hanging module loses its session there, too."""
    epoch = window["epoch"]
    try:
        found = fence.holder(target.admin, target.dbname)
        if found is not None and found["pid"] == window["backends"][target.side]:
            target.admin.run("SELECT pg_terminate_backend(%s)", found["pid"])
        if fence.turn(target.admin, target.dbname, f"{epoch}:abort", True, f"{epoch}:open"):
            return "aborted"
        now = (fence.settings_of(target.admin, target.dbname) or {}).get("pgcut.epoch", "")
    except FleetError:
        return "unreadable"
    return {f"{epoch}:commit": "committed", f"{epoch}:abort": "aborted"}.get(now, "stale")


def _fenced(server: Server) -> bool:
    return fence.is_fenced(fence.settings_of(server.admin, server.dbname) or {})


def _note(server: Server, text: str) -> None:
    """A line in the server's log: the watchdog has nobody else to tell."""
    server.admin.run(block(f"BEGIN RAISE LOG USING MESSAGE = {literal('bowline watchdog ' + text)}; END"))
