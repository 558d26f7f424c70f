# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A ground for each test, with an enemy on it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def load(name: str, path: Path):
    """A file as a module; no folder of tests is on the path."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


HERE = Path(__file__).parent
enemy = load("bowline_host_enemy", HERE / "enemy.py")
rig = load("bowline_host_rig", HERE.parent / "traffic" / "rig.py")


@pytest.fixture
def ground(monkeypatch):
    assert not enemy.root_is_needed(), f"needed: {enemy.root_is_needed()}"
    monkeypatch.delenv("SUDO_UID", raising=False)
    made = enemy.Ground()
    yield made
    made.end()


@pytest.fixture
def traffic_rig():
    return rig
