# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way of a deployment is found before it begins, all at once."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import Change, Desired, StackPlan, World
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.stack.preflight import CHECKS, findings
from swarm_objects import NODES, node, service, spec, task

HEALTHY = {"ContainerSpec": {"Image": "app:2", "Healthcheck": {"Test": ["CMD", "true"]}}}
OTHER = service(spec(name="t_db", ports=[5432]))


def look(after, *, nodes=NODES, before=None, tasks=(), services=(), levels=None, externals=None, **world):
    before = service(before) if before else None
    action = "update" if before else "create"
    change = Change(after["Name"], action, before=before, after=after, restarts="all" if before else "none")
    found = findings(
        World("c", {}, tuple(nodes), (*services, *([before] if before else ())), tuple(tasks), **world),
        Desired("s", {after["Name"]: after}, externals=externals or {}), StackPlan("s", (change,)), levels or {})
    return [f"{one.level} {one.code} {one.field}: {one.message} | {one.remedy}" for one in found]


def test_nothing_stands_in_the_way():
    assert look(spec(**HEALTHY)) == []


@pytest.mark.parametrize(
    ("asked", "world", "said"),
    [
        (spec(constraints=["node.labels.disk==ssd"], **HEALTHY), {}, "fail unschedulable services.s_web.placement: s_web: No node can take a task: "
         "m1 does not meet node.labels.disk==ssd; m2 does"),
        (spec(constraints=["node.labels.disk=ssd"], **HEALTHY), {}, "fail unschedulable services.s_web.placement.constraints"),
        (spec(memory=6 << 30, replicas=4, **HEALTHY), {}, "4 tasks are wanted, 3 have room: m1: memory: 6442 MB reserved, 8590 MB left"),
        (spec(maximum=1, replicas=4, **HEALTHY), {}, "4 tasks are wanted, 3 have room: m1: max_replicas_per_node is 1"),
        (spec(ports=[80], replicas=4, **HEALTHY), {}, "4 tasks are wanted, 3 have room: m1: one task a node, because of its host port"),
        (spec(ports=[5432], replicas=3, **HEALTHY), {"services": [OTHER], "tasks": [task("a", OTHER["Spec"], on="m2")]},
         "3 tasks are wanted, 2 have room: m1: one task a node, because of its host port; m2: host port 5432/tcp is in use there"),
        (spec(mode={"Global": {}}, **HEALTHY), {"nodes": (NODES[0], node("w", arch="aarch64", availability="pause"))}, None),
        (spec(mode={"Global": {}}, Placement={"Platforms": [{"Architecture": "amd64", "OS": "linux"}]}, **HEALTHY),
         {"nodes": (NODES[0], node("w", arch="aarch64"))}, "Its task cannot run on: w is linux/aarch64, the image is for linux/amd64."),
        (spec(mode={"Global": {}}, constraints=["node.role==worker"], **HEALTHY), {}, "No node meets its constraints."),
        (spec(replicas=0, constraints=["node.role==worker"], **HEALTHY), {}, None),
        (spec(**HEALTHY), {"externals": {"networks": ("edge",), "secrets": ("key",)}, "networks": ({"Name": "edge"},)},
         "fail external_missing secrets.key: The external secret key does not exist. | docker secret create key <file>"),
        (spec(**HEALTHY), {"nodes": (NODES[0], node("m2", reach="unreachable"), node("m3", reach="unreachable"))},
         "fail quorum_lost docker_host: 3 managers, 1 reachable (not: m2, m3), 2 needed."),
    ],
)
def test_what_no_node_takes(asked, world, said):
    found = look(asked, **world)
    assert (found == []) if said is None else any(said in line for line in found), found


def test_an_update_makes_room_by_its_own_tasks_unless_they_stay():
    before, after = spec(maximum=1, replicas=3, **HEALTHY), spec("app:2", maximum=1, replicas=3, order="start-first", **HEALTHY)
    tasks = [task(name, before, on=on) for name, on in (("a", "m1"), ("b", "m2"), ("c", "m3"))]
    assert look({**after, "UpdateConfig": {"Order": "stop-first"}}, before=before, tasks=tasks) == []
    (found,) = look(after, before=before, tasks=tasks)
    assert "update_config.order is start-first and no node takes one task more than there are: m1: max_replicas_per_node is 1" in found
    assert look(after, before=before, tasks=tasks[:2]) == []


def ingress(name, *ports):
    return {**spec(name=name, **HEALTHY), "EndpointSpec": {"Ports": [{"Protocol": "tcp", "PublishedPort": port, "PublishMode": "ingress"} for port in ports]}}


@pytest.mark.parametrize(("other", "own", "taken"), [
    (ingress("t_db", 80), ingress("s_web", 80, 81), True), (ingress("t_db", 80), spec(ports=[80], **HEALTHY), True),
    (spec(name="t_db", ports=[80]), ingress("s_web", 80), True), (spec(name="t_db", ports=[80]), spec(ports=[80], **HEALTHY), False),
    (ingress("t_db", 81), ingress("s_web", 80), False)])
def test_a_port_that_the_engine_refuses(other, own, taken):
    found = look(own, services=[service(other)])
    assert bool(found) is taken
    assert not taken or found[0].startswith("fail port_taken services.s_web.ports: s_web: Port 80/tcp is published by t_db already.")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (spec(), "warn healthcheck_missing healthcheck: No healthcheck in the files for s_web"),
        (spec(ContainerSpec={"Healthcheck": {"Test": ["NONE"]}}), "warn healthcheck_missing"),
        ({**spec(**HEALTHY), "UpdateConfig": {"FailureAction": "rollback", "Delay": int(10e9), "Monitor": int(5e9)}},
         "warn rollback_missed services.s_web.update_config.monitor: s_web: update_config.delay (10 s) is not below monitor (5 s)"),
        (spec(ContainerSpec={**HEALTHY["ContainerSpec"], "Env": ["DB_PASSWORD=x", "A=b", "API_TOKEN_FILE=/run/secrets/t", "SECRET_KEY="]}),
         "warn secret_in_history services.s_web.environment: s_web: DB_PASSWORD look like secrets"),
    ],
)
def test_what_is_only_said(asked, said):
    (found,) = look(asked)
    assert found.startswith(said) and "=x" not in found


def test_levels_are_chosen_by_check():
    asked = spec(constraints=["node.role==worker"])
    assert [line.split()[0] for line in look(asked)] == ["fail", "warn"]
    assert [line.split()[0] for line in look(asked, levels={"placement": "warn", "healthcheck": "fail"})] == ["fail", "warn"]
    assert look(asked, levels=dict.fromkeys(CHECKS, "skip")) == []


def test_what_is_unchanged_runs_and_is_not_judged():
    live = spec(constraints=["node.role==worker"])
    plan = StackPlan("s", (Change("s_web", "none", before=service(live), after=live),))
    assert findings(World("c", {}, NODES, (service(live),)), Desired("s", {"s_web": live}), plan, {}) == []
