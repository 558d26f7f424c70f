# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a service has become what was applied: a verdict from what was seen of it since then. Pure.

A service is not believed: ``completed`` is also what Swarm says of an update whose tasks fail a second later, a first deploy has no status at
all, and an update that finds no node stays ``updating`` for ever. So tasks are counted.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..model import Json, Verdict
from ..spec.placement import global_nodes, hostname, matches, mode_of, placement_of, replicas_of

# moby/swarmkit v2.0.0, api/defaults/service.go: Update.Monitor.
MONITOR = 5.0
# A task that was told to stop is `shutdown`. `complete` is good for what ends by design only: a program that ends with 0 again and again, or one
# that obeys when it is stopped for being unhealthy (engine 20.10), is started anew for ever.
FAILED = ("failed", "rejected")
_OVER = (*FAILED, "complete")
# Engine 20.10 shows it in the template of a service and not in the specs of its tasks.
_SERVICE_ONLY = ("Runtime",)
_IMAGE = re.compile(
    r"no such image|pull access denied|manifest (unknown|for .* not found)|repository .* not found|error pulling|failed to (pull|resolve)|"
    r"image .*(not found|does not exist)|invalid reference|unauthorized: ",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Snapshot:
    """One look at a service: ``at`` on the monotonic clock in seconds, the raw service (None: it is gone), all its tasks, all nodes."""

    at: float
    service: t.Optional[Json]
    tasks: t.Tuple[Json, ...]
    nodes: t.Tuple[Json, ...]


@dataclass(frozen=True)
class Limits:
    """The limits of a verdict, in seconds where no other unit is named.

    ``monitor`` is how long all must be good, where it is not left to the service. ``any_replicas`` leaves the number of replicas to others
    (replicas: keep). ``share`` is how many tasks of the applied spec are enough, beside old ones that go on, for a canary; None wants all.
    """

    max_task_failures: int = 3
    pending_timeout: float = 60
    progress_deadline: float = 300
    wait_timeout: float = 600
    monitor: t.Optional[float] = None
    any_replicas: bool = False
    share: t.Optional[int] = None


def judge(timeline: t.Sequence[Snapshot], applied: Json, limits: Limits) -> Verdict:
    """The verdict over ``timeline``, of which the first snapshot is of the moment of the write. First match wins.

    ``applied`` is the spec as the engine gave it back after the write. ``code`` of the result is ``converged``, ``waiting`` or a failure code.
    Tasks that had failed before the first snapshot are not counted, nor are those of another spec.
    """
    now = timeline[-1]
    name = str(applied.get("Name"))
    if now.service is None:
        return Verdict("superseded", name, f"{name} was removed by somebody else.", ())
    live, status = now.service["Spec"], (now.service.get("UpdateStatus") or {})
    state, own = str(status.get("State") or ""), same_spec(live, applied, limits.any_replicas)
    failed = _failed(timeline, applied)
    if not own and state.startswith("rollback"):
        said = f"Swarm rolled {name} back by itself ({state}): {status.get('Message') or 'no reason given'}{_reasons(failed)}."
        return Verdict("rolled_back_by_swarm", name, said, _evidence(failed, now.nodes))
    if not own:
        return Verdict("superseded", name, f"The spec of {name} is no longer the one that was applied: somebody else changed it.", ())
    # A rollback to the very spec that was applied counts as an update to it.
    if state in ("paused", "rollback_paused"):
        said = f"Swarm paused the update of {name}: {status.get('Message') or 'no reason given'}{_reasons(failed)}."
        return Verdict("update_paused", name, said, _evidence(failed, now.nodes))
    if len(failed) > limits.max_task_failures:
        code = "image_pull" if _IMAGE.search(_error(failed[-1])) else "crash_loop"
        said = f"{len(failed)} tasks of {name} ended since the change; more than {limits.max_task_failures} are not waited for{_reasons(failed)}."
        return Verdict(code, name, said, _evidence(failed, now.nodes))
    pending = _pending(timeline, limits.pending_timeout)
    if pending:
        said = f"{len(pending)} tasks of {name} found no node for {limits.pending_timeout:g} s: {_error(pending[-1])}."
        return Verdict("unschedulable", name, said, _evidence(pending, now.nodes))
    # The same tasks all the time: of a service that crashes and is started anew, every look may see one that runs.
    same = _good_tasks(now, applied)
    since = _since(timeline, lambda snapshot: _is_good(snapshot, applied, limits) and _good_tasks(snapshot, applied) == same)
    monitor = monitor_of(applied) if limits.monitor is None else limits.monitor
    if since is not None and _at_rest(now, limits) and now.at - since >= max(monitor, 2 * _longest_life(timeline, failed)):
        return Verdict("converged", name, f"{name} runs as applied.", ())
    return _silent(timeline, applied, limits, name, failed)


def _silent(timeline: t.Sequence[Snapshot], applied: Json, limits: Limits, name: str, failed: t.Sequence[Json]) -> Verdict:
    now = timeline[-1]
    last = _states(now)
    still = _since(timeline, lambda snapshot: _states(snapshot) == last)
    quiet = 0.0 if still is None else now.at - still
    seen = f"{progress(now, applied, limits)}{_reasons(failed)}"
    evidence = _evidence([task for task in now.tasks if task.get("DesiredState") in ("running", "ready")], now.nodes)
    if quiet >= limits.progress_deadline:
        return Verdict("stuck", name, f"No task of {name} changed its state for {quiet:.0f} s: {seen}.", evidence)
    if now.at - timeline[0].at >= limits.wait_timeout:
        return Verdict("timeout", name, f"Waited {limits.wait_timeout:g} s for {name}; last seen: {seen}.", evidence)
    return Verdict("waiting", name, seen, evidence)


def same_spec(live: Json, applied: Json, any_replicas: bool = False) -> bool:
    """Whether two specs that the engine gave are equal, the number of replicas aside if it is left to others."""
    return _without_count(live) == _without_count(applied) if any_replicas else live == applied


def _without_count(spec: Json) -> Json:
    if mode_of(spec) != "replicated":
        return spec
    return {**spec, "Mode": {"Replicated": {}}}


def monitor_of(spec: Json) -> float:
    """Seconds for which all must be good: of the service's own update settings, or Swarm's default. What ends by design needs none."""
    if "job" in mode_of(spec):
        return 0.0
    given = float((spec.get("UpdateConfig") or {}).get("Monitor") or 0) / 1e9
    return given if given > 0 else MONITOR


def fresh(task: Json, applied: Json, nodes: t.Sequence[Json]) -> bool:
    """Whether ``task`` runs the applied spec, as IsTaskDirty of moby/swarmkit (manager/orchestrator/task.go) decides.

    A task that differs by its placement alone stays, with its old spec, if its node meets the new constraints.
    """
    wanted, seen = ({key: value for key, value in template.items() if key not in _SERVICE_ONLY}
                    for template in (applied.get("TaskTemplate") or {}, task.get("Spec") or {}))
    if seen == wanted:
        return True
    if {**seen, "Placement": None} != {**wanted, "Placement": None}:
        return False
    node = next((node for node in nodes if node.get("ID") == task.get("NodeID")), None)
    return node is not None and matches(placement_of(applied).get("Constraints") or (), node)


def ends(spec: Json) -> bool:
    """Whether a task of ``spec`` may be done: a job, or a service that is not started anew when it ended well."""
    condition = ((spec.get("TaskTemplate") or {}).get("RestartPolicy") or {}).get("Condition")
    return "job" in mode_of(spec) or condition in ("none", "on-failure")


def good(task: Json, spec: Json) -> bool:
    """Running, which with a healthcheck Swarm says of healthy tasks only; or complete, where that is what was wanted."""
    state = (task.get("Status") or {}).get("State")
    return (state == "running" and task.get("DesiredState") == "running") or (state == "complete" and ends(spec))


def progress(snapshot: Snapshot, applied: Json, limits: Limits) -> str:
    """``2 of 3 tasks good, 1 old task`` for people who wait."""
    have, want, old = _count(snapshot, applied, limits)
    left = f", {old} old" if old else ""
    errors = sorted({_error(task) for task in snapshot.tasks if (task.get("Status") or {}).get("State") == "pending" and _error(task)})
    return f"{have} of {want} tasks good{left}{': ' + errors[0] if errors else ''}"


def _count(snapshot: Snapshot, applied: Json, limits: Limits) -> t.Tuple[int, int, int]:
    """How many places have a good task of the applied spec, how many are wanted, and how many old tasks or surplus places still run."""
    new = [task for task in _of_iteration(snapshot) if fresh(task, applied, snapshot.nodes)]
    ids = {task.get("ID") for task in new}
    old = [task for task in snapshot.tasks if task.get("ID") not in ids and task.get("DesiredState") in ("running", "ready", "accepted")]
    if mode_of(applied) in ("global", "global-job"):
        places = {str(task.get("NodeID")) for task in new if good(task, applied)}
        wanted = global_nodes(applied, snapshot.nodes)
        # A paused node keeps its task and a drained one loses it: what runs beside the wanted nodes is nobody's lack.
        return len(places & wanted), len(wanted), len(old)
    places = {str(task.get("Slot")) for task in new if good(task, applied)}
    live = snapshot.service["Spec"] if limits.any_replicas and snapshot.service else applied
    return len(places), replicas_of(live), len(old)


def _longest_life(timeline: t.Sequence[Snapshot], failed: t.Sequence[Json]) -> float:
    """Seconds from the first sight of a task to that of its end, the longest of ``failed``: who follows them has to outlive them by far.

    A program that crashes after three seconds is good for every monitor of two.
    """
    lives = [0.0]
    for task in failed:
        seen = [snapshot.at for snapshot in timeline if any(other.get("ID") == task.get("ID") for other in snapshot.tasks)]
        ended = [snapshot.at for snapshot in timeline if any(other.get("ID") == task.get("ID") and other.get("Status", {}).get("State") in _OVER
                                                             for other in snapshot.tasks)]  # fmt: skip
        lives.append(ended[0] - seen[0])
    return max(lives)


def _good_tasks(snapshot: Snapshot, applied: Json) -> t.FrozenSet[str]:
    return frozenset(str(task.get("ID")) for task in _of_iteration(snapshot) if good(task, applied) and fresh(task, applied, snapshot.nodes))


def _of_iteration(snapshot: Snapshot) -> t.List[Json]:
    """The tasks; of a job only those of its present run."""
    iteration = (((snapshot.service or {}).get("JobStatus") or {}).get("JobIteration") or {}).get("Index")
    if iteration is None:
        return list(snapshot.tasks)
    return [task for task in snapshot.tasks if (task.get("JobIteration") or {}).get("Index") == iteration]


def _is_good(snapshot: Snapshot, applied: Json, limits: Limits) -> bool:
    if snapshot.service is None or not same_spec(snapshot.service["Spec"], applied, limits.any_replicas):
        return False
    have, want, old = _count(snapshot, applied, limits)
    if limits.share is not None:
        return have >= limits.share
    return have == want and old == 0


def _at_rest(snapshot: Snapshot, limits: Limits) -> bool:
    """Whether Swarm has ended its update: a change of ports leaves no trace in the spec of a task, so only the update tells that it is going on.

    Swarm ends it after it has watched the new tasks for the service's own monitor, and those seconds count: the tasks were good in them.
    """
    state = str(((snapshot.service or {}).get("UpdateStatus") or {}).get("State") or "")
    return limits.share is not None or state not in ("updating", "rollback_started")


def _since(timeline: t.Sequence[Snapshot], holds: t.Callable[[Snapshot], bool]) -> t.Optional[float]:
    """From when on ``holds`` was true of every snapshot; None if it is not true of the last one."""
    since = None
    for snapshot in reversed(timeline):
        if not holds(snapshot):
            break
        since = snapshot.at
    return since


def _failed(timeline: t.Sequence[Snapshot], applied: Json) -> t.List[Json]:
    """Tasks of the applied spec that failed after the first snapshot, oldest first. Swarm forgets them, so all snapshots are asked."""
    before = {task.get("ID") for task in timeline[0].tasks if _ended(task, applied)}
    found: t.Dict[str, Json] = {}
    for snapshot in timeline:
        for task in snapshot.tasks:
            if _ended(task, applied) and task.get("ID") not in before and fresh(task, applied, snapshot.nodes):
                found[str(task.get("ID"))] = task
    return sorted(found.values(), key=lambda task: str((task.get("Status") or {}).get("Timestamp")))


def _ended(task: Json, applied: Json) -> bool:
    state = (task.get("Status") or {}).get("State")
    return state in FAILED or (state == "complete" and not ends(applied))


def _pending(timeline: t.Sequence[Snapshot], seconds: float) -> t.List[Json]:
    """Tasks that the scheduler has found no node for, in every snapshot of the last ``seconds``."""
    now = timeline[-1]

    def waits(task: Json) -> bool:
        since = _since(timeline, lambda snapshot: any(_is_pending(seen) and seen.get("ID") == task.get("ID") for seen in snapshot.tasks))
        return since is not None and now.at - since >= seconds

    return [task for task in now.tasks if _is_pending(task) and waits(task)]


def _is_pending(task: Json) -> bool:
    status = task.get("Status") or {}
    return status.get("State") == "pending" and bool(status.get("Err")) and task.get("DesiredState") in ("running", "ready")


def _states(snapshot: Snapshot) -> t.FrozenSet[t.Tuple[str, str, str]]:
    return frozenset((str(task.get("ID")), str((task.get("Status") or {}).get("State")), str(task.get("DesiredState"))) for task in snapshot.tasks)


def _error(task: Json) -> str:
    status = task.get("Status") or {}
    return str(status.get("Err") or status.get("Message") or "")


def _reasons(failed: t.Sequence[Json]) -> str:
    """`` (why the last task failed)``, once a kind."""
    said = list(dict.fromkeys(error for error in map(_error, reversed(failed)) if error))
    return f" ({'; '.join(said[:3])})" if said else ""


def _exit_code(task: Json) -> t.Optional[int]:
    """How the container ended; None where none was started, for which the engine says 0."""
    status = task.get("Status") or {}
    container = status.get("ContainerStatus") or {}
    ended = status.get("State") in ("failed", "complete", "shutdown") and container.get("ContainerID")
    return t.cast(t.Optional[int], container.get("ExitCode")) if ended else None


def _evidence(tasks: t.Sequence[Json], nodes: t.Sequence[Json]) -> t.Tuple[Json, ...]:
    """Where and how tasks ended or wait; newest first, ten at most."""
    names = {node.get("ID"): hostname(node) for node in nodes}
    return tuple(
        {
            "task": task.get("ID"),
            "slot": task.get("Slot"),
            "node": names.get(task.get("NodeID"), task.get("NodeID")),
            "state": (task.get("Status") or {}).get("State"),
            "error": _error(task),
            "exit_code": _exit_code(task),
        }
        for task in list(reversed(tasks))[:10]
    )
