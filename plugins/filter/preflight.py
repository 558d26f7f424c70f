# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role cutover_preflight: pure judgement of what its tasks saw."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.preflight import findings


def preflight_findings(seen: t.Any) -> list[dict[str, str]]:
    """All findings behind what was seen, see _core/preflight.py."""
    if not isinstance(seen, dict):
        raise AnsibleFilterError(f"preflight_findings takes a dict of registered results, not {type(seen).__name__}")
    return findings(seen)


class FilterModule:
    """Filters of the preflight."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"preflight_findings": preflight_findings}
