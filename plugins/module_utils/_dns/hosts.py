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

OPTIONS = ("path", "adopt")

BEGIN, END = "# BEGIN bowline.fleet", "# END bowline.fleet"

# Before a line of one's own that was taken over; then type and name, a colon, and the line as it was.
KEPT = "# kept by bowline.fleet for"


class Hosts:
    """The block of one file. A line is ``address name``, with the owner as a comment; lines outside the block are never touched.

    With ``adopt``, lines outside that give the name an address are taken over: each becomes a comment in its place, its other names stay, and
    it comes back byte for byte when the same values are wanted again.
    """

    has_ttl = False
    can_write = can_own = True
    types = frozenset(("A", "AAAA"))

    def __init__(self, path: Path, adopt: bool = False) -> None:
        self._adopt = adopt
        self._path = Path(private.real(str(path), "provider_options.path"))

    def dress(self, rrset: RRset) -> RRset:
        return rrset

    def read(self, key: Key) -> Record:
        above, block, below = _parts(self._text())
        own = [line for line in above + below if _names(line, key)]
        if own and not self._adopt:
            raise self._foreign(own, key)
        mine = [line for line in block if _names(line, key)] + own
        if not mine:
            return Record(None)
        owners = {owner for owner in (Ownership.parse(_comment(line)) for line in mine) if owner}
        rrset = RRset(key.name, key.type, 0, normal_values(key.type, [line.split()[0] for line in mine]))
        return Record(rrset, min(owners, key=lambda found: found.owner) if owners else None)

    def servers(self, key: Key) -> tuple[Server, ...]:
        return (Server("file", str(self._path), 0),)

    def ask(self, server: Server, key: Key) -> Answer:
        try:
            return Answer(server, self.read(key).rrset)
        except FleetError as error:
            return Answer(server, None, error=error.message)

    def view(self, key: Key) -> str:
        return ""

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
            above, block, below = _parts(self._text())
            comment = f" # {after.ownership.text()}" if after.ownership else ""
            lines = [f"{value} {key.name.rstrip('.')}{comment}" for value in after.rrset.values] if after.rrset else []
            if after.rrset and not after.ownership and after.rrset.values == _values_kept(above + below, key):
                above, below, lines = self._put_back(above, key), self._put_back(below, key), []
            else:
                above, below = _take(above, key), _take(below, key)
            block = sorted([line for line in block if not _names(line, key)] + lines)
            self._replace([*above, *([BEGIN, *block, END] if block else []), *below])

    def _put_back(self, lines: t.Sequence[str], key: Key) -> list[str]:
        """``lines`` with those that were taken over for ``key`` as they were."""
        back: list[str] = []
        rest = ""
        for line in [*lines, ""]:
            if rest and line != rest:
                raise FleetError(
                    "conflict",
                    f"{self._path} says {line.strip()!r} where {rest.strip()!r} was left when a line was taken over. Nothing was changed.",
                    remedy=f"Correct this line, or put the line behind {KEPT!r} back by hand.",
                    details={"expected": rest, "seen": line},
                )
            original = None if rest else _original(line, key)
            if not rest:
                back.append(line if original is None else original)
            rest = "" if original is None else _others(original, key)
        return back[:-1]

    def _text(self) -> list[str]:
        try:
            return private.read(str(self._path)).decode("utf-8", "surrogateescape").split("\n")
        except OSError as error:
            raise self._denied("read", error) from error

    def _foreign(self, found: t.Sequence[str], key: Key) -> FleetError:
        lines = [line.strip() for line in found]
        return FleetError(
            "not_owner",
            f"{self._path} names {key.name.rstrip('.')} outside our block: {'; '.join(lines)}. Nothing was changed.",
            remedy="Say provider_options.adopt: true to take these lines over (they come back as they are), or remove the name from them.",
            details={"lines": lines},
        )

    def _replace(self, lines: t.Sequence[str]) -> None:
        text = "\n".join(lines)
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
    return Hosts(Path(str(options.get("path") or "/etc/hosts")), str(options.get("adopt", False)).lower() in ("true", "yes", "1"))


def _parts(text: t.Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Lines above the block, in it, and below it. A text that ends with a line end ends with an empty line, which stays the last one."""
    starts = [number for number, line in enumerate(text) if line.strip() == BEGIN]
    ends = [number for number, line in enumerate(text) if line.strip() == END]
    if not starts and not ends:
        return (list(text[:-1]), [], [""]) if text[-1] == "" else (list(text), [], [])
    if len(starts) != 1 or len(ends) != 1 or starts[0] > ends[0]:
        raise FleetError(
            "conflict",
            f"The hosts file holds {len(starts)} lines {BEGIN!r} and {len(ends)} lines {END!r}; expected one pair. Nothing was changed.",
            remedy="Repair the block by hand.",
        )
    return list(text[: starts[0]]), list(text[starts[0] + 1 : ends[0]]), list(text[ends[0] + 1 :])


def _names(line: str, key: Key) -> bool:
    """True when ``line`` gives the name of ``key`` an address of its family."""
    words = line.partition("#")[0].split()
    if len(words) < 2 or (":" in words[0]) != (key.type == "AAAA"):
        return False
    return any(_is(word, key) for word in words[1:])


def _is(word: str, key: Key) -> bool:
    return word.rstrip(".").lower() == key.name.rstrip(".")


def _mark(key: Key) -> str:
    return f"{KEPT} {key.type} {key.name.rstrip('.')}: "


def _take(lines: t.Sequence[str], key: Key) -> list[str]:
    """``lines`` with each that names ``key`` as a comment, followed by a line for its other names if it has any."""
    taken: list[str] = []
    for line in lines:
        if not _names(line, key):
            taken.append(line)
            continue
        rest = _others(line, key)
        taken += [_mark(key) + line, *([rest] if rest else [])]
    return taken


def _others(line: str, key: Key) -> str:
    """``line`` without the name of ``key``; empty when it holds no other."""
    words = line.partition("#")[0].split()
    others = [word for word in words[1:] if not _is(word, key)]
    return " ".join([words[0], *others]) + ("\r" if line.endswith("\r") else "") if others else ""


def _original(line: str, key: Key) -> str | None:
    return line[len(_mark(key)) :] if line.startswith(_mark(key)) else None


def _values_kept(lines: t.Sequence[str], key: Key) -> tuple[str, ...]:
    """Values of the lines that were taken over for ``key``; empty when none was."""
    originals = [original for original in (_original(line, key) for line in lines) if original is not None]
    return normal_values(key.type, [original.split()[0] for original in originals])


def _comment(line: str) -> str:
    return line.partition("#")[2].strip()
