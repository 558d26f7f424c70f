# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe, plan, apply, verify: the units of one stack on one host."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.result import result
from .._core.wait import Deadline
from . import stage
from .artifact import Shelf
from .model import Observed, Unit, UnitState
from .plan import Act, plan, refuse_foreign, wanted_states
from .render import render_stack


class Systemd(t.Protocol):
    """What `run` needs of a host; `systemd.SystemdClient` is the real one."""

    def texts(self, stack: str, names: t.Iterable[str]) -> dict[str, str]: ...
    def modified(self, names: t.Iterable[str], paths: t.Iterable[str]) -> dict[str, float]: ...
    def states(self, names: t.Sequence[str]) -> dict[str, UnitState]: ...
    def check(self, texts: t.Mapping[str, str]) -> None: ...
    def write(self, name: str, text: str) -> None: ...
    def remove(self, name: str) -> None: ...
    def act(self, verb: str, unit: str) -> None: ...
    def failure(self, unit: str, sentence: str) -> Exception: ...


@dataclass(frozen=True)
class Wanted:
    """The units of the stack and the condition of each by unit name; ``purge`` removes other units that carry the mark of the stack,
    ``replaced`` are units of others that must not run beside it."""

    units: tuple[Unit, ...]
    states: t.Mapping[str, str]
    purge: bool
    replaced: tuple[str, ...] = ()


_DEFAULTS = {"active": "active", "present": "present", "inactive": "masked"}


def desired(params: t.Mapping[str, t.Any]) -> Wanted:
    """What the parameters of ``native_module`` ask for; ``state: absent`` is a stack without units."""
    units = render_stack(
        [item["manifest"] for item in params["modules"]],
        params["stack"],
        credentials=params["credentials"],
        credentials_directory=params["credentials_directory"] or "",
        reload=params["reload"],
        inputs=params["inputs"],
        approved=params["approved"],
        artifacts=stage.artifacts(params["modules"], params["stack"], params["accept_open_ports"]),
    )
    if params["state"] == "absent":
        return Wanted((), {}, purge=True)
    return Wanted(
        units,
        wanted_states(units, params["services"], _DEFAULTS[params["state"]]),
        purge=params["purge"],
        replaced=tuple(params["replaces"]),
    )


def observe(client: Systemd, stack: str, units: t.Sequence[Unit], replaced: t.Sequence[str] = ()) -> Observed:
    names = [unit.name for unit in units]
    texts = client.texts(stack, names)
    everything = sorted({*names, *texts, *replaced})
    return Observed(texts, client.states(everything), client.modified(names, sorted({path for unit in units for path in unit.inputs})))


def run(params: t.Mapping[str, t.Any], client: Systemd, shelf: Shelf, check_mode: bool) -> dict[str, t.Any]:
    wanted = desired(params)
    staged = stage.observe(params["modules"] if wanted.units else [], params["stack"], shelf)
    seen = observe(client, params["stack"], wanted.units, wanted.replaced)
    names = {unit.name for unit in wanted.units}
    others = sorted(set(seen.texts) - names)
    refuse_foreign(params["stack"], seen, wanted.units)
    acts = plan(
        seen, wanted.units, wanted.states, extra=others if wanted.purge else (), replaced=wanted.replaced, changing=params["changing"]
    )
    states: t.Mapping[str, UnitState] = seen.states
    if not check_mode:
        stage.apply(staged, shelf)
        apply(client, acts, wanted.units)
        if wanted.units and params["wait"]:
            states = settle(client, wanted, params["wait_timeout"])
    after = {name: text for name, text in seen.texts.items() if not (wanted.purge and name in others)}
    after.update({unit.name: unit.text for unit in wanted.units})
    return result(
        [*staged.steps(), *(act.step() for act in acts)],
        before=_diffable(seen.texts, {name: _condition(seen.state(name)) for name in seen.texts}),
        after=_diffable(after, {name: _predicted(name, seen, acts) for name in after}),
        evidence={
            "states": {
                name: {"active": state.active, "file": state.file, "restarts": state.restarts} for name, state in sorted(states.items())
            }
        },
        bookmark={name: _condition(seen.state(name)) for name in sorted({*names, *seen.texts, *wanted.replaced})},
        units=[
            {"name": unit.name, "module": unit.module, "service": unit.service, "order": unit.order, "condition": wanted.states[unit.name]}
            for unit in wanted.units
        ],
        extra=[] if wanted.purge else others,
        restarted=[act.unit for act in acts if act.verb == "restart"],
    )


def apply(client: Systemd, acts: t.Sequence[Act], units: t.Sequence[Unit]) -> None:
    texts = {unit.name: unit.text for unit in units}
    # All of the stack is checked together, so that units that name each other are found.
    if any(act.verb == "write" for act in acts):
        client.check(texts)
    for act in acts:
        if act.verb == "write":
            client.write(act.unit, texts[act.unit])
        elif act.verb == "remove":
            client.remove(act.unit)
        else:
            client.act(act.verb, act.unit)


def settle(client: Systemd, wanted: Wanted, seconds: float) -> dict[str, UnitState]:
    """The states of the units once each is in its condition. Raises FleetError ``unit_failed`` naming the first that is not."""
    names = [unit.name for unit in wanted.units]

    def unmet(states: t.Mapping[str, UnitState]) -> list[str]:
        return [name for name in names if not _holds(wanted.states[name], states[name])]

    def over(states: t.Mapping[str, UnitState]) -> bool:
        return not unmet(states) or any(states[name].active == "failed" for name in unmet(states))

    deadline = Deadline(seconds)
    states = client.states(names)
    while not over(states) and not deadline.expired():
        deadline.pause(0.2)
        states = client.states(names)
    for name in unmet(states):
        seen = states[name]
        raise client.failure(
            name,
            f"{name} shall be {wanted.states[name]}; after {deadline.elapsed():.0f} s it is {seen.active} "
            f"({seen.file or seen.load}, result {seen.result})",
        )
    return states


def _holds(wanted: str, state: UnitState) -> bool:
    if wanted == "active":
        return state.active in ("active", "reloading") and state.enabled
    if wanted == "present":
        return state.load == "loaded"
    return state.active in ("inactive", "failed") and state.masked == (wanted == "masked")


def _condition(state: UnitState) -> str:
    """One word of `STATES` for the bookmark, with ``absent`` for a unit that systemd does not know."""
    if state.masked:
        return "masked"
    if state.load == "not-found":
        return "absent"
    return "active" if state.running else "inactive"


def _predicted(name: str, seen: Observed, acts: t.Sequence[Act]) -> str:
    verbs = {act.verb for act in acts if act.unit == name}
    if "mask" in verbs:
        return "masked"
    if verbs & {"start", "restart"}:
        return "active"
    if verbs & {"stop", "unmask"} or (_condition(seen.state(name)) == "absent"):
        return "inactive"
    return _condition(seen.state(name))


def _diffable(texts: t.Mapping[str, str], conditions: t.Mapping[str, str]) -> str:
    return "".join(f"# {name}: {conditions[name]}\n{text}" for name, text in sorted(texts.items()))
