# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named points at which a test may end or stop this process. Off, and free of cost, unless the environment names one.

``BOWLINE_FAULT=W3`` kills the process after step W3, ``W3:stop`` stops it there. The points are A1 to A3 (arming), W0 to W8 (window)
and F1 to F4 (afterwards); each name stands in the code exactly once for each engine, so one direction or the other is chosen by what is run.
"""

from __future__ import annotations

import os
import signal

POINTS = ("A1", "A2", "A3", "W0", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "F1", "F2", "F3", "F4")
_WANTED, _, _MANNER = os.environ.get("BOWLINE_FAULT", "").partition(":")


def hit(point: str) -> None:
    """End or stop this process when the environment asks for it at ``point``."""
    if _WANTED and point == _WANTED:
        os.kill(os.getpid(), signal.SIGSTOP if _MANNER == "stop" else signal.SIGKILL)
