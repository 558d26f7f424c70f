# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role report: pure renderings of what a run collected, see module_utils/_core/report."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import FleetError
from ..module_utils._core.report.data import operation_result, outcome_of
from ..module_utils._core.report.page import report_html
from ..module_utils._core.report.text import cutover_log, incident


def _filter(render: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    def filtered(*given: t.Any) -> t.Any:
        try:
            return render(*given)
        except FleetError as error:
            raise AnsibleFilterError(f"[{error.code}] {error.message} Remedy: {error.remedy}") from error

    return filtered


class FilterModule:
    """Filters of the report."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "operation_report": _filter(report_html),
            "operation_log": _filter(cutover_log),
            "operation_incident": _filter(incident),
            "operation_outcome": _filter(outcome_of),
            "operation_result": _filter(operation_result),
        }
