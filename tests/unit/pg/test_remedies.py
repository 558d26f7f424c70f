# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No failure of the room leaves a reader without a next step."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[3] / "plugins" / "module_utils" / "_pg"


def speechless(source: str) -> list[int]:
    """Lines of failures without a remedy, or with an empty one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "FleetError":
            given = next((word.value for word in node.keywords if word.arg == "remedy"), node.args[2] if len(node.args) > 2 else None)
            if given is None or (isinstance(given, ast.Constant) and not given.value):
                found.append(node.lineno)
    return found


def test_every_failure_has_a_remedy():
    assert {str(path.relative_to(ROOM)): lines for path in sorted(ROOM.rglob("*.py")) if (lines := speechless(path.read_text("utf-8")))} == {}


@pytest.mark.parametrize("source", ["FleetError('x', 'y')", "FleetError('x', 'y', remedy='')", "FleetError('x', 'y', '')"])
def test_one_without_is_seen(source):
    assert speechless(source) == [1]
