# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists: the edge and what it is told, the hop of a forwarded request, and every failure of this room."""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass

from .._core.errors import FleetError

SIDES = ("legacy", "new")

# Kinds of proxies that an edge can be put behind.
PROXIES = ("nginx", "caddy", "traefik", "traefik_labels", "haproxy", "command")

# Clients lose patience, and a proxy in front may lose it sooner (patience.py).
HOLD_MAX = 30.0

# A request crosses at most two edges' borders (docs/adr/0010); one more is room for a switch while it travels.
HOPS_MAX = 3

MAP_KEY = "edge"

# The one folder of an edge that its process writes in.
RUN = "run"

# The table in which HAProxy counts connections that were upgraded, by backend.
TUNNELS = "bowline.tunnels"

FAILURES: dict[str, str] = {
    "address_rules": "Finding: the proxy judges the address of a client and would take the host of the other edge for it.",
    "edge_config_invalid": "HAProxy refused the rendered configuration; the file in use is unchanged.",
    "edge_crashed": "The container or unit of the edge ended; its last words are in the message.",
    "edge_forwards": "The edge still sends requests to the peer, so it cannot be removed; route local first.",
    "edge_missing": "The directory holds no edge.",
    "edge_outdated": "The edge was put in by an earlier version, which shared no token with the other side; take it out first.",
    "edge_reload_failed": "HAProxy did not take the new configuration at a reload; the old one goes on, and its file is back.",
    "edge_state_unreadable": "The state of the edge (edge.map or edge.json) cannot be read; nothing was changed.",
    "edge_not_ready": "The edge does not answer through itself yet, so the proxy was not changed.",
    "hold_refused": "The hold is longer than hold_max or than the proxy waits for an answer, or ended before the requests were drained.",
    "in_flight": "Requests were still being served at the end of the drain; the hold was released and none was cut.",
    "locked": "Another run of ours has the edge or the probe in its hands; its process, user and age are named.",
    "option_invalid": "An option has a value that the edge or the probe cannot work with; nothing was changed.",
    "file_changed": "Somebody else wrote the proxy's configuration between reading and writing it; what they wrote stays.",
    "not_owner": "The directory, the container, the unit or the part of the proxy's configuration is of another stack; nothing was changed.",
    "port_taken": "Finding: something else listens where the edge is to listen.",
    "probe_failed": "The probe process did not start or did not stop.",
    "proxy_bypass": "Finding of level warn: the same application is reached by another part of the configuration, past the edge.",
    "proxy_check_failed": "The proxy refused the new configuration or the reload; the old configuration was put back.",
    "proxy_conflict": "The marked part of the proxy's configuration was edited by hand; restore it first.",
    "proxy_door": "Nothing answers at the proxy's own door, so it could not be proven that requests reach the edge; nothing was changed.",
    "proxy_not_proven": "Behind the proxy's reload not every request reached the edge; the old configuration was put back.",
    "proxy_unsupported": "The proxy reaches the application in a way that an edge cannot stand in; the place is named, nothing was changed.",
    "proxy_upstream_missing": "The proxy's configuration has nothing of the name in proxy.upstreams; what it has is named.",
    "tool_missing": "A program that proxy.check, reload, insert or remove names is not on the host.",
    "unsafe_path": "Others could write in the folder of the edge, of the probe or of bowline-edge; nothing was changed.",
    "unreachable": "The running edge does not answer on its socket.",
    "warmup_failed": "The side did not answer the warm-up request with 200 often enough in time.",
}


@dataclass(frozen=True)
class State:
    """What an edge is told. ``epoch`` is the unix time in ms at which ``route`` was set, ``hold_until`` unix ms, 0 for no hold."""

    route: str
    epoch: int
    hold_until: int = 0

    def encode(self) -> str:
        """One word: HAProxy's socket splits at blanks and semicolons."""
        return f"{self.route}:{self.epoch}:{self.hold_until}"

    def held(self, now_ms: int) -> bool:
        return self.hold_until > now_ms


