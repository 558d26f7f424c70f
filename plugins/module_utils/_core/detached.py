# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that outlives the module which made it, for work that has to be settled also when the module is killed."""

from __future__ import annotations

import os
import signal
import typing as t


def detached(keep: int, work: t.Callable[[], None]) -> int:
    """Fork a process that does ``work`` and ends; its number. Of the open files it keeps descriptor ``keep`` alone.

    Must be called before any connection exists in this process.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        _let_go(keep)
        work()
        status = 0
    finally:
        # Never back into the module's code: it would print a second result.
        os._exit(status)


def _let_go(keep: int) -> None:
    """Of everything that the caller waits for, above all its standard output."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    limit = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, keep)
    os.closerange(keep + 1, min(limit if limit > 0 else 4096, 65536))
