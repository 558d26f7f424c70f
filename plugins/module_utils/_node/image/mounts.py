# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts that a build leaves when it is killed: mmdebstrap(1) mounts /dev, /proc and /sys in the root file system that it makes."""

from __future__ import annotations

import os
import re
import typing as t

from ..._core.errors import FleetError
from ..._core.runner import Runner

_TABLE = "/proc/self/mountinfo"


def below(table: str, folder: str) -> t.List[str]:
    """Mount points below ``folder``, in the order in which they were made. ``table`` is as proc_pid_mountinfo(5) says: the fifth word, octal escapes."""
    words = (line.split(" ") for line in table.splitlines())
    points = (re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), one[4]) for one in words if len(one) > 4)
    return [point for point in points if point.startswith(folder.rstrip("/") + "/")]


def ended(run: Runner, folder: str) -> None:
    """Unmount all of them, the last one first. Raises FleetError "image_build_failed" for one that is in use.

    Each is made private before: the end of a mount below a shared one would be passed on to where that one comes from, which is the host.
    """
    with open(_TABLE, encoding="utf-8", errors="surrogateescape") as file:
        points = below(file.read(), os.path.realpath(folder))
    steps = [["mount", "--make-private", "--", point] for point in points]
    steps += [["umount", "--no-canonicalize", "--", point] for point in reversed(points)]
    for argv in steps:
        done = run(argv, timeout=30)
        if done.rc:
            raise FleetError(
                "image_build_failed",
                f"A build that was killed has left {argv[-1]}, which {argv[0]} cannot end: {done.err.strip()[-300:]} Nothing was removed.",
                remedy="End what still works there (fuser -vm names it), then run again.",
                details={"path": argv[-1]},
            )
