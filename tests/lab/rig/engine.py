# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker Engine: the one that answers, else the service manager's, else one started here."""
from __future__ import annotations

from pathlib import Path

from .shell import Daemon, LabError, ok, run, wait

DOCKERD = Daemon("dockerd")


_PID = Path("/var/run/docker.pid")


def _other() -> bool:
    """Whether the engine of the pid file still is a process."""
    try:
        return Path(f"/proc/{_PID.read_text(encoding='utf-8').strip()}/comm").read_text(encoding="utf-8").strip() == "dockerd"
    except OSError:
        return False


def answers() -> bool:
    return ok(["docker", "info"], timeout=20)


def ensure() -> str:
    if answers():
        return f"answers (started by {'the lab' if DOCKERD.pid() else 'somebody else'})"
    if Path("/run/systemd/system").is_dir() and ok(["systemctl", "start", "docker"], timeout=120) and answers():
        return "started by systemd"
    # Another engine may be starting or ending just now.
    wait("the dockerd that runs to answer or to end", lambda: answers() or not _other(), 60, 0.3)
    if answers():
        return "answers (started by somebody else)"
    # One that was killed leaves its pid file, and dockerd judges it by the pid alone.
    _PID.unlink(missing_ok=True)
    DOCKERD.start(["dockerd", "--log-level=warn"])
    try:
        wait("dockerd to answer", lambda: answers() or DOCKERD.pid() is None, 60, 0.3)
    except LabError as problem:
        raise LabError(f"{problem}\n{DOCKERD.tail()}") from None
    if DOCKERD.pid() is None:
        raise LabError(f"dockerd ended at once:\n{DOCKERD.tail()}")
    return "started"


def stop() -> str:
    """End the engine if the lab started it and nobody else's container runs on it; a sentence about it."""
    if DOCKERD.pid() is None:
        return "not the lab's"
    if answers() and run(["docker", "ps", "-q"]).stdout.split():
        return "left running: it has other containers"
    DOCKERD.stop(30)
    return "stopped"
