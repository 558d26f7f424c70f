# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody else on this host: user nobody, who plants, links, locks and swaps whatever lies where others can write.

`Ground` is where the fight takes place. ``open`` is a folder for everybody, as /var/tmp is; ``kept`` belongs to root; ``safe`` holds what must
be neither written nor read. At the end `Ground.harm` tells what the enemy got.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NOBODY = 65534
SECRET = "canary-host-7d1"
# Nobody may not look into the virtual environment of a developer.
PYTHON = "/usr/bin/python3"

_HEAD = """\
import contextlib, fcntl, os, sys, time
assert os.geteuid() != 0
def ready():
    print("ready", flush=True)
def turns(count=200000, seconds=20):
    # The swaps of one race: bounded in time and count.
    end = time.monotonic() + seconds
    for number in range(count):
        if time.monotonic() > end:
            return
        yield number
def wait():
    time.sleep(60)
"""


class Ground:
    """A fresh folder for everybody, victims beside it, and the enemy's processes, which `end` ends."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="bowline-host-")).resolve()
        self.base.chmod(0o755)
        self.open, self.kept, self.safe = (self.base / name for name in ("open", "kept", "safe"))
        for folder, mode in ((self.open, 0o1777), (self.kept, 0o755), (self.safe, 0o755)):
            folder.mkdir()
            folder.chmod(mode)
        self.victim = self.safe / "victim"
        self.victim.write_text("as it was\n")
        self.secret = self.safe / "secret"
        self.secret.write_text(f"{SECRET}\n")
        self.secret.chmod(0o600)
        # What the enemy's code writes when somebody runs it: the number of that user.
        self.ran = self.base / "ran"
        self.ran.touch()
        self.ran.chmod(0o666)
        self.payload = f"import os\nwith open({str(self.ran)!r}, 'a') as file:\n    file.write(f'{{os.geteuid()}}\\n')\n"
        self._before = self._safe()
        self._running: list[subprocess.Popen[str]] = []

    def enemy(self, code: str, *words: object) -> None:
        """Run ``code`` as nobody to its end; ``words`` are sys.argv[1:]."""
        done = subprocess.run(self._argv(code, words), cwd="/", capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr

    def siege(self, code: str, *words: object) -> None:
        """Start ``code`` as nobody, which goes on beside what the test does; returns after its call of ready()."""
        process = subprocess.Popen(self._argv(code, words), cwd="/", stdout=subprocess.PIPE, text=True)
        self._running.append(process)
        assert process.stdout.readline() == "ready\n"

    def harm(self) -> list[str]:
        """What the enemy got, in words; empty when nothing."""
        runs = sorted(set(self.ran.read_text().split()))
        found = [f"code of the enemy ran as uid {uid}" for uid in runs if uid != str(NOBODY)]
        after = self._safe()
        found += [f"{name} was written outside" for name in sorted(set(after) | set(self._before)) if after.get(name) != self._before.get(name)]
        return found

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait(10)
            process.stdout.close()
        shutil.rmtree(self.base)

    def _argv(self, code: str, words: tuple[object, ...]) -> list[str]:
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return [*drop, PYTHON, "-c", _HEAD + code, *(str(word) for word in words)]

    def _safe(self) -> dict[str, tuple[int, int, bytes]]:
        found = {}
        for path in sorted(self.safe.rglob("*")):
            status = path.lstat()
            found[str(path.relative_to(self.safe))] = (status.st_mode, status.st_uid, path.read_bytes() if path.is_file() else b"")
        return found


def root_is_needed() -> str:
    return "" if os.geteuid() == 0 else "root, to be two users at once"
