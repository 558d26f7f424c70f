# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab's command line does around its parts: one at a time on a machine, and each part with what it did and how long it took."""
from __future__ import annotations

import contextlib
import fcntl
import sys
import time
import typing as t
from pathlib import Path

Parts = t.Sequence[t.Tuple[str, t.Callable[[], str]]]


@contextlib.contextmanager
def locked(path: Path) -> t.Iterator[None]:
    """One program at a time at the lab of this lock; the lock goes with the process, however it ends."""
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another program is at work on this lab; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def steps(parts: Parts) -> None:
    """Run the parts in their order; what a part returns is the evidence that stands behind it."""
    begin = time.monotonic()
    for number, (title, work) in enumerate(parts, 1):
        sys.stderr.write(f"[{number:2}/{len(parts)}] {time.monotonic() - begin:6.1f} s  {title} … ")
        sys.stderr.flush()
        started = time.monotonic()
        try:
            evidence = work()
        except BaseException:
            say("failed")
            raise
        say(f"{evidence} ({time.monotonic() - started:.1f} s)")
