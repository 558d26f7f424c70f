# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the store is: its DSN, and whether that place outlives the run."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from .._core.argspec import unknown_keys
from .._core.errors import FleetError

# Files that container engines put into the root of a container, and a variable that Kubernetes sets in every pod.
_MARKERS = ("/.dockerenv", "/run/.containerenv")
_FLEETING = ("overlay", "tmpfs", "ramfs", "aufs")


@dataclass(frozen=True)
class Place:
    """A SQLite file. ``ephemeral`` says that the user knows that it will vanish."""

    path: Path
    ephemeral: bool = False


def place(dsn: t.Optional[str], environ: t.Mapping[str, str]) -> Place:
    """The place that ``dsn`` names; without one the file ``bowline/store.db`` in the user's XDG state directory.

    Raises FleetError ``store_unavailable`` for a DSN that is not ``sqlite:///absolute/path``, optionally with ``?ephemeral=true``.
    """
    if not dsn:
        state = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")
        return Place(Path(state) / "bowline" / "store.db")
    parts = urlsplit(dsn)
    options = dict(parse_qsl(parts.query))
    wrong = unknown_keys("store", options, ("ephemeral",))
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/") or wrong:
        # The text is not repeated: a DSN of another scheme may hold a password.
        seen = " ".join(wrong) or f"Its scheme is {parts.scheme or 'missing'}."
        raise FleetError("store_unavailable", f"The store's DSN cannot be used. {seen}", remedy="Write sqlite:///absolute/path/store.db.")
    return Place(Path(unquote(parts.path)), ephemeral=options.get("ephemeral") == "true")


def refuse_ephemeral(store: Place, environ: t.Mapping[str, str]) -> None:
    """Raise FleetError ``store_ephemeral`` when this is a container and the file stands on its throw-away file system."""
    inside = any(os.path.exists(marker) for marker in _MARKERS) or "KUBERNETES_SERVICE_HOST" in environ
    if not inside or store.ephemeral:
        return
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    kind = filesystem_of(os.path.realpath(store.path), mountinfo)
    if kind in _FLEETING:
        raise FleetError(
            "store_ephemeral",
            f"This is a container and {store.path} is on its {kind}: leases and journal would vanish with it. Nothing was written.",
            remedy=f"Mount a volume at {store.path.parent}, or name a file on one with store: sqlite:///<volume>/store.db. "
            "For a throw-away test, append ?ephemeral=true to the DSN.",
            details={"path": str(store.path), "filesystem": kind},
        )


def filesystem_of(path: str, mountinfo: str) -> str:
    """Type of the file system that holds ``path``; empty when no mount does.

    Source: proc(5), /proc/<pid>/mountinfo: field 5 is the mount point, the type follows the lone dash.
    """
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        if not dash:
            continue
        point = left.split()[4].replace("\\040", " ").rstrip("/")
        if (path == point or path.startswith(point + "/")) and len(point) >= best:
            best, kind = len(point), right.split()[0]
    return kind
