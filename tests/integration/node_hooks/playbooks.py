# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks drain and terminate as an operator calls them, on a fleet whose machine is recorded and whose work is real; and hooks of somebody else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import INFO
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.info import info
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from ansible_collections.bowline.fleet.tests.loading import load

_fleet = load(Path(__file__).resolve().parents[1] / "node_instance" / "fleet.py", "bowline_node_fleet")
Fleet, typed = _fleet.Fleet, _fleet.typed

# A hook of the site itself: what it says to each stage. "never" ends at no time.
HOOKS = {
    "quiet": {"observe": {"outcome": "empty"}, "drain": {"outcome": "empty"}, "undo": {"outcome": "released"}, "leave": {"outcome": "released"}},
    "hangs": {"observe": {"outcome": "blocked"}, "drain": "never", "undo": {"outcome": "released"}, "leave": "never"},
    "full": {"observe": {"outcome": "blocked", "blockers": [{"name": "job-7", "reason": "no room elsewhere", "override": "site_accept: job-7"}]}},
}


class Site:
    """A fleet with one node, recorded and running; or none that runs yet. ``host`` are variables of the inventory's host of that name."""

    name = "web-1"

    def __init__(self, folder: Path, hooks: t.Sequence[str], recorded: bool = True, defaults: t.Optional[dict[str, t.Any]] = None,
                 labels: t.Optional[dict[str, str]] = None, **host: t.Any) -> None:  # fmt: skip
        self.folder, self.fleet, self.said = folder, Fleet(folder, **(defaults or {})), ""
        self.machine: dict[str, t.Any] = {"mode": "recorder"}
        self.fleet.node(self.name, hooks=list(hooks), labels=labels or {})
        # Where the playbooks run node_instance.
        self.fleet.host = "localhost"
        if recorded:
            self.run("running")
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {"localhost": local, self.name if recorded else "another": {**local, "node_hooks_folder": str(folder / "hooks"), **host}}
        (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        for name, answers in HOOKS.items():
            tasks = folder / "collections/ansible_collections/a/site/roles" / name / "tasks"
            tasks.mkdir(parents=True)
            for stage, answer in answers.items():
                never = [{"name": "Never", "ansible.builtin.command": {"argv": ["sleep", "1000"]}}]
                says = [{"name": "Say", "ansible.builtin.set_fact": {"node_hooks_answer": answer}}]
                (tasks / f"{stage}.yml").write_text(yaml.safe_dump(never if answer == "never" else says))

    def group(self, name: str) -> None:
        """The node's host is in a group of the inventory."""
        inventory = json.loads((self.folder / "hosts.json").read_text())
        inventory["all"]["children"] = {name: {"hosts": {self.name: {}}}}
        (self.folder / "hosts.json").write_text(json.dumps(inventory))

    def play(self, name: str, fails: str = "", check: bool = False, **variables: t.Any) -> int:
        """Number of changed tasks of a playbook; ``fails`` is the code that it ends with."""
        store = f"sqlite://{self.folder}/state/store.db?ephemeral=true"
        given = {f"node_{name}_names": [self.name], f"node_{name}_store": store, f"node_{name}_machine": self.machine, **variables}
        paths = f"{self.folder}/collections:{os.environ['ANSIBLE_COLLECTIONS_PATH']}"
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": paths, "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
                       "ANSIBLE_PIPELINING": "1"}
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.folder / "hosts.json"), f"bowline.fleet.{name}", "-e", json.dumps(given)]
        done = subprocess.run([*argv, *(["--check"] if check else [])], env=environment, capture_output=True, text=True, timeout=200, check=False)
        self.said = " ".join((done.stdout + done.stderr).split())
        assert (done.returncode != 0) is bool(fails) and fails in self.said, self.said[-6000:]
        return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))

    def phase(self) -> str:
        return self.recovery()["phase"]

    def run(self, state: str, **given: t.Any) -> dict[str, t.Any]:
        return self.fleet.run(state, name=self.name, **{**self.machine, **given})

    def recovery(self) -> dict[str, t.Any]:
        """What node_instance_info says about a node that is stuck."""
        with self.fleet.opened(True) as database:
            store, beats = NodeStore(database, self.fleet.clock), Beats(database, self.fleet.clock)
            (entry,) = info(typed(INFO, {"name": self.name, "gather": ["recovery", "conditions"]}), store, beats)["instances"]
        return {**entry["recovery"], "phase": entry["phase"], "health": entry["health"], "stalled": entry["conditions"].get("stalled", {}).get("reason")}
