# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named points at which a test may end or stop this process. Off, and free of cost, unless the environment names one.

``BOWLINE_FAULT=M1`` kills the process before the first call that changes something on the host, ``M1.3`` before the third one, ``M2`` after one,
``M3`` between the start of a machine's process and its program. ``M1:stop`` stops the process there. On the controller: ``I1`` before a step of a life,
``I2`` before and ``I3`` after a call to the host, ``I4`` after a step and before it is recorded, ``I5`` after all of them.
"""

from __future__ import annotations

import os
import signal

POINTS = ("M1", "M2", "M3", "I1", "I2", "I3", "I4", "I5")
_WANTED, _, _MANNER = os.environ.get("BOWLINE_FAULT", "").partition(":")
_POINT, _, _TURN = _WANTED.partition(".")
_seen = [0]


def hit(point: str) -> None:
    """End or stop this process when the environment asks for it at ``point``."""
    if not _POINT or point != _POINT:
        return
    _seen[0] += 1
    if _seen[0] == int(_TURN or 1):
        os.kill(os.getpid(), signal.SIGSTOP if _MANNER == "stop" else signal.SIGKILL)
