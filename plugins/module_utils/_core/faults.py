# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named points at which a test may end or stop this process. Off, and free of cost, unless the environment names one.

``BOWLINE_FAULT=W3`` kills the process at point W3, ``W3.2`` when it is reached the second time, ``W3:stop`` stops it there, and ``W3:0.004`` kills it
four milliseconds later, inside what comes next. Each room lists its points in its ``faults.py``.
"""

from __future__ import annotations

import os
import signal
import threading
import typing as t
from dataclasses import dataclass


@dataclass
class _Armed:
    point: str
    turn: int
    manner: str
    seen: int = 0


def _read(text: str) -> t.Optional[_Armed]:
    wanted, _colon, manner = text.partition(":")
    point, _dot, turn = wanted.partition(".")
    return _Armed(point, int(turn or 1), manner) if point else None


_armed = _read(os.environ.get("BOWLINE_FAULT", ""))


def arm(text: str) -> None:
    """As the environment would have it, for a test that is this process; an empty text is off."""
    global _armed
    _armed = _read(text)


def hit(point: str) -> None:
    """End or stop this process when that is asked for at ``point``."""
    if _armed is None or point != _armed.point:
        return
    _armed.seen += 1
    if _armed.seen != _armed.turn:
        return
    if _armed.manner in ("", "stop"):
        os.kill(os.getpid(), signal.SIGSTOP if _armed.manner == "stop" else signal.SIGKILL)
        return
    later = threading.Timer(float(_armed.manner), os.kill, (os.getpid(), signal.SIGKILL))
    later.daemon = True
    later.start()
