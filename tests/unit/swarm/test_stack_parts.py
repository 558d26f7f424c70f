# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions of swarm_stack that need no cluster: versions, paces, shares, what is pulled first, options."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.finding import Finding
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.checkers import checkers
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.verdict.converge import Limits, Snapshot, judge
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import Change, StackPlan
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.stack import argspec, canary, options, prepull
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.stack.rollback import paced
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.stack.writer import Writer, failed
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.wire import OutOfSequence
from swarm_objects import NODES, service, spec, task

OLD, NEW = spec("app:1"), spec("app:2")


class Engine:
    """Holds one service; Swarm moves its version ``moves`` times by itself, somebody else writes ``other``."""

    def __init__(self, moves=0, other=None):
        self.now, self.moves, self.other, self.written = service(OLD, index=10), moves, other, []

    def service_update(self, identity, version, of, auth=None):
        if self.moves:
            self.moves -= 1
            self.now = {**self.now, "Version": {"Index": self.now["Version"]["Index"] + 1}, **({"Spec": self.other} if self.other else {})}
        if version != self.now["Version"]["Index"]:
            raise OutOfSequence("conflict", "update out of sequence")
        self.now = {**self.now, "Spec": of, "Version": {"Index": version + 1}}
        self.written.append(of)

    def service(self, identity):
        return self.now


def test_a_version_that_swarm_moved_is_followed():
    engine = Engine(moves=3)
    assert Writer(engine, "s", lambda: None).update(service(OLD, index=10), NEW)["Spec"] == NEW
    assert engine.written == [NEW]


def test_what_somebody_else_wrote_is_never_written_over():
    engine = Engine(moves=1, other=spec("app:9"))
    with pytest.raises(OutOfSequence):
        Writer(engine, "s", lambda: None).update(service(OLD, index=10), NEW)
    assert engine.written == [] and engine.now["Spec"] == spec("app:9")


def test_nothing_is_written_without_the_lock():
    def lost():
        raise FleetError("lease_lost", "gone")

    engine = Engine()
    with pytest.raises(FleetError, match="gone"):
        Writer(engine, "s", lost).update(service(OLD, index=10), NEW)
    assert engine.written == []


def test_the_way_back_has_its_own_pace_and_never_turns_round():
    own = {**OLD, "RollbackConfig": {"Parallelism": 0, "Order": "start-first", "Delay": 9, "FailureAction": "pause"}}
    assert paced(own)["UpdateConfig"] == {"Parallelism": 0, "Order": "start-first", "Delay": 0, "FailureAction": "continue"}
    assert paced(OLD)["UpdateConfig"]["Parallelism"] == OLD["UpdateConfig"]["Parallelism"]
    assert {**paced(OLD), "UpdateConfig": None} == {**OLD, "UpdateConfig": None}, "no task is touched by the verbatim spec"
    job = spec(mode={"GlobalJob": {}})
    assert paced(job) == job, "a job may have no update settings"


@pytest.mark.parametrize(("replicas", "share", "count"), [(10, 10, 1), (3, 30, 1), (3, 34, 2), (3, 99, 2), (2, 1, 1), (100, 1, 1), (7, 50, 4)])
def test_a_share_is_rounded_up_and_never_all(replicas, share, count):
    assert canary.count(replicas, share) == count


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change("s_web", "update", before=service(OLD), after=NEW), None),
        (Change("s_web", "create", after=NEW), "its plan is to create it"),
        (Change("s_web", "update", before=service(OLD), after=spec(replicas=1)), "it has 1 replicas, two are needed"),
        (Change("s_web", "update", before=service(OLD), after=spec(mode={"Global": {}})), "it is global"),
        (Change("s_web", "update", before=service(OLD), after=spec(replicas=3, ports=[80])), "its host port is taken on every node"),
        (Change("s_web", "update", before=service(OLD), after=spec(replicas=2, ports=[80])), None),
    ],
)
def test_who_can_have_a_canary(change, said):
    found = canary.findings([change], NODES)
    assert (found == []) if said is None else said in found[0].message and found[0].code == "canary_impossible"


def test_a_canary_is_about_the_services_that_are_named():
    plan = StackPlan("s", tuple(Change(f"s_{name}", action) for name, action in (("a", "update"), ("b", "update"), ("c", "none"))))
    assert [change.service for change in canary.chosen(plan, [], "s")] == ["s_a", "s_b"]
    assert [change.service for change in canary.chosen(plan, ["b"], "s")] == ["s_b"] == [change.service for change in canary.chosen(plan, ["s_b"], "s")]


PINNED = "app:2@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "before", "action", "mode", "pulled"),
    [(PINNED, None, "create", "auto", True), (PINNED, PINNED, "update", "auto", False), (PINNED, "app:1", "update", "auto", True),
     ("app:2", None, "create", "auto", False), ("app:2", None, "create", "job", True), (PINNED, PINNED, "update", "job", True),
     (PINNED, None, "create", "none", False), (PINNED, PINNED, "none", "job", False)],
)
def test_what_is_pulled_first(image, before, action, mode, pulled):
    change = Change("s_web", action, before=service(spec(before)) if before else None, after=spec(image))
    assert bool(prepull.wanted([change], mode)) is pulled


