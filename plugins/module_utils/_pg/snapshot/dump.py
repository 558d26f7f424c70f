# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a snapshot: dump, accounts and manifest from one frozen snapshot of the database, put in place when all of it is durable."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import time
import typing as t
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..._core.errors import FleetError
from ..._core.runner import Runner
from ..model import MAINTENANCE, SnapshotSpec
from ..server import accounts, database, schema
from ..server.postgres import Server
from ..server.programs import Programs, programs
from . import content as snapshot_content, files as snapshot_files
from .files import PARTIAL, Folder, Kept

# A dump has no indexes, so a compressed one is smaller than its database; the rest is room for what is written meanwhile. As text a byte
# of bytea takes two characters.
ROOM, ROOM_AS_TEXT = 1.2, 2.4
# Before PostgreSQL 16 pg_dump knows levels of gzip only, and takes 0 as none.
_ALGORITHMS = 16


class Maker:
    """Takes snapshots of one server's database."""

    def __init__(self, server: Server, order: SnapshotSpec, runner: Runner) -> None:
        self.side = server.side
        self._server = server
        self._order = order
        self._runner = runner
        self._directory = Path(order.directory)
        self._folder = Folder(self._directory)
        self.facts: dict[str, t.Any] = {}

    def judge(self) -> dict[str, t.Any]:
        """Everything that would stop `make`, before anything is written: ``{database_bytes, free_bytes, compress, pg_dump}``.

        Raises FleetError "invalid_value", "account_unsafe", "tool_missing", "disk_space".
        """
        self._folder.judge()
        self._accounts()
        with self._programs() as tools:
            major, version = tools.version("pg_dump")
            if major < self._server.admin.version // 10000:
                raise FleetError(
                    "tool_missing",
                    f"pg_dump {version} is older than {self._server.endpoint}, version {self._server.admin.version // 10000}.",
                    remedy=f"Install the client programs of that version, or name their folder with {self._server.side}.bindir.",
                )
            compress = self._compress(tools, version)
        size = int(self._server.admin.value("SELECT pg_database_size(%s::name)", self._server.dbname))
        room = ROOM_AS_TEXT if compress == "none" else ROOM
        need(self._directory, self._folder.free(), size, room, f"a dump of database {self._server.dbname}")
        self.facts = {"database_bytes": size, "free_bytes": self._folder.free(), "compress": compress, "pg_dump": version}
        return self.facts

    def make(self, snapshot: str = "") -> Kept:
        """Take one, from the exported ``snapshot`` or, without one, from what the database is now. Removes what killed runs left.

        Raises FleetError "locked", "disk_space", "dump_failed"; then nothing is left of this attempt.
        """
        facts = self.facts or self.judge()
        try:
            with self._folder.locked(), _private():
                return self._make(facts, snapshot)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise _no_room(self._directory, str(error)) from error
            raise FleetError("dump_failed", f"{self._directory}: {error}. No snapshot was kept.", remedy="Remove the reason and run again.") from error

    def _make(self, facts: t.Mapping[str, t.Any], snapshot: str) -> Kept:
        for left in self._folder.partials(self._order.subject):
            self._end(left)
        self._folder.sweep(self._order.subject)
        partial = self._folder.begin(self._order.subject, self._order.kind)
        frozen = None if snapshot else snapshot_content.Frozen(self._server)
        try:
            self._write(partial, facts, frozen.name if frozen else snapshot, bool(snapshot))
            return self._folder.place(partial)
        finally:
            if frozen is not None:
                frozen.thaw()
            shutil.rmtree(partial, ignore_errors=True)

    def _write(self, partial: Path, facts: t.Mapping[str, t.Any], snapshot: str, handed: bool) -> None:
        name = partial.name[: -len(PARTIAL)]
        started = time.monotonic()
        taken_at = time.time()
        reading = snapshot_content.Reading(self._server, snapshot)
        try:
            with self._programs() as tools:
                self._dump(tools, partial / f"{name}.dump", facts["compress"], snapshot, _application(name))
                dumped = time.monotonic() - started
            content = reading.content()
        finally:
            reading.stop()
        admin, dbname, known = self._server.admin, self._server.dbname, self._accounts()
        manifest = {
            "format": snapshot_files.FORMAT,
            "name": name,
            "subject": self._order.subject,
            "kind": self._order.kind,
            "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(taken_at)),
            "frozen_at_switch": handed,
            "server": {"host": self._server.endpoint.host, "port": self._server.endpoint.port, "version": admin.version},
            "pg_dump": facts["pg_dump"],
            "compress": facts["compress"],
            "database": {
                **database.describe(admin, dbname),
                "name": dbname,
                "bytes": int(admin.value("SELECT pg_database_size(%s::name)", dbname)),
            },
            "roles": sorted(account["rolname"] for account in known["roles"]),
            "left_out": snapshot_content.left_out(self._server.db),
            "seconds": {"dump": round(dumped, 2), "all": round(time.monotonic() - started, 2)},
            "taken_by": socket.gethostname(),
            **content,
        }
        for ending, content in (("accounts.json", known), ("manifest.json", manifest)):
            text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            snapshot_files.write_private(partial / f"{name}.{ending}", text)
        snapshot_files.write_sums(partial)

    def _dump(self, tools: Programs, path: Path, compress: str, snapshot: str, application: str) -> None:
        # Our helper schema is left out; the event triggers on its function cannot be, a restore passes over them.
        words = [
            f"--dbname={self._server.dbname}",
            "--format=custom",
            f"--snapshot={snapshot}",
            schema.encoding(self._server.db),
            "--exclude-schema=pgcut",
            "--no-publications",
            "--no-subscriptions",
            f"--lock-wait-timeout={snapshot_content.LOCK_WAIT}",
            f"--file={path}",
            *self._level(tools, compress),
        ]
        self._ran("pg_dump", tools, words, application)

    def _accounts(self) -> dict[str, t.Any]:
        """The accounts with their verifiers, as data: text that is SQL would have to be understood again. Raises FleetError "account_unsafe"."""
        session = self._server.fresh(MAINTENANCE)
        session.quiet()
        try:
            # The account of the link is none of the application's.
            known = accounts.accounts(session, self._server.dbname, database.link_connect(session, self._server.dbname))
            known["roles"].append(accounts.first(session))
            accounts.refuse(accounts.judge(known, database.describe(session, self._server.dbname)["settings"], None))
            return known
        finally:
            session.close()

    def _ran(self, name: str, tools: Programs, words: t.Sequence[str], application: str) -> None:
        done = tools.run(name, self._server.endpoint, words, application=application)
        if done.rc == 0:
            return
        output = done.err.strip()[-600:]
        if os.strerror(errno.ENOSPC) in output:
            raise _no_room(self._directory, output)
        raise FleetError(
            "dump_failed",
            f"{name} of database {self._server.dbname} on {self._server.endpoint} ended with {done.rc}: {output}. No snapshot was kept.",
            remedy="Remove the reason and run again.",
        )

    def _compress(self, tools: Programs, version: str) -> str:
        wanted = self._order.compress
        if wanted in ("gzip", "none"):
            return wanted
        # The word is judged before a connection is tried, so a socket folder without a server tells whether this build knows it.
        nowhere = replace(self._server.endpoint, host=str(tools.folder))
        known = "compress" not in tools.run("pg_dump", nowhere, ["--dbname=none", "--format=custom", "--compress=zstd"]).err
        if wanted == "zstd" and not known:
            raise FleetError(
                "invalid_value",
                f"compress: zstd is not known to pg_dump {version}. Nothing was changed.",
                remedy=f"Use compress: auto or gzip, or name a pg_dump of version 16 or newer that has it with {self._server.side}.bindir.",
            )
        return "zstd" if known else "gzip"

    def _level(self, tools: Programs, compress: str) -> list[str]:
        if tools.version("pg_dump")[0] < _ALGORITHMS:
            return ["--compress=0"] if compress == "none" else []
        return [f"--compress={compress}"]

    def _end(self, partial: Path) -> None:
        """A killed run's pg_dump may still write to a file that is removed now; its session has the snapshot's name."""
        self._server.admin.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            _application(partial.name[: -len(PARTIAL)]),
        )

    def _programs(self) -> t.ContextManager[Programs]:
        return programs(self._runner, self._server.endpoint.bindir, major=self._server.admin.version // 10000)


def need(where: Path, free: int, size: int, room: float, what: str) -> None:
    """Raises FleetError "disk_space" unless ``free`` bytes hold ``room`` times ``size``."""
    wanted = round(size * room)
    if free < wanted:
        raise FleetError(
            "disk_space",
            f"{where} has {free} bytes free; {what} may need {wanted} ({size} of the database times {room}). Nothing was changed.",
            remedy="Make room, or name a directory on a larger file system.",
            details={"path": str(where), "free_bytes": free, "needed_bytes": wanted},
        )


def _no_room(where: Path, output: str) -> FleetError:
    return FleetError(
        "disk_space",
        f"{where} ran full while the snapshot was written: {output}. Nothing is left of it.",
        remedy="Make room, or name a directory on a larger file system, and run again.",
        details={"path": str(where)},
    )


def _application(name: str) -> str:
    return f"bowline {name}"


@contextmanager
def _private() -> t.Iterator[None]:
    """Files are their owner's alone from the first byte on, those of the programs that are started, too."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
