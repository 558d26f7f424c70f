# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read nodes and their machines; see the module's documentation in plugins/modules/node_instance_info.py."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure

from ..module_utils._node.argspec import INFO
from ..module_utils._node.beats import Beats
from ..module_utils._node.info import Way, info
from ..module_utils._node.store import NodeStore
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Reads a copy in memory, in check mode and outside it; another source than the store is asked on the host that the task runs on."""

    _requires_connection = True

    READS: t.ClassVar[bool] = True
    SPEC: t.ClassVar[dict[str, t.Any]] = INFO

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        def call(name: str, arguments: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
            try:
                answer: dict[str, t.Any] = self._execute_module(f"bowline.fleet.{name}", dict(arguments), task_vars=task_vars)
            except AnsibleConnectionFailure as error:
                return {"unreachable": True, "msg": f"{host} does not answer: {error}"}
            return answer

        host = str(self._task.delegate_to or task_vars["inventory_hostname"])
        with self.database(params["store"]) as database:
            found = info(params, NodeStore(database), Beats(database), Way(call, host))
        for warning in found.pop("warnings", ()):
            self._display.warning(warning)
        return found
