# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks of nodes as a user calls them: many at once, cut off in the middle, one that cannot be made, and the whole way back."""

from __future__ import annotations

import pytest
from controller import Controller, until
from fleet import Fleet

ALL = 12
WEB = {"node_provision_name_prefix": "web", "node_provision_template": "small", "node_provision_node": {"lifecycle_class": "ephemeral"}}


@pytest.fixture
def controller(folder):
    return Controller(folder)


def done(process) -> tuple[int, str]:
    said = process.communicate(timeout=900)[0]
    return process.returncode, said


def names(fleet: Fleet) -> list[str]:
    return sorted(machine["identity"]["node"] for machine in fleet.machines())


@pytest.mark.slow
def test_twelve_are_cut_off_at_the_fifth_and_asked_for_again(controller, fleet):
    wanted = {**WEB, "node_provision_count": ALL, "node_provision_state": "present"}
    first = controller.playbook("provision", **wanted)
    try:
        until(lambda: len(fleet.machines()) >= 5, "the fifth machine", 600)
    finally:
        controller.kill(first)
    before = {machine["identity"]["instance_id"] for machine in fleet.machines()}
    assert 5 <= len(before) < ALL
    code, said = done(controller.playbook("provision", **wanted))
    assert code == 0, said
    assert names(fleet) == sorted(f"web-{number}" for number in range(1, ALL + 1))
    assert before <= {machine["identity"]["instance_id"] for machine in fleet.machines()} == {row.id for row in fleet.rows() if row.terminated_at is None}
    assert "web-1: kept" in said and f"web-{ALL}: made" in said


def test_one_that_cannot_be_made(controller, fleet):
    """A fifth of three is less than one, so the first failure ends the creation; what is there stays, and a rerun fills the gaps. Then all of them go."""
    bad = {"node_provision_each": {"web-2": {"image": "not/absolute"}}}
    code, said = done(controller.playbook("provision", **WEB, **bad, node_provision_count=3))
    assert code != 0 and names(fleet) == ["web-1"]
    for words in ("web-1: made, running", "web-2: failed, [option_invalid]", "web-3: not tried"):
        assert words in " ".join(said.split()), said
    code, said = done(controller.playbook("provision", **WEB, node_provision_count=3))
    assert code == 0 and "web-1: kept, running" in said and names(fleet) == ["web-1", "web-2", "web-3"]
    code, said = done(controller.playbook("drain", node_drain_names=["web-1"]))
    assert code == 0, said
    code, said = done(controller.playbook("terminate", node_terminate_names=["web-1", "web-2", "web-3"], node_terminate_rows=True))
    assert code == 0 and names(fleet) == [], said


def test_a_number_that_cannot_be(controller, fleet):
    code, said = done(controller.playbook("provision", **WEB, node_provision_count=51))
    assert code != 0 and "[option_invalid]" in said and fleet.asked == [] and names(fleet) == []
