# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two real servers on loopback, a client that shares no code with the room, and the module in this process or in one of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from ansible_collections.bowline.fleet.tests.waiting import free_port, wait_until

SIDES = ("legacy", "new")
OTHER = {"legacy": "new", "new": "legacy"}
# Other versions, as `make integration` takes them for PostgreSQL: BOWLINE_REDIS_NEW=/path/of/valkey-server.
PROGRAMS = {side: os.environ.get(f"BOWLINE_REDIS_{side.upper()}", "redis-server") for side in SIDES}
# Found nowhere but in the files that hold them.
CANARIES = {"legacy": "canary-legacy-5f1c9e", "new": "canary-new-b72d04"}


def missing() -> list[str]:
    return [program for program in PROGRAMS.values() if shutil.which(program) is None]


class Said(Exception):
    """An error that the server answered."""


class Client:
    """A blocking client as an application has one."""

    def __init__(self, port: int, password: str = "", user: str = "", timeout: float = 10.0, tls: Path | None = None) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            context = ssl.create_default_context(cafile=str(tls / "ca.pem"))
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.load_cert_chain(tls / "server.pem", tls / "server.key")
            self.link = context.wrap_socket(self.link, server_hostname="localhost")
        self.file = self.link.makefile("rb")
        if password:
            self("AUTH", *([user] if user else []), password)

    def __call__(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._read()

    def _read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise Said(rest.decode())
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode()
        return [self._read() for _item in range(int(rest))]

    def close(self) -> None:
        self.file.close()
        self.link.close()


class Server:
    """redis-server with a configuration file of its own that it may rewrite."""

    def __init__(self, side: str, home: Path, *, lines: tuple[str, ...] = (), password: str | None = None, file: bool = True,
                 tls: Path | None = None) -> None:  # fmt: skip
        self.side, self.home, self.with_file, self.tls = side, home, file, tls
        self.port = free_port()
        self.password = CANARIES[side] if password is None else password
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.conf = home / "redis.conf"
        self.log = home / "redis.log"
        self.secret = home / "password"
        self.secret.write_text(self.password + "\n", encoding="utf-8")
        self.secret.chmod(0o600)
        self.given = [
            "bind 127.0.0.1", *(self._listens()), f"dir {home}", "appendonly yes", "appendfsync everysec", 'save ""', f"logfile {self.log}",
            "daemonize no", "loglevel verbose", "repl-diskless-sync-delay 0", *([f"requirepass {self.password}"] if self.password else []), *lines,
        ]  # fmt: skip
        self.conf.write_text("\n".join(self.given) + "\n", encoding="utf-8")
        self.process: subprocess.Popen | None = None

    def _listens(self) -> list[str]:
        if self.tls is None:
            return [f"port {self.port}"]
        files = [f"tls-{option}-file {self.tls}/{name}" for option, name in (("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem"))]
        return ["port 0", f"tls-port {self.port}", "tls-replication yes", *files]

    def start(self) -> None:
        words = [str(self.conf)] if self.with_file else [part for line in self.given for part in self._option(line)]
        self.process = subprocess.Popen([PROGRAMS[self.side], *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(f"{self.side} to answer", self.answers)

    @staticmethod
    def _option(line: str) -> list[str]:
        name, _blank, value = line.partition(" ")
        return [f"--{name}", "" if value == '""' else value]

    def answers(self) -> bool:
        try:
            client = self.client()
        except (OSError, Said):
            return False
        try:
            return client("PING") == "PONG" and "loading:0" in client("INFO", "persistence")
        except (OSError, Said):
            return False
        finally:
            client.close()

    def client(self, **options) -> Client:
        return Client(self.port, self.password, tls=self.tls, **options)

    def ask(self, *words):
        client = self.client()
        try:
            return client(*words)
        finally:
            client.close()

    def info(self, section: str = "replication") -> dict[str, str]:
        return dict(line.partition(":")[::2] for line in self.ask("INFO", section).split("\r\n") if ":" in line)

    def role(self) -> str:
        return self.info()["role"]

    def configuration(self) -> str:
        """All that CONFIG GET and ACL LIST tell."""
        pairs = self.ask("CONFIG", "GET", "*")
        return json.dumps([sorted(zip(pairs[::2], pairs[1::2])), self.ask("ACL", "LIST")])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start()


class World:
    """Both servers and the options of the modules."""

    def __init__(self, home: Path, **servers) -> None:
        self.home = home
        self.servers = {side: Server(side, home / side, **servers.get(side, {})) for side in SIDES}
        self.legacy, self.new = self.servers["legacy"], self.servers["new"]

    def start(self) -> World:
        for server in self.servers.values():
            server.start()
        return self

    def stop(self) -> None:
        for server in self.servers.values():
            server.kill()

    def end(self, side: str, **changes) -> dict:
        server = self.servers[side]
        given = {"host": "127.0.0.1", "port": server.port, "user": None, "tls": False, "ca_file": None, "certificate": None, "key": None,
                 "password_file": str(server.secret) if server.password else None, "peer_host": None, "peer_port": None}  # fmt: skip
        return {**given, **changes}

    def params(self, state: str = "replicating", **changes) -> dict:
        given = {
            "state": state, "side": "new", "mode": "replicate", "legacy": self.end("legacy"), "new": self.end("new"), "layouts": [], "worker": None,
            "drain_timeout": 20.0, "max_window": 5.0, "window_attempts": 3, "wait_timeout": 20.0, "persist": True, "accept_loss": [],
            "accept_scheduled_loss": [],
        }  # fmt: skip
        return {**given, **changes}

    def open_sides(self) -> list[str]:
        return [side for side, server in self.servers.items() if server.role() == "master"]

    def both_open(self) -> bool:
        """Whether both take writes at one moment. A switch between two looks would show both as masters; so the first one is looked at again."""
        return len(self.open_sides()) == 2 and self.legacy.role() == "master"

    def ask_all(self, *words) -> None:
        """A write, on the side that takes it."""
        self.servers[self.open_sides()[0]].ask(*words)

    def spawn(self, params: dict, fault: str = "") -> subprocess.Popen:
        """The module in a process of its own, as a fault needs it."""
        environment = {**os.environ, "BOWLINE_FAULT": fault}
        return subprocess.Popen([sys.executable, str(Path(__file__).with_name("alone.py")), json.dumps(params)], env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def killed(self, params: dict, fault: str) -> None:
        process = self.spawn(params, fault)
        out, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, (fault, process.returncode, out, err)
