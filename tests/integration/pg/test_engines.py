# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A legacy server that cannot publish (wal_level = replica): engine dump, its way back, and the restart that makes it publish."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

rig = sys.modules["bowline_pg_rig"]
wait_until, failed = rig.until, rig.failed
LONG = {"engine": "dump", "max_window": 60}


@pytest.fixture(scope="module")
def replicas():
    """Clusters of its own, since wal_level of legacy needs a start."""
    world = rig.World()
    try:
        world.start()
        world.legacy.stop()
        with (world.legacy.home / "data" / "postgresql.conf").open("a") as file:
            file.write("wal_level = replica\n")
        world.legacy.start()
        yield world
    finally:
        world.stop()


@pytest.fixture
def replica(replicas):
    replicas.reset()
    return replicas


def test_a_dump_and_the_way_back_lose_no_row(replica, writers):
    """Check mode first, writers on, there, back, and there again: the second time everything is copied anew."""
    world = replica
    foreseen = world.ok("new", check_mode=True, **LONG)
    assert world.new.rows("SELECT 1 FROM pg_database WHERE datname = 'hub'", dbname="postgres") == []
    assert (foreseen["engine"], foreseen["phase_after"]) == ("dump", "new")
    with writers(world) as clients:
        there = world.ok("new", **LONG)
        assert (there["plan"], there["engine"], there["phase_after"]) == (foreseen["plan"], "dump", "new")
        assert (there["verify"]["equal"], there["rollback"]["armed"], there["rollback"]["reason"]) == (True, True, "")
        assert 0.1 < foreseen["predicted_window_ms"] / there["window_ms"] < 4
        assert world.ok("armed", **LONG)["changed"] is False
        arrived = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) > arrived + 50, 20, "writes on new")
        foreseen = world.ok("legacy", check_mode=True)
        back = world.ok("legacy")
        assert (back["plan"], back["phase_after"]) == (foreseen["plan"], foreseen["phase_after"])
        assert (back["phase_after"], back["serving"], back["verify"]["equal"]) == ("prepared", "legacy", True)
        assert world.ok("legacy")["changed"] is False
        again = world.ok("new", **LONG)
        assert (again["serving"], again["verify"]["equal"]) == ("new", True)
    clients.assert_lossless()
    assert world.new.value("SELECT count(*) FROM pg_largeobject_metadata") == 1
    assert world.new.value("SELECT count(*) FROM totals") == 20
    assert world.new.value("SELECT has_table_privilege('readers', 'ledger', 'SELECT')")
    assert world.new.value("SELECT count(*) FROM pg_stats WHERE tablename = 'events_a'") > 0
    assert world.legacy.rows("SELECT slot_name FROM pg_replication_slots", dbname="postgres") == []


def test_a_legacy_that_publishes_is_followed_again_after_a_dump(world, writers):
    """Engine dump between two servers that could replicate: only the first way there is a copy."""
    with writers(world) as clients:
        assert world.ok("new", **LONG)["engine"] == "dump"
        back = world.ok("legacy", **LONG)
        assert (back["phase_after"], back["verify"]["equal"]) == ("seeded", True)
        again = world.ok("new", **LONG)
        assert (again["engine"], again["verify"]["equal"]) == ("logical", True)
        assert "outline" not in [step["action"] for step in again["plan"]]
    clients.assert_lossless()


def test_what_a_dump_is_refused_for(replica):
    world = replica
    failure = failed(world.run("new", engine="dump", max_window=1.3, drain_grace=1), "window_too_long")
    assert "max_window" in failure["remedy"]
    failure = failed(world.run("new"), "no_engine")
    assert all(word in failure["remedy"] for word in ("allow_legacy_restart", "Physical", "engine: dump"))
    failed(world.run("new", engine="logical"), "restart_required")
    told = world.ok("preflight")
    assert (told["engine"], "Not physical" in told["engine_reason"]) == (None, True)
    assert world.new.rows("SELECT 1 FROM pg_database WHERE datname = 'hub'", dbname="postgres") == []
    assert world.legacy.value("SELECT to_regclass('pgcut.marker') IS NULL")
    world.ok("armed", **LONG)
    failed(world.run("new"), "conflict")
    assert world.open_sides() == ["legacy"]
    assert world.ok("new", check_mode=True, **LONG)["engine"] == "dump"


