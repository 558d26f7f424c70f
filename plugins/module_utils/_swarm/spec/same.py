# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether two bodies say the same to the engine, which drops what is null or empty when it keeps them."""

from __future__ import annotations

import typing as t


def bare(value: t.Any) -> t.Any:
    """``value`` without nulls and without empty texts, lists and mappings in mappings. False and 0 stay: they can differ from a default."""
    if isinstance(value, t.Mapping):
        inner = {str(key): bare(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item is not None and item != "" and item != [] and item != {}}
    if isinstance(value, (list, tuple)):
        return [bare(item) for item in value]
    return value


def same(one: t.Any, other: t.Any) -> bool:
    """Equal but for nulls and empty values; None equals an empty mapping."""
    return bool(bare(one or {}) == bare(other or {}))
