# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for services to become what was applied: a look a second, and a verdict for each."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..model import Json, Verdict
from .converge import Limits, Snapshot, judge

INTERVAL = 1.0
LOG_LINES = 50


class Reader(t.Protocol):
    """What is asked of the engine; see engine.py."""

    def services(self, wanted: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> t.Tuple[Json, ...]: ...

    def tasks(self, wanted: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> t.Tuple[Json, ...]: ...

    def nodes(self, wanted: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> t.Tuple[Json, ...]: ...

    def task_logs(self, task_id: str, tail: int = 100) -> str: ...


def wait(
    engine: Reader,
    applied: t.Mapping[str, Json],
    limits: t.Mapping[str, Limits],
    *,
    before: t.Sequence[Json] = (),
    beat: t.Callable[[], None] = lambda: None,
    deadline: t.Callable[[float], Deadline] = Deadline,
) -> t.List[Verdict]:
    """A verdict for each service of ``applied`` (id -> the spec that the engine gave back after the write): all converged, or one or more failed.

    ``before`` are the tasks of before the writes, whose failures are not counted. The wait ends with the first failure; then services that had
    not come to an end have the code ``waiting``. ``beat`` is called before each look and may end the wait by raising.
    """
    if not applied:
        return []
    clock = deadline(0)
    lines: t.Dict[str, t.List[Snapshot]] = {
        name: [Snapshot(0.0, None, tuple(task for task in before if task.get("ServiceID") == name), ())] for name in applied
    }
    while True:
        beat()
        found = _look(engine, applied, lines, limits, clock.elapsed())
        if any(verdict.code not in ("converged", "waiting") for verdict in found) or all(verdict.code == "converged" for verdict in found):
            return [_with_logs(engine, verdict) for verdict in found]
        deadline(INTERVAL).pause(INTERVAL)


def _look(
    engine: Reader, applied: t.Mapping[str, Json], lines: t.Mapping[str, t.List[Snapshot]], limits: t.Mapping[str, Limits], now: float
) -> t.List[Verdict]:
    ids = sorted(applied)
    nodes, tasks = engine.nodes(), engine.tasks({"service": ids})
    # Asked last, so that a status which is already over is never judged with tasks from after it.
    services = {str(service["ID"]): service for service in engine.services({"id": ids})}
    for name, line in lines.items():
        line.append(Snapshot(now, services.get(name), tuple(task for task in tasks if task.get("ServiceID") == name), nodes))
    return [judge(lines[name], applied[name], limits[name]) for name in ids]


def _with_logs(engine: Reader, verdict: Verdict) -> Verdict:
    """The last lines of the newest tasks that ended. A node that does not answer has no say in the verdict."""
    if verdict.code in ("converged", "waiting", "unschedulable"):
        return verdict
    evidence = []
    for position, entry in enumerate(verdict.evidence):
        log = ""
        if position < 3 and entry.get("exit_code") is not None:
            try:
                log = engine.task_logs(str(entry["task"]), tail=LOG_LINES)
            except FleetError as error:
                log = f"(not read: {error.message})"
        evidence.append({**entry, **({"log": log.splitlines()[-LOG_LINES:]} if log else {})})
    return replace(verdict, evidence=tuple(evidence))
