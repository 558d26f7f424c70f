# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain would do and what stands in its way: each blocker as a table, all of them in one answer."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import World
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.node.model import BLOCKERS, Asked, Move
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.node.plan import drain, holding, local_data
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.node.specs import LABEL, evacuated, evacuating, restored

GIB = 1 << 30


def node(number: int, availability: str = "active", state: str = "ready", memory: int = 4 * GIB, **labels: str) -> dict:
    return {"ID": f"id{number}", "Status": {"State": state, "Addr": f"192.0.2.{number}"},
            "Description": {"Hostname": f"n{number}", "Resources": {"NanoCPUs": 4 * 10**9, "MemoryBytes": memory},
                            "Platform": {"OS": "linux", "Architecture": "x86_64"}},
            "Spec": {"Role": "manager", "Availability": availability, "Labels": labels},
            "ManagerStatus": {"Reachability": "reachable" if state == "ready" else "unreachable", "Leader": number == 2}}  # fmt: skip


def service(name: str = "web", *, constraints: list | None = None, mounts: list | None = None, port: int = 0, mode: dict | None = None, memory: int = 0,
            most: int = 0, status: str = "", restart: str = "any", stack: str = "shop") -> dict:  # fmt: skip
    spec = {"Name": name, "Labels": {"com.docker.stack.namespace": stack} if stack else {}, "Mode": mode or {"Replicated": {"Replicas": 1}},
            "TaskTemplate": {"ContainerSpec": {"Image": "a", "Mounts": mounts or []}, "RestartPolicy": {"Condition": restart},
                             "Placement": {"Constraints": constraints or [], "MaxReplicas": most},
                             "Resources": {"Reservations": {"MemoryBytes": memory}}},
            "EndpointSpec": {"Ports": [{"PublishedPort": port, "Protocol": "tcp", "PublishMode": "host"}] if port else []}}  # fmt: skip
    return {"ID": name, "Spec": spec, "Version": {"Index": 7}, "UpdateStatus": {"State": status} if status else None}


def task(on: int, of: dict, state: str = "running") -> dict:
    return {"ID": f"t{on}{of['ID']}", "ServiceID": of["ID"], "NodeID": f"id{on}", "DesiredState": "running", "Status": {"State": state},
            "Spec": of["Spec"]["TaskTemplate"]}  # fmt: skip


def world(*services: dict, on: tuple = (1,), nodes: list | None = None, more: tuple = ()) -> World:
    tasks = [task(number, one) for one in services for number in on]
    return World("c", {}, nodes=tuple(nodes or [node(1), node(2), node(3)]), services=services, tasks=(*tasks, *more))


