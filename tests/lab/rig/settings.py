# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, addresses and places of the lab: everything that another module would otherwise spell twice."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

LAB = Path(__file__).resolve().parents[1]
TREE = LAB.parents[1]
BUILD = TREE / "build"
HOME = BUILD / "lab"
JSON = BUILD / "lab.json"
# Another stack on the lab's bridge, see tests/second.
SECOND = BUILD / "second"
CACHE = Path(os.environ["LAB_CACHE"]).resolve() if os.environ.get("LAB_CACHE") else BUILD / "cache" / "lab"

# There is one lab on a machine, whichever clone it belongs to: addresses and names are the machine's.
LOCK = Path("/run/bowline-lab.lock")
OWNER = Path("/run/bowline-lab.owner")

PROJECT = "bowline-lab"
LABEL = "bowline.lab"
FOREIGN = "bowline-lab-foreign"

BRIDGE = "bowline0"
PREFIX = 24
LEGACY = "10.78.0.1"
TARGET = "10.78.0.2"
# In the network front of the stack, see legacy/compose.yml.
LEGACY_NGINX = "10.78.10.10"
PRIMARY = "10.78.0.53"
SECONDARY = "10.78.0.54"

ZONE = "bowline.test"
HOSTNAME = f"hub.{ZONE}"
URL = f"https://{HOSTNAME}"
TARGET_NAME = "hub-new"
RECORD_TTL = 300

DATABASE = "hub"
OWNER_ROLE = "hub"
SUPERUSER = "postgres"
# The user for POST /login; the lab's data is public by intent.
LOGIN = {"user": "operator", "password": "bowline"}

# Documents of 1.22 kB each, indexes included; 9 MB are there without them. tiny makes 16 MB.
SCALES = {"tiny": 6_000, "164M": 126_600, "789M": 637_000, "1600M": 1_299_000}

SECRETS = HOME / "secrets"
TLS = HOME / "tls"
SSH = HOME / "ssh"
LEDGER = HOME / "ledger"
# The inventory names it; the probe of a run that was killed ends when it is gone.
PROBE = HOME / "probe"
CA = HOME / "ca.pem"
TSIG = SECRETS / "tsig.key"
STACK = HOME / "legacy"
# What a cutover makes on the docker host, which is this machine; inventories/lab says so.
EDGE = Path("/var/lib/bowline/edge-hub")
EDGE_PRIVATE = Path(f"{EDGE}.private")
COMMANDS = Path("/usr/libexec/bowline")
SNAPSHOTS = Path("/var/backups/bowline-lab")
ROOTFS = HOME / "target" / "rootfs"
NAMESERVERS = HOME / "dns"


@dataclass(frozen=True)
class Nameserver:
    """A knot of its own in a network namespace of its own."""

    name: str
    address: str

    @property
    def namespace(self) -> str:
        return f"bowline-{self.name}"


SERVERS = (Nameserver("ns1", PRIMARY), Nameserver("ns2", SECONDARY))
