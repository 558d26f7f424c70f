# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The word of a stranger: what is read of a status, what is refused, and how silence is told by who listens."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from dataclasses import replace

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bowline.fleet.plugins.filter.node import node_status, node_statuses
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.agent import document
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.info import info
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Instance, Node, NodeEvent, Template
from ansible_collections.bowline.fleet.plugins.module_utils._node.status import LARGEST, read
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import Held, NodeStore, note, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._node.sweep import sweep
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import SqliteDatabase, open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

WEB = {"Stack": "hub", "Module": "web", "Digest": "sha256:1"}


def told(elapsed=1.0, instance="i-1", boot="b-1", **changed):
    host = document.Host(boot, elapsed, 1_000_000.0, "sha256:a", {"instance": instance, "node": "edge-1"}, True, 2e9, {"hub-web.service": WEB},
                         {"hub-web.service": document.Unit("hub-web.service", "active", True)}, [])  # fmt: skip
    return {**document.document(host), **changed}


def text(**changed):
    return json.dumps(told(**changed))


def test_what_the_agent_writes_is_read():
    said = read(document.as_bytes(told()).decode())
    assert dict(said.document) == told() and said.age is None
    beat = said.heartbeat(["web"])
    assert (beat.instance, beat.boot_id, beat.sequence, beat.runtimes, beat.certificate_not_after) == ("i-1", "b-1", 1000, ("native",), 2e9)
    assert beat.good() and not said.heartbeat(["web", "worker"]).modules_active, "a module that is wanted is there"
    full = read(text(full_disks=["/"], failed_units=["a.service"], unmet_conditions=["services_ready"])).heartbeat()
    assert full.failed_units == ("a.service", "/ is full") and full.enrolled and not full.services_ready


@pytest.mark.parametrize(("line", "age"), [
    ("3.50 9.99\n", 2.5), ("0.90 9.99\n", 0.0), ("0.00 9.99\n", None), ("", None)], ids=["behind", "by a breath", "another clock", "not read"])  # fmt: skip
def test_how_old_it_is(line, age):
    assert read(line + text()).age == age


@pytest.mark.parametrize(("given", "why"), [
    pytest.param("", "empty or missing", id="nothing"),
    pytest.param("1.00 2.00\n", "empty or missing", id="no file"),
    pytest.param("[1]", "no dictionary", id="a list"),
    pytest.param('{"version": 1', "no JSON", id="half"),
    pytest.param("[" * 60_000, "no JSON", id="deep"),
    pytest.param(json.dumps({"x": "y" * LARGEST}), "longer than", id="long"),
    pytest.param(text(version=2), "version is 2", id="version"),
    pytest.param(text(version={"a": 1}), "version is", id="version of another kind"),
    pytest.param(text(seq=True), "seq is of another kind", id="truth for a number"),
    pytest.param(text(seq=1.5), "seq is of another kind", id="half a number"),
    pytest.param(text(seq=-1), "seq is of another kind", id="negative"),
    pytest.param(text(seq=10**400), "seq is of another kind", id="huge"),
    pytest.param(text(sent_at=10**400), "sent_at is of another kind", id="huge moment"),
    pytest.param(text(sent_at=float("nan")), "NaN is no number", id="nan"),
    pytest.param(text(load=[float("inf")]), "Infinity is no number", id="infinite"),
    pytest.param(text(boot_id=""), "boot_id is empty", id="no boot"),
    pytest.param(text(boot_id=None), "boot_id is of another kind", id="null"),
    pytest.param(text(modules={"web": []}), "modules is of another kind", id="module"),
    pytest.param(text(modules={"web": {"stack": "", "digest": "", "units": {"a": 1}}}), "modules is of another kind", id="unit"),
    pytest.param(text(failed_units="a"), "failed_units is of another kind", id="text for a list"),
    pytest.param(text(unmet_conditions=["drained"]), "unmet_conditions takes", id="condition"),
    pytest.param(text(memory={"total": "much"}), "memory is of another kind", id="memory"),
    pytest.param(text(certificate_not_after="soon"), "certificate_not_after is of another kind", id="moment"),
])  # fmt: skip
def test_what_is_refused(given, why):
    with pytest.raises(FleetError, match=why) as failure:
        read(given)
    assert failure.value.code == "status_unreadable"


def test_what_is_cut():
    names = [f"{number}.service" for number in range(900)]
    said = read(text(more={"x": 1}, failed_units=names, agent="a\nb\x1b[2J", modules={"m" * 999: {"stack": "s", "digest": "d", "units": {}, "x": 1}}))
    assert "more" not in said.document and len(said.document["failed_units"]) == 200
    assert said.document["agent"] == "a b\\x1b[2J"
    assert said.document["modules"] == {"m" * 200: {"stack": "s", "digest": "d", "units": {}}}


