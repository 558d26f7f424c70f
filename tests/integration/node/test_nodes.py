# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_template, node and node_instance_info as ansible-playbook runs them, on a store in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Heartbeat, Instance
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import Held, NodeStore, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

TEMPLATE = {"name": "edge", "platform": "debian-13", "hooks": ["docker"], "modules": [{"name": "web", "ref": "r@sha256:1"}]}
NODE = {"name": "edge-1", "template": "edge", "lifecycle_class": "ephemeral", "labels": {"owner": "ann", "rack": 7}}
Task = t.Dict[str, t.Any]


class Fleet:
    def __init__(self, base: Path) -> None:
        self.base, self.path = base, base / "state" / "store.db"

    def run(self, *tasks: Task) -> list[dict[str, t.Any]]:
        """Results of tasks of one play; what fails does not end it."""
        dsn = f"sqlite://{self.path}?ephemeral=true"
        play: list[Task] = []
        for number, task in enumerate(tasks):
            module = next(name for name in task if name.startswith("node") or name == "include_role")
            if module == "include_role":
                play.append({"ansible.builtin.include_role": task[module], "vars": {**task["vars"], "operation_store": dsn}})
                play.append({"ansible.builtin.set_fact": {f"r{number}": {}}})
            else:
                rest = {key: value for key, value in task.items() if key != module}
                play.append({f"bowline.fleet.{module}": {**task[module], "store": dsn}, "register": f"r{number}", "ignore_errors": True, **rest})
        answers = "{{ [" + ", ".join(f"r{number}" for number in range(len(tasks))) + "] | to_json }}"
        play.append({"ansible.builtin.copy": {"content": answers, "dest": str(self.base / "answers.json"), "mode": "0600"}})
        host = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": play}
        (self.base / "play.json").write_text(json.dumps([host]))
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(self.base / "tmp"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "play.json"]
        done = subprocess.run(argv, cwd=self.base, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads((self.base / "answers.json").read_text())

    def database(self):
        return open_for_writing(self.path)

    def machine(self) -> None:
        """A machine of edge-1 that runs and is well, as another module would leave it."""
        database = self.database()
        nodes, beats = NodeStore(database), Beats(database)
        state = StateStore(database, Owner("ann", "ann", "elsewhere", 7))
        opened = state.open("node", [subject_of("edge-1")], [])
        held = Held(subject_of("edge-1"), opened["lease_numbers"][subject_of("edge-1")])
        made = nodes.reserve(held, Instance("i-1", "edge-1", "local", 0, 0.0), "ann")
        nodes.save(held, replace(made, provider_id="local:///edge-1", power="on", powered_at=time.time() - 60))
        beats.heard(Heartbeat("i-1", 0.0, "b1", 1, True, True, True, document={"token": "canary-token"}))
        beats.listens("r", time.time() - 600)
        state.end(opened["id"], "succeeded")
        database.close()

    def other_run(self) -> None:
        """Another machine's run that holds edge-1."""
        database = self.database()
        StateStore(database, Owner("bob", "bob", "elsewhere", 7)).open("cutover", [subject_of("edge-1")], [])
        database.close()

    def operations(self, kind: str) -> list[dict[str, t.Any]]:
        database = self.database()
        found = StateStore(database, Owner("ann", "ann", "here", 1)).operations(kind=kind, limit=100)
        database.close()
        return found


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def codes(result: dict[str, t.Any]) -> list[str]:
    failure = result["failure"]
    return [finding["code"] for finding in failure["details"].get("findings") or [{"code": failure["code"]}]]


def test_declare_look_change_and_remove(fleet):
    bad = {"name": "Edge_1", "template": "edg", "labels": {"a": {"b": 1}}, "hooks": ["x", "x"], "guards": [{"kind": "protected", "until": "soon"}]}
    guard = [{"kind": "protected", "reason": "soak", "until": "2099-01-01T00:00:00Z"}]
    answers = fleet.run(
        {"node_template": TEMPLATE, "check_mode": True, "diff": True},
        {"node_template": TEMPLATE, "diff": True},
        {"node_template": TEMPLATE},
        {"node": NODE, "check_mode": True, "diff": True},
        {"node": {**NODE, "reason": "capacity"}, "diff": True},
        {"node": NODE},
        {"node": {**NODE, "lifecycle_class": "spot", "guards": guard}},
        {"node": bad},
        {"node_instance_info": {"gather": ["conditions", "events", "actions", "steps", "heartbeats", "recovery"]}},
        {"node_template": {"name": "edge", "state": "absent"}},
        {"node": {"name": "edge-1", "state": "absent"}},
        {"node": {**NODE, "lifecycle_class": "spot"}},
        {"node": {"name": "edge-1", "state": "absent"}, "check_mode": True},
        {"node": {"name": "edge-1", "state": "absent"}},
        {"node": {"name": "edge-1", "state": "absent"}},
        {"node_template": {"name": "edge", "state": "absent"}},
        {"node_instance_info": {}},
    )
    foreseen, made, again, node_foreseen, node, node_again, changed, wrong = answers[:8]
    seen, in_use, held, unguarded, gone_foreseen, gone, gone_again, no_template, none = answers[8:]
    assert (foreseen["changed"], foreseen["plan"], foreseen["diff"]) == (True, made["plan"], made["diff"]), "the plan is what is done"
    assert (again["changed"], again["plan"]) == (False, [])
    assert made["template"]["revision"] == 1 and made["template"]["modules"] == [{"name": "web", "ref": "r@sha256:1"}]
    assert (node_foreseen["plan"], node_foreseen["diff"], node_foreseen["status"]) == (node["plan"], node["diff"], "no_instance")
    assert node["node"]["labels"] == {"owner": "ann", "rack": "7"} and node["node"]["hooks"] == []
    assert node["resolved"]["hooks"] == ["docker"] and node["resolved"]["architecture"] == "amd64"
    assert node_again["changed"] is False
    assert changed["plan"][0]["reason"] == "guards, lifecycle_class of edge-1", "the class is free until the first machine"
    assert codes(wrong) == ["option_invalid", "option_invalid", "option_invalid", "option_invalid", "template_unknown"]
    assert "Did you mean edge?" in wrong["msg"] and "Nothing was changed." in wrong["failure"]["message"]
    (entry,) = seen["instances"]
    assert (entry["phase"], entry["health"], entry["instance"], entry["guards"]) == ("no_instance", "unknown", None, ["protected"])
    assert (codes(in_use), codes(held)) == (["template_in_use"], ["held"])
    assert unguarded["changed"] and gone_foreseen["plan"] == gone["plan"] and gone["node"] is None and not gone_again["changed"]
    assert no_template["changed"] and none["instances"] == []
    operations = fleet.operations("node")
    assert len(operations) == 4, "one for each write, none for what was refused, foreseen or true already"
    assert operations[-1]["reason"] == "capacity" and operations[-1]["outcome"] == "succeeded"


def test_a_node_with_a_machine_and_other_runs(fleet):
    fleet.run({"node_template": TEMPLATE}, {"node": NODE})
    fleet.machine()
    opened = {"operation_kind": "provision", "operation_subjects": ["node/edge-1"], "operation_steps_planned": []}
    answers = fleet.run(
        {"node": {**NODE, "lifecycle_class": "persistent"}},
        {"node": {"name": "edge-1", "state": "absent"}},
        {"node_instance_info": {"name": "edge-1", "gather": ["conditions", "events", "heartbeats", "recovery"]}},
        {"node_instance_info": {"name": "edge-2"}},
        {"node_instance_info": {"filter": {"phase": "running", "label": "owner=ann", "template": "edge"}}},
        {"node_instance_info": {"filter": {"health": "lost"}}},
        {"node_instance_info": {"filter": {"fase": "x"}, "limit": 0}},
        {"include_role": {"name": "bowline.fleet.operation"}, "vars": opened},
        {"node": {**NODE, "labels": {"owner": "bob"}}},
    )
    other_class, with_machine, seen, unknown, fits, none, wrong, _opened, inside = answers
    assert (codes(other_class), codes(with_machine)) == (["immutable_class"], ["node_has_instance"])
    (entry,) = seen["instances"]
    assert (entry["phase"], entry["health"], entry["scheduling"]) == ("running", "ok", "schedulable")
    assert entry["conditions"]["enrolled"]["status"] == "true" and entry["recovery"] == {}
    assert [event["type"] for event in entry["events"]] == ["reserved"] and entry["heartbeats"][0]["heartbeats"] == 1
    assert "canary-token" not in json.dumps(answers)
    assert codes(unknown) == ["node_unknown"] and "Did you mean edge-1?" in unknown["msg"]
    assert (fits["total"], none["total"], codes(wrong)) == (1, 0, ["unknown_key", "option_invalid"])
    assert inside["changed"] and inside["node"]["labels"] == {"owner": "bob"}
    assert [one["outcome"] for one in fleet.operations("provision")] == [None], "a write inside an operation ends no operation"


def test_a_node_that_another_run_works_on(fleet):
    fleet.run({"node_template": TEMPLATE}, {"node": NODE})
    fleet.other_run()
    foreseen, locked, same = fleet.run({"node": {**NODE, "labels": {}}, "check_mode": True}, {"node": {**NODE, "labels": {}}}, {"node": NODE})
    for refused in (foreseen, locked):
        assert codes(refused) == ["locked"] and "bob" in refused["failure"]["message"] and refused["failure"]["details"]["age"] >= 0
    assert not same["changed"] and "failure" not in same, "what is true already needs no lease"
