# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What providers there are; see the module's documentation in plugins/modules/node_provider_info.py."""

from __future__ import annotations

import typing as t

from ..module_utils._node.provider.argspec import PROVIDER_INFO
from ..module_utils._node.provider.catalogue import info
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Answered from data, so no host is asked and no store is opened."""

    SPEC: t.ClassVar[dict[str, t.Any]] = PROVIDER_INFO

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        return info(params)
