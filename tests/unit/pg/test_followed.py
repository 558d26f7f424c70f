# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remedies that need no server: the failure, what its text says, and no failure (remedies.yml)."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Router
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.routers.clients import Commands
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import literal
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.watchdog import Watchdog, watching

GOOD = {"state": "armed", "legacy": {"host": "a", "dbname": "hub"}, "new": {"host": "b", "dbname": "hub"}, "max_window": 10, "drain_grace": 2}


def failure(work) -> FleetError:
    with pytest.raises(FleetError) as found:
        work()
    return found.value


@pytest.mark.parametrize(("wrong", "right"), [
    ({"max_window": 0}, {"max_window": 3}), ({"drain_grace": 11}, {"drain_grace": 9}), ({"legacy": {"host": "", "dbname": "hub"}}, {}),
    ({"router": {"type": "none", "pause": [["true"]]}}, {"router": {"type": "command", "pause": [["true"]]}}), ({"accept_loss": True}, {}),
], ids=str)
def test_values_that_are_put_right_are_taken(wrong, right):
    found = failure(lambda: parse({**GOOD, **wrong}))
    assert found.code == "invalid_value" and found.remedy == "Correct the values; nothing was changed."
    # Each sentence names the option that is to be put right.
    assert all(sentence.split(":")[0].split(".")[0] in wrong for sentence in found.details["values"])
    parse({**GOOD, **{key: value for key, value in wrong.items() if key not in GOOD and key not in right and key != "accept_loss"}, **right})


def test_commands_are_called_where_something_runs_them():
    router = Router(type="command", route=(("true",),))
    assert "a run that has a runner" in failure(lambda: Commands(router, None).route("new")).remedy
    Commands(router, lambda argv, timeout=None: Completed(0, "", "")).route("new")


def test_a_text_without_the_byte_is_taken():
    assert "NUL" in failure(lambda: literal("a\x00b")).remedy
    assert literal("ab") == "'ab'"


def test_a_window_needs_a_watchdog():
    """Check mode starts none, and never comes here; whoever calls it without one is told."""
    assert "without check mode" in failure(lambda: watching(None)).remedy
    guard = Watchdog(0, 0)
    assert watching(guard) is guard
