# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both sides run once per session; every test begins with all traffic on legacy and both edges in front of their applications."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.control import Edge
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.run import run_edge, start_argv
from ansible_collections.bowline.fleet.tests.loading import load as load_file


def load(name: str):
    """A file beside this one, which tests import as ``bowline_traffic_<name>``."""
    return load_file(Path(__file__).parent / f"{name}.py", f"bowline_traffic_{name}")


rig = load("rig")
load("odd")
load("odd_cases")


TOKEN = "the-token-of-this-pair-_0123456789"
# As the unit and the container do it: the whole process is of a user that is not root.
USER = "haproxy" if os.geteuid() == 0 else None


def runner(argv, *, env=None, stdin=None, timeout=None):
    whole = {**os.environ, **(env or {})}
    completed = subprocess.run(list(argv), capture_output=True, text=True, input=stdin, timeout=timeout, check=False, env=whole)
    return Completed(completed.returncode, completed.stdout, completed.stderr)


class World:
    """Both sides, and the module's options for each."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runner = runner
        self.token, self.user, self.runner = TOKEN, USER, runner
        self.pyz = home / "bowline-edge.pyz"
        self.authority = rig.authority(home / "ca", "the right CA")
        self.stranger = rig.authority(home / "stranger", "another CA")
        self.sides = {name: rig.Side(name, home / name, self.authority) for name in ("legacy", "new")}
        self.legacy, self.new = self.sides["legacy"], self.sides["new"]

    def params(self, name: str, **changes):
        side, other = self.sides[name], self.sides["new" if name == "legacy" else "legacy"]
        return {
            "state": "present", "side": name, "directory": side.directory,
            "services": [
                {"name": "app", "listen": f"127.0.0.1:{side.edge_port}", "local": f"127.0.0.1:{side.application.port}", "clients": None, "group": None}
            ],
            "token": TOKEN,
            "peer": {"address": "127.0.0.1", "port": other.port, "hostname": rig.HOST, "ca_file": str(self.authority / "ca.pem")},
            "route": None, "hold": None, "hold_max": 30.0, "warmup": {"timeout": 5.0}, "proxy": None, "check_config": None, "reload": None,
            "user": USER, "group": None, "command": str(self.pyz), "wait": True, "wait_timeout": 10.0, **changes,
        }  # fmt: skip

    def proxy(self, name: str):
        side = self.sides[name]
        return {
            "driver": "nginx", "config": str(side.site),
            "upstreams": [{"name": "app", "service": "app", "via": f"127.0.0.1:{side.edge_port}"}],
            "check": [*side.nginx_argv, "-t"], "reload": [*side.nginx_argv, "-s", "reload"],
            "door": {"port": side.port},
        }  # fmt: skip

    def run(self, name: str, check: bool = False, **changes):
        return run_edge(self.params(name, **changes), runner, check)

    def start(self) -> None:
        for name, side in self.sides.items():
            side.nginx.start()
            self.run(name, route="local" if name == "legacy" else "peer")
            side.start_edge(start_argv(side.directory), USER)
        for name, side in self.sides.items():
            rig.wait_until("nginx", lambda side=side: rig.port_open(side.port))
            side.reload(lambda name=name: self.run(name, proxy=self.proxy(name)))

    def cli(self, name: str, *words: str):
        return rig.edge_cli(self.pyz, self.sides[name].directory, *words)

    def reset(self) -> None:
        for name, side in self.sides.items():
            side.application.reset()
            if side.edge is None or side.edge.process is None:
                self.run(name)
                side.start_edge(start_argv(side.directory), USER)
            side.reload(lambda name=name: self.run(name, proxy=self.proxy(name), hold=0.0))
        # Whoever is told last has the newest epoch, as after a switch to legacy.
        Edge(self.new.directory).route("legacy")
        Edge(self.legacy.directory).route("new")
        # The clock of the other side was ahead in some test.
        Edge(self.legacy.directory).warmup("new")
        Edge(self.legacy.directory).route("legacy")
        for side in self.sides.values():
            side.application.requests.clear()

    def stop(self) -> None:
        for side in self.sides.values():
            side.stop()


@contextlib.contextmanager
def short_folder(tmp_path_factory):
    """Unix sockets have short names, pytest's directories have not."""
    home = Path(tmp_path_factory.mktemp("t")).resolve()
    link = Path("/tmp") / f"bowline-traffic-{home.parent.name}-{home.stat().st_ino}"
    link.mkdir(mode=0o711)
    try:
        yield link
    finally:
        shutil.rmtree(link)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    assert not rig.missing(), f"needed: {rig.missing()}; apt install haproxy nginx-light openssl"
    with short_folder(tmp_path_factory) as home:
        world = World(home / "w")
        try:
            world.start()
            yield world
        finally:
            world.stop()


class Pair:
    """One nginx with two doors: ``alone`` leads to the application, ``edged`` to an edge in front of the same one."""

    def __init__(self, home: Path, application_port: int, patience: str = "60s") -> None:
        self.home = home
        home.mkdir()
        self.alone, self.edged, self.listen = rig.free_port(), rig.free_port(), rig.free_port()
        self.application = f"127.0.0.1:{application_port}"
        doors = [(self.alone, self.application), (self.edged, f"127.0.0.1:{self.listen}")]
        user = "user www-data;\n" if os.geteuid() == 0 else ""
        text = "".join(rig.LAX_DOOR.format(port=port, target=target) for port, target in doors)
        (home / "nginx.conf").write_text(rig.LAX_NGINX.format(level="info", home=home, user=user, patience=patience, doors=text))
        self.directory = str(home / "edge")
        self.nginx = rig.Process(["nginx", "-c", str(home / "nginx.conf"), "-e", str(home / "error.log"), "-p", str(home)], home / "nginx.log")
        self.edge = rig.Process(start_argv(self.directory), home / "haproxy.log", USER)

    def run(self, check: bool = False, **changes):
        params = {
            "state": "present", "side": "legacy", "directory": self.directory, "token": TOKEN,
            "services": [{"name": "app", "listen": f"127.0.0.1:{self.listen}", "local": self.application, "clients": None, "group": None}],
            "peer": {"address": "127.0.0.1", "port": rig.free_port(), "hostname": rig.HOST, "ca_file": None},
            "route": "local", "hold": None, "hold_max": 30.0, "warmup": None, "proxy": None, "check_config": None, "reload": None,
            "user": USER, "group": None, "command": str(self.home / "bowline-edge.pyz"), "wait": True, "wait_timeout": 10.0, **changes,
        }  # fmt: skip
        return run_edge(params, runner, check)

    def cli(self, *words: str):
        return rig.edge_cli(self.home / "bowline-edge.pyz", self.directory, *words)

    def sessions(self) -> int:
        """Requests that the edge has in its hands, held ones included: idle connections have no stream (management guide, 9.3, show sess)."""
        return sum(1 for line in Edge(self.directory).haproxy._talk("admin.sock", "show sess").splitlines() if " fe=app " in line)

    @contextlib.contextmanager
    def started(self):
        self.run()
        try:
            self.edge.start()
            self.nginx.start()
            for port in (self.alone, self.edged, self.listen):
                rig.wait_until("a listener", lambda port=port: rig.port_open(port))
            yield self
        finally:
            self.nginx.stop()
            self.edge.stop()


@pytest.fixture(scope="session")
def make_pair():
    return Pair


@pytest.fixture(scope="session")
def short_home(tmp_path_factory):
    with short_folder(tmp_path_factory) as home:
        yield home


@pytest.fixture
def world(running):
    running.reset()
    return running


@pytest.fixture
def traffic_rig():
    return rig
