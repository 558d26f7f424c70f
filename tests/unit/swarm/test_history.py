# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import gzip
import json
import random

import pytest
from fake_cluster import Cluster

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record import keep
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.history import History, stacks
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import CONFIG_MAX
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.revision import (
    Content,
    Revision,
    before,
    decoded,
    encoded,
    named,
    secret_findings,
    surplus,
)


def spec(name, image="app:1", **more):
    return {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image, **more}}, "Mode": {"Replicated": {"Replicas": 2}}}


def content(image="app:1", *names):
    return Content({name: spec(name, image) for name in names or ("web_a", "web_b")})


def live(image="app:1", *names):
    return dict(content(image, *names).services)


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def history(cluster):
    return History(cluster, "web")


def test_a_stack_of_somebody_else_is_stored_before_it_is_touched(cluster, history):
    adopted = history.adopt(content())
    assert (adopted.number, adopted.action, adopted.status, adopted.stable) == (1, "adopt", "succeeded", True)
    assert history.adopt(content("app:2")).number == 1
    assert stacks(cluster) == {"web"}


def test_specs_come_back_as_they_were(history):
    """With keys in their order, nulls and empty values, and what JSON and labels could trip over."""
    odd = {"Name": "web_a", "Labels": {"z": "", "a": "ä\n\"'$$"}, "TaskTemplate": {"ContainerSpec": {"Env": [], "Isolation": "default"}}, "X": None}
    history.adopt(Content({"web_a": odd}, {"web_net": {"Driver": "overlay"}}, ("c1",), ("s1",), {"app:1": "sha256:1"}, {"web_a": 2}, ({"name": "g"},)))
    (read,) = history.revisions()
    assert json.dumps(read.content.services["web_a"]) == json.dumps(odd)
    assert read.content == Content({"web_a": odd}, {"web_net": {"Driver": "overlay"}}, ("c1",), ("s1",), {"app:1": "sha256:1"}, {"web_a": 2}, ({"name": "g"},))


def test_the_revision_is_there_before_the_first_change_and_knows_what_was(history):
    history.adopt(content())
    begun = history.begin("deploy", content("app:2"), live("app:drift", "web_a"), reason="7", vcs_ref="abc", operation="op")
    (_adopted, stored) = history.revisions()
    assert (stored.number, stored.parent, stored.status, stored.reason, stored.vcs_ref, stored.operation) == (2, 1, "pending", "7", "abc", "op")
    # What differs from the parent, and None for what of the parent is not there.
    assert stored.baseline == {"web_a": spec("web_a", "app:drift"), "web_b": None}
    assert before(stored, history.revisions()) == live("app:drift", "web_a")
    done = history.finish(begun, "succeeded", stable=True, duration=4.25)
    assert (done.status, done.stable, done.duration) == ("succeeded", True, 4.25)
    assert history.select("stable").number == 2 and history.select("previous").number == 1 and history.select("1").number == 1


def test_a_dead_run_is_continued_by_the_same_content(history):
    history.adopt(content())
    first = history.begin("deploy", content("app:2"), live())
    # Half of it was written when the run died.
    again = history.begin("deploy", content("app:2"), {**live(), "web_a": spec("web_a", "app:2")})
    assert (again.number, again.baseline, len(history.revisions())) == (first.number, {}, 2)
    assert before(again, history.revisions()) == live()


def test_a_dead_run_is_superseded_by_other_content_and_its_baseline_stays(history):
    history.adopt(content())
    history.begin("deploy", content("app:2"), live("app:drift"))
    half = {**live("app:drift"), "web_a": spec("web_a", "app:2")}
    third = history.begin("deploy", content("app:3"), half)
    assert [(one.number, one.status) for one in history.revisions()] == [(1, "succeeded"), (2, "superseded"), (3, "pending")]
    # Not what the dead run had written: what was there before anybody wrote.
    assert before(third, history.revisions()) == live("app:drift")


def test_another_action_on_the_same_content_does_not_continue_it(history):
    """A canary that died is no half of a deployment."""
    history.adopt(content())
    history.begin("canary", content("app:2"), live())
    assert history.begin("deploy", content("app:2"), live()).number == 3


def test_a_revision_that_is_not_there_is_told_with_those_that_are(history):
    history.adopt(content())
    for wanted in ("previous", 7):
        with pytest.raises(FleetError) as caught:
            history.select(wanted)
        assert caught.value.code == "revision_unavailable" and "1 (succeeded, stable)" in caught.value.message
    # The remedy: one that is named.
    assert history.select(1).number == 1


