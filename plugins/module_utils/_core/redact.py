# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep secrets out of results, journals and messages: what is *read* is not covered by ``no_log``."""

from __future__ import annotations

import functools
import json
import typing as t
from urllib.parse import quote

from .secret_forms import MASK, hide, names_secret

__all__ = ["MASK", "field_words", "redact"]

# What a mapping says under the name of a secret when there is none.
_NO_SECRET = ("", "null", "none", "true", "false", "yes", "no", "required", MASK)


# Names of fields come again and again, above all in the series of a probe; each is looked at once.
_SHORT = 64
_hidden = functools.lru_cache(maxsize=4096)(hide)
_names = functools.lru_cache(maxsize=4096)(names_secret)


def redact(value: t.Any, secrets: t.Iterable[str] = ()) -> t.Any:
    """``value`` with every one of ``secrets`` and every recognisable secret replaced, through lists and dicts, keys included.

    A known secret is found as it is and as statements, JSON and URLs write it.
    """
    known = sorted({form for secret in secrets if secret for form in _written(secret)}, key=len, reverse=True)
    return _redact(value, known)


def field_words(field: t.Any) -> str:
    """A field before a colon and what is wrong with it: one that is named after a secret would make the next word look like that."""
    return f"({field})" if names_secret(str(field)) else str(field)


def _written(secret: str) -> set[str]:
    return {secret, secret.replace("'", "''"), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="")}


def _redact(value: t.Any, known: t.Sequence[str]) -> t.Any:
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, MASK)
        return _hidden(value) if len(value) <= _SHORT else hide(value)
    if isinstance(value, t.Mapping):
        return {_redact(key, known): _named(key, item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        before: t.Sequence[t.Any] = [None, *value]
        return [_named(word, item, known) if _is_option(word) else _redact(item, known) for word, item in zip(before, value)]
    return value


def _named(name: t.Any, item: t.Any, known: t.Sequence[str]) -> t.Any:
    """What stands under ``name``: a text under the name of a secret has no form that gives it away."""
    if isinstance(item, str) and isinstance(name, str) and _names(name) and item.lower() not in _NO_SECRET:
        return MASK
    return _redact(item, known)


def _is_option(word: t.Any) -> bool:
    return isinstance(word, str) and word.startswith("--") and "=" not in word
