# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several findings as one failure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from .._core.errors import FleetError
from .._core.finding import Finding


def failure(found: t.Sequence[Finding], unchanged: str) -> FleetError:
    """All of ``found`` at once: by their own code when they have one, else as preflight_failed. ``unchanged`` is the last sentence."""
    unique = list(dict.fromkeys(found))
    codes = {finding.code for finding in unique}
    return FleetError(
        codes.pop() if len(codes) == 1 else "preflight_failed",
        f"{' '.join(dict.fromkeys(finding.message for finding in unique))} {unchanged}",
        unique[0].remedy if len(unique) == 1 else "Follow the remedy of each finding, then run the same command again.",
        {"findings": [asdict(finding) for finding in unique]},
    )
