# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two whole sides on loopback: application, edge and nginx with TLS each, and clients that keep their connections."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import pwd
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from pathlib import Path

from ansible_collections.bowline.fleet.tests.waiting import free_port, wait_until

HOST = "hub.example.test"
PROGRAMS = ("haproxy", "nginx", "openssl")


def missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Application:
    """Answers with its side. ``/slow`` answers when `finish` is called; ``/socket`` upgrades; everything is counted."""

    def __init__(self, side: str) -> None:
        self.side = side
        self.port = free_port()
        self.requests: list[tuple[float, str, dict[str, str]]] = []
        self.slow = 0
        self.up = True
        self.headers: dict[str, str] = {}
        self._go = threading.Event()
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                application.requests.append((time.time(), self.path, {key.lower(): value for key, value in self.headers.items()}))
                if self.headers.get("Upgrade") and self.path == "/socket":
                    return self._upgrade()
                if self.path == "/slow":
                    application.slow += 1
                    application._go.wait(30)
                    application.slow -= 1
                self._answer(200 if application.up else 500)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.do_GET()

            def _answer(self, status: int) -> None:
                body = application.side.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Served-By", application.side)
                for name, value in application.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def _upgrade(self) -> None:
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.send_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                self.end_headers()
                with contextlib.suppress(OSError):
                    while self.connection.recv(100):
                        pass
                self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def finish(self) -> None:
        self._go.set()

    def reset(self) -> None:
        self._go.set()
        wait_until("slow requests to end", lambda: self.slow == 0)
        self._go = threading.Event()
        self.up = True
        self.headers = {}
        self.requests.clear()

    def stop(self) -> None:
        self._go.set()
        self._server.shutdown()
        self._server.server_close()


class Process:
    """A program that this test started, ended by its own pid."""

    def __init__(self, argv: list[str], log: Path, user: str | None = None) -> None:
        self.argv = argv
        # None of root's groups stays.
        self.identity: dict = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log, start_new_session=True, **self.identity)

    def stop(self, kill: bool = False) -> None:
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None


_NGINX = """\
{user}worker_processes 1;
daemon off;
error_log {home}/error.log {level};
pid {home}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2;
    fastcgi_temp_path {home}/t3; uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
"""
NGINX = _NGINX + """\
    include {home}/site/*.conf;
}}
"""
SITE = """\
upstream app {{ server 127.0.0.1:{application}; keepalive 8; }}  # the application
server {{
    listen 127.0.0.1:{port} ssl;
    server_name {host};
    ssl_certificate {home}/cert.pem;
    ssl_certificate_key {home}/key.pem;
    location = /proxy {{ return 200 "the proxy itself"; }}
    location / {{
        proxy_pass http://app;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
}}
"""

LAX_NGINX = _NGINX + """\
    # As permissive as nginx can be made: who is this lax has the most to lose by an edge.
    large_client_header_buffers 30 128k;
    client_max_body_size 0;
    proxy_buffer_size 128k; proxy_buffers 8 128k; proxy_busy_buffers_size 256k;
    underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
    proxy_read_timeout {patience}; proxy_next_upstream off;
    proxy_set_header Host $http_host;
{doors}}}
"""
LAX_DOOR = """\
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://{target}; }}
        location /stream/ {{
            proxy_pass http://{target};
            proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        }}
    }}
"""


