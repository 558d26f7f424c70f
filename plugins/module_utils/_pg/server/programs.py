# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_dump and pg_restore: found, given their login without argv, and their table of contents read."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import typing as t
from contextlib import contextmanager
from pathlib import Path

from ..._core import libpq
from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..._core.runner import Completed, Runner
from ..model import Endpoint
from .session_settings import start_options

_DEBIAN = Path("/usr/lib/postgresql")
# Followed by the process id of its owner.
_FOLDER = "bowline-pg-"
_SCHEMA = "bowline pg_cutover schema"
# Entries that belong to one server only, or are made anew by us. Order matters: the longest name first.
_LEFT_OUT = ("PUBLICATION TABLES IN SCHEMA", "PUBLICATION TABLE", "PUBLICATION", "SUBSCRIPTION TABLE", "SUBSCRIPTION")
_ATTACH = "INDEX ATTACH "
_INSTALL = "Install the client programs of that version (apt install postgresql-client-{0}), or name their folder with new.bindir."
_NEWER = "An archive of a newer pg_dump needs a newer pg_restore: name its directory with bindir. If it is damaged, run again, or take another one."
_OURS = re.compile(r"EVENT TRIGGER - pgcut_|TRIGGER .* pgcut_closed ")
# pg_restore commits each statement; the log is written in order, so what its caller notes afterwards, by a commit that waits, puts all of them
# on disk (https://www.postgresql.org/docs/15/wal-async-commit.html). What a server could not do is read from its words; what a text means does
# not hang on settings of the database.
_PROGRAM = ("pgcut.bypass=on", "session_replication_role=replica", "lc_messages=C", "array_nulls=on", "xmloption=content", "transform_null_equals=off",
            "synchronous_commit=off")
_ENTRY = re.compile(r"^(\d+); \d+ \d+ (.*)$")


def find(name: str, bindirs: t.Iterable[str], major: int = 0) -> str:
    """The program in the first of ``bindirs`` that has it, else in the newest of Debian's folders, but none that is newer than ``major`` as long
    as there is another one, else by PATH."""
    folders = [Path(folder) for folder in bindirs if folder]
    newest = sorted((path for path in _DEBIAN.glob("*/bin")), key=lambda path: _number(path.parent.name), reverse=True)
    versions = sorted(newest, key=lambda path: 0 < major < _number(path.parent.name))
    for folder in [*folders, *versions]:
        if (folder / name).is_file():
            return str(folder / name)
    return name


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0


class Programs:
    """Runs PostgreSQL's programs against one server. Passwords go through a passfile of mode 0600, never through argv."""

    def __init__(self, runner: Runner, bindirs: t.Sequence[str], folder: Path, application: str = _SCHEMA, major: int = 0, more: t.Sequence[str] = ()) -> None:
        self._runner = runner
        self._more = more
        self._application = application
        self._bindirs = list(bindirs)
        self._major = major
        self.folder = folder

    def path(self, name: str) -> str:
        return find(name, self._bindirs, self._major)

    def run(
        self, name: str, endpoint: Endpoint, words: t.Sequence[str], *, timeout: float | None = None, application: str = ""
    ) -> Completed:
        argv = [
            self.path(name),
            f"--host={endpoint.host}",
            f"--port={endpoint.port}",
            f"--username={endpoint.user}",
            "--no-password",
            *words,
        ]
        named = {"PGAPPNAME": application[:63]} if application else {}
        return self._runner(argv, env={**self._environment(endpoint), **named}, timeout=timeout)

    def version(self, name: str) -> tuple[int, str]:
        """Major version and full version of one of PostgreSQL's programs. Raises FleetError "tool_missing"."""
        path = self.path(name)
        output = self._runner([path, "--version"]).out
        found = re.search(r"\) ((\d+)\S*)", output)
        if found is None:
            remedy = "Name in bindir the folder of PostgreSQL's programs, or: apt install postgresql-client"
            raise FleetError("tool_missing", f"{path} --version said {output.strip()!r}.", remedy=remedy)
        return int(found[2]), found[1]

    def listing(self, archive: Path, code: str = "seed_error", section: str = "") -> list[str]:
        """The lines of an archive's table of contents, without comments and without what is not moved. Raises FleetError ``code``."""
        only = [f"--section={section}"] if section else []
        done = self._runner([self.path("pg_restore"), "--list", *only, str(archive)])
        if done.rc != 0:
            raise FleetError(code, f"pg_restore could not read {archive.name}: {done.err.strip()[-400:]}.", remedy=_NEWER)
        return [line for line in done.out.split("\n") if _ENTRY.match(line) and not _kind(line).startswith(_LEFT_OUT)]

    def text(self, archive: Path, lines: t.Sequence[str]) -> str:
        """The statements of these entries of ``archive``, which are not run. Raises FleetError "restore_failed"."""
        if not lines:
            return ""
        done = self._runner([self.path("pg_restore"), self.chosen(lines, "text.list"), "--file=-", str(archive)])
        if done.rc != 0:
            raise FleetError("restore_failed", f"pg_restore could not read {archive.name}: {done.err.strip()[-400:]}.", remedy=_NEWER)
        return done.out

    def chosen(self, lines: t.Sequence[str], name: str = "restore.list") -> str:
        """A word for pg_restore with a file of these entries. Names of a database without an encoding may be no text at all."""
        listing = self.folder / name
        listing.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
        return f"--use-list={listing}"

    def _environment(self, endpoint: Endpoint) -> dict[str, str]:
        values = {
            "PGSSLMODE": endpoint.tls,
            # Programs whose libpq is older than 16 do not look at it.
            "PGREQUIREAUTH": libpq.require_auth(endpoint.host, endpoint.sslmode, sys.maxsize),
            "PGSSLROOTCERT": endpoint.sslrootcert,
            "PGPASSFILE": endpoint.passfile,
            "PGCONNECT_TIMEOUT": "10",
            "PGAPPNAME": self._application,
            "PGOPTIONS": start_options(*_PROGRAM, *self._more),
            "LC_ALL": "C.UTF-8",
        }
        if endpoint.password:
            values["PGPASSFILE"] = str(self._passfile(endpoint))
        return {name: value for name, value in values.items() if value}

    def _passfile(self, endpoint: Endpoint) -> Path:
        path = self.folder / f"{endpoint.side}.pgpass"
        if not path.exists():
            escaped = endpoint.password.replace("\\", "\\\\").replace(":", "\\:")
            with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(f"*:*:*:*:{escaped}\n")
        return path


