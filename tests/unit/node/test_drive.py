# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that does not go straight: ends with holes, foreign machines, providers that do nothing, machines of a lost store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Guard, Heartbeat, Instance, Node
from ansible_collections.bowline.fleet.plugins.module_utils._node.plan import Desired
from node_world import Box, Controllers, Identity, World


class Calm:
    """A world without accidents, and one node in it."""

    def __init__(self, cloud: bool = False, **node) -> None:
        self.world = World(1, cloud)
        self.world.faults = False
        self.runs = Controllers(self.world, Node("edge-1", "edge", lifecycle_class="ephemeral", **node))

    def to(self, state: str, **changed) -> str:
        return self.runs.command(replace(Desired(state, "cloud", {"image": "a"}, "v1:a", actor="ann"), **changed))[0]

    @property
    def row(self):
        return self.world.plain.instances("edge-1")[0]

    @property
    def error(self):
        return self.runs.error


def test_a_cluster_that_keeps_its_member_holds_the_machine_and_not_its_credentials():
    calm = Calm()
    calm.to("running")
    calm.world.broken = {"memberships"}
    assert calm.to("absent") == "finalizers_pending"
    assert calm.row.finalizers == ("memberships", "provider", "traces") and len(calm.world.mine()) == 1
    assert (calm.row.id, "credentials") in calm.world.finished
    assert "memberships: [check_failed]" in calm.error.message and calm.error.details["left"] == ["memberships", "provider", "traces"]
    calm.world.broken = set()
    assert calm.to("absent") == "done"
    assert calm.world.mine() == [] and calm.row.terminated_at is not None


def test_a_drain_that_fails_holds_everything():
    calm = Calm(hooks=("docker",))
    calm.to("running")
    calm.world.broken = {"docker"}
    assert calm.to("absent") == "finalizers_pending"
    assert calm.row.finalizers[:2] == ("drain", "hooks") and (calm.row.id, "credentials") not in calm.world.finished
    assert calm.to("drained") == "finalizers_pending", "an end that has begun is gone on with, or nothing"


def test_a_skip_has_its_actor_and_nothing_is_skipped_unnamed():
    calm = Calm()
    calm.to("running")
    calm.world.broken = {"memberships", "dns"}
    assert calm.to("absent", skip=("memberships",), reason="the cluster is gone") == "finalizers_pending"
    assert [(skip.finalizer, skip.actor, skip.reason) for skip in calm.row.skipped] == [("memberships", "ann", "the cluster is gone")]
    assert calm.to("absent", skip=("dns",)) == "done"
    assert [skip.finalizer for skip in calm.row.skipped] == ["memberships", "dns"]
    assert [event.reason for event in calm.world.plain.events("edge-1", 200) if event.type == "skipped"][-1] == "memberships: the cluster is gone"


def test_a_guard_that_comes_up_meanwhile_holds():
    calm = Calm()
    calm.to("running")
    held = calm.runs._open(calm.runs._state())
    calm.world.plain.put_node(held, replace(calm.runs.node, guards=(Guard("protected", "soak"),)))
    calm.runs._state_last.end(calm.runs._operation, "succeeded")
    assert calm.to("absent", force=True) == "finalizers_pending"
    assert "guards: [held]" in calm.error.message and len(calm.world.mine()) == 1
    assert calm.row.finalizers[0] == "guards", "nothing behind it was begun"


@pytest.mark.parametrize("theirs", [None, Identity("theirs", "f" * 16, "edge-1", "edge-1", "v1:a")], ids=["no tag", "another fleet"])
def test_a_foreign_machine_of_this_name(theirs):
    calm = Calm()
    box = Box("cloud:///other", "edge-1", theirs, "on", 0.0, 0.0, 0.0)
    calm.world.foreign.append(box)
    assert calm.to("running") == "name_clash" and calm.world.plain.instances("edge-1") == []
    assert calm.to("absent") == "done"
    assert calm.world.calls == [] and calm.world.foreign == [box]


def test_an_id_that_another_machine_has_now():
    calm = Calm()
    calm.to("running")
    calm.world.calls.clear()
    calm.world.foreign.append(replace(calm.world.boxes.pop(), identity=None))
    for state in ("running", "stopped", "absent"):
        assert calm.to(state, force=True) == "identity_mismatch", state
    assert calm.world.calls == [] and calm.row.delete_requested_at is None
    assert calm.to("absent", skip=("provider",)) == "done"
    assert calm.world.calls == [] and len(calm.world.foreign) == 1
    assert [skip.finalizer for skip in calm.row.skipped] == ["provider"]


def test_a_provider_that_does_nothing_is_asked_twice_a_run():
    calm = Calm(cloud=True)
    calm.world.deaf = True
    assert calm.to("running") == "provider_timeout" and calm.world.calls == ["create", "create"]
    calm.world.deaf = False
    assert calm.to("running") == "done" and calm.world.numbers == 1


@pytest.mark.parametrize("state", ["running", "absent"])
def test_a_machine_that_comes_late_after_a_kill_is_waited_for(state):
    """The call was taken, its reply is lost, nothing is seen for 45 s, and the operator gives a command at once."""
    calm = Calm(cloud=True)
    calm.world.late, calm.world.kill_on = 45.0, ("after create", 1)
    assert calm.to("running") == "killed" and calm.world.mine()
    assert calm.to(state) == "done"
    calm.world.now += 300
    assert calm.world.numbers == 1 and len(calm.world.mine()) == (1 if state == "running" else 0)


