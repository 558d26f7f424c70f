# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remedies of the engine physical, followed on one pair: what fails is planted on real servers, its text is done, and the move goes on."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import bowline_pg_managed as managed
import bowline_pg_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.wait import Deadline
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.physical import facts, seed, settle, window
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.physical.run import PhysicalRun
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.routers.clients import clients
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.process import Control
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import restart
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.watchdog import Watchdog

sys.path.insert(0, str(Path(__file__).parent))
from drive import runner  # noqa: E402

until, failed = rig.until, rig.failed
# Others: `make faults`.
long = pytest.mark.skipif(os.environ.get("BOWLINE_FAULTS") != "all", reason="make faults runs it")


@pytest.fixture(scope="module")
def pair():
    """One pair for all of them; what follows one another is in the order of this file."""
    made = managed.World()
    try:
        made.start()
        yield made
    finally:
        made.stop()
        rig.subprocess.run(["umount", "--lazy", str(made.new.data)], check=False, capture_output=True)
        shutil.rmtree(made.home, ignore_errors=True)


@pytest.fixture
def armed(pair):
    """Legacy serves, new follows."""
    pair.ok("legacy")
    pair.ok("armed")
    return pair


@pytest.fixture
def sites(pair):
    made = facts.sites(parse(pair.params("armed")), runner, "test")
    yield made
    made.close()


def refused(work, code: str, *words: str) -> FleetError:
    """The failure, whose remedy has all ``words``."""
    with pytest.raises(FleetError) as found:
        work()
    assert found.value.code == code and all(word in found.value.remedy for word in words), (found.value.code, found.value.message, found.value.remedy)
    return found.value


# --- the copy -------------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(path: Path, megabytes: int):
    path.mkdir(exist_ok=True)
    rig.subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        rig.subprocess.run(["umount", "--lazy", str(path)], check=True)


@long
def test_a_directory_that_cannot_be_replaced_is_looked_at(pair):
    """What stands where the copy goes to is the mount point of somebody."""
    with mounted(pair.new.data / "pgcut.seed", 1):
        failure = failed(pair.run("seeded"), "seed_error", "Look at the directory", "take away what stands in the way")
        assert "pgcut.seed" in failure["message"] and pair.new.value("SELECT 1", dbname="postgres")
    shutil.rmtree(pair.new.data / "pgcut.seed")
    assert pair.ok("seeded", check_mode=True)["plan"]


@long
def test_a_copy_that_has_no_room_is_given_room(pair):
    """Enough for what the preflight asks, 1.2 times the databases, and not for the log beside them."""
    cluster = pair.new
    cluster.stop()
    aside = cluster.home / "aside"
    cluster.data.rename(aside)
    cluster.data.mkdir()
    rig.subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m,mode=700", "tmpfs", str(cluster.data)], check=True)
    rig.subprocess.run(["cp", "-a", f"{aside}/.", str(cluster.data)], check=True)
    shutil.chown(cluster.data, "postgres", "postgres")
    shutil.rmtree(aside)
    cluster.start()
    needed = int(pair.legacy.value("SELECT (sum(pg_database_size(oid)) * 1.2)::bigint FROM pg_database", dbname="postgres"))
    filler = cluster.data / "pgcut.filler"
    filler.write_bytes(bytes(rig.shutil.disk_usage(cluster.data).free - needed - 1_000_000))
    failure = failed(pair.run("seeded"), "seed_error", "Check the room on new")
    assert "No space left" in failure["message"] and cluster.value("SELECT 1", dbname="postgres")
    filler.unlink()
    assert pair.ok("seeded")["phase_after"] == "seeded"


# --- servers that stand still ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked_up(path: Path):
    """A folder above a data directory that only root may enter."""
    owner = path.stat()
    os.chown(path, 0, 0)
    path.chmod(0o700)
    try:
        yield
    finally:
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(owner.st_mode & 0o7777)


