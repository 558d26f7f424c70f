# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`fleet` of this folder is importable from its tests."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fleet import Fleet  # noqa: E402


@pytest.fixture
def folder():
    """In memory where that can be: each write of a store waits for its disk otherwise."""
    made = tempfile.mkdtemp(prefix="bowline-node-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    yield Path(made)
    shutil.rmtree(made)


@pytest.fixture
def fleet(folder):
    """A fleet with one node, web-1, and nothing on its host."""
    made = Fleet(folder)
    made.node()
    return made
