# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A schema, dumped and restored, and what stands around that, whichever engine brings it."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ..._core.errors import FleetError
from ..._core.runner import Completed
from ..model import Endpoint, Options
from . import freeze, helper, owner_code
from .postgres import Server, Session, ident
from .programs import Programs

# The schema pgcut is made on each side, so that the freeze is there before anything else is.
WITHOUT_HELPER = "--exclude-schema=pgcut"


def prepare(legacy: Server, new: Server, options: Options, *, everything: bool) -> None:
    """Before the schema is brought to ``new``: nobody but a superuser changes it from here on, and what it would run is accepted.

    Keys of partitions and separate CHECK constraints are evaluated while a schema is restored; with ``everything`` the rows are, too.
    """
    owner_code.refuse(legacy.db, options.accept_owner_code, everything=everything)
    without_public(legacy.db, new.db)
    helper.make(new, rows=False)
    if options.ddl_freeze:
        freeze.on(new)


def without_public(legacy: Session, new: Session) -> None:
    """A dump does not say that the schema public was dropped, and CREATE DATABASE makes one. One on new that somebody uses stays."""
    there = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public')"
    free = there[:-1] + " AND NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = pg_namespace.oid))"
    if not legacy.value(there) and new.value(free):
        new.run("DROP SCHEMA public")


# Rights that a schema had when the database was made, and has still; those of an extension's schema are its script's.
_INITIAL = """
SELECT n.nspname, x.privilege_type, x.is_grantable, CASE x.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(x.grantee) END AS grantee
FROM pg_init_privs i JOIN pg_namespace n ON n.oid = i.objoid CROSS JOIN LATERAL aclexplode(i.initprivs) x
WHERE i.classoid = 'pg_namespace'::regclass AND n.nspname NOT IN ('public', 'information_schema') AND n.nspname !~ '^pg_'
AND EXISTS (SELECT FROM aclexplode(n.nspacl) w WHERE (w.grantor, w.grantee, w.privilege_type, w.is_grantable)
  = (x.grantor, x.grantee, x.privilege_type, x.is_grantable))
AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e') ORDER BY 1, 2, 4
"""


def initial_rights(source: Session, target: Session) -> None:
    """Behind a restore: the schema public has rights from initdb on, which a dump leaves out although the schema was given another name."""
    for row in source.rows(_INITIAL):
        grantee = "PUBLIC" if row["grantee"] is None else ident(row["grantee"])
        granted = f"GRANT {row['privilege_type']} ON SCHEMA {ident(row['nspname'])} TO {grantee}"
        target.run(granted + (" WITH GRANT OPTION" if row["is_grantable"] else ""))


def encoding(session: Session, *, names: bool = False) -> str:
    """A word for pg_dump, which would else write in the client_encoding that a setting of the database asks for.

    That of the database, so that no value is converted; for ``names``, which are looked for in the table of contents, UTF-8 where it can be.
    """
    own = str(session.value("SELECT getdatabaseencoding()"))
    return f"--encoding={'UTF8' if names and own != 'SQL_ASCII' else own}"


def dump(tools: Programs, server: Server, snapshot: str = "") -> tuple[Path, list[str]]:
    """An archive of the schema of ``server``, and the lines of its table of contents. Raises FleetError "seed_error"."""
    archive = tools.folder / "schema.dump"
    words = [f"--dbname={server.dbname}", "--format=custom", "--schema-only", encoding(server.db, names=True), WITHOUT_HELPER]
    words += [f"--snapshot={snapshot}"] if snapshot else []
    done = tools.run("pg_dump", server.endpoint, [*words, "--lock-wait-timeout=60s", f"--file={archive}"])
    if done.rc != 0:
        raise FleetError(
            "seed_error",
            f"pg_dump of the schema of {server.endpoint} ended with {done.rc}: {done.err.strip()[-600:]}.",
            remedy="A pg_dump older than the server cannot read it: name the newer one with new.bindir.",
        )
    return archive, tools.listing(archive)


def restore(tools: Programs, endpoint: Endpoint, dbname: str, archive: Path, lines: t.Sequence[str], words: t.Sequence[str] = ()) -> Completed:
    """Make the entries ``lines`` of ``archive``, in their order."""
    return tools.run("pg_restore", endpoint, [f"--dbname={dbname}", *words, tools.chosen(lines), str(archive)])


def analyze(server: Server) -> None:
    """The server does this as the owner of each table (analyze_rel in src/backend/commands/analyze.c), whose indexes may read views."""
    with server.db.views():
        server.db.run("ANALYZE")