def test_a_directory_that_cannot_be_entered_is_opened_again(armed, sites):
    armed.new.stop()
    try:
        with locked_up(armed.new.home):
            refused(lambda: facts.observe(sites), "control_failed", "Check new.data_directory, the rights on the folders above it")
            refused(lambda: seed.has_signal(sites.new), "control_failed", "Check that new.data_directory is there, and the rights on the folders above it")
        assert facts.observe(sites).new.role == "standby" and seed.has_signal(sites.new)
    finally:
        armed.new.start()


def test_a_directory_that_cannot_be_written_is_opened_again(armed, sites):
    armed.new.stop()
    try:
        (armed.new.data / "standby.signal").unlink()
        armed.new.data.chmod(0o500)
        refused(lambda: seed.stopped_in_recovery(sites.new), "control_failed", "Check the room and the rights there (new.data_directory)")
        armed.new.data.chmod(0o700)
        assert seed.stopped_in_recovery(sites.new) and seed.has_signal(sites.new)
    finally:
        armed.new.data.chmod(0o700)
        armed.new.start()


@long
def test_a_standby_that_ends_is_started_when_its_log_was_read(armed, sites):
    armed.new.stop()
    auto = armed.new.data / "postgresql.auto.conf"
    kept, size = auto.read_bytes(), armed.new.log.stat().st_size
    auto.write_bytes(kept + b"max_connections = 50\n")
    assert armed.new.ctl("start", "--wait") != 0
    failure = refused(lambda: seed.wait_following(sites.new, sites.legacy, 20), "apply_error", "Look at its log", "remove the reason, start it, and run again")
    assert "ended while it was to follow" in failure.message and b"max_connections" in armed.new.log.read_bytes()[size:]
    auto.write_bytes(kept)
    armed.new.start()
    seed.wait_following(sites.new, sites.legacy, 20)
    assert armed.ok("armed")["changed"] is False


def test_a_standby_that_turns_out_to_serve_is_left_to_the_facts(armed, sites):
    """What a run knew before another one went back."""
    refused(lambda: seed.wait_following(sites.legacy, sites.new, 5), "inconsistent", "Run again; the facts decide")
    assert armed.ok("armed")["changed"] is False


def make_anew(follower, source) -> None:
    """Word by word what `seed.anew` says."""
    follower.stop()
    home, data = follower.home, follower.data
    aside = home / "conf"
    rig.subprocess.run([*rig.AS_POSTGRES, "sh", "-euc", f"mkdir {aside}; cp -p {data}/*.conf {aside}/; rm -rf {data}/* "], check=True, cwd="/")
    # A value of postgresql.auto.conf has its quotes twice.
    wanted = re.findall(r"(?m)^primary_conninfo = '(.*)'$", (aside / "postgresql.auto.conf").read_text())[-1].replace("''", "'")
    argv = [*rig.AS_POSTGRES, follower.bin / "pg_basebackup", f"--pgdata={data}", f"--dbname={wanted}", "--checkpoint=fast"]
    rig.subprocess.run(argv, check=True, cwd="/", capture_output=True)
    rig.subprocess.run([*rig.AS_POSTGRES, "sh", "-euc", f"cp -p {aside}/*.conf {data}/; touch {data}/standby.signal; rm -r {aside}"], check=True, cwd="/")


@long
def test_a_standby_whose_log_is_gone_is_made_anew(armed):
    armed.new.stop()
    armed.legacy.rows("SELECT pg_drop_replication_slot('pgcut_fwd')", dbname="postgres")
    for number in range(4):
        armed.legacy.rows(f"INSERT INTO ledger (key, amount) VALUES ('gone {number}', 1)")
        armed.legacy.rows("SELECT pg_switch_wal()", dbname="postgres")
        armed.legacy.rows("CHECKPOINT", dbname="postgres")
    armed.new.start()
    failure = failed(armed.run("armed", wait_timeout=3), "apply_error", "Look at the log of new", "make the standby anew")
    assert str(armed.new.data) in failure["remedy"] and "has already been removed" in armed.new.log.read_text()
    make_anew(armed.new, armed.legacy)
    assert armed.ok("armed")["phase_after"] == "armed"


