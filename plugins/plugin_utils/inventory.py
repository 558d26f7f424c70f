# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders that Ansible read as inventory although they hold something else: secrets, manifests, reports. Reads names of files only."""

from __future__ import annotations

import os
import re
import typing as t

from ansible import constants as C

from ..module_utils._core.finding import Finding

# Of a folder that -i names, Ansible parses every file at any depth but these: inventory/manager.py, IGNORED_ALWAYS, and its two settings.
_ALWAYS = (r"^\.", r"^host_vars$", r"^group_vars$", r"^vars_plugins$")
# What guides of this collection and of others call what stands beside an inventory.
_NAMES = ("secrets", "manifests", "reports", "docs", "log", "logs", "probe", "state")


def swallowed(sources: t.Iterable[str], places: t.Mapping[str, t.Iterable[str]]) -> list[dict[str, str]]:
    """A finding for each folder below one of ``sources`` that holds no inventory, but was parsed as such.

    ``sources`` are those of the run (``ansible_inventory_sources``), ``places`` are paths by the variable that names them. A source that is a
    file, a list of hosts or does not exist swallows nothing.
    """
    named = [(os.path.realpath(path), field) for field, paths in places.items() for path in paths if path]
    found: dict[str, tuple[str, int]] = {}
    for source in sources:
        root = os.path.realpath(source)
        for file in _parsed(root) if os.path.isdir(root) else ():
            owner = next(((place, field) for place, field in named if file == place or file.startswith(f"{place}/")), None)
            first = os.path.relpath(file, root).split(os.sep, maxsplit=1)[0]
            if owner is None and os.path.join(root, first) != file and first in _NAMES:
                owner = (os.path.join(root, first), "inventory")
            if owner is not None:
                found[owner[0]] = (owner[1], found.get(owner[0], ("", 0))[1] + 1)
    return [_finding(place, field, files).as_dict() for place, (field, files) in sorted(found.items())]


def _finding(place: str, field: str, files: int) -> Finding:
    return Finding(
        "inventory_swallowed",
        "fail",
        field=field,
        message=(
            f"{place} lies below the folder that -i names, so Ansible reads its {files} file{'s' if files > 1 else ''} as inventory: what stands in them"
            " becomes names of hosts and groups, secrets too."
        ),
        remedy="Move it out of the inventory, as inventories/example_hub has it (moves/ beside inventories/), or give -i the file of the hosts:"
        f" -i {_hosts(place)}.",
    )


def _hosts(place: str) -> str:
    return os.path.join(os.path.dirname(place), "hosts.yml")


def _parsed(root: str) -> t.Iterator[str]:
    """Files below ``root`` that Ansible parses, sorted."""
    ignored = re.compile("|".join([*_ALWAYS, *C.config.get_config_value("INVENTORY_IGNORE_PATTERNS"),
                                   *(f"{re.escape(end)}$" for end in C.config.get_config_value("INVENTORY_IGNORE_EXTS"))]))  # fmt: skip
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        if ignored.search(name):
            continue
        if os.path.isdir(path):
            yield from _parsed(path)
        else:
            yield path
