# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages of a Debian host, from what its own program lists. Pure: check mode needs no library on the host."""

from __future__ import annotations

import typing as t

LISTED = "${Package} ${Architecture} ${Version} ${db:Status-Status}\n"


def missing_packages(wanted: t.Sequence[str], listed: str) -> list[str]:
    """Those of ``wanted`` (as apt takes them: name, name:arch, name=version, name/release) that are not installed.

    ``listed`` is what dpkg-query prints with `LISTED`. A release is no state of a package; whoever names one gets apt asked.
    """
    there: dict[str, set[str]] = {}
    for line in listed.splitlines():
        name, architecture, version, status = [*line.split(" "), "", "", "", ""][:4]
        if status == "installed":
            for known in (name, f"{name}:{architecture}"):
                there.setdefault(known, set()).add(version)
    found = []
    for item in wanted:
        name, _equals, version = str(item).partition("=")
        if "/" in name or name not in there or (version and version not in there[name]):
            found.append(str(item))
    return found
