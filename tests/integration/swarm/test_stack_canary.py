# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A canary without a second service: some replicas on the new version, a decision, and nobody else in between. Gates that ask the Swarm."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.gates import Tools, run_gates
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.checkers import connecting
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine

sys.path.insert(0, str(Path(__file__).parent))

from stacks import HEAD, Stack  # noqa: E402

WEB = """\
  web:
    image: IMAGE
    stop_grace_period: 1s
    environment: {VERSION: "${VERSION:-1}"}
    deploy:
      replicas: 3
      update_config: {parallelism: 3, monitor: 1s}
      restart_policy: {delay: 100ms}
      endpoint_mode: dnsrr
"""
QUIET = [{"name": "full", "type": "swarm", "count": 1, "when": "step"}, {"name": "quiet", "type": "events", "count": 1, "when": "step"}]


@pytest.fixture(scope="module")
def web(swarm_lab, tmp_path_factory):
    swarm_lab.remove("d-canary")
    web = Stack(swarm_lab, tmp_path_factory.mktemp("canary"), "d-canary", waves=1)
    web.file.write_text(HEAD + WEB.replace("IMAGE", web.image), encoding="utf-8")
    web.ok()
    yield web
    swarm_lab.remove("d-canary")


def versions(web: Stack) -> dict[str, str]:
    """VERSION of each task that runs, by its id."""
    service = web.services()["d-canary_web"]["ID"]
    tasks = [one for one in web.api.tasks() if one.get("ServiceID") == service and one["Status"]["State"] == one["DesiredState"] == "running"]
    return {one["ID"]: next(entry for entry in one["Spec"]["ContainerSpec"]["Env"] if entry.startswith("VERSION=")) for one in tasks}


def test_a_share_waits_for_its_promotion_and_lets_nobody_else_write(web):
    new = {"VERSION": "2"}
    done = web.ok(state="canary", canary={"share": 30}, env=new, gates=QUIET)
    assert done["outcome"] == "canary" and [one["verdict"] for one in done["evidence"]["gates"]] == ["passed", "passed"]
    seen = versions(web)
    assert sorted(seen.values()) == ["VERSION=1", "VERSION=1", "VERSION=2"] and len(web.ours("rollout")) == 1
    again = web.ok(state="canary", canary={"share": 30}, env=new)
    assert (again["changed"], versions(web)) == (False, seen)
    assert web.fails(env={"VERSION": "3"})["code"] == web.fails(state="absent")["code"] == "rollout_open"
    web.ok(state="canary", canary={"share": 60}, env=new)
    assert sorted(versions(web).values()) == ["VERSION=1", "VERSION=2", "VERSION=2"]
    canaries = {task for task, version in versions(web).items() if version == "VERSION=2"}
    assert web.ok(env=new)["outcome"] == "converged"
    assert set(versions(web).values()) == {"VERSION=2"} and canaries <= set(versions(web)), "promotion starts no canary anew"
    assert web.ours("rollout") == [] and web.ok(env=new)["changed"] is False


def test_a_canary_that_is_given_up_leaves_the_specs_of_before(web):
    before = web.specs()
    web.ok(state="canary", canary={"share": 30}, env={"VERSION": "4"})
    assert web.specs() != before
    assert web.ok(revision="stable")["outcome"] == "converged"
    assert web.specs() == before and web.ours("rollout") == [] and len(set(versions(web).values())) == 1


def test_a_canary_that_fails_goes_back_by_itself(web):
    before = web.specs()
    gate = {"name": "no", "type": "tcp", "host": "127.0.0.1", "port": 9, "when": "step", "count": 1}
    failure = web.fails(state="canary", canary={"share": 30}, env={"VERSION": "5"}, gates=[gate])
    assert (failure["code"], failure["details"]["outcome"]) == ("gate_failed", "rolled_back")
    assert web.specs() == before and web.ours("rollout") == []


def test_who_cannot_have_a_canary_is_told_before(web):
    alone = web.write("alone.yml", 'version: "3.8"\nservices:\n  web: {deploy: {replicas: 1}}\n')
    failure = web.fails(state="canary", canary={"share": 30}, compose=[str(web.file), str(alone)], env={"VERSION": "6"})
    assert failure["code"] == "canary_impossible" and "1 replicas, two are needed" in failure["message"]


def test_gates_that_stand_alone_ask_the_swarm(web):
    types, tools = connecting(Engine.connect), Tools(lambda *_arguments, **_options: None)
    connection = web.lab.connection(1)

    def ask(kind, **keys):
        return run_gates([{"name": "it", "type": kind, "connection": connection, "timeout": 30, **keys}], types, tools)["checks"][0]["evidence"]

    assert ask("swarm", stack="d-canary")["services"] == {"d-canary_web": {"running": 3, "wanted": 3}}
    assert ask("events", stack="d-canary", since=time.time())["events"] >= 0
    for keys, said in (({"stack": "d-nobody"}, "no service is in d-nobody"), ({"services": ["d-none"]}, "service_missing: No service is called d-none")):
        with pytest.raises(FleetError) as failure:
            ask("swarm", **keys)
        assert said in failure.value.message
