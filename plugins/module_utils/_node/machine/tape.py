# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was asked of a hypervisor and what it answered, in words that are the same for a recorder, libvirt's mock and a real machine."""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.wait import Deadline, wait_for
from .model import Hypervisor, Identity, Machine, Observed, World
from .plan import owned

Entry = t.Dict[str, t.Any]
# Seconds after which a guest that is still on is asked once more.
_AGAIN = 5.0
# What every hypervisor decides for itself: addresses, the processor, where it stands. Ids and times are another one in each run.
_SHOWN = ("name", "declared", "credentials")


class Tape:
    """A `Hypervisor` in front of another one: hands each call on and writes it down. Calls that change something are points of `faults`."""

    def __init__(self, inner: Hypervisor) -> None:
        self.inner = inner
        self.entries: t.List[Entry] = []

    def read(self, identity: Identity) -> World:
        world = self.inner.read(identity)
        self._write("read", {"name": identity.name}, seen(world, identity))
        return world

    def until_off(self, machine: Machine, seconds: float) -> World:
        """Ask again and read until the machine is off or gone; one entry, however often that is. Raises FleetError "timeout"."""
        identity, again = machine.identity, Deadline(_AGAIN)

        def look() -> World:
            nonlocal again
            if again.expired():
                # A guest that was still booting has not heard it.
                self.inner.shutdown(machine)
                again = Deadline(_AGAIN)
            return self.inner.read(identity)

        def off(world: World) -> bool:
            found = owned(identity, world)
            return found is None or found.power == "off"

        remedy = "Look at its console (node_machine_info); with force=true its power is taken away."
        try:
            world = wait_for(look, off, Deadline(seconds), what=f"{identity.name} to power off", interval=0.2, remedy=remedy)
        except FleetError as error:
            self._write("read", {"name": identity.name}, error.code)
            if error.code != "timeout":
                raise
            raise FleetError("timeout", f"{identity.name} did not power off within {seconds:g} s; it is still on.", remedy=remedy) from error
        self._write("read", {"name": identity.name}, seen(world, identity))
        return world

    def call(self, name: str, machine: Machine) -> None:
        """One of prepare, define, forget, start, shutdown, destroy, undefine, clear."""
        arguments = {"name": machine.identity.name, "declared": dict(machine.declared), "credentials": sorted(machine.credentials)}
        hit("M1")
        try:
            getattr(self.inner, name)(machine)
        except FleetError as error:
            self._write(name, arguments, error.code)
            raise
        hit("M2")
        self._write(name, arguments, "done")

    def _write(self, call: str, arguments: t.Mapping[str, t.Any], reply: t.Any) -> None:
        self.entries.append({"call": call, "arguments": dict(arguments), "reply": reply})


def seen(world: World, asked: Identity) -> Entry:
    """A world in words that every hypervisor has; whose a machine is, is said in place of its id."""
    return {"by_id": _machine(world.by_id, asked), "by_name": _machine(world.by_name, asked), "files": world.files}


def _machine(found: t.Optional[Observed], asked: Identity) -> t.Any:
    if found is None:
        return None
    whose = "nobody" if found.identity is None else "asked" if found.identity.instance_id == asked.instance_id else "another"
    return {"power": found.power, "identity": whose, **{name: found.details.get(name) for name in _SHOWN}}
