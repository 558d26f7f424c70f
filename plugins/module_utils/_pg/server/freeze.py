# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The DDL freeze: event triggers on the side that serves, since a change of schema is not replicated.

Temporary tables, ANALYZE, TRUNCATE and REFRESH MATERIALIZED VIEW pass. The triggers are there on both sides once the copy is complete, so
the freeze moves with the serving side by itself; sessions of a cutover pass it by ``pgcut.bypass``,
which anybody may set and which counts for superusers only.
"""

from __future__ import annotations

from .postgres import Server, Session

_ON = """
CREATE OR REPLACE FUNCTION pgcut.frozen() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $frozen$
BEGIN
  IF tg_tag IN ('REFRESH MATERIALIZED VIEW', 'REINDEX') THEN RETURN; END IF;
  IF current_setting('pgcut.bypass', true) = 'on' AND (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN RETURN; END IF;
  -- What is done CONCURRENTLY commits in between and would leave an invalid index or half a partition behind when it is refused at its end.
  -- It runs in no function and no transaction, so this is its own text.
  IF tg_event = 'ddl_command_start' AND current_query() !~* '\\mconcurrently\\M' THEN RETURN; END IF;
  -- A DROP is listed at sql_drop only, everything else at ddl_command_end only. What falls with a temporary table may not be marked so.
  IF tg_event = 'sql_drop' THEN
    IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() d WHERE d.original AND NOT d.is_temporary) THEN RETURN; END IF;
  ELSIF tg_event = 'ddl_command_end' THEN
    IF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c WHERE c.schema_name IS DISTINCT FROM 'pg_temp') THEN RETURN; END IF;
  END IF;
  RAISE EXCEPTION 'The schema of this database is frozen: a cutover by bowline.fleet is under way.'
    USING ERRCODE = 'object_not_in_prerequisite_state',
    HINT = 'Run this DDL after the cutover has been finished or given up (state: absent), or on both sides, the one that follows first,'
      ' as a superuser with SET pgcut.bypass = on.';
END $frozen$;
DROP EVENT TRIGGER IF EXISTS pgcut_start;
DROP EVENT TRIGGER IF EXISTS pgcut_ddl;
DROP EVENT TRIGGER IF EXISTS pgcut_drop;
CREATE EVENT TRIGGER pgcut_start ON ddl_command_start WHEN TAG IN ('CREATE INDEX', 'DROP INDEX', 'ALTER TABLE') EXECUTE FUNCTION pgcut.frozen();
CREATE EVENT TRIGGER pgcut_ddl ON ddl_command_end EXECUTE FUNCTION pgcut.frozen();
CREATE EVENT TRIGGER pgcut_drop ON sql_drop EXECUTE FUNCTION pgcut.frozen();
ALTER EVENT TRIGGER pgcut_start ENABLE ALWAYS;
ALTER EVENT TRIGGER pgcut_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER pgcut_drop ENABLE ALWAYS;
"""


def is_on(session: Session) -> bool:
    """Whether all of the triggers are there and enabled."""
    return int(session.value("SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'pgcut\\_%%' AND evtenabled <> %s", "D")) == 3


def on(server: Server) -> None:
    if not is_on(server.db):
        server.db.run(_ON)


def off(server: Server) -> None:
    server.db.run("".join(f"DROP EVENT TRIGGER IF EXISTS {name};" for name in ("pgcut_start", "pgcut_ddl", "pgcut_drop")))
