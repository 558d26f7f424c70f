# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs that several modules share, and the refusal of misspelt nested keys."""

from __future__ import annotations

import difflib
import typing as t

from .errors import FleetError

WAIT: dict[str, t.Any] = {
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "float", "default": 300},
}


def unknown_keys(field: str, given: t.Iterable[str], known: t.Iterable[str]) -> list[str]:
    """One sentence for each key in ``given`` that is not ``known``, with the near miss; empty when all are known."""
    names = sorted(known)
    sentences = []
    for key in given:
        if key in names:
            continue
        near = difflib.get_close_matches(str(key), names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names)}."
        sentences.append(f"{field}.{key}: unknown key. {hint}")
    return sentences


def refuse_unknown_keys(field: str, given: t.Iterable[str], known: t.Iterable[str]) -> None:
    """Raise FleetError ``unknown_key`` with all sentences of `unknown_keys` at once."""
    sentences = unknown_keys(field, given, known)
    if sentences:
        raise FleetError("unknown_key", " ".join(sentences), remedy="Correct the key; nothing was changed.", details={"keys": sentences})
