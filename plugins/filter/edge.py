# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter of the roles that know edges: one of them with everything that its inventory left out."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import FleetError
from ..module_utils._traffic.subject import edge_of


def _edge_of(sides: t.Any, side: str, subject: str) -> dict[str, t.Any]:
    try:
        return edge_of(sides, side, str(subject))
    except FleetError as error:
        raise AnsibleFilterError(f"[{error.code}] {error.message} Remedy: {error.remedy}") from error


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"edge_of": _edge_of}
