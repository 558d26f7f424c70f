# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engine dump: rows are copied by pg_dump and pg_restore inside the window, because legacy cannot publish them (wal_level = replica).

The schema without keys and indexes stands on new before the window (the outline); rows, keys, indexes and constraints come inside it, from a
snapshot that is taken when nobody can write any more. The way back needs only new to publish: its slot is made when the rows are in,
before new opens, and legacy follows by a subscription that copies nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t
from pathlib import Path

from ...._core.errors import FleetError
from ...._core.finding import Finding
from ...._core.runner import Runner
from ...._core.wait import Deadline
from ...model import COPYING, OUTLINE, Options
from ...replication import pair
from ...replication.pair import Direction
from ...server import catalog, large_objects, materialized_views, owner_code, schema, sessions, target_database
from ...server.programs import Programs, programs, without, without_helper, without_views
from ...window.window import Window

# Bytes of the database (indexes included) that dump and restore move per second. Measured on loopback, two cores, fsync on, PostgreSQL 15:
# 164, 789 and 1,603 MB in 3.8, 16 and 36 s with nothing beside it (46 MB/s), in 8.7, 49 and 55 s on a busy machine (20 MB/s).
_RATE, _RATE_BUSY = 35e6, 20e6
# Seconds that a copy takes even when there is nothing to move: 0.6 measured for 16 MB.
_LEAST = 0.5
# What the window needs beside the copy: gates, sequences, snapshots, the commands of the router.
_UNSUPPORTED = 1.0
# Rows as text without indexes are at most about as large as the database; some room has to stay.
_ROOM = 1.2


def copy_seconds(size: int) -> float:
    """What the copy of a database of ``size`` bytes is expected to take inside the window."""
    return _LEAST + size / _RATE


def findings(options: Options, size: int, free: int) -> list[Finding]:
    """What stands against a copy inside the window. ``free`` bytes are where the dump is written, on this host."""
    found = []
    # A window that is given up has held everybody for nothing, so this asks for the room of a busy machine.
    needed = round(_UNSUPPORTED + _LEAST + size / _RATE_BUSY, 1)
    if needed > options.max_window:
        # A copy that is only prepared does not hold anybody; the run that switches has to name the pause that it may take.
        found.append(
            Finding(
                "window_too_long",
                "fail" if options.state in ("preflight", "new") else "warn",
                "max_window",
                f"Engine dump may close the database for {needed:g} s ({size // 1048576} MB); max_window is {options.max_window:g} s.",
                f"Set max_window to at least {needed:g}, or use an engine whose pause does not grow with the data.",
            )
        )
    if free < size * _ROOM:
        found.append(
            Finding(
                "preflight_failed",
                "fail",
                "TMPDIR",
                f"{free // 1048576} MB are free in {tempfile.gettempdir()} on this host; the dump may need {int(size * _ROOM) // 1048576} MB.",
                "Make room, or set TMPDIR for this task to a directory that has it.",
            )
        )
    return found


def free_bytes() -> int:
    """Room where the dump will be written."""
    return shutil.disk_usage(tempfile.gettempdir()).free


