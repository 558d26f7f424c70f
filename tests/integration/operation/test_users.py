# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who works as whom: each host with its own way to become root, and the controller's files as the caller's."""

from __future__ import annotations

import json
import os

import pytest

from .stage import Stage

# Notes which host it was asked for, which user, and goes on as whoever it is: what is judged is what Ansible asked of which sudo.
SUDO = """\
#!/bin/sh
for word in "$@"; do
    case "$word" in
        --host=*) host=${word#--host=} ;;
    esac
done
echo "${host:-nobody}" >> "$(dirname "$0")/asked"
while [ "$1" != /bin/sh ]; do shift; done
exec "$@"
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    # Whoever runs this test is root already; Ansible would not ask.
    monkeypatch.setenv("ANSIBLE_BECOME_ALLOW_SAME_USER", "true")
    made = Stage(tmp_path)
    sudo = tmp_path / "sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    return made


def given(stage, **everybody):
    """The inventory of somebody who becomes root everywhere, each host with a word of its own."""
    path = stage.base / "hosts.json"
    inventory = json.loads(path.read_text())
    inventory["all"]["vars"].update(ansible_become=True, ansible_become_exe=str(stage.base / "sudo"), **everybody)
    for group in inventory["all"]["children"].values():
        for name, host in group["hosts"].items():
            host["ansible_become_flags"] = f"-H --host={name}"
    path.write_text(json.dumps(inventory))


def asked(stage):
    file = stage.base / "asked"
    return set(file.read_text().split()) if file.exists() else set()


def test_become_is_for_the_hosts_and_what_the_controller_keeps_belongs_to_its_caller(stage):
    """``ansible_become`` in the group all, as most inventories have it, and --become on the command line."""
    given(stage)
    code, out = stage.run("cutover", "--become", report_directory=str(stage.base / "report"), report_log_directory=str(stage.base / "docs"))
    assert code == 0, out
    assert asked(stage) == {"old", "fresh"}
    made = [path for folder in ("report", "docs") for path in (stage.base / folder).rglob("*")] + [stage.base / "store.db"]
    assert len(made) > 4
    assert {path.stat().st_uid for path in made} == {os.geteuid()}
