# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client against managers that break in the right place; tests/integration/swarm asks real ones."""

from __future__ import annotations

import importlib
import json

import pytest
from fake_cluster import Cluster
from fake_engine import Manager

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client import pool, wire
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine, Exists, Gone, OutOfSequence
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.logs import text_of
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.same import same

SPEC = {"Name": "web", "Labels": {"a": "1"}, "TaskTemplate": {"ContainerSpec": {"Image": "app:1", "Unheard": {"of": [None, "", 0]}}}}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pool, "PAUSE", 0.01)


@pytest.fixture
def make(tmp_path):
    made = []

    def manager(name="m1", cluster=None, **more):
        made.append(Manager(tmp_path / name, cluster, **more))
        return made[-1]

    yield manager
    for one in made:
        one.stop()


@pytest.fixture
def three(make):
    cluster = Cluster()
    return [make(name, cluster) for name in ("m1", "m2", "m3")]


def connect(*managers, patience=30, **more):
    hosts = [f"unix://{one if isinstance(one, str) else one.path}" for one in managers]
    return Engine.connect({"docker_host": hosts, "timeout": 5, **more}, patience=patience)


def refused(*managers, **more):
    with pytest.raises(FleetError) as caught:
        connect(*managers, **more)
    return caught.value


# --- connecting


def test_specs_go_through_as_they_are(make):
    """A field that nobody here knows, nulls and empty values in it, and the order of keys: the SDK's models would drop them."""
    manager = make()
    engine = connect(manager)
    made = engine.service_create(SPEC, auth="bm9uZQ==")
    assert manager.headers[-1]["X-Registry-Auth"] == "bm9uZQ=="
    seen = engine.service(made)
    assert json.dumps(seen["Spec"]) == json.dumps(SPEC)
    changed = {**SPEC, "Labels": {"a": "2"}}
    assert engine.service_update(made, seen["Version"]["Index"], changed) == ("so it is",)
    assert json.dumps(engine.service(made)["Spec"]) == json.dumps(changed)
    assert "X-Registry-Auth" not in manager.headers[-2]


def test_hostile_names_stay_one_segment(make):
    manager = make()
    with pytest.raises(Gone):
        connect(manager).service("../../info?x=#")
    assert manager.asked[-1] == "GET /services/..%2F..%2Finfo%3Fx%3D%23"


@pytest.mark.parametrize(
    ("swarm", "code", "word"),
    [
        pytest.param({"ControlAvailable": False, "RemoteManagers": [{"Addr": "10.0.0.9:2377"}]}, "not_manager", "10.0.0.9", id="a worker"),
        pytest.param({"ControlAvailable": False, "LocalNodeState": "inactive"}, "not_manager", "in no Swarm", id="no Swarm"),
        pytest.param({"ControlAvailable": False, "LocalNodeState": "locked"}, "not_manager", "unlock", id="locked"),
        pytest.param({"Cluster": None, "RemoteManagers": [{}, {}, {}], "Error": "no leader"}, "quorum_lost", "2 have to", id="no leader"),
    ],
)
def test_who_cannot_answer_for_the_cluster_is_told(make, swarm, code, word):
    failure = refused(make(**swarm), patience=0.05)
    assert failure.code == code and word in failure.message + failure.remedy


def test_an_older_engine_and_a_version_that_it_does_not_speak(make):
    manager = make()
    manager.version = "1.40"
    assert refused(manager).code == "api_unsupported"
    manager.version = "1.45"
    assert refused(manager, api_version="1.46").code == "api_unsupported"
    assert connect(manager).api_version == "1.45" and connect(manager, api_version="1.41").api_version == "1.41"


def test_a_manager_behind_dead_workers_and_foreigners_is_found(make, tmp_path):
    worker, good = make("worker", ControlAvailable=False), make("good")
    engine = connect(str(tmp_path / "nobody"), worker, good)
    assert engine.endpoint.endswith("/good") and engine.cluster_id == "c1"


def test_all_endpoints_are_named_when_none_will_do(make, tmp_path):
    failure = refused(str(tmp_path / "nobody"), make("worker", ControlAvailable=False))
    assert failure.code == "not_manager"
    assert [entry["code"] for entry in failure.details["endpoints"]] == ["endpoint_unreachable", "not_manager"]


