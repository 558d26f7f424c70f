# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts of servers and hosts, made fit for a terminal and a page: what cannot be seen is written out. Pure."""

from __future__ import annotations

import re
import typing as t

# Control characters but newline and tab (C0, DEL, C1), halves of pairs, and what Unicode has to hide or to turn text around: soft hyphen,
# zero-width characters, marks, embeddings, overrides and isolates of direction, line and paragraph separators, tags.
# https://www.unicode.org/reports/tr9/ (Directional Formatting Characters), https://www.unicode.org/charts/PDF/U2000.pdf and /UE0000.pdf
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(value: t.Any) -> t.Any:
    r"""``value`` with every unseen character of its texts as ``\x1b`` or ``\u202e``, through lists and dicts, keys included.

    A message of a server could else clear the screen of who reads it, write lines that nobody said, or turn a name around.
    """
    if isinstance(value, str):
        return _UNSEEN.sub(_written, value.replace("\r\n", "\n"))
    if isinstance(value, t.Mapping):
        return {visible(key): visible(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [visible(item) for item in value]
    return value


def _written(match: t.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(value: t.Any) -> str:
    """``value`` as visible text in which no line can end."""
    return str(visible(" ".join(str(value).split())))
