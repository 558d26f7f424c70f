# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a fleet; see the module's documentation in plugins/modules/node_sensor_info.py."""

from __future__ import annotations

import typing as t

from ..module_utils._node.argspec import SENSORS
from ..module_utils._node.sensors import sensors
from ..module_utils._node.store import NodeStore
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Reads a copy in memory, in check mode and outside it."""

    READS: t.ClassVar[bool] = True
    SPEC: t.ClassVar[dict[str, t.Any]] = SENSORS

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        with self.database(params["store"]) as database:
            return sensors(params, NodeStore(database))
