# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds behind the fence for sessions that state READ WRITE themselves: a trigger on each table that refuses while the fence is on.

It closes and opens with the commit that turns the fence. Clients that came over the network to the open side pass its condition without running any
function: W2 ends them all. For the others the catalog decides, not what the session has. It is no ALWAYS trigger, so it fires neither for replicated rows nor
for control sessions. docs/adr/0037.
"""

from __future__ import annotations

import time
import typing as t

from ..._core.errors import FleetError
from . import fence, relations
from .catalog import IN_USER_SCHEMA
from .postgres import Server, ident

NAME = "pgcut_closed"
# Workers of extensions (pg_cron's, for instance) have no address either, and no window ends them: one that is ended may never come again.
_DOUBTFUL = f"pg_catalog.current_setting('{fence.CLOSED}', true) = 'on' OR pg_catalog.inet_client_addr() IS NULL"

# Statements of a volatile function have a snapshot of their own in READ COMMITTED; in other levels it is that of a session that began behind
# the fence, since those before it are ended.
_FUNCTION = """
CREATE OR REPLACE FUNCTION pgcut.closed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $closed$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database() AND s.setrole = 0 AND 'default_transaction_read_only=on' = ANY (s.setconfig)) THEN RETURN NULL; END IF;
  IF current_setting('pgcut.bypass', true) = 'on' AND (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'cannot execute % on this side: this database is closed for writes', tg_op USING ERRCODE = 'read_only_sql_transaction',
    HINT = 'The other side of a cutover by bowline.fleet serves. A superuser passes with SET pgcut.bypass = on.';
END $closed$;
"""
_WITHOUT = f"""
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {IN_USER_SCHEMA} AND n.nspname <> 'pgcut' AND NOT EXISTS (
  SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = c.oid AND g.tgname = '{NAME}' AND g.tgenabled = 'O'
  AND pg_get_triggerdef(g.oid) LIKE '%{fence.CLOSED}%inet_client_addr%' AND g.tgtype = 62 AND p.proname = 'closed'
  AND p.pronamespace = to_regnamespace('pgcut'))
ORDER BY 1, 2
"""
_WITH = f"""
SELECT n.nspname AS schema, c.relname AS name FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgname = '{NAME}' AND p.pronamespace = to_regnamespace('pgcut') ORDER BY 1, 2
"""
_ATTEMPTS = 10


# Tables of one transaction. Who waits for one of them waits for the others as well, hence so short a patience with all at once.
_BATCH = 50
_TOGETHER, _ALONE = "200ms", "1s"
_BUSY = ("55P03", "40P01")  # lock_not_available, deadlock_detected


def keep(server: Server) -> int:
    """Put the trigger on every table that has it not, or not as it is made here. How many those were."""
    missing = [(row["schema"], row["name"]) for row in server.db.rows(_WITHOUT)]
    if missing and not server.db.value("SELECT to_regprocedure('pgcut.closed()') IS NOT NULL"):
        server.db.run(_FUNCTION)
    _all(server, missing, make=True)
    return len(missing)


def remove(server: Server) -> None:
    """As `keep`, so that clients wait for a moment only."""
    _all(server, [(row["schema"], row["name"]) for row in server.db.rows(_WITH)], make=False)


def _all(server: Server, tables: t.Sequence[relations.Name], *, make: bool) -> None:
    for start in range(0, len(tables), _BATCH):
        batch = tables[start : start + _BATCH]
        try:
            _change(server, batch, _TOGETHER, make=make)
        except FleetError as error:
            if error.details.get("sqlstate") not in _BUSY:
                raise
            for table in batch:
                _patiently(server, table, make=make)


def _patiently(server: Server, table: relations.Name, *, make: bool) -> None:
    """One table; whoever holds it is waited for in pieces, because others wait behind us meanwhile."""
    for attempt in range(_ATTEMPTS):
        try:
            _change(server, [table], _ALONE, make=make)
            return
        except FleetError as error:
            if error.details.get("sqlstate") not in _BUSY or attempt + 1 == _ATTEMPTS:
                raise
            time.sleep(0.5)


def _change(server: Server, tables: t.Sequence[relations.Name], patience: str, *, make: bool) -> None:
    """One transaction."""
    with server.db.block():
        server.db.run(f"SET LOCAL lock_timeout = '{patience}'")
        relations.write(server.db, tables) if make else relations.alter(server.db, tables)
        server.db.run("; ".join(_trigger(ident(*table), make) for table in tables))


def _trigger(name: str, make: bool) -> str:
    made = f"CREATE TRIGGER {NAME} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {name} FOR EACH STATEMENT"
    made += f" WHEN ({_DOUBTFUL}) EXECUTE FUNCTION pgcut.closed()"
    return f"DROP TRIGGER IF EXISTS {NAME} ON {name}" + (f"; {made}" if make else "")
