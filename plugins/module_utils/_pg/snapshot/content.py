# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a dump has to bring back, read from one frozen snapshot of a database, and how two such readings are compared."""

from __future__ import annotations

import hashlib
import queue
import threading
import typing as t
from dataclasses import asdict

from ..._core.errors import FleetError
from ..server import large_objects, owner_code, relations, scan
from ..server.catalog import IN_USER_SCHEMA
from ..server.postgres import Server, Session, ident, literal
from ..window import carry

# A table that somebody has locked for longer stops the snapshot, as it would stop everybody who queues behind us.
LOCK_WAIT = "60s"
_JOBS = 2
_MODE = "hash"


class Frozen:
    """A snapshot of ``server``'s database that stays readable by several sessions until `thaw`."""

    def __init__(self, server: Server) -> None:
        self._session = server.fresh(server.dbname)
        self._session.run(relations.look(self._session))
        self.name = str(self._session.value("SELECT pg_export_snapshot()"))

    def thaw(self) -> None:
        self._session.close()


def imported(server: Server, snapshot: str) -> Session:
    """A session of its own that sees ``snapshot``."""
    session = server.fresh(server.dbname)
    session.settings({"lock_timeout": LOCK_WAIT})
    session.run(relations.look(session))
    session.run(f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
    return session


class Reading:
    """Counts and hashes every table of ``snapshot`` in threads of its own, while the caller waits for pg_dump."""

    def __init__(self, server: Server, snapshot: str, copied: t.Collection[relations.Name] | None = None) -> None:
        """``copied`` are the tables that have to be scanned by `scan.total` as a manifest's were; None where that is found out."""
        self._copied = copied
        self._server = server
        self._snapshot = snapshot
        self._todo: queue.SimpleQueue[dict[str, t.Any]] = queue.SimpleQueue()
        self._done: list[dict[str, t.Any]] = []
        self._errors: list[FleetError] = []
        self._stopped = threading.Event()
        session = imported(server, snapshot)
        tables = _tables(session)
        self.sequences = _sequences(session)
        self.objects = _objects(session)
        self.extensions = {
            str(row["extname"]): str(row["extversion"]) for row in session.rows("SELECT extname, extversion FROM pg_extension ORDER BY 1")
        }
        self.evaluated = [asdict(use) for use in owner_code.with_schema(session)]
        self.trusted = owner_code.trusted(session)
        session.close()
        for table in tables:
            self._todo.put(table)
        self._workers = [threading.Thread(target=self._work, daemon=True) for _job in range(_JOBS)]
        for worker in self._workers:
            worker.start()

    def _work(self) -> None:
        try:
            session = imported(self._server, self._snapshot)
            while not self._stopped.is_set():
                table = self._todo.get_nowait()
                name = (table["schema"], table["name"])
                relations.read(session, [name])
                observed = self._total(session, name)
                self._done.append({**table, "rows": observed.rows, "hash": observed.sum})
        except queue.Empty:
            pass
        except FleetError as error:
            self._stopped.set()
            self._errors.append(error)

    def _total(self, session: Session, name: relations.Name) -> scan.Total:
        """Nothing freezes the schema here: the lock keeps indexes and statistics from being added (CREATE INDEX takes SHARE) while the table is
        looked at and scanned. A table on which somebody has such a lock is scanned without one, in the way that needs none."""
        if self._copied is not None:
            return scan.total(session, name, _MODE, copied=name in self._copied)
        session.run("SAVEPOINT pgcut_scan")
        try:
            session.run(f"LOCK TABLE ONLY {ident(*name)} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT")
            copied = bool(scan.unplannable(self._server.db, name))
        except FleetError as error:
            if error.details.get("sqlstate") != "55P03":
                raise
            session.run("ROLLBACK TO SAVEPOINT pgcut_scan")
            copied = True
        try:
            return scan.total(session, name, _MODE, copied=copied)
        finally:
            session.run("ROLLBACK TO SAVEPOINT pgcut_scan")

    def stop(self) -> None:
        """The caller failed; the workers end after the table they are at."""
        self._stopped.set()

    def content(self) -> dict[str, t.Any]:
        """``{tables, sequences, large_objects, extensions, evaluated, trusted}``, waiting for all tables. Raises what a worker met.

        A position of a sequence is not part of any snapshot, so it is read twice: what pg_dump saw lies between ``low`` and ``high``.
        """
        for worker in self._workers:
            worker.join()
        if self._errors:
            raise self._errors[0]
        later = {(entry["schema"], entry["name"]): entry["low"] for entry in _sequences(self._server.db)}
        return {
            "tables": sorted(self._done, key=lambda table: (table["schema"], table["name"])),
            "sequences": [{**entry, "high": later.get((entry["schema"], entry["name"]), entry["low"])} for entry in self.sequences],
            "large_objects": self.objects,
            "extensions": self.extensions,
            "evaluated": self.evaluated,
            "trusted": self.trusted,
        }


def _tables(session: Session) -> list[dict[str, t.Any]]:
    """Every table whose rows pg_dump writes, partitions and not their parents, largest first; ``extension`` is null or its owner."""
    return [
        {"schema": row["nspname"], "name": row["relname"], "extension": row["extname"]}
        for row in session.rows(
            "SELECT n.nspname, c.relname, e.extname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'"
            " LEFT JOIN pg_extension e ON e.oid = d.refobjid"
            f" WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u') AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut'"
            # Not pg_relation_size, which waits for whoever has the table locked.
            " ORDER BY c.relpages DESC, 1, 2"
        )
    ]


def _sequences(session: Session) -> list[dict[str, t.Any]]:
    names = carry.sequence_names(session)
    observed = carry.values(session, names, carry.reading(names))
    steps = {
        (row["nspname"], row["relname"]): int(row["seqincrement"])
        for row in session.rows(
            "SELECT n.nspname, c.relname, s.seqincrement FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
        )
    }
    return [
        {"schema": name[0], "name": name[1], "increment": steps[name], "low": list(observed[number])} for number, name in enumerate(names)
    ]


def _objects(session: Session) -> dict[str, t.Any]:
    """How many large objects there are, and one hash of all contents by OID; owners are not part of it."""
    found = large_objects.held(session)
    text = "".join(f"{oid} {value.hash}\n" for oid, value in sorted(found.items()))
    return {"count": len(found), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def differences(manifest: t.Mapping[str, t.Any], restored: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Pure: one ``{object, manifest, restored}`` for each thing that did not come back; null where one side lacks it.

    Rows that belong to an extension of another version are that version's business and not compared.
    """
    found: list[dict[str, t.Any]] = []

    def note(what: str, wanted: t.Any, observed: t.Any) -> None:
        found.append({"object": what, "manifest": wanted, "restored": observed})

    wanted, observed = _by_name(manifest["tables"]), _by_name(restored["tables"])
    for name in sorted(set(wanted) | set(observed)):
        left, right = (None if entry is None else {key: entry[key] for key in ("rows", "hash")} for entry in (wanted.get(name), observed.get(name)))
        extension = (wanted.get(name) or observed[name])["extension"]
        theirs = extension is not None and manifest["extensions"].get(extension) != restored["extensions"].get(extension)
        if left != right and not theirs:
            note(f"table {'.'.join(name)}", left, right)
    wanted, observed = _by_name(manifest["sequences"]), _by_name(restored["sequences"])
    for name in sorted(set(wanted) | set(observed)):
        if name not in wanted or name not in observed:
            note(f"sequence {'.'.join(name)}", wanted.get(name, {}).get("low"), observed.get(name, {}).get("low"))
        elif not _within(wanted[name], observed[name]["low"]):
            note(f"sequence {'.'.join(name)}", [wanted[name]["low"], wanted[name]["high"]], observed[name]["low"])
    if manifest["large_objects"] != restored["large_objects"]:
        note("large objects", manifest["large_objects"], restored["large_objects"])
    return found


def _by_name(entries: t.Sequence[t.Mapping[str, t.Any]]) -> dict[tuple[str, str], t.Mapping[str, t.Any]]:
    return {(entry["schema"], entry["name"]): entry for entry in entries}


def _within(sequence: t.Mapping[str, t.Any], observed: t.Sequence[t.Any]) -> bool:
    """Whether ``seen`` lies where the sequence was while it was dumped. One that wrapped around meanwhile may be anywhere."""
    sign = 1 if sequence["increment"] > 0 else -1
    low, high, value = ((position[0] * sign, position[1]) for position in (sequence["low"], sequence["high"], observed))
    return low > high or low <= value <= high


def left_out(session: Session) -> dict[str, list[str]]:
    """What belongs to one server and is not dumped: publications and subscriptions, ours not named."""
    return {
        kind: [
            str(row["name"])
            for row in session.rows(f"SELECT {column} AS name FROM {catalog} WHERE {column} NOT LIKE 'pgcut\\_%' {here} ORDER BY 1")
        ]
        for kind, catalog, column, here in (
            ("publications", "pg_publication", "pubname", ""),
            (
                "subscriptions",
                "pg_subscription",
                "subname",
                "AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
            ),
        )
    }
