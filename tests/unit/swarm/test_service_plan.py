# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.revision import Content, Revision
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.service.plan import TOKEN, Asked, change_of, restarts_of, wanted
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.service.run import read

NETWORKS = {"n1": "web_default"}


def spec(image="app:1", replicas=2, force=0, labels=None, **more):
    template = {"ContainerSpec": {"Image": image, "Isolation": "default"}, "ForceUpdate": force, "Networks": [{"Target": "n1"}], "Runtime": "container"}
    return {"Name": "web_a", "Labels": labels or {}, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}, **more}


def live(*words, previous=None, **more):
    found = {"ID": "s1", "Version": {"Index": 7}, "Spec": spec(*words, **more)}
    return {**found, "PreviousSpec": previous} if previous else found


def stored(number, given, stable=True, status="succeeded"):
    return Revision("web", number, "deploy", Content({given["Name"]: given}), stable=stable, status=status)


def planned(there, revisions=(), **asked):
    target = wanted(Asked("web_a", **asked), there, revisions, "web", NETWORKS)
    return target, change_of(there, target, NETWORKS)


def refused(*words, **asked):
    with pytest.raises(FleetError) as caught:
        planned(*words, **asked)
    return caught.value


@pytest.mark.parametrize(
    ("asked", "action", "restarts", "word"),
    [
        pytest.param({}, "none", "none", "scale", id="nothing asked"),
        pytest.param({"replicas": 2}, "none", "none", "scale", id="as many as there are"),
        pytest.param({"replicas": 5}, "update", "none", "scale", id="more"),
        pytest.param({"replicas": 0}, "update", "none", "scale", id="none at all"),
        pytest.param({"redistribute": "a"}, "update", "all", "redeploy", id="another place"),
        pytest.param({"redistribute": "a", "replicas": 3}, "update", "all", "redeploy", id="both"),
        pytest.param({"state": "absent"}, "remove", "all", "remove", id="gone"),
    ],
)
def test_only_what_is_asked_for_is_done(asked, action, restarts, word):
    target, change = planned(live(), **asked)
    assert (change.action, change.restarts, target.action) == (action, restarts, word)
    if "replicas" in asked:
        assert target.spec["Mode"] == {"Replicated": {"Replicas": asked["replicas"]}}
    if target.spec is not None:
        # Nothing else of the spec is touched, the order of its keys neither.
        assert list(target.spec) == list(live()["Spec"])
    assert bool(change.reasons) == (action != "none")


def test_the_same_token_acts_once():
    target, change = planned(live(force=3), redistribute="a")
    assert target.spec["TaskTemplate"]["ForceUpdate"] == 4 and target.spec["Labels"][TOKEN] == "a"
    again, change = planned({**live(), "Spec": target.spec}, redistribute="a")
    assert change.action == "none" and again.spec == target.spec
    assert planned({**live(), "Spec": target.spec}, redistribute="b")[0].spec["TaskTemplate"]["ForceUpdate"] == 5


def test_a_revision_takes_the_count_that_is_asked_for_beside_it():
    target, change = planned(live("app:2"), [stored(1, spec("app:1")), stored(2, spec("app:2"))], revision="previous", replicas=4)
    assert (target.spec["TaskTemplate"]["ContainerSpec"]["Image"], target.spec["Mode"]["Replicated"]["Replicas"]) == ("app:1", 4)
    assert target.action == "rollback" and any("app:2 becomes app:1" in reason for reason in change.reasons) and change.restarts == "all"


def test_a_stored_spec_is_the_live_one_without_the_engines_defaults_and_ids():
    """Else going back would write, and count, a second time."""
    bare = {"Name": "web_a", "TaskTemplate": {"ContainerSpec": {"Image": "app:1"}, "Networks": [{"Target": "web_default"}]}}
    bare["Mode"] = {"Replicated": {"Replicas": 2}}
    assert planned(live(), [stored(1, bare)], revision=1)[1].action == "none"


