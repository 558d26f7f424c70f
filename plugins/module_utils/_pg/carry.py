# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What replication does not bring: sequences, exactly, and large objects. Both are prepared before the window and carried inside it."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .pair import Course
from .postgres import Session, ident, literal

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


def values(session: Session, statements: t.Sequence[str]) -> dict[int, tuple[int, bool]]:
    return {row["n"]: (row["v"], row["c"]) for text in statements for row in session.rows(text)}


def setting(names: t.Sequence[tuple[str, str]], wanted: t.Mapping[int, tuple[int, bool]]) -> str:
    """One statement that sets all of them to exactly these values."""
    rows = ", ".join(f"({literal(ident(*names[number]))}, {value}, {called})" for number, (value, called) in sorted(wanted.items()))
    return f"SELECT setval(s.name::regclass, s.v::bigint, s.c) FROM (VALUES {rows}) s(name, v, c)"


class Carrier:
    """Carries sequences and large objects from the source to the target of one switch."""

    def __init__(self, road: Course) -> None:
        self._road = road
        self._names = sequence_names(road.source.db)
        self._reading = reading(self._names)
        self._objects = any(_any_objects(side.db) for side in (road.source, road.target))

    def sequences(self) -> int:
        """Set every sequence that differs, and read all of them back. How many there are."""
        wanted = values(self._road.source.db, self._reading)
        present = values(self._road.target.db, self._reading)
        different = {number: value for number, value in wanted.items() if present[number] != value}
        if different:
            self._road.target.db.run(setting(self._names, different))
            present = values(self._road.target.db, self._reading)
        if present != wanted:
            raise FleetError("window_aborted", "Sequences of the target differ after they were set.", remedy="Run again.")
        return len(wanted)

    def look(self) -> None:
        """Read what `sequences` and `objects` begin with, and nothing else: that takes most of their time."""
        for server in (self._road.source, self._road.target):
            values(server.db, self._reading)
            if self._objects:
                object_hashes(server.db)

    def objects(self) -> int:
        """Carry the large objects that differ. How many were touched; without any on either side this costs nothing."""
        return carry_objects(self._road.source.db, self._road.target.db) if self._objects else 0


def _any_objects(session: Session) -> bool:
    return bool(session.value("SELECT EXISTS (SELECT FROM pg_largeobject_metadata)"))


def object_hashes(session: Session) -> dict[int, tuple[str, str]]:
    """Owner and content hash of every large object by its OID; an empty object has the hash of nothing."""
    return {
        int(row["oid"]): (row["owner"], row["hash"])
        for row in session.rows(
            "SELECT m.oid, pg_get_userbyid(m.lomowner) AS owner, coalesce(d.hash, '') AS hash"
            " FROM pg_largeobject_metadata m LEFT JOIN (SELECT loid, md5(string_agg("
            " pageno::text || ':' || md5(data), ',' ORDER BY pageno)) AS hash FROM pg_largeobject GROUP BY loid) d"
            " ON d.loid = m.oid ORDER BY 1"
        )
    }


def carry_objects(source: Session, target: Session) -> int:
    """Make the large objects of ``target`` those of ``source``: OID, content, owner and grants."""
    wanted, present = object_hashes(source), object_hashes(target)
    extra = [oid for oid in present if oid not in wanted]
    different = [oid for oid, value in wanted.items() if present.get(oid) != value]
    for oid in extra + [oid for oid in different if oid in present]:
        target.run("SELECT lo_unlink(%s::oid)", oid)
    for oid in different:
        content = source.value("SELECT lo_get(%s::oid)", oid)
        target.run("SELECT lo_from_bytea(%s::oid, %s)", oid, bytes(content))
        target.run(f"ALTER LARGE OBJECT {oid} OWNER TO {ident(wanted[oid][0])}")
        for grant in source.rows(
            "SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee,"
            " a.privilege_type AS privilege FROM pg_largeobject_metadata m, aclexplode(m.lomacl) a WHERE m.oid = %s::oid",
            oid,
        ):
            target.run(f"GRANT {grant['privilege']} ON LARGE OBJECT {oid} TO {grant['grantee']}")
    return len(extra) + len(different)