def test_what_does_not_go_with_a_dump_is_refused_and_a_snapshot_is_taken(replica):
    """Refused until new serves, before anything was changed; the dump of the switch point has every row of legacy."""
    world = replica
    for state, more in (("new", {"guarantee": "sync"}), ("armed", {"trial_window": True})):
        failure = failed(world.run(state, **LONG, **more), "invalid_value")
        assert failure["details"]["options"] == ["guarantee: sync" if more.get("guarantee") else "trial_window"]
    assert world.new.rows("SELECT 1 FROM pg_database WHERE datname = 'hub'", dbname="postgres") == []
    there = world.ok("new", **LONG, snapshot={"directory": str(world.home / "kept")})
    assert (there["engine"], there["snapshot"].get("failure")) == ("dump", None), there["warnings"]
    assert there["snapshot"]["kind"] == "switch" and list((world.home / "kept").iterdir())
    assert world.ok("new", guarantee="sync")["rollback"]["guarantee"] == "sync"
    assert world.ok("legacy")["serving"] == "legacy"


def test_a_copy_that_is_late_gives_the_writes_back(replica, writers):
    world = replica
    slow = world.home / "slow"
    slow.mkdir(exist_ok=True)
    for name in ("pg_dump", "pg_restore"):
        # The copy of rows alone is slow; the schema, before the window, is not.
        wait = "case \"$*\" in *--jobs=*) sleep 30;; esac" if name == "pg_restore" else ":"
        (slow / name).write_text(f"#!/bin/sh\n{wait}\nexec {world.legacy.bin}/{name} \"$@\"\n")
        (slow / name).chmod(0o755)
    late = {"engine": "dump", "max_window": 5, "drain_grace": 1, "new": {**world.params("new")["new"], "bindir": str(slow)}}
    with writers(world) as clients:
        failure = failed(world.run("new", **late), "window_aborted")
        assert "max_window" in failure["remedy"], failure
        assert world.open_sides() == ["legacy"]
        arrived = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) > arrived, 5, "writes on legacy")
        done = world.ok("new", **LONG)
        assert [step["action"] for step in done["plan"]][0] == "cleanup"
        assert (done["serving"], done["verify"]["equal"]) == ("new", True)
    clients.assert_lossless()
    assert clients.longest_gap() < 40


def test_a_copy_that_fails_gives_the_writes_back_and_is_made_anew(replica, tmp_path):
    world = replica
    tmp_path.chmod(0o755)
    for name in ("pg_dump", "pg_restore"):
        fails = "case \"$*\" in *--jobs=*) echo broken >&2; exit 1;; esac" if name == "pg_restore" else ":"
        (tmp_path / name).write_text(f"#!/bin/sh\n{fails}\nexec {world.legacy.bin}/{name} \"$@\"\n")
        (tmp_path / name).chmod(0o755)
    outcome = world.run("new", new={**world.params("new")["new"], "bindir": str(tmp_path)}, **LONG)
    cause = outcome["failure"]["details"].get("cause", outcome["failure"])
    assert "broken" in cause["message"] and "made anew" in cause["remedy"] and world.open_sides() == ["legacy"], outcome
    assert world.ok("new", **LONG)["verify"]["equal"] is True


def test_too_little_room_for_the_dump_is_said_before_and_tmpdir_helps(replica, tmp_path, monkeypatch):
    small = tmp_path / "small"
    small.mkdir()
    rig.subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        monkeypatch.setenv("TMPDIR", str(small))
        failure = failed(replica.run("armed", **LONG), "preflight_failed")
        assert "TMPDIR" in failure["remedy"]
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        assert replica.ok("armed", check_mode=True, **LONG)["engine"] == "dump"
    finally:
        rig.subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_an_open_transaction_costs_one_attempt_and_no_new_outline(replica):
    """It begins while clients are being held, so no gate before the window sees it."""
    world = replica
    world.ok("armed", **LONG)
    marks = [world.home / name for name in ("pausing", "begun")]
    for mark in marks:
        mark.unlink(missing_ok=True)
    wait = "import os, sys, time; open(sys.argv[1], 'w')\nwhile not os.path.exists(sys.argv[2]): time.sleep(0.01)"
    router = {"type": "command", "pause": [[sys.executable, "-c", wait, *map(str, marks)]], "timeout": 20}
    process = world.spawn("new", drain_grace=0.5, router=router, **LONG)
    try:
        wait_until(marks[0].exists, 20, "the hold")
        held = world.legacy.connect(options="", user="hub", password="canary-app-3c2", autocommit=False)
        held.execute("INSERT INTO ledger (key, amount) VALUES ('held', 1)")
        marks[1].touch()
        wait_until(lambda: world.open_sides() == [], 20, "the first window")
        wait_until(lambda: world.open_sides() == ["legacy"], 20, "its end")
        held.commit()
        out, _err = process.communicate(timeout=60)
    finally:
        process.poll() is None and process.kill()
    outcome = json.loads(out)
    assert (outcome["serving"], [step["action"] for step in outcome["plan"]]) == ("new", ["switch", "cleanup"])
    assert world.new.value("SELECT count(*) FROM ledger WHERE key = 'held'") == 1


