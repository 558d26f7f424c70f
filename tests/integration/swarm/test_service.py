# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swarm_service and swarm_stack_info on stacks that the docker CLI deployed, as a playbook runs them and from this process."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.redact import redact
from ansible_collections.bowline.fleet.plugins.module_utils._swarm import faults
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record import records
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.argspec import SERVICE, STACK_INFO
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.history import History
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.lock import Held
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.revision import Content
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.run import run_stack_info
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.service.run import run_service

COMPOSE = """\
version: "3.8"
services:
  web:
    image: {image}
    environment: {{DB_PASSWORD: {canary}-env, MODE: fast}}
    secrets: [key]
    healthcheck: {{disable: true}}
    stop_grace_period: 1s
    deploy: {{replicas: 2, update_config: {{monitor: 1s, parallelism: 2}}}}
secrets:
  key: {{file: {folder}/key}}
"""

CANARY = "canary-zebra-7781"

# Generous, and no longer than a test can wait for what is meant to fail.
LIMITS = {"max_task_failures": 1, "pending_timeout": 30, "progress_deadline": 90, "wait_timeout": 120, "monitor": 1.0, "lock_wait": 60, "lock_ttl": 20}


class Services:
    """The modules from this process: on a slow machine the start of a Python takes longer than the work."""

    def __init__(self, lab):
        self.lab, self.api = lab, lab.api()

    def options(self, spec, **given):
        connection = {**self.lab.connection(), "docker_host": [one["docker_host"] for one in self.lab.managers]}
        return {**{name: option.get("default") for name, option in spec.items()}, **connection, **given}

    def engine(self):
        return Engine.connect(self.options(STACK_INFO))

    def run(self, name, check_mode=False, **given):
        return run_service(self.options(SERVICE, **{**LIMITS, "name": name, **given}), check_mode)

    def failure(self, name, **given):
        with pytest.raises(FleetError) as caught:
            self.run(name, **given)
        return caught.value

    def info(self, **given):
        return run_stack_info(self.options(STACK_INFO, **given))

    def spec(self, name):
        return self.api.inspect_service(name)["Spec"]

    def count(self, name):
        return self.spec(name)["Mode"]["Replicated"]["Replicas"]

    def version(self, name):
        return self.api.inspect_service(name)["Version"]["Index"]

    def tasks(self, name):
        """Ids of the tasks that shall run."""
        return {one["ID"] for one in self.api.tasks(filters={"service": name, "desired-state": "running"})}

    def good(self, name, count):
        found = self.api.tasks(filters={"service": name, "desired-state": "running"})
        return len([one for one in found if one["Status"]["State"] == "running"]) == count


@pytest.fixture(scope="module")
def services(swarm_lab):
    return Services(swarm_lab)


@pytest.fixture(scope="module")
def shop(swarm_lab, services, tmp_path_factory):
    """A stack that the CLI deployed; tests of this module work on it one after the other."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "key").write_text(f"{CANARY}-secret", encoding="utf-8")
    (folder / "shop.yml").write_text(COMPOSE.format(image=swarm_lab.image("1"), canary=CANARY, folder=folder), encoding="utf-8")
    swarm_lab.remove("e-shop")
    swarm_lab.docker("stack", "deploy", "--resolve-image", "never", "-c", folder / "shop.yml", "e-shop")
    swarm_lab.wait("the shop to run", lambda: services.good("e-shop_web", 2), 120)
    yield "e-shop_web"
    swarm_lab.remove("e-shop")


PLAY = """\
---
- name: Give the shop another count and look at it
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/bowline.fleet.swarm: {connection}
  tasks:
    - name: Predict
      bowline.fleet.swarm_service: {{name: e-shop_web, replicas: 1, monitor: 1, redistribute: one, reason: a test}}
      check_mode: true
      diff: true
      register: predicted
    - name: Scale
      bowline.fleet.swarm_service: {{name: e-shop_web, replicas: 1, monitor: 1, redistribute: one, reason: a test}}
      diff: true
      register: real
    - name: Scale again
      bowline.fleet.swarm_service: {{name: e-shop_web, replicas: 1, monitor: 1, redistribute: one, reason: a test}}
      register: again
    - name: Look
      bowline.fleet.swarm_stack_info:
        name: e-shop
        gather: [tasks, history, drift, diff, rollout, logs]
        revision: 1
      register: seen
    - name: Keep
      ansible.builtin.copy:
        content: "{{{{ {{'predicted': predicted, 'real': real, 'again': again, 'seen': seen}} | to_json }}}}"
        dest: {results}
        mode: "0600"
