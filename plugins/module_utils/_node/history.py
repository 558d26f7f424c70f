# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What changed of which node, from the events of nodes and the journal of runs, for `attribution`. Reads only.

An event is of the moment in which it was heard; with sweeps that may be one interval after it happened.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from .._store.database import Transaction
from .attribution import Change, Failing, Other, attribute
from .model import Heartbeat, Json, Node
from .reading import Read
from .store import NodeStore

_MOST = 5000
_FAILS = ("degraded", "stalled", "silent", "lost")
_NOT_WORKING = ("failed", "inactive", "deactivating", "unknown")
# Fields of a row of node and node_template, by what a change of them is.
_FIELDS: t.Mapping[str, str] = {
    "modules": "module", "platform": "spec", "architecture": "spec", "image_family": "spec", "defaults": "spec", "volumes": "spec", "template": "spec",
    "guards": "policy", "lifecycle_class": "policy", "quorum_group": "policy", "labels": "policy", "hooks": "hook",
}  # fmt: skip


@dataclass(frozen=True)
class History:
    """Changes of each node by its name, since some moment, and when each of them was last said to fail."""

    changes: t.Mapping[str, t.Sequence[Change]]
    failed_at: t.Mapping[str, float]


def attributions(store: NodeStore, reads: t.Sequence[Read], names: t.Collection[str], since: float) -> t.Dict[str, t.Optional[Json]]:
    """Of each node of ``names`` what probably made its machine fail; None for one that does not. ``reads`` are all nodes of the fleet."""
    past = history(store, reads, since)
    failing = {one.node.name: failure_of(one, past) for one in reads}
    keys = {name: frozenset(change.key for change in changes) for name, changes in past.changes.items()}
    found: t.Dict[str, t.Optional[Json]] = {}
    for name in names:
        mine = failing.get(name)
        others = [Other(failing[one.node.name] is not None, keys.get(one.node.name, frozenset())) for one in reads if _counts(one, name)]
        found[name] = attribute(mine, past.changes.get(name, ()), others) if mine is not None else None
    return found


def _counts(one: Read, name: str) -> bool:
    """Whether the machine of this node says anything about that of ``name``: it is well, or it fails; nobody knows of the rest."""
    return one.node.name != name and (one.health in ("ok", "late") or one.health in _FAILS)


def failure_of(one: Read, past: History) -> t.Optional[Failing]:
    """Since when and where the machine of a node fails; None when it does not."""
    instance, beat = one.facts.instance, one.facts.heartbeat
    vanished = one.verdict.reason == "vanished"
    if instance is None or (one.health not in _FAILS and not vanished):
        return None
    if vanished:
        onset = instance.missing_since or one.facts.now
    elif one.health in ("silent", "lost"):
        onset = one.facts.contacted_at() or one.facts.now
    elif one.health == "stalled":
        onset = one.facts.now
    else:
        onset = past.failed_at.get(one.node.name) or (beat.received_at if beat is not None else one.facts.now)
    return Failing(onset, _broken(one.node, beat), beat.failed_units if beat is not None else ())


def _broken(node: Node, beat: t.Optional[Heartbeat]) -> t.FrozenSet[str]:
    """Modules that do not work: a unit of theirs does not, or they are wanted and not there."""
    carried = beat.document.get("modules") if beat is not None else None
    if beat is None or not isinstance(carried, t.Mapping):
        return frozenset()
    ill = {str(name) for name, module in carried.items()
           if any(state in _NOT_WORKING or unit in beat.failed_units for unit, state in module["units"].items())}  # fmt: skip
    return frozenset(ill | {str(module["name"]) for module in node.modules if module["name"] not in carried})


def history(store: NodeStore, reads: t.Iterable[Read], since: float) -> History:
    """What is on record since ``since``, of all nodes; a change of a template is one of each of its nodes."""
    of_template: t.Dict[str, t.List[str]] = {}
    for one in reads:
        of_template.setdefault(one.node.template, []).append(one.node.name)
    found: t.Dict[str, t.List[Change]] = {}
    failed: t.Dict[str, float] = {}
    with store.database.transaction() as transaction:
        rows = transaction.execute("SELECT * FROM node_event WHERE at >= ? ORDER BY at DESC LIMIT ?", (since, _MOST))
        runs = _runs(transaction, since)
    for row in rows:
        change = _of_event(row)
        if change is not None:
            found.setdefault(row["node"], []).append(change)
        if row["type"] == "units_failed":
            failed.setdefault(row["node"], row["at"])
    for row in runs:
        kind, _slash, name = str(row["subject"]).partition("/")
        for node in of_template.get(name, ()) if kind == "template" else (name,):
            found.setdefault(node, []).extend(_of_run(row))
    return History(found, failed)


def _runs(transaction: Transaction, since: float) -> t.List[t.Mapping[str, t.Any]]:
    return transaction.execute(
        "SELECT operation.id AS id, kind, actor, parameters, started_at, subject FROM operation JOIN operation_subject ON operation_id = operation.id"
        " WHERE started_at >= ? AND (subject LIKE 'node/%' OR subject LIKE 'template/%') ORDER BY started_at DESC LIMIT ?",
        (since, _MOST),
    )


def _of_event(row: t.Mapping[str, t.Any]) -> t.Optional[Change]:
    """The change that an event tells. Phases of a life that somebody asked for are in the journal already."""
    at, after, before = float(row["at"]), str(row["after"]), str(row["before"])
    if row["type"] == "module_changed":
        name, _blank, digest = (after or before).partition(" ")
        return Change("module", name, at, f"module {name} changed from {before or 'none'} to {after or 'none'}", f"module {after or before}")
    if row["type"] == "booted":
        return Change("provider", "boot", at, "it booted anew", "boot")
    if row["type"] == "phase" and (row["reason"] == "vanished" or after == "stopped"):
        return Change("provider", after, at, f"its phase became {after} ({row['reason']})", f"phase {after}")
    if row["type"] == "skipped":
        return Change("operator", "finalizers", at, f"{row['actor'] or 'somebody'} passed over {row['reason']}")
    return None


def _of_run(row: t.Mapping[str, t.Any]) -> t.List[Change]:
    """The changes that a run has made: one for each kind of field of a row, or the verb of a task."""
    given, at, actor = json.loads(row["parameters"]), float(row["started_at"]), row["actor"] or "somebody"
    if row["kind"] not in ("node", "node_template"):
        verb = str(given.get("state") or given.get("verb") or row["kind"])
        return [Change("operator", verb, at, f"{actor} ran {row['kind']} ({verb})", f"{row['kind']} {verb}")]
    fields = [field for step in given.get("plan") or () for field in str(step.get("reason", "")).partition(" of ")[0].split(", ") if field in _FIELDS]
    kinds = sorted({_FIELDS[field] for field in fields})
    said = {kind: ", ".join(field for field in fields if _FIELDS[field] == kind) for kind in kinds}
    key = str(row["id"]) if row["kind"] == "node_template" else ""
    return [Change(kind, words, at, f"{actor} changed {words} of {row['subject']}", f"{key or row['kind']} {words}") for kind, words in said.items()]