def pause(cluster) -> None:
    cluster.rows("SELECT pg_wal_replay_pause()", dbname="postgres")


def resume(cluster, remedy: str) -> None:
    """What the remedy says of it."""
    statement = re.search(r"on (new|legacy): (SELECT [^;]*);", remedy)
    assert statement[1] == cluster.name
    cluster.rows(statement[2], dbname="postgres")


def test_a_standby_that_is_late_is_waited_for_again(armed, sites, monkeypatch):
    pause(armed.new)
    armed.legacy.rows("INSERT INTO ledger (key, amount) VALUES ('late', 1)")
    level = armed.legacy.value("SELECT pg_current_wal_flush_lsn()::text")
    failure = refused(lambda: seed.wait_replayed(sites.new, level, 0.2), "apply_lagging", "Then run again when the source writes less")
    resume(armed.new, failure.remedy)
    assert seed.wait_replayed(sites.new, level, 20) < 20
    options = parse(armed.params("new"))
    with monkeypatch.context() as patched:
        # The limit, which no machine keeps.
        patched.setattr(window, "_PING_LIMIT", -1.0)
        refused(lambda: window.ready(sites.direction("new"), options), "apply_lagging", "Then run again when the source writes less")
    window.ready(sites.direction("new"), options)


def cut(cluster) -> list[str]:
    """A command that ends the streaming of a standby."""
    wait = "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_wal_receiver) LOOP PERFORM pg_sleep(0.02); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$"
    statements = ("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()", wait)
    reach = [f"--host={cluster.host}", f"--port={cluster.port}", "--username=postgres", "--dbname=postgres", "--no-psqlrc"]
    return ["env", f"PGPASSWORD={rig.SUPER}", str(cluster.bin / "psql"), *reach, *(f"--command={text}" for text in statements)]


def test_a_standby_that_does_not_stream_is_armed_again(armed, sites):
    rig.subprocess.run(cut(armed.new), check=True, capture_output=True)
    refused(lambda: window.ready(sites.direction("new"), parse(armed.params("new"))), "apply_lagging", "Run state: armed")
    assert armed.ok("armed")["phase_after"] == "armed"
    window.ready(sites.direction("new"), parse(armed.params("new")))


# --- the window -----------------------------------------------------------------------------------------------------------------------


def stopped_at(process) -> None:
    until(lambda: _state(process.pid) in "TZ", 60, "the module to stop at its point")
    assert _state(process.pid) == "T", process.communicate()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def interrupted(world, to: str, point: str) -> None:
    """A window that nobody ends: module and watchdog are gone at the same moment."""
    process = world.spawn(to, fault=f"{point}:stop", window_attempts=1)
    stopped_at(process)
    for pid in (*rig.children(process.pid), process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=30)


def outcome_of(process) -> dict:
    out, err = process.communicate(timeout=90)
    assert out.strip(), err[-3000:]
    return rig.json.loads(out)


@long
def test_a_standby_that_stops_streaming_under_the_hold_costs_one_run(armed):
    router = {"type": "command", "pause": [cut(armed.new)], "timeout": 20}
    failure = failed(armed.run("new", router=router, window_attempts=1), "window_aborted", "Run again.")
    assert "does not stream any more" in failure["message"] and armed.open_sides() == ["legacy"]
    assert armed.ok("new")["serving"] == "new"


@long
def test_a_source_that_crashes_in_its_shutdown_costs_one_run(armed):
    process = armed.spawn("new", fault="W2:stop", window_attempts=1)
    stopped_at(process)
    armed.legacy.kill()
    os.kill(process.pid, signal.SIGCONT)
    failure = failed(outcome_of(process), "window_aborted", "Look at its log, raise max_window, run again.")
    assert "not shut down cleanly" in failure["message"]
    until(lambda: armed.open_sides() == ["legacy"], 40, "the writes to be back")
    assert armed.ok("new")["serving"] == "new"