def test_going_back_in_count_alone_replaces_no_task():
    """The stored spec is as the CLI wrote it, the live one as the engine keeps it, and it was redistributed meanwhile."""
    bare = {"Name": "web_a", "TaskTemplate": {"ContainerSpec": {"Image": "app:1"}, "Networks": [{"Target": "web_default"}]}}
    bare["Mode"] = {"Replicated": {"Replicas": 1}}
    there = live(force=3)
    target, change = planned(there, [stored(1, bare)], revision=1)
    assert (change.action, change.restarts, change.reasons) == ("update", "none", ("revision 1: replicas 2 becomes 1",))
    assert target.spec["TaskTemplate"] == there["Spec"]["TaskTemplate"]


def test_without_history_the_engines_previous_spec_is_taken_only_by_name():
    there = live("app:2", previous=spec("app:1@sha256:ab"))
    failure = refused(there, revision="previous")
    assert failure.code == "no_rollback_target" and "expect_image: app:1@sha256:ab" in failure.remedy
    for image in ("app:1@sha256:ab", "app:1"):
        target, change = planned(there, revision="previous", expect_image=image)
        assert change.action == "update" and target.spec["TaskTemplate"]["ContainerSpec"]["Image"] == "app:1@sha256:ab"
    assert refused(there, revision="previous", expect_image="app:0").code == "no_rollback_target"


@pytest.mark.parametrize("previous", [None, spec("app:2")], ids=["none is kept", "a no-op update wrote over it"])
def test_a_previous_spec_that_is_none(previous):
    assert refused(live("app:2", previous=previous), revision="previous", expect_image="app:2").code == "no_rollback_target"


def test_the_previous_spec_of_the_engine_is_not_asked_where_there_is_a_history():
    """F2: it may be a canary."""
    there = live("app:2", previous=spec("app:canary"))
    target, _change = planned(there, [stored(1, spec("app:1")), stored(2, spec("app:2"))], revision="previous")
    assert target.source == "revision 1"


def test_revisions_that_will_not_do_are_told():
    history = [stored(1, {**spec(), "Name": "web_b"}), stored(2, spec("app:2"))]
    missing = refused(live(), history, revision=1)
    assert missing.code == "revision_unavailable" and "2 have" in missing.message
    assert refused(live(), history, revision=9).code == "revision_unavailable"
    assert refused(live(), history, revision="stable", expect_image="app:1").code == "no_rollback_target"
    assert refused(live(), [], revision="stable").code == "revision_unavailable"


@pytest.mark.parametrize("mode", [{"Global": {}}, {"ReplicatedJob": {"TotalCompletions": 1}}, {}])
def test_only_a_replicated_service_has_a_count(mode):
    assert refused(live(Mode=mode), replicas=3).code == "option_invalid"


@pytest.mark.parametrize(
    ("change", "restarts"),
    [
        pytest.param({"Labels": {"a": "b"}}, "none", id="labels"),
        pytest.param({"UpdateConfig": {"Parallelism": 2}}, "none", id="update settings"),
        pytest.param({"EndpointSpec": {"Mode": "dnsrr"}}, "all", id="endpoint"),
        pytest.param({"TaskTemplate": {**spec()["TaskTemplate"], "Placement": {"Constraints": ["node.id!=x"]}}}, "some", id="constraint"),
        pytest.param({"TaskTemplate": {"ContainerSpec": {"Image": "app:2"}}}, "all", id="image"),
    ],
)
def test_which_tasks_are_replaced(change, restarts):
    assert restarts_of(spec(), {**spec(), **change}) == restarts


def test_options_that_contradict_each_other_are_told_at_once():
    with pytest.raises(FleetError) as caught:
        read({"name": "a", "state": "absent", "revision": "newest", "replicas": -1})
    assert caught.value.code == "option_invalid"
    assert [finding["field"] for finding in caught.value.details["findings"]] == ["revision", "replicas", "state"]
    with pytest.raises(FleetError) as caught:
        read({"name": "a", "lock_ttl": 0, "history_keep": 0, "wait_timeout": 0.5})
    assert [finding["field"] for finding in caught.value.details["findings"]] == ["lock_ttl", "history_keep", "wait_timeout"]
    with pytest.raises(FleetError) as caught:
        read({"name": "a", "expect_image": "x"})
    assert caught.value.code == "option_invalid"
