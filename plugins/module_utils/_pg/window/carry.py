# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What replication does not bring: sequences, exactly, unlogged tables, large objects. Prepared before the window, carried inside it."""

from __future__ import annotations

import typing as t
from contextlib import nullcontext

from ..._core.errors import FleetError
from ..replication.pair import Direction
from ..server import catalog, large_objects, owner_code, relations, scan
from ..server.postgres import Session, ident, literal

_CHUNK = 400


def sequence_names(session: Session) -> list[tuple[str, str]]:
    """Every sequence of the database, of all kinds (serial, identity, free standing), by schema and name."""
    return [
        (row["nspname"], row["relname"])
        for row in session.rows(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2"
        )
    ]


def reading(names: t.Sequence[tuple[str, str]]) -> list[str]:
    """Statements that read last_value and is_called of ``names``; the position of a sequence is only in the sequence itself."""
    parts = [f"SELECT {number}::int AS n, last_value::bigint AS v, is_called AS c FROM {ident(*name)}" for number, name in enumerate(names)]
    return [" UNION ALL ".join(parts[start : start + _CHUNK]) for start in range(0, len(parts), _CHUNK)]


def values(session: Session, names: t.Sequence[tuple[str, str]], statements: t.Sequence[str]) -> dict[int, tuple[int, bool]]:
    """What ``statements`` (`reading` of ``names``) say."""
    if session.restricts:
        return {row["n"]: (row["v"], row["c"]) for text in statements for row in session.rows(text)}
    with session.block():
        relations.sequences(session, names)
        return {row["n"]: (row["v"], row["c"]) for text in statements for row in session.rows(text)}


def setting(names: t.Sequence[tuple[str, str]], wanted: t.Mapping[int, tuple[int, bool]]) -> str:
    """One statement that sets all of them to exactly these values."""
    rows = ", ".join(f"({literal(ident(*names[number]))}, {value}, {called})" for number, (value, called) in sorted(wanted.items()))
    return f"SELECT setval(s.name::regclass, s.v::bigint, s.c) FROM (VALUES {rows}) s(name, v, c)"


class Carrier:
    """Carries sequences, unlogged tables and large objects from the source to the target of one switch."""

    def __init__(self, direction: Direction, accepted: t.Collection[str] = ()) -> None:
        self._direction = direction
        self._accepted = accepted
        self._names = sequence_names(direction.source.db)
        self._reading = reading(self._names)
        self._wanted: dict[int, tuple[int, bool]] = {}
        self._unlogged = catalog.unlogged(direction.source.db)
        self._objects = any(large_objects.exist(side.db) for side in (direction.source, direction.target))

    def sequences(self) -> int:
        """Set every sequence that differs; `prove` reads them back. How many there are."""
        self._wanted = values(self._direction.source.db, self._names, self._reading)
        present = values(self._direction.target.db, self._names, self._reading)
        different = {number: value for number, value in self._wanted.items() if present[number] != value}
        if different:
            self._direction.target.db.run(setting(self._names, different))
        return len(self._wanted)

    def unlogged(self) -> int:
        """Carry the unlogged tables that differ. How many; without any this costs nothing."""
        return carry_unlogged(self._direction.source.db, self._direction.target.db, self._unlogged, self._accepted) if self._unlogged else 0

    def look(self) -> None:
        """Read what `sequences` and `objects` begin with, and nothing else: that takes most of their time."""
        for server in (self._direction.source, self._direction.target):
            values(server.db, self._names, self._reading)
            if self._objects:
                large_objects.held(server.db)

    def objects(self) -> int:
        """Carry the large objects that differ. How many were touched; without any on either side this costs nothing."""
        return large_objects.carry(self._direction.source.db, self._direction.target.db) if self._objects else 0

    def prove(self) -> None:
        """Right before the target is opened its sequences still stand where the source's do. Raises FleetError "window_aborted".

        A sequence is in no snapshot, and from the opening on it moves, so no comparison afterwards could tell.
        """
        present = values(self._direction.target.db, self._names, self._reading)
        different = [".".join(self._names[number]) for number, value in self._wanted.items() if present.get(number) != value]
        if different:
            raise FleetError(
                "window_aborted",
                f"Sequences of the target moved after they were set: {', '.join(sorted(different)[:10])}.",
                remedy="Find what writes on the target past its fence, then run again.",
                details={"sequences": sorted(different)},
            )


def carry_unlogged(source: Session, target: Session, tables: t.Sequence[tuple[str, str]], accepted: t.Collection[str] = ()) -> int:
    """Make the unlogged ``tables`` of ``target`` those of ``source``, each in one transaction. How many differed.

    The rows are written with the rights of the control session, so code of the owners has to be among ``accepted``: FleetError "owner_code".
    """
    touched = 0
    # Asked once, since this is inside the window; and both sides are scanned alike, or their sums could never be equal.
    unplannable = scan.unplannable(source) | scan.unplannable(target) if tables else set()
    for table in tables:
        if _total(source, table, table in unplannable) != _total(target, table, table in unplannable):
            owner_code.refuse(target, accepted, everything=False)
            with target.views() if accepted else nullcontext():
                _refill(source, target, table)
            touched += 1
    return touched


def _total(session: Session, table: tuple[str, str], copied: bool) -> scan.Total:
    if session.restricts:
        return scan.total(session, table, "hash", copied=copied)
    with session.block():
        relations.read(session, [table])
        return scan.total(session, table, "hash", copied=copied)


def _refill(source: Session, target: Session, table: tuple[str, str]) -> None:
    columns = ", ".join(ident(name) for name in catalog.stored_columns(source, table))

    def emptied() -> None:
        relations.write(target, [table])
        target.run(f"DELETE FROM ONLY {ident(*table)}")

    source.copy(f"COPY {ident(*table)} ({columns}) TO STDOUT", target, emptied, f"COPY {ident(*table)} ({columns}) FROM STDIN")
