# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Relations that a statement names: held until the transaction ends, and proven to be what the catalog said they are.

A name that was listed may belong to something else by now: to a view, whose functions would run with the rights of the control session, or
to a table with a rule that fires always. Where the server knows restrict_nonsystem_relation_kind (`Session.restricts`), reading needs no
lock, because a view is refused by the server. Writing is held and proven on every version: a rule fires without a view being read.
"""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from .postgres import Session, ident

Name = t.Tuple[str, str]
# What the catalog said is read by the snapshot of the transaction; what the name means now, and of which kind that is, by functions that
# look at the newest catalog (to_regclass and pg_identify_object, over the caches of the server), behind the lock.
_CHANGED = """
SELECT w.name FROM ROWS FROM (unnest(%s::text[]), unnest(%s::text[]), unnest(%s::text[])) w(nspname, relname, name)
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON n.nspname = w.nspname AND c.relname = w.relname
WHERE c.oid IS NULL OR c.oid IS DISTINCT FROM to_regclass(w.name)::oid OR (pg_identify_object('pg_class'::regclass, c.oid, 0)).type <> %s
"""
# Only rules and triggers of these two kinds fire for a session of role replica.
_FIRES = """
OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_enabled IN ('A', 'R'))
OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgenabled IN ('A', 'R'))
"""


def look(session: Session) -> str:
    """How a transaction begins that reads tables by name. Row locks on the catalog, which `read` needs on older servers, are no reading only."""
    return f"BEGIN ISOLATION LEVEL REPEATABLE READ{' READ ONLY' if session.restricts else ''}"


def read(session: Session, tables: t.Sequence[Name]) -> None:
    """Inside a transaction, before ``tables`` are read by name. Raises FleetError "object_changed"."""
    if tables and not session.restricts:
        _lock(session, tables, "ACCESS SHARE")
        _prove(session, tables, "table")


def write(session: Session, tables: t.Sequence[Name]) -> None:
    """Inside a transaction, before ``tables`` are written by name. Raises FleetError "object_changed".

    SHARE ROW EXCLUSIVE is what CREATE TRIGGER takes, so no trigger and no rule is made meanwhile
    (https://www.postgresql.org/docs/15/explicit-locking.html).
    """
    if tables:
        _lock(session, tables, "SHARE ROW EXCLUSIVE")
        _prove(session, tables, "table", _FIRES)


def alter(session: Session, tables: t.Sequence[Name]) -> None:
    """Inside a transaction, before ``tables`` are altered by name. Raises FleetError "object_changed"."""
    if tables:
        _lock(session, tables, "ACCESS EXCLUSIVE")
        _prove(session, tables, "table")


def sequences(session: Session, names: t.Sequence[Name]) -> None:
    """Inside a transaction, before sequences are read by name. Raises FleetError "object_changed" or, from the server, "sql_error".

    LOCK TABLE takes no sequence. pg_sequence_last_value takes ROW EXCLUSIVE on it, for the rest of the transaction, and refuses what is none
    (init_sequence and lock_and_open_sequence in src/backend/commands/sequence.c).
    """
    if names and not session.restricts:
        _hold_schemas(session, names)
        session.run("SELECT pg_sequence_last_value(to_regclass(n)) FROM unnest(%s::text[]) n", [ident(*name) for name in names])
        _prove(session, names, "sequence")


def _lock(session: Session, tables: t.Sequence[Name], mode: str) -> None:
    _hold_schemas(session, tables)
    session.run(f"LOCK TABLE {', '.join(f'ONLY {ident(*table)}' for table in tables)} IN {mode} MODE")


def _hold_schemas(session: Session, names: t.Sequence[Name]) -> None:
    """A lock on a table does not keep the name of its schema; a key share lock on its row in the catalog does."""
    session.run("SELECT FROM pg_namespace WHERE nspname = ANY (%s) ORDER BY oid FOR KEY SHARE", sorted({name[0] for name in names}))


def _prove(session: Session, names: t.Sequence[Name], kind: str, more: str = "") -> None:
    columns = [[name[0] for name in names], [name[1] for name in names], [ident(*name) for name in names]]
    changed = [str(row["name"]) for row in session.rows(_CHANGED + more, *columns, kind)]
    if changed:
        raise FleetError(
            "object_changed",
            f"On {session.endpoint} these are not the {kind}s that were listed, or have rules or triggers that fire always:"
            f" {', '.join(changed[:10])}. They were not touched.",
            remedy="Find who changed them meanwhile, then run again.",
            details={"objects": changed, "side": session.endpoint.side},
        )
