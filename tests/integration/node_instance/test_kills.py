# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kill -9 before and after every step of a life, before and after every call to the host, and within it; then the same command again.

Whatever was cut off, there is exactly the machine that is asked for, the store and the host say the same of it, and nothing is left to do.
"""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import faults
from fleet import Fleet

# A command, and what was done before it.
LIVES = {
    "provision": ("running", ()),
    "drain": ("drained", ("running",)),
    "stop": ("stopped", ("running",)),
    "start": ("running", ("running", "stopped")),
    "terminate": ("absent", ("running",)),
    "replace": ("running", ("running",)),
}
EVIDENCE = [{"hook": name, "outcome": "released"} for name in ("docker", "hooks", "memberships")]
POINTS = [point for point in faults.MACHINE if point != "M3"]


def agree(fleet: Fleet, wanted: int) -> None:
    """The host has ``wanted`` machines, and the rows that live are theirs."""
    machines, rows = fleet.machines(), [row for row in fleet.rows() if row.terminated_at is None]
    assert len(machines) == wanted, f"{len(machines)} machines, {wanted} wanted"
    assert [(machine["identity"]["instance_id"], machine["identity"]["generation"], machine["power"]) for machine in machines] == [
        (row.id, row.generation, row.power) for row in rows
    ]
    for row in fleet.rows():
        assert row.terminated_at is None or row.finalizers == ()
    assert [action.verb for action in fleet.open_actions() if action.verb != "drain"] == []


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("life", LIVES)
def test_killed_and_again(folder, life, point):
    state, before = LIVES[life]
    given = {"evidence": EVIDENCE, **({"image": "/images/new", "on_immutable_change": "replace"} if life == "replace" else {})}
    for turn in itertools.count(1):
        fleet = Fleet(folder / str(turn))
        fleet.node(hooks=["docker"])
        for earlier in before:
            fleet.run(earlier, evidence=EVIDENCE)
        cut = fleet.killed(f"{point}.{turn}", state, **given)
        done = fleet.run(state, **given)
        assert done["instance"]["phase"] == {"absent": "no_instance"}.get(state, state)
        agree(fleet, 0 if state == "absent" else 1)
        assert fleet.run(state, **given)["plan"] == []
        if not cut:
            break
    # A life of which nothing was cut off has proven nothing; a drain alone asks nothing of the host.
    assert turn > 1 or (life == "drain" and point in ("I2", "I3", "M1", "M2"))


def test_killed_again_and_again(fleet):
    """Each run comes two steps further than the one before, and is killed; the life is whole at last."""
    fleet.node(hooks=["docker"])
    for state in ("running", "stopped", "running", "absent"):
        runs = sum(1 for _run in itertools.takewhile(lambda _: fleet.killed("I4.2", state, evidence=EVIDENCE), itertools.count()))
        assert runs >= 1
        agree(fleet, 0 if state == "absent" else 1)
