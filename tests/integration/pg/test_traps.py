# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An enemy in the database gains nothing: no right, no statement as a superuser, no file; over engines, directions, snapshots and versions.

`make test` moves 15 to 15; with ``BOWLINE_FAULTS=all`` the same runs from 15 to 17 and from 17 to 17, too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

traps, rig = sys.modules["bowline_pg_traps"], sys.modules["bowline_pg_rig"]
PAIRS = [(15, 15), (15, 17), (17, 17)] if os.environ.get("BOWLINE_FAULTS") == "all" else [(15, 15)]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: "-".join(map(str, pair)))
def servers(request):
    world = rig.World(*request.param)
    try:
        world.start()
        yield world
    finally:
        world.stop()


@pytest.fixture
def enemy(servers):
    servers.reset()
    with tempfile.TemporaryDirectory(prefix="bowline-enemy-") as folder:
        shutil.chown(folder, "postgres", "postgres")
        made = traps.Trapper(servers, Path(folder))
        yield made


def majors(world) -> tuple[int, int]:
    return world.legacy.major, world.new.major


@pytest.fixture
def snapshots(servers, tmp_path):
    def run(state: str, **more) -> dict:
        cluster = servers.legacy if state == "present" else servers.new
        server = {key: value for key, value in servers.params("new")[cluster.name].items() if key != "dbname" or state != "tested"}
        params = {"directory": str(tmp_path / "snapshots"), "subject": "hub-1", "kind": "before", "compress": "auto", "max_age": 86400,
                  "retention": 90 * 86400, "elsewhere": [], "fenced": True, ("source" if state == "present" else "target"): server, **more}
        path = tmp_path / f"{state}.json"
        path.write_text(json.dumps({"state": state, **params}))
        done = subprocess.run([sys.executable, str(Path(__file__).parent / "drive.py"), str(path)], capture_output=True, text=True, timeout=120,
                              check=False)
        assert done.stdout.strip(), done.stderr[-3000:]
        return json.loads(done.stdout)

    return run


def test_the_traps_are_real(servers, enemy):
    """What the product must not do springs them: without this the other tests could not fail."""
    enemy.move_in(*traps.TRAPS)
    servers.legacy.rows("""
        SELECT c::text FROM lair.cast_me c; SELECT k.id::text FROM lair.keyed k; DELETE FROM lair.ruled; SELECT * FROM lair.viewed;
        INSERT INTO lair.checked VALUES (2, 'y'); INSERT INTO lair.worded VALUES (2, 'y', ARRAY['y']::lair.word[], ROW(1, 'y')::lair.pair);
        INSERT INTO lair.made VALUES (2, 'y'); INSERT INTO lair.indexed VALUES (2, 'y'); SELECT count(*) FROM lair.planned;
        INSERT INTO lair.operated VALUES (2, 'y');
        INSERT INTO lair.parts VALUES (2, 'x'); INSERT INTO lair.scratch VALUES (2, 'y'); INSERT INTO lair.looped VALUES (2, 'y');
        INSERT INTO lair.spans SELECT n, lair.span(n, n + 9) FROM generate_series(500, 900) n;
        SET session_replication_role = replica; DELETE FROM lair.always; DELETE FROM lair.always_ruled""")
    sprung = {tag for _server, tag, who in enemy.sprung() if who == "postgres"}
    assert sprung >= {
        "cast", "cast_key", "rule", "view", "check", "domain", "generated", "index", "predicate", "expression", "statistics", "operator", "partition",
        "unlogged", "apart", "range", "always_trigger", "always_rule",
    }
    assert {path.name for path in enemy.folder.iterdir()} == sprung - {"range"}
    assert "role mallory SUPERUSER" in traps.rights(servers.legacy)
    servers.legacy.rows("ALTER ROLE mallory NOSUPERUSER", dbname="postgres")


@pytest.mark.parametrize("engine", ["logical", "dump"])
def test_every_trap_that_a_move_would_spring_is_named_before_the_first_write(servers, enemy, engine):
    enemy.move_in(*traps.TRAPS)
    outcome = servers.run("new", engine=engine, max_window=60)
    assert outcome.get("failed"), outcome
    said = " ".join(f"{finding['object']} {finding['message']}" for finding in outcome["failure"]["details"]["findings"] if finding["level"] == "fail")
    missing = [trap.name for trap in traps.refused(majors(servers), engine) if trap.refused not in said]
    assert missing == [], said
    assert servers.legacy.value("SELECT to_regnamespace('pgcut') IS NULL")
    assert servers.new.rows("SELECT 1 FROM pg_database WHERE datname = 'hub'", dbname="postgres") == []
    assert enemy.gained() == []


