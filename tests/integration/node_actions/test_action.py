# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_action over a recorded host: asked for once, allowed or not, done once, closed by what is seen; and the remedy of every refusal."""

from __future__ import annotations

import os
import signal

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core import faults
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.lease import Leases
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from ansible_collections.bowline.fleet.plugins.module_utils._store import process
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore
from asking import WELL, ask, events, listens, quiet, refused, speaks, steps
from controller import Controller
from fleet import Fleet


@pytest.fixture
def home(fleet):
    """web-1, which is ephemeral, and db-1, which is persistent; both run."""
    for name, kind in (("web-1", "ephemeral"), ("db-1", "persistent")):
        fleet.node(name, lifecycle_class=kind)
        fleet.run("running", name=name)
    listens(fleet)
    return fleet


def test_asked_for_once_begun_done_and_proven(home):
    shown = ask(home, "running", check=True, reason="it is slow")
    assert (shown["changed"], steps(shown), shown["answer"]["word"]) == (True, ["ask", "begin"], "notify_and_proceed")
    assert events(home) == [], "check mode wrote"
    first = ask(home, reason="token=abcdefghijklmnop123456")
    assert (steps(first), first["action"]["state"], first["action"]["runnable"]) == (["ask"], "pending", True)
    assert ask(home)["plan"] == [] and "abcdefghijklmnop" not in str(first)
    begun = ask(home, "running")
    assert (steps(begun), begun["action"]["attempts"], begun["warnings"][0].startswith("reboot of web-1 has begun")) == (["begin"], 1, True)
    assert ask(home, "running")["plan"] == [], "whoever runs the same command again goes on"
    assert "younger" in refused(home, "evidence_missing", "completed").message
    home.skew += 5
    assert "another boot" in refused(home, "evidence_missing", "completed", status={**WELL, "boot_id": before(home), "sequence": 10**9}).message
    home.skew += 5
    done = ask(home, "completed", status=WELL)
    assert (steps(done), done["action"]["state"], done["changed"]) == (["close"], "complete", True)
    for state in ("pending", "running", "completed", "aborted"):
        assert ask(home, state)["plan"] == []
    assert events(home) == ["asked", "begun", "complete"]
    assert ask(home, "pending", action_id=done["action"]["id"])["action"]["state"] == "complete"


def before(home: Fleet) -> str:
    with home.opened(True) as database:
        return Beats(database).last(home.rows("web-1")[0].id).boot_id


def test_what_needs_a_word(home):
    """approval_required, and its remedy; the word holds for a day."""
    error = refused(home, "approval_required", "running", "reenrol", "db-1")
    key = error.details["action"]
    assert key.endswith("/reenrol/f1") and events(home, "db-1") == ["asked"], "there is something to approve"
    shown = ask(home, "running", "reenrol", "db-1", check=True)
    assert shown["answer"]["code"] == "approval_required", "check mode says policy's answer"
    assert steps(ask(home, "approved", action_id=key)) == ["approve"] and ask(home, "approved", action_id=key)["plan"] == []
    home.skew += 86401
    refused(home, "approval_required", "running", "reenrol", "db-1")
    approved = ask(home, "approved", action_id=key)
    assert approved["action"]["decided_until"] > approved["action"]["asked_at"] and approved["action"]["runnable"]
    assert ask(home, "running", "reenrol", "db-1")["action"]["state"] == "running"
    assert "has begun" in refused(home, "action_final", "rejected", action_id=key).message


def test_what_somebody_has_rejected(home):
    ask(home, "rejected", reason="it is wanted so")
    error = refused(home, "action_final", "running")
    assert "rejected" in error.message and ask(home, "rejected")["plan"] == []
    ask(home, "running", fingerprint="f2")
    ask(home, "aborted", fingerprint="f2")
    refused(home, "action_final", "running", fingerprint="f2")
    home.skew += 86401
    assert ask(home, "running")["action"]["state"] == "running"
    assert "f9" in refused(home, "action_unknown", action_id="x/reboot/f9").message
    refused(home, "action_unknown", "completed", fingerprint="f3")


def test_one_in_ten_minutes_and_three_a_day(home):
    """budget_exhausted, and its remedy: wait."""
    for number, verb in enumerate(("restart_units", "reboot", "restart_units")):
        ask(home, "running", verb, fingerprint=f"f{number}")
        ask(home, "aborted", verb, fingerprint=f"f{number}")
        error = refused(home, "budget_exhausted", "running", "reboot", fingerprint="g")
        assert error.details["wait"] > 0
        home.skew += error.details["wait"] + 1 if number < 2 else 0
    assert 80_000 < error.details["wait"] < 86_400 and "3 in 24 h" in error.message
    assert ask(home, "running", "renew")["changed"], "no rung, no budget"
    assert ask(home, "running", "reboot", "db-1", fingerprint="g")["changed"], "another node has its own, once the first one is not at work"
    home.skew += error.details["wait"] + 1
    ask(home, "running", "reboot", fingerprint="g")


