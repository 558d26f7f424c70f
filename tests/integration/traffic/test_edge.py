# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edge as it runs: real HAProxy and nginx on both sides, real TLS between them."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import threading
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.control import Edge
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.model import Hop
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.routing import decide
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.run import run_edge_info


def switch(world, edge: str, side: str, seconds: str = "5") -> float:
    """The router's commands at the edge of the side that serves; returns the unix time of the release."""
    assert world.cli(edge, "hold", "--seconds", seconds, "--drain", "2")[0] == 0
    code, answer = world.cli(edge, "switch", side)
    assert (code, answer.get("serves"), answer.get("changed")) == (0, side, True), answer
    return time.time()


def test_twenty_clients_cross_a_switch_and_back_without_an_error(world, traffic_rig):
    load = traffic_rig.Load([world.legacy, world.new], 20)
    traffic_rig.wait_until("traffic", lambda: len(load.answers) > 200)
    switched = switch(world, "legacy", "new")
    count = len(load.answers)
    traffic_rig.wait_until("traffic on the new side", lambda: len(load.answers) > count + 200)
    assert world.cli("new", "route", "new")[0] == 0
    count = len(load.answers)
    traffic_rig.wait_until("traffic after the other edge was told", lambda: len(load.answers) > count + 100)
    begun = time.time()
    back = switch(world, "new", "legacy")
    count = len(load.answers)
    traffic_rig.wait_until("traffic on legacy", lambda: len(load.answers) > count + 200)
    load.end()

    assert load.errors == []
    assert {answer[2] for answer in load.answers} == {200}
    assert {side for _sent, ended, _status, side in load.answers if switched < ended < begun} == {"new"}
    assert {side for _sent, ended, _status, side in load.answers if ended > back} == {"legacy"}
    assert all(client.connections == 1 for client in load.clients), "keep-alive clients kept their connection"


def test_held_requests_go_where_the_route_points_at_the_release(world, traffic_rig):
    # Whatever the machine does beside, the release comes before the hold would end.
    world.run("legacy", hold=25.0)
    answers = []
    before = len(world.legacy.application.requests)
    threads = [threading.Thread(target=lambda: answers.append(traffic_rig.Client(world.legacy).get()[:2])) for _number in range(10)]
    for thread in threads:
        thread.start()
    assert world.cli("legacy", "route", "new")[0] == 0
    assert world.cli("legacy", "status")[1]["in_flight"] == 0, "held requests are not in flight"
    assert answers == []
    assert world.cli("legacy", "release")[0] == 0
    for thread in threads:
        thread.join(10)
    assert answers == [(200, "new")] * 10
    assert len(world.legacy.application.requests) == before


def test_a_hold_that_nobody_attends_ends_by_itself(world, traffic_rig):
    begun = time.monotonic()
    world.run("legacy", hold=0.5)
    assert traffic_rig.Client(world.legacy).get()[:2] == (200, "legacy")
    assert 0.5 <= time.monotonic() - begun < 10


def test_a_request_longer_than_the_drain_is_not_cut_and_the_hold_is_released(world, traffic_rig):
    slow = []
    thread = threading.Thread(target=lambda: slow.append(traffic_rig.Client(world.legacy).get("/slow")[:2]))
    thread.start()
    traffic_rig.wait_until("the slow request", lambda: world.legacy.application.slow == 1)
    assert world.cli("legacy", "status")[1]["in_flight"] == 1
    code, answer = world.cli("legacy", "hold", "--seconds", "10", "--drain", "0.3")
    assert (code, answer["failure"]["code"]) == (4, "in_flight")
    assert "1 requests" in answer["failure"]["message"]
    status = world.cli("legacy", "status")[1]
    assert (status["hold"], status["in_flight"]) == (0, 1)
    world.legacy.application.finish()
    thread.join(10)
    assert slow == [(200, "legacy")]
    # Keep-alive connections stay open, yet nothing is in flight.
    assert world.cli("legacy", "status")[1]["in_flight"] == 0


def test_hold_returns_only_after_the_last_request_has_ended(world, traffic_rig):
    thread = threading.Thread(target=lambda: traffic_rig.Client(world.legacy).get("/slow"))
    thread.start()
    traffic_rig.wait_until("the slow request", lambda: world.legacy.application.slow == 1)
    outcome = []
    holding = threading.Thread(
        target=lambda: outcome.append((world.cli("legacy", "hold", "--seconds", "10", "--drain", "8"), time.monotonic()))
    )
    holding.start()
    traffic_rig.wait_until("the hold", lambda: world.cli("legacy", "status")[1]["hold"] > 0)
    assert outcome == []
    finished = time.monotonic()
    world.legacy.application.finish()
    holding.join(15)
    thread.join(5)
    (code, answer), ended = outcome[0]
    assert code == 0 and answer["drained_ms"] > 0 and ended > finished


