# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter over results of pg_cutover and pg_cutover_info."""

from __future__ import annotations

import typing as t

from ..module_utils._pg.follow import summary


def pg_cutover_sentence(facts: t.Any, since: t.Any = None, window_ms: t.Any = None, at: t.Any = None, planned: bool = False) -> str:
    sentence = summary(
        facts, float(since) if since else None, float(window_ms) if window_ms is not None else None, at=float(at) if at else None
    )
    return f"planned: {sentence}" if planned else sentence


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"pg_cutover_sentence": pg_cutover_sentence}
