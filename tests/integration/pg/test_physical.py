# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine physical on two real clusters: there and back under writers, killed after each step, refused before anything is written."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.faults import POINTS

rig, managed = sys.modules["bowline_pg_rig"], sys.modules["bowline_pg_managed"]
World, until = managed.World, rig.until
OTHER = {"new": "legacy", "legacy": "new"}


@pytest.fixture
def world():
    made = World()
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_there_and_back_and_there_again_without_losing_a_row(world, writers):
    assert world.ok("seeded")["phase_after"] == "seeded"
    assert world.ok("armed")["phase_after"] == "armed"
    with writers(world) as clients:
        there = world.ok("new")
        assert (there["phase_after"], there["serving"], there["engine"]) == ("new_armed", "new", "physical")
        assert there["verify"]["equal"] is True and there["verify"]["checkpoint"]
        assert (there["rollback"]["armed"], there["rollback"]["reason"]) == (True, "")
        again = world.ok("new")
        assert (again["changed"], again["plan"]) == (False, [])
        back = world.ok("legacy")
        assert (back["serving"], back["phase_after"]) == ("legacy", "armed")
        assert world.ok("armed")["changed"] is False
        last = world.ok("new")
        assert [step["action"] for step in last["plan"]] == ["switch", "cleanup"]
    clients.assert_lossless()
    print({"pauses": [round(run["window_ms"]) for run in (there, back, last)], "gap": round(clients.longest_gap(), 3)})
    assert world.open_sides() == ["new"] and world.legacy.in_recovery()
    assert world.new.value("SELECT n FROM pages", dbname="wiki") == 7


ALL = os.environ.get("BOWLINE_FAULTS") == "all"
BEFORE_COMMIT = ("W0", "W1", "W2", "W3", "W4", "W5", "W6")
SAMPLE = [(point, ("new", "legacy")[number % 2]) for number, point in enumerate(POINTS)]
MATRIX = [(point, to) for point in POINTS for to in ("new", "legacy")]


@pytest.fixture(scope="module")
def matrix():
    """One seeded pair for all crash points: each of them ends with the other side serving."""
    made = World()
    try:
        made.start()
        made.ok("seeded")
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(("point", "to"), MATRIX if ALL else SAMPLE)
def test_killed_after_each_step_it_converges_and_loses_nothing(matrix, writers, point, to):
    world = matrix
    if world.open_sides() == [to]:
        world.ok(OTHER[to])
    if point.startswith("A"):
        # Arming has nothing left to do once both sides know each other.
        world.side(OTHER[to]).rows("ALTER SYSTEM RESET primary_slot_name", dbname="postgres")
        world.side(OTHER[to]).rows("SELECT pg_reload_conf()", dbname="postgres")
    with writers(world) as clients:
        process = world.spawn(to, fault=point)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        began = time.monotonic()
        until(lambda: len(world.open_sides()) == 1, 40, "one open side")
        back_after = time.monotonic() - began
        assert world.open_sides() == [OTHER[to] if point in (*BEFORE_COMMIT, "A1", "A2", "A3") else to]
        acknowledged = len(clients.acknowledged)
        until(lambda: len(clients.acknowledged) > acknowledged, 20, "writes after the kill")
        outcome = world.ok(to)
        assert (outcome["serving"], outcome["phase_after"]) == (to, "new_armed" if to == "new" else "armed")
    print(point, to, round(back_after, 2), round(clients.longest_gap(), 2))
    clients.assert_lossless()
    assert world.open_sides() == [to]
    again = world.ok(to)
    assert (again["changed"], again["plan"]) == (False, [])
    assert [row["slot_name"] for row in world.side(OTHER[to]).rows("SELECT slot_name FROM pg_replication_slots", dbname="postgres")] == []


# --- servers that fail, and modules that hang -----------------------------------------------------------------------------------------


@pytest.fixture
def armed(matrix):
    """The same pair as the matrix has, with legacy serving."""
    matrix.ok("legacy")
    matrix.ok("armed")
    return matrix


def stopped_at(process, seconds: float = 60) -> None:
    until(lambda: _state(process.pid) in "TZ", seconds, "the module to stop at its point")
    assert _state(process.pid) == "T", process.communicate()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


