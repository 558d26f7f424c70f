# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to one backend or to none: the place of the store, check mode's copy, processes, and the journal's judgement."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.result import failed
from ansible_collections.bowline.fleet.plugins.module_utils._store import dsn, process, sqlite
from ansible_collections.bowline.fleet.plugins.module_utils._store.journal import checked, failure_of, planned, refusal, reports_of
from ansible_collections.bowline.fleet.plugins.module_utils._store.migrations import MIGRATIONS
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import unix, utc
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_copy, open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

HERE = process.owner_of(os.getpid())


@pytest.mark.parametrize(("given", "environ", "path"), [
    pytest.param(None, {"HOME": "/home/op"}, "/home/op/.local/state/bowline/store.db", id="home"),
    pytest.param("", {"HOME": "/home/op", "XDG_STATE_HOME": "/var/x"}, "/var/x/bowline/store.db", id="xdg"),
    pytest.param("sqlite:///srv/a%20b/store.db", {}, "/srv/a b/store.db", id="escaped"),
])
def test_place(given, environ, path):
    assert dsn.place(given, environ) == dsn.Place(Path(path))


def test_a_store_that_another_run_makes_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    path.touch(mode=0o600)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    pauses = []

    def pause(_deadline, _seconds):
        pauses.append(other.execute("COMMIT"))

    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.2)
    monkeypatch.setattr(sqlite.Deadline, "expired", lambda _deadline: len(pauses) > 1)
    monkeypatch.setattr(sqlite.Deadline, "pause", pause)
    open_for_writing(path).close()
    assert len(pauses) == 1
    other.close()


@pytest.mark.parametrize("given", ["postgresql://u:canary@h/db", "sqlite://host/x", "sqlite://", "store.db", "sqlite:///x?ephemral=true"])
def test_a_wrong_dsn_is_refused_without_repeating_it(given):
    with pytest.raises(FleetError) as failure:
        dsn.place(given, {})
    assert failure.value.code == "store_unavailable"
    assert "canary" not in failure.value.message


