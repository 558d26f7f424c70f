# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQL and program arguments as text: quoting, comparison, selection. Pure."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import reasons
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import (
    account_settings,
    accounts,
    catalog,
    database,
    fence,
    link_account,
    owner_code,
    postgres,
    programs,
    restore_errors,
    scan,
)
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import connection_failure, ident, literal
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import carry, verify


def test_quoting():
    assert ident("Größe", 'Zahl "der" Dinge') == '"Größe"."Zahl ""der"" Dinge"'
    assert literal("it's \\ here") == "'it''s \\ here'"
    with pytest.raises(FleetError):
        literal("a\x00b")


def test_the_epoch_is_compared_before_anything_is_set():
    text = fence.turn_text("hub", "7:commit", False, "7:open")
    assert text.index("IS DISTINCT FROM '7:open'") < text.index("SET pgcut.epoch = '7:commit'")
    assert "RESET default_transaction_read_only" in text
    assert fence.turn_text("hub", "7:open", True).count("RAISE") == 0


def test_a_database_name_cannot_end_the_block():
    text = fence.turn_text("x$bowline$; DROP", "1:open", True)
    tag = text.split("DO ")[1].split(" ")[0]
    assert text.count(tag) == 2 and text.endswith(tag)


def test_epochs_grow_and_differ():
    names = [fence.new_epoch() for _number in range(50)]
    assert len(set(names)) == 50
    assert [name.split("-")[0] for name in names] == sorted(name.split("-")[0] for name in names)


def test_locks_differ_by_purpose_and_database():
    assert len({fence.key("hub", "run"), fence.key("hub", "epoch"), fence.key("other", "run")}) == 3
    assert -(2**63) <= fence.key("hub", "run") < 2**63


def test_sequences_are_set_exactly():
    names = [("public", "a"), ("S", 'b"c')]
    text = carry.setting(names, {0: (7, True), 1: (-3, False)})
    assert "('\"public\".\"a\"', 7, True)" in text and "('\"S\".\"b\"\"c\"', -3, False)" in text
    assert len(carry.reading([("s", str(number)) for number in range(801)])) == 3


@pytest.mark.parametrize(("mode", "expected"), [("hash", "hashtextextended"), ("md5", "md5("), ("counts", "''::text")])
def test_one_scan_per_table_without_its_children(mode, expected):
    text = scan.total_text(("public", "Größe"), mode)
    assert expected in text and 'FROM ONLY "public"."Größe"' in text and text.count("FROM") == 1


def test_differing_rows_are_found_by_bucket():
    assert 'ROW(pgcut_row."a", pgcut_row."b")' in verify.bucket_text(("s", "t"), ["a", "b"], "hash")
    assert verify.rows_text(("s", "t"), ["a"], "hash", 17).endswith("= 17")


TOC = """;
; Archive created at 2026-01-01
218; 1259 16391 TABLE public ledger hub
3400; 2606 16400 CONSTRAINT public ledger ledger_pkey hub
3401; 2606 16401 FK CONSTRAINT public child child_parent_fkey hub
3402; 1259 16402 INDEX public unique_only_a hub
3403; 1259 16403 INDEX public other hub
3404; 3466 16404 EVENT TRIGGER - pgcut_ddl postgres
3405; 3466 16405 EVENT TRIGGER - audit postgres
3406; 6104 16406 PUBLICATION - pgcut_fwd postgres
3407; 6100 16407 SUBSCRIPTION - other postgres
""".splitlines()


class Listing:
    def __init__(self, out):
        self.out, self.err, self.rc = out, "", 0


def test_triggers_of_a_cutover_are_not_restored():
    ours = ["1; 0 0 EVENT TRIGGER - pgcut_ddl postgres", '2; 0 0 TRIGGER public t pgcut_closed Ünlauter "Gast"']
    assert programs.without([*ours, "3; 0 0 TRIGGER public t closed hub"], ()) == ["3; 0 0 TRIGGER public t closed hub"]