@pytest.mark.parametrize("point", ["W2", "W5"])
def test_a_hanging_module_loses_the_window_and_its_process(armed, writers, point):
    """It could go on later with a command that no catalog orders, so the watchdog ends it before it gives the writes back."""
    world = armed
    with writers(world) as clients:
        process = world.spawn("new", fault=f"{point}:stop", max_window=6, drain_grace=1, window_attempts=1)
        until(lambda: world.open_sides() == [], 30, "the window")
        until(lambda: world.open_sides() == ["legacy"], 40, "the watchdog")
        assert process.wait(5) == -signal.SIGKILL
        assert world.ok("new")["serving"] == "new"
    clients.assert_lossless()
    assert world.open_sides() == ["new"]


@pytest.mark.parametrize("to", ["new", "legacy"] if ALL else ["legacy"])
def test_an_old_side_that_came_back_by_itself_is_rewound(armed, writers, to):
    """A supervisor starts it after the promotion: it is fenced, and its start has written log that the other side does not have."""
    world = armed
    if to == "legacy":
        world.ok("new")
    old = world.side(OTHER[to])
    before = (old.data / "postgresql.conf").read_text()
    with writers(world) as clients:
        process = world.spawn(to, fault="W8")
        process.communicate(timeout=60)
        old.start()
        until(lambda: world.open_sides() == [to], 20, "the watchdog to bring it to its end")
        old.rows("CHECKPOINT", dbname="postgres")
        # Written past the fence by somebody who insists: it is gone with the rewind, and was never acknowledged by the side that serves.
        old.rows("SET default_transaction_read_only = off; CREATE TABLE stray (a int)", dbname="wiki")
        outcome = world.ok(to)
    assert [step["action"] for step in outcome["plan"]] == ["cleanup"]
    assert any("rewound" in text for text in outcome["warnings"])
    clients.assert_lossless()
    assert (old.data / "postgresql.conf").read_text() == before
    assert old.in_recovery() and old.value("SELECT to_regclass('stray') IS NULL", dbname="wiki")
    assert world.ok(to)["changed"] is False


VICTIMS = [("W2", "legacy"), ("W6", "new"), ("W2", "new"), ("W5", "new"), ("W7", "new")]


@pytest.mark.parametrize(("point", "victim"), VICTIMS if ALL else VICTIMS[:2])
def test_a_server_killed_in_the_window(armed, writers, point, victim):
    """The module is held at the point while the server dies. Afterwards one side is open, and the same command converges."""
    world = armed
    with writers(world) as clients:
        process = world.spawn("new", fault=f"{point}:stop", window_attempts=1)
        stopped_at(process)
        world.side(victim).kill()
        os.kill(process.pid, signal.SIGCONT)
        out, _err = process.communicate(timeout=90)
        until(lambda: len(world.open_sides()) == 1, 40, "one open side")
        assert world.open_sides() == ["new" if point == "W7" else "legacy"], out
        acknowledged = len(clients.acknowledged)
        until(lambda: len(clients.acknowledged) > acknowledged, 20, "writes after the kill")
        if victim == "new" and world.open_sides() == ["legacy"] and not world.new.ctl("status") == 0:
            world.new.start()
        assert world.ok("new")["serving"] == "new"
    clients.assert_lossless()
    assert world.ok("new")["changed"] is False


def test_a_transaction_that_is_open_before_the_fence_is_on_both_sides_or_the_window_is_given_up(armed):
    world = armed
    with world.legacy.connect(options="", user="hub", password="canary-app-3c2", autocommit=False) as client:
        client.execute("INSERT INTO ledger (key, amount) VALUES ('long', 1)")
        failure = world.run("new", window_attempts=1, drain_grace=0.3)["failure"]
        assert failure["code"] == "active_transactions" and failure["details"]["sessions"]
        assert world.open_sides() == ["legacy"]
        process = world.spawn("new", drain_grace=9, max_window=20)
        until(lambda: not world.legacy.takes_writes(), 60, "the fence")
        client.execute("INSERT INTO ledger (key, amount) VALUES ('late', 1)")
        client.commit()
    out, _err = process.communicate(timeout=60)
    assert '"serving": "new"' in out
    assert world.new.value("SELECT count(*) FROM ledger WHERE key IN ('long', 'late')") == 2
    world.new.rows("DELETE FROM ledger WHERE key IN ('long', 'late')")


