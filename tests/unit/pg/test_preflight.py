# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule of the preflight on facts made by hand: what fails, what warns, and that all of it is said at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.finding import Finding
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight.contents import NamedCollation
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight.judge import refuse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight.rules import fatal, judge
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight.survey import Observed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.collations import Collation
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.catalog import Keyless

WORKERS = "max_logical_replication_workers"
SETTINGS = {"wal_level": "logical", "max_replication_slots": "10", "max_wal_senders": "10", WORKERS: "4", "max_slot_wal_keep_size": "-1"}
IDLE = "idle_replication_slot_timeout"
DATABASE = {"datcollate": "C.UTF-8", "datctype": "C.UTF-8", "encoding": "UTF8", "size": 1}
ABLE = {"able": True, "reads": True, "members": []}
LEGACY = Observed(150000, SETTINGS, "1", 10, 10, (), DATABASE, 1000, {"plpgsql": "1.0"}, {}, ("C.utf8",), 0, ABLE, {})
NEW = replace(LEGACY, sorted_by={("i", "de"): "153.120"}, system="2", database=None, extensions={}, available={"plpgsql": "1.0"})


def options(**more):
    link = {"to_legacy": {"host": "a"}, "to_new": {"host": "b"}}
    return parse({"state": "seeded", "legacy": {"host": "a", "dbname": "hub"}, "new": {"host": "b", "dbname": "hub"}, "link": link, **more})


def found(legacy=LEGACY, new=NEW, phase="empty", drifted=(), **more):
    return judge(options(**more), phase, legacy, new, drifted)


def test_nothing_to_say_about_a_plain_pair():
    assert found() == []


RULES = [
    ("slots", {"slots_free": 3}, "preflight_failed", "fail", "legacy.max_replication_slots"),
    ("senders", {"senders_free": 0}, "preflight_failed", "fail", "legacy.max_wal_senders"),
    ("workers", {"settings": {**SETTINGS, WORKERS: "2"}}, "preflight_failed", "fail", f"legacy.{WORKERS}"),
    ("slot size", {"settings": {**SETTINGS, "max_slot_wal_keep_size": "512"}}, "slot_limit", "warn", "legacy.max_slot_wal_keep_size"),
    ("too old", {"version": 110000}, "no_engine", "fail", "legacy"),
    ("other database", {"databases": ("wiki",)}, "preflight_failed", "fail", "database wiki"),
    ("no database", {"database": None}, "preflight_failed", "fail", "legacy.dbname"),
    ("extension", {"extensions": {"postgis": "3"}}, "preflight_failed", "fail", "extension postgis"),
    ("extension, later", {"extensions": {"plpgsql": "0.9"}}, "extension_version", "warn", "extension plpgsql"),
    ("extension, older", {"extensions": {"plpgsql": "1.10"}}, "preflight_failed", "fail", "extension plpgsql"),
    ("large objects", {"large_objects": 3}, "large_objects", "warn", "pg_largeobject"),
    ("idle slot", {"settings": {**SETTINGS, IDLE: "60"}}, "slot_limit", "warn", f"legacy.{IDLE}"),
    ("standby", {"recovery": True}, "preflight_failed", "fail", "legacy"),
    ("tablespace", {"objects": {"used_tablespaces": ("fast",)}}, "preflight_failed", "fail", "tablespace fast"),
    ("rebuilt", {"collations": (Collation("s.german", "i", "de", "153.14", "153.120"),)}, "collation_version", "warn", "s.german"),
    ("sorts", {"collations": (Collation("s.german", "i", "de", "150.1.42", "150.1.42"),)}, "collation_version", "warn", "s.german"),
    ("locks", {"locked": 9000, "settings": {**SETTINGS, "max_locks_per_transaction": "64", "max_connections": "100"}}, "preflight_failed", "fail",
     "legacy.max_locks_per_transaction"),
    ("collation of ICU", {"named_collations": (NamedCollation("s.g", "g", "b", "", False), NamedCollation("s.h", "h", "c", "de_DE.utf8", False))},
     "preflight_failed", "fail", "s.h"),
    ("foreign slot", {"foreign_slots": ("pgcut_fwd",)}, "preflight_failed", "fail", "legacy.pgcut_fwd"),
    ("keyless", {"keyless": (Keyless("s", "t", "d", 0, "", ()),)}, "keyless_table", "warn", "s.t"),
    ("keyless, index", {"keyless": (Keyless("s", "t", "d", 0, "i", ("j",)),)}, "keyless_table", "warn", "s.t"),
    ("keyless, json", {"keyless": (Keyless("s", "t", "d", 0, "", ("j",)),)}, "type_unsupported", "fail", "s.t"),
    *[(kind, {"objects": {kind: ("x",)}}, code, level, "x") for kind, level, code in (
        ("invalid_indexes", "fail", "preflight_failed"), ("foreign_tables", "fail", "preflight_failed"),
        ("firing_triggers", "fail", "preflight_failed"), ("firing_event_triggers", "fail", "preflight_failed"),
        ("full_sequences", "fail", "preflight_failed"), ("prepared", "fail", "prepared_transactions"), ("jobs", "fail", "preflight_failed"),
        ("subscriptions", "fail", "preflight_failed"), ("unfencing", "fail", "preflight_failed"), ("unlogged", "warn", "unlogged_table"),
        ("views", "warn", "materialized_view"), ("publications", "warn", "publication"), ("timeouts", "warn", "server_timeout"),
        ("old_transactions", "warn", "long_transaction"))],
]


