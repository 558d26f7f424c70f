# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a whole life, step by step, and everything that stands in its way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.contradiction import contradiction, refuse
from ansible_collections.bowline.fleet.plugins.module_utils._node.finalizers import BY_NAME, FINALIZERS, NAMES, in_order, stands_before
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import NotFound, Unknown
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import FAILURES, REASONS, Evidence, Guard
from ansible_collections.bowline.fleet.plugins.module_utils._node.plan import Desired, create_verdict, destroy_verdict, plan
from node_objects import NOW, beat, facts, instance, machine, node, opened, view

OTHER = "22222222-2222-4222-8222-222222222222"
NOBODY = {"instance": None, "sighting": None, "heartbeat": None}
PENDING = {"instance": instance(provider_id="", power="", machine_created_at=None, powered_at=None), "sighting": NotFound(final=True), "heartbeat": None}
OFF = {"instance": instance(power="off"), "sighting": machine(power="off"), "heartbeat": beat(4000)}
GONE = {"sighting": NotFound(final=True)}
DRAINED = {"instance": instance(cordoned_by="drain", drained_at=NOW - 9)}
ENDING = {"instance": instance(delete_requested_at=NOW - 9, finalizers=("dns", "credentials", "provider", "traces"))}
BIRTH = ["reserve", "create_machine", "await_contact", "enrol", "await_services"]
END = ["request_delete", "finish guards", "cordon drain", "finish drain", *(f"finish {name}" for name in NAMES[2:]), "close"]


def steps(state, facts=None, **changed):
    desired = {name: changed.pop(name) for name in list(changed) if name in Desired.__dataclass_fields__}
    found = plan(view(facts=facts or {}, **changed), Desired(state, **desired))
    assert all(step.reason and step.probe and step.done_by for step in found)
    return [f"{step.action} {step.subject}".rstrip() for step in found]


@pytest.mark.parametrize(("state", "known", "wanted"), [
    pytest.param("present", NOBODY, ["reserve", "create_machine"], id="a machine"),
    pytest.param("present", PENDING, ["create_machine"], id="the row is there"),
    pytest.param("present", {}, [], id="it is there"),
    pytest.param("present", OFF, [], id="power is not enforced"),
    pytest.param("running", NOBODY, BIRTH, id="from nothing"),
    pytest.param("running", PENDING, BIRTH[1:], id="killed behind the row"),
    pytest.param("running", {}, [], id="it runs"),
    pytest.param("running", {"sighting": Unknown("transient", "x")}, [], id="nobody knows, and it was there: no second one"),
    pytest.param("running", {"heartbeat": None}, ["await_contact", "enrol", "await_services"], id="it boots"),
    pytest.param("running", {"heartbeat": beat(modules_active=False)}, ["await_services"], id="a module is missing"),
    pytest.param("running", {"heartbeat": beat(400)}, ["await_contact"], id="it is silent"),
    pytest.param("running", OFF, ["power_on", "await_contact", "await_services"], id="it is off"),
    pytest.param("running", DRAINED, ["uncordon"], id="drained"),
    pytest.param("running", {"instance": instance(cordoned_by="operator")}, ["uncordon"], id="cordoned"),
    pytest.param("running", GONE, [*END[:2], "finish drain", *END[4:], *BIRTH], id="vanished"),
    pytest.param("running", ENDING, ["finish dns", "finish credentials", "finish provider", "finish traces", "close", *BIRTH], id="its end had begun"),
    pytest.param("cordoned", {}, ["cordon operator"], id="cordoned"),
    pytest.param("cordoned", DRAINED, [], id="drained is cordoned"),
    pytest.param("drained", {}, ["cordon drain", "mark_drained"], id="drain without hooks"),
    pytest.param("drained", DRAINED, [], id="it is drained"),
    pytest.param("stopped", {}, ["cordon drain", "mark_drained", "power_off"], id="stop"),
    pytest.param("stopped", DRAINED, ["power_off"], id="stop what is drained"),
    pytest.param("stopped", OFF, [], id="it is off"),
    pytest.param("absent", NOBODY, [], id="nothing to remove"),
    pytest.param("absent", {}, END, id="the whole end"),
    pytest.param("absent", OFF, [*END[:2], "finish drain", *END[4:]], id="nothing runs on a machine that is off"),
    pytest.param("absent", PENDING, [*END[:2], "finish drain", *END[4:]], id="nothing runs on a machine that never was"),
    pytest.param("absent", ENDING, ["finish dns", "finish credentials", "finish provider", "finish traces", "close"], id="an end that goes on"),
])  # fmt: skip
def test_steps(state, known, wanted):
    assert steps(state, known) == wanted


