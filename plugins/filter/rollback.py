# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role rollback: what hosts answered after a failure, as decisions and as one sentence."""

from __future__ import annotations

import typing as t

from ..module_utils._core.redact import redact
from ..module_utils._core.standing import edges_to_release, serving_of, standing


def rollback_standing(looks: t.Any, kind: str, sources: t.Sequence[str], check: bool = False, good: bool = False) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", redact(standing(looks, kind, [str(source) for source in sources], check, good=good)))


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"rollback_serving": serving_of, "rollback_edges": edges_to_release, "rollback_standing": rollback_standing}