def parse_state(word: str) -> State:
    """The reverse of `State.encode`; raises FleetError ``edge_state_unreadable`` on anything else."""
    match = re.fullmatch(r"(local|peer):(\d{1,15}):(\d{1,15})", word)
    if match is None:
        raise FleetError(
            "edge_state_unreadable",
            f"The state of the edge reads {word!r}; expected <local|peer>:<epoch>:<hold until>.",
            remedy="Delete edge.map and run traffic_edge with the route that is right; nothing was changed.",
        )
    return State(match.group(1), int(match.group(2)), int(match.group(3)))


def map_text(state: State) -> str:
    """The map file of HAProxy: one line, key and value."""
    return f"{MAP_KEY} {state.encode()}\n"


def parse_map(text: str) -> State:
    """The state in a map file."""
    words = text.split()
    if len(words) != 2 or words[0] != MAP_KEY:
        return parse_state(text)
    return parse_state(words[1])


@dataclass(frozen=True)
class Service:
    """One listener of the edge: the proxy sends to ``listen``, the application of this side answers at ``local``.

    ``clients`` are the addresses and networks that may connect; a unix socket (``listen`` begins with /) is for the group ``gid`` instead.
    """

    name: str
    listen: str
    local: str
    clients: tuple[str, ...] = ()
    gid: int | None = None

    def socket(self) -> str:
        """The path of a unix socket, empty for an address."""
        return self.listen if self.listen.startswith("/") else ""


@dataclass(frozen=True)
class Peer:
    """The other side's public TLS port. ``ca_file`` None means the CAs of the system."""

    address: str
    port: int
    hostname: str
    ca_file: str | None = None


@dataclass(frozen=True)
class Warmup:
    """The request that proves a side: ``count`` answers 200 in a row within ``timeout`` seconds."""

    service: str
    host: str
    path: str = "/up"
    count: int = 5
    timeout: float = 10.0


@dataclass(frozen=True)
class EdgeSpec:
    """One edge, wholly. ``uid`` and ``gid`` are what HAProxy runs as; None leaves them as the process was started.

    ``subject`` is the stack that it belongs to, empty when nobody said it.
    """

    side: str
    directory: str
    services: tuple[Service, ...]
    peer: Peer
    warmup: Warmup
    hold_max: float = HOLD_MAX
    uid: int | None = None
    gid: int | None = None
    subject: str = ""

    def other(self) -> str:
        return SIDES[1 - SIDES.index(self.side)]

    def route_to(self, side: str) -> str:
        """``local`` or ``peer``, whichever reaches ``side``."""
        return "local" if side == self.side else "peer"

    def serves(self, route: str) -> str:
        """The side that answers when the route is ``route``."""
        return self.side if route == "local" else self.other()

    def as_json(self) -> dict[str, t.Any]:
        return asdict(self)


def spec_from_json(data: t.Mapping[str, t.Any]) -> EdgeSpec:
    """The reverse of `EdgeSpec.as_json`; raises FleetError ``edge_state_unreadable`` when keys are missing."""
    try:
        return EdgeSpec(
            side=data["side"],
            directory=data["directory"],
            services=tuple(Service(**{**service, "clients": tuple(service.get("clients", ()))}) for service in data["services"]),
            peer=Peer(**data["peer"]),
            warmup=Warmup(**data["warmup"]),
            hold_max=float(data["hold_max"]),
            uid=data.get("uid"),
            gid=data.get("gid"),
            subject=data.get("subject", ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FleetError(
            "edge_state_unreadable", f"edge.json does not describe an edge: {error}.", remedy="Run traffic_edge with state present again."
        ) from error


@dataclass(frozen=True)
class Hop:
    """What a forwarded request carries: how often it was forwarded, and the epoch of the route that sent it here."""

    count: int
    epoch: int

    def encode(self) -> str:
        return f"{self.count};{self.epoch}"


def parse_hop(value: str | None) -> Hop | None:
    """None for a request that comes from a client, or carries something that no edge wrote. Only what the peer sent is asked for it."""
    match = re.fullmatch(r"(\d{1,3});(\d{1,15})", value or "")
    return Hop(int(match.group(1)), int(match.group(2))) if match else None


def parse_epoch(value: str | None) -> int:
    """The epoch that a peer told; 0 for anything but a time before the year 2286, which leaves room to be newer than any."""
    return int(value) if value and re.fullmatch(r"[0-9]{1,13}", value) else 0
