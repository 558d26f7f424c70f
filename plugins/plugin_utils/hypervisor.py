# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_machine_info on the controller itself, for plugins that have no task to run a module with."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..module_utils._core.errors import FleetError
from ..module_utils._node.machine.argspec import MACHINE_INFO
from ..module_utils._node.machine.run import factory, info
from . import runner

# What the inventory calls the controller, and so what node_instance has written down for machines that stand here.
HERE = "localhost"


def call(name: str, given: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """The result of the module ``name`` as a task returns it, a failed one too. Only node_machine_info is called so."""
    params = ArgumentSpecValidator(MACHINE_INFO).validate(dict(given)).validated_parameters
    try:
        return info(params, factory(params, runner.run), os.environ)
    except FleetError as error:
        return {"failed": True, "msg": error.message, "failure": {**error.as_failure(), "module": name}}
