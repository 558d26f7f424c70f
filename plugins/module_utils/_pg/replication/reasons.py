# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a follower stands still. The catalogs count errors of its workers and keep none of their texts, so the text is read in the log of the server."""

from __future__ import annotations

import re
import time
import typing as t

from ..._core.errors import FleetError
from ..model import FORWARD, REVERSE
from ..server.postgres import Server

_TAIL = 1024 * 1024
# Messages of src/backend/replication/logical and of the postmaster; the names of workers are not translated.
_ENDED = re.compile(r'"logical replication [^"]*" \(PID (\d+)\)')
_WORDS = re.compile(r"\b(?:ERROR|FATAL|DETAIL|CONTEXT):  (.*)$")
# Values of a row are nobody's business but its owner's; a key is needed to find it.
_VALUES = re.compile(r"(Failing row contains ).*|(, column \S+: ).*|(COPY \S+, line \d+: ).*")


def apply_errors(server: Server, name: str) -> int | None:
    """Errors of the subscription's workers since its statistics began; None before PostgreSQL 15, which does not count them."""
    if server.db.version < 150000:
        return None
    found = server.db.rows(
        "SELECT e.apply_error_count + e.sync_error_count AS errors FROM pg_stat_subscription_stats e JOIN pg_subscription s ON s.oid = e.subid"
        " JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() AND e.subname = %s",
        name,
    )
    return int(found[0]["errors"]) if found else 0


def followed(server: Server) -> str:
    """The subscription by which this side follows the other one."""
    return FORWARD if server.side == "new" else REVERSE


def reason(server: Server, name: str) -> str:
    """The last error of the subscription's workers, in the server's own words, or where to look for it. One sentence."""
    text, place = _log(server)
    found = last_error(text, name)
    if found:
        return f"The {server.side} server says: {found}."
    return f"The reason stands in the log of the {server.side} server ({place})."


def last_error(text: str, name: str) -> str:
    """Pure: the last error that a worker of subscription ``name`` wrote before it ended, in a log whose lines name their process."""
    lines = text.split("\n")
    # Each worker says at its start whose it is.
    starts = [line for line in lines if f'"{name}"' in line and " LOG:  logical replication " in line]
    ours = {pid for pid in set(_ENDED.findall(text)) if any(re.search(rf"\b{pid}\b", line) for line in starts)}
    last = ""
    parts: list[str] = []
    for line in lines:
        words = _WORDS.search(line)
        if not words:
            continue
        pid = next((pid for pid in ours if re.search(rf"\b{pid}\b", line[: words.start()])), "")
        if not pid:
            continue
        if "ERROR:  " in line or "FATAL:  " in line:
            parts = []
        parts.append(_VALUES.sub(lambda cut: next(group for group in cut.groups() if group) + "…", words[1].strip()))
        last = " ".join(part if part.endswith((".", "…")) else f"{part}." for part in parts)
    return last.rstrip(".")[:600]


def _log(server: Server) -> tuple[str, str]:
    """The end of the log, where a superuser may read it through the server, and where the log is."""
    try:
        collected = server.admin.value("SELECT pg_current_logfile('stderr')")
        # A file that standard error was sent to when the server was started (pg_ctl -l). A pipe or a socket has no size, and is not touched.
        path = str(collected or "/proc/self/fd/2")
        size = int(server.admin.value("SELECT size FROM pg_stat_file(%s, true)", path) or 0)
        if not size:
            return "", "its standard error, which it does not keep itself: ask the service manager, for instance journalctl"
        data = server.admin.value("SELECT pg_read_binary_file(%s, %s, %s, true)", path, max(size - _TAIL, 0), _TAIL)
        return bytes(data or b"").decode("utf-8", errors="replace"), str(collected or "the file that its standard error goes to")
    except FleetError as error:
        return "", f"which could not be read through it: {error.message}"


class Watch:
    """Whether the workers that bring rows to ``server`` fail while somebody waits. The first look costs nothing when the wait is short."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._name = followed(server)
        self._before = apply_errors(server, self._name)

    def new_errors(self) -> int:
        """Errors since the start; 0 where they are not counted."""
        return (apply_errors(self._server, self._name) or 0) - (self._before or 0)

    def failure(self, what: str) -> FleetError:
        """``what`` is the sentence that says what was waited for."""
        return FleetError(
            "apply_error",
            f"The {self._server.side} server cannot apply a change, {self.new_errors()} attempts failed. {what} {reason(self._server, self._name)}",
            remedy="Remove the reason on the side that follows (a row that is in the way, a right, a constraint), as a superuser after"
            " SET default_transaction_read_only = off, and SET pgcut.bypass = on for its schema; replication goes on by itself. Then run again.",
            details={"subscription": self._name, "errors": self.new_errors()},
        )


def progress(server: Server) -> dict[t.Any, int]:
    """Rows that the copies under way have brought, by table; empty before PostgreSQL 14."""
    if server.db.version < 140000:
        return {}
    rows = server.db.rows("SELECT relid::bigint AS relid, tuples_processed AS done FROM pg_stat_progress_copy WHERE datname = current_database()")
    return {row["relid"]: int(row["done"]) for row in rows}


class Stalled:
    """Whether workers fail and nothing else goes on: a table may have to wait for another one that its constraint reads."""

    def __init__(self, new: Server, patience: float = 3.0) -> None:
        self._watch = Watch(new)
        self._new = new
        self._patience = patience
        self._pending: t.Any = None
        self._most: dict[t.Any, int] = {}
        self._errors = 0
        self._since = time.monotonic()

    def look(self, pending: t.Any) -> bool:
        """A copy that fails comes to the same row each time, so only more rows than ever are progress."""
        done = progress(self._new)
        further = any(rows > self._most.get(table, -1) for table, rows in done.items())
        if further or pending != self._pending:
            self._since, self._errors = time.monotonic(), self._watch.new_errors()
        self._pending = pending
        self._most = {**self._most, **{table: max(rows, self._most.get(table, 0)) for table, rows in done.items()}}
        return time.monotonic() > self._since + self._patience and self._watch.new_errors() > self._errors + 2
