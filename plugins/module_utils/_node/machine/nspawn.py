# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of systemd-nspawn. A folder is a machine: it has its name, and in it lie root file system, identity, record of the process and console.

A machine is made under a name that is none (``.new-<id>``) and renamed at the end, so it is there whole and with its identity, or not at all; it
goes away by a rename as well (``.gone-<id>``). Words of systemd-nspawn are those of systemd-nspawn(1), 252.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import time
import typing as t
from dataclasses import asdict

from ..._core import private
from ..._core.errors import FleetError
from ..._core.runner import Runner
from ..._core.wait import Deadline, wait_for
from . import process
from .files import copied_credentials, last_lines, told_key, tree_removed
from .model import Identity, Machine, Observed, World

# systemd(1): SIGRTMIN+4 powers off.
_POWEROFF = signal.SIGRTMIN + 4
_STARTS = 30.0
_ENDS = 20.0
# Where others keep machines: machinectl(1), and what systemd-machined knows to run.
_OTHERS = ("/var/lib/machines/{name}", "/var/lib/machines/{name}.raw", "/run/systemd/machines/{name}")
_BOOTED = "/run/systemd/system"


class Nspawn:
    """`Hypervisor` over systemd-nspawn on this host. ``launcher`` is auto, machined or plain."""

    def __init__(self, folder: str, run: Runner, launcher: str = "auto") -> None:
        self._base = os.path.join(folder, "nspawn")
        self._run = run
        self._machined = launcher == "machined" or (launcher == "auto" and os.path.isdir(_BOOTED))

    # --- reading

    def read(self, identity: Identity) -> World:
        found = self._observed(identity.name)
        if found is None and process.container(identity.instance_id):
            raise FleetError(
                "identity_mismatch",
                f"A container with the id {identity.instance_id} runs on this host, and {self._base} has no machine {identity.name}. Nothing was changed.",
                remedy="It was made with another folder or by somebody else: give that folder, or an instance id of its own.",
                details={"instance_id": identity.instance_id},
            )
        return World(
            # A folder that has our name and an identity is the one that is meant; else our id may stand under another name.
            by_id=found if found is not None and found.identity is not None else self._with_id(identity.instance_id),
            by_name=found or self._elsewhere(identity.name),
            files=any(os.path.lexists(path) for path in (self._new(identity), self._gone(identity))),
        )

    def machines(self) -> t.List[Observed]:
        names = sorted(os.listdir(self._base)) if os.path.isdir(self._base) else []
        found = (self._observed(name) for name in names if not name.startswith("."))
        return [one for one in found if one is not None and one.identity is not None]

    def console(self, identity: Identity, lines: int) -> t.List[str]:
        return last_lines(self._at(identity.name, "console.log"), lines)

    def host_key(self, identity: Identity) -> str:
        return told_key(self._at(identity.name, "console.log"))

    # --- making and unmaking

    def prepare(self, machine: Machine) -> None:
        new = self._new(machine.identity)
        tree_removed(self._run, new)
        private.folder(self._base, 0o755)
        private.folder(new, 0o700)
        root = os.path.join(new, "root")
        if not machine.declared["volatile"]:
            self._unpack(machine.declared["image"], root)
            _equip(root, machine)
        copied_credentials(machine.credentials, os.path.join(new, "credentials"))
        self._write_identity(new, machine, time.time())

    def define(self, machine: Machine) -> None:
        place, new = self._at(machine.identity.name), self._new(machine.identity)
        if os.path.exists(os.path.join(place, "identity.json")):
            self._write_identity(place, machine, self._kept(machine.identity.name).get("created_at"))
            return
        if os.path.lexists(place):
            raise _taken(machine.identity.name, place)
        try:
            os.rename(new, place)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise _taken(machine.identity.name, place) from error
            raise

    def forget(self, machine: Machine) -> None:
        tree_removed(self._run, self._at(machine.identity.name, "credentials"))

    def undefine(self, machine: Machine) -> None:
        tree_removed(self._run, self._gone(machine.identity))
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._at(machine.identity.name), self._gone(machine.identity))

    def clear(self, machine: Machine) -> None:
        tree_removed(self._run, self._new(machine.identity))
        tree_removed(self._run, self._gone(machine.identity))

    # --- power

    def start(self, machine: Machine) -> None:
        identity = machine.identity
        if self._on(identity):
            return
        if shutil.which("systemd-nspawn") is None:
            raise FleetError("tool_missing", "systemd-nspawn was not found on the host.", remedy="Install the package systemd-container.")
        if not machine.declared["volatile"]:
            # Only while it is off: a guest that runs could swap a folder for a link between a look and a write.
            _equip(self._at(identity.name, "root"), machine)
        argv, console = self._argv(machine), self._at(identity.name, "console.log")
        if self._machined:
            unit = ["systemd-run", "--quiet", "--collect", f"--unit=bowline-machine-{identity.name}", "-p", "Delegate=yes", "-p", "KillMode=mixed"]
            done = self._run([*unit, "-p", f"StandardOutput=append:{console}", "-p", f"StandardError=append:{console}", *argv], timeout=30)
            if done.rc:
                raise self._ended(identity, done.err.strip())
        else:
            problem = process.launch(argv, self._at(identity.name, "run.json"), console)
            if problem:
                raise self._ended(identity, problem)
        deadline = Deadline(_STARTS)
        wait_for(lambda: self._state(identity), lambda seen: seen != "starting", deadline, what=f"the first process of {identity.name}", interval=0.05)
        if self._state(identity) == "off":
            raise self._ended(identity, "")

    def shutdown(self, machine: Machine) -> None:
        process.kill(process.container(machine.identity.instance_id), _POWEROFF)

    def destroy(self, machine: Machine) -> None:
        identity = machine.identity

        def ended() -> bool:
            # The first process takes all others of its namespace with it, and its systemd-nspawn ends by that (pid_namespaces(7)).
            first = process.container(identity.instance_id)
            process.kill(first or self._supervisor(identity))
            return not self._on(identity)

        wait_for(ended, bool, Deadline(_ENDS), what=f"{identity.name} to be gone", interval=0.1)

    def _argv(self, machine: Machine) -> t.List[str]:
        declared, identity = machine.declared, machine.identity
        root = declared["image"] if declared["volatile"] else self._at(identity.name, "root")
        given = self._at(identity.name, "credentials")
        names = sorted(os.listdir(given)) if os.path.isdir(given) else []
        return [
            "systemd-nspawn", "--quiet", f"--register={'yes' if self._machined else 'no'}", "--keep-unit", "--console=read-only", "--settings=no",
            "--link-journal=no", "--timezone=off", f"--machine={identity.name}", f"--uuid={identity.instance_id}",
            f"--network-bridge={declared['network']}" if declared["network"] else "--private-network",
            *(["--volatile=overlay"] if declared["volatile"] else []),
            # By file: systemd-nspawn reads them itself, so no argument holds a value.
            *(f"--load-credential={name}:{os.path.join(given, name)}" for name in names),
            "--boot", "-D", root,
        ]  # fmt: skip

    def _state(self, identity: Identity) -> str:
        if process.container(identity.instance_id):
            return "on"
        return "starting" if self._supervisor(identity) else "off"

    def _on(self, identity: Identity) -> bool:
        return self._state(identity) != "off"

    def _supervisor(self, identity: Identity) -> t.Optional[int]:
        if not self._machined:
            return process.recorded(self._at(identity.name, "run.json"))
        done = self._run(["systemctl", "show", "--property=MainPID", "--value", f"bowline-machine-{identity.name}.service"], timeout=15)
        return int(done.out.strip() or 0) or None

    # --- what lies there

    def _observed(self, name: str) -> t.Optional[Observed]:
        place = self._at(name)
        if not os.path.isdir(place):
            return None
        kept = self._kept(name)
        identity = Identity(**kept["identity"]) if kept else None
        leader = process.container(identity.instance_id) if identity else None
        power = "off" if identity is None else "on" if leader else "on" if self._supervisor(identity) else "off"
        details = {
            "name": identity.name if identity else name,
            "declared": kept.get("declared") or {},
            "credentials": os.path.isdir(os.path.join(place, "credentials")),
        }
        addresses = self._addresses(leader)
        return Observed(f"nspawn://{socket.gethostname()}/{name}", power, identity, addresses, "namespace" if addresses else "",
                        kept.get("created_at"), details)  # fmt: skip

    def _with_id(self, instance_id: str) -> t.Optional[Observed]:
        return next((one for one in self.machines() if one.identity is not None and one.identity.instance_id == instance_id), None)

    def _elsewhere(self, name: str) -> t.Optional[Observed]:
        places = [path.format(name=name) for path in _OTHERS if os.path.lexists(path.format(name=name))]
        return Observed(f"nspawn://{socket.gethostname()}/{name}", "on", None, details={"name": name, "place": places[0]}) if places else None

    def _addresses(self, leader: t.Optional[int]) -> t.Tuple[str, ...]:
        if leader is None:
            return ()
        done = self._run(["nsenter", f"--net=/proc/{leader}/ns/net", "ip", "-j", "address", "show", "scope", "global"], timeout=10)
        try:
            links = json.loads(done.out or "[]")
        except ValueError:
            return ()
        return tuple(str(one["local"]) for link in links for one in link.get("addr_info") or [] if "local" in one)

    def _kept(self, name: str) -> t.Dict[str, t.Any]:
        """What the machine was written with; empty for a folder of somebody else. A record that cannot be read is nobody's."""
        try:
            kept = json.loads(private.read(self._at(name, "identity.json")))
            return dict(kept) if set(kept["identity"]) == set(Identity.__dataclass_fields__) else {}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}

    def _write_identity(self, place: str, machine: Machine, created: t.Optional[float]) -> None:
        kept = {"identity": asdict(machine.identity), "declared": dict(machine.declared), "created_at": created}
        private.write(os.path.join(place, "identity.json"), (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode(), 0o600)

    def _unpack(self, image: str, root: str) -> None:
        if os.path.isdir(os.path.join(image, "usr")):
            # cp(1): what the file system can share is not copied.
            argv = ["cp", "-a", "--reflink=auto", image, root]
        elif os.path.isfile(image):
            os.mkdir(root, 0o755)
            argv = ["tar", "--extract", "--preserve-permissions", "--numeric-owner", "--xattrs", "--file", image, "--directory", root]
        else:
            raise FleetError(
                "image_not_published",
                f"{image} is neither a folder with a root file system nor a tar of one. Nothing was made.",
                remedy="Build it with bowline.fleet.node_image, or correct spec.image.",
                details={"image": image},
            )
        done = self._run(argv, timeout=900)
        if done.rc:
            raise FleetError(
                "no_space" if "No space left" in done.err else "image_not_published",
                f"{image} could not be copied: {done.err.strip()[-300:]} No machine was made.",
                remedy="Make room, or build the image anew with bowline.fleet.node_image; then run again.",
                details={"image": image},
            )

    def _ended(self, identity: Identity, said: str) -> FleetError:
        lines = self.console(identity, 8)
        return FleetError(
            "machine_ended",
            f"{identity.name} ended while it started: {said or ' | '.join(lines) or 'it said nothing'}. Its disk and identity are kept.",
            remedy=f"Mend what it says; the whole console is {self._at(identity.name, 'console.log')} on the host. Then run again.",
            details={"console": lines},
        )

    def _at(self, name: str, *parts: str) -> str:
        return os.path.join(self._base, name, *parts)

    def _new(self, identity: Identity) -> str:
        return os.path.join(self._base, f".new-{identity.instance_id}")

    def _gone(self, identity: Identity) -> str:
        return os.path.join(self._base, f".gone-{identity.instance_id}")


def _taken(name: str, place: str) -> FleetError:
    return FleetError(
        "name_clash",
        f"{place} came into being while {name} was made, and is not ours. It is untouched.",
        remedy="Look at it; then give the node another name, or remove that machine.",
        details={"place": place},
    )


def _equip(root: str, machine: Machine) -> None:
    """What a root file system does not have from its image: its name and its address (systemd.network(5))."""
    _place(root, "etc/hostname", f"{machine.identity.name}\n")
    address, gateway = machine.declared["address"], machine.declared["gateway"]
    lines = ["[Match]", "Name=host0", "", "[Network]", f"Address={address}", *([f"Gateway={gateway}"] if gateway else [])]
    _place(root, "etc/systemd/network/10-bowline.network", "\n".join(lines) + "\n" if address else None)


def _place(root: str, name: str, text: t.Optional[str]) -> None:
    """Write a file of the guest, or remove it. A link in the guest could lead out of it, so each folder on the way must be a real one."""
    words = name.split("/")
    here = root
    for word in words[:-1]:
        here = os.path.join(here, word)
        if text is not None and not os.path.lexists(here):
            os.mkdir(here, 0o755)
        if os.path.islink(here):
            raise FleetError(
                "unsafe_path",
                f"{here} is a link, which the image may have put there to be written through. Nothing was written.",
                remedy="Look at the image; a root file system of Debian has a folder there.",
                details={"path": here},
            )
    path = os.path.join(here, words[-1])
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if text is not None:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
