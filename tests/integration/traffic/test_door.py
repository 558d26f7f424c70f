# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An insertion is proven through the proxy's own door after the reload, and put back when it is not true."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.run import run_edge_info


@pytest.fixture
def outside(world):
    """The legacy side with its edge running and not in the path; what the proxy's file was stays."""
    world.run("legacy", state="absent", proxy=world.proxy("legacy"))
    world.legacy.edge.stop()
    world.run("legacy")
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    before = world.legacy.site.read_bytes()
    yield world
    if world.legacy.site.read_bytes() != before:
        world.run("legacy", state="absent", proxy=world.proxy("legacy"))
        world.legacy.edge.stop()
    world.legacy.site.write_bytes(before)


def refused(world, hold_max=30.0, **changes):
    """The failure of an insertion, with the proxy's file and its answers as before."""
    before = world.legacy.site.read_bytes()
    with pytest.raises(FleetError) as failure:
        world.run("legacy", proxy={**world.proxy("legacy"), **changes}, wait_timeout=2.0, hold_max=hold_max)
    assert world.legacy.site.read_bytes() == before
    assert json.dumps(failure.value.details) and world.token not in str(failure.value.as_failure())
    return failure.value


def edit(world, old, new):
    text = world.legacy.site.read_text()
    assert old in text
    world.legacy.site.write_text(text.replace(old, new))
    world.legacy.reload_nginx()


def test_a_second_way_past_the_edge_is_found_and_the_proxy_put_back(outside, traffic_rig):
    """Half of the requests take another upstream, which nginx chooses at run time, so no reading of the file tells."""
    world = outside
    port = world.legacy.application.port
    edit(world, "server {", f"upstream direct {{ server 127.0.0.1:{port}; }}\nsplit_clients $request_id $to {{ 50% app; * direct; }}\nserver {{")
    edit(world, "proxy_pass http://app", "proxy_pass http://$to")
    failure = refused(world)
    assert failure.code == "proxy_not_proven" and "not by the edge" in failure.message and "as before and taken again" in failure.message
    assert "include" in failure.remedy
    assert traffic_rig.Client(world.legacy).get()[:2] == (200, "legacy")


def test_an_include_beside_the_servers_is_taken_whole(outside):
    """The case: an upstream with server and include, of which the include stayed, so that half of the requests went past the edge."""
    world = outside
    more = world.legacy.home / "more.servers"
    more.write_text(f"server 127.0.0.1:{world.legacy.application.port};\n")
    edit(world, "keepalive 8;", f"include {more}; keepalive 8;")
    before = world.legacy.site.read_bytes()
    world.run("legacy", proxy=world.proxy("legacy"))
    world.run("legacy", state="absent", proxy=world.proxy("legacy"))
    assert world.legacy.site.read_bytes() == before
    world.legacy.edge.stop()


def test_a_proxy_that_speaks_tls_to_its_application_is_refused(outside, traffic_rig):
    """The case: proxy_pass https://app; every request got 502 and the module said ok."""
    world = outside
    edit(world, "proxy_pass http://app", "proxy_pass https://app")
    failure = refused(world)
    assert failure.code == "proxy_unsupported" and "speaks HTTP" in failure.message


def test_nothing_at_the_door_is_found_before_anything_is_changed(outside, traffic_rig):
    failure = refused(outside, door={"port": traffic_rig.free_port()})
    assert (failure.code, failure.details["field"]) == ("proxy_door", "proxy.door") and "tls: false" in failure.remedy
    with pytest.raises(FleetError) as planned:
        outside.run("legacy", check=True, proxy={**outside.proxy("legacy"), "door": {"port": traffic_rig.free_port()}})
    assert planned.value.code == "proxy_door"


def test_a_preflight_says_all_of_it_at_once(outside, traffic_rig):
    """Another stack's directory, a door that is none, a hold that is too long: three findings of one answer, and nothing is changed."""
    world = outside
    edit(world, "proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_read_timeout 3s;")
    asked = {**world.proxy("legacy"), "door": {"port": traffic_rig.free_port(), "hostname": "notes.example.test"}}
    before = world.legacy.site.read_bytes()
    answer = run_edge_info(world.legacy.directory, False, asked, world.runner, hold_max=5.0, also={"subject": "notes"})
    assert sorted(finding["code"] for finding in answer["findings"]) == ["hold_refused", "not_owner", "proxy_door"]
    assert {finding["level"] for finding in answer["findings"]} == {"fail"} and all(finding["remedy"] for finding in answer["findings"])
    right = {**world.proxy("legacy"), "timeout": 60.0, "door": {"port": world.legacy.port, "hostname": traffic_rig.HOST}}
    assert run_edge_info(world.legacy.directory, False, right, world.runner, hold_max=5.0, also={"subject": "hub"})["findings"] == []
    assert world.legacy.site.read_bytes() == before


def test_what_a_killed_run_left_in_the_proxy_is_not_what_comes_back(outside, traffic_rig):
    """The file has the edge in it and nobody proved it: a refusal puts back what stood there before the edge."""
    world = outside
    original = world.legacy.site.read_bytes()
    world.run("legacy", proxy=world.proxy("legacy"))
    os.unlink(f"{world.legacy.directory}.private/insertion.json")
    with pytest.raises(FleetError) as failure:
        world.run("legacy", proxy={**world.proxy("legacy"), "door": {"port": world.legacy.port, "path": "/proxy"}}, wait_timeout=2.0)
    assert failure.value.code == "proxy_not_proven"
    assert world.legacy.site.read_bytes() == original


def test_a_hold_that_outlives_the_patience_of_the_proxy_is_refused_before(outside):
    """Read where nginx has it (nginx -T): the case is 3 s, a hold of 5 s."""
    world = outside
    edit(world, "proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_read_timeout 3s;")
    failure = refused(world, hold_max=5.0)
    assert (failure.code, failure.details["field"], failure.details["most"]) == ("hold_refused", "hold_max", 1.5)
    found = run_edge_info(world.legacy.directory, False, world.proxy("legacy"), world.runner, hold_max=5.0)["findings"]
    assert [(finding["code"], finding["level"]) for finding in found] == [("hold_refused", "fail")]
    # Both remedies of the message.
    assert world.run("legacy", check=True, hold_max=1.5, proxy=world.proxy("legacy"))["plan"]
    assert world.run("legacy", check=True, hold_max=5.0, proxy={**world.proxy("legacy"), "timeout": 10.0})["plan"]
