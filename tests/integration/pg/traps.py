# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An enemy in the database: a role with CREATE on one schema, who owns everything there that PostgreSQL calls on somebody else's behalf.

Each `Trap` ends in one function, ``lair.spring``: it says in the server's log as whom it runs, and tries what a superuser could do. So
what it gained is read past the product: from the log, the catalogs and the file system of both servers.
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

PASSWORD = "canary-mallory-8d3"
ROLES = ("mallory", 'q;\n"ALTER ROLE mallory SUPERUSER;--')

# What every trap calls. Immutable, as an index wants it; what it tries is not. Each attempt in a block of its own, so that a refusal does not
# end the caller's work.
_SPRING = r"""
CREATE FUNCTION lair.attempt(tag text) RETURNS void LANGUAGE plpgsql AS $attempt$
BEGIN
  BEGIN ALTER ROLE mallory SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN EXECUTE pg_catalog.format('COPY (SELECT 1) TO PROGRAM %L', 'touch "@FOLDER@/' || tag || '"'); EXCEPTION WHEN OTHERS THEN NULL; END;
END $attempt$;
CREATE FUNCTION lair.spring(tag text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $spring$
BEGIN
  RAISE LOG 'trap % sprung by % for %', tag, current_user, session_user;
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN PERFORM lair.attempt(tag); END IF;
  RETURN true;
END $spring$;
CREATE FUNCTION lair.text_of(tag text, value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $f$ BEGIN PERFORM lair.spring(tag); RETURN value; END $f$;
CREATE FUNCTION lair.fire() RETURNS trigger LANGUAGE plpgsql AS
  $f$ BEGIN PERFORM lair.spring(tg_argv[0]); IF tg_op = 'DELETE' THEN RETURN old; END IF; RETURN new; END $f$;
"""


@dataclass(frozen=True)
class Trap:
    """``text`` is run by the enemy. ``refused`` is a word of the finding without which nothing may begin; empty when a move is harmless.

    ``up_to`` limits that to servers up to a major: a newer one applies rows as the table's owner. What a restore of the schema alone might
    evaluate is refused on every version.
    """

    name: str
    text: str
    refused: str = ""
    up_to: int = 99


