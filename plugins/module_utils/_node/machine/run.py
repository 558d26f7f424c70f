# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One machine: look, plan, do, look again. Every step looks at the world first, so a run that was killed is continued by the next one."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import asdict, replace

from ..._core.errors import FleetError
from ..._core.lock import locked
from ..._core.result import Step, result
from ..._core.runner import Runner
from .libvirt import Libvirt
from .model import Hypervisor, Observed, World
from .nspawn import Nspawn
from .options import Asked, asked, identity_of, mode_of
from .plan import owned, plan, stranger
from .proof import proven
from .recorder import Recorder
from .tape import Tape

Params = t.Mapping[str, t.Any]
Factory = t.Callable[[str], Hypervisor]
# Seconds to wait for another run that works on the same machine.
_PATIENCE = 10.0


def factory(params: Params, run: Runner) -> Factory:
    """What makes the hypervisor of a mode; nothing is connected to before it is called."""

    def make(mode: str) -> Hypervisor:
        folder, kind = str(params["folder"]), str(params["kind"])
        if mode == "recorder":
            return Recorder(os.path.join(folder, "recorder"), kind)
        if kind == "local_nspawn":
            return Nspawn(folder, run, str(params.get("launcher") or "auto"))
        return Libvirt(folder, run, str(params["uri"]), str(params.get("accel") or "auto"))

    return make


def run(params: Params, make: Factory, environment: t.Mapping[str, str], check: bool = False) -> t.Dict[str, t.Any]:
    """The result of node_machine."""
    wanted = asked(params, environment)
    _refuse_disabled(wanted.mode)
    identity = wanted.machine.identity
    place = _place(params, identity.name)
    tape = Tape(make(wanted.mode))
    with contextlib.nullcontext() if check else locked(place, max(wanted.timeout, _PATIENCE)):
        world = tape.read(identity)
        before = owned(identity, world)
        if not wanted.attributes:
            wanted = _as_it_is(wanted, before)
        steps = plan(wanted.state, wanted.machine, wanted.drop_credentials, world)
        if wanted.mode == "real" and any(step.action == "prepare" for step in steps):
            proven(wanted.machine.declared["image"], wanted.image_sha256, wanted.accept_unpublished)
        if check or not steps:
            after = predicted(wanted, before, steps)
        else:
            after = _applied(wanted, tape, steps)
    if isinstance(tape.inner, Recorder) and not check:
        tape.inner.keep(tape.entries)
    warnings = list(getattr(tape.inner, "notes", ()))
    other = stranger(identity, world)
    if wanted.state == "absent" and other is not None:
        warnings.append(f"{other.provider_id} has the name {identity.name} and is not ours; it is untouched.")
    return result(
        steps,
        before=_shown(before),
        after=_shown(after),
        evidence={"mode": wanted.mode, "calls": [entry["call"] for entry in tape.entries]},
        warnings=warnings,
        machine=None if after is None else asdict(after),
    )


def info(params: Params, make: Factory, environment: t.Mapping[str, str]) -> t.Dict[str, t.Any]:
    """The result of node_machine_info."""
    mode = mode_of(params, environment)
    _refuse_disabled(mode)
    identity = identity_of(params["identity"]) if params.get("identity") else None
    hypervisor = make(mode)
    all_of_them = [] if identity is not None and not params.get("fleet") else hypervisor.machines()
    machines = [one for one in all_of_them if not params.get("fleet") or (one.identity and one.identity.fleet == params["fleet"])]
    if identity is None:
        return {"changed": False, "mode": mode, "machines": [asdict(one) for one in machines], "console": [], "host_key": "", "busy": False}
    # Before it is read: what a run makes that ends meanwhile is seen, then.
    busy = _busy(_place(params, identity.name))
    world = hypervisor.read(identity)
    found = world.by_id or world.by_name
    ours = found is not None and stranger(identity, World(by_name=found)) is None
    lines = int(params.get("console_lines") or 0)
    return {
        "changed": False,
        "mode": mode,
        "machines": [] if found is None else [asdict(found)],
        "others": [asdict(one) for one in machines if found is None or one.provider_id != found.provider_id],
        "console": hypervisor.console(identity, lines) if ours and lines else [],
        "host_key": hypervisor.host_key(identity) if ours else "",
        "busy": busy,
    }


