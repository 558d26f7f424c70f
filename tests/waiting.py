# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for a condition, and a port that nobody has: for tests with servers of their own."""

from __future__ import annotations

import socket
import time
import typing as t


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, check: t.Callable[[], t.Any], seconds: float = 10.0, pause: float = 0.01) -> t.Any:
    """What ``check`` says as soon as it is true; asked every ``pause`` seconds, in vain after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        seen = check()
        if seen:
            return seen
        assert time.monotonic() < end, f"waited {seconds} s for {what}; last seen {seen!r}"
        time.sleep(pause)
