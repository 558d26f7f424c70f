# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The major version of PostgreSQL on each side: LAB_PG_LEGACY and LAB_PG_TARGET, taken when the lab is made.

A side gets the Debian release that has the version: its database's image, or the whole target.
"""
from __future__ import annotations

import json
import os
import re
import typing as t

from . import settings
from .shell import LabError, run, write

DEFAULT = 15
# A server of another version would need packages of a third party, which the lab does not trust a machine with.
RELEASES = {15: "bookworm", 17: "trixie"}
SIDES = ("legacy", "target")
_MADE = settings.HOME / "postgres.json"


def chosen(environ: t.Mapping[str, str], made: t.Mapping[str, int]) -> dict[str, int]:
    """The major of each side: that of the lab which is ``made`` (empty for none), else what ``environ`` asks for.

    Raises LabError with everything that is wrong, at once.
    """
    wrong, found = [], {}
    there = ", ".join(f"{major} (Debian {release})" for major, release in sorted(RELEASES.items()))
    for side in SIDES:
        variable = f"LAB_PG_{side.upper()}"
        given = environ.get(variable, "")
        if given and given not in map(str, RELEASES):
            wrong.append(f"{variable}: PostgreSQL {given} cannot be had; the lab takes {there}.")
            continue
        found[side] = int(given or made.get(side, DEFAULT))
        if made and found[side] != made[side]:
            wrong.append(f"The lab that is here has PostgreSQL {made[side]} on {side}, {variable} is {given}. Run lab.py reset, then lab.py up.")
    if not wrong and found["legacy"] > found["target"]:
        wrong.append(f"LAB_PG_LEGACY: {found['legacy']} is newer than LAB_PG_TARGET {found['target']}; rows do not move to an older version.")
    if wrong:
        raise LabError(" ".join(wrong) + " Nothing was made.")
    return found


def majors() -> dict[str, int]:
    return chosen(os.environ, json.loads(_MADE.read_text(encoding="utf-8")) if _MADE.exists() else {})


def ensure() -> str:
    """Decide, and remember: a lab that is there keeps its versions without being asked again."""
    found = majors()
    write(_MADE, json.dumps(found) + "\n")
    return ", ".join(f"{major} on {side}" for side, major in found.items())


def forget() -> None:
    _MADE.unlink(missing_ok=True)


def dumps(legacy: int) -> bool:
    """Whether this machine, which runs the switch, has a pg_dump that reads ``legacy``."""
    said = run(["pg_dump", "--version"], check=False).stdout
    found = re.search(r"(\d+)(?:\.\d+)?\s", said)
    return bool(found) and int(found.group(1)) >= legacy
