# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody changed past the history is seen before other content is written over it, and what is no such change is not."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import Desired, World
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.plan import plan
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.history import History
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.revision import Content, Revision
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.names import Named
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.stack.situation import Situation, content_of
from fake_cluster import Cluster
from swarm_objects import service, spec


def content(image, **more):
    return content_of(Desired("s", {"s_web": spec(image, **more)}))


def stored(number, given, status="succeeded", action="deploy"):
    return Revision("s", number, action, given, status=status, stable=status == "succeeded")


A, B, C = content("app:1"), content("app:2"), content("app:3")
FIRST = (stored(1, A),)


def situation(live, wanted, revisions=FIRST, action="deploy", rollout=None, **options):
    world, desired = World("c1", {}, services=tuple(service(one) for one in live)), Desired("s", dict(wanted.services))
    decided = plan(world, desired, {"recorded": A.services, **options})
    return Situation(world, desired, Named(desired, {}), decided, tuple(revisions), rollout, action, "k", True)


HAND = [spec("app:2")]


@pytest.mark.parametrize(
    ("live", "wanted", "more", "past"),
    [
        pytest.param(HAND, C, {}, ("s_web",), id="the CLI deployed 2 over our 1, and 3 is wanted"),
        pytest.param([spec("app:1"), spec(name="s_new")], C, {}, ("s_new",), id="a service was added"),
        pytest.param([spec(name="s_other")], C, {}, ("s_other", "s_web"), id="one went, one came"),
        pytest.param(HAND, C, {"revisions": (stored(1, A), stored(2, A, action="remove"))}, ("s_web",), id="deployed by the CLI after our removal"),
        pytest.param(HAND, C, {"revisions": (stored(1, A), stored(2, C, "rolled_back"))}, ("s_web",), id="our try went back to it"),
        pytest.param([spec("app:1")], C, {}, (), id="nobody changed anything"),
        pytest.param(HAND, A, {}, (), id="the same content: that is drift"),
        pytest.param([spec("app:1", replicas=9)], C, {}, (), id="a count is no version"),
        pytest.param([], C, {}, (), id="nothing is there"),
        pytest.param(HAND, C, {"revisions": ()}, (), id="no history: the first adoption does it"),
        pytest.param(HAND, C, {"revisions": (stored(1, A), stored(2, B, "failed"))}, (), id="our own run left it so"),
        pytest.param(HAND, C, {"revisions": (stored(1, A), stored(2, B, "pending"))}, (), id="our own run died there"),
        pytest.param(HAND, C, {"rollout": object()}, (), id="a canary"),
        pytest.param([spec("app:1"), spec(name="s_new")], C, {"prune": False}, (), id="added, and left alone"),
        pytest.param(HAND, A, {"action": "rollback"}, (), id="going back keeps what previous means"),
    ],
)
def test_what_was_changed_past_the_history(live, wanted, more, past):
    seen = situation(live, wanted, **more)
    assert seen.past() == past
    said = [line for line in seen.warnings() if "past the history" in line]
    assert bool(said) == bool(past) and all(name in said[0] for name in past)


def test_a_change_that_shall_stay_is_not_stored_with_each_deployment():
    """`drift: ignore` leaves one service as somebody set it, while the other one gets a new version."""
    recorded = {"s_web": spec("app:1"), "s_db": spec("db:1", name="s_db")}
    wanted = content_of(Desired("s", {**recorded, "s_db": spec("db:2", name="s_db")}))
    first = (stored(1, content_of(Desired("s", recorded))),)
    live = [spec("app:9"), spec("db:1", name="s_db")]
    assert situation(live, wanted, first, recorded=recorded, drift="ignore").past() == ()
    assert situation(live, wanted, first, recorded=recorded).past() == ("s_web",)


def test_it_is_stored_beside_what_was_known():
    history = History(Cluster(), "s")
    history.adopt(A)
    assert history.adopt(B).number == 1
    there = history.adopt(B, anew=True, stable=False)
    assert (there.number, there.action, there.stable, history.last().number) == (2, "adopt", False, 2)
    # What runs badly is gone back to by name or number, and is not called stable.
    history.finish(history.begin("deploy", C, dict(Content(B.services).services)), "succeeded", stable=True)
    assert history.select("previous").number == 2 and history.select("stable").number == 3
    history.finish(history.select("stable"), "failed")
    assert history.select("stable").number == 1
