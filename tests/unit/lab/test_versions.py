# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PostgreSQL the lab has on each side, and what it refuses before anything is made."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

LAB = str(Path(__file__).resolve().parents[2] / "lab")


@pytest.fixture(scope="module")
def rig():
    sys.path.insert(0, LAB)
    yield importlib.import_module("rig.versions"), importlib.import_module("rig.shell").LabError, importlib.import_module("rig.image")
    sys.path.remove(LAB)


@pytest.mark.parametrize(("environ", "made", "found"), [
    pytest.param({}, {}, (15, 15), id="nobody asks"),
    pytest.param({"LAB_PG_TARGET": "17"}, {}, (15, 17), id="another target"),
    pytest.param({"LAB_PG_LEGACY": "17", "LAB_PG_TARGET": "17"}, {}, (17, 17), id="both"),
    pytest.param({}, {"legacy": 15, "target": 17}, (15, 17), id="a lab keeps its versions"),
    pytest.param({"LAB_PG_TARGET": "17"}, {"legacy": 15, "target": 17}, (15, 17), id="asked again"),
])
def test_versions(rig, environ, made, found):
    assert tuple(rig[0].chosen(environ, made).values()) == found


@pytest.mark.parametrize(("environ", "made", "words"), [
    pytest.param({"LAB_PG_TARGET": "16"}, {}, ["LAB_PG_TARGET: PostgreSQL 16 cannot be had", "15 (Debian bookworm), 17 (Debian trixie)"], id="unknown"),
    pytest.param({"LAB_PG_LEGACY": "x", "LAB_PG_TARGET": "16"}, {}, ["LAB_PG_LEGACY", "LAB_PG_TARGET"], id="all at once"),
    pytest.param({"LAB_PG_LEGACY": "17"}, {}, ["17 is newer than LAB_PG_TARGET 15"], id="older target"),
    pytest.param({"LAB_PG_TARGET": "17"}, {"legacy": 15, "target": 15}, ["has PostgreSQL 15 on target", "lab.py reset"], id="another lab is there"),
])
def test_refused_before_anything_is_made(rig, environ, made, words):
    with pytest.raises(rig[1]) as failure:
        rig[0].chosen(environ, made)
    assert [word for word in [*words, "Nothing was made."] if word not in str(failure.value)] == []


def test_each_version_has_an_image_of_its_own(rig):
    assert (rig[2].name("target"), rig[2].name("target", 17)) == ("bowline-lab/target", "bowline-lab/target:17")