def test_a_pinned_cluster_is_the_only_one_that_is_spoken_to(make):
    manager = make(cluster_id="other")
    with pytest.raises(FleetError) as caught:
        Engine.connect({"docker_host": [f"unix://{manager.path}"]}, cluster_id="mine")
    assert (caught.value.code, caught.value.details["cluster_id"]) == ("cluster_mismatch", "other")


def test_a_library_that_is_missing_or_old_is_named(make, monkeypatch):
    manager = make()
    with monkeypatch.context() as patched:
        patched.setattr(importlib.import_module("docker"), "__version__", "6.1.3")
        assert "6.1.3" in refused(manager).message
    with monkeypatch.context() as patched:
        patched.setitem(__import__("sys").modules, "docker", None)
        failure = refused(manager)
    assert failure.code == "tool_missing" and "pip install 'docker>=7.1'" in failure.remedy


def test_the_environment_does_not_change_where_we_ask(make, monkeypatch):
    """REQUESTS_CA_BUNDLE would take the place of ca_path, a proxy would get in between."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    assert connect(make()).cluster_id == "c1"


# --- reads


def test_a_read_goes_on_with_the_next_manager(three):
    engine = connect(*three)
    three[0].stop()
    assert engine.services() == () and engine.endpoint.endswith("/m2")
    three[1].plan["GET /services"] = ["drop"]
    assert engine.services() == () and engine.endpoint.endswith("/m3")


def test_a_read_waits_for_a_leader(three):
    engine = connect(*three)
    for one in three:
        one.plan["GET /services"] = ["leaderless", "leaderless"]
    assert engine.services() == ()


def test_a_read_never_moves_to_another_cluster(make):
    first, foreign = make("first"), make("foreign", cluster_id="c2")
    engine = connect(first, foreign, patience=0.05)
    first.stop()
    with pytest.raises(FleetError) as caught:
        engine.services()
    assert caught.value.code == "cluster_mismatch"
    assert "GET /services" not in foreign.asked


def test_an_engine_that_was_demoted_or_rebuilt_meanwhile_is_looked_at_anew(three):
    engine = connect(*three)
    three[0].plan["GET /services"] = [(503, 'This node is not a swarm manager. Worker nodes can\'t be used to view or modify cluster state.')]
    assert engine.services() == () and engine.endpoint.endswith("/m2")
    three[1].plan["GET /services"] = ["drop"]
    three[1].swarm["Cluster"] = {"ID": "rebuilt"}
    three[2].stop()
    assert engine.services() == () and engine.endpoint.endswith("/m1")


def test_no_answer_at_all_is_a_failure_never_an_empty_list(three):
    engine = connect(*three, patience=0.05)
    for one in three:
        one.stop()
    with pytest.raises(FleetError) as caught:
        engine.services()
    assert caught.value.code == "endpoint_unreachable" and caught.value.details["stage"] == "socket"


def test_what_the_registry_said_is_no_fault_of_the_cluster(three):
    """An engine passes it on with 500 and words like those of a broken connection."""
    engine = connect(*three)
    three[0].plan["GET /distribution/x%3A1/json"] = [(500, "context deadline exceeded")]
    with pytest.raises(FleetError) as caught:
        engine.distribution("x:1")
    assert (caught.value.code, caught.value.details["answer"]) == ("engine_error", "context deadline exceeded")
    assert len([word for one in three for word in one.asked if "distribution" in word]) == 1


# --- writes


@pytest.mark.parametrize("fault", ["drop", "lose", "leaderless", (500, "rpc error: code = Unavailable desc = transport is closing")])
def test_a_write_lands_once_whatever_breaks(three, fault):
    engine = connect(*three)
    made = engine.service_create(SPEC)
    three[0].plan[f"POST /services/{made}/update"] = [fault, fault]
    version = engine.service(made)["Version"]["Index"]
    engine.service_update(made, version, {**SPEC, "Labels": {"a": "2"}})
    found = engine.service(made)
    assert found["Spec"]["Labels"] == {"a": "2"}
    # One update, not two: the version moved once.
    assert found["Version"]["Index"] == version + 1


@pytest.mark.parametrize("fault", ["drop", "lose"])
def test_an_object_is_made_once_whatever_breaks(three, fault):
    engine = connect(*three)
    three[0].plan["POST /configs/create"] = [fault]
    made = engine.config_create({"Name": "c", "Labels": {"token": "1"}, "Data": "eA=="})
    assert list(three[0].cluster.stored["config"]) == [made]


@pytest.mark.parametrize("fault", ["drop", "lose"])
def test_an_object_is_removed_once_whatever_breaks(three, fault):
    engine = connect(*three)
    made = engine.config_create({"Name": "c", "Data": "eA=="})
    three[0].plan[f"DELETE /configs/{made}"] = [fault]
    engine.config_remove(made)
    assert three[0].cluster.stored["config"] == {}
    with pytest.raises(Gone):
        engine.config_remove(made)


def test_a_name_that_somebody_took_meanwhile_is_not_ours(three):
    """The same name with other content, behind an unknown outcome: it is theirs."""
    engine = connect(*three)
    three[0].plan["POST /configs/create"] = ["drop"]
    three[1].cluster.config_create({"Name": "c", "Labels": {"token": "theirs"}, "Data": "eA=="})
    with pytest.raises(Exists):
        engine.config_create({"Name": "c", "Labels": {"token": "ours"}, "Data": "eA=="})


def test_somebody_elses_write_behind_an_unknown_outcome_is_a_conflict(three):
    engine = connect(*three)
    made = engine.service_create(SPEC)
    version = engine.service(made)["Version"]["Index"]
    three[0].plan[f"POST /services/{made}/update"] = ["drop"]
    three[1].cluster.service_update(made, version, {**SPEC, "Labels": {"by": "them"}})
    with pytest.raises(OutOfSequence):
        engine.service_update(made, version, {**SPEC, "Labels": {"by": "us"}})
    assert engine.service(made)["Spec"]["Labels"] == {"by": "them"}


def test_a_stale_version_is_out_of_sequence_at_once(make):
    engine = connect(make())
    made = engine.service_create(SPEC)
    version = engine.service(made)["Version"]["Index"]
    engine.service_update(made, version, SPEC)
    with pytest.raises(OutOfSequence) as caught:
        engine.service_update(made, version, SPEC)
    assert caught.value.code == "conflict"


def test_a_refusal_is_said_in_the_words_of_the_engine(three):
    engine = connect(*three)
    three[0].plan["POST /services/create"] = [(400, "rpc error: code = InvalidArgument desc = port '80' is already in use by service 'x'")]
    with pytest.raises(FleetError) as caught:
        engine.service_create(SPEC)
    assert caught.value.code == "engine_error" and "port '80' is already in use" in caught.value.message


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (500, "rpc error: code = Unknown desc = update out of sequence", OutOfSequence),
        (409, "rpc error: code = AlreadyExists desc = name conflicts with an existing object", Exists),
        (404, "service x not found", Gone),
        (503, "The swarm does not have a leader. It's possible that too few managers are online.", wire.NoLeader),
        (503, "rpc error: code = Unknown desc = raft: no elected cluster leader", wire.NoLeader),
        (503, "This node is not a swarm manager. Use \"docker swarm init\"", wire.NotManager),
        (503, "This node is not part of a swarm", wire.NotManager),
        (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", wire.Unknown),
        (500, "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status", wire.Unknown),
    ],
)
def test_answers_are_told_apart(status, said, kind):
    assert wire.refusal("m1", "POST", "/services/x/update", status, said).__class__ is kind


def test_a_clone_speaks_over_connections_of_its_own(make):
    manager = make()
    engine = connect(manager)
    other = engine.clone()
    engine.close()
    assert other.services() == () and other.cluster_id == "c1"


# --- small parts


def test_frames_of_a_log_are_put_together():
    framed = b"\x01\x00\x00\x00\x00\x00\x00\x04out\n" + b"\x02\x00\x00\x00\x00\x00\x00\x04err\n" + b"\x01\x00\x00\x00\x00\x00\x00\x09cut"
    assert text_of(framed) == "out\nerr\ncut"
    assert text_of(b"a terminal\n\xff") == "a terminal\n\ufffd" and text_of(b"") == ""


def test_nulls_and_empty_values_are_nothing_to_an_engine():
    assert same({"A": None, "B": {"C": []}, "D": 1}, {"D": 1}) and same(None, {})
    assert not same({"A": 0}, {}) and not same({"A": False}, {}) and not same({"A": [None]}, {"A": []})