def test_an_edge_killed_with_the_hold_on_comes_back_with_route_and_hold(world, traffic_rig):
    assert world.cli("legacy", "route", "new")[0] == 0
    world.run("legacy", hold=25.0)
    before = world.cli("legacy", "status")[1]
    world.legacy.kill_edge()
    down = world.cli("legacy", "status")[1]
    assert (down["running"], down["in_flight"], down["epoch"]) == (False, None, before["epoch"])
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    again = world.cli("legacy", "status")[1]
    assert (again["route"], again["epoch"], again["in_step"]) == ("peer", before["epoch"], True)
    assert again["hold"] > 0.5
    answers, held = [], connections(world)
    thread = threading.Thread(target=lambda: answers.append(traffic_rig.Client(world.legacy).get()[:2]))
    thread.start()
    traffic_rig.wait_until("the request to be held", lambda: connections(world) == held + 1)
    assert answers == []
    assert world.cli("legacy", "release")[0] == 0
    thread.join(10)
    assert answers == [(200, "new")]


def test_a_dead_edge_is_told_by_file_and_holds_nothing(world):
    world.legacy.kill_edge()
    code, answer = world.cli("legacy", "hold", "--seconds", "1")
    assert (code, answer["failure"]["code"]) == (3, "unreachable")
    assert world.cli("legacy", "status")[1]["hold"] == 0, "a hold that could not be set is not left in the file"
    assert world.cli("legacy", "route", "new")[0] == 3
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    status = world.cli("legacy", "status")[1]
    assert (status["route"], status["in_step"]) == ("peer", True)
    assert world.cli("legacy", "route", "new")[1]["changed"] is False


def test_a_reload_keeps_state_and_clients(world, traffic_rig):
    assert world.cli("legacy", "route", "new")[0] == 0
    epoch = world.cli("legacy", "status")[1]["epoch"]
    load = traffic_rig.Load([world.legacy], 5)
    traffic_rig.wait_until("traffic", lambda: len(load.answers) > 20)
    result = world.run("legacy", hold_max=29.0)
    assert [step["action"] for step in result["plan"]] == ["write_files", "reload"]
    count = len(load.answers)
    traffic_rig.wait_until("traffic after the reload", lambda: len(load.answers) > count + 50)
    load.end()
    assert load.errors == [] and {answer[-1] for answer in load.answers} == {"new"}
    status = world.cli("legacy", "status")[1]
    assert (status["epoch"], status["route"], status["in_step"]) == (epoch, "peer", True)
    assert world.run("legacy")["changed"] is True
    assert world.run("legacy")["changed"] is False


def test_a_request_held_across_a_reload_goes_where_the_route_points(world, traffic_rig):
    """The worker that the reload leaves behind is told through the master, and must not send the request to the old side."""
    world.run("legacy", hold=25.0)
    answers = []
    before = connections(world)
    thread = threading.Thread(target=lambda: answers.append(ask_edge(world, None)))
    thread.start()
    traffic_rig.wait_until("the request to be held", lambda: connections(world) > before)
    world.run("legacy", hold_max=28.0)
    assert world.cli("legacy", "status")[1]["old_workers"] > 0
    assert world.cli("legacy", "hold", "--seconds", "25", "--drain", "2")[0] == 0
    assert world.cli("legacy", "route", "new")[0] == 0
    assert answers == []
    assert world.cli("legacy", "release")[0] == 0
    thread.join(10)
    assert answers == [(200, "new")]


def test_a_hold_holds_for_the_workers_that_a_reload_left_behind(world, traffic_rig):
    """An idle connection of the proxy belongs to the old worker, and its next request must meet the hold there."""
    client = traffic_rig.Client(world.legacy)
    assert client.get()[:2] == (200, "legacy")
    world.run("legacy", hold_max=27.0)
    assert world.cli("legacy", "hold", "--seconds", "25", "--drain", "2")[0] == 0
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.get()[:2]))
    thread.start()
    begun = time.monotonic()
    traffic_rig.wait_until("the time in which an answer would be here", lambda: answers or time.monotonic() - begun > 0.5)
    assert answers == []
    assert world.cli("legacy", "switch", "new")[0] == 0
    thread.join(10)
    assert answers == [(200, "new")]


