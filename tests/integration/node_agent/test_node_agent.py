# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agent, enrolment and sweep on a machine with systemd, sshd and nothing else of ours. The tests build on each other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Instance, Node, Template
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import Held, NodeStore, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]
UNITS = "/etc/systemd/system/bowline-heartbeat.*"
FACTS = "{'agent': node_agent_step, 'enrol': node_enrol_step, 'status': node_enrol_status, 'evidence': node_enrol_evidence}"


def role(name, entry="main"):
    return {"ansible.builtin.include_role": {"name": f"bowline.fleet.{name}", "tasks_from": entry}}


AGENT, AUTHORITY, ENROL = role("node_agent"), role("node_enrol", "authority"), role("node_enrol")


class Fleet:
    """The store that the plays find by themselves, with the node edge-1 and a machine of it; ``swept`` is one sweep.

    The store is closed between two writes: a file of SQLite that another hand of the same process closes has lost its locks.
    """

    def __init__(self, machine):
        self.machine, self.folder = machine, machine.folder / "state" / "bowline"
        self.folder.mkdir(parents=True, mode=0o700)
        with self.store() as store:
            state = StateStore(store.database, Owner("ann", "ann", "host", 7, "m", "b", "n", "ann"))
            subjects = ["template/edge", subject_of("edge-1")]
            numbers = state.open("node", subjects, [], lease_ttl=3600)["lease_numbers"]
            template, self.held = (Held(subject, numbers[subject]) for subject in subjects)
            store.put_template(template, Template("edge"))
            store.put_node(self.held, Node("edge-1", "edge"))
            made = store.reserve(self.held, Instance("i-1", "edge-1", "static", 0, 0.0))
            self.instance = store.save(self.held, replace(made, provider_id="static:edge-1", power="on", powered_at=time.time() - 600))
            self.name = store.fleet()

    @contextlib.contextmanager
    def store(self):
        database = open_for_writing(self.folder / "store.db")
        yield NodeStore(database)
        database.close()

    def swept(self):
        tasks = yaml.safe_load((ROOT / "playbooks" / "sweep.yml").read_text())
        told = {"content": "{{ sweep_done | to_json }}", "dest": str(self.machine.folder / "swept.json")}
        tasks[1]["tasks"].append({"ansible.builtin.copy": told, "changed_when": False})
        (self.machine.folder / "sweep.yml").write_text(yaml.safe_dump(tasks))
        assert self.machine.playbook(str(self.machine.folder / "sweep.yml")) == 0
        return json.loads((self.machine.folder / "swept.json").read_text())["nodes"][0]


@pytest.fixture(scope="module")
def fleet(machine):
    return Fleet(machine)


def test_a_machine_gets_its_agent_and_becomes_a_member(fleet, machine, waited):
    foreseen, _step = machine.play([AGENT], "--check", facts="node_agent_step")
    assert foreseen == 2 and machine.shell(f"ls {UNITS} /usr/libexec/bowline /run/bowline/status.json") == ""
    changed, said = machine.play([AUTHORITY, AGENT, ENROL], "-vvv", facts=FACTS, node_agent_interval=1)
    assert changed > foreseen and said["agent"]["changed"] and said["enrol"]["changed"]
    assert said["enrol"]["evidence"]["scanned"] and said["enrol"]["evidence"]["instance"] == "i-1"
    assert said["status"]["enrolled"] and said["status"]["modules_active"] and said["evidence"] == {"hook": "enrol", "outcome": "released"}
    status = machine.status()
    assert (status["phase"], status["problems"], status["instance"], status["agent"]) == ("ready", [], "i-1", said["agent"]["evidence"]["digest"])
    waited(lambda: machine.status()["seq"] > status["seq"], "the timer")
    assert machine.play([AUTHORITY, AGENT, ENROL], node_agent_interval=1)[0] == 0


def test_what_lies_where(fleet, machine):
    assert machine.shell("stat -c %a:%U:%n /run/bowline /run/bowline/status.json /usr/libexec/bowline/bowline-node.pyz /etc/bowline/node"
                         " /etc/bowline/node/*").split() == [
        "700:root:/run/bowline", "644:root:/run/bowline/status.json", "755:root:/usr/libexec/bowline/bowline-node.pyz", "700:root:/etc/bowline/node",
        "644:root:/etc/bowline/node/ca.pem", "644:root:/etc/bowline/node/cert.pem", "644:root:/etc/bowline/node/identity.json",
        "600:root:/etc/bowline/node/key.pem"]  # fmt: skip
    checked = machine.shell("cd /etc/bowline/node && openssl verify -CAfile ca.pem cert.pem && openssl x509 -in cert.pem -noout -subject -ext subjectAltName"
                            " && openssl x509 -in cert.pem -noout -pubkey | cmp - <(openssl pkey -in key.pem -pubout) && echo same")  # fmt: skip
    assert "cert.pem: OK" in checked and "CN = i-1" in checked and f"URI:spiffe://{fleet.name}/instance/i-1" in checked and "same" in checked
    key = machine.shell("grep -v KEY /etc/bowline/node/key.pem").splitlines()[0]
    kept = [path.read_text(errors="replace") for path in fleet.folder.rglob("*") if path.is_file()]
    assert len(kept) > 2 and not any(key in text for text in [*kept, machine.output]), "the key of the machine is on the machine alone"
    assert "PRIVATE KEY" not in machine.output and "PRIVATE KEY" not in machine.shell("journalctl --no-pager; cat /run/bowline/status.json")
    pin = next(fleet.folder.glob("authority/*.known_hosts")).read_text()
    assert pin.startswith(f"{machine.address},edge-1 ssh-ed25519 ") and pin.endswith(" edge-1 i-1\n")


