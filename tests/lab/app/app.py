# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's application: a ledger behind HTTP. Its interface is docs/application.md and stays stable.

The same file runs in the legacy container and on the target. Configuration by environment:

- ``SIDE``: ``legacy`` or ``target``, sent back in the header X-Served-By of every answer.
- libpq's own variables (``PGHOST``, ``PGPORT``, ``PGDATABASE``, ``PGUSER``, ``PGSSLMODE``, ``PGSSLROOTCERT``).
- ``PASSWORD_FILE``, or the file ``database_password`` in ``$CREDENTIALS_DIRECTORY``.
- ``LISTEN`` (default ``0.0.0.0:3000``), ``POOL_SIZE`` (default 10).
"""
from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import sys
import threading
import time
import typing as t
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

BODY_LIMIT = 64 * 1024
KEY_LIMIT = 200
PAGE_LIMIT = 1000
BIGINT = 2**63
# nginx keeps idle upstream connections for 60 s: closing earlier than the proxy would turn a reused connection into a 502.
IDLE_SECONDS = 120

# How long a request waits for a working session before it is answered with 503.
SESSION_SECONDS = 10
POOL_SIZE = int(os.environ.get("POOL_SIZE", "10"))

Headers = dict[str, str]
Answer = tuple[int, t.Any, Headers]
Session: t.TypeAlias = "psycopg.Connection[t.Any]"
Pool: t.TypeAlias = "ConnectionPool[psycopg.Connection[t.Any]]"


class BadRequest(Exception):
    """The client's mistake; the text is shown to it."""


class Unavailable(Exception):
    """There is no working session; nothing of the request was done."""


