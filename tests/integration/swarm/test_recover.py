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
        words += ["-i", str(self.inventory), f"bowline.fleet.{playbook}", "-e", json.dumps(variables), "-vv", *(["--check"] if check else [])]
        done = subprocess.run(words, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}, cwd=self.folder,
                              capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
        return done.returncode, done.stdout + done.stderr

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
