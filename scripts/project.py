# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This clone as the tools see it: its files, and a collection tree without an installation.

``build/collections/ansible_collections/bowline/fleet`` shows this clone: Ansible finds a collection only below a folder named
``ansible_collections/<namespace>/<name>``. The tree is made of symlinks to the parts that a collection has at run time, not to the
whole clone, so that nothing that walks it meets ``build/`` again inside ``build/``. Creating it is idempotent and safe while others do
the same: a link is made under another name and renamed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("plugins", "roles", "playbooks", "meta", "extensions", "galaxy.yml", "README.md", "docs", "inventories", "changelogs", "tests")


def tracked(root: Path = ROOT) -> list[Path]:
    """Files of the project, relative to its root and sorted: committed ones, and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    return sorted({Path(name) for name in listed.split("\0") if name and (root / name).is_file()})


def collection_tree(root: Path = ROOT) -> Path:
    """The folder for ANSIBLE_COLLECTIONS_PATH; created, or completed, when needed."""
    base = root / "build" / "collections"
    fleet = base / "ansible_collections" / "bowline" / "fleet"
    fleet.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        link, source = fleet / part, root / part
        if not source.exists():
            continue
        wanted = os.path.relpath(source, fleet)
        if link.is_symlink() and os.readlink(link) == wanted:
            continue
        fresh = fleet / f".{part}.{os.getpid()}"
        fresh.symlink_to(wanted)
        fresh.replace(link)
    return base


if __name__ == "__main__":
    sys.stdout.write(f"{collection_tree()}\n")
