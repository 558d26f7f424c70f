# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of the store. Each test runs once for each database: here on SQLite, in tests/integration/store on PostgreSQL.

Fixture ``place`` is a store of its own for each test: ``open()`` and ``copy()`` as an action plugin does it, ``raw(statements)`` past all of it.
"""

from __future__ import annotations

import json
import threading

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._store.migrations import MIGRATIONS
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner, Report
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

PLAN = [{"id": "C1", "name": "Preflight"}, {"id": "C6", "name": "Seed"}]


class World:
    """Runs on one store, each with its own process, under one clock that stands still until it is moved."""

    def __init__(self, connect):
        self.now = 1_000_000.0
        self._connect = connect
        self.presence = {}

    def run(self, name, host="controller"):
        owner = Owner(actor=name, user=name, host=host, pid=sum(map(ord, name)), born=name)
        return StateStore(self._connect(), owner, presence=lambda other, _me: self.presence.get(other.actor, "unknown"), clock=lambda: self.now)


@pytest.fixture
def world(place):
    return World(place.open)


def opened(store, *subjects, kind="cutover", **options):
    return store.open(kind, subjects or ("cutover/hub-1",), PLAN, **options)


def refused(code, call):
    with pytest.raises(FleetError) as failure:
        call()
    assert failure.value.code == code
    return failure.value


def test_a_second_run_is_locked_out_and_told_by_whom_since_when_and_on_what(world):
    opened(world.run("ann"))
    world.now += 61
    failure = refused("locked", lambda: opened(world.run("bob")))
    assert "ann" in failure.message and "61" in failure.message and "cutover/hub-1" in failure.message
    assert (failure.details["age"], failure.details["subject"]) == (61, "cutover/hub-1")


def test_who_is_locked_out_is_told_what_the_other_run_does(world):
    first = world.run("ann")
    key = opened(first)["id"]
    world.now += 50
    first.mark(key, PLAN[1], "localhost", "started")
    world.now += 11
    failure = refused("locked", lambda: opened(world.run("bob")))
    assert f"operation {key}, cutover, in C6 Seed since 11 s" in failure.message
    assert failure.details["leases"][0]["step"] == {"id": "C6", "name": "Seed", "status": "started", "age": 11}


@pytest.mark.parametrize(("presence", "remedy"), [
    pytest.param("alive", "type `kill {pid}` on controller, then run the same command again", id="alive here"),
    pytest.param("unknown", "`-e operation_take_over={key}`", id="cannot be seen from here"),
])
def test_who_is_locked_out_is_told_what_to_type(world, presence, remedy):
    first = world.run("ann")
    key = opened(first)["id"]
    world.presence["ann"] = presence
    failure = refused("locked", lambda: opened(world.run("bob")))
    assert remedy.format(pid=sum(map(ord, "ann")), key=key) in failure.remedy


@pytest.mark.parametrize(("presence", "named", "taken"), [
    pytest.param("unknown", "{key}", True, id="cannot be seen, and somebody says that it is dead"),
    pytest.param("unknown", "another", False, id="another operation is named"),
    pytest.param("alive", "{key}", False, id="it is seen to live"),
])
def test_a_run_whose_process_cannot_be_seen_is_taken_over_by_its_name(world, presence, named, taken):
    key = opened(world.run("ann"))["id"]
    world.presence["ann"] = presence
    second = world.run("bob")
    if not taken:
        refused("locked", lambda: opened(second, take_over=named.format(key=key)))
        return
    assert opened(second, take_over=named.format(key=key))["previous"]["id"] == key


def test_leases_are_taken_all_or_none(world):
    opened(world.run("ann"), "node/b")
    failure = refused("locked", lambda: opened(world.run("bob"), "node/a", "node/b", "node/c"))
    assert [lease["subject"] for lease in failure.details["leases"]] == ["node/b"]
    assert opened(world.run("eve"), "node/a", "node/c")["lease_numbers"] == {"node/a": 1, "node/c": 1}


def test_lease_numbers_grow_with_every_holder(world):
    numbers = []
    for name in ("ann", "bob", "eve"):
        store = world.run(name)
        document = opened(store)
        numbers.append(document["lease_numbers"]["cutover/hub-1"])
        store.end(document["id"], "succeeded")
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize(("presence", "after", "taken"), [
    pytest.param("gone", 1, True, id="dead here: at once"),
    pytest.param("unknown", 899, False, id="elsewhere, not expired"),
    pytest.param("unknown", 900, True, id="elsewhere, expired"),
    pytest.param("alive", 90_000, False, id="alive here, even when expired"),
])
def test_a_stale_lease_is_taken_over(world, presence, after, taken):
    first = opened(world.run("ann"))
    world.presence["ann"] = presence
    world.now += after
    second = world.run("bob")
    if not taken:
        refused("locked", lambda: opened(second))
        return
    document = opened(second)
    assert (document["takeover"], document["previous"]["id"]) == (True, first["id"])
    assert second.operations(operation_id=first["id"])[0]["outcome"] == "abandoned"


def test_the_previous_run_says_how_far_it_came(world):
    first = world.run("ann")
    first.mark(opened(first)["id"], PLAN[1], "localhost", "started")
    world.presence["ann"] = "gone"
    assert opened(world.run("bob"))["previous"]["last_step"]["id"] == "C6"


@pytest.mark.parametrize("write", [
    pytest.param(lambda store, key: store.mark(key, PLAN[0], "localhost", "done"), id="mark"),
    pytest.param(lambda store, key: store.end(key, "succeeded"), id="end"),
])
def test_a_holder_that_wakes_up_writes_nothing_more(world, write):
    first = world.run("ann")
    key = opened(first)["id"]
    world.now += 901
    second = world.run("bob")
    opened(second)
    failure = refused("lease_lost", lambda: write(first, key))
    assert "bob" in failure.message
    assert second.operations(operation_id=key)[0]["steps"][0]["status"] == "planned"


def test_every_mark_renews_the_lease(world):
    store = world.run("ann")
    key = opened(store)["id"]
    for _number in range(3):
        world.now += 800
        store.mark(key, PLAN[0], "localhost", "started")
    refused("locked", lambda: opened(world.run("bob")))


def test_the_same_process_gets_its_operation_again(world):
    store = world.run("ann")
    assert opened(store)["id"] == opened(store)["id"]
    other = opened(store, kind="rollback")
    assert other["previous"]["kind"] == "cutover"


def test_an_abandoned_operation_gives_its_other_subjects_back(world):
    opened(world.run("ann"), "node/a", "node/b")
    world.presence["ann"] = "gone"
    opened(world.run("bob"), "node/a")
    assert opened(world.run("eve"), "node/b")["lease_numbers"] == {"node/b": 2}


def test_a_step_is_merged_over_hosts(world):
    store = world.run("ann")
    key = opened(store)["id"]
    for host, begins, ends, changed in (("legacy", 0, 2, False), ("target", 1, 4, True)):
        world.now = 1_000_000 + begins
        store.mark(key, PLAN[1], host, "started")
        world.now = 1_000_000 + ends
        store.mark(key, PLAN[1], host, "reported", reports=[Report("pg_move", changed, {"host": host}, {"was": host})])
        document = store.mark(key, PLAN[1], host, "done")
    step = document["steps"][1]
    assert (step["status"], step["changed"], step["seconds"]) == ("done", True, 4.0)
    assert step["evidence"] == {"legacy": {"pg_move": {"host": "legacy"}}, "target": {"pg_move": {"host": "target"}}}
    assert step["bookmark"]["target"] == {"pg_move": {"was": "target"}}


def test_one_failed_host_fails_the_step(world):
    store = world.run("ann")
    key = opened(store)["id"]
    store.mark(key, PLAN[0], "legacy", "done")
    document = store.mark(key, PLAN[0], "target", "failed", failure={"code": "no_space", "message": "m", "remedy": "r", "details": {}})
    assert (document["steps"][0]["status"], document["steps"][0]["failure"]["code"]) == ("failed", "no_space")


def test_the_cause_is_that_of_the_host_that_failed_itself(world):
    store = world.run("ann")
    key = opened(store)["id"]
    store.mark(key, PLAN[0], "a", "failed", failure={"code": "task_failed", "message": "elsewhere", "details": {"elsewhere": True}})
    document = store.mark(key, PLAN[0], "b", "failed", failure={"code": "no_space", "message": "m", "details": {}})
    assert document["steps"][0]["failure"]["code"] == "no_space"


def test_the_first_bookmark_of_a_role_is_kept(world):
    store = world.run("ann")
    key = opened(store)["id"]
    store.mark(key, PLAN[0], "localhost", "reported", reports=[Report("dns", True, {}, {"previous": "old"})])
    document = store.mark(key, PLAN[0], "localhost", "reported", reports=[Report("dns", True, {}, {"previous": "new"})])
    assert document["steps"][0]["bookmark"] == {"localhost": {"dns": {"previous": "old"}}}


def test_a_step_that_was_not_planned_is_appended(world):
    store = world.run("ann")
    key = opened(store)["id"]
    document = store.mark(key, {"id": "X1", "name": "Extra"}, "localhost", "started")
    assert [(step["id"], step["position"]) for step in document["steps"]] == [("C1", 1), ("C6", 2), ("X1", 3)]


def test_the_first_outcome_stays_and_nothing_is_written_twice(world):
    store = world.run("ann")
    key = opened(store)["id"]
    world.now += 5
    first = store.end(key, "failed", {"window_ms": 12})
    world.now += 5
    assert store.end(key, "succeeded") == first
    assert (first["outcome"], first["seconds"], first["result"]) == ("failed", 5.0, {"window_ms": 12})
    assert store.lease("cutover/hub-1") is None


def test_expected_is_the_median_of_runs_that_did_something(world):
    runs = [("a", 10, True, "done"), ("b", 30, True, "done"), ("c", 20, True, "done"), ("d", 1, False, "done"), ("e", 500, True, "failed")]
    for name, seconds, changed, status in runs:
        store = world.run(name)
        key = opened(store)["id"]
        store.mark(key, PLAN[1], "localhost", "started")
        world.now += seconds
        store.mark(key, PLAN[1], "localhost", status, reports=[Report("pg_move", changed)])
        store.end(key, "succeeded")
    document = opened(world.run("f"))
    assert [step["expected_seconds"] for step in document["steps"]] == [None, 20.0]


def test_an_unknown_operation_is_named(world):
    refused("operation_unknown", lambda: world.run("ann").end("20260101T000000Z-000000", "failed"))


def test_operations_are_found_by_subject_and_kind_latest_first(world):
    ids = []
    for name, subject, kind in (("a", "cutover/1", "cutover"), ("b", "cutover/2", "cutover"), ("c", "cutover/1", "rollback")):
        store = world.run(name)
        ids.append(opened(store, subject, kind=kind)["id"])
        store.end(ids[-1], "succeeded")
        world.now += 1
    reader = world.run("reader")
    assert [entry["id"] for entry in reader.operations(subject="cutover/1")] == [ids[2], ids[0]]
    assert [entry["id"] for entry in reader.operations(kind="cutover")] == [ids[1], ids[0]]
    assert [entry["id"] for entry in reader.operations(limit=1)] == [ids[2]]


def test_secrets_do_not_reach_the_journal(world):
    store = world.run("ann")
    key = opened(store, reason="password=canary-1", parameters={"dsn": "postgresql://hub:canary-2@db/hub"})["id"]
    store.mark(key, PLAN[0], "localhost", "reported", reports=[Report("dns", True, {"line": "token: canary-3"}, {"url": "https://u:canary-4@x"})])
    store.mark(key, PLAN[0], "localhost", "failed", failure={"code": "auth", "message": "secret=canary-5", "remedy": "", "details": {}})
    assert "canary" not in str(store.end(key, "failed", {"said": "password='canary-6'"}))


def test_one_of_many_at_the_same_moment_gets_the_lease(world):
    outcomes, barrier = [], threading.Barrier(8)

    def attempt(name):
        store = world.run(name)
        barrier.wait(10)
        try:
            outcomes.append(opened(store)["id"])
        except FleetError as error:
            outcomes.append(error.code)
        finally:
            store.close()

    threads = [threading.Thread(target=attempt, args=(f"run{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(outcomes), outcomes.count("locked")) == (8, 7)


# --- tables: those of the store, those of rooms, those of other versions ------------------------------------------------------------


def test_nothing_of_a_transaction_that_failed_is_there(world, place):
    opened(world.run("ann"), "node/a")
    database = place.open()
    with pytest.raises(ZeroDivisionError), database.transaction() as transaction:
        transaction.execute("UPDATE lease SET number = 7")
        transaction.execute("INSERT INTO room (name, number) VALUES (?, ?)", ("_half", 1))
        raise ZeroDivisionError
    refused("store_unavailable", lambda: place.raw("INSERT INTO room (name, number) VALUES ('_twice', 1)") or _twice(database))
    with database.transaction() as transaction:
        assert transaction.execute("SELECT number FROM lease") == [{"number": 1}]
        assert transaction.execute("SELECT name FROM room ORDER BY name") == [{"name": "_twice"}]


def _twice(database):
    with database.transaction() as transaction:
        transaction.execute("UPDATE lease SET number = 8")
        transaction.execute("INSERT INTO room (name, number) VALUES ('_twice', 2)")


def test_values_come_back_as_they_were_given(place):
    """Question marks and percent signs are text inside of quotes; numbers stay numbers, sums too."""
    database = place.open()
    database.join("_odd", (("CREATE TABLE odd (a TEXT PRIMARY KEY, b INTEGER NOT NULL, c DOUBLE PRECISION)",),))
    texts = ["Ünlauter '?' 100%s", "%(x)s", 'a "b" \\ \n', "", "b", "B", "a"]
    with database.transaction() as transaction:
        for number, text in enumerate(texts):
            transaction.execute("INSERT INTO odd (a, b, c) VALUES (?, ?, ?)", (text, number, None if number else 1_764_000_000.123456))
        assert [row["a"] for row in transaction.execute("SELECT a FROM odd ORDER BY b")] == texts
        assert [row["a"] for row in transaction.execute("SELECT a FROM odd ORDER BY a")] == sorted(texts)
        assert transaction.execute("SELECT b, c FROM odd WHERE a LIKE 'Ü%' AND a <> '?'") == [{"b": 0, "c": 1_764_000_000.123456}]
        summed = transaction.execute("SELECT SUM(b) AS b, COUNT(*) AS n, MAX(c) AS c FROM odd WHERE b % 2 = ?", (1,))
        assert summed == [{"b": 9, "n": 3, "c": None}] and isinstance(summed[0]["b"], int)
        transaction.execute("UPDATE odd SET b = ? WHERE b = 0", (2**40,))
        spread = transaction.execute("SELECT SUM(n) AS n, AVG(b) AS mean, SUM(c) AS c FROM (SELECT MAX(b) AS n, MAX(b) AS b, MAX(c) AS c FROM odd) AS one")
        assert json.dumps(spread) == json.dumps([{"n": 2**40, "mean": float(2**40), "c": 1_764_000_000.123456}])


def test_a_room_brings_tables_of_its_own(place):
    """Once each, beside those of another room; check mode makes them in its copy only; and those of a newer collection are refused."""
    one, two = ("CREATE TABLE a (x TEXT)", "CREATE TABLE b (x TEXT)"), ("ALTER TABLE a ADD COLUMN y TEXT",)
    for migrations in ((one,), (one,), (one, two), (one, two)):
        store = place.open()
        store.join("_a", migrations)
        store.close()
    store = place.open()
    store.join("_b", (("CREATE TABLE c (x TEXT)",),))
    with store.transaction() as transaction:
        transaction.execute("INSERT INTO a (x, y) VALUES ('1', '2')")
    for opening in (place.open, place.copy):
        older = opening()
        failure = refused("store_unavailable", lambda database=older: database.join("_a", (one,)))
        assert "tables of _a of version 2; this collection knows 1" in failure.message
        older.close()
    copy = place.copy()
    copy.join("_c", (("CREATE TABLE d (x TEXT)",),))
    three = ("ALTER TABLE a ADD COLUMN z TEXT", "UPDATE a SET z = x")
    copy.join("_a", (one, two, three))
    with copy.transaction() as transaction:
        assert transaction.execute("SELECT * FROM a") == [{"x": "1", "y": "2", "z": "1"}]
    copy.close()
    assert {"a", "b", "c"} <= place.tables() and "d" not in place.tables()
    store.join("_a", (one, two, three))
    store.close()


def test_rows_that_name_each_other_are_copied_whatever_their_order(place):
    tree = (("CREATE TABLE tree (name TEXT PRIMARY KEY, parent TEXT REFERENCES tree (name), mark INTEGER)",),)
    database = place.open()
    database.join("_tree", tree)
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO tree (name) VALUES ('leaf'), ('root')")
        # On PostgreSQL a row that is changed goes to the end.
        transaction.execute("UPDATE tree SET parent = 'root' WHERE name = 'leaf'")
        transaction.execute("UPDATE tree SET mark = 1 WHERE name = 'root'")
    database.close()
    copy = place.copy()
    copy.join("_tree", tree)
    with copy.transaction() as transaction:
        assert transaction.execute("SELECT name, parent FROM tree ORDER BY name") == [{"name": "leaf", "parent": "root"}, {"name": "root", "parent": None}]
    copy.close()


def test_a_copy_reads_what_is_there_and_writes_nothing(world, place):
    empty = StateStore(place.copy(), Owner("ann", "ann", "controller", 1))
    assert empty.operations() == [] and place.tables() == set()
    empty.close()
    first = world.run("ann")
    key = opened(first, "node/a", reason="a % and a ?")["id"]
    copy = World(place.copy).run("bob")
    assert copy.operations(operation_id=key) == first.operations(operation_id=key)
    refused("locked", lambda: opened(copy, "node/a"))
    assert opened(copy, "node/b")["lease_numbers"] == {"node/b": 1}
    copy.close()
    assert first.lease("node/b") is None and len(first.operations()) == 1


OLD = ("ann", "ann", "controller", 41, "m", "b", "n", "1")


def old_rows():
    """Statements that leave what the first version left: one operation at work, one that ended."""
    owner = json.dumps(dict(zip(("actor", "user", "host", "pid", "machine", "boot", "namespace", "born"), OLD))).replace("'", "''")
    yield from (
        "INSERT INTO operation (id, kind, subjects, leases, lease_ttl, owner, actor, reason, vcs_ref, parameters, started_at, ended_at, outcome, result)"
        f" VALUES ('{key}', 'cutover', '[\"hub\"]', '{{\"hub\": {number}}}', 900, '{owner}', 'ann', 'why', NULL, '{{\"a\": 1}}', {at}, {ended})"
        for key, number, at, ended in (("one", 1, 1000.5, "1010.25, 'succeeded', '{\"window_ms\": 12}'"), ("two", 2, 2000.5, "NULL, NULL, NULL"))
    )
    yield from (f"INSERT INTO operation_subject (operation_id, subject) VALUES ('{key}', 'hub')" for key in ("one", "two"))
    yield f"INSERT INTO lease (subject, number, operation_id, owner, taken_at, expires_at) VALUES ('hub', 2, 'two', '{owner}', 2000.5, 2900.5)"
    yield "INSERT INTO step (operation_id, id, name, position) VALUES ('one', 'C1', 'Preflight', 1)"
    yield (
        "INSERT INTO step_host (operation_id, step_id, host, status, started_at, ended_at, changed, evidence, bookmark, failure)"
        " VALUES ('one', 'C1', 'h', 'done', 1001, 1003, 1, '{\"dns\": {\"ok\": true}}', '{}', NULL)"
    )
    yield "INSERT INTO event (operation_id, position, at, kind, data) VALUES ('one', 1, 1000.5, 'opened', '{\"previous\": null}')"


@pytest.mark.parametrize("way", ["open", "copy"])
def test_a_store_that_the_first_version_wrote_reads_the_same(place, way):
    place.older(1, old_rows())
    store = StateStore(getattr(place, way)(), Owner("bob", "bob", "controller", 42), presence=lambda _other, _me: "unknown", clock=lambda: 2100.5)
    two, one = store.operations()
    assert (one["id"], one["started_at"], one["seconds"]) == ("one", "1970-01-01T00:16:40.500Z", 9.75)
    assert (one["outcome"], one["result"]) == ("succeeded", {"window_ms": 12})
    assert (one["parameters"], one["reason"], one["host"], one["lease_numbers"]) == ({"a": 1}, "why", "controller", {"hub": 1})
    assert (one["steps"][0]["seconds"], one["steps"][0]["evidence"]) == (2.0, {"h": {"dns": {"ok": True}}})
    assert one["events"] == [{"at": "1970-01-01T00:16:40.500Z", "kind": "opened", "data": {"previous": None}}]
    assert (two["outcome"], store.lease("hub")["age"]) == (None, 100.0)
    refused("locked", lambda: opened(store, "hub"))
    store.close()
    assert place.version() == (1 if way == "copy" else len(MIGRATIONS))


@pytest.mark.parametrize("way", ["open", "copy"])
def test_a_store_of_a_newer_collection_is_refused(place, way):
    place.open().close()
    place.set_version(len(MIGRATIONS) + 1)
    assert "newer collection" in refused("store_unavailable", getattr(place, way)).remedy
    assert place.version() == len(MIGRATIONS) + 1


# --- a store as it is -------------------------------------------------------------------------------------------------------------


def test_a_store_as_it_is_is_read_and_not_made(place):
    """Who reads it as an inventory is told that there is none, or an older one; an empty answer would be one."""
    one, two = ("CREATE TABLE a (x TEXT)",), ("ALTER TABLE a ADD COLUMN y TEXT",)
    assert refused("store_unavailable", lambda: place.copy(as_it_is=True)).remedy and place.tables() == set()
    store = place.open()
    known = place.tables()
    for migrations, seen in (((one,), "has no tables of _a"), ((one, two), "has tables of _a of version 1; this collection knows 2")):
        copy = place.copy(as_it_is=True)
        assert seen in refused("store_unavailable", lambda database=copy, wanted=migrations: database.join("_a", wanted)).message
        copy.close()
        store.join("_a", migrations)
    copy = place.copy(as_it_is=True)
    copy.join("_a", (one, two))
    with copy.transaction() as transaction:
        assert transaction.execute("SELECT x, y FROM a") == []
    assert "newer collection" in refused("store_unavailable", lambda: copy.join("_a", (one,))).remedy
    copy.close()
    store.close()
    assert place.tables() == known | {"a"}


def test_an_older_store_as_it_is_is_refused(place):
    place.older(1, [])
    failure = refused("store_unavailable", lambda: place.copy(as_it_is=True))
    assert f"tables of version 1; this collection knows {len(MIGRATIONS)}" in failure.message
    assert place.version() == 1
    place.open().close()
    place.copy(as_it_is=True).close()
