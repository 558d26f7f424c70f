# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One pair of servers of each maker per session; every test begins with the same zone on both."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("bowline_dns_rig", Path(__file__).parent / "rig.py")
rig = importlib.util.module_from_spec(SPEC)
sys.modules["bowline_dns_rig"] = rig
SPEC.loader.exec_module(rig)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """Started pairs by maker, each when the first test asks for it."""
    with contextlib.ExitStack() as stack:
        pairs = {}

        def start(name):
            if name not in pairs:
                kind = rig.PAIRS[name]
                assert not rig.missing(kind), f"{', '.join(rig.missing(kind))}: not installed; scripts/packages installs them"
                pairs[name] = kind(tmp_path_factory.mktemp(name))
                stack.callback(pairs[name].stop)
                pairs[name].start()
            return pairs[name]

        yield start


@pytest.fixture
def of_maker(running):
    """The pair of one maker, as a test needs it."""

    def ready(name):
        pair = running(name)
        for server in (pair.primary, pair.secondary):
            if server.process is None:
                server.start()
        pair.reset()
        return pair

    return ready


@pytest.fixture
def pair(of_maker, request):
    """knot's, unless a test is parametrised over the makers."""
    return of_maker(getattr(request, "param", "knot"))
