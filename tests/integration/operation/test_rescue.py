# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends of cutover and rollback: what is undone, what is said, and what is left running."""

from __future__ import annotations

import re
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.probe import unix_time

from .stage import Stage


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def words(text: str) -> str:
    return " ".join(text.split())


def test_each_step_says_one_sentence_and_the_job_of_the_way_back_is_found_where_it_runs(stage):
    """A restart of legacy stays allowed, which has the seed run on the host of legacy; the way back runs on the other one."""
    begun = time.time()
    stage.facts(fails=["dns/main"])
    code, out = stage.run("cutover", pg_move_allow_legacy_restart=True)
    assert code == 2
    assert re.fullmatch(r"new serves (at|since) [0-9:]{8} UTC", stage.said("C11")["pg_move"]["said"])
    assert re.fullmatch(r"new serves since [0-9:]{8} UTC, writes paused 312 ms, 7 rows equal", stage.said("C13")["pg_move"]["said"])
    assert re.fullmatch(r"new serves since [0-9:]{8} UTC, writes paused 312 ms, way back armed", stage.said("C15")["pg_move"]["said"])
    # Behind the switch a name that did not move is no reason to go back.
    assert re.search(r"C14 failed with staged; new serves at [0-9:]{8} UTC, clients are not held\. Next: ansible-playbook -i \S*hosts.json "
                     r"bowline.fleet.cutover to go on, or ansible-playbook -i \S*hosts.json bowline.fleet.rollback to go back\.", words(out)), out  # fmt: skip
    # The probe is started at C4, and again after a seed that may have taken longer than it lives.
    assert [call["state"] for call in stage.calls("traffic_probe")][:3] == ["started", "started", "stopped"]
    judged = unix_time(stage.calls("traffic_probe_info")[0]["since"])
    assert begun - 60 <= judged <= time.time() - 60 or begun - 1 <= judged, "the last minute, or all of a run that is younger"

    stage.facts(serving="new")
    code, out = stage.run("rollback", pg_move_allow_legacy_restart=True)
    assert code == 0, out
    assert re.search(r"legacy serves at [0-9:]{8} UTC, clients are not held\. Next: ansible-playbook -i \S*hosts.json bowline.fleet.cutover goes on from "
                     r"here, ansible-playbook -i \S*hosts.json bowline.fleet.cancel gives the move up", words(out)), out  # fmt: skip
    assert re.fullmatch(r"legacy serves since [0-9:]{8} UTC, writes paused 312 ms, 7 rows equal", stage.said("R5")["pg_move"]["said"])
    assert [call["state"] for call in stage.calls("traffic_probe")] == ["started", "stopped"]


def test_an_edge_that_never_ran_is_not_waited_for_again_and_the_probe_is_ended(stage):
    stage.facts(fails=["edge/main"], edge=None)
    code, out = stage.run("cutover")
    assert code == 2
    assert len(stage.calls("edge/main")) == 1, "the rescue asked it once more"
    assert [call["state"] for call in stage.calls("traffic_probe")][-1] == "stopped"
    assert stage.said("probe")["traffic_probe"]["requests"] == 9
    assert "C4 failed with staged; legacy serves at" in words(out), out
    assert (stage.said("end")["rollback"]["serving"], stage.said("end")["rollback"]["held"]) == ("legacy", False)


def test_a_window_is_aborted_and_what_stood_in_the_way_is_said(stage):
    stage.facts(serving="nobody", fails=["pg_cutover seeded", "edge/main 2"])
    code, out = stage.run("cutover")
    assert code == 2
    assert [call["state"] for call in stage.calls("pg_cutover")] == ["seeded", "legacy"]
    assert [call["keep"] for call in stage.calls("edge/main")] == ["", ["legacy", "new"]]
    assert re.search(r"C6 failed with staged; legacy serves at .* bowline.fleet.cutover\. What was to undo it failed as well, with staged\.", words(out)), out
    assert stage.calls("traffic_probe")[-1]["state"] == "stopped"


def test_a_variable_that_is_missing_does_not_fail_the_rescue(stage):
    """With Ansible's own callback, which shows a finding on a line of its own and once in its result. A probe of an earlier run is ended."""
    stage.facts(fails=["cutover_preflight/findings"])
    missing = "{{ lookup('ansible.builtin.file', '/nowhere/secret') }}"
    code, out = stage.run("cutover", callback="ansible.builtin.default", pg_move_legacy=missing)
    assert code == 2
    assert "C1 failed with staged; which side serves could not be read" in words(out) and "/nowhere/secret" in out and "Next: ansible -i" in out, out
    assert [call["state"] for call in stage.calls("traffic_probe")] == ["stopped"]
    assert not stage.calls("edge/main")
    assert "\n  fail: staged: x: cutover_preflight/findings was told to Remedy: none\n" in out
    assert out.count("cutover_preflight/findings was told to") == 2, "it was shown twelve times"


def test_a_rollback_that_fails_ends_its_probe_and_says_how_it_stands(stage):
    stage.facts(serving="new", fails=["pg_cutover legacy"], edge={"inserted": True, "running": True, "hold": 25})
    code, out = stage.run("rollback")
    assert code == 2
    said = r"R3 failed with staged; new serves at [0-9:]{8} UTC as before, the edge of legacy holds clients until [0-9:]{8} UTC"
    assert re.search(said, words(out)), out
    assert stage.calls("traffic_probe")[-1]["state"] == "stopped"
