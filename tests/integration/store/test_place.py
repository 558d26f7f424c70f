# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which store a play uses when nobody names one, as Ansible hands its inventories to an action plugin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._store import process
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore


@pytest.fixture
def ground(tmp_path):
    """An inventory, and a store of the user with one operation of kind ``own``."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "hosts.yml").write_text("all: {hosts: {one: {ansible_connection: local}}}\n")
    record(tmp_path / "state" / "bowline" / "store.db", "own")
    return tmp_path


def record(path, kind):
    store = StateStore(open_for_writing(path), process.owner_of(os.getpid()))
    store.open(kind, [kind], [])
    store.close()


def looked(ground, inventory, **environment):
    """What `operation_info` says on the terminal, without the line breaks of warnings."""
    program = Path(sys.executable).parent / "ansible"
    given = {**os.environ, "XDG_STATE_HOME": str(ground / "state"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400", **environment}
    argv = [program, "-i", inventory, "one", "-m", "bowline.fleet.operation_info"]
    done = subprocess.run(argv, cwd=ground, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def kinds(said):
    return [kind for kind in ("own", "beside", "named") if f'"kind": "{kind}"' in said]


@pytest.mark.parametrize("inventory", ["mine", "mine/hosts.yml"])
def test_the_users_own_store_is_used_until_a_folder_beside_the_inventory_is_made(ground, inventory):
    said = looked(ground, inventory)
    assert kinds(said) == ["own"] and "is not. Runs that were recorded there" not in said
    record(ground / "mine" / ".bowline" / "state.db", "beside")
    said = looked(ground, inventory)
    assert kinds(said) == ["beside"] and f"{ground}/state/bowline/store.db is not. Runs that were recorded there are not seen" in said


def test_the_environment_comes_before_both_and_warns_of_nothing(ground):
    record(ground / "mine" / ".bowline" / "state.db", "beside")
    record(ground / "named.db", "named")
    said = looked(ground, "mine", BOWLINE_STATE_DSN=f"sqlite://{ground}/named.db")
    assert kinds(said) == ["named"] and "is not. Runs" not in said