"""


def watched(command):
    """What ``command`` printed, and the command lines of all processes that were seen while it ran."""
    lines: set[str] = set()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "ANSIBLE_NOCOLOR": "1"})
    over = threading.Event()

    def look():
        while not over.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    lines.add(path.read_text(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        told, _none = process.communicate(timeout=300)
    finally:
        over.set()
        thread.join()
    assert process.returncode == 0, told
    assert any("play.yml" in line for line in lines)
    return told, lines


def test_as_a_playbook_runs_them(services, shop, tmp_path):
    """Predicted, done, done again without a write, and seen; nowhere is a secret of the service, of its stack or of the connection."""
    connection = services.options({}, lock_ttl=None)
    connection.pop("lock_ttl")
    results = tmp_path / "results.json"
    (tmp_path / "play.yml").write_text(PLAY.format(connection=json.dumps(connection), results=results), encoding="utf-8")
    before, version = services.spec(shop), services.version(shop)
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-vvv"]
    told, lines = watched([*command, "-e", f"ansible_python_interpreter={sys.executable}", str(tmp_path / "play.yml")])
    found = json.loads(results.read_text(encoding="utf-8"))
    predicted, real, again, seen = (found[word] for word in ("predicted", "real", "again", "seen"))
    assert (predicted["plan"], predicted["diff"]) == (real["plan"], real["diff"]) and predicted["changed"] and predicted["service"]["version"] == version
    assert (real["outcome"], real["service"]["running"], real["revision"]["action"], real["revision"]["reason"]) == ("converged", 1, "redeploy", "a test")
    assert not again["changed"] and again["service"]["version"] == real["service"]["version"] == services.version(shop)
    after = services.spec(shop)
    changed = {**before, "Labels": {**before["Labels"], "bowline.redistribute": "one"}, "Mode": {"Replicated": {"Replicas": 1}}}
    changed["TaskTemplate"] = {**before["TaskTemplate"], "ForceUpdate": before["TaskTemplate"].get("ForceUpdate", 0) + 1}
    assert after == changed
    # The past: what the CLI had deployed was stored first.
    assert [(one["number"], one["action"], one["status"]) for one in seen["revisions"]] == [(1, "adopt", "succeeded"), (2, "redeploy", "succeeded")]
    (stack,) = seen["stacks"]
    assert (stack["stable"], stack["pending"], stack["lock"], stack["rollout"], stack["drift"]) == (2, None, None, None, [])
    assert {row["service"] for row in stack["tasks"]} == {shop} and any(row["lines"] for row in seen["logs"])
    assert '"Replicas": 1' in seen["diff"]["before"] and '"Replicas": 2' in seen["diff"]["after"]
    # Row 11: results, diffs, output with -vvv, command lines.
    key = Path(services.lab.managers[0]["client_key"]).read_text(encoding="utf-8").splitlines()[1]
    for place in (told, json.dumps(found), *lines):
        assert CANARY not in place and key not in place


def test_the_history_holds_no_content_of_secrets(services, shop):
    """Specs with their environments it has to hold, or a service could not be brought back; those are named by the preflight."""
    configs = services.api.configs(filters={"label": ["bowline.subject=e-shop"]})
    assert configs
    for one in configs:
        text = base64.b64decode(one["Spec"]["Data"])
        assert f"{CANARY}-secret".encode() not in text + json.dumps(one["Spec"]["Labels"]).encode()
    revisions = History(services.engine(), "e-shop").revisions()
    assert all(f"{CANARY}-secret" not in json.dumps(one.content.services) for one in revisions)


def test_a_version_that_does_not_run_is_taken_back_byte_for_byte(services, shop):
    """A revision of the history whose image nobody has: the service is as it was, the reason is said, the task ids of what ran are the same."""
    history, spec = History(services.engine(), "e-shop"), services.spec(shop)
    template = spec["TaskTemplate"]
    image = services.lab.image("1").replace(":1", ":nobody")
    bad = {**spec, "TaskTemplate": {**template, "ContainerSpec": {**template["ContainerSpec"], "Image": image}}}
    stored = history.begin("deploy", Content({shop: bad}), {shop: spec}, reason="made by hand")
    number = history.finish(stored, "failed").number
    failure = services.failure(shop, revision=number)
    # Swarm may have paused the update before we have counted its failures.
    assert failure.code in ("image_pull", "update_paused") and failure.details["outcome"] == "rolled_back"
    assert image in failure.message
    assert json.dumps(services.spec(shop)) == json.dumps(spec)
    services.lab.wait("the old tasks", lambda: services.good(shop, services.count(shop)), 90)
    last = history.revisions()[-1]
    assert (last.action, last.status, last.stable) == ("rollback", "rolled_back", False)
    assert CANARY not in json.dumps(redact(failure.as_failure()))


def test_who_works_on_the_stack_is_told_and_nothing_is_written(services, shop):
    engine, version, other = services.engine(), services.version(shop), services.count(shop) + 1
    with Held(engine, "e-shop", reason="another run"):
        failure = services.failure(shop, replicas=other, lock_wait=0)
        assert failure.code == "locked" and failure.details["reason"] == "another run"
        assert services.info(name="e-shop")["stacks"][0]["lock"]["reason"] == "another run"
    record = records.begin(engine, records.ROLLOUT, "e-shop", {}, step="5 %", reason="canary of 7")
    failure = services.failure(shop, replicas=other)
    assert failure.code == "rollout_open" and failure.details["step"] == "5 %"
    assert services.info(name="e-shop", gather=["rollout"])["stacks"][0]["rollout"]["reason"] == "canary of 7"
    records.close(engine, record)
    # A drain has put its constraint into the live spec: what is there is not what its owner wrote.
    drain = records.begin(engine, records.DRAIN, "e-node", {}, step="moving", reason="kernel")
    services.lab.docker("service", "update", "--detach", "--constraint-add", "node.id != e-node", shop)
    assert services.failure(shop, replicas=other).code == "drain_open"
    records.close(engine, drain)
    services.lab.docker("service", "update", "--detach", "--constraint-rm", "node.id != e-node", shop)
    version = services.version(shop)
    assert services.failure(shop, state="absent").code == "in_stack"
    assert services.failure("e-shop_nobody").code == "service_missing"
    assert services.version(shop) == version


@pytest.mark.parametrize("point", ["E4", *(pytest.param(point, marks=pytest.mark.whole) for point in faults.SERVICE_POINTS if point != "E4")])
def test_a_run_that_was_killed_is_ended_by_the_same_command(services, shop, point, tmp_path):
    """The lock is taken over, the same revision is continued, nothing is written twice."""
    count = services.count(shop) + 1
    given = {**{name: value for name, value in services.options(SERVICE, **LIMITS).items() if value is not None}, "lock_ttl": 5, "name": shop}
    path = tmp_path / "arguments.json"
    path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**given, "replicas": count}}), encoding="utf-8")
    command = [sys.executable, "-m", "ansible_collections.bowline.fleet.plugins.modules.swarm_service", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "BOWLINE_FAULT": point})
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    (stack,) = services.info(name="e-shop")["stacks"]
    left, tasks, written = stack["pending"], services.tasks(shop), services.count(shop) == count
    assert stack["lock"] is not None and (left is not None) == (point in ("E2", "E3", "E4")) and written == (point in ("E3", "E4", "E5"))
    again = services.run(shop, replicas=count, lock_ttl=5)
    assert again["outcome"] == ("unchanged" if point == "E5" else "converged")
    if left is not None:
        assert again["revision"]["number"] == left["number"]
    if written:
        assert again.get("steps", []) == [] and services.tasks(shop) == tasks
    assert services.run(shop, replicas=count)["changed"] is False


def test_a_change_past_the_history_is_drift(services, shop):
    services.lab.docker("service", "update", "--detach", "--label-add", "by=hand", "--env-add", f"DB_PASSWORD={CANARY}-other", shop)
    (drift,) = services.info(name="e-shop", gather=["drift"])["stacks"][0]["drift"]
    assert (drift["service"], drift["kind"]) == (shop, "changed") and "Labels.by" in drift["fields"]
    diff = services.info(name="e-shop", gather=["diff"])["diff"]
    # Two values, two hashes, and no value.
    assert diff["before"] != diff["after"] and CANARY not in json.dumps(diff)
    assert services.run(shop, revision="stable", replicas=1)["outcome"] == "converged"
    # The count was given beside it, so that is what the history holds now.
    assert services.info(name="e-shop", gather=["drift"])["stacks"][0]["drift"] == []


def test_a_service_without_history_or_stack(services, stack):
    """F2: the engine's previous spec is what was written last. It is taken only by the name of its image."""
    name = stack("e-alone")
    quick = ("--detach", "--no-resolve-image", "--no-healthcheck", "--stop-grace-period", "1s")
    services.lab.docker("service", "create", *quick, "--name", name, services.lab.image("1"))
    assert services.failure(name, revision="previous").code == "no_rollback_target"
    services.lab.docker("service", "update", "--detach", "--no-resolve-image", "--image", services.lab.image("2"), name)
    failure = services.failure(name, revision="previous")
    assert failure.code == "no_rollback_target" and f"expect_image: {services.lab.image('1')}" in failure.remedy
    done = services.run(name, revision="previous", expect_image=services.lab.image("1"))
    assert (done["outcome"], done["service"]["image"]) == ("converged", services.lab.image("1"))
    assert services.info(service=name)["stacks"][0]["name"] == f"service.{name}"
    gone = services.run(name, state="absent")
    assert gone["changed"] and gone["service"] is None and services.run(name, state="absent")["changed"] is False
    (left,) = services.info(name=f"service.{name}", gather=["drift"])["stacks"]
    assert (left["revision"]["action"], left["services"], left["drift"]) == ("remove", [], [])


def test_a_stack_that_is_not_there_is_an_empty_list(services):
    assert services.info(name="e-nobody", gather=["history", "logs", "tasks"]) == {"changed": False, "stacks": [], "revisions": [], "logs": []}
