# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only client of PostgreSQL: sessions over psycopg 3 (3.1 and newer), quoting, and server errors as `FleetError`."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import typing as t
from contextlib import contextmanager
from dataclasses import replace

from ..._core import libpq
from ..._core.errors import FleetError
from ..model import MAINTENANCE, Endpoint
from .session_settings import CONTROL, QUIET, RESTRICT, start_options

Row = t.Dict[str, t.Any]

# What pg_authid holds of a password (PostgreSQL documentation, pg_authid), and the string that a syntax error would quote.
_VERIFIER = re.compile(r"SCRAM-SHA-256\S*|md5[0-9a-f]{32}")

# What helps where a statement was refused, by SQLSTATE or its class (PostgreSQL documentation, appendix A); the last one is for all others.
_REMEDIES = {
    "53100": "Make room on the file system of the {side} server, and run again.",
    "53200": "Raise max_locks_per_transaction on the {side} server and restart it, or give it memory; then run again.",
    "53400": "Raise the setting that the message names on the {side} server (max_replication_slots, max_wal_senders) and restart it, or give back what"
    " nobody needs (SELECT pg_drop_replication_slot(<slot>);), and run again.",
    "55P03": "Find who holds the lock (pg_blocking_pids, pg_stat_activity in database {dbname} of {side}), wait for it or end it, and run again.",
    "55006": "End what still uses it (pg_stat_activity, pg_replication_slots and pg_subscription on {side}), and run again.",
    "58": "Read the log of the {side} server: its file system or a library failed. Remove the reason and run again.",
    "": "Read the log of the {side} server around this statement, remove the reason there, and run again: the facts decide what is left to do."
    " While legacy serves, state: absent of pg_cutover gives a move up.",
}


def load() -> t.Any:
    """psycopg 3. Raises FleetError "tool_missing" with the package for this interpreter."""
    try:
        import psycopg
        import psycopg.rows
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            f"psycopg 3 is not installed for {sys.executable} on {socket.gethostname()}.",
            remedy="On the host of this task: apt install python3-psycopg",
        ) from error
    return psycopg


