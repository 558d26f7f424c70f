# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why each step of the window is there: the situation that it is for, made on purpose."""

from __future__ import annotations

import sys

import psycopg
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import fence
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import connect


def inside_the_window(world, body: str) -> dict:
    """A router whose pause runs ``body``: after the last gate, right before the fence. ``legacy`` and ``new`` are connection strings."""
    path = world.home / "hook.py"
    strings = [f"host=127.0.0.1 port={cluster.port} user=postgres dbname=hub passfile={world.passfile}" for cluster in world.clusters]
    for mark in (".locked", ".begun"):
        path.with_name(path.name + mark).unlink(missing_ok=True)
    path.write_text(f"import os, time, psycopg\nlegacy, new = {strings!r}\n{body}\n")
    return {"type": "command", "pause": [[sys.executable, str(path)]], "timeout": 20}


DETACHED = """
if os.fork() == 0:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
"""
LAGGING = DETACHED + """
    with psycopg.connect(new, application_name="bowline locker") as holder:
        holder.execute("LOCK TABLE balance IN ACCESS EXCLUSIVE MODE")
        open(__file__ + ".locked", "w").close()
        time.sleep(1.5)
    os._exit(0)
while not os.path.exists(__file__ + ".locked"):
    time.sleep(0.01)
with psycopg.connect(legacy) as source:
    source.execute("INSERT INTO balance VALUES ('behind', 1)")
"""


def test_the_target_opens_only_after_it_has_applied_the_last_commit(world):
    """W3, W4: the follower is held up by a lock inside the window; a lag that was 0 before says nothing."""
    world.ok("armed")
    outcome = world.ok("new", router=inside_the_window(world, LAGGING))
    assert {step["name"]: step["ms"] for step in outcome["steps"]}["W4"] > 500
    assert outcome["verify"]["equal"] is True
    assert world.new.value("SELECT count(*) FROM balance WHERE name = 'behind'") == 1


LATE = DETACHED + """
    look = psycopg.connect(legacy, dbname="postgres", autocommit=True)
    with psycopg.connect(legacy) as source:
        source.execute("INSERT INTO balance VALUES ('async', 1)")
        open(__file__ + ".begun", "w").close()
        fenced = "SELECT count(*) FROM pg_db_role_setting WHERE 'default_transaction_read_only=on' = ANY (setconfig)"
        while look.execute(fenced).fetchone()[0] == 0:
            time.sleep(0.002)
    os._exit(0)
while not os.path.exists(__file__ + ".begun"):
    time.sleep(0.01)
"""


def test_rows_that_arrived_do_not_go_back(world):
    """W6: the apply worker commits asynchronously; with a lazy WAL writer the flush position lies before a row that is visible already.

    On the second way out, because setting sequences that differ is a synchronous commit, too.
    """
    for state in ("new", "legacy", "armed"):
        world.ok(state, verify="none")
    try:
        world.new.rows("ALTER SYSTEM SET wal_writer_delay = '10s'", dbname="postgres")
        world.new.rows("SELECT pg_reload_conf()", dbname="postgres")
        world.ok("new", router=inside_the_window(world, LATE))
        world.new.rows("INSERT INTO balance VALUES ('on its way back', 1)")
        assert world.ok("legacy")["verify"]["equal"] is True
        assert world.legacy.value("SELECT count(*) FROM balance WHERE name IN ('async', 'on its way back')") == 2
        assert world.legacy.value("SELECT sum(apply_error_count) FROM pg_stat_subscription_stats") in (0, None)
    finally:
        world.new.rows("ALTER SYSTEM RESET wal_writer_delay", dbname="postgres")
        world.new.rows("SELECT pg_reload_conf()", dbname="postgres")


def test_the_commit_of_an_epoch_that_was_ended_changes_nothing(world):
    """W7 against the watchdog: whoever comes second finds another epoch."""
    cluster = world.legacy
    session = connect(Endpoint("legacy", "127.0.0.1", cluster.port, "hub", passfile=str(world.passfile), sslmode="disable"), "postgres", "test")
    try:
        assert fence.turn(session, "hub", "7:open", True)
        assert fence.turn(session, "hub", "7:abort", True, "7:open") is True
        assert fence.turn(session, "hub", "7:commit", False, "7:open") is False
        settings = fence.settings_of(session, "hub")
        assert settings is not None
        assert (settings["pgcut.epoch"], fence.is_fenced(settings)) == ("7:abort", True)
        assert fence.settings_of(session, "no such database") is None
    finally:
        session.close()


def test_two_that_turn_the_same_epoch_at_once_do_not_both_win(world):
    """The advisory lock orders them: the second one waits and then compares."""
    cluster = world.legacy
    session = connect(Endpoint("legacy", "127.0.0.1", cluster.port, "hub", passfile=str(world.passfile), sslmode="disable"), "postgres", "test")
    try:
        fence.turn(session, "hub", "8:open", True)
        with cluster.connect("postgres", autocommit=False) as other:
            other.execute(fence.turn_text("hub", "8:abort", True, "8:open"))
            session.settings({"lock_timeout": "300ms"})
            try:
                fence.turn(session, "hub", "8:commit", False, "8:open")
                waited = False
            except Exception as error:  # the lock is held until the other one commits
                waited = "lock timeout" in str(error)
            assert waited
            other.commit()
        assert fence.turn(session, "hub", "8:commit", False, "8:open") is False
    finally:
        session.close()


def test_the_server_refuses_writes_of_a_new_session_under_the_fence(world):
    with world.legacy.connect("postgres") as admin:
        admin.execute(fence.turn_text("hub", "9:open", True))
    with world.legacy.connect(options="", user="hub", password="canary-app-3c2") as application:
        try:
            application.execute("INSERT INTO balance VALUES ('x', 1)")
            refused = False
        except psycopg.errors.ReadOnlySqlTransaction:
            refused = True
        assert refused
        assert application.execute("SELECT count(*) AS n FROM balance").fetchone()["n"] == 20
