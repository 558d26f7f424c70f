# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists in DNS and what is wanted: names, values and RRsets in one normal form, so that equal means equal."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from .._core.errors import FleetError

FAILURES = {
    "conflict": "The RRset is not what was expected, or was changed meanwhile; both sides are shown and nothing was changed.",
    "not_owner": "The RRset belongs to another owner, or to nobody that is known.",
    "cname_conflict": "A CNAME cannot stand beside other records of the same name (RFC 1034, 3.6.2).",
    "apex_cname": "The apex of a zone cannot be a CNAME.",
    "too_many_changes": "More values would be added and removed than max_changes allows.",
    "zone_not_found": "The server does not hold the zone, or the name lies below a delegation.",
    "ttl_out_of_range": "The TTL is outside what DNS or the provider can hold.",
    "invalid_value": "A name or value cannot be read as one of its record type.",
    "no_authority": "An authoritative server of the zone has no address, does not answer, or answers without authority.",
    "unreachable": "A server did not answer at the address and port that are named.",
    "refused": "The server answered an update or query with an error code.",
    "view_mismatch": "The key chooses a view of the zone that a name server does not show, so no answer of it could prove the change.",
    "tsig_error": "The server did not accept the TSIG key, its signature or its time, or answered unsigned.",
    "auth": "The file with the credentials cannot be read or holds none.",
    "verify_timeout": "Some servers did not show the wanted answer in time; they are named.",
    "locked": "Another run of ours has the hosts file in its hands; its process, user and age are named.",
    "unsafe_path": "Others could write, swap or link the hosts file; nothing was changed.",
    "privileges": "The file cannot be read or replaced by this user.",
    "tool_missing": "A library or program is not installed; the package is named.",
}

TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "PTR", "SRV", "TXT")

# RFC 2181, section 8: a TTL is an unsigned number of 31 bits. 0 forbids caching and makes every lookup wait, so it is refused.
TTL_MIN, TTL_MAX = 1, 2**31 - 1

# RFC 1035, section 3.3: one character string holds at most 255 bytes.
CHUNK = 255

OWNER_FAMILY, OWNER_MARK = "bowline", "bowline1"

# TTL of an RRset that is new and for which none is asked for.
TTL_USUAL = 300


@dataclass(frozen=True)
class Key:
    """Name and type of an RRset. ``name`` and ``zone`` are absolute and lower case; ``zone`` is empty where the provider has none."""

    name: str
    type: str
    zone: str = ""

    @property
    def owner_name(self) -> str:
        """Where the ownership of this RRset is recorded: below the name, so that it also works beside a CNAME; one per type."""
        return f"_bowline-{self.type.lower()}.{self.name.replace('*', '_wildcard', 1)}"


@dataclass(frozen=True)
class RRset:
    """All records of one name and type. ``values`` are normal and sorted. ``ttl`` is 0 where the provider has none."""

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]
    proxied: bool = False

    def lines(self) -> str:
        """The RRset as lines of a zone file."""
        return "".join(f"{self.name} {self.ttl} IN {self.type} {value}\n" for value in self.values)

    def __str__(self) -> str:
        return f"{', '.join(self.values)} (ttl {self.ttl})"


@dataclass(frozen=True)
class Ownership:
    """Who may change an RRset, and how long caches may still hold an earlier form of it.

    ``lowered`` is when its TTL was last lowered, ``stale_until`` when the last earlier form has left every cache; both are Unix seconds.
    ``ttl`` is the TTL before it was lowered; None if unknown. ``made`` is true when the RRset was made over what a wildcard showed.
    """

    owner: str
    lowered: int | None = None
    stale_until: int | None = None
    ttl: int | None = None
    made: bool = False

    def text(self) -> str:
        """The text of the ownership record."""
        words = [f"v={OWNER_MARK}", f"owner={quote(self.owner, safe='/:@')}"]
        words += [
            f"{word}={number}"
            for word, number in (("lowered", self.lowered), ("stale_until", self.stale_until), ("ttl", self.ttl))
            if number is not None
        ]
        words += ["made=1"] if self.made else []
        return " ".join(words)

    @classmethod
    def parse(cls, text: str) -> t.Optional[Ownership]:
        """The ownership that ``text`` records; None for a text of somebody else, which a wildcard may show anywhere.

        A text of ours that cannot be read, as of a later version, is an owner of its own: it never counts as free.
        """
        words = dict(word.partition("=")[::2] for word in text.split())
        if not words.get("v", "").startswith(OWNER_FAMILY):
            return None
        if words["v"] != OWNER_MARK or not words.get("owner"):
            return cls(owner=f"unknown text {text!r}")
        lowered, stale_until, ttl = (_number(words.get(word)) for word in ("lowered", "stale_until", "ttl"))
        return cls(unquote(words["owner"]), lowered, stale_until, ttl, words.get("made") == "1")


