# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A registered cluster: what it is called after each probe, and what the store keeps of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.cluster import run as cluster_run
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.cluster.argspec import CLUSTER
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.cluster.breaker import Standing, due, probed
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.store import Cluster, ClusterStore

NOW = 1_000.0


def after(answers: str, standing: Standing = Standing()) -> Standing:
    """``answers`` has a plus for each probe that succeeds, a minus for each that does not."""
    for answer in answers:
        standing = probed(standing, answer == "+", NOW)
    return standing


@pytest.mark.parametrize(("answers", "status", "pause"), [
    pytest.param("", "pending", None, id="registered"),
    pytest.param("-", "pending", None, id="never seen yet"),
    pytest.param("+", "connected", None, id="seen"),
    pytest.param("+-", "disconnected", None, id="one failure"),
    pytest.param("+----", "disconnected", None, id="four"),
    pytest.param("+----+", "connected", None, id="back"),
    pytest.param("+-----", "error", 30, id="five open the circuit"),
    pytest.param("-----", "error", 30, id="never seen, five times"),
    pytest.param("+------", "error", 60, id="each further one doubles the pause"),
    pytest.param("+-------", "error", 120, id="and again"),
    pytest.param("+" + "-" * 60, "error", 3600, id="an hour at most"),
    pytest.param("+-----+", "error", None, id="one good probe is not enough"),
    pytest.param("+-----++", "connected", None, id="two are"),
    pytest.param("+-----+-", "error", 30, id="one good, one bad"),
])  # fmt: skip
def test_a_status_follows_from_the_probes(answers, status, pause):
    seen = after(answers)
    assert (seen.status, seen.next_probe_at and seen.next_probe_at - NOW) == (status, pause)


@pytest.mark.parametrize(("standing", "synced", "wanted"), [
    (Standing(), None, True),
    (Standing("connected"), NOW - 299, False),
    (Standing("connected"), NOW - 300, True),
    (Standing("disconnected", 2), NOW, True),
    (Standing("error", 5, next_probe_at=NOW + 1), None, False),
    (Standing("error", 5, next_probe_at=NOW), NOW, True),
    (Standing("error", 0, 1), NOW, True),
])  # fmt: skip
def test_when_a_probe_is_due(standing, synced, wanted):
    assert due(standing, synced, 300, NOW) is wanted


@pytest.fixture
def store(tmp_path):
    database = open_for_writing(tmp_path / "store.db")
    yield ClusterStore(database)
    database.close()


def test_a_cluster_is_kept_with_its_inventory(store):
    made = Cluster("shop", "c1", {"docker_host": ["tcp://192.0.2.1:2376"], "ca_path": "/etc/ca.pem"}, NOW, after("+-"), NOW, {"verdict": "healthy"},
                   {"nodes": [{"id": "n1"}], "services": []})  # fmt: skip
    store.put(made)
    assert store.get("shop") == made
    store.put(replace(made, inventory={"nodes": []}))
    assert store.get("shop").inventory == {"nodes": []}
    assert [one.name for one in store.all()] == ["shop"]
    store.remove("shop")
    assert (store.get("shop"), store.all()) == (None, [])


def test_one_cluster_has_one_name(store):
    store.put(Cluster("shop", "c1", {}, NOW))
    with pytest.raises(FleetError) as failure:
        store.put(Cluster("other", "c1", {}, NOW))
    assert failure.value.code == "cluster_mismatch" and "registered as shop" in failure.value.message
    assert store.get("other") is None


def test_no_secret_is_kept(store):
    store.put(Cluster("shop", "c1", {}, NOW, inventory={"services": [{"env": ["DB_PASSWORD=hunter2hunter2"]}]}))
    assert "hunter2" not in str(store.get("shop"))


# --- two runs at once


@pytest.fixture
def twice(store, tmp_path, monkeypatch):
    """A sync of a registered cluster, during which another run comes first: ``twice(meanwhile, answers=True)`` is its result."""
    row = Cluster("shop", "c1", {"docker_host": ["tcp://192.0.2.1:2376"], "sync_interval": 300}, NOW, Standing("connected"), NOW)
    store.put(row)
    database = open_for_writing(tmp_path / "store.db")

    def call(meanwhile, answers=True):
        def inventory(given, seen, moment):
            meanwhile(ClusterStore(database), seen)
            if not answers:
                raise FleetError("endpoint_unreachable", "Nobody answers.", "Start it.")
            return {**dict.fromkeys(("nodes", "services", "stacks", "events"), []), "nodes": [{"id": "n1"}]}, {"verdict": "healthy"}, False

        monkeypatch.setattr(cluster_run, "_inventory", inventory)
        given = {**{name: option.get("default") for name, option in CLUSTER.items()}, "name": "shop", "state": "synced"}
        return cluster_run.run(given, store, False, lambda: NOW + 400)

    yield call
    database.close()


NEWER = {"synced_at": NOW + 399, "inventory": {"nodes": [{"id": "newer"}]}, "standing": Standing("connected", good=7)}
MEANWHILE = {
    "another sync": (lambda store, row: store.put(replace(row, **NEWER)), lambda row: (row.synced_at, row.inventory) == (NOW + 399, NEWER["inventory"])),
    "another registration": (lambda store, row: store.put(replace(row, options={**row.options, "sync_interval": 60})),
                             lambda row: (row.options["sync_interval"], row.synced_at) == (60, NOW)),
    "forgotten": (lambda store, row: store.remove("shop"), lambda row: row is None),
}  # fmt: skip


@pytest.mark.parametrize("answers", [True, False], ids=["it answers", "it is silent"])
@pytest.mark.parametrize("kind", MEANWHILE)
def test_a_sync_that_was_overtaken_writes_over_nothing(store, twice, kind, answers):
    """No lease is needed: a sync only reads the cluster, and its row is written only while it is the one that was read."""
    meanwhile, stands = MEANWHILE[kind]
    if answers:
        assert twice(meanwhile)["changed"] is False
    else:
        with pytest.raises(FleetError) as failure:
            twice(meanwhile, answers=False)
        now = "no longer registered" if kind == "forgotten" else "connected"
        assert failure.value.code == "endpoint_unreachable" and f"shop is {now} now" in failure.value.message
    assert stands(store.get("shop"))


def test_a_sync_that_nobody_overtakes_is_written(store, twice):
    assert twice(lambda _store, _row: None)["changed"] is True
    assert (store.get("shop").synced_at, store.get("shop").inventory["nodes"]) == (NOW + 400, [{"id": "n1"}])
