# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The careful change of a proxy's file: what others write stays, a kill loses nothing, and all that is wrong is said at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import proxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.insertion import Insertion

TEXT = "upstream app { server backend:3000; }\nupstream web { server frontend:80; }\n"


def run(argv, *, env=None, stdin=None, timeout=None):
    try:
        completed = subprocess.run(list(argv), capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **(env or {})})
    except FileNotFoundError as error:
        raise FleetError("tool_missing", f"{argv[0]} was not found.", remedy="Install it.") from error
    return Completed(completed.returncode, completed.stdout, completed.stderr)


class Place:
    """A file of nginx, an edge's folders, and commands that do what a test says."""

    def __init__(self, home):
        self.config, self.log, self.directory = home / "site.conf", home / "log", home / "edge"
        (home / "edge.private").mkdir(mode=0o700)
        self.config.write_bytes(TEXT.encode())
        self.journal = home / "edge.private" / "proxy.json"

    def proxy(self, check="true", reload="true", **upstreams):
        insertion = Insertion("nginx", str(self.config), upstreams or {"app": "edge:1"}, ("sh", "-c", check), ("sh", "-c", f"{reload}; echo $? >> {self.log}"))
        return proxy.of(insertion, str(self.directory), run)

    def change(self, there=None, prove=lambda: None, **more):
        changed = self.proxy(**more)
        seen = changed.seen()
        changed.change(seen, changed.restored(seen), changed.inserted(seen), prove)
        return changed


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def failure(call, *args, **more):
    with pytest.raises(FleetError) as raised:
        call(*args, **more)
    return raised.value