@dataclass(frozen=True)
class Record:
    """One RRset as its provider holds it. ``rrset`` is None when there is none; ``others`` are types at the name that exclude this one.

    ``wildcard`` is what the name shows instead of an RRset of its own, ``hides`` are the other types that a wildcard shows for the name.
    """

    rrset: RRset | None
    ownership: Ownership | None = None
    others: tuple[str, ...] = ()
    wildcard: RRset | None = None
    hides: tuple[str, ...] = ()

    @property
    def shown(self) -> RRset | None:
        """What a client gets."""
        return self.rrset or self.wildcard

    def lines(self) -> str:
        """The record for a diff: the zone lines, then the owner. No times, so that check mode and the real run show the same."""
        owner = f"; owner {self.ownership.owner}\n" if self.ownership else ""
        return (self.rrset.lines() if self.rrset else "") + owner

    def bookmark(self) -> dict[str, t.Any]:
        """All that is needed to come back to this record; the option ``previous`` takes it."""
        return {
            "present": self.rrset is not None,
            "records": list(self.rrset.values) if self.rrset else [],
            "ttl": self.rrset.ttl if self.rrset else None,
            "proxied": self.rrset.proxied if self.rrset else False,
            "owner": self.ownership.owner if self.ownership else None,
        }


@dataclass(frozen=True)
class Server:
    """One address of a name server, or of what stands for one (a hosts file has port 0)."""

    name: str
    address: str
    port: int = 53

    def __str__(self) -> str:
        where = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return f"{self.name} at {where if self.port else self.address}"


@dataclass(frozen=True)
class Answer:
    """What one server says. ``error`` is empty when it answered; then ``rrset`` None means that it has no such RRset.

    ``signed`` is true when it was asked with the key that writes, so that it answers from the view that is written to.
    """

    server: Server
    rrset: RRset | None
    serial: int | None = None
    error: str = ""
    signed: bool = False

    def __str__(self) -> str:
        serial = "" if self.serial is None else f", serial {self.serial}"
        return f"{self.server}: {self.error or self.rrset or 'no such RRset'}{serial}"


@dataclass(frozen=True)
class Wanted:
    """What a user asks for. ``rrset`` is None for no RRset; ``expect`` None stands for no expectation, the empty tuple for absent.

    ``keep_ttl``: no TTL was asked for, so that ``ttl`` only counts where no other is known. ``goal`` are the values that a later
    move brings, for which ``prepared`` prepares.
    """

    state: str
    key: Key
    rrset: RRset | None
    ttl: int
    ttl_during: int
    expect: tuple[str, ...] | None
    owner: str | None
    disown: bool
    max_changes: int
    keep_ttl: bool = False
    goal: tuple[str, ...] = ()


class Provider(t.Protocol):
    """What plan and run know of the place that holds RRsets. Only `apply` writes, and only where ``can_write`` is true.

    ``can_own``: an owner can be recorded beside an RRset.
    """

    has_ttl: bool
    can_write: bool
    can_own: bool
    types: frozenset[str]

    def dress(self, rrset: RRset) -> RRset:
        """``rrset`` with what this provider adds to a wanted RRset or cannot hold."""

    def read(self, key: Key) -> Record:
        """The RRset and its ownership now. Raises FleetError when it cannot be read, so that no error looks like an absent RRset."""

    def servers(self, key: Key) -> tuple[Server, ...]:
        """Every address of every authoritative server that is not left out; never empty."""

    def ask(self, server: Server, key: Key) -> Answer:
        """What ``server`` answers without recursion; an unreadable answer is an `Answer` with ``error``, never an exception."""

    def view(self, key: Key) -> str:
        """A sentence when those who have no key are told something else about ``key``; else empty."""

    def apply(self, key: Key, before: Record, after: Record) -> None:
        """Replace ``before`` by ``after`` in one step. FleetError ``conflict``, with nothing written, when ``before`` no longer holds."""