class Application:
    """The ledger's verbs. Each returns status, JSON value and additional headers."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @contextmanager
    def session(self) -> t.Iterator[Session]:
        """A session that answered a moment ago; given back, or replaced when it broke or turned out to be read-only."""
        session = self._answering()
        try:
            yield session
        except errors.ReadOnlySqlTransaction:
            # A session takes its default from the catalog when it begins: this one stays read-only for as long as it lives.
            session.close()
            raise
        finally:
            self.pool.putconn(session)

    def _answering(self) -> Session:
        # Every session of the pool can be dead at once (the database was restarted), and one may be long in coming. The pool
        # begins new attempts only when it is asked, so it is asked again and again.
        deadline = time.monotonic() + SESSION_SECONDS
        while time.monotonic() < deadline:
            try:
                session = self.pool.getconn(timeout=1)
            except PoolTimeout:
                continue
            try:
                session.execute("select 1")
                return session
            except psycopg.OperationalError:
                session.close()
                self.pool.putconn(session)
        raise Unavailable(f"no session answered within {SESSION_SECONDS} s")

    def up(self) -> Answer:
        with self.session():
            return 200, {"status": "up"}, {}

    def add(self, body: t.Any) -> Answer:
        key, amount = _entry(body)
        with self.session() as session:
            row = session.execute(
                "insert into ledger (key, amount) values (%s, %s) on conflict (key) do nothing returning id, key, amount",
                (key, amount),
            ).fetchone()
            if row is not None:
                status = 201
            else:
                status = 200
                row = session.execute("select id, key, amount from ledger where key = %s", (key,)).fetchone()
        if row is None:
            return 409, {"error": f"The entry {key} was deleted while it was written; send it again."}, {}
        return status, _shown(row), {}

    def one(self, key: str) -> Answer:
        with self.session() as session:
            row = session.execute("select id, key, amount from ledger where key = %s", (key,)).fetchone()
        return (200, _shown(row), {}) if row else _absent(key)

    def page(self, after: int, limit: int) -> Answer:
        with self.session() as session:
            rows = session.execute(
                "select id, key, amount from ledger where id > %s order by id limit %s", (after, limit)
            ).fetchall()
        return 200, [_shown(row) for row in rows], {}

    def remove(self, key: str) -> Answer:
        with self.session() as session:
            row = session.execute("delete from ledger where key = %s returning id, key, amount", (key,)).fetchone()
        return (200, _shown(row), {}) if row else _absent(key)

    def login(self, body: t.Any) -> Answer:
        user, password = _text(body, "user"), _text(body, "password")
        with self.session() as session:
            row = session.execute("select salt, digest from users where name = %s", (user,)).fetchone()
        salt, digest = (bytes(row[0]), bytes(row[1])) if row else (b"-" * 16, b"")
        if not hmac.compare_digest(hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1000), digest):
            return 401, {"error": "User or password is wrong."}, {}
        return 200, {"user": user}, {}


def _shown(row: t.Any) -> dict[str, t.Any]:
    return {"id": row[0], "key": row[1], "amount": row[2]}


def _absent(key: str) -> Answer:
    return 404, {"error": f"There is no entry {key}."}, {}


def _text(body: t.Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not 1 <= len(value) <= KEY_LIMIT or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
        raise BadRequest(f"{name}: expected a string of 1 to {KEY_LIMIT} characters, without NUL.")
    return value


def _entry(body: t.Any) -> tuple[str, int]:
    key = _text(body, "key")
    amount = body.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int) or not -BIGINT <= amount < BIGINT:
        raise BadRequest("amount: expected an integer of 64 bits.")
    return key, amount


def _number(query: dict[str, list[str]], name: str, default: int, low: int, high: int) -> int:
    text = query.get(name, [str(default)])[-1]
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise BadRequest(f"{name}: expected an integer from {low} to {high}, got {text[:40]!r}.")
    return int(text)


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; one log line for each request."""

    protocol_version = "HTTP/1.1"
    server_version = "hub"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_GET

    def _serve(self) -> None:
        started = time.monotonic()
        with self.server.request():
            try:
                body = self._body()
                status, value, headers = self._dispatch(body)
            except BadRequest as problem:
                status, value, headers = 400, {"error": str(problem)}, {}
            except errors.ReadOnlySqlTransaction:
                status, value, headers = _unavailable("The database is read-only at present.", "refused")
            except Unavailable as problem:
                self.log("unavailable", error=str(problem))
                status, value, headers = _unavailable("The database does not answer.", "refused")
            except psycopg.OperationalError as problem:
                # With an SQLSTATE the server said that the statement failed; without, the session broke before it said anything.
                self.log("unavailable", error=str(problem).strip(), sqlstate=problem.sqlstate)
                outcome = "refused" if problem.sqlstate else "unknown"
                status, value, headers = _unavailable("The database ended the session.", outcome)
            except Exception as problem:  # the client gets an answer whatever happens; the cause is in the log
                self.log("error", error=f"{type(problem).__name__}: {problem}")
                status, value, headers = 500, {"error": "The request failed; the log of the application says why."}, {}
            try:
                self._send(status, value, headers)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
        self.log("request", method=self.command, path=self.path, status=status, ms=round((time.monotonic() - started) * 1000, 1))

    def _dispatch(self, body: bytes) -> Answer:
        url = urlsplit(self.path)
        path, query = url.path, parse_qs(url.query, keep_blank_values=True)
        application = self.server.application
        verbs: dict[str, t.Callable[[], Answer]] = {}
        if path == "/up":
            verbs = {"GET": application.up, "HEAD": application.up}
        elif path == "/login":
            verbs = {"POST": lambda: application.login(_json(body))}
        elif path == "/ledger":
            verbs = {
                "POST": lambda: application.add(_json(body)),
                "GET": lambda: application.page(
                    _number(query, "after", 0, 0, BIGINT - 1), _number(query, "limit", 100, 1, PAGE_LIMIT)
                ),
            }
        elif path.startswith("/ledger/"):
            key = _text({"key": unquote(path[len("/ledger/"):])}, "key")
            verbs = {"GET": lambda: application.one(key), "DELETE": lambda: application.remove(key)}
        if not verbs:
            return 404, {"error": f"There is nothing at {path[:KEY_LIMIT]}."}, {}
        if self.command not in verbs:
            return 405, {"error": f"{path} takes {', '.join(sorted(verbs))}."}, {"Allow": ", ".join(sorted(verbs))}
        return verbs[self.command]()

    def _body(self) -> bytes:
        text = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not text.isdigit() or int(text) > BODY_LIMIT:
            self.close_connection = True
            raise BadRequest(f"The body needs a Content-Length of at most {BODY_LIMIT} bytes.")
        return self.rfile.read(int(text))

    def _send(self, status: int, value: t.Any, headers: Headers) -> None:
        body = json.dumps(value, ensure_ascii=False).encode() + b"\n"
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        if self.server.draining.is_set() or self.close_connection:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Here, so that the answers which http.server makes by itself name their side too."""
        super().send_response(code, message)
        self.send_header("X-Served-By", self.server.side)

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the base class's name
        self.log("note", text=format % args)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Silent: _serve logs each request with its time."""

    def log(self, event: str, **values: t.Any) -> None:
        line = {"time": round(time.time(), 3), "event": event, "side": self.server.side, **values}
        sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")


