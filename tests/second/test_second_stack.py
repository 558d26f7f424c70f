# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack as people run it, with a program that the collection has never seen, goes there, back and there again with an inventory only.

Its database has one account, named after the application, and wal_level=replica; both hosts are reached as a user with sudo and a password, the
new one through the old one; the caller has no rights on the controller and Ansible its own defaults; nobody may change the zone by a program.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

SECOND = Path(__file__).resolve().parent
ROOT = SECOND.parents[1]
HOME = ROOT / "build" / "second"

pytestmark = [pytest.mark.slow, pytest.mark.lab]


@pytest.fixture(scope="module")
def cycle() -> t.Iterator[dict[str, dict[str, t.Any]]]:
    """What the judge said of each way; missing when its playbook was not reached."""
    kinds = ("discover", "cutover", "rollback", "again")
    files = {kind: HOME / kind / "judged.json" for kind in kinds}
    for file in files.values():
        file.unlink(missing_ok=True)
    try:
        # timeout(1) ends the whole group: the playbook that second.py runs, too.
        argv = ["timeout", "--kill-after=30", "1200", sys.executable, SECOND / "second.py", "cycle"]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        sys.stdout.write(done.stdout + done.stderr)
        yield {kind: json.loads(file.read_text(encoding="utf-8")) for kind, file in files.items() if file.exists()}
    finally:
        subprocess.run([sys.executable, SECOND / "second.py", "down"], cwd=ROOT, timeout=180, check=False)


@pytest.mark.parametrize(("kind", "serving", "databases"), [
    pytest.param("cutover", "target", {"legacy": "fenced", "target": "open"}, id="there"),
    pytest.param("rollback", "legacy", {"legacy": "open", "target": "fenced"}, id="and back"),
    pytest.param("again", "target", {"legacy": "fenced", "target": "open"}, id="and there again"),
])
def test_nothing_fails_and_nothing_is_lost(cycle, kind, serving, databases):
    result = cycle[kind]
    assert result["code"] == 0, result.get("failure")
    assert (result["ledger"]["serving"], result["ledger"]["databases"]) == (serving, databases)
    assert {name: result["ledger"][name] for name in ("lost", "unacknowledged_present", "duplicates")} == {
        "lost": 0, "unacknowledged_present": 0, "duplicates": 0}
    assert result["ledger"]["acknowledged"] > 100
    assert result["writers"]["failed"] == 0, result["writers"]["failures"]
    assert result["probe"]["requests"] > 50
    assert result["probe"]["failed"] == 0, result["probe"]


def test_its_old_home_is_discovered_by_its_name(cycle):
    found = cycle["discover"]
    assert (found["code"], found["before"]) == (0, found["after"])
    page = found["page"]
    # The host of the stack is itself a container here and sees no files of the others, so a program without a path is nowhere.
    assert "Of 3 services 1 can become native modules; 2 stay behind." in page
    assert "| `api` | secret |" in page
    assert "nobody sees where that lies" in page
    secrets = [path.read_text(encoding="utf-8").strip() for path in (HOME / "legacy" / "secrets").iterdir() if path.is_file()]
    assert secrets
    assert not [secret for secret in secrets if secret in page]


def test_writers_were_served_by_both_sides(cycle):
    assert set(cycle["rollback"]["writers"]["sides"]) == {"legacy", "target"}


def test_the_edge_runs_as_the_user_of_its_image(cycle):
    assert cycle["cutover"]["edge_users"] == ["99"]


def test_what_the_caller_has_on_the_controller_belongs_to_him(cycle):
    assert cycle["again"]["strangers"] == []


def test_the_collection_does_not_know_the_program():
    words = ("kinto", "notes.bowline", "admin_pg", "notes-edge", "/srv/notes", "8443")
    known = subprocess.run(
        ["git", "grep", "-l", "-i", "-F", *(part for word in words for part in ("-e", word)), "--", "plugins", "roles", "playbooks"],
        cwd=ROOT, capture_output=True, text=True, check=False)
    # 1 is git's word for nothing found; 0 for a hit, anything else for a search that did not happen.
    assert (known.returncode, known.stdout) == (1, "")
