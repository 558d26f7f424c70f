# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine of a node; see the module's documentation in plugins/modules/node_instance.py."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure

from ..module_utils._node.argspec import INSTANCE
from ..module_utils._node.instance import World, run_instance
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Works on the store here, and on machines by node_machine on the host that the task runs on."""

    _requires_connection = True
    SPEC: t.ClassVar[dict[str, t.Any]] = INSTANCE

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        def call(name: str, arguments: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
            try:
                answer: dict[str, t.Any] = self._execute_module(f"bowline.fleet.{name}", dict(arguments), task_vars=task_vars)
            except AnsibleConnectionFailure as error:
                return {"unreachable": True, "msg": f"{host} does not answer: {error}"}
            return answer

        host = str(self._task.delegate_to or task_vars["inventory_hostname"])
        outcome = run_instance(params, World(lambda copy: self.database(params["store"], copy), self.owner(task_vars), call, host), self.check_mode)
        for warning in outcome.pop("warnings"):
            self._display.warning(warning)
        return outcome
