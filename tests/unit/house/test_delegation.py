# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each host is reached as its own user: no loop goes from host to host within one task, and nothing is delegated past what localhost is told."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/*.yml")])


def tasks(entries: t.Any) -> t.Iterator[dict[str, t.Any]]:
    for entry in entries or []:
        yield entry
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers"):
            yield from tasks(entry.get(part))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_loop_goes_from_host_to_host(file):
    """Within one loop Ansible keeps the connection of the first item (ansible/ansible#65783): behind a local one, all others are local, too."""
    for task in tasks(yaml.safe_load(file.read_text(encoding="utf-8"))):
        variable = (task.get("loop_control") or {}).get("loop_var", "item")
        if "loop" in task and "include_tasks" not in str(list(task)):
            assert not re.search(rf"\b{variable}\b", str(task.get("delegate_to", ""))), f"{task['name']}: include a file for each host"


def test_the_controller_has_no_rights_but_those_of_its_caller():
    told = yaml.safe_load((ROOT / "playbooks" / "host_vars" / "localhost.yml").read_text(encoding="utf-8"))
    assert told == {"ansible_become": False}
    for file in FILES:
        for task in tasks(yaml.safe_load(file.read_text(encoding="utf-8"))):
            assert not {"local_action", "connection", "become_user", "remote_user"} & set(task), f"{file}: {task['name']}"


# Who judges an answer of these takes a failure for a finding: filters preflight_findings, rollback_standing, cancel_decision; ping has one answer.
# docker_swarm's answer holds tokens, so the task behind it shows the reason alone.
JUDGED = ("ansible.builtin.ping", "community.docker.docker_host_info", "community.docker.docker_swarm")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_answer_that_failed_is_taken_for_an_answer(file):
    """A look whose failure is hidden and whose ``rc`` is read with a default says "there is nothing" of a container that does not run."""
    for task in tasks(yaml.safe_load(file.read_text(encoding="utf-8"))):
        if task.get("failed_when") is False or task.get("ignore_errors"):
            known = [word for word in task if word.startswith("bowline.fleet.") or word in JUDGED]
            assert known and "register" in task, f"{task['name']}: say in failed_when which answers there are"