def test_a_request_of_an_old_worker_is_in_flight(world, traffic_rig):
    slow = threading.Thread(target=lambda: traffic_rig.Client(world.legacy).get("/slow"))
    slow.start()
    traffic_rig.wait_until("the slow request", lambda: world.legacy.application.slow == 1)
    world.run("legacy", hold_max=26.0)
    code, answer = world.cli("legacy", "hold", "--seconds", "5", "--drain", "0.3")
    assert (code, answer["failure"]["code"]) == (4, "in_flight")
    world.legacy.application.finish()
    slow.join(10)
    assert world.cli("legacy", "hold", "--seconds", "5", "--drain", "2")[0] == 0


def connections(world):
    """Connections at the listener of the legacy edge, idle ones of nginx included."""
    rows = Edge(world.legacy.directory).haproxy._json("show stat -1 1 -1 json")
    named = [{item["field"]["name"]: item["value"]["value"] for item in row} for row in rows]
    return next(row["scur"] for row in named if row["pxname"] == "app")


def test_a_lost_state_is_written_anew_by_the_module(world):
    os.unlink(os.path.join(world.legacy.directory, "edge.map"))
    assert world.cli("legacy", "route", "new")[0] == 7
    result = world.run("legacy", route="local")
    assert [step["action"] for step in result["plan"]] == ["set_route"]
    assert (result["edge"]["route"], result["edge"]["in_step"]) == ("local", True)


def test_hop_decides_as_the_truth_table_says(world, traffic_rig):
    """The Lua rule against the Python rule, at one real edge, through its own listener."""
    edge = Edge(world.legacy.directory)
    for side in ("new", "legacy"):
        edge.route(side)
        state = edge.state()
        for hop in (None, Hop(1, state.epoch - 1), Hop(1, state.epoch), Hop(2, state.epoch + 1), Hop(2, 1), Hop(4, 1), Hop(4, state.epoch)):
            expected = decide(state, hop)
            seen = ask_edge(world, hop)
            assert seen == {"local": (200, "legacy"), "peer": (200, "new"), "loop": (508, "")}[expected[0]], (state, hop)
            if expected[1]:
                # The peer is told to serve: its own route is older.
                assert world.new.application.requests
    assert ask_edge(world, "9;nonsense") == (200, "legacy"), "what no edge wrote is ignored"


def ask_edge(world, hop):
    connection = http.client.HTTPConnection("127.0.0.1", world.legacy.edge_port, timeout=5)
    headers = {"Host": "hub.example.test"}
    if hop is not None:
        headers.update({"X-Bowline-Hop": hop if isinstance(hop, str) else hop.encode(), "X-Bowline-Token": world.token})
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("X-Served-By", "")


def test_what_the_application_sees_is_what_the_proxy_said(world, traffic_rig):
    for route, side in (("legacy", world.legacy), ("new", world.new)):
        assert world.cli("legacy", "route", route)[0] == 0
        traffic_rig.Client(world.legacy).get("/seen", {"X-Forwarded-For": "198.51.100.7"})
        _method, _path, headers = next(request for request in side.application.requests if request[1] == "/seen")
        assert headers["host"] == "hub.example.test"
        assert headers["x-forwarded-proto"] == "https"
        assert headers["x-forwarded-for"].startswith("198.51.100.7, ")
        assert "x-bowline-hop" not in headers


def test_websockets_are_not_in_flight_and_end_with_the_release(world, traffic_rig):
    with socket.create_connection(("127.0.0.1", world.legacy.edge_port), 5) as connection:
        lines = ["GET /socket HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        connection.sendall("\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).encode())
        assert b"101" in connection.recv(1000)
        traffic_rig.wait_until("the upgraded connection", lambda: world.cli("legacy", "status")[1]["upgraded"] == 1)
        assert world.cli("legacy", "status")[1]["in_flight"] == 0
        assert world.cli("legacy", "hold", "--seconds", "5")[0] == 0
        assert world.cli("legacy", "route", "new")[0] == 0
        assert world.cli("legacy", "release")[1]["closed_upgraded"] == 1
        connection.settimeout(5)
        assert connection.recv(1000) == b""