def test_one_of_a_group_at_a_time(home):
    ask(home, "running")
    assert "at a time" in refused(home, "budget_exhausted", "running", name="db-1").message
    ask(home, "aborted")
    ask(home, "running", name="db-1")


def test_guards_rules_and_majorities(home):
    block = {"policy": [{"verb": "reboot", "answer": "block"}]}
    assert "policy blocks" in refused(home, "held", "pending", **block).message
    home.node(guards=[{"kind": "no_remediation", "reason": "soak"}])
    assert "soak" in refused(home, "held", "running").message
    assert ask(home, "running", "renew")["changed"]
    home.node()
    assert ask(home, "running", policy=[{"node": "web-1", "answer": "auto_approve"}])["warnings"] == []
    for name in ("q-1", "q-2", "q-3"):
        home.node(name, quorum_group="etcd")
        home.run("running", name=name)
    home.run("cordoned", name="q-3")
    assert "no majority" in refused(home, "quorum_risk", "running", name="q-1").message
    home.run("running", name="q-3")
    ask(home, "running", name="q-1")


def test_two_causes_of_one_verb(home):
    ask(home, fingerprint="old")
    ask(home, fingerprint="new")
    assert events(home) == ["asked", "aborted", "asked"], "what only waits gives way"
    ask(home, "running", fingerprint="new")
    assert "new" in refused(home, "conflict", "pending", fingerprint="third").message
    ask(home, "aborted", fingerprint="new")
    ask(home, fingerprint="third")


def test_what_node_instance_has_begun(home):
    """A run of node_instance was killed in its own power cycle: it is ended by the next one, and not done twice meanwhile."""
    with home.opened(False) as database:
        store = NodeStore(database, home.clock)
        owner = process.owner_of(os.getpid())
        state = StateStore(database, owner, clock=home.clock)
        with Leases(database, state, owner).held("node/web-1", "node_instance", {}) as held:
            store.attempt(held, store.live("web-1").id, "power_cycle")
    assert "node_instance" in refused(home, "conflict", "completed", "power_cycle").message
    assert powers(home).count("stopped") == 0


def powers(home: Fleet) -> list[str]:
    return [state for name, state in home.asked if name == "node_machine"]


def test_a_power_cycle(home):
    home.asked.clear()
    shown = ask(home, "completed", "power_cycle", check=True)
    assert steps(shown) == ["ask", "begin", "power_cycle", "close"] and powers(home) == []
    done = ask(home, "completed", "power_cycle")
    assert (steps(done), done["action"]["state"], powers(home)) == (steps(shown), "complete", ["stopped", "running"])
    assert ask(home, "completed", "power_cycle")["plan"] == [] and len(powers(home)) == 2
    assert {machine["power"] for machine in home.machines()} == {"on"}


def killed(home: Fleet, fault: str) -> None:
    pid = os.fork()
    if pid == 0:
        faults.arm(fault)
        ask(home, "completed", "power_cycle")
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize(("fault", "more"), [("I2", ["stopped", "running"]), ("I3", ["running"]), ("I2.2", ["running"]), ("I3.2", [])])
def test_a_power_cycle_that_is_killed_goes_on(home, fault, more):
    """Before and behind each call: what was done is not done again, and the power is on in the end."""
    killed(home, fault)
    home.asked.clear()
    done = ask(home, "completed", "power_cycle")
    assert (steps(done), done["action"]["attempts"], powers(home)) == (["power_cycle", "close"], 1, more)
    assert {machine["power"] for machine in home.machines()} == {"on"}


def test_a_power_cycle_that_fails_may_be_tried_anew(home):
    home.answers = lambda name, given: {"failed": True, "msg": "no"} if name == "node_machine" else None
    assert "last seen: on" in refused(home, "provider_timeout", "completed", "power_cycle").message
    home.answers = None
    refused(home, "budget_exhausted", "completed", "power_cycle")
    home.skew += 600
    assert steps(ask(home, "completed", "power_cycle")) == ["ask", "begin", "power_cycle", "close"]
    assert events(home) == ["asked", "begun", "failed", "asked", "begun", "complete"]
    home.change(identity={**home.machines()[0]["identity"], "instance_id": "99999999-9999-4999-8999-999999999999"})
    home.skew += 600
    refused(home, "identity_mismatch", "completed", "power_cycle", fingerprint="f2")


def test_the_ladder(home):
    """Rung by rung for a machine that stays silent, until the day's budget is used up."""
    assert "not silent" in refused(home, "held", "running", "ladder", ssh=True).message
    quiet(home, 400, "db-1")
    seen = []
    for _rung in range(3):
        begun = ask(home, "running", "ladder", ssh=True)
        verb = begun["action"]["verb"]
        seen.append(verb)
        assert ask(home, "running", "ladder", ssh=False)["action"]["verb"] == verb, "what was begun is ended first"
        if verb == "power_cycle":
            ask(home, "completed", verb)
        else:
            ask(home, "aborted", verb)
        quiet(home, 601, "db-1")
    assert seen == ["restart_units", "reboot", "power_cycle"]
    error = refused(home, "budget_exhausted", "running", "ladder", ssh=True)
    assert "the console" in error.message and error.details["wait"] > 0
    speaks(home, "web-1")
    refused(home, "held", "running", "ladder", ssh=True)


