# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands against an edge before there is one: whose names it would take, and a door through which nothing could be proven."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.runner import Runner
from . import door, owner, process, proxy
from .model import Warmup


def found(directory: str, asked: t.Mapping[str, t.Any], run: Runner, planned: bool) -> list[dict[str, str]]:
    """Findings of level fail about ``asked`` (subject, process, proxy) for an edge in ``directory``; all of them, and nothing is changed.

    The door of a proxy that something is ``planned`` to bring is not asked.
    """
    wanted = asked.get("proxy") or {}
    hostname = (wanted.get("door") or {}).get("hostname") or ""
    checks: list[tuple[str, t.Callable[[], object]]] = [
        (directory, lambda: owner.refuse_others(directory, asked.get("subject") or "", hostname)),
        ("process", lambda: _process(directory, asked, run)),
    ]
    if wanted.get("door") and hostname and not planned:
        checks.append(("proxy.door", lambda: door.look(door.asked_for(wanted, Warmup("", hostname)))))
    findings = []
    for where, check in checks:
        try:
            check()
        except FleetError as error:
            findings.append(proxy.of_error(error, where))
    return findings


def _process(directory: str, asked: t.Mapping[str, t.Any], run: Runner) -> None:
    runs = process.asked_for(asked.get("process"), directory, run)
    if runs:
        runs.refuse_others()
