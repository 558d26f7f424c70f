# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One verb on the machine of a node; see the module's documentation in plugins/modules/node_action.py."""

from __future__ import annotations

import typing as t

from ..module_utils._node.action import run_action
from ..module_utils._node.argspec import ACTION, ACTION_CONSTRAINTS
from ..plugin_utils.node_world import NodeAction


class ActionModule(NodeAction):
    """Works on the store here; the power of a machine by node_machine on the host that the task runs on."""

    SPEC: t.ClassVar[dict[str, t.Any]] = ACTION
    CONSTRAINTS: t.ClassVar[dict[str, t.Any]] = ACTION_CONSTRAINTS

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return self.told(run_action(params, self.world(params, task_vars), self.check_mode))
