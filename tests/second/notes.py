# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notes service: its names and places, how a client writes to it, and what it says about itself in build/second.json.

It uses the lab's bridge, name servers, engine, images and certificate authority, and shares nothing else with the lab's hub.
"""
from __future__ import annotations

import base64
import json
import sys
import typing as t
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parent / "lab") not in sys.path:
    sys.path.insert(0, str(HERE.parent / "lab"))

from rig import settings  # noqa: E402
from rig.application import Application  # noqa: E402
from rig.machine import Machine  # noqa: E402
from rig.shell import Daemon, write  # noqa: E402

HOME = settings.SECOND
JSON = HOME.with_suffix(".json")
CACHE = settings.CACHE / "second"

PROJECT = "notes"
LABEL = "bowline.second"
HOSTNAME = f"notes.{settings.ZONE}"
PORT = 8443
DATABASE_PORT = 5433
RECORD_TTL = 120
TARGET_ADDRESS = "10.78.0.3"

DATABASE = "kinto"
# The database's only account: what POSTGRES_USER of the official image makes, which is the first superuser and the application at once.
ACCOUNT = "kinto"
# The service's only account; its data is public by intent.
LOGIN = {"user": "operator", "password": "bowline"}
BUCKET = "/v1/buckets/notes"
HEALTH = "/v1/__heartbeat__"

# What the operator has on the controller. Playbooks are run as this user, who has no rights there but his own; no machine knows him.
CALLER = 64900
SECRETS = HOME / "secrets"
TLS = HOME / "tls"
SSH = HOME / "ssh"
OPERATOR = HOME / "operator"
# What the docker host has.
STACK = HOME / "legacy"
CONTAINERS = {"db": "notes-database", "api": "notes-kinto", "gate": "notes-gate"}
# What the inventory's edge of the old side is called; it is no part of the compose project.
EDGE = "notes-edge"
# The door of the docker host, and the folder that it shares with the engine.
HOST, HOST_PORT = "notes-host", 2222
SHARED = Path("/var/lib/notes")
# Who may log in, and become root with a password: (host, user).
USERS = {"legacy": ("dockerhost", "ops"), "target": ("notes-new", "admin")}

IMAGES = {stage: f"{settings.PROJECT}/notes-{stage}" for stage in ("db", "api", "gate", "host", "home")}
TARGET = Machine("notes-new", TARGET_ADDRESS, HOME / "target" / "rootfs", SSH, Daemon("second-target", HOME), lambda: IMAGES["home"])

_basic = base64.b64encode(f"{LOGIN['user']}:{LOGIN['password']}".encode()).decode()
HEADERS = {"Authorization": f"Basic {_basic}"}


def _request(key: str, amount: int) -> tuple[str, str, t.Any]:
    return "PUT", f"{BUCKET}/collections/writes/records/{key}", {"data": {"amount": amount}}


def _number(value: t.Any) -> int | None:
    """The record's timestamp in ms, which the database gives and which identifies what exactly was acknowledged."""
    data = value.get("data") if isinstance(value, dict) else None
    number = data.get("last_modified") if isinstance(data, dict) else None
    return number if isinstance(number, int) else None


NOTES = Application(
    description=JSON,
    ledger=HOME / "ledger" / "writes.jsonl",
    daemon=Daemon("second-writers", HOME),
    worker=(sys.executable, HERE / "second.py", "write"),
    health=HEALTH,
    write=_request,
    number=_number,
    table="public.objects",
    rows="select as_epoch(last_modified), id, (data->>'amount')::int from objects"
         " where resource_name = 'record' and parent_id = '/buckets/notes/collections/writes' and not deleted",
    headers=HEADERS,
)


def describe() -> str:
    """Write build/second.json, in the form of build/lab.json."""
    return "written" if write(JSON, json.dumps(description(), indent=2) + "\n") else "unchanged"


def description() -> dict[str, t.Any]:
    def database(host: str) -> dict[str, t.Any]:
        return {
            "host": host, "port": DATABASE_PORT, "dbname": DATABASE, "user": ACCOUNT, "password_file": str(SECRETS / "kinto"),
            "superuser": ACCOUNT, "superuser_password_file": str(SECRETS / "kinto"), "sslmode": "verify-full", "sslrootcert": str(settings.CA),
        }

    return {
        "url": f"https://{HOSTNAME}:{PORT}",
        "hostname": HOSTNAME,
        "port": PORT,
        "resolver": f"{settings.PRIMARY}:53",
        "ca_file": str(settings.CA),
        "bridge": {"name": settings.BRIDGE, "network": f"10.78.0.0/{settings.PREFIX}"},
        "operator": str(OPERATOR),
        "ssh_config": str(SSH / "config"),
        "sudo": {side: str(SECRETS / f"sudo-{side}") for side in USERS},
        "legacy": {
            "address": settings.LEGACY, "directory": str(STACK), "containers": CONTAINERS, "network": "notes-net",
            "subnet": "10.78.11.0/24", "edge": EDGE, "shared": str(SHARED),
        },
        "target": {"address": TARGET.address, "name": TARGET.name},
        "databases": {"legacy": database(settings.LEGACY), "target": database(TARGET.address)},
        "link": {"password_file": str(SECRETS / "link")},
        "dns": {"zone": settings.ZONE, "name": HOSTNAME, "ttl": RECORD_TTL, "server": settings.PRIMARY},
        "tls": {name: {"certificate": str(TLS / f"{name}.crt"), "key": str(TLS / f"{name}.key")} for name in ("notes", "db-target")},
        "hmac_secret_file": str(SECRETS / "hmac"),
        "headers": HEADERS,
        "bucket": BUCKET,
        "health": HEALTH,
        "images": {"edge": f"{settings.PROJECT}/haproxy"},
        "ledger": str(NOTES.ledger),
    }
