# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From parameters to what is wanted. All that is wrong is said at once, before anything is asked."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import typing as t
import uuid
from dataclasses import asdict, dataclass

from ..._core.errors import FleetError
from .model import Identity, Machine, Spec, declared, spec_hash

MODES = ("real", "recorder", "disabled")
# The first one that is set wins.
MODE_VARIABLES = ("BOWLINE_LIBVIRT_MODE", "POWERNODE_LIBVIRT_MODE")
# A name of libvirt, a folder and the host name of the guest at once (RFC 1123, 2.1).
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")
# systemd.exec(5), LoadCredential=: a name that is fit to be one of a file.
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,100}")
_HASH = re.compile(r"v1:[0-9a-f]{64}")
Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Asked:
    """``drop_credentials``: the machine shall have none any more. ``timeout`` in seconds for a guest to power off.

    Without ``attributes`` nothing is declared: the machine stays as it is, and one that is not there cannot be made. ``image_sha256`` is what the image has
    to be; when it is empty the image has to be published, unless ``accept_unpublished``.
    """

    machine: Machine
    state: str
    mode: str
    drop_credentials: bool
    force: bool
    timeout: float
    attributes: bool = True
    image_sha256: str = ""
    accept_unpublished: bool = False


def asked(params: Params, environment: t.Mapping[str, str]) -> Asked:
    """What node_machine is asked for. Raises FleetError "option_invalid" with everything that is wrong."""
    faults: t.List[str] = []
    mode = _mode(params.get("mode"), environment, faults)
    given: Params = params.get("spec") or {}
    kind, state = str(params["kind"]), str(params["state"])
    identity = _identity(params["identity"], faults)
    spec = spec_of(given)
    credentials = _credentials(given.get("credentials"), faults)
    named_spec = params.get("spec") is not None
    if state != "absent" and named_spec:
        faults += spec_faults(kind, spec)
    sha256 = str(given.get("image_sha256") or "").rpartition(":")[2]
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        faults.append("spec.image_sha256: is not 64 hexadecimal digits, as node_image returns them.")
    if params["wait_timeout"] < 0:
        faults.append("wait_timeout: is below 0.")
    refuse(faults)
    attributes = declared(kind, spec)
    hashed = identity.spec_hash or spec_hash(kind, attributes)
    named = Identity(identity.fleet, identity.instance_id, identity.node, identity.name, hashed, identity.generation)
    machine = Machine(kind, named, attributes, credentials or {})
    return Asked(machine, state, mode, credentials is None, bool(params["force"]), float(params["wait_timeout"]), named_spec, sha256,
                 bool(given.get("accept_unpublished")))  # fmt: skip


def mode_of(params: Params, environment: t.Mapping[str, str]) -> str:
    faults: t.List[str] = []
    found = _mode(params.get("mode"), environment, faults)
    refuse(faults)
    return found


def identity_of(given: Params) -> Identity:
    faults: t.List[str] = []
    found = _identity(given, faults)
    refuse(faults)
    return found


def refuse(faults: t.Sequence[str]) -> None:
    if faults:
        raise FleetError("option_invalid", " ".join(faults), remedy="Correct the options; nothing was changed.", details={"faults": list(faults)})


def _mode(given: t.Any, environment: t.Mapping[str, str], faults: t.List[str]) -> str:
    sources = [("mode", given), *((name, environment.get(name)) for name in MODE_VARIABLES)]
    name, word = next(((name, str(word)) for name, word in sources if word), ("mode", "real"))
    if word == "local":
        return "recorder"
    if word not in MODES:
        near = difflib.get_close_matches(word, [*MODES, "local"], n=1)
        faults.append(f"{name}: {word!r} is no mode. {f'Did you mean {near[0]}?' if near else 'Known: real, recorder (also local), disabled.'}")
    return word


