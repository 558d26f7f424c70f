# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's upstream blocks: put the edge in, and take it out again byte for byte. Pure text.

The original body of a block stays in the file as marked comment lines, so an operator can read (and undo) it without this collection.
"""

from __future__ import annotations

import re
import typing as t

from .._core.errors import FleetError

_BEGIN = "# bowline-edge: begin; the lines with #| are the original body"
_END = "# bowline-edge: end"
_LINE = "#| "
_BLOCK = re.compile(rf"\n[ \t]*{re.escape(_BEGIN)}\n(?P<kept>(?:{re.escape(_LINE)}.*\n)+)(?P<ours>(?:.*\n)*?)[ \t]*{re.escape(_END)}\n")
_INDENT = "    "


def insert(text: str, upstreams: t.Mapping[str, str]) -> str:
    """``text`` with the servers of each upstream in ``upstreams`` (name to host:port) replaced by the edge.

    Raises FleetError ``proxy_upstream_missing`` for all names at once that have no block, and ``proxy_conflict`` as `restore` does.
    """
    text = restore(text)
    missing = []
    for name, via in upstreams.items():
        span = _body(text, name)
        if span is None:
            missing.append(name)
            continue
        begin, end = span
        text = text[:begin] + _inserted(text[begin:end], via) + text[end:]
    if missing:
        raise FleetError(
            "proxy_upstream_missing",
            f"No block 'upstream <name> {{ server …; }}' for {', '.join(missing)}; the file is unchanged.",
            remedy="Put the application's servers into an upstream block of that name and use it in proxy_pass.",
            details={"missing": missing},
        )
    return text


def restore(text: str) -> str:
    """``text`` as it was before `insert`; edits outside the marked parts are kept, edits inside raise FleetError ``proxy_conflict``."""
    restored = _BLOCK.sub(_original, text)
    if _BEGIN in restored or _END in restored:
        raise FleetError(
            "proxy_conflict",
            "A part marked with 'bowline-edge' was edited by hand; the file is unchanged.",
            remedy="Put the lines marked with #| back by hand, delete the marked rest, and run again.",
        )
    return restored


def block(text: str, name: str) -> str | None:
    """What stands in ``upstream name``, None when there is no such block."""
    span = _body(text, name)
    return None if span is None else text[span[0] : span[1]]


def address_rules(text: str) -> tuple[str, ...]:
    """Directives that judge the address of whoever connects; none when the address is taken from a header (real_ip_header).

    Modules access, limit_req, limit_conn, geo and realip of nginx. ``deny all`` alone is for everybody.
    """
    masked = _masked(text)

    def has(directive: str) -> bool:
        return re.search(rf"(?:^|[\s;{{}}]){directive}", masked) is not None

    if has(r"real_ip_header\s"):
        return ()
    words = {"allow": r"allow\s", "deny": r"deny\s+(?!all\s*;)", "limit_req": r"limit_req\s", "limit_conn": r"limit_conn\s", "geo": r"geo\s"}
    return tuple(name for name, directive in words.items() if has(directive))


def _original(match: re.Match[str]) -> str:
    body = "\n".join(line[len(_LINE) :] for line in match.group("kept")[:-1].split("\n"))
    via = re.search(r"^\s*server (\S+);$", match.group("ours"), re.MULTILINE)
    if via is None or _inserted(body, via.group(1)) != match.group(0):
        return match.group(0)
    return body


def _inserted(body: str, via: str) -> str:
    kept = "".join(f"{_LINE}{line}\n" for line in body.split("\n"))
    others = "".join(f"{_INDENT}{directive};\n" for directive in _directives(body) if not re.match(r"(server|zone|sticky)\b", directive))
    return f"\n{_INDENT}{_BEGIN}\n{kept}{others}{_INDENT}server {via};\n{_INDENT}{_END}\n"


def _body(text: str, name: str) -> tuple[int, int] | None:
    """Where the body of ``upstream name`` begins and ends, None when there is no such block with a server and without nested blocks."""
    masked = _masked(text)
    match = re.search(rf"(?:^|(?<=[\s;{{}}]))upstream\s+{re.escape(name)}\s*\{{(?P<body>[^{{}}]*)\}}", masked)
    if match is None or not re.search(r"(?:^|[\s;])server\s", match.group("body")):
        return None
    return match.span("body")


def _directives(body: str) -> list[str]:
    """The directives of a body, comments left out, each on one line."""
    masked = _masked(body, quotes=False)
    return [" ".join(part.split()) for part in masked.split(";") if part.strip()]


def _masked(text: str, quotes: bool = True) -> str:
    """``text`` of the same length with comments, and strings if ``quotes``, blanked. A # inside a word is no comment in nginx."""

    def blank(match: re.Match[str]) -> str:
        found = match.group(0)
        if found[0] == "#" or quotes:
            return re.sub(r"[^\n]", " ", found)
        return found

    return re.sub(r"""(?<![^\s;{}])(?:#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""", blank, text)
