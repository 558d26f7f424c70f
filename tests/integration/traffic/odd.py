# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Odd requests and answers, byte by byte, and an application that writes down what arrived.

A case is one dialogue. It goes twice through the same nginx: to the application, and to the edge before it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import typing as t
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-App: yes\r\n\r\nok"
_SECONDS = 8


def request(*lines: bytes | str, body: bytes = b"", target: bytes | str = "/", method: str = "GET", version: str = "HTTP/1.1", host: str | None = "h") -> bytes:
    """One request of ``lines`` of headers, as they are."""
    head = [method.encode() + b" " + _bytes(target) + b" " + version.encode()]
    head += [f"Host: {host}".encode()] if host is not None else []
    return b"\r\n".join([*head, *map(_bytes, lines), b"", b""]) + body


def answer(*lines: bytes | str, body: bytes = b"", status: bytes | str = "HTTP/1.1 200 OK", length: bool = True) -> bytes:
    """One answer of ``lines`` of headers, as they are; with its length unless told otherwise."""
    framed = [f"Content-Length: {len(body)}".encode()] if length else []
    return b"\r\n".join([_bytes(status), *map(_bytes, lines), *framed, b"", b""]) + body


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


@dataclass(frozen=True)
class Case:
    """``then`` is sent once the first bytes of an answer are here. Behind an ``answer`` without a length, or with ``cut``, the application hangs up;
    with ``early`` it answers before it reads a body. ``answers`` is the number of requests in ``request``.
    """

    name: str
    request: bytes
    answer: bytes = OK
    then: bytes = b""
    # What the application says once more after it read that much behind the head, as an upgraded connection does.
    echo: bytes = b""
    early: bool = False
    cut: bool = False
    answers: int = 1

    def __str__(self) -> str:
        return self.name

    def code(self) -> bytes:
        """The code of the last answer that the application gives."""
        return re.findall(rb"(?:^|\n)HTTP/\S+ (\d+)", self.answer)[-1] if self.answer.startswith(b"HTTP/") else b""


@dataclass(frozen=True)
class Request:
    """What arrived at the application. Names in lower case, as HTTP has it; what is only about this hop is left out."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass
class Answered:
    """What the client got: status lines in their order, the headers of the last one, and what came behind."""

    statuses: list[bytes] = field(default_factory=list)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def code(self) -> bytes:
        return (self.statuses[-1].split(b" ") + [b""])[1] if self.statuses else b""


_HOP = (b"connection", b"keep-alive", b"date")


class Application:
    """Answers each request with the bytes of the case that is set, and keeps what it read."""

    def __init__(self, path: str = "") -> None:
        self.case: Case | None = None
        self.seen: list[Request] = []
        self.heads: list[bytes] = []
        self._server = socket.create_server(path or ("127.0.0.1", 0), family=socket.AF_UNIX if path else socket.AF_INET, backlog=64)
        self.port = 0 if path else self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_SECONDS)
        stream = _Stream(connection)
        with contextlib.suppress(OSError, ValueError), connection:
            while True:
                head = stream.head()
                case = self.case
                if not head or case is None:
                    return
                line, headers = _parsed(head)
                self.heads.append(head)
                # Written down before the client can know, so that the next case begins with nothing.
                body = b"not read yet" if case.early else stream.body(headers)
                words = line.split(b" ")
                self.seen.append(Request(words[0], b" ".join(words[1:-1]), _kept(headers), body))
                connection.sendall(case.answer)
                if case.early:
                    stream.body(headers)
                if case.echo:
                    connection.sendall(b"echo " + stream.exactly(len(case.echo)))
                    return
                if case.cut or not re.search(rb"\ncontent-length:|\ntransfer-encoding:", case.answer, re.IGNORECASE):
                    return


class _Stream:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def head(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return b""
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        return head

    def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._more():
                raise ValueError("cut off")
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self._more():
                raise ValueError("cut off")
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def rest(self) -> bytes:
        while self._more():
            pass
        taken, self._buffer = self._buffer, b""
        return taken

    def body(self, headers: t.Sequence[tuple[bytes, bytes]]) -> bytes:
        named = dict(headers)
        if b"chunked" in named.get(b"transfer-encoding", b"").lower():
            parts = []
            while True:
                size = int(self.line().split(b";")[0], 16)
                if not size:
                    while self.line():
                        pass
                    return b"".join(parts)
                parts.append(self.exactly(size))
                self.line()
        return self.exactly(int(named.get(b"content-length", b"0") or b"0"))

    def _more(self) -> bool:
        chunk = self._connection.recv(1 << 16)
        self._buffer += chunk
        return bool(chunk)


def _parsed(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    lines = head.split(b"\r\n")
    pairs = (line.partition(b":") for line in lines[1:])
    return lines[0], [(name.lower(), value.strip()) for name, _colon, value in pairs]


def _kept(headers: t.Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, value) for name, value in headers if name not in _HOP)


def talk(port: int, case: Case, seconds: float = _SECONDS) -> Answered:
    """The dialogue of ``case`` at ``port``, read to its end, with ``seconds`` of patience for each read."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        stream = _Stream(connection)
        threading.Thread(target=_send, args=(connection, case.request), daemon=True).start()
        answered = Answered()
        finals = 0
        while finals < case.answers:
            head = stream.head()
            if not head:
                return answered
            line, headers = _parsed(head)
            answered.statuses.append(line.strip())
            if len(answered.statuses) == 1 and case.then:
                connection.sendall(case.then)
            if answered.code() == b"101" and case.echo:
                answered.body = stream.exactly(len(b"echo ") + len(case.echo))
            if answered.code() == b"101" or answered.code()[:1] != b"1":
                finals += 1
                _read(stream, headers, answered, case)
        return answered


def _read(stream: _Stream, headers: list[tuple[bytes, bytes]], answered: Answered, case: Case) -> None:
    """Headers and body of a final answer. A length of an answer that can have no body says nothing (RFC 9110, 8.6)."""
    named = dict(headers)
    empty = case.request.startswith(b"HEAD") or answered.code() in (b"101", b"204", b"304")
    answered.headers = _kept((name, value) for name, value in headers if not (answered.code() == b"204" and name == b"content-length"))
    if not empty:
        with contextlib.suppress(ValueError):
            answered.body += stream.body(headers) if b"content-length" in named or b"transfer-encoding" in named else stream.rest()


def _send(connection: socket.socket, data: bytes) -> None:
    # An early answer may end the connection while the rest is on its way.
    with contextlib.suppress(OSError):
        connection.sendall(data)
