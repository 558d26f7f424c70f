# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remedies of single parts, followed on real servers: what a session, a program, a follower or a folder refuses, and what ends it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import bowline_pg_rig as rig
import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.follow import Follower
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint, SnapshotSpec
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import pair, sync
from ansible_collections.bowline.fleet.plugins.module_utils._pg.run import run
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import account_sync, database, fence, relations
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.programs import programs
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot.dump import Maker
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot.files import Folder
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot.run import run as run_snapshot
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import loss, switch
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.watchdog import own_lock

sys.path.insert(0, str(Path(__file__).parent))
from drive import runner  # noqa: E402


@pytest.fixture(scope="module")
def base(clusters):
    clusters.reset()
    return clusters


@contextlib.contextmanager
def server(cluster, side: str = "legacy", dbname: str = "hub", passfile: str = "", **more):
    made = Server(Endpoint(side, cluster.host, cluster.port, dbname, password=rig.SUPER, sslmode="disable", **more), "test")
    try:
        yield made
    finally:
        made.close()


def refused(work, *words: str) -> FleetError:
    """The failure, whose remedy has all ``words``."""
    with pytest.raises(FleetError) as found:
        work()
    assert all(word in found.value.remedy for word in words), found.value.remedy
    return found.value


# --- statements ---------------------------------------------------------------------------------------------------------------------


def test_who_holds_a_lock_is_found_and_ended(base):
    holder = base.legacy.connect(application_name="holder")
    with contextlib.closing(holder), server(base.legacy) as legacy:
        holder.execute("BEGIN; LOCK TABLE balance")
        text = "SET lock_timeout = '100ms'; LOCK TABLE public.balance; SET lock_timeout = 0"
        assert refused(lambda: legacy.db.run(text), "pg_blocking_pids", "pg_stat_activity").details["sqlstate"] == "55P03"
        base.legacy.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'", dbname="postgres")
        rig.until(lambda: base.legacy.rows("SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'holder'")[0]["n"] == 0, 10, "its end")
        legacy.db.run(text)


def test_what_is_still_used_is_let_go(base):
    base.legacy.rows("CREATE DATABASE used", dbname="postgres")
    with base.legacy.connect("used") as user, server(base.legacy) as legacy:
        assert refused(lambda: legacy.admin.run("DROP DATABASE used"), "End what still uses it").details["sqlstate"] == "55006"
        user.close()
        rig.until(lambda: base.legacy.value("SELECT count(*) FROM pg_stat_activity WHERE datname = 'used'", dbname="postgres") == 0, 10, "its end")
        legacy.admin.run("DROP DATABASE used")


def test_slots_that_nobody_needs_are_given_back(base):
    with server(base.legacy) as legacy:
        free = int(legacy.admin.value("SELECT current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots)"))
        try:
            for number in range(free):
                legacy.admin.run("SELECT pg_create_physical_replication_slot(%s)", f"filler_{number}")
            one_more = "SELECT pg_create_physical_replication_slot('one_more')"
            assert refused(lambda: legacy.admin.run(one_more), "max_replication_slots", "give back").details["sqlstate"] == "53400"
            legacy.admin.run("SELECT pg_drop_replication_slot('filler_0')")
            legacy.admin.run(one_more)
        finally:
            legacy.admin.run("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^(filler_|one_more)'")


def test_locks_that_do_not_fit_are_made_room_for(base):
    """max_locks_per_transaction, by which the table of locks is made at the start."""
    text = "SELECT count(pg_advisory_xact_lock(n)) FROM generate_series(1, 60000) n"
    with server(base.legacy) as legacy:
        assert refused(lambda: legacy.db.run(text), "Raise max_locks_per_transaction").details["sqlstate"] == "53200"
    auto = base.legacy.home / "data" / "postgresql.auto.conf"
    kept = auto.read_bytes()
    base.legacy.rows("ALTER SYSTEM SET max_locks_per_transaction = 1024", dbname="postgres")
    try:
        base.legacy.stop()
        base.legacy.start()
        with server(base.legacy) as legacy:
            legacy.db.run(text)
    finally:
        base.legacy.stop()
        auto.write_bytes(kept)
        base.legacy.start()


