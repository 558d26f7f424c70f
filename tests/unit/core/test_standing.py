# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last words of a run that failed: who serves, whether clients are held, what to type next; also when nothing can be read."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.standing import edges_to_release, serving_of, standing

NOW = 1790000000.0
AT = "14:13:20 UTC"
PLAY = "ansible-playbook -i inventories/mine bowline.fleet"


def look(side, serving=None, **edge):
    told = {"inserted": True, "running": True, "hold": 0, **edge}
    return {"side": side, "pair": {"serving": serving} if serving else {}, "edge": {"edge": told}, "error": ""}


def end(*looks, kind="cutover", **options):
    return standing(looks, kind, ["inventories/mine"], now=NOW, **options)


@pytest.mark.parametrize(("kind", "serving", "said"), [
    ("cutover", "legacy", f"legacy serves at {AT} as before, clients are not held. Next: correct the cause, then {PLAY}.cutover"),
    ("cutover", "new", f"new serves at {AT}, clients are not held. Next: {PLAY}.cutover to go on, or {PLAY}.rollback to go back"),
    ("rollback", "new", f"new serves at {AT} as before, clients are not held. Next: correct the cause, then {PLAY}.rollback"),
    ("rollback", "legacy", f"legacy serves at {AT}, clients are not held. Next: correct the cause, then {PLAY}.rollback"),
    ("cutover", "nobody", f"nobody takes writes at {AT}, clients are not held. Next: {PLAY}.rollback, which gives the writes back to legacy"),
])
def test_every_end_says_who_serves_and_what_to_type(kind, serving, said):
    found = end(look("legacy", serving), look("new", serving), kind=kind)
    assert (found["said"], found["serving"], found["held"], found["unread"]) == (said, serving, False, [])


def test_the_first_host_that_can_tell_is_believed():
    assert serving_of([look("legacy", "unknown"), look("new", "new")]) == "new"
    assert serving_of([{"side": "legacy", "pair": {"unreachable": True, "msg": "x"}}, look("new", "legacy")]) == "legacy"
    assert serving_of([]) == "unknown"


def test_clients_that_are_held_are_told_with_the_end_of_it():
    found = end(look("legacy", "legacy", hold=20.5), look("new", "legacy", inserted=False, hold=9))
    assert found["held"] is True
    assert "the edge of legacy holds clients until 14:13:40 UTC at the latest." in found["said"]


def test_an_edge_that_was_never_made_holds_nobody():
    found = end({"side": "legacy", "pair": {"serving": "legacy"}, "edge": {"edge": None}}, {"side": "new", "pair": {}, "edge": {"edge": None}})
    assert found["held"] is False


def test_what_cannot_be_read_is_said_with_the_reason():
    dead = {"side": "new", "pair": {"unreachable": True, "msg": "ssh: no\n route"}, "edge": {"unreachable": True, "msg": "ssh: no\n route"}, "error": ""}
    pair = {"serving": "unknown", "failures": {"legacy": {"message": "10.0.0.1:5432 refused."}, "new": {"message": "10.0.0.2:5432 timed out."}}}
    alive = {"side": "legacy", "pair": pair, "edge": {"edge": None}, "error": ""}
    found = end(alive, dead)
    assert (found["serving"], found["held"]) == ("unknown", None)
    assert found["unread"] == ["database legacy: 10.0.0.1:5432 refused", "database new: 10.0.0.2:5432 timed out", "host of new: ssh: no route"]
    assert f"which side serves could not be read at {AT}, and nothing was changed for it" in found["said"]
    assert "whether the edge of new holds clients could not be read (a hold ends by itself)" in found["said"]
    assert found["next"] == f"ansible -i inventories/mine legacy,target -m ansible.builtin.ping, and when both answer, {PLAY}.cutover"


def test_a_failure_that_ansible_was_told_to_pass_over_is_a_reason_too():
    """``failed_when: false`` takes the word failed away and leaves the rest of what the module answered."""
    failure = {"code": "edge_state_unreadable", "message": "edge.json is no JSON.", "remedy": "x"}
    passed = {"failed": False, "failed_when_result": False, "msg": "[edge_state_unreadable] edge.json is no JSON."}
    found = end(look("legacy", "legacy"), {"side": "new", "pair": {"serving": "legacy"}, "edge": {**passed, "failure": failure}})
    assert found["unread"] == ["host of new: edge.json is no JSON"]
    crashed = {"side": "new", "pair": {**passed, "msg": "MODULE FAILURE"}, "edge": {"skipped": True, "skip_reason": "x"}}
    assert end(look("legacy", "legacy"), crashed)["unread"] == ["host of new: MODULE FAILURE"]


