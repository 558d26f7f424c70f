# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_instance_info on a store: what machines told becomes events, events and runs become reasons, and what a provider says is never made up."""

from __future__ import annotations

import os
from dataclasses import asdict, replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import INFO
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.info import Way, info
from ansible_collections.bowline.fleet.plugins.module_utils._node.lease import Leases
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import Identity, Observed
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Heartbeat, Instance
from ansible_collections.bowline.fleet.plugins.module_utils._node.noticed import AN_HOUR
from ansible_collections.bowline.fleet.plugins.module_utils._node.run import run_node, run_template
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._store import process
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

TEMPLATE = {"name": "edge", "state": "present", "platform": "", "architecture": "amd64", "image_family": "", "modules": [], "hooks": [], "defaults": {},
            "volumes": [], "reason": None}  # fmt: skip
NODE = {"state": "present", "template": "edge", "platform": "", "architecture": "", "lifecycle_class": "persistent", "labels": {}, "modules": [], "hooks": [],
        "guards": [], "quorum_group": "", "reason": None}  # fmt: skip


class Fleet:
    """Nodes a to e, each with a machine of libvirt on hv-1 that runs; declared by the very runs that leave a journal."""

    def __init__(self, path):
        self.now = 1_000_000.0
        database = open_for_writing(path)
        self.store, self.beats = NodeStore(database, self.clock), Beats(database, self.clock)
        owner = process.owner_of(os.getpid(), "ann")
        self.leases = Leases(database, StateStore(database, owner, clock=self.clock), owner)
        self.sequence = 0
        self.template()
        for name in "abcde":
            self.node(name)
            with self.leases.held(subject_of(name), "node_instance", {"state": "running"}) as held:
                made = self.store.reserve(held, Instance(f"i-{name}", name, "local_qemu", 0, 0.0, {"placed": {"host": "hv-1"}}))
                self.store.save(held, replace(made, provider_id=f"qemu:///{name}", power="on", powered_at=self.now, machine_created_at=9.0))
            self.says(name)
        self.beats.listens("r", self.now - 600)

    def clock(self):
        return self.now

    def template(self, **changed):
        run_template({**TEMPLATE, **changed}, self.store, self.leases)

    def node(self, name, **changed):
        run_node({**NODE, "name": name, **changed}, self.store, self.leases)

    def says(self, name, digest="sha256:1", failed=(), boot="b1", listens=True):
        self.sequence += 1
        units = {"hub-web.service": "failed" if failed else "active"}
        document = {"modules": {"web": {"stack": "hub", "digest": digest, "units": units}}}
        self.beats.heard(Heartbeat(f"i-{name}", 0.0, boot, self.sequence, True, True, not failed, tuple(failed), document=document))
        if listens:
            self.beats.listens("r", 999_000.0)

    def info(self, way=None, **given):
        params = {name: option.get("default") for name, option in INFO.items()}
        return info({**params, "gather": [], **given}, self.store, self.beats, way)

    def types(self, name):
        return [event.type for event in self.store.events(name) if event.actor == "machine"]


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path / "store.db")
    yield made
    made.store.database.close()


# --- what machines told ---------------------------------------------------------------------------------------------------------------


def test_what_is_new_becomes_an_event(fleet):
    assert fleet.types("a") == [], "the first word tells nothing new"
    for _turn in range(3):
        fleet.says("a")
    assert fleet.types("a") == []
    fleet.says("a", "sha256:2")
    fleet.says("a", "sha256:2", ["hub-web.service"])
    fleet.says("a", "sha256:2", ["hub-web.service"])
    fleet.says("a", "sha256:2", ["hub-web.service", "b.service"], boot="b2")
    events = [event for event in reversed(fleet.store.events("a")) if event.actor == "machine"]
    assert [(event.type, event.before, event.after, event.severity) for event in events] == [
        ("module_changed", "web sha256:1", "web sha256:2", "info"), ("units_failed", "", "hub-web.service", "medium"), ("booted", "b1", "b2", "info"),
        ("units_failed", "", "b.service", "medium")]  # fmt: skip


def test_a_machine_that_says_something_else_each_time_fills_no_record(fleet):
    for number in range(3 * AN_HOUR):
        fleet.says("a", f"sha256:{number}")
    assert len(fleet.types("a")) == AN_HOUR
    fleet.says("b", "sha256:2")
    assert fleet.types("b") == ["module_changed"], "that of another node is its own"
    fleet.now += 3601
    fleet.says("a", "sha256:last")
    assert len(fleet.types("a")) == AN_HOUR + 1


def test_a_secret_in_what_it_says_is_no_change(fleet):
    for _turn in range(2):
        fleet.says("a", "token=abcdefghijklmnop123456")
    assert len(fleet.types("a")) == 1 and "abcdefghijklmnop" not in str(fleet.store.events("a"))


