# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How well an instance is: silence by the store's clock, discounted by the time in which nobody listened, and every condition."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.health import conditions, grade, health, listening_since, shown, silence
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import CONDITIONS, REASONS, Receiver
from ansible_collections.bowline.fleet.plugins.module_utils._node.phase import Clocks, Verdict, phase
from node_objects import NOW, beat, facts, instance, machine, opened


def listener(started, last_alive, name="r", gap=60.0):
    return Receiver(name, NOW - started, NOW - last_alive, gap)


@pytest.mark.parametrize(("age", "wanted"), [(0, "ok"), (89, "ok"), (90, "late"), (299, "late"), (300, "silent"), (899, "silent"), (900, "lost")])
def test_silence_has_grades(age, wanted):
    assert grade(facts(heartbeat=beat(age))) == wanted


@pytest.mark.parametrize(("receivers", "age", "wanted"), [
    pytest.param((), 5000, "unknown", id="nobody has ever listened"),
    pytest.param((listener(9000, 61),), 5000, "unknown", id="nobody listens now"),
    pytest.param((listener(9000, 59),), 5000, "lost", id="the receiver is a little late itself"),
    pytest.param((listener(9000, 61, gap=600),), 5000, "lost", id="between two sweeps the last one counts"),
    pytest.param((listener(9000, 599, gap=600),), 600, "ok", id="what it heard at its last sweep"),
    pytest.param((listener(9000, 601, gap=600),), 5000, "unknown", id="the next sweep is overdue"),
    pytest.param((listener(9000, 100, gap=600),), 500, "ok", id="a sweep in five minutes is no silence yet"),
    pytest.param((listener(9000, 100, gap=600),), 700, "late", id="after two of them it is late"),
    pytest.param((listener(9000, 100, gap=600),), 999, "late", id="for three it is late"),
    pytest.param((listener(9000, 100, gap=600),), 1000, "silent", id="then silent"),
    pytest.param((listener(9000, 100, gap=600),), 2800, "lost", id="after nine it is lost"),
    pytest.param((listener(9000, 70, "a"), listener(9000, 100, "b", 600)), 5000, "lost", id="one that is gone beside a sweep"),
    pytest.param((listener(9000, 10, "a"), listener(9000, 100, "b", 600)), 400, "silent", id="the most eager one has the limits"),
    pytest.param((listener(299, 0),), 5000, "late", id="it came up 299 s ago"),
    pytest.param((listener(300, 0),), 5000, "silent", id="it came up 300 s ago"),
    pytest.param((listener(9000, 600, "a"), listener(60, 0, "b")), 700, "ok", id="down for ten minutes: no node is silent"),
    pytest.param((listener(9000, 100, "a"), listener(120, 0, "b")), 700, "silent", id="two that overlap listen as one"),
    pytest.param((listener(9000, 130, "a"), listener(120, 0, "b")), 700, "late", id="two with a gap do not"),
])  # fmt: skip
def test_only_while_somebody_listens_does_silence_count(receivers, age, wanted):
    assert grade(facts(receivers=receivers, heartbeat=beat(age))) == wanted


def test_what_was_never_heard_is_not_silent():
    assert silence(facts(heartbeat=None)) is None
    assert listening_since((), NOW) is None


@pytest.mark.parametrize(("changed", "wanted"), [
    pytest.param({}, "ok", id="well"),
    pytest.param({"instance": None}, "unknown", id="no machine"),
    pytest.param({"heartbeat": beat(120)}, "late", id="late"),
    pytest.param({"heartbeat": beat(services_ready=False, ready_boot="boot-1")}, "degraded", id="a service died later"),
    pytest.param({"heartbeat": beat(400, services_ready=False, ready_boot="boot-1")}, "silent", id="silence hides the services"),
    pytest.param({"heartbeat": beat(services_ready=False), "instance": instance(phase="bootstrapping", phase_since=NOW - 10)}, "ok", id="it boots"),
    pytest.param({"heartbeat": beat(services_ready=False), "instance": instance(phase="bootstrapping", phase_since=NOW - 300)}, "stalled", id="for too long"),
    pytest.param({"heartbeat": beat(services_ready=False), "instance": instance(phase="bootstrapping", phase_since=NOW - 300),
                  "clocks": Clocks(boot_factor=5)}, "ok", id="an emulated machine has five times as long"),
    pytest.param({"sighting": machine(power="off"), "heartbeat": beat(4000)}, "unknown", id="off"),
    pytest.param({"actions": (opened("create"),), "instance": instance(phase="provisioning", phase_since=NOW - 600)}, "stalled", id="no machine in 600 s"),
    pytest.param({"heartbeat": None, "instance": instance(phase="provisioning", phase_since=NOW - 3000, powered_at=NOW - 800)}, "unknown", id="T3 counts"),
    pytest.param({"heartbeat": None, "instance": instance(phase="provisioning", phase_since=NOW - 3000, powered_at=NOW - 900)}, "stalled", id="T3 has passed"),
])  # fmt: skip
def test_health(changed, wanted):
    known = facts(**changed)
    assert health(known, phase(known)) == wanted


