# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line to a server that can fall silent: nothing passes any more and nobody is told, neither by a reset nor by an end."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

REQUEST, REPLY = "request", "reply"


class Line:
    """Forwards 127.0.0.1:``port`` to ``to``. Silent lines accept connections and swallow what is sent."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.silent = threading.Event()
        self._trap: tuple[bytes, str] | None = None
        self._ends: list[socket.socket] = []
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_error) -> None:
        self._closed = True
        self._listener.close()
        self._end()

    def trap(self, text: bytes, what: str) -> None:
        """Fall silent at the first statement that holds ``text``: before it passes (REQUEST), or before its reply does (REPLY)."""
        self._trap = (text, what)

    def cut(self) -> None:
        self.silent.set()

    def heal(self) -> None:
        """New connections pass again; what was open ends, as it does after a while by the keepalives of a server."""
        self._trap = None
        self._end()
        self.silent.clear()

    def _end(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.close()
        self._ends = []

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self._ends.append(client)
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        if self.silent.is_set():
            return
        server = socket.create_connection(("127.0.0.1", self._to))
        self._ends.append(server)
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _events in ready.select():
                    source, other = key.fileobj, key.data
                    try:
                        data = source.recv(65536)
                    except OSError:
                        data = b""
                    if self.silent.is_set():
                        return
                    if source is client and self._trap and self._trap[0] in data:
                        if self._trap[1] == REPLY:
                            other.sendall(data)
                        self.silent.set()
                        return
                    if not data:
                        client.close()
                        server.close()
                        return
                    with contextlib.suppress(OSError):
                        other.sendall(data)
