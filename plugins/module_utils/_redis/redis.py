# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection to a Redis or Valkey server: RESP2 over a socket, with the standard library alone.

Not redis-py: a module runs on the host of a server that somebody else set up, and should need nothing there; what is needed of the protocol is
a page. RESP2 is what a server speaks until HELLO is said, in every version (https://redis.io/docs/latest/develop/reference/protocol-spec/).

Every answer is bounded in time and size, since whoever listens at an address need not be Redis. Texts of the server pass `redact`: an unknown
command is answered with its first arguments, so a server whose AUTH was renamed would give the password back.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import typing as t

from .._core.errors import FleetError
from .._core.redact import redact
from .._core.visible import one_line
from .._core.wait import Deadline
from .._core.web import verifying
from .model import Endpoint

# A list of clients is the longest answer that is asked for: some 400 bytes for each of ten thousand clients.
_MOST_BYTES = 64 * 1024 * 1024
_MOST_ITEMS = 1_000_000
_LONGEST_LINE = 64 * 1024
_DEEPEST = 8
_TIMEOUT = 5.0

# First words of an error, and what they are here. src/server.c (createSharedObjects) and src/acl.c of Redis 7.0 have the texts.
_CODES = {
    "NOAUTH": "auth_failed",
    "WRONGPASS": "auth_failed",
    "NOPERM": "privileges",
    "DENIED": "protected_mode",
    "LOADING": "server_loading",
    "BUSY": "server_busy",
    "MASTERDOWN": "link_down",
    "READONLY": "server_closed",
}
_REMEDIES = {
    "auth_failed": "Correct {side}.user and the file that {side}.password_file names; without a user it is the password of the user default.",
    "privileges": "Give the user of {side} the commands that are named: ACL SETUSER <user> +<command>, or name another user.",
    "protected_mode": "Give the server a password, or a bind address; until then it serves only its own host.",
    "server_loading": "Wait until it has loaded its data set (INFO persistence, loading), then run again.",
    "server_busy": "A script or function runs too long: SCRIPT KILL or FUNCTION KILL ends one that has not written.",
    "link_down": "Its master does not answer; see INFO replication there.",
    "server_closed": "This side follows the other one and takes no writes.",
    "redis_error": "Read what the server said; a command that was renamed or switched off in its configuration has to be there for a move.",
}


class Refused(FleetError):
    """An error that the server answered. ``said`` is its text, made safe to show."""

    def __init__(self, side: str, what: str, said: str) -> None:
        code = _CODES.get(said.partition(" ")[0], "redis_error")
        super().__init__(code, f"{side} answered {what} with: {said[:300]}", remedy=_REMEDIES[code].format(side=side), details={"side": side})
        self.said = said


class Redis:
    """Connects when it is first asked. ``name`` is what CLIENT LIST shows; ``timeout`` bounds every single answer, in seconds."""

    def __init__(self, endpoint: Endpoint, name: str, timeout: float = _TIMEOUT) -> None:
        self.endpoint = endpoint
        self.side = endpoint.side
        self.name = name
        self.timeout = timeout
        self.id = 0
        self._secrets = {endpoint.password} if endpoint.password else set()
        self._socket: t.Optional[socket.socket] = None
        self._buffer = b""

    def ask(self, *words: t.Union[str, int], secret: str = "") -> t.Any:
        """The answer to one command: None, int, str or list of these. A ``secret`` among the words is in no message.

        Raises `Refused` for an error of the server, FleetError "unreachable", "tls" or "not_redis" when there is no answer.
        """
        if secret:
            self._secrets.add(secret)
        if self._socket is None:
            self._connect()
        return self._exchange([str(word) for word in words])

    def info(self, *sections: str) -> t.Dict[str, str]:
        """INFO of the given sections, as one mapping."""
        found: t.Dict[str, str] = {}
        for section in sections:
            text = self.ask("INFO", section)
            if not isinstance(text, str):
                raise self._foreign("INFO is no text")
            found.update(line.partition(":")[::2] for line in text.split("\r\n") if ":" in line and not line.startswith("#"))
        return found

    def config(self, *names: str) -> t.Dict[str, str]:
        """Those of the settings that this server has. CONFIG GET takes several patterns from 7.0 on only."""
        found: t.Dict[str, str] = {}
        for name in names:
            pairs = self.ask("CONFIG", "GET", name)
            found.update(zip(pairs[::2], pairs[1::2]))
        return found

    def together(self, *commands: t.Sequence[str], secret: str = "") -> t.List[t.Any]:
        """Answers to ``commands``, all of which are executed in one turn, or none when this process dies meanwhile (MULTI, EXEC).

        An error of one does not undo the others; its answer is the `Refused`. Raises as `ask` when the turn as a whole is refused.
        """
        if not commands:
            return []
        self.ask("MULTI", secret=secret)
        try:
            for words in commands:
                self.ask(*words)
        except Refused:
            self.ask("DISCARD")
            raise
        answers = self.ask("EXEC")
        names = [" ".join(words[:2]) for words in commands]
        return [self._refused(name, answer) if isinstance(answer, _Error) else answer for name, answer in zip(names, answers)]

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket, self._buffer = None, b""

    def _connect(self) -> None:
        end = self.endpoint
        try:
            self._socket = self._opened(end)
        except ssl.SSLError as error:
            remedy = f"Correct {self.side}.ca_file, or the name in {self.side}.host."
            raise FleetError("tls", f"{self.side} ({end.where}): {one_line(error)}.", remedy=remedy) from error
        except OSError as error:
            raise self._silent(error) from error
        try:
            if end.password:
                self._exchange(["AUTH", *([end.user] if end.user else []), end.password])
            self._exchange(["CLIENT", "SETNAME", self.name])
            self.id = int(self._exchange(["CLIENT", "ID"]))
        except FleetError:
            self.close()
            raise

    def _opened(self, end: Endpoint) -> socket.socket:
        if end.host.startswith("/"):
            local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            local.settimeout(self.timeout)
            local.connect(end.host)
            return local
        plain = socket.create_connection((end.host, end.port), timeout=self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not end.tls:
            return plain
        context = verifying(end.ca_file)
        if end.certificate:
            context.load_cert_chain(end.certificate, end.key)
        try:
            return context.wrap_socket(plain, server_hostname=end.host)
        except OSError:
            plain.close()
            raise

    def _exchange(self, words: t.Sequence[str]) -> t.Any:
        # Of the command itself only what holds no value is ever shown.
        shown = " ".join(words[: 3 if words[:2] == ["CONFIG", "SET"] else 2 if words[0] in ("CLIENT", "CONFIG", "ACL", "INFO") else 1])
        deadline = Deadline(self.timeout)
        try:
            self._send(words, deadline)
            reply = self._read(deadline, 0)
        except OSError as error:
            self.close()
            raise self._silent(error, shown) from error
        except FleetError:
            self.close()
            raise
        if isinstance(reply, _Error):
            raise self._refused(shown, reply)
        return reply

    def _refused(self, shown: str, error: _Error) -> Refused:
        return Refused(self.side, shown, one_line(redact(error.text, self._secrets)))

    def _send(self, words: t.Sequence[str], deadline: Deadline) -> None:
        parts = [word.encode("utf-8", "surrogateescape") for word in words]
        text = b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)])
        link = t.cast(socket.socket, self._socket)
        link.settimeout(max(deadline.remaining(), 0.001))
        link.sendall(text)

    def _read(self, deadline: Deadline, depth: int) -> t.Any:
        line = self._line(deadline)
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("utf-8", "surrogateescape")
        if kind == b"-":
            return _Error(rest.decode("utf-8", "replace"))
        if kind not in (b":", b"$", b"*") or not rest.lstrip(b"-").isdigit() or len(rest) > 20:
            raise self._foreign(f"an answer begins with {line[:20]!r}")
        number = int(rest)
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"$":
            if number > _MOST_BYTES:
                raise self._foreign(f"an answer of {number} bytes")
            return self._take(number + 2, deadline)[:-2].decode("utf-8", "surrogateescape")
        if number > _MOST_ITEMS or depth >= _DEEPEST:
            raise self._foreign(f"a list of {number} in depth {depth}")
        return [self._read(deadline, depth + 1) for _item in range(number)]

    def _line(self, deadline: Deadline) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > _LONGEST_LINE:
                raise self._foreign("a line without an end")
            self._more(deadline)
        line, _end, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _take(self, size: int, deadline: Deadline) -> bytes:
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            self._buffer = b""
            self._more(deadline)
            parts.append(self._buffer)
            have += len(self._buffer)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def _more(self, deadline: Deadline) -> None:
        if deadline.expired():
            raise socket.timeout("timed out")
        link = t.cast(socket.socket, self._socket)
        link.settimeout(max(deadline.remaining(), 0.001))
        chunk = link.recv(1 << 20)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        self._buffer += chunk

    def _silent(self, error: OSError, shown: str = "") -> FleetError:
        said = f"no answer to {shown} in {self.timeout:g} s" if isinstance(error, socket.timeout) and shown else one_line(error.strerror or error)
        return FleetError(
            "unreachable",
            f"{self.side} ({self.endpoint.where}) does not answer: {said}.",
            remedy=f"Try that address from this host; correct {self.side}.host and {self.side}.port, or start the server.",
            details={"side": self.side, "where": self.endpoint.where},
        )

    def _foreign(self, seen: str) -> FleetError:
        return FleetError(
            "not_redis",
            f"{self.side} ({self.endpoint.where}) does not speak as Redis does: {one_line(seen)}.",
            remedy=f"Correct {self.side}.host and {self.side}.port; where the port speaks TLS, say {self.side}.tls: true.",
        )


class _Error:
    """An error as the server wrote it, told from a text of the same words."""

    def __init__(self, text: str) -> None:
        self.text = text
