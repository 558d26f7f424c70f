# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read operations from the store; see the module's documentation in plugins/modules/operation_info.py."""

from __future__ import annotations

import typing as t

from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Reads a copy in memory, in check mode and outside it."""

    READS: t.ClassVar[bool] = True
    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "store": {"type": "str"},
        "id": {"type": "str"},
        "subject": {"type": "str"},
        "kind": {"type": "str"},
        "limit": {"type": "int", "default": 10},
    }

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        with self.store(params["store"], task_vars) as store:
            found = store.operations(operation_id=params["id"], subject=params["subject"], kind=params["kind"], limit=params["limit"])
            lease = store.lease(params["subject"]) if params["subject"] else None
        return {"changed": False, "operations": found, "lease": lease}
