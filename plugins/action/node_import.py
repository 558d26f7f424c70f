# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the rows of a store that was lost again; see the module's documentation in plugins/modules/node_import.py."""

from __future__ import annotations

import os
import time
import typing as t

from ..module_utils._node.argspec import IMPORT
from ..module_utils._node.importing import World, run_import
from ..plugin_utils.authority import FileAuthority, default_folder
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Writes rows of the store, each under the lease of its subject."""

    SPEC: t.ClassVar[dict[str, t.Any]] = IMPORT

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        def authority(fleet: str) -> str:
            return FileAuthority(params["authority"] or default_folder(os.environ), fleet, time.time).fingerprint()

        world = World(lambda copy: self.database(params["store"], copy), self.owner(task_vars), authority)
        outcome = run_import(params, world, self.check_mode)
        for warning in outcome.pop("warnings"):
            self._display.warning(warning)
        return outcome
