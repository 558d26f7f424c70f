# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of roles and databases, as pg_db_role_setting keeps them (``name=value``), made SQL again, and compared. Pure.

Every user may give his own account a setting with any text in it, so no part of an entry is SQL before it was quoted.
"""

from __future__ import annotations

import re
import typing as t

from .postgres import ident, literal

# The lists whose elements the server has quoted already, GUC_LIST_QUOTE: variable_is_guc_list_quote in src/bin/pg_dump/dumputils.c. Every
# other value, lists like DateStyle among them, is one string.
_LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)
# Of these an element without quotes is an identifier and is read in lower case (SplitIdentifierString in src/backend/utils/adt/varlena.c);
# the others are names of files.
_IDENTIFIERS = ("search_path", "temp_tablespaces")
# Which names a server takes: valid_custom_variable_name in src/backend/utils/misc/guc.c, since PostgreSQL 14.
_NAME = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*(\.[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)*")
_ELEMENT = re.compile(r'[ \t\n\r\f\v]*(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^", \t\n\r\f\v][^, \t\n\r\f\v]*))[ \t\n\r\f\v]*(?P<end>,|\Z)')


def split(name: str, value: str) -> tuple[str, ...]:
    """The elements of a list, as SplitGUCList of dumputils.c finds them. Raises ValueError when ``value`` is none."""
    found: list[str] = []
    at, more = 0, bool(value.strip(" \t\n\r\f\v"))
    while more:
        element = _ELEMENT.match(value, at)
        if element is None:
            raise ValueError(f"is no list from character {at + 1} on")
        at, more = element.end(), element["end"] == ","
        if element["quoted"] is not None:
            found.append(element["quoted"].replace('""', '"'))
        else:
            found.append(_lower(element["plain"]) if name.lower() in _IDENTIFIERS else element["plain"])
    return tuple(found)


def text(target: str, entry: str) -> str:
    """ALTER … SET for one entry; ``target`` is what follows ALTER, quoted. Raises ValueError where `problem` says why."""
    name, value = entry.split("=", 1)
    shown = ident(*name.split("."))
    if name.lower() not in _LISTS:
        return f"ALTER {target} SET {shown} TO {literal(value)}"
    elements = split(name, value)
    if not elements:
        # An empty list has no literal: '' is a list with one element that is empty. Both statements are one transaction.
        return f"SELECT pg_catalog.set_config({literal(name)}, '', true); ALTER {target} SET {shown} FROM CURRENT"
    return f"ALTER {target} SET {shown} TO {', '.join(literal(element) for element in elements)}"


def problem(entry: str) -> str:
    """Why this entry cannot be made on another server; empty when it can."""
    name, _equals, value = entry.partition("=")
    if not _NAME.fullmatch(name):
        return f"the name {name!r} is none that PostgreSQL 14 and newer take"
    try:
        _meaning(name, value)
    except ValueError as error:
        return f"the value of {name}, {value[:100]!r}, {error}"
    return ""


def missing(wanted: t.Iterable[str], observed: t.Iterable[str]) -> list[tuple[str, str]]:
    """Each entry of ``wanted`` that ``seen`` lacks, with what it has under this name; two lists are equal when their elements are."""
    have = {name.lower(): value for name, _equals, value in (entry.partition("=") for entry in observed)}
    found = []
    for entry in wanted:
        name, _equals, value = entry.partition("=")
        other = have.get(name.lower())
        if other is None or _meaning(name, other) != _meaning(name, value):
            found.append((entry, "nothing" if other is None else f"{name}={other}"))
    return found


def _meaning(name: str, value: str) -> tuple[str, ...]:
    return split(name, value) if name.lower() in _LISTS else (value,)


def _lower(word: str) -> str:
    """As downcase_identifier (src/backend/parser/scansup.c) does in a multibyte encoding: ASCII only."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in word)
