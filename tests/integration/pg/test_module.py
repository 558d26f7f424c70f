# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What surrounds a switch: check mode, preflight, locks, sessions, routing, comparison, freeze, secrets, the end of a pair."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import psycopg
import pytest

rig = sys.modules["bowline_pg_rig"]
wait_until, failed = rig.until, rig.failed

CATALOGS = (
    "SELECT datname, datallowconn FROM pg_database ORDER BY 1",
    "SELECT setdatabase = 0 AS every, setrole = 0 AS anyone, setconfig FROM pg_db_role_setting ORDER BY 1, 2, 3",
    "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1",
    "SELECT slot_name FROM pg_replication_slots ORDER BY 1",
    "SELECT subname, subenabled FROM pg_subscription ORDER BY 1",
)


def written(world):
    """Everything a cutover could write, and the next transaction id: reading takes none."""
    return [
        [cluster.rows(text, dbname="postgres") for text in (*CATALOGS, "SELECT pg_snapshot_xmax(pg_current_snapshot())")]
        for cluster in world.clusters
    ]


@pytest.fixture
def armed(pair):
    for cluster in pair.clusters:
        if cluster.process is None:
            cluster.start()
        # What a failed test has left open would fail the next ones as well.
        cluster.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hub'", dbname="postgres")
    if pair.open_sides() != ["legacy"]:
        pair.ok("legacy", verify="none")
    pair.ok("armed")
    return pair


# --- check mode and preflight -----------------------------------------------------------------------------------------------------


def test_check_mode_writes_nothing_and_foresees_every_step(world):
    before = written(world)
    for state in ("preflight", "seeded", "armed", "new"):
        assert world.ok(state, check_mode=True)["phase_before"] == "empty"
    assert written(world) == before
    foreseen = world.ok("new", check_mode=True)
    done = world.ok("new")
    assert foreseen["plan"] == done["plan"]
    assert (foreseen["phase_after"], foreseen["serving"], foreseen["changed"]) == (done["phase_after"], done["serving"], True)
    assert foreseen["diff"] == done["diff"]
    before = written(world)
    back = world.ok("legacy", check_mode=True)
    assert written(world) == before
    assert back["plan"] == world.ok("legacy")["plan"]
    assert 0.3 < foreseen["predicted_window_ms"] / done["window_ms"] < 3


