# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills at five moments, with writers on: of the whole playbook, and of each part of the world. The same command again must end well.

Three quarters of an hour: `make faults` runs it, `make test` does not. The module and both servers are killed at every step of the window by
tests/fault. Each test walks through all moments, so every kill but the first one meets a world that the one before it has left.
"""

from __future__ import annotations

import json

import old_host
import pytest
from world import MOMENTS, PARTS, ROOT


@pytest.fixture
def under_load(lab):
    """A world before the first cutover, with eight writers; afterwards the judge finds nothing lost and one side open."""
    lab.reset()
    lab.writers("start", "--fresh")
    yield lab
    lab.writers("stop")
    assert_lossless(lab)


def assert_lossless(world):
    """What holds at any moment, whatever was killed."""
    verdict = world.verdict()
    assert (verdict["lost"], verdict["unacknowledged_present"], verdict["duplicates"]) == (0, 0, 0), verdict
    assert len(world.open_sides()) == 1


def assert_same_command_succeeds(world):
    again = world.run("cutover")
    assert again.process.returncode == 0, again.text()[-6000:]
    assert world.open_sides() == ["target"]
    assert again.figures()["serving"] == "new"


def assert_nothing_is_left_to_do(world):
    third = world.run("cutover")
    assert third.process.returncode == 0, third.text()[-4000:]
    assert not [step["id"] for step in third.figures()["steps"] if step["changed"]]


def go_back(world):
    back = world.run("rollback")
    assert back.process.returncode == 0, back.text()[-6000:]


def test_playbook_killed_at_each_moment_is_continued_by_the_same_command(under_load):
    """Before the hold nothing goes on without the playbook, so the next one is killed a moment later. The switch itself does go on."""
    for moment in MOMENTS:
        if under_load.open_sides() == ["target"]:
            go_back(under_load)
        run = under_load.start("cutover")
        under_load.wait(moment, run)
        run.kill()
        if moment not in ("seeding", "armed"):
            assert_same_command_succeeds(under_load)
        print(f"killed at {moment}")
    assert_nothing_is_left_to_do(under_load)
    assert under_load.verdict()["failed_requests"] == 0


# Each is ended as soon as the next one begins; C9 ends of its own accord.
PREPARING = {"C1": "C2", "C2": "C3", "C3": "C4", "C4": "C5", "C5": "C6", "C6": "C9", "C9": ""}


@pytest.fixture(scope="module")
def fresh(lab):
    """The world before the first cutover, and how the old host is then."""
    lab.reset()
    return lab, old_host.look(lab)


@pytest.mark.parametrize("step", PREPARING)
def test_a_move_is_given_up_behind_each_step_and_the_old_host_is_as_it_was(fresh, step):
    """Each cutover but the first one meets a target that the one before it has left. Two of the cancels are killed in their midst, too."""
    world, before = fresh
    following = PREPARING[step]
    if following:
        killed_at(world, "cutover", following)
    else:
        assert world.run("cutover", "-e", "cutover_until=armed").process.returncode == 0
    if step in ("C4", "C9"):
        killed_at(world, "cancel", "K3")
    done = world.run("cancel")
    assert done.process.returncode == 0, done.text()[-4000:]
    after = old_host.look(world)
    print(f"cancel behind {step}: {old_host.bytes_that_differ(before, after)} bytes differ on the old host")
    assert old_host.differing(before, after) == {}


def test_a_cancel_behind_a_cancel_changes_nothing(fresh):
    """By the command of the README, under writers."""
    world, before = fresh
    done = world.make("cancel")
    assert done.returncode == 0, done.stdout[-4000:]
    result = json.loads((ROOT / "build" / "cancel" / "result.json").read_text(encoding="utf-8"))
    assert [entry["id"] for entry in result["steps"] if entry["changed"]] == []
    assert (result["ledger"]["lost"], result["ledger"]["failed_requests"]) == (0, 0)
    assert old_host.differing(before, old_host.look(world)) == {}


def killed_at(world, kind, step):
    """A run that is killed as soon as ``step`` begins."""
    run = world.start(kind)
    world.until(f"{step} to begin", lambda: f"] {step} " in run.text() or run.process.poll() is not None)
    assert run.process.poll() is None, run.text()[-3000:]
    run.kill()
    world.settle()


@pytest.mark.parametrize("part", PARTS)
def test_part_killed_at_each_moment_never_opens_two_sides(under_load, part):
    for moment in MOMENTS:
        if under_load.open_sides() == ["target"]:
            go_back(under_load)
        run = under_load.start("cutover")
        under_load.wait(moment, run)
        under_load.kill_part(part)
        code = run.end()
        assert len(under_load.open_sides()) <= 1, moment
        if code:
            failure = run.figures()["failure"]
            assert failure["code"] and failure["remedy"], (moment, failure)
            assert failure["remedy"] in " ".join(run.text().split()), (moment, run.text()[-4000:])
        under_load.heal()
        assert_lossless(under_load)
        print(f"killed at {moment}: {run.figures()['failure']['code'] if code else 'succeeded'}, then open: {under_load.open_sides()}")
    assert_same_command_succeeds(under_load)
