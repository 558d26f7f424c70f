# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swarm_node on three real managers: a drain without a dip, what stands in its way, and every place where it can be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import swarm_load  # noqa: E402
from swarm_hands import MODULE, Nodes  # noqa: E402

ALL = os.environ.get("BOWLINE_FAULTS") == "all"
LONG = pytest.mark.skipif(not ALL, reason="make faults")
PORT = 18500
COMPOSE = """\
version: "3.8"
services:
  web:
    image: {image}
    # Python looks as the application sees itself; the limits are those of a machine under load.
    healthcheck: {{test: [CMD, /bin/wget, -q, -O, /dev/null, "http://127.0.0.1:8080/health"], interval: 1s, timeout: 10s, retries: 10}}
    deploy:
      replicas: 1
      endpoint_mode: dnsrr
      update_config: {{parallelism: 2, order: stop-first, monitor: 1s, failure_action: rollback}}
      restart_policy: {{condition: any, delay: 1s}}
    ports:
      - {{target: 8080, published: {port}, mode: host}}
"""


@pytest.fixture(scope="module")
def nodes(swarm_lab, tmp_path_factory):
    return Nodes(swarm_lab, tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def web(swarm_lab, tmp_path_factory):
    """One service of one task on a port of its host, and its spec as the engine has it."""
    name, folder = "n-web", tmp_path_factory.mktemp("web")
    swarm_lab.remove(name)
    (folder / "compose.yml").write_text(COMPOSE.format(image=swarm_lab.image("plain"), port=PORT), encoding="utf-8")
    swarm_lab.docker("stack", "deploy", "--resolve-image", "never", "-c", folder / "compose.yml", name)
    yield f"{name}_web"
    swarm_lab.remove(name)


@pytest.fixture
def ready(nodes, web):
    """The service runs, every node is active, and afterwards nothing of a drain is left."""
    nodes.rest()
    nodes.lab.wait("the service to run", lambda: nodes.holder(web))
    yield nodes
    nodes.rest()
    assert nodes.records() == []
    assert "bowline" not in json.dumps(spec(nodes, web))


@pytest.fixture
def front(nodes, tmp_path):
    return swarm_load.Load(tmp_path, [f"{one['address']}:{PORT}" for one in nodes.lab.managers])


class Guard(threading.Thread):
    """Looks all the time whether the managers are a majority, and how many tasks of a service run."""

    def __init__(self, nodes, service):
        super().__init__()
        self.api, self.service, self.end = nodes.lab.api(), service, threading.Event()
        self.violations, self.lowest = [], 9

    def run(self):
        while not self.end.wait(0.4):
            members = [node["ManagerStatus"] for node in self.api.nodes() if node.get("ManagerStatus")]
            reachable = [one for one in members if one["Reachability"] == "reachable"]
            if len(reachable) <= len(members) // 2 or not any(one.get("Leader") for one in members):
                self.violations.append(members)
            tasks = self.api.tasks(filters={"service": self.service, "desired-state": "running"})
            self.lowest = min(self.lowest, sum(1 for task in tasks if task["Status"]["State"] == "running"))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.end.set()
        self.join()


def spec(nodes, service):
    return nodes.api.inspect_service(service)["Spec"]


def test_every_manager_in_turn_without_a_failed_request(ready, web, front):
    """Each is drained while it runs the only task. Swarm's own drain stands beside it, so that the load is known to notice a dip."""
    before = spec(ready, web)
    with front, Guard(ready, web) as guard:
        drained = []
        while len(drained) < 3:
            here = ready.holder(web)
            # Those that had their turn take nothing new, so that the task comes to each of the three.
            for name in drained[:1] if len(drained) == 1 else []:
                ready.done(name, state="paused")
            outcome = ready.done(here, state="drained", reason="test")
            assert [(move["service"], move["order"], move["lowest"]) for move in outcome["moves"]] == [(web, "start-first", 1)]
            assert outcome["evidence"]["outcome"] == "empty" and outcome["quorum"]["margin"] == 1
            assert ready.run(here, state="drained")["changed"] is False
            drained.append(here)
            for name in set(drained):
                ready.done(name, state="active")
        surge, served = list(front.failures), front.served
        assert sorted(drained) == sorted(ready.all()) and spec(ready, web) == before
        assert (guard.violations, guard.lowest) == ([], 1)
        ready.done(ready.holder(web), state="drained", mode="plain")
        plain = front.failed - len(surge)
    print(f"surge: {len(surge)} of {served} requests failed; plain drain: {plain}")
    assert surge == [] and served > 100 and plain > 0


def test_all_that_stands_in_the_way_is_named_before_the_first_write(ready, web, stack, tmp_path):
    name = stack("n-block")
    here = ready.holder(web)
    compose = f"""\
version: "3.8"
services:
  data:
    image: {ready.lab.image("plain")}
    volumes: ["kept:/kept"]
    deploy: {{placement: {{constraints: ["node.hostname=={here}"]}}, endpoint_mode: dnsrr}}
  job:
    image: {ready.lab.image("plain")}
    # It ends by itself: engine 20.10 leaves the task of a job behind when its service is removed after a drain.
    environment: {{FAULT: crash=25}}
    deploy: {{mode: replicated-job, restart_policy: {{condition: none}}, placement: {{constraints: ["node.hostname=={here}"]}}, endpoint_mode: dnsrr}}
volumes: {{kept: }}
"""
    (tmp_path / "compose.yml").write_text(compose, encoding="utf-8")
    ready.lab.docker("stack", "deploy", "--resolve-image", "never", "-c", tmp_path / "compose.yml", name)
    ready.lab.wait("both to run", lambda: len([task for task in ready.api.tasks(filters={"label": f"com.docker.stack.namespace={name}"})
                                               if task["Status"]["State"] == "running"]) == 2)  # fmt: skip
    versions = [ready.api.inspect_service(one)["Version"] for one in (web, f"{name}_data")]
    failure = ready.refused("drain_blocked", here, state="drained")
    assert sorted((finding["code"], finding["object"]) for finding in failure["details"]["findings"]) == [
        ("job_running", f"{name}_job"), ("local_volume", f"{name}_data"), ("pinned", f"{name}_data")]  # fmt: skip
    assert (ready.records(), ready.all()[here]["Spec"]["Availability"]) == ([], "active")
    assert [ready.api.inspect_service(one)["Version"] for one in (web, f"{name}_data")] == versions
    # The remedies work: accepted by their names, the node is drained, and what could move has moved.
    outcome = ready.done(here, state="drained", accept=["job_running", "local_volume", "pinned"])
    assert sorted(stop["service"] for stop in outcome["stops"]) == [f"{name}_data", f"{name}_job"]
    assert ready.lab.wait("the service to run", lambda: ready.holder(web)) != here
    # Engine 20.10 goes on with a job on a drained node: it was accepted, so the node counts as empty, and is not drained again for it.
    assert outcome["evidence"]["outcome"] == "empty"
    assert ready.run(here, state="drained", accept=["job_running", "local_volume", "pinned"])["changed"] is False
    job = {"service": f"{name}_job"}
    ready.lab.wait("the job to end", lambda: not [task for task in ready.api.tasks(filters=job) if task["Status"]["State"] == "running"], 90)


def kill_points():
    every = [(point, way) for point in ("N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8") for way in ("drained", "active")]
    return every if ALL else [("N3", "drained")]


@pytest.mark.parametrize(("point", "way"), kill_points())
def test_a_drain_that_was_killed_is_finished_or_taken_back(ready, web, front, point, way):
    before, here = spec(ready, web), ready.holder(web)
    with front, Guard(ready, web) as guard:
        ready.killed(here, point, state="drained", lock_ttl=16)
        # The lock of a dead run is taken over when it has shown no life for its time.
        ready.done(here, state=way, lock_ttl=16)
        ready.lab.wait("the service to run", lambda: ready.holder(web))
    assert (front.failures, guard.lowest, guard.violations) == ([], 1, [])
    assert ready.all()[here]["Spec"]["Availability"] == ("drain" if way == "drained" else "active")
    assert (ready.holder(web) != here) if way == "drained" else True
    assert spec(ready, web) == before
    assert [name for name in ready.records() if "drain." in name] == []
    assert ready.run(here, state=way)["changed"] is False


def test_an_event_of_the_node_during_a_drain_kills_nothing(ready, web):
    """F8: the constraint enforcer looks at a node with each of its events, and stops what does not fit, unless the node is paused."""
    here = ready.holder(web)
    process = ready.start("N3:stop", node=here, state="drained")
    try:
        ready.lab.wait("the service to be told", lambda: "node.id!=" in json.dumps(spec(ready, web)))
        old = next(task["ID"] for task in ready.api.tasks(filters={"service": web, "desired-state": "running"}))
        with Guard(ready, web) as guard:
            ready.lab.docker("node", "update", "--label-add", "event=1", here)
            ready.lab.wait("the new task", lambda: len([task for task in ready.api.tasks(filters={"service": web}) if task["Status"]["State"] == "running"]) > 1
                           or ready.holder(web) not in (here, None))  # fmt: skip
        assert guard.lowest == 1, old
    finally:
        os.kill(process.pid, signal.SIGCONT)
        out, err = process.communicate(timeout=120)
    assert json.loads(out or "{}").get("changed"), out or err
    assert ready.holder(web) != here


@LONG
def test_one_drain_at_a_time(ready, web):
    here = ready.holder(web)
    other = next(name for name in ready.all() if name != here)
    ready.killed(here, "N2", state="drained", lock_ttl=5)
    failure = ready.refused("drain_open", other, state="drained", lock_ttl=5)
    assert here in failure["message"] or ready.all()[here]["ID"] in failure["message"]
    assert ready.done(here, state="active", lock_ttl=5)["changed"] is True


@LONG
def test_a_port_that_is_held_everywhere_else_is_seen_before_the_first_write(ready, web):
    """Another service holds it on both other nodes. What the module refuses, swarm_node_info says, too."""
    before, here = spec(ready, web), ready.holder(web)
    held = [name for name in ready.all() if name != here]
    for name in held:
        ready.done(name, labels={"held": "yes"})
    ready.lab.docker("service", "create", "--detach", "--name", "n-hold", "--mode", "global", "--endpoint-mode", "dnsrr", "--constraint",
                     "node.labels.held==yes", "--publish", f"mode=host,target=8080,published={PORT}", ready.lab.image("plain"))  # fmt: skip
    try:
        ready.lab.wait("the port to be held", lambda: len([task for task in ready.api.tasks(filters={"service": "n-hold"})
                                                           if task["Status"]["State"] == "running"]) == 2)  # fmt: skip
        failure = ready.refused("drain_blocked", here, state="drained")
        assert [finding["code"] for finding in failure["details"]["findings"]] == ["host_port"]
        seen = next(node for node in json.loads(_info(ready, here))["nodes"])
        assert [blocker["name"] for blocker in seen["blockers"]] == ["host_port"]
    finally:
        ready.lab.docker("service", "rm", "n-hold")
    assert (spec(ready, web), ready.holder(web)) == (before, here)


@LONG
def test_a_drain_that_does_not_end_in_time_is_taken_back_kept_or_forced(ready, web):
    """The new task cannot come up: the others lack its image. With ``undo`` all is as before; with ``keep`` it is left open, and refuses others."""
    before, here = spec(ready, web), ready.holder(web)
    other = next(name for name in ready.all() if name != here)
    # A health that never comes: the new task starts, and is not yet good at the deadline.
    failure = ready.refused("drain_timeout", here, state="drained", wait_timeout=0.5)
    assert (spec(ready, web), ready.all()[here]["Spec"]["Availability"]) == (before, "active")
    assert "taken back" in failure["message"] and [name for name in ready.records() if "drain." in name] == []
    ready.lab.wait("the service to run", lambda: ready.holder(web))
    here = ready.holder(web)
    other = next(name for name in ready.all() if name != here)
    failure = ready.refused("drain_timeout", here, state="drained", wait_timeout=0.5, on_timeout="keep")
    assert "left open" in failure["message"]
    ready.refused("drain_open", other, state="drained")
    assert ready.done(here, state="drained")["evidence"]["outcome"] == "empty"
    assert spec(ready, web) == before


@LONG
def test_a_drain_is_forced_to_its_end_and_moves_two_services_at_once(ready, web, stack, tmp_path):
    """One of two services comes up nowhere else, as its program ends at once there. Forced, the node is empty all the same; what is short is said."""
    name, here = stack("n-force"), ready.holder(web)
    compose = f"""\
version: "3.8"
services:
  here:
    image: {ready.lab.image("plain")}
    environment: {{FAULT: "{{{{if eq .Node.Hostname \\"{here}\\"}}}}{{{{else}}}}crash{{{{end}}}}"}}
    deploy: {{endpoint_mode: dnsrr, placement: {{constraints: ["node.hostname=={here}"]}}, restart_policy: {{delay: 100ms}}}}
"""
    (tmp_path / "compose.yml").write_text(compose, encoding="utf-8")
    ready.lab.docker("stack", "deploy", "--resolve-image", "never", "-c", tmp_path / "compose.yml", name)
    service = f"{name}_here"
    ready.lab.wait("it to run", lambda: ready.holder(service) == here)
    # Now it may run elsewhere; nothing is replaced by that (F7).
    ready.lab.docker("service", "update", "--detach", "--no-resolve-image", "--constraint-rm", f"node.hostname=={here}", service)
    before = spec(ready, web), spec(ready, service)
    # Which of both comes first is a matter of how long the program takes to crash.
    failure = ready.run(here, state="drained", max_parallel=2, wait_timeout=60)["failure"]
    assert failure["code"] in ("crash_loop", "update_paused") and "taken back" in failure["message"], failure
    assert {web, service} <= set(failure["details"]["moved"]), "both were on their way at once"
    assert (spec(ready, web), spec(ready, service)) == before
    assert ready.all()[here]["Spec"]["Availability"] == "active"
    # What crashes runs for a moment beside the one that was there.
    ready.lab.wait("both to run alone", lambda: ready.holder(service) == here and ready.holder(web))
    # What crashes runs for a moment, too: it may be counted as there, or be missing at the deadline.
    forced = ready.run(here, state="drained", max_parallel=2, wait_timeout=20, on_timeout="force")
    assert forced["evidence"]["outcome"] == "empty" if "failure" not in forced else forced["failure"]["code"] == "drain_timeout", forced
    assert ready.all()[here]["Spec"]["Availability"] == "drain" and (spec(ready, web), spec(ready, service)) == before
    assert [task for task in ready.api.tasks(filters={"node": ready.all()[here]["ID"]}) if task["Status"]["State"] == "running"] == []
    ready.lab.wait("the other one to run", lambda: ready.holder(web) not in (here, None))
    ready.lab.remove(name)
    assert ready.done(here, state="drained")["evidence"]["outcome"] == "empty"


@LONG
def test_role_and_labels(ready, web):
    name = next(name for name in sorted(ready.all()) if name != ready.holder(web) and not ready.all()[name].get("ManagerStatus", {}).get("Leader"))
    foreseen = ready.run(name, role="worker", labels={"disk": "ssd"}, check_mode=True)
    done = ready.done(name, role="worker", labels={"disk": "ssd"})
    assert (foreseen["plan"], foreseen["diff"]) == (done["plan"], done["diff"])
    assert ready.all()[name].get("ManagerStatus") is None and ready.all()[name]["Spec"]["Labels"] == {"disk": "ssd"}
    assert ready.run(name, role="worker", labels={"disk": "ssd"})["changed"] is False
    # One of two managers that are left is not given up by the way.
    ready.refused("quorum_risk", next(other for other in ready.all() if other != name), role="worker")
    done = ready.done(name, role="manager", labels={"disk": None})
    assert (done["node"]["reachability"], done["quorum"]["managers"], done["node"]["labels"]) == ("reachable", 3, {})


def _info(nodes, name):
    process = nodes.start(module=MODULE + "_info", node=name, gather=["blockers", "tasks", "resources"])
    return process.communicate(timeout=60)[0]
