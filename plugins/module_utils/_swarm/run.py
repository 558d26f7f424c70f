# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`swarm_stack_info`: services, state and past of any stack, ours or not. Writers have packages of their own (stack, service, node, cluster)."""

from __future__ import annotations

import json
import typing as t

from .._core.errors import FleetError
from . import gather
from .client.engine import Engine
from .findings import wrong_options
from .model import Json, World
from .record import records
from .record.history import History, stacks
from .record.revision import Content, Revision, dead, last, select
from .spec.canonical import canonical
from .spec.difference import shown
from .spec.names import without_ids

GATHER = ("services", "tasks", "history", "drift", "diff", "logs", "rollout")

# The live specs, beside the revisions of the history.
LIVE = "live"

TAIL = 100


def run_stack_info(params: t.Mapping[str, t.Any], connect: t.Callable[..., Engine] = Engine.connect) -> Json:
    """The result of the module. A stack that is not there gives an empty list; a read that fails is a failure, never an empty list.

    Raises what `Engine.connect` raises, FleetError "revision_unavailable", "option_invalid".
    """
    wanted = set(params.get("gather") or ("services",))
    _refuse(params, wanted)
    engine = connect(params)
    try:
        world = engine.world()
        names = _names(engine, world, params)
        found: Json = {"changed": False, "stacks": [_stack(engine, world, name, params, wanted) for name in names]}
        if "history" in wanted:
            found["revisions"] = [{"stack": name, **one.summary()} for name in names for one in History(engine, name).revisions()]
        if "diff" in wanted:
            found["diff"] = _diff(engine, world, names[0] if names else str(params["name"]), params)
        if "logs" in wanted:
            found["logs"] = _logs(engine, world, names, params)
        return found
    finally:
        engine.close()


def _refuse(params: t.Mapping[str, t.Any], wanted: t.Collection[str]) -> None:
    findings = []
    if "diff" in wanted and not params.get("name"):
        findings.append(("name", "gather: [diff] compares one stack and needs its name."))
    if (params.get("revision") is not None or params.get("compare_to") is not None) and "diff" not in wanted:
        findings.append(("gather", "revision and compare_to say what is compared, and diff is not gathered."))
    logs = params.get("logs") or {}
    if not 1 <= int(logs.get("tail") or TAIL) <= 10000:
        findings.append(("logs.tail", f"{logs.get('tail')} is not between 1 and 10000 lines."))
    if findings:
        raise wrong_options(findings)


def _names(engine: Engine, world: World, params: t.Mapping[str, t.Any]) -> list[str]:
    """Subjects to be shown: the stack that is named, or all of them, services outside of any stack among them."""
    there = {gather.subject_of(one) for one in world.services}
    there |= {gather.stack_of(one) for kind in (world.networks, world.configs, world.secrets) for one in kind}
    known = (there | stacks(engine)) - {""}
    if params.get("name"):
        return [str(params["name"])] if params["name"] in known else []
    if params.get("service"):
        named = {gather.subject_of(one) for one in world.services if gather.name_of(one) == params["service"]}
        return sorted(named | ({gather.alone(params["service"])} & known))
    return sorted(known)


def _mine(world: World, name: str, params: t.Mapping[str, t.Any]) -> list[Json]:
    """Live services of one subject; ``service`` may be the short name, without that of the stack."""
    found = [one for one in world.services if gather.subject_of(one) == name]
    short = params.get("service")
    return [one for one in found if not short or gather.name_of(one) in (short, f"{name}_{short}")]


