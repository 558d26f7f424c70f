# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands around the restore of a schema, whichever engine brings it."""

from __future__ import annotations

from ..model import Options
from . import freeze, helper, owner_code
from .postgres import Server

# The schema pgcut is made on each side, so that the freeze is there before anything else is.
WITHOUT_HELPER = "--exclude-schema=pgcut"


def prepare(legacy: Server, new: Server, options: Options, *, everything: bool) -> None:
    """Before the schema is brought to ``new``: nobody but a superuser changes it from here on, and what it would run is accepted.

    Keys of partitions and separate CHECK constraints are evaluated while a schema is restored; with ``everything`` the rows are, too.
    """
    owner_code.refuse(legacy.db, options.accept_owner_code, everything=everything)
    helper.make(new, rows=False)
    if options.ddl_freeze:
        freeze.on(new)


def analyze(server: Server) -> None:
    """The server does this as the owner of each table (analyze_rel in src/backend/commands/analyze.c), whose indexes may read views."""
    with server.db.views():
        server.db.run("ANALYZE")
