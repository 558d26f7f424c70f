# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks for ``bowline.fleet.gate`` made from what a stack says about itself. Pure."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .findings import refuse
from .model import Health, Unit
from .plan import wanted_states
from .render import render_stack

PHASES = ("dark", "full")
# A check of these types never writes; an exchange does.
_WRITING_TYPES = ("exchange",)


def health_gates(
    manifests: t.Any,
    stack: str,
    services: t.Optional[t.Mapping[str, str]] = None,
    default: str = "active",
    approved: t.Collection[str] = (),
    wait_timeout: float = 60,
) -> list[dict[str, t.Any]]:
    """One check per service that shall be active and says how it is healthy, in start order. ``notify`` is proven by systemd's own start.

    ``interval`` is for whoever watches the service later; a gate asks until it holds.
    """
    units = render_stack(manifests, stack, approved=approved)
    wanted = wanted_states(units, services or {}, default)
    return [
        _health_gate(unit, unit.health, wait_timeout)
        for unit in units
        if unit.health is not None and unit.health.type != "notify" and wanted[unit.name] == "active"
    ]


def _health_gate(unit: Unit, health: Health, wait_timeout: float) -> dict[str, t.Any]:
    gate: dict[str, t.Any] = {
        "name": unit.full_name,
        "type": health.type,
        "timeout": health.timeout,
        "wait_timeout": health.initial_delay + wait_timeout,
        "log_of": unit.name,
    }
    if health.type == "http":
        return {**gate, "url": f"http://{_bracketed(health.host)}:{health.port}{health.path}", "status": health.status}
    if health.type == "tcp":
        return {**gate, "host": health.host, "port": health.port}
    inside = {"in_unit": unit.name, "user": unit.user} if unit.user else {}
    return {**gate, "type": "command", "argv": list(health.command), "read_only": True, **inside}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def unit_gates(
    manifests: t.Any, stack: str, functions: t.Mapping[str, str], restarts: int = 0, approved: t.Collection[str] = ()
) -> list[dict[str, t.Any]]:
    """One check per function: the unit of its service is active, enabled, and systemd restarted it ``restarts`` times at most."""
    units = render_stack(manifests, stack, approved=approved)
    gates = []
    for function, service in functions.items():
        chosen = wanted_states(units, {service: "active"}, "present")
        unit = next(unit for unit in units if chosen[unit.name] == "active")
        gates.append({"name": f"unit {function}", "type": "unit", "unit": unit.name, "active": True, "enabled": True, "restarts": restarts})
    return gates


def smoke_gates(checks: t.Sequence[t.Mapping[str, t.Any]], phase: str, recorded: bool = False) -> list[dict[str, t.Any]]:
    """The checks of ``phase``, without what only this room understands; ``recorded`` answers stay where the recorder needs them.

    ``dark`` is the phase in which the database may not be written: exchanges are left out and a ``postgres`` check expects a read-only
    server, unless the check names its ``phases`` itself. Raises FleetError ``manifest_invalid`` when nothing is left, for a smoke without
    checks passes by accident.
    """
    if phase not in PHASES:
        raise FleetError(
            "manifest_invalid", f"smoke_phase: must be one of {', '.join(PHASES)}; is {phase!r}.", remedy="Correct smoke_phase."
        )
    findings = [
        f"smoke_checks[{n}].phases: must be from {', '.join(PHASES)}; is {item.get('phases')!r}."
        for n, item in enumerate(checks)
        if not _phases_known(item)
    ]
    refuse(findings, "Correct smoke_checks.")
    chosen = [
        _in_phase(item, phase, ("phases",) if recorded else ("phases", "recorded"))
        for item in checks
        if phase in item.get("phases", _default_phases(item))
    ]
    if not chosen:
        raise FleetError(
            "manifest_invalid",
            f"smoke_checks: none of {len(checks)} checks belongs to phase {phase}.",
            remedy="Add a check; nothing was checked.",
        )
    return chosen


def _phases_known(check: t.Mapping[str, t.Any]) -> bool:
    phases = check.get("phases", PHASES)
    return isinstance(phases, (list, tuple)) and len(phases) > 0 and all(item in PHASES for item in phases)


def _default_phases(check: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    return ("full",) if check.get("type") in _WRITING_TYPES else PHASES


def _in_phase(check: t.Mapping[str, t.Any], phase: str, dropped: t.Collection[str]) -> dict[str, t.Any]:
    chosen = {key: value for key, value in check.items() if key not in dropped}
    if phase == "dark" and chosen.get("type") == "postgres" and "read_write" in chosen and "phases" not in check:
        chosen["read_write"] = False
    return chosen
