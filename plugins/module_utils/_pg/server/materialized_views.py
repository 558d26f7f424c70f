# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Materialized views: no engine brings their rows, they are filled anew from what was brought."""

from __future__ import annotations

from ..._core.errors import FleetError
from . import catalog, relations
from .postgres import Server, Session, ident

# A control session has none from its first moment on, so RESET would bring none back: what a session of the application begins with.
_SEARCH_PATH = """
SELECT coalesce((SELECT substr(entry, 13) FROM pg_db_role_setting s, unnest(s.setconfig) entry WHERE s.setrole = 0 AND s.setdatabase IN
  (0, (SELECT oid FROM pg_database WHERE datname = current_database())) AND entry LIKE 'search_path=%' ORDER BY s.setdatabase DESC LIMIT 1),
  (SELECT setting FROM pg_file_settings WHERE name = 'search_path' AND applied ORDER BY seqno DESC LIMIT 1),
  (SELECT boot_val FROM pg_settings WHERE name = 'search_path')) AS path
"""


_GUARDED = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles v ON v.oid = c.relowner
JOIN pg_database d ON d.datname = current_database() JOIN pg_roles o ON o.oid = d.datdba WHERE c.relkind = 'm' AND v.rolsuper AND NOT o.rolsuper
"""


def refresh_views(source: Server, target: Server) -> None:
    """Fill the materialized views of ``target`` that are filled on ``source``. Raises FleetError "seed_error" with those that cannot be."""
    failed = fill(source.db, target)
    if failed:
        view, first = next(iter(failed.items()))
        raise FleetError(
            "seed_error",
            f"Materialized view {'.'.join(view)} cannot be filled on {target.endpoint}: {first.message}",
            remedy="Make it refresh without settings of a session, or REFRESH … WITH NO DATA on the side that serves; then run again.",
            details={"views": [".".join(name) for name in failed], "cause": first.as_failure()},
        )


def fill(source: Session, target: Server) -> dict[relations.Name, FleetError]:
    """Fill what is filled on ``source``; one that reads another one comes after it. The views that cannot be filled, with the server's reason.

    What a view reads inside of a function is in no catalog, so one that fails is tried again after the others. With the search_path of the
    database, as its owner does it: such functions may rely on it. The server runs it with the rights of the owner; a view of a superuser does not
    get a path that a lesser owner of the database has chosen.
    """
    left = catalog.filled_views(source)
    path = str(target.db.value(_SEARCH_PATH)) if left else ""
    guarded = {(row["nspname"], row["relname"]) for row in target.db.rows(_GUARDED)}
    failed: dict[relations.Name, FleetError] = {}
    while left:
        failed = {}
        for name in left:
            try:
                with target.db.views(), target.db.block():
                    target.db.run("SELECT set_config('search_path', %s, true)", "" if name in guarded else path)
                    target.db.run(f"REFRESH MATERIALIZED VIEW {ident(*name)}")
            except FleetError as error:
                failed[name] = error
        if len(failed) == len(left):
            break
        left = list(failed)
    return failed
