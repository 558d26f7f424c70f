# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong while the copy is made and afterwards: a typed failure, no slot that nobody uses, and the same command goes on."""

from __future__ import annotations

import random
import shutil
import subprocess
import time

import bench
import psycopg
import pytest
from bench import SEED, Watch, Writers
from bowline_pg_rig import DATABASE

APPLICATION = {"options": "", "user": "hub", "password": "canary-app-3c2"}
MEGABYTES = 48


def bulk(world) -> None:
    """A table that takes a moment to copy."""
    world.legacy.rows(
        f"CREATE TABLE bulk AS SELECT n AS id, repeat(md5(n::text), 32) AS text FROM generate_series(1, {MEGABYTES * 1000}) n;"
        " ALTER TABLE bulk ADD PRIMARY KEY (id); ALTER TABLE bulk OWNER TO hub"
    )


def slot_exists(world) -> bool:
    return "pgcut_fwd" in world.slots()["legacy"]


def settled(world, clients, watch, entry: dict) -> None:
    """The copy is completed by the same command and used for a switch."""
    assert world.ok("seeded")["phase_after"] == "seeded"
    assert world.ok("seeded")["changed"] is False
    bench.settle(world, "new", clients, watch, entry, verify="hash")


@pytest.mark.whole
@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize("empty", bench.pairs(), ids=bench.label, indirect=True)
def test_a_seed_killed_at_a_random_moment_goes_on(empty, turn, request):
    world = empty
    bulk(world)
    delay = random.Random(f"{SEED} {request.node.name}").uniform(0.5, 4.0)
    with Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("seeded")
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert world.open_sides() == ["legacy"]
        settled(world, clients, watch, {"fault": "seed killed", "point": "seed", "delay": round(delay, 3)})


@pytest.mark.parametrize("empty", bench.pairs(), ids=bench.label, indirect=True)
def test_a_database_that_is_being_made_is_never_open(empty):
    """Killed inside CREATE DATABASE, which the server brings to its end all the same."""
    world = empty
    making = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%' AND state = 'active'"
    with Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("seeded")
        with world.new.connect("postgres") as look:
            bench.wait(lambda: look.execute(making).fetchone()["count"], 60, "CREATE DATABASE")
            process.kill()
            process.communicate()
            bench.wait(lambda: not look.execute(making).fetchone()["count"], 30, "the server's own end of it")
        assert world.open_sides() == ["legacy"]
        settled(world, clients, watch, {"fault": "seed killed", "point": "create database"})


@pytest.mark.parametrize("empty", bench.pairs(), ids=bench.label, indirect=True)
def test_a_slot_without_subscription_is_made_again(empty):
    """Killed inside CREATE SUBSCRIPTION, which a lock on its catalog holds up."""
    world = empty
    with Writers(world) as clients, Watch(world) as watch:
        holder = world.new.connect("postgres", autocommit=False)
        process = world.spawn("seeded")
        # The link has been tried with subscriptions of its own when legacy is frozen.
        bench.wait(lambda: world.legacy.rows("SELECT 1 FROM pg_event_trigger WHERE evtname LIKE 'pgcut%'"), 60, "the freeze")
        holder.execute("LOCK TABLE pg_catalog.pg_subscription IN EXCLUSIVE MODE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE SUBSCRIPTION \"pgcut_fwd\"%%' AND wait_event_type = 'Lock'"
        bench.wait(lambda: slot_exists(world) and world.new.value(waiting, dbname="postgres"), 60, "CREATE SUBSCRIPTION")
        process.kill()
        process.communicate()
        holder.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE SUBSCRIPTION%'")
        holder.commit()
        holder.close()
        settled(world, clients, watch, {"fault": "seed killed", "point": "CREATE SUBSCRIPTION"})


@pytest.mark.whole
@pytest.mark.parametrize("empty", bench.pairs(), ids=bench.label, indirect=True)
def test_a_full_disk_is_a_seed_error_and_room_heals_it(empty, worlds):
    world = empty
    bulk(world)
    base = world.new.home / "data" / "base"
    world.new.stop()
    aside = base.with_name("base.aside")
    base.rename(aside)
    base.mkdir()
    size = sum(path.stat().st_size for path in aside.rglob("*")) // 2**20 + MEGABYTES // 3
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", base], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", base], check=True)
        shutil.chown(base, "postgres", "postgres")
        base.chmod(0o700)
        world.new.start()
        with Writers(world) as clients, Watch(world) as watch:
            failure = world.run("seeded")["failure"]
            assert (failure["code"], "bulk" in failure["message"]) == ("seed_error", True), failure
            assert world.open_sides() == ["legacy"]
            subprocess.run(["mount", "-o", f"remount,size={size + MEGABYTES * 8}m", base], check=True)
            settled(world, clients, watch, {"fault": "disk full", "point": "copy", "code": failure["code"]})
    finally:
        world.new.stop()
        subprocess.run(["umount", base], check=True)
        worlds.stop()


