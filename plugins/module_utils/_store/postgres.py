# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PostgreSQL backend (12 and newer): one schema of a database, one writer at a time. The only file of the store that knows psycopg.

A writer holds a lock on the table ``version`` from the first statement of its transaction to its end, as BEGIN IMMEDIATE does in SQLite: what was
read still holds when it is written, and no transaction has to be tried again. The lock comes before the first snapshot of the transaction
(PostgreSQL documentation, LOCK). It is one on a table, since any account of the database could hold an advisory lock and so stop every run; that
kind is used once, before there is a table. Readers never wait for it.

All settings are those of a transaction, so that a pooler in between may hand each transaction to another session.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import sys
import typing as t

from .._core import libpq
from .._core.errors import FleetError
from .._core.redact import redact
from .database import BUSY_SECONDS, Backend, Row, Transaction
from .dsn import Server
from .sqlite import SqliteCopy

SCHEMA = "bowline"
# Any number serves; only the first runs of all meet here.
_FIRST_RUN = 7_305_802_311
# A controller that lost its power or its network while it wrote would keep the lock until the server's TCP gives up, after hours.
_IDLE_SECONDS = 30.0
_STATEMENT_SECONDS = 60.0
# A server that is silent is given up after so many seconds; tcp_user_timeout is in milliseconds (PostgreSQL documentation, libpq-connect).
_PATIENCE = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000}

# What a type of a migration is here. An index over text in the order of the C library breaks when that library is renewed, and then one lease is two
# (https://wiki.postgresql.org/wiki/Locale_data_changes); and an INTEGER of SQLite has 64 bits.
_TYPES = {"TEXT": 'TEXT COLLATE "C"', "INTEGER": "BIGINT"}
_TYPE = re.compile(r"\b(?:TEXT|INTEGER)\b")
_TOKEN = re.compile(r"'(?:[^']|'')*'|[?%]")

# What there is before the first transaction of ours. `trusted`: tables of anybody else could run his code in our session (triggers, views).
_LOOK = f"""
SELECT current_user AS me, current_database() AS dbname, n.oid IS NOT NULL AS there, pg_get_userbyid(n.nspowner) AS owner,
    pg_has_role(n.nspowner, 'USAGE') OR (SELECT rolsuper FROM pg_roles WHERE oid = n.nspowner) AS trusted,
    has_schema_privilege(n.oid, 'USAGE') AS usable,
    CASE WHEN has_schema_privilege(n.oid, 'USAGE') THEN to_regclass('{SCHEMA}.version') IS NOT NULL ELSE false END AS made
FROM (SELECT) AS always LEFT JOIN pg_namespace n ON n.nspname = '{SCHEMA}'
"""
_SETTINGS = f"""
SET LOCAL search_path = {SCHEMA}, pg_temp;
SET LOCAL standard_conforming_strings = on;
SET LOCAL lock_timeout = '{BUSY_SECONDS:g}s';
SET LOCAL statement_timeout = '{_STATEMENT_SECONDS:g}s';
SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS:g}s';
"""
_WRITER = f"""
LOCK TABLE {SCHEMA}.version IN EXCLUSIVE MODE;
-- A commit that is lost with the power would hand the same number of a lease out twice.
SELECT set_config('synchronous_commit', 'local', true) WHERE current_setting('synchronous_commit') = 'off'
"""


def load() -> t.Any:
    """psycopg 3. Raises FleetError ``tool_missing`` with the package for this interpreter."""
    try:
        import psycopg
        import psycopg.adapt
        import psycopg.conninfo
        import psycopg.rows
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            f"psycopg 3 is not installed for {sys.executable} on {socket.gethostname()}; a store on PostgreSQL needs it.",
            remedy=f"On the controller: {sys.executable} -m pip install 'psycopg[binary]>=3.2', or apt install python3-psycopg for Debian's Python.",
        ) from error
    return psycopg