def test_in_and_out_with_inode_mode_and_time_of_nobody_else(place):
    os.chmod(place.config, 0o640)
    before = place.config.stat()
    changed = place.change()
    seen = changed.seen()
    assert "server edge:1;" in seen and not place.journal.exists()
    changed.change(seen, TEXT, changed.restored(seen))
    after = place.config.stat()
    assert place.config.read_text() == TEXT and (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


def test_what_others_wrote_since_it_was_read_stays(place):
    changed = place.proxy()
    seen = changed.seen()
    new = changed.inserted(seen)
    place.config.write_text(TEXT + "# mine\n")
    failed = failure(changed.change, seen, seen, new)
    assert (failed.code, failed.details["field"]) == ("file_changed", "proxy.config")
    assert place.config.read_text() == TEXT + "# mine\n" and not place.log.exists() and not place.journal.exists()
    place.change()
    assert place.proxy().restored(place.config.read_text()) == TEXT + "# mine\n"


def test_what_others_wrote_while_the_proxy_refused_stays(place):
    failed = failure(place.change, check=f"echo '# mine' >> {place.config}; exit 1")
    assert failed.code == "file_changed" and place.config.read_text().endswith("# mine\n") and "server edge:1;" in place.config.read_text()
    assert place.proxy().restored(place.config.read_text()) == TEXT + "# mine\n"


@pytest.mark.parametrize(("more", "code"), [({"check": "exit 3"}, "proxy_check_failed"), ({"reload": "exit 3"}, None)])
def test_a_refusal_puts_the_old_file_back(place, more, code):
    if code is None:
        more, code = {"check": "true", "reload": f"exit $(test -e {place.log} && echo 0 || (touch {place.log}; echo 3))"}, "proxy_check_failed"
        changed = proxy.of(Insertion("nginx", str(place.config), {"app": "edge:1"}, ("true",), ("sh", "-c", more["reload"])), str(place.directory), run)
        failed = failure(changed.change, TEXT, TEXT, changed.inserted(TEXT))
        assert failed.details["field"] == "proxy.reload"
    else:
        failed = failure(place.change, **more)
        assert failed.details == {"rc": 3, "field": "proxy.check"} and not place.log.exists()
    assert failed.code == code and place.config.read_text() == TEXT and not place.journal.exists()


def test_what_is_not_proven_is_put_back_and_taken_again(place):
    def prove():
        raise FleetError("proxy_not_proven", "No.")

    failed = failure(place.change, prove=prove)
    assert failed.message == f"No. {place.config} is as before and taken again."
    assert place.config.read_text() == TEXT and place.log.read_text() == "0\n0\n"


KILLED = """\
import json, os, signal, sys
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import proxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.file import FileProxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.insertion import Insertion

config, directory, direction, bytes_written, cut = json.loads(sys.argv[1])

def write(self, text):
    with open(config, "r+b") as file:
        file.write(text.encode()[:bytes_written])
        if cut:
            file.truncate()
    os.kill(os.getpid(), signal.SIGKILL)

FileProxy._write = write
insertion = Insertion("nginx", config, {"app": "edge:1"}, ("true",), ("true",))
changed = proxy.of(insertion, directory, lambda *words, **more: Completed(0, "", ""))
seen = changed.seen()
changed.change(seen, seen, changed.inserted(seen) if direction == "in" else changed.restored(seen))
"""


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize(("share", "cut"), [(0.0, False), (0.3, False), (0.7, False), (1.0, False), (1.0, True)])
def test_a_kill_in_the_middle_of_a_write_loses_nothing(place, direction, share, cut):
    old = TEXT
    if direction == "out":
        old = place.change().seen()
    size = int(share * len(place.proxy().inserted(TEXT) if direction == "in" else TEXT))
    words = [sys.executable, "-c", KILLED, json.dumps([str(place.config), str(place.directory), direction, size, cut])]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    changed = place.proxy()
    assert changed.seen() in (old, place.proxy().inserted(TEXT) if direction == "in" else TEXT)
    place.change()
    seen = changed.seen()
    assert place.config.read_text() == changed.inserted(TEXT) and not place.journal.exists()
    changed.change(seen, TEXT, changed.restored(seen))
    assert place.config.read_text() == TEXT


NO_ROOM = """\
import resource, sys
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import proxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.file import FileProxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.insertion import Insertion

config, directory, room = sys.argv[1], sys.argv[2], int(sys.argv[3])
keep = FileProxy._keep

def full(self, before, after):
    keep(self, before, after)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

FileProxy._keep = full
changed = proxy.of(Insertion("nginx", config, {"app": "edge:1"}, ("true",), ("true",)), directory, lambda *words, **more: Completed(0, "", ""))
seen = changed.seen()
try:
    changed.change(seen, seen, changed.inserted(seen))
except FleetError as error:
    print(error.code, error.message)
"""


def test_a_disk_without_room_leaves_the_file_as_it_was(place):
    words = [sys.executable, "-c", NO_ROOM, str(place.config), str(place.directory), str(len(TEXT) + 10)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("option_invalid") and "cannot be written" in ended.stdout, ended.stderr
    assert place.config.read_text() == TEXT and not place.journal.exists()


def test_an_edit_behind_a_killed_run_is_not_taken_for_half_a_write(place):
    place.change()
    inserted = place.config.read_text()
    place.proxy()._keep(TEXT, inserted)
    place.config.write_text(TEXT + "# mine\n")
    assert place.proxy().seen() == TEXT + "# mine\n"


def test_two_stacks_share_a_file(place, tmp_path):
    place.change()
    other = proxy.of(Insertion("nginx", str(place.config), {"web": "edge:2"}, ("true",), ("true",)), str(tmp_path / "other"), run)
    (tmp_path / "other.private").mkdir(mode=0o700)
    seen = other.seen()
    other.change(seen, seen, other.inserted(seen))
    both = place.config.read_text()
    assert "server edge:1;" in both and "server edge:2;" in both
    third = proxy.of(Insertion("nginx", str(place.config), {"app": "edge:2"}, ("true",), ("true",)), str(tmp_path / "third"), run)
    assert failure(third.inserted, both).code == "not_owner"
    mine = place.proxy()
    mine.change(both, both, mine.restored(both))
    seen = other.seen()
    assert "server edge:1;" not in seen
    other.change(seen, seen, other.restored(seen))
    assert place.config.read_text() == TEXT


def test_all_that_is_wrong_is_found_at_once_and_nothing_is_changed(place):
    place.config.write_text("upstream app { server a:1; }\nserver { location / { proxy_pass https://app; allow 10.0.0.0/8; } }\n")
    before = place.config.read_bytes(), place.config.stat().st_mtime_ns
    upstreams = {"app": "edge:1", "web": "edge:2"}
    asked = proxy.of(Insertion("nginx", str(place.config), upstreams, ("no-such-nginx", "-t"), ("no-such-reload",)), str(place.directory), run)
    codes = [found["code"] for found in asked.findings()]
    assert codes == ["tool_missing", "tool_missing", "proxy_unsupported", "proxy_upstream_missing", "address_rules"]
    red = proxy.of(Insertion("nginx", str(place.config), upstreams, ("sh", "-c", "echo broken >&2; exit 1"), ("true",)), str(place.directory), run)
    assert "proxy_check_failed" in [found["code"] for found in red.findings()]
    place.config.chmod(0)
    assert (place.config.read_bytes(), place.config.stat().st_mtime_ns) == before
    gone = proxy.of(Insertion("nginx", str(place.config) + ".no", upstreams, ("true",), ("true",)), str(place.directory), run).findings()
    assert [found["code"] for found in gone] == ["option_invalid"] and "cannot be read" in gone[0]["message"]
    for found in [*asked.findings(), *red.findings(), *gone]:
        assert found["message"] and found["remedy"] and found["level"] in ("fail", "warn")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"driver": "nginx", "config": None, "upstreams": [], "check": None, "reload": None}, ["config", "upstreams", "check", "reload"]),
        ({"driver": "traefik", "config": None, "upstreams": None}, ["config", "upstreams"]),
        ({"driver": "command", "upstreams": None, "check": ["x"]}, ["insert", "remove"]),
        ({"driver": "caddy", "config": "/x", "upstreams": [{"name": "a;b", "service": "a", "via": "a b:1"}], "check": ["x"], "reload": ["x"], "insert": ["x"]},
         ["'a;b'", "'a b:1'", "insert is of driver command only"]),
    ],
)  # fmt: skip
def test_options_are_judged_together(asked, words):
    failed = failure(proxy.asked_for, asked, None)
    assert failed.code == "option_invalid" and all(word in failed.message for word in words)