def test_a_variable_that_is_missing_is_a_reason_too():
    found = end(*({"side": side, "pair": {}, "edge": {}, "error": "'pg_move_legacy' is undefined"} for side in ("legacy", "new")))
    assert (found["serving"], found["held"]) == ("unknown", None)
    assert "legacy: 'pg_move_legacy' is undefined" in found["said"]
    assert end()["serving"] == "unknown"


def test_a_job_that_still_works_is_waited_for():
    at_work = {**look("legacy"), "pair": {"serving": "legacy", "holder": {"pid": 7, "application_name": "bowline pg_cutover new"}}}
    found = end(at_work, look("new"))
    assert "clients are not held, bowline pg_cutover new still works on the pair (pid 7 of the server). Next: wait until it has ended, then" in found["said"]


@pytest.mark.parametrize("phase", ["split_brain", "inconsistent"])
def test_nothing_is_to_be_typed_while_both_servers_contradict_each_other(phase):
    found = end({**look("legacy"), "pair": {"serving": "unknown", "phase": phase}}, look("new"))
    assert f"the facts of both servers contradict each other ({phase}), clients are not held." in found["said"]
    assert found["next"].startswith("run nothing; pg_cutover_info names")


def test_a_check_run_says_that_nothing_was_changed():
    assert "legacy serves at 14:13:20 UTC as before, nothing was changed, clients" in end(look("legacy", "legacy"), look("new"), check=True)["said"]


def test_inventories_are_words_of_a_command():
    said = standing([look("legacy", "legacy"), look("new")], "cutover", ["/a b/hosts", "x;y"], now=NOW)["next"]
    assert "ansible-playbook -i '/a b/hosts' -i 'x;y' bowline.fleet.cutover" in said
    assert standing([look("legacy", "legacy"), look("new")], "cutover", [], now=NOW)["next"].endswith("then ansible-playbook bowline.fleet.cutover")


@pytest.mark.parametrize(("legacy", "new", "step", "kept"), [
    ({}, {}, "C11", ["legacy", "new"]),
    ({}, {"inserted": False}, "C6", ["legacy"]),
    ({"inserted": False}, {"inserted": False}, "C4", []),
    ({"running": False}, {}, "C4", ["new"]),
    ({"running": False}, {}, "C11", ["legacy", "new"]),
])
def test_only_edges_in_the_path_are_routed(legacy, new, step, kept):
    assert edges_to_release([look("legacy", **legacy), look("new", **new)], step) == kept


def test_an_edge_of_a_host_that_is_gone_is_not_waited_for():
    assert edges_to_release([look("legacy"), {"side": "new", "edge": {"unreachable": True}}], "C11") == ["legacy"]
    assert edges_to_release([{"side": "legacy", "edge": {"edge": None}}, {}], "C4") == []


@pytest.mark.parametrize(("kind", "serving", "check", "expected"), [
    ("cutover", "new", False, "nothing; ansible-playbook -i inventories/mine bowline.fleet.rollback takes it back without losing a row"),
    ("cutover", "legacy", False, "ansible-playbook -i inventories/mine bowline.fleet.cutover goes on from here, "
                                 "ansible-playbook -i inventories/mine bowline.fleet.cancel gives the move up"),
    ("rollback", "legacy", False, "ansible-playbook -i inventories/mine bowline.fleet.cutover goes on from here, "
                                  "ansible-playbook -i inventories/mine bowline.fleet.cancel gives the move up"),
    ("cancel", "legacy", False, "nothing; ansible-playbook -i inventories/mine bowline.fleet.cutover begins anew"),
    ("cancel", "legacy", True, "ansible-playbook -i inventories/mine bowline.fleet.cancel without --check does what was planned"),
])  # fmt: skip
def test_a_good_end_says_what_can_be_typed_too(kind, serving, check, expected):
    seen = [{"side": side, "pair": {"serving": serving, "phase": "x"}, "edge": {"edge": None}, "error": ""} for side in ("legacy", "new")]
    found = standing(seen, kind, ["inventories/mine"], check=check, now=1790000000.0, good=True)
    assert (found["next"], found["held"]) == (expected, False)
    assert found["said"].startswith(f"{serving} serves at ") and "as before" not in found["said"]