def test_the_copy_gets_keys_only_and_the_rest_comes_later(tmp_path):
    tools = programs.Programs(lambda argv, **_more: Listing("\n".join(TOC)), [], tmp_path)
    lines = tools.listing(tmp_path / "x")
    assert not [line for line in lines if "PUBLICATION" in line or "SUBSCRIPTION" in line]
    first = programs.keys(lines, ["unique_only_a"])
    assert [line.split(";")[0] for line in first] == ["3400", "3402", "3401"]
    rest = programs.without(lines, first)
    assert [line.split(";")[0] for line in rest] == ["218", "3403", "3405"]


CHECKS = ["1; 0 0 CHECK CONSTRAINT low t t_check low", "2; 0 0 CHECK CONSTRAINT low t doubtful low", "3; 0 0 INDEX low t_evil postgres",
          "4; 0 0 CONSTRAINT low t t_pkey low", "5; 0 0 CONSTRAINT pgcut marker marker_pkey postgres", "6; 0 0 FK CONSTRAINT low t t_fk postgres"]


def test_checks_that_hold_for_every_row_are_made_before_there_are_rows():
    assert [line[0] for line in programs.keys(CHECKS, [], ["low t t_check"])] == ["1", "4", "5", "6"]
    assert [line[0] for line in programs.without_helper(CHECKS)] == ["1", "2", "3", "4", "6"]


@pytest.mark.parametrize(("superusers", "expected"), [(["postgres"], ["1", "2", "3", "5"]), (["root"], ["1", "2"]), (None, ["1", "2", "3", "4", "5"])])
def test_what_is_evaluated_behind_the_rows_with_the_rights_of_a_superuser(superusers, expected):
    assert [line[0] for line in programs.evaluated(CHECKS, superusers)] == expected


def test_code_of_an_owner_is_named_once_with_its_places():
    uses = [owner_code.Use("low.f(integer)", "low", f"table low.t{n}", "check", n == 6, False) for n in (*range(7), 6)]
    [finding] = owner_code.findings(uses, ["low.f"])
    assert (finding.code, finding.level, finding.object) == ("owner_code", "fail", "low.f(integer)")
    assert "table low.t0 (CHECK or EXCLUDE)" in finding.message and finding.message.endswith(" ….")
    assert owner_code.findings(uses, ["low.f(integer)"]) == [] and owner_code.accepted(uses, ["low.f(integer)", "other"]) == ["low.f(integer)"]
    assert [use.place for use in owner_code.concerned(uses, False)] == ["table low.t6"] * 2 and owner_code.concerned(uses, True) == uses


def test_indexes_of_partitions_are_attached_one_after_the_other():
    lines = ["1; 0 0 FK CONSTRAINT s t k o", "2; 0 0 INDEX s a o", "3; 0 0 INDEX ATTACH s a o", "4; 0 0 TRIGGER s t g o", "5; 0 0 CONSTRAINT s t u o"]
    chosen = [([line[0] for line in some], parallel) for some, parallel in programs.passes(lines)]
    assert chosen == [(["2"], True), (["3"], False), (["1", "4", "5"], True)]
    assert programs.keys(lines, ["a"]) == [lines[1], lines[4], lines[0]]


def test_passwords_reach_programs_by_a_private_file(tmp_path):
    seen = {}

    def runner(argv, *, env=None, stdin=None, timeout=None):
        seen.update(argv=argv, env=env)
        return Listing("")

    endpoint = Endpoint("legacy", "db", dbname="hub", password="can:ary\\x")
    programs.Programs(runner, [], tmp_path).run("pg_dump", endpoint, ["--dbname=hub"])
    path = tmp_path / "legacy.pgpass"
    assert seen["env"]["PGPASSFILE"] == str(path) and path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "*:*:*:*:can\\:ary\\\\x\n"
    assert "can" not in " ".join(seen["argv"]) and "PGPASSWORD" not in seen["env"]