def test_all_findings_at_once_and_nothing_is_written(world):
    world.legacy.rows("CREATE TABLE loose (a json)")
    world.legacy.rows("CREATE DATABASE wiki", dbname="postgres")
    world.legacy.rows("CREATE SEQUENCE tiny AS smallint; SELECT setval('tiny', 32000)")
    world.legacy.rows("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    world.legacy.rows("CREATE TRIGGER always BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION f()")
    world.legacy.rows("ALTER TABLE ledger ENABLE ALWAYS TRIGGER always")
    world.legacy.rows("CREATE UNLOGGED TABLE scratch (a int)")
    world.legacy.rows("ALTER ROLE hub SET default_transaction_read_only = off", dbname="postgres")
    world.new.rows("CREATE DATABASE hub", dbname="postgres")
    world.new.rows("CREATE TABLE theirs (a int)")
    try:
        before = written(world)
        failure = failed(world.run("new"), "preflight_failed")
        assert written(world) == before
        findings = {finding["object"]: finding["level"] for finding in failure["details"]["findings"]}
        assert {name for name, level in findings.items() if level == "fail"} == {
            "public.loose", "database wiki", "public.tiny", "public.ledger.always", "hub", "new.dbname"}
        assert findings["public.scratch"] == findings["public.keyless"] == "warn"
        assert all(finding["message"] for finding in failure["details"]["findings"])
        told = world.ok("preflight", ignore_databases=["wiki"])
        assert "database wiki" not in {finding["object"] for finding in told["findings"]}
        assert written(world) == before
    finally:
        world.legacy.rows("DROP DATABASE wiki", dbname="postgres")


def test_an_empty_database_on_new_is_taken_over(world):
    world.new.rows("CREATE ROLE hub LOGIN PASSWORD 'its own'; ", dbname="postgres")
    world.new.rows("CREATE DATABASE hub OWNER hub", dbname="postgres")
    assert world.ok("seeded")["phase_after"] == "seeded"
    assert world.new.value("SELECT count(*) FROM events") == 3000


@pytest.mark.parametrize(("change", "code"), [
    pytest.param({"new": {"port": 1}}, "unreachable", id="no server"),
    pytest.param({"new": {"passfile": "/dev/null"}}, "auth", id="no password"),
    pytest.param({"legacy": {"hots": "x"}}, "unknown_key", id="misspelt"),
    pytest.param({"engine": "physical"}, "no_engine", id="engine"),
    pytest.param({"link": None}, "invalid_value", id="no link"),
])
def test_bad_input(armed, change, code):
    params = armed.params("new")
    more = {name: {**params[name], **value} if isinstance(value, dict) else value for name, value in change.items()}
    remedy = failed(armed.run("new", **more), code)["remedy"]
    assert any(word in remedy for word in (*change, "keys")), remedy
    # The remedy: what is named is put right.
    assert armed.ok("new", check_mode=True)["plan"]


def test_a_planned_server_need_not_answer_yet(world):
    params = world.params("armed")
    planned = {"new": {**params["new"], "port": 1}, "new_planned": True}
    foreseen = world.ok("armed", check_mode=True, **planned)
    assert [step["action"] for step in foreseen["plan"]][-1] == "arm"
    assert world.ok("preflight", **planned)["findings"]
    failed(world.run("armed", **planned), "unreachable")


def test_a_link_that_is_refused_is_named_with_its_direction(world):
    passfile = world.new.home / "wrong.pgpass"
    passfile.write_text("*:*:*:pgcut_repl:wrong\n")
    passfile.chmod(0o600)
    link = world.params("seeded")["link"]
    failure = failed(world.run("seeded", link={**link, "to_legacy": {**link["to_legacy"], "passfile": str(passfile)}}), "link_auth")
    assert (failure["details"]["from"], failure["details"]["to"]) == ("new", "legacy")
    assert "host hub pgcut_repl" in failure["remedy"]
    failure = failed(world.run("seeded", link={**link, "to_new": {**link["to_new"], "port": 1}}), "link_unreachable")
    assert (failure["details"]["from"], failure["details"]["to"]) == ("legacy", "new")
    assert world.ok("seeded")["phase_after"] == "seeded"


# --- one run at a time, and reading meanwhile -------------------------------------------------------------------------------------


def test_a_second_run_says_who_holds_the_pair(world):
    world.ok("seeded")
    first = world.spawn("armed", fault="A1:stop")
    try:
        wait_until(lambda: Path(f"/proc/{first.pid}/stat").read_text().split(") ")[1].startswith("T"), 20, "the first run to stop")
        failure = failed(world.run("armed", wait_timeout=1), "locked")
        assert f":{first.pid}" in failure["message"] and failure["details"]["age"] > 0
        seen = world.ok("info")
        assert (seen["phase"], seen["serving"]) == ("seeded", "legacy")
        assert f":{first.pid}" in seen["holder"]["application_name"]
    finally:
        first.send_signal(signal.SIGCONT)
    out, _err = first.communicate(timeout=30)
    assert json.loads(out)["phase_after"] == "armed"
    # The remedy: it was waited for.
    assert world.ok("armed", wait_timeout=1)["changed"] is False


def test_info_tells_the_way_back_and_never_takes_silence_for_an_answer(armed):
    seen = armed.ok("info")
    assert (seen["phase"], seen["serving"], seen["failures"]) == ("armed", "legacy", {})
    armed.ok("new", verify="none")
    wait_until(lambda: armed.ok("info")["rollback"]["armed"], 10, "the way back")
    seen = armed.ok("info")
    assert (seen["serving"], seen["rollback"]["reason"]) == ("new", "")
    params = armed.params("info")
    alone = armed.ok("info", legacy={**params["legacy"], "port": 1})
    assert (alone["phase"], alone["serving"], alone["facts"]["legacy"]) == ("unknown", "new", None)
    assert alone["failures"]["legacy"]["code"] == "unreachable" and alone["rollback"]["armed"] is False
    closed = armed.ok("info", new={**params["new"], "port": 1})
    assert (closed["serving"], closed["facts"]["new"]) == ("unknown", None)


# --- sessions ---------------------------------------------------------------------------------------------------------------------


def test_a_transaction_that_does_not_end_gives_the_window_up(armed):
    with armed.legacy.connect(options="", user="hub", password="canary-app-3c2", autocommit=False, application_name="slow job") as held:
        held.execute("INSERT INTO ledger (key, amount) VALUES ('held', 1)")
        failure = failed(armed.run("new", window_attempts=1, drain_grace=0.3), "active_transactions")
        assert "slow job" in failure["message"]
        assert armed.open_sides() == ["legacy"]
        held.commit()
    assert armed.legacy.value("SELECT count(*) FROM ledger WHERE key = 'held'") == 1
    assert armed.ok("new", drain_grace=0.3, verify="none")["serving"] == "new"


def test_a_session_that_began_inside_a_window_that_was_given_up_is_ended(armed):
    """It would refuse to write for as long as a pool keeps it."""
    process = armed.spawn("new", fault="W3:stop", max_window=2.5, drain_grace=1, window_attempts=1)
    try:
        wait_until(lambda: armed.open_sides() == [], 20, "the window")
        late = armed.legacy.connect(options="", user="hub", password="canary-app-3c2")
        assert late.execute("SHOW transaction_read_only").fetchone()["transaction_read_only"] == "on"
        wait_until(lambda: armed.open_sides() == ["legacy"], 10, "the watchdog")
        wait_until(lambda: armed.legacy.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", late.info.backend_pid) == 0, 5, "its end")
    finally:
        process.kill()
        process.communicate()


def test_a_transaction_that_ends_in_time_is_on_both_sides(armed):
    held = armed.legacy.connect(options="", user="hub", password="canary-app-3c2", autocommit=False)
    held.execute("INSERT INTO ledger (key, amount) VALUES ('in time', 1)")
    timer = threading.Thread(target=lambda: (wait_until(lambda: armed.open_sides() == [], 20, "the window"), held.commit()))
    timer.start()
    outcome = armed.ok("new", drain_grace=4, on_active="abort")
    timer.join()
    assert outcome["drained"]["waited"] >= 1
    assert [cluster.value("SELECT count(*) FROM ledger WHERE key = 'in time'") for cluster in armed.clusters] == [1, 1]


def test_terminate_ends_it_and_it_is_on_neither_side(armed):
    held = armed.legacy.connect(options="", user="hub", password="canary-app-3c2", autocommit=False)
    held.execute("INSERT INTO ledger (key, amount) VALUES ('ended', 1)")
    assert armed.ok("new", drain_grace=0.3, on_active="terminate")["drained"]["terminated"] == 1
    with pytest.raises(psycopg.Error):
        held.commit()
    assert [cluster.value("SELECT count(*) FROM ledger WHERE key = 'ended'") for cluster in armed.clusters] == [0, 0]


def test_a_prepared_transaction_gives_the_window_up(armed):
    with armed.legacy.connect(options="") as other:
        other.execute("BEGIN; INSERT INTO ledger (key, amount) VALUES ('prepared', 1); PREPARE TRANSACTION 'p1'")
        failed(armed.run("new", window_attempts=1), "prepared_transactions")
        assert armed.open_sides() == ["legacy"]
        other.execute("ROLLBACK PREPARED 'p1'")


def test_a_session_that_read_its_defaults_before_the_fence_cannot_write(armed):
    """Pool sessions of both sides are ended: those on the source before, those on the target after the opening."""
    before = [cluster.connect(options="", user="hub", password="canary-app-3c2") for cluster in armed.clusters]
    armed.ok("new", verify="none")
    for session in before:
        with pytest.raises(psycopg.OperationalError):
            session.execute("INSERT INTO ledger (key, amount) VALUES ('late', 1)")
    with armed.legacy.connect(options="", user="hub", password="canary-app-3c2") as late:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            late.execute("INSERT INTO ledger (key, amount) VALUES ('late', 1)")


# --- servers that die inside the window -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "victim", "serves"), [
    ("W1", "new", "legacy"), ("W5", "new", "legacy"), ("W6", "new", "legacy"), ("W7", "legacy", "new"),
])
def test_a_server_killed_in_the_window(armed, writers, point, victim, serves):
    """kill -9 of a whole server: the writes come back or have moved, both sides are never open, and the same command converges."""
    with writers(armed) as clients:
        process = armed.spawn("new", fault=f"{point}:stop", verify="none", window_attempts=1)
        wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1].startswith("T"), 30, "the point")
        cluster = getattr(armed, victim)
        cluster.stop(9)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        assert json.loads(out)["failed"] is True, err
        other = armed.legacy if victim == "new" else armed.new
        wait_until(other.takes_writes, 15, "the writes")
        assert other.name == serves
        cluster.start()
        assert armed.open_sides() == [serves]
        assert armed.ok("new")["serving"] == "new"
    clients.assert_lossless()
    assert armed.ok("new")["changed"] is False


