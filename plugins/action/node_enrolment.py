# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a machine a member of the fleet; see the module's documentation in plugins/modules/node_enrolment.py."""

from __future__ import annotations

import os
import typing as t

from ..module_utils._core.errors import FleetError
from ..module_utils._node.argspec import ENROLMENT
from ..module_utils._node.enrol import run
from ..module_utils._node.hostkeys import names_of
from ..module_utils._node.store import NodeStore
from ..plugin_utils import runner
from ..plugin_utils.authority import FileAuthority, default_folder
from ..plugin_utils.fleet_action import FleetAction

_KINDS = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}


class ActionModule(FleetAction):
    """The CA and its key are on the controller, and nowhere else."""

    SPEC: t.ClassVar[dict[str, t.Any]] = ENROLMENT
    CONSTRAINTS: t.ClassVar[dict[str, t.Any]] = {
        "required_if": [("state", "enrolled", ["name", "addresses", "host_key"]), ("state", "absent", ["name"])]
    }

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        with self.database(params["store"]) as database:
            store = NodeStore(database)
            folder = params["authority"] or default_folder(os.environ)
            authority = FileAuthority(folder, store.fleet(), store.now, params["days"])
            return run(params, store, authority, lambda: scan(params), self.check_mode)


def scan(params: t.Mapping[str, t.Any]) -> str:
    """What ssh-keyscan(1) gets at the addresses; empty where nothing can be asked from here, as behind a jump host."""
    names = names_of(params["addresses"], 22)
    if not params["scan"] or not names:
        return ""
    kind = _KINDS.get(params["host_key"].split(" ")[0], "ecdsa")
    try:
        return runner.run(["ssh-keyscan", "-T", "5", "-p", str(params["port"]), "-t", kind, "--", *names], timeout=30).out
    except FleetError:
        return ""