def _place(params: Params, name: str) -> str:
    return os.path.join(str(params["folder"]), str(params["kind"]), name)


def _busy(place: str) -> bool:
    """Whether a run works on this machine now, so that it may come to be or go away in the next moment."""
    try:
        with locked(place, 0.0):
            return False
    except FleetError as error:
        if error.code != "locked":
            raise
        return True


def _as_it_is(wanted: Asked, found: t.Optional[Observed]) -> Asked:
    """The same with the attributes and the identity that the machine has. Raises FleetError "machine_missing" where one would have to be made."""
    identity = wanted.machine.identity
    if found is not None and found.identity is not None:
        return replace(wanted, machine=replace(wanted.machine, identity=found.identity, declared=dict(found.details.get("declared") or {})))
    if wanted.state != "absent":
        raise FleetError(
            "machine_missing",
            f"No machine has the id {identity.instance_id} ({identity.name}), and without spec none can be made. Nothing was changed.",
            remedy="Give spec, or find out who removed the machine.",
            details={"instance_id": identity.instance_id},
        )
    return wanted


def predicted(wanted: Asked, before: t.Optional[Observed], steps: t.Sequence[Step]) -> t.Optional[Observed]:
    """The machine as these steps leave it."""
    if wanted.state == "absent":
        return None
    actions = {step.action for step in steps}
    machine = wanted.machine
    power = "on" if "start" in actions else "off" if "stop" in actions or before is None else before.power
    details: t.Dict[str, t.Any] = dict(before.details) if before else {"name": machine.identity.name, "credentials": bool(machine.credentials)}
    if "define" in actions:
        details["declared"] = dict(machine.declared)
    if "forget" in actions:
        details["credentials"] = False
    on = power == "on" and before is not None
    return Observed(
        before.provider_id if before else "", power, machine.identity if "define" in actions or before is None else before.identity,
        before.addresses if on and before else (), before.address_source if on and before else "", before.created_at if before else None, details,
    )  # fmt: skip


def _applied(wanted: Asked, tape: Tape, steps: t.Sequence[Step]) -> t.Optional[Observed]:
    for step in steps:
        if step.action == "stop":
            _stop(wanted, tape)
        else:
            tape.call(step.action, wanted.machine)
    world = tape.read(wanted.machine.identity)
    left = plan(wanted.state, wanted.machine, wanted.drop_credentials, world)
    if left:
        raise _not_so(wanted, tape, world, left)
    return owned(wanted.machine.identity, world)


def _stop(wanted: Asked, tape: Tape) -> None:
    tape.call("shutdown", wanted.machine)
    try:
        tape.until_off(wanted.machine, wanted.timeout)
    except FleetError as error:
        if error.code != "timeout" or not wanted.force:
            raise
        tape.call("destroy", wanted.machine)


def _not_so(wanted: Asked, tape: Tape, world: World, left: t.Sequence[Step]) -> FleetError:
    """What was done, and yet is not."""
    identity = wanted.machine.identity
    found = owned(identity, world)
    lines = tape.inner.console(identity, 8)
    if found is not None and wanted.state == "running" and [step.action for step in left] == ["start"]:
        return FleetError(
            "machine_ended",
            f"{identity.name} was started and is off again; the last lines of its console: {' | '.join(lines) or 'none'}. Disk and identity are kept.",
            remedy="Mend what it says, then run again.",
            details={"console": lines},
        )
    return FleetError(
        "conflict",
        f"{identity.name}: every step was done, and still to do is: {'; '.join(f'{step.action} ({step.reason})' for step in left)}. Somebody else works on it.",
        remedy="Find out who; then run again.",
        details={"left": [step.action for step in left]},
    )


def _refuse_disabled(mode: str) -> None:
    if mode == "disabled":
        raise FleetError(
            "provider_disabled",
            "The mode is disabled: the host was not asked, and nothing was changed.",
            remedy="Give mode=real, or take BOWLINE_LIBVIRT_MODE and POWERNODE_LIBVIRT_MODE out of the environment.",
        )


def _shown(machine: t.Optional[Observed]) -> t.Any:
    if machine is None:
        return None
    hashed = machine.identity.spec_hash if machine.identity else ""
    return {"power": machine.power, "spec_hash": hashed, **{name: machine.details.get(name) for name in ("name", "declared", "credentials")}}
