# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host of our own for the new server: a network namespace, and packets that are dropped without a word."""

from __future__ import annotations

import os
import subprocess

from bench import Bench
from bowline_pg_rig import Cluster


class Host:
    """A namespace with one address, reached from here over a pair of interfaces."""

    def __init__(self, number: int) -> None:
        self.name = f"bwf{os.getpid()}-{number}"
        self.here, self.there = f"bwh{os.getpid() % 100000}{number}", f"bwt{os.getpid() % 100000}{number}"
        net = f"10.79.{os.getpid() % 250}"
        self.gateway, self.address = f"{net}.{number * 4 + 1}", f"{net}.{number * 4 + 2}"

    def make(self) -> None:
        for words in (
            ["netns", "add", self.name],
            ["link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", self.name],
            ["address", "add", f"{self.gateway}/30", "dev", self.here],
            ["link", "set", self.here, "up"],
            ["-n", self.name, "address", "add", f"{self.address}/30", "dev", self.there],
            ["-n", self.name, "link", "set", "lo", "up"],
            ["-n", self.name, "link", "set", self.there, "up"],
        ):
            subprocess.run(["ip", *words], check=True)

    def silent(self, now: bool) -> None:
        """Drop what comes in and what goes out, or no longer."""
        for chain in ("INPUT", "OUTPUT"):
            self._iptables("-I" if now else "-D", chain)

    def _iptables(self, verb: str, chain: str) -> None:
        way = "-i" if chain == "INPUT" else "-o"
        subprocess.run(["ip", "netns", "exec", self.name, "iptables", "-w", verb, chain, way, self.there, "-j", "DROP"], check=True)

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=False)
        subprocess.run(["ip", "link", "delete", self.here], check=False, stderr=subprocess.DEVNULL)


class Far(Bench):
    """A world whose new server is on a host of its own; legacy, the module and the clients are here."""

    def __init__(self, legacy: int, new: int) -> None:
        super().__init__(legacy, new)
        self.host = Host(1)
        around = ("ip", "netns", "exec", self.host.name)
        self.legacy = Cluster("legacy", self.home, legacy, self.host.gateway)
        self.new = Cluster("new", self.home, new, self.host.address, around)

    def start(self) -> None:
        self.host.make()
        super().start()

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            self.host.remove()
