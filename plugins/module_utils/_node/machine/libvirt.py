# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of qemu through libvirt, the one file that speaks with it. A domain is a machine; its UUID is the instance id, its identity stands in its
metadata and comes with the defining call.

The library is the package python3-libvirt of the hypervisor, since the module runs with the Python of that host. https://libvirt.org/html/index.html
"""

from __future__ import annotations

import contextlib
import os
import time
import types
import typing as t
from dataclasses import replace

from ..._core import private
from ..._core.errors import FleetError
from ..._core.runner import Runner
from ..._core.wait import Deadline, wait_for
from . import domain as xml
from .files import copied_credentials, last_lines, overlay, told_key, tree_removed
from .model import Identity, Machine, Observed, World

# A guest of KVM that has said nothing for so long will say nothing: the device was there, and the processor does not do it.
SILENCE = 60.0
_ENDS = 30.0
# Where an address comes from, the best first: virDomainInterfaceAddressesSource.
_SOURCES = (("lease", "VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE"), ("agent", "VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT"),
            ("arp", "VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP"))  # fmt: skip


class Libvirt:
    """`Hypervisor` over libvirt at ``uri``. ``accel`` is auto, kvm or tcg. ``notes`` say what had to be decided on the way."""

    def __init__(self, folder: str, run: Runner, uri: str = "qemu:///system", accel: str = "auto", silence: float = SILENCE) -> None:
        self._base, self._run, self._uri, self._accel, self._silence = os.path.join(folder, "qemu"), run, uri, accel, silence
        self.notes: t.List[str] = []
        self._library = library()
        # Errors are raised; the library would print them as well.
        self._library.registerErrorHandler(lambda _context, _error: None, None)
        with self._asking(f"connect to {uri}"):
            self._connection = self._library.open(uri)
            self._mock = self._connection.getType() == "TEST"

    # --- reading

    def read(self, identity: Identity) -> World:
        folder = self._folder(identity.instance_id)
        self._refuse_other_libvirt(folder)
        by_id, by_name = self._find(identity.instance_id), self._find("", identity.name)
        return World(
            by_id=None if by_id is None else self._observed(by_id),
            by_name=None if by_name is None else self._observed(by_name),
            files=os.path.lexists(folder) or os.path.lexists(f"{folder}.new"),
        )

    def machines(self) -> t.List[Observed]:
        with self._asking("list the domains"):
            domains = self._connection.listAllDomains()
        return [one for one in map(self._observed, domains) if one.identity is not None]

    def console(self, identity: Identity, lines: int) -> t.List[str]:
        return last_lines(self._form(identity, "").console, lines)

    def host_key(self, identity: Identity) -> str:
        return told_key(self._form(identity, "").console)

    # --- making and unmaking

    def prepare(self, machine: Machine) -> None:
        """A disk that lies there is kept: it is as new, or it is that of a machine whose definition was lost, with all that it has written."""
        folder, image = self._folder(machine.identity.instance_id), machine.declared["image"]
        # qemu runs as a user of its own, which has to come by; libvirt gives it the files themselves (security_driver dac).
        private.folder(self._base, 0o755)
        if os.path.isdir(folder):
            self._refuse_other_disk(machine, folder)
            tree_removed(self._run, os.path.join(folder, "credentials"))
            self._hand_over(machine, folder)
            return
        new = f"{folder}.new"
        tree_removed(self._run, new)
        private.folder(new, 0o711)
        os.chmod(new, 0o711)
        if image:
            self._overlay(image, os.path.join(new, "disk.qcow2"), machine.declared["disk_gib"])
            os.chmod(os.path.join(new, "disk.qcow2"), 0o600)
        self._hand_over(machine, new)
        private.write(os.path.join(new, "console.log"), b"", 0o600)
        private.write(os.path.join(new, "uri"), f"{self._uri}\n".encode(), 0o600)
        os.rename(new, folder)

    def define(self, machine: Machine) -> None:
        found = self._find(machine.identity.instance_id)
        known = None if found is None else self._document(found)
        form = self._form(machine.identity, known.type if known else self._type())
        created = (known.created_at if known else None) or time.time()
        if known is not None:
            # Those that it was made with; a machine that has enrolled gets none by a change of its memory.
            machine = replace(machine, credentials=dict.fromkeys(known.credentials, ""))
        with self._asking(f"define {machine.identity.name}"):
            self._connection.defineXML(xml.document(machine, form, created))

    def forget(self, machine: Machine) -> None:
        domain = self._find(machine.identity.instance_id)
        if domain is not None:
            known = self._document(domain)
            bare, form = replace(machine, credentials={}), self._form(machine.identity, known.type)
            with self._asking(f"define {machine.identity.name} without credentials"):
                self._connection.defineXML(xml.document(bare, form, known.created_at or time.time()))
        # Last: a domain that names a file which is not there does not start.
        tree_removed(self._run, os.path.join(self._folder(machine.identity.instance_id), "credentials"))

    def undefine(self, machine: Machine) -> None:
        domain = self._find(machine.identity.instance_id)
        if domain is not None:
            flags = 0 if self._mock else self._library.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | self._library.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            with self._asking(f"undefine {machine.identity.name}"), self._gone():
                domain.undefineFlags(flags)

    def clear(self, machine: Machine) -> None:
        folder = self._folder(machine.identity.instance_id)
        tree_removed(self._run, f"{folder}.new")
        tree_removed(self._run, folder)

    # --- power

    def start(self, machine: Machine) -> None:
        domain, name = self._there(machine.identity), machine.identity.name
        doubtful = self._accel == "auto" and self._document(domain).type == "kvm"
        if not self._active(domain):
            try:
                with self._asking(f"start {name}"):
                    domain.create()
            except FleetError as error:
                if not doubtful:
                    raise
                self._without_kvm(domain, machine, f"did not start under KVM ({error.message})")
                return
        if doubtful and not self._speaks(machine.identity):
            self.destroy(machine)
            self._without_kvm(domain, machine, f"said nothing on its console for {self._silence:g} s under KVM")

    def shutdown(self, machine: Machine) -> None:
        domain = self._find(machine.identity.instance_id)
        if domain is not None and self._active(domain):
            with self._asking(f"shut {machine.identity.name} down"), self._gone():
                domain.shutdown()

    def destroy(self, machine: Machine) -> None:
        domain = self._find(machine.identity.instance_id)
        if domain is None or not self._active(domain):
            return
        with self._asking(f"power {machine.identity.name} off"), self._gone():
            domain.destroy()
        wait_for(lambda: self._active(domain), lambda active: not active, Deadline(_ENDS), what=f"{machine.identity.name} to be off", interval=0.1)

    def _speaks(self, identity: Identity) -> bool:
        """Whether the guest has said anything on its console before `SILENCE` was over."""
        deadline = Deadline(self._silence)
        while not self.console(identity, 1):
            if deadline.expired():
                return False
            deadline.pause(0.5)
        return True

    def _without_kvm(self, domain: t.Any, machine: Machine, why: str) -> None:
        """The same machine, its credentials kept, with a processor in software: a guest that never ran has nothing to lose."""
        with self._asking(f"start {machine.identity.name} without KVM"):
            self._connection.defineXML(xml.retyped(domain.XMLDesc(self._library.VIR_DOMAIN_XML_INACTIVE), "qemu"))
            domain.create()
        self.notes.append(f"{machine.identity.name} {why}; it runs without it (TCG), which is slower.")

    # --- what libvirt says

    def _find(self, uuid: str, name: str = "") -> t.Any:
        with self._asking(f"look for {name or uuid}"):
            try:
                return self._connection.lookupByName(name) if name else self._connection.lookupByUUIDString(uuid)
            except self._library.libvirtError as error:
                if error.get_error_code() != self._library.VIR_ERR_NO_DOMAIN:
                    raise
                return None

    def _there(self, identity: Identity) -> t.Any:
        domain = self._find(identity.instance_id)
        if domain is None:
            raise FleetError(
                "machine_missing",
                f"{identity.name} ({identity.instance_id}) went away while it was worked on. Nothing else was changed.",
                remedy="Find out who removed it, then run again: it is made anew.",
                details={"instance_id": identity.instance_id},
            )
        return domain

    def _document(self, domain: t.Any) -> xml.Read:
        with self._asking("read a domain"):
            return xml.read(domain.XMLDesc(self._library.VIR_DOMAIN_XML_INACTIVE))

    def _active(self, domain: t.Any) -> bool:
        with self._asking("read the power of a domain"):
            try:
                return bool(domain.isActive())
            except self._library.libvirtError as error:
                if error.get_error_code() != self._library.VIR_ERR_NO_DOMAIN:
                    raise
                return False

    def _observed(self, domain: t.Any) -> Observed:
        document, active = self._document(domain), self._active(domain)
        addresses, source = self._addresses(domain) if active and document.identity else ((), "")
        details = {"name": document.name, "declared": document.declared, "credentials": self._secrets(document), "accel": document.type}
        return Observed(f"libvirt://{self._host()}/{document.uuid}", "on" if active else "off", document.identity, addresses, source,
                        document.created_at, details)  # fmt: skip

    def _secrets(self, document: xml.Read) -> bool:
        return bool(document.credentials) or os.path.lexists(os.path.join(self._folder(document.uuid), "credentials"))

    def _host(self) -> str:
        with self._asking("read the name of the host"):
            return str(self._connection.getHostname())

    def _addresses(self, domain: t.Any) -> t.Tuple[t.Tuple[str, ...], str]:
        for source, constant in _SOURCES:
            try:
                cards = domain.interfaceAddresses(getattr(self._library, constant)) or {}
            except self._library.libvirtError:
                # A guest without agent, or a mock: the next source is asked.
                continue
            found = [one["addr"] for card in cards.values() for one in card.get("addrs") or []]
            kept = tuple(one for one in found if not one.startswith(("127.", "169.254.", "fe80:", "::1")))
            if kept:
                return kept, source
        return (), ""

    def _type(self) -> str:
        if self._mock:
            return "test"
        if self._accel == "tcg":
            return "qemu"
        with self._asking("read the capabilities of the host"):
            able = "<domain type='kvm'" in self._connection.getCapabilities()
        if self._accel == "kvm" and not able:
            raise FleetError(
                "option_invalid",
                "accel: kvm was asked for, and libvirt says that this host has none. No machine was made.",
                remedy="Load the module kvm_intel or kvm_amd (virtualisation on in the firmware), or take accel=auto.",
            )
        return "kvm" if able else "qemu"

    # --- files

    def _hand_over(self, machine: Machine, folder: str) -> None:
        if not self._mock and machine.credentials:
            copied_credentials(machine.credentials, os.path.join(folder, "credentials"))
            os.chmod(os.path.join(folder, "credentials"), 0o711)

    def _refuse_other_disk(self, machine: Machine, folder: str) -> None:
        path = os.path.join(folder, "disk.qcow2")
        wanted = (machine.declared["image"], machine.declared["disk_gib"] << 30) if machine.declared["image"] else ("", 0)
        seen = overlay(path)
        if seen != wanted:
            raise FleetError(
                "immutable_change",
                f"{path} is there from before, of {seen[1] >> 30} GiB over {seen[0] or 'nothing'}, and another one is asked for. It is kept as it is, and no"
                " machine was made.",
                remedy="Take the old values back to have its machine again; or let it go with state=absent, then run again.",
                details={"path": path, "image": seen[0]},
            )

    def _refuse_other_libvirt(self, folder: str) -> None:
        """Another libvirt of this host may have a machine on these files, which nothing here would show."""
        try:
            laid = private.read(os.path.join(folder, "uri"), 0o600).decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return
        if laid != self._uri:
            raise FleetError(
                "identity_mismatch",
                f"The files in {folder} belong to a machine of {laid}, and {self._uri} was asked. Nothing was changed.",
                remedy=f"Give uri={laid}, or another folder, or an instance id of its own.",
                details={"folder": folder, "uri": laid},
            )

    def _overlay(self, image: str, path: str, gib: int) -> None:
        if not os.path.isfile(image):
            raise FleetError(
                "image_not_published",
                f"{image} is not there. No machine was made.",
                remedy="Build it with bowline.fleet.node_image, or correct spec.image.",
                details={"image": image},
            )
        done = self._run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", path, f"{gib}G"], timeout=60)
        if done.rc:
            raise FleetError(
                "image_not_published",
                f"No disk could be made from {image}: {done.err.strip()[-300:]} No machine was made.",
                remedy="The image has to be a qcow2; build it anew with bowline.fleet.node_image.",
                details={"image": image},
            )

    def _folder(self, instance_id: str) -> str:
        return os.path.join(self._base, instance_id)

    def _form(self, identity: Identity, kind: str) -> xml.Form:
        return xml.Form(kind, self._folder(identity.instance_id))

    # --- failures

    @contextlib.contextmanager
    def _asking(self, what: str) -> t.Iterator[None]:
        try:
            yield
        except self._library.libvirtError as error:
            raise FleetError(
                "libvirt_error",
                f"libvirt could not {what}: {error.get_error_message() or error}",
                remedy="Mend what it says (its log: journalctl -u libvirtd); then run again, nothing is made twice.",
                details={"code": error.get_error_code(), "domain": error.get_error_domain()},
            ) from error

    @contextlib.contextmanager
    def _gone(self) -> t.Iterator[None]:
        """What went away between two looks, or is off already, is as it was asked for."""
        try:
            yield
        except self._library.libvirtError as error:
            if error.get_error_code() not in (self._library.VIR_ERR_NO_DOMAIN, self._library.VIR_ERR_OPERATION_INVALID):
                raise


def library() -> types.ModuleType:
    """The module libvirt. Raises FleetError "tool_missing" with the package that brings it."""
    try:
        import libvirt
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            "The Python library of libvirt is not there for the Python that runs the module on the hypervisor.",
            remedy="Install python3-libvirt there, and let ansible_python_interpreter be the system's /usr/bin/python3.",
        ) from error
    return t.cast(types.ModuleType, libvirt)
