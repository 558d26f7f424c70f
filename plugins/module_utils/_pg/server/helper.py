# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema pgcut, and everything else that stands under names of a cutover: made by us, or not used at all.

Whoever owns a database, or may create in it, could make these names first, and a session with rights would write into what they made.
"""

from __future__ import annotations

from ..._core.errors import FleetError
from ..model import FORWARD, REVERSE
from .postgres import Server, Session, ident

_MAKE = """
CREATE SCHEMA pgcut;
CREATE TABLE pgcut.marker (id int PRIMARY KEY, epoch text NOT NULL, at timestamptz NOT NULL);
CREATE TABLE pgcut.identity (nspname text, relname text, was text NOT NULL, PRIMARY KEY (nspname, relname));
"""
_ROWS = "INSERT INTO pgcut.marker SELECT n, '', now() FROM generate_series(1, 4) n"
# Every column of both tables: name, type, not null.
_COLUMNS = "('marker.id integer t', 'marker.epoch text t', 'marker.at timestamp with time zone t', 'identity.nspname text t',\
 'identity.relname text t', 'identity.was text t')"

_GRANTED = """
SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee FROM (
  SELECT nspacl AS acl, nspowner AS owner FROM pg_namespace WHERE nspname = 'pgcut'
  UNION ALL SELECT relacl, relowner FROM pg_class WHERE relnamespace = to_regnamespace('pgcut')) o, aclexplode(o.acl) a
WHERE a.grantee <> o.owner ORDER BY 1
"""

# One row for each thing that is not as `make` makes it. A grantee 0 is PUBLIC, which is no superuser.
_FOREIGN = f"""
WITH trusted AS (SELECT oid FROM pg_roles WHERE rolsuper), n AS (SELECT * FROM pg_namespace WHERE nspname = 'pgcut'),
r AS (SELECT c.* FROM pg_class c JOIN n ON n.oid = c.relnamespace)
SELECT 'schema pgcut of ' || pg_get_userbyid(nspowner) AS name FROM n WHERE nspowner NOT IN (SELECT oid FROM trusted)
UNION ALL SELECT 'schema pgcut, which others may create in' FROM n, aclexplode(nspacl) a
  WHERE a.privilege_type = 'CREATE' AND a.grantee NOT IN (SELECT oid FROM trusted)
UNION ALL SELECT 'pgcut.' || relname || ' of ' || pg_get_userbyid(relowner) FROM r WHERE relowner NOT IN (SELECT oid FROM trusted)
UNION ALL SELECT 'pgcut.' || relname FROM r WHERE (relname, relkind) NOT IN
  (VALUES ('marker', 'r'::"char"), ('marker_pkey', 'i'), ('identity', 'r'), ('identity_pkey', 'i'))
UNION ALL SELECT 'pgcut.' || relname || ', which others may write' FROM r, aclexplode(relacl) a
  WHERE a.privilege_type <> 'SELECT' AND a.grantee NOT IN (SELECT oid FROM trusted)
UNION ALL SELECT 'column pgcut.' || r.relname || '.' || a.attname FROM pg_attribute a JOIN r ON r.oid = a.attrelid
  WHERE r.relkind = 'r' AND a.attnum > 0 AND (a.attisdropped OR a.atthasdef OR a.attgenerated <> ''
  OR r.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || left(a.attnotnull::text, 1) NOT IN {_COLUMNS})
UNION ALL SELECT 'constraint ' || conname || ' of pgcut.' || r.relname FROM pg_constraint k JOIN r ON r.oid = k.conrelid
  WHERE k.contype NOT IN ('p', 'n')
UNION ALL SELECT 'trigger ' || tgname || ' of pgcut.' || r.relname FROM pg_trigger g JOIN r ON r.oid = g.tgrelid
UNION ALL SELECT 'trigger pgcut_closed of ' || g.tgrelid::regclass::text FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
  WHERE g.tgname = 'pgcut_closed' AND p.pronamespace IS DISTINCT FROM to_regnamespace('pgcut')::oid
UNION ALL SELECT 'rule ' || rulename || ' of pgcut.' || r.relname FROM pg_rewrite w JOIN r ON r.oid = w.ev_class
UNION ALL SELECT 'function ' || p.oid::regprocedure::text FROM pg_proc p JOIN n ON n.oid = p.pronamespace
  WHERE p.proname NOT IN ('frozen', 'closed') OR p.pronargs <> 0 OR p.proowner NOT IN (SELECT oid FROM trusted)