@functools.lru_cache(maxsize=512)
def translated(statement: str) -> str:
    """``statement`` with the placeholders of psycopg; question marks inside of quotes stay."""
    return _TOKEN.sub(lambda found: "%s" if found[0] == "?" else found[0].replace("%", "%%"), statement)


class _PostgresTransaction:
    def __init__(self, connection: t.Any) -> None:
        self._connection = connection

    def execute(self, statement: str, values: t.Sequence[t.Any] = ()) -> list[Row]:
        cursor = self._connection.execute(translated(statement), tuple(values))
        return list(cursor.fetchall()) if cursor.description else []


class PostgresDatabase(Backend):
    """One open store. Made by `open_for_writing`."""

    def __init__(self, connection: t.Any, name: str) -> None:
        super().__init__(name)
        self._connection = connection
        self._seen = _look(connection, name)

    @contextlib.contextmanager
    def transaction(self) -> t.Iterator[Transaction]:
        with self._block("REPEATABLE READ", _WRITER):
            yield _PostgresTransaction(self._connection)

    def close(self) -> None:
        self._connection.close()

    def version(self) -> int:
        with _typed(self.name, self._seen):
            return int(self._connection.execute(f"SELECT number FROM {SCHEMA}.version").fetchone()["number"])

    def set_version(self, transaction: Transaction, number: int) -> None:
        transaction.execute("UPDATE version SET number = ?", (number,))

    def define(self, transaction: Transaction, statement: str) -> None:
        transaction.execute(_TYPE.sub(lambda found: _TYPES[found[0]], statement))

    def migrate(self) -> None:
        if not self._seen["made"]:
            # Of two that make one schema at the same moment the slower one would fail, IF NOT EXISTS or not.
            with self._block("READ COMMITTED", f"SELECT pg_advisory_xact_lock({_FIRST_RUN})"):
                if not self._connection.execute(_LOOK).fetchone()["made"]:
                    if not self._seen["there"]:
                        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                    self._connection.execute(f"CREATE TABLE {SCHEMA}.version (number BIGINT NOT NULL)")
                    self._connection.execute(f"INSERT INTO {SCHEMA}.version VALUES (0)")
        super().migrate()

    @contextlib.contextmanager
    def _block(self, mode: str, first: str) -> t.Iterator[None]:
        with _typed(self.name, self._seen), _block(self._connection, mode, first):
            yield


class _Snapshot:
    """The store as it is at one moment, read in a transaction that cannot write; ends with `close`."""

    def __init__(self, connection: t.Any, name: str) -> None:
        self._connection, self._name, self._seen = connection, name, _look(connection, name)
        self.version = 0
        self.rooms: t.Mapping[str, int] = {}
        if not self._seen["made"]:
            return
        with _typed(name, self._seen):
            connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_SETTINGS}")
            self.version = int(connection.execute("SELECT number FROM version").fetchone()["number"])
            if connection.execute(f"SELECT to_regclass('{SCHEMA}.room') AS room").fetchone()["room"]:
                self.rooms = {row["name"]: int(row["number"]) for row in connection.execute("SELECT name, number FROM room")}

    def rows(self, table: str) -> tuple[t.Sequence[str], t.Sequence[t.Sequence[t.Any]]]:
        with _typed(self._name, self._seen):
            cursor = self._connection.cursor(row_factory=load().rows.tuple_row).execute(f"SELECT * FROM {table}")
            return [column.name for column in cursor.description], cursor.fetchall()

    def close(self) -> None:
        self._connection.close()


def open_for_writing(server: Server) -> PostgresDatabase:
    """The store on ``server``; its schema and tables are made when they are missing. Raises FleetError ``store_unavailable``, ``tool_missing``."""
    connection, name = _connect(server)
    with _closed_on_failure(connection):
        database = PostgresDatabase(connection, name)
        database.migrate()
    return database


