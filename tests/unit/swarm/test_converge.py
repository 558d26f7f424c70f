# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict over timelines: what Swarm calls done and is not, and what it never calls anything."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.verdict.converge import Limits, Snapshot, judge
from swarm_objects import NODES, node, service, spec, task

OLD, NEW = spec("app:1"), spec("app:2")
LIMITS = Limits()


def at(second, tasks, *, of=None, nodes=NODES, **status):
    return Snapshot(second, service(of or NEW, **status), tuple(tasks), tuple(nodes))


def held(tasks, seconds, *, start=0, **more):
    """The same look every second."""
    return [at(second, tasks, **more) for second in range(start, start + seconds + 1)]


def running(of, *names):
    return [task(name, of, slot=slot) for slot, name in enumerate(names, 1)]


def failed(number, of=None, **more):
    return task(f"f{number}", of or NEW, state="failed", wanted="shutdown", error="task: non-zero exit (1)", code=1, at=f"2026-01-01T00:01:0{number}Z", **more)


def rejected(number):
    return task(f"r{number}", NEW, state="rejected", wanted="shutdown", error="No such image: app:2", at=f"2026-01-01T00:01:0{number}Z")


def ended(number):
    """What engine 20.10 says of a task that was stopped for its health and obeyed: complete, 0, and no error."""
    return task(f"e{number}", NEW, state="complete", wanted="shutdown", code=0)


