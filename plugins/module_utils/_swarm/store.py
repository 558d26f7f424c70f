# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this room keeps in the store: registered clusters with what was last seen of them.

Rows hold paths of certificates and keys, never what is in them. The store owns the connection; these tables are ours.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

from .._core.errors import FleetError
from .._core.redact import redact
from .._core.result import plain
from .._store.database import Database, Row
from .cluster.breaker import Standing
from .model import Json

ROOM = "_swarm"
MIGRATIONS: t.Tuple[t.Tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE swarm_cluster (
            name TEXT PRIMARY KEY, cluster_id TEXT NOT NULL UNIQUE, options TEXT NOT NULL, standing TEXT NOT NULL,
            created_at DOUBLE PRECISION NOT NULL, synced_at DOUBLE PRECISION, health TEXT NOT NULL)
        """,
        """
        CREATE TABLE swarm_inventory (
            cluster TEXT NOT NULL REFERENCES swarm_cluster (name), kind TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (cluster, kind))
        """,
    ),
)


@dataclass(frozen=True)
class Cluster:
    """One registered cluster. ``options`` are those of its connection and of its registration; ``inventory`` is by kind of object."""

    name: str
    cluster_id: str
    options: t.Mapping[str, t.Any]
    created_at: float
    standing: Standing = field(default_factory=Standing)
    synced_at: t.Optional[float] = None
    health: t.Mapping[str, t.Any] = field(default_factory=dict)
    inventory: t.Mapping[str, t.Sequence[Json]] = field(default_factory=dict)


class ClusterStore:
    """Registered clusters of one fleet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.join(ROOM, MIGRATIONS)

    def all(self) -> t.List[Cluster]:
        """Every registered cluster, by name, without inventories."""
        with self._database.transaction() as transaction:
            return [_cluster(row) for row in transaction.execute("SELECT * FROM swarm_cluster ORDER BY name")]

    def get(self, name: str) -> t.Optional[Cluster]:
        """The cluster of this name with its inventory; None when it is not registered."""
        with self._database.transaction() as transaction:
            rows = transaction.execute("SELECT * FROM swarm_cluster WHERE name = ?", (name,))
            kinds = transaction.execute("SELECT kind, document FROM swarm_inventory WHERE cluster = ? ORDER BY kind", (name,))
        return replace(_cluster(rows[0]), inventory={row["kind"]: json.loads(row["document"]) for row in kinds}) if rows else None

    def put(self, cluster: Cluster, seen: t.Optional[Cluster] = None) -> bool:
        """Write one cluster with its inventory, and return whether it was written: not where its row is no longer the one that was ``seen``, because
        another run has written it or taken it away since. Raises FleetError ``cluster_mismatch`` when its id is registered under another name.
        """
        with self._database.transaction() as transaction:
            there = transaction.execute("SELECT * FROM swarm_cluster WHERE name = ?", (cluster.name,)) if seen else []
            if seen and (not there or _cluster(there[0]) != replace(seen, inventory={})):
                return False
            others = transaction.execute("SELECT name FROM swarm_cluster WHERE cluster_id = ? AND name <> ?", (cluster.cluster_id, cluster.name))
            if others:
                raise FleetError(
                    "cluster_mismatch",
                    f"Cluster {cluster.cluster_id} is registered as {others[0]['name']} already; {cluster.name} was not registered.",
                    remedy=f"Use the name {others[0]['name']}, or unregister that one first with state: absent.",
                )
            transaction.execute(
                "INSERT INTO swarm_cluster (name, cluster_id, options, standing, created_at, synced_at, health) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET cluster_id = excluded.cluster_id, options = excluded.options, standing = excluded.standing,"
                " synced_at = excluded.synced_at, health = excluded.health",
                (cluster.name, cluster.cluster_id, _text(cluster.options), _text(asdict(cluster.standing)), cluster.created_at,
                 cluster.synced_at, _text(cluster.health)),
            )  # fmt: skip
            transaction.execute("DELETE FROM swarm_inventory WHERE cluster = ?", (cluster.name,))
            for kind, documents in sorted(cluster.inventory.items()):
                transaction.execute("INSERT INTO swarm_inventory (cluster, kind, document) VALUES (?, ?, ?)", (cluster.name, kind, _text(documents)))
        return True

    def remove(self, name: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM swarm_inventory WHERE cluster = ?", (name,))
            transaction.execute("DELETE FROM swarm_cluster WHERE name = ?", (name,))


def _cluster(row: Row) -> Cluster:
    return Cluster(
        name=row["name"],
        cluster_id=row["cluster_id"],
        options=json.loads(row["options"]),
        created_at=row["created_at"],
        standing=Standing(**json.loads(row["standing"])),
        synced_at=row["synced_at"],
        health=json.loads(row["health"]),
    )


def _text(value: t.Any) -> str:
    return json.dumps(plain(redact(value)), sort_keys=True, default=str)
