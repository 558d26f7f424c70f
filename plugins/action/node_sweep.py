# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what machines said of themselves; see the module's documentation in plugins/modules/node_sweep.py."""

from __future__ import annotations

import typing as t

from ..module_utils._node.argspec import SWEEP
from ..module_utils._node.beats import Beats
from ..module_utils._node.store import NodeStore
from ..module_utils._node.sweep import sweep
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Facts, not decisions: no lease is taken, and a node that somebody works on is heard as well."""

    SPEC: t.ClassVar[dict[str, t.Any]] = SWEEP

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        with self.database(params["store"]) as database:
            return sweep(params, NodeStore(database), Beats(database))
