# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One schema there and back. Right is one of two: equal on both sides each time, or refused before the first statement that writes on legacy."""

from __future__ import annotations

import contextlib
import difflib
import re
import subprocess
import typing as t
from dataclasses import dataclass, replace

import bowline_pg_compare as compare
import bowline_pg_rig as rig
import psycopg
from psycopg import sql

from .draw import DATABASE, PASSWORD, Schema

EQUAL, REFUSED = "equal", "refused"
LATE, SILENT, DIFFERS, FAILED, UNNAMED = "refused late", "refused without remedy", "differs", "failed", "left out without a word"
# Not a verdict over the module: the schema cannot be made.
UNMADE = "unmade"

_DATABASES = "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"
# What is not moved has to be named by a finding.
_NOT_MOVED = """
SELECT slot_name::text AS name FROM pg_replication_slots WHERE slot_name !~ '^(pgcut|pg_\\d)' UNION SELECT pubname FROM pg_publication WHERE pubname !~ '^pgcut'
"""


@dataclass(frozen=True)
class Verdict:
    """``stage`` is the state that was asked for; ``code`` of the failure; ``text`` what was seen."""

    kind: str
    stage: str = ""
    code: str = ""
    text: str = ""

    @property
    def right(self) -> bool:
        return self.kind in (EQUAL, REFUSED)

    @property
    def signature(self) -> tuple[str, ...]:
        """Equal for what is probably one and the same finding."""
        return (self.kind, self.code, "" if self.kind != DIFFERS else re.sub(r"\W.*", "", self.text, flags=re.S))

    def __str__(self) -> str:
        return " · ".join(part for part in (self.kind, self.stage, self.code, self.text) if part)


def move(world: t.Any, schema: Schema, engine: str = "auto") -> Verdict:
    """Make ``schema`` on legacy, move it there and back, and judge."""
    clean(world)
    said = make(world.legacy, schema)
    if said:
        return Verdict(UNMADE, text=said)
    return _Move(world, engine).go()


def clean(world: t.Any) -> None:
    """No database, account, slot or tablespace of an earlier schema on either server."""
    for cluster in world.clusters:
        if cluster.process is None or cluster.process.poll() is not None:
            cluster.start()
        for name in [row["datname"] for row in cluster.rows(_DATABASES, dbname="postgres")]:
            for row in cluster.rows("SELECT subname FROM pg_subscription", dbname=name):
                for text in ("ALTER SUBSCRIPTION {} DISABLE", "ALTER SUBSCRIPTION {} SET (slot_name = NONE)", "DROP SUBSCRIPTION {}"):
                    with contextlib.suppress(psycopg.errors.UndefinedObject):
                        with cluster.connect(name) as session:
                            session.execute(rig.QUIET)
                            session.execute(sql.SQL(text).format(sql.Identifier(row["subname"])))
    for cluster in world.clusters:
        for row in cluster.rows("SELECT slot_name FROM pg_replication_slots", dbname="postgres"):
            rig.until(lambda cluster=cluster, slot=row["slot_name"]: world._dropped(cluster, slot), 10, f"slot {row['slot_name']} to be dropped")
        with cluster.connect("postgres") as session:
            for row in session.execute(_DATABASES).fetchall():
                session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(row["datname"])))
                session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(row["datname"])))
            for row in session.execute("SELECT spcname FROM pg_tablespace WHERE spcname !~ '^pg_'").fetchall():
                session.execute(sql.SQL("DROP TABLESPACE {}").format(sql.Identifier(row["spcname"])))
            session.execute("ALTER ROLE ALL RESET ALL; ALTER ROLE postgres RESET ALL")
            rows = session.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND oid <> 10").fetchall()
            if rows:
                listed = sql.SQL(", ").join(sql.Identifier(row["rolname"]) for row in rows)
                session.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(listed))


def make(cluster: t.Any, schema: Schema) -> str:
    """The database of ``schema``; why it cannot be made, or an empty text."""
    cluster.rows(f"CREATE ROLE hub LOGIN PASSWORD '{PASSWORD}'", dbname="postgres")
    text = f"CREATE DATABASE {DATABASE} OWNER hub {schema.create}"
    try:
        cluster.rows(text, dbname="postgres")
        with cluster.connect(options="") as session:
            for text in schema.statements:
                session.execute(text)
    except psycopg.Error as error:
        return f"{str(error).strip().splitlines()[0]} in: {text}"
    return ""


