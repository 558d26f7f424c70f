# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab is started once and shared; every module of tests begins with the world before the first cutover."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import ROOT, World  # noqa: E402


@pytest.fixture(scope="session")
def lab():
    logs = ROOT / "build" / "test" / "cutover"
    logs.mkdir(parents=True, exist_ok=True)
    world = World(logs)
    world.up()
    yield world
    world.writers("stop")
    world.close()


@pytest.fixture(scope="module")
def world(lab):
    lab.reset()
    return lab
