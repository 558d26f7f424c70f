# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing is left out without a word, and whatever a server refuses is told with its own reason and a remedy that works."""

from __future__ import annotations

PASS = "SET pgcut.bypass = on; "
COMMENTS = """
COMMENT ON INDEX child_parent IS 'of an index';
COMMENT ON CONSTRAINT ledger_pkey ON ledger IS 'of a key';
COMMENT ON CONSTRAINT child_parent_fkey ON child IS 'of a foreign key';
COMMENT ON TABLE ledger IS 'of a table';
"""
TOLD = """
SELECT d.description FROM pg_description d JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid
WHERE c.relname IN ('child_parent', 'ledger')
UNION ALL SELECT d.description FROM pg_description d JOIN pg_constraint c ON d.classoid = 'pg_constraint'::regclass AND d.objoid = c.oid
WHERE c.conname IN ('ledger_pkey', 'child_parent_fkey') ORDER BY 1
"""
# The operator of the extension's type is found by the search_path alone, and a restore has none.
RULE = """
CREATE EXTENSION hstore;
CREATE TABLE doc (id int PRIMARY KEY, c hstore);
CREATE RULE changes AS ON UPDATE TO doc WHERE old.c IS DISTINCT FROM new.c DO ALSO SELECT 1;
"""


def test_what_cannot_be_made_is_named_and_comments_arrive(world):
    world.legacy.rows(COMMENTS + RULE)
    failure = world.run("armed")["failure"]
    assert "changes" in failure["message"] and (failure["remedy"] or failure["details"]["findings"]), failure
    world.legacy.rows(PASS + "DROP RULE changes ON doc")
    world.ok("armed")
    assert world.new.rows(TOLD) == world.legacy.rows(TOLD) != []
    assert len(world.legacy.rows(TOLD)) == 4


# The function finds its table by the search_path of the session.
CHECK = """
CREATE TABLE allowed (code text PRIMARY KEY);
INSERT INTO allowed VALUES ('a');
CREATE FUNCTION is_allowed(text) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN EXISTS (SELECT FROM allowed WHERE code = $1); END';
CREATE TABLE coded (id int PRIMARY KEY, code text CHECK (is_allowed(code)));
INSERT INTO coded VALUES (1, 'a');
"""


def test_a_copy_that_fails_is_told_with_the_reason_of_the_server(world):
    world.legacy.rows(CHECK)
    failure = world.run("armed")["failure"]
    assert 'relation "allowed" does not exist' in failure["message"], failure
    for side in world.clusters:
        # When it was found early, new has no such database yet.
        if side.rows("SELECT 1 FROM pg_database WHERE datname = 'hub'", dbname="postgres"):
            side.rows(PASS + "SET default_transaction_read_only = off; ALTER TABLE coded DROP CONSTRAINT coded_code_check")
    world.ok("armed")


def test_a_conflict_of_the_apply_is_named_with_its_table_and_key(world):
    world.ok("armed")
    world.new.rows("INSERT INTO balance VALUES ('in the way', 1)")
    world.legacy.rows("INSERT INTO balance VALUES ('in the way', 2)")
    failure = world.run("new")["failure"]
    assert failure["code"] == "apply_error", failure
    for words in ("balance", "Key (name)=(in the way) already exists", "INSERT"):
        assert words in failure["message"], failure
    assert world.open_sides() == ["legacy"]
    world.new.rows("SET default_transaction_read_only = off; DELETE FROM balance WHERE name = 'in the way'")
    assert world.ok("new")["verify"]["equal"] is True
