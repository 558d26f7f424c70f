# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of compose files as the docker CLI sees them: which there are, what a text becomes, and files that give them values. Pure.

The pattern and the order of the rules are those of docker/cli, cli/compose/template/template.go (CLI 28); a default is not looked into.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

_NAME = r"[_a-z][_a-z0-9]*(?::?[-?][^}]*)?"
_PATTERN = re.compile(rf"\$(?:(?P<escaped>\$)|(?P<named>{_NAME})|\{{(?P<braced>{_NAME})\}}|(?P<invalid>))", re.IGNORECASE)
# A reference in a default that somebody takes for one. $apr1$… and other hashes are none: the CLI leaves them as they are, which is right.
_INSIDE = re.compile(r"\$\{([_a-z][_a-z0-9]*)|\A\$([_a-z][_a-z0-9]*)\Z", re.IGNORECASE)

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# These steer the CLI itself, or load code into it; where it looks for programs and for credentials is not for a file to say.
_STEERING = re.compile(
    r"PATH\Z|LD_|DYLD_|GO(DEBUG|TRACEBACK|MAXPROCS|GC)\Z|OTEL_|DOCKER_(HOST|CONTEXT|API_VERSION|TLS|CERT_PATH|CUSTOM_HEADERS|CLI_|STACK_ORCH)"
)
_NOT_IN_FILES = ("HOME", "DOCKER_CONFIG")


class Unset(ValueError):
    """The CLI would refuse this text."""


@dataclass(frozen=True)
class Missing:
    """A reference that has no value; ``why`` is empty, or what is wrong with it beyond that. ``inside``: it stands in a default."""

    name: str
    why: str = ""
    inside: bool = False


def substitute(text: str, environment: t.Mapping[str, str]) -> str:
    """``text`` as the CLI hands it on.

    Raises `Unset` for a stray ``$`` and a required variable that is missing. The CLI forgets such a fault when another variable follows in the
    same text (template.go sets its error anew at each match), and puts nothing in its place; `missing` and `stray` find those.
    """

    def value(match: t.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        words = match["named"] or match["braced"]
        if not words:
            raise Unset(f"{text!r} has a $ that begins no variable; write $$ for one that stays")
        return _value(words, environment)

    return _PATTERN.sub(value, text)


def missing(text: str, environment: t.Mapping[str, str]) -> list[Missing]:
    """Every reference of ``text`` without value or default. A text that the CLI refuses as a whole is left to the CLI."""
    found = []
    for match in _PATTERN.finditer(text):
        words = match["named"] or match["braced"] or ""
        name, mark, rest = _parts(words)
        for inner in _INSIDE.finditer(rest if match["braced"] else ""):
            why = f"it stands inside of ${{{name}…}}, where the CLI replaces nothing and ends at the first brace"
            found.append(Missing(inner[1] or inner[2], why, inside=True))
        if not words or mark in (":-", "-"):
            continue
        if name not in environment or (mark == ":?" and not environment[name]):
            found.append(Missing(name, rest.strip() if mark else ""))
    return found


def stray(text: str) -> bool:
    """Whether a ``$`` begins no variable."""
    return any(match["invalid"] is not None for match in _PATTERN.finditer(text))


def _parts(words: str) -> tuple[str, str, str]:
    """Name, mark and rest, in the order in which the CLI tries the marks."""
    for mark in (":-", "-", ":?", "?"):
        if mark in words:
            name, _mark, rest = words.partition(mark)
            return name, mark, rest
    return words, "", ""


def _value(words: str, environment: t.Mapping[str, str]) -> str:
    name, mark, rest = _parts(words)
    value = environment.get(name)
    if mark == ":-":
        return value or rest
    if mark == "-":
        return rest if value is None else value
    if mark and (value is None or (mark == ":?" and not value)):
        raise Unset(f"required variable {name} is missing a value: {rest}")
    return value or ""


def given_value(value: t.Any) -> str:
    """A value of the option ``env`` as text. Raises ValueError for what has no one text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)) and "\0" not in str(value):
        return str(value)
    raise ValueError("is no text and no number")


def refused_name(name: t.Any, of_file: bool) -> str:
    """Why a variable may not be given; empty when it may."""
    if not isinstance(name, str) or not VARIABLE.fullmatch(name):
        return "is no name of a variable"
    if _STEERING.match(name):
        return "steers the docker CLI itself"
    if of_file and name in _NOT_IN_FILES:
        return "says where the docker CLI takes its settings and credentials from, which a file may not"
    return ""


def read_file(text: str) -> tuple[dict[str, str], list[str]]:
    """Variables of an environment file, and one sentence for each line that cannot be taken.

    ``NAME=value``, ``NAME='as it is'``, ``NAME="with \\n and \\""``, each with ``export`` before it or not; ``#`` begins a comment at the start
    of a line and behind a blank. Tools differ in whether they replace ``$OTHER`` in a value, so it is refused outside of single quotes.
    """
    values: dict[str, str] = {}
    wrong = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        match = re.fullmatch(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)", words)
        if not match:
            wrong.append(f"line {number}: no NAME=value.")
            continue
        try:
            values[match[1]] = _line_value(match[2])
        except ValueError as error:
            wrong.append(f"line {number}: the value of {match[1]} {error}.")
    return values, wrong


def _line_value(written: str) -> str:
    text = written.strip()
    quote = text[:1]
    if quote == "'":
        match = re.fullmatch(r"'([^']*)'(?:\s+#.*)?", text)
        if not match:
            raise ValueError("begins with a quote that does not end")
        return match[1]
    if quote == '"':
        match = re.fullmatch(r'"((?:[^"\\]|\\.)*)"(?:\s+#.*)?', text)
        if not match:
            raise ValueError("begins with a quote that does not end")
        value = re.sub(r"\\.", "", match[1])
        inner = re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), match[1])
    else:
        value = inner = re.split(r"\s#", written, maxsplit=1)[0].strip()
    if re.search(r"\$[A-Za-z_{(]", value):
        raise ValueError("has a $ that some tools replace and others do not; put it in single quotes if it is meant as it is")
    return inner
