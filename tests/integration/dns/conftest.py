# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One pair of knot servers per session; every test begins with the same zone on both."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("bowline_knot", Path(__file__).parent / "knot.py")
knot = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(knot)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    assert knot.available(), "knot and knot-dnsutils are needed: apt install knot knot-dnsutils"
    pair = knot.Pair(tmp_path_factory.mktemp("knot"))
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()


@pytest.fixture
def pair(running):
    for server in (running.primary, running.secondary):
        if server.process is None:
            server.start()
    running.reset()
    return running
