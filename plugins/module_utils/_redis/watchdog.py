# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process of its own that gives the writes back when the module dies or hangs inside the write pause. It never opens a target.

It is forked before the module has any connection, leads its own session, and hears of the pause through a socket, whose end means that the
module is dead. What a dead module has sent may still be on its way: its connections are closed at the server first, which executes one command
after the other, so that what was not executed by then never is. Only then the role of the target is believed.
"""

from __future__ import annotations

import json
import os
import select
import socket
import typing as t

from .._core.detached import detached
from .._core.errors import FleetError
from .._core.wait import Deadline
from .alone import WATCH
from .model import Options, other
from .redis import Redis

# What the module says, in this order. Between "open" and "opened" nobody but the target knows the outcome.
PAUSE, CLOSE, OPEN, OPENED, DONE = "pause", "close", "open", "opened", "done"
# How long it goes on trying when a server does not answer.
PATIENCE = 60.0
_READY = 5.0


class Watchdog:
    """The module's end."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self._pid = pid
        self._line = line
        self._last = ""

    def window(self, source: str, ids: t.Mapping[str, int], seconds: float) -> None:
        """The pause begins. Returns when the other process stands by: it has connections of its own to both servers."""
        self._say({"word": PAUSE, "source": source, "ids": dict(ids), "seconds": seconds})
        self._line.settimeout(_READY)
        try:
            answer = self._line.recv(1)
        except OSError:
            answer = b""
        if answer != b"+":
            self._last = DONE
            raise FleetError(
                "window_aborted", "The watchdog did not stand by, so no pause was made. Nothing was changed.", remedy="Run again from a host that reaches both."
            )

    def say(self, word: str) -> None:
        self._say({"word": word})

    @property
    def last(self) -> str:
        return self._last

    def end(self) -> None:
        """The module is through. A pause that it could not settle is left to the other process, which hears no last word."""
        settled = self._last in ("", DONE)
        if settled:
            try:
                self._line.sendall(b'{"word": "done"}\n')
            except OSError:
                pass
        self._line.close()
        deadline = Deadline(2)
        while settled and os.waitpid(self._pid, os.WNOHANG) == (0, 0) and not deadline.expired():
            deadline.pause(0.005)

    def _say(self, message: t.Mapping[str, t.Any]) -> None:
        self._last = message["word"]
        try:
            self._line.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise FleetError("window_aborted", "The watchdog has ended, so no pause may be made.", remedy="Run again.") from None


def start(options: Options, token: str) -> Watchdog:
    """Fork it. Must be called before any connection exists in this process."""
    ours, theirs = socket.socketpair()
    pid = detached(theirs.fileno(), lambda: watch(options, token, theirs))
    theirs.close()
    return Watchdog(pid, ours)


def watch(options: Options, token: str, line: socket.socket) -> None:
    """Listen until the module is done, dead, or late."""
    servers = {side: Redis(options.endpoint(side), WATCH + token) for side in ("legacy", "new")}
    told: t.Dict[str, t.Any] = {"word": ""}
    buffer, late = b"", None
    while True:
        ready, _writable, _broken = select.select([line], [], [], None if late is None else late.remaining())
        chunk = line.recv(65536) if ready else b""
        if not chunk:
            act(servers, told)
            if ready:
                return
            # The module may come back to life; its connections are gone, so it can open nothing.
            late, told = None, {"word": ""}
            continue
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for text in lines:
            told.update(json.loads(text))
            if told["word"] == PAUSE:
                late = Deadline(told["seconds"])
                line.sendall(b"+" if _stands_by(servers) else b"-")
            elif told["word"] == DONE:
                late, told = None, {"word": ""}
                for server in servers.values():
                    server.close()


def _stands_by(servers: t.Mapping[str, Redis]) -> bool:
    try:
        return all(server.ask("PING") == "PONG" for server in servers.values())
    except FleetError:
        return False


def act(servers: t.Mapping[str, Redis], told: t.Mapping[str, t.Any]) -> None:
    """Settle what the module left: repeat until it is settled, or patience ends."""
    if told["word"] in ("", DONE):
        return
    patience = Deadline(PATIENCE)
    while not patience.expired():
        try:
            settle(servers, told["source"], told["word"], told["ids"])
            break
        except FleetError:
            patience.pause(0.2)
    for server in servers.values():
        server.close()


def settle(servers: t.Mapping[str, Redis], source_side: str, word: str, ids: t.Mapping[str, int]) -> str:
    """Give the writes back to the source, unless the target is open; returns the side that serves. ``ids`` are the module's connections.

    Before "open" was said nobody can have opened the target, so the source is opened whether the target answers or not.
    """
    source, target = servers[source_side], servers[other(source_side)]
    if word in (OPEN, OPENED):
        _end(target, ids)
        if target.info("replication").get("role") == "master":
            source.ask("CLIENT", "UNPAUSE")
            return target.side
    _end(source, ids)
    if source.info("replication").get("role") == "slave":
        source.ask("REPLICAOF", "NO", "ONE")
    source.ask("CLIENT", "UNPAUSE")
    return source.side


def _end(server: Redis, ids: t.Mapping[str, int]) -> None:
    """Close the module's connection at the server, and with it everything that was sent on it and not executed."""
    server.ask("PING")
    if server.id != ids[server.side]:
        server.ask("CLIENT", "KILL", "ID", ids[server.side])
