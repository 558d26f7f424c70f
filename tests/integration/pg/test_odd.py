# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every odd thing of odd.sql arrives equal, there and back, by a comparison that is not the product's; the rest is refused by name."""

from __future__ import annotations

import bowline_pg_compare as compare
import bowline_pg_rig as rig

# Behaviour of an application, by its own triggers, constraints and sequences; {m} is a word that is new each time.
BEHAVIOUR = [
    "INSERT INTO odd.small_serial (note) VALUES ('{m}')",
    "UPDATE odd.keyless SET b = '{m}' WHERE ctid = (SELECT ctid FROM odd.keyless WHERE a = 0 LIMIT 1)",
    "DELETE FROM odd.keyless WHERE ctid = (SELECT ctid FROM odd.keyless WHERE a = 0 ORDER BY ctid LIMIT 1)",
    "UPDATE odd.toasted SET touched = touched + 1",
    "UPDATE odd.toasted_keyless SET a = a + 1",
    "UPDATE odd.deferred_key SET a = a + 1, b = 51 - b",
    "BEGIN; INSERT INTO odd.hen SELECT 100 + (SELECT count(*) FROM odd.hen), 100 + (SELECT count(*) FROM odd.hen);"
    " INSERT INTO odd.egg SELECT max(id), max(id) FROM odd.hen; COMMIT",
    "INSERT INTO odd.tree (id, name) SELECT max(id) + 1, '{m}' FROM odd.tree",
    "UPDATE odd.tree SET id = id + 1000 WHERE id = (SELECT max(id) FROM odd.tree)",
    "DELETE FROM odd.tree WHERE id = (SELECT min(id) FROM odd.tree WHERE up IS NOT NULL)",
    "UPDATE odd.events SET at = at + 366, kind = 'z' WHERE id % 50 = 0",
    "INSERT INTO odd.identities (note) VALUES ('{m}')",
    "INSERT INTO odd.typed SELECT (r).* FROM (SELECT t #= hstore('id', (SELECT max(id) + 1 FROM odd.typed)::text) AS r FROM odd.typed t) x LIMIT 1",
    "UPDATE odd.typed SET moods = moods || 'awake'::odd.mood, tags = tags || hstore('{m}', NULL), deep = NULL",
    "UPDATE odd.extremes SET n = -n, f8 = -f8",
    "DELETE FROM odd.empty",
    "INSERT INTO odd.nothing DEFAULT VALUES; INSERT INTO odd.nothing DEFAULT VALUES; INSERT INTO odd.only_generated DEFAULT VALUES",
    "DELETE FROM odd.nothing WHERE ctid = (SELECT min(ctid) FROM odd.nothing)",
    "INSERT INTO odd.only_generated DEFAULT VALUES",
    "DELETE FROM odd.only_generated WHERE ctid = (SELECT min(ctid) FROM odd.only_generated)",
    "INSERT INTO odd.empty SELECT count(*), '{m}' FROM odd.empty",
    "UPDATE odd.generated SET amount = amount + 1",
    "INSERT INTO odd.bulk (title, body) VALUES ('{m}', repeat('{m}', 100))",
    "TRUNCATE odd.\"table\"; INSERT INTO odd.\"table\" VALUES (1, '{m}', NULL)",
    "UPDATE odd.wide SET c1600 = c1600 + 1, c2 = NULL",
    'INSERT INTO "Größe & Maß"."UPPER" (id) VALUES (7)',
    "SELECT nextval('counters.ticket'), nextval('counters.never'), nextval('odd.backwards'), nextval('counters.light')",
    "INSERT INTO odd.scratch (note) VALUES ('{m}')",
    "UPDATE odd.scratch_keyless SET n = n + 1",
    "SELECT lo_put(900003, 20000, '{m}'), lo_unlink(900001), lo_from_bytea(900001, '{m}')",
    "REFRESH MATERIALIZED VIEW odd.totals; REFRESH MATERIALIZED VIEW odd.a_total_of_totals",
]


def use(cluster, mark: str) -> None:
    tables = compare.churn(cluster, mark)
    assert tables > 50
    with cluster.connect(options="-c statement_timeout=0 -c search_path=public,odd,ext") as application:
        for text in BEHAVIOUR:
            application.execute(text.replace("{m}", mark))


def settled(world) -> None:
    """The follower has applied everything."""
    source = world.serving()
    sent = source.value("SELECT pg_current_wal_lsn()::text", dbname="postgres")
    rig.until(
        lambda: source.rows("SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= %s::pg_lsn", sent, dbname="postgres"), 20, "the follower"
    )


def test_everything_odd_arrives_equal_there_and_back(clusters):
    clusters.reset(odd=300)
    before = compare.contents(clusters.legacy)
    dump, members = compare.schema(clusters.legacy, clusters.new.bin), compare.roles(clusters.legacy, clusters.new.bin)
    assert clusters.ok("armed")["phase_after"] == "armed"
    # Nothing of the application's was touched by the preparation.
    assert compare.contents(clusters.legacy) == before
    assert compare.assert_equal(clusters, clusters.new.bin, switched=False) == before

    use(clusters.legacy, "there")
    there = clusters.ok("new")
    assert there["verify"]["equal"] is True
    held = compare.assert_equal(clusters, clusters.new.bin)
    assert held != before

    use(clusters.new, "back")
    back = clusters.ok("legacy")
    assert back["verify"]["equal"] is True
    compare.assert_equal(clusters, clusters.new.bin)

    use(clusters.legacy, "again")
    assert clusters.ok("new")["verify"]["equal"] is True
    clusters.ok("finished")
    compare.assert_equal(clusters, clusters.new.bin)
    for cluster in clusters.clusters:
        assert compare.schema(cluster, clusters.new.bin) == dump
        assert compare.roles(cluster, clusters.new.bin) == members
