# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose edge a directory holds: two stacks on one host have one each, and none takes the other's."""

from __future__ import annotations

import glob
import json
import os
import typing as t

from .._core import private
from .._core.errors import FleetError
from .render import SPEC_FILE


def refuse_others(directory: str, subject: str, hostname: str = "") -> None:
    """Raise FleetError ``not_owner`` when the edge in ``directory`` is of another stack than ``subject``.

    An edge that says no subject was put in by an earlier version, or without one; then the name that clients use tells, where both have it.
    """
    found = _described(directory)
    there, name = found.get("subject") or "", (found.get("peer") or {}).get("hostname") or ""
    if there and subject:
        other = there != subject
    else:
        other = bool(name and hostname and name != hostname)
    if not other:
        return
    ours = f"edge-{subject}" if subject else "one of its own"
    raise FleetError(
        "not_owner",
        f"The edge in {directory} is of {f'stack {there}' if there else 'another stack'} ({name}), and this is"
        f" {f'stack {subject}' if subject else 'one'} ({hostname or 'name unknown'}). Nothing was changed.",
        remedy=f"Give this stack a directory of its own, such as {os.path.dirname(directory)}/{ours} (edge_sides.*.directory; left out, it is made from"
        " the subject).",
        details={"field": "directory", "directory": directory, "owner": there or name},
    )


def neighbours(directory: str) -> list[str]:
    """Directories of other edges beside ``directory``, which run the same command."""
    found = glob.glob(f"{glob.escape(os.path.dirname(directory))}/*/{SPEC_FILE}")
    return sorted(os.path.dirname(path) for path in found if os.path.dirname(path) != directory)


def _described(directory: str) -> dict[str, t.Any]:
    try:
        found = json.loads(private.read(os.path.join(directory, SPEC_FILE)))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