def _json(body: bytes) -> t.Any:
    try:
        return json.loads(body)
    except ValueError:
        raise BadRequest("The body is not JSON.") from None


def _unavailable(text: str, outcome: str) -> Answer:
    """``outcome`` is refused (nothing was written) or unknown (a write may have happened; the key tells after a retry)."""
    return 503, {"error": text, "outcome": outcome}, {"Retry-After": "1"}


class Server(ThreadingHTTPServer):
    """Counts requests, so that SIGTERM can let them finish."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], application: Application, side: str) -> None:
        self.application = application
        self.side = side
        self.draining = threading.Event()
        self._idle = threading.Condition()
        self._running = 0
        super().__init__(address, Handler)

    def request(self) -> t.ContextManager[None]:
        return _Counted(self)

    def count(self, change: int) -> None:
        with self._idle:
            self._running += change
            self._idle.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until no request runs; false when ``seconds`` were not enough."""
        self.draining.set()
        with self._idle:
            return self._idle.wait_for(lambda: self._running == 0, seconds)

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A connection that broke while idle is no event; everything inside a request is handled there."""


class _Counted:
    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        self._server.count(1)

    def __exit__(self, *_exc: object) -> None:
        self._server.count(-1)


def _password() -> str:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    file = os.environ.get("PASSWORD_FILE") or (f"{directory}/database_password" if directory else "")
    if not file:
        sys.exit("PASSWORD_FILE is not set and there is no $CREDENTIALS_DIRECTORY.")
    return Path(file).read_text(encoding="utf-8").strip()


def _pool() -> Pool:
    # The pool doubles its pause between attempts until reconnect_timeout, then begins anew when it is asked: 1 s keeps the time from
    # "the database is back" to the first answer short.
    return ConnectionPool(
        kwargs={"password": _password(), "application_name": "hub", "connect_timeout": 5, "autocommit": True},
        min_size=2, max_size=POOL_SIZE, reconnect_timeout=1, open=True,
    )


def main() -> None:
    side = os.environ.get("SIDE", "")
    if side not in ("legacy", "target"):
        sys.exit(f"SIDE must be legacy or target, not {side!r}.")
    host, _colon, port = os.environ.get("LISTEN", "0.0.0.0:3000").rpartition(":")
    server = Server((host, int(port)), Application(_pool()), side)
    stopped = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    sys.stderr.write(json.dumps({"event": "started", "side": side, "host": socket.gethostname()}) + "\n")
    stopped.wait()
    server.shutdown()
    finished = server.drain(10)
    sys.stderr.write(json.dumps({"event": "stopped", "side": side, "finished": finished}) + "\n")
    server.application.pool.close()


if __name__ == "__main__":
    main()
