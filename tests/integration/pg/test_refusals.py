# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every refusal before the first write: all that is wrong is told at once, and legacy has not seen one transaction that wrote.

The log of legacy is read by `rig.World.run`; here the server's own count of transactions that write is asked, too, which none escapes.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

import pytest

rig, plants, writes = (sys.modules[f"bowline_pg_{name}"] for name in ("rig", "plants", "writes"))
NEXT = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"


@pytest.fixture(scope="module")
def calm(clusters):
    """The application's database, without autovacuum, whose transactions would look like ours."""
    clusters.reset()
    for setting in ("SET autovacuum = off", "RESET autovacuum"):
        for text in (f"ALTER SYSTEM {setting}", "SELECT pg_reload_conf()"):
            clusters.legacy.rows(text, dbname="postgres")
        if setting.startswith("SET"):
            yield clusters


def refused(world, state: str = "seeded", **more) -> dict[str, dict]:
    """The findings that refused, by object."""
    before = world.legacy.value(NEXT, dbname="postgres")
    failure = world.run(state, **more)["failure"]
    assert world.legacy.value(NEXT, dbname="postgres") == before, failure
    assert writes.CLAIM.search(failure["message"]) and failure["remedy"], failure
    listed = failure["details"].get("findings") or [{"object": "", "level": "fail", **failure}]
    return {each["object"]: each for each in listed if each["level"] == "fail"}


def test_all_that_can_stand_together_is_told_at_once(calm):
    with ExitStack() as stack:
        for plant in plants.REFUSED:
            stack.enter_context(plants.planted(calm, plant))
        found = refused(calm)
        assert set(found) == {name for plant in plants.REFUSED for name in (plant.object, *plant.also)}
        for plant in plants.REFUSED:
            assert found[plant.object]["code"] == plant.code and plant.says in found[plant.object]["message"] + found[plant.object]["remedy"], plant
    before = calm.legacy.value(NEXT, dbname="postgres")
    assert calm.ok("armed", check_mode=True)["changed"] and calm.legacy.value(NEXT, dbname="postgres") == before
    assert refused(calm, keyless="fail")["public.keyless"]["code"] == "keyless_table"


@pytest.mark.parametrize("plant", plants.APART, ids=str)
def test_what_stands_alone(calm, plant):
    with plants.planted(calm, plant):
        found = refused(calm)
        assert {plant.object, *plant.also} <= set(found) and found[plant.object]["code"] == plant.code, found


# Options that do not fit what is there; the objects that are told.
SYNC = {"state": "armed", "guarantee": "sync"}
ASKED = {
    "rules._legacy_only 'legacy.dbname'": (lambda world: {"legacy": {**world.params("seeded")["legacy"], "dbname": "huh"}}, "legacy.dbname"),
    "rules.one_server 'new.host'": (lambda world: {"new": {**world.params("seeded")["new"], "port": world.legacy.port}}, "new.host"),
    "clients.findings 'router'": (lambda world: {"state": "new", "router": {"type": "pgbouncer", "host": "/nowhere", "config": "/nowhere"}}, "router"),
    "copy_window.findings 'max_window'": (lambda world: {"state": "new", "engine": "dump", "max_window": 0.5, "drain_grace": 0.1}, "max_window"),
    "programs.unfit name": (lambda world: {"new": {**world.params("seeded")["new"], "bindir": str(_newer(world))}}, "pg_restore"),
}