def test_a_full_disk_is_given_room(base):
    small = base.legacy.home / "small"
    small.mkdir()
    rig.subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], check=True)
    try:
        shutil.chown(small, "postgres", "postgres")
        small.chmod(0o700)
        base.legacy.rows(f"CREATE TABLESPACE small LOCATION '{small}'", dbname="postgres")
        text = "CREATE TABLE public.large TABLESPACE small AS SELECT repeat('x', 1000) FROM generate_series(1, 8000)"
        with server(base.legacy) as legacy:
            assert refused(lambda: legacy.db.run(text), "Make room on the file system of the legacy server").details["sqlstate"] == "53100"
            rig.subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
            legacy.db.run(text)
            legacy.db.run("DROP TABLE public.large")
        base.legacy.rows("DROP TABLESPACE small", dbname="postgres")
    finally:
        rig.subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_a_library_that_is_missing_is_brought(base):
    path = base.legacy.home / "brought.so"
    with server(base.legacy) as legacy:
        assert refused(lambda: legacy.db.run(f"LOAD '{path}'"), "library failed").details["sqlstate"] == "58P01"
        shutil.copy(Path(legacy.db.value("SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'")) / "auto_explain.so", path)
        path.chmod(0o755)
        legacy.db.run(f"LOAD '{path}'")


def test_any_other_reason_is_removed(base):
    with server(base.legacy) as legacy:
        assert refused(lambda: legacy.db.run("SELECT * FROM public.missing"), "Read the log", "remove the reason").details["sqlstate"] == "42P01"
        base.legacy.rows("CREATE TABLE missing ()")
        legacy.db.run("SELECT * FROM public.missing")
        base.legacy.rows("DROP TABLE missing")


def test_sessions_that_take_every_place_are_ended(base):
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(base.legacy.connect("postgres"))

        def look() -> None:
            with server(base.legacy) as legacy:
                legacy.admin.value("SELECT 1")

        assert refused(look, "Raise max_connections", "end sessions").code == "unreachable"
    rig.until(lambda: _answers(look), 10, "room")


def _answers(look) -> bool:
    try:
        look()
        return True
    except FleetError:
        return False


def test_a_name_that_became_something_else_is_put_right(base):
    base.legacy.rows("CREATE VIEW turned AS SELECT 1 AS a")
    with server(base.legacy) as legacy:

        def write() -> None:
            with legacy.db.block():
                relations.write(legacy.db, [("public", "turned")])

        with contextlib.suppress(FleetError):
            write()
        base.legacy.rows("DROP VIEW turned; CREATE TABLE turned (a int); CREATE RULE r AS ON DELETE TO turned DO ALSO SELECT 1;"
                         " ALTER TABLE turned ENABLE ALWAYS RULE r")
        assert refused(write, "Find who changed them").code == "object_changed"
        base.legacy.rows("DROP RULE r ON turned")
        write()
    base.legacy.rows("DROP TABLE turned")


def test_standbys_that_the_command_line_names_are_taken_from_it(base):
    def found() -> list:
        told = run(base.params("preflight", guarantee="sync"), runner, False)["findings"]
        return [finding for finding in told if finding["object"] == "new.synchronous_standby_names"]

    base.new.stop()
    with base.new.log.open("ab") as log:
        argv = [*rig.AS_POSTGRES, base.new.bin / "postgres", "-D", base.new.home / "data", "-c", "synchronous_standby_names="]
        base.new.process = rig.subprocess.Popen(argv, stdout=log, stderr=log, cwd="/", start_new_session=True)
    rig.until(lambda: _up(base.new), 30, "the server")
    assert "command line" in found()[0]["message"] and "Remove it there" in found()[0]["remedy"]
    base.new.stop()
    base.new.start()
    assert found() == []


def _up(cluster) -> bool:
    try:
        return cluster.value("SELECT 1", dbname="postgres") == 1
    except psycopg.OperationalError:
        return False


