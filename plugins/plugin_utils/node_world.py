# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of action plugins that work on the store here and on machines by modules, on the host that the task runs on."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure

from ..module_utils._node.instance import World
from .fleet_action import FleetAction


class NodeAction(FleetAction):
    """A subclass has ``SPEC`` and `work`, as `FleetAction` says."""

    _requires_connection = True

    def world(self, params: t.Mapping[str, t.Any], task_vars: dict[str, t.Any]) -> World:
        """What a run of the room stands on. A host that is away is an answer of its own, never a failure of the task."""
        host = str(self._task.delegate_to or task_vars["inventory_hostname"])

        def call(name: str, arguments: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
            try:
                answer: dict[str, t.Any] = self._execute_module(f"bowline.fleet.{name}", dict(arguments), task_vars=task_vars)
            except AnsibleConnectionFailure as error:
                return {"unreachable": True, "msg": f"{host} does not answer: {error}"}
            return answer

        return World(lambda copy: self.database(params["store"], copy), self.owner(task_vars), call, host)

    def told(self, outcome: dict[str, t.Any]) -> dict[str, t.Any]:
        """A result without its warnings, which are shown."""
        for warning in outcome.pop("warnings"):
            self._display.warning(warning)
        return outcome
