# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open work that lasts longer than one call of a module: a rollout of a stack, a drain of a node. While it is open, other writers are refused."""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..client.wire import Gone
from ..model import Json
from . import keep
from .lock import Configs

ROLLOUT, DRAIN = "rollout", "drain"

STEP, POSITION = "bowline.step", "bowline.position"


@dataclass(frozen=True)
class Record:
    """``data`` is what was true when the work began and never changes; ``step`` and ``position`` move. ``subject`` is a stack or the id of a node."""

    kind: str
    subject: str
    owner: str
    since: str
    reason: str
    operation: str
    step: str
    position: Json = field(default_factory=dict)
    data: Json = field(default_factory=dict)
    config: Json = field(default_factory=dict, repr=False)

    def shown(self) -> Json:
        """What messages and results say of it."""
        return {key: getattr(self, key) for key in ("kind", "subject", "owner", "since", "reason", "operation", "step", "position")}


def find(engine: Configs, kind: str, subject: str) -> t.Optional[Record]:
    """The open work of ``subject``; None when there is none."""
    return next(iter(every(engine, kind, subject)), None)


def every(engine: Configs, kind: str, subject: t.Optional[str] = None) -> tuple[Record, ...]:
    """All open work of this kind, by subject."""
    found = [_read(config) for config in engine.configs(keep.wanted(kind, subject))]
    return tuple(sorted(found, key=lambda record: record.subject))


def begin(engine: Configs, kind: str, subject: str, data: Json, *, step: str, reason: str = "", operation: str = "", owner: str = "") -> Record:
    """Write the record before the first change. Raises FleetError "rollout_open" or "drain_open" when there is one already."""
    refuse(engine, kind, subject)
    labels = {
        keep.KIND: kind,
        keep.SUBJECT: subject,
        keep.OWNER: keep.said(owner or keep.whoami()),
        keep.SINCE: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        keep.REASON: keep.said(reason),
        keep.OPERATION: keep.said(operation),
        STEP: step,
        POSITION: "{}",
    }
    made = engine.config_create(keep.body(keep.name_of(kind, subject), labels, json.dumps(data, sort_keys=True).encode()))
    return _read(engine.config(made))


def advance(engine: Configs, record: Record, step: str, position: t.Optional[Json] = None) -> Record:
    """The record with another step. Raises OutOfSequence when somebody else moved it, Gone when it was closed."""
    labels = {**keep.labels_of(record.config), STEP: step, POSITION: json.dumps(position if position is not None else record.position, sort_keys=True)}
    identity = str(record.config["ID"])
    engine.config_update(identity, keep.version_of(record.config), keep.relabelled(record.config, labels))
    return _read(engine.config(identity))


def close(engine: Configs, record: Record) -> None:
    """Delete it; one that is gone already is no failure."""
    try:
        engine.config_remove(str(record.config["ID"]))
    except Gone:
        pass


def refuse(engine: Configs, kind: str, subject: str) -> None:
    """Raise FleetError "rollout_open" or "drain_open" when such work is open."""
    record = find(engine, kind, subject)
    if record is not None:
        raise opened(record)


def refuse_drained(engine: Configs, specs: t.Iterable[Json]) -> None:
    """Raise FleetError "drain_open" when one of the live ``specs`` carries the constraint of a drain that is open: it is not what its owner wrote."""
    drains = every(engine, DRAIN)
    for spec in specs if drains else ():
        placement = (spec.get("TaskTemplate") or {}).get("Placement") or {}
        words = {"".join(str(one).split()) for one in placement.get("Constraints") or ()}
        for record in drains:
            if f"node.id!={record.subject}" in words:
                raise opened(record)


def opened(record: Record) -> FleetError:
    """The failure of another writer."""
    said = f"{record.subject} since {record.since} by {record.owner}, at step {record.step}{f' ({record.reason})' if record.reason else ''}"
    if record.kind == ROLLOUT:
        remedy = "Promote it with the same content, or abort it with revision: stable."
        return FleetError("rollout_open", f"A canary is open on {said}. Nothing was changed.", remedy, record.shown())
    remedy = "Run the same drain again, which goes on, or state: active, which takes it back."
    return FleetError("drain_open", f"A drain is open on {said}. Nothing was changed.", remedy, record.shown())


def _read(config: Json) -> Record:
    labels = keep.labels_of(config)
    words = {word: labels.get(f"bowline.{word}", "") for word in ("kind", "subject", "owner", "since", "reason", "operation", "step")}
    return Record(**words, position=_mapping(labels.get(POSITION)), data=keep.json_of(config) or {}, config=config)


def _mapping(text: t.Optional[str]) -> Json:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
