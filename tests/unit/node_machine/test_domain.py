# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine as XML: there and back, hostile values, and no value of a credential anywhere."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import domain
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import Identity, Machine, Spec, declared

ME = Identity("lab", "0f0e0d0c-1111-4222-8333-000000000001", "web-1", "web-1", "v1:x", 3)
SPEC = Spec(image="/i.qcow2", kernel="/k", initrd="/r", cmdline="root=/dev/vda", memory_mib=2048, vcpus=2, network="default")
MACHINE = Machine("local_qemu", ME, declared("local_qemu", SPEC), {"token": "/secret/file"})
HOSTILE = "</bowline:declared><x a=\"'&]]>\u00fc"


def text(kind: str = "qemu", machine: Machine = MACHINE) -> str:
    return domain.document(machine, domain.Form(kind, "/m/id"), 12.5)


@pytest.mark.parametrize("kind", ["kvm", "qemu", "test"])
def test_what_is_written_is_read_back(kind):
    found = domain.read(text(kind))
    assert (found.uuid, found.name, found.type, found.identity, found.created_at) == (ME.instance_id, "web-1", kind, ME, 12.5)
    assert found.declared == MACHINE.declared
    # libvirt's mock knows no firmware.
    assert found.credentials == (() if kind == "test" else ("token",))


def test_credentials_are_files_of_the_machine_and_can_be_left_out():
    entry = ElementTree.fromstring(text()).find("sysinfo/entry")
    assert entry.attrib == {"name": "opt/io.systemd.credentials/token", "file": "/m/id/credentials/token"} and not entry.text
    assert "/secret/file" not in text()
    assert "sysinfo" not in text(machine=replace(MACHINE, credentials={}))


def test_values_cannot_leave_their_place():
    """Whatever stands in a value is a value: the parser sees the same elements as without it."""
    plain = [element.tag for element in ElementTree.fromstring(text()).iter()]
    hostile = Machine("local_qemu", replace(ME, node=HOSTILE, fleet=HOSTILE), {**MACHINE.declared, "cmdline": HOSTILE, "image": HOSTILE, "network": HOSTILE})
    seen = ElementTree.fromstring(text(machine=hostile))
    # Without credentials there is one element less for each.
    assert [element.tag for element in seen.iter()] == [tag for tag in plain if tag not in ("sysinfo", "entry")]
    found = domain.read(text(machine=hostile))
    assert found.identity == hostile.identity and found.declared == hostile.declared


@pytest.mark.parametrize("broken", [
    "<domain type='kvm'><name>x</name><uuid>u</uuid></domain>",
    "<domain type='kvm'><name>x</name><uuid>u</uuid><metadata><m xmlns='urn:bowline:fleet:machine:1'/></metadata></domain>",
    "<domain><metadata><machine xmlns='urn:bowline:fleet:machine:1' fleet='a'/></metadata></domain>",
    text().replace('generation="3"', 'generation="many"'), text().replace("{", "[", 1),
])  # fmt: skip
def test_what_is_not_whole_is_nobodys(broken):
    assert domain.read(broken).identity is None


def test_the_card_has_the_same_address_in_every_run():
    assert domain.mac(ME.instance_id) == domain.mac(ME.instance_id) != domain.mac("other")
    assert domain.mac(ME.instance_id).startswith("52:54:00:") and f'address="{domain.mac(ME.instance_id)}"' in text()


def test_another_processor_is_all_that_changes():
    changed = domain.retyped(text("kvm"), "qemu")
    assert domain.read(changed) == domain.read(text("qemu")) and 'mode="maximum"' in changed and "host-passthrough" not in changed
