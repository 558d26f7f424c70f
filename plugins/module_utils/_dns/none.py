# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider none: a person changes the name; what is to be changed is said, and the name servers tell whether it has been."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from . import authority
from .authority import Authority
from .model import TYPES, Answer, Key, Record, RRset, Server

OPTIONS = authority.OPTIONS


class Nobody:
    """One zone as its authoritative servers show it. There is nothing to write to and no place for an owner."""

    has_ttl = True
    can_write = can_own = False
    types = frozenset(TYPES)

    def __init__(self, asked: Authority) -> None:
        self._authority = asked

    def dress(self, rrset: RRset) -> RRset:
        return rrset

    def read(self, key: Key) -> Record:
        answers = [self.ask(server, key) for server in self.servers(key)]
        good = [answer for answer in answers if not answer.error]
        if not good:
            raise FleetError(
                "no_authority",
                f"No name server tells {key.name} {key.type}: {'; '.join(map(str, answers))}. Nothing was changed.",
                remedy="Correct zone, or name the servers to ask in provider_options.servers.",
            )
        return Record(good[0].rrset)

    def servers(self, key: Key) -> tuple[Server, ...]:
        return self._authority.servers()

    def ask(self, server: Server, key: Key) -> Answer:
        return self._authority.ask(server, key)

    def view(self, key: Key) -> str:
        return ""

    def apply(self, key: Key, before: Record, after: Record) -> None:
        raise FleetError("refused", f"Provider none does not change {key.name}.", remedy="Change the name where it is kept.")


def connect(options: t.Mapping[str, t.Any], zone: str, ignored: t.Sequence[str]) -> Nobody:
    """The provider for the documented ``options``."""
    return Nobody(Authority(options, zone, ignored))


def instructions(key: Key, before: Record, after: Record, seen: t.Sequence[Answer], ask: str) -> list[str]:
    """What somebody has to change, as sentences: the record from and to as zone lines, and by whom it is seen how."""
    old, new = (_lines(record.rrset) for record in (before, after))
    if before.rrset == after.rrset:
        return [f"Make sure that every name server of zone {key.zone} shows {new}.", f"Seen now: {'; '.join(map(str, seen))}.", ask]
    verb = "Remove" if not after.rrset else "Change" if before.rrset else "Make"
    return [
        f"{verb} {key.name} {key.type} where zone {key.zone} is kept. From: {old}. To: {new}.",
        f"Seen now: {'; '.join(map(str, seen)) or 'nobody was asked'}.",
        ask,
    ]


def _lines(rrset: RRset | None) -> str:
    return rrset.lines().strip().replace("\n", " | ") if rrset else "no such record"
