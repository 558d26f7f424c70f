# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Talks to a running HAProxy: admin socket, master socket, and HTTP over its unix sockets."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import typing as t

from .._core.errors import FleetError
from .._core.wait import Deadline
from .model import MAP_KEY, TUNNELS, State, parse_state

# More than the counters of a thousand services; what runs in the edge must not fill the memory of who asks it.
_ANSWER_MAX = 16 * 1024 * 1024

REMEDY = "Start the edge: haproxy -W -db -S DIR/run/master.sock,mode,600 -f DIR/haproxy.cfg (systemctl status or docker logs tell why not)."

_Answer = t.TypeVar("_Answer")
# A command in, its answer out.
Talk = t.Callable[[str], str]


class HAProxy:
    """One edge process, found by the sockets in ``directory``/run. Every answer is read to its end within ``timeout`` seconds."""

    def __init__(self, directory: str, timeout: float = 2.0) -> None:
        self.directory = directory
        self.timeout = timeout

    def running(self) -> bool:
        """Whether the edge answers; a refused or missing socket is no, any other trouble raises."""
        try:
            self.info()
        except FleetError as error:
            if error.details.get("down"):
                return False
            raise
        return True

    def info(self) -> dict[str, t.Any]:
        """``show info``: field name to value (HAProxy 2.6 management guide, 9.3)."""
        return {item["field"]["name"]: item["value"]["value"] for item in self._json("show info json")}

    def state(self, path: str) -> State:
        """What the running process goes by. ``show map``: lines of pointer, key, value."""
        return self._state(path, self._admin)

    def states(self, path: str) -> list[State]:
        """The same for every worker, those included that a reload left behind."""
        return [self.state(path), *self._each_old(lambda talk: self._state(path, talk))]

    def set_state(self, path: str, state: State) -> None:
        """Effective in every worker for every request that is looked at after the return; read it back with `states`."""

        def tell(talk: Talk) -> None:
            answer = talk(f"set map {path} {MAP_KEY} {state.encode()}").strip()
            if answer:
                raise FleetError("edge_state_unreadable", f"The running edge refused the state: {answer.splitlines()[0]}", remedy=REMEDY)

        tell(self._admin)
        self._each_old(tell)

    def sessions(self) -> dict[str, int]:
        """Requests that are with a server (or on the way to one), per backend and over all workers: ``scur`` of ``show stat``.

        A stream belongs to its backend from the choice until the whole answer is sent, so idle keep-alive connections do not count, nor
        do held requests, which have no backend yet; an upgraded connection counts as long as it is open.
        """
        counts: dict[str, int] = {}

        def add(talk: Talk) -> None:
            for row in self._json("show stat -1 2 -1 json", talk):
                fields = {item["field"]["name"]: item["value"]["value"] for item in row}
                name = str(fields["pxname"])
                counts[name] = counts.get(name, 0) + int(fields["scur"])

        add(self._admin)
        self._each_old(add)
        return counts

    def tunnels(self) -> dict[str, int]:
        """Connections whose answer was 101, per backend and over all workers: who opens one is tracked by the answer, until it closes.

        ``show table`` (management guide, 9.3): lines of ``0x…: key=<backend> use=<n> exp=<ms> … conn_cur=<n>``. Ask `sessions` first: what is
        counted there and upgraded meanwhile is no request any more.
        """
        counts: dict[str, int] = {}

        def add(talk: Talk) -> None:
            answer = talk(f"show table {TUNNELS}")
            if not answer.startswith(f"# table: {TUNNELS},"):
                raise FleetError("edge_state_unreadable", f"The running edge has no table {TUNNELS}; its configuration is an older one.", REMEDY)
            for name, count in re.findall(r"^0x[0-9a-f]+: key=(\S+) .*\bconn_cur=(\d+)", answer, re.MULTILINE):
                counts[name] = counts.get(name, 0) + int(count)

        add(self._admin)
        self._each_old(add)
        return counts

    def end_sessions(self, backend: str, server: str) -> None:
        """Close every connection to ``server`` of ``backend``, those of workers that a reload left behind, too."""
        answer = self._admin(f"shutdown sessions server {backend}/{server}").strip()
        if answer:
            raise FleetError("unreachable", f"The edge did not close connections of {backend}: {answer.splitlines()[0]}", remedy=REMEDY)
        self._each_old(lambda talk: self._end_each(talk, backend))

    @staticmethod
    def _end_each(talk: Talk, backend: str) -> None:
        """An old worker calls its backends disabled and ends single sessions only (management guide, 9.3: show sess, shutdown session)."""
        for session in re.findall(rf"^(0x[0-9a-f]+): .* be={re.escape(backend)} ", talk("show sess"), re.MULTILINE):
            talk(f"shutdown session {session}")

    def old_workers(self) -> list[str]:
        """Process ids of the workers that a reload left behind. They serve the requests that they have, and idle connections bring new ones.

        ``show proc`` of the master (management guide, 9.4) prints a table only. 2.6 keeps the connection open after it, hence the quit.
        Empty without a master: before its socket is there, no reload can have been.
        """
        answer = self._processes()
        old = answer.partition("# old workers")[2].partition("# programs")[0]
        return [line.split()[0] for line in old.splitlines() if line[:1].isdigit()]

    def failed_reloads(self) -> int:
        """How often in a row a reload was refused by what it loaded; the old worker goes on then. 2.6 and newer say so in the line of the master."""
        match = re.search(r"^\d+\s+master\s+\d+ \[failed: (\d+)\]", self._processes(), re.MULTILINE)
        return int(match.group(1)) if match else 0

    def _processes(self) -> str:
        """``show proc`` of the master, empty without one."""
        try:
            answer = self._talk("master.sock", "show proc;quit")
        except FleetError as error:
            if error.details.get("down"):
                return ""
            raise
        if "# workers" not in answer:
            raise FleetError("unreachable", f"The edge's master process answered {answer.strip()!r} to show proc.", remedy=REMEDY)
        return answer

    def _each_old(self, ask: t.Callable[[Talk], _Answer]) -> list[_Answer]:
        """``ask`` of every old worker, reached through the master (management guide, 9.4: ``@!<pid>``).

        A worker that has nothing left to do answers nothing any more and is gone a moment later; a master that reloads loses what it was to
        pass on. So a failure counts only when it lasts.
        """
        deadline = Deadline(self.timeout)
        answers: dict[str, _Answer] = {}
        while True:
            left = [pid for pid in self.old_workers() if pid not in answers]
            if not left:
                return list(answers.values())
            try:
                for pid in left:
                    answers[pid] = ask(self._talk_to(pid))
            except FleetError:
                if deadline.expired():
                    raise
                deadline.pause(0.005)

    def _talk_to(self, pid: str) -> Talk:
        return lambda command: self._talk("master.sock", f"@!{pid} {command};quit")

    def reload(self) -> None:
        """Ask the master to start over with the files as they are; 2.6 says nothing about the outcome: compare `info`."""
        self._talk("master.sock", "reload")

    def get(self, name: str, host: str, path: str, timeout: float) -> tuple[int, dict[str, str]]:
        """Status and headers (lower case) of one GET over the unix socket ``name``. Hand-made: the import of http.client takes 25 ms.

        Raises FleetError ``unreachable`` when there is no whole answer in time.
        """
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bowline-edge\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
        )
        answer = self._exchange(name, request.encode(), timeout).decode("latin-1")
        head, found = answer.partition("\r\n\r\n")[:2]
        lines = head.split("\r\n")
        words = lines[0].split()
        if not found or len(words) < 2 or not words[1].isdigit():
            raise FleetError("unreachable", f"The edge closed {name} without an answer to GET {path}.", remedy=REMEDY)
        pairs = (line.split(":", 1) for line in lines[1:] if ":" in line)
        return int(words[1]), {key.lower(): value.strip() for key, value in pairs}

    def _admin(self, command: str) -> str:
        return self._talk("admin.sock", command)

    def _state(self, path: str, talk: Talk) -> State:
        answer = talk(f"show map {path}")
        for line in answer.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] == MAP_KEY:
                return parse_state(words[2])
        raise FleetError(
            "edge_state_unreadable", f"The running edge has no state in {path}; it answered {answer.strip()!r}.", remedy=REMEDY
        )

    def _json(self, command: str, talk: Talk | None = None) -> t.Any:
        answer = (talk or self._admin)(command)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise FleetError("unreachable", f"The edge answered {answer[:80]!r} to {command}; expected JSON.", remedy=REMEDY) from error

    def _talk(self, name: str, command: str) -> str:
        deadline = Deadline(self.timeout)
        while True:
            try:
                return self._exchange(name, command.encode() + b"\n", self.timeout).decode("utf-8", "replace")
            except FleetError as error:
                # All that is asked of a master may be asked twice.
                if name != "master.sock" or deadline.expired() or not self._starts_over(error.__cause__):
                    raise
                deadline.pause(0.005)

    def _starts_over(self, cause: BaseException | None) -> bool:
        """Whether the master only executes itself anew, at a reload and once behind its start: it drops whoever waits for it, and refuses whoever
        comes until it has bound its socket again (2.6, src/haproxy.c: init calls mworker_cli_proxy_new_listener), while a worker answers."""
        return isinstance(cause, (ConnectionResetError, BrokenPipeError)) or (isinstance(cause, ConnectionRefusedError) and self.running())

    def _exchange(self, name: str, request: bytes, timeout: float) -> bytes:
        path = os.path.join(self.directory, "run", name)
        deadline = Deadline(timeout)
        chunks: list[bytes] = []
        try:
            # The process of the edge owns this folder: a link would lead root to a socket of somebody else.
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FleetError("unreachable", f"{path} is no socket.", remedy=REMEDY, details={"socket": path, "down": False})
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout)
                connection.connect(path)
                connection.sendall(request)
                while True:
                    connection.settimeout(max(deadline.remaining(), 0.001))
                    chunk = connection.recv(65536)
                    if not chunk:
                        return b"".join(chunks)
                    chunks.append(chunk)
                    if len(chunks) > _ANSWER_MAX // 65536 and sum(map(len, chunks)) > _ANSWER_MAX:
                        raise FleetError("unreachable", f"The edge answered more than {_ANSWER_MAX} bytes on {path}.", remedy=REMEDY)
        except OSError as error:
            down = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
            raise FleetError(
                "unreachable", f"The edge does not answer on {path}: {error}.", remedy=REMEDY, details={"socket": path, "down": down}
            ) from error
