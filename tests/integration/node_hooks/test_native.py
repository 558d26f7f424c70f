# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hook native by the playbooks on a real machine of systemd-nspawn, which the inventory does not know: units of a stack stop, come back, and are healthy."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._native.render import render_stack
from ansible_collections.bowline.fleet.plugins.module_utils._node.agent.document import Host, document
from ansible_collections.bowline.fleet.tests.loading import load
from engine import until
from playbooks import Site

pytestmark = pytest.mark.slow

MACHINES = Path(__file__).resolve().parents[1] / "node_machine"
FRONT, BACK = "hub-site-front.service", "hub-site-back.service"


def service(name, port, **keys):
    """A web server of Python, which needs nothing."""
    command = ["/usr/bin/python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", "/run"]
    return {"name": name, "start_command": command, "restart_policy": "always", "ports": [port], **keys}


STACK = {"schema_version": 1, "name": "hub-site", "version": "1.0.0", "services": [service("front", 8801, depends_on=["back"]), service("back", 8802)]}


def _run(*argv, check=True, stdin=None):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=check, input=stdin)


class Machine(Site):
    """Boots Debian on a network of its own; nobody but its provider knows its address. Its name is that of its link, so no other test has it."""

    name = f"hook{os.getpid() % 250}"

    def __init__(self, folder: Path, image: str) -> None:
        number = os.getpid() % 250
        self.bridge, self.address = f"bhk{number}", f"10.80.{number}.2"
        self.key, self.known = folder / "key", folder / "known_hosts"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        self.key.with_suffix(".pub").chmod(0o600)
        super().__init__(folder, ["native"], False, {"image": image, "launcher": "plain", "network": self.bridge,
                                                     "credentials": {"ssh.authorized_keys.root": f"{self.key}.pub"}})  # fmt: skip
        self.machine, self.fleet.runner = {"mode": "real"}, load(MACHINES / "drive.py", "bowline_node_drive").runner
        # As provision gives it to each of many; the template does not have it.
        self.own = {"address": f"{self.address}/24"}

    def network(self) -> None:
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        _run("ip", "address", "add", f"{self.address[:-1]}1/24", "dev", self.bridge)
        _run("ip", "link", "set", self.bridge, "up")

    def start(self) -> None:
        self.run("present", wait_for="contacted", provider_options=self.own)
        until(lambda: self.ssh("true").returncode == 0, "the machine to let us in", 90)
        boot = self.ssh("cat /proc/sys/kernel/random/boot_id").stdout.strip()
        well = {"boot_id": boot, "enrolled": True, "modules_active": True, "services_ready": True}
        self.run("running", status=well, provider_options=self.own)
        for unit in render_stack([STACK], "hub"):
            assert self.ssh(f"cat > /etc/systemd/system/{unit.name}", stdin=unit.text).returncode == 0
        assert self.ssh(f"systemctl daemon-reload && systemctl enable --now {FRONT}").returncode == 0 and self.ssh(f"systemctl start {BACK}").returncode == 0
        until(self.healthy, "the stack")

    def stop(self) -> None:
        try:
            self.run("absent", force=True, skip_finalizers=["drain", "hooks", "memberships"])
        finally:
            _run("ip", "link", "delete", self.bridge, check=False)

    def ssh(self, command: str, stdin=None) -> subprocess.CompletedProcess:
        options = ["-i", str(self.key), "-o", f"UserKnownHostsFile={self.known}", "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes",
                   "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"]  # fmt: skip
        return _run("ssh", *options, f"root@{self.address}", command, check=False, stdin=stdin)

    def states(self) -> str:
        return self.ssh(f"systemctl is-active {FRONT} {BACK}; systemctl is-enabled {FRONT} {BACK}").stdout.split()

    def healthy(self) -> bool:
        ask = "import urllib.request as u; [u.urlopen('http://127.0.0.1:%d' % port, timeout=2) for port in (8801, 8802)]"
        return self.ssh(f'python3 -c "{ask}"').returncode == 0

    def drain(self, **variables) -> int:
        known = f"-o UserKnownHostsFile={self.known} -o StrictHostKeyChecking=yes"
        reach = {"connection": "ssh", "user": "root", "private_key_file": str(self.key), "ssh_common_args": known, "python_interpreter": "/usr/bin/python3"}
        return self.play("drain", node_hooks_connection=reach, **variables)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    assert os.geteuid() == 0, "root is needed: a machine of systemd-nspawn is made of files of all users"
    given = os.environ.get("BOWLINE_NODE_IMAGE")
    image = given or load(MACHINES / "conftest.py", "bowline_node_machine_conftest").built("local_nspawn")["image"]
    made = Machine(tmp_path_factory.mktemp("native"), str(image))
    try:
        made.network()
        made.start()
        yield made
    finally:
        made.stop()


def test_a_runtime_that_no_hook_empties_is_refused_before_anything_is_done(machine):
    said = document(Host("b", 100.0, 1e9, "sha256:0", swarm=True, units={}, failed=(), marked={FRONT: {"Module": "site"}}))
    machine.ssh("install -d -m 0700 /run/bowline && cat > /run/bowline/status.json", stdin=json.dumps(said))
    machine.drain(fails="hook_missing")
    assert "It reports swarm, and no hook of the node empties that" in machine.said and machine.states()[:2] == ["active", "active"]
    assert machine.phase() == "running"
    machine.ssh("rm /run/bowline/status.json")


def test_a_stack_stops_in_its_order_and_comes_back_healthy(machine):
    assert machine.states() == ["active", "active", "enabled", "disabled"]
    assert machine.drain() > 0 and machine.phase() == "drained"
    assert machine.states() == ["inactive", "inactive", "disabled", "disabled"], machine.said
    ends = [int(machine.ssh(f"systemctl show -P InactiveEnterTimestampMonotonic {unit}").stdout) for unit in (FRONT, BACK)]
    assert ends[0] <= ends[1], "who needs the other one stops first"
    assert machine.ssh("stat -c %a:%U /var/lib/bowline/hooks /var/lib/bowline/hooks/native.json").stdout.split() == ["700:root", "600:root"]
    assert machine.drain(node_drain_state="running") > 0 and machine.phase() == "running"
    assert machine.states() == ["active", "active", "enabled", "disabled"] and machine.healthy()
    assert machine.ssh("ls -A /var/lib/bowline/hooks").stdout == ""
