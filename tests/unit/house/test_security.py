# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/security.md: a defence is one when a test tries the attack."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

SPEC = importlib.util.spec_from_file_location("bowline_pages", Path(__file__).with_name("test_pages.py"))
PAGES = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PAGES)


def defences(page: str) -> list[tuple[str, str]]:
    """Threat and test of each row of the table of defences."""
    part = page.partition("## What is defended")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in part.splitlines() if line.startswith("|")]
    return [(row[0], row[-1]) for row in rows[2:]]


def complaints(root: Path, page: str) -> list[str]:
    found = [f"{threat}: no test" for threat, tests in defences(page) if not PAGES.names(tests)]
    return found + [f"{name} does not exist" for name in PAGES.names(page) if name.startswith("tests/") and not PAGES.node_exists(root, name)]


def test_every_defence_names_a_test_that_exists(clone):
    page = clone.text(Path("docs/security.md"))
    assert len(defences(page)) > 5
    assert complaints(clone.root, page) == []


def test_a_defence_without_a_test_is_seen(clone):
    head = "## What is defended\n\n| threat | defence | test |\n|---|---|---|\n"
    assert complaints(clone.root, head + "| a | b | none |\n") == ["a: no test"]
    assert complaints(clone.root, head + "| a | b | `tests/unit/x.py::test_y` |\n") == ["tests/unit/x.py::test_y does not exist"]
    assert complaints(clone.root, head + "| a | b | `tests/unit/house/test_security.py::test_a_defence_without_a_test_is_seen` |\n") == []


def test_the_way_to_report_a_fault_is_linked(clone):
    assert "SECURITY.md" in clone.text(Path("README.md")) and "docs/security.md" in clone.text(Path("README.md"))
    assert "security.md" in clone.text(Path("docs/README.md")) and "SECURITY.md" in clone.text(Path("docs/security.md"))
