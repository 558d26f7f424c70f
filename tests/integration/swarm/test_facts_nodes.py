# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""F8 to F10 and F16 of docs/swarm-facts.md: what a drain does and what Swarm refuses, with the cluster alone and as it was afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t

import pytest

SECOND = 10**9


class Cluster:
    """The nodes, by the names of the managers."""

    def __init__(self, lab: t.Any) -> None:
        self.lab = lab
        self.names = [manager["name"] for manager in lab.managers]

    def node(self, name: str, manager: int = 0) -> dict:
        return next(node for node in self.lab.api(manager).nodes() if node["Description"]["Hostname"] == name)

    def change(self, name: str, manager: int = 0, **more: t.Any) -> tuple[int, dict]:
        """Post the node's spec with changes; whatever a race with its status costs is asked again."""
        while True:
            seen = self.node(name, manager)
            status, body = self.lab.post(f"/nodes/{seen['ID']}/update", {**seen["Spec"], **more}, manager, version=seen["Version"]["Index"])
            if "update out of sequence" not in str(body):
                return status, body

    def service(self, name: str, on: list[str], tag: str = "plain", **more: t.Any) -> dict:
        """A spec of one replica that may stand on the named nodes."""
        away = [f"node.hostname != {one}" for one in self.names if one not in on]
        container = {"Image": self.lab.image(tag), "Labels": {"com.docker.stack.namespace": name}, "Env": more.pop("environment", [])}
        return {
            "Name": name, "Labels": {"com.docker.stack.namespace": name}, "EndpointSpec": {"Mode": "dnsrr"}, "Mode": {"Replicated": {"Replicas": 1}},
            "TaskTemplate": {"ContainerSpec": container, "Placement": {"Constraints": away}, "RestartPolicy": more.pop("restart", {"Condition": "any"})},
            **more,
        }

    def tasks(self, service: str, manager: int = 0) -> list[dict]:
        return sorted(self.lab.api(manager).tasks(filters={"service": service}), key=lambda task: task["CreatedAt"])

    def settle(self) -> None:
        for name in self.names:
            seen = self.node(name)["Spec"]
            if seen["Availability"] != "active" or seen.get("Labels") or seen["Role"] != "manager":
                assert self.change(name, Availability="active", Labels={}, Role="manager")[0] == 200


@pytest.fixture
def cluster(swarm_lab) -> t.Iterator[Cluster]:
    found = Cluster(swarm_lab)
    yield found
    found.settle()


def test_f8_f9_a_drain_stops_before_it_starts_and_loses_what_is_not_restarted(cluster, swarm_lab, stack):
    first, second, _third = cluster.names
    # The update's order is start-first, and nobody asks it.
    moving = swarm_lab.create(cluster.service(stack("l-f8"), [second], UpdateConfig={"Order": "start-first"}))
    once = swarm_lab.create(cluster.service(stack("l-f9"), [second], restart={"Condition": "none"}))
    swarm_lab.wait("both to run", lambda: swarm_lab.running(moving) and swarm_lab.running(once))
    # A new constraint that the old task meets, too: nothing is replaced by it, but the drain finds another node.
    swarm_lab.update(moving, cluster.service("l-f8", [first, second], UpdateConfig={"Order": "start-first"}))
    assert len(cluster.tasks(moving)) == 1
    assert cluster.change(second, Availability="drain")[0] == 200
    swarm_lab.wait("the replica to run elsewhere", lambda: swarm_lab.running(moving))
    old, new = cluster.tasks(moving)
    # https://docs.docker.com/reference/api/engine/: the time of a task's state is the engine's that runs it; here all have one clock.
    assert old["DesiredState"] == "shutdown" and old["Status"]["Timestamp"] < new["Status"]["Timestamp"]
    swarm_lab.wait("the drained one to end", lambda: cluster.tasks(once)[-1]["Status"]["State"] != "running")
    # A drained manager still votes (F10).
    assert cluster.node(second)["ManagerStatus"]["Reachability"] == "reachable"
    assert cluster.change(second, Availability="active")[0] == 200
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        assert len(cluster.tasks(once)) == 1 and not swarm_lab.running(once)
        time.sleep(0.3)


