# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every row compared at the switch point, outside the pause: both snapshots are frozen inside the window and read after it.

Per table a row count and a sum of hashes of the rows as text: independent of their order, and equal across major versions under the
settings of a control session. What each mode can find in every table, unlogged ones too, and among large objects (owner, grants, comment
and bytes, in all modes):

- ``counts``: a missing or an extra row, unless one of each hides the other. Not a changed value.
- ``hash``: any change; hashtextextended has 64 bits and is not made against intent.
- ``md5``: the same with the first 64 bits of md5, which is not the server's own hash function and slower.

Sequences are in no snapshot; `carry.Carrier.prove` reads them right before the opening. Materialized views are not compared, since they are
filled anew by what was compared.
"""

from __future__ import annotations

import queue
import threading
import time
import typing as t
from dataclasses import asdict

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..replication.pair import Direction
from ..server import catalog, large_objects, relations, scan
from ..server.postgres import Server, Session, ident, literal
from ..server.scan import Total

_KEYS = 10
_BUCKETS = 256


def bucket_text(table: tuple[str, str], key: t.Sequence[str], mode: str) -> str:
    """Sums by a hash of the key, which bring a difference down to one part of the table."""
    return (
        f"SELECT {_bucket(key)} AS bucket, count(*) AS rows, sum({scan.row_hash(mode)})::text AS sum"
        f" FROM ONLY {ident(*table)} AS pgcut_row GROUP BY 1"
    )


def rows_text(table: tuple[str, str], key: t.Sequence[str], mode: str, bucket: int) -> str:
    return (
        f"SELECT ROW({_columns(key)})::text AS key, {scan.row_hash(mode)} AS hash FROM ONLY {ident(*table)} AS pgcut_row"
        f" WHERE {_bucket(key)} = {bucket}"
    )


def _columns(key: t.Sequence[str]) -> str:
    return ", ".join(f"pgcut_row.{ident(column)}" for column in key)


def _bucket(key: t.Sequence[str]) -> str:
    return f'(hashtextextended(ROW({_columns(key)})::text COLLATE "C", 0) & {_BUCKETS - 1})::int'


class Verification:
    """The comparison of one switch."""

    def __init__(self, direction: Direction, mode: str, seconds: float, jobs: int = 2) -> None:
        self._direction = direction
        self._mode = mode
        self._seconds = seconds
        self._jobs = jobs
        self._tables = catalog.tables(direction.source.db)
        # Both sides are scanned alike. From here to the comparison the freeze keeps everybody else from adding an index.
        self._copied = scan.unplannable(direction.source.db) | scan.unplannable(direction.target.db)
        self._holders = {server.side: server.fresh(server.dbname) for server in (direction.source, direction.target)}
        self._snapshots: dict[str, str] = {}

    def freeze(self) -> None:
        """Freeze a snapshot on both sides. Inside the window, so only this is done here."""
        for side, session in self._holders.items():
            session.run(relations.look(session))
            self._snapshots[side] = str(session.value("SELECT pg_export_snapshot()"))

    def snapshot(self, side: str) -> str:
        """The name of the frozen snapshot of ``side``, which sessions can import until its server is closed."""
        return self._snapshots[side]

    def thaw(self) -> None:
        """Let go of the snapshots of a window that was given up."""
        for session in self._holders.values():
            if not session.closed:
                session.run("ROLLBACK")
        self._snapshots = {}

    def compare(self) -> dict[str, t.Any]:
        """``{mode, tables, rows, equal, seconds, mismatches}``. Raises FleetError "verify_incomplete"."""
        started = time.monotonic()
        totals = self._totals(Deadline(self._seconds))
        source, target = (totals[server.side] for server in (self._direction.source, self._direction.target))
        mismatches = [self._mismatch(table, source[table], target[table]) for table in self._tables if source[table] != target[table]]
        mismatches += self._objects()
        return {
            "mode": self._mode,
            "tables": len(self._tables),
            "rows": sum(total.rows for total in target.values()),
            "equal": not mismatches,
            "seconds": round(time.monotonic() - started, 2),
            "mismatches": mismatches,
        }

    def _totals(self, deadline: Deadline) -> dict[str, dict[tuple[str, str], Total]]:
        found: dict[str, dict[tuple[str, str], Total]] = {side: {} for side in self._holders}
        errors: list[FleetError] = []
        workers = [
            threading.Thread(target=self._work, args=(server, todo, found[server.side], errors, deadline), daemon=True)
            for server, todo in ((server, self._queue()) for server in (self._direction.source, self._direction.target))
            for _job in range(self._jobs)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(deadline.remaining() + 5)
        incomplete = any(len(done) < len(self._tables) for done in found.values())
        if errors or incomplete:
            reason = errors[0].message if errors else f"not done after {self._seconds:g} s"
            raise FleetError(
                "verify_incomplete",
                f"The comparison was not finished: {reason}. {self._direction.target.side} serves; nothing was found to differ so far.",
                remedy="Raise verify_timeout for the next switch, or compare by hand.",
                details={"tables": len(self._tables), "done": {side: len(done) for side, done in found.items()}},
            )
        return found

    def _queue(self) -> queue.SimpleQueue[tuple[str, str]]:
        todo: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        for table in self._tables:
            todo.put(table)
        return todo

    def _work(
        self,
        server: Server,
        todo: queue.SimpleQueue[tuple[str, str]],
        done: dict[tuple[str, str], Total],
        errors: list[FleetError],
        deadline: Deadline,
    ) -> None:
        try:
            session = self._imported(server)
            while not errors and not deadline.expired():
                table = todo.get_nowait()
                session.settings({"statement_timeout": str(int(deadline.remaining() * 1000) + 1000)})
                relations.read(session, [table])
                done[table] = scan.total(session, table, self._mode, copied=table in self._copied)
        except queue.Empty:
            pass
        except FleetError as error:
            errors.append(error)

    def _imported(self, server: Server) -> Session:
        """A session of its own that sees the frozen snapshot."""
        session = server.fresh(server.dbname)
        session.run(relations.look(session))
        session.run(f"SET TRANSACTION SNAPSHOT {literal(self._snapshots[server.side])}")
        return session

    def _mismatch(self, table: tuple[str, str], source: Total, target: Total) -> dict[str, t.Any]:
        entry: dict[str, t.Any] = {"table": ".".join(table), "source": asdict(source), "target": asdict(target), "keys": []}
        key = _primary_key(self._holders[self._direction.source.side], table)
        if key and self._mode != "counts" and table not in self._copied:
            entry["keys"] = self._differing(table, key)
        return entry

    def _differing(self, table: tuple[str, str], key: t.Sequence[str]) -> list[str]:
        sides = [self._holders[server.side] for server in (self._direction.source, self._direction.target)]
        for session in sides:
            relations.read(session, [table])
        text = bucket_text(table, key, self._mode)
        source, target = ({row["bucket"]: (row["rows"], row["sum"]) for row in session.rows(text)} for session in sides)
        found: list[str] = []
        for bucket in sorted(set(source) | set(target)):
            if source.get(bucket) == target.get(bucket):
                continue
            left, right = (
                {row["key"]: row["hash"] for row in session.rows(rows_text(table, key, self._mode, bucket))} for session in sides
            )
            found += [name for name in sorted(set(left) | set(right)) if left.get(name) != right.get(name)]
            if len(found) >= _KEYS:
                break
        return found[:_KEYS]

    def _objects(self) -> list[dict[str, t.Any]]:
        source, target = (large_objects.held(self._holders[server.side]) for server in (self._direction.source, self._direction.target))
        different = sorted(oid for oid in set(source) | set(target) if source.get(oid) != target.get(oid))
        if not different:
            return []
        return [
            {
                "table": "pg_largeobject",
                "source": {"rows": len(source)},
                "target": {"rows": len(target)},
                "keys": [str(oid) for oid in different[:_KEYS]],
            }
        ]


def _primary_key(session: Session, table: tuple[str, str]) -> list[str]:
    return [
        str(row["attname"])
        for row in session.rows(
            "SELECT a.attname FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)"
            " WHERE x.indisprimary AND x.indrelid = %s::regclass ORDER BY array_position(x.indkey::int2[], a.attnum)",
            ident(*table),
        )
    ]
