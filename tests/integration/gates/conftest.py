# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers on loopback: HTTP with and without TLS, and PostgreSQL; each once per session."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

HOSTNAME = "hub.bowline.test"


class App(http.server.BaseHTTPRequestHandler):
    """A ledger with a login, and pages that misbehave in one way each."""

    protocol_version = "HTTP/1.1"
    ledger: dict[str, dict] = {}
    writes: list[str] = []
    down = 0

    def do_GET(self):
        path = self.path
        if path == "/up":
            if App.down:
                App.down -= 1
                return self.answer(503, b"starting")
            return self.answer(200, b'{"status": "ok", "checks": {"db": true, "lag": 0}}', "application/json")
        if path == "/":
            return self.answer(200, b"<title>Hub</title>", "text/html; charset=utf-8")
        if path == "/empty":
            return self.answer(200, b"")
        if path == "/slow":
            time.sleep(0.3)
            return self.answer(200, b"late")
        if path == "/broken":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
            return None
        if path == "/trickle":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b".")
                    time.sleep(0.05)
            except OSError:
                return None
        if path == "/garbage":
            self.wfile.write(b"what is this\r\n\r\n")
            self.close_connection = True
            return None
        if path == "/host":
            return self.answer(200, self.headers["Host"].encode())
        if path == "/me":
            known = "session=abc" in (self.headers["Cookie"] or "") and self.headers["Authorization"] == "Bearer long-lived-token-1"
            return self.answer(200 if known else 401, b"")
        entry = App.ledger.get(path)
        return self.answer(200 if entry else 404, json.dumps(entry).encode(), "application/json")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        App.writes.append(f"POST {self.path}")
        if self.path == "/login":
            if json.loads(body) != {"user": "smoke", "password": "canary-password"}:
                return self.answer(403, b"")
            return self.answer(
                200, b'{"auth": {"token": "long-lived-token-1"}}', "application/json", {"Set-Cookie": "session=abc; HttpOnly"}
            )
        entry = json.loads(body)
        App.ledger[f"/ledger/{entry['key']}"] = entry
        return self.answer(201, json.dumps(entry).encode(), "application/json")

    def do_DELETE(self):
        App.writes.append(f"DELETE {self.path}")
        return self.answer(204 if App.ledger.pop(self.path, None) else 404, b"")

    def answer(self, status, body, kind="text/plain", headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "X-Served-By": "target", **(headers or {})}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if status != 204 else b"")

    def log_message(self, *_arguments):
        pass


class Certificates:
    """One CA and certificates for `HOSTNAME`: a good one and one that ends in a week. Made with openssl."""

    def __init__(self, folder: Path) -> None:
        self.ca, key = folder / "ca.pem", folder / "ca.key"
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", self.ca, "-subj", "/CN=test CA", "-days", "30"
        )
        self.good = self._issue(folder, key, "good", 20)
        self.short = self._issue(folder, key, "short", 7)
        self.foreign = folder / "foreign.pem"
        self._openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            folder / "f.key",
            "-out",
            self.foreign,
            "-subj",
            "/CN=other CA",
            "-days",
            "30",
        )

    def _issue(self, folder: Path, ca_key: Path, name: str, days: int) -> Path:
        key, request, certificate, names = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt", "ext"))
        names.write_text(f"subjectAltName=DNS:{HOSTNAME}", encoding="utf-8")
        self._openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={HOSTNAME}")
        self._openssl(
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            self.ca,
            "-CAkey",
            ca_key,
            "-CAcreateserial",
            "-out",
            certificate,
            "-days",
            str(days),
            "-extfile",
            names,
        )
        bundle = folder / f"{name}.pem"
        bundle.write_bytes(key.read_bytes() + certificate.read_bytes())
        return bundle

    @staticmethod
    def _openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls"))


def _serving(bundle=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    if bundle is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(bundle)
        # The handshake belongs into the handler's thread, or one silent client stops the server.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="session")
def servers(certificates):
    running = {"http": _serving(), "https": _serving(certificates.good), "short": _serving(certificates.short)}
    yield {name: server.server_address[1] for name, server in running.items()}
    for server in running.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def app():
    App.ledger.clear()
    App.writes.clear()
    App.down = 0
    return App


@pytest.fixture(scope="session")
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """Port of a PostgreSQL on loopback with database hub: user hub may write, user fenced is read-only, password in a file."""
    bindir = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    assert bindir is not None, "PostgreSQL is needed: apt install postgresql"
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(subprocess.run([*as_user, "mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    control = [*as_user, str(bindir / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    try:
        subprocess.run([*control, "init", "-s", "-o", "-A trust -U postgres"], check=True, capture_output=True)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        subprocess.run([*control, "start", "-s", "-l", str(folder / "log"), "-o", options], check=True)
        psql = [*as_user, "psql", "-qX", "-h", str(folder), "-p", str(port), "-U", "postgres", "-v", "ON_ERROR_STOP=1"]
        script = (
            "CREATE ROLE hub LOGIN PASSWORD 'canary-database'; CREATE ROLE fenced LOGIN; "
            "ALTER ROLE fenced SET default_transaction_read_only = on; "
        )
        subprocess.run([*psql, "-c", script, "-c", "CREATE DATABASE hub OWNER hub"], check=True)
        with_passwords = "host all hub 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\nlocal all all trust\n"
        subprocess.run(
            [*as_user, "tee", str(folder / "data" / "pg_hba.conf")], input=with_passwords, text=True, check=True, capture_output=True
        )
        subprocess.run([*psql, "-c", "SELECT pg_reload_conf()"], check=True, capture_output=True)
        yield port
    finally:
        subprocess.run([*control, "stop", "-s", "-m", "immediate"], check=False)
        shutil.rmtree(folder, ignore_errors=True)
