# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_restore could not make, read from what it said. Pure."""

from __future__ import annotations

import re
import typing as t

# warn_or_exit_horribly in src/bin/pg_dump/pg_backup_archiver.c; the server's own words follow (lc_messages is C, see programs.Programs).
_ERROR = re.compile(r"^pg_restore: error: (?:could not execute query: )?(?:ERROR:  )?(.*)$")
_STATEMENT = re.compile(r"^Command was: (.*)$")
_MORE = re.compile(r"^(?:DETAIL|CONTEXT):  (.*)$")
# A run that was killed had made it already.
_THERE = "already exists"
_SHOWN = 120
# What is said about an object that exists.
_BELONGS = re.compile(r"(?:ALTER|COMMENT ON|GRANT|REVOKE) ")


def errors(output: str, *, there: bool = False) -> list[tuple[str, str]]:
    """The statement (its beginning, in one line) and the server's reason, for each error but "already exists", unless ``there``."""
    found: list[list[str]] = []
    inside = False
    for line in output.splitlines():
        error, statement, more = _ERROR.match(line), _STATEMENT.match(line), _MORE.match(line)
        if error:
            found.append(["", error[1]])
        elif statement and found:
            found[-1][0] = statement[1]
        elif more and found and not inside:
            found[-1][1] += f" ({more[1]})"
        elif inside and line.strip() and not line.startswith("pg_restore: "):
            found[-1][0] += f" {line}"
        inside = bool(statement) or (inside and not error and bool(line.strip()))
    return [(" ".join(statement.split())[:_SHOWN], reason) for statement, reason in found if there or _THERE not in reason]


def roots(found: t.Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what failed only because something else did: an owner, a comment or a right of what could not be made."""
    kept: list[tuple[str, str]] = []
    for statement, reason in found:
        missing = re.search(r'"?([^" ]+)"? does not exist', reason) if _BELONGS.match(statement) else None
        if missing and any(missing[1] in made for made, _reason in kept):
            continue
        kept.append((statement, reason))
    return kept


def sentence(found: t.Sequence[tuple[str, str]], limit: int = 5) -> str:
    """One phrase for each of them."""
    more = f"; and {len(found) - limit} more" if len(found) > limit else ""
    return "; ".join(f"{statement or 'an object'}: {reason}" for statement, reason in found[:limit]) + more