def test_other_databases_are_fenced_too_and_opened_without_a_trace(armed):
    world = armed
    world.legacy.rows("CREATE DATABASE frozen", dbname="postgres")
    world.legacy.rows("ALTER DATABASE wiki SET work_mem = '5MB'", dbname="postgres")
    world.legacy.rows("ALTER DATABASE frozen SET default_transaction_read_only = on", dbname="postgres")
    text = "SELECT d.datname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setrole = 0"
    process = world.spawn("new", fault="W2:stop")
    stopped_at(process)
    fenced = {row["datname"]: row["setconfig"] for row in world.legacy.rows(text, dbname="postgres")}
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=60)
    assert all("default_transaction_read_only=on" in fenced[name] for name in ("hub", "wiki", "postgres", "frozen"))
    after = {row["datname"]: row["setconfig"] for row in world.new.rows(text, dbname="postgres")}
    assert after.pop("hub")[0].endswith(":commit")
    assert after == {"wiki": ["work_mem=5MB"], "frozen": ["default_transaction_read_only=on"]}
    world.new.rows("ALTER DATABASE wiki RESET work_mem", dbname="postgres")
    world.new.rows("DROP DATABASE frozen", dbname="postgres")
    until(lambda: not world.legacy.rows("SELECT 1 FROM pg_database WHERE datname = 'frozen'", dbname="postgres"), 10, "the standby to follow")


# --- before and after -----------------------------------------------------------------------------------------------------------------


def test_what_the_engine_does_not_do_is_refused_by_name(matrix):
    before = _facts(matrix)
    for state, more in (("new", {"guarantee": "sync"}), ("armed", {"trial_window": True}), ("legacy", {"accept_loss": True})):
        failure = matrix.run(state, **more)["failure"]
        assert failure["code"] == "invalid_value" and next(iter(more)) in failure["message"], failure
    assert _facts(matrix) == before


def test_what_stands_in_the_way_is_named_at_once_and_nothing_is_written():
    made = World(new=("max_connections = 50",))
    try:
        made.start()
        made.new.rows("CREATE DATABASE theirs", dbname="postgres")
        made.legacy.rows(f"CREATE TABLESPACE elsewhere LOCATION '{_folder(made)}'", dbname="postgres")
        made.legacy.rows("CREATE COLLATION other (provider = libc, locale = 'C')")
        made.legacy.rows("ALTER ROLE readers SET default_transaction_read_only = off", dbname="postgres")
        params = made.params("new")
        failure = made.run("armed", new={**params["new"], "data_directory": None})["failure"]
        assert failure["code"] == "no_engine" and "new: neither container, service nor data_directory" in failure["message"]
        before = _facts(made)
        failure = made.run("new")["failure"]
        assert failure["code"] == "no_engine"
        for reason in ("max_connections is 120 on legacy and 50 on new", "database theirs", "tablespace elsewhere", "account readers"):
            assert reason in failure["message"], failure["message"]
        told = made.ok("preflight")
        assert len([finding for finding in told["findings"] if finding["level"] == "fail"]) == 4
        assert {finding["code"] for finding in told["findings"] if finding["level"] == "warn"} == {"tls_weak"}
        assert _facts(made) == before
    finally:
        made.stop()