def test_warmup_fails_with_a_certificate_of_another_ca_or_a_sick_application(world):
    params = world.params("legacy", warmup={"timeout": 4.0})
    world.run("legacy", warmup={"timeout": 4.0}, peer={**params["peer"], "ca_file": str(world.stranger / "ca.pem")})
    code, answer = world.cli("legacy", "warmup", "new")
    assert (code, answer["failure"]["code"]) == (5, "warmup_failed")
    assert "status 503" in answer["failure"]["message"]
    reach = run_edge_info(world.legacy.directory, True)["reach"]
    assert reach["legacy"]["ok"] and not reach["new"]["ok"]
    assert "SSL handshake" in reach["new"]["error"], reach
    assert world.cli("legacy", "warmup", "legacy")[0] == 0
    world.run("legacy", warmup={"timeout": 4.0})
    assert world.cli("legacy", "warmup", "new")[0] == 0
    world.new.application.up = False
    assert world.cli("legacy", "warmup", "new")[0] == 5


def test_warmup_passes_hold_and_route(world):
    world.run("legacy", hold=5.0)
    for side in ("legacy", "new"):
        code, answer = world.cli("legacy", "warmup", side)
        assert (code, answer["tried"]) == (0, 5)


def test_ask_changes_nothing_although_the_peer_is_newer(world):
    ahead = Edge(world.new.directory, clock=lambda: time.time() + 3600)
    ahead.route("legacy")
    ahead.route("new")
    world.cli("legacy", "route", "new")
    before = Edge(world.legacy.directory).state()
    for side in ("legacy", "new"):
        code, answer = world.cli("legacy", "ask", side)
        assert (code, answer["side"], answer["tried"]) == (0, side, 5)
    assert Edge(world.legacy.directory).state() == before


def test_the_edge_that_switches_outlives_a_peer_whose_clock_is_ahead(world, traffic_rig):
    ahead = Edge(world.new.directory, clock=lambda: time.time() + 3600)
    ahead.route("new")
    ahead.route("legacy")
    future = ahead.state().epoch
    switch(world, "legacy", "new")
    assert Edge(world.legacy.directory).state().epoch == future + 1
    assert [traffic_rig.Client(side).get()[:2] for side in (world.legacy, world.new)] == [(200, "new")] * 2


def test_a_dead_peer_is_503_and_no_hang(world, traffic_rig):
    assert world.cli("legacy", "route", "new")[0] == 0
    world.new.nginx.stop()
    try:
        begun = time.monotonic()
        assert traffic_rig.Client(world.legacy).get()[0] == 503
        assert time.monotonic() - begun < 8
        # A warm-up waits for it; who only asks is told at once.
        code, answer = world.cli("legacy", "ask", "new")
        assert (code, answer["failure"]["code"], answer["failure"]["details"]["tried"]) == (5, "warmup_failed", 1)
    finally:
        world.new.nginx.start()
        traffic_rig.wait_until("nginx", lambda: traffic_rig.port_open(world.new.port))


def test_insertion_check_real_again_and_restored_byte_for_byte(world, traffic_rig):
    site = world.legacy.site
    inserted = site.read_bytes()
    original = traffic_rig.SITE.format(
        application=world.legacy.application.port, port=world.legacy.port, host=traffic_rig.HOST, home=world.legacy.home
    ).encode()
    inode = site.stat().st_ino
    absent = {"state": "absent", "proxy": world.proxy("legacy")}

    tree = snapshot(world.legacy.home)
    predicted = world.run("legacy", check=True, **absent)
    assert snapshot(world.legacy.home) == tree
    real = world.run("legacy", **absent)
    assert [step["action"] for step in real["plan"]] == ["take_out", "remove_files"]
    assert (predicted["plan"], predicted["diff"]) == (real["plan"], real["diff"])
    assert site.read_bytes() == original and site.stat().st_ino == inode
    assert not os.path.exists(world.legacy.directory)
    assert world.run("legacy", **absent)["changed"] is False
    traffic_rig.wait_until("nginx to serve without the edge", lambda: traffic_rig.Client(world.legacy).get()[:2] == (200, "legacy"))

    world.legacy.edge.stop()
    predicted = world.run("legacy", check=True)
    assert world.run("legacy")["plan"] == predicted["plan"]
    with pytest.raises(FleetError) as failure:
        world.run("legacy", proxy=world.proxy("legacy"), wait_timeout=0.1)
    assert failure.value.code == "edge_not_ready" and site.read_bytes() == original
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    world.run("legacy", proxy=world.proxy("legacy"))
    assert site.read_bytes() == inserted
    assert world.run("legacy", proxy=world.proxy("legacy"))["changed"] is False