def test_a_stop_without_a_drain():
    assert steps("stopped", drain=False) == ["power_off"]


def test_hooks_drain_in_their_order_and_go_back_in_the_other():
    both = node(hooks=("swarm", "docker"))
    empty = Evidence("swarm", "empty", NOW - 10, changed=("availability",))
    old = Evidence("docker", "empty", NOW - 300)
    assert steps("drained", node=both) == ["cordon drain", "drain swarm", "drain docker", "mark_drained"]
    assert steps("drained", node=both, evidence=(empty, old)) == ["cordon drain", "drain docker", "mark_drained"]
    changed = (empty, Evidence("docker", "empty", NOW - 900, changed=("restart",)))
    assert steps("running", DRAINED, node=both, evidence=changed) == ["undo docker", "undo swarm", "uncordon"]
    assert steps("running", DRAINED, node=both, evidence=(empty, old)) == ["undo swarm", "uncordon"]
    found = plan(view(node=both), Desired("drained"))
    assert [step.done_by for step in found if step.action == "drain"] == ["hook roles"] * 2
    assert [step.disruptive for step in found] == [False, True, True, False]


def test_skips_stand_in_the_plan_by_name():
    assert steps("absent", skip=("dns", "provider")) == [step.replace("finish", "skip") if step in ("finish dns", "finish provider") else step for step in END]
    assert "finish guards" in steps("absent", skip=("guards",))
    assert "skip drain" in steps("absent", reachable=False, force=True)
    assert "finish drain" in steps("absent", reachable=False)
    assert "skip drain" in steps("absent", drain=False) and "cordon drain" not in steps("absent", drain=False)


def test_a_machine_made_with_something_else_is_replaced():
    assert steps("running", spec_hash="v1:b", replace=True) == [*END, *BIRTH]
    assert steps("running", spec_hash="v1:a") == []
    assert steps("drained", spec_hash="v1:b") == ["cordon drain", "mark_drained"]


def test_machines_that_no_row_knows():
    found = machine(OTHER, provider_id="local:///late")
    assert steps("absent", NOBODY, others=(found,)) == ["sweep local:///late"]
    assert steps("absent", others=(found,))[-2:] == ["close", "sweep local:///late"]
    assert steps("running", NOBODY, others=(found,), adopt=True) == ["adopt local:///late", *BIRTH[2:]]
    for foreign in (machine(OTHER, fleet="theirs"), machine(OTHER, node="edge-2"), machine(None)):
        assert steps("absent", NOBODY, others=(foreign,)) == []
        assert steps("running", NOBODY, others=(foreign,), adopt=True) == BIRTH


