# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is to be asked about a zone: its authoritative servers, without those that are left out by name."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .model import Answer, Key, Server, absolute, parse_server
from .nameserver import ask_authority, library, resolver

# Options of every provider that does not ask one server of its own.
OPTIONS = ("servers", "resolver", "timeout", "authority_port", "ipv6")


def select(
    zone: str, names: t.Sequence[str], lookup: t.Callable[[str], t.Iterable[str]], port: int, ignored: t.Sequence[str]
) -> tuple[Server, ...]:
    """All addresses of ``names`` but those that ``ignored`` names. Raises FleetError no_authority, or invalid_value for a wrong name."""
    left_out = {text if ":" in text or text.replace(".", "").isdigit() else absolute(text, zone) for text in ignored}
    kept = [name for name in names if name not in left_out]
    every = [Server(name, address, port) for name in kept for address in lookup(name)]
    found = tuple(server for server in every if server.address not in left_out)
    unknown = sorted(left_out - set(names) - {server.address for server in every})
    if unknown:
        raise FleetError(
            "invalid_value",
            f"ignore_servers: {', '.join(unknown)} is no name server of {zone}. Nothing was changed.",
            remedy=f"Name one of {', '.join(names)}, or an address of it.",
            details={"servers": list(names)},
        )
    missing = sorted(set(kept) - {server.name for server in every})
    if missing or not found:
        raise FleetError(
            "no_authority",
            f"Zone {zone} names {', '.join(names) or 'no server'}; no address is known for {', '.join(missing) or 'any'}"
            f"{', and ' + ', '.join(sorted(left_out)) + ' is left out' if left_out else ''}. Nothing was changed.",
            remedy="Correct the NS records and their addresses, or leave these servers out with ignore_servers.",
            details={"missing": missing},
        )
    return found


class Authority:
    """The authoritative servers of one zone: those that ``options`` name, else as a resolver tells them."""

    def __init__(self, options: t.Mapping[str, t.Any], zone: str, ignored: t.Sequence[str]) -> None:
        self._zone, self._ignored = zone, ignored
        self._given = [parse_server(str(text)) for text in options.get("servers") or ()]
        self._resolver = parse_server(str(options["resolver"])) if options.get("resolver") else None
        self._timeout = float(options.get("timeout") or 2.0)
        self._port = int(options.get("authority_port") or 53)
        self._ipv6 = str(options.get("ipv6", True)).lower() not in ("false", "no", "0")

    def servers(self) -> tuple[Server, ...]:
        if self._given:
            return tuple(self._given)
        names = sorted(str(rdata.target).lower() for rdata in self._look(self._zone, "NS"))
        if not names:
            raise FleetError(
                "no_authority",
                f"The resolver of this machine knows no name server of {self._zone}. Nothing was changed.",
                remedy="Correct zone, or name the servers to ask in provider_options.servers.",
                details={"zone": self._zone},
            )
        return select(self._zone, names, self._addresses, self._port, self._ignored)

    def ask(self, server: Server, key: Key) -> Answer:
        return ask_authority(server, key, self._timeout)

    def _addresses(self, name: str) -> list[str]:
        types = ("A", "AAAA") if self._ipv6 else ("A",)
        return sorted({rdata.address for rtype in types for rdata in self._look(name, rtype)})

    def _look(self, name: str, rtype: str) -> t.Iterable[t.Any]:
        try:
            return t.cast(t.Iterable[t.Any], resolver(self._resolver).resolve(name, rtype, lifetime=self._timeout))
        except library().exception.DNSException:
            return ()
