# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine as libvirt's XML, and back. Pure. Values are put in by ElementTree, never by text. https://libvirt.org/formatdomain.html"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from dataclasses import asdict, dataclass, field
from xml.etree import ElementTree as ET

from .model import Identity, Machine

# Metadata of a domain are kept by namespace; libvirt gives them back as they were given.
NAMESPACE = "urn:bowline:fleet:machine:1"
_TAG = f"{{{NAMESPACE}}}machine"
_DECLARED = f"{{{NAMESPACE}}}declared"
# qemu hands such an entry to the guest as a file of its firmware, where systemd looks for credentials: systemd.exec(5), SetCredential=; libvirt
# writes ``-fw_cfg name=…,file=…`` for it, so its value stands neither in the XML nor in an argument. A string of SMBIOS would stand in both.
CREDENTIAL = "opt/io.systemd.credentials/"
ET.register_namespace("bowline", NAMESPACE)


@dataclass(frozen=True)
class Form:
    """What the host decides: ``type`` is kvm, qemu or test, ``folder`` is the one of the machine's files."""

    type: str
    folder: str

    @property
    def disk(self) -> str:
        return os.path.join(self.folder, "disk.qcow2")

    @property
    def console(self) -> str:
        return os.path.join(self.folder, "console.log")

    def credential(self, name: str) -> str:
        return os.path.join(self.folder, "credentials", name)


@dataclass(frozen=True)
class Read:
    """What the XML of a domain says. ``identity`` is None for one that is not ours or cannot be read; ``credentials`` are names."""

    uuid: str
    name: str
    type: str
    identity: t.Optional[Identity] = None
    declared: t.Mapping[str, t.Any] = field(default_factory=dict)
    created_at: t.Optional[float] = None
    credentials: t.Tuple[str, ...] = ()


def mac(instance_id: str) -> str:
    """The address of the machine's only card: fixed by its id, in the range that qemu uses (52:54:00)."""
    digest = hashlib.sha256(instance_id.encode()).hexdigest()
    return "52:54:00:" + ":".join(digest[index : index + 2] for index in (0, 2, 4))


def document(machine: Machine, form: Form, created: float) -> str:
    """The XML that defines the machine, with the identity in the same call."""
    declared, identity = machine.declared, machine.identity
    domain = ET.Element("domain", type=form.type)
    _text(domain, "name", identity.name)
    _text(domain, "uuid", identity.instance_id)
    _marked(ET.SubElement(domain, "metadata"), machine, created)
    _text(domain, "memory", str(declared["memory_mib"]), unit="MiB")
    _text(domain, "vcpu", str(declared["vcpus"]))
    system = ET.SubElement(domain, "os")
    _text(system, "type", "hvm")
    for name in ("kernel", "initrd", "cmdline"):
        if declared[name]:
            _text(system, name, declared[name])
    if not declared["kernel"]:
        ET.SubElement(system, "boot", dev="hd")
    if form.type != "test":
        _real(domain, machine, form)
    for name, condition in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _text(domain, name, condition)
    devices = ET.SubElement(domain, "devices")
    if declared["image"]:
        disk = ET.SubElement(devices, "disk", type="file", device="disk")
        ET.SubElement(disk, "driver", name="qemu", type="qcow2", discard="unmap")
        ET.SubElement(disk, "source", file=form.disk)
        ET.SubElement(disk, "target", dev="vda", bus="virtio")
    if declared["network"]:
        card = ET.SubElement(devices, "interface", type="network")
        ET.SubElement(card, "mac", address=mac(identity.instance_id))
        ET.SubElement(card, "source", network=declared["network"])
        ET.SubElement(card, "model", type="virtio")
    serial = ET.SubElement(devices, "serial", type="file")
    ET.SubElement(serial, "source", path=form.console, append="on")
    ET.SubElement(serial, "target", port="0")
    return ET.tostring(domain, encoding="unicode")


def read(xml: str) -> Read:
    """What a domain is, from what libvirt says of it."""
    domain = ET.fromstring(xml)
    marked = domain.find(f"metadata/{_TAG}")
    entries = [entry.get("name") or "" for entry in domain.findall("sysinfo[@type='fwcfg']/entry")]
    names = tuple(sorted(name[len(CREDENTIAL) :] for name in entries if name.startswith(CREDENTIAL)))
    uuid, name, kind = domain.findtext("uuid") or "", domain.findtext("name") or "", domain.get("type") or ""
    if marked is None:
        return Read(uuid, name, kind, None, {}, None, names)
    try:
        declared = json.loads(marked.findtext(_DECLARED) or "{}")
        fleet, instance_id, node, called, hashed = (str(marked.attrib[key]) for key in ("fleet", "instance_id", "node", "name", "spec_hash"))
        identity = Identity(fleet, instance_id, node, called, hashed, int(marked.attrib["generation"]))
        return Read(uuid, name, kind, identity, dict(declared), float(marked.get("created_at") or 0) or None, names)
    except (KeyError, ValueError, TypeError):
        # Somebody has written over it. It is nobody's, so nothing is done to it.
        return Read(uuid, name, kind, None, {}, None, names)


def retyped(xml: str, kind: str) -> str:
    """The same domain for another kind of processor: kvm passes that of the host on, qemu makes the best one that it can."""
    domain = ET.fromstring(xml)
    domain.set("type", kind)
    for cpu in domain.findall("cpu"):
        domain.remove(cpu)
    ET.SubElement(domain, "cpu", mode="host-passthrough" if kind == "kvm" else "maximum")
    return ET.tostring(domain, encoding="unicode")


def _marked(metadata: ET.Element, machine: Machine, created: float) -> None:
    words = {name: str(value) for name, value in asdict(machine.identity).items()}
    marked = ET.SubElement(metadata, _TAG, {**words, "created_at": f"{created:.3f}"})
    ET.SubElement(marked, _DECLARED).text = json.dumps(dict(machine.declared), sort_keys=True)


def _real(domain: ET.Element, machine: Machine, form: Form) -> None:
    """What libvirt's mock has no word for."""
    if machine.credentials:
        given = ET.SubElement(domain, "sysinfo", type="fwcfg")
        for name in sorted(machine.credentials):
            ET.SubElement(given, "entry", name=CREDENTIAL + name, file=form.credential(name))
    ET.SubElement(ET.SubElement(domain, "features"), "acpi")
    ET.SubElement(domain, "cpu", mode="host-passthrough" if form.type == "kvm" else "maximum")
    ET.SubElement(domain, "clock", offset="utc")


def _text(parent: ET.Element, name: str, value: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = value