# --- sweeps -----------------------------------------------------------------------------------------------------------------------


class Fleet:
    """Nodes with a machine each, that are on and were reached once, and one clock."""

    def __init__(self, *names):
        self.now = 1_000_000.0
        self.connection = sqlite3.connect(":memory:")
        database = SqliteDatabase(self.connection, "memory")
        database.migrate()
        self.store, self.beats = NodeStore(database, lambda: self.now), Beats(database, lambda: self.now)
        state = StateStore(database, Owner("ann", "ann", "host", 7, "m", "b", "n", "ann"), lambda _other, _me: "unknown", lambda: self.now)
        subjects = ["template/edge", *map(subject_of, [*names, "empty"])]
        numbers = state.open("node", subjects, [], lease_ttl=9e9)["lease_numbers"]
        self.held = {subject: Held(subject, numbers[subject]) for subject in subjects}
        self.store.put_template(self.held["template/edge"], Template("edge", modules=({"name": "web", "ref": "r@sha256:1"},)))
        for name in (*names, "empty"):
            self.store.put_node(self.held[subject_of(name)], Node(name, "edge"))
        for name in names:
            machine = Instance(f"i-{name}", name, "static", 0, 0.0, provider_id=f"static:{name}", power="on", powered_at=9.0)
            self.store.reserve(self.held[subject_of(name)], machine)

    def sweep(self, *statuses, interval=60.0, receiver="sweep"):
        return sweep({"statuses": [{"reached": True, "text": "", "message": "", **one} for one in statuses], "receiver": receiver, "interval": interval},
                     self.store, self.beats)  # fmt: skip

    def says(self, name, **changed):
        return {"node": name, "text": json.dumps(told(elapsed=self.now, instance=f"i-{name}", **changed))}

    def out(self, name):
        return {"node": name, "reached": False, "message": "no route\x1b"}


def outcomes(swept):
    return {one["name"]: one["outcome"] for one in swept["nodes"]}


def test_every_outcome_at_once():
    fleet = Fleet("a", "b", "c", "d", "e", "f")
    stale = {"node": "b", "text": f"{fleet.now + 91:.2f} 1.00\n" + fleet.says("b")["text"]}
    stranger = {"node": "c", "text": fleet.says("a")["text"]}
    swept = fleet.sweep(fleet.says("a"), stale, stranger, fleet.out("d"), {"node": "e", "text": "{"}, {"node": "empty"}, {"node": "nobody"},
                        {"node": "f", "text": text(instance="")})  # fmt: skip
    assert outcomes(swept) == {"a": "heard", "b": "stale", "c": "stranger", "d": "unreached", "e": "unreadable", "f": "stranger", "empty": "no_machine",
                               "nobody": "unknown_node"}  # fmt: skip
    said = {one["name"]: one for one in swept["nodes"]}
    assert said["d"]["message"] == "no route\\x1b" and "91 s old" in said["b"]["message"] and "has not enrolled" in said["f"]["message"]
    assert (said["a"]["phase"], said["a"]["health"], swept["heard"], swept["changed"], swept["listened"]) == ("running", "ok", 1, False, True)
    assert fleet.beats.last("i-a").received_at == fleet.now and all(fleet.beats.last(f"i-{name}") is None for name in "bcdef")
    assert [receiver.id for receiver in fleet.beats.receivers()] == ["sweep"]


def test_late_silent_lost_and_back():
    fleet = Fleet("a", "b")
    found = []
    for second in range(0, 1201, 60):
        fleet.now = 1_000_000.0 + second
        found.append(fleet.sweep(fleet.says("b"), fleet.says("a") if second == 0 else fleet.out("a"))["nodes"][1])
    health = [one["health"] for one in found]
    assert [health.index(word) * 60 for word in ("ok", "late", "silent", "lost")] == [0, 120, 300, 900]
    fleet.now += 60
    assert fleet.sweep(fleet.says("a"), fleet.out("b"))["nodes"][0]["health"] == "ok"


def test_a_word_that_is_repeated_is_no_word():
    """The agent is dead, its last document lies there and is read again and again."""
    fleet = Fleet("a")
    last = fleet.says("a")
    for _turn in range(7):
        fleet.now += 60
        swept = fleet.sweep(last)
    assert swept["nodes"][0]["health"] == "silent" and swept["nodes"][0]["silent_for"] == 360.0


def test_time_in_which_nobody_listened_is_not_counted():
    fleet = Fleet("a", "b")
    fleet.sweep(fleet.says("a"), fleet.says("b"))
    fleet.now += 6000
    assert [one["health"] for one in fleet.sweep(fleet.out("a"), fleet.says("b"))["nodes"]] == ["ok", "ok"], "the sweep itself was down"
    fleet.now += 100
    assert fleet.sweep(fleet.out("a"), fleet.says("b"))["nodes"][0]["silent_for"] == 100.0
    for _turn in range(10):
        fleet.now += 60
        swept = fleet.sweep(fleet.out("a"), fleet.out("b"))
    assert not swept["listened"] and "observer_down" in swept["warnings"][0]
    assert [one["health"] for one in swept["nodes"]] == ["unknown", "unknown"], "a sweep that reaches nobody has heard nothing of anybody"


