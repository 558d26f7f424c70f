# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the drivers of proxies that are configured by a file have in common: what they read, what they find, and how addresses are written."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import marked


@dataclass(frozen=True)
class Source:
    """A configuration file: its path, its text without an edge of ours, and all files by path as the program itself reads them, if it tells."""

    path: str
    text: str
    files: t.Mapping[str, str] = field(default_factory=dict)

    def line(self, position: int) -> str:
        return f"line {marked.line(self.text, position)}"


@dataclass(frozen=True)
class Fault:
    """Why an edge cannot be put in. ``name`` is the one of proxy.upstreams, ``remedy`` what to do."""

    code: str
    name: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Plan:
    """What a driver would do: changes of the text, what stands against them, and what should be known (``notes``).

    ``timeout`` is how long the proxy waits for an answer, in seconds, None for no limit.
    """

    edits: tuple[marked.Edit, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[Fault, ...] = ()
    timeout: float | None = None


class Driver(t.Protocol):
    """A kind of proxy. Both are pure: nothing is read but ``source``, nothing is written."""

    # What tells it to take the client's address from the other host's edge.
    address_remedy: str

    def plan(self, source: Source, upstreams: t.Mapping[str, str]) -> Plan:
        """How to send what ``upstreams`` names to the edge (values: host:port or unix:/path)."""

    def address_rules(self, text: str) -> tuple[str, ...]:
        """Words of the configuration that judge the address of whoever connects; none when that address is taken from a header."""


def missing(name: str, wanted: str, seen: t.Sequence[str], remedy: str) -> Fault:
    """The fault of a name that the file does not have; ``seen`` are those that it has."""
    others = f" It has {', '.join(seen[:8])}{' …' if len(seen) > 8 else ''}." if seen else ""
    return Fault("proxy_upstream_missing", name, f"{wanted}.{others}", remedy)


def unsupported(name: str, message: str, remedy: str) -> Fault:
    return Fault("proxy_unsupported", name, message, remedy)


def bypass(name: str, message: str) -> Fault:
    """What leads to the same application elsewhere and would go on past the edge."""
    return Fault("proxy_bypass", name, message, "Name it in proxy.upstreams as well, if it is this application.")


def shorter(*seconds: float | None) -> float | None:
    """The shortest of some times, None for no limit at all."""
    given = [value for value in seconds if value is not None]
    return min(given) if given else None