# --- programs, descriptions, folders --------------------------------------------------------------------------------------------------


def test_a_program_that_is_none_and_an_archive_that_is_none_are_exchanged(base, tmp_path):
    for name in ("pg_dump", "pg_restore"):
        (tmp_path / name).write_text("#!/bin/sh\necho nothing of use\n")
        (tmp_path / name).chmod(0o755)
    with programs(runner, str(tmp_path)) as wrong, programs(runner, str(base.new.bin)) as right:
        refused(lambda: wrong.version("pg_dump"), "bindir", "postgresql-client")
        assert right.version("pg_dump")[0] == base.new.major
        archive = tmp_path / "archive"
        archive.write_bytes(b"PGDMP damaged")
        refused(lambda: right.listing(archive), "take another one")
        refused(lambda: right.text(archive, ["1; 1 1 TABLE public x hub"]), "take another one")
        done = right.run("pg_dump", Endpoint("legacy", base.legacy.host, base.legacy.port, "hub", password=rig.SUPER, sslmode="disable"),
                         ["--dbname=hub", "--format=custom", "--schema-only", f"--file={archive}"])
        assert done.rc == 0 and right.listing(archive) and right.text(archive, right.listing(archive)[:1])


def test_a_database_is_described_when_its_name_is_right_and_a_description_is_taken_anew(base):
    with server(base.legacy) as legacy:
        refused(lambda: database.describe(legacy.admin, "huh"), "legacy.dbname")
        described = database.describe(legacy.admin, "hub")
        refused(lambda: database.create_text("copy", {**described, "provider": "icu; DROP"}, 150000), "new snapshot")
        assert database.create_text("copy", database.describe(legacy.admin, "hub"), 150000)


def test_a_folder_that_is_written_to_is_waited_for(tmp_path):
    folder = Folder(str(tmp_path / "kept"))
    with folder.locked():
        refused(lambda: folder.locked(0.1).__enter__(), "Wait for it")
    with folder.locked(0.1):
        pass


