# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of one machine as a table: what stands there, what is wanted, which steps; and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import Identity, Machine, Observed, Spec, World, declared, spec_hash
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.plan import plan, stranger

ME = Identity("lab", "0f0e0d0c-1111-4222-8333-000000000001", "web-1", "web-1", "v1:x")
OTHER = replace(ME, instance_id="0f0e0d0c-1111-4222-8333-000000000002")
DECLARED = declared("local_qemu", Spec(image="/i"))
MACHINE = Machine("local_qemu", ME, DECLARED)


def there(identity=ME, power="on", name="web-1", **details):
    return Observed("libvirt://h/x", power, identity, details={"name": name, "declared": DECLARED, "credentials": False, **details})


NOTHING, ON, OFF = World(), World(there(), there(), True), World(there(power="off"), there(power="off"), True)
SECRET = World(there(credentials=True), there(), True)


@pytest.mark.parametrize(("state", "world", "wanted"), [
    ("present", NOTHING, ["prepare", "define"]),
    ("stopped", NOTHING, ["prepare", "define"]),
    ("running", NOTHING, ["prepare", "define", "start"]),
    ("absent", NOTHING, []),
    ("running", World(files=True), ["prepare", "define", "start"]),
    ("absent", World(files=True), ["clear"]),
    ("present", ON, []), ("present", OFF, []),
    ("running", ON, []), ("running", OFF, ["start"]),
    ("stopped", ON, ["stop"]), ("stopped", OFF, []),
    ("absent", ON, ["destroy", "undefine", "clear"]), ("absent", OFF, ["undefine", "clear"]),
    ("absent", World(None, there(None), False), []),
    ("absent", World(None, there(OTHER), False), []),
])  # fmt: skip
def test_steps(state, world, wanted):
    assert [step.action for step in plan(state, MACHINE, False, world)] == wanted


def test_a_change_of_what_may_change_is_defined_anew():
    other = Machine("local_qemu", ME, {**DECLARED, "memory_mib": 2048})
    steps = plan("running", other, False, ON)
    assert [(step.action, step.reason) for step in steps] == [("define", "web-1: memory_mib changed")]
    assert [step.action for step in plan("running", replace(MACHINE, identity=replace(ME, spec_hash="v1:y")), False, OFF)] == ["define", "start"]


def test_credentials_go_only_where_that_is_asked_for():
    assert plan("running", MACHINE, False, SECRET) == ()
    assert [step.action for step in plan("running", MACHINE, True, SECRET)] == ["forget"]
    assert plan("running", MACHINE, True, ON) == ()


@pytest.mark.parametrize("name", ["image", "disk_gib"])
def test_what_a_machine_was_made_of_stays(name):
    with pytest.raises(FleetError) as caught:
        plan("running", Machine("local_qemu", ME, {**DECLARED, name: "/other"}), False, ON)
    assert caught.value.code == "immutable_change" and name in caught.value.message
    # What is removed need not fit.
    assert plan("absent", Machine("local_qemu", ME, {**DECLARED, name: "/other"}), False, ON) != ()


@pytest.mark.parametrize("state", ["present", "running", "stopped"])
def test_a_name_that_is_taken_is_left_alone(state):
    with pytest.raises(FleetError) as caught:
        plan(state, MACHINE, False, World(None, there(None), False))
    assert caught.value.code == "name_clash"
    with pytest.raises(FleetError) as caught:
        plan(state, MACHINE, False, World(None, there(OTHER), False))
    assert caught.value.code == "identity_mismatch"


@pytest.mark.parametrize("state", ["present", "running", "stopped", "absent"])
@pytest.mark.parametrize("found", [
    there(None), there(OTHER), there(replace(ME, fleet="other")), there(replace(ME, node="db-1")), there(replace(ME, name="db-1")), there(name="renamed"),
])  # fmt: skip
def test_our_id_with_another_identity_is_touched_in_no_state(state, found):
    with pytest.raises(FleetError) as caught:
        plan(state, MACHINE, False, World(found, found, True))
    assert caught.value.code == "identity_mismatch"


def test_who_has_our_name_is_told():
    assert stranger(ME, ON) is None and stranger(ME, NOTHING) is None
    assert stranger(ME, World(None, there(None))) is not None


def test_the_hash_is_of_what_is_declared_and_of_nothing_else():
    one = spec_hash("local_qemu", DECLARED)
    assert one == spec_hash("local_qemu", dict(reversed(list(DECLARED.items()))))
    assert len({one, spec_hash("local_nspawn", DECLARED), spec_hash("local_qemu", {**DECLARED, "vcpus": 2})}) == 3
    assert one.startswith("v1:") and len(one) == 67
    # What the kind does not use changes nothing.
    assert declared("local_qemu", Spec(image="/i", address="10.0.0.1/24")) == DECLARED
