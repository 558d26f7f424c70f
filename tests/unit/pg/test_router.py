# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routers' verbs: what is said to whom and in which order, what a repeated call leaves out, and the entry in PgBouncer's file."""

from __future__ import annotations

import os

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.routers import pgbouncer
from ansible_collections.bowline.fleet.plugins.module_utils._pg.routers.clients import clients
from ansible_collections.bowline.fleet.plugins.module_utils._pg.routers.pgbouncer import Late

COMMANDS = {
    "type": "command",
    "pause": [["edge", "hold"]],
    "route": [["edge", "route", "{side}"]],
    "warmup": [["edge", "warmup", "{side}"]],
    "resume": [["edge", "release"]],
    "timeout": 7,
}


def options(router, **more):
    sides = {"legacy": {"host": "10.0.0.1", "dbname": "hub"}, "new": {"host": "10.0.0.2", "port": 6000, "dbname": "hub"}}
    return parse({"state": "new", **sides, "router": router, **more})


def commands(router=None, rc=0):
    seen = []

    def runner(argv, *, env=None, stdin=None, timeout=None):
        seen.append((" ".join(argv), timeout))
        return Completed(rc, "", "no such backend")

    return clients(options(router or COMMANDS), runner), seen


def test_a_side_is_routed_proven_and_released_in_this_order():
    behind, seen = commands()
    behind.pause("legacy")
    behind.serve("new")
    assert seen == [("edge hold", 7), ("edge route new", 7), ("edge warmup new", 7), ("edge release", 7)]


@pytest.mark.parametrize("type_", ["none", "libpq"])
def test_types_without_verbs_run_nothing(type_):
    behind, seen = commands({"type": type_})
    behind.pause("legacy")
    behind.serve("new")
    assert (seen, behind.findings(), behind.inside_ms("new")) == ([], [], 0.0)


def test_a_failure_names_command_and_code():
    behind, _seen = commands(rc=3)
    with pytest.raises(FleetError) as failure:
        behind.serve("new")
    assert failure.value.code == "router_failed"
    assert "router.route for side new ended with 3: edge route new: no such backend." in failure.value.message


def test_only_the_harmless_command_is_timed():
    behind, seen = commands({**COMMANDS, "check": [["edge", "status"]]})
    assert behind.inside_ms("new") > 0
    assert {command for command, _timeout in seen} == {"edge status"}
    assert behind.findings() == []


@pytest.mark.parametrize(("silent", "timed"), [((), {"new"}), (("new",), {"new", "legacy"})])
def test_the_side_that_is_to_serve_is_asked_and_the_other_one_when_it_does_not_answer_yet(silent, timed):
    asked = set()

    def runner(argv, *, env=None, stdin=None, timeout=None):
        asked.add(argv[-1])
        return Completed(int(argv[-1] in silent), "", "")

    behind = clients(options({**COMMANDS, "check": [["edge", "ask", "{side}"]]}), runner)
    assert behind.inside_ms("new") > 0
    assert asked == timed


def test_without_a_harmless_command_the_prediction_says_what_it_leaves_out():
    behind, seen = commands()
    assert (behind.inside_ms("new"), seen) == (0.0, [])
    assert [(finding.level, finding.object) for finding in behind.findings()] == [("warn", "router.check")]


# --- PgBouncer --------------------------------------------------------------------------------------------------------------------


class Pooler:
    """The console of a PgBouncer that has read ``path``."""

    def __init__(self, path):
        self.path, self.said = path, []
        self.paused, self.routed = set(), pgbouncer.entries(path.read_text())
        self.kept, self.late, self.deaf, self.raced = [], False, False, False

    def __str__(self):
        return "PgBouncer"

    def rows(self, text, seconds=None):
        if text == "SHOW DATABASES":
            return [
                {"name": name, "host": host, "port": str(port), "paused": "1" if name in self.paused else "0", "pool_mode": ""}
                for name, (host, port) in self.routed.items()
            ]
        if text == "SHOW SERVERS":
            return [
                {"database": name, "close_needed": "0", "state": "active", "remote_pid": "7", "application_name": "job", "user": "u"}
                for name in self.kept
            ]
        return [{"database": "hub", "sv_login": "0"}] if text == "SHOW POOLS" else []

    def run(self, text, seconds=None):
        self.said.append(text)
        verb, name = text.partition(" ")[::2]
        name = name.strip('"')
        if verb == "PAUSE":
            self.paused.add(name)
            if self.late:
                self.close()
                raise Late("router_failed", "late")
        if verb == "RESUME":
            if self.raced:
                raise FleetError("router_failed", "refused", details={"said": f"ERROR: database {name} is not paused"})
            self.paused.remove(name)
        if verb == "RELOAD" and not self.deaf:
            self.routed = pgbouncer.entries(self.path.read_text())

    def close(self):
        self.said.append("close")