def test_a_schema_that_changed_behind_the_outline_is_seen_before_the_window_and_made_anew(replica):
    world = replica
    world.ok("armed", **LONG)
    world.legacy.rows("ALTER TABLE balance ADD COLUMN note text")
    failure = failed(world.run("new", **LONG), "schema_drift")
    assert failure["details"]["objects"] == ["column public.balance.note (only on legacy)"]
    assert world.open_sides() == ["legacy"]
    assert world.ok("new", **LONG)["verify"]["equal"] is True
    assert world.new.value("SELECT count(note) FROM balance") == 0


# --- kills ------------------------------------------------------------------------------------------------------------------------

POINTS = ("A1", "A2", "A3", "W0", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "F1", "F2", "F3", "F4")
# A3 leaves F1 out of the way there: nothing was subscribed. On the way back there is nothing to arm, and new does not follow, so no F4.
MATRIX = [(point, "new") for point in POINTS if point != "F1"] + [(point, "legacy") for point in POINTS if point[0] != "A" and point != "F4"]
SAMPLE = [("A2", "new"), ("W1", "new"), ("W5", "new"), ("W6", "legacy"), ("W7", "new"), ("W7", "legacy"), ("F2", "legacy"), ("F4", "new")]


@pytest.mark.parametrize(("point", "to"), MATRIX if os.environ.get("BOWLINE_FAULTS") == "all" else SAMPLE)
def test_killed_after_each_step_a_dump_converges_and_loses_nothing(replica, writers, point, to):
    world = replica
    if to == "legacy":
        world.ok("new", verify="none", **LONG)
    with writers(world) as clients:
        process = world.spawn(to, fault=point, **LONG)
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
        wait_until(lambda: one_open(world), 5, "one open side")
        came_to = to if point in ("W7", "W8") or point[0] == "F" else "new" if to == "legacy" else "legacy"
        assert world.open_sides() == [came_to]
        converges(world, to, clients)
    clients.assert_lossless()


@pytest.mark.parametrize("seconds", [0.05, 0.4, 1.0])
def test_killed_inside_the_copy_it_converges_and_leaves_no_rows_lying_about(replica, writers, seconds):
    world = replica
    world.ok("armed", **LONG)
    with writers(world) as clients:
        process = world.spawn("new", **LONG)
        wait_until(lambda: stage(world) == "copying", 60, "the copy")
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)
        wait_until(lambda: one_open(world), 5, "one open side")
        converges(world, "new", clients)
    clients.assert_lossless()
    assert list(Path(tempfile.gettempdir()).glob(f"bowline-pg-{process.pid}-*")) == []


def one_open(world) -> bool:
    try:
        return len(world.open_sides()) == 1
    except psycopg.OperationalError:
        # The look is a client's session, and the watchdog ends those that began under the fence.
        return False


def stage(world) -> str:
    rows = world.new.rows("SELECT unnest(setconfig) AS entry FROM pg_db_role_setting WHERE setrole = 0", dbname="postgres")
    return next((row["entry"].split("=")[1] for row in rows if row["entry"].startswith("pgcut.stage=")), "")


def converges(world, to, clients):
    acknowledged = len(clients.acknowledged)
    wait_until(lambda: len(clients.acknowledged) > acknowledged, 5, "writes after the kill")
    outcome = world.ok(to, **LONG)
    assert (outcome["serving"], outcome["phase_after"]) == (to, "new" if to == "new" else "prepared")
    assert outcome["verify"] is None or outcome["verify"]["equal"] is True
    assert world.open_sides() == [to]
    again = world.ok(to, **LONG)
    assert (again["changed"], again["plan"]) == (False, [])
    if to == "legacy":
        assert world.new.rows("SELECT 1 FROM pg_replication_slots", dbname="postgres") == []


# --- the restart ------------------------------------------------------------------------------------------------------------------


def controlled(world, **more):
    """Parameters that allow the restart, by pg_ctl."""
    params = world.params("armed")["legacy"]
    there = {"data_directory": str(world.legacy.home / "data"), "server_bindir": str(world.legacy.bin)}
    return {"allow_legacy_restart": True, "legacy": {**params, **there, **more}}


