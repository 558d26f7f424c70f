# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a schema with a finding to the smallest one that still has it: whole features first, then single statements."""

from __future__ import annotations

import typing as t

from .draw import PLAIN_DATABASE, Schema

Holds = t.Callable[[Schema], bool]


def minimise(schema: Schema, holds: Holds, tries: int = 60) -> Schema:
    """``holds`` says whether a smaller schema has the same finding; at most ``tries`` of them are asked."""
    left = [tries]

    def asked(smaller: Schema) -> bool:
        left[0] -= 1
        return left[0] >= 0 and holds(smaller)

    if schema.create != PLAIN_DATABASE:
        plain = schema.only(schema.parts, PLAIN_DATABASE)
        schema = plain if asked(plain) else schema
    names = _fewer(list(schema.parts), lambda some: asked(schema.only({name: schema.parts[name] for name in some})))
    schema = schema.only({name: schema.parts[name] for name in names})
    for name in names:
        parts = dict(schema.parts)
        parts[name] = tuple(_fewer(list(parts[name]), lambda some, parts=parts, name=name: asked(schema.only({**parts, name: some}))))
        schema = schema.only(parts)
    return schema


def _fewer(items: list[str], holds: t.Callable[[list[str]], bool]) -> list[str]:
    """Without the items that can go, halves first."""
    size = max(len(items) // 2, 1)
    while True:
        start = 0
        while start < len(items):
            rest = items[:start] + items[start + size:]
            if rest and holds(rest):
                items = rest
            else:
                start += size
        if size == 1:
            return items
        size //= 2
