# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that knows the lab only by build/lab.json: resolves by the lab's name server and verifies TLS with the lab's CA."""
from __future__ import annotations

import http.client
import json
import random
import select
import socket
import ssl
import struct
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import settings


def load(path: Path = settings.JSON) -> dict[str, t.Any]:
    """build/lab.json; FileNotFoundError when there is no lab."""
    with path.open(encoding="utf-8") as file:
        value: dict[str, t.Any] = json.load(file)
    return value


class Resolver:
    """A records of one name from one server ("host:port"), kept for their TTL. When the server is silent the last answer is used on."""

    def __init__(self, server: str, name: str) -> None:
        host, _colon, port = server.rpartition(":")
        self._server = (host, int(port))
        self._name = name
        self._address = ""
        self._until = 0.0

    def address(self) -> str:
        """The first address; OSError when none was ever learned."""
        if time.monotonic() >= self._until:
            try:
                self._address, ttl = self._ask()
                self._until = time.monotonic() + ttl
            except OSError:
                if not self._address:
                    raise
                self._until = time.monotonic() + 1
        return self._address

    def _ask(self) -> tuple[str, int]:
        # RFC 1035 §4: header, question, then records whose names may be pointers.
        number = random.getrandbits(16)
        labels = b"".join(bytes([len(part)]) + part.encode() for part in self._name.strip(".").split("."))
        question = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(2)
            channel.connect(self._server)
            channel.send(question)
            reply = channel.recv(4096)
        same, flags, _questions, answers = struct.unpack(">HHHH", reply[:8])
        if same != number or flags & 0xF or not answers:
            raise OSError(f"{self._server[0]} has no address for {self._name} (rcode {flags & 0xF})")
        at = len(question)
        for _record in range(answers):
            while reply[at] and reply[at] < 0xC0:
                at += reply[at] + 1
            at += 2 if reply[at] >= 0xC0 else 1
            kind, _class, ttl, size = struct.unpack(">HHIH", reply[at:at + 10])
            at += 10
            if kind == 1:
                return socket.inet_ntoa(reply[at:at + 4]), ttl
            at += size
        raise OSError(f"{self._server[0]} answered without an address for {self._name}")


@dataclass(frozen=True)
class Reply:
    status: int
    side: str | None
    body: bytes

    def json(self) -> t.Any:
        """The value; None when the body is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class NotSent(OSError):
    """No connection came about: the request never left."""


class Client:
    """One keep-alive connection. It follows DNS: when the address changes, the next request opens a new one."""

    def __init__(self, lab: t.Mapping[str, t.Any], timeout: float = 35, headers: t.Mapping[str, str] | None = None) -> None:
        self._hostname: str = lab["hostname"]
        self._port: int = lab.get("port", 443)
        self._headers = dict(headers or {})
        self._resolver = Resolver(lab["resolver"], self._hostname)
        self._context = ssl.create_default_context(cafile=lab["ca_file"])
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None
        self._address = ""
        self.reconnects = 0

    def request(self, method: str, path: str, value: t.Any = None) -> Reply:
        """NotSent when nothing was sent; another OSError or HTTPException when the outcome is unknown.

        A server that reloads may close an idle connection in the moment in which a request is on its way. A connection that was
        used before and ends without one byte of an answer is therefore replaced once, as RFC 9110 §9.2.2 allows for requests that
        the client knows to be idempotent (all of this lab's are); ``reconnects`` counts it.
        """
        before = self._connection
        connection = self._connected()
        try:
            return self._exchange(connection, method, path, value)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if connection is not before:
                raise
            self.reconnects += 1
            return self._exchange(self._connected(), method, path, value)

    def _exchange(self, connection: http.client.HTTPSConnection, method: str, path: str, value: t.Any) -> Reply:
        body = None if value is None else json.dumps(value).encode()
        try:
            connection.request(method, path, body, {**self._headers, **({"Content-Type": "application/json"} if body else {})})
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.headers.get("X-Served-By"), answer.read())
        except BaseException:
            self.close()
            raise
        if answer.will_close:
            self.close()
        return reply

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPSConnection:
        try:
            address = self._resolver.address()
            if self._connection is not None and (address != self._address or _ended(self._connection.sock)):
                self.close()
            if self._connection is None:
                connection = http.client.HTTPSConnection(self._hostname, self._port, timeout=self._timeout, context=self._context)
                plain = socket.create_connection((address, self._port), timeout=5)
                try:
                    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.sock = self._context.wrap_socket(plain, server_hostname=self._hostname)
                    connection.sock.settimeout(self._timeout)
                except BaseException:
                    plain.close()
                    raise
                self._connection, self._address = connection, address
        except OSError as problem:
            raise NotSent(str(problem)) from problem
        return self._connection


def _ended(sock: t.Any) -> bool:
    """Whether the server closed an idle connection: readable although nothing was asked."""
    return sock is None or bool(select.select([sock], [], [], 0)[0])
