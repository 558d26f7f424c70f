# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Swarm lab, started once for all tests of this folder. BOWLINE_LAB_SWARM names the description of one that runs already."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
VARIABLE = "BOWLINE_LAB_SWARM"
DEBIAN_CLI = "/usr/bin/docker"


class SwarmLab:
    """``description`` is what build/lab-swarm.json says; ``managers`` and ``registry`` are taken from it."""

    def __init__(self, description: dict, folder: Path) -> None:
        self.description = description
        self.managers: list[dict] = description["managers"]
        self.registry: dict = description["registry"]
        # The docker CLI wants the three files of TLS under names of its own, in a folder of its own.
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        for source, name in (("ca_path", "ca.pem"), ("client_cert", "cert.pem"), ("client_key", "key.pem")):
            shutil.copy(self.managers[0][source], self.certificates / name)
        self.configuration = folder / "configuration"
        self.configuration.mkdir()

    path: Path

    def image(self, tag: str, digest: bool = False) -> str:
        """Reference of the application's image by tag, see tests/lab/rig/swarm/images.py, or by the digest it had when the lab came up."""
        found = self.registry["images"][tag]
        return f"{self.registry['repository']}@{found['digest']}" if digest else found["reference"]

    def connection(self, manager: int = 0) -> dict:
        """Options of a module that reach one manager."""
        return {name: self.managers[manager][name] for name in ("docker_host", "ca_path", "client_cert", "client_key")}

    def environment(self, manager: int = 0) -> dict[str, str]:
        """Variables under which the docker CLI speaks to one manager."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")},
            "DOCKER_HOST": self.managers[manager]["docker_host"], "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(self.certificates),
            "DOCKER_CONFIG": str(self.configuration),
        }

    def docker(
        self, *words: str | Path, manager: int = 0, cli: str = "docker", check: bool = True, timeout: float = 120, env: t.Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess:
        """One call of a docker CLI, which ends: TimeoutExpired when it does not in time."""
        done = subprocess.run(
            [cli, *map(str, words)], env={**self.environment(manager), **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout, check=False,
        )
        assert not check or done.returncode == 0, f"{cli} {' '.join(map(str, words))} ended with {done.returncode}: {done.stderr or done.stdout}"
        return done

    def api(self, manager: int = 0, timeout: float = 60) -> t.Any:
        """Low-level client of the docker SDK for one manager; its answers are the engine's own JSON."""
        import docker
        from docker.tls import TLSConfig

        one = self.managers[manager]
        tls = TLSConfig(client_cert=(one["client_cert"], one["client_key"]), ca_cert=one["ca_path"], verify=True)
        client = docker.APIClient(base_url=one["docker_host"], tls=tls, version="1.41", timeout=timeout)
        # Else requests takes REQUESTS_CA_BUNDLE in place of the lab's CA.
        client.trust_env = False
        return client

    def post(self, path: str, body: t.Any = None, manager: int = 0, **query: t.Any) -> tuple[int, dict]:
        """Status and body of one request to the Engine API, whatever the status."""
        client = self.api(manager)
        reply = client._post(client._url(path), json=body, params=query)
        return reply.status_code, reply.json() if reply.content else {}

    def create(self, spec: dict) -> str:
        """A service from its spec; its id."""
        status, body = self.post("/services/create", spec)
        assert status == 201, body
        return body["ID"]

    def update(self, service: str, spec: dict, **query: t.Any) -> None:
        """A service with another spec, under the version that it has now."""
        status, body = self.post(f"/services/{service}/update", spec, version=self.api().inspect_service(service)["Version"]["Index"], **query)
        assert status == 200, body

    def running(self, service: str) -> list[dict]:
        """Tasks of a service that are to run and do."""
        found = self.api().tasks(filters={"service": service, "desired-state": "running"})
        return [task for task in found if task["Status"]["State"] == "running"]

    def get(self, manager: int, port: int, path: str = "/", timeout: float = 3) -> tuple[int, dict]:
        """Status and body of one request to a port of a manager."""
        connection = http.client.HTTPConnection(self.managers[manager]["address"], port, timeout=timeout)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    @staticmethod
    def wait(what: str, condition: t.Callable[[], t.Any], seconds: float = 60) -> t.Any:
        """The first true value of ``condition``; the test fails at the deadline."""
        deadline = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            time.sleep(0.1)

    def remove(self, stack: str) -> None:
        """Take away everything of a stack, the configs of this collection that carry its name included, and wait until it is gone."""
        api = self.api()
        by_label = {"label": [f"com.docker.stack.namespace={stack}"]}
        for service in {one["ID"]: one for one in api.services(filters=by_label) + [one for one in api.services() if one["Spec"]["Name"] == stack]}:
            self._removed(api.remove_service, service)
        self.wait(f"the tasks of {stack} to end", lambda: not self._tasks(api, stack), 90)
        for network in api.networks(filters=by_label):
            self.wait(f"network {network['Name']} to go", lambda one=network: self._removed(api.remove_network, one["Id"]), 60)
        ours = [one for one in api.configs() if one["Spec"]["Name"].startswith("bowline.") and stack in one["Spec"]["Name"].split(".")]
        for config in api.configs(filters=by_label) + ours:
            self._removed(api.remove_config, config["ID"])
        for secret in api.secrets(filters=by_label):
            self._removed(api.remove_secret, secret["ID"])

    @staticmethod
    def _tasks(api: t.Any, stack: str) -> list[dict]:
        """Containers of a stack that an engine still has: tasks go from the list before their containers stop, so ports are asked for by both."""
        # Engine 20.10 keeps the task of a job that has ended when its service is removed.
        return [task for task in api.tasks() if task.get("Spec", {}).get("ContainerSpec", {}).get("Labels", {}).get("com.docker.stack.namespace") == stack
                and task["Status"]["State"] not in ("complete", "failed")]  # fmt: skip

    @staticmethod
    def _removed(remove: t.Callable[[str], t.Any], identity: str) -> bool:
        from docker.errors import APIError, NotFound

        try:
            remove(identity)
        except NotFound:
            return True
        except APIError:
            return False
        return True


@pytest.fixture(scope="session")
def swarm_lab(tmp_path_factory) -> SwarmLab:
    named = os.environ.get(VARIABLE)
    if not named:
        # Seconds when it runs already; what it says of itself goes to the log of the stage.
        subprocess.run([sys.executable, str(ROOT / "tests" / "lab" / "swarm.py"), "up"], check=True, cwd=ROOT)
    path = Path(named) if named else ROOT / "build" / "lab-swarm.json"
    lab = SwarmLab(json.loads(path.read_text(encoding="utf-8")), tmp_path_factory.mktemp("swarm-lab"))
    # For programs that read it themselves.
    lab.path = path
    return lab


@pytest.fixture
def stack(swarm_lab, request) -> t.Iterator[t.Callable[[str], str]]:
    """Names of stacks for one test; each is taken away before and after it."""
    names: list[str] = []

    def named(name: str) -> str:
        swarm_lab.remove(name)
        names.append(name)
        return name

    yield named
    for name in names:
        swarm_lab.remove(name)


def pytest_collection_modifyitems(config, items):
    """The sample leaves out what is marked ``whole``; pytest counts it as deselected."""
    if os.environ.get("BOWLINE_FAULTS") == "all":
        return
    left_out = [item for item in items if item.get_closest_marker("whole") and Path(item.path).is_relative_to(Path(__file__).parent)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
