# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading values of a document that a person wrote: each reader returns a usable value and notes what is wrong with the given one."""

from __future__ import annotations

import typing as t

from .._core.argspec import unknown_keys
from .._core.errors import FleetError
from .._core.finding import of_sentences


class Findings:
    """Collects what is wrong with one value after the other, so that a user sees everything at once."""

    def __init__(self) -> None:
        self.items: list[str] = []

    def add(self, path: str, sentence: str) -> None:
        self.items.append(f"{path}: {sentence}")

    def keys(self, path: str, given: t.Mapping[str, t.Any], known: t.Sequence[str]) -> None:
        self.items.extend(unknown_keys(path, given, known))

    def mapping(self, path: str, value: t.Any, known: t.Sequence[str]) -> dict[str, t.Any]:
        if not isinstance(value, t.Mapping):
            self.add(path, f"must be a mapping, is {kind_of(value)}.")
            return {}
        given = {str(key): item for key, item in value.items()}
        self.keys(path, given, known)
        return given

    def text(self, path: str, value: t.Any, default: str = "", pattern: t.Optional[t.Pattern[str]] = None, rule: str = "") -> str:
        if value is None:
            return default
        if not isinstance(value, str) or "\x00" in value or (pattern is not None and not pattern.match(value)):
            self.add(path, f"{rule or 'must be a text'}; is {value!r}.")
            return default
        return str(value)

    def path(self, path: str, value: t.Any, default: str = "") -> str:
        text = self.text(path, value, default)
        if text and (not text.startswith("/") or "\n" in text or any(part == ".." for part in text.split("/"))):
            self.add(path, f"must be an absolute path without '..'; is {text!r}.")
        return text

    def choice(self, path: str, value: t.Any, choices: t.Sequence[str], default: str) -> str:
        if value is None:
            return default
        if value not in choices:
            self.add(path, f"must be one of {', '.join(choices)}; is {value!r}.")
            return default
        return str(value)

    def boolean(self, path: str, value: t.Any, default: bool) -> bool:
        if value is None:
            return default
        if not isinstance(value, bool):
            self.add(path, f"must be true or false; is {value!r}.")
            return default
        return value

    def number(self, path: str, value: t.Any, default: float, low: float, high: float) -> float:
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            self.add(path, f"must be a number from {low:g} to {high:g}; is {value!r}.")
            return default
        return value

    def items_of(self, path: str, value: t.Any) -> list[t.Any]:
        if value is None:
            return []
        if isinstance(value, (str, bytes, t.Mapping)) or not isinstance(value, t.Sequence):
            self.add(path, f"must be a list, is {kind_of(value)}.")
            return []
        return list(value)

    def texts(self, path: str, value: t.Any, pattern: t.Optional[t.Pattern[str]] = None, rule: str = "") -> tuple[str, ...]:
        return tuple(self.text(f"{path}[{n}]", item, "", pattern, rule) for n, item in enumerate(self.items_of(path, value)))

    def command(self, path: str, value: t.Any, required: bool) -> tuple[str, ...]:
        argv = self.texts(path, value)
        if not argv:
            if required:
                self.add(path, "must be a list of words, the first an absolute path.")
            return ()
        if not argv[0].startswith("/"):
            self.add(path, f"the first word must be an absolute path; is {argv[0]!r}.")
        return argv


def refuse(sentences: t.Sequence[str], remedy: str, code: str = "manifest_invalid") -> None:
    """Raise FleetError with every sentence as a finding of its own; nothing when there is none."""
    if sentences:
        raise FleetError(code, " ".join(sentences), remedy=remedy, details={"findings": of_sentences(code, sentences, remedy)})


def kind_of(value: t.Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, t.Mapping):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else type(value).__name__