def _identity(given: Params, faults: t.List[str]) -> Identity:
    name = str(given.get("name") or given["node"])
    try:
        instance = str(uuid.UUID(str(given["instance_id"])))
    except ValueError:
        instance = ""
        faults.append(f"identity.instance_id: {given['instance_id']!r} is no UUID.")
    if not _NAME.fullmatch(name):
        faults.append(f"identity.name: {name!r} is no host name (lower case, digits and hyphens, at most 63).")
    faults += [f"identity.{word}: {given[word]!r} is no name." for word in ("fleet", "node") if not _WORD.fullmatch(str(given[word]))]
    hashed, generation = str(given.get("spec_hash") or ""), int(given.get("generation") or 1)
    if hashed and not _HASH.fullmatch(hashed):
        faults.append("identity.spec_hash: is not v1: with 64 hexadecimal digits.")
    if generation < 1:
        faults.append("identity.generation: counts from 1.")
    return Identity(str(given["fleet"]), instance, str(given["node"]), name, hashed, generation)


def _credentials(given: t.Any, faults: t.List[str]) -> t.Optional[t.Dict[str, str]]:
    """Files by name; None when the machine shall have none any more."""
    if given in (None, ""):
        return {}
    if given == "absent":
        return None
    if not isinstance(given, t.Mapping):
        faults.append("spec.credentials: is neither a dictionary of files by name nor the word absent.")
        return {}
    for name, path in given.items():
        if not _CREDENTIAL.fullmatch(str(name)):
            faults.append(f"spec.credentials: {str(name)[:40]!r} is no name of a credential.")
        if not isinstance(path, str) or not os.path.isabs(path) or "\n" in path:
            # The value may be the secret itself; it is not repeated.
            faults.append(f"spec.credentials.{str(name)[:40]}: is no absolute path of a file on the host.")
    return {str(name): str(path) for name, path in given.items()}


def spec_of(given: Params) -> Spec:
    """The attributes with their defaults; what is no attribute is left out."""
    return Spec(**{name: default if given.get(name) is None else given[name] for name, default in asdict(Spec()).items()})


def spec_faults(kind: str, spec: Spec) -> t.List[str]:
    """One sentence for each attribute that a machine of this kind cannot have; each begins with its field."""
    faults = [f"spec.{name}: {value!r} is no absolute path." for name, value in (("image", spec.image), ("kernel", spec.kernel), ("initrd", spec.initrd))
              if value and (not os.path.isabs(value) or re.search(r"[\x00-\x1f]", value))]  # fmt: skip
    if kind == "local_nspawn":
        if not spec.image:
            faults.append("spec.image: a machine of nspawn is made from a root file system.")
        if spec.volatile and spec.address:
            faults.append("spec.address: is written into the root file system, which is shared with volatile.")
        faults += _address_faults(spec)
    else:
        if not spec.image and not spec.kernel:
            faults.append("spec.image: neither a disk nor a kernel to boot from.")
        if spec.initrd and not spec.kernel:
            faults.append("spec.initrd: is of use with spec.kernel only.")
        if not 64 <= spec.memory_mib <= 1 << 24:
            faults.append(f"spec.memory_mib: {spec.memory_mib} is below 64 or beyond any host.")
        if not 1 <= spec.vcpus <= 512:
            faults.append(f"spec.vcpus: {spec.vcpus} is not between 1 and 512.")
        if not 1 <= spec.disk_gib <= 1 << 16:
            faults.append(f"spec.disk_gib: {spec.disk_gib} is not between 1 and {1 << 16}.")
        if re.search(r"[\x00-\x1f]", spec.cmdline):
            faults.append("spec.cmdline: has control characters.")
    if spec.network and not _WORD.fullmatch(spec.network):
        faults.append(f"spec.network: {spec.network!r} is no name.")
    return faults


def _address_faults(spec: Spec) -> t.List[str]:
    faults = []
    for name, value, reader in (("address", spec.address, ipaddress.ip_interface), ("gateway", spec.gateway, ipaddress.ip_address)):
        try:
            if value:
                reader(value)
        except ValueError:
            faults.append(f"spec.{name}: {value!r} is no address{' with prefix' if name == 'address' else ''}.")
    if spec.address and "/" not in spec.address:
        faults.append(f"spec.address: {spec.address!r} has no prefix, as 10.0.0.2/24 has.")
    return faults