def test_the_given_folder_wins(tmp_path):
    (tmp_path / "pg_dump").touch()
    assert programs.find("pg_dump", ["", str(tmp_path)]) == str(tmp_path / "pg_dump")
    assert programs.find("no_such_program", [str(tmp_path)]) == "no_such_program"


def test_the_program_is_none_that_is_newer_than_the_server_unless_there_is_no_other(tmp_path, monkeypatch):
    for major in ("9.6", "15", "16", "18"):
        (tmp_path / major / "bin").mkdir(parents=True)
        (tmp_path / major / "bin" / "pg_restore").touch()
    monkeypatch.setattr(programs, "_DEBIAN", tmp_path)
    taken = {major: programs.find("pg_restore", [], major) for major in (0, 9, 15, 17, 18)}
    assert taken == {number: str(tmp_path / major / "bin" / "pg_restore") for number, major in {0: "18", 9: "18", 15: "15", 17: "16", 18: "18"}.items()}


@pytest.mark.parametrize(("said", "named"), [("15.3", []), ("16.1", []), ("17.9", []), ("14.2", ["pg_dump", "pg_restore"]), ("18.0", ["pg_dump", "pg_restore"]),
                                             ("", ["pg_dump", "pg_restore"])])
def test_programs_between_both_servers_fit(said, named):
    found = programs.unfit(lambda argv, **more: Listing(f"pg_dump (PostgreSQL) {said}"), [], 15, 17)
    assert [finding.object for finding in found] == named and all(finding.remedy for finding in found)


DATABASE = {"owner": "o", "encoding": "UTF8", "collate": "C", "ctype": "C", "provider": "c", "locale": None, "rules": None}


def test_the_provider_of_the_locale_is_always_said():
    """Left out, it is that of template0: how initdb was called on new."""
    said = {version: database.create_text("d", DATABASE, version).partition("LC_CTYPE 'C'")[2] for version in (140000, 150000)}
    assert said == {140000: "", 150000: " LOCALE_PROVIDER libc"}
    icu = database.create_text("d", {**DATABASE, "provider": "i", "locale": "de", "rules": "&'a"}, 160000)
    assert icu.endswith(" LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&''a'")


@pytest.mark.parametrize(("entry", "expected"), [
    ('search_path="$user", public', """SET "search_path" TO '$user', 'public'"""),
    ("search_path=A,\"B\"", """SET "search_path" TO 'a', 'B'"""),
    ("search_path=a;ALTER/**/ROLE/**/m/**/SUPERUSER;--", """SET "search_path" TO 'a;alter/**/role/**/m/**/superuser;--'"""),
    ('SEARCH_PATH=""', """SET "SEARCH_PATH" TO ''"""),
    ("local_preload_libraries=A, 'b", """SET "local_preload_libraries" TO 'A', '''b'"""),
    ("DateStyle=ISO, MDY", """SET "DateStyle" TO 'ISO, MDY'"""),
    ("app.mode=it's=x", """SET "app"."mode" TO 'it''s=x'"""),
    ('a"b.c=x', """SET "a""b"."c" TO 'x'"""),
])
def test_a_setting_is_quoted_part_by_part(entry, expected):
    assert account_settings.text("ROLE r", entry) == f"ALTER ROLE r {expected}"


def test_an_empty_list_has_no_literal():
    assert account_settings.text("ROLE r", "search_path=") == (
        "SELECT pg_catalog.set_config('search_path', '', true); ALTER ROLE r SET \"search_path\" FROM CURRENT")


@pytest.mark.parametrize("entry", ['search_path="a', "search_path=a b", "search_path=a,,b", "search_path=a,", 'search_path="a"b', 'a"b.c=x',
                                   "a;b=x", "1a=x", "=x", "x y.z=1"])
def test_a_setting_that_cannot_be_made_is_known(entry):
    assert account_settings.problem(entry)
    with pytest.raises(FleetError):
        database.setting_text("ROLE r", "r", entry)


