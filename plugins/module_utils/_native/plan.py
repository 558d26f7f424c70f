# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be done on one host so that the units of a stack are in their condition. Pure."""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.result import Step
from .findings import refuse
from .model import MARK, STATES, Observed, Unit, UnitState

# In this order the acts of a plan are done; one verb at a time, over all units.
VERBS = ("stop", "disable", "unmask", "remove", "write", "daemon_reload", "mask", "enable", "reset_failed", "restart", "reload", "start")
_DISRUPTIVE = ("stop", "restart")


@dataclass(frozen=True)
class Act:
    """One verb on one unit; ``unit`` is empty for daemon_reload."""

    verb: str
    unit: str
    reason: str

    def step(self) -> Step:
        return Step(f"{self.verb} {self.unit}".rstrip(), reason=self.reason, disruptive=self.verb in _DISRUPTIVE)


def wanted_states(units: t.Sequence[Unit], services: t.Mapping[str, str], default: str) -> dict[str, str]:
    """The condition of every unit by unit name. ``services`` names them as ``service`` or ``module/service``; the others get ``default``.

    Raises FleetError ``manifest_invalid`` for a service that does not exist, one that two modules have, and a word that is no condition.
    """
    findings = []
    wanted = {unit.name: default for unit in units}
    for name, condition in services.items():
        matches = [unit for unit in units if name in (unit.service, unit.full_name)]
        if condition not in STATES:
            findings.append(f"services.{name}: must be one of {', '.join(STATES)}; is {condition!r}.")
        if not matches:
            known = sorted({unit.service for unit in units} | {unit.full_name for unit in units})
            near = difflib.get_close_matches(name, known, n=1)
            findings.append(f"services.{name}: no such service. " + (f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."))
        if len(matches) > 1:
            findings.append(f"services.{name}: meant is {' or '.join(unit.full_name for unit in matches)}; write one of these.")
        wanted.update({unit.name: condition for unit in matches})
    refuse(findings, "Correct services; nothing was changed.")
    return wanted


def plan(
    observed: Observed,
    units: t.Sequence[Unit],
    wanted: t.Mapping[str, str],
    *,
    extra: t.Sequence[str] = (),
    replaced: t.Sequence[str] = (),
    changing: t.Collection[str] = (),
) -> tuple[Act, ...]:
    """Acts in the order in which they are done; empty when the host is as wanted.

    ``extra`` are unit names to be removed, ``replaced`` foreign ones to be stopped and masked. ``changing`` are inputs that an earlier task
    of the same run changes (in check mode they cannot be seen on disk). A unit that runs is restarted only when its own text differs, or
    when one of its inputs is younger than its start: so a run that died between the two is finished by the next one, and an unchanged unit
    is never touched.
    """
    acts = [act for name in extra for act in _removal(name, observed)]
    acts += [act for name in replaced for act in _replacement(name, observed.state(name))]
    for unit in units:
        acts += _unit_acts(unit, observed, wanted[unit.name], changing)
    stale = [name for name, state in sorted(observed.states.items()) if state.needs_daemon_reload and name not in replaced]
    if stale or any(act.verb in ("write", "remove") for act in acts):
        acts.append(Act("daemon_reload", "", f"{stale[0]} is newer on disk" if stale else "unit files change"))
    position = {name: n for n, name in enumerate([*extra, *replaced, *(unit.name for unit in units)])}
    return tuple(sorted(acts, key=lambda act: _place(act, position)))


def refuse_foreign(stack: str, observed: Observed, units: t.Sequence[Unit]) -> None:
    """Raise FleetError ``not_owner`` when a unit file of the same name was not written for ``stack``."""
    foreign = [
        unit.name for unit in units if unit.name in observed.texts and f"{MARK}{stack}" not in observed.texts[unit.name].splitlines()
    ]
    if foreign:
        raise FleetError(
            "not_owner",
            f"{', '.join(foreign)} stands in the unit directory without the mark {MARK}{stack}. Nothing was changed.",
            remedy="Remove the file, or name the stack otherwise.",
            details={"units": foreign},
        )


def _place(act: Act, position: t.Mapping[str, int]) -> tuple[int, int]:
    order = position.get(act.unit, 0)
    # Stops go in reverse start order: what depends goes first.
    return VERBS.index(act.verb), -order if act.verb == "stop" else order


def _removal(name: str, observed: Observed) -> list[Act]:
    state = observed.state(name)
    acts = []
    if state.running:
        acts.append(Act("stop", name, "it is not part of the stack"))
    if state.enabled:
        acts.append(Act("disable", name, "it is not part of the stack"))
    if state.masked:
        acts.append(Act("unmask", name, "it is not part of the stack"))
    if name in observed.texts:
        acts.append(Act("remove", name, "it is not part of the stack"))
    return acts


def _replacement(name: str, state: UnitState) -> list[Act]:
    acts = [Act("stop", name, "the stack replaces it")] if state.running else []
    # Masking needs no unit file: one that a package brings later is masked already.
    return acts if state.masked else [*acts, Act("mask", name, "the stack replaces it")]


def _unit_acts(unit: Unit, observed: Observed, wanted: str, changing: t.Collection[str]) -> list[Act]:
    state = observed.state(unit.name)
    acts = []
    text = observed.texts.get(unit.name)
    if text != unit.text:
        acts.append(Act("write", unit.name, "no such unit" if text is None else "text differs"))
    if wanted in ("inactive", "masked"):
        return acts + _off(unit, state, wanted)
    if state.masked:
        acts.append(Act("unmask", unit.name, f"its service shall be {wanted}"))
    if wanted == "active" and not state.enabled:
        acts.append(Act("enable", unit.name, "its service shall be active"))
    if state.running:
        refresh = _refresh(unit, state, observed, changing, rewritten=text != unit.text)
        return acts + (refresh or _forgive(unit, state) if wanted == "active" else refresh)
    if wanted == "active":
        acts.append(Act("start", unit.name, f"it is {state.active}"))
    return acts


def _off(unit: Unit, state: UnitState, wanted: str) -> list[Act]:
    acts = []
    if state.running:
        acts.append(Act("stop", unit.name, f"its service shall be {wanted}"))
    if state.enabled:
        acts.append(Act("disable", unit.name, f"its service shall be {wanted}"))
    if wanted == "masked" and not state.masked:
        acts.append(Act("mask", unit.name, "its service shall be masked"))
    if wanted == "inactive" and state.masked:
        acts.append(Act("unmask", unit.name, "its service shall be inactive"))
    return acts


def _forgive(unit: Unit, state: UnitState) -> list[Act]:
    """Restarts by systemd count from here on, as after a start of ours: one from before this run is no reason to refuse for ever what has
    run well since. A unit that is still being restarted keeps its number."""
    if state.active != "active" or not state.restarts:
        return []
    return [Act("reset_failed", unit.name, f"systemd restarted it {state.restarts} times before this run")]


def _refresh(unit: Unit, state: UnitState, observed: Observed, changing: t.Collection[str], rewritten: bool) -> list[Act]:
    """Restart or reload of a unit that runs."""
    if rewritten:
        return [Act("restart", unit.name, "text differs")]
    young = [path for path in unit.inputs if path in changing or observed.modified.get(path, 0.0) > state.since]
    if unit_file_is_younger(unit, state, observed):
        return [Act("restart", unit.name, "it runs an older text")]
    if not young:
        return []
    return [Act("reload" if unit.reloads else "restart", unit.name, f"{young[0]} is newer")]


def unit_file_is_younger(unit: Unit, state: UnitState, observed: Observed) -> bool:
    """Whether the unit file was written after the unit was last started or reloaded: an earlier run died in between."""
    return observed.modified.get(unit.name, 0.0) > state.since