def _stack(engine: Engine, world: World, name: str, params: t.Mapping[str, t.Any], wanted: t.Collection[str]) -> Json:
    revisions, mine = History(engine, name).revisions(), _mine(world, name, params)
    current, stable = last(revisions), [one for one in revisions if one.stable and one.status == "succeeded"][-1:]
    open_ = dead(revisions)
    row: Json = {
        "name": name,
        "services": [gather.service(one, world) for one in mine],
        "revision": current.summary() if current else None,
        "stable": stable[0].number if stable else None,
        "pending": open_.summary() if open_ else None,
        "lock": gather.lock_of(engine, name),
    }
    if "tasks" in wanted:
        ids, nodes, services = {one["ID"] for one in mine}, gather.node_names(world), gather.service_names(world)
        row["tasks"] = [gather.task(one, nodes, services) for one in world.tasks if one.get("ServiceID") in ids]
    if "rollout" in wanted:
        record = records.find(engine, records.ROLLOUT, name)
        row["rollout"] = record.shown() if record else None
    if "drift" in wanted:
        networks = gather.network_names(world)
        gone = current is not None and current.action == "remove"
        row["drift"] = drift(Content({}) if gone else current.content if current else None, _live(world, name), networks, params.get("service"))
    return row


def _live(world: World, name: str) -> dict[str, Json]:
    return {gather.name_of(one): one["Spec"] for one in world.services if gather.subject_of(one) == name}


def drift(content: t.Optional[Content], live: t.Mapping[str, Json], networks: t.Mapping[str, str], only: t.Optional[str] = None) -> list[Json]:
    """Where the live specs are not those of the last revision: ``changed``, ``missing``, ``extra``. Empty where there is no history."""
    if content is None:
        return []
    found: list[Json] = []
    for name in sorted({*content.services, *live}):
        if only and name != only and not name.endswith(f"_{only}"):
            continue
        was, now = content.services.get(name), live.get(name)
        if was is None or now is None:
            found.append({"service": name, "kind": "extra" if was is None else "missing", "fields": []})
        else:
            fields = differing(canonical(without_ids(was), networks), canonical(without_ids(now), networks))
            found += [{"service": name, "kind": "changed", "fields": fields}] if fields else []
    return found


def differing(one: t.Any, other: t.Any, path: str = "") -> list[str]:
    """Paths of what differs, such as ``TaskTemplate.ContainerSpec.Image``."""
    if isinstance(one, t.Mapping) and isinstance(other, t.Mapping):
        found: list[str] = []
        for key in sorted({*one, *other}):
            found += differing(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if one == other else [path]


def _diff(engine: Engine, world: World, name: str, params: t.Mapping[str, t.Any]) -> Json:
    """From ``compare_to`` (default: what is live) to ``revision`` (default: stable), as texts. Values that look like secrets are short hashes."""
    revisions = History(engine, name).revisions()
    sides = {"before": params.get("compare_to") or LIVE, "after": params.get("revision") or "stable"}
    texts, networks = {}, gather.network_names(world)
    for side, wanted in sides.items():
        specs = _live(world, name) if wanted == LIVE else _content(revisions, wanted, name).services
        texts[side] = _text({key: shown(without_ids(spec), networks) for key, spec in specs.items()})
    return {**texts, **{f"{side}_header": f"{name} {wanted}" for side, wanted in sides.items()}}


def _content(revisions: t.Sequence[Revision], wanted: t.Any, name: str) -> Content:
    return select(revisions, wanted, name).content


def _text(value: t.Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _logs(engine: Engine, world: World, names: t.Collection[str], params: t.Mapping[str, t.Any]) -> list[Json]:
    """The last lines of each task that has a container; a node that does not answer says so in ``error``."""
    asked = params.get("logs") or {}
    nodes, services = gather.node_names(world), gather.service_names(world)
    ids = {one["ID"] for name in names for one in _mine(world, name, params)}
    rows = []
    for one in world.tasks:
        if one.get("ServiceID") not in ids or not ((one.get("Status") or {}).get("ContainerStatus") or {}).get("ContainerID"):
            continue
        shown = {key: value for key, value in gather.task(one, nodes, services).items() if key in ("id", "service", "slot", "node", "state")}
        try:
            lines, error = engine.task_logs(str(one["ID"]), int(asked.get("tail") or TAIL), int(asked.get("since") or 0)).splitlines(), ""
        except FleetError as failure:
            lines, error = [], failure.message
        rows.append({**shown, "lines": lines, "error": error})
    return rows
