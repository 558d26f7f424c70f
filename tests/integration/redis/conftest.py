# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers of Redis on loopback, two for each test that asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.tests.loading import load as load_file


def load(name: str):
    """A file beside this one, which tests import as ``bowline_redis_<name>``."""
    return load_file(Path(__file__).parent / f"{name}.py", f"bowline_redis_{name}")


rig = load("rig")
load("load")
load("alone")
Pair = load("pair").Pair


@pytest.fixture(scope="session", autouse=True)
def _programs():
    assert rig.missing() == [], "scripts/packages installs them"


@pytest.fixture
def make(tmp_path):
    """Makes a pair with servers of one's own: ``make(new={"lines": ("databases 4",)})``."""
    made = []

    def start(**servers):
        made.append(Pair(tmp_path / f"pair{len(made)}", **servers).start())
        return made[-1]

    yield start
    for pair in made:
        pair.stop()


@pytest.fixture
def pair(make):
    return make()
