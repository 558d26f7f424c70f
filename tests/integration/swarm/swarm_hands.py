# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules of nodes and clusters as tests call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_copy, open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.argspec import CONNECTION, LOCK
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.cluster.argspec import CLUSTER, CLUSTER_INFO
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.cluster.run import info, run
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.node.argspec import NODE
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.node.run import run as run_node
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.store import ClusterStore

DEFAULTS = {name: option.get("default") for name, option in {**CONNECTION, **LOCK, **NODE}.items()}
MODULE = "ansible_collections.bowline.fleet.plugins.modules.swarm_node"


class Nodes:
    """The nodes of the lab through the module, each call in a process of its own as Ansible would start it."""

    def __init__(self, lab, folder):
        self.lab, self.folder, self.api = lab, folder, lab.api()

    def connection(self):
        return {**self.lab.connection(), "docker_host": [one["docker_host"] for one in self.lab.managers]}

    def start(self, fault="", module=MODULE, **params):
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"{time.monotonic_ns()}.json"
        path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**self.connection(), **params}}), encoding="utf-8")
        return subprocess.Popen([sys.executable, "-m", module, str(path)], env={**os.environ, "BOWLINE_FAULT": fault}, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)  # fmt: skip

    def run(self, name, **params):
        """The result, from this very process: on a slow machine the start of a Python takes longer than the work."""
        given = {**self.connection(), **params, "node": name}
        try:
            return run_node({**DEFAULTS, **given}, lambda: Engine.connect({**DEFAULTS, **given}), params.pop("check_mode", False))
        except FleetError as error:
            return {"failed": True, "failure": error.as_failure()}

    def killed(self, name, point, **params):
        """A run in a process of its own ends at ``point``, as by kill -9."""
        process = self.start(point, node=name, **params)
        _out, err = process.communicate(timeout=180)
        assert process.returncode == -signal.SIGKILL, err

    def done(self, name, **params):
        outcome = self.run(name, **params)
        assert isinstance(outcome, dict) and not outcome.get("failed"), outcome
        return outcome

    def refused(self, code, name, **params):
        outcome = self.run(name, **params)
        assert outcome.get("failed") and outcome["failure"]["code"] == code, outcome
        return outcome["failure"]

    def all(self):
        return {node["Description"]["Hostname"]: node for node in self.api.nodes()}

    def holder(self, service):
        """Name of the node that runs the one task of ``service``."""
        names = {node["ID"]: name for name, node in self.all().items()}
        running = [task for task in self.api.tasks(filters={"service": service, "desired-state": "running"}) if task["Status"]["State"] == "running"]
        return names[running[0]["NodeID"]] if len(running) == 1 else None

    def records(self):
        return [config["Spec"]["Name"] for config in self.api.configs() if config["Spec"]["Name"].startswith(("bowline.drain.", "bowline.lock."))]

    def rest(self):
        """All active again, as the next test needs it."""
        for name, node in self.all().items():
            if node["Spec"]["Availability"] != "active" or node["Spec"]["Labels"]:
                self.run(name, state="active", labels=dict.fromkeys(node["Spec"]["Labels"]), lock_ttl=5)


class Registered:
    """One store, asked as the action plugins do."""

    def __init__(self, lab, path):
        self.path, self.now = path, 0.0
        self.hosts = [one["docker_host"] for one in lab.managers]
        self.connection = {**lab.connection(), "docker_host": self.hosts}

    def run(self, check=False, **params):
        database = open_copy(self.path) if check else open_for_writing(self.path)
        try:
            given = {**{name: option.get("default") for name, option in CLUSTER.items()}, "name": "shop", **params}
            return run(given, ClusterStore(database), check, *([lambda: self.now] if self.now else []))
        finally:
            database.close()

    def info(self, **params):
        def find(name):
            database = open_copy(self.path)
            try:
                return ClusterStore(database).get(name)
            finally:
                database.close()

        return info({**{name: option.get("default") for name, option in CLUSTER_INFO.items()}, **params}, find)

    def refused(self, code, **params):
        with pytest.raises(FleetError) as failure:
            self.run(**params)
        assert failure.value.code == code, failure.value.message
        return failure.value
