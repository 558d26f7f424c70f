# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the files: headers, no secret, no path of the machine they were written on, and no knowledge of the lab."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

HEADER = (
    "# SPDX-FileCopyrightText: 2026 The bowline contributors\n"
    "# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)\n"
    "# SPDX-License-Identifier: GPL-3.0-or-later\n"
)
LAB = re.compile(r"10\.78\.0\.|bowline\.test|bowline0|bowline-lab|\bLAB_[A-Z]|tests/lab|build/lab")
HOMES = re.compile(r"/home/(?!runner\b)[a-z]\w*/|/root/\.(pyenv|cache|local)|/Users/")
MACHINE = re.compile(r"/opt/wheels|--(extra-)?index-url|--find-links")
SECRET = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abp]-[0-9A-Za-z-]{20,}"
)
# Binary or foreign text, and the page of patterns that is this file.
SKIPPED = {Path("LICENSE"), Path("LICENSES/GPL-3.0-or-later.txt"), Path("tests/unit/house/test_files.py")}


def texts(clone):
    for path in clone.files:
        if path not in SKIPPED:
            yield path, (clone.root / path).read_bytes().decode("utf-8", errors="replace")


def findings(clone, pattern: re.Pattern, *folders: str) -> list[str]:
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)[:40]}"
        for path, text in texts(clone)
        if not folders or path.parts[0] in folders
        for match in pattern.finditer(text)
    ]


def test_every_python_file_has_the_header(clone):
    without = []
    for path in clone.files:
        if path.suffix == ".py":
            text = clone.text(path)
            head = text.split("\n", 1)[1] if text.startswith("#!") else text
            code = any(not isinstance(node, ast.Expr) for node in clone.tree(path).body)
            if not head.startswith(HEADER) or (code and "\nfrom __future__ import annotations\n" not in text):
                without.append(str(path))
    assert without == []


def test_python_lines_are_at_most_160_wide(clone):
    """The bound of ansible-test sanity, for the files that it does not look at too."""
    wide = [
        f"{path}:{number}: {len(line)}"
        for path in clone.files
        if path.suffix == ".py"
        for number, line in enumerate(clone.text(path).splitlines(), 1)
        if len(line) > 160
    ]
    assert wide == []


def test_what_is_installed_does_not_know_the_lab(clone):
    assert findings(clone, LAB, "plugins", "roles", "playbooks", "extensions", "meta") == []


def test_no_secret_is_committed(clone):
    assert findings(clone, SECRET) == []


def test_no_path_or_index_of_a_machine_is_committed(clone):
    assert findings(clone, MACHINE) == []
    # Test data may invent a home; what a user gets may not.
    assert [line for line in findings(clone, HOMES) if not line.startswith("tests/")] == []
    own = re.compile(re.escape(str(clone.root)) + r"\b")
    assert findings(clone, own) == []


@pytest.mark.parametrize(("pattern", "text"), [
    pytest.param(LAB, "host: 10.78.0.1", id="lab address"),
    pytest.param(LAB, "https://hub.bowline.test", id="lab name"),
    pytest.param(HOMES, "/home/ann/project", id="home"),
    pytest.param(MACHINE, "--index-url x", id="index"),
    pytest.param(SECRET, "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "A" * 60, id="key"),
])
def test_the_patterns_find_what_they_are_for(pattern, text):
    assert pattern.search(text)


def test_locks_have_hashes_and_agree(clone):
    locks = {}
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = clone.text(Path(name)).replace("\\\n", " ")
        lines = [line for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
        assert [line.split()[0] for line in lines if "--hash=sha256:" not in line] == []
        locks[name] = {line.split(" ")[0] for line in lines}
    assert sorted(locks["requirements.lock"] - locks["requirements-dev.lock"]) == []


def test_no_ignore_list_stands_anywhere(clone):
    """A rule that is skipped is a debt that a certified edition cannot carry."""
    sanity = [str(path) for path in clone.files if path.parts[:2] == ("tests", "sanity")]
    assert sanity == []
    assert re.search(r"^(skip_list|warn_list|enable_list):", clone.text(Path(".ansible-lint")), flags=re.M) is None
    assert Path(".ansible-lint-ignore") not in clone.files
    assert findings(clone, re.compile(r"#\s*noqa:? *[a-z]+[\[-]"), "roles", "playbooks", "inventories") == []


def test_no_link_is_part_of_the_project(clone):
    """`ansible-galaxy collection build` refuses one that leads nowhere, and a copy of the tree may lead it elsewhere."""
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=clone.root, capture_output=True, text=True, check=True).stdout
    assert [line for line in listed.splitlines() if line.startswith("120000 ")] == []
