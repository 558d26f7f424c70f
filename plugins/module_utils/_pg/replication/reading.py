# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the workers of a subscription read text: rows travel as text, and settings of the database or of everybody decide what that means.

A worker logs in as the owner of its subscription, in its database (InitializeLogRepWorker in src/backend/replication/logical/worker.c), so what this
account has of its own in this database wins over all others (process_settings in src/backend/utils/init/postinit.c). What is written by the
other side follows the account of the link (`link_account`). Kept for the time of a pair; what was there before is noted beside it.
"""

from __future__ import annotations

import json
import typing as t

from ..server import account_settings, database
from ..server.postgres import Server, ident, literal

# array_nulls = off makes a word of NULL; xmloption = document refuses a fragment; money is read as lc_monetary shows it. Dates and intervals
# come in these styles (libpqrcv_connect since PostgreSQL 15, the link's account before).
_STYLES = {"array_nulls": "on", "xmloption": "content", "lc_monetary": "C", "DateStyle": "ISO, MDY", "IntervalStyle": "postgres"}
# The first of them wins.
_ENCODED = """
SELECT (SELECT value FROM (
  SELECT 2 * (s.setrole <> 0)::int + (s.setdatabase <> 0)::int AS weight, split_part(entry, '=', 2) AS value
  FROM pg_db_role_setting s, unnest(s.setconfig) entry
  WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user)) AND entry LIKE 'client_encoding=%'
  UNION ALL SELECT -1, setting FROM pg_file_settings WHERE name = 'client_encoding' AND applied) e ORDER BY weight DESC LIMIT 1)
"""


def keep(server: Server) -> None:
    """Before a worker starts on ``server``. Nothing is written where nothing would be read otherwise."""
    wrong = _wrong(server)
    if not wrong:
        return
    user, entries, noted = _own(server)
    was = {**{name: entries.get(name) for name in wrong}, **noted}
    target = f"ROLE {ident(user)} IN DATABASE {ident(server.dbname)}"
    texts = [f"ALTER {target} SET {database.READING[:-1]} = {literal(json.dumps(was, sort_keys=True))}"]
    server.admin.run("; ".join([*texts, *(f"ALTER {target} SET {ident(name)} = {literal(value)}" for name, value in wrong.items())]))


def _wrong(server: Server) -> dict[str, str]:
    """What is not in these styles for a session of this account, as it begins: what ours sets later is no part of that."""
    session = server.fresh(server.dbname)
    try:
        begins = {row["name"]: row["reset_val"] for row in session.rows("SELECT name, reset_val FROM pg_settings WHERE name = ANY (%s)", list(_STYLES))}
        # Names of tables are converted from it (pq_getmsgstring in src/backend/libpq/pqformat.c); ours has one of its own from its first packet on.
        encoded = session.value(_ENCODED)
        known = str(session.value("SELECT getdatabaseencoding()"))
    finally:
        session.close()
    wrong = {name: value for name, value in _STYLES.items() if begins.get(name, value) != value}
    return {**wrong, "client_encoding": known} if encoded not in (None, known) else wrong


def give_back(server: Server) -> None:
    """What the account had before `keep`."""
    user, _entries, noted = _own(server)
    if not noted:
        return
    target = f"ROLE {ident(user)} IN DATABASE {ident(server.dbname)}"
    texts = [
        f"ALTER {target} RESET {ident(name)}" if value is None else account_settings.text(target, f"{name}={value}") for name, value in noted.items()
    ]
    server.admin.run("; ".join([*texts, f"ALTER {target} RESET {database.READING[:-1]}"]))


def _own(server: Server) -> tuple[str, dict[str, str], dict[str, t.Optional[str]]]:
    """The account, what it has of its own in the database, and what of that was there before."""
    found = server.admin.rows(
        "SELECT current_user::text AS name, s.setconfig FROM (VALUES (1)) v LEFT JOIN (pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " AND d.datname = %s JOIN pg_roles r ON r.oid = s.setrole AND r.rolname = current_user) ON true",
        server.dbname,
    )[0]
    listed = found["setconfig"] or []
    return found["name"], dict(entry.split("=", 1) for entry in listed), database.noted(listed)