TRAPS = (
    # Called whenever a row becomes text by a cast, or its owner's name is trusted.
    Trap("cast", """
        CREATE TABLE lair.cast_me (id int PRIMARY KEY, note text);
        INSERT INTO lair.cast_me SELECT n, 'x' FROM generate_series(1, 20) n;
        CREATE FUNCTION lair.cast_me_text(lair.cast_me) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
          $f$ BEGIN PERFORM lair.spring('cast'); RETURN 'x'; END $f$;
        CREATE CAST (lair.cast_me AS text) WITH FUNCTION lair.cast_me_text(lair.cast_me) AS IMPLICIT;
        CREATE TYPE lair.key AS ENUM ('a', 'b');
        CREATE FUNCTION lair.key_text(lair.key) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
          $f$ BEGIN PERFORM lair.spring('cast_key'); RETURN 'a'; END $f$;
        CREATE CAST (lair.key AS text) WITH FUNCTION lair.key_text(lair.key) AS IMPLICIT;
        CREATE TABLE lair.keyed (id lair.key PRIMARY KEY, note text); INSERT INTO lair.keyed VALUES ('a', 'x'), ('b', 'y')""",
         "lair.cast_me_text"),
    Trap("trigger", """
        CREATE TABLE lair.triggered (id int PRIMARY KEY, note text); INSERT INTO lair.triggered VALUES (1, 'x');
        CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON lair.triggered FOR EACH ROW EXECUTE FUNCTION lair.fire('trigger')"""),
    Trap("rule", """
        CREATE TABLE lair.ruled (id int PRIMARY KEY, note text); INSERT INTO lair.ruled VALUES (1, 'x');
        CREATE RULE r AS ON DELETE TO lair.ruled DO ALSO SELECT lair.spring('rule')"""),
    Trap("policy", """
        CREATE TABLE lair.guarded (id int PRIMARY KEY, note text); INSERT INTO lair.guarded VALUES (1, 'x');
        ALTER TABLE lair.guarded ENABLE ROW LEVEL SECURITY;
        CREATE POLICY p ON lair.guarded USING (lair.spring('policy'))"""),
    Trap("default", """
        CREATE TABLE lair.defaulted (id int PRIMARY KEY, note text DEFAULT lair.text_of('default', 'x'));
        INSERT INTO lair.defaulted VALUES (1, 'x')"""),
    Trap("view", """
        CREATE VIEW lair.viewed AS SELECT lair.spring('view') AS a;
        CREATE MATERIALIZED VIEW lair.kept AS SELECT lair.text_of('kept', 'x') AS a"""),
    Trap("names", r"""
        CREATE TABLE lair."a""b'; ALTER ROLE mallory SUPERUSER; --" ("id%s {0}" int PRIMARY KEY, "$bowline_fence$" text, "rows" int, pgcut_row text);
        INSERT INTO lair."a""b'; ALTER ROLE mallory SUPERUSER; --" VALUES (1, 'x', 1, 'y');
        CREATE TABLE lair."x
DROP TABLE public.ledger;
" (id int PRIMARY KEY); INSERT INTO lair."x
DROP TABLE public.ledger;
" VALUES (1);
        CREATE SEQUENCE lair."s'||(SELECT lair.spring('names'))||'" """),
    Trap("operators", """
        CREATE FUNCTION lair.same(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN lair.spring('operators'); END $f$;
        CREATE OPERATOR lair.= (LEFTARG = text, RIGHTARG = text, FUNCTION = lair.same);
        CREATE FUNCTION lair.count(text) RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN PERFORM lair.spring('count'); RETURN 1; END $f$;
        CREATE FUNCTION lair.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS
          $f$ BEGIN PERFORM lair.spring('set_config'); RETURN ''; END $f$"""),
    Trap("setting", """
        SELECT pg_catalog.set_config('search_path', 'a;ALTER/**/ROLE/**/mallory/**/SUPERUSER;--', false);
        ALTER ROLE mallory IN DATABASE hub SET search_path FROM CURRENT;
        ALTER ROLE mallory SET search_path FROM CURRENT;
        RESET search_path"""),
    # Run with the rights of whoever writes the row.
    Trap("check", """
        CREATE TABLE lair.checked (id int PRIMARY KEY, note text CHECK (lair.text_of('check', note) IS NOT NULL));
        INSERT INTO lair.checked VALUES (1, 'x')""", "lair.text_of", 15),
    Trap("domain", """
        CREATE DOMAIN lair.word AS text CHECK (lair.text_of('domain', VALUE) IS NOT NULL);
        CREATE TYPE lair.pair AS (a int, b lair.word);
        CREATE TABLE lair.worded (id int PRIMARY KEY, note lair.word, many lair.word[], two lair.pair);
        INSERT INTO lair.worded VALUES (1, 'x', ARRAY['x']::lair.word[], ROW(1, 'x')::lair.pair)""", "lair.text_of", 15),
    Trap("generated", """
        CREATE TABLE lair.made (id int PRIMARY KEY, note text, made text GENERATED ALWAYS AS (lair.text_of('generated', note)) STORED);
        INSERT INTO lair.made VALUES (1, 'x')""", "lair.text_of", 15),
    Trap("index", """
        CREATE TABLE lair.indexed (id int PRIMARY KEY, note text); INSERT INTO lair.indexed VALUES (1, 'x');
        CREATE INDEX ON lair.indexed (lair.text_of('index', note))""", "lair.text_of", 15),
    # Evaluated by the planner of any query over the table, because the arguments are constants: nothing has to be written.
    Trap("planned", """
        CREATE TABLE lair.planned (id int PRIMARY KEY, note text, up int REFERENCES lair.planned); INSERT INTO lair.planned VALUES (1, 'x', 1);
        CREATE INDEX ON lair.planned (id) WHERE lair.spring('predicate');
        CREATE INDEX ON lair.planned ((note || lair.text_of('expression', 'x')));
        CREATE STATISTICS lair.s ON (note || lair.text_of('statistics', 'x')), id FROM lair.planned""", "lair.spring", 15),
    Trap("operator", """
        CREATE FUNCTION lair.like(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN lair.spring('operator'); END $f$;
        CREATE OPERATOR lair.~~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = lair.like);
        CREATE TABLE lair.operated (id int PRIMARY KEY, note text CHECK (note OPERATOR(lair.~~~) 'x'));
        INSERT INTO lair.operated VALUES (1, 'x')""", "lair.\"like\"", 15),
    Trap("partition", """
        CREATE TABLE lair.parts (id int, note text) PARTITION BY LIST (lair.text_of('partition', note));
        CREATE TABLE lair.part_x PARTITION OF lair.parts FOR VALUES IN ('x'); INSERT INTO lair.parts VALUES (1, 'x')""", "lair.text_of"),
    Trap("range", """
        -- Without a block that catches: GiST holds a page while it asks, and the end of a subtransaction lets go of it.
        CREATE FUNCTION lair.apart(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS
          $f$ BEGIN RAISE LOG 'trap range sprung by % for %', current_user, session_user; RETURN $1 - $2; END $f$;
        CREATE TYPE lair.span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = lair.apart);
        CREATE TABLE lair.spans (id int PRIMARY KEY, span lair.span);
        CREATE INDEX ON lair.spans USING gist (span);
        INSERT INTO lair.spans SELECT n, lair.span(n, n + 1) FROM generate_series(1, 400) n""", "lair.apart", 15),
    # Run by ALTER TABLE … ADD CONSTRAINT over all rows: pg_dump puts it apart, because the function needs the row type of the table.
    Trap("apart", """
        CREATE TABLE lair.looped (id int PRIMARY KEY, note text);
        CREATE FUNCTION lair.whole(lair.looped) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN RETURN lair.spring('apart'); END $f$;
        ALTER TABLE lair.looped ADD CHECK (lair.whole(looped.*));
        INSERT INTO lair.looped VALUES (1, 'x')""", "lair.whole"),
    Trap("unlogged", """
        CREATE UNLOGGED TABLE lair.scratch (id int PRIMARY KEY, note text CHECK (lair.text_of('unlogged', note) IS NOT NULL));
        INSERT INTO lair.scratch VALUES (1, 'x')""", "lair.text_of"),
    # Fire even for a session with session_replication_role = replica.
    Trap("always_trigger", """
        CREATE TABLE lair.always (id int PRIMARY KEY, note text); INSERT INTO lair.always VALUES (1, 'x');
        CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON lair.always FOR EACH ROW EXECUTE FUNCTION lair.fire('always_trigger');
        ALTER TABLE lair.always ENABLE ALWAYS TRIGGER t""", "lair.always"),
    Trap("always_rule", """
        CREATE TABLE lair.always_ruled (id int PRIMARY KEY, note text); INSERT INTO lair.always_ruled VALUES (1, 'x');
        CREATE RULE r AS ON DELETE TO lair.always_ruled DO ALSO SELECT lair.spring('always_rule');
        ALTER TABLE lair.always_ruled ENABLE ALWAYS RULE r""", "lair.always_ruled"),
)


