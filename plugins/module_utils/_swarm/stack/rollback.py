# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back: every service as it was before the first write, byte for byte, from the last wave to the first.

What is to be done is read from the world, so that a way back which was interrupted is gone on by the same code. Swarm's own rollback is never
asked for: its previous spec is whatever was written last (F2).
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..model import Json, Verdict
from ..record.revision import used_by
from ..spec.placement import mode_of
from ..verdict.converge import Limits
from .writer import Writer

ROLLING = "rollback_started"

# Verdicts about tasks that may still wait for a node. Swarm puts no such task on a node once its service has a newer spec, whatever is mended
# (swarmkit, manager/scheduler/scheduler.go, noSuitableNode: only tasks of the present spec are tried again), so none is written then.
_WAITING = ("unschedulable", "stuck", "timeout")


def go_back(
    writer: Writer, baseline: t.Mapping[str, Json], waves: t.Mapping[str, int], limits: Limits, made: t.Mapping[str, t.Collection[str]]
) -> t.List[Json]:
    """Bring the stack to ``baseline`` (live specs by name before the first write); ``made`` names what this deployment made of other kinds.

    Returns the services that did not come back, each with its reason: nothing is given up for the failure of one. Empty means that all run, and
    that every spec is equal to what it was.
    """
    limits = replace(limits, any_replicas=False, share=None)
    hit("R1")
    live = writer.live()
    names = sorted({*baseline, *live})
    lost: t.List[Json] = []
    for wave in sorted({waves.get(name, 0) for name in names}, reverse=True):
        chosen = [name for name in names if waves.get(name, 0) == wave and name in baseline]
        lost += _wave(writer, {name: baseline[name] for name in chosen}, limits)
        hit("R4")
    lost += _new_services(writer, baseline, limits)
    hit("R6")
    _objects(writer, baseline, made)
    return lost + _unequal(writer, baseline, {entry["service"] for entry in lost})


def _wave(writer: Writer, baseline: t.Mapping[str, Json], limits: Limits) -> t.List[Json]:
    live, tasks, pending, lost = writer.live(), writer.engine.tasks(), [], []
    for name, spec in baseline.items():
        try:
            now = _settled(writer, live[name], limits) if name in live else None
            if now is not None and now["Spec"] == spec and not _moving(now):
                # Swarm has brought back what we touched: it is waited for, and not written again.
                pending += [now] if name in writer.written else []
                continue
            hit("R2")
            pending.append(_first(writer, now, spec, limits))
            hit("R3")
        except FleetError as error:
            _refuse_lost(error)
            lost.append(_lost(name, error.code, error.message))
    verdicts = _all(writer, pending, limits, tasks)
    lost += [_lost(verdict.service, verdict.code, verdict.message, verdict.evidence) for verdict in verdicts if verdict.code != "converged"]
    wait_on = {verdict.service for verdict in verdicts if verdict.code in _WAITING}
    for name in sorted({str(service["Spec"]["Name"]) for service in pending} - wait_on):
        try:
            now = writer.live()[name]
            if now["Spec"] != baseline[name]:
                writer.update(now, baseline[name])
            hit("R5")
        except (FleetError, KeyError) as error:
            _refuse_lost(error)
            lost.append(_lost(name, getattr(error, "code", "superseded"), f"Its spec was not put back: {error}"))
    return lost


def _all(writer: Writer, services: t.Sequence[Json], limits: Limits, tasks: t.Sequence[Json]) -> t.List[Verdict]:
    """A verdict for each: one that fails does not end the wait for the others."""
    waiting, done = list(services), []
    while waiting:
        found = writer.wait(waiting, {str(service["Spec"]["Name"]): limits for service in waiting}, tasks)
        over = [verdict for verdict in found if verdict.code != "waiting"]
        # The wait ends when one has failed; what still waits is waited for again.
        done += over
        names = {verdict.service for verdict in over}
        waiting = [service for service in waiting if str(service["Spec"]["Name"]) not in names]
    return done


