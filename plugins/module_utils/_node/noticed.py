# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What two words of one machine tell together: a new boot, another module, a unit that has failed. It becomes events of its node.

A machine that says something else each time fills the record of nobody but its own node, and no more than `AN_HOUR` events of it.
"""

from __future__ import annotations

import typing as t

from .._core.redact import redact
from .._store.database import Transaction
from .model import Heartbeat, NodeEvent
from .store import note

TYPES = ("booted", "module_changed", "units_failed")
AN_HOUR = 20
_HOUR = 3600.0
_TEXT = 200


def noticed(last: t.Optional[Heartbeat], now: Heartbeat) -> t.List[t.Tuple[str, str, str]]:
    """Type, before and after of each event. The first word of a machine tells nothing, as nobody knows what was before.

    ``last`` is as it was kept, without secrets; ``now`` is taken the same way, or what was hidden would look like a change.
    """
    if last is None:
        return []
    found = [("booted", last.boot_id, now.boot_id)] if last.boot_id != now.boot_id else []
    before, after = _digests(last), _digests(now)
    if before is not None and after is not None:
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                found.append(("module_changed", f"{name} {before.get(name, '')}".strip(), f"{name} {after.get(name, '')}".strip()))
    failed = sorted({str(redact(unit)) for unit in now.failed_units} - set(last.failed_units))
    return [*found, ("units_failed", "", ", ".join(failed))] if failed else found


def note_all(transaction: Transaction, given: t.Sequence[t.Tuple[str, str, str]], instance: str, now: float) -> None:
    """Write them as events of the node of ``instance``, as many as may come within an hour."""
    if not given:
        return
    node = transaction.execute("SELECT node FROM node_instance WHERE id = ?", (instance,))[0]["node"]
    places = ", ".join("?" * len(TYPES))
    seen = transaction.execute(f"SELECT COUNT(*) AS seen FROM node_event WHERE node = ? AND at > ? AND type IN ({places})", (node, now - _HOUR, *TYPES))
    for kind, before, after in given[: max(0, AN_HOUR - int(seen[0]["seen"]))]:
        note(transaction, NodeEvent(node, 0, now, kind, "medium" if kind == "units_failed" else "info", before[:_TEXT], after[:_TEXT], "", "machine"))


def _digests(beat: Heartbeat) -> t.Optional[t.Dict[str, str]]:
    modules = beat.document.get("modules")
    return {str(name): str(module["digest"]) for name, module in redact(modules).items()} if isinstance(modules, t.Mapping) else None
