# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose data a volume holds: a clone at the same path whose passwords are new cannot open what the one before it left."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

LAB = str(Path(__file__).resolve().parents[2] / "lab")


@pytest.fixture(scope="module")
def ownership():
    sys.path.insert(0, LAB)
    yield importlib.import_module("rig.stack").ownership
    sys.path.remove(LAB)


def test_a_volume_is_ours_by_clone_and_by_passwords(ownership, tmp_path):
    superuser, owner = tmp_path / "superuser", tmp_path / "owner"
    superuser.write_text("one")
    owner.write_text("two")
    made = ownership("label", superuser, owner)
    assert ownership("label", superuser, owner) == made
    assert made["label"] == str(Path(__file__).resolve().parents[3])
    owner.write_text("three")
    assert ownership("label", superuser, owner) != made
    assert "two" not in str(made)