def _settled(writer: Writer, service: Json, limits: Limits) -> Json:
    """The service when Swarm's own rollback, if one is on the way, has come to an end: to write into it would start it anew."""
    limit = writer.deadline(min(limits.wait_timeout, limits.progress_deadline))
    while (service.get("UpdateStatus") or {}).get("State") == ROLLING and not limit.expired():
        writer.check()
        limit.pause(0.5)
        service = writer.engine.service(str(service["ID"]))
    return service


def _moving(service: Json) -> bool:
    """Whether an update is under way or has stopped in the middle, so that tasks of another spec may still be there."""
    return (service.get("UpdateStatus") or {}).get("State") in ("updating", "paused", ROLLING, "rollback_paused")


def _first(writer: Writer, now: t.Optional[Json], spec: Json, limits: Limits) -> Json:
    """Post ``spec`` at the pace of a rollback. A service that was made anew in another mode is made anew once more: no mode is changed in place."""
    if now is not None and mode_of(now["Spec"]) != mode_of(spec):
        writer.remove(now)
        writer.gone([str(now["ID"])], limits.wait_timeout)
        now = None
    if now is None:
        return writer.create(spec)
    return writer.update(now, paced(spec))


def paced(spec: Json) -> Json:
    """``spec`` with update settings for the way back: the service's own pace of rollbacks, no delay, and nothing that makes Swarm turn round by itself.

    Without settings of its own it goes as its updates go, so that no more of its tasks are away at once than in a deployment.
    """
    if "job" in mode_of(spec):
        return spec
    own = spec.get("RollbackConfig") or spec.get("UpdateConfig") or {}
    return {**spec, "UpdateConfig": {**own, "Delay": 0, "FailureAction": "continue"}}


def _new_services(writer: Writer, baseline: t.Mapping[str, Json], limits: Limits) -> t.List[Json]:
    lost, gone = [], []
    for name, service in sorted(writer.live().items()):
        if name in baseline:
            continue
        try:
            writer.remove(service)
            gone.append(str(service["ID"]))
        except FleetError as error:
            _refuse_lost(error)
            lost.append(_lost(name, error.code, error.message))
    try:
        writer.gone(gone, min(limits.wait_timeout, 120))
    except FleetError as error:
        _refuse_lost(error)
        lost.append(_lost("removed services", error.code, error.message))
    return lost


def _objects(writer: Writer, baseline: t.Mapping[str, Json], made: t.Mapping[str, t.Collection[str]]) -> None:
    """Delete what this deployment made and nothing uses. What cannot be deleted does no harm: the next successful deployment collects it."""
    used = {kind: {name for spec in baseline.values() for name in used_by(spec, kind)} for kind in ("configs", "secrets")}
    there = {
        "networks": {str(item["Name"]): str(item["Id"]) for item in writer.engine.networks()} if made.get("networks") else {},
        "configs": {str(item["Spec"]["Name"]): str(item["ID"]) for item in writer.engine.configs()},
        "secrets": {str(item["Spec"]["Name"]): str(item["ID"]) for item in writer.engine.secrets()},
    }
    for kind in ("configs", "secrets", "networks"):
        for name in sorted(made.get(kind) or ()):
            if name in there[kind] and name not in used.get(kind, set()):
                try:
                    writer.delete(kind, there[kind][name], name)
                except FleetError as error:
                    _refuse_lost(error)


def _unequal(writer: Writer, baseline: t.Mapping[str, Json], told: t.Collection[str]) -> t.List[Json]:
    """What is not as it was, read once more."""
    live = writer.live()
    wrong = [name for name, spec in sorted(baseline.items()) if (live.get(name) or {}).get("Spec") != spec] + sorted(set(live) - set(baseline))
    return [_lost(name, "superseded", f"The spec of {name} is not what it was before.") for name in wrong if name not in told]


def _refuse_lost(error: Exception) -> None:
    """A lock that is lost ends everything: another run works on the stack."""
    if isinstance(error, FleetError) and error.code == "lease_lost":
        raise error


def _lost(name: str, code: str, message: str, tasks: t.Sequence[Json] = ()) -> Json:
    return {"service": name, "code": code, "message": message, "tasks": list(tasks)}
