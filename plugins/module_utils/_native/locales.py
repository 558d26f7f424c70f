# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locales of a Debian host: whether one is there, and which line of /etc/locale.gen makes it. Pure.

Sources: locale-gen(8) and locale.gen(5) of Debian 12 ("locale charset", one a line, taken from /usr/share/i18n/SUPPORTED); glibc writes a codeset
without hyphens and in small letters, so en_US.UTF-8 is en_US.utf8 in `locale -a`.
"""

from __future__ import annotations

import re
import typing as t

from .._core.errors import FleetError

# language_territory, codeset, modifier: setlocale(3).
_NAME = re.compile(r"([A-Za-z]+(?:_[A-Za-z]+)?)(?:\.([A-Za-z0-9-]+))?(@[A-Za-z0-9]+)?\Z")
# Part of the C library.
_ALWAYS = ("C", "POSIX")


def missing(wanted: str, there: t.Iterable[str]) -> bool:
    """Whether a host with the locales ``there`` (lines of `locale -a`) has to make ``wanted`` first."""
    return wanted not in _ALWAYS and _parts(wanted) not in [_parts(name) for name in there]


def line(wanted: str, supported: str) -> str:
    """The line of ``supported`` (the text of /usr/share/i18n/SUPPORTED) that makes ``wanted``. Raises FleetError "locale_unknown"."""
    asked = _parts(wanted)
    for entry in supported.splitlines() if asked else []:
        name, _space, charset = entry.partition(" ")
        parts = _parts(name)
        # A name without a codeset is made with the charset beside it: aa_ER UTF-8 is aa_ER.utf8 as well.
        if parts and asked in (parts, (parts[0], _codeset(charset), parts[2])):
            return entry.strip()
    raise FleetError(
        "locale_unknown",
        f"Debian has no locale {wanted!r}.",
        remedy="Give native_stack_postgres.locale the locale of the old server (SELECT datcollate FROM pg_database), or one of /usr/share/i18n/SUPPORTED.",
    )


def _parts(name: str) -> t.Optional[tuple[str, str, str]]:
    found = _NAME.match(name.strip())
    return (found[1], _codeset(found[2] or ""), found[3] or "") if found else None


def _codeset(name: str) -> str:
    return name.replace("-", "").lower()
