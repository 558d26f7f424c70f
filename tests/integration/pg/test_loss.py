# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""accept_loss: legacy is opened without what new did not send only when it is asked for, and a new server that comes back is closed."""

from __future__ import annotations

import signal
import socket
import sys

import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.faults import LOSS_POINTS

rig = sys.modules["bowline_pg_rig"]
wait_until, failed = rig.until, rig.failed

WRITTEN = (
    "SELECT setdatabase = 0 AS every, setrole = 0 AS anyone, setconfig FROM pg_db_role_setting ORDER BY 1, 2, 3",
    "SELECT slot_name FROM pg_replication_slots ORDER BY 1",
    "SELECT subname, subenabled FROM pg_subscription ORDER BY 1",
)
SERVES = {"client": {"options": "", "user": "hub", "password": "canary-app-3c2"}}


def actions(outcome):
    return [step["action"] for step in outcome["plan"]]


def written(cluster):
    return [cluster.rows(text, dbname="postgres") for text in WRITTEN]


def write(cluster, key):
    with cluster.connect(**SERVES["client"]) as client:
        return client.execute("INSERT INTO ledger (key, amount) VALUES (%s, 1) RETURNING id", (key,)).fetchone()["id"]


def arrived(world, key):
    wait_until(lambda: world.legacy.value("SELECT count(*) FROM ledger WHERE key = %s", key) == 1, 10, f"{key} on legacy")


@pytest.fixture
def served(world):
    """New serves, and a row of it is on legacy."""
    world.ok("new", verify="none")
    for number in range(40):
        write(world.new, f"kept {number}")
    arrived(world, "kept 39")
    return world


@pytest.mark.parametrize("armed", [False, True], ids=["new", "new_armed"])
def test_new_is_dead_and_comes_back(served, armed):
    """The whole story: refused, accepted, repeated, closed when it returns, saved, and a new cutover."""
    world = served
    if armed:
        world.ok("armed")
    last = world.new.value("SELECT max(id) FROM ledger")
    world.new.stop(9)
    before = written(world.legacy)
    failure = failed(world.run("legacy"), "loss_possible")
    assert failure["details"]["loss"]["ids"]["public.ledger"] == last and f"up to {last}" in failure["message"]
    assert "state: legacy and accept_loss: true" in failure["remedy"] and failure["details"]["new"] == "refused"
    foreseen = world.ok("legacy", accept_loss=True, check_mode=True)
    assert written(world.legacy) == before and world.legacy.takes_writes() is False
    reader = world.legacy.connect(**SERVES["client"])
    told = world.ok("legacy", accept_loss=True)
    assert actions(told) == actions(foreseen) == ["abandon", "leave"] and foreseen["serving"] == told["serving"] == "legacy"
    assert foreseen["phase_after"] == told["phase_after"] == "abandoned"
    assert (told["loss"]["guarantee"], told["loss"]["new"]) == ("async", "refused")
    assert told["rollback"]["armed"] is False and any("could not be closed" in warning for warning in told["warnings"])
    # Numbers go on behind the rows that arrived, also where replication brought no sequence.
    assert told["loss"]["sequences"]["public.ledger_id_seq"] == last and write(world.legacy, "after") == last + 1
    with pytest.raises(psycopg.OperationalError):
        reader.execute("SELECT 1")
    assert written(world.legacy)[1:] == [[], []]
    again = world.ok("legacy", accept_loss=True)
    assert (again["changed"], again["plan"], again["serving"]) == (False, [], "legacy")
    assert world.ok("legacy")["changed"] is False

    world.new.start()
    assert set(world.open_sides()) == {"legacy", "new"}
    write(world.new, "written behind our back")
    seen = world.ok("info")
    assert (seen["phase"], seen["serving"]) == ("abandoned", "legacy")
    for state in ("new", "seeded", "armed", "finished"):
        assert "state: legacy" in failed(world.run(state), "target_not_fenced")["remedy"]
    assert set(world.open_sides()) == {"legacy", "new"}
    pool = world.new.connect(**SERVES["client"])
    assert actions(world.ok("legacy", check_mode=True)) == ["close"]
    closed = world.ok("legacy")
    assert (actions(closed), closed["phase_after"], closed["serving"]) == (["close"], "abandoned_fenced", "legacy")
    assert world.open_sides() == ["legacy"]
    with pytest.raises(psycopg.OperationalError):
        pool.execute("SELECT 1")
    assert world.new.rows("SELECT 1 FROM pg_replication_slots") == world.new.rows("SELECT 1 FROM pg_subscription") == []
    assert world.ok("legacy")["changed"] is False and world.ok("info")["serving"] == "legacy"

    # Its rows are still there, and no seed overwrites them.
    for state in ("seeded", "armed", "new", "finished"):
        assert "RENAME TO" in failed(world.run(state), "loss_possible")["remedy"]
    assert world.new.value("SELECT count(*) FROM ledger WHERE key = 'written behind our back'") == 1
    world.new.rows('ALTER DATABASE "hub" RENAME TO "hub_abandoned"', dbname="postgres")
    try:
        assert world.ok("new")["verify"]["equal"] is True
        write(world.new, "there again")
        assert world.ok("legacy")["verify"]["equal"] is True
        assert world.legacy.value("SELECT count(*) FROM ledger WHERE key IN ('after', 'there again')") == 2
    finally:
        world.new.rows("DROP DATABASE hub_abandoned WITH (FORCE)", dbname="postgres")


