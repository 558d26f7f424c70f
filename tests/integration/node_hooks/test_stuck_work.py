# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two of the stuck states of the runbook, made, named, and recovered: a drain that work holds up, and an end that the provider does not make."""

from __future__ import annotations

import pytest
from playbooks import Site


def test_draining_is_named_and_recovered_by_the_override(engine, tmp_path):
    one = Site(tmp_path, ["docker"], node_hooks_docker_socket=engine.socket, node_hooks_docker_engine=False)
    engine.make("quick", "--restart", "always", "--label", "bowline.drain.order=-1")
    engine.make("slow", "--restart", "always", stop=600)
    one.play("drain", fails="drain_blocked", node_drain_timeout=4, node_drain_on_timeout="keep")
    assert "docker: slow stays: it has not stopped" in one.said and "node_drain_on_timeout: force" in one.said, one.said
    assert "What the drain has changed stays" in one.said and engine.states()["quick"] == (False, "no")
    one.fleet.skew += 700
    seen = one.recovery()
    assert (seen["phase"], seen["health"], seen["stalled"]) == ("draining", "stalled", "drain_blocked")
    assert seen["automatic"] == "nothing" and "the option that overrides it" in seen["names"]
    assert one.play("drain", node_drain_timeout=4, node_drain_on_timeout="force") > 0
    assert one.phase() == "drained" and engine.states() == {"quick": (False, "no"), "slow": (False, "no")}


@pytest.fixture
def ending(tmp_path):
    """A machine whose provider has failed to delete it, three times."""
    one = Site(tmp_path, [])
    one.fleet.answers = lambda name, given: {"failed": True, "msg": "disk is busy"} if name == "node_machine" and given["state"] == "absent" else None
    for _again in range(3):
        error = one.fleet.refused("finalizers_pending", "absent")
        assert error.details["left"] == ["provider", "traces"] and "disk is busy" in error.message and "skip_finalizers" in error.remedy
    one.fleet.skew += 400
    seen = one.recovery()
    assert (seen["phase"], seen["health"], seen["stalled"]) == ("terminating", "stalled", "finalizers_pending")
    assert "skip_finalizers by name" in seen["names"] and len(one.fleet.machines()) == 1
    return one


def test_terminating_is_recovered_by_the_same_command(ending):
    ending.fleet.answers = None
    assert ending.run("absent")["instance"]["phase"] == "no_instance" and ending.fleet.machines() == []


def test_terminating_is_recovered_by_a_skip_that_is_on_record(ending):
    done = ending.run("absent", skip_finalizers=["provider"], reason="removed by hand")
    assert done["instance"]["phase"] == "no_instance" and len(ending.fleet.machines()) == 1, "the machine itself was not touched"
    (row,) = ending.fleet.rows()
    assert [(skip.finalizer, skip.reason) for skip in row.skipped] == [("provider", "removed by hand")] and row.skipped[0].actor
