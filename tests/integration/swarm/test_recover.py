# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A majority that is guarded, lost and brought back, by the playbooks as people run them; and a member that leaves and comes again."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from swarm_hands import Nodes, Registered  # noqa: E402

LONG = pytest.mark.skipif(os.environ.get("BOWLINE_FAULTS") != "all", reason="make faults")
ROOT = Path(__file__).resolve().parents[3]
PORT = 18540
COMPOSE = """\
version: "3.8"
services:
  web:
    image: {image}
    deploy: {{replicas: 2, endpoint_mode: dnsrr, placement: {{max_replicas_per_node: 1}}}}
    ports: [{{target: 8080, published: {port}, mode: host}}]
"""


class Machines:
    """The engines of the lab as machines that lose their power and get it back, and the playbooks over them."""

    def __init__(self, lab, folder):
        sys.path.insert(0, str(Path(lab.description["program"]).parent))
        self.engine = importlib.import_module("rig.swarm.engine")
        self.instance = importlib.import_module("rig.swarm.instance").Instance(lab.description["letter"])
        self.lab, self.folder = lab, folder
        self.inventory = folder / "inventory.json"
        hosts = {one["name"]: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "swarm_cluster_address": one["address"],
                               "swarm_cluster_connection": {**lab.connection(number), "validate_certs": True}}
                 for number, one in enumerate(lab.managers)}  # fmt: skip
        self.hosts = hosts

    def members(self, *numbers):
        return [self.instance.members[number] for number in numbers]

    def play(self, playbook, groups=None, check=False, **variables):
        """(return code, what was printed). ``groups`` is by name of group; all are managers without it."""
        chosen = groups or {"swarm_managers": list(self.hosts)}
        children = {group: {"hosts": {name: self.hosts[name] for name in names}} for group, names in chosen.items()}
        self.inventory.write_text(json.dumps({"all": {"children": children}}), encoding="utf-8")
        words = [str(Path(sys.executable).parent / "ansible-playbook")]
        named = str(playbook) if isinstance(playbook, Path) else f"bowline.fleet.{playbook}"
        words += ["-i", str(self.inventory), named, "-e", json.dumps(variables), "-vv", *(["--check"] if check else [])]
        done = subprocess.run(words, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}, cwd=self.folder,
                              capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def steps(self, subject, *hooks, check=False):
        """What each of the entry points of role swarm_cluster says of its step, run one after the other for one host."""
        book, kept = self.folder / "hooks.yml", self.folder / "steps.json"
        tasks = [task for hook in hooks for task in (
            {"ansible.builtin.include_role": {"name": "bowline.fleet.swarm_cluster", "tasks_from": hook}},
            {"ansible.builtin.set_fact": {"steps": "{{ steps | default([]) + [swarm_cluster_step] }}"}})]  # fmt: skip
        tasks.append({"ansible.builtin.copy": {"content": "{{ steps | to_json }}", "dest": str(kept), "mode": "0600"}, "check_mode": False})
        book.write_text(json.dumps([{
            "hosts": subject, "gather_facts": False, "environment": {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""},
            "vars": {"swarm_cluster_managers": "{{ groups['swarm_managers'] }}"}, "tasks": tasks,
        }]), encoding="utf-8")  # fmt: skip
        code, said = self.play(book, check=check)
        assert code == 0, said
        return json.loads(kept.read_text(encoding="utf-8"))

    def healthy(self):
        def whole():
            members = self.listed(0)
            return len(members) == 3 and all(one["Status"]["State"] == "ready" and one.get("ManagerStatus", {}).get("Reachability") == "reachable"
                                             for one in members)  # fmt: skip

        self.lab.wait("three managers", whole, 180)

    def listed(self, number):
        from docker.errors import APIError

        try:
            return self.lab.api(number, timeout=20).nodes()
        except (APIError, OSError):
            return []


@pytest.fixture(scope="module")
def machines(swarm_lab, tmp_path_factory):
    made = Machines(swarm_lab, tmp_path_factory.mktemp("machines"))
    yield made
    # The lab as the next tests need it, whatever happened.
    for member in made.instance.members:
        if made.engine.daemon(member).pid() is None:
            made.engine.start(made.instance, member)
    made.healthy()


def running(lab, stack, number=0):
    return sorted(task["ID"] for task in lab.api(number).tasks(filters={"label": f"com.docker.stack.namespace={stack}", "desired-state": "running"})
                  if task["Status"]["State"] == "running")  # fmt: skip