def test_rare_sweeps_have_wider_limits():
    fleet = Fleet("a", "b")
    found = []
    for _turn in range(8):
        found.append(fleet.sweep(fleet.says("a"), fleet.says("b") if not found else fleet.out("b"), interval=600.0)["nodes"][1])
        fleet.now += 600
    assert [one["health"] for one in found] == ["ok", "ok", "late", "silent", "silent", "silent", "silent", "silent"]


def test_between_two_sweeps_the_last_one_counts():
    """Health is computed when it is read, and that is seldom in the second of a sweep."""
    fleet = Fleet("a")
    seen = []
    for pause in (0, 299, 301, 1):
        if not seen:
            fleet.sweep(fleet.says("a"), interval=300.0)
        fleet.now += pause
        asked = {"name": "a", "source": "store", "filter": {}, "gather": [], "lookback_hours": 24, "limit": 50}
        seen.append(info(asked, fleet.store, fleet.beats)["instances"][0]["health"])
    assert seen == ["ok", "ok", "unknown", "unknown"], "the next one is overdue after two intervals"


def test_what_is_old_goes_with_the_first_sweep_of_an_hour():
    fleet = Fleet("a")
    fleet.now = 7200.0
    fleet.sweep(fleet.says("a"))
    with fleet.store.database.transaction() as transaction:
        for _turn in range(301):
            note(transaction, NodeEvent("a", 0, fleet.now, "seen"))
    for pause, left in ((60, 302), (3500, 302), (60, 300)):
        fleet.now += pause
        fleet.sweep(fleet.says("a"))
        assert len(fleet.store.events("a", 1000)) == left


def test_the_clock_of_a_machine_decides_nothing():
    fleet = Fleet("a", "b")
    swept = fleet.sweep(fleet.says("a", sent_at=fleet.now + 3600), fleet.says("b", sent_at=0))
    assert [(one["health"], one["ahead"]) for one in swept["nodes"]] == [("ok", 3600.0), ("ok", None)]


def test_all_or_nothing():
    """One heartbeat that cannot be kept keeps all from being kept: the sweep is one transaction."""
    fleet = Fleet("a")
    beat = read(fleet.says("a")["text"]).heartbeat()
    with pytest.raises(FleetError, match="FOREIGN KEY"):
        fleet.beats.swept("sweep", 120.0, [beat, replace(beat, instance="i-nobody")])
    assert fleet.beats.last("i-a") is None and fleet.beats.receivers() == ()


def test_a_thousand_machines_in_one_sweep(tmp_path):
    """33 heartbeats a second are a thousand machines; five times as many have to be kept, by a store on disk."""
    names = [f"n{number}" for number in range(1000)]
    fleet = Fleet(*names)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as disk:
        fleet.connection.backup(disk)
    (tmp_path / "store.db").chmod(0o600)
    database = open_for_writing(tmp_path / "store.db")
    fleet.store, fleet.beats = NodeStore(database, lambda: fleet.now), Beats(database, lambda: fleet.now)
    statuses = [fleet.says(name) for name in names]
    started = time.process_time()
    swept = fleet.sweep(*statuses)
    assert swept["heard"] == 1000 and 1000 / (time.process_time() - started) > 5 * 33
    database.close()


def test_hosts_become_documents():
    hosts = [{"inventory_hostname": "a", "r": {"stdout": "x", "rc": 0}}, {"inventory_hostname": "c"},
             {"inventory_hostname": "b", "node_name": "bee", "r": {"unreachable": True, "msg": "m"}},
             {"inventory_hostname": "d", "r": {"rc": 1, "stdout": "1.00 2.00"}}]  # fmt: skip
    assert node_statuses(hosts, "r") == [{"node": "a", "reached": True, "text": "x"}, {"node": "bee", "reached": False, "message": "m"},
                                         {"node": "d", "reached": True, "text": "1.00 2.00"}]  # fmt: skip


def test_a_status_as_node_instance_takes_it():
    given = node_status(text(), ["web"])
    assert given == {"boot_id": "b-1", "sequence": 1000, "enrolled": True, "modules_active": True, "services_ready": True, "certificate_not_after": 2e9,
                     "failed_units": [], "runtimes": ["native"]}  # fmt: skip
    assert not node_status(text(), ["worker"])["modules_active"]
    with pytest.raises(AnsibleFilterError, match="status_unreadable"):
        node_status("{")
