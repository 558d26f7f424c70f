# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that is a file: machines are made, started and removed in it and nowhere else. For plans without a hypervisor and for the tests."""

from __future__ import annotations

import contextlib
import json
import os
import time
import typing as t
from dataclasses import asdict

from ..._core import private
from ..._core.errors import FleetError
from ..._core.lock import locked
from .model import Identity, Machine, Observed, World

Record = t.Dict[str, t.Any]


class Recorder:
    """`Hypervisor` whose replies are made from what it was asked for. ``recorder-<kind>.json`` in ``folder`` is written in one rename a call."""

    def __init__(self, folder: str, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self._file = os.path.join(folder, f"recorder-{kind}.json")

    def read(self, identity: Identity) -> World:
        state = self._state()
        by_id = self._of(state, identity)
        by_name = next((one for one in state["machines"] if one["name"] == identity.name), None)
        return World(_observed(self._kind, by_id), _observed(self._kind, by_name), identity.instance_id in state["files"])

    def machines(self) -> t.List[Observed]:
        found = (_observed(self._kind, one) for one in self._state()["machines"])
        return [one for one in found if one is not None and one.identity is not None]

    def console(self, identity: Identity, lines: int) -> t.List[str]:
        found = self.read(identity).by_id
        said = [f"recorder: {identity.name} was started"] if found is not None and found.power == "on" else []
        return said[-lines:] if lines > 0 else []

    def host_key(self, identity: Identity) -> str:
        return ""

    def prepare(self, machine: Machine) -> None:
        with self._changed() as state:
            state["files"] = sorted({*state["files"], machine.identity.instance_id})

    def define(self, machine: Machine) -> None:
        with self._changed() as state:
            found = self._of(state, machine.identity)
            if found is None and any(one["name"] == machine.identity.name for one in state["machines"]):
                raise FleetError(
                    "name_clash",
                    f"A machine named {machine.identity.name} came into being meanwhile; it is untouched.",
                    remedy="Give the node another name, or remove that machine.",
                )
            if found is None:
                found = {"power": "off", "created_at": time.time(), "credentials": sorted(machine.credentials)}
                state["machines"].append(found)
                # nspawn's files become the machine by a rename; those of qemu stay beside it.
                state["files"] = [one for one in state["files"] if self._kind == "local_qemu" or one != machine.identity.instance_id]
            found.update(name=machine.identity.name, identity=asdict(machine.identity), declared=dict(machine.declared))

    def forget(self, machine: Machine) -> None:
        with self._changed() as state:
            found = self._of(state, machine.identity)
            if found is not None:
                found["credentials"] = []

    def start(self, machine: Machine) -> None:
        self._power(machine, "on")

    def shutdown(self, machine: Machine) -> None:
        self._power(machine, "off")

    def destroy(self, machine: Machine) -> None:
        self._power(machine, "off")

    def undefine(self, machine: Machine) -> None:
        with self._changed() as state:
            gone = self._of(state, machine.identity)
            kept = [one for one in state["machines"] if one is not gone]
            if self._kind == "local_nspawn" and len(kept) < len(state["machines"]):
                state["files"] = sorted({*state["files"], machine.identity.instance_id})
            state["machines"] = kept

    def clear(self, machine: Machine) -> None:
        with self._changed() as state:
            state["files"] = [one for one in state["files"] if one != machine.identity.instance_id]

    def keep(self, entries: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        """Append a tape to ``tape.jsonl`` beside the file of the machines, an entry a line."""
        path = os.path.join(self._folder, "tape.jsonl")
        private.folder(self._folder, 0o755)
        with os.fdopen(private.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"kind": self._kind, **entry}, sort_keys=True) + "\n" for entry in entries)

    def _power(self, machine: Machine, power: str) -> None:
        with self._changed() as state:
            found = self._of(state, machine.identity)
            if found is None and power == "on":
                raise FleetError("machine_missing", f"{machine.identity.name} is not there, so it cannot start.", remedy="Run again: it is made anew.")
            if found is not None:
                found["power"] = power

    @contextlib.contextmanager
    def _changed(self) -> t.Iterator[Record]:
        """The state, to be changed by one run at a time, written when the work on it did not fail."""
        private.folder(self._folder, 0o755)
        with locked(self._file):
            state = self._state()
            before = json.dumps(state, sort_keys=True)
            yield state
            if json.dumps(state, sort_keys=True) != before:
                self._write(state)

    def _of(self, state: t.Mapping[str, t.Any], identity: Identity) -> t.Optional[Record]:
        """By what the real one finds it: qemu by its UUID, a folder of nspawn by its name, and by its id when nothing of ours has the name."""
        machines: t.List[Record] = [one for one in state["machines"] if one.get("identity")]
        if self._kind == "local_nspawn":
            named = next((one for one in machines if one["name"] == identity.name), None)
            if named is not None:
                return named
        return next((one for one in machines if one["identity"]["instance_id"] == identity.instance_id), None)

    def _state(self) -> t.Dict[str, t.Any]:
        try:
            return dict(json.loads(private.read(self._file, 0o600)))
        except FileNotFoundError:
            return {"machines": [], "files": []}

    def _write(self, state: t.Mapping[str, t.Any]) -> None:
        private.folder(self._folder, 0o755)
        private.write(self._file, (json.dumps(state, indent=2, sort_keys=True) + "\n").encode(), 0o600)


def _observed(kind: str, one: t.Optional[Record]) -> t.Optional[Observed]:
    if one is None:
        return None
    identity = Identity(**one["identity"]) if one.get("identity") else None
    where = f"nspawn://recorder/{one['name']}" if kind == "local_nspawn" else f"libvirt://recorder/{identity.instance_id if identity else one['name']}"
    details = {"name": one["name"], "declared": one.get("declared") or {}, "credentials": bool(one.get("credentials"))}
    return Observed(where, one["power"], identity, created_at=one.get("created_at"), details=details)
