# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role cutover_preflight: pure judgement of what its tasks saw."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.preflight import exposed, gates, judge, misspelt, observations


def preflight_findings(seen: t.Any) -> list[dict[str, str]]:
    """Findings behind the registered results, see _core/preflight.py."""
    if not isinstance(seen, dict):
        raise AnsibleFilterError(f"preflight_findings takes a dict of registered results, not {type(seen).__name__}")
    return judge(observations(seen))


def preflight_gates(ports: t.Any, data_directory: t.Any) -> list[dict[str, t.Any]]:
    """Checks of a gate on the target for ``ports`` and the room below ``data_directory``."""
    if not isinstance(ports, list) or not isinstance(data_directory, str):
        raise AnsibleFilterError("preflight_gates takes a list of ports and the path of the data directory")
    return gates(ports, data_directory)


def preflight_misspelt(given: t.Any, specs: t.Any) -> list[dict[str, str]]:
    """Findings for the variable names ``given`` that no argument spec of ``specs`` knows."""
    if not isinstance(given, list) or not isinstance(specs, list):
        raise AnsibleFilterError("preflight_misspelt takes a list of names and a list of argument specs")
    return misspelt(given, specs)


def preflight_exposed(places: t.Any) -> list[dict[str, str]]:
    """Findings for files with secrets at and below ``places`` on this machine that others may read or swap."""
    if not isinstance(places, list):
        raise AnsibleFilterError(f"preflight_exposed takes a list of paths, not {type(places).__name__}")
    return exposed([str(place) for place in places], "cutover_preflight_secrets")


class FilterModule:
    """Filters of the preflight."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "preflight_exposed": preflight_exposed,
            "preflight_findings": preflight_findings,
            "preflight_gates": preflight_gates,
            "preflight_misspelt": preflight_misspelt,
        }