@pytest.mark.parametrize(("availability", "survives"), [("active", False), ("pause", True)])
def test_f8_a_node_event_ends_what_a_new_constraint_forbids_unless_the_node_pauses(cluster, swarm_lab, stack, availability, survives):
    first, second, _third = cluster.names
    patient = {"Order": "start-first", "Monitor": SECOND}
    service = swarm_lab.create(cluster.service(stack("l-f8"), [second], UpdateConfig=patient))
    swarm_lab.wait("it to run", lambda: swarm_lab.running(service))
    assert cluster.change(second, Availability=availability)[0] == 200
    # Its successor, which may only stand elsewhere, is not healthy for ten minutes.
    swarm_lab.update(service, cluster.service("l-f8", [first], "1", environment=["FAULT=slow=600"], UpdateConfig=patient))
    swarm_lab.wait("its successor to start", lambda: [task["Status"]["State"] for task in cluster.tasks(service)] == ["running", "starting"])
    assert cluster.change(second, Labels={"touched": "yes"})[0] == 200

    def gone() -> bool:
        return cluster.tasks(service)[0]["DesiredState"] == "shutdown"

    if not survives:
        swarm_lab.wait("the constraint enforcer", gone, 20)
        assert "no longer meets constraints" in cluster.tasks(service)[0]["Status"]["Err"]
        return
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        assert not gone()
        time.sleep(0.3)


def test_f10_quorum_is_guarded_against_everything_but_a_drain(cluster, swarm_lab):
    first, second, third = cluster.names

    def program(*words: str) -> None:
        # The letter of the instance is in its description.
        env = {**os.environ, "BOWLINE_SWARM_LAB": swarm_lab.description["letter"]}
        argv = [sys.executable, swarm_lab.description["program"], *words]
        subprocess.run(argv, check=True, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    program("kill", third)
    try:
        swarm_lab.wait("the dead manager to be missed", lambda: cluster.node(third)["ManagerStatus"]["Reachability"] == "unreachable", 60)
        status, body = cluster.change(second, Role="worker")
        assert status != 200 and "quorum" in body["message"], body
        done = swarm_lab.docker("swarm", "leave", manager=1, check=False)
        assert done.returncode != 0 and "quorum" in done.stderr, done.stderr
        done = swarm_lab.docker("node", "rm", "--force", second, check=False)
        assert done.returncode != 0 and "must be demoted" in done.stderr, done.stderr
        # The dead one as well: it is a member of the raft until it is demoted.
        done = swarm_lab.docker("node", "rm", "--force", third, check=False)
        assert done.returncode != 0 and "must be demoted" in done.stderr, done.stderr
        # With one more down the cluster is lost, and nobody says so.
        assert cluster.change(second, Availability="drain")[0] == 200
    finally:
        program("start", third)
        swarm_lab.wait("all to be reachable", lambda: all(cluster.node(name)["ManagerStatus"]["Reachability"] == "reachable" for name in cluster.names), 90)


def test_f16_a_task_that_waits_is_not_placed_once_its_service_has_a_newer_spec(cluster, swarm_lab, stack):
    """swarmkit, manager/scheduler/scheduler.go, noSuitableNode: a task of an older spec is not queued again."""
    first, _second, _third = cluster.names

    def waiting(name: str, place: str = "here") -> tuple[str, dict]:
        spec = cluster.service(stack(name), [first])
        spec["TaskTemplate"]["Placement"] = {"Constraints": [f"node.labels.l-f16=={place}"]}
        return swarm_lab.create(spec), spec

    (touched, spec), (control, _spec), (other, _other) = waiting("l-f16a"), waiting("l-f16b"), waiting("l-f16c", "elsewhere")
    for service in (touched, control, other):
        swarm_lab.wait("its task to wait", lambda service=service: "no suitable node" in str(cluster.tasks(service)))
    swarm_lab.update(touched, {**spec, "Labels": {**spec["Labels"], "by": "hand"}})
    # An event of a node makes it look for all of them once more; that is when the one of the older spec is dropped.
    assert cluster.change(first, Labels={"l-f16": "elsewhere"})[0] == 200
    swarm_lab.wait("a look", lambda: swarm_lab.running(other))
    assert cluster.change(first, Labels={"l-f16": "here"})[0] == 200
    swarm_lab.wait("the one that nobody wrote to run", lambda: swarm_lab.running(control))
    (task,) = cluster.tasks(touched)
    assert task["Status"]["State"] == "pending"
    # A request to start its tasks anew is what helps: swarm_service has it as `redistribute`.
    swarm_lab.update(touched, {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ForceUpdate": 1}})
    swarm_lab.wait("its task to run", lambda: swarm_lab.running(touched))
