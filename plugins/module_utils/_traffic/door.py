# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxy's own door: what passes it before an edge stands behind it, and the proof that all of it reaches the edge afterwards.

Any driver uses it the same way: `look` before the proxy is changed, `prove` after its reload, the old configuration back when that raises.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.wait import Deadline
from . import faults
from .model import Warmup

# Told to the edge with a request, and told back with the name of the service that it reached.
ASKED = "X-Bowline-Proof"
REACHED = "X-Bowline-Reached"

# 16 kB in lines of 4 kB: nginx takes lines of 8 kB and four of them (large_client_header_buffers), Go's server 1 MB in all.
LARGE = {f"X-Bowline-Large-{number}": "x" * 4096 for number in range(4)}

# So many in a row, each on a connection of its own: a proxy that also has another way past the edge takes it at one of them. Not more, since what
# limits the rate of requests counts them, too.
ROW = 16

# A proxy that reloads lets its old workers answer for a moment, which hurts nobody. Once the new ones answer, the old ones take no connections any
# more; a row may be broken so often, with pauses that double, until it is no matter of time. Errors that were not there before hurt.
_BREAKS = 5
_PAUSE = 0.05
_HARM = 2.0
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Door:
    """Where the proxy of this host answers its clients: ``hostname`` is SNI and Host, ``path`` one that it sends to the application."""

    address: str
    port: int
    hostname: str
    path: str
    tls: bool = True

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.hostname}{self.path} at {self.address}:{self.port}"


@dataclass(frozen=True)
class Answer:
    """One answer: ``status`` None without one, and ``error`` says why; ``reached`` is the service of the edge, empty when none answered."""

    status: int | None
    reached: str = ""
    error: str = ""

    def __str__(self) -> str:
        who = f" by the edge's service {self.reached}" if self.reached else ", not by the edge"
        return f"answered with {self.status}{who}" if self.status else self.error


@dataclass(frozen=True)
class Before:
    """What an ordinary and a large request got at the door before the proxy was changed."""

    plain: Answer
    large: Answer


def asked_for(proxy: t.Mapping[str, t.Any], warmup: Warmup) -> Door:
    """The door that the option proxy.door names; raises FleetError ``option_invalid`` for words that no request can have."""
    asked = proxy.get("door") or {}
    found = Door(
        address=asked.get("address") or "127.0.0.1",
        port=443 if asked.get("port") is None else asked["port"],
        hostname=asked.get("hostname") or warmup.host.rpartition(":")[0] or warmup.host,
        path=asked.get("path") or warmup.path,
        tls=asked.get("tls") is not False,
    )
    faults.door(found.address, found.port, found.hostname, found.path)
    return found


def proof(token: str) -> str:
    """What makes the edge of a pair answer for itself. Of the token nothing can be learned from it, and it opens nothing else."""
    return hashlib.sha256(f"bowline-edge proof {token}".encode()).hexdigest()[:32]


def ask(door: Door, headers: t.Mapping[str, str], timeout: float = _TIMEOUT) -> Answer:
    """One GET through ``door`` on a connection of its own. Whose certificate that is proves nothing here; what the edge says does."""
    try:
        with socket.create_connection((door.address, door.port), timeout) as plain:
            connection = http.client.HTTPConnection(door.hostname, timeout=timeout)
            connection.sock = _context().wrap_socket(plain, server_hostname=door.hostname) if door.tls else plain
            try:
                connection.request("GET", door.path, headers={"User-Agent": "bowline-edge", "Connection": "close", **headers})
                answer = connection.getresponse()
                return Answer(answer.status, answer.headers.get(REACHED) or "")
            finally:
                connection.close()
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, error=f"not answered ({type(error).__name__}: {error})")


def look(door: Door, timeout: float = _TIMEOUT) -> Before:
    """What passes the door now, each asked once; nothing is changed.

    Raises FleetError ``proxy_door`` when nothing answers there: then it could not be proven either that requests reach the edge.
    """
    before = Before(ask(door, {}, timeout), ask(door, LARGE, timeout))
    if before.plain.status is None:
        raise FleetError(
            "proxy_door",
            f"GET {door} was {before.plain}; the way through the proxy to the edge could not be proven there. Nothing was changed.",
            remedy="Name in proxy.door the address, the port and, without TLS, tls: false where the proxy of this host answers its clients.",
            details={"field": "proxy.door", "address": door.address, "port": door.port},
        )
    return before


def prove(door: Door, value: str, before: Before, deadline: Deadline, services: t.Collection[str] = ()) -> None:
    """Return when `ROW` requests in a row and a large one reached the edge, and an ordinary one gets what it got before.

    ``value`` is the edge's `proof`, ``services`` those that may be reached (any without). Raises FleetError ``proxy_not_proven`` at the
    deadline, and sooner when clients get errors that were not there before.
    """
    harm: Deadline | None = None
    broken = 0
    while True:
        wrong, hurts, reached = _wrong(door, value, before, services)
        if not wrong:
            return
        harm = (harm or Deadline(_HARM)) if hurts else None
        broken += 1 if reached or broken else 0
        if deadline.expired() or (harm and harm.expired()) or broken > _BREAKS:
            raise FleetError(
                "proxy_not_proven",
                f"The proxy took the edge in, but not every request reaches it: {wrong}.",
                remedy=_remedy(wrong),
                details={"field": "proxy", "door": str(door), "seen": wrong},
            )
        deadline.pause(_PAUSE * 2**broken)


def left(door: Door, value: str, deadline: Deadline) -> None:
    """Return when `ROW` requests in a row did not reach the edge; a door that does not answer leads to no edge either.

    Raises FleetError ``proxy_not_proven`` at the deadline.
    """
    row = 0
    while row < ROW:
        answer = ask(door, {ASKED: value})
        row = 0 if answer.reached else row + 1
        if answer.reached and deadline.expired():
            raise FleetError(
                "proxy_not_proven",
                f"The proxy was given its configuration without the edge, but GET {door} was {answer}. The edge stays.",
                remedy="Make the proxy take its configuration (reload it by hand), and run again.",
                details={"field": "proxy", "door": str(door)},
            )
        if answer.reached:
            deadline.pause(0.05)


def _wrong(door: Door, value: str, before: Before, services: t.Collection[str]) -> tuple[str, bool, bool]:
    """What differs, empty when nothing does; whether a client is hurt by it; whether a request reached the edge at all."""
    for number in range(1, ROW + 1):
        answer = ask(door, {ASKED: value})
        if not answer.reached or (services and answer.reached not in services):
            return f"request {number} of {ROW}, GET {door}, was {answer}", _hurts(answer, before.plain), number > 1
    plain = ask(door, {})
    if _hurts(plain, before.plain):
        return f"GET {door} was {plain}; before, it was {before.plain}", True, True
    large = ask(door, {ASKED: value, **LARGE})
    if not large.reached and passes(before.large):
        return f"GET {door} with headers of 16 kB was {large}; before, it was {before.large}", _hurts(large, before.large), True
    return "", False, False


def passes(answer: Answer) -> bool:
    """Whether what was asked got as far as an application that could use it."""
    return answer.status is not None and answer.status < 400


def _hurts(now: Answer, before: Answer) -> bool:
    return passes(before) and not passes(now)


def _remedy(wrong: str) -> str:
    if "not by the edge" in wrong:
        return (
            "Look for a second way to the application (another server, an include, another location), or name in proxy.door a path"
            " that the proxy sends to the application."
        )
    return "Run the request by hand and look at the proxy's error log; proxy.upstreams names where the proxy finds the edge."


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
