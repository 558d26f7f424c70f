# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, addresses and places of one Swarm lab. Several stand side by side: each has a letter, a subnet and folders of its own."""
from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .. import settings
from ..shell import LabError
from ..tls import Authority

VARIABLE = "BOWLINE_SWARM_LAB"
PREFIX = 24
MANAGERS = 3


@dataclass(frozen=True)
class Member:
    """One manager: an engine with a namespace, a host name and folders of its own."""

    name: str
    address: str
    namespace: str
    home: Path
    # Sockets stand below it: a path of a socket has at most 107 bytes (unix(7)), and a clone may lie deep.
    run: Path

    @property
    def socket(self) -> str:
        """The engine's local socket, for the lab alone; everybody else takes the endpoint."""
        return f"unix://{self.run}/docker.sock"

    @property
    def docker_host(self) -> str:
        return f"tcp://{self.address}:2376"

    @property
    def cgroup(self) -> str:
        return self.namespace


@dataclass(frozen=True)
class Instance:
    """``letter`` is empty for the lab of the tests."""

    letter: str = ""

    @property
    def name(self) -> str:
        return f"bowline-swarm{self.letter and f'-{self.letter}'}"

    @property
    def subnet(self) -> str:
        """Its first three numbers: 10.77.0 for the lab of the tests, 10.77.1 for instance a, and so on."""
        return f"10.77.{ord(self.letter) - ord('a') + 1 if self.letter else 0}"

    @property
    def host(self) -> str:
        """Address of this machine in it."""
        return f"{self.subnet}.1"

    @property
    def registry(self) -> str:
        return f"{self.subnet}.10:5000"

    @property
    def home(self) -> Path:
        return settings.BUILD / self.name.removeprefix("bowline-")

    @property
    def json(self) -> Path:
        return settings.BUILD / f"lab-{self.name.removeprefix('bowline-')}.json"

    @property
    def run(self) -> Path:
        return Path("/run", self.name)

    @property
    def lock(self) -> Path:
        return Path(f"/run/{self.name}.lock")

    @property
    def owner(self) -> Path:
        return Path(f"/run/{self.name}.owner")

    @property
    def tls(self) -> Path:
        return self.home / "tls"

    @property
    def authority(self) -> Authority:
        return Authority(self.home / "ca.pem", self.tls / "ca.key")

    @property
    def client(self) -> Path:
        """The stem of the client's pair."""
        return self.tls / "client"

    @cached_property
    def members(self) -> tuple[Member, ...]:
        names = [f"m{number}{self.letter and f'-{self.letter}'}" for number in range(1, MANAGERS + 1)]
        return tuple(
            Member(name, f"{self.subnet}.{10 + number}", f"{self.name}-m{number}", self.home / f"m{number}", self.run / f"m{number}")
            for number, name in enumerate(names, 1)
        )


def chosen() -> Instance:
    """The instance that the environment names."""
    letter = os.environ.get(VARIABLE, "")
    if letter and not (len(letter) == 1 and "a" <= letter <= "z"):
        raise LabError(f"{VARIABLE}={letter!r}: give one letter from a to z, or leave it out for the lab of the tests.")
    return Instance(letter)