@pytest.mark.parametrize(("change", "code", "level", "name"), [pytest.param(*rule[1:], id=rule[0]) for rule in RULES])
def test_rules_over_legacy(change, code, level, name):
    findings = [finding for finding in found(legacy=replace(LEGACY, **change)) if finding.code != "no_engine" or code == "no_engine"]
    assert [(finding.code, finding.level, finding.object) for finding in findings] == [(code, level, name)]
    assert findings[0].message and findings[0].remedy


@pytest.mark.parametrize(("change", "name"), [
    pytest.param({"version": 140000}, "new", id="older"),
    pytest.param({"system": "1"}, "new.host", id="same server"),
    pytest.param({"database": {**DATABASE, "encoding": "LATIN1"}}, "new.encoding", id="encoding"),
    pytest.param({"database": {**DATABASE, "datcollate": "de_DE.UTF-8"}}, "new.datcollate", id="collation"),
    pytest.param({"database": {**DATABASE, "datlocprovider": "i"}}, "new.datlocprovider", id="provider"),
    pytest.param({"database": {**DATABASE, "daticurules": "&a < b"}}, "new.daticurules", id="rules of ICU"),
    pytest.param({"room": 1}, "new.data_directory", id="room"),
    pytest.param({"locales": ("en_US.utf8",)}, "locale C.UTF-8", id="locale"),
    pytest.param({"database": DATABASE, "objects": {"user_tables": ("public.theirs",)}}, "new.dbname", id="not empty"),
])
def test_rules_over_new(change, name):
    assert [finding.object for finding in fatal(found(new=replace(NEW, **change)))] == [name]


def test_the_order_of_icu_needs_a_build_with_it():
    legacy = replace(LEGACY, database={**DATABASE, "datlocprovider": "i", "datlocale": "de_DE"},
                     named_collations=(NamedCollation("s.g", "g", "i", "de", False), NamedCollation('pg_catalog."de-x-icu"', "de-x-icu", "i", "de", True)))
    assert found(legacy=legacy) == []
    told = found(legacy=legacy, new=replace(NEW, sorted_by={}))
    assert [finding.object for finding in told] == ["database de_DE", "s.g", 'pg_catalog."de-x-icu"']
    there = {**DATABASE, "datlocprovider": "i", "datlocale": "de-DE"}
    assert found(legacy=legacy, new=replace(NEW, database=there, objects={"user_tables": ()})) == []


def test_owners_matter_where_rows_are_applied_with_their_rights():
    legacy = replace(LEGACY, objects={kind: ("s.t of o",) for kind in ("closed_schemas", "own_rights", "forced_policies")})
    assert found(legacy=legacy) == []
    assert [finding.object for finding in fatal(found(legacy=legacy, new=replace(NEW, version=160000)))] == ["s.t of o"] * 3


def test_an_empty_database_on_new_is_fine_and_one_of_ours_too():
    assert found(new=replace(NEW, database=DATABASE, objects={"user_tables": ()})) == []
    assert found(new=replace(NEW, database=DATABASE, objects={"user_tables": ("public.half",)}), phase="prepared") == []


def test_a_legacy_that_is_never_followed_needs_no_room_for_that():
    legacy = replace(LEGACY, slots_free=0, senders_free=0)
    assert [finding.object for finding in found(legacy=legacy)] == ["legacy.max_replication_slots", "legacy.max_wal_senders"]
    assert [finding.object for finding in judge(options(), "empty", legacy, NEW, publishes=False)] == ["legacy.max_replication_slots"]


def test_known_databases_are_ignored():
    assert found(legacy=replace(LEGACY, databases=("wiki",)), ignore_databases=["wiki"]) == []