def ident(*names: str) -> str:
    """``names`` as a quoted, dotted identifier."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(value: str) -> str:
    """``value`` as a string constant; every control session has standard_conforming_strings on."""
    if "\x00" in value:
        raise FleetError("invalid_value", "A text for PostgreSQL holds a NUL byte.", remedy="Take the NUL byte out of names and values.")
    return "'" + value.replace("'", "''") + "'"


def block(body: str) -> str:
    """DO with ``body``, between tags that are made of it, so that nothing in it can end it early."""
    tag = f"$bowline_{hashlib.sha256(body.encode()).hexdigest()[:12]}$"
    return f"DO {tag} {body} {tag}"


# Where COPY was, without the value (CopyFromErrorCallback in src/backend/commands/copyfrom.c).
_COPIED = re.compile(r"COPY .*?, line (\d+)(?:, column ([^:]+))?")


class Session:
    """One connection in autocommit. Parameters are bound by the server; several statements in one text are one transaction.

    Its search_path is empty, so names of the catalogs need no schema and cannot be taken over by objects of a user.
    """

    def __init__(self, endpoint: Endpoint, dbname: str, connection: t.Any) -> None:
        self.endpoint = endpoint
        self.dbname = dbname
        self.raw = connection
        self.version = int(connection.info.server_version)
        self.pid = int(connection.info.backend_pid)
        # Whether the server refuses views and foreign tables of users in this session.
        self.restricts = False
        self._quiet = False

    @contextmanager
    def views(self) -> t.Iterator[None]:
        """Let views be read meanwhile: only around what the server runs as the owner of the object (REFRESH, ANALYZE), or what was accepted."""
        self.settings({RESTRICT: ""})
        try:
            yield
        finally:
            if not self.closed:
                self.settings({RESTRICT: CONTROL[RESTRICT]})

    @contextmanager
    def block(self) -> t.Iterator[None]:
        """One transaction; a part of the one that is open already, if there is one."""
        psycopg = load()
        try:
            with self.raw.transaction():
                yield
        except psycopg.Error as error:
            raise self._failure(error, "COMMIT") from error

    def rows(self, text: str, *params: t.Any) -> list[Row]:
        """All rows as dicts; an empty list for a statement without a result."""
        psycopg = load()
        try:
            cursor = self.raw.execute(text, params or None)
            while cursor.nextset():
                pass
            return list(cursor.fetchall()) if cursor.description else []
        except psycopg.Error as error:
            failure = self._failure(error, text)
            if not self._quiet:
                raise failure from error
        # Outside of its handler, because the error that libpq has made quotes the statement, and a traceback would show it.
        raise failure

    def run(self, text: str, *params: t.Any) -> None:
        self.rows(text, *params)

    def value(self, text: str, *params: t.Any) -> t.Any:
        """The first column of the only row. Raises FleetError "sql_error" when there is not exactly one row."""
        found = self.rows(text, *params)
        if len(found) != 1:
            details = {"statement": " ".join(text.split()[:2]) if self._quiet else text[:200]}
            raise FleetError("sql_error", f"{self.endpoint} answered {len(found)} rows where one was expected.",
                             remedy=_REMEDIES[""].format(side=self.endpoint.side, dbname=self.dbname), details=details)
        return next(iter(found[0].values()))

    def lines(self, text: str) -> t.Iterator[bytes]:
        """The rows of ``COPY … TO STDOUT`` one by one: in its text format no row has a line feed of its own."""
        psycopg = load()
        try:
            with self.raw.cursor().copy(text) as source:
                for block in source:
                    yield from bytes(block).rstrip(b"\n").split(b"\n")
        except psycopg.Error as error:
            raise self._failure(error, text) from error

    def copy(self, text: str, target: Session, before: t.Callable[[], None], into: str) -> None:
        """Send the rows of ``COPY … TO STDOUT`` to ``COPY … FROM STDIN`` of ``target``, after ``before`` in one transaction there. The details of a
        failure over a row have its ``line``, and the ``column`` where one is known."""
        psycopg = load()
        side, sent = target, into
        try:
            with target.raw.transaction():
                before()
                with target.raw.cursor().copy(into) as sink:
                    side, sent = self, text
                    with self.raw.cursor().copy(text) as source:
                        for block in source:
                            sink.write(block)
                    side, sent = target, into
        except psycopg.Error as error:
            failure = side._failure(error, sent)
            where = _COPIED.match(error.diag.context or "")
            if where:
                failure.details.update(line=int(where[1]), column=where[2] or "")
            raise failure from error

    def quiet(self) -> None:
        """From here on no statement of this session reaches the server's log, statistics or a failure: verifiers pass through it."""
        self.settings(QUIET)
        self._quiet = True

    def settings(self, values: t.Mapping[str, str]) -> None:
        self.run(
            "SELECT pg_catalog.set_config(n.name, n.value, false) FROM ROWS FROM"
            " (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])) n(name, value)"
            " WHERE pg_catalog.strpos(n.name, '.') > 0 OR EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE s.name = n.name)",
            list(values),
            list(values.values()),
        )

    def cut(self) -> None:
        """For another thread: end the connection below a statement that waits for an answer, which then fails as connection_lost.

        A network that swallows packets lets it wait for tcp_user_timeout, a proxy that has lost its server without end.
        """
        try:
            with socket.socket(fileno=os.dup(self.raw.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (OSError, load().Error):
            pass

    @property
    def closed(self) -> bool:
        return bool(self.raw.closed)

    def close(self) -> None:
        self.raw.close()

    def _failure(self, error: t.Any, text: str) -> FleetError:
        state = error.sqlstate or ""
        message = str(error).strip().split("\n", 1)[0]
        statement = " ".join(text.split())[:160]
        if self._quiet:
            message, statement = _VERIFIER.sub("********", message), " ".join(text.split()[:2])
        details = {"sqlstate": state, "side": self.endpoint.side, "statement": statement}
        if state == "42501":
            return FleetError(
                "privileges",
                f"{self.endpoint}: {message}.",
                remedy=f"Name a superuser in {self.endpoint.side}.user, or make this one such: ALTER ROLE {ident(self.endpoint.user)} SUPERUSER;",
                details=details,
            )
        if self.raw.closed or state[:2] in ("08", "57"):
            if state not in ("57014",):
                return FleetError(
                    "connection_lost",
                    f"{self.endpoint} closed the connection: {message}.",
                    remedy="Run again; the facts decide.",
                    details=details,
                )
        known = _REMEDIES.get(state) or _REMEDIES.get(state[:2]) or _REMEDIES[""]
        return FleetError(
            "sql_error",
            f"{self.endpoint} refused a statement: {message} (SQLSTATE {state or 'none'}).",
            remedy=known.format(side=self.endpoint.side, dbname=self.dbname),
            details=details,
        )


class Server:
    """One side. Sessions are opened on demand and closed together."""

    def __init__(self, endpoint: Endpoint, purpose: str) -> None:
        self.endpoint = endpoint
        self.side = endpoint.side
        self.dbname = endpoint.dbname
        self.application = f"bowline {purpose}"[:60]
        self._kept: dict[str, Session] = {}
        self._open: list[Session] = []

    @property
    def admin(self) -> Session:
        """The session in the maintenance database; it holds the run lock and turns the fence."""
        return self._keep(MAINTENANCE)

    @property
    def db(self) -> Session:
        """The session in the database itself."""
        return self._keep(self.dbname)

    def fresh(self, dbname: str, timeout: float = 5) -> Session:
        """A new session of its own; the caller may close it."""
        session = connect(self.endpoint, dbname, f"{self.application} {socket.gethostname()}:{os.getpid()}", timeout)
        self._open.append(session)
        return session

    @property
    def alive(self) -> bool:
        """No session that is in use has ended. Asks nobody and opens nothing."""
        return not any(session.closed for session in self._kept.values())

    def in_database(self, dbname: str) -> Server:
        """Another database of the same server, with sessions of its own."""
        return Server(replace(self.endpoint, dbname=dbname), self.application.removeprefix("bowline "))

    def forget(self) -> None:
        """Close every session in the database, for instance before it is dropped."""
        kept = self._kept.pop(self.dbname, None)
        if kept is not None:
            kept.close()

    def cut(self) -> None:
        """`Session.cut` of every session."""
        for session in list(self._open):
            session.cut()

    def close(self) -> None:
        for session in self._open:
            session.close()
        self._open, self._kept = [], {}

    def _keep(self, dbname: str) -> Session:
        if dbname not in self._kept:
            self._kept[dbname] = self.fresh(dbname)
        return self._kept[dbname]


@contextmanager
def snapshot_slot(endpoint: Endpoint, name: str) -> t.Iterator[str]:
    """Make a logical slot; the snapshot at which it begins, for SET TRANSACTION SNAPSHOT, stands until the end of the block.

    The connection speaks the replication protocol, in which nothing but simple queries exist, and closes with the block; the slot stays.
    """
    psycopg = load()
    connection = _connection(endpoint, endpoint.dbname, "bowline slot", 5, replication="database")
    try:
        # In this form every version from 10 on takes it.
        row = connection.execute(f"CREATE_REPLICATION_SLOT {ident(name)} LOGICAL pgoutput EXPORT_SNAPSHOT").fetchone()
        yield str(row["snapshot_name"])
    except psycopg.Error as error:
        raise Session(endpoint, endpoint.dbname, connection)._failure(error, "CREATE_REPLICATION_SLOT") from error
    finally:
        connection.close()


def _connection(endpoint: Endpoint, dbname: str, application: str, timeout: float, **more: str) -> t.Any:
    psycopg = load()
    words = {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": endpoint.user,
        "dbname": dbname,
        "password": endpoint.password,
        "passfile": endpoint.passfile,
        "sslmode": endpoint.tls,
        "sslrootcert": endpoint.sslrootcert,
        "require_auth": libpq.require_auth(endpoint.host, endpoint.sslmode, psycopg.pq.version()),
        "application_name": application[:63],
        "connect_timeout": max(2, int(timeout)),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 8000,
        "client_encoding": "UTF8",
        "options": start_options(),
        **more,
    }
    try:
        return psycopg.connect(
            autocommit=True,
            row_factory=psycopg.rows.dict_row,
            prepare_threshold=None,
            **{key: value for key, value in words.items() if value not in ("", None)},
        )
    except psycopg.OperationalError as error:
        raise connection_failure(endpoint, dbname, str(error)) from error


def connect(endpoint: Endpoint, dbname: str, application: str, timeout: float = 5) -> Session:
    """A session that neither fence, freeze nor server-side timeouts stop. Raises FleetError "unreachable", "tls" or "auth"."""
    session = Session(endpoint, dbname, _connection(endpoint, dbname, application, timeout))
    connection = session.raw
    # pg_settings does not list a GUC that only a newer version has, so one text serves all versions.
    session.settings({**CONTROL, "pgcut.bypass": "on"})
    if connection.info.parameter_status("is_superuser") == "on":
        # Event triggers of the application would fire for the cutover's own DDL, on one side only, and write rows there.
        session.settings({"session_replication_role": "replica"})
    # What a control session commits is not what guarantee: sync promises, and waiting for the other side it could not help a dead pair.
    session.restricts = bool(
        session.rows(
            "SELECT coalesce(current_setting(%s, true), '') <> '' AS restricts, CASE WHEN strpos(current_setting("
            "'synchronous_standby_names'), 'pgcut_') > 0 THEN set_config('synchronous_commit', 'local', false) END",
            RESTRICT,
        )[0]["restricts"]
    )
    return session


def connection_failure(endpoint: Endpoint, dbname: str, sent: str) -> FleetError:
    """What a refused connection means; libpq gives no SQLSTATE for it, only its text."""
    message = " ".join(sent.split()).rstrip(".")
    details = {"side": endpoint.side, "host": endpoint.host, "port": endpoint.port, "said": message}
    if "requested a cleartext password" in sent:
        return FleetError(
            "auth",
            f"{endpoint} asks for the password in clear, and its certificate is not verified (sslmode {endpoint.tls}), so it got none: {message}.",
            remedy=f"Leave {endpoint.side}.sslmode out (verify-full) and name its CA with {endpoint.side}.sslrootcert.",
            details=details,
        )
    if any(word in sent for word in ("authentication", "no password supplied", "pg_hba.conf", 'role "')):
        return FleetError(
            "auth",
            f"{endpoint} refused user {endpoint.user} for database {dbname}: {message}.",
            remedy=f"Check {endpoint.side}.user, its password, that passfile is readable and has mode 0600, and pg_hba.conf of the server.",
            details=details,
        )
    if "does not support SSL" in sent:
        return FleetError("tls", f"{endpoint} speaks no TLS, so it was sent nothing.", remedy=libpq.remedy(endpoint.side, sent), details=details)
    if libpq.is_tls(sent):
        return FleetError(
            "tls",
            f"{endpoint} could not prove who it is (sslmode {endpoint.tls}), so it was sent nothing: {message}.",
            remedy=f"Name the CA of its certificate with {endpoint.side}.sslrootcert, and the name that is in it with {endpoint.side}.host."
            f" In a path that you trust, such as loopback, say {endpoint.side}.sslmode: disable.",
            details=details,
        )
    # src/backend/storage/lmgr/proc.c and src/backend/utils/init/postinit.c, errcode 53300
    full = "too many clients" in sent or "connection slots are reserved" in sent
    remedy = libpq.remedy(endpoint.side, sent)
    return FleetError(
        "unreachable",
        f"{endpoint} could not be reached for database {dbname}: {message}.",
        remedy=f"Raise max_connections on the {endpoint.side} server and restart it, or end sessions that are not needed; then run again." if full else remedy,
        details=details,
    )
