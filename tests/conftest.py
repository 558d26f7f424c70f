# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests run from a plain clone: ``ansible_collections.bowline.fleet`` is this clone, no installation needed.

Programs that a test starts (ansible-playbook, a small runner) find the same code through ANSIBLE_COLLECTIONS_PATH and PYTHONPATH.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _tree() -> Path:
    spec = importlib.util.spec_from_file_location("bowline_project", ROOT / "scripts" / "project.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Path(module.collection_tree(ROOT))


def _importable(tree: Path) -> None:
    """Put the clone in front of an installed collection of the same name, and keep the other collections visible."""
    folders = [tree / "ansible_collections", *(Path(entry) / "ansible_collections" for entry in sys.path if entry)]
    for name, sub in (("ansible_collections", ""), ("ansible_collections.bowline", "bowline")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder / sub) for folder in folders if (folder / sub).is_dir()]
        sys.modules[name] = package
        if sub:
            setattr(sys.modules["ansible_collections"], sub, package)


def _inherited(tree: Path) -> None:
    for variable in ("ANSIBLE_COLLECTIONS_PATH", "PYTHONPATH"):
        entries = [str(tree), *(entry for entry in os.environ.get(variable, "").split(os.pathsep) if entry and entry != str(tree))]
        os.environ[variable] = os.pathsep.join(entries)


TREE = _tree()
_importable(TREE)
_inherited(TREE)
