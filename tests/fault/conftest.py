# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of every kind against two real clusters with writers on; the ledger judges.

A sample that touches every step is part of `make test`; ``BOWLINE_FAULTS=all`` (`make faults`) runs all of it, with both pairs of versions in
both directions. One pair of clusters runs at a time. ``BOWLINE_FAULT_SEED`` repeats the random moments of an earlier run.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


def _load(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


rig = sys.modules.get("bowline_pg_rig") or _load("bowline_pg_rig", HERE.parent / "integration" / "pg" / "rig.py")
if "bowline_pg_compare" not in sys.modules:
    _load("bowline_pg_compare", HERE.parent / "integration" / "pg" / "compare.py")

import bench  # noqa: E402


class Worlds:
    """The one pair of clusters that runs now; another pair replaces it."""

    def __init__(self) -> None:
        self.now = None

    def get(self, legacy: int, new: int):
        if self.now is None or (self.now.legacy.major, self.now.new.major) != (legacy, new):
            self.stop()
            self.now = bench.Bench(legacy, new)
            self.now.start()
        return self.now

    def stop(self) -> None:
        if self.now is not None:
            self.now.stop()
            self.now = None


@pytest.fixture(scope="session")
def worlds():
    holder = Worlds()
    yield holder
    holder.stop()


@pytest.fixture
def world(worlds, request):
    """The pair of versions that the test asks for, armed, with legacy serving; the last test may have left it anywhere."""
    found = worlds.get(*getattr(request, "param", bench.PAIRS[-1]))
    found.arm()
    return found


@pytest.fixture
def pair(worlds, request):
    """The pair of versions that the test asks for, seeded, wherever the last test has left it."""
    found = worlds.get(*request.param)
    if found.run("info").get("phase") not in ("seeded", "armed", "new", "new_armed"):
        found.reset()
        found.ok("seeded")
    return found


@pytest.fixture
def empty(worlds, request):
    """An application's database on legacy, nothing on new."""
    found = worlds.get(*getattr(request, "param", bench.PAIRS[-1]))
    found.reset()
    return found


def pytest_collection_modifyitems(config, items):
    """The sample leaves out what is marked ``whole``; pytest counts it as deselected."""
    if bench.ALL:
        return
    left_out = [item for item in items if item.get_closest_marker("whole")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter):
    for line in bench.table():
        terminalreporter.write_line(line)
