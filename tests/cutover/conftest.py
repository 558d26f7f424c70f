# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lab for all files, from the world before the first cutover on; in the order of their names each goes on from where the one before it ended.

What only asks comes first (test_0), the story of the README after it (test_1). faults.py makes its own worlds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import ROOT, World  # noqa: E402

from prints import unchanged  # noqa: E402


@pytest.fixture(scope="session")
def lab(request):
    # The questions and the story may be runs of their own; the story looks for secrets in what both left.
    logs = ROOT / "build" / "test" / "cutover" / request.session.items[0].path.stem
    logs.mkdir(parents=True, exist_ok=True)
    world = World(logs)
    world.up()
    yield world
    world.writers("stop")
    world.close()


@pytest.fixture(scope="session")
def world(lab):
    lab.reset()
    return lab


@pytest.fixture
def refused(world):
    """Run the cutover with extra variables; it must fail in C1 with all ``codes`` and ``words``, and leave everything as it was."""

    def run(variables: dict, codes: tuple[str, ...], *words: str) -> str:
        # The journal is history: it keeps that somebody tried.
        with unchanged(world, "journal"):
            done = world.run("cutover", "-e", json.dumps(variables))
        text = " ".join(done.text().split())
        assert done.process.returncode != 0, text[-3000:]
        assert [code for code in codes if f" {code}:" not in text] == [], text[-3000:]
        assert [word for word in words if word not in text] == [], text[-3000:]
        failure = done.figures()["failure"]
        assert failure["code"] in (*codes, "preflight_failed")
        assert failure["remedy"]
        return text

    return run