class _Move:
    def __init__(self, world: t.Any, engine: str) -> None:
        self._world = world
        self._later: tuple[str, ...] = ()
        self._more = {"engine": engine, "max_window": 120} if engine != "auto" else {"max_window": 60}

    def go(self) -> Verdict:
        """The verdict; with the servers' own reasons when something is wrong."""
        at = {cluster: cluster.log.stat().st_size for cluster in self._world.clusters}
        verdict = self._judge()
        if verdict.right:
            return verdict
        reasons = [f"{cluster.name}: {text}" for cluster, begin in at.items() for text in errors(cluster, begin)]
        return replace(verdict, text="\n".join([verdict.text, *reasons]))

    def _judge(self) -> Verdict:
        legacy = self._world.legacy
        before, at = self._footprint(legacy), legacy.log.stat().st_size
        contents = compare.contents(legacy)
        found = self._run("armed")
        if "failure" in found:
            return self._refused("armed", found["failure"], before, at)
        if compare.contents(legacy) != contents:
            return Verdict(DIFFERS, "armed", text="rows of legacy were changed by the preparation")
        # A dump names no version of an extension; that new has a later one is told before.
        self._later = tuple(f"{finding['object']} in " for finding in found["findings"] if finding["code"] == "extension_version")
        told = " ".join(str(value) for finding in found["findings"] for value in finding.values())
        unnamed = [row["name"] for row in legacy.rows(_NOT_MOVED) if row["name"] not in told]
        if unnamed:
            return Verdict(UNNAMED, "armed", text=", ".join(unnamed))
        for state, source in (("new", legacy), ("legacy", self._world.new)):
            use(source, state)
            found = self._run(state)
            if "failure" in found:
                return Verdict(FAILED, state, found["failure"]["code"], _told(found["failure"]))
            different = self._different()
            if different:
                return Verdict(DIFFERS, state, text=different)
        return Verdict(EQUAL, text=" ".join(found.get("warnings") or []))

    def _run(self, state: str) -> dict[str, t.Any]:
        try:
            return dict(self._world.run(state, **self._more))
        except subprocess.TimeoutExpired:
            return {"failure": {"code": "hangs", "message": f"no answer within {self._world.patience:g} s", "remedy": ""}}
        except AssertionError as error:
            return {"failure": {"code": "crash", "message": str(error)[-1500:], "remedy": ""}}

    def _refused(self, state: str, failure: dict[str, t.Any], before: list[str], at: int) -> Verdict:
        legacy = self._world.legacy
        wrote = rig.writes.statements(legacy, at)
        after = self._footprint(legacy)
        left = [line for line in difflib.unified_diff(before, after, lineterm="", n=0) if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        told = _told(failure)
        if wrote or left:
            shown = f"{len(wrote)} statements wrote on legacy ({'; '.join(wrote[:2])}), {len(left)} lines of its catalogs differ"
            return Verdict(LATE, state, failure["code"], f"{told} · {shown}")
        return Verdict(REFUSED if failure.get("remedy") else SILENT, state, failure["code"], told)

    def _footprint(self, cluster: t.Any) -> list[str]:
        """Everything of a server that is no row, ours included."""
        bindir = self._world.new.bin
        # What no pg_dump can read is to be refused, and what it says of that has to stay the same, too.
        lines = compare.program(cluster, bindir, "pg_dump", "--schema-only", "--create", DATABASE, must=False)
        lines += compare.program(cluster, bindir, "pg_dumpall", "--globals-only")
        for text in ("SELECT slot_name::text AS line FROM pg_replication_slots ORDER BY 1",
                     "SELECT name || ' = ' || setting AS line FROM pg_file_settings ORDER BY 1"):
            lines += [row["line"] for row in cluster.rows(text, dbname="postgres")]
        return [line for line in lines if "restrict" not in line]

    def _different(self) -> str:
        """What differs between the sides, in one text; empty when nothing does."""
        legacy, new = self._world.clusters
        one, two = compare.contents(legacy), compare.contents(new)
        found = [f"rows of {name}: {one.get(name)}, {two.get(name)}" for name in sorted({*one, *two}) if one.get(name) != two.get(name)]
        across = legacy.major != new.major
        for lines in (lambda side: dump(side, new.bin, across), lambda side: sorted(accounts(side, new.bin)),
                      lambda side: compare.rights(side, members=not across)):
            shown = difflib.unified_diff(lines(legacy), lines(new), lineterm="", n=0)
            found += [line for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---") and not line[1:].startswith(self._later)]
        seen = [compare.shown(side) for side in (legacy, new)]
        found += [f"shown by {name}: {seen[0].get(name)}, {seen[1].get(name)}" for name in seen[0] if seen[0][name] != seen[1].get(name)]
        return "\n".join(found[:12])


def errors(cluster: t.Any, at: int) -> list[str]:
    """What the server refused from byte ``at`` of its log on, each once; but for the first login of the link, which is tried before it is made."""
    with cluster.log.open("rb") as file:
        file.seek(at)
        text = file.read().decode("utf-8", errors="replace")
    found = [line for line in re.findall(r"(?:ERROR|FATAL|PANIC):  (.*)", text) if "pgcut_repl" not in line and "terminating" not in line]
    return list(dict.fromkeys(found))[:8]


def dump(cluster: t.Any, bindir: t.Any, across: bool) -> list[str]:
    """The schema as pg_dump shows it. Rights are compared by `compare.rights`; across majors each shows expressions in its own way."""
    lines = [line for line in compare.schema(cluster, bindir) if not re.match(r"GRANT |REVOKE |ALTER DEFAULT PRIVILEGES", line)]
    return sorted(" ".join(re.sub(r'(?:"(?:[^"]|"")+"|\w+)\.', "", line).replace("(", "").replace(")", "").split()) for line in lines) if across else lines


def accounts(cluster: t.Any, bindir: t.Any) -> list[str]:
    """Accounts as pg_dumpall shows them, without their memberships, which `compare.rights` has."""
    return [line for line in compare.roles(cluster, bindir) if not line.startswith("GRANT ")]


def use(cluster: t.Any, mark: str) -> None:
    """Change every table and move every sequence, as far as constraints allow it."""
    with cluster.connect() as session:
        session.execute("SET session_replication_role = replica")
        for table in session.execute(compare._COLUMNS).fetchall():
            if table["stored"]:
                _change(session, table, mark)
        for row in session.execute("SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                                   " WHERE c.relkind = 'S' AND n.nspname !~ '^pg'").fetchall():
            _try(session, "SELECT nextval(%s)", row["name"])
        for schema, name in _filled_views(session):
            _try(session, sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(schema, name)))


def _filled_views(session: t.Any) -> list[tuple[str, str]]:
    """In the order in which they were made, twice: one that reads another one is right after the second time."""
    rows = session.execute("SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                           " WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid").fetchall()
    return [tuple(row.values()) for row in rows] * 2


def _change(session: t.Any, table: dict[str, t.Any], mark: str) -> None:
    name, column = sql.Identifier(table["schema"], table["name"]), sql.Identifier(table["text"] or table["any"] or table["stored"][0])
    value = sql.SQL("{} || {}").format(column, mark) if table["text"] else column
    stored = sql.SQL(", ").join(map(sql.Identifier, table["stored"]))
    one = sql.SQL("DELETE FROM ONLY {} WHERE ctid = (SELECT ctid FROM ONLY {} ORDER BY ctid LIMIT 1)").format(name, name)
    _try(session, sql.SQL("UPDATE ONLY {} SET {} = {}").format(name, column, value))
    _try(session, sql.SQL("WITH gone AS ({} RETURNING *) INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM gone").format(one, name, stored, stored))
    if not table["referenced"]:
        # What is left has to be looked at.
        _try(session, sql.SQL("{} AND (SELECT count(*) > 2 FROM ONLY {})").format(one, name))


def _try(session: t.Any, text: t.Any, *params: str) -> None:
    """One statement of an application, which may be refused by what the schema says."""
    with contextlib.suppress(psycopg.errors.IntegrityError, psycopg.errors.DataError, psycopg.errors.ProgrammingError, psycopg.errors.RaiseException,
                             psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.NotSupportedError):
        session.execute(text, params or None)


def _told(failure: dict[str, t.Any]) -> str:
    return f"{failure.get('message', '')} → {failure.get('remedy', '')}"[:1500]