PENDING = task("p", NEW, on=None, state="pending", error="no suitable node (scheduling constraints not satisfied on 3 nodes)")
STARTED = at(0, running(OLD, "a", "b"))
JOB = spec("job:1", mode={"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}})
GLOBAL = spec("app:2", mode={"Global": {}}, constraints=["node.hostname!=m3"])


@pytest.mark.parametrize(
    ("timeline", "applied", "limits", "code"),
    [
        pytest.param(held(running(NEW, "c", "d"), 5), NEW, LIMITS, "converged", id="all good for monitor"),
        pytest.param(held(running(NEW, "c", "d"), 4), NEW, LIMITS, "waiting", id="all good, but not for monitor yet"),
        pytest.param(held(running(NEW, "c", "d"), 5, update="completed"), NEW, LIMITS, "converged", id="completed, and so it is"),
        pytest.param(held(running(NEW, "c"), 30, update="completed"), NEW, LIMITS, "waiting", id="completed, but a task is missing"),
        pytest.param(held(running(NEW, "c", "d"), 30, update="updating"), NEW, LIMITS, "waiting", id="Swarm still updates: ports leave no trace in tasks"),
        pytest.param([*held(running(NEW, "c", "d"), 4, update="updating"), at(5, running(NEW, "c", "d"), update="completed")], NEW, LIMITS, "converged",
                     id="the seconds in which Swarm watched them count"),
        pytest.param([*held(running(NEW, "c", "d"), 30, update="updating"), *held(running(NEW, "e", "f"), 4, start=31, update="completed")], NEW, LIMITS,
                     "waiting", id="ports: the tasks of before looked as good, and do not count"),
        pytest.param([*held(running(NEW, "c", "d"), 4), at(5, running(NEW, "c")), *held(running(NEW, "c", "e"), 4, start=6)], NEW, LIMITS, "waiting",
                     id="good again is counted anew"),
        pytest.param([at(n, running(NEW, "c", f"d{n}")) for n in range(30)], NEW, LIMITS, "waiting", id="a task is another one at each look: it crashes"),
        pytest.param([STARTED, at(1, running(OLD, "a", "b"), of=OLD, update="rollback_started", message="task x")], NEW, LIMITS, "rolled_back_by_swarm",
                     id="rollback_started"),
        pytest.param([STARTED, at(1, running(OLD, "a", "b"), of=OLD, update="rollback_completed")], NEW, LIMITS, "rolled_back_by_swarm",
                     id="rollback_completed, which the CLI reports as success"),
        pytest.param([STARTED, at(1, [], of=OLD, update="rollback_paused")], NEW, LIMITS, "rolled_back_by_swarm", id="rollback_paused"),
        pytest.param(held(running(NEW, "c", "d"), 5, update="rollback_completed"), NEW, LIMITS, "converged", id="a rollback to what was applied is no failure"),
        pytest.param(held(running(NEW, "c", "d"), 5, update="rollback_started"), NEW, LIMITS, "waiting", id="nor the end before it has ended"),
        pytest.param([STARTED, at(1, [], of=spec("app:3"))], NEW, LIMITS, "superseded", id="somebody else wrote"),
        pytest.param([STARTED, Snapshot(1, None, (), NODES)], NEW, LIMITS, "superseded", id="somebody else removed it"),
        pytest.param([STARTED, at(1, [rejected(1)], update="paused", message="update paused due to failure")], NEW, LIMITS, "update_paused", id="paused"),
        pytest.param([STARTED, at(1, [rejected(n) for n in range(3)])], NEW, LIMITS, "waiting", id="three failures are allowed"),
        pytest.param([STARTED, at(1, [rejected(n) for n in range(4)])], NEW, LIMITS, "image_pull", id="four, and the image is the reason"),
        pytest.param([STARTED, at(1, [failed(n) for n in range(4)])], NEW, LIMITS, "crash_loop", id="four that end"),
        pytest.param([STARTED, at(1, [failed(0), failed(1)]), at(2, [failed(2), failed(3)])], NEW, LIMITS, "crash_loop", id="also when Swarm forgets them"),
        pytest.param([STARTED, at(1, [ended(n) for n in range(4)])], NEW, LIMITS, "crash_loop", id="four that end with 0, and are started anew"),
        pytest.param([at(0, [failed(n) for n in range(9)]), at(1, [failed(n) for n in range(9)])], NEW, LIMITS, "waiting", id="failures of before"),
        pytest.param([STARTED, at(1, [failed(n, OLD) for n in range(9)])], NEW, LIMITS, "waiting", id="failures of the old spec"),
        pytest.param(held([PENDING], 60), NEW, LIMITS, "unschedulable", id="no node for pending_timeout"),
        pytest.param(held([PENDING], 59), NEW, LIMITS, "waiting", id="not yet"),
        pytest.param([*held([PENDING], 30), at(31, [task("p", NEW, state="starting")]), *held([PENDING], 40, start=32)], NEW, LIMITS, "waiting",
                     id="pending again is counted anew"),
        pytest.param(held([*running(OLD, "a"), PENDING], 60, update="updating"), NEW, LIMITS, "unschedulable", id="updating for ever"),
        pytest.param(held([*running(NEW, "c", "d"), *running(OLD, "a")], 30), NEW, LIMITS, "waiting", id="an old task is still wanted"),
        pytest.param(held([*running(NEW, "c", "d", "e")], 30), NEW, LIMITS, "waiting", id="one too many"),
        pytest.param(held([task("c", NEW, state="starting")], 300), NEW, LIMITS, "stuck", id="nothing moved for progress_deadline"),
        pytest.param([at(n, [task("c", NEW, state=("starting", "ready")[n % 2])]) for n in range(601)], NEW, LIMITS, "timeout", id="moves, but never arrives"),
        pytest.param(held(running(NEW, "c", "d", "e"), 5, of=spec("app:2", replicas=3)), NEW, Limits(any_replicas=True), "converged", id="replicas: keep"),
        pytest.param(held(running(NEW, "c", "d", "e"), 5, of=spec("app:2", replicas=3)), NEW, LIMITS, "superseded", id="replicas: enforce"),
        pytest.param([at(9, [task("j1", JOB, state="complete", wanted="complete", job=3), task("j2", JOB, slot=2, state="complete", job=3)], of=JOB, job=3)],
                     JOB, LIMITS, "converged", id="a job is done when it is"),
        pytest.param([at(9, [task("j1", JOB, state="complete", job=2), task("j2", JOB, slot=2, state="complete", job=3)], of=JOB, job=3)],
                     JOB, LIMITS, "waiting", id="an earlier run of the job counts for nothing"),
        pytest.param(held([task("g1", GLOBAL, slot=0, on="m1"), task("g2", GLOBAL, slot=0, on="m2")], 5, of=GLOBAL), GLOBAL, LIMITS, "converged",
                     id="global: the nodes that meet the constraint"),
        pytest.param(held([task("g1", GLOBAL, slot=0, on="m1")], 9, of=GLOBAL), GLOBAL, LIMITS, "waiting", id="global: one of them lacks its task"),
        pytest.param(held([task("g1", GLOBAL, slot=0, on="m1")], 5, of=GLOBAL, nodes=(NODES[0], node("m2", availability="drain"))), GLOBAL, LIMITS,
                     "converged", id="global: a drained node is not waited for"),
        pytest.param(held([*running(NEW, "c"), task("o", OLD, slot=2)], 5, update="updating"), NEW, Limits(share=1), "converged", id="canary: its share"),
        pytest.param(held([task("o", OLD), task("o2", OLD, slot=2)], 5, update="updating"), NEW, Limits(share=1), "waiting", id="canary: not yet"),
    ],
)
def test_first_match_wins(timeline, applied, limits, code):
    assert judge(timeline, applied, limits).code == code


def test_the_share_of_a_canary_is_not_good_before_monitor():
    timeline = held([*running(NEW, "c"), task("o", OLD, slot=2)], 4, update="updating")
    assert judge(timeline, NEW, Limits(share=1)).code == "waiting"


def test_a_changed_constraint_keeps_the_tasks_whose_nodes_meet_it():
    """F7: they keep their old spec, and are as applied all the same."""
    pinned = spec("app:1", constraints=["node.hostname!=m3"])
    kept = [task("a", OLD, slot=1, on="m1"), task("b", OLD, slot=2, on="m2")]
    moved = [task("a", OLD, slot=1, on="m1"), task("b", OLD, slot=2, on="m3")]
    assert judge(held(kept, 5, of=pinned), pinned, LIMITS).code == "converged"
    assert judge(held(moved, 5, of=pinned), pinned, LIMITS).code == "waiting"


def test_a_task_that_may_end_well_is_good_when_it_has():
    once = spec("app:2", RestartPolicy={"Condition": "on-failure"})
    done = [task("c", once, state="complete", wanted="shutdown"), task("d", once, slot=2)]
    assert judge(held(done, 5, of=once), once, LIMITS).code == "converged"
    assert judge(held([task("c", NEW, state="complete", wanted="shutdown"), task("d", NEW, slot=2)], 5), NEW, LIMITS).code == "waiting"


def crashing(number, second, life):
    """One task after another, each alive for ``life`` seconds."""
    turn = second // life
    dead = [task(f"c{n}", NEW, state="failed", wanted="shutdown", error="exit", code=3, at=f"2026-01-01T00:02:{n:02}Z") for n in range(turn)]
    return [task("d", NEW, slot=2), task(f"c{turn}", NEW), *dead][:number]


def test_a_program_that_outlives_the_monitor_and_crashes_is_no_success():
    """Seen in the lab: a crash every three seconds, and a monitor of one."""
    short = spec("app:2", monitor=1)
    shown = [[*crashing(9, second, 3)] for second in range(30)]
    timeline = [at(second, [{**one, "Spec": {key: value for key, value in short["TaskTemplate"].items() if key != "Runtime"}} for one in tasks], of=short)
                for second, tasks in enumerate(shown)]
    codes = [judge(timeline[: end + 1], short, LIMITS).code for end in range(len(timeline))]
    # Once it has failed, it is not believed before it has outlived what failed by far.
    assert codes[1] == "converged" and "converged" not in codes[3:12] and codes[12] == "crash_loop"


def test_a_failure_names_place_and_reason():
    verdict = judge([STARTED, at(1, [failed(n, on="m2") for n in range(4)])], NEW, LIMITS)
    assert verdict.evidence[0] == {"task": "f3", "slot": 1, "node": "m2", "state": "failed", "error": "task: non-zero exit (1)", "exit_code": 1}
    assert len(verdict.evidence) == 4 and "non-zero exit (1)" in verdict.message and "s_web" in verdict.message
