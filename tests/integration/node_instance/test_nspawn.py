# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sample of the kills on real machines of systemd-nspawn: cut off around the call and within it, there is one container, and then none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import process
from ansible_collections.bowline.fleet.tests.loading import load
from fleet import Fleet

pytestmark = pytest.mark.slow

MACHINES = Path(__file__).resolve().parents[1] / "node_machine"
REAL = {"mode": "real"}


@pytest.fixture(scope="module")
def image():
    """The image of the tests of machines, which build it; or the root file system that BOWLINE_NODE_IMAGE names."""
    given = os.environ.get("BOWLINE_NODE_IMAGE")
    return given or load(MACHINES / "conftest.py", "bowline_node_machine_conftest").built("local_nspawn")["image"]


@pytest.mark.parametrize("point", ["I2", "M2.2", "I3"])
def test_one_container_and_then_none(tmp_path, image, point):
    fleet = Fleet(tmp_path, image=str(image), launcher="plain", accept_unpublished="BOWLINE_NODE_IMAGE" in os.environ)
    fleet.runner = load(MACHINES / "drive.py", "bowline_node_drive").runner
    fleet.node()
    folder = tmp_path / "host" / "nspawn"
    try:
        assert fleet.killed(point, "present", **REAL)
        made = fleet.run("present", **REAL)["instance"]
        assert os.listdir(folder) == ["web-1"]
        assert [row.id for row in fleet.rows() if row.terminated_at is None] == [made["id"]]
        assert fleet.run("present", **REAL)["plan"] == []
        if made["power"] == "on":
            assert process.container(made["id"]) is not None
        assert fleet.killed("I3", "absent", force=True, **REAL)
    finally:
        fleet.run("absent", force=True, **REAL)
    assert process.container(made["id"]) is None and os.listdir(folder) == []