# --- verdicts ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("known", "create", "destroy"), [
    pytest.param({}, "done", "not", id="it is there"),
    pytest.param({"sighting": Unknown("auth", "x")}, "unknown", "unknown", id="nobody knows"),
    pytest.param({"sighting": None}, "unknown", "unknown", id="nobody asked"),
    pytest.param({"sighting": machine(OTHER)}, "foreign", "foreign", id="the id is another machine's"),
    pytest.param({"sighting": machine(OTHER, provider_id="local:///x")}, "foreign", "unknown", id="the name is another machine's"),
    pytest.param({"sighting": NotFound(final=True), "actions": (opened("create"),)}, "not", "done", id="finally not there"),
    pytest.param({"sighting": NotFound()}, "not", "unknown", id="not found once"),
    pytest.param({"sighting": NotFound(), "actions": (opened("create", NOW - 59),)}, "unknown", "unknown", id="asked for 59 s ago"),
    pytest.param({"sighting": NotFound(), "actions": (opened("create", NOW - 600),)}, "unknown", "unknown", id="asked for long ago, looked for once"),
    pytest.param({"sighting": NotFound(), "instance": instance(missing_since=NOW - 59, missed_at=NOW), "actions": (opened("create", NOW - 600),)},
                 "unknown", "unknown", id="looked for during 59 s since it was asked for"),
    pytest.param({"sighting": NotFound(), "instance": instance(missing_since=NOW - 60, missed_at=NOW), "actions": (opened("create", NOW - 600),)},
                 "not", "done", id="looked for during 60 s since it was asked for"),
    pytest.param({"sighting": NotFound(), "instance": instance(provider_id=""), "actions": (opened("create", NOW - 600),)}, "unknown", "unknown",
                 id="asked for, and never seen"),
    pytest.param({"sighting": NotFound(), "instance": instance(missing_since=NOW - 60, missed_at=NOW)}, "not", "done", id="missing for 60 s"),
    pytest.param({"sighting": NotFound(), "instance": instance(missing_since=NOW - 60, missed_at=NOW), "actions": (opened("create"),)}, "unknown", "unknown",
                 id="missing, and asked for just now"),
    pytest.param({"sighting": NotFound(), "instance": instance(provider_id="")}, "not", "done", id="never seen, never asked for"),
])  # fmt: skip
def test_whether_to_ask_for_a_machine_and_whether_it_is_gone(known, create, destroy):
    given = facts(**known)
    assert (create_verdict(given), destroy_verdict(given)) == (create, destroy)


# --- finalizers -------------------------------------------------------------------------------------------------------------------


def test_finalizers_have_one_order():
    assert NAMES == ("guards", "drain", "hooks", "memberships", "dns", "volumes", "credentials", "provider", "traces")
    assert in_order(["provider", "dns", "nonsense"]) == ("dns", "provider")
    for finalizer in FINALIZERS:
        assert all(NAMES.index(other) < NAMES.index(finalizer.name) for other in finalizer.waits_for)
    assert BY_NAME["provider"].waits_for == NAMES[:7] and BY_NAME["traces"].waits_for == NAMES[:8]


def test_a_failed_membership_holds_the_machine_back_and_not_its_credentials():
    left = ("memberships", "dns", "volumes", "credentials", "provider", "traces")
    assert [name for name in left if not stands_before(name, left)] == ["memberships", "dns", "volumes", "credentials"]
    assert stands_before("provider", ("memberships", "provider")) == ("memberships",)
    assert stands_before("credentials", ("drain", "credentials")) == ("drain",)


# --- what stands in the way -------------------------------------------------------------------------------------------------------


def codes(state, facts=None, level="fail", **changed):
    desired = {name: changed.pop(name) for name in list(changed) if name in Desired.__dataclass_fields__}
    return [one.code for one in contradiction(view(facts=facts or {}, **changed), Desired(state, **desired)) if one.level == level]


KEPT = node(lifecycle_class="persistent")


