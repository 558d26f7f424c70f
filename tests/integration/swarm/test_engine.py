# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client against real managers (tests/unit/swarm/test_engine.py breaks connections in the right place)."""

from __future__ import annotations

import base64
import json
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine, Exists, Gone, OutOfSequence
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import CONFIG_MAX


def options(lab, **more):
    return {**lab.connection(), "docker_host": [one["docker_host"] for one in lab.managers], **more}


@pytest.fixture(scope="module")
def engine(swarm_lab):
    found = Engine.connect(options(swarm_lab))
    yield found
    found.close()


def test_the_cluster_is_found_behind_endpoints_that_do_not_answer(swarm_lab, engine):
    address = swarm_lab.managers[0]["address"]
    found = Engine.connect(options(swarm_lab, docker_host=[f"tcp://{address}:1", "tcp://192.0.2.1.invalid:2376", swarm_lab.managers[2]["docker_host"]]))
    assert found.cluster_id == engine.cluster_id == swarm_lab.description["cluster_id"]
    assert found.endpoint == swarm_lab.managers[2]["docker_host"]
    assert {node["ID"] for node in found.nodes()} == {one["node_id"] for one in swarm_lab.managers}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"client_cert": None, "client_key": None}, "tls_rejected", id="no certificate of ours"),
        pytest.param({"ca_path": None}, "tls_untrusted", id="the CAs of the system"),
        pytest.param({"tls_hostname": "elsewhere.example.org"}, "tls_untrusted", id="another name"),
        pytest.param({"ca_path": None, "client_cert": None, "client_key": None}, "insecure_endpoint", id="plain TCP"),
        pytest.param({"ca_path": None, "client_cert": None, "client_key": None, "allow_plaintext": True}, "endpoint_unreachable", id="plain, accepted"),
        pytest.param({"api_version": "1.99"}, "api_unsupported", id="a version that it does not speak"),
    ],
)
def test_bad_connections_are_told_apart(swarm_lab, change, code):
    with pytest.raises(FleetError) as caught:
        Engine.connect(options(swarm_lab, **change))
    assert caught.value.code == code and caught.value.remedy


def test_a_registry_is_no_engine(swarm_lab):
    with pytest.raises(FleetError) as caught:
        Engine.connect(options(swarm_lab, docker_host=[f"tcp://{swarm_lab.registry['address']}"]))
    assert (caught.value.code, caught.value.details["stage"]) == ("endpoint_unreachable", "tls")


def test_a_config_holds_as_much_as_we_say_and_no_byte_more(engine, stack):
    name = f"{stack('e-size')}_data"
    labels = {"com.docker.stack.namespace": "e-size"}
    made = engine.config_create({"Name": name, "Labels": labels, "Data": base64.b64encode(b"x" * CONFIG_MAX).decode()})
    with pytest.raises(FleetError) as caught:
        engine.config_create({"Name": f"{name}2", "Labels": labels, "Data": base64.b64encode(b"x" * (CONFIG_MAX + 1)).decode()})
    assert caught.value.code == "engine_error" and f"less than {CONFIG_MAX + 1} bytes" in caught.value.message
    engine.config_remove(made)


def test_versions_names_and_absence_have_types_of_their_own(engine, stack):
    name = f"{stack('e-types')}_data"
    body = {"Name": name, "Labels": {"com.docker.stack.namespace": "e-types"}, "Data": "eA=="}
    made = engine.config_create(body)
    with pytest.raises(Exists):
        engine.config_create(body)
    there = engine.config(name)
    engine.config_update(made, there["Version"]["Index"], {**there["Spec"], "Labels": {**body["Labels"], "a": "b"}})
    with pytest.raises(OutOfSequence):
        engine.config_update(made, there["Version"]["Index"], there["Spec"])
    engine.config_remove(made)
    for ask in (engine.config, engine.config_remove, engine.service, engine.node, engine.secret, engine.network, engine.task):
        with pytest.raises(Gone):
            ask("e-nobody")


def test_a_spec_comes_back_as_it_was_sent_and_is_sent_as_it_came(swarm_lab, engine, stack):
    """Through the client twice, with what a shell, JSON or a template would trip over: byte-equal, and no task is started anew (F7)."""
    name, began = stack("e-spec"), time.time()
    labels = {"com.docker.stack.namespace": name, "odd": "$$ ${X} \"'\\ ä\n{{.Node}}", "empty": ""}
    container = {"Image": swarm_lab.image("1"), "Env": ["A=$$B", "C="], "Labels": {"com.docker.stack.namespace": name}, "Hosts": ["10.0.0.1 x"]}
    spec = {"Name": f"{name}_web", "Labels": labels, "TaskTemplate": {"ContainerSpec": container}, "Mode": {"Replicated": {"Replicas": 1}}}
    made = engine.service_create(spec)
    swarm_lab.wait("the task to run", lambda: [one for one in engine.tasks({"service": [made]}) if one["Status"]["State"] == "running"], 90)
    before, tasks = engine.service(made), {one["ID"] for one in engine.tasks({"service": [made]})}
    assert before["Spec"]["Labels"] == labels and before["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == container["Env"]
    engine.service_update(made, before["Version"]["Index"], before["Spec"])
    after = engine.service(made)
    assert json.dumps(after["Spec"]) == json.dumps(before["Spec"]) and after["Version"]["Index"] > before["Version"]["Index"]
    assert {one["ID"] for one in engine.tasks({"service": [made]})} == tasks
    # What the task said, what the registry has, what the engine remembers.
    (task,) = engine.tasks({"service": [made]})
    assert swarm_lab.wait("a line of the task", lambda: engine.task_logs(task["ID"], tail=5), 60)
    reference = swarm_lab.image("2")
    digest = engine.distribution(reference)["Descriptor"]["digest"]
    assert engine.distribution(f"{swarm_lab.registry['repository']}@{digest}")["Descriptor"]["digest"] == digest
    with pytest.raises(FleetError) as caught:
        engine.distribution(reference.replace(":2", ":nobody"))
    assert caught.value.code == "engine_error" and "manifest unknown" in caught.value.message
    seen = engine.events(began - 5, wanted={"type": ["service"], "service": [made]})
    assert {"create", "update"} <= {event["Action"] for event in seen}
    with pytest.raises(Gone):
        engine.service_remove("e-nobody")