def test_drain_hook_swarm_empties_a_node_and_lets_it_work_again(machines, swarm_lab, stack, tmp_path):
    """The steps as a node's playbook calls them: each twice, the second time without a change, and first as a check that writes nothing."""
    nodes, name = Nodes(swarm_lab, tmp_path / "nodes"), stack("n-hook")
    compose = COMPOSE.format(image=swarm_lab.image("plain"), port=PORT + 1).replace("replicas: 2", "replicas: 1")
    (tmp_path / "compose.yml").write_text(compose, encoding="utf-8")
    swarm_lab.docker("stack", "deploy", "--resolve-image", "never", "-c", tmp_path / "compose.yml", name)
    here = swarm_lab.wait("the task", lambda: nodes.holder(f"{name}_web"))
    spec = swarm_lab.api().inspect_service(f"{name}_web")["Spec"]
    try:
        (foreseen,) = machines.steps(here, "drained", check=True)
        assert (foreseen["changed"], nodes.all()[here]["Spec"]["Availability"], nodes.holder(f"{name}_web")) == (True, "active", here)
        drained, again = machines.steps(here, "drained", "drained")
        assert (drained["changed"], again["changed"]) == (True, False)
        assert [(step["evidence"]["hook"], step["evidence"]["outcome"]) for step in (drained, again)] == [("swarm", "empty")] * 2
        assert drained["bookmark"] == {"node": nodes.all()[here]["ID"]}
        assert nodes.all()[here]["Spec"]["Availability"] == "drain" and nodes.holder(f"{name}_web") not in (here, None)
        undone, again = machines.steps(here, "undone", "undone")
        assert (undone["changed"], again["changed"], nodes.all()[here]["Spec"]["Availability"]) == (True, False, "active")
        assert swarm_lab.api().inspect_service(f"{name}_web")["Spec"] == spec and nodes.records() == []
    finally:
        nodes.rest()


@LONG
def test_a_lost_majority_is_told_with_its_numbers_and_brought_back(machines, swarm_lab, stack, tmp_path):
    """Guarded while one manager is gone, told when two are, and the services run on: before, meanwhile and afterwards."""
    nodes, shop, name = Nodes(swarm_lab, tmp_path / "nodes"), Registered(swarm_lab, tmp_path / "state" / "store.db"), stack("n-recover")
    first, second, third = (one["name"] for one in swarm_lab.managers)
    cluster = swarm_lab.description["cluster_id"]
    (tmp_path / "compose.yml").write_text(COMPOSE.format(image=swarm_lab.image("plain"), port=PORT), encoding="utf-8")
    swarm_lab.docker("stack", "deploy", "--resolve-image", "never", "-c", tmp_path / "compose.yml", name)
    swarm_lab.wait("two tasks", lambda: len(running(swarm_lab, name)) == 2)
    spec = swarm_lab.api().inspect_service(f"{name}_web")["Spec"]
    # One is gone: nothing that could cost the majority is begun.
    machines.engine.kill(machines.members(2)[0])
    swarm_lab.wait("the others to notice", lambda: any(one.get("ManagerStatus", {}).get("Reachability") == "unreachable" for one in machines.listed(0)), 60)
    failure = nodes.refused("quorum_risk", second, state="drained")
    assert (failure["details"]["quorum"]["managers"], failure["details"]["quorum"]["reachable"]) == (3, 2) and third in failure["message"]
    nodes.refused("quorum_risk", second, role="worker")
    assert shop.info(**shop.connection)["health"]["verdict"] == "error"
    # Two are gone.
    machines.engine.kill(machines.members(1)[0])
    swarm_lab.wait("the majority to be lost", lambda: shop.info(**shop.connection)["health"]["verdict"] == "critical", 90)
    health = shop.info(**shop.connection)["health"]
    assert (health["managers"], health["reachable"], health["quorum"], health["margin"]) == (3, 1, 2, -1)
    failure = shop.refused("quorum_lost", **shop.connection, adopt=True)
    assert "3 managers, 1 reachable" in failure.message and "swarm_recover" in failure.remedy
    # Another cluster than the one that is meant, and a check, change nothing.
    asked = {"swarm_recover_survivor": first, "swarm_recover_backup": str(tmp_path / "backup")}
    code, said = machines.play("swarm_recover", **asked, swarm_recover_confirm="somebodyelses")
    assert code != 0 and "[confirm_mismatch]" in said and cluster in said
    code, said = machines.play("swarm_recover", groups={"swarm_managers": [first]}, check=True, **asked, swarm_recover_confirm=cluster)
    assert code == 0 and not (tmp_path / "backup").exists(), said
    # The survivor; the others do not answer, and are told.
    code, said = machines.play("swarm_recover", **asked, swarm_recover_confirm=cluster)
    assert "endpoint_unreachable" in said and "SWMTKN" not in said
    assert swarm_lab.api().info()["Swarm"]["Cluster"]["ID"] == cluster
    copy = next((tmp_path / "backup").iterdir())
    assert (copy / "raft").is_dir() and copy.stat().st_mode & 0o077 == 0
    swarm_lab.wait("two tasks", lambda: len(running(swarm_lab, name)) >= 1)
    assert swarm_lab.api().inspect_service(f"{name}_web")["Spec"] == spec
    # The others come back, one after the other, as the page says.
    for number in (1, 2):
        machines.engine.start(machines.instance, machines.members(number)[0])
        swarm_lab.wait("its engine", lambda number=number: machines.engine.answers(machines.members(number)[0]), 60)
        code, said = machines.play("swarm_recover", groups={"swarm_managers": [first, (second, third)[number - 1]]}, **asked, swarm_recover_confirm=cluster)
        assert code == 0 and "SWMTKN" not in said, said
    machines.healthy()
    swarm_lab.wait("two tasks", lambda: len(running(swarm_lab, name)) == 2)
    code, said = machines.play("swarm_recover", **asked, swarm_recover_confirm=cluster)
    assert code == 0 and said.count("changed=0") == 4, said