UNION ALL SELECT 'type pgcut.' || y.typname FROM pg_type y JOIN n ON n.oid = y.typnamespace
  WHERE y.typrelid = 0 AND NOT EXISTS (SELECT FROM pg_type e JOIN r ON r.oid = e.typrelid WHERE e.oid = y.typelem)
UNION ALL SELECT 'operator ' || o.oid::regoperator::text FROM pg_operator o JOIN n ON n.oid = o.oprnamespace
UNION ALL SELECT 'publication ' || pubname || ' of ' || pg_get_userbyid(pubowner) FROM pg_publication
  WHERE pubname IN ('{FORWARD}', '{REVERSE}') AND (NOT puballtables OR pubowner NOT IN (SELECT oid FROM trusted))
UNION ALL SELECT 'subscription ' || subname || ' of ' || pg_get_userbyid(subowner) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
  WHERE d.datname = current_database() AND subname IN ('{FORWARD}', '{REVERSE}') AND subowner NOT IN (SELECT oid FROM trusted)
UNION ALL SELECT 'slot ' || slot_name || ' with plugin ' || plugin FROM pg_replication_slots
  WHERE database = current_database() AND slot_name IN ('{FORWARD}', '{REVERSE}') AND plugin <> 'pgoutput'
UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger v JOIN pg_proc p ON p.oid = v.evtfoid
  WHERE evtname LIKE 'pgcut\\_%' AND (evtowner NOT IN (SELECT oid FROM trusted) OR p.pronamespace IS DISTINCT FROM to_regnamespace('pgcut')::oid)
ORDER BY 1
"""


# What was there before on a server that is no replica identity of a table stands in the same table, below a schema without a name.
RETRY, FOLLOWER, LINK, SETTING, SYSTEM = "retry", "follower/", "link/", "setting/", "system/"
SETTINGS = ("pgcut.epoch", "pgcut.closed", "pgcut.stage", "pgcut.served", "pgcut.sync", "pgcut.guarantee")
OURS, THEIRS = "ours", "theirs"


def note(server: Server, what: str, was: str) -> None:
    """Keep ``was``, once: a later run finds what the first one has made."""
    server.db.run("INSERT INTO pgcut.identity VALUES ('', %s, %s) ON CONFLICT DO NOTHING", what, was)


def forget(server: Server, what: str) -> None:
    """What was noted has come back already."""
    server.db.run("DELETE FROM pgcut.identity WHERE nspname = '' AND relname = %s", what)


def notes(session: Session) -> dict[str, str]:
    if session.value("SELECT to_regclass('pgcut.identity') IS NULL"):
        return {}
    return {row["relname"]: row["was"] for row in session.rows("SELECT relname, was FROM pgcut.identity WHERE nspname = '' ORDER BY 1")}


def judge(server: Server) -> None:
    """Before anything under our names is read or written, in every run. Raises FleetError "name_taken"."""
    found = [str(row["name"]) for row in server.db.rows(_FOREIGN)]
    if found:
        raise FleetError(
            "name_taken",
            f"Names of the cutover are taken in database {server.dbname} on {server.endpoint}, by somebody else or in another form:"
            f" {', '.join(found[:10])}. They were not read, and nothing was changed.",
            remedy="Find who made them and why, then drop or rename them as a superuser (DROP SCHEMA pgcut CASCADE), and run again.",
            details={"objects": found, "side": server.side},
        )


def make(server: Server, *, rows: bool) -> None:
    """The schema with both tables, once; ``rows`` are the markers, which reach the other side by the copy. `judge` comes before."""
    session = server.db
    if not session.value("SELECT to_regnamespace('pgcut') IS NULL"):
        judge(server)
        return
    with session.block():
        session.run(_MAKE)
        if rows:
            session.run(_ROWS)
        _revoke(session)


def _revoke(session: Session) -> None:
    """What ALTER DEFAULT PRIVILEGES of the control account has granted."""
    for row in session.rows(_GRANTED):
        session.run(f"REVOKE ALL ON SCHEMA {ident('pgcut')} FROM {row['grantee']}; REVOKE ALL ON ALL TABLES IN SCHEMA pgcut FROM {row['grantee']}")
