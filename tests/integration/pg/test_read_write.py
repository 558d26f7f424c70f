# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that state READ WRITE themselves: the fence is a default, and they override it. No row that was acknowledged may be missing."""

from __future__ import annotations

import itertools
import os
import threading

import psycopg
import pytest

SWITCHES = 20 if os.environ.get("BOWLINE_FAULTS") == "all" else 2
# Each passes the default of the database: per transaction, for the session by a statement, by a setting, at the connection's start.
MANNERS = ("BEGIN READ WRITE", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; BEGIN", "SET default_transaction_read_only = off; BEGIN",
           "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE")


class Stubborn:
    """Eight clients that stay on a server until it refuses them, then go to the other one."""

    def __init__(self, world) -> None:
        self._world = world
        self.acknowledged: set[str] = set()
        self.refused = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(8)]

    def __enter__(self) -> Stubborn:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _write(self, number: int) -> None:
        sides = itertools.cycle(self._world.clusters)
        serial = 0
        while not self._stop.is_set():
            side = next(sides)
            try:
                with psycopg.connect(host=side.host, port=side.port, user="hub", password="canary-app-3c2", dbname="hub", autocommit=True) as client:
                    while not self._stop.is_set():
                        serial += 1
                        key = f"rw-{number}-{serial}"
                        client.execute(MANNERS[number % len(MANNERS)])
                        client.execute("INSERT INTO ledger (key, amount) VALUES (%s, 1)", (key,))
                        client.execute("COMMIT")
                        self.acknowledged.add(key)
                        self._stop.wait(0.003)
            except psycopg.Error:
                self.refused += 1
                self._stop.wait(0.01)


def test_no_row_of_clients_that_state_read_write_is_missing(world):
    world.ok("armed")
    with Stubborn(world) as clients:
        for number in range(SWITCHES):
            state = "legacy" if number % 2 else "new"
            outcome = world.ok(state, on_active="terminate")
            assert outcome["serving"] == state and outcome["verify"]["equal"] is True
            world.ok("armed")
    present = {row["key"] for row in world.serving().rows("SELECT key FROM ledger WHERE key LIKE 'rw-%'")}
    assert len(clients.acknowledged) > 100 and clients.refused > 8
    assert clients.acknowledged - present == set()


@pytest.mark.parametrize("text", ["INSERT INTO ledger (key, amount) VALUES ('x', 1)", "UPDATE balance SET total = 1", "DELETE FROM keyless", "TRUNCATE child",
                                  "INSERT INTO events VALUES ('2025-05-05', 1)", "UPDATE events_a SET note = ''",
                                  "INSERT INTO balance VALUES ('account 1', 1) ON CONFLICT (name) DO UPDATE SET total = 2"])
def test_the_closed_side_refuses_each_way_to_write_a_table(pair_armed, text):
    for side, closed in zip(pair_armed.clusters, (False, True)):
        with psycopg.connect(host=side.host, port=side.port, user="hub", password="canary-app-3c2", dbname="hub", autocommit=True) as client:
            client.execute("BEGIN READ WRITE")
            if closed:
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    client.execute(text)
            else:
                client.execute(text)
            client.execute("ROLLBACK")


def test_the_side_that_serves_runs_no_function_for_clients_of_the_network(pair_armed):
    """EXPLAIN ANALYZE names the triggers whose function ran. One without an address may be a worker, which no window ends."""
    legacy = pair_armed.legacy
    for host, runs in ((legacy.host, False), (str(legacy.home), True)):
        with psycopg.connect(host=host, port=legacy.port, user="hub", password="canary-app-3c2", dbname="hub") as client:
            text = "\n".join(line for (line,) in client.execute("EXPLAIN (ANALYZE) UPDATE balance SET total = 1 WHERE name = 'account 1'"))
            assert "Update on balance" in text and ("pgcut_closed" in text) is runs
            client.rollback()
    with psycopg.connect(host=pair_armed.new.host, port=pair_armed.new.port, user="hub", password="canary-app-3c2", dbname="hub") as client:
        assert client.execute("SELECT current_setting('pgcut.closed')").fetchone() == ("on",)


@pytest.fixture(scope="module")
def pair_armed(clusters):
    clusters.reset()
    clusters.ok("armed")
    return clusters


def test_nothing_of_it_is_left_when_the_pair_is_finished(world):
    world.ok("new")
    world.ok("finished")
    for side in world.clusters:
        assert side.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'pgcut_closed'") == 0