def test_the_module_and_the_target_die_together(armed, writers):
    """Only the watchdog is left: the commit was never sent, so it opens the source although the target does not answer."""
    with writers(armed) as clients:
        process = armed.spawn("new", fault="W5:stop", verify="none")
        wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1].startswith("T"), 30, "the point")
        armed.new.stop(9)
        process.kill()
        wait_until(armed.legacy.takes_writes, 15, "the watchdog")
        armed.new.start()
        assert armed.ok("new")["serving"] == "new"
    clients.assert_lossless()


# --- router -----------------------------------------------------------------------------------------------------------------------


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def router(home: Path, **more):
    log = home / "router.log"
    log.unlink(missing_ok=True)
    program = script(home / "router", f'echo "$@" >> {log}')
    commands = {name: [[program, name, "{side}"]] for name in ("pause", "route", "warmup", "resume")}
    return {"type": "command", "timeout": 5, **commands, **more}, log


def test_the_router_is_called_in_order(armed):
    commands, log = router(armed.home)
    outcome = armed.ok("new", router=commands)
    assert log.read_text().splitlines() == ["pause legacy", "route new", "warmup new", "resume new"]
    assert outcome["pause_ms"] >= outcome["window_ms"] >= outcome["database_ms"] > 0
    assert armed.ok("new", router=commands)["changed"] is False
    assert len(log.read_text().splitlines()) == 4