def _newer(world):
    folder = world.home / "newer"
    folder.mkdir(exist_ok=True)
    for name in ("pg_dump", "pg_restore"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 99.1'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("rule", ASKED)
def test_what_was_asked_for_does_not_fit(calm, rule):
    more, name = ASKED[rule]
    assert name in refused(calm, **{"state": "seeded", **more(calm)})
    assert name not in {each["object"] for each in calm.ok("preflight")["findings"]}


def test_a_database_on_new_that_is_not_empty_and_a_tablespace_that_it_has_not(calm):
    folder = calm.legacy.home / "fast_refused"
    folder.mkdir()
    os.chown(folder, calm.legacy.home.stat().st_uid, calm.legacy.home.stat().st_gid)
    here = plants.Plant("", "", (f"CREATE TABLESPACE fast LOCATION '{folder}'", "CREATE TABLE planted (a int PRIMARY KEY) TABLESPACE fast"),
                        ("DROP TABLE planted", "DROP TABLESPACE fast"))
    calm.new.rows("CREATE DATABASE hub", dbname="postgres")
    try:
        with plants.planted(calm, here):
            for text in ("CREATE TABLE theirs (a int)", "CREATE FUNCTION theirs() RETURNS int LANGUAGE sql RETURN 1", "CREATE SCHEMA theirs",
                         "CREATE TYPE theirs AS ENUM ('a')"):
                calm.new.rows(text)
                assert set(refused(calm)) == {"new.dbname", "tablespace fast"}, text
                calm.new.rows("DROP TABLE IF EXISTS theirs; DROP FUNCTION IF EXISTS theirs; DROP SCHEMA IF EXISTS theirs; DROP TYPE IF EXISTS theirs")
    finally:
        calm.new.rows("DROP DATABASE hub", dbname="postgres")


def test_too_little_room(calm):
    """A file with a hole makes the database look larger than any disk."""
    oid = calm.legacy.value("SELECT oid FROM pg_database WHERE datname = 'hub'", dbname="postgres")
    room = os.statvfs(calm.new.home)
    hole = calm.legacy.home / "data" / "base" / str(oid) / "999999999"
    try:
        with hole.open("wb") as file:
            file.truncate(min(room.f_bavail * room.f_frsize, 2**43))
        assert {"new.data_directory", "TMPDIR", "max_window"} <= set(refused(calm, "new", engine="dump"))
    finally:
        hole.unlink()


def test_a_link_that_cannot_work(calm):
    """The server is asked to connect in a transaction that is rolled back, so it takes a transaction id, and leaves nothing."""
    link = calm.params("seeded")["link"]
    for way, seen_by, other in (("to_legacy", "new", calm.legacy), ("to_new", "legacy", calm.new)):
        hba = other.home / "data" / "pg_hba.conf"
        kept = hba.read_bytes()
        refuse = b"host all pgcut_repl all reject\n" + kept
        for code, more, lines in (("link_unreachable", {"port": 1}, kept), ("link_auth", {"passfile": "/nowhere"}, kept), ("link_auth", {}, refuse)):
            hba.write_bytes(lines)
            other.rows("SELECT pg_reload_conf()", dbname="postgres")
            try:
                failure = calm.run("seeded", link={**link, way: {**link[way], **more}})["failure"]
            finally:
                hba.write_bytes(kept)
                other.rows("SELECT pg_reload_conf()", dbname="postgres")
            assert (failure["code"], failure["details"]["from"]) == (code, seen_by) and failure["remedy"], failure
            assert writes.CLAIM.search(failure["message"]), failure


def test_settings_that_need_a_restart_are_listed_together(calm):
    settings = {"wal_level": "replica", "max_replication_slots": "3", "max_wal_senders": "3", "max_logical_replication_workers": "2",
                "max_slot_wal_keep_size": "512MB"}
    auto = calm.legacy.home / "data" / "postgresql.auto.conf"
    kept = auto.read_bytes()
    try:
        for name, value in settings.items():
            calm.legacy.rows(f"ALTER SYSTEM SET {name} = '{value}'", dbname="postgres")
        calm.legacy.stop()
        calm.legacy.start()
        told = calm.ok("preflight", engine="logical")["findings"]
        assert {each["object"] for each in told if each["level"] == "fail"} == {f"legacy.{name}" for name in settings if name != "max_slot_wal_keep_size"}
        assert ("slot_limit", "legacy.max_slot_wal_keep_size") in {(finding["code"], finding["object"]) for finding in told}
        needed = [finding["remedy"] for finding in told if finding["level"] == "fail"]
        assert all("restart" in remedy for remedy in needed), needed
        assert sorted(each["remedy"] for each in refused(calm, engine="logical").values()) == sorted(needed)
    finally:
        calm.legacy.stop()
        auto.write_bytes(kept)
        calm.legacy.start()