def test_settings_are_equal_when_they_mean_the_same():
    assert account_settings.missing(["search_path= A,b", "work_mem=1MB"], ['search_path=a, b', "Work_Mem=1MB", "other=x"]) == []
    assert account_settings.missing(["search_path=a, b", "work_mem=1MB", "x.y=1"], ["search_path=b, a", "work_mem=1024kB"]) == [
        ("search_path=a, b", "search_path=b, a"), ("work_mem=1MB", "work_mem=1024kB"), ("x.y=1", "nothing")]
    assert account_settings.missing(["search_path="], ['search_path=""']) == [("search_path=", 'search_path=""')]


def test_a_role_is_made_with_attributes_and_verifier():
    assert accounts.create_text(ROLE) == (
        'CREATE ROLE "hub" WITH NOSUPERUSER INHERIT NOCREATEROLE CREATEDB LOGIN NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 5'
        " PASSWORD 'SCRAM-SHA-256$x'"
    )


ROLE = {"rolname": "hub", "rolsuper": False, "rolinherit": True, "rolcreaterole": False, "rolcreatedb": True, "rolcanlogin": True,
        "rolreplication": False, "rolbypassrls": False, "rolconnlimit": 5, "rolpassword": "SCRAM-SHA-256$x", "rolvaliduntil": None}


@pytest.mark.parametrize(("seen", "super_", "expected"), [
    ({}, False, []),
    ({"hub": ["CREATEDB", "readers", "pg_monitor"]}, False, []),
    ({"hub": ["SUPERUSER"]}, False, [("hub", ["SUPERUSER"])]),
    ({"hub": ["SUPERUSER"]}, True, []),
    ({"hub": ["dba", "readers"]}, False, [("hub", ["dba"])]),
    ({"readers": ["hub"]}, False, [("readers", ["hub"])]),
])
def test_rights_that_a_role_would_gain(seen, super_, expected):
    members = [{"parent": "readers", "child": "hub"}, {"parent": "pg_monitor", "child": "readers"}, {"parent": "readers", "child": "readers"}]
    known = {"roles": [{**ROLE, "rolsuper": super_}, {**ROLE, "rolname": "readers", "rolcreatedb": False}], "memberships": members}
    assert accounts.gains(known, seen) == expected


def test_a_body_cannot_end_its_own_block():
    assert postgres.block("a") != postgres.block("b")
    for name in ("$bowline_fence$", "$bowline$", "$bowline_frozen$"):
        assert fence.turn_text(name, "e", True, cluster=True).count(f" {name} ") == 0


# Example of RFC 7677, section 3: user "user", password "pencil".
SCRAM = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


@pytest.mark.parametrize(("password", "verifier", "expected"), [
    ("pencil", SCRAM, True),
    ("pencils", SCRAM, False),
    ("pencil", None, False),
    ("pencil", "SCRAM-SHA-256$broken", False),
    ("pencil", "md5" + "2f5b7c0a0ae1d7d3dbd4c2a4a8f8c2f1", False),
])
def test_a_verifier_tells_whether_the_password_is_the_same(password, verifier, expected):
    assert link_account.verifies("user", password, verifier) is expected


def test_schemas_are_compared_object_by_object():
    found = catalog.differences({"a": "1", "b": "1", "c": "1"}, {"b": "1", "c": "2", "d": "1"})
    assert found == ["a (only on legacy)", "c (differs)", "d (only on new)"]


@pytest.mark.parametrize(("said", "code"), [
    ('connection to server at "x" failed: FATAL:  password authentication failed for user "postgres"', "auth"),
    ("fe_sendauth: no password supplied", "auth"),
    ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "auth"),
    ("connection to server at \"x\" failed: Connection refused\n\tIs the server running?", "unreachable"),
    ('server certificate for "a" does not match host name "b"', "tls"),
    ('root certificate file "/root/.postgresql/root.crt" does not exist', "tls"),
    ("server does not support SSL, but SSL was required", "tls"),
    ("SSL error: certificate verify failed", "tls"),
    ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", SSL off', "auth"),
    ('authentication method requirement "!password" failed: server requested a cleartext password', "auth"),
    # A server that ends while a connection is made is waited for.
    ("SSL SYSCALL error: EOF detected", "unreachable"),
    ("SSL error: unexpected eof while reading", "unreachable"),
])
def test_what_a_refused_connection_means(said, code):
    failure = connection_failure(Endpoint("new", "x", dbname="hub"), "hub", said)
    assert failure.code == code and "\n" not in failure.message and failure.details["side"] == "new"


