# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the endpoints of a cluster say, and what is made of it: one cluster, a foreign one, none, a part of one."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.cluster.plan import lost, missing, read, refuse, silent, without_leader

MUTE = FleetError("endpoint_unreachable", "tcp://m3 did not answer at stage tcp.", "Check the route.")


def manager(number: int, cluster: str = "c1") -> object:
    known = [{"NodeID": f"id{each}"} for each in (1, 2, 3)]
    swarm = {"NodeID": f"id{number}", "LocalNodeState": "active", "ControlAvailable": True, "RemoteManagers": known, "Cluster": {"ID": cluster}}
    return read(f"tcp://m{number}", {"Name": f"m{number}", "Swarm": swarm})


WORKER = read("tcp://w1", {"Name": "w1", "Swarm": {"LocalNodeState": "active", "ControlAvailable": False}})
OUTSIDE = read("tcp://x1", {"Name": "x1", "Swarm": {"LocalNodeState": "inactive"}})


@pytest.mark.parametrize(("answers", "pinned", "every", "code"), [
    pytest.param([manager(1), manager(2)], "", True, None, id="one cluster"),
    pytest.param([manager(1), manager(2)], "c1", True, None, id="the one that is meant"),
    pytest.param([manager(1), manager(2, "c2")], "", False, "cluster_mismatch", id="two clusters"),
    pytest.param([manager(1)], "c9", False, "cluster_mismatch", id="another one than is meant"),
    pytest.param([manager(1), WORKER], "", True, "not_manager", id="a worker among them"),
    pytest.param([manager(1), WORKER], "", False, None, id="a worker, and a manager is enough"),
    pytest.param([WORKER], "", False, "not_manager", id="a worker alone"),
    pytest.param([OUTSIDE], "", False, "not_manager", id="no Swarm"),
    pytest.param([manager(1), silent("tcp://m3", MUTE)], "", True, "endpoint_unreachable", id="one is silent"),
    pytest.param([manager(1), silent("tcp://m3", MUTE)], "", False, None, id="one is silent, and one is enough"),
    pytest.param([silent("tcp://m3", MUTE)], "", False, "endpoint_unreachable", id="all are silent"),
    pytest.param([manager(1, ""), silent("tcp://m3", MUTE)], "c1", False, "quorum_lost", id="no leader"),
    pytest.param([manager(1, ""), manager(2)], "c1", False, None, id="one is cut off"),
])  # fmt: skip
def test_what_the_endpoints_say_decides(answers, pinned, every, code):
    if code is None:
        refuse(answers, pinned, every)
        return
    with pytest.raises(FleetError) as failure:
        refuse(answers, pinned, every)
    assert failure.value.code == code and failure.value.remedy
    assert "othing was changed" in failure.value.message
    assert len(failure.value.details["endpoints"]) == len(answers)


def test_a_mismatch_says_which_engine_is_where():
    with pytest.raises(FleetError, match=r"tcp://m1 \(m1\) is in c1; tcp://m2 \(m2\) is in c2"):
        refuse([manager(1), manager(2, "c2")], "", False)


def test_a_lost_majority_has_its_numbers():
    answers = [manager(1, ""), silent("tcp://m2", MUTE), silent("tcp://m3", MUTE)]
    assert lost(answers) and not lost([*answers, manager(2)]) and not lost(answers[1:])
    seen = without_leader(answers)
    assert (seen.managers, seen.reachable, seen.quorum, seen.margin) == (3, 1, 2, -1)
    with pytest.raises(FleetError, match=r"3 managers, 1 reachable \(not: tcp://m2, tcp://m3\), 2 needed"):
        refuse(answers, "", True)


def node(name: str, state: str = "ready", *, manager: bool = True, reachable: bool = True) -> dict:
    status = {"ManagerStatus": {"Reachability": "reachable" if reachable else "unreachable"}} if manager else {}
    return {"ID": f"id-{name}", "Description": {"Hostname": name}, "Status": {"State": state}, **status}


def test_every_member_that_is_not_as_it_should_be_is_named():
    nodes = [node("m1"), node("m2", reachable=False), node("m3", manager=False), node("w1", "down", manager=False), node("w2")]
    wanted = {"managers": ["m1", "m2", "m3", "m4"], "workers": ["w1", "w2", "id-m3"]}
    assert missing(nodes, wanted) == ["m2 is not reached by the other managers.", "m3 is a worker.", "m4 is no member.", "w1 is down.", "w2 is a manager."]
    assert missing(nodes, {}) == []
