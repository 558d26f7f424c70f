# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replica identities of tables without a key: given for the time of a pair, and given back as they were."""

from __future__ import annotations

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..server import catalog, relations
from ..server.postgres import Server, Session, ident

# Seconds for a lock on a table that others use.
_PATIENCE = 12.0


def give_identity(server: Server, table: catalog.Keyless, *, keep: bool = True) -> None:
    """Let UPDATE and DELETE of a table without key be published: by its unique index, or by the whole row.

    The old value is kept on the side that serves, from where it is replicated.
    """
    if keep:
        server.db.run("INSERT INTO pgcut.identity VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", table.schema, table.name, table.was)
    _identify(server.db, (table.schema, table.name), f"USING INDEX {ident(table.index)}" if table.index else "FULL")


def restore_identities(server: Server) -> None:
    """Give every table the replica identity that it had before."""
    for row in server.db.rows(
        "SELECT i.* FROM pgcut.identity i JOIN pg_namespace n ON n.nspname = i.nspname"
        " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = i.relname AND c.relkind IN ('r', 'p')"
        " WHERE c.relreplident::text <> i.was ORDER BY 1, 2"
    ):
        how = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}.get(row["was"], "DEFAULT")
        _identify(server.db, (row["nspname"], row["relname"]), how)


def _identify(session: Session, table: relations.Name, how: str) -> None:
    """Clients wait behind the lock of ALTER TABLE, so it is asked for some seconds at a time."""
    deadline = Deadline(_PATIENCE)
    while True:
        try:
            with session.block():
                session.run("SET LOCAL lock_timeout = '2s'")
                relations.alter(session, [table])
                session.run(f"ALTER TABLE ONLY {ident(*table)} REPLICA IDENTITY {how}")
            return
        except FleetError as error:
            if error.code == "object_changed" or session.closed or deadline.expired():
                raise
            deadline.pause(0.5)