RESTORED = """pg_restore: error: could not execute query: ERROR:  relation "i" already exists
Command was: CREATE INDEX i ON public.t (a);

pg_restore: error: could not execute query: ERROR:  could not create unique index "u"
DETAIL:  Key (f(a))=(1) is duplicated.
Command was: CREATE UNIQUE INDEX u
    ON public.t USING btree (f(a));


pg_restore: warning: errors ignored on restore: 2
"""


def test_of_what_a_restore_says_all_counts_but_what_is_there_already():
    assert restore_errors.errors(RESTORED) == [
        ("CREATE UNIQUE INDEX u ON public.t USING btree (f(a));", 'could not create unique index "u" (Key (f(a))=(1) is duplicated.)')]
    assert restore_errors.errors("") == [] and restore_errors.sentence([("", "gone")] * 6).endswith("; and 1 more")


LOG = """2026-01-01 [11] LOG:  logical replication apply worker for subscription "pgcut_fwd" has started
2026-01-01 [12] LOG:  logical replication apply worker for subscription "other" has started
2026-01-01 [12] ERROR:  not ours
2026-01-01 [13] hub@hub ERROR:  says "pgcut_fwd"
2026-01-01 [11] ERROR:  new row for relation "t" violates check constraint "c"
2026-01-01 [11] DETAIL:  Failing row contains (5, secret).
2026-01-01 [11] CONTEXT:  COPY t, line 3: "5 secret"
2026-01-01 [1] LOG:  background worker "logical replication worker" (PID 12) exited with exit code 1
2026-01-01 [1] LOG:  background worker "logical replication worker" (PID 11) exited with exit code 1
"""


def test_the_reason_of_a_worker_is_its_own_and_shows_no_row():
    assert reasons.last_error(LOG, "pgcut_fwd") == 'new row for relation "t" violates check constraint "c". Failing row contains … COPY t, line 3: …'
    assert reasons.last_error(LOG, "pgcut_rev") == ""


def test_memberships_come_after_those_that_their_grantor_may_grant_by():
    def given(child, grantor, admin):
        return {"parent": "dba", "child": child, "grantor": grantor, "admin": admin, "inherit": True, "set": True, "inherits": True}

    chain = [given("b", "c", False), given("c", "b", True), given("b", "a", True), given("a", "", True)]
    found = accounts.merged(chain, ("a", "b", "c"))
    assert list(found) == [("dba", "a", ""), ("dba", "b", "a"), ("dba", "c", "b"), ("dba", "b", "c")]
    assert accounts.member_text(found["dba", "b", "a"], 160000).endswith('SET TRUE GRANTED BY "a"')
    assert accounts.revoke_text(found["dba", "a", ""], 160000) == 'REVOKE "dba" FROM "a" CASCADE'
    # Where a side knows no grantors, and where the grantor is not carried, it is one membership with all of the rights.
    old = accounts.merged(chain)
    assert list(old) == [("dba", "a", ""), ("dba", "b", ""), ("dba", "c", "")] and old["dba", "b", ""]["admin"] is True
    assert accounts.revoke_text(old["dba", "b", ""], 160000) == 'REVOKE "dba" FROM "b" GRANTED BY "c" CASCADE; REVOKE "dba" FROM "b" GRANTED BY "a" CASCADE'
    assert list(accounts.merged(chain, ("a", "b"))) == [("dba", "a", ""), ("dba", "b", ""), ("dba", "b", "a"), ("dba", "c", "b")]