@contextmanager
def programs(runner: Runner, *bindirs: str, major: int = 0, application: str = _SCHEMA, more: t.Sequence[str] = ()) -> t.Iterator[Programs]:
    """`Programs` for a server of ``major``, with a private folder that is gone afterwards; that of a run that was killed goes now, it may hold
    rows or a password. ``more`` are settings of their sessions."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        pid = left.name[len(_FOLDER) :].split("-")[0]
        if left.lstat().st_uid == os.geteuid() and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
        yield Programs(runner, bindirs, Path(folder), application, major, more)


def unfit(runner: Runner, bindirs: t.Sequence[str], legacy: int, new: int) -> list[Finding]:
    """A program that cannot read majors ``legacy``, or writes what ``new`` may not understand: pg_restore 17 sets transaction_timeout, say."""
    found = []
    tools = Programs(runner, bindirs, Path(), major=new)
    for name in ("pg_dump", "pg_restore"):
        try:
            major, version = tools.version(name)
        except FleetError as error:
            found.append(Finding("tool_missing", "fail", name, error.message, error.remedy or _INSTALL.format(new)))
            continue
        if not legacy <= major <= new:
            message = f"{tools.path(name)} is version {version}; for a move from PostgreSQL {legacy} to {new} it has to be {legacy} to {new}."
            found.append(Finding("tool_missing", "fail", name, message, _INSTALL.format(new)))
    return found


def _kind(line: str) -> str:
    found = _ENTRY.match(line)
    return found.group(2) if found else ""


def keys(lines: t.Sequence[str], identity_indexes: t.Collection[str], checks: t.Collection[str] = ()) -> list[str]:
    """The entries that the copy needs: keys, and the indexes that are replica identities (names as in the archive).

    And ``checks``, which pg_dump puts apart where a function of theirs takes the row: behind the copy, they would be run over all rows. And
    foreign keys: behind the copy and other indexes, the query that validates one is planned with what these indexes call. Workers check none.
    """
    chosen = []
    for line in lines:
        kind = _kind(line)
        if kind.startswith(("CONSTRAINT ", "FK CONSTRAINT ")):
            chosen.append(line)
        elif kind.startswith("INDEX ") and not kind.startswith(_ATTACH) and any(f" {name} " in f" {kind} " for name in identity_indexes):
            chosen.append(line)
        elif kind.startswith("CHECK CONSTRAINT ") and any(f" {name} " in f" {kind} " for name in checks):
            chosen.append(line)
    return sorted(chosen, key=lambda line: _kind(line).startswith("FK "))


def without_helper(lines: t.Sequence[str]) -> list[str]:
    """Entries without the keys of our own tables, which are made with them."""
    return [line for line in lines if not _kind(line).startswith("CONSTRAINT pgcut ")]


def evaluated(lines: t.Sequence[str], superusers: t.Collection[str] | None) -> list[str]:
    """Entries behind the rows that call functions with the rights of a superuser: an index is built as the owner of its table.

    ``superusers`` are those owners that are, None where nobody is set as owner.
    """
    built = ("CONSTRAINT ", "INDEX ", "STATISTICS ")
    return [
        line
        for line in lines
        if _kind(line).startswith("CHECK CONSTRAINT ")
        or (_kind(line).startswith(built) and (superusers is None or any(line.endswith(f" {name}") for name in superusers)))
    ]


def without_views(lines: t.Sequence[str]) -> list[str]:
    """Entries without those that fill a materialized view."""
    return [line for line in lines if not _kind(line).startswith("MATERIALIZED VIEW DATA ")]


def without(lines: t.Sequence[str], done: t.Collection[str]) -> list[str]:
    """Entries that are still to be restored; our own triggers are made by us on each side."""
    return [line for line in lines if line not in done and not _OURS.match(_kind(line))]


def passes(lines: t.Sequence[str]) -> t.Iterator[tuple[list[str], bool]]:
    """Entries that may run together, and whether in parallel: indexes, their attaching to those of partitioned tables, everything else.

    Two that attach at once do not see each other, and then the index above them stays invalid for ever (seen with two levels of partitions).
    """
    attached = [line for line in lines if _kind(line).startswith(_ATTACH)]
    indexes = [line for line in lines if _kind(line).startswith("INDEX ") and line not in attached]
    yield indexes, True
    yield attached, False
    yield without(lines, {*indexes, *attached}), True