class Copy:
    """One copy of the database of the direction's source, which is closed, to its target, which is not open yet."""

    def __init__(self, direction: Direction, options: Options, runner: Runner) -> None:
        self._direction = direction
        self._options = options
        self._runner = runner

    def outline(self) -> None:
        """Everything that can be made before the window. The database on the target is new and fenced; clients notice nothing."""
        source, target = self._direction.source, self._direction.target
        for server in (source, target):
            sessions.end_copies(server)
        schema.prepare(source, target, self._options, everything=True)
        with self._programs() as tools:
            archive, lines = schema.dump(tools, source)
            self._restore(tools, archive, lines, ["--section=pre-data"], None)
        large_objects.carry(source.db, target.db)
        schema.initial_rights(source.db, target.db)
        target_database.stage(target, OUTLINE)

    def ready(self) -> None:
        """Refuse a window whose rows would not fit the outline. Raises FleetError "schema_drift"; keys and indexes are made in the window."""
        drifted = [name for name in catalog.drift(self._direction.source, self._direction.target) if name.startswith(("column ", "sequence "))]
        if drifted:
            # A copy that was given up is cleaned away and made anew by the next run; this one shall be, too.
            target_database.stage(self._direction.target, COPYING)
            raise _drift(drifted)
        for server in (self._direction.source, self._direction.target):
            owner_code.refuse(server.db, self._options.accept_owner_code, everything=True)

    def rows(self, seconds: float) -> None:
        """Bring rows, then keys, indexes, constraints and triggers. Nobody can write on either side. Raises FleetError at ``seconds``."""
        source, target = self._direction.source, self._direction.target
        limit = Deadline(seconds)
        # The slot would keep the log of the whole copy, and decode it; it is made again behind it.
        target_database.stage(target, COPYING)
        pair.drop_slot(target, self._direction.back)
        holder = source.fresh(source.dbname)
        try:
            holder.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            snapshot = str(holder.value("SELECT pg_export_snapshot()"))
            with self._programs() as tools:
                self._move(tools, snapshot, limit)
        finally:
            holder.close()
        materialized_views.refresh_views(source, target)
        schema.analyze(target)
        drifted = catalog.drift(source, target)
        if drifted:
            raise _drift(drifted)

    def _move(self, tools: Programs, snapshot: str, limit: Deadline) -> None:
        jobs = f"--jobs={self._options.seed_jobs or os.cpu_count() or 1}"
        archive = tools.folder / "rows"
        # Uncompressed: the processors are what the copy waits for. Large objects (-B) have been carried, their difference follows with W5;
        # what is unlogged never takes part.
        words = [
            jobs,
            f"--snapshot={snapshot}",
            "--compress=0",
            "--section=data",
            "--section=post-data",
            "-B",
            "--no-unlogged-table-data",
            f"--dbname={self._direction.source.dbname}",
            "--format=directory",
            schema.encoding(self._direction.source.db),
            "--lock-wait-timeout=60s",
            f"--file={archive}",
        ]
        self._ran("pg_dump", tools.run("pg_dump", self._direction.source.endpoint, words, timeout=_some(limit)))
        # Views are filled as after every other switch, not by their entries: a function in one may need the search_path of the database.
        self._restore(tools, archive, without_helper(without_views(tools.listing(archive))), [jobs], limit)

    def _restore(self, tools: Programs, archive: Path, lines: t.Sequence[str], words: t.Sequence[str], limit: Deadline | None) -> None:
        target, timeout = self._direction.target, None if limit is None else _some(limit)
        words = [*words, f"--dbname={target.dbname}", "--exit-on-error", tools.chosen(without(lines, [])), str(archive)]
        self._ran("pg_restore", tools.run("pg_restore", target.endpoint, words, timeout=timeout))

    def _ran(self, name: str, done: t.Any) -> None:
        if done.rc == 124:
            raise FleetError(
                "window_aborted",
                f"{name} was not done within max_window {self._options.max_window:g} s.",
                remedy="Raise max_window, or use an engine whose pause does not grow with the data.",
            )
        if done.rc != 0:
            raise FleetError(
                "seed_error",
                f"{name} of {self._direction.source.dbname} ended with {done.rc}: {done.err.strip()[-600:]}.",
                remedy="Remove the reason and run again; the database on the new side is made anew.",
            )

    def _programs(self) -> t.ContextManager[Programs]:
        bindirs = (self._options.new.bindir, self._options.legacy.bindir)
        return programs(self._runner, *bindirs, major=self._direction.target.admin.version // 10000, application=sessions.COPIES, more=("lc_monetary=C",))


class CopyWindow(Window):
    """A window whose rows are brought inside it; fence, epoch, watchdog, sequences and comparison are those of every window."""

    def bring_by(self, copy: Copy) -> CopyWindow:
        self._copy = copy
        return self

    def _bring(self) -> None:
        self._copy.rows(self._left())
        self._step("copy")

    def _prepare_return(self) -> None:
        """The slot for the way back begins behind the copy. Making it waits for transactions on the whole target server, hence the limit."""
        target = self._direction.target
        target.db.settings({"statement_timeout": str(int(self._left() * 1000) + 1)})
        pair.keep_slot(target, self._direction.back)
        target.db.settings({"statement_timeout": "0"})


def _some(limit: Deadline) -> float:
    """What is left, but never 0, which would mean no limit at all."""
    return max(limit.remaining(), 0.1)


def _drift(names: t.Sequence[str]) -> FleetError:
    return FleetError(
        "schema_drift",
        f"The schemas differ: {', '.join(names[:10])}.",
        remedy="Keep ddl_freeze on, and run again: the database on new is made anew.",
        details={"objects": list(names)},
    )