@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_a_lost_slot_is_named_and_its_remedy_helps(world):
    """The follower is away while more log is written than the source may keep."""
    try:
        world.legacy.rows("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'", dbname="postgres")
        world.legacy.rows("SELECT pg_reload_conf()", dbname="postgres")
        world.new.stop()
        for _segment in range(4):
            world.legacy.rows("SELECT pg_logical_emit_message(false, 'test', repeat('x', 9000000))")
            world.legacy.rows("SELECT pg_switch_wal()")
        world.legacy.rows("CHECKPOINT")
        world.new.start()
        lost = world.legacy.value("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'pgcut_fwd'")
        assert lost == "lost"
        with Writers(world) as clients, Watch(world) as watch:
            failure = world.run("new")["failure"]
            assert failure["code"] == "slot_lost" and "max_slot_wal_keep_size" in failure["remedy"], failure
            assert world.open_sides() == ["legacy"]
            world.legacy.rows("ALTER SYSTEM RESET max_slot_wal_keep_size", dbname="postgres")
            world.legacy.rows("SELECT pg_reload_conf()", dbname="postgres")
            for text in ("DISABLE", "SET (slot_name = NONE)"):
                world.new.rows(f"ALTER SUBSCRIPTION pgcut_fwd {text}")
            world.new.rows("DROP SUBSCRIPTION pgcut_fwd")
            world.legacy.rows("SELECT pg_drop_replication_slot('pgcut_fwd')")
            settled(world, clients, watch, {"fault": "slot lost", "point": "soak", "code": failure["code"]})
    finally:
        world.legacy.rows("ALTER SYSTEM RESET max_slot_wal_keep_size", dbname="postgres")
        world.legacy.rows("SELECT pg_reload_conf()", dbname="postgres")


TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


@pytest.mark.whole
@pytest.mark.parametrize("empty", bench.pairs(), ids=bench.label, indirect=True)
def test_timeouts_of_the_database_and_of_its_roles_stop_nothing(empty):
    """On the database, on the superuser and on the role of the link; each is shorter than the copy of one table."""
    world = empty
    bulk(world)
    roles = [(cluster, role) for cluster in world.clusters for role in ("postgres", "pgcut_repl")]
    for cluster in world.clusters:
        cluster.rows(f"CREATE ROLE pgcut_repl LOGIN REPLICATION BYPASSRLS PASSWORD '{bench.LINK}';"
                     " GRANT pg_read_all_data TO pgcut_repl", dbname="postgres")
    try:
        for name in TIMEOUTS:
            world.legacy.rows(f"ALTER DATABASE {DATABASE} SET {name} = '40ms'", dbname="postgres")
            for cluster, role in roles:
                cluster.rows(f"ALTER ROLE {role} SET {name} = '40ms'", dbname="postgres")
        # The application's own statements are not what is tested here.
        world.legacy.rows("ALTER ROLE hub SET statement_timeout = 0", dbname="postgres")
        with Writers(world) as clients, Watch(world) as watch:
            assert world.ok("new")["verify"]["equal"] is True
            bench.settle(world, "legacy", clients, watch, {"fault": "short timeouts", "point": "all"}, verify="hash")
    finally:
        for cluster, role in roles:
            cluster.rows(f"ALTER ROLE {role} RESET ALL", dbname="postgres")


@pytest.mark.whole
@pytest.mark.parametrize("empty", bench.pairs(), ids=bench.label, indirect=True)
def test_ddl_in_the_seed_is_refused_while_the_freeze_is_on(empty):
    world = empty
    bulk(world)
    with Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("seeded")
        bench.wait(lambda: slot_exists(world), 60, "the copy")
        with world.legacy.connect(**APPLICATION) as owner, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="frozen"):
            owner.execute("ALTER TABLE balance ADD COLUMN note text")
        process.communicate(timeout=90)
        settled(world, clients, watch, {"fault": "DDL in the seed", "point": "frozen"})
        with world.new.connect(**APPLICATION) as owner, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="frozen"):
            owner.execute("ALTER TABLE balance ADD COLUMN note text")


@pytest.mark.whole
@pytest.mark.parametrize("empty", bench.pairs(), ids=bench.label, indirect=True)
def test_ddl_in_the_seed_without_the_freeze_is_found_and_healed_by_the_same_ddl(empty):
    world = empty
    bulk(world)
    change = "ALTER TABLE balance ADD COLUMN note text"
    with Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("seeded", ddl_freeze=False)
        bench.wait(lambda: slot_exists(world), 60, "the copy")
        with world.legacy.connect(**APPLICATION) as owner:
            owner.execute(change)
        out, _err = process.communicate(timeout=120)
        assert '"code": "seed_error"' in out or '"code": "schema_drift"' in out, out
        assert "balance" in out
        world.new.rows(change)
        settled(world, clients, watch, {"fault": "DDL in the seed", "point": "not frozen"})
