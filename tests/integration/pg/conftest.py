# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two clusters per session; every test that asks for ``world`` begins with an application's database on legacy and none on new."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.tests.loading import load as load_file

# Several minutes each; `make faults` runs them. `make test` moves a database there and back, in order and out of order.
LONG = ["test_cron.py", "test_engines.py", "test_freeze.py", "test_loss.py", "test_odd.py", "test_physical.py", "test_preflight.py",
        "test_routers.py", "test_remedies_parts.py", "test_snapshot.py", "test_sync.py", "test_trial.py", "test_verify.py"]
collect_ignore = [] if os.environ.get("BOWLINE_FAULTS") == "all" else LONG


def load(name: str):
    """A file beside this one; tests import it as ``bowline_pg_<name>``, since no folder of tests is on the path."""
    return load_file(Path(__file__).parent / f"{name}.py", f"bowline_pg_{name}")


rig = load("rig")
sys.modules.setdefault("bowline_pg_writes", rig.writes)
load("compare")
load("traps")
load("managed")
load("enemy")
load("plants")


@pytest.fixture(scope="session")
def clusters():
    world = rig.World()
    try:
        world.start()
        yield world
    finally:
        world.stop()


@pytest.fixture
def world(clusters):
    clusters.reset()
    return clusters


@pytest.fixture(scope="module")
def pair(clusters):
    """An armed pair for all tests of a file."""
    clusters.reset()
    clusters.ok("armed")
    return clusters


@pytest.fixture
def armed(pair):
    """The same, and legacy serves."""
    if pair.open_sides() != ["legacy"]:
        pair.ok("legacy", verify="none")
    pair.ok("armed")
    return pair


@pytest.fixture
def writers():
    """``with writers(world) as w:``"""
    return rig.Writers
