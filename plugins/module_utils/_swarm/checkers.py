# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types of gates that ask a Swarm: whether services run as wanted, and whether anything went wrong since a moment."""

from __future__ import annotations

import time
import typing as t

from .._core.argspec import refuse_unknown_keys
from .._core.errors import FleetError
from .._core.gates import Checker, Keys, NoData, Seen, Spec, Tools, mapping, number, text, texts
from .argspec import CONNECTION
from .model import STACK_LABEL, Json
from .spec.placement import global_nodes, mode_of, replicas_of
from .verdict.converge import ends

SWARM: Keys = {"stack": (text, None), "services": (texts, None)}
EVENTS: Keys = {"stack": (text, None), "services": (texts, None), "since": (number, None)}

# The engine keeps so many events (daemon/events/events.go of moby, eventsLimit); when all of them are younger than asked for, some are gone (F12).
KEPT = 256
# (type, action) of events that say that something went wrong; `die` does so unless its exit code is 0.
_ERRORS = {("container", "oom"), ("container", "die"), ("container", "health_status: unhealthy"), ("node", "remove")}


def checkers(engine: t.Any, stack: str = "", since: t.Optional[float] = None) -> t.Dict[str, Checker]:
    """The types ``swarm`` and ``events`` over ``engine``; ``stack`` and ``since`` (unix seconds) are what a gate means that names none."""
    return {
        "swarm": Checker(lambda spec, tools: _check_swarm(engine, spec, stack), SWARM, source=True),
        "events": Checker(lambda spec, tools: _check_events(engine, spec, stack, since), EVENTS, source=True),
    }


def connecting(connect: t.Callable[[t.Mapping[str, t.Any]], t.Any]) -> t.Dict[str, Checker]:
    """The same types for a gate that stands alone: ``connection`` has the options of the endpoint, by the names that all modules have."""

    def asked(check: t.Callable[[t.Any, Spec], Seen]) -> t.Callable[[Spec, Tools], Seen]:
        def run(spec: Spec, tools: Tools) -> Seen:
            refuse_unknown_keys("connection", spec["connection"], CONNECTION)
            engine = connect({**{name: option.get("default") for name, option in CONNECTION.items()}, "timeout": spec["timeout"], **spec["connection"]})
            try:
                return check(engine, spec)
            finally:
                engine.close()

        return run

    more: Keys = {"connection": (mapping, {})}
    return {
        "swarm": Checker(asked(lambda engine, spec: _check_swarm(engine, spec, "")), {**SWARM, **more}, source=True),
        "events": Checker(asked(lambda engine, spec: _check_events(engine, spec, "", None)), {**EVENTS, **more}, source=True),
    }


def names() -> t.Dict[str, Checker]:
    """The same types for looking at gates before there is an engine."""
    return checkers(None)


def _check_swarm(engine: t.Any, spec: Spec, stack: str) -> Seen:
    """Every service runs as many tasks as it wants."""
    services = _services(engine, spec, stack)
    tasks, nodes = engine.tasks({"service": [str(service["ID"]) for service in services]}), engine.nodes()
    evidence: t.Dict[str, t.Any] = {"services": {}}
    findings = []
    for service in services:
        name, of = str(service["Spec"]["Name"]), service["Spec"]
        own = [task for task in tasks if task.get("ServiceID") == service["ID"]]
        have, want = running(of, own), len(global_nodes(of, nodes)) if "global" in mode_of(of) else replicas_of(of)
        evidence["services"][name] = {"running": have, "wanted": want}
        findings += [] if have >= want else [f"{name} runs {have} of {want}"]
    return Seen(evidence, tuple(findings))


def running(spec: Json, tasks: t.Sequence[Json]) -> int:
    """How many places of a service are filled."""
    states = ("running", "complete") if ends(spec) else ("running",)
    places = [task.get("Slot") or task.get("NodeID") for task in tasks if (task.get("Status") or {}).get("State") in states]
    return len(set(places))


def _check_events(engine: t.Any, spec: Spec, stack: str, since: t.Optional[float]) -> Seen:
    """No event of an error since the operation began. Each engine tells its own events only, so tasks that failed are asked for, too."""
    begun = spec["since"] if spec["since"] is not None else since
    if begun is None:
        raise ValueError("since is missing: from which moment on nothing may have happened")
    services = _services(engine, spec, stack)
    ids = {str(service["ID"]): str(service["Spec"]["Name"]) for service in services}
    findings, seen = [], engine.events(begun, time.time())
    if len(seen) >= KEPT and min(float(event.get("timeNano") or 0) / 1e9 for event in seen) > begun + 1:
        raise NoData(f"the engine keeps {KEPT} events, and all of them are younger than the moment that was asked for")
    for event in seen:
        actor = (event.get("Actor") or {}).get("Attributes") or {}
        if (event.get("Type"), event.get("Action")) in _ERRORS and actor.get("com.docker.swarm.service.id") in ids and actor.get("exitCode") != "0":
            findings.append(f"{event.get('Action')} of {actor.get('com.docker.swarm.task.name')}")
    for task in engine.tasks({"service": sorted(ids)}):
        status = task.get("Status") or {}
        if status.get("State") in ("failed", "rejected") and _unix(str(status.get("Timestamp"))) >= begun:
            findings.append(f"a task of {ids.get(str(task.get('ServiceID')))} {status.get('State')}: {status.get('Err') or status.get('Message')}")
    return Seen({"since": begun, "events": len(seen)}, tuple(sorted(set(findings))[:20]))


def _services(engine: t.Any, spec: Spec, stack: str) -> t.List[Json]:
    """The services that a gate is about; none at all is nothing to judge."""
    named = spec["stack"] or ("" if spec["services"] else stack)
    found = list(engine.services({"label": [f"{STACK_LABEL}={named}"]} if named else None))
    if spec["services"]:
        wanted = set(spec["services"])
        full = wanted | {f"{named or stack}_{name}" for name in wanted}
        found = [service for service in found if service["Spec"]["Name"] in full]
        there = {str(service["Spec"]["Name"]) for service in found}
        lacking = {name for name in wanted if name not in there and f"{named or stack}_{name}" not in there}
        if lacking:
            raise FleetError("service_missing", f"No service is called {', '.join(sorted(lacking))}.", remedy="Correct services.")
    if not found:
        raise NoData(f"no service is in {named or 'the cluster'}")
    return found


def _unix(moment: str) -> float:
    """Seconds of an RFC 3339 time of the engine, which is always UTC; 0 for what is none."""
    from datetime import datetime, timezone

    try:
        return datetime.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0
