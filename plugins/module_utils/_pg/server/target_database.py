# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database on new: made as legacy describes its own, closed from its first moment on, and dropped."""

from __future__ import annotations

import hashlib
import typing as t

from . import database, fence
from .postgres import Server, ident, literal

STAGE = "pgcut.stage"
# Of a schema that is being brought, by the copy or by the rehearsal: a database in this stage is made anew by whoever finds it.
SCHEMA = "schema"


def draft(name: str) -> str:
    """The name of a database that is being made; as long as a name may be."""
    return "pgcut_draft_" + hashlib.sha256(name.encode()).hexdigest()[:16]


def spare(name: str) -> str:
    """The name of a database for the rehearsal, where the real one stands already."""
    return "pgcut_dry_" + hashlib.sha256(name.encode()).hexdigest()[:16]


def stage(new: Server, reached: str, name: str = "") -> None:
    """Note in the catalog of ``new`` how far the copy is."""
    new.admin.run(f"ALTER DATABASE {ident(name or new.dbname)} SET {STAGE} = {literal(reached)}")


def close(new: Server, name: str) -> None:
    stage(new, SCHEMA, name)
    fence.turn(new.admin, name, f"{fence.new_epoch()}:seed", True)


def create(new: Server, name: str, described: t.Mapping[str, t.Any]) -> None:
    """Under its own name a database is fenced from its first moment on: one statement makes it, another one closes it, and a kill may
    come in between, or while the server is still at the first."""
    made = draft(name)
    new.admin.run(f"DROP DATABASE IF EXISTS {ident(made)}")
    new.admin.run(database.create_text(made, described, new.admin.version))
    close(new, made)
    new.admin.run(f"ALTER DATABASE {ident(made)} RENAME TO {ident(name)}")


def drop(new: Server, name: str) -> None:
    """With whoever is in it. One that has a subscription cannot be dropped; a template can be, once it is none."""
    if new.admin.value("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s AND datistemplate)", name):
        new.admin.run(f"ALTER DATABASE {ident(name)} IS_TEMPLATE false")
    force = " WITH (FORCE)" if new.admin.version >= 130000 else ""
    if not force:
        new.admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)
    new.admin.run(f"DROP DATABASE IF EXISTS {ident(name)}{force}")


def left(new: Server) -> list[str]:
    """What a killed run has left half made, or of a rehearsal."""
    names = [draft(new.dbname), spare(new.dbname), draft(spare(new.dbname))]
    return [row["datname"] for row in new.admin.rows("SELECT datname FROM pg_database WHERE datname = ANY (%s)", names)]


def tidy(new: Server) -> None:
    for name in left(new):
        drop(new, name)
