# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make test` runs beside what: every stage once, no two that share a lab, nothing beside one that measures time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import schedule
import stages

ROOT = Path(__file__).resolve().parents[3]
MEASURES = {"fault", "suite"}
# What only one stage may have at a time. "workers": two workers of pytest each; "containers": one makes what the other one must not meet.
SHARED = {
    "lab": {"lab", "asks", "integration", "suite"},
    "swarm-lab": {"swarm-lab", "swarm", "swarm-nodes"},
    "packages": {"lab", "swarm-lab"},
    "containers": {"asks", "second"},
    "workers": {"swarm", "swarm-nodes", "integration"},
}
# Only `make faults` runs these.
FAULTS = {f"tests/fault/test_{name}.py" for name in ("network", "rivals", "seed", "servers")}


STAGES = list(stages.STAGES.values())


def moments(cores, pick=None):
    """What runs at each moment, from the first beginning to the last end; ``pick`` chooses which stage ends next."""
    waiting, running, seen = list(STAGES), [], []
    while waiting or running:
        while (stage := schedule.following(waiting, running, cores)) is not None:
            waiting.remove(stage)
            running.append(stage)
        assert running, f"nothing runs and these wait: {[stage.name for stage in waiting]}"
        seen.append([stage.name for stage in running])
        running.remove(pick.choice(running) if pick else running[0])
    return seen


@pytest.mark.parametrize("cores", [2.0, 4.0, 64.0])
def test_every_stage_runs_and_no_two_that_disturb_each_other(cores):
    """In whatever order they end, on small and on large machines."""
    facts = {stage.name: stage for stage in STAGES}
    for seed in range(200):
        seen = moments(cores, random.Random(seed))
        order = list(dict.fromkeys(name for names in seen for name in names))
        assert sorted(order) == sorted(facts)
        for names in seen:
            together = {name for name in names if MEASURES & {name}}
            assert not together or len(names) == 1, f"{together} measure time beside {names}"
            assert [names for users in SHARED.values() if len(users & set(names)) > 1] == []
            assert len(names) == 1 or sum(facts[name].cores for name in names) <= cores
        for stage in STAGES:
            for before in (*stage.needs, *stage.after):
                last = max(number for number, names in enumerate(seen) if before in names)
                assert last < min(number for number, names in enumerate(seen) if stage.name in names), f"{stage.name} began before the end of {before}"


def test_what_a_stage_waits_for_exists_and_everything_waits_for_the_lab_it_uses():
    names = {stage.name for stage in STAGES}
    assert {word for stage in STAGES for word in (*stage.needs, *stage.after)} <= names
    assert {name for name in MEASURES if not {stage.name: stage for stage in STAGES}[name].alone} == set()
    for lab in ("lab", "swarm-lab"):
        for stage in STAGES:
            if stage.name in SHARED[lab] - {lab}:
                assert lab in (*stage.needs, *stage.after) and lab in stage.holds


def test_every_file_of_tests_is_run_by_one_stage(monkeypatch, tmp_path):
    """Of the unit tests, those of the house are run once, and all others with the oldest Python as well."""
    # A stage that is prepared takes its last report away.
    monkeypatch.setattr(stages, "LOGS", tmp_path)
    runs = {str(path.relative_to(ROOT)): [] for path in sorted((ROOT / "tests").glob("**/test_*.py"))}
    for stage in STAGES:
        for command in stage.prepare([]) if stage.pytest and stage.name != "oldest" else []:
            words = [word for word in command.argv if word.startswith("tests/") and "pytest" in command.argv]
            left = tuple(word.partition("=")[2] for word in command.argv if word.startswith("--ignore="))
            for path, names in runs.items():
                below = [word for word in words if path == word or path.startswith(f"{word}/")]
                if below and not any(path == word or path.startswith(f"{word}/") for word in left):
                    names.append(stage.name)
    assert {path: names for path, names in runs.items() if len(names) != 1} == {path: [] for path in FAULTS}


def test_the_static_stages_wait_for_no_lab():
    assert all(stage.needs == stage.after == stage.holds == () for stage in STAGES if stage.name in ("lint", "sanity", "unit", "oldest", "build"))


def test_a_stage_that_wants_more_than_there_is_gets_the_machine():
    (lint,) = [stage for stage in STAGES if stage.name == "lint"]
    assert schedule.beside(lint, [], 0.1) and not schedule.beside(lint, [lint], 0.1)
