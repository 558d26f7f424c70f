# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all tests of the house look at: the files of the project and their syntax trees."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

import project  # noqa: E402


class Project:
    """The clone: paths are relative to ``root``."""

    root = ROOT

    def __init__(self) -> None:
        self.files = [path for path in project.tracked(ROOT) if path.name != "__init__.py" or (ROOT / path).stat().st_size]

    def below(self, *folders: str, suffix: str = "") -> list[Path]:
        return [path for path in self.files if path.parts[0] in folders and path.name.endswith(suffix)]

    def text(self, path: Path) -> str:
        return (ROOT / path).read_text(encoding="utf-8")

    def tree(self, path: Path) -> ast.Module:
        return ast.parse(self.text(path), filename=str(path))


@pytest.fixture(scope="session")
def clone() -> Project:
    return Project()
