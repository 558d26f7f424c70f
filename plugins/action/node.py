# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declare a node; see the module's documentation in plugins/modules/node.py."""

from __future__ import annotations

import typing as t

from ..module_utils._node.argspec import NODE
from ..module_utils._node.lease import Leases
from ..module_utils._node.run import run_node
from ..module_utils._node.store import NodeStore
from ..module_utils._store.store import StateStore
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Writes a row of the store, under the lease of its subject."""

    SPEC: t.ClassVar[dict[str, t.Any]] = NODE

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        owner = self.owner(task_vars)
        with self.database(params["store"]) as database:
            return run_node(params, NodeStore(database), Leases(database, StateStore(database, owner), owner))