MOUNTINFO = """\
22 27 0:21 / /proc rw - proc proc rw
27 1 0:30 / / rw - overlay overlay rw
40 27 8:1 /v /srv/my\\040state rw - ext4 /dev/sda1 rw
41 27 0:40 / /srv/my\\040state/tmp rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(("path", "kind"), [
    ("/root/.local/state/bowline/store.db", "overlay"),
    ("/srv/my state/store.db", "ext4"),
    ("/srv/my statement/store.db", "overlay"),
    ("/srv/my state/tmp/store.db", "tmpfs"),
])
def test_filesystem_of(path, kind):
    assert dsn.filesystem_of(path, MOUNTINFO) == kind


def test_a_store_that_vanishes_with_its_container_is_refused(monkeypatch):
    monkeypatch.setattr(dsn, "filesystem_of", lambda path, mountinfo: "overlay")
    vanishing = dsn.Place(Path("/root/store.db"))
    with pytest.raises(FleetError) as failure:
        dsn.refuse_ephemeral(vanishing, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert failure.value.code == "store_ephemeral"
    dsn.refuse_ephemeral(replace(vanishing, ephemeral=True), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    monkeypatch.setattr(dsn, "_MARKERS", ())
    dsn.refuse_ephemeral(vanishing, {})


def test_the_file_is_private_and_migrations_run_once(tmp_path):
    path = tmp_path / "a" / "b" / "store.db"
    open_for_writing(path).close()
    open_for_writing(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


@pytest.mark.parametrize("opening", [open_for_writing, open_copy])
def test_a_store_that_others_may_read_is_refused_and_a_link_of_ours_is_followed(tmp_path, opening):
    """Who can read it can lock it."""
    open_for_writing(tmp_path / "store.db").close()
    (tmp_path / "link.db").symlink_to("store.db")
    opening(tmp_path / "link.db").close()
    (tmp_path / "store.db").chmod(0o640)
    with pytest.raises(FleetError) as failure:
        opening(tmp_path / "store.db")
    assert failure.value.code == "unsafe_path" and f"chmod 0600 {tmp_path}/store.db" in failure.value.remedy


def test_a_store_of_a_newer_collection_is_refused(tmp_path):
    path = tmp_path / "store.db"
    path.touch(mode=0o600)
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    newer.close()
    for opening in (open_for_writing, open_copy):
        with pytest.raises(FleetError, match="newer collection|version"):
            opening(path)


def test_a_room_brings_tables_of_its_own(tmp_path):
    """Once each, beside those of another room; check mode makes them in its copy only; and those of a newer collection are refused."""
    path = tmp_path / "store.db"
    one, two = ("CREATE TABLE a (x TEXT)", "CREATE TABLE b (x TEXT)"), ("ALTER TABLE a ADD COLUMN y TEXT",)
    for migrations in ((one,), (one,), (one, two), (one, two)):
        store = open_for_writing(path)
        store.join("_a", migrations)
        store.close()
    store = open_for_writing(path)
    store.join("_b", (("CREATE TABLE c (x TEXT)",),))
    with store.transaction() as transaction:
        transaction.execute("INSERT INTO a (x, y) VALUES ('1', '2')")
    with pytest.raises(FleetError, match="tables of _a of version 2; this collection knows 1"):
        store.join("_a", (one,))
    store.close()
    copy = open_copy(path)
    copy.join("_c", (("CREATE TABLE d (x TEXT)",),))
    copy.close()
    tables = {row[0] for row in sqlite3.connect(path).execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"a", "b", "c"} <= tables and "d" not in tables


def test_a_file_that_is_no_store_is_a_typed_failure(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database" * 100)
    path.chmod(0o600)
    for opening in (open_for_writing, open_copy):
        with pytest.raises(FleetError) as failure:
            opening(path)
        assert failure.value.code == "store_unavailable"


@pytest.mark.parametrize("busy", [False, True])
def test_a_copy_writes_nothing_and_sees_what_a_live_writer_has_committed(tmp_path, busy):
    path = tmp_path / "store.db"
    assert StateStore(open_copy(path), HERE).operations() == []
    assert list(tmp_path.iterdir()) == []
    writer = StateStore(open_for_writing(path), HERE)
    writer.open("cutover", ["cutover/1"], [])
    if not busy:
        writer.close()
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if not entry.name.endswith("-shm")}
    touched = tmp_path.stat().st_mtime_ns
    copy = StateStore(open_copy(path), HERE)
    assert tmp_path.stat().st_mtime_ns == touched, "a file was made and removed again"
    assert len(copy.operations()) == 1
    copy.open("rollback", ["cutover/2"], [])
    copy.close()
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if not entry.name.endswith("-shm")} == before
    assert busy == ("store.db-wal" in before)
    writer.close()


def test_presence_of_processes():
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    living = process.owner_of(child.pid)
    assert process.presence(living, HERE) == "alive"
    assert process.presence(replace(living, born="1"), HERE) == "gone", "another process under the same number"
    assert process.presence(replace(living, boot="before the reboot"), HERE) == "gone"
    assert process.presence(replace(living, namespace="pid:[1]"), HERE) == "unknown", "another container"
    assert process.presence(replace(living, machine="other"), HERE) == "unknown"
    assert process.presence(replace(living, machine=""), HERE) == "unknown"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.presence(living, HERE) == "gone", "ended, not yet reaped"
    child.wait()
    assert process.presence(living, HERE) == "gone"


@pytest.mark.parametrize(("report", "says"), [
    pytest.param(None, "missing", id="no fact"),
    pytest.param({}, "changed", id="empty"),
    pytest.param({"changed": "yes"}, "'yes'", id="not a boolean"),
    pytest.param({"changed": True, "evidnce": {}}, "Did you mean evidence", id="misspelt"),
])
def test_a_role_that_does_not_say_what_it_did_is_a_defect(report, says):
    with pytest.raises(FleetError, match=says) as failure:
        reports_of([{"role": "bowline.fleet.dns", "report": report}])
    assert failure.value.code == "evidence_missing"


@pytest.mark.parametrize(("result", "code", "message"), [
    pytest.param({"failure": {"code": "no_space", "message": "m", "remedy": "r"}}, "no_space", "m", id="typed"),
    pytest.param({"msg": "boom", "rc": 2}, "task_failed", "T: boom", id="plain"),
    pytest.param({"results": [{}, {"failed": True, "failure": {"code": "auth", "message": "m"}}]}, "auth", "m", id="in a loop"),
    pytest.param({"censored": "hidden"}, "task_failed", "T: Its result is hidden because it may hold secrets.", id="no_log"),
    pytest.param({}, "task_failed", "A task failed on another host.", id="another host"),
])
def test_failure_of(result, code, message):
    failure = failure_of(result, "T")
    assert (failure["code"], failure["message"]) == (code, message)


def test_a_refusal_names_all_findings_at_once():
    findings = [
        {"code": "no_space", "field": "a", "message": "full", "remedy": "free some", "level": "fail"},
        {"code": "old", "field": "b", "message": "soon", "remedy": "later", "level": "warn"},
        {"code": "auth", "field": "c", "message": "wrong", "remedy": "free some", "level": "fail"},
    ]
    error = refusal("preflight_failed", findings)
    assert error.message == "2 findings, nothing was changed."
    assert (error.remedy, len(error.details["findings"])) == ("free some", 3)
    lines = failed(error)["msg"].split("\n")
    assert lines[0] == "[preflight_failed] 2 findings, nothing was changed." and len(lines) == 5
    assert lines[1] == "  fail: no_space: a: full Remedy: free some"
    findings[2]["remedy"] = "ask"
    assert refusal("preflight_failed", findings).remedy == "Follow the remedy of each finding, then run again."


def test_findings_that_only_a_longer_output_shows_are_kept():
    shown = {"failure": {"code": "x", "message": "m", "remedy": "r", "details": {}}, "invocation": {"module_args": {"findings": [{"code": "a"}]}}}
    assert failure_of(shown, "T")["details"] == {"findings": [{"code": "a"}]}


def test_a_plan_has_only_the_steps_of_this_run():
    given = [{"id": "A", "name": "a", "wanted": True}, {"id": "B", "name": "b", "wanted": False}, {"id": "C"}]
    assert planned(given) == [{"id": "A", "name": "a"}, {"id": "C"}]


def test_check_mode_marks_as_the_store_does(tmp_path):
    store = StateStore(open_for_writing(tmp_path / "store.db"), HERE, clock=lambda: 1000.5)
    real = store.open("cutover", ["s"], [{"id": "A", "name": "a"}, {"id": "B", "name": "b"}])
    foreseen = {**real, "id": "check"}
    for step in ({"id": "A", "name": "a"}, {"id": "X", "name": "x"}):
        for status in ("started", "done"):
            real = store.mark(real["id"], step, "h", status)
            foreseen = checked(foreseen, step, "h", status, 1000.5)
    assert foreseen["steps"] == real["steps"]


def test_times_go_there_and_back():
    assert utc(1000.5) == "1970-01-01T00:16:40.500Z"
    assert unix(utc(1000.5)) == 1000.5
    assert utc(None) is None and unix(None) is None