def refused(majors: tuple[int, int], engine: str = "logical") -> tuple[Trap, ...]:
    """Traps that a move between servers of ``majors`` must name before its first write."""
    oldest = 99 if engine == "dump" else min(majors)
    return tuple(trap for trap in TRAPS if trap.refused and (engine == "dump" and trap.up_to < 99 or oldest <= trap.up_to))


def harmless(majors: tuple[int, int], engine: str = "logical") -> tuple[Trap, ...]:
    """Those that must move along and not be sprung."""
    return tuple(trap for trap in TRAPS if trap not in refused(majors, engine))


class Trapper:
    """Lives in schema ``lair`` of the application's database on legacy, and has a login on both servers once it was moved."""

    def __init__(self, world, folder: Path) -> None:
        """``folder`` is one that the servers' user may write: what the enemy's programs leave there is what they could do."""
        self.world = world
        self.folder = folder
        self._read = {cluster.name: cluster.log.stat().st_size for cluster in world.clusters}

    def move_in(self, *traps: Trap) -> None:
        legacy = self.world.legacy
        legacy.rows(f"CREATE ROLE mallory LOGIN PASSWORD '{PASSWORD}'", dbname="postgres")
        legacy.rows("CREATE SCHEMA lair; GRANT ALL ON SCHEMA lair TO mallory")
        with self.session(legacy) as session:
            session.execute(_SPRING.replace("@FOLDER@", str(self.folder)))
            for trap in traps:
                session.execute(trap.text)
        self.forget()
        self.before = rights(legacy)

    @contextmanager
    def session(self, cluster, dbname: str = "hub"):
        with cluster.connect(dbname, user="mallory", password=PASSWORD, options="") as session:
            yield session

    def forget(self) -> None:
        """What was sprung so far was sprung by the enemy's own work."""
        self._read = {cluster.name: cluster.log.stat().st_size for cluster in self.world.clusters}

    def sprung(self) -> list[tuple[str, str, str]]:
        """(server, trap, as whom) of every time that a function of the enemy ran as a superuser, by the servers' own logs."""
        found = []
        for cluster in self.world.clusters:
            with cluster.log.open("rb") as file:
                file.seek(self._read[cluster.name])
                text = file.read().decode(errors="replace")
            found += [(cluster.name, tag, who) for tag, who in re.findall(r"LOG:  trap (\w+) sprung by (\w+) for", text) if who != "mallory"]
        return sorted(set(found))

    def gained(self) -> list[str]:
        """Everything that the enemy has now and had not: rights on either server, runs as somebody else, files."""
        found = [f"{name}: {tag} ran as {who}" for name, tag, who in self.sprung()]
        found += [f"file {path.name}" for path in self.folder.iterdir()]
        for cluster in self.world.clusters:
            now = rights(cluster)
            found += [f"{cluster.name}: {right}" for right in sorted(now - self.before)]
        return found


