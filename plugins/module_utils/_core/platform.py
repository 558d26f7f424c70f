# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host is one that this collection serves. What is not is refused by name, before anything is written there."""

from __future__ import annotations

import os

# https://www.freedesktop.org/software/systemd/man/latest/os-release.html: /etc first, then /usr/lib; ID_LIKE is a list of words.
_RELEASES = ("etc/os-release", "usr/lib/os-release")
# selinuxfs: 1 enforces, 0 is permissive; no file without SELinux. https://docs.kernel.org/admin-guide/LSM/SELinux.html
_ENFORCE = "sys/fs/selinux/enforce"
_FAMILY = "debian"


def seen(root: str = "/") -> dict[str, object]:
    """``id``, ``like``, ``name`` of the distribution (empty where it says nothing), and whether SELinux is ``enforcing``."""
    release: dict[str, str] = {}
    for name in _RELEASES:
        text = _read(os.path.join(root, name))
        if text:
            pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
            release = {key.strip(): value.strip().strip("\"'") for key, _equals, value in pairs}
            break
    return {
        "id": release.get("ID", ""),
        "like": release.get("ID_LIKE", "").split(),
        "name": release.get("PRETTY_NAME", "") or release.get("ID", ""),
        "enforcing": _read(os.path.join(root, _ENFORCE)).strip() == "1",
    }


def refused(found: dict[str, object], selinux: bool) -> tuple[str, ...]:
    """Why this host cannot be served, in words. ``selinux`` says whether an enforcing SELinux is a reason: where units and files are made. Pure."""
    like = found["like"] if isinstance(found["like"], list) else []
    reasons = []
    if found["id"] != _FAMILY and _FAMILY not in like:
        reasons.append(f"this is {found['name'] or 'no distribution that says its name'}; only Debian and what is made from it is served")
    if selinux and found["enforcing"]:
        reasons.append("SELinux is enforcing; units and files are made without labels for it")
    return tuple(reasons)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
