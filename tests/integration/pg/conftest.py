# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two clusters per session; every test that asks for ``world`` begins with an application's database on legacy and none on new."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("bowline_pg_rig", Path(__file__).parent / "rig.py")
rig = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = rig
SPEC.loader.exec_module(rig)


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


@pytest.fixture
def writers():
    """``with writers(world) as w:``"""
    return rig.Writers