def test_a_pause_that_fails_ends_before_the_fence(armed):
    commands, log = router(armed.home)
    commands["pause"] = [["false"]]
    epochs = armed.ok("info")["epoch"]
    failed(armed.run("new", router=commands, window_attempts=1), "router_failed")
    assert log.read_text().splitlines() == ["route legacy", "warmup legacy", "resume legacy"]
    assert armed.open_sides() == ["legacy"] and armed.ok("info")["epoch"] == epochs


def test_a_route_that_fails_leaves_new_open_and_the_next_run_routes(armed):
    commands, log = router(armed.home)
    failed(armed.run("new", router={**commands, "route": [["false"]]}), "router_failed")
    assert armed.open_sides() == ["new"] and armed.ok("info")["phase"] == "switched_cleanup"
    log.unlink()
    outcome = armed.ok("new", router=commands)
    assert [step["action"] for step in outcome["plan"]] == ["cleanup"]
    assert log.read_text().splitlines() == ["route new", "warmup new", "resume new"]


def test_the_watchdog_routes_to_the_side_that_is_open(armed):
    for point, side in (("W6", "legacy"), ("W7", "new")):
        commands, log = router(armed.home)
        process = armed.spawn("new", fault=point, router=commands, verify="none")
        process.communicate(timeout=60)
        wait_until(lambda log=log: log.exists() and "resume" in log.read_text(), 5, "the release")
        assert log.read_text().splitlines() == ["pause legacy", f"route {side}", f"warmup {side}", f"resume {side}"]
        assert armed.open_sides() == [side]


# --- comparison -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plant", "table", "mode"), [
    pytest.param("UPDATE events SET note = 'x' || substr(note, 2) WHERE id = 17", "public.events_a", "hash", id="changed byte"),
    pytest.param("UPDATE events SET note = 'x' || substr(note, 2) WHERE id = 17", "public.events_a", "md5", id="changed byte, md5"),
    pytest.param('DELETE FROM "Größe" WHERE "Schlüssel" = 9', "public.Größe", "hash", id="missing row"),
    pytest.param("INSERT INTO balance VALUES ('extra', 1)", "public.balance", "counts", id="extra row"),
    pytest.param("UPDATE keyless SET b = 'planted' WHERE a = 3", "public.keyless", "hash", id="keyless"),
])
def test_a_planted_difference_is_found(world, plant, table, mode):
    world.ok("armed")
    world.new.rows(plant)
    failure = failed(world.run("new", verify=mode), "rows_differ")
    found = failure["details"]["verify"]["mismatches"]
    assert [entry["table"] for entry in found] == [table]
    assert world.open_sides() == ["new"]
    if mode != "counts" and table != "public.keyless":
        assert len(found[0]["keys"]) == 1
    if mode == "counts":
        # The remedy: back, where nothing was lost, and the copy anew.
        assert world.ok("legacy", verify="none")["serving"] == "legacy"
        world.ok("absent")
        assert world.ok("new")["verify"]["equal"] is True


