# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a move can be given up, by what both hosts answered, and what is said at its end."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.cancel import decision, ending

IN = {"edge": {"inserted": True, "running": True, "hold": 0, "route": "local"}}


UNREADABLE = {"code": "edge_state_unreadable", "message": "edge.json is no JSON.", "remedy": "Put the file back."}


def looks(legacy: dict, new: dict, edge: dict | None = None) -> list[dict]:
    return [{"side": "legacy", "pair": legacy, "edge": IN if edge is None else edge, "error": ""},
            {"side": "new", "pair": new, "edge": IN, "error": ""}]  # fmt: skip


def pair(serving: str, phase: str = "armed", **more: object) -> dict:
    return {"serving": serving, "phase": phase, "epoch": {"legacy": None, "new": None}, **more}


@pytest.mark.parametrize(("seen", "expected"), [
    pytest.param(looks(pair("legacy"), pair("legacy")), {"on": "new", "abort": False, "release": False, "waits": False}, id="armed"),
    # A target without programs, or without a host: legacy is asked alone.
    pytest.param(looks(pair("legacy"), {"failed": True}), {"on": "legacy", "abort": False, "release": False, "waits": False}, id="blank target"),
    # A target that C2 has not come to yet has the programs and no certificate authority.
    pytest.param(looks(pair("legacy"), pair("unknown", failures={"legacy": {"message": "no CA"}})), {"on": "legacy"}, id="target without a CA"),
    pytest.param(looks(pair("nobody"), pair("nobody")), {"on": "legacy", "abort": True, "release": False, "waits": False}, id="window"),
    pytest.param(looks(pair("legacy", epoch={"legacy": "2:commit", "new": "2:open"}), pair("legacy")), {"waits": True}, id="served before"),
    pytest.param(looks(pair("legacy"), pair("legacy"), {"edge": {**IN["edge"], "hold": 3}}), {"release": True}, id="hold"),
    pytest.param(looks(pair("legacy"), pair("legacy"), {"edge": {**IN["edge"], "route": "peer"}}), {"release": True}, id="route"),
    pytest.param(looks(pair("legacy"), pair("legacy"), {"edge": None}), {"release": False}, id="no edge"),
])
def test_a_move_is_given_up_while_legacy_serves(seen, expected):
    found = decision(seen, ["inventories/mine"])
    assert found["findings"] == []
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(("seen", "code", "remedy"), [
    pytest.param(looks(pair("new"), pair("new")), "conflict",
                 "Run ansible-playbook -i inventories/mine bowline.fleet.rollback, which loses no row, then "
                 "ansible-playbook -i inventories/mine bowline.fleet.cancel", id="new serves"),
    pytest.param(looks(pair("unknown", failures={"legacy": {"message": "refused"}}), {"unreachable": True, "msg": "no route"}), "unreachable",
                 "Start the old server, and the new one if it served last; then run ansible-playbook -i inventories/mine bowline.fleet.cancel again",
                 id="not read"),
    pytest.param(looks(pair("unknown", "split_brain"), pair("unknown", "split_brain")), "split_brain",
                 "run nothing; pg_cutover_info names the facts of both servers, and docs/runbooks/cutover.md says which one to fence by hand",
                 id="contradiction"),
    pytest.param(looks(pair("legacy"), pair("legacy"), {"unreachable": True, "msg": "no route"}), "unreachable",
                 "Make the host of legacy's edge answer; then run ansible-playbook -i inventories/mine bowline.fleet.cancel again", id="edge not read"),
    pytest.param(looks(pair("nobody"), pair("nobody"), {}), "unreachable",
                 "Make the host of legacy's edge answer; then run ansible-playbook -i inventories/mine bowline.fleet.cancel again",
                 id="window, edge not asked"),
    pytest.param(looks(pair("legacy"), pair("legacy"), {"failed": True, "failure": UNREADABLE}), "edge_state_unreadable",
                 "Put the file back; then run ansible-playbook -i inventories/mine bowline.fleet.cancel again", id="edge without a state"),
])  # fmt: skip
def test_it_is_refused_with_what_to_type(seen, code, remedy):
    (finding,) = decision(seen, ["inventories/mine"])["findings"]
    assert (finding["code"], finding["remedy"], finding["level"]) == (code, remedy, "fail")
    assert "Nothing was changed." in finding["message"]


def test_an_edge_that_could_not_be_read_is_named_with_the_reason():
    seen = looks(pair("legacy"), pair("legacy"), {"unreachable": True, "msg": "no route to old"})
    (finding,) = decision(seen, [])["findings"]
    assert "the edge of legacy stands in the path of the clients could not be read (host of legacy: no route to old)." in finding["message"]
    seen[0].update(edge={}, error="edge_sides is undefined.")
    (finding,) = decision(seen, [])["findings"]
    assert "(legacy: edge_sides is undefined)." in finding["message"]


def test_the_end_says_what_was_taken_away_and_what_is_left_and_why():
    steps = [{"name": "Pair of databases", "changed": True}, {"name": "Edge of the old side", "changed": False}]
    end = ending({"said": "legacy serves. Next: nothing", "held": False}, steps, "hub-new", True, kept=["/var/lib/x"], dumps="/srv/dumps")
    assert end["taken"] == ["Pair of databases"]
    assert end["said"] == (
        "taken away: Pair of databases; legacy serves. Next: nothing. Left: on hub-new /var/lib/x, with what the move copied, and the packages and users; "
        "remove them by hand when nobody needs them; the dumps in /srv/dumps of both hosts, which are yours as long as they are retained."
    )
    plan = ending({"said": "legacy serves"}, steps, "hub-new", True, check=True)
    assert plan["said"].startswith("would be taken away: Pair of databases; legacy serves")
    stays = ending({"said": "legacy serves. Next: nothing"}, [], "hub-new", True, links=["on hub-new the link password /x"])
    assert stays["left"] == ["on hub-new the link password /x"] and stays["said"].endswith("Left: on hub-new the link password /x.")
    gone = ending({"said": "legacy serves. Next: nothing"}, [], "hub-new", False, kept=["/var/lib/x"])
    assert gone["said"].startswith("nothing was there to take away; legacy serves.")
    assert gone["left"] == ["everything on hub-new, which did not answer; run the same playbook again when it does"]
