# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two that act at once: controllers, a watchdog that wakes up too late, clients with a transaction open across the fence."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import bench
import pytest
from bench import Watch, Writers
from bowline_pg_rig import children


def written(world) -> list:
    """Settings and next transaction id of both servers: whatever writes changes one of them."""
    return [
        (cluster.rows("SELECT setconfig FROM pg_db_role_setting ORDER BY 1", dbname="postgres"),
         cluster.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text", dbname="postgres"))
        for cluster in world.clusters
    ]


def ends(pid: int) -> None:
    bench.wait(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1], 30, "its end")


def routed(home: Path) -> dict:
    """A router that writes down what it is told, in a file that all runs share."""
    log, program = home / "routed.log", home / "routed"
    log.unlink(missing_ok=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    program.chmod(0o755)
    return {"type": "command", "timeout": 5, **{name: [[str(program), name, "{side}"]] for name in ("pause", "route", "resume")}}


@pytest.mark.parametrize("point", ["W0", "W5", "W7"] if bench.ALL else ["W5"])
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_a_watchdog_that_wakes_after_a_switch_and_a_rollback_writes_nothing(world, point):
    commands = routed(world.home)
    with Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("new", fault=f"{point}:stop", verify="none", router=commands)
        bench.wait(lambda: bench.stopped(process), 30, "the point")
        dog = children(process.pid)[0]
        os.kill(dog, signal.SIGSTOP)
        process.kill()
        process.communicate()
        assert world.ok("new", router=commands)["serving"] == "new"
        entry = {"fault": "stale watchdog", "point": point}
        bench.settle(world, "legacy", clients, watch, entry, router=commands)
    before, told = written(world), (world.home / "routed.log").read_text()
    os.kill(dog, signal.SIGCONT)
    ends(dog)
    assert written(world) == before
    assert [line for line in (world.home / "routed.log").read_text()[len(told):].splitlines() if line.endswith("new")] == []
    assert world.open_sides() == ["legacy"]


def test_a_watchdog_that_wakes_late_does_not_route_to_a_side_that_was_left(world):
    """It was told of the hold only; meanwhile another run has moved the writes."""
    commands = routed(world.home)
    holding = world.home / "holding"
    holding.unlink(missing_ok=True)
    waits = [[sys.executable, "-c", f"import time; open({str(holding)!r}, 'w').close(); time.sleep(60)"]]
    process = world.spawn("new", verify="none", router={**commands, "pause": waits, "timeout": 90})
    bench.wait(holding.exists, 30, "the hold")
    dog, sleeper = sorted(children(process.pid))
    os.kill(dog, signal.SIGSTOP)
    process.kill()
    os.kill(sleeper, signal.SIGKILL)
    process.communicate()
    assert world.ok("new", router=commands, verify="none")["serving"] == "new"
    told = (world.home / "routed.log").read_text()
    os.kill(dog, signal.SIGCONT)
    ends(dog)
    assert (world.home / "routed.log").read_text() == told
    assert world.open_sides() == ["new"]


@pytest.mark.parametrize("second", ["new", "legacy"] if bench.ALL else ["new"])
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_of_two_controllers_one_acts_at_a_time(world, second):
    """The same state twice: one switches and the other finds it done. Opposite states: one after the other, whichever comes first."""
    def epochs() -> int:
        return sum(cluster.log.read_text(errors="replace").count(":commit'") for cluster in world.clusters)

    before = epochs()
    with Writers(world) as clients, Watch(world) as watch:
        runs = [world.spawn(state, verify="none") for state in ("new", second)]
        outcomes = [json.loads(run.communicate(timeout=90)[0]) for run in runs]
        assert all("failure" not in outcome or outcome["failure"]["code"] == "locked" for outcome in outcomes), outcomes
        opened = epochs() - before
        if second == "new":
            assert opened == 1 and sorted(outcome.get("changed", False) for outcome in outcomes) == [False, True], outcomes
        entry = {"fault": "two controllers", "point": second, "openings": opened}
        bench.settle(world, "new", clients, watch, entry)


@pytest.mark.whole
@pytest.mark.parametrize(("manner", "code", "kept"), [("abort", "active_transactions", True), ("terminate", None, False)])
@pytest.mark.parametrize("to", ["new", "legacy"])
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_a_transaction_open_across_the_fence_is_on_both_sides_or_on_neither(world, manner, code, kept, to):
    if to == "legacy":
        world.ok("new", verify="none")
    source = world.side(bench.OTHER[to])
    key = f"across {manner} {to} {time.time_ns()}"
    with Writers(world) as clients, Watch(world) as watch:
        held = source.connect(options="", user="hub", password="canary-app-3c2", autocommit=False)
        held.execute("INSERT INTO ledger (key, amount) VALUES (%s, 1)", (key,))
        outcome = world.run(to, drain_grace=0.3, window_attempts=1, on_active=manner, verify="none")
        assert outcome.get("failure", {}).get("code") == code, outcome
        try:
            held.commit()
            committed = True
        except Exception:
            committed = False
        assert committed is kept
        held.close()
        bench.settle(world, to, clients, watch, {"fault": "open transaction", "point": manner, "code": code}, verify="hash")
    assert [cluster.value("SELECT count(*) FROM ledger WHERE key = %s", key) for cluster in world.clusters] == [int(kept)] * 2


@pytest.mark.whole
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_a_prepared_transaction_that_appears_under_the_hold_gives_the_window_up(world):
    prepare = (
        "import psycopg; psycopg.connect('host=127.0.0.1 port=%d user=postgres dbname=hub passfile=%s', autocommit=True).execute("
        "\"BEGIN; INSERT INTO ledger (key, amount) VALUES ('prepared late', 1); PREPARE TRANSACTION 'late'\")"
    ) % (world.legacy.port, world.passfile)
    commands = {"type": "command", "timeout": 20, "pause": [[sys.executable, "-c", prepare]]}
    with Writers(world) as clients, Watch(world) as watch:
        failure = world.run("new", window_attempts=1, router=commands)["failure"]
        assert failure["code"] == "prepared_transactions" and "late" in failure["message"]
        assert world.open_sides() == ["legacy"]
        world.legacy.rows("ROLLBACK PREPARED 'late'")
        bench.settle(world, "new", clients, watch, {"fault": "prepared transaction", "point": "W2", "code": failure["code"]})


@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_a_hanging_module_loses_the_window_and_cannot_open_anything_later(world):
    """SIGSTOP after W6: the watchdog acts at max_window; the module, continued after a whole other switch, must write nothing."""
    with Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("new", fault="W6:stop", max_window=2.5, drain_grace=1, window_attempts=1)
        try:
            bench.wait(lambda: world.open_sides() == [], 20, "the window")
            back = bench.wait(lambda: world.open_sides() == ["legacy"], 10, "the watchdog")
            assert world.ok("new")["serving"] == "new"
            assert world.ok("legacy")["serving"] == "legacy"
            os.kill(process.pid, signal.SIGCONT)
            out, _err = process.communicate(timeout=30)
            assert '"failed": true' in out
        finally:
            process.poll() is None and process.kill()
        assert world.open_sides() == ["legacy"]
        bench.settle(world, "legacy", clients, watch, {"fault": "hanging module", "point": "W6", "back": round(back, 3)})