def test_an_order_of_text_without_a_version_is_another_one_in_every_database_and_auto_takes_logical():
    """The C library of Alpine tells no version; what it has sorted is marked by none. In a database that is not the one of the move, too."""
    made = World(new=("wal_level = logical",))
    orders = {"unnoted": "SET collversion = NULL", "noted": "SET collversion = '1.0'"}
    try:
        made.start()
        for name, update in orders.items():
            made.legacy.rows(f"CREATE COLLATION {name} (provider = icu, locale = 'de-u-co-phonebk')", dbname="wiki")
            made.legacy.rows(f"UPDATE pg_collation {update} WHERE collname = '{name}'", dbname="wiki")
        # A type of ranges is sorted by a collation as well.
        made.legacy.rows("CREATE TYPE words AS RANGE (subtype = text, collation = unnoted)", dbname="wiki")
        made.legacy.rows("CREATE TABLE t (a words PRIMARY KEY, b text COLLATE noted)", dbname="wiki")
        made.legacy.rows("CREATE DATABASE ordered TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'", dbname="postgres")
        made.legacy.rows("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'ordered'", dbname="postgres")
        before = _facts(made)
        for engine in ("physical", "auto"):
            failure = made.run("seeded", engine=engine, ignore_databases=["wiki", "ordered"])["failure"]
            assert failure["code"] == "no_engine", failure
            for reason in ("public.unnoted was made with version none of locale de-u-co-phonebk", "public.noted was made with version 1.0",
                           "database ordered was made with version 1.0 of locale de"):
                assert reason in failure["message"], failure["message"]
        told = made.ok("seeded", engine="auto", allow_legacy_restart=True, ignore_databases=["wiki", "ordered"], check_mode=True)
        assert told["engine"] == "logical" and _facts(made) == before
        # What stands in the way is gone with the orders.
        made.legacy.rows("DROP TABLE t; DROP TYPE words; DROP COLLATION unnoted; DROP COLLATION noted", dbname="wiki")
        made.legacy.rows("DROP DATABASE ordered", dbname="postgres")
        assert made.ok("seeded", engine="physical", check_mode=True)["engine"] == "physical"
    finally:
        made.stop()


def _folder(made: World) -> Path:
    folder = made.home / "elsewhere"
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    return folder


def _facts(made: World) -> list:
    """What a write would show in; the position of the log moves by itself."""
    queries = ("SELECT rolname FROM pg_roles ORDER BY 1", "SELECT slot_name FROM pg_replication_slots", "SELECT datname FROM pg_database",
               "SELECT setconfig FROM pg_db_role_setting ORDER BY 1", "SELECT proacl::text FROM pg_proc WHERE proname ~ '^pg_(ls|read|stat)_'")
    return [
        [(cluster.data / "postgresql.auto.conf").read_text(), sorted(path.name for path in cluster.data.iterdir()),
         *(cluster.rows(text, dbname="postgres") for text in queries)]
        for cluster in made.clusters]


def test_auto_takes_it_where_logical_cannot_and_goes_on_with_it(world):
    foreseen = world.ok("seeded", engine="auto", check_mode=True)
    assert foreseen["engine"] == "physical" and "Every condition" in foreseen["engine_reason"]
    assert world.run("seeded", engine="auto", guarantee="sync")["failure"]["code"] == "invalid_value"
    done = world.ok("seeded", engine="auto")
    assert (done["plan"], done["engine"], done["phase_after"]) == (foreseen["plan"], "physical", "seeded")
    again = world.ok("seeded", engine="auto")
    assert (again["changed"], again["engine"], again["engine_reason"]) == (False, "physical", "both servers are one cluster")


def test_check_mode_writes_nothing_a_killed_seed_continues_and_the_pair_can_be_taken_away(world, writers):
    """One way through what is not a switch: foreseen, interrupted twice, done, switched, finished."""
    before = _facts(world)
    foreseen = world.ok("armed", check_mode=True)
    assert (_facts(world), foreseen["phase_after"]) == (before, "armed")
    conf = (world.new.data / "postgresql.conf").read_text()
    with writers(world) as clients:
        process = world.spawn("armed")
        until((world.new.data / "pgcut.seed").exists, 30, "the base backup")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert world.ok("armed", check_mode=True)["phase_before"] == "prepared"
        process = world.spawn("armed")
        until(lambda: (world.new.data / "pgcut.old").exists() or (world.new.data / "standby.signal").exists(), 60, "the exchange")
        process.kill()
        process.communicate()
        done = world.ok("armed")
        assert (done["phase_after"], done["rollback"]["armed"]) == ("armed", True)
        assert foreseen["plan"][-1] == done["plan"][-1]
        told = world.ok("info")
        assert (told["engine"], told["phase"], told["serving"], told["rollback"]["armed"]) == ("physical", "armed", "legacy", True)
        switch = world.ok("new", check_mode=True)
        real = world.ok("new")
        assert switch["plan"] == real["plan"]
        assert 0.3 < switch["predicted_window_ms"] / real["window_ms"] < 3
    clients.assert_lossless()
    assert (world.new.data / "postgresql.conf").read_text() == conf
    assert not list(world.new.data.glob("pgcut.*"))
    assert world.ok("finished")["phase_after"] == "finished"
    assert world.ok("finished")["changed"] is False
    assert world.run("legacy")["failure"]["code"] == "loss_possible"
    assert world.new.rows("SELECT slot_name FROM pg_replication_slots", dbname="postgres") == []


