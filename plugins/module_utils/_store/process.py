# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the process that holds a lease still lives.

Source: proc(5), field 22 of /proc/<pid>/stat is the start time in clock ticks after boot, field 3 is Z or X for a process that has ended.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from pathlib import Path

from .model import Owner


def owner_of(pid: int, actor: str = "") -> Owner:
    """The owner record of process ``pid`` on this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = str(os.getuid())
    machine = _read("/etc/machine-id")
    return Owner(
        actor=actor or os.environ.get("SUDO_USER") or user,
        user=user,
        host=socket.gethostname(),
        pid=pid,
        # machine-id(5): the id is not to be shown; a digest serves to compare.
        machine=hashlib.sha256(f"bowline.fleet {machine}".encode()).hexdigest()[:16] if machine else "",
        boot=_read("/proc/sys/kernel/random/boot_id"),
        namespace=_link("/proc/self/ns/pid"),
        born=_born(pid),
    )


def presence(owner: Owner, here: Owner) -> str:
    """``alive``, ``gone``, or ``unknown`` when the process of ``owner`` cannot be seen from ``here``."""
    if not owner.machine or (owner.machine, owner.host) != (here.machine, here.host):
        return "unknown"
    if owner.boot != here.boot:
        return "gone"
    if owner.namespace != here.namespace:
        return "unknown"
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        pass
    born = _born(owner.pid)
    if born == "ended":
        return "gone"
    return "gone" if born and owner.born and born != owner.born else "alive"


def same_process(one: Owner, other: Owner) -> bool:
    """Whether both records name one and the same process."""
    return (one.machine, one.host, one.boot, one.namespace, one.pid, one.born) == (
        other.machine,
        other.host,
        other.boot,
        other.namespace,
        other.pid,
        other.born,
    )


def _born(pid: int) -> str:
    # The name in field 2 may hold spaces and parentheses; what follows the last one is regular.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