# --- why it fails -----------------------------------------------------------------------------------------------------------------


def why(fleet, name):
    return fleet.info(name=name, gather=["attribution"])["instances"][0]["attribution"]


def test_the_module_that_changed(fleet):
    fleet.now += 7200
    fleet.node("a", labels={"rack": "7"})
    fleet.template(defaults={"cpus": 2})
    fleet.now += 600
    fleet.says("a", "sha256:2")
    fleet.now += 60
    fleet.says("a", "sha256:2", ["hub-web.service"])
    for name in "bcde":
        fleet.says(name)
    assert {one["name"]: one["health"] for one in fleet.info()["instances"]} == {"a": "degraded", "b": "ok", "c": "ok", "d": "ok", "e": "ok"}
    found = why(fleet, "a")
    assert found["top_candidate"] == "module web changed from web sha256:1 to web sha256:2" and found["confidence"] == "high"
    said = {one["what"]: one for one in found["candidates"]}
    assert said["ann changed labels of node/a"]["kind"] == "policy"
    assert "4 other machines had it and are well" in said["ann changed defaults of template/edge"]["why"]
    assert why(fleet, "b") is None, "one that is well has no reason to fail"


def test_what_all_that_fail_have_in_common(fleet):
    fleet.now += 3600
    fleet.node("a", labels={"rack": "7"})
    fleet.template(defaults={"cpus": 2})
    for name in "abcde":
        fleet.says(name, failed=["other.service"])
    found = why(fleet, "a")
    assert found["top_candidate"] == "ann changed defaults of template/edge"
    assert "4 other machines had it and fail" in found["candidates"][0]["why"]


def test_how_far_back(fleet):
    fleet.now += 1800
    fleet.node("a", hooks=["docker"])
    fleet.now += 2 * 3600
    for name in "abcde":
        fleet.says(name, failed=["x.service"] if name == "a" else [])
    assert fleet.info(name="a", gather=["attribution"], lookback_hours=1)["instances"][0]["attribution"]["confidence"] == "insufficient"
    assert fleet.info(name="a", gather=["attribution"], lookback_hours=3)["instances"][0]["attribution"]["top_candidate"] == "ann changed hooks of node/a"


def test_events_that_are_cut_off_are_told(fleet):
    fleet.says("a", boot="b2")
    assert fleet.info(name="a", gather=["events"], limit=1)["instances"][0]["events_truncated"] is True
    assert fleet.info(name="a", gather=["events"])["instances"][0]["events_truncated"] is False
    assert fleet.info(limit=2)["truncated"] is True and fleet.info(limit=2)["total"] == 5


def test_certificates(fleet):
    with fleet.store.database.transaction() as transaction:
        transaction.execute("INSERT INTO node_certificate (serial, instance, key, not_before, not_after, reason) VALUES ('7', 'i-a', 'k', ?, ?, '')",
                            (fleet.now, fleet.now + 86400))  # fmt: skip
    fleet.beats.heard(Heartbeat("i-a", 0.0, "b1", 99, True, True, True, certificate_not_after=fleet.now + 43200))
    found = fleet.info(name="a", gather=["certificates"])["instances"][0]["certificates"]
    assert [(one["serial"], one["days_left"], one["revoked_at"]) for one in found] == [(None, 0.5, None), ("7", 1.0, None)]


# --- what the provider says -------------------------------------------------------------------------------------------------------


def machine(fleet, name, power="on", id_=None, created=9.0):
    tag = Identity(fleet.store.fleet(), id_ or f"i-{name}", name, name, "v1:a")
    return asdict(Observed(f"qemu:///{name}", power, tag, ("10.0.0.7",), "lease", created))


class Host:
    """A hypervisor that answers with ``machines``, or with ``answer``."""

    def __init__(self, machines=(), answer=None):
        self.asked, self.answer = [], answer or {"machines": list(machines), "mode": "real"}

    def way(self, host="hv-1"):
        def call(name, given):
            self.asked.append((name, dict(given)))
            return self.answer

        return Way(call, host)


def test_the_store_alone_asks_nobody(fleet):
    host = Host()
    assert fleet.info(host.way())["total"] == 5 and host.asked == []


def test_both(fleet):
    host = Host([machine(fleet, "a"), machine(fleet, "b", "off"), machine(fleet, "c", created=8.0), machine(fleet, "x", id_="i-x")])
    found = fleet.info(host.way(), source="both", mode="real", gather=["conditions"])
    assert host.asked == [("node_machine_info", {"kind": "local_qemu", "fleet": fleet.store.fleet(), "mode": "real"})], "one call for all of them"
    said = {one["name"]: one for one in found["instances"]}
    assert [said[name]["machine_seen"] for name in "abcde"] == ["observed", "observed", "observed", "not_found", "not_found"]
    assert (said["a"]["phase"], said["b"]["phase"], said["b"]["machine"]["power"]) == ("running", "stopped", "off")
    assert said["a"]["conditions"]["address_assigned"]["status"] == "true" and said["a"]["instance"]["addresses"] == ["10.0.0.7"]
    assert said["c"]["conditions"]["infrastructure_ready"]["reason"] == "identity_mismatch", "its id was given to another one"
    assert [one["identity"]["instance_id"] for one in found["orphans"]] == ["i-x"]
    assert fleet.store.live("b").power == "on", "reading writes nothing"


