# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What listens on both hosts and in the edge's container while something runs, and what strangers get who knock there."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import subprocess
import threading
import typing as t
from pathlib import Path

# An edge is in the path for most of a run; one look costs two processes and one round trip.
LOOK_EVERY = 1.0
_PROXIES = ("haproxy", "docker-proxy")
# What programs of a move are started with names this folder: the configuration of an edge, whoever runs it.
_FOLDER = "/var/lib/bowline/"
# The edge ends a connection of a stranger before it reads, so that a byte of an answer is a way in.
_KNOCK = """
import socket, sys
for place in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX if place[0] == "/" else socket.AF_INET)
    s.settimeout(3)
    try:
        s.connect(place if place[0] == "/" else (place.rpartition(":")[0], int(place.rpartition(":")[2])))
        s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
        print(place, "answered" if s.recv(100) else "closed")
    except OSError as error:
        print(place, type(error).__name__)
"""
_AS_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", _KNOCK]


class Listener(t.NamedTuple):
    """``host`` is legacy, edge (its container) or target; ``address`` host:port or a path; ``program`` as ss names it."""

    host: str
    address: str
    program: str


def leads_to_an_edge(pid: int, subnets: t.Collection[ipaddress.IPv4Network]) -> bool:
    """Whether a proxy on this machine is one of a move, or publishes a port of a container in ``subnets``; one that has ended is neither.

    Others may come and go here: those of other tests, or of whoever works on this machine. The engine names the container by its address:
    ``newProxyCommand`` of libnetwork's portmapper, option ``-container-ip``.
    """
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    if any(word.startswith(_FOLDER) for word in words):
        return True
    if "-container-ip" not in words:
        return False
    address = ipaddress.ip_address(words[words.index("-container-ip") + 1])
    return any(address in subnet for subnet in subnets)


class Sockets:
    """A context; ``new`` holds every listener that was met inside it and not before, ``answered`` what strangers got an answer from.

    Of the proxies on this machine, only those are met that lead to an edge of the lab.
    """

    def __init__(self, world: t.Any) -> None:
        self.world = world
        self.new: set[Listener] = set()
        self.knocked: set[Listener] = set()
        self.answered: set[str] = set()
        self._container = f"{world.lab['compose']['project']}-edge"
        self._ssh = ["ssh", *world.lab["target"]["ssh"]["options"], f"root@{world.lab['target']['address']}"]
        self._before: set[Listener] = set()
        self._subnets = self._networks()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Sockets:
        self.world.until("both hosts to say what listens there", self._both_answer)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(30)
        # Once more at rest, for everything that still listens.
        self._meet(self.listening())
        self._knock(self.edges())

    def _both_answer(self) -> bool:
        """A host that answers nothing has not been looked at; its listeners would all seem to be new."""
        self._before = self.listening()
        return {"legacy", "target"} <= {found.host for found in self._before}

    def edges(self) -> set[Listener]:
        return {found for found in self.new if found.program == "haproxy"}

    def listening(self) -> set[Listener]:
        words = ["ss", "-Hlnp", "-t", "-x"]
        found = self._parsed("legacy", words) | self._parsed("target", [*self._ssh, *words])
        return found | self._parsed("edge", [*self._enter(self._container), *words])

    def _enter(self, container: str) -> list[str]:
        shown = subprocess.run(["docker", "inspect", "-f", "{{.State.Pid}}", container], capture_output=True, text=True, check=False)
        return ["nsenter", "-t", shown.stdout.strip(), "-n"] if shown.stdout.strip() not in ("", "0") else []

    def _networks(self) -> list[ipaddress.IPv4Network]:
        shape = "{{range .IPAM.Config}}{{println .Subnet}}{{end}}"
        words = ["docker", "network", "inspect", "-f", shape, *self.world.lab["compose"]["networks"].values()]
        return [ipaddress.IPv4Network(word) for word in subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()]

    def _parsed(self, host: str, words: list[str]) -> set[Listener]:
        if words[0] == "ss" and host == "edge":
            return set()
        lines = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20).stdout.splitlines()
        found = set()
        for line in lines:
            fields = line.split()
            program = re.search(r'users:\(\("([^"]+)",pid=(\d+)', line)
            name = program.group(1) if program else ""
            if program and host == "legacy" and name in _PROXIES and not leads_to_an_edge(int(program.group(2)), self._subnets):
                continue
            # Only root sees whose it is; a socket of Docker's own network namespaces has none.
            if fields[:1] == ["tcp"]:
                found.add(Listener(host, fields[4], name))
            elif fields and fields[0].startswith("u_") and fields[4].startswith("/") and name == "haproxy":
                # HAProxy binds under a temporary name and renames it.
                found.add(Listener(host, re.sub(r"\.\d+\.tmp$", "", fields[4]), name))
        return found

    def _look(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                self._meet(self.listening())
                self._knock(self.edges() - self.knocked)

    def _meet(self, found: set[Listener]) -> None:
        self.new |= found - self._before

    def _knock(self, listeners: set[Listener]) -> None:
        """As another user of the host, and from the network of the application's container."""
        inside = [found.address.rpartition(":")[2] for found in listeners if found.host == "edge" and ":" in found.address]
        address = self._address()
        ports = [f"{address}:{port}" for port in inside if address]
        paths = {host: [found.address for found in listeners if found.host == host and found.address.startswith("/")] for host in ("legacy", "target")}
        here = ports + sorted({found.address for found in listeners if found.host in ("legacy", "edge") and found.address.startswith("/")})
        there = paths["target"] + [found.address for found in listeners if found.host == "target" and not found.address.startswith("/")]
        backend = self._enter(f"{self.world.lab['compose']['project']}-backend-1")
        for words in (
            [*_AS_NOBODY, *here] if here else [],
            [*backend, *_AS_NOBODY, *ports] if ports and backend else [],
            [*self._ssh, *map(_quoted, [*_AS_NOBODY, *there])] if there else [],
        ):
            if words:
                lines = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
                assert lines
                self.answered |= {line for line in lines if line.endswith(" answered")}
        self.knocked |= listeners

    def _address(self) -> str:
        shape = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return subprocess.run(["docker", "inspect", "-f", shape, self._container], capture_output=True, text=True, check=False).stdout.strip()


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