def test_a_sweep_hears_it_and_what_is_damaged_is_told(fleet, machine):
    swept = fleet.swept()
    assert (swept["outcome"], swept["phase"], swept["health"], swept["ahead"]) == ("heard", "running", "ok", None), swept
    machine.shell("systemctl stop bowline-heartbeat.timer bowline-heartbeat.service; echo '{' > /run/bowline/status.json")
    assert fleet.swept()["outcome"] == "unreadable"
    machine.shell("systemctl start bowline-heartbeat.timer bowline-heartbeat.service")
    assert machine.status()["phase"] == "ready", "a damaged status is replaced"


def test_the_inventory_leads_to_it_and_to_nobody_else(fleet, machine):
    """Over ssh by the key that was pinned, although the operator has switched host keys off; who has another key there is refused."""
    source = machine.folder / "hub.fleet.yml"
    ways = {"ansible_user": "'root'", "ansible_ssh_private_key_file": f"'{machine.folder}/id'", "ansible_python_interpreter": "'/usr/bin/python3'"}
    source.write_text(yaml.safe_dump({"plugin": "bowline.fleet.fleet", "compose": ways}))
    file = next(fleet.folder.glob("authority/*.known_hosts"))
    pins = file.read_text()

    def reach():
        command = [str(Path(sys.executable).parent / "ansible"), "-i", str(source), "nodes:&phase_running:&health_ok", "-m", "ansible.builtin.ping"]
        given = {**os.environ, "XDG_STATE_HOME": str(machine.folder / "state"), "ANSIBLE_HOST_KEY_CHECKING": "false", "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
        done = subprocess.run(command, cwd=machine.folder, env=given, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout + done.stderr

    try:
        key = machine.folder / "other"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
        kind, text = key.with_suffix(".pub").read_text().split()
        names, _kind, _text, *whose = pins.split()
        file.write_text(" ".join([names, kind, text, *whose]) + "\n")
        said = reach()
        assert "edge-1 | UNREACHABLE" in said and "Host key verification failed" in said
    finally:
        file.write_text(pins)
    assert "edge-1 | SUCCESS" in reach()
    assert file.read_text() == pins, "ssh writes nothing there"


def test_what_is_broken_is_said(machine, waited):
    """A service of ours that failed, a full disk below the status, a file system that is read-only, a systemctl that hangs."""
    machine.shell("printf '[Unit]\\nX-Bowline-Stack=hub\\nX-Bowline-Module=web\\n[Service]\\nExecStart=/bin/false\\n[Install]\\nWantedBy=multi-user.target\\n'"
                  " > /etc/systemd/system/hub-web.service; systemctl daemon-reload; systemctl enable --now hub-web")  # fmt: skip
    waited(lambda: machine.status()["modules"].get("web", {}).get("units") == {"hub-web.service": "failed"}, "the failed unit")
    assert machine.status()["failed_units"] == ["hub-web.service"] and "services_ready" in machine.status()["unmet_conditions"]
    machine.shell("systemctl disable --now hub-web; rm /etc/systemd/system/hub-web.service; systemctl daemon-reload; systemctl reset-failed")
    beat = "/usr/libexec/bowline/bowline-node.pyz heartbeat 2>&1; echo rc=$?"
    small = "unshare -m sh -c 'mount -t tmpfs -o {} tmpfs /run/bowline && {}; {}'"
    full = machine.shell(small.format("size=4k", "head -c 4096 /dev/zero > /run/bowline/x", beat))
    assert "No space left on device" in full and "rc=3" in full
    readonly = machine.shell(small.format("ro", "true", beat))
    assert "Read-only file system" in readonly and "rc=3" in readonly
    hang = "unshare -m sh -c 'printf \"#!/bin/sh\\nexec sleep 60\\n\" > /tmp/hang; chmod 755 /tmp/hang; mount --bind /tmp/hang /usr/bin/systemctl && {}'"
    hanging = machine.shell(hang.format(beat))
    assert "systemctl show said nothing for 5 s" in hanging and "rc=1" in hanging
    waited(lambda: machine.status()["phase"] == "ready" and machine.status()["problems"] == [], "a machine that is well again")


def test_who_is_refused(fleet, machine):
    """Keys that were swapped behind our back; then a machine whose end has begun."""
    keys = machine.root / "etc/ssh"
    before = {path.name: path.read_bytes() for path in keys.glob("ssh_host_*")}
    machine.new_host_key()
    machine.play([ENROL], fails=True, node_enrol_scan=False)
    assert "[host_key_changed]" in machine.output
    for name, content in before.items():
        (keys / name).write_bytes(content)
    with fleet.store() as store:
        store.save(fleet.held, replace(fleet.instance, delete_requested_at=time.time(), finalizers=("provider",)))
    machine.play([ENROL], fails=True)
    assert "[finalizers_pending]" in machine.output


def test_nothing_is_left(fleet, machine):
    gone = [role("node_enrol", "absent"), role("node_agent", "absent")]
    assert machine.play(gone, "--check")[0] > 0 and machine.shell(f"ls {UNITS} /etc/bowline/node/key.pem") != ""
    assert machine.play(gone)[0] > 0
    assert machine.shell(f"ls -d {UNITS} /usr/libexec/bowline/bowline-node.pyz /run/bowline/status.json /etc/bowline/node"
                         " /etc/systemd/system/timers.target.wants/bowline*") == ""  # fmt: skip
    assert machine.shell("systemctl list-units --all --no-legend 'bowline*'") == ""
    assert next(fleet.folder.glob("authority/*.known_hosts")).read_text() == ""
    assert machine.play(gone)[0] == 0
    assert "DEPRECATION" not in machine.output
