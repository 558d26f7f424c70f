# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_instance over a recorded host: what check mode shows is what is done, a second run does nothing, and what stands in the way is said at once."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import STATES
from fleet import Fleet, actions

MADE = ("present", "running")
WELL = {"boot_id": "b1", "enrolled": True, "modules_active": True, "services_ready": True}


def files(folder: Path) -> dict[str, str]:
    """Everything that is written anywhere; the log of SQLite may be folded into its file by whoever closes it last."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")}


@pytest.mark.parametrize(("first", "then"), [pair for pair in itertools.product(("", *STATES), STATES) if pair[0] or pair[1] in (*MADE, "absent")])
def test_what_is_shown_is_done_and_nothing_is_left(folder, first, then):
    """From every state into every other one: the same actions and subjects in the same order, the same diff; check mode writes nothing."""
    fleet = Fleet(folder)
    fleet.node()
    if first:
        if first not in MADE:
            fleet.run("running")
        fleet.run(first)
    if then not in (*MADE, "absent") and first == "absent":
        fleet.refused("no_machine", then)
        return
    before = files(folder)
    shown = fleet.run(then, check=True)
    assert files(folder) == before
    assert {name for name, _state in fleet.asked[-len(shown["evidence"]["host"]):]} == {"node_machine_info"}
    done = fleet.run(then)
    assert (shown["plan"], shown["diff"], shown["changed"]) == (done["plan"], done["diff"], done["changed"])
    again = fleet.run(then)
    assert (again["changed"], again["plan"]) == (False, [])
    assert len(fleet.machines()) == (0 if then == "absent" else 1)
    if then in ("running", "stopped", "absent") or (first, then) == ("running", "drained"):
        assert done["instance"]["phase"] == {"absent": "no_instance"}.get(then, then)


def test_a_run_that_has_nothing_to_do_takes_no_lease(fleet):
    fleet.run("running")
    known = len(fleet.operations())
    assert fleet.run("running")["plan"] == [] and len(fleet.operations()) == known
    fleet.change(power="off")
    # What was seen is written down, under the lease.
    assert actions(fleet.run("running", check=True)) == ["power_on", "await_contact", "await_services"]
    assert len(fleet.operations()) == known


def test_everything_that_is_wrong_is_said_at_once(fleet):
    error = fleet.refused("preflight_failed", "running", instance_type="big", provider_options={"imag": "/x", "address": "10.0.0.7", "folder": "/elsewhere"},
                          confirm="web-2", image="not/absolute")  # fmt: skip
    said = {finding["code"] for finding in error.details["findings"]}
    assert said == {"unknown_key", "option_invalid", "confirm_mismatch"}
    for words in ("Did you mean image?", "instance_type.big", "spec.address", "spec.image", "web-2"):
        assert words in error.message, words
    assert fleet.asked == [] and fleet.rows() == []
    assert "Did you mean web-1?" in fleet.refused("node_unknown", "running", name="web-11").message


def test_nothing_to_make_a_machine_from(folder):
    fleet = Fleet(folder, image="")
    fleet.node()
    assert "image" in fleet.refused("option_invalid", "running").message
    fleet.run("running", image="/images/other")
    assert fleet.run("running")["plan"] == [], "who asks for nothing keeps what is there"
    assert fleet.refused("immutable_change", "running", image="/images/third").details["findings"]
    replaced = fleet.run("running", image="/images/third", on_immutable_change="replace")
    assert [step for step in actions(replaced) if "machine" in step or "provider" in step] == ["finish provider", "create_machine"]
    assert [machine["declared"]["image"] for machine in fleet.machines()] == ["/images/third"]


def test_it_is_looked_for_where_it_stands(fleet):
    fleet.run("running")
    error = fleet.refused("option_invalid", "running", provider_options={"folder": "/elsewhere"})
    assert "stands at" in error.message
    fleet.host = "hv-2"
    error = fleet.refused("option_invalid", "running")
    assert error.remedy == "delegate_to: hv-1"
    fleet.host = "hv-1"
    assert "provider" in fleet.refused("immutable_change", "absent", provider="local_qemu", provider_options={}).details["findings"][0]["field"]


def test_no_answer_is_not_no_machine(fleet):
    """A host that is away, a module that dies: nothing is decided, and nothing is made."""
    fleet.run("running")
    (row,) = fleet.rows()
    for answer in ({"unreachable": True, "msg": "no route"}, {"failed": True, "msg": "MODULE FAILURE"},
                   {"failed": True, "failure": {"code": "libvirt_error", "message": "refused"}}):  # fmt: skip
        fleet.answers = lambda _name, _given, said=answer: said
        error = fleet.refused("provider_unavailable", "running")
        assert answer.get("msg", "refused") in error.message
        # Evidence of a drain does not need the provider.
        assert actions(fleet.run("cordoned", check=True)) == ["cordon operator"]
    fleet.answers = None
    assert fleet.run("running")["changed"] is False and [one.id for one in fleet.rows()] == [row.id]


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_reply_that_is_lost(fleet, lost):
    """The call that makes the machine gets no answer: it is looked for, and asked for again only when it cannot come late."""
    seen = []

    def answers(name, given):
        if name == "node_machine" and not seen:
            seen.append(given)
            if lost == "after":
                fleet.answers = None
                fleet.call(name, given)
                fleet.answers = answers
            return {"unreachable": True, "msg": "connection lost"}
        return None

    fleet.answers = answers
    before = fleet.skew
    assert fleet.run("running")["instance"]["phase"] == "running"
    assert len(fleet.machines()) == 1 and len(fleet.rows()) == 1
    assert (fleet.skew - before >= 60) == (lost == "before")


def test_a_machine_that_may_come_late(fleet):
    """A run was killed before its call: nobody says that there is no machine before the call would have been seen."""
    assert fleet.killed("I2", "running")
    before = fleet.skew
    assert fleet.run("absent")["instance"]["id"] is None
    assert fleet.skew - before >= 50


def test_the_words_of_the_host_end_the_run(fleet):
    failure = {"code": "no_space", "message": "12 GiB are missing", "remedy": "Make room.", "details": {}}
    fleet.answers = lambda name, given: {"failed": True, "failure": failure} if name == "node_machine" else None
    error = fleet.refused("no_space", "running")
    assert (error.message, error.remedy) == ("12 GiB are missing", "Make room.")
    # Nothing is on its way, so the row waits and is not looked for.
    (row,) = fleet.rows()
    assert row.phase == "pending" and fleet.open_actions() == () and fleet.events()[0].reason == "[no_space] 12 GiB are missing"
    fleet.answers = None
    before = fleet.skew
    fleet.run("running")
    assert len(fleet.machines()) == 1 and fleet.skew == before


def test_gone_behind_our_back(fleet):
    fleet.run("running")
    fleet.vanish()
    shown = fleet.run("running", check=True)
    assert actions(shown)[0] == "request_delete" and shown["instance"]["reason"] == "vanished"
    done = fleet.run("running")
    assert done["plan"] == shown["plan"] and done["instance"]["generation"] == 2
    assert len(fleet.machines()) == 1


def test_a_machine_of_somebody_else(fleet):
    fleet.run("running")
    mine = fleet.machines()[0]["identity"]
    fleet.change(identity={**mine, "instance_id": "99999999-9999-4999-8999-999999999999"})
    for state in ("running", "absent", "stopped"):
        fleet.refused("identity_mismatch", state, confirm="web-1")
    assert len(fleet.machines()) == 1
    left = fleet.run("absent", skip_finalizers=["provider"], force=True)
    assert "skip provider" in actions(left) and len(fleet.machines()) == 1


def test_a_machine_that_no_row_knows(fleet):
    """The store was lost, the machine was not: it is taken over by its tag, or removed by name; none is made beside it."""
    fleet.run("running")
    (row,) = fleet.rows()
    with fleet.opened(False) as database, database.transaction() as transaction:
        for table in ("node_condition", "node_heartbeat", "node_heartbeat_hour", "node_action", "node_action_step", "node_instance"):
            transaction.execute(f"DELETE FROM {table}")
    fleet.refused("duplicate_machine", "running")
    fleet.refused("approval_required", "absent")
    swept = fleet.run("absent", check=True, confirm="web-1")
    assert actions(swept) == [f"sweep {row.provider_id}"]
    taken = fleet.run("running", adopt=True)
    assert actions(taken)[0] == f"adopt {row.provider_id}" and [one.id for one in fleet.rows()] == [row.id]
    assert len(fleet.machines()) == 1


def test_evidence_of_hooks_and_of_the_end(folder):
    """What a node has is asked for by name; what it has not is proven by that."""
    fleet = Fleet(folder)
    fleet.node(hooks=["docker"], labels={"dns_name": "web-1.example.org"})
    fleet.run("running")
    error = fleet.refused("evidence_missing", "drained")
    assert error.details == {"hook": "docker", "step": "drain"} and "hook docker" in error.remedy
    old = [{"hook": "docker", "outcome": "empty", "observed_at": "2020-01-01T00:00:00Z"}]
    assert "old" in fleet.refused("evidence_missing", "drained", evidence=old).message
    blocked = [{"hook": "docker", "outcome": "blocked", "blockers": [{"name": "db", "reason": "a local volume", "override": "accept_loss"}]}]
    assert "accept_loss" in fleet.refused("drain_blocked", "drained", evidence=blocked).message
    assert fleet.run("drained", evidence=[{"hook": "docker", "outcome": "empty"}])["instance"]["phase"] == "drained"
    error = fleet.refused("finalizers_pending", "absent")
    assert set(error.details["failures"]) == {"hooks"} and len(fleet.machines()) == 1
    error = fleet.refused("finalizers_pending", "absent", evidence=[{"hook": "hooks", "outcome": "released"}])
    assert set(error.details["failures"]) == {"memberships", "dns"}
    done = fleet.run("absent", evidence=[{"hook": name, "outcome": "released"} for name in ("memberships", "dns")])
    assert done["instance"]["id"] is None and fleet.machines() == []
    assert "option_invalid" == fleet.refused("option_invalid", "absent", evidence=[{"hook": "x", "outcome": "empty", "observed_at": "soon"}]).code


def test_what_a_machine_says_of_itself(fleet):
    """A report counts for a machine that was seen to be on. It is a heartbeat: never ``changed``."""
    fleet.real = True
    waited = fleet.run("present", check=True, wait_for="contacted")
    assert actions(waited) == ["reserve", "create_machine", "await_contact"]
    first = fleet.run("present", status=WELL)
    assert "not kept" in first["warnings"][0] and first["instance"]["reason"] == "waiting_for_contact"
    assert fleet.run("present", wait_for="contacted")["instance"]["phase"] == "bootstrapping"
    assert fleet.run("present", wait_for="contacted")["plan"] == []
    fleet.change(power="off")
    assert actions(fleet.run("present", check=True)) == []
    assert actions(fleet.run("present", wait_for="contacted")) == ["power_on", "await_contact"]
    missing = fleet.refused("evidence_missing", "running")
    assert missing.details["hook"] == "enrol"
    said = fleet.run("running", status=WELL)
    assert (said["changed"], said["plan"], said["instance"]["phase"]) == (False, [], "running")
    assert fleet.run("running", check=True)["instance"]["phase"] == "running"
    assert fleet.run("running", status={**WELL, "boot_id": "b2", "services_ready": False, "failed_units": ["web.service"]}, check=True)["plan"]
    fleet.reached = False
    blocked = fleet.refused("drain_blocked", "drained")
    assert "cannot be reached" in blocked.message
    error = fleet.refused("hook_missing", "drained", status={**WELL, "runtimes": ["docker"]})
    assert "docker" in error.message
    assert fleet.run("drained", status={**WELL, "runtimes": ["docker"]}, accept_undrained=True)["changed"]


def test_nobody_answers_in_it(fleet):
    fleet.real, fleet.reached = True, False
    error = fleet.refused("no_contact", "running", boot_factor=0.1)
    assert "recorder: web-1 was started" in error.message and "switched off and on before" in error.message
    assert [state for name, state in fleet.asked if name == "node_machine"] == ["running", "stopped", "running"]
    assert len(fleet.machines()) == 1 and [action.verb for action in fleet.open_actions()] == ["power_cycle"]
    # Once, until it speaks.
    fleet.asked.clear()
    assert "switched off" not in fleet.refused("no_contact", "running", boot_factor=0.1).message
    assert [name for name, _state in fleet.asked if name == "node_machine"] == []
    fleet.reached = True
    fleet.run("running", status=WELL)
    assert fleet.open_actions() == ()


@pytest.mark.parametrize("kind", ["protected", "no_stop", "no_remediation"])
def test_nobody_takes_the_power_of_what_is_guarded(fleet, kind):
    fleet.real, fleet.reached = True, False
    fleet.node(guards=[{"kind": kind}])
    assert "switched off" not in fleet.refused("no_contact", "running", boot_factor=0.1).message
    assert ("node_machine", "stopped") not in fleet.asked


def test_nobody_waits_for_what_nobody_listens_to(fleet):
    """Services are not ready, and no sweep runs: the unit is named at once. While one runs, its next word is waited for."""
    fleet.real = True
    fleet.run("present", wait_for="contacted")
    ill = {**WELL, "services_ready": False, "failed_units": ["web.service"]}
    before = fleet.skew
    error = fleet.refused("services_not_ready", "running", status=ill)
    assert "web.service" in error.message and fleet.skew == before
    fleet.listen()
    assert "web.service" in fleet.refused("services_not_ready", "running", status=ill).message and fleet.skew > before


def test_credentials_of_the_first_boot_are_taken_back(folder):
    fleet = Fleet(folder, credentials={"token": "/root/token", "ssh.authorized_keys.root": "/root/key.pub"})
    fleet.node()
    fleet.run("present")
    assert fleet.machines()[0]["credentials"] == ["ssh.authorized_keys.root", "token"], "a path is kept, whatever the name of its credential says"
    assert "forget_credentials" in actions(fleet.run("running", check=True))
    fleet.run("running")
    assert fleet.machines()[0]["credentials"] == [] and fleet.run("running")["plan"] == []


def test_a_volatile_machine_keeps_them(folder):
    fleet = Fleet(folder, credentials={"token": "/root/token"}, volatile=True)
    fleet.node()
    assert "forget_credentials" not in actions(fleet.run("running"))
    assert fleet.machines()[0]["credentials"] == ["token"]


def test_the_host_of_the_controller(fleet):
    """What says that it is in the boot that this run is in is not switched off by it, and not removed either."""
    fleet.run("running")
    fleet.run("running", status={**WELL, "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip()})
    for state in ("stopped", "absent"):
        fleet.refused("self_management", state, force=True)
    assert fleet.run("drained")["instance"]["phase"] == "drained" and len(fleet.machines()) == 1


def test_a_certificate_has_to_be_revoked(fleet):
    fleet.run("running")
    fleet.run("running", status={**WELL, "boot_id": "own", "certificate_not_after": fleet.clock() + 86400})
    assert set(fleet.refused("finalizers_pending", "absent").details["failures"]) == {"credentials"}
    fleet.run("absent", evidence=[{"hook": "credentials", "outcome": "released"}])


def test_a_persistent_node_needs_its_name(fleet):
    fleet.node("db-1", lifecycle_class="persistent")
    fleet.run("running", name="db-1")
    fleet.refused("approval_required", "absent", name="db-1")
    fleet.refused("confirm_mismatch", "absent", name="db-1", confirm="web-1")
    fleet.run("absent", name="db-1", confirm="db-1")


def test_disabled_changes_nothing(fleet):
    fleet.refused("provider_disabled", "running", mode="disabled")
    assert fleet.machines() == []