def test_the_ladder_needs_a_second_observer(home):
    """observer_down, and its remedy: somebody else looks."""
    quiet(home, 400, "db-1")
    home.answers = lambda name, given: {"unreachable": True, "msg": "no route"}
    refused(home, "observer_down", "running", "ladder", ssh=False)
    assert ask(home, "running", "ladder", ssh=True)["action"]["verb"] == "restart_units"
    ask(home, "aborted", "restart_units")
    home.answers = None
    quiet(home, 601)
    assert "together" in refused(home, "observer_down", "running", "ladder", ssh=False).message, "both fell silent: it may be us"
    speaks(home, "db-1")
    assert ask(home, "running", "ladder", ssh=False)["action"]["verb"] == "power_cycle", "no way in, so its power"


def test_the_ladder_stops_where_policy_wants_a_word(home):
    quiet(home, 400, "web-1")
    for verb in ("reboot", "power_cycle"):
        ask(home, "running", verb, "db-1", fingerprint="x")
        ask(home, "aborted", verb, "db-1", fingerprint="x")
        quiet(home, 700, "web-1")
    error = refused(home, "approval_required", "running", "ladder", "db-1", ssh=True)
    assert error.details["action"].endswith("/reenrol/f1")
    ask(home, "approved", action_id=error.details["action"])
    assert ask(home, "running", "ladder", "db-1", ssh=True)["action"]["verb"] == "reenrol"


def test_the_end_and_the_next_machine(home):
    ask(home, "running", "replace")
    key = ask(home, "pending", "reboot")["action"]["id"]
    refused(home, "evidence_missing", "completed", "replace")
    home.run("absent")
    refused(home, "evidence_missing", "completed", "replace")
    home.run("running")
    assert ask(home, "completed", "replace")["action"]["state"] == "complete"
    assert ask(home, "pending", "replace")["plan"] == [], "the cause was of the machine that is gone"
    assert "aborted" in refused(home, "action_final", action_id=key).message, "what was asked of the machine that is gone"
    ask(home, "running", "terminate", fingerprint="t")
    home.run("absent")
    assert ask(home, "completed", "terminate", fingerprint="t")["action"]["state"] == "complete"
    refused(home, "no_machine", "running", "reboot", fingerprint="u")


def other_run(home: Fleet) -> str:
    """Another controller takes the node; the id of its operation."""
    with home.opened(False) as database:
        state = StateStore(database, Owner("bob", "bob", "elsewhere", 7), clock=home.clock)
        return state.open("cutover", ["node/web-1"], [])["id"]


def test_another_run_works_on_the_node(home):
    """locked, and its remedy; check mode locks nobody out."""
    operation = other_run(home)
    assert "bob" in refused(home, "locked", "running").message and ask(home, "running", check=True)["answer"]["code"] == ""
    with home.opened(False) as database:
        StateStore(database, Owner("bob", "bob", "elsewhere", 7), clock=home.clock).end(operation, "succeeded")
    ask(home, "running")


def test_a_run_that_lost_its_node_stops(home):
    """lease_lost before the next call, and its remedy: let the other one end, then the same command."""
    taken = []

    def answers(name, given):
        if name == "node_machine" and not taken:
            home.skew += 400
            taken.append(other_run(home))
            return {"unreachable": True, "msg": "connection lost"}
        return None

    home.answers = answers
    home.asked.clear()
    refused(home, "lease_lost", "completed", "power_cycle")
    assert len(powers(home)) == 1
    with home.opened(False) as database:
        StateStore(database, Owner("bob", "bob", "elsewhere", 7), clock=home.clock).end(taken[0], "succeeded")
    assert ask(home, "completed", "power_cycle")["action"]["state"] == "complete"


def test_as_a_playbook_runs_it(folder, home):
    tasks = """
    - name: Foresee
      bowline.fleet.node_action: {name: web-1, verb: power_cycle, fingerprint: f1, state: completed, mode: recorder}
      check_mode: true
      register: shown
    - name: Do
      bowline.fleet.node_action: {name: web-1, verb: power_cycle, fingerprint: f1, state: completed, mode: recorder}
      register: done
      ignore_errors: true
"""
    home.host = "localhost"
    controller = Controller(folder)
    seen = controller.run(tasks)
    assert seen["done"]["failure"]["code"] == "option_invalid", "its machine stands at hv-1"
    home.node("lh-1")
    home.run("running", name="lh-1")
    seen = controller.run(tasks.replace("web-1", "lh-1"))
    assert seen["shown"]["plan"] == seen["done"]["plan"] and seen["done"]["action"]["state"] == "complete"
