# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""bowline-edge as one file: the very modules that run here, packed as a zip application that python3 >= 3.9 runs."""

from __future__ import annotations

import inspect
import io
import types
import zipfile

from .._core import errors, lock, private, wait
from . import command, control, haproxy, model

_MAIN = """\
from bowline._traffic.command import main
import sys
raise SystemExit(main(sys.argv[1:]))
"""

# Zip knows no earlier date; a fixed one makes the same source the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def build() -> bytes:
    """The archive, not compressed, so that equal source gives equal bytes with every Python.

    Sources come from the modules' loader: on a target they are inside Ansible's own zip.
    """
    members = {
        "__main__.py": _MAIN,
        "bowline/__init__.py": "",
        "bowline/_core/__init__.py": "",
        "bowline/_traffic/__init__.py": "",
        **{f"bowline/_core/{_name(module)}.py": _source(module) for module in (errors, lock, private, wait)},
        **{f"bowline/_traffic/{_name(module)}.py": _source(module) for module in (command, control, haproxy, model)},
    }
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return buffer.getvalue()


def _name(module: types.ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _source(module: types.ModuleType) -> str:
    return inspect.getsource(module)
