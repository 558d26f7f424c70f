# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent as one file: a zipapp of this package that is the same to the byte wherever and whenever it is made."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import typing as t
import zipfile

from . import document, host, main

PACKAGE = "bowline_node"
_PARTS = (document, host, main)
_START = f"""import sys

from {PACKAGE}.main import main

sys.exit(main(sys.argv[1:], __loader__.archive))
"""
# zip(5) knows no earlier moment.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build() -> bytes:
    """The bytes of bowline-node.pyz. Nothing is compressed: another zlib would make other bytes of the same text.

    Source: PEP 441 and the library's zipapp: a zip with ``__main__.py`` behind a line for the kernel.
    """
    names = {part.__name__.rpartition(".")[2]: _source(part.__name__) for part in _PARTS}
    files = {"__main__.py": _START, f"{PACKAGE}/__init__.py": "", **{f"{PACKAGE}/{name}.py": text for name, text in names.items()}}
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, files[name].encode())
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _source(name: str) -> str:
    """The text of a module, from a folder or from the archive in which Ansible carries it."""
    spec = importlib.util.find_spec(name)
    loader: t.Any = spec.loader if spec else None
    text = loader.get_source(name) if loader is not None else None
    if text is None:
        raise ImportError(f"The text of {name} is not at hand.")
    return str(text)
