# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""guarantee: sync: new is killed, and no acknowledged row is missing on legacy. With async, what may be missing is named."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time

import psycopg
import pytest

rig = sys.modules["bowline_pg_rig"]
wait_until = rig.until

REPETITIONS = 5
SETTINGS = ("synchronous_standby_names", "synchronous_commit")


def keys_on(cluster, clients) -> set[str]:
    return {row["key"] for row in cluster.rows("SELECT key FROM ledger WHERE key LIKE %s", f"{clients._label}-%")}


def of_server(cluster) -> dict[str, str]:
    """What stands in postgresql.auto.conf, and what the database and others get."""
    with cluster.connect("postgres", options="") as plain:
        shown = {name: plain.execute(f"SHOW {name}").fetchone()[name] for name in SETTINGS}
    kept = cluster.rows("SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%%auto.conf' AND name = ANY (%s) ORDER BY 1",
                        list(SETTINGS), dbname="postgres")
    database = cluster.rows(
        "SELECT c FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c WHERE d.datname = 'hub'"
        " AND (c LIKE 'synchronous%' OR c LIKE 'pgcut.sync%' OR c LIKE 'pgcut.guarantee%') ORDER BY 1", dbname="postgres")
    return {**shown, "kept": [dict(row) for row in kept], "database": [row["c"] for row in database]}


@pytest.fixture
def fresh(world):
    """Settings of the server outlive the databases of a test."""
    yield world
    for cluster in world.clusters:
        if cluster.process is None or cluster.process.poll() is not None:
            cluster.start()
        for name in SETTINGS:
            cluster.rows(f"ALTER SYSTEM RESET {name}", dbname="postgres")
        cluster.rows("SELECT pg_reload_conf()", dbname="postgres")


@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_new_is_killed_and_no_acknowledged_row_is_missing(fresh, writers, repetition):
    """Right after the switch in some repetitions, and under load for a while in others."""
    world = fresh
    world.ok("armed")
    with writers(world, count=8) as clients:
        told = world.ok("new", guarantee="sync", verify="none")
        assert told["rollback"]["guarantee"] == "sync"
        switched = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) >= max(1000, switched + 40 * repetition), 60, "a thousand rows")
        world.new.stop(9)
        acknowledged = set(clients.acknowledged)
    assert len(acknowledged) >= 1000 and len(acknowledged) - switched >= 40 * repetition
    assert acknowledged - keys_on(world.legacy, clients) == set()
    assert world.ok("info")["rollback"]["guarantee"] == "sync"
    failure = world.run("legacy")["failure"]
    assert (failure["code"], failure["details"]["loss"]["guarantee"]) == ("loss_possible", "sync")
    assert "every commit that was acknowledged has arrived" in failure["message"]


def test_async_names_what_may_be_missing_and_it_is_not_more(fresh, writers):
    """Legacy is held up, so that there is something to lose; the lag that was read last bounds it, and the failure says from where on."""
    world = fresh
    world.ok("new", verify="none")
    lags, stop = [], threading.Event()

    def sample():
        while not stop.is_set():
            try:
                seen = world.new.rows("SELECT extract(epoch FROM clock_timestamp()) AS at, pg_current_wal_flush_lsn()::text AS lsn,"
                                      " replay_lsn::text AS applied FROM pg_stat_replication", dbname="postgres")
            except psycopg.Error:
                return
            lags.extend(seen)
            time.sleep(0.02)

    with writers(world) as clients:
        wait_until(lambda: len(clients.acknowledged) > 200, 20, "rows")
        holder = world.legacy.connect(autocommit=False, application_name="bowline holder")
        holder.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        sampler = threading.Thread(target=sample)
        sampler.start()
        acknowledged = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) > acknowledged + 100, 20, "rows that legacy does not have")
        world.new.stop(9)
        stop.set()
        sampler.join()
        holder.close()
        acknowledged = set(clients.acknowledged)
    wait_until(lambda: not world.legacy.rows("SELECT 1 FROM pg_stat_subscription WHERE pid IS NOT NULL"), 30, "the apply worker to end")
    lost = acknowledged - keys_on(world.legacy, clients)
    assert lost
    failure = world.run("legacy")["failure"]
    loss = failure["details"]["loss"]
    assert (failure["code"], loss["guarantee"]) == ("loss_possible", "async")
    assert loss["position"] in failure["message"] and f"public.ledger up to {loss['ids']['public.ledger']}" in failure["message"]
    assert "accept_loss: true" in failure["remedy"] and loss["marker"]["at"] in failure["message"]
    # The position that is named lies at or behind the last one that new had heard of: nothing more than that lag is missing.
    last = lags[-1]
    assert world.legacy.value("SELECT %s::pg_lsn >= %s::pg_lsn", loss["position"], last["applied"]) is True
    # And the rows that are missing are those beyond it: new, started again with its data, tells each one's number.
    world.new.start()
    ids = [row["id"] for row in world.new.rows("SELECT id FROM ledger WHERE key = ANY (%s)", list(lost))]
    assert len(ids) == len(lost)
    assert min(ids) > loss["ids"]["public.ledger"] - clients.count
    assert world.ok("legacy")["serving"] == "legacy"
    assert acknowledged - keys_on(world.legacy, clients) == set()


