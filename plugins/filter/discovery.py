# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role discover: what was found, as a page, and what stands open in it."""

from __future__ import annotations

import typing as t

from ..module_utils._core.discovery import open_decisions, report


def discovery_open(project: t.Mapping[str, t.Any], native: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    return [finding.as_dict() for finding in open_decisions(project, native)]


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"discovery_report": report, "discovery_open": discovery_open}