@long
def test_a_target_that_somebody_promotes_is_made_anew(armed):
    process = armed.spawn("new", fault="W4:stop", window_attempts=1)
    stopped_at(process)
    armed.new.rows("SELECT pg_promote()", dbname="postgres")
    os.kill(process.pid, signal.SIGCONT)
    failure = failed(outcome_of(process), "window_aborted", "Find who promoted it", "make the standby anew")
    assert "no standby of this cluster any more" in failure["message"] and armed.open_sides() == ["legacy"]
    make_anew(armed.new, armed.legacy)
    assert armed.ok("new")["serving"] == "new"


@long
def test_a_target_that_does_not_replay_gives_the_writes_back(armed, sites):
    """Its replay is paused. No watchdog takes part, which would be late at the same moment."""
    options = parse(armed.params("new", max_window=5, drain_grace=1))
    reading, writing = os.pipe()
    pause(armed.new)
    tried = window.PhysicalWindow(sites.direction("new"), options, clients(options, runner), Watchdog(0, writing), print)
    failure = refused(tried.run, "window_aborted", "Then run again; the writes are back.")
    assert "the shutdown checkpoint is at" in failure.message and armed.open_sides() == ["legacy"]
    sites.close()
    for end in (reading, writing):
        os.close(end)
    resume(armed.new, failure.remedy)
    assert armed.ok("new")["serving"] == "new"


@long
def test_an_epoch_that_another_run_has_ended_costs_one_run(armed, sites):
    process = armed.spawn("new", fault="W6:stop", window_attempts=1)
    stopped_at(process)
    armed.legacy.start()
    epoch = settle.epoch_of(sites.legacy.server)
    assert epoch.endswith(":open") and settle.turn(sites.legacy.server, epoch.replace(":open", ":abort"), False, epoch)
    until(lambda: settle.epoch_of(sites.new.server).endswith(":abort"), 20, "new to follow")
    sites.close()
    os.kill(process.pid, signal.SIGCONT)
    failure = failed(outcome_of(process), "window_aborted", "Run again.")
    assert "is not the one on" in failure["message"] and armed.open_sides() == ["legacy"]
    assert armed.ok("new")["serving"] == "new"


class Supervised(Control):
    """Whoever starts this server starts another one first."""

    other = None

    def start(self, timeout: float = 60) -> None:
        self.other.start()
        super().start(timeout)


@long
def test_a_window_that_nobody_ends_is_settled_when_its_servers_can_be_reached(armed, sites):
    """One window, and what stands in the way of its end, one after the other: no standby, a host that is away, a supervisor."""
    interrupted(armed, "new", "W5")
    options = parse(armed.params("new"))
    refused(lambda: seed.start_standby(sites.legacy), "inconsistent", "Run again; the facts decide")
    gate = armed.home / "gate"
    gate.write_text(f"#!/bin/sh\nif [ -e {gate}.down ]; then echo 'no route to host' >&2; exit 255; fi\nexec \"$@\"\n")
    gate.chmod(0o755)
    Path(f"{gate}.down").touch()
    end = replace(sites.new.server.endpoint, command_prefix=(str(gate),))
    far = facts.PhysicalDirection(sites.legacy, facts.Site(sites.new.server, Control(end, runner)))
    router = clients(options, runner)
    failure = refused(lambda: settle.settle(far, router, Deadline(1), sent=True), "outcome_unknown", "and its host reachable and run again")
    assert str(armed.new.port) in failure.remedy and armed.open_sides() == []
    Path(f"{gate}.down").unlink()
    far.target.control.running()
    there = Supervised(sites.legacy.control.endpoint, runner)
    there.other = armed.new
    watched = facts.PhysicalDirection(facts.Site(sites.legacy.server, there), sites.new)
    refused(lambda: settle.settle(watched, router, Deadline(30), sent=True), "locked", "Wait for that run, or run again.")
    sites.close()
    assert armed.open_sides() == [] and armed.ok("new")["serving"] == "new"


