# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Register and watch a Swarm; see the module's documentation in plugins/modules/swarm_cluster.py."""

from __future__ import annotations

import typing as t

from ..module_utils._swarm.cluster.argspec import CLUSTER
from ..module_utils._swarm.cluster.run import run
from ..module_utils._swarm.store import ClusterStore
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Asks the engines from the controller, where the store is; the files of TLS are those of the controller."""

    SPEC: t.ClassVar[dict[str, t.Any]] = CLUSTER

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        with self.database(params["store"]) as database:
            return run(params, ClusterStore(database), self.check_mode)
