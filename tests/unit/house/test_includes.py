# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No task file includes itself, not even through others: each turn nests the next one, and ansible-core ends with its recursion limit."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

FLEET = "bowline.fleet."
Includes = dict[str, set[str]]


def tasks_of(document: t.Any) -> t.Iterator[dict]:
    """Every task of a task file or a playbook, those in blocks and plays too."""
    for task in document or []:
        if isinstance(task, dict):
            yield task
            for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers"):
                yield from tasks_of(task.get(part))


def included(role: str, task: dict) -> t.Iterator[str]:
    """What a task of ``role`` includes, as ``role/entry``; ``*`` is a role that a variable names."""
    for action, value in task.items():
        short = str(action).rpartition(".")[2]
        if short in ("include_tasks", "import_tasks"):
            yield f"{role}/{Path(value if isinstance(value, str) else value['file']).stem}"
        if short in ("include_role", "import_role"):
            name = str(value["name"]).removeprefix(FLEET)
            yield f"{name}/{value.get('tasks_from', 'main')}" if "{{" not in name else "*"


def steps(task: dict) -> t.Iterator[str]:
    """Roles that a task hands to the role operation as a step; an entry that is computed stands for every word in it."""
    step = (task.get("vars") or {}).get("operation_step") or {}
    for role in [*step.get("roles", []), *([{"name": step["role"], **step}] if "role" in step else [])]:
        for entry in re.findall(r"\w+", role.get("tasks_from", "main")) if "{{" in role.get("tasks_from", "") else [role.get("tasks_from", "main")]:
            yield f"{str(role['name']).removeprefix(FLEET)}/{entry}"


def graph(files: t.Mapping[str, t.Any]) -> Includes:
    """``files`` by ``role/entry``, parsed. What runs as a step is included by the task that runs steps, wherever it was asked for."""
    found: Includes = {}
    asked: set[str] = set()
    for name, document in files.items():
        role = name.partition("/")[0]
        for task in tasks_of(document):
            found.setdefault(name, set()).update(included(role, task))
            asked.update(steps(task))
    for name, targets in found.items():
        if "*" in targets:
            found[name] = (targets - {"*"}) | asked
    return {name: {target for target in targets if target in files} for name, targets in found.items()}


def circles(includes: Includes) -> list[str]:
    """Every way that leads back to where it began, once."""
    found = set()

    def walk(way: tuple[str, ...]) -> None:
        for target in sorted(includes.get(way[-1], ())):
            if target in way:
                found.add(" -> ".join((*way[way.index(target) :], target)))
            else:
                walk((*way, target))

    for name in sorted(includes):
        walk((name,))
    return sorted(found)


def test_no_task_file_includes_itself(clone):
    files = {
        f"{path.parts[1]}/{path.stem}": yaml.safe_load(clone.text(path)) for path in clone.below("roles", suffix=".yml") if path.parts[2] == "tasks"
    }
    files.update({f"playbooks/{path.stem}": yaml.safe_load(clone.text(path)) for path in clone.below("playbooks", suffix=".yml")})
    includes = graph(files)
    assert "pg_move/switch" in includes["operation/role"], "what runs as a step is seen"
    assert circles(includes) == []


@pytest.mark.parametrize(("files", "circle"), [
    ({"a/main": [{"ansible.builtin.include_tasks": "main.yml"}]}, "a/main -> a/main"),
    ({"a/main": [{"block": [{"rescue": [{"include_role": {"name": "bowline.fleet.b"}}]}]}],
      "b/main": [{"ansible.builtin.import_tasks": {"file": "more.yml"}}],
      "b/more": [{"import_role": {"name": "bowline.fleet.a"}}]}, "a/main -> b/main -> b/more -> a/main"),
    ({"run/step": [{"include_role": {"name": "{{ it }}"}}],
      "a/main": [{"include_role": {"name": "bowline.fleet.run", "tasks_from": "step"},
                  "vars": {"operation_step": {"roles": [{"name": "bowline.fleet.a", "tasks_from": "{{ 'x' if y else 'main' }}"}]}}}]},
     "a/main -> run/step -> a/main"),
])  # fmt: skip
def test_a_circle_is_seen(files, circle):
    assert circle in circles(graph(files))
    assert circles(graph({name: [] for name in files})) == []