def test_there_and_back_it_is_made_kept_changed_and_taken_away(fresh, writers):
    world = fresh
    before = {cluster.name: of_server(cluster) for cluster in world.clusters}
    foreseen = world.ok("new", guarantee="sync", check_mode=True)
    assert {cluster.name: of_server(cluster) for cluster in world.clusters} == before
    with writers(world) as clients:
        done = world.ok("new", guarantee="sync")
        assert foreseen["plan"] == done["plan"] and [step["action"] for step in done["plan"]][-3:] == ["switch", "cleanup", "sync"]
        assert any("wait while legacy is unreachable" in warning for warning in done["warnings"])
        assert (done["verify"]["equal"], done["rollback"]["guarantee"], done["rollback"]["armed"]) == (True, "sync", True)
        assert world.ok("info")["rollback"]["guarantee"] == "sync"
        assert world.ok("new", guarantee="sync")["changed"] is False
        with world.new.connect(options="", user="hub", password="canary-app-3c2") as client:
            assert client.execute("SHOW synchronous_commit").fetchone()["synchronous_commit"] == "remote_apply"
        on = of_server(world.new)
        assert (on["synchronous_standby_names"], on["synchronous_commit"]) == ("FIRST 1 (pgcut_rev)", "local")
        # Kept while the way back is armed, and through a window that was given up.
        armed = world.ok("armed", guarantee="sync")
        assert (armed["phase_after"], armed["rollback"]["guarantee"]) == ("new_armed", "sync")
        failing = {"type": "command", "pause": [["false"]]}
        assert world.run("legacy", router=failing, window_attempts=1)["failure"]["code"] == "router_failed"
        process = world.spawn("legacy", fault="W4", guarantee="sync")
        process.communicate(timeout=60)
        wait_until(lambda: world.open_sides() == ["new"], 3, "the watchdog")
        assert of_server(world.new) == on
        # Changed by the option alone.
        back = world.ok("new")
        assert ([step["action"] for step in back["plan"]], back["changed"]) == (["async"], True)
        assert world.ok("new")["changed"] is False
        assert {cluster.name: of_server(cluster) for cluster in world.clusters} == before
        again = world.ok("new", guarantee="sync")
        assert ([step["action"] for step in again["plan"]], again["changed"], again["rollback"]["guarantee"]) == (["sync"], True, "sync")
        # Gone once the writes have moved back.
        home = world.ok("legacy", guarantee="sync")
        assert [step["action"] for step in home["plan"]] == ["switch", "cleanup", "async"]
        assert {cluster.name: of_server(cluster) for cluster in world.clusters} == before
        assert world.ok("legacy")["changed"] is False
        world.ok("new", guarantee="sync")
        ended = world.ok("finished")
        assert [step["action"] for step in ended["plan"]] == ["async", "finish"]
        assert {cluster.name: of_server(cluster) for cluster in world.clusters} == before
    clients.assert_lossless()


def test_sessions_older_than_the_wish_do_not_escape_it(fresh):
    world = fresh
    world.ok("new", verify="none")
    old = world.new.connect(options="", user="hub", password="canary-app-3c2", autocommit=False)
    old.execute("INSERT INTO ledger (key, amount) VALUES ('busy', 1)")
    failure = world.run("new", guarantee="sync", drain_grace=0.3)["failure"]
    assert failure["code"] == "sync_unavailable" and "busy" in failure["message"]
    assert world.ok("info")["rollback"]["guarantee"] == "async" and of_server(world.new)["database"] == []
    old.commit()
    assert world.ok("new", guarantee="sync")["rollback"]["guarantee"] == "sync"
    with pytest.raises(psycopg.OperationalError):
        old.execute("SELECT 1")


