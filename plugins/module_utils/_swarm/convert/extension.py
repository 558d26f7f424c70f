# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``x-bowline`` in compose files: the wave of a service, and gates. Variables in it are replaced by the same rules as everywhere in the file."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.argspec import unknown_keys
from ..._core.finding import Finding
from ..model import Json
from . import variables
from .documents import Document, Node, child, children, entries

KEY = "x-bowline"
OF_STACK = ("gates",)
OF_SERVICE = ("wave",)

# An anchor can make a small file large without end; gates are a few lines.
_NODES_MAX = 10_000


@dataclass(frozen=True)
class Extension:
    """``waves`` by the name of the service in the file; ``gates`` as they stand there."""

    waves: t.Mapping[str, int] = field(default_factory=dict)
    gates: tuple[Json, ...] = ()


class _Wrong(ValueError):
    """A value cannot be read; the text says why."""


def read(documents: t.Sequence[Document], environment: t.Mapping[str, str]) -> tuple[Extension, list[Finding]]:
    """What all files say together: a wave or a list of gates in a later file stands in the place of an earlier one."""
    waves: dict[str, int] = {}
    gates: tuple[Json, ...] = ()
    found: list[Finding] = []
    for document in documents:
        node = child(document.root, KEY)
        found += _unknown(document, (KEY,), node, OF_STACK)
        try:
            listed = child(node, "gates")
            gates = gates if listed is None else _gates(_plain(listed, environment))
        except _Wrong as error:
            found.append(_finding(document, (KEY, "gates"), node, str(error)))
        for service, below in entries(child(document.root, "services")).items():
            node = child(below, KEY)
            words = ("services", service, KEY)
            found += _unknown(document, words, node, OF_SERVICE)
            try:
                wave = child(node, "wave")
                waves.update({} if wave is None else {service: _wave(_plain(wave, environment))})
            except _Wrong as error:
                found.append(_finding(document, (*words, "wave"), node, str(error)))
    return Extension(waves, gates), found


def _unknown(document: Document, words: tuple[str, ...], node: Node, known: t.Sequence[str]) -> list[Finding]:
    if node is None:
        return []
    if getattr(node, "id", "") != "mapping":
        return [_finding(document, words, node, "is no mapping")]
    return [
        Finding("unknown_key", "fail", field=KEY, message=f"{document.at((), node)}{sentence}", remedy="Correct the key, or take it out.")
        for sentence in unknown_keys(".".join(words), entries(node), known)
    ]


def _finding(document: Document, words: tuple[str, ...], node: Node, problem: str) -> Finding:
    return Finding("compose_invalid", "fail", field=KEY, message=f"{document.at(words, node)} {problem}.",
                   remedy="Correct the value; docs/guides/stacks.md has an example.")


def _wave(value: t.Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or int(text) > 999:
        raise _Wrong(f"is {value!r}; a wave is a whole number from 0 to 999")
    return int(text)


def _gates(value: t.Any) -> tuple[Json, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _Wrong("is no list of mappings")
    return tuple(value)


def _plain(node: Node, environment: t.Mapping[str, str]) -> t.Any:
    """The value of a node, its texts with variables replaced."""
    left = [_NODES_MAX]

    def value(item: Node, depth: int) -> t.Any:
        left[0] -= 1
        if left[0] < 0 or depth > 50:
            raise _Wrong("is too large")
        kind = getattr(item, "id", "")
        if kind == "mapping":
            return {key: value(below, depth + 1) for key, below in entries(item).items()}
        if kind == "sequence":
            return [value(below, depth + 1) for _number, below in children(item)]
        return _scalar(item, environment)

    return value(node, 0)


def _scalar(node: Node, environment: t.Mapping[str, str]) -> t.Any:
    import yaml  # documents.py has said so when it is missing

    if node.tag == "tag:yaml.org,2002:str":
        try:
            return variables.substitute(node.value, environment)
        except variables.Unset as error:
            raise _Wrong(f"cannot be read: {error}") from error
    try:
        return yaml.SafeLoader("").construct_object(node)
    except yaml.YAMLError as error:
        raise _Wrong(f"has a value that cannot be read: {node.value!r}") from error
