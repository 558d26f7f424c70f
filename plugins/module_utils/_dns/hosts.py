# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider hosts: one marked block in a hosts file, for names that no DNS server holds."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .._core import private
from .._core.errors import FleetError
from .._core.lock import locked
from .model import Answer, Key, Ownership, Record, RRset, Server, normal_values
from .plan import conflict

OPTIONS = ("path",)

BEGIN, END = "# BEGIN bowline.fleet", "# END bowline.fleet"


class Hosts:
    """The block of one file. A line is ``address name``, with the owner as a comment; lines outside the block are never touched."""

    has_ttl = False
    types = frozenset(("A", "AAAA"))

    def __init__(self, path: Path) -> None:
        self._path = Path(private.real(str(path), "provider_options.path"))

    def dress(self, rrset: RRset) -> RRset:
        return rrset

    def read(self, key: Key) -> Record:
        outside, block = self._parts()
        self._refuse_outside(outside, key)
        mine = [line for line in block if _names(line, key)]
        if not mine:
            return Record(None)
        owners = {Ownership.parse(_comment(line)) for line in mine if _comment(line)}
        rrset = RRset(key.name, key.type, 0, normal_values(key.type, [line.split()[0] for line in mine]))
        return Record(rrset, min(owners, key=lambda found: found.owner) if owners else None)

    def servers(self, key: Key) -> tuple[Server, ...]:
        return (Server("file", str(self._path), 0),)

    def ask(self, server: Server, key: Key) -> Answer:
        try:
            return Answer(server, self.read(key).rrset)
        except FleetError as error:
            return Answer(server, None, error=error.message)

    def apply(self, key: Key, before: Record, after: Record) -> None:
        with locked(str(self._path)):
            now = self.read(key)
            if (now.rrset, now.ownership) != (before.rrset, before.ownership):
                raise conflict(
                    key.name,
                    key.type,
                    before.rrset.values if before.rrset else (),
                    now.rrset.values if now.rrset else (),
                    "It was changed meanwhile. ",
                )
            text = self._text()
            start, end = _block(text)
            kept = [line for line in text[start + 1 : end] if not _names(line, key)]
            comment = f" # {after.ownership.text()}" if after.ownership else ""
            added = [f"{value} {key.name.rstrip('.')}{comment}" for value in after.rrset.values] if after.rrset else []
            block = sorted(kept + added)
            self._replace([*text[:start], *([BEGIN, *block, END] if block else []), *text[end + 1 :]])

    def _parts(self) -> tuple[list[str], list[str]]:
        text = self._text()
        start, end = _block(text)
        return text[:start] + text[end + 1 :], text[start + 1 : end]

    def _text(self) -> list[str]:
        try:
            return private.read(str(self._path)).decode("utf-8", "surrogateescape").splitlines()
        except OSError as error:
            raise self._denied("read", error) from error

    def _refuse_outside(self, outside: t.Sequence[str], key: Key) -> None:
        found = [line.strip() for line in outside if _names(line, key)]
        if found:
            raise FleetError(
                "not_owner",
                f"{self._path} names {key.name.rstrip('.')} outside our block: {'; '.join(found)}. Nothing was changed.",
                remedy=f"Remove this name from these lines; the block {BEGIN} … {END} is the only part that is managed.",
                details={"lines": found},
            )

    def _replace(self, lines: t.Sequence[str]) -> None:
        text = "".join(line + "\n" for line in lines)
        try:
            private.write(str(self._path), text.encode("utf-8", "surrogateescape"), keep=True)
        except OSError as error:
            raise self._denied("replaced", error) from error

    def _denied(self, verb: str, error: OSError) -> FleetError:
        return FleetError(
            "privileges",
            f"{self._path} cannot be {verb}: {error.strerror}. Nothing was changed.",
            remedy="Run as a user who may write the file and its directory; a file that is a mount point of its own cannot be replaced.",
        )


def connect(options: t.Mapping[str, t.Any]) -> Hosts:
    """The provider for the documented ``options``."""
    return Hosts(Path(str(options.get("path") or "/etc/hosts")))


def _block(text: t.Sequence[str]) -> tuple[int, int]:
    """Positions of the block's first and last line; behind the end of ``text`` when there is no block."""
    starts = [number for number, line in enumerate(text) if line.strip() == BEGIN]
    ends = [number for number, line in enumerate(text) if line.strip() == END]
    if not starts and not ends:
        return len(text), len(text)
    if len(starts) != 1 or len(ends) != 1 or starts[0] > ends[0]:
        raise FleetError(
            "conflict",
            f"The hosts file holds {len(starts)} lines {BEGIN!r} and {len(ends)} lines {END!r}; expected one pair. Nothing was changed.",
            remedy="Repair the block by hand.",
        )
    return starts[0], ends[0]


def _names(line: str, key: Key) -> bool:
    """True when ``line`` gives the name of ``key`` an address of its family."""
    words = line.partition("#")[0].split()
    if len(words) < 2 or (":" in words[0]) != (key.type == "AAAA"):
        return False
    return key.name.rstrip(".") in (word.rstrip(".").lower() for word in words[1:])


def _comment(line: str) -> str:
    return line.partition("#")[2].strip()
