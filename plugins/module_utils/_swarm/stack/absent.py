# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack that is no longer wanted: services from the last wave to the first, then networks, configs and secrets. Volumes and history stay."""

from __future__ import annotations

import typing as t

from ..._core.faults import hit
from ..._core.result import diff_text
from ..model import Change, Json, StackPlan, World
from ..record import records, revision
from ..record.history import History
from ..record.lock import Held
from ..spec.names import without_ids
from . import result
from .options import Options
from .situation import of_stack
from .writer import Writer


def run(engine: t.Any, options: Options, check_mode: bool) -> t.Dict[str, t.Any]:
    """The result of the module. A canary that is open is not swept away: it is ended first."""
    records.refuse(engine, records.ROLLOUT, options.name)
    history = History(engine, options.name)
    plan, left = plan_of(engine.world(), options.name), revision.dead(history.revisions())
    if check_mode or not (plan.writes() or left):
        return _result(options, plan, "converged" if plan.writes() or left else "unchanged", None)
    with Held(engine, options.name, wait=options.lock_wait, ttl=options.lock_ttl, reason=options.reason or "absent", operation=options.operation) as lock:
        hit("A1")
        records.refuse(engine, records.ROLLOUT, options.name)
        for drain in records.every(engine, records.DRAIN):
            raise records.opened(drain)
        world = engine.world()
        plan, left = plan_of(world, options.name), revision.dead(history.revisions())
        if not (plan.writes() or left):
            return _result(options, plan, "unchanged", None)
        writer = Writer(engine, options.name, lock.check)
        live = {change.service: (change.before or {})["Spec"] for change in plan.changes}
        before = revision.last(history.revisions())
        waves = before.content.waves if before else {}
        content = revision.Content({name: without_ids(spec) for name, spec in live.items()}, waves=waves)
        if left and left.action == "remove" and not plan.writes():
            # A run that died when all was gone: what it removed stands in its revision, and a deployment that fails must not go back to that.
            current = left
        else:
            current = history.begin("remove", content, live, reason=options.reason, vcs_ref=options.vcs_ref, operation=options.operation)
        hit("A2")
        _remove(writer, plan, world, waves, options.limits.wait_timeout)
        hit("A7")
        done = history.finish(current, revision.SUCCEEDED, duration=writer.clock.elapsed())
        hit("A8")
        return {**_result(options, plan, "converged", done), "steps": writer.steps}


def plan_of(world: World, name: str) -> StackPlan:
    """Everything that carries the label of the stack."""
    services = of_stack(world.services, name)
    changes = tuple(Change(str(one["Spec"]["Name"]), "remove", ("state is absent",), "none", one) for one in services)
    return StackPlan(
        name,
        changes,
        remove={
            "networks": tuple(sorted(str(item["Name"]) for item in of_stack(world.networks, name))),
            "configs": tuple(sorted(str(item["Spec"]["Name"]) for item in of_stack(world.configs, name))),
            "secrets": tuple(sorted(str(item["Spec"]["Name"]) for item in of_stack(world.secrets, name))),
        },
    )


def _remove(writer: Writer, plan: StackPlan, world: World, waves: t.Mapping[str, int], seconds: float) -> None:
    for wave in sorted({waves.get(change.service, 0) for change in plan.changes}, reverse=True):
        chosen = [change.before for change in plan.changes if waves.get(change.service, 0) == wave and change.before]
        for service in chosen:
            hit("A3")
            writer.remove(service)
            hit("A4")
        writer.gone([str(service["ID"]) for service in chosen], seconds)
        hit("A5")
    for kind, items in (("configs", world.configs), ("secrets", world.secrets), ("networks", world.networks)):
        for item in of_stack(items, plan.name):
            writer.delete(kind, str(item.get("ID") or item.get("Id")), str((item.get("Spec") or item).get("Name")), seconds)
            hit("A6")


def _result(options: Options, plan: StackPlan, outcome: str, done: t.Optional[revision.Revision]) -> t.Dict[str, t.Any]:
    names: t.Dict[str, t.Any] = {"services": [change.service for change in plan.changes], **{kind: list(names) for kind, names in plan.remove.items()}}
    before: Json = {kind: found for kind, found in names.items() if found}
    return {
        "changed": outcome != "unchanged",
        "outcome": outcome,
        "stack": options.name,
        "revision": done.summary() if done else None,
        "plan": result.steps(plan),
        "services": [],
        "diff": {"before": diff_text(before or None), "after": ""},
        "warnings": [],
        "evidence": {},
    }
