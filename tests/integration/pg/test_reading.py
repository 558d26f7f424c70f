# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a text means does not hang on settings of the database, of everybody or of the account that subscribes; and these are left as they were."""

from __future__ import annotations

import contextlib

import pytest

SETTINGS = """
ALTER DATABASE hub SET array_nulls = off;
ALTER ROLE postgres IN DATABASE hub SET xmloption = 'document';
ALTER ROLE ALL SET "DateStyle" = 'SQL, DMY';
ALTER DATABASE hub SET "IntervalStyle" = 'sql_standard';
ALTER DATABASE hub SET transform_null_equals = on;
ALTER DATABASE hub SET client_encoding = 'LATIN1';
ALTER DATABASE hub SET extra_float_digits = -9;
ALTER DATABASE hub SET quote_all_identifiers = on;
"""
TABLE = """
CREATE TABLE "größer" (id int PRIMARY KEY, a text[], n int[], x xml, d date, i interval, at timestamptz, m money, f float8, CHECK (a IS NOT NULL));
INSERT INTO "größer" VALUES (1, ARRAY['x', NULL], ARRAY[1, NULL], xmlparse(content 'text <a/>'), '2026-02-03',
  '-1 month 2 days -03:04:05', now(), '-1234.5', 1.0::float8 / 3);
COMMENT ON TABLE "größer" IS 'Ärger';
"""
SAID = """
SELECT coalesce(r.rolname, '') AS role, coalesce(d.datname, '') AS dbname, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE coalesce(r.rolname, '') <> 'pgcut_repl' AND (r.rolname IS NOT NULL OR d.datname IS NULL) ORDER BY 1, 2
"""


def rows(cluster) -> list[dict]:
    return cluster.rows('SELECT id, a[2] IS NULL AND n[2] IS NULL AS nulls, x::text, d, i, at, m::numeric, f = 1.0::float8 / 3 AS f FROM "größer" ORDER BY 1')


@contextlib.contextmanager
def settings(world):
    world.legacy.rows(SETTINGS)
    try:
        yield world.legacy.rows(SAID, dbname="postgres")
    finally:
        for cluster in world.clusters:
            cluster.rows("ALTER ROLE ALL RESET ALL; ALTER ROLE postgres RESET ALL", dbname="postgres")


@pytest.mark.parametrize("engine", ["logical", "dump"])
def test_rows_are_read_as_they_were_written(world, engine):
    world.legacy.rows(TABLE)
    with settings(world) as before:
        world.ok("armed", engine=engine)
        # What is kept for the time of the pair is no difference between the sides.
        assert world.ok("armed", engine=engine)["changed"] is False
        world.legacy.rows('INSERT INTO "größer" SELECT id + 1, a, n, x, d, i, at, m, f FROM "größer"')
        assert world.ok("new", engine=engine, max_window=60)["verify"]["equal"]
        assert rows(world.new) == rows(world.legacy) and len(rows(world.new)) == 2
        world.new.rows('INSERT INTO "größer" SELECT id + 2, a, n, x, d, i, at, m, f FROM "größer"')
        assert world.ok("legacy")["verify"]["equal"]
        assert rows(world.legacy) == rows(world.new) and all(row["nulls"] for row in rows(world.legacy)) and len(rows(world.legacy)) == 4
        world.ok("absent")
        assert world.legacy.rows(SAID, dbname="postgres") == before