def test_a_folder_that_cannot_be_written_any_more_is_made_writable(base, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    rig.subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=700", "tmpfs", str(kept)], check=True)
    try:
        with server(base.legacy, bindir=str(base.new.bin)) as legacy:
            maker = Maker(legacy, SnapshotSpec(str(kept), "hub-1"), runner)
            maker.judge()
            rig.subprocess.run(["mount", "-o", "remount,ro", str(kept)], check=True)
            assert "Read-only" in refused(maker.make, "Remove the reason and run again.").message
            rig.subprocess.run(["mount", "-o", "remount,rw", str(kept)], check=True)
            assert maker.make().file("dump").exists()
    finally:
        rig.subprocess.run(["umount", "--lazy", str(kept)], check=True)


def snapshot(state: str, folder, **more) -> dict:
    known = {"state": state, "directory": str(folder), "subject": "hub-1", "kind": "before", "compress": "auto", "max_age": 86400,
             "retention": 30 * 86400, "elsewhere": [], "fenced": True}
    return run_snapshot({**known, **more}, runner, False)


def snapshot_server(world, cluster) -> dict:
    return {"host": cluster.host, "port": cluster.port, "dbname": "hub", "passfile": str(world.passfile), "sslmode": "disable",
            "bindir": str(world.new.bin)}


# --- the link and its follower --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def armed(base):
    base.reset()
    base.ok("armed")
    return base


@pytest.fixture
def direction(armed):
    with server(armed.legacy) as legacy, server(armed.new, "new") as new:
        yield pair.direction(legacy, new, "new")


def test_a_follower_that_waits_is_let_go_on(armed, direction, monkeypatch):
    with armed.new.connect(application_name="bowline holder") as holder:
        holder.execute("BEGIN; LOCK TABLE pgcut.marker IN SHARE MODE")
        refused(lambda: pair.ping(direction, "1-a:ping", 0.5), "Let the follower catch up")
        holder.execute("ROLLBACK")
    assert pair.ping(direction, "1-b:ping", 20) > 0
    # The limit of a ping, which no machine keeps.
    with monkeypatch.context() as patched:
        patched.setattr(switch, "_PING_LIMIT", -1.0)
        refused(lambda: switch.in_step(None, direction), "Run again when the source writes less")
    switch.in_step(None, direction)


def test_a_sender_that_hangs_is_ended_by_hand(armed, direction):
    """A walsender that is stopped answers no signal but one."""
    armed.legacy.rows("SELECT pg_create_logical_replication_slot('pgcut_left', 'pgoutput')")
    words = ["--slot=pgcut_left", "--start", "--file=-", "--option=proto_version=1", "--option=publication_names=pgcut_fwd", "--dbname=hub"]
    reach = [f"--host={armed.legacy.host}", f"--port={armed.legacy.port}", "--username=postgres"]
    process = rig.subprocess.Popen([armed.legacy.bin / "pg_recvlogical", *reach, *words], env={**os.environ, "PGPASSFILE": str(armed.passfile)},
                                   stdout=rig.subprocess.DEVNULL, stderr=rig.subprocess.DEVNULL)
    try:
        pid = rig.until(lambda: armed.legacy.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'pgcut_left'"), 20, "the sender")
        os.kill(pid, signal.SIGSTOP)
        refused(lambda: pair.drop_slot(direction.source, "pgcut_left"), "End that process")
        os.kill(pid, signal.SIGCONT)
        rig.until(lambda: not Path(f"/proc/{pid}").exists(), 20, "its end")
        pair.drop_slot(direction.source, "pgcut_left")
    finally:
        process.kill()
        process.wait(10)


def test_a_module_whose_watchdog_died_opens_no_window_and_the_next_one_does(armed):
    process = armed.spawn("new", fault="W0:stop", window_attempts=1, verify="none")
    rig.until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1].startswith("T"), 30, "the point")
    for pid in rig.children(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    failure = rig.json.loads(out)["failure"]
    assert failure["code"] == "window_aborted" and "Run again" in failure["remedy"] and armed.open_sides() == ["legacy"], (failure, err)
    assert armed.ok("new", verify="none")["serving"] == "new"
    assert armed.ok("legacy", verify="none")["serving"] == "legacy"


def test_a_job_that_nobody_works_for_is_run_again(armed):
    process = armed.spawn("new", fault="W0", verify="none")
    process.communicate(timeout=60)
    rig.until(lambda: armed.open_sides() == ["legacy"], 20, "the watchdog")
    rig.until(lambda: not armed.ok("info")["holder"], 20, "the end of its sessions")
    job = Follower("new", 1.0)
    assert job.over(False, armed.ok("info"), 10.0) is False
    assert refused(lambda: job.over(False, armed.ok("info"), 20.0), "Run the same playbook again").code == "job_lost"
    armed.ok("new", verify="none")
    assert job.over(False, armed.ok("info"), 30.0) is True
    armed.ok("legacy", verify="none")


def test_a_table_that_is_not_copied_is_waited_for_again(armed):
    """Made on both sides while new serves; nothing copies it to legacy."""
    armed.ok("new", verify="none")
    for cluster in armed.clusters:
        cluster.rows("CREATE TABLE later (id int PRIMARY KEY); ALTER TABLE later OWNER TO hub")
    change = ("ALTER SYSTEM SET max_sync_workers_per_subscription = 0", "ALTER SYSTEM RESET max_sync_workers_per_subscription")
    for text in (change[0], "SELECT pg_reload_conf()"):
        armed.legacy.rows(text, dbname="postgres")
    try:
        failure = armed.run("armed", wait_timeout=2)["failure"]
        assert failure["code"] == "timeout" and "Read the log of the server that follows" in failure["remedy"], failure
    finally:
        for text in (change[1], "SELECT pg_reload_conf()"):
            armed.legacy.rows(text, dbname="postgres")
    assert armed.ok("armed")["phase_after"] == "new_armed"
    assert armed.ok("legacy", verify="none")["serving"] == "legacy"


def test_a_membership_that_an_older_server_does_not_know_is_revoked(base):
    """On the way back from 18 to 15."""
    newer = rig.Cluster("newer", base.home, 18)
    newer.create()
    newer.start()
    try:
        base.legacy.rows("DROP ROLE IF EXISTS one; DROP ROLE IF EXISTS many", dbname="postgres")
        for cluster in (newer, base.legacy):
            cluster.rows("CREATE ROLE one; CREATE ROLE many; GRANT many TO one", dbname="postgres")
        newer.rows("GRANT many TO one WITH SET FALSE", dbname="postgres")
        with server(newer, "new", "postgres") as source, server(base.legacy, "legacy", "postgres") as target:
            def found() -> list:
                states = account_sync.both(target, source, "pgcut_repl")
                return [change for change in account_sync.changes(states[1], states[0]) if not change.text and "'one'" in change.what]

            refused(lambda: account_sync.refuse("legacy", found()), "Make it equal by hand")
            newer.rows("REVOKE many FROM one", dbname="postgres")
            assert found() == []
    finally:
        newer.stop()
        base.legacy.rows("DROP ROLE IF EXISTS one; DROP ROLE IF EXISTS many", dbname="postgres")


def test_a_watchdog_waits_for_the_lock_of_a_session_that_hangs(base):
    """A backend that is stopped does not hear that it shall end."""
    with server(base.legacy) as holder, server(base.legacy) as guard:
        assert fence.try_lock(holder.admin, "hub")
        pid = holder.admin.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            assert refused(lambda: own_lock(guard, pid), "End the process that holds it, and run again.").code == "locked"
        finally:
            os.kill(pid, signal.SIGCONT)
        rig.until(lambda: not Path(f"/proc/{pid}").exists(), 20, "its end")
        assert own_lock(guard, pid)


# --- while rows are copied, and with guarantee: sync ------------------------------------------------------------------------------------


def test_a_schema_that_changes_while_it_is_copied_is_put_right(base):
    base.reset()
    for text in ("ALTER SYSTEM SET max_sync_workers_per_subscription = 0", "SELECT pg_reload_conf()"):
        base.new.rows(text, dbname="postgres")
    try:
        process = base.spawn("seeded")
        rig.until(lambda: _copies(base.new), 60, "the copy to begin")
        base.legacy.rows("ALTER TABLE balance ALTER COLUMN total SET DEFAULT 5")
    finally:
        for text in ("ALTER SYSTEM RESET max_sync_workers_per_subscription", "SELECT pg_reload_conf()"):
            base.new.rows(text, dbname="postgres")
    out, err = process.communicate(timeout=120)
    failure = rig.json.loads(out)["failure"]
    assert failure["code"] == "seed_error" and "differs after the restore" in failure["message"], (failure, err)
    assert "Remove the reason on legacy" in failure["remedy"]
    with base.legacy.connect(options="") as session:
        session.execute("ALTER TABLE balance ALTER COLUMN total DROP DEFAULT")
    assert base.ok("seeded")["phase_after"] == "seeded"


def _copies(cluster) -> bool:
    with contextlib.suppress(psycopg.Error):
        return bool(cluster.rows("SELECT 1 FROM pg_subscription_rel WHERE srsubstate <> 'r'"))
    return False


def test_an_index_that_new_cannot_make_is_dropped(base):
    """Rows of a table whose index calls the code of an owner are not looked at before they are copied."""
    base.reset()
    base.legacy.rows("SET ROLE hub; CREATE FUNCTION low(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
                     " CREATE INDEX lows ON balance (public.low(total));"
                     " CREATE OR REPLACE FUNCTION low(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1 / ($1 - $1)'")
    accepted = {"accept_owner_code": ["public.low(bigint)"]}
    failure = base.run("seeded", **accepted)["failure"]
    assert failure["code"] == "seed_error" and "division by zero" in failure["message"], failure
    assert "Change or drop each of them on legacy, as a superuser after SET pgcut.bypass = on" in failure["remedy"]
    with base.legacy.connect(options="") as session:
        session.execute("SET pgcut.bypass = on")
        session.execute("DROP INDEX lows")
    assert base.ok("seeded", **accepted)["phase_after"] == "seeded"


@pytest.fixture
def served(base):
    """New serves, legacy follows."""
    base.reset()
    base.ok("armed")
    base.ok("new", verify="none")
    return base


def test_a_legacy_that_does_not_connect_or_does_not_keep_up_is_helped(served, monkeypatch):
    options = parse(served.params("new", guarantee="sync"))
    with server(served.legacy) as legacy, server(served.new, "new") as new:
        served.new.rows("ALTER ROLE pgcut_repl NOLOGIN", dbname="postgres")
        served.new.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_replication", dbname="postgres")
        with monkeypatch.context() as patched:
            patched.setattr(sync, "_CONNECTS", 2.0)
            failure = refused(lambda: sync.on(options, legacy, new), "Read the log of legacy for the reason, and remove it. Then run the same again.")
        assert failure.code == "sync_unavailable"
        rig.until(lambda: "not permitted to log in" in served.legacy.log.read_text(), 20, "the reason in the log")
        served.new.rows("ALTER ROLE pgcut_repl LOGIN", dbname="postgres")
        rig.until(lambda: served.new.rows("SELECT 1 FROM pg_stat_replication", dbname="postgres"), 30, "legacy to connect")
        with monkeypatch.context() as patched:
            # Limits that no machine keeps.
            patched.setattr(sync, "_IN_STEP", -1.0)
            patched.setattr(sync, "_CATCHES_UP", 0.0)
            refused(lambda: sync.on(options, legacy, new), "Let it catch up, when new is written to less. Then run the same again.")
        with served.legacy.connect(application_name="bowline holder") as holder, monkeypatch.context() as patched:
            patched.setattr(sync, "_PROVES", 1.0)
            holder.execute("BEGIN; LOCK TABLE pgcut.marker IN SHARE MODE")
            assert "acknowledged before" in refused(lambda: sync._proven(new), "Run again.").message
            holder.execute("ROLLBACK")
    assert served.ok("new", guarantee="sync")["rollback"]["guarantee"] == "sync"


def test_an_apply_worker_that_hangs_is_ended(served):
    pid = served.legacy.value("SELECT pid FROM pg_stat_subscription WHERE pid IS NOT NULL")
    with server(served.legacy) as legacy:
        os.kill(pid, signal.SIGSTOP)
        try:
            failure = refused(lambda: loss._stop_applying(legacy), f"End process {pid} on legacy's host, and run again.")
            assert failure.code == "timeout"
        finally:
            # It was told to end, and can hear it now.
            os.kill(pid, signal.SIGCONT)
        rig.until(lambda: not Path(f"/proc/{pid}").exists(), 20, "its end")
        loss._stop_applying(legacy)


def test_a_new_that_is_gone_for_good_is_restored_from_a_snapshot(served, tmp_path):
    served.new.rows("INSERT INTO ledger (key, amount) VALUES ('of new', 1)")
    taken = snapshot("present", tmp_path / "kept", source=snapshot_server(served, served.new))["snapshot"]["name"]
    served.ok("finished")
    served.new.stop(9)
    failure = served.run("legacy")["failure"]
    assert failure["code"] == "loss_possible" and "Restore a snapshot there" in failure["remedy"], failure
    statement = failure["remedy"].partition("on legacy: ")[2].replace("<database>", "hub")
    served.legacy.rows(statement, dbname="postgres")
    try:
        snapshot("restored", tmp_path / "kept", name=taken, fenced=False, target=snapshot_server(served, served.legacy))
        assert served.legacy.takes_writes() and served.legacy.value("SELECT count(*) FROM ledger WHERE key = 'of new'") == 1
        assert served.run("legacy")["failure"]["code"] == "unreachable"
    finally:
        served.legacy.rows("DROP DATABASE IF EXISTS hub WITH (FORCE)", dbname="postgres")
        served.legacy.rows("ALTER DATABASE hub_before RENAME TO hub", dbname="postgres")
        served.new.start()