def test_the_provider_alone(fleet):
    found = fleet.info(Host([machine(fleet, "a")]).way(), source="provider")
    assert [one["name"] for one in found["instances"]] == ["a"] and found["total"] == 1


def test_an_empty_answer_is_one_and_no_answer_is_none(fleet):
    assert fleet.info(Host().way(), source="provider")["instances"] == []
    for answer in ({"unreachable": True, "msg": "hv-1 is away"}, {"failed": True, "msg": "killed"}, {"machines": [{"power": "on"}]},
                   {"failed": True, "failure": {"code": "libvirt_error", "message": "refused"}}):  # fmt: skip
        with pytest.raises(FleetError) as failure:
            fleet.info(Host(answer=answer).way(), source="both")
        assert failure.value.code == "provider_unavailable"


def test_who_stands_elsewhere_is_not_asked_for(fleet):
    with pytest.raises(FleetError, match="5 at hv-1") as failure:
        fleet.info(Host().way("hv-2"), source="both")
    assert failure.value.code == "provider_unavailable" and "delegate_to: hv-1" in failure.value.remedy
    with fleet.leases.held(subject_of("e"), "node_instance", {"state": "running"}) as held:
        fleet.store.save(held, replace(fleet.store.live("e"), spec={"placed": {"host": "hv-2"}}))
    found = fleet.info(Host([machine(fleet, "a")]).way(), source="both")
    assert found["not_asked"] == {"hv-2": 1} and found["instances"][4]["machine_seen"] == "not_asked" and len(found["warnings"]) == 1
    with pytest.raises(FleetError, match="1 at hv-2"):
        fleet.info(Host().way(), source="both", name="e")


def test_one_node_is_asked_for_among_all(fleet):
    """A machine of another node is no orphan because somebody asked for one."""
    found = fleet.info(Host([machine(fleet, name) for name in "ab"]).way(), source="both", name="a")
    assert [one["name"] for one in found["instances"]] == ["a"] and found["orphans"] == []


# --- do I need more nodes? --------------------------------------------------------------------------------------------------------


def asked(fleet):
    found = [one["capacity"] for one in fleet.info(gather=["capacity"])["instances"]]
    assert all(one == found[0] for one in found), "one answer for all of a template"
    return found[0]["recommendation"], found[0]["reasons"], found[0]


def test_capacity(fleet):
    assert asked(fleet)[:2] == ("none", ["5 of 5 are ready"])
    fleet.node("f")
    assert asked(fleet)[:2] == ("scale_up", ["1 of 6 are declared and have no machine: f"])
    with fleet.leases.held(subject_of("a"), "node_instance", {"state": "cordoned"}) as held:
        fleet.store.save(held, replace(fleet.store.live("a"), cordoned_by="operator"))
    found = asked(fleet)[2]
    assert (found["ready"], found["cordoned"], found["missing"], found["load"]) == (["b", "c", "d", "e"], ["a"], ["f"], None)
    fleet.now += 400
    for name in "bcde":
        fleet.says(name)
    assert asked(fleet)[:2] == ("investigate_silent", ["1 of 6 are silent: a"]), "more of them may fall silent as well"


def test_capacity_by_load(fleet):
    for name in "abcde":
        with fleet.leases.held(subject_of(name), "node_instance", {"state": "running"}) as held:
            fleet.store.save(held, replace(fleet.store.live(name), spec={"vcpus": 2}))
        fleet.sequence += 1
        fleet.beats.heard(Heartbeat(f"i-{name}", 0.0, "b1", fleet.sequence, True, True, True, document={"load": [1.8 if name != "e" else 1.0, 0, 0]}))
    assert asked(fleet)[:2] == ("scale_up", ["those that are ready use 82% of their processors"])


def test_capacity_of_what_does_not_come_on(fleet):
    fleet.node("f")
    with fleet.leases.held(subject_of("f"), "node_instance", {"state": "running"}) as held:
        made = fleet.store.reserve(held, Instance("i-f", "f", "local_qemu", 0, 0.0))
        fleet.store.save(held, replace(made, provider_id="qemu:///f", power="on", powered_at=fleet.now))
    assert asked(fleet)[2]["coming"] == ["f"] and asked(fleet)[0] == "none"
    fleet.now += 901
    for name in "abcde":
        fleet.says(name)
    assert asked(fleet)[:2] == ("remediate_stalled", ["1 of 6 do not come on: f"])