def test_a_refused_proxy_configuration_is_put_back(world):
    world.run("legacy", state="absent", proxy=world.proxy("legacy"))
    world.legacy.edge.stop()
    world.run("legacy")
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    before = world.legacy.site.read_bytes()
    with pytest.raises(FleetError) as failure:
        world.run("legacy", proxy={**world.proxy("legacy"), "check": ["sh", "-c", "echo bad >&2; exit 1"]})
    assert failure.value.code == "proxy_check_failed" and "bad" in failure.value.message
    assert world.legacy.site.read_bytes() == before


def test_a_refused_edge_configuration_leaves_the_old_one(world):
    config = os.path.join(world.legacy.directory, "haproxy.cfg")
    before = open(config, "rb").read()
    with pytest.raises(FleetError) as failure:
        world.run("legacy", hold_max=25.0, check_config=["sh", "-c", "echo \"$(grep bowline_token {config})\" >&2; exit 1"])
    assert failure.value.code == "edge_config_invalid" and world.token not in str(failure.value.as_failure())
    assert open(config, "rb").read() == before
    assert "haproxy.cfg.candidate" not in os.listdir(world.legacy.directory)


def test_a_reload_that_haproxy_refuses_is_seen_at_once_and_its_file_put_back(world, traffic_rig):
    """What its own check cannot see: an address that this host has not. It was waited for, 300 s, and the next start would not have come up."""
    config = os.path.join(world.legacy.directory, "haproxy.cfg")
    before = open(config, "rb").read()
    service = {**world.params("legacy")["services"][0], "listen": "192.0.2.1:18080", "clients": ["192.0.2.0/24"]}
    begun = time.monotonic()
    with pytest.raises(FleetError) as failure:
        world.run("legacy", services=[service], wait_timeout=60.0)
    assert failure.value.code == "edge_reload_failed" and time.monotonic() - begun < 30
    assert open(config, "rb").read() == before
    assert traffic_rig.Client(world.legacy).get()[:2] == (200, "legacy")
    # The same once more: a failed reload before it does not hide the next one.
    with pytest.raises(FleetError) as failure:
        world.run("legacy", services=[service], wait_timeout=60.0)
    assert failure.value.code == "edge_reload_failed"
    world.run("legacy")
    assert world.run("legacy")["changed"] is False


def test_an_edge_that_forwards_is_not_removed(world):
    assert world.cli("legacy", "route", "new")[0] == 0
    with pytest.raises(FleetError) as failure:
        world.run("legacy", state="absent", proxy=world.proxy("legacy"))
    assert failure.value.code == "edge_forwards"


@pytest.mark.parametrize("gone", [True, False], ids=["with its configuration", "given up"])
def test_an_edge_behind_a_proxy_that_has_ended_is_removed_whatever_its_route(world, gone):
    """A side that is to serve nobody: its stack was taken away first. With the proxy there, its route still counts."""
    assert world.cli("legacy", "route", "new")[0] == 0
    absent = {"state": "absent", "proxy": world.proxy("legacy")}
    with pytest.raises(FleetError) as failure:
        world.run("legacy", **absent)
    assert failure.value.code == "edge_forwards"
    site, text = world.legacy.site, world.legacy.site.read_bytes()
    if gone:
        site.unlink()
    else:
        absent["proxy"] |= {"check": ["false"], "reload": ["false"]}
    try:
        predicted = world.run("legacy", check=True, given_up=not gone, **absent)
        real = world.run("legacy", given_up=not gone, **absent)
        assert gone or b"edge" not in site.read_bytes()
    finally:
        site.write_bytes(text)
    assert [step["action"] for step in real["plan"]] == [step["action"] for step in predicted["plan"]]
    assert real["plan"][-1]["action"] == "remove_files" and len(real["plan"]) == (1 if gone else 2)
    assert not os.path.exists(world.legacy.directory) and not os.path.exists(world.legacy.directory + ".private")
    # For the next test, whose proxy still sends to it.
    world.run("legacy", route="local")
    world.legacy.edge.stop()
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    world.run("legacy", proxy=world.proxy("legacy"))


def test_bowline_edge_runs_with_a_bare_old_python_and_says_what_is_wrong(world):
    completed = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", str(world.pyz), "--directory", "/nowhere", "status"], capture_output=True, text=True, check=False
    )
    assert (completed.returncode, json.loads(completed.stdout)["failure"]["code"]) == (7, "edge_missing")


def snapshot(home):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file() and path.suffix != ".log"}
