# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`fleet` and `controller` of the tests of machines are importable from those of this folder; machines of a recorder, or of systemd-nspawn."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.tests.loading import load

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "node_instance")]

from fleet import Fleet  # noqa: E402


@pytest.fixture
def fleet(folder):
    """A fleet without a node, and nothing on its host."""
    return Fleet(folder)


@pytest.fixture
def folder():
    """In memory where that can be: each write of a store waits for its disk otherwise."""
    made = tempfile.mkdtemp(prefix="bowline-action-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    yield Path(made)
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def image():
    """The image of the tests of machines, which build it; or the root file system that BOWLINE_NODE_IMAGE names."""
    machines = Path(__file__).resolve().parents[1] / "node_machine"
    return os.environ.get("BOWLINE_NODE_IMAGE") or load(machines / "conftest.py", "bowline_node_machine_conftest").built("local_nspawn")["image"]
