# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command lines of all processes of this machine while something runs, those in containers and on the target among them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import uuid
from pathlib import Path

# A module lives for 0.3 s, psql for 20 ms; one look costs a fraction of a millisecond.
LOOK_EVERY = 0.005
# A process is born with the command line of its parent and may execute another program: its first looks are all taken, later ones seldom.
YOUNG = 20
SELDOM = 200


class CommandLines:
    """A context; ``seen`` holds every command line met inside it. It begins when a process of its own, with a known word, was met."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._ages: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> CommandLines:
        self._thread.start()
        word = uuid.uuid4().hex
        for _attempt in range(20):
            subprocess.run([sys.executable, "-c", "pass", word], check=True)
            if self.holding(word):
                return self
        raise AssertionError("a command line that was there was not seen in 20 attempts")

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def holding(self, text: str) -> list[bytes]:
        """Command lines that hold ``text``."""
        return [line for line in self.seen.copy() if text.encode() in line]

    def _look(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            alive = {entry.name: entry for entry in Path("/proc").iterdir() if entry.name.isdigit()}
            self._ages = {pid: self._ages.get(pid, 0) + 1 for pid in alive}
            for pid, age in self._ages.items():
                if age <= YOUNG or age % SELDOM == 0:
                    with contextlib.suppress(OSError):
                        self.seen.add((alive[pid] / "cmdline").read_bytes())
