# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases of many tables: what the module asks grows by batches, and many small tables are brought at once without losing a row."""

from __future__ import annotations

import os
import re
import signal

import bowline_pg_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.logical import small_tables
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import loss

LONG = pytest.mark.skipif(os.environ.get("BOWLINE_FAULTS") != "all", reason="make faults")
MADE = """
DO $$ BEGIN FOR i IN {first}..{last} LOOP
  EXECUTE format('CREATE TABLE "t %s" (id bigint PRIMARY KEY, "a b" text, double bigint GENERATED ALWAYS AS (id * 2) STORED)', i);
  EXECUTE format('ALTER TABLE "t %s" OWNER TO hub', i); EXECUTE format('INSERT INTO "t %s" SELECT g, md5(g::text) FROM generate_series(1, 3) g', i);
END LOOP; END $$
"""
# A statement of the module itself; a COPY is one table's by its nature, and pg_dump has a name of its own.
_ASKED = re.compile(r"@hub bowline pg_cutover armed .*LOG:  (?:statement|execute [^:]*): (?!COPY )")


def asked(world) -> int:
    """Statements that `armed` sends to the database on legacy."""
    size = world.legacy.log.stat().st_size
    world.ok("armed")
    with world.legacy.log.open(errors="replace") as log:
        log.seek(size)
        return len(_ASKED.findall(log.read()))


def test_statements_on_legacy_grow_by_batches_and_rows_are_whole_under_load(world, writers):
    """Fifty tables more are one batch more. Then once more with writers on, whose rows and those of the copy are whole together."""
    world.legacy.rows(MADE.format(first=1, last=50))
    few = asked(world)
    world.ok("absent")
    world.legacy.rows(MADE.format(first=51, last=100))
    many = asked(world)
    assert many - few < 40, (few, many)
    assert world.legacy.rows("SELECT pubname FROM pg_publication WHERE pubname <> 'pgcut_rev'") == [{"pubname": "pgcut_fwd"}]
    world.ok("absent")
    with writers(world) as clients:
        world.ok("armed")
        told = world.ok("new")
        assert told["verify"]["equal"] is True and told["verify"]["tables"] > 100
    clients.assert_lossless()
    assert world.new.value('SELECT sum(double) FROM "t 77"') == 12


@pytest.fixture
def sides(clusters):
    made = [Server(Endpoint(each.name, each.host, each.port, "hub", passfile=str(clusters.passfile), sslmode="disable"), "test") for each in clusters.clusters]
    yield made
    for each in made:
        each.close()


def test_a_table_with_code_of_its_owner_is_left_to_the_server(world, sides):
    world.legacy.rows(MADE.format(first=1, last=100))
    legacy, _new = sides
    every = {table.name for table in small_tables.candidates(legacy, legacy)}
    assert ("public", "t 7") in every and ("pgcut", "marker") not in every
    world.legacy.rows("CREATE FUNCTION odd(bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; ALTER FUNCTION odd OWNER TO hub;"
                      ' ALTER TABLE "t 7" ADD CHECK (odd(id)); INSERT INTO "t 8" SELECT n, repeat(md5(n::text), 20) FROM generate_series(10, 900) n')
    assert every - {table.name for table in small_tables.candidates(legacy, legacy)} == {("public", "t 7"), ("public", "t 8")}
    # What an accepted loss would give up is counted in one statement for all of them.
    size = world.legacy.log.stat().st_size
    assert loss.differing(legacy, legacy) == []
    with world.legacy.log.open(errors="replace") as log:
        log.seek(size)
        assert len(re.findall(r"@hub .*LOG:  (?:statement|execute [^:]*): .*count\(\*\)", log.read())) <= 6


@LONG
@pytest.mark.parametrize("moment", ["slot", "publication", "subscription"])
def test_killed_while_small_tables_are_brought_the_same_command_converges(world, writers, moment):
    world.legacy.rows(MADE.format(first=1, last=250))
    seen = {
        "slot": (world.legacy, "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'pgcut_fwd'", "postgres"),
        "publication": (world.legacy, "SELECT 1 FROM pg_publication WHERE pubname = 'pgcut_fwd_small'", "hub"),
        "subscription": (world.new, "SELECT 1 FROM pg_subscription", "postgres"),
    }[moment]
    with writers(world) as clients:
        process = world.spawn("armed")
        with seen[0].connect(seen[2]) as look:
            rig.until(lambda: look.execute(seen[1]).fetchall(), 120, moment)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        if moment == "publication":
            world.ok("absent")
            assert world.legacy.rows("SELECT 1 FROM pg_publication") == world.legacy.rows("SELECT 1 FROM pg_replication_slots") == []
        assert world.ok("armed")["phase_after"] == "armed"
        assert world.ok("new")["verify"]["equal"] is True
    clients.assert_lossless()
    assert world.ok("legacy")["verify"]["equal"] is True