VOLUME = {"Type": "volume", "Source": "data"}
NFS = {"Type": "volume", "Source": "data", "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "nfs"}}}}
JOB = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
ROOMLESS = [node(1), node(2, memory=0), node(3, memory=0)]
CASES = [
    pytest.param(world(service()), {}, [], id="nothing"),
    pytest.param(world(service(constraints=["node.hostname==n1"])), {}, ["pinned"], id="pinned by name"),
    pytest.param(world(service(constraints=["node.labels.disk==ssd"]), nodes=[node(1, disk="ssd"), node(2), node(3)]), {}, ["pinned"], id="by label"),
    pytest.param(world(service(), nodes=[node(1), node(2, "drain"), node(3, "pause")]), {}, ["no_place"], id="the others take nothing"),
    pytest.param(world(service(memory=GIB), nodes=ROOMLESS), {}, ["no_place"], id="no memory"),
    pytest.param(world(service(most=1), on=(1, 2, 3)), {}, ["no_place"], id="max_replicas_per_node"),
    pytest.param(world(service(port=80), on=(1, 2, 3)), {}, ["host_port"], id="its port is taken everywhere"),
    pytest.param(world(service(port=80), on=(1, 2)), {}, [], id="its port is free on one"),
    pytest.param(world(service(mounts=[VOLUME])), {}, ["local_volume"], id="volume"),
    pytest.param(world(service(mounts=[NFS])), {}, [], id="volume of a file server"),
    pytest.param(world(service(mode=JOB)), {}, ["job_running"], id="job"),
    pytest.param(world(service(status="updating")), {}, ["foreign_rollout"], id="update under way"),
    pytest.param(world(service(status="completed")), {}, [], id="update over"),
    pytest.param(world(service(status="rollback_completed")), {}, [], id="rolled back"),
    pytest.param(world(service(restart="none")), {}, [], id="no restart, surge"),
    pytest.param(world(service(restart="none")), {"mode": "plain"}, ["restart_none"], id="no restart, plain"),
    pytest.param(world(service(mode={"Global": {}})), {}, [], id="global"),
    pytest.param(world(service(), nodes=[node(1), node(2), node(3, state="down")]), {}, ["quorum"], id="a manager is gone"),
    pytest.param(world(service(), nodes=[node(1), node(2), node(3, state="down")]), {"quorum": "votes"}, [], id="it goes on voting"),
    pytest.param(world(service(), nodes=[node(1), node(2)]), {"accept_quorum_loss": True}, [], id="two, accepted"),
]


@pytest.mark.parametrize(("seen", "options", "names"), CASES)
def test_each_blocker_is_found_and_accepted_by_its_name(seen, options, names):
    plan = drain(seen, seen.nodes[0], Asked(**options))
    assert [blocker.name for blocker in plan.blockers] == names
    assert all(blocker.reason and blocker.accept for blocker in plan.blockers)
    if names and names != ["quorum"]:
        assert plan.blockers[0].accept == f"accept: [{names[0]}]"
        assert drain(seen, seen.nodes[0], Asked(**{**options, "accept": frozenset(names)})).blockers == ()
        assert names[0] in BLOCKERS


def test_all_blockers_come_at_once():
    parts = (service("db", mounts=[VOLUME], constraints=["node.id==id1"]), service("job", mode=JOB), service("web", status="paused"))
    plan = drain(world(*parts, nodes=[node(1), node(2), node(3, state="down")]), node(1), Asked())
    assert [(one.subject, one.name) for one in plan.blockers] == [
        ("n1", "quorum"), ("db", "local_volume"), ("db", "pinned"), ("job", "job_running"), ("web", "foreign_rollout")]  # fmt: skip


def test_an_open_rollout_of_the_stack_is_somebody_elses():
    seen = world(service(), service("alone", stack=""))
    assert [(one.name, one.subject) for one in drain(seen, seen.nodes[0], Asked(), rollouts=["shop"]).blockers] == [("foreign_rollout", "web")]


def test_the_next_service_finds_the_room_taken():
    """Two services of one gibibyte each, and one gibibyte and a half on each of the other nodes: one a node; a third finds none."""
    nodes = [node(1), node(2, memory=3 * GIB // 2), node(3, memory=3 * GIB // 2)]
    parts = [service(name, memory=GIB) for name in ("a", "b", "c")]
    plan = drain(world(*parts, nodes=nodes), nodes[0], Asked())
    assert [move.to for move in plan.moves[:2]] == [("n3",), ("n2",)]
    assert [(one.name, one.subject) for one in plan.blockers] == [("no_place", "c")]
    assert "1074 MB reserved, 537 MB left" in plan.blockers[0].reason


def test_what_is_accepted_moves_as_it_can():
    parts = (service("db", mounts=[VOLUME]), service("pin", constraints=["node.id==id1"]), service("web"))
    plan = drain(world(*parts), node(1), Asked(accept=frozenset(["local_volume", "pinned"])))
    assert [(move.service, move.order) for move in plan.moves] == [("db", "stop-first"), ("web", "start-first")]
    assert plan.moves[1] == Move("web", "web", "shop", 1, "start-first", ("n3",))
    assert [(stop.service, stop.why) for stop in plan.stops] == [("pin", "accepted")]


def test_what_runs_elsewhere_or_has_ended_is_left_alone():
    seen = world(service("here"), more=())
    other = service("there")
    ending = {**task(1, other), "DesiredState": "shutdown"}
    seen = World("c", {}, nodes=seen.nodes, services=(*seen.services, other), tasks=(*seen.tasks, task(2, other), task(1, other, "shutdown"), ending))
    assert [move.service for move in drain(seen, seen.nodes[0], Asked()).moves] == ["here"]


def test_a_drain_that_was_begun_is_no_foreign_rollout():
    """Its new task holds the only other place, and its update goes on: both are ours."""
    begun = service(port=80, status="updating")
    begun["Spec"] = evacuated(begun["Spec"], "id1", "start-first")
    plan = drain(world(begun, on=(1, 2, 3)), node(1), Asked())
    assert ([move.service for move in plan.moves], plan.blockers) == (["web"], ())
    assert [one.name for one in drain(world(begun, on=(1, 2)), node(2), Asked()).blockers] == ["foreign_rollout"]


def test_which_data_would_stay_behind():
    mounts = [VOLUME, NFS, {"Type": "volume"}, {"Type": "volume", "Source": "far", "VolumeOptions": {"DriverConfig": {"Name": "rexray"}}},
              {"Type": "bind", "Source": "/srv/data"}, {"Type": "bind", "Source": "/etc/ssl", "ReadOnly": True},
              {"Type": "bind", "Source": "/var/run/docker.sock"}, {"Type": "tmpfs", "Target": "/tmp"}]  # fmt: skip
    assert local_data(service(mounts=mounts)["Spec"]) == ["volume data", "folder /srv/data"]


# --- the spec of a service, there and back ----------------------------------------------------------------------------------------

SHAPES = [
    pytest.param({"TaskTemplate": {}}, id="nothing said"),
    pytest.param({"Labels": None, "UpdateConfig": None, "TaskTemplate": {"Placement": None}}, id="null"),
    pytest.param({"Labels": {}, "TaskTemplate": {"Placement": {}}}, id="empty"),
    pytest.param({"TaskTemplate": {"Placement": {"Constraints": None}}}, id="null constraints"),
    pytest.param({"TaskTemplate": {"Placement": {"Constraints": [], "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]}}}, id="preference"),
    pytest.param({"Labels": {"a": "b"}, "UpdateConfig": {"Parallelism": 2, "Delay": 10**9, "Order": "stop-first"},
                  "TaskTemplate": {"Placement": {"Constraints": ["node.role==worker", "node.id!=id1"]}}}, id="all, and the same constraint"),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_spec_comes_back_byte_equal(shape):
    spec = {"Name": "web", **copy.deepcopy(shape)}
    out = evacuated(spec, "id1", "start-first")
    assert spec == {"Name": "web", **shape}
    assert out["TaskTemplate"]["Placement"]["Constraints"][-1] == "node.id!=id1"
    assert (out["UpdateConfig"]["Order"], out["UpdateConfig"]["Parallelism"], out["UpdateConfig"]["FailureAction"]) == ("start-first", 1, "pause")
    assert "Delay" not in out["UpdateConfig"]
    assert (evacuating(out), evacuating(spec)) == ("id1", "")
    assert restored(out) == spec
    assert restored(spec) == spec


def test_what_somebody_else_changed_meanwhile_stays():
    out = evacuated({"Name": "web", "TaskTemplate": {"Placement": {}}}, "id1", "start-first")
    out["TaskTemplate"]["Placement"]["Constraints"].append("node.role==worker")
    out["Labels"]["theirs"] = "kept"
    assert restored(out) == {"Name": "web", "Labels": {"theirs": "kept"}, "TaskTemplate": {"Placement": {"Constraints": ["node.role==worker"]}}}


@pytest.mark.parametrize("label", ["", "no json", "[]", '{"node": 1}'])
def test_a_label_that_is_not_ours_is_no_drain(label):
    spec = {"Labels": {LABEL: label}, "TaskTemplate": {}}
    assert evacuating(spec) == ""
    assert restored(spec) is spec


@pytest.mark.parametrize(
    ("owner", "state", "holds"),
    [("gone", "new", False), ("gone", "allocated", False), ("gone", "running", True), ("gone", "starting", True), ("web", "new", True),
     ("web", "complete", False)],
)
def test_a_task_of_a_removed_service_that_never_started_keeps_no_node(owner, state, holds):
    """Docker 20.10 keeps such a task of a global job, as a pre-pull is one, for good: the node would never be empty."""
    left = {"ID": "t1", "ServiceID": owner, "NodeID": "id1", "DesiredState": "complete", "Status": {"State": state}}
    world = World("c1", {}, services=({"ID": "web", "Spec": {"Name": "web", "Mode": {"Replicated": {"Replicas": 1}}}},), tasks=(left,))
    assert bool(holding(world, "id1", ())) is holds