def absolute(name: str, zone: str = "") -> str:
    """``name`` as an absolute lower-case name: ``@`` is the zone, a name without final dot that does not end in the zone lies below it."""
    text = ".".join(_label(label) for label in name.strip().rstrip(".").split("."))
    if zone and not name.strip().endswith("."):
        bare = zone.rstrip(".")
        if text in ("@", ""):
            text = bare
        elif text != bare and not text.endswith("." + bare):
            text = f"{text}.{bare}"
    if len(text) > 253 or not all(re.fullmatch(r"[a-z0-9_*/-]{1,63}", label) for label in text.split(".")):
        raise FleetError("invalid_value", f"{name!r} is not a domain name.", remedy="Correct the name; nothing was changed.")
    return text + "."


def normal_values(rtype: str, values: t.Iterable[str]) -> tuple[str, ...]:
    """``values`` in normal form, sorted, without doubles. Names in values are absolute with or without final dot.

    Raises FleetError ``invalid_value`` with all values that cannot be read.
    """
    good, bad = set(), []
    for value in values:
        try:
            good.add(_NORMAL[rtype](str(value).strip()))
        except (ValueError, FleetError):
            bad.append(str(value))
    if bad:
        raise FleetError("invalid_value", f"Not of type {rtype}: {', '.join(bad)}.", remedy="Correct the values; nothing was changed.")
    return tuple(sorted(good))


def txt_bytes(text: str) -> bytes:
    """The joined character strings of a TXT value: quoted strings with escapes as in a zone file, or a bare text taken as it is."""
    if not text.startswith('"'):
        return text.encode()
    if not re.fullmatch(r'("(\\.|[^"\\])*"\s*)+', text, re.DOTALL):
        raise ValueError(text)
    joined = b""
    for chunk in re.findall(r'"((?:\\.|[^"\\])*)"', text, re.DOTALL):
        for escape, literal in re.findall(r"\\(\d{3}|.)|([^\\]+)", chunk, re.DOTALL):
            joined += literal.encode() if literal else bytes([int(escape)]) if len(escape) == 3 else escape.encode()
    return joined


def txt_text(joined: bytes) -> str:
    """``joined`` as quoted strings of at most 255 bytes, in the escapes of a zone file (RFC 1035, 5.1)."""
    chunks = [joined[start : start + CHUNK] for start in range(0, len(joined), CHUNK)] or [b""]
    return " ".join('"' + "".join(_escaped(byte) for byte in chunk) + '"' for chunk in chunks)


def parse_server(text: str) -> Server:
    """``address``, ``address:port`` or ``[IPv6 address]:port`` as a server."""
    match = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+):(\d+)|(.+)", text.strip())
    address, port = "", 53
    if match:
        address = match[1] or match[3] or match[5]
        port = int(match[2] or match[4] or 53)
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise FleetError(
            "invalid_value", f"{text!r} is not an IP address with an optional port.", remedy="Give 192.0.2.53 or 192.0.2.53:53."
        ) from error
    return Server(text.strip(), address, port)


def with_ttl(rrset: RRset, ttl: int) -> RRset:
    return replace(rrset, ttl=ttl)


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03d}"


def _label(label: str) -> str:
    # Only labels beyond ASCII go through IDNA: it refuses the underscores that service names start with.
    return label.lower() if label.isascii() else label.encode("idna").decode()


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _mx(value: str) -> str:
    preference, host = value.split()
    return f"{int(preference)} {absolute(host)}"


def _srv(value: str) -> str:
    priority, weight, port, host = value.split()
    return f"{int(priority)} {int(weight)} {int(port)} {host if host == '.' else absolute(host)}"


def _caa(value: str) -> str:
    flags, tag, text = value.split(None, 2)
    return f"{int(flags)} {tag.lower()} {txt_text(txt_bytes(text))}"


_NORMAL: dict[str, t.Callable[[str], str]] = {
    "A": lambda value: str(ipaddress.IPv4Address(value)),
    "AAAA": lambda value: str(ipaddress.IPv6Address(value)),
    "CAA": _caa,
    "CNAME": absolute,
    "MX": _mx,
    "PTR": absolute,
    "SRV": _srv,
    "TXT": lambda value: txt_text(txt_bytes(value)),
}
