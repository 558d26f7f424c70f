# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python files beside a test: no folder of tests is on the path, so they are loaded by their place and imported under a name of their own."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path


def load(path: Path, name: str) -> types.ModuleType:
    """The file at ``path`` as module ``name``, which can be imported from then on. One that is loaded already is loaded anew."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
