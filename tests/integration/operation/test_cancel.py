# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving a move up: in which order, when it is refused, and what is said at the end. What it does to a real host: tests/cutover."""

from __future__ import annotations

import re

import pytest

from .stage import Stage

CHANGING = ("pg_cutover", "pg_link/absent", "edge/main", "edge/absent", "dns/released", "native_stack/absent", "native_stack/services")


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def words(text: str) -> str:
    return " ".join(text.split())


def order(stage) -> list[str]:
    """What was called that changes something, in its order."""
    return [name for name in stage.order() if name in CHANGING]


def test_everything_is_taken_away_in_the_order_that_no_client_notices(stage):
    code, out = stage.run("cancel")
    assert code == 0, out
    # The databases are asked before anything is touched; their router needs the edges; the proxy of the target ends before its edge.
    assert order(stage) == [
        "pg_cutover", "pg_cutover", "pg_link/absent", "edge/absent", "dns/released", "native_stack/absent", "edge/absent", "pg_link/absent",
    ]  # fmt: skip
    assert [call["state"] for call in stage.calls("pg_cutover")] == ["absent", "absent"]
    assert [call["absent"] for call in stage.calls("edge/absent")] == [["legacy"], ["new"]]
    assert re.search(r"legacy serves at [0-9:]{8} UTC, clients are not held\. Next: nothing; ansible-playbook -i \S*hosts.json bowline.fleet.cutover "
                     r"begins anew", words(out)), out  # fmt: skip


def test_once_the_new_side_serves_it_is_refused_with_what_to_type(stage):
    stage.facts(serving="new")
    code, out = stage.run("cancel")
    assert code == 2
    assert order(stage) == []
    assert re.search(r"conflict: cutover_subject: New serves: giving up would lose what was written since the switch\. Nothing was changed\. "
                     r"remedy: Run ansible-playbook -i \S*hosts.json bowline.fleet.rollback, which loses no row, then ansible-playbook -i \S*hosts.json "
                     r"bowline.fleet.cancel", words(out)), out  # fmt: skip
    assert re.search(r"K1 failed with conflict; new serves at .* Next: ansible-playbook \S+ \S+ bowline.fleet.rollback, which loses no row", words(out)), out


def test_an_edge_that_cannot_be_read_is_not_taken_for_one_that_is_out_of_the_path(stage):
    """It may hold the clients or send them to the new side, so nothing is taken away, not even the pair of databases."""
    stage.facts(fails=["traffic_edge_info"])
    code, out = stage.run("cancel")
    assert code == 2
    assert order(stage) == []
    assert "Whether the edge of legacy stands in the path of the clients could not be read (host of legacy: traffic_edge_info)." in words(out), out
    assert re.search(r"K1 failed with staged; legacy serves at .*, whether the edge of legacy and new holds clients could not be read", words(out)), out


def test_what_the_databases_refuse_is_told_before_anything_else_is_touched(stage):
    stage.facts(fails=["pg_cutover absent"])
    code, out = stage.run("cancel")
    assert code == 2
    assert order(stage) == ["pg_cutover"]
    assert "K1 failed with staged; legacy serves at" in words(out), out


def test_a_window_and_a_hold_are_ended_first_and_a_target_that_is_gone_is_left_and_named(stage):
    stage.facts(serving="nobody", edge={"inserted": True, "running": True, "hold": 25, "route": "local"})
    stage.unreachable("fresh")
    code, out = stage.run("cancel")
    assert code == 0, out
    assert order(stage) == ["pg_cutover", "pg_cutover", "pg_link/absent", "edge/main", "edge/absent", "dns/released"]
    assert [call["state"] for call in stage.calls("pg_cutover")] == ["legacy", "absent"]
    assert stage.calls("edge/main")[0]["keep"] == ["legacy"]
    assert "Left: everything on fresh, which did not answer; run the same playbook again when it does." in words(out), out
