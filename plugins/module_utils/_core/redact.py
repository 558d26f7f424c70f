# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep secrets out of results, journals and messages: what is *read* is not covered by ``no_log``."""

from __future__ import annotations

import re
import typing as t

MASK = "********"

# key=value and URL forms in which connection strings and command lines carry secrets.
_PATTERNS = (
    re.compile(r"(?i)\b(password|passwd|pgpassword|secret|token|api_?key)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&'\"]+)"),
    re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s:/@]+)(:)([^\s@/]+)(?=@)"),
)


def redact(value: t.Any, secrets: t.Iterable[str] = ()) -> t.Any:
    """``value`` with every one of ``secrets`` and every recognisable secret replaced, through lists and dicts, keys included."""
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    return _redact(value, known)


def _redact(value: t.Any, known: t.Sequence[str]) -> t.Any:
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, MASK)
        for pattern in _PATTERNS:
            value = pattern.sub(lambda match: f"{match.group(1)}{match.group(2)}{MASK}", value)
        return value
    if isinstance(value, t.Mapping):
        return {_redact(key, known): _redact(item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact(item, known) for item in value]
    return value