def test_keyless_tables_can_be_refused():
    legacy = replace(LEGACY, keyless=(Keyless("s", "t", "d", 0, "i", ()),))
    assert [finding.level for finding in found(legacy=legacy, keyless="fail")] == ["fail"]


def test_schema_drift_is_judged_once_there_is_a_copy():
    assert [finding.code for finding in found(phase="armed", drifted=["index a (only on new)"])] == ["schema_drift"]


def test_without_a_new_server_what_can_be_known_is_judged():
    assert [finding.object for finding in judge(options(), "empty", replace(LEGACY, databases=("wiki",)), None)] == ["database wiki"]


def test_a_link_role_without_password_is_said_beforehand():
    assert [finding.code for finding in found(legacy=replace(LEGACY, link_account=None))] == ["link_password"]


def test_a_link_role_that_lost_a_right_is_said_once_nothing_repairs_it():
    weak = {"able": True, "reads": False, "members": []}
    assert [(finding.code, finding.level) for finding in found(new=replace(NEW, link_account=weak))] == [("link_account", "fail")]
    assert [(finding.code, finding.object) for finding in found(new=replace(NEW, link_account=weak), phase="armed")] == [("link_auth", "new.pgcut_repl")]


def test_nobody_else_acts_as_the_link_role():
    shared = {"able": True, "reads": True, "members": ["mallory"]}
    for phase in ("empty", "armed"):
        assert [(finding.code, finding.object) for finding in found(legacy=replace(LEGACY, link_account=shared), phase=phase)] == [
            ("link_account", "legacy.pgcut_repl")]


def test_before_14_the_link_role_is_made_by_hand():
    findings = found(legacy=replace(LEGACY, link_account=None, version=130000))
    assert ["SUPERUSER" in finding.remedy for finding in findings if finding.code == "link_account"] == [True]


@pytest.mark.parametrize(("phase", "state", "level", "name"), [
    ("empty", "armed", "fail", "one"), ("armed", "new", "fail", "one"), ("new", "armed", "warn", "two on new"), ("new_armed", "legacy", "fail", "two on new"),
])  # fmt: skip
def test_jobs_of_the_side_that_serves_are_meant(phase, state, level, name):
    """The row of a job that was started again on new is on legacy, too."""
    sides = {"legacy": replace(LEGACY, objects={"jobs": ("one",)}), "new": replace(NEW, objects={"jobs": ("two",)})}
    told = [(each.level, each.object) for each in found(**sides, phase=phase, state=state) if "starts work" in each.message]
    assert told == [(level, name)]


def test_an_order_that_has_no_version_is_another_one():
    """musl, the C library of Alpine, tells none."""
    for made, now, there in ((None, None, "2.36"), ("2.36", "2.36", None), (None, "2.36", "2.36"), ("2.36", "2.36", "2.36")):
        legacy = replace(LEGACY, collations=(Collation("database hub", "c", "en_US.utf8", made, now),))
        new = replace(NEW, sorted_by={("c", ""): there} if there else {})
        told = [each for each in found(legacy=legacy, new=new) if each.code == "collation_version"]
        assert len(told) == (made != now) + (now is None or now != there), told
    assert found(legacy=replace(LEGACY, collations=(Collation("database hub", "c", "C.UTF-8", None, None),)), new=replace(NEW, sorted_by={})) == []


def test_partitions_over_text_are_named_with_a_collation():
    german = Collation("s.german", "i", "de", "150.1", "150.1")
    legacy = replace(LEGACY, collations=(german,), objects={"text_ranges": ("s.by_name",)})
    assert "s.by_name" in found(legacy=legacy)[0].message


def test_room_is_judged_only_where_it_can_be_seen():
    assert found(new=replace(NEW, room=1200)) == found(new=replace(NEW, room=None)) == []


def test_all_findings_are_raised_at_once():
    with pytest.raises(FleetError) as failure:
        settings = {**SETTINGS, WORKERS: "2"}
        refuse(found(legacy=replace(LEGACY, slots_free=0, databases=("wiki",), large_objects=1, settings=settings)))
    assert failure.value.code == "preflight_failed"
    assert len(failure.value.details["findings"]) == 4
    assert "Nothing was changed" in failure.value.message


def test_a_single_cause_keeps_its_own_code():
    with pytest.raises(FleetError) as failure:
        refuse([Finding("restart_required", "fail", "x", "m", "r"), Finding("keyless_table", "warn", "y", "m")])
    assert failure.value.code == "restart_required"
    refuse([Finding("keyless_table", "warn", "y", "m")])