def test_a_provider_that_forgets_for_a_while_loses_no_machine():
    calm = Calm(cloud=True)
    calm.to("running")
    calm.world.faults, calm.world.hidden_until = True, calm.world.now + 40
    calm.world.random.random = lambda: 1.0
    assert calm.to("running") == "done"
    assert calm.world.calls == ["create"] and calm.row.generation == 1 and calm.row.missing_since is None


def test_a_provider_without_an_answer_is_not_asked_for_anything():
    calm = Calm()
    calm.to("present")
    calm.world.calls.clear()
    calm.world.faults, calm.world.mute_until = True, calm.world.now + 10_000
    calm.world.random.random = lambda: 1.0
    for state in ("running", "present", "stopped"):
        assert calm.to(state) == "provider_unavailable"
    assert calm.world.calls == []


def test_hard_is_for_force_and_for_the_second_time():
    for force, wanted in ((False, ["power off", "power off"]), (True, ["power off", "power hard"])):
        calm = Calm()
        calm.to("running")
        calm.world.deaf = True
        began = calm.world.now
        assert calm.to("stopped", force=force) == "provider_timeout"
        assert calm.world.calls[1:] == wanted and calm.world.now - began >= 300, "two minutes between, then the limit"


def test_a_stop_goes_on_softly_after_a_kill():
    calm = Calm()
    calm.to("running")
    calm.world.kill_on = ("before power", 1)
    assert calm.to("stopped", force=True) == "killed"
    assert calm.to("stopped", force=True) == "done" and calm.world.calls[1:] == ["power off"]


def test_machines_of_a_lost_store_are_taken_over():
    calm = Calm()
    calm.to("running")
    found = calm.world.boxes[0]
    fresh = Calm()
    found.identity = replace(found.identity, fleet=fresh.world.fleet)
    fresh.world.boxes.append(found)
    fresh.world.numbers, fresh.world.now = 1, calm.world.now
    fresh.world.enrolled |= calm.world.enrolled
    assert fresh.to("running") == "duplicate_machine", "nothing is made beside it"
    assert fresh.to("running", adopt=True) == "done"
    assert (fresh.row.id, fresh.row.provider_id, fresh.world.numbers, len(fresh.world.mine())) == (found.identity.instance_id, found.provider_id, 1, 1)
    assert fresh.to("absent") == "done" and fresh.world.mine() == []


def test_a_machine_that_no_row_knows_is_swept_with_a_word():
    calm = Calm()
    calm.to("running")
    calm.to("absent", skip=("provider",))
    assert len(calm.world.mine()) == 1 and calm.row.terminated_at is not None
    assert calm.to("absent") == "approval_required"
    assert calm.to("absent", approved=True) == "done" and calm.world.mine() == []


def test_a_machine_made_with_something_else():
    calm = Calm()
    calm.to("running")
    assert calm.to("running", spec_hash="v1:b") == "immutable_change" and calm.world.numbers == 1
    assert calm.to("running", spec_hash="v1:b", replace=True) == "done"
    assert (calm.world.numbers, len(calm.world.mine()), [row.generation for row in calm.world.plain.instances("edge-1")]) == (2, 1, [2, 1])


def test_a_group_keeps_its_majority():
    calm = Calm(quorum_group="db")
    calm.to("running")
    assert calm.to("drained", force=True) == "quorum_risk" and "0 of 1" in calm.error.message
    nodes, beats = calm.world.plain, calm.world.beats
    for name in ("edge-2", "edge-3"):
        held = calm.runs._open(calm.runs._state(), name)
        nodes.put_node(held, Node(name, "edge", quorum_group="db"))
        made = nodes.reserve(held, Instance(f"i-{name}", name, "local", 0, 0.0))
        nodes.save(held, replace(made, provider_id=f"local:///{name}", power="on", powered_at=1.0, cordoned_by="operator" if name == "edge-3" else ""))
        beats.heard(Heartbeat(made.id, 0.0, "b1", 1, True, True, True))
        assert calm.to("drained") == "quorum_risk", name
    held = calm.runs._open(calm.runs._state(), "edge-3", take_over=True)
    nodes.save(held, replace(nodes.live("edge-3"), cordoned_by=""))
    assert calm.to("drained") == "done"


def test_the_host_that_this_runs_on():
    calm = Calm()
    calm.to("running")
    calm.runs.own_host = True
    assert (calm.to("stopped"), calm.to("absent"), calm.to("drained")) == ("self_management", "self_management", "done")
    assert calm.world.calls == ["create"]


def test_credentials_of_the_first_boot_are_taken_back():
    """Killed before and behind the call as well: after the next run the host has none, and nothing is left to do."""
    for moment in ("", "before forget", "after forget"):
        calm = Calm()
        calm.world.given, calm.world.kill_on = True, (moment, 1)
        assert calm.to("running", credentials=True) == ("killed" if moment else "done")
        assert calm.to("running", credentials=True) == "done"
        assert [box.credentials for box in calm.world.mine()] == [False] and "forget" in calm.world.calls
        calm.world.calls.clear()
        assert calm.to("running", credentials=True) == "done" and calm.world.calls == []
