# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule of the preflight on facts made by hand: what fails, what warns, and that all of it is said at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.catalog import Keyless
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Finding, parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight import fatal, judge
from ansible_collections.bowline.fleet.plugins.module_utils._pg.run import refuse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.survey import Seen

WORKERS = "max_logical_replication_workers"
SETTINGS = {"wal_level": "logical", "max_replication_slots": "10", "max_wal_senders": "10", WORKERS: "4", "max_slot_wal_keep_size": "-1"}
DATABASE = {"datcollate": "C.UTF-8", "datctype": "C.UTF-8", "encoding": "UTF8", "size": 1}
ABLE = {"able": True, "reads": True}
LEGACY = Seen(150000, SETTINGS, True, "1", 10, 10, (), DATABASE, 1, {"plpgsql": "1.0"}, {}, ("C.utf8",), 0, ABLE, {})
NEW = replace(LEGACY, system="2", database=None, extensions={}, available={"plpgsql": ("1.0",)})


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
    ("slot size", {"settings": {**SETTINGS, "max_slot_wal_keep_size": "512"}}, "slot_lost", "warn", "legacy.max_slot_wal_keep_size"),
    ("no superuser", {"superuser": False}, "privileges", "fail", "legacy.user"),
    ("too old", {"version": 110000}, "no_engine", "fail", "legacy"),
    ("other database", {"databases": ("wiki",)}, "preflight_failed", "fail", "database wiki"),
    ("no database", {"database": None}, "preflight_failed", "fail", "legacy.dbname"),
    ("extension", {"extensions": {"postgis": "3"}}, "preflight_failed", "fail", "extension postgis"),
    ("extension version", {"extensions": {"plpgsql": "0.9"}}, "preflight_failed", "warn", "extension plpgsql"),
    ("large objects", {"large_objects": 3}, "preflight_failed", "warn", "pg_largeobject"),
    ("foreign slot", {"foreign_slots": ("pgcut_fwd",)}, "preflight_failed", "fail", "legacy.pgcut_fwd"),
    ("keyless", {"keyless": (Keyless("s", "t", "d", 0, "", ()),)}, "keyless_table", "warn", "s.t"),
    ("keyless, index", {"keyless": (Keyless("s", "t", "d", 0, "i", ("j",)),)}, "keyless_table", "warn", "s.t"),
    ("keyless, json", {"keyless": (Keyless("s", "t", "d", 0, "", ("j",)),)}, "type_unsupported", "fail", "s.t"),
    *[(kind, {"objects": {kind: ("x",)}}, code, level, "x") for kind, level, code in (
        ("invalid_indexes", "fail", "preflight_failed"), ("foreign_tables", "fail", "preflight_failed"),
        ("firing_triggers", "fail", "preflight_failed"),
        ("full_sequences", "fail", "preflight_failed"), ("prepared", "fail", "prepared_transactions"), ("jobs", "fail", "preflight_failed"),
        ("subscriptions", "fail", "preflight_failed"), ("unfencing", "fail", "preflight_failed"), ("unlogged", "warn", "preflight_failed"),
        ("views", "warn", "preflight_failed"), ("publications", "warn", "preflight_failed"), ("timeouts", "warn", "preflight_failed"),
        ("old_transactions", "warn", "active_transactions"))],
]


@pytest.mark.parametrize(("change", "code", "level", "name"), [pytest.param(*rule[1:], id=rule[0]) for rule in RULES])
def test_rules_over_legacy(change, code, level, name):
    findings = [finding for finding in found(legacy=replace(LEGACY, **change)) if finding.code != "no_engine" or code == "no_engine"]
    assert [(finding.code, finding.level, finding.object) for finding in findings] == [(code, level, name)]
    assert level == "warn" or findings[0].remedy or code == "no_engine"


@pytest.mark.parametrize(("change", "name"), [
    pytest.param({"version": 140000}, "new", id="older"),
    pytest.param({"system": "1"}, "new.host", id="same server"),
    pytest.param({"database": {**DATABASE, "encoding": "LATIN1"}}, "new.encoding", id="encoding"),
    pytest.param({"database": {**DATABASE, "datcollate": "de_DE.UTF-8"}}, "new.datcollate", id="collation"),
    pytest.param({"locales": ("en_US.utf8",)}, "locale C.UTF-8", id="locale"),
    pytest.param({"database": DATABASE, "objects": {"user_tables": ("public.theirs",)}}, "new.dbname", id="not empty"),
])
def test_rules_over_new(change, name):
    assert [finding.object for finding in fatal(found(new=replace(NEW, **change)))] == [name]


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
    assert found(phase="empty", drifted=["x"]) == []


def test_without_a_new_server_what_can_be_known_is_judged():
    assert [finding.object for finding in judge(options(), "empty", replace(LEGACY, databases=("wiki",)), None)] == ["database wiki"]


def test_a_link_role_without_password_is_said_beforehand():
    assert [finding.code for finding in found(legacy=replace(LEGACY, link_role=None))] == ["link_auth"]


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
