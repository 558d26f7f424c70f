# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State absent: a move that is given up leaves legacy as it was, byte by byte, whatever has become of new."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.faults import ABSENT_POINTS

WHOLE = os.environ.get("BOWLINE_FAULTS") == "all"
CATALOGS = (
    "SELECT name, setting, source, sourcefile, pending_restart FROM pg_settings WHERE source <> 'default'"
    " AND source NOT IN ('client', 'session') ORDER BY 1",
    "SELECT slot_name, plugin, database FROM pg_replication_slots ORDER BY 1",
    "SELECT pubname, puballtables FROM pg_publication ORDER BY 1",
    "SELECT subname FROM pg_subscription ORDER BY 1",
    "SELECT evtname FROM pg_event_trigger ORDER BY 1",
    "SELECT d.datname, s.setrole::regrole::text, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase ORDER BY 1, 2",
    "SELECT oid::regclass::text, relreplident FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY 1",
    "SELECT * FROM pg_replication_origin ORDER BY 1",
    "SELECT rolname, rolpassword, shobj_description(oid, 'pg_authid') FROM pg_authid ORDER BY 1",
    "SELECT datname, datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1",
)


def catalogs(world, cluster) -> list:
    """Everything that dumps and catalogs say."""
    environment = {**os.environ, "PGPASSFILE": str(world.passfile), "PGHOST": cluster.host, "PGPORT": str(cluster.port), "PGUSER": "postgres"}
    said = []
    for words in (["pg_dumpall", "--globals-only"], ["pg_dump", "--schema-only", "--create", "--dbname=hub"]):
        done = subprocess.run([cluster.bin / words[0], *words[1:]], env=environment, capture_output=True, text=True, check=True)
        # A word that is drawn anew for each dump.
        said += [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
    # Its order is that of the statements.
    said += (cluster.home / "data" / "postgresql.auto.conf").read_text().splitlines()
    return [said, *(cluster.rows(text) for text in CATALOGS)]


def same(world, before) -> None:
    for was, now in zip(before, catalogs(world, world.legacy)):
        assert now == was


def killed(world, state, point, **more) -> None:
    process = world.spawn(state, fault=point, **more)
    process.communicate(timeout=world.patience)
    assert process.returncode < 0, f"{point} was not reached"


def late(world) -> None:
    """A refusal after the freeze: the copy breaks on new, whose function says something else."""
    outcome = world.run("armed")
    assert outcome["failure"]["code"] == "seed_error", outcome


def broken(world) -> None:
    world.legacy.rows("CREATE TABLE broken (id int PRIMARY KEY, other int); INSERT INTO broken VALUES (1, 1), (2, 1);"
                      " ALTER TABLE broken ADD CONSTRAINT never CHECK (id < 2) NOT VALID; UPDATE pg_constraint SET convalidated = true"
                      " WHERE conname = 'never'")


PHASES = {
    "empty": lambda world: None,
    "prepared": lambda world: (world.ok("seeded"), world.new.rows("ALTER SUBSCRIPTION pgcut_fwd DISABLE; ALTER SUBSCRIPTION pgcut_fwd"
                               " SET (slot_name = NONE); DROP SUBSCRIPTION pgcut_fwd")),
    "seeded": lambda world: world.ok("seeded"),
    "armed": lambda world: world.ok("armed"),
    "dump": lambda world: world.ok("armed", engine="dump"),
    "killed while arming": lambda world: killed(world, "armed", "A1"),
    "window_forward": lambda world: (world.ok("armed"), killed_watchdog(world, "W3")),
    "rolled_back": lambda world: (world.ok("new", verify="none"), world.ok("legacy", verify="none")),
    "rolled_back_cleanup": lambda world: (world.ok("new", verify="none"), killed(world, "legacy", "F2", verify="none")),
    "refused late": lambda world: (late(world),),
}
# The others: `make faults`.
SAMPLE = ("armed",)
long = pytest.mark.skipif(not WHOLE, reason="make faults runs it")


def killed_watchdog(world, point) -> None:
    """The module and its watchdog die together, as with their host, so nobody settles the window."""
    process = world.spawn("new", fault=f"{point}:stop", verify="none", window_attempts=1)
    try:
        world_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    finally:
        watchdogs = [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        for pid in (*watchdogs, process.pid):
            os.kill(pid, 9)
        process.communicate(timeout=20)


def world_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("alive", [True, False] if WHOLE else [False], ids=["alive", "stopped"] if WHOLE else ["stopped"])
@pytest.mark.parametrize("phase", PHASES if WHOLE else SAMPLE)
def test_legacy_is_as_it_was(world, phase, alive):
    if phase == "refused late":
        broken(world)
    before = catalogs(world, world.legacy)
    PHASES[phase](world)
    if not alive:
        world.new.stop(9)
    if phase == "window_forward" and not alive:
        outcome = world.run("absent")
        assert outcome["failure"]["code"] == "target_not_fenced" and "accept_loss: true" in outcome["failure"]["remedy"]
        world.ok("legacy", accept_loss=True)
    written = catalogs(world, world.legacy)
    foreseen = world.ok("absent", check_mode=True)
    assert catalogs(world, world.legacy) == written
    done = world.ok("absent")
    assert done["plan"] == foreseen["plan"] and done["changed"] is (phase != "empty"), done
    assert (done["serving"], done["phase_after"]) == ("legacy", "empty")
    same(world, before)
    assert world.ok("absent")["changed"] is False
    if alive:
        assert world.new.rows("SELECT datname FROM pg_database WHERE datname = 'hub'", dbname="postgres") == []
        assert world.new.rows("SELECT rolname FROM pg_roles WHERE rolname = 'pgcut_repl'", dbname="postgres") == []
    else:
        assert any("once more when it answers" in warning for warning in done["warnings"])
        world.new.start()
        world.ok("absent")
        assert world.new.rows("SELECT datname FROM pg_database WHERE datname = 'hub'", dbname="postgres") == []
        same(world, before)
    # The application's own migrations go through, and another move does.
    world.legacy.rows("SET pgcut.bypass = off; SET ROLE hub; CREATE TABLE migrated (id int PRIMARY KEY); DROP TABLE migrated")
    if phase != "refused late":
        world.ok("armed")


@long
def test_a_run_that_is_killed_is_finished_by_the_next_one(world):
    before = catalogs(world, world.legacy)
    world.ok("armed")
    for point in ABSENT_POINTS:
        killed(world, "absent", point)
    assert world.ok("absent")["serving"] == "legacy"
    same(world, before)


@long
def test_an_account_that_was_there_keeps_what_it_had(world):
    world.legacy.rows("CREATE ROLE pgcut_repl LOGIN REPLICATION BYPASSRLS PASSWORD 'canary-link-9b1'; GRANT pg_read_all_data TO pgcut_repl;"
                      " ALTER ROLE pgcut_repl SET statement_timeout = '7s'; ALTER ROLE pgcut_repl SET work_mem = '5MB'", dbname="postgres")
    world.legacy.rows("ALTER SYSTEM SET wal_retrieve_retry_interval = '200ms'", dbname="postgres")
    world.legacy.rows("SELECT pg_reload_conf()", dbname="postgres")
    try:
        world.legacy.rows("REVOKE CONNECT ON DATABASE hub FROM PUBLIC")
        before = catalogs(world, world.legacy)
        world.ok("seeded")
        assert world.legacy.value("SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text LIKE '%link_connect%'") == 1
        world.ok("absent")
        same(world, before)
    finally:
        world.legacy.rows("ALTER SYSTEM RESET wal_retrieve_retry_interval", dbname="postgres")


@long
def test_new_that_serves_is_not_given_up(world):
    world.ok("new", verify="none")
    outcome = world.run("absent")
    assert outcome["failure"]["code"] == "conflict" and "state: legacy first" in outcome["failure"]["remedy"]
    assert world.open_sides() == ["new"]
    # The remedy.
    world.ok("legacy", verify="none")
    assert world.ok("absent")["serving"] == "legacy"
    assert world.open_sides() == ["legacy"]


def test_a_copy_that_failed_for_good_is_made_anew_when_its_reason_is_gone(world):
    """The remedy of the failure, followed word by word: the owner mends legacy, whose schema is free again, and the same state goes through."""
    broken(world)
    world.legacy.rows("ALTER TABLE broken OWNER TO hub")
    failure = world.run("armed")["failure"]
    assert failure["code"] == "seed_error" and "made anew" in failure["remedy"], failure
    world.legacy.rows("SET pgcut.bypass = off; SET ROLE hub; ALTER TABLE broken DROP CONSTRAINT never")
    told = world.ok("armed")
    assert [step["action"] for step in told["plan"]][:4] == ["globals", "dry_restore", "link_account", "helper"]
    assert world.new.value("SELECT count(*) FROM broken") == 2
    assert world.legacy.value("SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'pgcut%'") == 3


@long
def test_finished_while_armed_says_how_to_give_up(world):
    before = catalogs(world, world.legacy)
    world.ok("armed")
    failure = world.run("finished")["failure"]
    assert failure["code"] == "conflict" and "state: absent" in failure["remedy"]
    world.ok("absent")
    same(world, before)


@long
def test_finished_inside_a_window_says_which_way_is_left(world):
    world.ok("armed")
    killed_watchdog(world, "W3")
    failure = world.run("finished")["failure"]
    assert failure["code"] == "conflict" and "Run state: new first" in failure["remedy"], failure
    world.ok("new", verify="none")
    assert world.ok("finished")["phase_after"] == "finished"


@long
def test_a_finished_move_begins_again_with_the_sides_exchanged(world):
    """New serves and nothing follows it: the remedy of loss_possible, its statement and its other way."""
    world.ok("new", verify="none")
    world.ok("finished")
    failure = world.run("legacy")["failure"]
    assert failure["code"] == "loss_possible"
    remedy = re.search(r"on legacy: (ALTER DATABASE [^;]*);", failure["remedy"])[1]
    world.legacy.rows(remedy.replace("<database>", "hub"), dbname="postgres")
    params = world.params("armed")
    ways = {**params["link"], "to_legacy": params["link"]["to_new"], "to_new": params["link"]["to_legacy"]}
    try:
        exchanged = {"legacy": params["new"], "new": params["legacy"], "link": ways, "ignore_databases": ["hub_before"]}
        assert world.ok("armed", **exchanged)["phase_after"] == "armed"
        assert world.ok("absent", **exchanged)["phase_after"] == "empty"
    finally:
        world.legacy.rows("DROP DATABASE hub_before WITH (FORCE)", dbname="postgres")


@long
def test_new_that_serves_and_is_not_followed_is_not_given_up_without_a_word(world):
    world.ok("new", verify="none")
    for text in ("DISABLE", "SET (slot_name = NONE)"):
        world.legacy.rows(f"ALTER SUBSCRIPTION pgcut_rev {text}")
    world.legacy.rows("DROP SUBSCRIPTION pgcut_rev")
    failure = world.run("absent")["failure"]
    assert failure["code"] == "loss_possible" and "accept_loss: true" in failure["remedy"], failure
    world.ok("legacy", accept_loss=True)
    # Its rows are there still, and no state throws them away.
    world.new.rows(re.search(r"on new: (ALTER DATABASE [^;]*);", failure["remedy"])[1], dbname="postgres")
    try:
        assert world.ok("absent")["serving"] == "legacy"
    finally:
        world.new.rows("DROP DATABASE hub_abandoned WITH (FORCE)", dbname="postgres")


@long
def test_new_that_is_armed_and_loses_its_follower_names_the_way(world):
    world.ok("new", verify="none")
    world.ok("armed")
    for text in ("DISABLE", "SET (slot_name = NONE)"):
        world.legacy.rows(f"ALTER SUBSCRIPTION pgcut_rev {text}")
    world.legacy.rows("DROP SUBSCRIPTION pgcut_rev")
    failure = world.run("new")["failure"]
    assert failure["code"] == "inconsistent" and "accept_loss: true" in failure["remedy"], failure
    world.ok("legacy", accept_loss=True)
    assert world.open_sides() == ["legacy"]


@long
def test_two_open_sides_are_told_apart_and_the_remedy_ends_it(world):
    world.ok("new", verify="none")
    world.ok("legacy", verify="none")
    world.ok("armed")
    world.new.rows("ALTER DATABASE hub RESET default_transaction_read_only", dbname="postgres")
    failure = world.run("new")["failure"]
    details = failure["details"]
    assert failure["code"] == "split_brain" and details["facts"]["forward"]["subscription"] == "enabled"
    for side in ("legacy", "new"):
        seen = details["sides"][side]
        assert seen["open"] is True and seen["epoch"] and 0 <= seen["epoch_age"] < 600 and seen["marker"]["at"], seen
        assert details["statements"][side]["close"] in failure["remedy"] and str(seen["epoch"]) in failure["message"]
    pool = world.new.connect(user="hub", password="canary-app-3c2", options="")
    for statement in details["statements"]["new"]["close"].split("; "):
        world.new.rows(statement, dbname="postgres")
    assert world.open_sides() == ["legacy"] and world.ok("info")["phase"] == "armed"
    with pytest.raises(Exception, match="terminat|closed"):
        pool.execute("SELECT 1")


@long
def test_facts_that_fit_nothing_are_told_and_the_remedies_end_it(world):
    before = catalogs(world, world.legacy)
    world.ok("armed")
    # Its database on new is taken away by hand.
    world.new.rows("ALTER SUBSCRIPTION pgcut_fwd DISABLE; ALTER SUBSCRIPTION pgcut_fwd SET (slot_name = NONE); DROP SUBSCRIPTION pgcut_fwd")
    world.new.rows("SELECT pg_drop_replication_slot('pgcut_rev')")
    world.new.rows("DROP DATABASE hub WITH (FORCE)", dbname="postgres")
    failure = world.run("new")["failure"]
    assert failure["code"] == "inconsistent" and "state: absent" in failure["remedy"], failure
    assert failure["details"]["sides"]["new"]["exists"] is False and failure["details"]["sides"]["legacy"]["open"] is True
    # Closed by hand as well.
    world.legacy.rows("ALTER DATABASE hub SET default_transaction_read_only = on", dbname="postgres")
    failure = world.run("new")["failure"]
    assert failure["code"] == "inconsistent" and failure["details"]["statements"]["legacy"]["open"] in failure["remedy"], failure
    world.legacy.rows(failure["details"]["statements"]["legacy"]["open"], dbname="postgres")
    world.ok("absent")
    same(world, before)


@long
def test_slots_of_the_copy_of_single_tables_go_as_well(world):
    """New dies for good in the middle of the copy: what its workers made on legacy would keep the log for ever.

    They name their slots by subscription, table and the identifier of their server.
    """
    world.legacy.rows("SELECT pg_create_logical_replication_slot('pg_1_sync_2_3', 'pgoutput')")
    before = catalogs(world, world.legacy)
    world.ok("seeded")
    server = world.new.value("SELECT system_identifier FROM pg_control_system()")
    world.new.stop(9)
    world.legacy.rows(f"SELECT pg_create_logical_replication_slot('pg_16400_sync_16390_{server}', 'pgoutput')")
    world.ok("absent")
    # Somebody else's of the same form stays.
    same(world, before)