@pytest.mark.parametrize("engine", ["logical", "dump"])
def test_there_and_back_and_there_again(servers, enemy, engine):
    """Everything that a move lets pass, while the enemy swaps a table and a sequence on the side that serves and on the other one."""
    enemy.move_in(*traps.harmless(majors(servers), engine), traps.SWAPPED)
    for state in ("new", "legacy", "new"):
        for _attempt in range(6):
            with traps.swapping(enemy, servers.legacy) as turns, traps.swapping(enemy, servers.new):
                outcome = servers.run(state, engine=engine if state == "new" else "auto", max_window=60)
            assert enemy.gained() == []
            # A table that is a view by then is refused; the enemy may delay its own database, and nothing else.
            if not outcome.get("failed"):
                break
        else:
            outcome = servers.ok(state, engine=engine if state == "new" else "auto", max_window=60)
        assert outcome["serving"] == state and outcome["verify"]["equal"], turns
        assert enemy.gained() == []
    for cluster in servers.clusters:
        assert cluster.value('''SELECT count(*) FROM lair."a""b'; ALTER ROLE mallory SUPERUSER; --"''') == 1


def test_traps_that_were_accepted_by_name_are_moved(servers, enemy):
    """The operator may trust an owner: the same option that the remedy names, and nothing less than every function."""
    chosen = [trap for trap in traps.TRAPS if trap.name in ("check", "domain", "generated", "index", "operator", "range", "apart", "unlogged")]
    enemy.move_in(*chosen)
    outcome = servers.run("new")
    named = sorted(finding["object"] for finding in outcome["failure"]["details"]["findings"] if finding["code"] == "owner_code")
    assert named, outcome
    assert servers.run("new", accept_owner_code=named[1:]).get("failed")
    done = servers.ok("new", accept_owner_code=named)
    assert (done["serving"], done["verify"]["equal"]) == ("new", True)
    # It is now trusted code; that it was is on record.
    assert sorted(done["evidence"]["accepted_owner_code"]) == named


def test_a_snapshot_in_every_state(servers, enemy, snapshots):
    """Taken from a database full of traps; tested and restored only without them, or when they are accepted by name."""
    enemy.move_in(*traps.TRAPS, traps.SWAPPED)
    with traps.swapping(enemy, servers.legacy):
        for _attempt in range(6):
            taken = snapshots("present")
            if not taken.get("failed"):
                break
    assert enemy.gained() == []
    if taken.get("failed"):
        taken = snapshots("present")
    assert not taken.get("failed"), taken
    for state in ("tested", "restored"):
        outcome = snapshots(state)
        assert outcome.get("failed"), (state, outcome)
        assert outcome["failure"]["code"] == "owner_code", outcome["failure"]
        assert enemy.gained() == []


def test_settings_of_the_databases_owner_do_not_reach_a_control_session(servers, enemy):
    """The owner of a database may set much for everybody who comes: a role to become, a time to be ended after, what equality means."""
    enemy.move_in(*traps.harmless(majors(servers)))
    hostile = {
        "role": "mallory", "statement_timeout": "1", "lock_timeout": "1", "idle_in_transaction_session_timeout": "1", "search_path": "lair, pg_catalog",
        "default_transaction_isolation": "serializable", "transform_null_equals": "on", "quote_all_identifiers": "on", "array_nulls": "off",
        "password_encryption": "md5", "default_tablespace": "pg_default", "row_security": "off", "datestyle": "'SQL, DMY'", "bytea_output": "escape",
        "client_min_messages": "error", "xmlbinary": "hex", "enable_seqscan": "off", "enable_indexscan": "off", "default_toast_compression": "pglz",
    }
    with servers.legacy.connect("postgres", user="hub", password="canary-app-3c2", options="") as owner:
        for name, value in hostile.items():
            owner.execute(f"ALTER DATABASE hub SET {name} = {value}")
    refused = servers.run("armed")
    assert [finding["object"] for finding in refused["failure"]["details"]["findings"] if finding["level"] == "fail"] == ["database hub"]
    with servers.legacy.connect("postgres", user="hub", password="canary-app-3c2", options="") as owner:
        owner.execute("ALTER DATABASE hub RESET role")
    for state in ("armed", "new", "legacy"):
        outcome = servers.run(state)
        assert enemy.gained() == []
        assert not outcome.get("failed"), outcome["failure"]


def test_a_cluster_that_moves_as_a_whole(tmp_path):
    """The engine physical reads no row and makes no object: every trap moves along, and none is sprung."""
    world = sys.modules["bowline_pg_managed"].World()
    with tempfile.TemporaryDirectory(prefix="bowline-enemy-") as folder:
        shutil.chown(folder, "postgres", "postgres")
        try:
            world.start()
            enemy = traps.Trapper(world, Path(folder))
            enemy.move_in(*traps.TRAPS, traps.SWAPPED)
            for state in ("new", "legacy"):
                with traps.swapping(enemy, world.legacy):
                    outcome = world.ok(state)
                assert (outcome["serving"], outcome["engine"]) == (state, "physical")
                assert enemy.gained() == []
        finally:
            world.stop()
