# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine of a node; see the module's documentation in plugins/modules/node_instance.py."""

from __future__ import annotations

import typing as t

from ..module_utils._node.argspec import INSTANCE
from ..module_utils._node.instance import run_instance
from ..plugin_utils.node_world import NodeAction


class ActionModule(NodeAction):
    """Works on the store here, and on machines by node_machine on the host that the task runs on."""

    SPEC: t.ClassVar[dict[str, t.Any]] = INSTANCE

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return self.told(run_instance(params, self.world(params, task_vars), self.check_mode))
