# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe process: asks from outside, writes one JSON line per request, and ends by itself.

This text is given to ``python3 -I - DIRECTORY`` on its standard input (python3 >= 3.9, standard library only), so that nothing that happens to
the playbook, to Ansible or to its temporary files can end the measurement; no file is run, so there is none that somebody could swap. The
call returns once the process is detached. The folder is ours alone, which `probe.py` has judged before.
"""

from __future__ import annotations

import copy
import fcntl
import http.client
import json
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time
import typing as t
import urllib.parse

CONFIG_FILE = "probe.json"
LINES_FILE = "requests.jsonl"
LOCK_FILE = "probe.lock"
STOP_FILE = "stop"
ERROR_FILE = "error"

BEAT = 0.5
# Requests under way at the end get so long to be answered and written down.
GRACE = 2.0
# A probe lives as long as a seed, which may take a day. Good answers older than KEEP seconds are summed up when the file has LIMIT bytes.
KEEP, LIMIT = 3600.0, 64 << 20


class Resolver:
    """Address of one name, kept as long as its TTL says. Without servers the system's resolver is asked, once a second at most."""

    def __init__(self, host: str, servers: t.Sequence[str]) -> None:
        self._host = host
        self._servers = [_server(server) for server in servers]
        self._lock = threading.Lock()
        self._address = ""
        self._until = 0.0

    def address(self) -> str:
        """Raises OSError when no server answers with an address."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._address, ttl = self._ask()
                self._until = time.monotonic() + ttl
            return self._address

    def _ask(self) -> tuple[str, float]:
        if not self._servers:
            return str(socket.getaddrinfo(self._host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]), 1.0
        error: OSError = OSError("no resolver")
        for dummy in range(2):
            for server in self._servers:
                try:
                    return query(self._host, server)
                except OSError as caught:
                    error = caught
        raise error


def _server(text: str) -> tuple[str, int]:
    host, found, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if found else (text, 53)


def query(host: str, server: tuple[str, int], timeout: float = 1.0) -> tuple[str, float]:
    """An address of ``host`` and its TTL in seconds, from one A query over UDP (RFC 1035); raises OSError on every other answer."""
    number = random.randrange(65536)
    name = b"".join(bytes([len(label)]) + label for label in host.rstrip(".").encode("idna").split(b".")) + b"\0"
    with socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout)
        connection.connect(server)
        connection.send(struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1))
        answer = connection.recv(4096)
    try:
        return _first_address(answer, number)
    except (IndexError, struct.error) as error:
        raise OSError(f"malformed DNS answer of {len(answer)} bytes") from error


def _first_address(answer: bytes, number: int) -> tuple[str, float]:
    got, flags, questions, answers = struct.unpack_from(">4H", answer)
    if got != number or flags & 0x000F:
        raise OSError(f"DNS answer code {flags & 0x000F}")
    position = 12
    for dummy in range(questions):
        position = _after_name(answer, position) + 4
    address, ttl = "", 2**31
    for dummy in range(answers):
        position = _after_name(answer, position)
        kind, dummy, seconds, length = struct.unpack_from(">HHIH", answer, position)
        position += 10
        if kind in (1, 5):
            ttl = min(ttl, seconds)
        if kind == 1 and not address:
            address = ".".join(str(byte) for byte in answer[position : position + 4])
        position += length
    if not address:
        raise OSError("DNS answer without an address")
    return address, float(ttl)


def _after_name(answer: bytes, position: int) -> int:
    while answer[position]:
        if answer[position] >= 0xC0:
            return position + 2
        position += answer[position] + 1
    return position + 1


class Connection(http.client.HTTPConnection):
    """To ``address``, whatever name is asked for; TLS with that name when ``context`` is given."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self.address = address
        self._tls = context

    def connect(self) -> None:
        raw = socket.create_connection((self.address, self.port), self.timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._tls.wrap_socket(raw, server_hostname=self.host) if self._tls else raw


class Worker:
    """One stream of requests: ``rate`` a second, kept by several threads with one keep-alive connection each.

    A slow answer delays nobody but its own thread, so the measurement does not wait for what it measures; when all threads wait, ticks are
    left out rather than sent in a burst later.
    """

    def __init__(self, config: t.Mapping[str, t.Any], shared: t.Mapping[str, t.Any], write: t.Callable[[dict[str, t.Any]], None]) -> None:
        self._config = config
        self._shared = shared
        self._write = write
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = time.monotonic()
        self._number = 0
        url = urllib.parse.urlsplit(shared["url"])
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._context = _context(shared["ca_file"]) if url.scheme == "https" else None
        self._resolver = None if config["address"] else Resolver(self._host, shared["resolvers"])
        self._threads = [threading.Thread(target=self._work, daemon=True) for dummy in range(config["concurrency"])]

    def once(self, *, send: bool) -> dict[str, t.Any]:
        """The line of one request that stands for all: resolved, connected and, if ``send``, sent as the stream sends its first one."""
        if send:
            line, connection = self._request(f"{self._shared['prefix']}-{self._config['name']}-0", None)
            if connection is not None:
                connection.close()
            return line
        line = {"worker": self._config["name"], "status": None, "address": None, "side": None, "ok": True}
        try:
            line["address"] = self._config["address"] or (self._resolver.address() if self._resolver else "")
            connection = Connection(self._host, self._port, line["address"], self._context, self._shared["timeout"])
            try:
                connection.connect()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            line.update(ok=False, error=f"{type(error).__name__}: {error}"[:200])
        return line

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, until: float) -> None:
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _tick(self) -> int:
        """The number of the next request, when its time has come; -1 at the end."""
        with self._lock:
            now = time.monotonic()
            due = max(self._next, now - 1 / self._config["rate"])
            self._next = due + 1 / self._config["rate"]
            self._number += 1
            number = self._number
        return -1 if self._stop.wait(max(0.0, due - time.monotonic())) else number

    def _work(self) -> None:
        connection: Connection | None = None
        while True:
            number = self._tick()
            if number < 0:
                return
            line, connection = self._request(f"{self._shared['prefix']}-{self._config['name']}-{number}", connection)
            self._write(line)

    def _request(self, key: str, connection: Connection | None) -> tuple[dict[str, t.Any], Connection | None]:
        config = self._config
        line: dict[str, t.Any] = {"t": round(time.time(), 4), "worker": config["name"], "status": None, "address": None, "side": None}
        if config["writes"]:
            line["key"] = key
        begun = time.monotonic()
        try:
            address = config["address"] or (self._resolver.address() if self._resolver else "")
            line["address"] = address
            if connection is not None and connection.address != address:
                connection.close()
                connection = None
            answer, connection = self._exchange(key, address, connection, line)
            line["status"] = answer.status
            line["side"] = answer.headers.get(self._shared["side_header"])
            if answer.will_close:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException) as error:
            line["error"] = f"{type(error).__name__}: {error}"[:200]
            if connection is not None:
                connection.close()
            connection = None
        line["ms"] = round((time.monotonic() - begun) * 1000, 1)
        line["ok"] = line["status"] in config["expect_status"]
        return line, connection

    def _exchange(
        self, key: str, address: str, connection: Connection | None, line: dict[str, t.Any]
    ) -> tuple[http.client.HTTPResponse, Connection]:
        """A server may close an idle connection in the very moment of a request; as every client does, ask once more on a new one.

        RFC 9110, 9.2.2: for requests that may be repeated; a writer's may, by its key.
        """
        if connection is not None:
            try:
                return self._send(key, connection), connection
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                connection.close()
                line["again"] = True
        connection = Connection(self._host, self._port, address, self._context, self._shared["timeout"])
        try:
            return self._send(key, connection), connection
        except BaseException:
            connection.close()
            raise

    def _send(self, key: str, connection: Connection) -> http.client.HTTPResponse:
        config = self._config
        body = config["body"].replace("{key}", key).encode() if config["body"] else None
        headers = {name: value.replace("{key}", key) for name, value in config["headers"].items()}
        connection.request(config["method"], config["path"].replace("{key}", key), body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    # Python 3.13 wants more of a private CA than browsers and proxies do.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context


def folded(lines: t.Sequence[dict[str, t.Any]], until: float) -> list[dict[str, t.Any]]:
    """``lines`` with the good answers to requests before ``until`` (unix time) summed up, a line ``{t, sum}`` for each worker; failed ones stay."""
    sums: dict[str, dict[str, t.Any]] = {}
    rest = []
    for line in lines:
        if "sum" in line:
            sums[line["sum"]["worker"]] = copy.deepcopy(line)
        elif "worker" not in line or not line["ok"] or line["t"] >= until:
            rest += [line] if "worker" in line or line["t"] >= until else []
        else:
            _add(sums, line)
    return [*sums.values(), *rest]


def _add(sums: dict[str, dict[str, t.Any]], line: t.Mapping[str, t.Any]) -> None:
    ended = line["t"] + line["ms"] / 1000
    fresh = {"worker": line["worker"], "requests": 0, "again": 0, "writes": "key" in line, "max_ms": 0.0, "last": ended, "gap": None, "sides": {}}
    known = sums.setdefault(line["worker"], {"t": line["t"], "sum": fresh})["sum"]
    gap = {"worker": line["worker"], "from": known["last"], "to": ended, "ms": round((ended - known["last"]) * 1000, 1)}
    if gap["ms"] > (known["gap"] or {"ms": 0.0})["ms"]:
        known["gap"] = gap
    known.update(requests=known["requests"] + 1, again=known["again"] + bool(line.get("again")), max_ms=max(known["max_ms"], line["ms"]))
    known["last"] = max(known["last"], ended)
    if line["side"]:
        side = known["sides"].setdefault(line["side"], {"requests": 0, "first": ended, "last": ended})
        side.update(requests=side["requests"] + 1, first=min(side["first"], ended), last=max(side["last"], ended))


class Lines:
    """The file of lines. It is ours alone and was not there before: what lay there was moved away."""

    def __init__(self, path: str, keep: float = KEEP, limit: int = LIMIT) -> None:
        self._path, self._keep, self._limit = path, keep, limit
        self._lock = threading.Lock()
        self._file = open(path, "x", encoding="utf-8", buffering=1)

    def write(self, line: t.Mapping[str, t.Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            if self._file.tell() > self._limit:
                self._fold()

    def close(self) -> None:
        self._file.close()

    def _fold(self) -> None:
        with open(self._path, encoding="utf-8") as file:
            lines = folded([json.loads(line) for line in file], time.time() - self._keep)
        fresh = open(f"{self._path}.folded", "w", encoding="utf-8", buffering=1)
        fresh.write("".join(json.dumps(line) + "\n" for line in lines))
        os.replace(f"{self._path}.folded", self._path)
        self._file.close()
        self._file = fresh
        # What cannot be summed up yet must not be read again with every line.
        self._limit = max(self._limit, 2 * fresh.tell())


def probe(directory: str) -> None:
    """Measure until told to stop, until ``max_seconds`` are over, or until the directory is gone."""
    with open(os.path.join(directory, CONFIG_FILE), encoding="utf-8") as file:
        config = json.load(file)
    shared = {**config, "prefix": f"probe-{os.getpid()}-{int(time.time())}"}
    path = os.path.join(directory, LINES_FILE)
    end = time.monotonic() + config["max_seconds"]
    lines = Lines(path)
    lines.write({"t": round(time.time(), 4), "beat": True})
    workers = [Worker(worker, shared, lines.write) for worker in config["workers"]]
    for worker in workers:
        worker.start()
    while time.monotonic() < end and os.path.exists(path) and not os.path.exists(os.path.join(directory, STOP_FILE)):
        time.sleep(BEAT / 2)
        lines.write({"t": round(time.time(), 4), "beat": True})
    for worker in workers:
        worker.stop()
    until = time.monotonic() + GRACE
    for worker in workers:
        worker.join(until)
    lines.close()


def detach(directory: str) -> None:
    """Go on as a session leader's child with no terminal and no open pipe; the caller's process returns at once."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    code = 1
    try:
        with open(os.path.join(directory, LOCK_FILE), "a", encoding="utf-8") as lock:
            # Held as long as the process lives, however it ends: that is how others know that it runs.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe(directory)
            code = 0
    except BaseException as error:
        if os.path.isdir(directory):
            with open(os.path.join(directory, ERROR_FILE), "w", encoding="utf-8") as file:
                file.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


if __name__ == "__main__":
    detach(os.path.abspath(sys.argv[1]))
