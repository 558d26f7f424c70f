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
from ansible_collections.bowline.fleet.plugins.module_utils._store import dsn, postgres, process, sqlite
from ansible_collections.bowline.fleet.plugins.module_utils._store import open as opening
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
    pytest.param("sqlite:///srv/a", {"BOWLINE_STATE_DSN": "sqlite:///srv/b"}, "/srv/a", id="the option before the environment"),
    pytest.param(None, {"BOWLINE_STATE_DSN": "sqlite:///srv/b", "XDG_STATE_HOME": "/var/x"}, "/srv/b", id="the environment before the user's own"),
])
def test_place(given, environ, path):
    assert dsn.place(given, environ) == dsn.Place(Path(path))


def test_a_folder_beside_the_inventory_comes_before_the_users_own_and_the_old_file_is_named(tmp_path):
    """Only one that somebody has made there: nothing turns up in a repository by itself, and an old store stays in use until then."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hosts.yml").touch()
    old = tmp_path / "xdg" / "bowline" / "store.db"
    old.parent.mkdir(parents=True)
    old.touch()
    environ, sources = {"XDG_STATE_HOME": str(tmp_path / "xdg")}, [str(tmp_path / "mine" / "hosts.yml"), str(tmp_path / "other"), "/nothing/there"]
    assert dsn.place(None, environ, sources) == dsn.Place(old)
    assert dsn.left_behind(dsn.Place(old), environ, sources) is None
    (tmp_path / "mine" / ".bowline").mkdir()
    beside = dsn.Place(tmp_path / "mine" / ".bowline" / "state.db")
    assert dsn.place(None, environ, [*sources, str(tmp_path / "mine")]) == beside
    assert dsn.left_behind(beside, environ, sources) == old
    old.unlink()
    assert dsn.left_behind(beside, environ, sources) is None
    assert dsn.place(None, {"BOWLINE_STATE_DSN": "postgresql:///fleet"}, sources) == dsn.Server("postgresql:///fleet")
    (tmp_path / "other" / ".bowline").mkdir()
    with pytest.raises(FleetError, match="Two inventories have a store") as failure:
        dsn.place(None, environ, sources)
    named = failure.value.remedy.rpartition(" ")[2].rstrip(".")
    assert dsn.place(named, environ, sources) == beside


@pytest.mark.parametrize("given", [
    "postgresql:///fleet", "postgres://fleet@db/fleet", "postgresql://fleet:p%2Fw%3F@[::1]:5432,db:5433/fleet?sslmode=disable&target_session_attrs=read-write",
    "postgresql:///?service=fleet", "postgresql://fleet:a?b#c@db/fleet?passfile=/x",
])  # fmt: skip
def test_a_server_is_taken_as_it_is_given_and_not_shown(given):
    assert dsn.place(given, {}) == dsn.Server(given) and "fleet" not in repr(dsn.place(given, {}))


@pytest.mark.parametrize(("given", "says"), [
    ("postgresql://u:canary/1@h/db", "%2F"), ("postgresql://u:canary@1@h/db", "%40"), ("postgresql://u:canary", "%3A"), ("postgresql://u@h/d?canary", ""),
    ("postgresql://h/d?x@canary=1", "%3F"), ("postgresql://h/d?password=canary", "store.password: unknown key"),
    ("postgresql://h/d?options=-c%20x", "store.options: unknown key"), ("postgresql://h/d?sslmod=canary", "Did you mean sslmode"),
    ("postgresql://h/d?ephemeral=true", "store.ephemeral: unknown key"),
])  # fmt: skip
def test_a_server_that_is_written_wrong_is_refused_without_a_word_of_its_password(given, says):
    for option, environ, name in ((given, {}, "The store's DSN"), (None, {"BOWLINE_STATE_DSN": given}, "BOWLINE_STATE_DSN")):
        with pytest.raises(FleetError) as failure:
            dsn.place(option, environ)
        assert failure.value.code == "store_unavailable" and failure.value.message.startswith(name) and says in failure.value.message
        assert "canary" not in failure.value.message.replace("store.canary", "") + failure.value.remedy


def test_a_store_that_another_run_makes_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "store.db"
    path.touch(mode=0o600)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    pauses = []

    def pause(_deadline, _seconds):
        pauses.append(other.execute("COMMIT"))

    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(sqlite.Deadline, "expired", lambda _deadline: len(pauses) > 1)
    monkeypatch.setattr(sqlite.Deadline, "pause", pause)
    open_for_writing(path).close()
    assert len(pauses) == 1
    other.close()


@pytest.mark.parametrize("given", ["mysql://u:canary@h/db", "sqlite://host/x", "sqlite://", "store.db", "sqlite:///x?ephemral=true"])
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


@pytest.mark.parametrize(("kind", "refuses"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("9p", True), ("ext4", False), ("fuse.mergerfs", False)])
def test_a_file_on_a_network_is_refused_with_a_place_that_works(monkeypatch, tmp_path, kind, refuses):
    """Locks of two machines would not meet there. A copy for reading needs none."""
    path = tmp_path / "store.db"
    open_for_writing(path).close()
    monkeypatch.setattr(dsn, "_MARKERS", ())
    monkeypatch.setattr(dsn, "filesystem_of", lambda _path, _mountinfo: kind)
    opening.open_copy(dsn.Place(path)).close()
    if not refuses:
        opening.refuse_unfit(dsn.Place(path), {})
        return
    with pytest.raises(FleetError) as failure:
        opening.refuse_unfit(dsn.Place(path), {})
    assert failure.value.code == "store_unavailable" and kind in failure.value.message and f"cp -p {path}*" in failure.value.remedy


@pytest.mark.parametrize(("given", "made"), [
    ("SELECT 1", "SELECT 1"), ("a = ? AND b = ?", "a = %s AND b = %s"), ("a = '?' AND b LIKE 'x%' AND c = ?", "a = '?' AND b LIKE 'x%%' AND c = %s"),
    ("a % ? = 'it''s ?'", "a %% %s = 'it''s ?'"),
])  # fmt: skip
def test_a_statement_is_translated_outside_of_its_quotes(given, made):
    assert postgres.translated(given) == made


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
