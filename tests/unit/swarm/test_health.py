# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict over a cluster, as a table: one thing that is wrong, the level and the reason that it must give."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.verdict.health import LEVELS, judge, lost, unreachable
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import World
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.verdict.quorum import Quorum

NOW = 1_000.0


def manager(number: int, **labels: str) -> dict:
    return {"ID": f"id{number}", "Description": {"Hostname": f"n{number}"}, "Status": {"State": "ready"},
            "Spec": {"Role": "manager", "Availability": "active", "Labels": labels},
            "ManagerStatus": {"Reachability": "reachable", "Leader": number == 1}}  # fmt: skip


def service(name: str = "web", replicas: int = 2, mode: dict | None = None) -> dict:
    return {"ID": name, "Spec": {"Name": name, "Mode": mode or {"Replicated": {"Replicas": replicas}}}}


def task(state: str = "running", *, desired: str = "running", name: str = "web", at: float = NOW, node: str = "id1") -> dict:
    return {"ServiceID": name, "DesiredState": desired, "NodeID": node, "Status": {"State": state, "Timestamp": str(at)}}


def world(**parts: object) -> World:
    fields = {"nodes": tuple(manager(number) for number in (1, 2, 3)), "services": (service(),), "tasks": (task(), task()), **parts}
    return World("c", {}, **fields)


def changed(number: int, path: str, value: object) -> World:
    nodes = copy.deepcopy(world().nodes)
    *way, last = path.split(".")
    place = nodes[number]
    for word in way:
        place = place[word]
    place[last] = value
    return world(nodes=nodes)


def failures(number: int, at: float = NOW) -> tuple[dict, ...]:
    return (task(), task(), *(task("failed", desired="shutdown", at=at) for _each in range(number)))


@pytest.mark.parametrize(("seen", "verdict", "codes"), [
    pytest.param(world(), "healthy", [], id="all is well"),
    pytest.param(changed(0, "ManagerStatus.Leader", False), "critical", ["quorum"], id="no leader"),
    pytest.param(changed(2, "ManagerStatus.Reachability", "unreachable"), "error", ["manager_unreachable", "fault_tolerance"], id="a manager is silent"),
    pytest.param(changed(2, "Status.State", "down"), "error", ["node_down"], id="a node is down"),
    pytest.param(changed(2, "Spec.Availability", "drain"), "warning", ["node_unavailable"], id="drained"),
    pytest.param(changed(2, "Spec.Availability", "pause"), "warning", ["node_unavailable"], id="paused"),
    pytest.param(world(nodes=world().nodes[:1]), "warning", ["fault_tolerance"], id="one manager"),
    pytest.param(world(nodes=world().nodes[:2]), "warning", ["even_managers", "fault_tolerance"], id="two managers"),
    pytest.param(world(nodes=tuple(manager(n, zone="a" if n < 3 else "b") for n in (1, 2, 3))), "warning", ["failure_domain"], id="two in one zone"),
    pytest.param(world(nodes=tuple(manager(n, zone=str(n)) for n in (1, 2, 3))), "healthy", [], id="one in each zone"),
    pytest.param(world(tasks=(task(),)), "warning", ["service_short"], id="one of two"),
    pytest.param(world(tasks=(task("preparing"),)), "error", ["service_down"], id="none of two"),
    pytest.param(world(services=(service(replicas=0),), tasks=()), "healthy", [], id="none is wanted"),
    pytest.param(world(services=(service(mode={"Global": {}}),), tasks=(task(), task("starting", node="id2"))), "warning", ["service_short"], id="global"),
    pytest.param(world(services=(service(mode={"ReplicatedJob": {}}),), tasks=()), "healthy", [], id="a job that has ended"),
    pytest.param(world(tasks=failures(3)), "error", ["tasks_fail"], id="three failed just now"),
    pytest.param(world(tasks=failures(2)), "healthy", [], id="two failed"),
    pytest.param(world(tasks=failures(3, at=NOW - 601)), "healthy", [], id="three failed long ago"),
])  # fmt: skip
def test_each_trouble_has_its_level(seen, verdict, codes):
    health = judge(seen, NOW, float)
    assert (health.verdict, [reason.code for reason in health.reasons]) == (verdict, codes)


def test_a_lost_majority_is_critical_with_its_numbers():
    nodes = world().nodes
    for node in nodes[1:]:
        node["ManagerStatus"]["Reachability"] = "unreachable"
    health = judge(world(nodes=nodes), NOW, float)
    assert health.verdict == "critical"
    assert health.reasons[0].message == "3 managers, 1 reachable (not: n2, n3), 2 needed: the cluster decides nothing."
    assert (health.as_data()["margin"], health.as_data()["leader"]) == (-1, "n1")


def test_what_comes_from_outside_the_cluster_counts_too():
    health = judge(world(), NOW, float, certificates={"endpoint n1": 13.5, "endpoint n2": 15}, open_work=["bowline.drain.id1"])
    assert [(reason.code, reason.subject) for reason in health.reasons] == [("certificate", "endpoint n1"), ("open_work", "bowline.drain.id1")]
    assert judge(world(), NOW, float, min_fault_tolerance=2).verdict == "warning"


def test_nothing_known_is_worse_than_everything_bad():
    assert LEVELS.index(unreachable("x").verdict) > LEVELS.index(lost(Quorum(3, 1)).verdict)
