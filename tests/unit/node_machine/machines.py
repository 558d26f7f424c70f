# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameters of node_machine as Ansible hands them over, and a run of it over a recorder."""

from __future__ import annotations

from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.recorder import Recorder
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.run import run

IDS = [f"0f0e0d0c-1111-4222-8333-00000000000{number}" for number in range(1, 5)]
QEMU = {"image": "/images/debian.qcow2", "kernel": "/images/vmlinuz", "network": "default"}
NSPAWN = {"image": "/images/debian", "network": "br0", "address": "10.0.0.2/24"}


def params(kind: str = "local_qemu", node: str = "web-1", instance: str = IDS[0], state: str = "running", spec=None, **more):
    given = dict(QEMU if kind == "local_qemu" else NSPAWN) if spec is None else spec
    return {
        "kind": kind, "state": state, "identity": {"fleet": "lab", "instance_id": instance, "node": node}, "spec": given, "mode": "recorder",
        "folder": "/nowhere", "uri": "qemu:///system", "accel": "auto", "launcher": "auto", "wait_timeout": 2, "force": False, **more,
    }  # fmt: skip


class Host:
    """A recorded host in a folder; every run is a new process in what it knows."""

    def __init__(self, folder, kind: str = "local_qemu") -> None:
        self.folder, self.kind = str(folder), kind

    def recorder(self) -> Recorder:
        return Recorder(self.folder, self.kind)

    def run(self, check: bool = False, **given):
        return run(params(self.kind, folder=self.folder, **given), lambda _mode: self.recorder(), {}, check)

    def records(self):
        return self.recorder()._state()["machines"]

    def stranger(self, name: str, identity=None, power: str = "on") -> None:
        recorder = self.recorder()
        state = recorder._state()
        state["machines"].append({"name": name, "identity": identity, "power": power, "declared": {}, "credentials": [], "created_at": 1.0})
        recorder._write(state)


def actions(result) -> list:
    return [step["action"] for step in result["plan"]]
