# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of systemd-nspawn that run, and hands on them past all of our code. Waits of the commands take no time: the clock of a fleet is set ahead."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import yaml
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import INFO
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.info import info
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import process
from ansible_collections.bowline.fleet.plugins.module_utils._node.outside import answers
from ansible_collections.bowline.fleet.plugins.module_utils._node.status import read
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from ansible_collections.bowline.fleet.plugins.module_utils._node.sweep import sweep
from ansible_collections.bowline.fleet.tests.loading import load

HERE = Path(__file__).resolve().parent
fleets = sys.modules.get("fleet") or load(HERE.parent / "node_instance" / "fleet.py", "fleet")
controller = load(HERE.parent / "node_instance" / "controller.py", "bowline_node_controller")
drive = load(HERE.parent / "node_machine" / "drive.py", "bowline_node_drive")


def command(*argv, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=check, timeout=timeout)


class Hosted(fleets.Fleet):
    """A fleet with web-1 as a container on a bridge of its own. ``room`` MiB is all that its host has for machines; 0 is no limit."""

    def __init__(self, folder: Path, image: str, room: int = 0, **defaults) -> None:
        number = os.getpid() % 200 + (40 if room else 0)
        self.bridge, self.address = f"bng{number}", f"10.81.{number}.2"
        self.host_folder = folder / "host"
        self.host_folder.mkdir(parents=True)
        self.room = room
        command("ip", "link", "add", self.bridge, "type", "bridge")
        command("ip", "address", "add", f"10.81.{number}.1/24", "dev", self.bridge)
        command("ip", "link", "set", self.bridge, "up")
        if room:
            command("mount", "-t", "tmpfs", "-o", f"size={room}M", "tmpfs", self.host_folder)
        given = {"launcher": "plain", "network": self.bridge, "address": f"{self.address}/24", "accept_unpublished": "BOWLINE_NODE_IMAGE" in os.environ}
        super().__init__(folder, image=str(image), **given, **defaults)
        self.runner, self.host = drive.runner, "localhost"
        self.node()

    @property
    def reached(self) -> bool:
        return answers([self.address])

    @reached.setter
    def reached(self, _value: bool) -> None:
        """Whoever sets it is a recorder; this one tries."""

    def run(self, state, name="web-1", check=False, **given):
        return super().run(state, name, check, **{"mode": "real", **given})

    def told(self, *gather: str) -> dict:
        """What node_instance_info says of web-1."""
        with self.opened(True) as database:
            given = fleets.typed(INFO, {"name": "web-1", "gather": list(gather) or ["conditions", "recovery"]})
            return info(given, NodeStore(database, self.clock), Beats(database, self.clock))["instances"][0]

    @property
    def place(self) -> Path:
        return self.host_folder / "nspawn" / "web-1"

    def leader(self) -> int | None:
        """The first process of the machine that lives."""
        row = next((row for row in self.rows() if row.terminated_at is None), None)
        return process.container(row.id) if row is not None else None

    def inside(self, *argv: str) -> str:
        """What a program prints that root starts in the machine, as somebody at its console would."""
        return command("nsenter", "--target", self.leader(), "--mount", "--uts", "--ipc", "--net", "--pid", *argv, check=False).stdout.strip()

    def grow(self, room: int) -> None:
        """Make room on the host."""
        command("mount", "-o", f"remount,size={room}M", self.host_folder)

    def link(self, to: str) -> None:
        """The host's end of its network: systemd-nspawn(1), --network-bridge."""
        command("ip", "link", "set", "vb-web-1", to)

    def pull(self) -> None:
        """Somebody kills the machine and removes all of it."""
        leader = self.leader()
        if leader:
            os.kill(leader, signal.SIGKILL)
            controller.until(lambda: self.leader() is None, "its end")
        shutil.rmtree(self.place, ignore_errors=True)

    def remove(self) -> None:
        """By our code, and past it when that fails, which is told."""
        try:
            self.run("absent", force=True, skip_finalizers=["credentials", "drain"])
        except fleets.FleetError as error:
            print(f"web-1 was not removed by its command: [{error.code}] {error.message}")
            self.pull()
        finally:
            if self.room:
                command("umount", "--recursive", self.host_folder, check=False)
            command("ip", "link", "delete", self.bridge, check=False)