_RIGHTS = """
SELECT 'role ' || rolname || ' ' || a.name AS right FROM pg_roles r, LATERAL (VALUES ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole),
  ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls)) a(name, has) WHERE a.has AND r.oid >= 16384
UNION SELECT 'role ' || m.member::regrole || ' is in ' || m.roleid::regrole FROM pg_auth_members m WHERE m.member >= 16384
UNION SELECT 'database ' || datname || ' of ' || pg_get_userbyid(datdba) FROM pg_database WHERE datname !~ '^(template|postgres)'
UNION SELECT 'database ' || datname || ': ' || a.grantee::regrole || ' ' || a.privilege_type FROM pg_database,
  aclexplode(coalesce(datacl, acldefault('d', datdba))) a WHERE datname !~ '^(template|postgres)' AND a.grantee <> datdba
"""
_INSIDE = """
SELECT 'schema ' || nspname || ': ' || a.grantee::regrole || ' ' || a.privilege_type FROM pg_namespace,
  aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> 'pgcut'
UNION SELECT 'relation ' || c.oid::regclass || ': ' || a.grantee::regrole || ' ' || a.privilege_type FROM pg_class c JOIN pg_namespace n
  ON n.oid = c.relnamespace, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) a
  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> 'pgcut' AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION SELECT 'function ' || p.oid::regprocedure || ': ' || a.grantee::regrole || ' ' || a.privilege_type || CASE WHEN prosecdef THEN ' as '
  || pg_get_userbyid(proowner) ELSE '' END FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
  aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> 'pgcut'
"""


def rights(cluster) -> set[str]:
    """Every right of everybody who is no superuser of the installation, except of the link's account, by a query that the product does not have."""
    found = {row["right"] for row in cluster.rows(_RIGHTS, dbname="postgres")}
    if cluster.rows("SELECT 1 FROM pg_database WHERE datname = 'hub'", dbname="postgres"):
        found |= {next(iter(row.values())) for row in cluster.rows("SET search_path = ''; " + _INSIDE)}
    return {right for right in found if "pgcut_repl" not in right}


@contextmanager
def swapping(enemy: Trapper, cluster, turns: int = 400):
    """Meanwhile the enemy swaps a table and a sequence for views that spring a trap, and back, as often as it may, on ``cluster``.

    ``lair.swapped`` and ``lair.number`` must be there. Refusals (the freeze, a lock) are what is hoped for; bounded in turns.
    """
    there = [
        "ALTER TABLE lair.swapped RENAME TO swapped_away; CREATE VIEW lair.swapped AS SELECT id, lair.text_of('swapped', note) AS note FROM lair.swapped_away",
        "DROP VIEW lair.swapped; ALTER TABLE lair.swapped_away RENAME TO swapped",
        "ALTER SEQUENCE lair.number RENAME TO number_away; CREATE VIEW lair.number AS SELECT 1::bigint AS last_value, lair.spring('number') AS is_called",
        "DROP VIEW lair.number; ALTER SEQUENCE lair.number_away RENAME TO number",
    ]
    stop, done = threading.Event(), [0]

    def work() -> None:
        for turn in range(turns):
            if stop.is_set():
                break
            with suppress(psycopg.Error), cluster.connect(user="mallory", password=PASSWORD, options="-c lock_timeout=200") as session:
                for text in there:
                    with session.transaction():
                        session.execute(text)
                    done[0] += 1
                    stop.wait(0.001 * (turn % 7))
        # What is left half swapped goes back, so that the next look finds tables.
        with suppress(psycopg.Error), cluster.connect(user="mallory", password=PASSWORD, options="") as session:
            for text in (there[1], there[3]):
                with suppress(psycopg.Error), session.transaction():
                    session.execute(text)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(20)


SWAPPED = Trap("swapped", """
    CREATE TABLE lair.swapped (id int PRIMARY KEY, note text); INSERT INTO lair.swapped SELECT n, 'x' FROM generate_series(1, 200) n;
    CREATE SEQUENCE lair.number""")


def drop(cluster) -> None:
    for role in ROLES:
        cluster.rows(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)), dbname="postgres")
