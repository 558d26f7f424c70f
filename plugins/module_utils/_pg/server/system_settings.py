# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a whole server that a move changes with ALTER SYSTEM and gives back: what stands in its postgresql.auto.conf."""

from __future__ import annotations

from .postgres import Server, literal


def written(server: Server, name: str) -> str | None:
    """The value that ALTER SYSTEM has written; None when it has not."""
    found = server.admin.rows(
        "SELECT setting FROM pg_file_settings WHERE name = %s AND sourcefile LIKE '%%postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1", name
    )
    return str(found[0]["setting"]) if found else None


def back(name: str, value: str | None) -> str:
    """What ALTER SYSTEM is told so that `written` is ``value`` again; the file has no line of it where there was none."""
    return f"RESET {name}" if value is None else f"SET {name} = {literal(value)}"


def put_back(server: Server, name: str, value: str | None) -> None:
    """For a setting that is read at the start of a server only: it stays what it is until then."""
    server.admin.run(f"ALTER SYSTEM {back(name, value)}")
