# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The router's commands: the side in its place, in order, and a failure that says which one it was."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Router
from ansible_collections.bowline.fleet.plugins.module_utils._pg.router import Clients

ROUTER = Router("command", (("edge", "hold"),), (("edge", "route", "{side}"),), (("edge", "warmup", "{side}"),), (("edge", "release"),), 7)


def clients(router=ROUTER, rc=0):
    seen = []

    def runner(argv, *, env=None, stdin=None, timeout=None):
        seen.append((" ".join(argv), timeout))
        return Completed(rc, "", "no such backend")

    return Clients(router, runner), seen


def test_a_side_is_routed_proven_and_released_in_this_order():
    behind, seen = clients()
    behind.pause("legacy")
    behind.serve("new")
    assert seen == [("edge hold", 7), ("edge route new", 7), ("edge warmup new", 7), ("edge release", 7)]


def test_type_none_runs_nothing():
    behind, seen = clients(Router())
    behind.pause("legacy")
    behind.serve("new")
    assert seen == []


def test_a_failure_names_command_and_code():
    behind, _seen = clients(rc=3)
    with pytest.raises(FleetError) as failure:
        behind.serve("new")
    assert failure.value.code == "router_failed"
    assert "router.route for side new ended with 3: edge route new: no such backend." in failure.value.message
