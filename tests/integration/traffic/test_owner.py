# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two stacks on one host: the edge of the other one is never touched, and never asked for."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError

PEER = {"address": "192.0.2.10", "port": 443, "hostname": "hub.example.test", "ca_file": None}


@pytest.fixture(scope="module")
def first(short_home, make_pair):
    """The files of an edge of stack hub."""
    pair = make_pair(short_home / "first", 80)
    pair.run(subject="hub", peer=PEER)
    return pair


def tree(pair):
    return {name: (os.lstat(f"{pair.directory}/{name}").st_mtime_ns, os.lstat(f"{pair.directory}/{name}").st_ino) for name in os.listdir(pair.directory)}


OTHERS = [
    pytest.param({"subject": "notes", "peer": {**PEER, "hostname": "notes.example.test"}}, id="another stack"),
    pytest.param({"subject": "notes", "peer": PEER}, id="another stack behind the same name"),
    pytest.param({"peer": {**PEER, "hostname": "notes.example.test"}}, id="another one that does not say its subject"),
]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("other", OTHERS)
def test_the_directory_of_another_stack_is_refused_by_name(first, check, state, other):
    """The case: the example's directory kept; the other stack's edge was taken over without a question, and its door answered 503."""
    before = tree(first)
    with pytest.raises(FleetError) as failure:
        first.run(check=check, state=state, **other)
    assert (failure.value.code, failure.value.details["field"], failure.value.details["owner"]) == ("not_owner", "directory", "hub")
    assert "hub.example.test" in failure.value.message and "directory" in failure.value.remedy
    assert tree(first) == before


def test_its_own_stack_goes_on_with_it_also_under_another_name(first):
    assert first.run(subject="hub", peer=PEER)["changed"] is False
    assert first.run(check=True, subject="hub", peer={**PEER, "hostname": "renamed.example.test"})["changed"] is True
    # Put in before edges said whose they are.
    path = f"{first.directory}/edge.json"
    with open(path, encoding="utf-8") as file:
        described = json.load(file)
    del described["subject"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(described, file)
    with pytest.raises(FleetError) as failure:
        first.run(subject="notes", peer={**PEER, "hostname": "notes.example.test"})
    assert failure.value.code == "not_owner"
    assert first.run(subject="hub", peer=PEER)["changed"] is True


def test_the_last_edge_takes_the_shared_command_along(short_home, make_pair):
    home = short_home / "shared"
    home.mkdir()
    pairs = [make_pair(home / name, 80) for name in ("a", "b")]
    command = str(home / "bowline-edge.pyz")
    for number, pair in enumerate(pairs):
        pair.directory = str(home / f"edge-{number}")
        pair.run(subject=str(number), command=command)
    pairs[0].run(state="absent", command=command)
    assert os.path.exists(command) and not os.path.exists(pairs[0].directory)
    pairs[1].run(state="absent", command=command)
    assert sorted(os.listdir(home)) == ["a", "b"]