@pytest.fixture
def pooler(tmp_path):
    path = tmp_path / "pgbouncer.ini"
    path.write_text("[databases]\nhub = host=10.0.0.1 dbname=hub\nother = host=10.0.0.1\n")
    behind = clients(options({"type": "pgbouncer", "config": str(path)}), None)
    behind._console = console = Pooler(path)
    return behind, console


def test_a_switch_pauses_reloads_and_resumes_once(pooler):
    behind, console = pooler
    behind.pause("legacy")
    behind.serve("new")
    assert console.said == ['PAUSE "hub"', "RELOAD", 'RESUME "hub"']
    assert console.path.read_text() == "[databases]\nhub = host=10.0.0.2 dbname=hub port=6000\nother = host=10.0.0.1\n"
    console.said.clear()
    behind.serve("new")
    assert console.said == []


def test_a_window_that_is_given_up_only_resumes(pooler):
    behind, console = pooler
    before = console.path.stat().st_mtime_ns
    behind.pause("legacy")
    behind.serve("legacy")
    assert console.said == ['PAUSE "hub"', 'RESUME "hub"']
    assert console.path.stat().st_mtime_ns == before


def test_a_pause_that_is_late_is_left_before_it_is_resumed(pooler):
    behind, console = pooler
    console.late, console.kept = True, ["hub"]
    with pytest.raises(FleetError) as failure:
        behind.pause("legacy")
    assert console.said == ['PAUSE "hub"', "close", 'RESUME "hub"']
    assert failure.value.code == "active_transactions"
    assert "pid 7 (job, hub, active)" in failure.value.message


def test_somebody_else_who_resumes_at_the_same_moment_is_welcome(pooler):
    behind, console = pooler
    behind.pause("legacy")
    console.raced = True
    behind.resume("legacy")


def test_connections_that_a_reload_left_are_told_to_end(pooler):
    behind, console = pooler
    console.kept = ["hub"]
    behind.route("new")
    assert console.said == ["RELOAD", 'RECONNECT "hub"']


def test_a_reload_that_changed_nothing_is_a_failure_and_nobody_is_released(pooler):
    behind, console = pooler
    console.deaf = True
    behind.pause("legacy")
    with pytest.raises(FleetError) as failure:
        behind.serve("new")
    assert failure.value.code == "router_failed" and "hub to 10.0.0.1:5432" in failure.value.message
    assert console.paused == {"hub"}
    # The reason is gone: it reads its file.
    console.deaf = False
    behind.serve("new")
    assert console.paused == set()


FILE = """\
;hub = host=a
[pgbouncer]
hub = host=a port=1
[databases]
# hub = host=a
hub=dbname='my db' host = 'a' port=1 password='it''s host=x'\t
"my-hub" = host=a\r
  * = host=a
%include more.ini
hub = port=2
"""


def test_entries_are_found_as_pgbouncer_finds_them():
    assert pgbouncer.entries(FILE) == {"hub": ("", 2), "my-hub": ("a", 5432), "*": ("a", 5432)}
    assert pgbouncer.includes(FILE) and not pgbouncer.includes("[databases]\n; %include x\n")


def test_only_host_and_port_of_the_named_entries_are_exchanged():
    wanted = {"hub": ("b b'", 7), "my-hub": ("/run/pg", 8)}
    expected = FILE.replace("host = 'a' port=1 pass", "host = 'b b''' port=7 pass").replace('"my-hub" = host=a\r', '"my-hub" = host=/run/pg port=8\r')
    expected = expected.replace("hub = port=2\n", "hub = port=7 host='b b'''\n")
    assert pgbouncer.rewritten(FILE, wanted) == expected
    assert pgbouncer.rewritten(expected, wanted) == expected


def test_a_file_is_replaced_at_once_with_mode_and_owner(tmp_path, monkeypatch):
    path, link = tmp_path / "real.ini", tmp_path / "link.ini"
    path.write_bytes(b"old \xff\r\n")
    path.chmod(0o640)
    if os.getuid() == 0:
        os.chown(path, 1, 2)
    link.symlink_to(path)
    before = path.stat()
    pgbouncer.replace(str(link), pgbouncer.read(str(link)).replace("old", "new"))
    after = path.stat()
    assert path.read_bytes() == b"new \xff\r\n" and link.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)

    def full(*_names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FleetError) as failure:
        pgbouncer.replace(str(link), "lost")
    assert "No space left on device" in failure.value.message
    assert sorted(os.listdir(tmp_path)) == ["link.ini", "real.ini"] and path.read_bytes() == b"new \xff\r\n"
