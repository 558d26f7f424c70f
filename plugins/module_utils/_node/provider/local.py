# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of this fleet's own hypervisors: libvirt and systemd-nspawn, through node_machine on the host that has them."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..._core.argspec import unknown_keys
from ..._core.finding import Finding
from ..machine.argspec import MACHINE, SPEC
from ..machine.model import Identity, NotFound, Observed, Sighting
from ..machine.options import spec_faults, spec_of
from .model import Call, Catalogue, Result, observed, troubled, unavailable

_MODULE = "bowline.fleet.node_machine"
# Local types are data: a name for what a machine has.
TYPES: t.Dict[str, t.Dict[str, int]] = {
    "tiny": {"vcpus": 1, "memory_mib": 512, "disk_gib": 4},
    "small": {"vcpus": 1, "memory_mib": 1024, "disk_gib": 8},
    "medium": {"vcpus": 2, "memory_mib": 2048, "disk_gib": 16},
    "large": {"vcpus": 4, "memory_mib": 8192, "disk_gib": 64},
}
REGION = "local"
# Options of the provider that are options of the module as well.
_SETTINGS = ("uri", "folder", "mode", "accel", "launcher", "wait_timeout")
_OWN = ("region", "instance_type")


class Local:
    """``local_qemu`` or ``local_nspawn``. ``options`` are settings of node_machine, and ``types`` beside those that everybody has."""

    def __init__(self, name: str, options: t.Mapping[str, t.Any]) -> None:
        self.name = name
        self.catalogue = Catalogue((REGION,), {**TYPES, **(options.get("types") or {})})
        self._settings = {key: options[key] for key in _SETTINGS if options.get(key) is not None}
        self._unknown = unknown_keys("provider_options", options, (*_SETTINGS, "types"))

    def validate(self, spec: t.Mapping[str, t.Any]) -> t.Tuple[Finding, ...]:
        said = [*self._unknown, *unknown_keys("spec", spec, (*SPEC, *_OWN))]
        if not said:
            read = ArgumentSpecValidator(SPEC).validate(self._attributes(spec))
            said = [f"spec: {message}" for message in read.error_messages]
            said = said or spec_faults(self.name, spec_of(read.validated_parameters))
        return tuple(Finding("option_invalid", "fail", field=where, message=message, remedy="Correct the template or the node.")
                     for where, _colon, message in (sentence.partition(": ") for sentence in said))  # fmt: skip

    def read(self, identity: Identity) -> Call[Sighting]:
        return self._info({"identity": _words(identity)}, _found)

    def create(self, identity: Identity, spec: t.Mapping[str, t.Any]) -> Call[Sighting]:
        return self._machine(identity, "present", spec=self._attributes(spec))

    def power(self, identity: Identity, to: str) -> Call[Sighting]:
        hard = {"force": True, "wait_timeout": 0} if to == "hard" else {}
        return self._machine(identity, "running" if to == "on" else "stopped", **hard)

    def destroy(self, identity: Identity) -> Call[Sighting]:
        return self._machine(identity, "absent")

    def list(self, fleet: str) -> Call[t.Sequence[Observed]]:
        return self._info({"fleet": fleet}, _machines)

    def console_tail(self, identity: Identity, lines: int) -> Call[t.Sequence[str]]:
        return self._info({"identity": _words(identity), "console_lines": lines}, lambda result: tuple(map(str, result.get("console") or ())))

    def _attributes(self, spec: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
        """What the module takes: the values of the type, and over them those that are named."""
        typed = self.catalogue.types.get(str(spec.get("instance_type") or "small"), {})
        return {**typed, **{name: value for name, value in spec.items() if name in SPEC and value is not None}}

    def _host(self, *names: str) -> t.Dict[str, t.Any]:
        return {"kind": self.name, **{name: value for name, value in self._settings.items() if name in names}}

    def _machine(self, identity: Identity, state: str, **more: t.Any) -> Call[Sighting]:
        return Call(_MODULE, {**self._host(*MACHINE), "state": state, "identity": _words(identity), **more}, _after)

    def _info(self, more: t.Mapping[str, t.Any], parse: t.Callable[[Result], t.Any]) -> Call[t.Any]:
        return Call(f"{_MODULE}_info", {**self._host("uri", "folder", "mode"), **more}, parse)


def _words(identity: Identity) -> t.Dict[str, t.Any]:
    return {name: value for name, value in asdict(identity).items() if value != ""}


def _after(result: Result) -> Sighting:
    """What node_machine left; it has ended, so nothing of it can come late."""
    unknown = troubled(result)
    if unknown is not None:
        return unknown
    return NotFound(final=True) if result.get("machine") is None else observed(result["machine"])


def _found(result: Result) -> Sighting:
    """What node_machine_info saw of one machine. While a run works on it, what is not there may come late."""
    unknown = troubled(result)
    if unknown is not None:
        return unknown
    machines = result.get("machines")
    if not isinstance(machines, (list, tuple)):
        return observed(None)
    return observed(machines[0]) if machines else NotFound(final=result.get("busy") is False)


def _machines(result: Result) -> t.Sequence[Observed]:
    unknown = troubled(result)
    machines = [observed(one) for one in result.get("machines") or ()] if isinstance(result.get("machines"), (list, tuple)) else [observed(None)]
    unknown = unknown or next((one for one in machines if not isinstance(one, Observed)), None)
    if unknown is not None:
        raise unavailable(unknown)
    return tuple(one for one in machines if isinstance(one, Observed))
