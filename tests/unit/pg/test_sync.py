# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""guarantee: sync as steps: when it is made, kept and taken away."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.result import Step
from ansible_collections.bowline.fleet.plugins.module_utils._pg import options as given, plan
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import sync
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication.sync import NAMES, Standing, merge, steps

NONE = Standing()
HOLDS = Standing('{"at": "t"}', True, NAMES, True)
PREPARED = Standing('{"at": "t"}', True, "", False)
HALF = Standing('{"at": "t"}', True, NAMES, False)
THEIRS = Standing("", False, "theirs", False)
NOTED = Standing(noted=True)


def options(state, guarantee):
    side = {"host": "h", "dbname": "hub"}
    return given.parse({"state": state, "legacy": side, "new": side, "guarantee": guarantee})


@pytest.mark.parametrize(("state", "guarantee", "found", "standing", "action"), [
    ("new", "sync", "armed", NONE, "sync"),
    ("new", "sync", "armed", PREPARED, "sync"),
    ("new", "sync", "new", NONE, "sync"),
    ("new", "sync", "new", HALF, "sync"),
    ("new", "sync", "new", HOLDS, ""),
    ("new", "sync", "window_reverse", HOLDS, ""),
    ("armed", "sync", "new", HOLDS, ""),
    ("armed", "sync", "new", NONE, "sync"),
    ("armed", "sync", "window_reverse", NONE, "sync"),
    ("armed", "sync", "armed", NONE, ""),
    ("armed", "sync", "armed", PREPARED, "async"),
    ("new", "async", "new", HOLDS, "async"),
    ("new", "async", "new", HALF, "async"),
    ("new", "async", "new", NOTED, "async"),
    ("new", "async", "new", NONE, ""),
    ("new", "async", "new", THEIRS, ""),
    ("armed", "async", "new_armed", HOLDS, "async"),
    ("seeded", "async", "new", HOLDS, ""),
    ("seeded", "async", "seeded", PREPARED, "async"),
    ("legacy", "sync", "new_armed", HOLDS, "async"),
    ("legacy", "sync", "new", NONE, ""),
    ("legacy", "async", "rolled_back_cleanup", HOLDS, "async"),
    ("finished", "sync", "new", HOLDS, "async"),
    ("finished", "async", "finished", NONE, ""),
    ("preflight", "sync", "new", HOLDS, ""),
])
def test_steps(state, guarantee, found, standing, action):
    assert [step.action for step in steps(options(state, guarantee), found, standing)] == ([action] if action else [])


def test_waiting_ends_before_the_pair_does_and_after_a_switch():
    waits, goes_on = (Step("sync", ""),), (Step("async", ""),)
    assert [step.action for step in merge(plan.steps("finished", "new"), goes_on)] == ["async", "finish"]
    assert [step.action for step in merge(plan.steps("legacy", "new_armed"), goes_on)] == ["switch", "cleanup", "async"]
    assert [step.action for step in merge(plan.steps("new", "armed"), waits)] == ["switch", "cleanup", "sync"]
    assert merge((), ()) == ()


def test_only_the_whole_of_it_holds():
    assert HOLDS.holds and not HOLDS.none
    for part in (PREPARED, HALF, NOTED):
        assert not part.holds and not part.none
    assert THEIRS.none and not THEIRS.waits
    assert sync.NAMES == "FIRST 1 (pgcut_rev)"
