# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that end, programs that stay, and waiting for a condition."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from . import settings


class LabError(Exception):
    """What went wrong and what to do about it, for the person at the terminal."""


def run(
    argv: t.Sequence[str | Path], *, check: bool = True, text: str | None = None, timeout: float = 600,
    env: t.Mapping[str, str] | None = None, cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. A failure becomes a LabError with the end of what it said."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=text, stdin=subprocess.DEVNULL if text is None else None, capture_output=True, text=True,
            timeout=timeout, env={**os.environ, **(env or {})}, cwd=cwd, check=False,
        )
    except FileNotFoundError:
        raise LabError(f"{words[0]} is not installed.") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(words[:6])} did not end within {timeout:.0f} s.") from None
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise LabError(f"{' '.join(words[:8])} ended with {done.returncode}:\n{said}")
    return done


def ok(argv: t.Sequence[str | Path], timeout: float = 60) -> bool:
    """Whether the program exists and ends with 0."""
    try:
        return run(argv, check=False, timeout=timeout).returncode == 0
    except LabError:
        return False


def wait(what: str, condition: t.Callable[[], bool], seconds: float, interval: float = 0.1) -> None:
    """Return as soon as ``condition`` holds; LabError at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        left = deadline - time.monotonic()
        if left <= 0:
            raise LabError(f"Waited {seconds:.0f} s for {what}.")
        time.sleep(min(interval, left))


def write(path: Path, text: str, mode: int = 0o644) -> bool:
    """Write atomically when the content differs; true when it did. The file never exists with a wider mode."""
    if path.exists() and path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == mode:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    new.replace(path)
    return True


class Daemon:
    """A program that outlives lab.py, found again by pid, start time and boot, so that a reused pid is never mistaken for it."""

    def __init__(self, name: str, home: Path | None = None) -> None:
        self.name = name
        self.log = (home or settings.HOME) / f"{name}.log"
        self._file = (home or settings.HOME) / "run" / f"{name}.json"

    def pid(self) -> int | None:
        """The pid while the very process that was started runs, else None."""
        try:
            seen = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return seen["pid"] if seen["identity"] == _identity(seen["pid"]) else None

    def start(self, argv: t.Sequence[str | Path], env: t.Mapping[str, str] | None = None) -> int:
        running = self.pid()
        if running:
            return running
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd="/", env={**os.environ, **(env or {})},
            )
        write(self._file, json.dumps({"pid": child.pid, "identity": _identity(child.pid)}))
        return child.pid

    def send(self, number: int) -> bool:
        pid = self.pid()
        if pid:
            os.kill(pid, number)
        return pid is not None

    def stop(self, seconds: float = 20, number: int = signal.SIGTERM) -> bool:
        """End the process, with SIGKILL when ``seconds`` were not enough; true when there was one."""
        if not self.send(number):
            return False
        try:
            wait(f"{self.name} to end", lambda: self.pid() is None, seconds)
        except LabError:
            self.send(signal.SIGKILL)
            wait(f"{self.name} to be gone", lambda: self.pid() is None, 10)
        self._file.unlink(missing_ok=True)
        return True

    def tail(self, lines: int = 15) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _identity(pid: int) -> str | None:
    """Boot and start time of a process; None when it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