@long
def test_a_promotion_that_hangs_is_finished_by_the_next_run(armed, sites):
    interrupted(armed, "new", "W5")
    options = parse(armed.params("new"))
    pid = armed.new.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'", dbname="postgres")
    os.kill(pid, signal.SIGSTOP)
    try:
        armed.new.rows("SELECT pg_promote(false)", dbname="postgres")
        failure = refused(lambda: settle.open_target(sites.direction("new"), clients(options, runner), Deadline(1)), "outcome_unknown", "Look at its log")
        assert "run again; the other side stays closed" in failure.remedy and armed.open_sides() == []
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not armed.new.in_recovery(), 30, "the promotion")
    # A run that took the window for one of legacy's, and finds that new was promoted.
    late = PhysicalRun(options, runner, None, False)
    try:
        refused(lambda: late._settle("legacy"), "window_aborted", "Run again; the next run finishes the switch or goes back.")
    finally:
        late.close()
    sites.close()
    assert armed.ok("new")["phase_after"] == "new_armed"


@long
def test_an_old_side_that_cannot_be_rewound_is_made_anew(armed):
    """It came back by itself after the switch, and has neither hints nor checksums."""
    old = armed.legacy
    old.rows("ALTER SYSTEM SET wal_log_hints = off", dbname="postgres")
    old.stop()
    old.start()
    armed.ok("armed")
    process = armed.spawn("new", fault="W8")
    process.communicate(timeout=60)
    old.start()
    until(lambda: armed.open_sides() == ["new"], 20, "the watchdog to bring it to its end")
    old.rows("CHECKPOINT", dbname="postgres")
    failure = failed(armed.run("new"), "apply_error", "If pg_rewind lacks wal_log_hints and data checksums", "make the standby anew")
    assert "new serves; nothing is lost" in failure["message"] and armed.open_sides() == ["new"]
    make_anew(old, armed.new)
    assert armed.ok("new")["phase_after"] == "new_armed"
    assert armed.ok("legacy")["serving"] == "legacy"


# --- the restart that makes a server publish: this one is managed, too --------------------------------------------------------------------


@pytest.fixture
def restarted(armed, sites):
    """Legacy is restarted as a run would; nobody listens to what its watchdog is told."""
    reading, writing = os.pipe()
    options = parse(armed.params("armed", engine="logical"))
    legacy = sites.legacy
    yield lambda: restart.restart(legacy.server, options, clients(options, runner), legacy.control, Watchdog(0, writing))
    sites.close()
    for end in (reading, writing):
        os.close(end)
    armed.legacy.stop()
    armed.legacy.start()
    armed.legacy.rows("ALTER SYSTEM RESET wal_level", dbname="postgres")
    armed.legacy.stop()
    armed.legacy.start()


@long
def test_a_server_that_answers_nobody_after_its_restart_is_let_answer(armed, restarted, monkeypatch):
    hba = armed.legacy.data / "pg_hba.conf"
    kept = hba.read_text()
    # Read at the start only.
    hba.write_text(f"host all postgres all reject\n{kept}")
    with monkeypatch.context() as patched:
        patched.setattr(restart, "_START", 8.0)
        try:
            refused(restarted, "control_failed", "Look at the server's log, remove the reason, start it if it does not run, and run again.")
            assert "pg_hba.conf rejects" in (armed.legacy.data / "pgcut-start.log").read_text()
        finally:
            hba.write_text(kept)
            assert armed.legacy.ctl("reload") == 0
    assert restarted() > 0 and armed.legacy.value("SHOW wal_level") == "logical"


@long
def test_a_word_on_the_command_line_is_taken_away(armed, sites, restarted):
    armed.legacy.stop()
    assert armed.legacy.ctl("start", "--wait", "--options=-c wal_level=replica") == 0
    failure = refused(restarted, "restart_required", "Correct what sets it past postgresql.auto.conf")
    statement = failure.remedy.partition("this names it: ")[2]
    assert armed.legacy.rows(statement)[0]["source"] == "command line"
    sites.close()
    armed.legacy.stop()
    armed.legacy.start()
    assert restarted() > 0 and armed.legacy.value("SHOW wal_level") == "logical"