def test_a_shifted_sequence_and_a_changed_large_object_are_put_right(world):
    world.ok("armed")
    world.new.rows("SELECT setval('counters.ticket', 5000)")
    oid = world.legacy.value("SELECT oid FROM pg_largeobject_metadata")
    world.legacy.rows("SELECT lo_put(%s, 1, '\\xff')", oid)
    world.legacy.rows("SELECT lo_from_bytea(0, '\\xaa')")
    outcome = world.ok("new")
    assert outcome["verify"]["equal"] is True and outcome["sequences"] >= 3
    texts = ("SELECT last_value, is_called FROM counters.ticket", "SELECT lo_get(oid) AS data FROM pg_largeobject_metadata ORDER BY oid")
    assert [world.legacy.rows(text) for text in texts] == [world.new.rows(text) for text in texts]


# --- freeze, drift, the end -------------------------------------------------------------------------------------------------------


def test_ddl_is_refused_on_the_side_that_serves_and_temporary_tables_pass(armed):
    for to, cluster in (("legacy", armed.legacy), ("new", armed.new)):
        armed.ok(to, verify="none")
        with cluster.connect(options="") as application:
            for refused in ("CREATE TABLE more ()", "ALTER TABLE ledger ADD x int", "DROP INDEX child_parent", "GRANT ALL ON ledger TO hub"):
                with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
                    application.execute(refused)
            application.execute("CREATE TEMP TABLE t (a serial); CREATE INDEX ON t (a); DROP TABLE t")
            application.execute("ANALYZE ledger; REFRESH MATERIALIZED VIEW totals")


def test_drift_closes_the_way_back_until_it_is_healed(armed):
    armed.ok("new", verify="none")
    wait_until(lambda: armed.ok("info")["rollback"]["armed"], 10, "the way back")
    armed.new.rows("CREATE TABLE only_here (a int PRIMARY KEY)")
    seen = armed.ok("info")["rollback"]
    assert seen["armed"] is False and "only_here" in seen["reason"]
    failure = failed(armed.run("legacy"), "schema_drift")
    assert any("only_here" in finding["object"] for finding in failure["details"]["findings"])
    assert armed.open_sides() == ["new"]
    armed.new.rows("DROP TABLE only_here")
    assert armed.ok("legacy")["serving"] == "legacy"


def test_the_end_of_a_pair_leaves_nothing_but_the_fence(world):
    world.ok("new")
    assert world.legacy.value("SELECT relreplident::text FROM pg_class WHERE relname = 'keyless'") == "f"
    done = world.ok("finished")
    assert (done["phase_after"], done["serving"], done["rollback"]["guarantee"]) == ("finished", "new", "none")
    for cluster in world.clusters:
        for name in ("pg_replication_slots", "pg_subscription", "pg_publication", "pg_event_trigger",
                     "pg_namespace WHERE nspname = 'pgcut'",
                     "pg_class WHERE relname IN ('keyless', 'unique_only') AND relreplident <> 'd'"):
            assert cluster.rows(f"SELECT 1 FROM {name}") == []
        assert cluster.value("SHOW wal_retrieve_retry_interval") == "5s"
    assert world.open_sides() == ["new"]
    assert world.ok("finished")["changed"] is False
    failed(world.run("legacy"), "loss_possible")


# --- secrets ----------------------------------------------------------------------------------------------------------------------


def test_no_secret_in_logs_arguments_or_results(world):
    """Both servers log every statement; arguments of all processes are sampled while the copy is made."""
    sizes = {cluster.name: cluster.log.stat().st_size for cluster in world.clusters}
    seen, stop = set(), threading.Event()

    def sample():
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue

    sampler = threading.Thread(target=sample)
    sampler.start()
    world.ok("new")
    world.ok("legacy")
    stop.set()
    sampler.join()
    programs = b" ".join(seen)
    assert b"pg_dump" in programs
    verifier = world.legacy.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'hub'", dbname="postgres")
    assert verifier == world.new.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'hub'", dbname="postgres")
    for cluster in world.clusters:
        told = cluster.log.read_bytes()[sizes[cluster.name]:].decode(errors="replace")
        assert "CREATE SUBSCRIPTION" in told or cluster.name == "legacy"
        for secret in ("canary", verifier, "SCRAM-SHA-256$"):
            assert secret not in told
    # Of other tests beside this one, whose words begin alike, nothing is said here.
    for secret in (rig.SUPER, rig.LINK, "canary-app-3c2", verifier, "SCRAM-SHA-256$"):
        assert secret.encode() not in programs