class Script:
    """A command of the operator that keeps its state in a file."""

    def __init__(self, home, insert="touch in", remove="rm -f in", check="test -e in"):
        self.home, self.path = home, home / "edge.sh"
        self.path.write_text(f"#!/bin/sh\ncd {home}\ncase $1 in insert) {insert};; remove) {remove};; check) {check};; esac\n")
        self.path.chmod(0o755)
        words = {field: (str(self.path), field) for field in ("check", "insert", "remove")}
        self.proxy = proxy.of(Insertion("command", upstreams={"app": "edge:1"}, **words), str(home), run)


def test_a_command_is_believed_and_told_the_addresses(tmp_path):
    script = Script(tmp_path, insert='printf %s "$BOWLINE_UPSTREAMS" > in')
    assert script.proxy.seen() == "out" and script.proxy.findings() == []
    script.proxy.change("out", "out", script.proxy.inserted("out"))
    assert json.loads((tmp_path / "in").read_text()) == {"app": "edge:1"} and script.proxy.seen() == "in"
    script.proxy.change("in", "out", script.proxy.restored("in"))
    assert script.proxy.seen() == "out"


def test_a_command_that_says_done_and_is_not_is_taken_back(tmp_path):
    script = Script(tmp_path, insert="true", remove="echo >> removed")
    failed = failure(script.proxy.change, "out", "out", "in")
    assert failed.code == "proxy_check_failed" and "does not say in" in failed.message
    assert (tmp_path / "removed").exists()


def test_commands_of_others_are_not_run(tmp_path):
    script = Script(tmp_path)
    script.path.chmod(0o777)
    assert [found["code"] for found in script.proxy.findings()] == ["unsafe_path"]
    script.path.unlink()
    assert [found["code"] for found in script.proxy.findings()] == ["tool_missing"]
    odd = Script(tmp_path, check="exit 7")
    assert "0 was expected for in" in odd.proxy.findings()[0]["message"]
