# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a provider says about one machine: it is there, it is not there, or nobody knows. The three are never mixed up.

Every provider answers in these words, whatever it is made of: a hypervisor, a container manager, a cloud, a host that stands already.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass, field

FAILURES: t.Dict[str, str] = {
    "identity_mismatch": "The machine that stands there is another one than the one that is meant; nothing was destroyed.",
    "image_not_published": "The image that the machine shall be made from is not there, cannot be read, or nobody has published it.",
    "image_digest": "The image is not the one that was published, or that is asked for; no machine was made.",
    "immutable_change": "An attribute was changed that a machine keeps for its whole life.",
    "libvirt_error": "libvirt refused the request, could not serve it or did not answer; its own words are in the message.",
    "machine_ended": "The machine ended while it started; the last lines of its console are named.",
    "machine_missing": "There is no such machine, or it went away while it was worked on.",
    "name_clash": "A machine of somebody else has this name; it is untouched.",
    "no_space": "The file system has less room than the machine needs.",
    "option_invalid": "An option has a value that the provider cannot work with; all of them are named, nothing was changed.",
    "provider_disabled": "The mode of the provider is disabled, so nothing was read and nothing was changed.",
    "timeout": "The machine did not reach its state in time; what was last seen is named.",
}

# Power of a machine. `building` is a machine that the provider still makes.
POWERS = ("on", "off", "building")


@dataclass(frozen=True)
class Identity:
    """Whose machine it is. It is written with the machine, in one call, and read back before anything is done to it.

    ``instance_id`` is a UUID; ``name`` is the machine's name at its provider, made from the node's; ``spec_hash`` is ``v1:<sha256>`` of the
    declared attributes; ``generation`` counts the machines that a node has had, from 1.
    """

    fleet: str
    instance_id: str
    node: str
    name: str
    spec_hash: str
    generation: int = 1


@dataclass(frozen=True)
class Observed:
    """A machine that is there. ``identity`` is None for one that nobody of ours has made; ``provider_id`` is a URI.

    ``created_at`` is in unix seconds by the provider's clock, None when it does not say. ``addresses`` are global ones, the best first.
    """

    provider_id: str
    power: str
    identity: t.Optional[Identity] = None
    addresses: t.Tuple[str, ...] = ()
    address_source: str = ""
    created_at: t.Optional[float] = None
    details: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NotFound:
    """The provider answered and has no such machine. ``final``: it cannot come late, because no call that makes it is in flight."""

    final: bool = False


@dataclass(frozen=True)
class Unknown:
    """No answer that can be relied on. ``code`` is one of auth, rate_limit, quota, conflict, transient, unsupported, disabled; never read
    as NotFound."""

    code: str
    message: str


Sighting = t.Union[Observed, NotFound, Unknown]


KINDS = ("local_qemu", "local_nspawn")
STATES = ("present", "running", "stopped", "absent")


@dataclass(frozen=True)
class Spec:
    """The declared attributes of a machine. It holds no secret, so all of it may be written, hashed and shown.

    ``image`` is a path on the host: a folder or tar with a root file system for nspawn, a qcow2 for qemu. ``kernel``, ``initrd`` and
    ``cmdline`` boot qemu directly. ``memory_mib`` and ``disk_gib`` are sizes as they are named. ``network`` is a network of libvirt, or a bridge
    for nspawn; empty is none. ``address`` with prefix, and ``gateway``, are for nspawn, where no DHCP server needs to be. With ``volatile``
    whatever an nspawn machine writes is gone when it stops.
    """

    image: str = ""
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    memory_mib: int = 1024
    vcpus: int = 1
    disk_gib: int = 8
    network: str = ""
    address: str = ""
    gateway: str = ""
    volatile: bool = False


# What a machine was made of cannot be changed under it.
IMMUTABLE = ("image", "volatile", "disk_gib")
# What the kind does not use is not declared, so it neither changes a hash nor makes a difference.
_USED = {
    "local_qemu": ("image", "kernel", "initrd", "cmdline", "memory_mib", "vcpus", "disk_gib", "network"),
    "local_nspawn": ("image", "network", "address", "gateway", "volatile"),
}


def declared(kind: str, spec: Spec) -> t.Dict[str, t.Any]:
    """The attributes that this kind of machine has; only these are written, compared and hashed."""
    return {name: value for name, value in asdict(spec).items() if name in _USED[kind]}


def spec_hash(kind: str, attributes: t.Mapping[str, t.Any]) -> str:
    """``v1:<sha256>`` of the declared attributes; the same whatever their order."""
    text = json.dumps({"kind": kind, **attributes}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"v1:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True)
class Machine:
    """What is wanted, in the words of a hypervisor. ``credentials`` are files on the host by the name that the guest knows them by."""

    kind: str
    identity: Identity
    declared: t.Mapping[str, t.Any]
    credentials: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """What stands on the host: the machine with our id, the one with our name, and files of ours that no machine has.

    ``by_name`` is the machine that has the name, ours or not. ``files`` says whether something of ours lies there beside a machine.
    """

    by_id: t.Optional[Observed] = None
    by_name: t.Optional[Observed] = None
    files: bool = False


class Hypervisor(t.Protocol):
    """What makes machines. Each call is safe to repeat, and whole or not done when the process is killed in it."""

    def read(self, identity: Identity) -> World:
        """What is there, by id and by name. Raises FleetError when there is no answer that can be relied on."""

    def prepare(self, machine: Machine) -> None:
        """Lay down the files of the machine, anew where a killed run has left some. Nothing is a machine by that."""

    def define(self, machine: Machine) -> None:
        """The creating call: machine and identity in one. On a machine that is there: its attributes anew; they hold from its next start on."""

    def forget(self, machine: Machine) -> None:
        """Take the credentials away from the definition, then their files."""

    def start(self, machine: Machine) -> None:
        """Power on. One that is on is left alone."""

    def shutdown(self, machine: Machine) -> None:
        """Ask the guest to power off; does not wait."""

    def destroy(self, machine: Machine) -> None:
        """Take the power away. One that is off is left alone."""

    def undefine(self, machine: Machine) -> None:
        """Let it be no machine any more."""

    def clear(self, machine: Machine) -> None:
        """Remove what files of ours are left."""

    def machines(self) -> t.List[Observed]:
        """Every machine that carries an identity of ours."""

    def console(self, identity: Identity, lines: int) -> t.List[str]:
        """The last lines that the machine has said; empty when there are none."""

    def host_key(self, identity: Identity) -> str:
        """The public host key that it has told there at its last boot, as type and base64 text; empty when it told none."""
