# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run at a time works on a place of the host. Who can open a file can lock it (flock(2)), so a lock is a file that nobody else can open."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
import typing as t
import zlib
from contextlib import contextmanager

from . import private
from .errors import FleetError
from .wait import Deadline


def home() -> str:
    """Where the locks of this user are. Not XDG_RUNTIME_DIR: a job of cron has none and must meet the run of a terminal."""
    return "/run/bowline" if os.geteuid() == 0 else os.path.join(os.path.expanduser("~"), ".local", "state", "bowline", "locks")


@contextmanager
def locked(place: str, seconds: float = 10.0) -> t.Iterator[None]:
    """Alone with what lies at ``place``, a path. The kernel gives the lock back when its holder dies, however it does.

    Raises FleetError "locked" with the holder after ``seconds``, "unsafe_path" when the folder of the locks is not ours alone.
    """
    place = os.path.realpath(place)
    # Two places with one sum wait for each other, which harms neither.
    path = os.path.join(private.folder(home()), f"{os.path.basename(place)[:64]}-{zlib.crc32(os.fsencode(place)):08x}.lock")
    descriptor = private.open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        deadline = Deadline(seconds)
        while not _taken(descriptor):
            if deadline.expired():
                raise _locked(place, path, descriptor, seconds)
            deadline.pause(0.01)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_me(place)).encode(), 0)
        yield
        # Only by whoever held it: a record of nobody would be worse than none.
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _me(place: str) -> dict[str, t.Any]:
    return {
        "pid": os.getpid(),
        "command": " ".join([os.path.basename(sys.executable or "python3"), *sys.argv])[:200],
        "user": private.owner_name(os.geteuid()),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "place": place,
    }


def _holder(descriptor: int) -> dict[str, t.Any]:
    """What the holder wrote, or, between its lock and its record, what the kernel tells."""
    try:
        record = json.loads(os.pread(descriptor, 4096, 0))
        return record if isinstance(record, dict) else {}
    except ValueError:
        pass
    # proc_locks(5): kind, ADVISORY, WRITE, pid, major:minor:inode.
    inode = str(os.fstat(descriptor).st_ino)
    try:
        with open("/proc/locks", encoding="utf-8") as file:
            held = [line.split() for line in file]
    except OSError:
        return {}
    return next(({"pid": int(words[4])} for words in held if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode), {})


def _locked(place: str, path: str, descriptor: int, seconds: float) -> FleetError:
    holder = _holder(descriptor)
    said = f"process {holder['pid']}" if "pid" in holder else "a process that cannot be told"
    said += f" ({holder['command']}) of {holder.get('user')} since {holder.get('since')}" if "command" in holder else ""
    end = f"if it hangs, type `kill {holder['pid']}` on the host that said this" if "pid" in holder else "or look at why it hangs"
    return FleetError(
        "locked",
        f"{place} was held for {seconds:g} s by {said}. Nothing was changed.",
        remedy=f"Wait for its end; {end}. The lock ends with the process.",
        details={"place": place, "lock": path, **holder},
    )