class Side:
    """One side: ``port`` is nginx's TLS port, ``edge_port`` the edge's listener, ``directory`` the edge's."""

    def __init__(self, name: str, home: Path, authority: Path) -> None:
        self.name = name
        self.home = home
        self.authority = authority
        self.directory = str(home / "edge")
        self.application = Application(name)
        self.port = free_port()
        self.edge_port = free_port()
        self.site = home / "site" / "hub.conf"
        home.mkdir(parents=True)
        self.site.parent.mkdir()
        self.site.write_text(SITE.format(application=self.application.port, port=self.port, host=HOST, home=home))
        (home / "nginx.conf").write_text(NGINX.format(level="notice", home=home, user="user www-data;\n" if os.geteuid() == 0 else ""))
        certificate(home, authority)
        self.nginx_argv = ["nginx", "-c", str(home / "nginx.conf"), "-e", str(home / "error.log"), "-p", str(home)]
        self.nginx = Process(self.nginx_argv, home / "nginx.log")
        self.edge: Process | None = None

    def workers(self) -> list[int]:
        """Pids of nginx's workers; after a reload the old one stays until its last request has ended."""
        assert self.nginx.process is not None
        pid = self.nginx.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def reload(self, change) -> None:
        """Do ``change``, which reloads nginx, and wait until only new workers are left."""
        before = wait_until("nginx", self.workers)
        if any(step["action"] in ("insert", "take_out") for step in change()["plan"]):
            wait_until("the new worker of nginx", lambda: self.workers() and not set(self.workers()) & set(before))

    def reload_nginx(self) -> None:
        """Make nginx take its files, and wait until only new workers are left."""
        before = wait_until("nginx", self.workers)
        subprocess.run([*self.nginx_argv, "-s", "reload"], check=True, capture_output=True)
        wait_until("the new worker of nginx", lambda: self.workers() and not set(self.workers()) & set(before))

    def start_edge(self, argv: list[str], user: str | None = None) -> None:
        self.edge = Process(argv, self.home / "haproxy.log", user)
        self.edge.start()
        wait_until("the edge to listen", lambda: port_open(self.edge_port))

    def kill_edge(self) -> None:
        """SIGKILL to master and workers; workers end on their own when their master is gone, which takes a moment."""
        assert self.edge is not None
        self.edge.stop(kill=True)
        wait_until("the edge to be gone", lambda: not port_open(self.edge_port))

    def stop(self) -> None:
        if self.edge:
            self.edge.stop()
        self.nginx.stop()
        self.application.stop()


def port_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def authority(home: Path, name: str) -> Path:
    """A CA of one test run; returns its directory with ca.pem and ca.key."""
    home.mkdir(parents=True)
    _openssl(
        home,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    )
    return home


def certificate(home: Path, signer: Path) -> None:
    _openssl(
        home,
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "request.pem",
        "-subj",
        f"/CN={HOST}",
    )
    (home / "san").write_text(f"subjectAltName=DNS:{HOST}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n")
    _openssl(
        home,
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-CA",
        str(signer / "ca.pem"),
        "-CAkey",
        str(signer / "ca.key"),
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "san",
        "-out",
        "cert.pem",
    )


def _openssl(home: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=home, check=True, capture_output=True)


class Client:
    """One keep-alive TLS client; `get` returns status, side and headers."""

    def __init__(self, side: Side, timeout: float = 35.0) -> None:
        self._context = ssl.create_default_context(cafile=str(side.authority / "ca.pem"))
        self._port = side.port
        self._timeout = timeout
        self.connections = 0
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, str, dict[str, str]]:
        if self._connection is None:
            self._connection = _Connection(self._port, self._context, self._timeout)
            self.connections += 1
        self._connection.request("GET", path, headers={"Host": HOST, **(headers or {})})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("X-Served-By", ""), {key.lower(): value for key, value in answer.headers.items()}

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


class _Connection(http.client.HTTPSConnection):
    def __init__(self, port: int, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__("127.0.0.1", port, timeout=timeout, context=context)

    def connect(self) -> None:
        raw = socket.create_connection((self.host, self.port), self.timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(raw, server_hostname=HOST)


class Load:
    """``count`` keep-alive clients, each asking as soon as it is answered, until `end`; answers are (sent, ended, status, side)."""

    def __init__(self, sides: list[Side], count: int) -> None:
        self.answers: list[tuple[float, float, int, str]] = []
        self.errors: list[str] = []
        self.clients = [Client(sides[index % len(sides)]) for index in range(count)]
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(client,), daemon=True) for client in self.clients]
        for thread in self._threads:
            thread.start()

    def _ask(self, client: Client) -> None:
        while not self._end.is_set():
            sent = time.time()
            try:
                status, side, _latency = client.get()
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                client.close()
                continue
            self.answers.append((sent, time.time(), status, side))
            self._end.wait(0.01)

    def end(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(40)
        for client in self.clients:
            client.close()


def edge_cli(pyz: Path, directory: str, *words: str) -> tuple[int, dict]:
    """bowline-edge as the router command runs it."""
    completed = subprocess.run(
        ["/usr/bin/python3", str(pyz), "--directory", directory, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert completed.stdout.count("\n") == 1, (completed.stdout, completed.stderr)
    return completed.returncode, json.loads(completed.stdout)