def test_commits_wait_while_legacy_is_away_and_go_on_with_async(fresh):
    world = fresh
    world.ok("new", guarantee="sync", verify="none")
    world.new.rows("CREATE DATABASE other", dbname="postgres")
    done = threading.Event()
    try:
        world.legacy.stop(9)

        def commit():
            with world.new.connect(options="", user="hub", password="canary-app-3c2") as client:
                client.execute("INSERT INTO ledger (key, amount) VALUES ('waits', 1)")
            done.set()

        thread = threading.Thread(target=commit, daemon=True)
        thread.start()
        assert not done.wait(1.5)
        # Another database of the same server does not wait for a pair that is none of its business.
        with world.new.connect("other", options="") as foreign:
            foreign.execute("SET statement_timeout = '2s'; CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        assert world.run("new", guarantee="sync")["failure"]["code"] == "unreachable"
        foreseen = world.ok("new", check_mode=True)
        assert [step["action"] for step in foreseen["plan"]] == ["async"] and not done.wait(0.3)
        told = world.ok("new")
        assert (told["changed"], told["serving"], told["plan"]) == (True, "new", foreseen["plan"])
        assert done.wait(5)
        thread.join(5)
        assert world.run("new")["failure"]["code"] == "unreachable"
        world.legacy.start()
        # What legacy still noted is put right by the first run that reaches both.
        wait_until(lambda: world.ok("info")["rollback"]["armed"], 20, "the way back")
        put_right = world.ok("new")
        assert [step["action"] for step in put_right["plan"]] == ["async"] and of_server(world.legacy)["database"] == []
        assert world.ok("legacy")["verify"]["equal"] is True
        assert world.legacy.value("SELECT count(*) FROM ledger WHERE key = 'waits'") == 1
    finally:
        if world.legacy.process is None:
            world.legacy.start()
        world.new.rows("DROP DATABASE IF EXISTS other WITH (FORCE)", dbname="postgres")


@pytest.mark.parametrize(("server", "text", "named"), [
    pytest.param("new", "ALTER SYSTEM SET synchronous_standby_names = 'theirs'", "theirs", id="standby of their own"),
    pytest.param("legacy", "ALTER ROLE hub SET synchronous_commit = off", "Account hub", id="account of its own way"),
])
def test_refused_by_name_before_anything_was_changed(fresh, server, text, named):
    world = fresh
    cluster = getattr(world, server)
    with cluster.connect("postgres") as session:
        session.execute("SET synchronous_commit = local")
        session.execute(text)
        session.execute("SELECT pg_reload_conf()")
    wait_until(lambda: server == "legacy" or of_server(cluster)["synchronous_standby_names"] == "theirs", 5, "the reload")
    before = {each.name: of_server(each) for each in world.clusters}
    failure = world.run("new", guarantee="sync")["failure"]
    assert failure["code"] == "sync_unavailable" and named in failure["message"] and failure["remedy"]
    assert world.ok("info")["phase"] == "empty" and {each.name: of_server(each) for each in world.clusters} == before
    if server == "new":
        world.new.rows("ALTER SYSTEM RESET synchronous_standby_names", dbname="postgres")
        world.new.rows("SELECT pg_reload_conf()", dbname="postgres")
    else:
        world.legacy.rows("ALTER ROLE hub RESET synchronous_commit", dbname="postgres")
    assert world.ok("seeded", guarantee="sync")["phase_after"] == "seeded"


def test_what_was_set_before_comes_back(fresh):
    world = fresh
    world.legacy.rows("ALTER DATABASE hub SET synchronous_commit = 'off'", dbname="postgres")
    world.new.rows("ALTER SYSTEM SET synchronous_commit = 'remote_write'", dbname="postgres")
    world.new.rows("SELECT pg_reload_conf()", dbname="postgres")
    world.ok("armed")
    before = of_server(world.new)
    assert before["database"] == ["synchronous_commit=off"] and before["synchronous_commit"] == "remote_write"
    world.ok("new", guarantee="sync", verify="none")
    assert of_server(world.new)["synchronous_commit"] == "local"
    world.ok("new")
    wait_until(lambda: of_server(world.new) == before, 5, "what was before")


@pytest.mark.parametrize("moment", [0.02, 0.1, 0.25])
def test_killed_while_it_is_made_the_same_command_converges(fresh, writers, moment):
    world = fresh
    world.ok("new", verify="none")
    with writers(world) as clients:
        process = world.spawn("new", guarantee="sync")
        wait_until(lambda: any("pgcut.sync" in line for line in of_server(world.new)["database"]) or process.poll() is not None, 20, "a start")
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        told = world.ok("new", guarantee="sync")
        assert told["rollback"]["guarantee"] == "sync"
        assert json.dumps(world.ok("new", guarantee="sync")["plan"]) == "[]"
    clients.assert_lossless()
