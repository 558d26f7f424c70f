# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role cancel: what hosts answered, as a decision, and how a move that was given up ends."""

from __future__ import annotations

import typing as t

from ..module_utils._core.cancel import decision, ending
from ..module_utils._core.redact import redact


def cancel_decision(looks: t.Any, sources: t.Sequence[str]) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", redact(decision(looks, [str(source) for source in sources])))


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"cancel_decision": cancel_decision, "cancel_ending": ending}
