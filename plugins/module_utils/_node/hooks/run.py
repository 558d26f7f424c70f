# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One stage of one hook on the machine that this runs on. What stays is said in the evidence; the module itself fails only where it may not work at all."""

from __future__ import annotations

import os
import typing as t

from ..._core.lock import locked
from ..._core.result import result
from ..._core.runner import Runner
from ..._core.wait import Deadline
from .containers import Containers
from .docker import Docker
from .evidence import evidence
from .model import Asked, Blocker, Told, Unanswered
from .record import Record
from .systemd import Systemd
from .units import Units

Params = t.Mapping[str, t.Any]


def run(params: Params, check_mode: bool, runner: Runner, systemd: t.Optional[Systemd] = None) -> t.Dict[str, t.Any]:
    """Result with ``evidence`` of the stage. Raises FleetError ``locked``, ``unsafe_path`` and ``privileges``."""
    hook, stage = params["hook"], params["stage"]
    reads = check_mode or stage in ("observe", "leave")
    record = Record(params["folder"], hook)
    asked = systemd or Systemd(runner, patience=params["timeout"])
    if reads:
        told = _tried(params, check_mode, record, asked)
    else:
        with locked(os.path.join(params["folder"], hook)):
            told = _tried(params, False, record, asked)
    said = evidence(hook, stage, _outcome(stage, told, check_mode), told.blockers, told.changed)
    return result(told.steps, before=told.before, after=_foreseen(told) if check_mode else told.after, evidence=said)


def _tried(params: Params, check: bool, record: Record, systemd: Systemd) -> Told:
    asked = Asked(tuple(params["after"]), tuple(params["accept"]), params["force"], params["stop_engine"])
    deadline = Deadline(params["timeout"])
    hooks: t.Dict[str, t.Callable[[], t.Union[Containers, Units]]] = {
        "docker": lambda: Containers(Docker(params["socket"], params["timeout"]), systemd, record, asked, deadline),
        "native": lambda: Units(systemd, record, asked, deadline),
    }
    one: t.Union[Containers, Units, None] = None
    try:
        record.read()
        one = hooks[params["hook"]]()
        return _stage(one, params["stage"], check)
    except Unanswered as error:
        told = one.told if one is not None else Told()
        told.blockers = [Blocker(params["hook"], str(error))]
        return told


def _stage(one: t.Union[Containers, Units], stage: str, check: bool) -> Told:
    if stage == "observe":
        return one.observe()
    if stage == "leave":
        return one.leave()
    return one.drain(check) if stage == "drain" else one.undo(check)


def _outcome(stage: str, told: Told, check: bool) -> str:
    """A look at work that runs, or a drain that is only foreseen, is not empty, although nothing may stand in the way."""
    if told.blockers:
        return "blocked"
    if stage in ("undo", "leave"):
        return "released"
    return "blocked" if told.after or (check and told.steps) else "empty"


def _foreseen(told: Told) -> t.List[str]:
    """What runs once the steps are done."""
    stopped = {step.reason.partition(" ")[0] for step in told.steps if step.action == "stop"}
    started = [step.reason.rpartition(" ")[2] for step in told.steps if step.action == "start"]
    return [name for name in told.before if name not in stopped] + started
