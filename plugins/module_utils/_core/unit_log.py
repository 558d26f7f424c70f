# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last words of a systemd unit, for a failure that is about it. They pass `redact` like everything that leaves a module."""

from __future__ import annotations

from .errors import FleetError
from .runner import Runner

_LONGEST = 300


def last_lines(run: Runner, unit: str, most: int = 15) -> list[str]:
    """The last lines of the journal of ``unit``, oldest first; empty when there are none or they may not be read."""
    try:
        done = run(["journalctl", "--no-pager", f"--lines={most}", "--output=cat", f"--unit={unit}"], timeout=15)
    except FleetError:
        # A host without a journal; the failure that this belongs to is worth more than its log.
        return []
    return [line[:_LONGEST] for line in done.out.splitlines() if line.strip()] if done.rc == 0 else []


def own_words(lines: list[str], unit: str, most: int) -> str:
    """The last ``most`` of ``lines`` that the program wrote itself, not systemd about it, in one line; empty without any."""
    return " | ".join([line.strip() for line in lines if unit not in line][-most:])
