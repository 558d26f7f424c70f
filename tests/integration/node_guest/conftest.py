# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets whose machines are domains of libvirt: those of its mock, which needs nobody, and real ones without a system in them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.tests.loading import load

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))
fleets = sys.modules.get("fleet") or load(HERE.parent / "node_instance" / "fleet.py", "fleet")
members = load(HERE / "members.py", "bowline_node_members")


class Host:
    """`host.py` as a process. One that is killed is there again at the next request, without its fault."""

    def __init__(self, uri: str) -> None:
        self.uri, self.fault, self._process = uri, "", None

    def ask(self, name: str, given=None):
        # Not asked whether it lives: a fork of this process, which is killed in its place, would take the child of another one for dead.
        if self._process is None:
            env = {**os.environ, "BOWLINE_FAULT": self.fault}
            self.fault = ""
            self._process = subprocess.Popen(["/usr/bin/python3", str(HERE / "host.py"), self.uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             text=True, env=env)  # fmt: skip
        try:
            self._process.stdin.write(json.dumps({"name": name, "given": given}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.kill()
            self._process.wait(30)
            self._process = None
        return json.loads(line) if line else {"failed": True, "msg": "MODULE FAILURE: it was killed"}

    def armed(self, fault: str) -> None:
        """The next process ends at this point."""
        self.stop()
        self.fault = fault

    def domains(self) -> dict[str, tuple[str, bool]]:
        """Every domain past our code; the mock has one of its own."""
        return {name: tuple(seen) for name, seen in self.ask("domains").items() if name != "test"}

    def stop(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait(60)
            self._process.stdout.close()
            self._process = None


class GuestFleet(fleets.Fleet):
    """A fleet whose host is a `Host`. The disk is empty: nothing in it boots, and its port answers all the same."""

    def __init__(self, folder: Path, host: Host, **defaults) -> None:
        self.libvirt = host
        folder.mkdir(parents=True, exist_ok=True)
        disk = folder / "base.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"], check=True)
        super().__init__(folder, provider="local_qemu", image=str(disk), accept_unpublished=True, memory_mib=128, uri=host.uri, **defaults)
        self.node()

    def run(self, state, name="web-1", check=False, **given):
        return super().run(state, name, check, **{"mode": "real", **given})

    def call(self, name, given):
        spec = fleets.MACHINE if name == "node_machine" else fleets.MACHINE_INFO
        self.asked.append((name, given.get("state", "")))
        return self.libvirt.ask(name, fleets.typed(spec, dict(given)))


@pytest.fixture
def mock(tmp_path):
    host = Host("test:///default")
    yield host
    host.stop()


@pytest.fixture
def make_fleet():
    return GuestFleet


def lab_rig(name):
    """A part of tests/lab/rig under a name of its own: other folders of tests have modules called rig."""
    folder, package = ROOT / "tests" / "lab" / "rig", "bowline_lab_rig"
    if package not in sys.modules:
        spec = importlib.util.spec_from_file_location(package, folder / "__init__.py", submodule_search_locations=[str(folder)])
        sys.modules[package] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[package])
    return importlib.import_module(f"{package}.{name}")


@pytest.fixture
def real():
    """libvirt itself, and a folder that qemu's own user comes to."""
    if os.environ.get("BOWLINE_FAULTS") != "all":
        pytest.skip("make faults runs it: libvirt is no part of what make test installs")
    guests = lab_rig("guests")
    with tempfile.TemporaryDirectory(prefix="guests-", dir=ROOT / "build") as base:
        Path(base).chmod(0o711)
        with guests.hypervisor(Path(base)):
            host = Host(guests.URI)
            try:
                yield host, Path(base)
            finally:
                host.stop()


@pytest.fixture(scope="session")
def image():
    """The image of the tests of machines, which build it; or the root file system that BOWLINE_NODE_IMAGE names."""
    assert os.geteuid() == 0, "root is needed: a machine of systemd-nspawn is made of files of all users"
    given = os.environ.get("BOWLINE_NODE_IMAGE")
    return given or load(HERE.parent / "node_machine" / "conftest.py", "bowline_node_machine_conftest").built("local_nspawn")["image"]


@pytest.fixture(scope="module")
def member(tmp_path_factory, image):
    """A machine of systemd-nspawn that the playbook provision has made a member of its fleet."""
    made = members.Member(tmp_path_factory.mktemp("member"), image)
    try:
        made.provision()
        yield made
    finally:
        made.remove()


@pytest.fixture
def waited():
    return members.controller.until


@pytest.fixture
def hosted(tmp_path, image):
    """A fleet whose machines are containers of this host, in ``host``, which is a file system of its own with ``room`` MiB."""
    made = []

    def make(room: int = 0, **defaults):
        fleet = members.Hosted(tmp_path, image, room, **defaults)
        made.append(fleet)
        return fleet

    yield make
    for fleet in made:
        fleet.remove()
