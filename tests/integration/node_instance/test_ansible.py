# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same through real ansible-playbook processes: check mode and run, two controllers at one node, a controller that is killed."""

from __future__ import annotations

import pytest
from controller import Controller, until
from fleet import Fleet

INSTANCE = """
    - name: Foresee
      bowline.fleet.node_instance: {name: web-1, state: %(state)s, mode: recorder}
      check_mode: true
      register: shown
      ignore_errors: true
    - name: Do
      bowline.fleet.node_instance: {name: web-1, state: %(state)s, mode: recorder}
      register: done
      ignore_errors: true
"""


@pytest.fixture
def controller(folder):
    return Controller(folder)


def test_a_life_in_plays(controller, fleet):
    for state in ("running", "absent"):
        seen = controller.run(INSTANCE, state=state)
        assert seen["shown"]["plan"] == seen["done"]["plan"] != []
        assert (seen["shown"]["diff"], seen["shown"]["changed"]) == (seen["done"]["diff"], True)
        assert len(fleet.machines()) == (1 if state == "running" else 0)


def test_two_controllers_at_one_node(controller, fleet: Fleet):
    """One stands still in the middle of its work; another one is told who it is and since when. Once it is dead, the other one takes over."""
    first = controller.start(INSTANCE, "I2:stop", state="running")
    try:
        holder = until(lambda: fleet.lease("node/web-1"), "the lease of the first")
        until(lambda: any(action.verb == "create" for action in fleet.open_actions()), "its call")
        refused = controller.run(INSTANCE, state="running")
        assert refused["shown"]["failed"] is False, "check mode locks nobody out"
        failure = refused["done"]["failure"]
        assert failure["code"] == "locked" and holder["holder"] in failure["message"]
        assert failure["details"]["age"] > 0 and failure["details"]["holder"] == holder["holder"]
        assert fleet.machines() == []
    finally:
        controller.kill(first)
    fleet.host, fleet.skew = "localhost", 120.0  # what was asked for has not come
    fleet.run("running")
    assert len(fleet.machines()) == 1 and len(fleet.rows()) == 1


def test_a_controller_that_is_killed(controller, fleet: Fleet):
    """Its worker dies right after the machine was made; the same play goes on."""
    dead = controller.start(INSTANCE, "I3", state="running")
    dead.communicate(timeout=300)
    assert dead.returncode != 0 and len(fleet.machines()) == 1
    seen = controller.run(INSTANCE, state="running")
    assert seen["done"]["instance"]["phase"] == "running"
    assert len(fleet.machines()) == 1 and [row.id for row in fleet.rows()] == [fleet.machines()[0]["identity"]["instance_id"]]