@pytest.mark.parametrize(("state", "known", "changed", "wanted"), [
    *(pytest.param(state, {}, {}, [], id=f"{state} is fine") for state in ("present", "running", "cordoned", "drained", "stopped", "absent")),
    pytest.param("running", NOBODY, {}, [], id="birth is fine"),
    pytest.param("absent", {}, {"skip": ("dsn",)}, ["option_invalid"], id="misspelt finalizer"),
    pytest.param("absent", {}, {"skip": ("guards",)}, ["held"], id="guards are not skipped"),
    pytest.param("running", NOBODY, {"mode": "disabled"}, ["provider_disabled"], id="disabled"),
    pytest.param("running", {"sighting": Unknown("auth", "no")}, {}, ["provider_unavailable"], id="no answer"),
    pytest.param("absent", {"sighting": Unknown("auth", "no")}, {}, [], id="credentials can go without the provider"),
    pytest.param("drained", {"sighting": Unknown("auth", "no")}, {}, [], id="a drain needs no provider"),
    pytest.param("running", {"sighting": NotFound()}, {}, ["provider_unavailable"], id="not found once"),
    pytest.param("running", {"sighting": machine(OTHER)}, {}, ["identity_mismatch"], id="recycled id"),
    pytest.param("absent", {"sighting": machine(OTHER)}, {}, ["identity_mismatch"], id="recycled id, absent"),
    pytest.param("absent", {"sighting": machine(OTHER)}, {"force": True}, ["identity_mismatch"], id="recycled id, with force"),
    pytest.param("absent", {"sighting": machine(OTHER)}, {"skip": ("provider",)}, [], id="recycled id, let go of by name"),
    pytest.param("stopped", {"sighting": machine(created_at=NOW)}, {}, ["identity_mismatch"], id="made anew by hand"),
    pytest.param("running", {**PENDING, "sighting": machine(None)}, {}, ["name_clash"], id="foreign machine of this name"),
    pytest.param("running", NOBODY, {"others": (machine(None),)}, ["name_clash"], id="foreign machine of this name, before the row"),
    pytest.param("running", NOBODY, {"others": (machine(OTHER, fleet="theirs"),)}, ["name_clash"], id="another fleet has this name"),
    pytest.param("absent", {**PENDING, "sighting": machine(None)}, {}, [], id="a foreign name is no concern of an end"),
    pytest.param("running", {}, {"others": (machine(OTHER),)}, ["duplicate_machine"], id="one more with this tag"),
    pytest.param("running", {}, {"others": (machine(provider_id="local:///x"),)}, ["duplicate_machine"], id="two with one id"),
    pytest.param("running", {"sighting": Unknown("auth", "no")}, {"others": (machine(),)}, ["provider_unavailable"], id="only the list shows it"),
    pytest.param("running", NOBODY, {"others": (machine(OTHER),)}, ["duplicate_machine"], id="no row knows it"),
    pytest.param("running", NOBODY, {"others": (machine(OTHER),), "adopt": True}, [], id="adopt"),
    pytest.param("running", NOBODY, {"others": (machine(OTHER), machine("3")), "adopt": True}, ["duplicate_machine"] * 2, id="adopt which"),
    pytest.param("absent", NOBODY, {"others": (machine(OTHER),)}, ["approval_required"], id="an orphan needs a word"),
    pytest.param("absent", NOBODY, {"others": (machine(OTHER),), "approved": True}, [], id="and has it"),
    pytest.param("absent", {}, {"node": node(guards=(Guard("protected"),))}, ["held"], id="protected: absent"),
    pytest.param("absent", {}, {"node": node(guards=(Guard("protected"),)), "force": True, "approved": True}, ["held"], id="force overrides no guard"),
    pytest.param("absent", {}, {"node": node(guards=(Guard("no_stop"),))}, ["held"], id="no_stop: absent"),
    pytest.param("stopped", {}, {"node": node(guards=(Guard("no_stop"),))}, ["held"], id="no_stop: stopped"),
    pytest.param("drained", {}, {"node": node(guards=(Guard("protected"),))}, [], id="protected: drained"),
    pytest.param("stopped", {}, {"node": node(guards=(Guard("no_remediation"), Guard("quarantined")))}, [], id="guards of other things"),
    pytest.param("absent", {}, {"node": node(guards=(Guard("protected", until=NOW),))}, [], id="a guard that is over"),
    pytest.param("absent", {}, {"node": node(guards=(Guard("protected", until=NOW + 1),))}, ["held"], id="a guard that is not"),
    pytest.param("running", {}, {"node": node(guards=(Guard("protected"),)), "spec_hash": "v1:b", "replace": True}, ["held"], id="protected: replace"),
    pytest.param("stopped", {}, {"own_host": True}, ["self_management"], id="own host: stopped"),
    pytest.param("drained", {}, {"own_host": True}, [], id="own host: drained"),
    pytest.param("absent", {}, {"own_host": True}, ["self_management"], id="own host: absent"),
    *(pytest.param(state, NOBODY, {}, ["no_machine"], id=f"{state} without a machine") for state in ("cordoned", "drained", "stopped")),
    pytest.param("drained", PENDING, {}, ["no_machine"], id="a row is no machine"),
    pytest.param("stopped", GONE, {}, ["no_machine"], id="stopped, and it vanished"),
    pytest.param("cordoned", ENDING, {}, ["finalizers_pending"], id="its end has begun"),
    pytest.param("running", {}, {"spec_hash": "v1:b"}, ["immutable_change"], id="another spec"),
    pytest.param("absent", {}, {"node": KEPT}, ["approval_required"], id="persistent: absent"),
    pytest.param("absent", {}, {"node": KEPT, "approved": True}, [], id="persistent: approved"),
    pytest.param("absent", {}, {"node": KEPT, "force": True}, ["approval_required"], id="force is no approval"),
    pytest.param("running", GONE, {"node": KEPT}, ["approval_required"], id="persistent: vanished"),
    pytest.param("running", GONE, {}, [], id="ephemeral: vanished"),
    pytest.param("absent", ENDING, {"node": KEPT}, [], id="approved when it began"),
    pytest.param("drained", {}, {"node": node(quorum_group="db"), "group": {"b": True, "c": False}}, ["quorum_risk"], id="1 of 3 stays"),
    pytest.param("drained", {}, {"node": node(quorum_group="db"), "group": {"b": True, "c": False}, "force": True}, ["quorum_risk"], id="with force"),
    pytest.param("drained", {}, {"node": node(quorum_group="db"), "group": {"b": True, "c": True}}, [], id="2 of 3 stay"),
    pytest.param("absent", {}, {"node": node(quorum_group="db")}, ["quorum_risk"], id="the last one"),
    pytest.param("absent", OFF, {"node": node(quorum_group="db")}, [], id="it takes no part while it is off"),
    pytest.param("cordoned", {}, {"node": node(quorum_group="db")}, [], id="a cordon takes nothing away"),
    pytest.param("drained", {"heartbeat": beat(runtimes=("docker", "swarm"))}, {"node": node(hooks=("docker",))}, ["hook_missing"], id="swarm without hook"),
    pytest.param("drained", {"heartbeat": beat(runtimes=("k3s",))}, {"node": node(hooks=("k3s_agent",))}, [], id="one of two hooks"),
    pytest.param("drained", {"heartbeat": beat(runtimes=("docker",))}, {"accept_undrained": True}, [], id="accepted"),
    pytest.param("drained", {}, {"reachable": False}, ["drain_blocked"], id="who does not answer is not empty"),
    pytest.param("drained", {}, {"reachable": False, "force": True}, ["drain_blocked"], id="and force makes it no more so"),
    pytest.param("absent", {}, {"reachable": False, "force": True}, [], id="but it can be given up"),
])  # fmt: skip
def test_what_stands_in_the_way(state, known, changed, wanted):
    assert codes(state, known, **changed) == wanted


