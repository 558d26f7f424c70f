# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a configuration file that were replaced: what stood there stays in the file as comment lines, for people and for the way back.

A part is whole lines, so the same form holds for every format with comments from # to the end of the line: nginx, Caddyfile, haproxy.cfg, YAML,
TOML. The head names the edge that made it, so two stacks share a file, and has a digest of the part, so an edit inside is seen. Pure text.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from ..._core.errors import FleetError

_KEPT = "#|"
# An earlier version marked without a name.
_OLD = re.compile(r"^[ \t]*# bowline-edge: (?:begin|end)", re.MULTILINE)
_ANY = re.compile(r"^# bowline-edge (?P<owner>\S+): begin [0-9a-f]{12}.*\n(?:.*\n)*?# bowline-edge (?P=owner): end(?:\n|\Z)", re.MULTILINE)


class Edit(t.NamedTuple):
    """Characters ``begin`` to ``end`` of a text become ``text``."""

    begin: int
    end: int
    text: str


def apply(text: str, edits: t.Iterable[Edit], begin: int = 0, end: int | None = None) -> str:
    """Characters ``begin`` to ``end`` of ``text`` with ``edits``, which lie between them and do not overlap."""
    done, here = [], begin
    for edit in sorted(edits):
        done += [text[here : edit.begin], edit.text]
        here = edit.end
    return "".join([*done, text[here : len(text) if end is None else end]])


def replaced(text: str, edits: t.Sequence[Edit], owner: str) -> str:
    """``text`` with ``edits``, each as a marked part of whole lines. Raises FleetError ``not_owner`` where the mark of another edge stands."""
    parts = []
    for begin, end, inside in _lines(text, edits):
        for match in _ANY.finditer(text):
            if match.start() < end and begin < match.end():
                raise FleetError(
                    "not_owner",
                    f"The edge in {match.group('owner')} stands in line {line(text, begin)} already; the file is unchanged.",
                    remedy="Take that edge out first, or name in proxy.upstreams what leads to this application.",
                    details={"owner": match.group("owner")},
                )
        parts.append(Edit(begin, end, _part(text[begin:end], apply(text, inside, begin, end), owner)))
    new = apply(text, parts)
    if restored(new, owner) != text:
        raise FleetError(
            "proxy_conflict",
            "The marked file would not come back byte for byte; it is unchanged.",
            remedy="Look for lines that begin with #| near what is to be replaced and reword them.",
        )
    return new


def restored(text: str, owner: str) -> str:
    """``text`` without the parts of ``owner``, byte for byte; edits outside of them are kept.

    Raises FleetError ``proxy_conflict`` for edits inside, and for marks of an earlier version.
    """
    done = _parts(owner).sub(lambda match: _original(match, owner), text)
    if re.search(rf"^[ \t]*# bowline-edge {re.escape(owner)}: ", done, re.MULTILINE) or _OLD.search(done):
        raise FleetError(
            "proxy_conflict",
            "A part marked with 'bowline-edge' was edited by hand or is of an earlier version; the file is unchanged.",
            remedy=f"Put the lines behind {_KEPT} back by hand, delete the marked rest, and run again.",
        )
    return done


def inside(text: str, owner: str) -> str:
    """What ``owner``'s edge has put in, None of it for a file without."""
    return "".join(match.group("ours") for match in _parts(owner).finditer(text))


def lines(text: str, edits: t.Sequence[Edit]) -> list[tuple[int, int]]:
    """Where the whole lines begin and end that ``edits`` replace."""
    return [(begin, end) for begin, end, _inside in _lines(text, edits)]


def line(text: str, position: int) -> int:
    """The number of the line that ``position`` is in, from 1."""
    return text.count("\n", 0, position) + 1


def _parts(owner: str) -> re.Pattern[str]:
    name = re.escape(owner)
    return re.compile(
        rf"^# bowline-edge {name}: begin (?P<digest>[0-9a-f]{{12}}).*\n(?P<kept>(?:{re.escape(_KEPT)}.*\n)*)(?P<ours>(?:.*\n)*?)"
        rf"# bowline-edge {name}: end(?P<newline>\n|\Z)",
        re.MULTILINE,
    )


def _part(kept: str, ours: str, owner: str) -> str:
    newline = "\n" if kept.endswith("\n") else ""
    comment = "".join(f"{_KEPT}{row}\n" for row in kept[: len(kept) - len(newline)].split("\n"))
    ours = ours if ours.endswith("\n") or not ours else ours + "\n"
    head = f"# bowline-edge {owner}: begin {_digest(comment, ours)}; what stood here is behind {_KEPT}"
    return f"{head}\n{comment}{ours}# bowline-edge {owner}: end{newline}"


def _original(match: re.Match[str], owner: str) -> str:
    rows = [row[len(_KEPT) :] for row in match.group("kept")[:-1].split("\n")]
    kept = "\n".join(rows) + match.group("newline")
    return kept if _digest(match.group("kept"), match.group("ours")) == match.group("digest") else match.group(0)


def _digest(kept: str, ours: str) -> str:
    return hashlib.sha256(f"{kept}\0{ours}".encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _lines(text: str, edits: t.Iterable[Edit]) -> list[tuple[int, int, list[Edit]]]:
    """Whole lines, as begin and end, that have edits; neighbours in one."""
    found: list[tuple[int, int, list[Edit]]] = []
    for edit in sorted(edits):
        begin = text.rfind("\n", 0, edit.begin) + 1
        last = max(edit.end - 1, edit.begin)
        newline = text.find("\n", last)
        end = len(text) if newline < 0 else newline + 1
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]), [*found[-1][2], edit])
        else:
            found.append((begin, end, [edit]))
    return found
