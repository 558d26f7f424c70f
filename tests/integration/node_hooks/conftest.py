# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`engine` of this folder is importable from its tests; one engine for all of them, with no container before each."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from engine import Engine  # noqa: E402


@pytest.fixture(scope="session")
def one_engine():
    if os.geteuid():
        pytest.fail("an engine of its own needs root")
    # Not pytest's folder: a socket's path has 107 characters at most (unix(7)).
    made = Engine(Path(tempfile.mkdtemp(prefix="bowline-hooks-")))
    try:
        made.start()
        made.image()
        yield made
    finally:
        # One that does not want to stop would hold the engine up.
        if made.runs():
            made.clear()
        made.stop()
        shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def engine(one_engine):
    one_engine.start()
    one_engine.clear()
    return one_engine
