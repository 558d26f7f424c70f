# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a Swarm and judge it; see the module's documentation in plugins/modules/swarm_cluster_info.py."""

from __future__ import annotations

import typing as t

from ..module_utils._swarm.cluster.argspec import CLUSTER_INFO
from ..module_utils._swarm.cluster.run import info
from ..module_utils._swarm.store import Cluster, ClusterStore
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """The store is only opened for a cluster by its name, and then as a copy in memory."""

    READS: t.ClassVar[bool] = True
    SPEC: t.ClassVar[dict[str, t.Any]] = CLUSTER_INFO
    CONSTRAINTS: t.ClassVar[dict[str, t.Any]] = {"mutually_exclusive": [("name", "docker_host")]}

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        def find(name: str) -> Cluster | None:
            with self.database(params["store"]) as database:
                return ClusterStore(database).get(name)

        return info(params, find)
