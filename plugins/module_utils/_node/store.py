# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this room keeps in the store: templates, nodes, their machines, what was done to them and what happened.

Every write proves in its own transaction that the lease of its subject is still held under the number that its writer took it with; one that was taken
over gets ``lease_lost`` and nothing is written. Each write is a sign of life of the run, too. The store owns the connection, the lease and the operation.
"""

from __future__ import annotations

import hashlib
import json
import time
import typing as t
import uuid
from dataclasses import asdict, dataclass, replace

from .._core.errors import FleetError
from .._core.redact import redact
from .._store.database import Database, Transaction
from .migrations import MIGRATIONS
from .model import Action, ActionStep, Condition, Heartbeat, Instance, Node, NodeEvent, Receiver, Template
from .rows import columns, document_of, heartbeat_of, instance_of, node_of, template_of

ROOM = "_node"


class Held(t.NamedTuple):
    """The right to write: the lease of ``subject`` under its lease number."""

    subject: str
    number: int


@dataclass(frozen=True)
class Known:
    """All that the store knows of the machine of one node, read at one moment. ``actions`` are those that are not over."""

    instance: t.Optional[Instance] = None
    heartbeat: t.Optional[Heartbeat] = None
    actions: t.Tuple[Action, ...] = ()
    receivers: t.Tuple[Receiver, ...] = ()


def subject_of(node: str) -> str:
    """What is locked while somebody works on a node."""
    return f"node/{node}"


class NodeStore:
    """Nodes of one fleet. ``clock`` gives unix seconds; its ages are the only ones that decide."""

    def __init__(self, database: Database, clock: t.Callable[[], float] = time.time) -> None:
        self.database = database
        self.now = clock
        database.join(ROOM, MIGRATIONS)

    def fleet(self) -> str:
        """The name of this fleet, which every machine carries in its tag; it is drawn once and stays."""
        with self.database.transaction() as transaction:
            transaction.execute("INSERT INTO node_fleet (one, name, ca_fingerprint) VALUES (1, ?, '') ON CONFLICT (one) DO NOTHING", (uuid.uuid4().hex[:12],))
            return str(transaction.execute("SELECT name FROM node_fleet")[0]["name"])

    def named(self) -> str:
        """The name of this fleet; empty while it has none."""
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT name FROM node_fleet")
        return str(rows[0]["name"]) if rows else ""

    def keep_fleet(self, name: str) -> None:
        """This fleet has the name that its machines carry. Raises FleetError ``conflict`` where it has another one, and rows of machines that carry that."""
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT name FROM node_fleet")
            if rows and rows[0]["name"] == name:
                return
            if rows and transaction.execute("SELECT COUNT(*) AS known FROM node_instance")[0]["known"]:
                message = f"The store is that of fleet {rows[0]['name']} and knows machines of it; {name} is asked for. Nothing was changed."
                raise FleetError("conflict", message, "Name the store that was lost, or leave fleet out.")
            # A CA that was made under a name that nobody carries has signed nothing.
            transaction.execute("INSERT INTO node_fleet (one, name, ca_fingerprint) VALUES (1, ?, '') ON CONFLICT (one) DO UPDATE SET name = excluded.name,"
                                " ca_fingerprint = ''", (name,))  # fmt: skip

    def ca_fingerprint(self) -> str:
        """SHA-256 of the certificate of the fleet's CA; empty before it was made."""
        self.fleet()
        with self.database.transaction() as transaction:
            return str(transaction.execute("SELECT ca_fingerprint FROM node_fleet")[0]["ca_fingerprint"])

    def keep_ca_fingerprint(self, fingerprint: str) -> None:
        """The fleet has this CA from now on; one that it has stays."""
        with self.database.transaction() as transaction:
            transaction.execute("UPDATE node_fleet SET ca_fingerprint = ? WHERE ca_fingerprint = ''", (fingerprint,))

    # --- templates and nodes ------------------------------------------------------------------------------------------------------

    def template(self, name: str) -> t.Optional[Template]:
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM node_template WHERE name = ?", (name,))
        return template_of(rows[0]) if rows else None

    def templates(self) -> t.List[Template]:
        with self.database.transaction() as transaction:
            return [template_of(row) for row in transaction.execute("SELECT * FROM node_template ORDER BY name")]

    def put_template(self, held: Held, template: Template) -> Template:
        """Write one template over the one of its revision. Raises FleetError ``conflict`` when that is not the last one, ``lease_lost``."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            _refuse_stale(transaction, "node_template", template.name, template.revision)
            written = replace(template, revision=template.revision + 1)
            transaction.execute(
                "INSERT INTO node_template (name, document, revision, lease_number, changed_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET document = excluded.document, revision = excluded.revision, lease_number = excluded.lease_number, changed_at = excluded.changed_at",
                (written.name, document_of(written), written.revision, held.number, self.now()),
            )
        return written

    def remove_template(self, held: Held, name: str) -> None:
        """Forget a template that no node is of; a node that still names it is held by the database itself."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            transaction.execute("DELETE FROM node_template WHERE name = ?", (name,))

    def node(self, name: str) -> t.Optional[Node]:
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM node WHERE name = ?", (name,))
        return node_of(rows[0]) if rows else None

    def nodes(self) -> t.List[Node]:
        with self.database.transaction() as transaction:
            return [node_of(row) for row in transaction.execute("SELECT * FROM node ORDER BY name")]

    def put_node(self, held: Held, node: Node) -> Node:
        """As `put_template`."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            _refuse_stale(transaction, "node", node.name, node.revision)
            written = replace(node, revision=node.revision + 1)
            transaction.execute(
                "INSERT INTO node (name, template, lifecycle_class, document, revision, lease_number, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET template = excluded.template, lifecycle_class = excluded.lifecycle_class, document = excluded.document,"
                " revision = excluded.revision, lease_number = excluded.lease_number, changed_at = excluded.changed_at",
                (written.name, written.template, written.lifecycle_class, document_of(written), written.revision, held.number, self.now()),
            )
        return written

    def remove_node(self, held: Held, name: str) -> None:
        """Forget a node; what it had stays on record. Raises FleetError ``node_has_instance`` while a machine of it lives."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            if _live(transaction, name) is not None:
                raise has_instance(name)
            transaction.execute("DELETE FROM node WHERE name = ?", (name,))

    # --- instances ----------------------------------------------------------------------------------------------------------------

    def live(self, node: str) -> t.Optional[Instance]:
        """The instance of a node that has not ended; there is at most one."""
        with self.database.transaction() as transaction:
            return _live(transaction, node)

    def known(self, node: str) -> Known:
        """The live instance of a node with what was heard of it and what is being done to it."""
        with self.database.transaction() as transaction:
            instance = _live(transaction, node)
            if instance is None:
                return Known()
            beats = transaction.execute("SELECT * FROM node_heartbeat WHERE instance = ?", (instance.id,))
            actions = transaction.execute("SELECT * FROM node_action WHERE instance = ? AND ended_at IS NULL ORDER BY key", (instance.id,))
            receivers = transaction.execute("SELECT * FROM node_receiver ORDER BY id")
        return Known(instance, heartbeat_of(beats[0]) if beats else None, tuple(Action(**row) for row in actions), tuple(Receiver(**row) for row in receivers))

    def instances(self, node: t.Optional[str] = None, limit: int = 50) -> t.List[Instance]:
        """The latest instances, those that have ended among them: of one node, or of all."""
        wanted, values = ("WHERE node = ?", [node]) if node is not None else ("", [])
        with self.database.transaction() as transaction:
            rows = transaction.execute(f"SELECT * FROM node_instance {wanted} ORDER BY created_at DESC, id LIMIT ?", [*values, limit])
        return [instance_of(row) for row in rows]

    def reserve(self, held: Held, instance: Instance, actor: str = "") -> Instance:
        """The row of a machine that is to be made, with the next generation of its node. The one that lives already when there is one."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            known = _live(transaction, instance.node)
            if known is not None:
                return known
            last = transaction.execute("SELECT COALESCE(MAX(generation), 0) AS last FROM node_instance WHERE node = ?", (instance.node,))[0]["last"]
            made = replace(instance, generation=last + 1, created_at=self.now(), phase_since=self.now(), lease_number=held.number)
            _insert(transaction, made)
            self._note(transaction, made.node, "reserved", "", made.phase, f"instance {made.id}", actor)
        return made

    def restore(self, held: Held, instance: Instance, reason: str, actor: str = "") -> Instance:
        """The row of a machine that stands already, under the id and generation that it carries. The live one of its node when there is one."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            known = _live(transaction, instance.node)
            if known is not None:
                return known
            made = replace(instance, lease_number=held.number)
            _insert(transaction, made)
            self._note(transaction, made.node, "imported", "", made.phase, reason, actor)
        return made

    def save(self, held: Held, instance: Instance, conditions: t.Sequence[Condition] = (), event: str = "", reason: str = "", actor: str = "") -> Instance:
        """Write what is known of an instance now. A phase that has changed is an event of its own; ``event`` names another one."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            before = transaction.execute("SELECT phase FROM node_instance WHERE id = ?", (instance.id,))
            written = replace(instance, lease_number=held.number)
            values = {name: value for name, value in columns(written).items() if name not in ("id", "node", "generation", "created_at")}
            pairs = ", ".join(f"{name} = ?" for name in values)
            transaction.execute(f"UPDATE node_instance SET {pairs} WHERE id = ?", [*values.values(), instance.id])
            for condition in conditions:
                transaction.execute(
                    "INSERT INTO node_condition (instance, type, status, reason, message, since, generation) VALUES (?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (instance, type) DO UPDATE SET status = excluded.status, reason = excluded.reason, message = excluded.message,"
                    " since = excluded.since, generation = excluded.generation",
                    (instance.id, *asdict(condition).values()),
                )
            if before and before[0]["phase"] != written.phase:
                self._note(transaction, written.node, "phase", before[0]["phase"], written.phase, reason, actor)
            if event:
                self._note(transaction, written.node, event, "", "", reason, actor)
        return written

    def conditions(self, instance: str) -> t.Tuple[Condition, ...]:
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT type, status, reason, message, since, generation FROM node_condition WHERE instance = ?", (instance,))
        return tuple(Condition(**row) for row in rows)

    # --- actions and events -------------------------------------------------------------------------------------------------------

    def actions(self, instance: str) -> t.Tuple[Action, ...]:
        """Actions of an instance that are not over."""
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM node_action WHERE instance = ? AND ended_at IS NULL ORDER BY key", (instance,))
        return tuple(Action(**row) for row in rows)

    def attempt(self, held: Held, instance: str, verb: str, actor: str = "") -> Action:
        """Write down that ``verb`` is about to be tried, before the call that does it; one that is open goes on with one attempt more."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            rows = transaction.execute("SELECT * FROM node_action WHERE instance = ? AND verb = ? AND ended_at IS NULL", (instance, verb))
            if rows:
                action = replace(Action(**rows[0]), attempts=rows[0]["attempts"] + 1, attempted_at=self.now(), lease_number=held.number)
                transaction.execute(
                    "UPDATE node_action SET attempts = ?, attempted_at = ?, lease_number = ? WHERE key = ?",
                    (action.attempts, action.attempted_at, action.lease_number, action.key),
                )
                return action
            count = transaction.execute("SELECT COUNT(*) AS known FROM node_action WHERE instance = ? AND verb = ?", (instance, verb))[0]["known"]
            action = Action(instance, verb, f"{instance}/{verb}/{count + 1}", "running", 1, self.now(), None, actor, held.number)
            values = asdict(action)
            transaction.execute(f"INSERT INTO node_action ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
        return action

    def over(self, held: Held, instance: str, verb: str, state: str = "complete") -> None:
        """The open action of this verb is over; without one nothing is written."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            transaction.execute(
                "UPDATE node_action SET state = ?, ended_at = ?, lease_number = ? WHERE instance = ? AND verb = ? AND ended_at IS NULL",
                (state, self.now(), held.number, instance, verb),
            )

    def did(self, held: Held, step: ActionStep) -> None:
        """Record one step that was done; its ``position`` is given here."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)
            transaction.execute(
                "INSERT INTO node_action_step (instance, position, name, probe, result, started_at, ended_at)"
                " SELECT ?, COALESCE(MAX(position), 0) + 1, ?, ?, ?, ?, ? FROM node_action_step WHERE instance = ?",
                (step.instance, step.name, step.probe, step.result, step.started_at, step.ended_at, step.instance),
            )

    def steps(self, instance: str) -> t.List[ActionStep]:
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM node_action_step WHERE instance = ? ORDER BY position", (instance,))
        return [ActionStep(**row) for row in rows]

    def events(self, node: str, limit: int = 50) -> t.List[NodeEvent]:
        """What happened to a node, the latest first."""
        with self.database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM node_event WHERE node = ? ORDER BY position DESC LIMIT ?", (node, limit))
        return [NodeEvent(**row) for row in rows]

    def alive(self, held: Held) -> None:
        """A sign of life of a run that waits. Raises FleetError ``lease_lost``."""
        with self.database.transaction() as transaction:
            self._prove(transaction, held)

    def _note(self, transaction: Transaction, node: str, kind: str, before: str, after: str, reason: str, actor: str) -> None:
        severity = "critical" if after == "terminated" and reason == "vanished" else "info"
        note(transaction, NodeEvent(node, 0, self.now(), kind, severity, before, after, str(redact(reason)), actor))

    def _prove(self, transaction: Transaction, held: Held) -> None:
        prove(transaction, held, self.now())


def note(transaction: Transaction, given: NodeEvent) -> None:
    """Append an event to those of its node; its position and digest are made here."""
    last = transaction.execute("SELECT position, digest FROM node_event WHERE node = ? ORDER BY position DESC LIMIT 1", (given.node,))
    position, previous = (last[0]["position"] + 1, last[0]["digest"]) if last else (1, "")
    event = replace(given, position=position)
    values = {**asdict(event), "digest": chained(event, previous)}
    transaction.execute(f"INSERT INTO node_event ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values()))


def prove(transaction: Transaction, held: Held, now: float) -> None:
    """The lease is ours still, and lives on for as long as its operation asked for. Raises FleetError ``lease_lost``."""
    rows = transaction.execute(
        "SELECT lease.number, lease.operation_id, operation.lease_ttl FROM lease JOIN operation ON operation.id = lease.operation_id WHERE subject = ?",
        (held.subject,),
    )
    if not rows or rows[0]["number"] != held.number:
        raise FleetError(
            "lease_lost",
            f"The lease of {held.subject} (number {held.number}) is another run's now, or over. Nothing was written, and no provider was called.",
            remedy="Let the other run end; then run the same command again.",
            details={"subject": held.subject, "lease_number": held.number},
        )
    transaction.execute("UPDATE lease SET expires_at = ? WHERE subject = ?", (now + rows[0]["lease_ttl"], held.subject))


def has_instance(name: str) -> FleetError:
    return FleetError("node_has_instance", f"{name} has a machine. Nothing was changed.", f"Run node_instance with name: {name} and state: absent first.")


def chained(event: NodeEvent, previous: str) -> str:
    """The digest of an event that stands behind the one of digest ``previous``."""
    text = json.dumps([previous, {name: value for name, value in asdict(event).items() if name != "digest"}], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_stale(transaction: Transaction, table: str, name: str, revision: int) -> None:
    rows = transaction.execute(f"SELECT revision FROM {table} WHERE name = ?", (name,))
    seen = rows[0]["revision"] if rows else 0
    if seen != revision:
        raise FleetError("conflict", f"{name} is at revision {seen}; this run has read {revision}. Nothing was changed.", "Run the same command again.")


def _insert(transaction: Transaction, made: Instance) -> None:
    values = columns(made)
    transaction.execute(f"INSERT INTO node_instance ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values()))


def _live(transaction: Transaction, node: str) -> t.Optional[Instance]:
    rows = transaction.execute("SELECT * FROM node_instance WHERE node = ? AND terminated_at IS NULL", (node,))
    return instance_of(rows[0]) if rows else None
