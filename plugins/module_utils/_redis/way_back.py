# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the side that will follow after a switch reaches the one that it will follow, tried by itself while nothing depends on it.

A server can be told to connect somewhere by REPLICAOF, which would close it, and by MIGRATE. So it is told to copy one small key of its own to the
other side, as an account that may not even choose a database there: the refusal proves the address, the port and the login, and nothing is
copied. A port that swallows what it is sent stops the serving side for as long as MIGRATE waits, so that is a quarter of a second at most.
"""

from __future__ import annotations

import hashlib
import secrets
import typing as t

from .._core.errors import FleetError
from .._core.faults import hit
from . import facts
from .model import LINK_RULES, LINK_USER
from .redis import Redis, Refused

_WAIT_MS = 250
_SMALL = 4096
_TRIES = 20


def tried(follower: Redis, master: Redis) -> str:
    """"" when ``follower``, which serves now, reached ``master``, which follows now; else why it could not be tried.

    Raises FleetError "way_back_closed" when it could be tried and was not reached.
    """
    if master.endpoint.tls:
        return f"whether {follower.side} reaches {master.side} by TLS shows at the switch: MIGRATE speaks it only in a cluster"
    db, key = _small_key(follower)
    if not key:
        return f"whether {follower.side} reaches {master.side} shows at the switch: it holds no small key that could be offered"
    password = secrets.token_hex(32)
    master.ask("ACL", "SETUSER", LINK_USER, *LINK_RULES, f"#{hashlib.sha256(password.encode()).hexdigest()}")
    try:
        hit("K6")
        follower.ask("SELECT", db)
        follower.ask("MIGRATE", *master.endpoint.peer, key, db, _WAIT_MS, "COPY", "AUTH2", LINK_USER, password, secret=password)
    except Refused as error:
        return _judged(follower, master, error)
    finally:
        follower.ask("SELECT", 0)
        master.ask("ACL", "DELUSER", LINK_USER)
    return f"whether {follower.side} reaches {master.side} shows at the switch: the key that was offered had just expired"


def _judged(follower: Redis, master: Redis, error: Refused) -> str:
    """src/cluster.c, migrateCommand: IOERR for no connection and no answer, else the error of the other side behind a sentence of its own."""
    host, port = master.endpoint.peer
    where = f"{host}:{port}"
    if "NOPERM" in error.said and "Target instance" in error.said:
        return ""
    if error.code == "privileges" or "unknown command" in error.said.lower():
        return f"whether {follower.side} reaches {where} shows at the switch: {error.said}"
    what = "is not the server that was meant" if "Target instance" in error.said else "cannot be reached"
    raise FleetError(
        "way_back_closed",
        f"From {follower.side}, {where} {what} ({error.said}), so {follower.side} could not follow {master.side} after the switch. "
        f"{follower.side} serves as before.",
        remedy=f"Open that port for {follower.side}, or say in {master.side}.peer_host and {master.side}.peer_port where {follower.side} reaches it.",
    ) from error


def _small_key(server: Redis) -> t.Tuple[int, str]:
    """Database and name of a key that is quickly sent; an empty name without any. Leaves the connection in database 0."""
    for db in sorted(facts.keyspace(server.info("keyspace"))):
        server.ask("SELECT", db)
        try:
            for _try in range(_TRIES):
                key = server.ask("RANDOMKEY")
                if key is not None and (server.ask("MEMORY", "USAGE", key) or _SMALL + 1) <= _SMALL:
                    return db, key
        finally:
            server.ask("SELECT", 0)
    return 0, ""