def open_copy(server: Server, as_it_is: bool = False) -> SqliteCopy:
    """A copy of the store in memory, from one read-only snapshot; a right to read is enough. A missing schema is an empty store, unless it is wanted
    ``as_it_is``."""
    connection, name = _connect(server)
    with _closed_on_failure(connection):
        return SqliteCopy(_Snapshot(connection, name), name, as_it_is)


def _connect(server: Server) -> tuple[t.Any, str]:
    """A connection, and how messages call the store: without its password."""
    psycopg = load()
    try:
        words: dict[str, t.Any] = psycopg.conninfo.conninfo_to_dict(server.dsn)
    except (psycopg.Error, UnicodeError):
        # Its message quotes the DSN. The context would be shown as well.
        words = {}
    if not words:
        raise FleetError(
            "store_unavailable",
            "The store's DSN cannot be used: libpq does not understand it. Nothing was done.",
            remedy="Write postgresql://user@host:port/database?passfile=/path.",
        )
    host, mode = str(words.get("host", "")), words.get("sslmode") or os.environ.get("PGSSLMODE")
    if "service" not in words and not os.environ.get("PGSERVICE"):
        words["sslmode"] = libpq.sslmode(host, mode) or None
        words["require_auth"] = words.get("require_auth") or libpq.require_auth(host, mode, psycopg.pq.version()) or None
    words = {**_PATIENCE, **words}
    name = _name(words)
    try:
        connection = psycopg.connect(
            **{key: value for key, value in words.items() if value is not None},
            application_name="bowline store",
            client_encoding="UTF8",
            autocommit=True,
            # The next transaction may be on another session of a pooler.
            prepare_threshold=None,
            row_factory=psycopg.rows.dict_row,
        )
    except psycopg.Error as error:
        said = _said(error)
        raise FleetError("store_unavailable", f"The store {name} could not be reached: {said}. Nothing was done.", remedy=_way_in(said, words)) from error
    connection.adapters.register_loader("numeric", _number_loader(psycopg))
    return connection, name


def _number_loader(psycopg: t.Any) -> t.Any:
    """What a sum or mean is in SQLite: an int, or a float where there is a point; never a Decimal, which is no JSON."""

    class NumberLoader(psycopg.adapt.Loader):  # type: ignore[misc]
        def load(self, data: t.Any) -> t.Union[int, float]:
            text = bytes(data).decode()
            return int(text) if text.lstrip("-").isdecimal() else float(text)

    return NumberLoader


def _name(words: t.Mapping[str, t.Any]) -> str:
    if "service" in words:
        return f"postgresql:///?service={words['service']}"
    user, host, port = (str(words.get(key, "")) for key in ("user", "host", "port"))
    return f"postgresql://{f'{user}@' if user else ''}{host}{f':{port}' if port else ''}/{words.get('dbname', '')}"


def _look(connection: t.Any, name: str) -> Row:
    """What there is. Raises FleetError ``store_unavailable`` for a schema that is not ours to use."""
    with _typed(name, None), _block(connection, "READ COMMITTED READ ONLY", ""):
        seen: Row = connection.execute(_LOOK).fetchone()
    if seen["there"] and not seen["trusted"]:
        raise FleetError(
            "store_unavailable",
            f"Schema {SCHEMA} of {name} belongs to {seen['owner']}, whose code would run in this session. Nothing was changed.",
            remedy=f"If that is the account of this fleet, as a superuser: GRANT {_ident(seen['owner'])} TO {_ident(seen['me'])}; else name another database.",
        )
    if seen["there"] and not seen["usable"]:
        raise _refused(name, seen, f"permission denied for schema {SCHEMA}")
    return seen


@contextlib.contextmanager
def _block(connection: t.Any, mode: str, first: str) -> t.Iterator[None]:
    """One transaction that begins with the statement ``first``, the search_path being ours before it."""
    psycopg = load()
    try:
        connection.execute(f"BEGIN ISOLATION LEVEL {mode}; {_SETTINGS} {first}")
        yield
    except BaseException:
        # A connection that is gone has rolled back already.
        with contextlib.suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
    try:
        connection.execute("COMMIT")
    except psycopg.OperationalError as error:
        if not connection.closed:
            raise
        raise FleetError(
            "store_unavailable",
            f"The connection to the store ended while a transaction was committed: {_said(error)}. It is there as a whole, or not at all.",
            remedy="Run the same command again; it reads what is there.",
        ) from error