def test_a_move_that_is_given_up_leaves_nothing_on_legacy(world):
    """State absent: settings, slots, accounts and rights of legacy as before, and a standby that is stopped."""
    texts = (
        "SELECT name, setting, source FROM pg_settings WHERE source <> 'default' AND source NOT IN ('client', 'session') ORDER BY 1",
        "SELECT slot_name FROM pg_replication_slots", "SELECT rolname, rolpassword, shobj_description(oid, 'pg_authid') FROM pg_authid ORDER BY 1",
        "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
        "SELECT p.proname, a.grantee::regrole::text FROM pg_proc p, aclexplode(p.proacl) a WHERE proname LIKE 'pg\\_%file' ORDER BY 1, 2",
    )

    def said():
        return [world.legacy.rows(text, dbname="postgres") for text in texts]

    before = said()
    world.ok("armed")
    there = said()
    foreseen = world.ok("absent", check_mode=True)
    assert said() == there != before
    done = world.ok("absent")
    assert foreseen["plan"] == done["plan"] and [step["action"] for step in done["plan"]] == ["stop", "withdraw"]
    assert said() == before and world.legacy.takes_writes()
    world.new.start()
    assert [step["action"] for step in world.ok("absent")["plan"]] == ["stop"]
    assert world.ok("absent")["changed"] is False


def test_a_cluster_whose_other_side_serves_is_not_given_up(armed):
    armed.ok("new")
    failure = armed.run("absent")["failure"]
    assert failure["code"] == "conflict" and "state: legacy first" in failure["remedy"]
    assert armed.open_sides() == ["new"] and armed.ok("info")["rollback"]["armed"] is True
    armed.ok("legacy")
    assert [step["action"] for step in armed.ok("absent", check_mode=True)["plan"]] == ["stop", "withdraw"]


def test_a_host_that_may_not_stream_is_told_the_line_that_lets_it(world):
    hba = world.legacy.data / "pg_hba.conf"
    lines = hba.read_text().splitlines(keepends=True)
    hba.write_text("".join(line for line in lines if line.split()[1:2] != ["replication"]))
    world.legacy.rows("SELECT pg_reload_conf()", dbname="postgres")
    failure = world.run("armed")["failure"]
    assert failure["code"] == "link_auth", failure
    needed = failure["remedy"].partition("Streaming needs: ")[2].replace("<address of new>", "127.0.0.1/32")
    hba.write_text(f"{needed}\n{hba.read_text()}")
    world.legacy.rows("SELECT pg_reload_conf()", dbname="postgres")
    assert world.ok("armed")["phase_after"] == "armed"


def test_a_server_that_is_down_or_sought_in_another_place_is_named_and_the_remedy_ends_it(armed):
    params = armed.params("armed")
    armed.new.stop()
    elsewhere = armed.run("new", new={**params["new"], "data_directory": "/nowhere"})["failure"]
    assert "data_directory" in elsewhere["message"] + elsewhere["remedy"], elsewhere
    armed.new.start()
    assert armed.ok("armed", check_mode=True)["phase_before"] == "armed"
    armed.legacy.stop()
    failure = armed.run("new")["failure"]
    assert failure["code"] == "unreachable" and "Start it" in failure["remedy"], failure
    armed.legacy.start()
    assert armed.ok("new", check_mode=True)["plan"]


@pytest.mark.parametrize(("option", "given", "word"), [("guarantee", "sync", "guarantee"), ("trial_window", True, "trial_window")])
def test_what_is_left_away_is_refused_no_more(armed, option, given, word):
    state = "armed" if option == "trial_window" else "new"
    failure = armed.run(state, **{option: given})["failure"]
    assert failure["code"] == "invalid_value" and word in failure["message"] and "Leave it away" in failure["remedy"]
    armed.ok(state, check_mode=True)
