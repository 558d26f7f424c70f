# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PgBouncer from outside: its administration console, and the entries of databases in its configuration file.

The console speaks the simple query protocol only, has no timeouts, and every value in its answers is text
(https://www.pgbouncer.org/usage.html). A database is routed by its entry in section ``[databases]`` and RELOAD
(https://www.pgbouncer.org/config.html); the console itself cannot change it.
"""

from __future__ import annotations

import os
import re
import select
import stat
import tempfile
import typing as t

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..model import Router
from ..server.postgres import load

Address = t.Tuple[str, int]


class Late(FleetError):
    """The console did not answer in time; its connection is closed, so what it waited for has no listener any more."""


class Console:
    """One connection to the console, opened on demand. Every question has a limit on this side."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._raw: t.Any = None

    def __str__(self) -> str:
        return f"PgBouncer at {self._router.host}:{self._router.port}"

    def rows(self, text: str, seconds: float | None = None) -> list[dict[str, str]]:
        """The rows of the answer by column name, NULL as "". Raises `Late` after ``seconds``, FleetError "router_failed" when refused."""
        psycopg = load()
        pgconn = self._open().pgconn
        limit = Deadline(self._router.timeout if seconds is None else seconds)
        found: list[dict[str, str]] = []
        output = ""
        try:
            pgconn.send_query(text.encode())
            while pgconn.flush():
                self._wait(text, pgconn.socket, limit, write=True)
            while True:
                while pgconn.is_busy():
                    self._wait(text, pgconn.socket, limit)
                    pgconn.consume_input()
                answer = pgconn.get_result()
                if answer is None:
                    break
                if answer.status == psycopg.pq.ExecStatus.FATAL_ERROR:
                    output = answer.error_message.decode(errors="replace")
                names = [(answer.fname(column) or b"").decode() for column in range(answer.nfields)]
                found += [
                    {name: (answer.get_value(row, column) or b"").decode() for column, name in enumerate(names)}
                    for row in range(answer.ntuples)
                ]
        except psycopg.Error as error:
            self.close()
            raise self._refused(text, str(error)) from error
        if output:
            raise self._refused(text, output)
        return found

    def run(self, text: str, seconds: float | None = None) -> None:
        self.rows(text, seconds)

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _wait(self, text: str, socket: int, limit: Deadline, *, write: bool = False) -> None:
        ready = select.select([socket], [socket] if write else [], [], limit.remaining())
        if not (ready[0] or ready[1]):
            self.close()
            raise Late(
                "router_failed",
                f"{self} gave no answer to {text} within {limit.seconds:g} s.",
                remedy="Look at its log, then run again; the route follows from the facts.",
                details={"command": text},
            )

    def _refused(self, text: str, output: str) -> FleetError:
        message = " ".join(output.split()) or "no reason given"
        return FleetError(
            "router_failed",
            f"{self} refused {text}: {message}.",
            remedy=f"Correct what it says; user {self._router.user} has to be one of admin_users. Then run again; the route follows from the"
            " facts.",
            details={"command": text, "said": message},
        )

    def _open(self) -> t.Any:
        if self._raw is not None and not self._raw.closed:
            return self._raw
        psycopg = load()
        router = self._router
        words = {
            "host": router.host,
            "port": router.port,
            "user": router.user,
            "dbname": "pgbouncer",
            "passfile": router.passfile,
            "application_name": "bowline",
            "connect_timeout": 5,
        }
        try:
            self._raw = psycopg.connect(autocommit=True, **{key: value for key, value in words.items() if value != ""})
        except psycopg.OperationalError as error:
            raise FleetError(
                "router_failed",
                f"{self} does not let user {router.user} into its console: {' '.join(str(error).split())}.",
                remedy="Check router.host, router.port, router.user and router.passfile (mode 0600), and admin_users of PgBouncer.",
                details={"host": router.host, "port": router.port, "user": router.user},
            ) from error
        return self._raw


def quoted(name: str) -> str:
    """``name`` for the console; unquoted it takes small letters, digits and _ only (pgbouncer issue 537)."""
    return '"' + name.replace('"', '""') + '"'


# --- the configuration file -------------------------------------------------------------------------------------------------------

# As lib/usual/cfparser.c reads it: a comment is a whole line, a name is plain or quoted like an SQL identifier, nothing continues on the
# next line. Values: key=value pairs, in single quotes (doubled inside) when they hold blanks (util.c, cstr_get_pair).
_SECTION = re.compile(r"\s*\[([^\]\n]*)\]")
_ENTRY = re.compile(r'(\s*(?:"(?P<quoted>(?:[^"\n]|"")*)"|(?P<plain>[A-Za-z0-9_.*-]+))[ \t]*=)(?P<value>.*)', re.DOTALL)
_PAIR = re.compile(r"(?P<key>[A-Za-z0-9_]+)(?P<equals>\s*=\s*)(?P<value>'(?:[^']|'')*'|[^\s']*)")
_PLAIN = re.compile(r"[A-Za-z0-9_.:/%-]+")
_INCLUDE = re.compile(r"\s*%include\b")


def entries(text: str) -> dict[str, Address]:
    """Address by database name of section ``[databases]``; of two entries with one name PgBouncer takes the last. Host "" is the socket."""
    return {name: _address(value) for _line, name, _start, value in _walk(text)}


def includes(text: str) -> bool:
    """Whether the file names other ones, which are not followed."""
    return any(_INCLUDE.match(line) for line in text.splitlines())


def rewritten(text: str, wanted: t.Mapping[str, Address]) -> str:
    """``text`` with host and port of the ``wanted`` entries exchanged; every other character stays as it is."""
    lines = text.splitlines(keepends=True)
    for number, name, start, value in _walk(text):
        if name in wanted and _address(value) != wanted[name]:
            lines[number] = lines[number][:start] + _pointed(value, wanted[name])
    return "".join(lines)


def _walk(text: str) -> t.Iterator[tuple[int, str, int, str]]:
    """Line number, name, offset of the value and value (with the end of the line) of each entry."""
    section = ""
    for number, line in enumerate(text.splitlines(keepends=True)):
        head = line.lstrip()
        if head[:1] in ("", "#", ";", "%"):
            continue
        found = _SECTION.match(line)
        if found:
            section = found.group(1)
            continue
        entry = _ENTRY.match(line) if section == "databases" else None
        if entry:
            name = entry.group("plain") or (entry.group("quoted") or "").replace('""', '"')
            yield number, name, entry.start("value"), entry.group("value")


def _address(value: str) -> Address:
    pairs = {pair.group("key"): _unquoted(pair.group("value")) for pair in _PAIR.finditer(value)}
    port = pairs.get("port", "5432")
    return pairs.get("host", ""), int(port) if port.isdigit() else 0


def _pointed(value: str, address: Address) -> str:
    wanted = {"host": address[0], "port": str(address[1])}
    there = {pair.group("key") for pair in _PAIR.finditer(value)}

    def exchange(pair: re.Match[str]) -> str:
        if pair.group("key") not in wanted:
            return pair.group(0)
        return pair.group("key") + pair.group("equals") + _quote(wanted[pair.group("key")])

    changed = _PAIR.sub(exchange, value)
    body = changed.rstrip()
    missing = "".join(f" {key}={_quote(wanted[key])}" for key in ("host", "port") if key not in there)
    return body + missing + changed[len(body) :]


def _unquoted(value: str) -> str:
    return value[1:-1].replace("''", "'") if value.startswith("'") else value


def _quote(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "''") + "'"


def read(path: str) -> str:
    """The configuration file. Raises FleetError "router_failed"."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError as error:
        raise FleetError(
            "router_failed",
            f"router.config {path} cannot be read: {error.strerror}.",
            remedy="Name the configuration file of PgBouncer on the host where this module runs.",
            details={"config": path},
        ) from error


def replace(path: str, text: str) -> None:
    """Put ``text`` in place of the file at once: whoever reads sees the old one or the new one, after a crash, too. Mode and owner stay."""
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    temporary = ""
    try:
        before = os.stat(path)
        handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            now = os.fstat(file.fileno())
            if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = ""
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise FleetError(
            "router_failed",
            f"router.config {path} cannot be replaced: {error.strerror}. It is as it was.",
            remedy="Run as a user that may write the file, its folder and its owner; then run again.",
            details={"config": path},
        ) from error
    finally:
        if temporary:
            os.unlink(temporary)
