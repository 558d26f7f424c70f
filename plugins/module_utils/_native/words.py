# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values as words of a unit file. Pure.

Escaping follows systemd.service(5) "Command lines" and systemd.exec(5) "Environment=": ``%`` starts a specifier everywhere, ``$`` a
variable in command lines only, backslash and quotes are C-style inside double quotes.
"""

from __future__ import annotations

import re
import typing as t

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=,@+-]+\Z")


def command(argv: t.Sequence[str], main: bool = False) -> str:
    """``main``: systemd knows the main process when it runs the command, so $MAINPID as a word and ${MAINPID} in one stay what they are."""
    return " ".join(word if main and word == "$MAINPID" else quoted(_dollars(word, main)) for word in argv)


def _dollars(word: str, main: bool) -> str:
    kept = "${MAINPID}"
    return kept.join(part.replace("$", "$$") for part in word.split(kept)) if main else word.replace("$", "$$")


def specifiers(text: str) -> str:
    return text.replace("%", "%%")


def quoted(word: str) -> str:
    """``word`` as one word of a unit file line, always read back as exactly these characters."""
    if _PLAIN_WORD.match(word):
        return word
    escaped = specifiers(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode()) for char in escaped) + '"'
