# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills at five moments, with writers on: of the whole playbook, and of each part of the world. The same command again must end well.

About an hour: `make faults` runs it, `make test` does not. The module and both servers are killed at every step of the window by
tests/fault.
"""

from __future__ import annotations

import pytest
from world import MOMENTS, PARTS

CONTROLLER = list(MOMENTS)
PART = [(part, moment) for part in PARTS for moment in MOMENTS]


@pytest.fixture
def under_load(lab):
    """A world before the first cutover, with eight writers; afterwards the judge finds nothing lost and one side open."""
    lab.reset()
    lab.writers("start", "--fresh")
    yield lab
    lab.writers("stop")
    verdict = lab.verdict()
    assert (verdict["lost"], verdict["unacknowledged_present"], verdict["duplicates"]) == (0, 0, 0), verdict
    assert len(lab.open_sides()) == 1


def assert_same_command_succeeds(world):
    again = world.run("cutover")
    assert again.process.returncode == 0, again.text()[-6000:]
    assert world.open_sides() == ["target"]
    assert again.figures()["serving"] == "new"


def assert_nothing_is_left_to_do(world):
    third = world.run("cutover")
    assert third.process.returncode == 0, third.text()[-4000:]
    assert not [step["id"] for step in third.figures()["steps"] if step["changed"]]


@pytest.mark.parametrize("moment", CONTROLLER)
def test_killed_playbook_is_continued_by_the_same_command(under_load, moment):
    run = under_load.start("cutover")
    under_load.wait(moment, run)
    run.kill()
    assert_same_command_succeeds(under_load)
    assert_nothing_is_left_to_do(under_load)
    assert under_load.verdict()["failed_requests"] == 0


@pytest.mark.parametrize(("part", "moment"), PART)
def test_killed_part_never_opens_two_sides(under_load, part, moment):
    run = under_load.start("cutover")
    under_load.wait(moment, run)
    under_load.kill_part(part)
    code = run.end()
    assert len(under_load.open_sides()) <= 1
    if code:
        assert "[" in run.text() and "Remedy" in run.text(), run.text()[-4000:]
    under_load.heal()
    assert len(under_load.open_sides()) == 1
    assert_same_command_succeeds(under_load)
