# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes of machines: which one it is, whether it runs, and a program that outlives the module that has started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import typing as t

from ..._core import private
from ..._core.errors import FleetError
from ..._core.faults import hit


def identity(pid: int) -> t.Optional[str]:
    """Boot and start time of a process, which no other process has; None when it is gone or only waits to be reaped (proc(5), stat)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def recorded(path: str) -> t.Optional[int]:
    """The pid in the record at ``path`` while the very process that was started runs, else None."""
    try:
        seen = json.loads(private.read(path, 0o600))
        pid = int(seen["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return pid if seen.get("identity") == identity(pid) else None


def launch(argv: t.Sequence[str], record: str, console: str) -> str:
    """Start ``argv`` in a session of its own; what it says is appended to ``console``. ``record`` names it before its program begins.

    Returns when the program has begun, with why it has not: empty when it has. A lock that this process holds is held by the new one, too,
    until its program begins: whoever gets the lock finds the record.
    """
    # Both ends are closed by the program that begins, open(2) O_CLOEXEC; so the end of the pipe is its beginning.
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        # The child of the child is nobody's: no zombie is left where the module goes on.
        try:
            os.setsid()
            if os.fork() == 0:
                _become(argv, record, console, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        problem = file.read().decode("utf-8", "replace")
    os.waitpid(pid, 0)
    return problem


def _become(argv: t.Sequence[str], record: str, console: str, problems: int) -> None:
    try:
        said = private.open_file(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open("/dev/null", os.O_RDONLY)
        for source, target in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(source, target)
        private.write(record, json.dumps({"pid": os.getpid(), "identity": identity(os.getpid())}).encode(), 0o600)
        hit("M3")
        os.chdir("/")
        os.execvp(argv[0], list(argv))
    except (OSError, FleetError) as error:
        os.write(problems, str(error).encode())


def container(uuid: str) -> t.Optional[int]:
    """PID, on this host, of the first process of the container that systemd-nspawn started with ``--uuid=uuid``; None when there is none.

    systemd-nspawn gives it ``container_uuid`` in its environment (systemd-nspawn(1), --uuid; seen with systemd 252). It is found even when the
    systemd-nspawn that started it was killed. NSpid of proc(5) has more than one number for whoever is in a PID namespace of its own.
    """
    wanted = f"container_uuid={uuid}".encode()
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/status", "rb") as file:
                numbers = next((line.split()[1:] for line in file if line.startswith(b"NSpid:")), [])
            if len(numbers) < 2 or numbers[-1] != b"1":
                continue
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0") and identity(int(name)):
                    return int(name)
    return None


def kill(pid: t.Optional[int], number: int = signal.SIGKILL) -> None:
    """Send a signal; one that is gone is left in peace."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
