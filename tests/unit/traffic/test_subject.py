# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an inventory leaves out is made from the subject: two stacks share nothing, and every name is one that the module takes."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import faults
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.model import EdgeSpec, Peer, Service, Warmup
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.subject import edge_of, port, slug

PEER = {"address": "192.0.2.20", "hostname": "hub.example.com"}
CONTAINER = {
    "host": "old", "container": {"image": "haproxy:2.6", "networks": []}, "peer": PEER,
    "services": [{"name": "app", "local": "backend:3000", "clients": ["172.18.0.0/16"]}, {"name": "web", "local": "web:80", "clients": ["172.18.0.0/16"]}],
    "proxy": {"config": "/x", "upstreams": [{"name": "app", "service": "app"}, {"name": "w", "service": "web"}]},
}  # fmt: skip
UNIT = {
    "host": "new", "peer": PEER, "services": [{"name": "app", "local": "127.0.0.1:3000", "group": "www-data"}, {"name": "web", "local": "127.0.0.1:80"}],
    "proxy": {"config": "/x", "upstreams": [{"name": "app", "service": "app"}, {"name": "w", "service": "web"}]},
}  # fmt: skip
SIDES = {"legacy": CONTAINER, "new": UNIT}


def test_everything_that_is_left_out_is_made():
    edge = edge_of(SIDES, "legacy", "hub")
    assert (edge["directory"], edge["container"]["name"]) == ("/var/lib/bowline/edge-hub", "bowline-edge-hub")
    assert [service["listen"] for service in edge["services"]] == ["0.0.0.0:18080", "0.0.0.0:18081"]
    assert [item["via"] for item in edge["proxy"]["upstreams"]] == ["bowline-edge-hub:18080", "bowline-edge-hub:18081"]
    assert edge["proxy"]["door"] == {"address": "192.0.2.20", "hostname": "hub.example.com"}
    edge = edge_of(SIDES, "new", "hub")
    web = f"127.0.0.1:{port('hub', 'web')}"
    assert edge["unit"] == "bowline-edge-hub" and "container" not in edge
    assert [service["listen"] for service in edge["services"]] == ["unix@/var/lib/bowline/edge-hub/run/clients/app", web]
    assert [item["via"] for item in edge["proxy"]["upstreams"]] == ["unix:/var/lib/bowline/edge-hub/run/clients/app", web]


def test_what_is_given_stays():
    given = {
        **UNIT, "directory": "/srv/edge/", "unit": "mine", "services": [{"name": "app", "listen": "127.0.0.1:9", "local": "127.0.0.1:3000"}],
        "proxy": {"config": "/x", "upstreams": [{"name": "app", "service": "app", "via": "localhost:9"}]},
    }  # fmt: skip
    edge = edge_of({"new": given}, "new", "hub")
    assert edge == {**given, "directory": "/srv/edge", "proxy": {"door": {}, **given["proxy"]}}
    assert edge_of({"new": given}, "new", "") == edge


@pytest.mark.parametrize("side", ["legacy", "new"])
def test_two_stacks_share_nothing(side):
    first, second = (edge_of(SIDES, side, subject) for subject in ("hub", "notes"))
    assert first["directory"] != second["directory"]
    assert (first.get("unit"), first.get("container", {}).get("name")) != (second.get("unit"), second.get("container", {}).get("name"))
    shared = {item["via"] for item in first["proxy"]["upstreams"]} & {item["via"] for item in second["proxy"]["upstreams"]}
    assert shared == set()


@pytest.mark.parametrize("subject", ["hub", "My Hub!", "ÜBER", "x" * 80, "a/b", "..", "-", "hub_1", "Hub"])
def test_every_subject_makes_names_that_the_module_takes(subject):
    for side in ("legacy", "new"):
        edge = edge_of(SIDES, side, subject)
        listens = {item["name"]: item["listen"].replace("unix@", "") for item in edge["services"]}
        services = tuple(Service(name, listen, "127.0.0.1:1", () if listen.startswith("/") else ("127.0.0.1",)) for name, listen in listens.items())
        faults.validate(EdgeSpec(side, edge["directory"], services, Peer("192.0.2.1", 443, "h"), Warmup("app", "h")))
        assert all(faults.via(item["via"]) for item in edge["proxy"]["upstreams"])
    assert slug(subject) and len({slug(other) for other in ("Hub", "hub", "hub!", "hub_1", "hub-1")}) == 5


def test_without_a_subject_nothing_is_made_up():
    with pytest.raises(FleetError) as failure:
        edge_of(SIDES, "legacy", "")
    assert failure.value.code == "option_invalid" and failure.value.details["field"] == "edge_subject"