class Member(Hosted):
    """One that is a member, reached by SSH with a key of its own."""

    def __init__(self, folder: Path, image: str) -> None:
        self.key = folder / "key"
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        self.key.with_suffix(".pub").chmod(0o600)
        self.authority = folder / "authority"
        super().__init__(folder, image, credentials={"ssh.authorized_keys.root": f"{self.key}.pub"})

    def provision(self) -> None:
        connection = {"user": "root", "private_key_file": str(self.key), "ssh_common_args": f"-o UserKnownHostsFile={self.folder}/first -o "
                      "StrictHostKeyChecking=yes"}  # fmt: skip
        variables = {
            "node_provision_names": ["web-1"], "node_provision_template": "small", "node_provision_node": {"lifecycle_class": "ephemeral"},
            "node_provision_machine": {"mode": "real"}, "node_provision_connection": connection, "node_provision_enrol": True,
            "node_enrol_authority": str(self.authority), "node_provision_store": controller.STORE % {"folder": self.folder},
        }  # fmt: skip
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        self.play("bowline.fleet.provision", {"localhost": local}, "-e", json.dumps(variables))

    def play(self, book: str, hosts: dict, *options: str, fails: bool = False) -> str:
        """What ansible-playbook says."""
        inventory = self.folder / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        done = command(Path(sys.executable).parent / "ansible-playbook", "-i", inventory, book, *options, check=False, timeout=600)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout

    def ssh(self, words: str, known: str = "") -> subprocess.CompletedProcess:
        """Root's shell there; ``known`` is a known_hosts file that has to have its key."""
        trust = ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"] if known else [
            "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"]  # fmt: skip
        argv = ["ssh", "-i", self.key, *trust, "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", f"root@{self.address}", words]
        return command(*argv, check=False)

    def shell(self, words: str) -> str:
        done = self.ssh(words)
        assert done.returncode != 255, done.stderr
        return done.stdout.strip()

    def known_hosts(self) -> Path:
        return next(self.authority.glob("*.known_hosts"))

    def beat(self) -> dict:
        """Let the agent speak; what it says, as node_instance takes it."""
        said = read(self.shell("systemctl start bowline-heartbeat.service; cat /run/bowline/status.json")).heartbeat()
        names = ("boot_id", "sequence", "enrolled", "modules_active", "services_ready", "certificate_not_after")
        return {**{name: getattr(said, name) for name in names}, "failed_units": list(said.failed_units), "runtimes": list(said.runtimes)}

    def swept(self, ahead: float = 0.0) -> dict:
        """One sweep, by the words of the playbook, ``ahead`` seconds later than the last one by the clock of the fleet."""
        self.skew += ahead
        done = self.ssh("head --quiet --bytes=65536 /proc/uptime /run/bowline/status.json")
        status = {"node": "web-1", "reached": done.returncode != 255, "text": done.stdout, "message": done.stderr}
        with self.opened(False) as database:
            given = {"statuses": [status], "receiver": "sweep", "interval": 60.0}
            return sweep(given, NodeStore(database, self.clock), Beats(database, self.clock))["nodes"][0]

    def swept_until(self, health: str) -> list[str]:
        """Sweeps every minute until the machine is in that health; what it was in before, each once."""
        seen: list[str] = []
        for _minute in range(20):
            now = self.swept(60.0)["health"]
            if now == health:
                return seen
            seen += [now] if now not in seen else []
        raise AssertionError(f"never {health}: {seen}")

    def role(self, name: str, entry: str = "main", fails: bool = False) -> str:
        """What ansible-playbook says of a role that is run on the machine."""
        host = {"ansible_host": self.address, "ansible_user": "root", "ansible_ssh_private_key_file": str(self.key), "ansible_python_interpreter":
                "/usr/bin/python3", "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"}  # fmt: skip
        book = self.folder / "role.yml"
        variables = {"node_enrol_authority": str(self.authority), "node_enrol_store": controller.STORE % {"folder": self.folder}}
        tasks = [{"ansible.builtin.include_role": {"name": f"bowline.fleet.{name}", "tasks_from": entry}}]
        book.write_text(json.dumps([{"hosts": "web-1", "gather_facts": False, "vars": variables, "tasks": tasks}]))
        return self.play(str(book), {"web-1": host}, fails=fails)
