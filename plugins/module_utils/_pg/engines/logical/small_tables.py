# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many small tables are brought by this session, at the moment at which the slot begins; PostgreSQL copies the others itself.

The server starts a worker, a connection and a slot for each table, and each worker asks a question whose answer grows with the number of
tables (fetch_remote_table_info in src/backend/replication/logical/tablesync.c, over pg_get_publication_tables): a thousand tables took half a
minute, and twice as many more than twice as long. A slot that is made over the replication protocol exports the snapshot at which it begins
(CREATE_REPLICATION_SLOT, https://www.postgresql.org/docs/15/protocol-replication.html), so rows that are copied under it and changes that the
slot brings afterwards are whole together.

A table that is left out here, for whatever reason, is one that the subscription does not follow yet, and `seed.take_in` has it copied by the
server, whose reasons for a failure are told as ever.
"""

from __future__ import annotations

import typing as t

from ...._core.errors import FleetError
from ...model import FORWARD, Link
from ...replication import pair
from ...server import owner_code, relations
from ...server.catalog import IN_USER_SCHEMA
from ...server.postgres import Server, Session, ident, literal, snapshot_slot

# Below so many the server's own way is quick enough, and it is the one that a killed run does not begin anew.
MANY = 100
# Bytes that a small table has, TOAST included.
_SMALL = 256 * 1024
_BATCH = 100
# The publication of those that were copied here; it is there while the subscription is made.
_COPIED = f"{FORWARD}_small"
_PATIENCE = "5s"

_CANDIDATES = f"""
SELECT n.nspname, c.relname, coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), '') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut' AND pg_table_size(c.oid) <= {_SMALL}
GROUP BY 1, 2 ORDER BY 1, 2
"""


class Table(t.NamedTuple):
    """``columns`` are those that a COPY may fill, quoted."""

    name: relations.Name
    columns: str


def candidates(legacy: Server, new: Server) -> list[Table]:
    """Small tables whose rows are written without code of a lesser owner; none where there are few."""
    found = [Table((row["nspname"], row["relname"]), row["columns"]) for row in legacy.db.rows(_CANDIDATES)]
    if len(found) < MANY:
        return []
    coded = {use.place for side in (legacy, new) for use in owner_code.uses(side.db)}
    return [table for table in found if f"table {'.'.join(table.name)}" not in coded]


def follow(legacy: Server, new: Server, link: Link, tables: t.Sequence[Table]) -> None:
    """The slot, the rows of ``tables`` at its beginning, and an enabled subscription that follows those that arrived.

    Before the subscription exists nothing of it counts: a run that was killed makes the database on new anew.
    """
    pair.drop_slot(legacy, FORWARD)
    with snapshot_slot(legacy.endpoint, FORWARD) as snapshot:
        arrived = [table for start in range(0, len(tables), _BATCH) for table in _brought(legacy, new, snapshot, tables[start : start + _BATCH])]
    try:
        published = _published(legacy, arrived)
        pair.subscribe(new, legacy, link, FORWARD, copy=not published, first=_COPIED if published else "")
    finally:
        legacy.db.run(f"DROP PUBLICATION IF EXISTS {ident(_COPIED)}")


def _brought(legacy: Server, new: Server, snapshot: str, tables: t.Sequence[Table]) -> t.Sequence[Table]:
    """``tables``, when all of them have arrived; none of them otherwise."""
    names = [table.name for table in tables]
    source = legacy.db
    source.run(f"{relations.look(source)}; SET TRANSACTION SNAPSHOT {literal(snapshot)}")
    try:
        source.run(f"SET LOCAL lock_timeout = {literal(_PATIENCE)}")
        relations.read(source, names)
        with new.db.block():
            relations.write(new.db, names)
            for table in tables:
                _send(source, new.db, table)
    except FleetError:
        if source.closed or new.db.closed:
            raise
        return ()
    finally:
        if not source.closed:
            source.run("ROLLBACK")
    return tables


def _send(source: Session, target: Session, table: Table) -> None:
    what = f"{ident(*table.name)} ({table.columns})"
    source.copy(f"COPY {what} TO STDOUT", target, lambda: None, f"COPY {what} FROM STDIN")


def _published(legacy: Server, tables: t.Sequence[Table]) -> bool:
    """Whether there is a publication of ``tables`` now. Locks of one batch at a time, which block VACUUM and DDL and nothing else; a batch that
    cannot have them stays out."""
    legacy.db.run(f"DROP PUBLICATION IF EXISTS {ident(_COPIED)}; CREATE PUBLICATION {ident(_COPIED)}")
    for start in range(0, len(tables), _BATCH):
        names = ", ".join(f"ONLY {ident(*table.name)}" for table in tables[start : start + _BATCH])
        try:
            with legacy.db.block():
                legacy.db.run(f"SET LOCAL lock_timeout = {literal(_PATIENCE)}")
                legacy.db.run(f"ALTER PUBLICATION {ident(_COPIED)} ADD TABLE {names}")
        except FleetError:
            if legacy.db.closed:
                raise
    return bool(legacy.db.rows("SELECT 1 FROM pg_publication_tables WHERE pubname = %s LIMIT 1", _COPIED))