def recorder(world):
    """A router that writes down what it is told."""
    path = world.home / "router.log"
    path.write_text("")
    say = [sys.executable, "-c", "import sys, time; print(time.time(), *sys.argv[2:], file=open(sys.argv[1], 'a'))", str(path)]
    return path, {"type": "command", **{verb: [[*say, verb, "{side}"]] for verb in ("pause", "route", "warmup", "resume")}}


def start_with(cluster, setting):
    """Start it with a setting on its command line, which beats every file."""
    with cluster.log.open("ab") as log:
        argv = [*rig.AS_POSTGRES, cluster.bin / "postgres", "-D", cluster.home / "data", "-c", setting]
        cluster.process = rig.subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", start_new_session=True)
    wait_until(lambda: answers(cluster), 30, "the server")


def answers(cluster) -> bool:
    try:
        return cluster.value("SELECT 1", dbname="postgres") == 1
    except psycopg.OperationalError:
        return False


@pytest.fixture
def restartable(replica):
    """Legacy with wal_level = replica that pg_ctl may restart; what pg_ctl has started is stopped afterwards."""
    world = replica
    yield world
    data = world.legacy.home / "data"
    command = [*rig.AS_POSTGRES, world.legacy.bin / "pg_ctl", "stop", "-D", data, "-m", "fast"]
    rig.subprocess.run(command, check=False, capture_output=True, cwd="/")
    # A server with a logical slot does not start with another wal_level.
    start_with(world.legacy, "wal_level=logical")
    world.reset()
    world.legacy.stop()
    (data / "postgresql.auto.conf").write_text("")
    world.legacy.start()


def test_auto_restarts_legacy_under_the_hold_and_moves_logically(restartable, writers):
    world = restartable
    log, router = recorder(world)
    more = {**controlled(world), "router": router}
    foreseen = world.ok("armed", check_mode=True, **more)
    assert (foreseen["engine"], "restart" in [step["action"] for step in foreseen["plan"]]) == ("logical", True)
    with writers(world) as clients:
        armed = world.ok("armed", on_active="terminate", **more)
        assert armed["plan"] == foreseen["plan"]
        assert (armed["engine"], armed["phase_after"]) == ("logical", "armed") and armed["restart_ms"] > 0
        assert [line.split()[1:] for line in log.read_text().splitlines()] == [
            ["pause", "legacy"], ["route", "legacy"], ["warmup", "legacy"], ["resume", "legacy"]]
        there = world.ok("new", **more)
        assert (there["engine"], there["verify"]["equal"], there["rollback"]["armed"]) == ("logical", True, True)
    clients.assert_lossless()


def test_what_a_restart_is_refused_for(restartable):
    """Before anything was changed: no way to do it, another server named, a setting that only the command line can change."""
    world = restartable
    failure = failed(world.run("armed", engine="logical", allow_legacy_restart=True), "restart_required")
    assert "legacy.data_directory" in failure["remedy"]
    failure = failed(world.run("armed", **controlled(world, data_directory=str(world.new.home / "data"))), "control_failed")
    assert "another cluster" in failure["message"]
    assert world.legacy.value("SHOW wal_level") == "replica"
    assert world.legacy.value("SELECT count(*) FROM pg_file_settings WHERE sourcefile ~ 'auto.conf' AND name = 'wal_level'") == 0
    world.legacy.stop()
    start_with(world.legacy, "wal_level=replica")
    try:
        failure = failed(world.run("armed", engine="logical", **controlled(world)), "restart_required")
        assert "command: postgres -c wal_level=logical" in failure["remedy"]
        failed(world.run("armed", **controlled(world)), "no_engine")
        # The remedies: the command, and the directory of the server that is meant.
        world.legacy.stop()
        start_with(world.legacy, "wal_level=logical")
        assert world.ok("armed", check_mode=True, engine="logical")["engine"] == "logical"
    finally:
        world.legacy.stop()
        world.legacy.start()
    assert world.ok("armed", check_mode=True, engine="logical", **controlled(world))["engine"] == "logical"


def test_a_transaction_that_does_not_end_stops_the_restart_and_releases_the_clients(restartable):
    world = restartable
    log, router = recorder(world)
    with world.legacy.connect(options="", user="hub", password="canary-app-3c2", autocommit=False, application_name="slow job") as held:
        held.execute("INSERT INTO ledger (key, amount) VALUES ('held', 1)")
        failure = failed(world.run("armed", router=router, drain_grace=0.5, **controlled(world)), "active_transactions")
        assert "slow job" in failure["message"]
        assert log.read_text().split()[-2:] == ["resume", "legacy"]
        assert world.legacy.value("SELECT count(*) FROM pg_file_settings WHERE sourcefile ~ 'auto.conf' AND name = 'wal_level'") == 0
        held.commit()
    assert world.ok("armed", router=router, **controlled(world))["phase_after"] == "armed"
    assert world.legacy.value("SELECT count(*) FROM ledger WHERE key = 'held'") == 1


