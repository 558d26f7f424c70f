# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes as hosts: who is one, in which groups, by which way; and that no word of a machine becomes anything but a value."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._node.drift import drift
from ansible_collections.bowline.fleet.plugins.module_utils._node.hosts import Wanted, chosen, groups, hosts, ssh_words, usable, wrong
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Node
from ansible_collections.bowline.fleet.plugins.module_utils._node.phase import phase
from ansible_collections.bowline.fleet.plugins.module_utils._node.reading import Read
from node_objects import ID, NOW, beat, facts, instance

KEY = "ssh-ed25519 " + "A" * 68
PIN = f"10.0.0.7,edge-1 {KEY} edge-1 {ID}\n"


def known(name="edge-1", node=None, **changed):
    given = facts(sighting=None, **changed)
    return Read(replace(node or Node(name, "edge"), name=name), given, phase(given))


def one(read=None, pins="", **wanted):
    found, warnings = hosts([read or known()], pins, Wanted(known_hosts="/f/home.known_hosts", **wanted))
    return found[0] if found else warnings


# --- who is a host ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changed", "wanted", "there"), [
    pytest.param({}, {}, True, id="a machine that runs"),
    pytest.param({"instance": None, "heartbeat": None}, {}, False, id="no machine"),
    pytest.param({"instance": None, "heartbeat": None}, {"phases": ("no_instance",)}, True, id="no machine, asked for"),
    pytest.param({}, {"phases": ("stopped",)}, False, id="another phase"),
    pytest.param({"heartbeat": beat(59)}, {"fresh_within": 60.0}, True, id="heard"),
    pytest.param({"heartbeat": beat(61)}, {"fresh_within": 60.0}, False, id="not heard"),
    pytest.param({"heartbeat": None}, {"fresh_within": 60.0}, False, id="never heard"),
])  # fmt: skip
def test_who_is_there(changed, wanted, there):
    assert bool(hosts([known(**changed)], "", Wanted(**wanted))[0]) is there


@pytest.mark.parametrize("name", ["localhost", "all", "ungrouped", "nodes", "cordoned", "drifted", "stalled"])
def test_a_name_that_means_something_else_is_no_host(name):
    assert "host_id: instance" in one(known(name))[0]
    assert one(known(name), host_id="instance").name == ID


@pytest.mark.parametrize("name", ["", "-oProxyCommand=x", "a b", "a[1:9]", "a,b", "A", "a.b", "ä", "a\nb", "127.0.0.1", "::1", "a" * 64])
def test_a_row_that_nobody_could_declare_is_no_host(name):
    assert "left out" in one(known(name))[0]


@pytest.mark.parametrize("id_", ["localhost", "all", "-o", "a b", "{{ x }}", "a/b", "", "::1"])
def test_the_id_that_a_machine_carries_is_a_strangers_word(id_):
    assert "left out" in one(known(instance=instance(id=id_)), host_id="instance")[0]


def test_what_is_wrong_with_the_options_comes_at_once():
    found = wrong(Wanted(phases=("runing",), preference=("ipv4", "10.0.0.0/99", "10.0.0.0/8", "nmae")))
    assert [finding.field for finding in found] == ["phases", "address_preference", "address_preference"]


# --- groups -----------------------------------------------------------------------------------------------------------------------


def test_groups():
    node = Node("edge-1", "edge-a", modules=({"name": "hub web", "ref": "r"}, {"name": "{{ x }}", "ref": "r"}))
    read = known(node=node, instance=instance(cordoned_by="operator", provider="role:a.b"), drifted=True)
    assert groups(read) == ("nodes", "phase_running", "health_ok", "provider_role_a_b", "template_edge_a", "module_hub_web", "module____x___", "cordoned",
                            "drifted")  # fmt: skip
    stuck = known(heartbeat=beat(services_ready=False), instance=instance(phase="bootstrapping", phase_since=NOW - 9999))
    assert {"phase_bootstrapping", "health_stalled", "stalled"} <= set(groups(stuck))
    assert groups(known(instance=None, heartbeat=None)) == ("nodes", "phase_no_instance", "health_unknown", "template_edge")
    assert "drifted" not in groups(known(drifted=None))


# --- the way to it ----------------------------------------------------------------------------------------------------------------

ADDRESSES = ("10.1.0.7", "192.0.2.7", "2001:4860::7", "fe80::7%ve-edge")


@pytest.mark.parametrize(("preference", "wanted"), [
    (("ipv4", "ipv6"), "10.1.0.7"), (("ipv6",), "2001:4860::7"), (("public",), "2001:4860::7"), (("private",), "10.1.0.7"),
    (("192.0.2.0/24", "ipv4"), "192.0.2.7"), (("10.9.0.0/16", "ipv4"), "10.1.0.7"), (("10.9.0.0/16",), ""), (("name",), ""),
    (("fe80::/10",), "fe80::7%ve-edge"),
])  # fmt: skip
def test_which_address(preference, wanted):
    assert one(known(instance=instance(addresses=ADDRESSES)), preference=preference).variables.get("ansible_host", "") == wanted


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "224.0.0.1", "fe80::7", "-oProxyCommand=id", "{{ x }}", "host",
                                     "10.0.0.7 -o x", "10.0.0.7\n", "fe80::7%a;b", ""])  # fmt: skip
def test_a_provider_cannot_lead_back_to_the_controller_or_into_a_command(address):
    assert usable([address]) == []
    assert "ansible_host" not in one(known(instance=instance(addresses=(address,)))).variables


def test_an_address_of_one_link_comes_last():
    assert usable(["fe80::7%ve", "10.0.0.7"]) == ["10.0.0.7", "fe80::7%ve"]