def test_what_would_not_fit_is_refused_before_anything_is_written(cluster, history):
    history.adopt(content())
    history.begin("deploy", content("app:2"), live())
    stored = json.dumps(cluster.stored)
    noise = random.Random(1).randbytes(1_200_000).hex()
    with pytest.raises(FleetError) as caught:
        history.begin("deploy", Content({"web_a": spec("web_a", Env=[f"A={noise}"])}), live())
    assert (caught.value.code, caught.value.details["limit"]) == ("history_too_large", CONFIG_MAX)
    assert json.dumps(cluster.stored) == stored


def test_the_newest_ten_the_stable_one_and_what_is_open_are_kept(cluster, history):
    stable = history.finish(history.begin("deploy", content("app:0"), live()), "succeeded", stable=True)
    for number in range(1, 15):
        history.finish(history.begin("deploy", content(f"app:{number}"), live()), "failed")
    assert history.collect(10, needed=[3]) == [2, 4, 5]
    assert [one.number for one in history.revisions()] == [1, 3, *range(6, 16)]
    assert stable.number == 1 and history.select("stable").number == 1
    # What a pending one came from is needed for the way back.
    pending = history.begin("deploy", content("app:x"), live())
    assert history.collect(1) and [one.number for one in history.revisions()] == [1, pending.number]


def test_a_stable_one_that_failed_later_is_not_what_is_kept():
    many = [Revision("web", number, "deploy", content(), status="failed", stable=number == 1) for number in range(1, 5)]
    assert [one.number for one in surplus(many, 2)] == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"-",
        gzip.compress(b"no json"),
        gzip.compress(b"[]"),
        gzip.compress(b"{}"),
        gzip.compress(b'{"format": 99}'),
        # A megabyte that would be a gigabyte.
        gzip.compress(b" " * 200_000_000, 1),
    ],
    ids=["no gzip", "no json", "a list", "empty", "of a newer collection", "a bomb"],
)
def test_what_cannot_be_read_is_no_revision(cluster, history, data):
    history.adopt(content())
    labels = {keep.KIND: "revision", keep.SUBJECT: "web"}
    cluster.config_create({"Name": "bowline.web.r9", "Labels": labels, "Data": base64.b64encode(data).decode()})
    assert [one.number for one in history.revisions()] == [1]


def test_a_config_of_the_name_of_the_next_revision_is_not_written_over(cluster, history):
    history.adopt(content())
    cluster.config_create({"Name": "bowline.web.r2", "Labels": {}, "Data": "eA=="})
    with pytest.raises(FleetError) as caught:
        history.begin("deploy", content("app:2"), live())
    assert caught.value.code == "conflict" and "bowline.web.r2" in caught.value.message


def test_a_parent_that_is_gone_is_said(cluster, history):
    history.adopt(content())
    begun = history.begin("deploy", content("app:2"), live())
    cluster.config_remove(history.revisions()[0].config["ID"])
    with pytest.raises(FleetError) as caught:
        before(begun, history.revisions())
    assert caught.value.code == "revision_unavailable"


def test_configs_and_secrets_of_baselines_are_needed_too():
    mounts = {"Configs": [{"ConfigName": "old_c"}], "Secrets": [{"SecretName": "old_s"}]}
    revision = Revision("web", 2, "deploy", Content({}, configs=("new_c",)), baseline={"web_a": spec("web_a", **mounts), "web_b": None})
    assert named([revision], "configs") == {"new_c", "old_c"} and named([revision], "secrets") == {"old_s"}


def test_values_that_look_like_secrets_are_named_without_them():
    env = ["DB_PASSWORD=canary-1", "DB_PASSWORD_FILE=/run/secrets/db", "URL=postgres://u:canary-2@db/x", "TOKEN=", "MODE=fast", "API_KEY=/run/secrets/key"]
    found = secret_findings({"web_a": spec("web_a", Env=env)})
    assert [finding["object"] for finding in found] == ["web_a: DB_PASSWORD", "web_a: URL"]
    assert "canary" not in json.dumps(found)


def test_the_same_revision_is_the_same_bytes():
    one = Revision("web", 1, "deploy", content())
    assert encoded(one) == encoded(one)
    body = keep.body(one.name, {}, encoded(one))
    assert decoded({"Spec": body}).content == one.content
