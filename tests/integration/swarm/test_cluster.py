# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swarm_cluster and swarm_cluster_info on three real managers and a real store."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.store import ClusterStore

sys.path.insert(0, str(Path(__file__).parent))

from swarm_hands import Registered  # noqa: E402


@pytest.fixture
def shop(swarm_lab, tmp_path):
    return Registered(swarm_lab, tmp_path / "state" / "store.db")


def test_registered_synced_read_and_forgotten(shop, swarm_lab):
    names = [one["name"] for one in swarm_lab.managers]
    failure = shop.refused("cluster_mismatch", **shop.connection)
    assert swarm_lab.description["cluster_id"] in failure.remedy
    wanted = {**shop.connection, "adopt": True, "expected": {"managers": names}}
    foreseen = shop.run(check=True, **wanted)
    assert (foreseen["changed"], shop.run(check=True, state="absent")["changed"]) == (True, False)
    done = shop.run(**wanted)
    assert (done["plan"], done["diff"]) == (foreseen["plan"], foreseen["diff"])
    assert (done["cluster"]["cluster_id"], done["cluster"]["status"]) == (swarm_lab.description["cluster_id"], "connected")
    assert (done["health"]["managers"], done["health"]["margin"]) == (3, 1)
    assert shop.run(**wanted)["changed"] is False
    # What is left out stays as it was registered.
    assert shop.run(expected={"managers": names})["changed"] is False
    first = shop.run(state="synced")
    assert {step["action"] for step in first["plan"]} == {"sync"} and first["events_gap"] is False
    assert shop.run(state="synced")["changed"] is False
    seen = shop.info(name="shop", gather=["health", "nodes", "networks", "secrets", "events"])
    assert sorted(node["hostname"] for node in seen["nodes"]) == sorted(names)
    assert "ingress" in [network["name"] for network in seen["networks"]]
    assert {event["type"] for event in seen["events"]} <= {"node", "service", "network", "secret", "config"}
    assert shop.run(state="absent")["changed"] is True
    assert shop.run(state="absent")["changed"] is False


def test_a_member_that_is_not_there_is_named(shop):
    failure = shop.refused("member_missing", **shop.connection, adopt=True, expected={"managers": ["nobody"], "workers": ["nowhere"]}, wait_timeout=1)
    assert failure.details["missing"] == ["nobody is no member.", "nowhere is no member."]
    failure = shop.refused("unknown_key", **shop.connection, adopt=True, expected={"manager": ["x"]})
    assert "managers" in failure.message


def test_another_cluster_than_the_one_that_is_meant_is_refused(shop):
    shop.refused("cluster_mismatch", **shop.connection, cluster_id="somebodyelses")
    assert shop.run(state="absent")["changed"] is False


def test_an_engine_that_is_silent_opens_the_circuit_and_keeps_the_inventory(shop):
    """Five failures in a row; then it is not asked before the pause is over, and two good probes close the circuit."""
    shop.now = 1_000_000.0
    shop.run(**shop.connection, adopt=True)
    assert shop.run(state="synced")["changed"]
    database = open_for_writing(shop.path)
    good, store = ClusterStore(database).get("shop"), ClusterStore(database)
    # A port that nobody listens on; the registration itself would be refused with it.
    store.put(replace(good, options={**good.options, "docker_host": ["tcp://127.0.0.1:9"]}))
    database.close()
    for status in ("disconnected", "disconnected", "disconnected", "disconnected", "error"):
        shop.now += 400
        assert shop.refused("endpoint_unreachable", state="synced").details["cluster"]["status"] == status
    asleep = shop.run(state="synced")
    assert (asleep["changed"], asleep["cluster"]["status"], asleep["cluster"]["next_probe_at"]) == (False, "error", shop.now + 30)
    database = open_for_writing(shop.path)
    assert ClusterStore(database).get("shop").inventory["nodes"] == good.inventory["nodes"] != []
    ClusterStore(database).put(replace(ClusterStore(database).get("shop"), options=good.options))
    database.close()
    shop.now += 31
    assert shop.run(state="synced")["cluster"]["status"] == "error"
    shop.now += 1
    assert shop.run(state="synced")["cluster"]["status"] == "connected"


def test_nobody_there_is_a_verdict_until_a_list_is_asked_for(shop):
    silent = {**shop.connection, "docker_host": ["tcp://127.0.0.1:9"]}
    assert shop.info(**silent)["health"]["verdict"] == "unreachable"
    with pytest.raises(FleetError) as failure:
        shop.info(**silent, gather=["nodes"])
    assert failure.value.code == "endpoint_unreachable"


def test_what_the_store_keeps_holds_no_key(shop):
    shop.run(**shop.connection, adopt=True)
    shop.run(state="synced")
    with open(shop.connection["client_key"], encoding="ascii") as file:
        line = file.read().splitlines()[1]
    kept = b"".join(path.read_bytes() for path in shop.path.parent.iterdir())
    assert line.encode() not in kept and b"SWMTKN" not in kept
    assert "SWMTKN" not in json.dumps(shop.info(name="shop", gather=["nodes"]), default=str)