def test_the_job_of_a_pull_is_on_the_nodes_of_the_service_and_starts_nothing_of_the_image():
    body = prepull.job("s", spec(PINNED, constraints=["node.role==worker"], maximum=1))
    assert body["TaskTemplate"]["Placement"] == {"Constraints": ["node.role==worker"]} and body["Mode"] == {"GlobalJob": {}}
    assert body["TaskTemplate"]["ContainerSpec"]["Command"] == [prepull.COMMAND] and "com.docker.stack.namespace" not in body["Labels"]
    assert len(body["Name"]) <= 63
    again = prepull.job("s", spec(PINNED, name="s_other", constraints=["node.role==worker"]))
    assert again["Name"] == body["Name"] != prepull.job("t", spec(PINNED, constraints=["node.role==worker"]))["Name"]


def params(**more):
    return {**{name: option.get("default") for name, option in argspec.SPEC.items()}, "name": "s", "compose": ["a.yml"], **more}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, []), ({"revision": "7", "compose": None}, []), ({"state": "absent", "compose": None}, []),
        ({"compose": None}, ["Give either compose or revision."]),
        ({"revision": "7"}, ["Give either compose or revision."]),
        ({"revision": "last", "compose": None}, ["revision is 'last'; expected a number, previous or stable."]),
        ({"name": "a b"}, ["name is 'a b'; a stack is called by"]),
        ({"preflight": {"placement": "no"}}, ["preflight.placement is 'no'; expected one of fail, warn, skip."]),
        ({"preflight": {"placment": "warn"}}, ["preflight.placment: unknown key. Did you mean placement?"]),
        ({"state": "canary"}, ["canary.share is None"]), ({"state": "canary", "canary": {"share": 100}}, ["canary.share is 100"]),
        ({"state": "canary", "canary": {"share": True}}, ["canary.share is True"]),
        ({"canary": {"shares": 1}}, ["canary.shares: unknown key. Did you mean share?"]),
        ({"lock_ttl": 1, "history_keep": 0}, ["history_keep is 0; expected 1 or more.", "lock_ttl is 1; expected 5 or more."]),
        ({"gates": [{"name": "a", "type": "swarm", "stak": "s"}], "name": "-"}, ["name is '-'", "gates[0].stak: unknown key. Did you mean stack?"]),
    ],
)
def test_everything_that_is_wrong_with_the_options_is_said_at_once(given, said):
    found = options.read(params(**given))[1]
    assert len(found) == len(said) and all(isinstance(one, Finding) and one.remedy for one in found)
    assert all(any(one.message.startswith(text) for one in found) for text in said), found


def test_a_failure_names_each_service_and_the_last_place():
    bad = task("x", NEW, state="failed", wanted="shutdown", error="task: non-zero exit (3)", code=3, on="m2")
    timeline = [Snapshot(0, None, (), NODES), Snapshot(1, service(NEW, update="paused", message="failure"), (bad,), NODES)]
    cause = failed([judge(timeline, NEW, Limits())], 1)
    assert cause.code == "update_paused" and cause.details["wave"] == 1
    assert "s_web.1 on m2: failed, task: non-zero exit (3) (exit code 3)" in cause.message
    assert failed([judge([Snapshot(0, service(NEW), (), NODES)], NEW, Limits())]) is None


class Cluster:
    def __init__(self, events=(), tasks=(), services=None):
        self._events, self._tasks, self._services = list(events), tuple(tasks), (service(NEW),) if services is None else services

    def services(self, wanted=None):
        return self._services

    def tasks(self, wanted=None):
        return self._tasks

    def nodes(self, wanted=None):
        return NODES

    def events(self, since, until):
        return self._events


def event(action, second, **attributes):
    return {"Type": "container", "Action": action, "timeNano": int(second * 1e9),
            "Actor": {"Attributes": {"com.docker.swarm.service.id": "id-s_web", "com.docker.swarm.task.name": "s_web.1", **attributes}}}


LATE = task("f", NEW, state="failed", wanted="shutdown", error="boom", at="2026-01-01T00:00:30.5Z")


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (Cluster(), []), (Cluster([event("die", 9, exitCode="0"), event("start", 9)]), []), (Cluster([event("die", 9, exitCode="137")]), ["die of s_web.1"]),
        (Cluster([event("oom", 9)]), ["oom of s_web.1"]), (Cluster([{**event("oom", 9), "Actor": {"Attributes": {}}}]), []),
        (Cluster(tasks=[LATE]), ["a task of s_web failed: boom"]),
    ],
)
def test_events_of_errors_are_findings(cluster, said):
    check = checkers(cluster, "s", 1767225600.0)["events"].check
    assert list(check({"stack": None, "services": None, "since": None}, None).findings) == said


def test_a_gap_in_the_events_does_not_pass():
    """F12: 256 of them, all younger than asked for."""
    check = checkers(Cluster([event("start", 100 + n) for n in range(256)]), "s", 5.0)["events"].check
    with pytest.raises(ValueError, match="all of them are younger"):
        check({"stack": None, "services": None, "since": None}, None)


def test_wanted_equals_running():
    check = checkers(Cluster(tasks=[task("a", NEW)]), "s")["swarm"].check
    assert check({"stack": None, "services": None}, None).findings == ("s_web runs 1 of 2",)
    with pytest.raises(ValueError, match="no service is in s"):
        checkers(Cluster(services=()), "s")["swarm"].check({"stack": None, "services": None}, None)