def found(**changed):
    known = facts(**changed)
    return {one.type: (one.status, one.reason) for one in conditions(known, phase(known))}


def test_every_condition_has_a_status_and_a_reason_of_the_one_list():
    worlds = [{}, {"heartbeat": None}, {"sighting": None}, {"sighting": machine(instance_id=None)}, {"heartbeat": beat(950, enrolled=False)}]
    for changed in worlds:
        known = facts(**changed)
        seen = conditions(known, phase(known))
        assert tuple(one.type for one in seen) == CONDITIONS
        assert {one.reason for one in seen} <= set(REASONS)
        assert {one.generation for one in seen} == {1}
    assert conditions(facts(instance=None), Verdict("no_instance")) == ()


@pytest.mark.parametrize(("changed", "name", "wanted"), [
    pytest.param({}, "infrastructure_ready", ("true", ""), id="machine"),
    pytest.param({"sighting": machine(instance_id=None)}, "infrastructure_ready", ("false", "identity_mismatch"), id="foreign machine"),
    pytest.param({"sighting": None}, "address_assigned", ("unknown", ""), id="nobody asked for addresses"),
    pytest.param({"sighting": machine(addresses=())}, "address_assigned", ("false", "no_address"), id="no address"),
    pytest.param({"heartbeat": None}, "contacted", ("false", "waiting_for_contact"), id="no contact"),
    pytest.param({"heartbeat": None}, "services_ready", ("unknown", ""), id="nobody said"),
    pytest.param({"heartbeat": beat(services_ready=False)}, "services_ready", ("false", "services_not_ready"), id="not yet"),
    pytest.param({"heartbeat": beat(services_ready=False, ready_boot="boot-1")}, "services_ready", ("false", "service_failed"), id="no more"),
    pytest.param({"heartbeat": beat(certificate_not_after=NOW - 1)}, "certificate_valid", ("false", "token_expired"), id="certificate over"),
    pytest.param({"receivers": ()}, "heartbeat_fresh", ("unknown", ""), id="nobody listens"),
    pytest.param({"heartbeat": beat(400)}, "heartbeat_fresh", ("false", "silent"), id="silent"),
    pytest.param({"wanted_hash": "v1:b"}, "up_to_date", ("false", "spec_differs"), id="other spec"),
    pytest.param({"wanted_hash": "v1:a"}, "up_to_date", ("true", ""), id="same spec"),
    pytest.param({"instance": instance(cordoned_by="operator")}, "cordoned", ("true", "cordoned_by_operator"), id="cordoned"),
    pytest.param({"instance": instance(delete_requested_at=NOW, finalizers=("dns",))}, "deleting", ("true", ""), id="deleting"),
])  # fmt: skip
def test_conditions(changed, name, wanted):
    assert found(**changed)[name] == wanted


def test_since_is_kept_while_the_status_is():
    known = facts()
    first = conditions(known, phase(known))
    later = facts(now=NOW + 50, heartbeat=beat(-40, services_ready=False, ready_boot="boot-1"))
    second = {one.type: one for one in conditions(later, phase(later), first)}
    assert (second["enrolled"].since, second["services_ready"].since) == (NOW, NOW + 50)


def test_a_phase_keeps_the_moment_in_which_it_began():
    known = instance(phase="running", phase_since=NOW - 9)
    assert shown(known, Verdict("running"), NOW) == known
    assert shown(known, Verdict("draining"), NOW) == replace(known, phase="draining", phase_since=NOW)