@LONG
def test_a_member_leaves_without_a_dip_and_comes_again(machines, swarm_lab):
    """The playbook changes nothing where all is as it should be, lets one go, and takes it in; an engine of a foreign cluster stays out."""
    machines.healthy()
    first, second, third = (one["name"] for one in swarm_lab.managers)
    code, said = machines.play("swarm_cluster", swarm_cluster_id="somebodyelses")
    assert code != 0 and said.count("[cluster_mismatch]") >= 3 and "Nothing was changed" in said, said
    code, said = machines.play("swarm_cluster")
    assert code == 0 and "SWMTKN" not in said and said.count("changed=0") == 3, said
    code, said = machines.play("swarm_cluster", groups={"swarm_managers": [first, second], "swarm_leaving": [third]})
    assert code == 0, said
    assert sorted(one["Description"]["Hostname"] for one in machines.listed(0)) == sorted([first, second])
    # A cluster of its own, as when a machine was built anew: F13.
    api = swarm_lab.api(2)
    api.init_swarm(advertise_addr=swarm_lab.managers[2]["address"])
    code, said = machines.play("swarm_cluster")
    assert code != 0 and f"[cluster_mismatch] {third} is in cluster" in said, said
    assert len(machines.listed(0)) == 2
    api.leave_swarm(force=True)
    code, said = machines.play("swarm_cluster")
    assert code == 0 and "SWMTKN" not in said, said
    machines.healthy()


@LONG
def test_a_manager_that_is_dead_for_good_is_removed_with_its_proof_and_comes_again(machines, swarm_lab, tmp_path):
    """Without proof, or with one that does not say so, nothing is done. Its vote goes first (F10)."""
    machines.healthy()
    nodes, third = Nodes(swarm_lab, tmp_path / "nodes"), swarm_lab.managers[2]["name"]
    proof = {"power": "off", "source": "the lab", "observed_at": str(time.time())}
    failure = nodes.refused("not_proven_dead", third, state="absent", dead=True, dead_proof=proof)
    assert "as ready" in failure["message"]
    machines.engine.kill(machines.members(2)[0])
    swarm_lab.wait("the others to notice", lambda: nodes.all()[third]["Status"]["State"] == "down", 90)
    for wrong in (None, {**proof, "power": "on"}, {**proof, "observed_at": str(time.time() - 3600)}):
        nodes.refused("not_proven_dead", third, state="absent", dead=True, dead_proof=wrong)
    assert nodes.all()[third]["ManagerStatus"]["Reachability"] == "unreachable"
    proof["observed_at"] = str(time.time())
    foreseen = nodes.run(third, state="absent", dead=True, dead_proof=proof, check_mode=True)
    done = nodes.done(third, state="absent", dead=True, dead_proof=proof)
    assert [step["action"] for step in foreseen["plan"]] == [step["action"] for step in done["plan"]] == ["demote", "remove"]
    assert third not in nodes.all() and done["node"] is None
    assert nodes.run(third, state="absent", dead=True, dead_proof=proof)["changed"] is False
    # Powered on again it still believes to be a member: told to leave, it is taken in as a new one.
    machines.engine.start(machines.instance, machines.members(2)[0])
    swarm_lab.wait("its engine", lambda: machines.engine.answers(machines.members(2)[0]), 60)
    swarm_lab.api(2).leave_swarm(force=True)
    code, said = machines.play("swarm_cluster")
    assert code == 0, said
    machines.healthy()