def test_every_blocker_is_named_with_what_overrides_it():
    blocked = Evidence("docker", "blocked", NOW - 10, ({"name": "db", "reason": "a local volume", "override": "accept: [db]"}, {"name": "x", "reason": "y"}))
    found = contradiction(view(node=node(hooks=("docker",)), evidence=(blocked,)), Desired("drained"))
    assert [one.message for one in found] == ["docker: db stays: a local volume; accept: [db] overrides it.", "docker: x stays: y."]


def test_all_findings_come_at_once():
    guarded = replace(KEPT, guards=(Guard("protected", "soak of cutover/hub", NOW + 60),), quorum_group="db")
    with pytest.raises(FleetError) as failure:
        refuse(view(node=guarded, own_host=True, reachable=False), Desired("absent", skip=("dsn",)))
    assert failure.value.code == "preflight_failed" and "Nothing was changed." in failure.value.message
    assert [one["code"] for one in failure.value.details["findings"]] == [
        "option_invalid", "held", "self_management", "approval_required", "quorum_risk", "drain_blocked"]  # fmt: skip
    with pytest.raises(FleetError) as failure:
        refuse(view(), Desired("running", spec_hash="v1:b"))
    assert failure.value.code == "immutable_change"


def test_a_warning_stops_nothing():
    assert codes("absent", {"sighting": Unknown("auth", "no")}, level="warn") == ["provider_unavailable"]
    refuse(view(facts={"sighting": Unknown("auth", "no")}), Desired("absent"))


def test_codes_of_failures_are_of_the_one_list_of_reasons():
    general = {"conflict", "option_invalid", "preflight_failed", "node_unknown", "template_in_use", "template_unknown"}
    assert set(FAILURES) - general <= set(REASONS)
