# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine of systemd-nspawn that is reached by SSH: its agent is killed and speaks again, nobody gets in and its power is cycled, its store is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import SENSORS
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.sensors import sensors
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from ansible_collections.bowline.fleet.tests.loading import load
from asking import events, read, unequal
from controller import STORE
from fleet import Fleet, typed

pytestmark = pytest.mark.slow

BRIDGE = f"bowr{os.getpid() % 100000}"
NETWORK = f"10.214.{os.getpid() % 250}"
# systemd-nspawn names links of the host after its machines; others on this host have machines as well.
NAME = f"rem{os.getpid() % 100000}"


class Home(Fleet):
    """A fleet whose one machine runs, on a bridge of its own."""

    def __init__(self, folder: Path, image: str) -> None:
        self.key = folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        self.key.with_suffix(".pub").chmod(0o600)
        super().__init__(folder, image=image, launcher="plain", network=BRIDGE, credentials={"ssh.authorized_keys.root": f"{self.key}.pub"})
        self.runner = load(Path(__file__).resolve().parents[1] / "node_machine" / "drive.py", "bowline_node_drive").runner
        self.host, self.address = "localhost", f"{NETWORK}.10"
        self.node(NAME)

    def play(self, book: str, *options: str, **variables) -> str:
        ssh = f"-o UserKnownHostsFile={self.folder}/known -o StrictHostKeyChecking=accept-new -o ConnectTimeout=3"
        web = {"ansible_host": self.address, "ansible_user": "root", "ansible_ssh_private_key_file": str(self.key), "ansible_ssh_common_args": ssh,
               "ansible_python_interpreter": "/usr/bin/python3"}  # fmt: skip
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"hosts": {"localhost": here}, "children": {"nodes": {"hosts": {NAME: web}}}}}
        (self.folder / "hosts.json").write_text(json.dumps(inventory))
        argv = [Path(sys.executable).parent / "ansible-playbook", "-i", self.folder / "hosts.json", book, "-e", json.dumps(variables), *options]
        # A connection that stays open lets somebody in who would not be let in any more.
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"), "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
        done = subprocess.run(list(map(str, argv)), env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join(done.stdout.split())

    def swept(self, remediate=False, *options: str) -> str:
        return self.play("bowline.fleet.sweep", *options, sweep_store=STORE % {"folder": self.folder}, sweep_remediate=remediate, node_remediate_timeout=60)

    def shell(self, command: str) -> str:
        options = ["-o", f"UserKnownHostsFile={self.folder}/known", "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes"]
        return run("ssh", "-i", self.key, *options, f"root@{self.address}", command).stdout.strip()

    def ages(self, seconds: float) -> None:
        """As if all that the store knows of the machine were older; somebody has listened all the while."""
        with self.opened(False) as database, database.transaction() as transaction:
            for table, columns in {"node_heartbeat": ("received_at",), "node_instance": ("contacted_at", "powered_at", "phase_since"),
                                   "node_action": ("asked_at", "attempted_at"), "node_receiver": ("started",)}.items():  # fmt: skip
                for column in columns:
                    transaction.execute(f"UPDATE {table} SET {column} = {column} - ?", (seconds + 3600 * (column == "started"),))

    def signals(self) -> list[str]:
        with self.opened(True) as database:
            return [one["kind"] for one in sensors(typed(SENSORS, {"sensors": ["instance.silent", "instance.lost"]}), NodeStore(database))["signals"]]


def run(*argv, check=True):
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=60, check=check)


@pytest.fixture(scope="module")
def home(tmp_path_factory, image):
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    made = None
    try:
        run("ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        made = Home(tmp_path_factory.mktemp("remediate"), str(image))
        made.run("present", name=NAME, mode="real", provider_options={"address": f"{NETWORK}.10/24"})
        deadline = time.monotonic() + 60
        while run("ssh-keyscan", "-T", "2", made.address, check=False).stdout == "":
            assert time.monotonic() < deadline, "waited for its SSH"
        (made.folder / "agent.json").write_text(json.dumps([{"hosts": "nodes", "gather_facts": False, "tasks": [
            {"ansible.builtin.include_role": {"name": "bowline.fleet.node_agent"}, "vars": {"node_agent_interval": 1}}]}]))  # fmt: skip
        made.play(str(made.folder / "agent.json"))
        # Without openssl in the image nobody enrols; the machine is told who it is.
        (instance,) = made.rows()
        identity = json.dumps({"instance": instance.id, "node": NAME, "fleet": "x"})
        made.shell(f"mkdir -p /etc/bowline/node && echo '{identity}' > /etc/bowline/node/identity.json")
        made.shell("systemctl start bowline-heartbeat.service")
        yield made
    finally:
        if made is not None:
            made.run("absent", name=NAME, mode="real", force=True)
        run("ip", "link", "delete", BRIDGE, check=False)


def test_an_agent_that_was_killed_speaks_again(home):
    home.shell("systemctl stop bowline-heartbeat.timer bowline-heartbeat.service; systemctl mask --runtime bowline-heartbeat.timer")
    home.swept()
    home.ages(400)
    home.swept()
    assert home.signals() == ["instance.silent"], "its last document is no new word"
    assert "restart_units would be: done" in home.swept(True, "--check") and events(home, NAME) == [], "neither check mode nor a plain sweep does anything"
    said = home.swept(True)
    assert f"{NAME}: restart_units done" in said, said
    assert home.signals() == [] and events(home, NAME) == ["asked", "begun", "complete"]
    assert home.shell("systemctl is-active bowline-heartbeat.timer") == "active"


def test_nobody_gets_in_so_its_power_is_cycled(home):
    (before,) = (row.powered_at for row in home.rows())
    home.shell("systemctl stop bowline-heartbeat.timer")
    home.swept()
    home.shell("systemctl stop ssh.socket ssh.service")
    home.ages(700)
    said = home.swept(True)
    assert f"{NAME}: power_cycle done" in said, said
    assert home.rows()[0].powered_at > before and events(home, NAME)[-3:] == ["asked", "begun", "complete"]
    deadline = time.monotonic() + 60
    while "unreached" in home.swept():
        assert time.monotonic() < deadline, "waited for its word"
    assert home.signals() == []


def test_its_store_is_lost_and_made_again(home):
    """By the playbook, from the host and over SSH: the row is as it was, its last word is there, and it runs on."""
    home.swept()
    before = read(home)
    with home.opened(True) as database:
        said = Beats(database).last(home.rows()[0].id)
    shutil.rmtree(home.path.parent)
    defaults = before["template", "small"]["defaults"]
    nodes = [{"name": NAME, "template": "small", "lifecycle_class": "ephemeral"}]
    given = {"import_templates": [{"name": "small", "defaults": defaults}], "import_nodes": nodes, "import_store": STORE % {"folder": home.folder}}
    home.play("bowline.fleet.state_import", "--check", **given)
    assert not home.path.exists()
    home.play("bowline.fleet.state_import", **given)
    assert unequal(before, read(home)) == {}
    with home.opened(True) as database:
        heard = Beats(database).last(home.rows()[0].id)
    assert (heard.boot_id, heard.document["agent"]) == (said.boot_id, said.document["agent"]) and heard.sequence > said.sequence
    assert home.run("present", name=NAME, mode="real", provider_options={"address": f"{home.address}/24"})["plan"] == []