def test_where_it_enrolled_is_the_next_best():
    assert one(pins=PIN).variables["ansible_host"] == "10.0.0.7"
    assert one(known(instance=instance(addresses=("10.9.9.9",))), PIN).variables["ansible_host"] == "10.9.9.9"
    assert one(pins=f"db.example.org,edge-1 {KEY} edge-1 {ID}\n").variables["ansible_host"] == "db.example.org"
    assert one(pins=f"edge-1 {KEY} edge-1 {ID}\n").variables.get("ansible_host") is None, "its own name leads nowhere else"


def test_a_pinned_machine_is_held_to_its_key():
    found = one(pins=f"[127.0.0.1]:2222 {KEY} edge-1 {ID}\n").variables
    assert (found["ansible_host"], found["ansible_port"], found["ansible_ssh_host_key_checking"]) == ("127.0.0.1", 2222, True)
    words = shlex.split(found["ansible_ssh_common_args"])
    assert words[1::2] == ['UserKnownHostsFile="/f/home.known_hosts"', "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "UpdateHostKeys=no",
                           "CheckHostIP=no", "HostKeyAlias=[127.0.0.1]:2222"]  # fmt: skip
    assert found["bowline"]["host_key_pinned"] is True
    assert shlex.split(ssh_words("/a b/100%/x'y", "n"))[1] == "UserKnownHostsFile=\"/a b/100%%/x'y\""


@pytest.mark.parametrize("pins", ["", f"10.0.0.7 {KEY}\n", f"10.0.0.7,edge-1 {KEY} edge-1 other\n"], ids=["no file", "of somebody else", "of the last machine"])
def test_without_a_pin_ssh_asks_as_always(pins):
    found = one(known(instance=instance(addresses=("10.0.0.7",))), pins).variables
    assert found["ansible_host"] == "10.0.0.7" and not {"ansible_ssh_common_args", "ansible_ssh_host_key_checking"} & set(found)


def test_what_is_said_of_a_host():
    node = Node("edge-1", "edge", labels={"rack": "{{ 1 + 1 }}", "api_token": "canary-41f", "esc": "a\x1b[2J"}, modules=({"name": "web", "ref": "r"},))
    found = one(known(node=node, instance=instance(spec={"placed": {"host": "hv-1"}}), heartbeat=beat(failed_units=("web.service",)))).variables
    assert set(found) == {"node_name", "bowline"}, "labels are no variables"
    said = found["bowline"]
    assert said["labels"] == {"rack": "{{ 1 + 1 }}", "api_token": "********", "esc": "a\\x1b[2J"}
    assert (said["phase"], said["health"], said["modules"], said["failed_units"]) == ("running", "ok", ["web"], ["web.service"])
    assert said["instance"]["host"] == "hv-1"
    assert chosen([], ("ipv4",)) == ""


# --- drift ------------------------------------------------------------------------------------------------------------------------


def carries(**modules):
    return beat(document={"modules": {name: {"stack": "hub", "digest": digest, "units": {f"hub-{name}-{n}.service": state for n, state in enumerate(states)}}
                                      for name, (digest, *states) in modules.items()}})  # fmt: skip


def wants(**digests):
    return Node("edge-1", "edge", modules=tuple({"name": name, "ref": f"registry/{name}@{digest}" if digest else name} for name, digest in digests.items()))


@pytest.mark.parametrize(("node", "said", "wanted"), [
    pytest.param(wants(web="sha256:1"), carries(web=("sha256:1", "active")), (False, [], [], [], 0), id="as wanted"),
    pytest.param(wants(web="sha256:1", db="sha256:2"), carries(web=("sha256:1", "active")), (True, ["db"], [], [], 0), id="missing"),
    pytest.param(wants(web="sha256:1"), carries(web=("sha256:1", "active"), old=("sha256:9", "active")), (True, [], ["old"], [], 50), id="too many"),
    pytest.param(wants(web="sha256:1"), carries(web=("sha256:3", "active", "active"), db=("", "active")), (True, [], ["db"], ["web"], 100), id="another"),
    pytest.param(wants(web=""), carries(web=("sha256:3", "active")), (False, [], [], [], 0), id="any digest will do"),
    pytest.param(wants(), carries(web=("sha256:3", "active")), (False, [], [], [], 0), id="no module is wanted"),
    pytest.param(wants(web="sha256:1"), carries(), (True, ["web"], [], [], 0), id="it carries none"),
])  # fmt: skip
def test_drift(node, said, wanted):
    found = drift(node, said)
    assert (found["drift"], found["attach"], found["detach"], found["update"], found["disruption_pct"]) == wanted


def test_drift_in_full():
    found = drift(wants(web="sha256:1", db="sha256:2"), replace(carries(web=("sha256:3", "failed", "active"), old=("sha256:9", "inactive")),
                                                                failed_units=("/ is full",)))  # fmt: skip
    assert found == {"drift": True, "attach": ["db"], "detach": ["old"], "update": ["web"], "missing": {"db": "sha256:2"}, "extra": {"old": "sha256:9"},
                     "mismatched": {"web": {"want": "sha256:1", "have": "sha256:3"}}, "level": None, "disruption_pct": 100,
                     "observed_at": "1970-01-12T13:46:30.000Z",
                     "units": {"failed": ["/ is full", "hub-old-0.service", "hub-web-0.service"], "masked": None}}  # fmt: skip


@pytest.mark.parametrize("said", [None, beat(), beat(document={"modules": "x"})], ids=["never heard", "told by hand", "of another form"])
def test_nobody_knows(said):
    assert drift(wants(web="sha256:1"), said) is None
