# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every node with what is known of its machine, read at one moment and in a few statements, however many there are. Writes nothing."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .drift import drift
from .health import health
from .model import Action, Node, Receiver, Template
from .phase import Facts, Verdict, phase
from .rows import heartbeat_of, instance_of, node_of, template_of
from .store import NodeStore


@dataclass(frozen=True)
class Read:
    """``node`` with what its template gives; ``facts`` are of its live machine, ``verdict`` is the phase that they give."""

    node: Node
    facts: Facts
    verdict: Verdict

    @property
    def health(self) -> str:
        return health(self.facts, self.verdict)


def read(store: NodeStore) -> t.List[Read]:
    """All nodes, by name."""
    live = "SELECT id FROM node_instance WHERE terminated_at IS NULL"
    with store.database.transaction() as transaction:
        templates: t.Dict[str, Template] = {row["name"]: template_of(row) for row in transaction.execute("SELECT * FROM node_template")}
        nodes = [node_of(row) for row in transaction.execute("SELECT * FROM node ORDER BY name")]
        machines = {row["node"]: instance_of(row) for row in transaction.execute("SELECT * FROM node_instance WHERE terminated_at IS NULL")}
        beats = {row["instance"]: heartbeat_of(row) for row in transaction.execute(f"SELECT * FROM node_heartbeat WHERE instance IN ({live})")}
        opened = transaction.execute(f"SELECT * FROM node_action WHERE ended_at IS NULL AND instance IN ({live}) ORDER BY key")
        receivers = tuple(Receiver(**row) for row in transaction.execute("SELECT * FROM node_receiver ORDER BY id"))
    actions: t.Dict[str, t.List[Action]] = {}
    for row in opened:
        actions.setdefault(row["instance"], []).append(Action(**row))
    now = store.now()
    found = []
    for node in nodes:
        instance, template = machines.get(node.name), templates.get(node.template)
        key = instance.id if instance is not None else ""
        whole, beat = node.resolved(template) if template is not None else node, beats.get(key)
        apart = drift(whole, beat)
        facts = Facts(now, instance, None, beat, receivers, tuple(actions.get(key, ())), drifted=apart["drift"] if apart is not None else None)
        found.append(Read(whole, facts, phase(facts)))
    return found
