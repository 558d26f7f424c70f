# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read from a restore that was tried, which refusal of the link lasts, and what a note of settings means."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight import dry_restore
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import pair
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import database, restore_errors

SAID = """pg_restore: error: could not execute query: ERROR:  operator does not exist: public.hstore = public.hstore
LINE 2:  SELECT NULLIF(doc.c, '"a"=>"1"'::public.hstore) AS "nullif"
                ^
HINT:  No operator matches the given name and argument types. You might need to add explicit type casts.
Command was: CREATE VIEW public.v AS
 SELECT NULLIF(doc.c, '"a"=>"1"'::public.hstore) AS "nullif"
   FROM public.doc;


pg_restore: error: could not execute query: ERROR:  relation "public.v" does not exist
Command was: ALTER VIEW public.v OWNER TO postgres;

pg_restore: error: could not execute query: ERROR:  function public.reset(oid) does not exist
Command was: GRANT ALL ON FUNCTION public.reset(userid oid) TO hub;

pg_restore: error: could not execute query: ERROR:  schema "app" already exists
Command was: CREATE SCHEMA app;

pg_restore: warning: errors ignored on restore: 4
"""


def test_what_only_follows_from_something_else_is_left_out():
    found = restore_errors.roots(restore_errors.errors(SAID, there=True))
    assert [reason for _statement, reason in found] == [
        "operator does not exist: public.hstore = public.hstore", "function public.reset(oid) does not exist", 'schema "app" already exists']
    assert len(restore_errors.errors(SAID)) == 3


@pytest.mark.parametrize(("statement", "name"), [
    ("CREATE VIEW public.v AS SELECT 1;", "VIEW public.v"),
    ("CREATE UNIQUE INDEX i ON public.t USING btree (a);", "INDEX i"),
    ('CREATE OR REPLACE FUNCTION public."Ä b"(int) RETURNS int', 'FUNCTION public."Ä b"'),
    ("GRANT ALL ON FUNCTION public.reset(userid oid) TO hub;", "FUNCTION public.reset"),
    ("ALTER TABLE ONLY public.t ADD CONSTRAINT c CHECK (true);", "TABLE public.t"),
    ("CREATE MATERIALIZED VIEW public.m AS", "MATERIALIZED VIEW public.m"),
    ("CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;", "EXTENSION hstore"),
    ("SELECT pg_catalog.set_config('x', 'y', false);", "SELECT pg_catalog.set_config('x', 'y', false);"),
    ("", "an entry of the schema"),
])
def test_an_object_is_named_by_its_statement(statement, name):
    finding = dry_restore._refused(statement, "because")
    assert (finding.code, finding.level, finding.object) == ("schema_unfit", "fail", name) and "because" in finding.message and finding.remedy


def test_what_differs_is_told_beside_what_was_refused_unless_it_follows():
    here, there = {"table a": "x", "view b": "", "column c": "int"}, {"table a": "x", "column c": "text"}
    assert dry_restore._different(here, there, []) == ["column c", "view b"]
    assert dry_restore._different(here, there, [dry_restore._refused("CREATE VIEW b", "r")]) == ["column c"]
    assert "legacy only" in dry_restore._differs("view b", "", None).message and "int became text" in dry_restore._differs("c", "int", "text").message


@pytest.mark.parametrize(("code", "said", "lasts"), [
    ("link_unreachable", "Connection refused", True),
    ("link_auth", 'no pg_hba.conf entry for host "10.0.0.1", user "x"', True),
    ("link_auth", "fe_sendauth: no password supplied", True),
    ("link_auth", 'password authentication failed for user "x"', False),
    ("link_auth", 'role "x" does not exist', False),
    ("link_auth", 'permission denied for database "hub"', False),
    # TLS is refused by the first line, and what is not encrypted by the password.
    ("link_auth", 'no pg_hba.conf entry for host "a", SSL encryption connection failed: password authentication failed for user "x"', False),
])
def test_what_an_account_that_is_not_made_yet_would_be_refused_for(code, said, lasts):
    def attempt():
        raise FleetError(code, said, remedy="r")

    if not lasts:
        pair.before_the_account(attempt)
        return
    with pytest.raises(FleetError) as failure:
        pair.before_the_account(attempt)
    assert failure.value.code == code and failure.value.message.endswith("Nothing was written on legacy.") and failure.value.remedy == "r"


def test_settings_are_seen_as_they_were_before_the_move():
    note = database.READING + json.dumps({"array_nulls": None, "xmloption": "document"})
    entries = ["work_mem=5MB", "array_nulls=on", "xmloption=content", note]
    assert database.noted(entries) == {"array_nulls": None, "xmloption": "document"}
    assert [entry for entry in database.as_before(entries) if not entry.startswith("pgcut.")] == ["work_mem=5MB", "xmloption=document"]
    for text in ("", "[]", "{", '"x"'):
        assert database.noted([database.READING + text]) == {} and database.as_before(["a=b"]) == ["a=b"]