@pytest.fixture
def black_hole():
    """An address that does not answer at all: its queue is full, so the kernel drops what comes."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_silence_is_no_proof(served, black_hole):
    """The module looks for new where nothing answers; legacy knows the right address."""
    world = served
    cut = {"new": {**world.params("legacy")["new"], "port": black_hole}}
    before = written(world.legacy)
    for accept in (False, True):
        failure = failed(world.run("legacy", accept_loss=accept, **cut), "target_not_fenced")
        assert failure["details"]["new"] == "alive"
    assert written(world.legacy) == before and world.open_sides() == ["new"]
    world.new.stop(9)
    failure = failed(world.run("legacy", **cut), "target_not_fenced")
    assert failure["details"]["new"] == "silent" and "power its host off" in failure["remedy"]
    assert written(world.legacy) == before
    told = world.ok("legacy", accept_loss=True, **cut)
    assert (told["serving"], told["loss"]["new"]) == ("legacy", "silent")


def test_a_server_that_hangs_is_not_stopped(served):
    """Its kernel still answers, and it may go on at any time."""
    world = served
    world.new.process.send_signal(signal.SIGSTOP)
    try:
        failure = failed(world.run("legacy", accept_loss=True), "target_not_fenced")
        assert failure["details"]["new"] == "alive" and world.legacy.takes_writes() is False
    finally:
        world.new.process.send_signal(signal.SIGCONT)
    assert world.ok("legacy")["verify"]["equal"] is True


def nobody_follows(world, how):
    if how == "subscription":
        for text in ("DISABLE", "SET (slot_name = NONE)"):
            world.legacy.rows(f"ALTER SUBSCRIPTION pgcut_rev {text}")
        world.legacy.rows("DROP SUBSCRIPTION pgcut_rev")
    else:
        world.legacy.rows("ALTER SUBSCRIPTION pgcut_rev DISABLE")
        wait_until(lambda: not world.new.value("SELECT bool_or(active) FROM pg_replication_slots"), 10, "the sender to end")
        world.new.rows("SELECT pg_drop_replication_slot('pgcut_rev')")
        world.legacy.rows("ALTER SUBSCRIPTION pgcut_rev ENABLE")
    write(world.new, "missing")


@pytest.mark.parametrize(("how", "guarantee"), [("subscription", "async"), ("slot", "async"), ("subscription", "sync")])
def test_new_serves_and_nothing_follows_it(world, how, guarantee):
    world.ok("new", verify="none", guarantee=guarantee)
    write(world.new, "kept")
    arrived(world, "kept")
    if guarantee == "sync":
        world.new.rows("ALTER DATABASE hub SET synchronous_commit = 'local'", dbname="postgres")
    nobody_follows(world, how)
    pool = world.new.connect(**SERVES["client"])
    failure = failed(world.run("legacy"), "loss_possible")
    assert {"table": "public.ledger", "legacy": 1, "new": 2} in failure["details"]["loss"]["tables"]
    assert "public.ledger (1 rows on legacy, 2 on new)" in failure["message"] and world.open_sides() == ["new"]
    foreseen = world.ok("legacy", accept_loss=True, check_mode=True)
    assert world.open_sides() == ["new"]
    told = world.ok("legacy", accept_loss=True)
    assert actions(told) == actions(foreseen) == ["close", "abandon", "leave"]
    assert (told["phase_after"], told["serving"], told["loss"]["new"]) == ("abandoned_fenced", "legacy", "follows")
    assert foreseen["phase_after"] == told["phase_after"] and world.open_sides() == ["legacy"]
    with pytest.raises(psycopg.OperationalError):
        pool.execute("SELECT 1")
    assert world.new.value("SELECT count(*) FROM ledger WHERE key = 'missing'") == 1
    assert world.new.value("SHOW synchronous_standby_names") == ""
    assert write(world.legacy, "goes on") == 2
    assert world.ok("legacy", accept_loss=True)["changed"] is False


@pytest.mark.parametrize("point", LOSS_POINTS)
def test_killed_on_the_way_it_goes_on_and_never_both_are_open(served, point):
    world = served
    nobody_follows(world, "subscription" if point != "L2" else "slot")
    process = world.spawn("legacy", fault=point, accept_loss=True)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert world.open_sides() == (["legacy"] if point == "L3" else [])
    if point != "L3":
        failed(world.run("legacy"), "loss_possible")
        failed(world.run("seeded"), "loss_possible")
    told = world.ok("legacy", accept_loss=True)
    assert (told["serving"], told["phase_after"]) == ("legacy", "abandoned_fenced") and world.open_sides() == ["legacy"]
    assert world.ok("legacy", accept_loss=True)["changed"] is False
    assert world.legacy.rows("SELECT 1 FROM pg_subscription") == world.legacy.rows("SELECT 1 FROM pg_replication_slots") == []
    assert world.new.value("SELECT count(*) FROM ledger WHERE key = 'missing'") == 1


@pytest.mark.parametrize("point", ["L2", "L3"])
def test_killed_while_new_is_dead(served, point):
    """Before legacy is open, new may also come back and serve on; nothing is lost then."""
    world = served
    world.ok("armed")
    world.new.stop(9)
    process = world.spawn("legacy", fault=point, accept_loss=True)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL and world.legacy.takes_writes() is (point == "L3")
    if point == "L2":
        world.new.start()
        assert world.ok("info")["serving"] == "new"
        assert world.ok("new")["phase_after"] == "new"
        write(world.new, "went on")
        arrived(world, "went on")
        assert world.ok("legacy")["verify"]["equal"] is True
    else:
        told = world.ok("legacy", accept_loss=True)
        assert (actions(told), told["serving"]) == (["leave"], "legacy")
        assert world.ok("legacy")["changed"] is False


def test_a_route_that_fails_is_repeated_by_the_next_run(served):
    world = served
    log = world.home / "loss.log"
    log.unlink(missing_ok=True)
    program = world.home / "loss-router"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    program.chmod(0o755)
    router = {"type": "command", "timeout": 5, "route": [[str(program), "route", "{side}"]], "resume": [[str(program), "resume", "{side}"]]}
    world.new.stop(9)
    failed(world.run("legacy", accept_loss=True, router={**router, "route": [["false"]]}), "router_failed")
    assert world.legacy.takes_writes() and not log.exists()
    assert actions(world.ok("legacy", router=router)) == ["leave"]
    assert log.read_text().splitlines() == ["route legacy", "resume legacy"]
    assert world.ok("legacy", router=router)["changed"] is False


def test_it_changes_its_mind_while_both_are_closed(served):
    world = served
    nobody_follows(world, "subscription")
    process = world.spawn("legacy", fault="L1", accept_loss=True)
    process.communicate(timeout=60)
    assert world.ok("info")["phase"] == "abandoning"
    back = world.ok("new")
    assert (actions(back), back["serving"]) == (["abort"], "new") and world.open_sides() == ["new"]
    assert world.new.value("SELECT count(*) FROM ledger WHERE key = 'missing'") == 1


def test_it_asks_for_nothing_where_nothing_is_lost(served):
    """A pair in step goes back without loss, whatever was accepted; a finished one has no way back but a snapshot."""
    world = served
    told = world.ok("legacy", accept_loss=True)
    assert actions(told)[-2:] == ["switch", "cleanup"] and told["loss"] is None and told["verify"]["equal"] is True
    world.ok("new", verify="none")
    world.ok("finished")
    failed(world.run("legacy", accept_loss=True), "loss_possible")
    world.new.stop(9)
    assert "snapshot" in failed(world.run("legacy", accept_loss=True), "loss_possible")["remedy"]
    assert world.legacy.takes_writes() is False
    assert failed(world.run("new", accept_loss=True), "invalid_value")
