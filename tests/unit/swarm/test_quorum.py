# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What managers can lose: every answer for one to seven managers, as tables."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.verdict.quorum import count, demote_risk, drain_risk, order


def node(number: int, *, manager: bool = True, up: bool = True, leader: bool = False, demoting: bool = False) -> dict:
    made = {"ID": f"id{number}", "Description": {"Hostname": f"n{number}"}, "Spec": {"Role": "manager" if manager and not demoting else "worker"}}
    if manager:
        made["ManagerStatus"] = {"Reachability": "reachable" if up else "unreachable", "Addr": f"192.0.2.{number}:2377"}
        if leader:
            made["ManagerStatus"]["Leader"] = True
    return made


def cluster(managers: int, down: int = 0, workers: int = 0) -> list[dict]:
    """The first manager leads; the last ``down`` managers do not answer."""
    made = [node(number, up=number <= managers - down, leader=number == 1) for number in range(1, managers + 1)]
    return made + [node(managers + number, manager=False) for number in range(1, workers + 1)]


# Managers, down: quorum, margin; drain: strict for maintenance, votes for maintenance, votes for reboot; demote a reachable one, the silent one.
TABLE = [
    (1, 0, 1, 0, False, True, False, False, None),
    (2, 0, 2, 0, False, True, False, False, None),
    (3, 0, 2, 1, True, True, True, True, None),
    (3, 1, 2, 0, False, True, False, False, True),
    (4, 0, 3, 1, True, True, True, True, None),
    (4, 1, 3, 0, False, True, False, False, True),
    (5, 0, 3, 2, True, True, True, True, None),
    (5, 1, 3, 1, False, True, True, False, True),
    (5, 2, 3, 0, False, True, False, False, True),
    (6, 0, 4, 2, True, True, True, True, None),
    (6, 2, 4, 0, False, True, False, False, True),
    (7, 0, 4, 3, True, True, True, True, None),
    (7, 2, 4, 1, False, True, True, False, True),
    (7, 3, 4, 0, False, True, False, False, True),
]


@pytest.mark.parametrize(("managers", "down", "quorum", "margin", "strict", "votes", "reboot", "demote", "silent"), TABLE)
def test_what_one_to_seven_managers_may_lose(managers, down, quorum, margin, strict, votes, reboot, demote, silent):
    nodes = cluster(managers, down, workers=2)
    seen = count(nodes)
    assert (seen.managers, seen.reachable, seen.quorum, seen.margin, seen.leader) == (managers, managers - down, quorum, margin, "n1")
    assert (drain_risk(nodes, nodes[0], "maintenance", "strict") == "") is strict
    assert (drain_risk(nodes, nodes[0], "maintenance", "votes") == "") is votes
    assert (drain_risk(nodes, nodes[0], "reboot", "votes") == "") is reboot
    assert (drain_risk(nodes, nodes[0], "decommission", "strict") == "") is strict
    assert (demote_risk(nodes, nodes[0]) == "") is demote
    if silent is not None:
        assert (demote_risk(nodes, nodes[managers - 1]) == "") is silent


def test_a_worker_risks_nothing():
    nodes = cluster(3, 1, workers=1)
    assert (drain_risk(nodes, nodes[3], "decommission", "strict"), demote_risk(nodes, nodes[3])) == ("", "")


@pytest.mark.parametrize(("managers", "drain", "demote"), [(1, True, False), (2, True, True)])
def test_one_or_two_managers_may_lose_what_is_accepted(managers, drain, demote):
    nodes = cluster(managers)
    assert (drain_risk(nodes, nodes[0], "reboot", "strict", accept_loss=True) == "") is drain
    assert (demote_risk(nodes, nodes[-1], accept_loss=True) == "") is demote


def test_an_accepted_loss_is_not_for_three():
    nodes = cluster(3, 1)
    assert "1 would be left" in drain_risk(nodes, nodes[0], "reboot", "votes", accept_loss=True)
    assert "unreachable goes first" in demote_risk(nodes, nodes[0], accept_loss=True)


def test_the_reason_has_the_numbers():
    nodes = cluster(3, 1)
    said = drain_risk(nodes, nodes[0], "reboot", "strict")
    assert said == "3 managers, 2 reachable (not: n3), 2 needed: another manager is already gone, so n1 stays."
    assert count(nodes).as_data() == {"managers": 3, "reachable": 2, "quorum": 2, "margin": 0, "leader": "n1", "unreachable": ["n3"]}


def test_who_is_being_demoted_still_votes():
    """Its wanted role is worker before raft lets it go."""
    nodes = [*cluster(2), node(3, demoting=True)]
    assert (count(nodes).managers, count(nodes).margin) == (3, 1)


def test_the_leader_comes_last():
    nodes = [node(1, leader=True), node(2), node(3, up=False), node(4, manager=False)]
    assert [one["ID"] for one in order(nodes)] == ["id4", "id3", "id2", "id1"]
