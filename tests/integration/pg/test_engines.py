# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy server that cannot publish (wal_level = replica): engine dump, its way back, and the restart that makes it publish."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

rig = sys.modules["bowline_pg_rig"]
LONG = {"engine": "dump", "max_window": 60}


@pytest.fixture(scope="module")
def replicas():
    """Clusters of its own, since wal_level of legacy needs a start."""
    world = rig.World()
    try:
        world.start()
        world.legacy.stop()
        with (world.legacy.home / "data" / "postgresql.conf").open("a") as file:
            file.write("wal_level = replica\n")
        world.legacy.start()
        yield world
    finally:
        world.stop()


@pytest.fixture
def replica(replicas):
    replicas.reset()
    return replicas


def failed(outcome, code):
    assert outcome.get("failed"), outcome
    assert outcome["failure"]["code"] == code, outcome["failure"]
    return outcome["failure"]


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)


def test_a_dump_and_the_way_back_lose_no_row(replica, writers):
    world = replica
    assert world.ok("armed", **LONG)["phase_after"] == "armed"
    with writers(world) as clients:
        there = world.ok("new", **LONG)
        assert (there["engine"], there["phase_after"], there["serving"]) == ("dump", "new", "new")
        assert (there["verify"]["equal"], there["rollback"]["armed"], there["rollback"]["reason"]) == (True, True, "")
        time.sleep(1)
        back = world.ok("legacy", **LONG)
        assert (back["phase_after"], back["serving"], back["verify"]["equal"]) == ("prepared", "legacy", True)
    clients.assert_lossless()