@pytest.mark.parametrize("moment", ["held", "stopping", "stopped"])
def test_killed_inside_the_restart_legacy_comes_back_and_the_clients_are_released(restartable, writers, moment):
    """A command of the module outlives it (``timeout`` leads a group of its own), so a stop may come when nobody waits for it any more."""
    world = restartable
    log, router = recorder(world)
    slow = world.home / "slow-control"
    slow.mkdir(exist_ok=True)
    mark = world.home / f"mark-{moment}"
    mark.unlink(missing_ok=True)
    reached = {"held": ":", "stopping": f"touch {mark}; sleep 1; exec {world.legacy.bin}/pg_ctl \"$@\"",
               "stopped": f"{world.legacy.bin}/pg_ctl \"$@\"; touch {mark}; sleep 30"}[moment]
    for name in ("pg_ctl", "pg_controldata"):
        here = f"case \"$1\" in stop) if mkdir {mark}.once 2>/dev/null; then {reached}; fi;; esac\n" if name == "pg_ctl" else ""
        (slow / name).write_text(f"#!/bin/sh\n{here}exec {world.legacy.bin}/{name} \"$@\"\n")
        (slow / name).chmod(0o755)
    world.home.chmod(0o777)
    if moment == "held":
        router["pause"].append([sys.executable, "-c", f"import time; open({str(mark)!r}, 'w'); time.sleep(30)"])
    with writers(world) as clients:
        process = world.spawn("armed", router=router, **controlled(world, server_bindir=str(slow)))
        wait_until(mark.exists, 90, "the moment")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)
        wait_until(lambda: log.read_text().split()[-2:] == ["resume", "legacy"], 20, "the clients to be released")
        acknowledged = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) > acknowledged, 10, "writes on legacy")
        router["pause"] = router["pause"][:1]
        outcome = world.ok("armed", router=router, **controlled(world, server_bindir=str(slow)))
        assert (outcome["engine"], outcome["phase_after"]) == ("logical", "armed")
        assert world.ok("armed", router=router, **controlled(world))["changed"] is False
    clients.assert_lossless()


@pytest.mark.parametrize("before", ["", "replica"])
def test_a_move_that_is_given_up_takes_the_setting_of_its_restart_back(restartable, before):
    """The file is as before, byte by byte; the server has the setting until its next start, which is its operator's."""
    world = restartable
    auto = world.legacy.home / "data" / "postgresql.auto.conf"
    for text in ("work_mem = '5MB'", *([f"wal_level = '{before}'"] if before else ())):
        world.legacy.rows(f"ALTER SYSTEM SET {text}", dbname="postgres")
    kept = auto.read_bytes()
    world.ok("armed", **controlled(world))
    assert world.legacy.value("SHOW wal_level") == "logical" and auto.read_bytes() != kept
    # A server does not start without the log that a logical slot of somebody else needs.
    world.legacy.rows("SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')")
    foreseen = world.ok("absent", check_mode=True, **controlled(world))
    assert auto.read_bytes() != kept
    if not before:
        told = world.ok("absent", **controlled(world))
        assert any("stays logical" in warning and "theirs" in warning for warning in told["warnings"]), told["warnings"]
        world.legacy.rows("SELECT pg_drop_replication_slot('theirs')")
        world.legacy.rows("ALTER SYSTEM RESET wal_level", dbname="postgres")
    else:
        world.legacy.rows("SELECT pg_drop_replication_slot('theirs')")
        told = world.ok("absent", **controlled(world))
        assert told["plan"] == foreseen["plan"]
        assert any("wal_level is logical until its next restart" in warning for warning in told["warnings"]), told["warnings"]
    assert auto.read_bytes() == kept
    command = [*rig.AS_POSTGRES, world.legacy.bin / "pg_ctl", "stop", "-D", world.legacy.home / "data", "-m", "fast", "-w", "-s"]
    rig.subprocess.run(command, check=True, cwd="/")
    world.legacy.start()
    assert world.legacy.value("SHOW wal_level") == "replica"
    # And it can be begun anew.
    assert world.ok("seeded", check_mode=True, **controlled(world))["engine"] == "logical"