@contextlib.contextmanager
def _closed_on_failure(connection: t.Any) -> t.Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def _typed(name: str, seen: t.Optional[Row]) -> t.Iterator[None]:
    psycopg = load()
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise _refused(name, seen, _said(error)) from error
    except psycopg.Error as error:
        # A value that psycopg itself refuses has no state.
        state = error.sqlstate or ("22" if isinstance(error, psycopg.DataError) else "")
        remedy = _REMEDIES.get(state) or _REMEDIES.get(state[:2], _REMEDIES[""])
        raise FleetError(
            "store_unavailable",
            f"The store {name} could not be used: {_said(error)}. Nothing of this transaction was written.",
            remedy=remedy,
            details={"sqlstate": state},
        ) from error


# By SQLSTATE, or its class (PostgreSQL documentation, appendix A); "" is a connection that ended, and all others.
_REMEDIES = {
    "25006": "It is a standby, or closed for writes. Name the primary, with several hosts by target_session_attrs=read-write; or open the database:"
    " SHOW default_transaction_read_only tells.",
    "55P03": "Another session holds the store. Which one: SELECT pid, application_name, client_addr, state, xact_start FROM pg_stat_activity WHERE pid IN"
    f" (SELECT pid FROM pg_locks WHERE relation = '{SCHEMA}.version'::regclass AND mode = 'ExclusiveLock' AND granted); end it with"
    " SELECT pg_terminate_backend(<pid>); then run again.",
    "53": "Make room on the server: disk, memory or connections, as the message says; then run again.",
    "22": "A name, reason or number is none that the database can hold. Take out NUL bytes, and use a database with encoding UTF8.",
    "": "Run the same command again. If it fails again, read the log of the server around this moment.",
}


def _refused(name: str, seen: t.Optional[Row], said: str) -> FleetError:
    """A right is missing; the remedy is what gives it, and all that will be needed."""
    me, dbname, owner = (_ident(str((seen or {}).get(key) or "")) for key in ("me", "dbname", "owner"))
    if not (seen or {}).get("there"):
        grant = f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {me};"
    elif seen is not None and seen["owner"] == seen["me"]:
        grant = f"GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {me};"
    else:
        grant = f"GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {me}; GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {me};"
    return FleetError(
        "store_unavailable",
        f"The store {name} could not be used: {said}. Nothing of this transaction was written.",
        remedy=f"In database {dbname}, as a superuser: {grant}",
        details={"sqlstate": "42501"},
    )


def _way_in(said: str, words: t.Mapping[str, t.Any]) -> str:
    """What to do about a connection that was not made, by libpq's words (src/interfaces/libpq/fe-connect.c) and the server's."""
    if libpq.is_tls(said):
        return "Name the CA of the server: ?sslrootcert=/path/ca.pem in the DSN. In a path that you trust, such as loopback, ?sslmode=disable."
    if "authentication" in said or "password" in said or "pg_hba" in said:
        return "Give the password in a file of libpq, 0600: ?passfile=/path in the DSN; and look into pg_hba.conf of the server."
    if "does not exist" in said:
        return f"As a superuser of that server: CREATE DATABASE {_ident(str(words.get('dbname', '')))} OWNER {_ident(str(words.get('user', '')))};"
    if "too many" in said or "remaining connection slots" in said:
        return "Raise max_connections of the server, or put a pooler before it; then run again."
    return "Check host and port of the DSN, and that the server runs and is reached from the controller."


def _ident(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _said(error: Exception) -> str:
    """The server's sentence without its detail, which quotes values; of a connection, what libpq said."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(redact(" ".join((primary or str(error) or type(error).__name__).split()))).rstrip(".")
