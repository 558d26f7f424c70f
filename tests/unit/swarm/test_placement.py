# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Constraints, platforms and room as swarmkit's scheduler sees them (manager/constraint/constraint.go, manager/scheduler/filter.go)."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec import placement
from swarm_objects import NODES, node, spec, task

HOME = node("Web-1", role="worker", labels={"zone": "A", "Disk": "ssd"}, engine_labels={"os": "debian"}, address="10.0.3.7")


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("node.id==id-Web-1", True), ("node.id == ID-web-1", True), ("node.id!=id-Web-1", False), ("NODE.ID==id-web-1", True),
        ("node.hostname==web-1", True), ("node.hostname!=web-2", True), ("node.role==worker", True), ("node.role == WORKER", True),
        ("node.role!=manager", True), ("node.role==manager", False), ("node.platform.os==linux", True), ("node.platform.arch==X86_64", True),
        ("node.platform.arch==amd64", False), ("node.labels.zone==a", True), ("Node.Labels.zone==a", True), ("node.labels.Zone==a", False),
        ("node.labels.Disk==SSD", True), ("node.labels.disk==ssd", False), ("node.labels.gone!=x", True), ("node.labels.gone==x", False),
        ("engine.labels.os==Debian", True), ("engine.labels.os!=debian", False), ("engine.labels.gone!=x", True),
        ("node.ip==10.0.3.7", True), ("node.ip==10.0.0.0/16", True), ("node.ip!=10.0.0.0/16", False), ("node.ip==10.1.0.0/16", False),
        ("node.ip!=nonsense", False), ("node.labels.!=x", False), ("node.colour==red", False), ("node.colour!=red", False),
    ],
)
def test_a_constraint_is_met_as_swarmkit_meets_it(expression, met):
    assert placement.matches([expression], HOME) is met


@pytest.mark.parametrize("expression", ["node.role", "node.role=worker", "==x", "1node==x", "n==x", "node.id==", "node.labels.a==b,c", "node.labels.a b==c",
                                        "node.id==x>y", "node.id==ü"])
def test_what_the_engine_refuses_is_refused(expression):
    with pytest.raises(ValueError, match="constraint"):
        placement.parse([expression])


def test_the_first_operator_of_the_list_splits():
    """`a!=b==c`: == is looked for first, so the key would be `a!=b`, which is none."""
    with pytest.raises(ValueError, match="key 'node.labels.a!=b' is invalid"):
        placement.parse(["node.labels.a!=b==c"])


def test_all_constraints_must_hold_and_those_that_do_not_are_named():
    unmet = placement.unmet(placement.parse(["node.role==worker", "node.labels.zone!=A", "node.hostname==x"]), HOME)
    assert list(map(str, unmet)) == ["node.labels.zone!=A", "node.hostname==x"]


@pytest.mark.parametrize(
    ("platforms", "arch", "fits"),
    [([], "x86_64", True), ([{"Architecture": "amd64", "OS": "linux"}], "x86_64", True), ([{"Architecture": "x86_64"}], "amd64", True),
     ([{"Architecture": "arm64", "OS": "linux"}], "aarch64", True), ([{"Architecture": "arm64", "OS": "linux"}], "x86_64", False), ([{}], "riscv64", True),
     ([{"OS": "windows"}], "x86_64", False), ([{"Architecture": "arm64"}, {"Architecture": "amd64"}], "x86_64", True)],
)
def test_a_platform_fits_as_swarmkit_compares(platforms, arch, fits):
    assert placement.platform_fits(platforms, node("x", arch=arch)) is fits


@pytest.mark.parametrize(
    ("asked", "of", "said"),
    [
        (spec(), node("x", availability="pause"), "is ready, availability pause"),
        (spec(), node("x", state="down"), "is down, availability active"),
        (spec(constraints=["node.role==worker"]), node("x"), "does not meet node.role==worker"),
        (spec(Placement={"Platforms": [{"Architecture": "arm64", "OS": "linux"}]}), node("x"), "is linux/x86_64, the image is for linux/arm64"),
        (spec(LogDriver={"Name": "splunk"}), node("x", plugins=[{"Type": "Log", "Name": "json-file"}]), "lacks log driver splunk"),
        (spec(LogDriver={"Name": "splunk"}), node("x"), ""),
        (spec(ContainerSpec={"Image": "a", "Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}]}), node("x"),
         "lacks volume driver nfs"),
        (spec(), node("x"), ""),
    ],
)
def test_why_a_node_takes_no_task(asked, of, said):
    assert placement.why_not(asked, of) == said


@pytest.mark.parametrize(
    ("asked", "tasks", "without_own", "count"),
    [
        pytest.param(spec(memory=3 << 30), [], True, 2, id="memory: 8 GiB take 3 GiB twice"),
        pytest.param(spec(memory=3 << 30), [task("a", spec(name="t_db", memory=4 << 30))], True, 1, id="others hold theirs"),
        pytest.param(spec(memory=3 << 30), [task("a", spec(name="t_db", memory=4 << 30), state="shutdown", wanted="shutdown")], True, 2, id="the dead do not"),
        pytest.param(spec(memory=3 << 30), [task("a", spec(memory=3 << 30))], True, 2, id="own tasks make room when they go first"),
        pytest.param(spec(memory=3 << 30), [task("a", spec(memory=3 << 30)), task("b", spec(memory=3 << 30))], False, 0, id="and do not when they stay"),
        pytest.param(spec(maximum=1), [task("a", spec())], False, 0, id="max_replicas_per_node with start-first (moby 40797)"),
        pytest.param(spec(ports=[80]), [], True, 1, id="a host port: one a node"),
        pytest.param(spec(ports=[80]), [task("a", spec(name="t_db"))], True, 0, id="a host port that another service has there"),
        pytest.param(spec(), [], True, 1 << 30, id="nothing asked"),
    ],
)
def test_how_many_tasks_a_node_takes(asked, tasks, without_own, count):
    left = placement.room(NODES[0], tasks, {"id-t_db": frozenset({("tcp", 80)})}, "id-s_web", without_own)
    assert placement.fits(asked, left)[0] == count


def test_generic_resources_are_counted_by_kind():
    gpus = {**NODES[0], "Description": {**NODES[0]["Description"], "Resources": {"GenericResources": [
        {"NamedResourceSpec": {"Kind": "gpu", "Value": "0"}}, {"NamedResourceSpec": {"Kind": "gpu", "Value": "1"}}]}}}
    one = spec(Resources={"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}})
    assert placement.fits(one, placement.room(gpus, [task("a", one)], {}, "", True))[0] == 1


@pytest.mark.parametrize(("mode", "name", "count"), [
    (None, "replicated", 1), ({"Replicated": {}}, "replicated", 1), ({"Replicated": {"Replicas": 0}}, "replicated", 0), ({"Global": {}}, "global", 0),
    ({"ReplicatedJob": {"TotalCompletions": 4}}, "replicated-job", 4), ({"ReplicatedJob": {}}, "replicated-job", 1), ({"GlobalJob": {}}, "global-job", 0)])
def test_modes(mode, name, count):
    asked = {"Mode": mode} if mode else {}
    assert (placement.mode_of(asked), placement.replicas_of(asked)) == (name, count)
