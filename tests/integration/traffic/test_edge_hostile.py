# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile clients, neighbours and processes at a real edge: nobody chooses the side, reads the token, or becomes more than they were."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import socket
import stat
import subprocess
import threading
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.haproxy import HAProxy
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.run import run_edge_info

NEWEST = "1;999999999999999"
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs users of its own")


def ours(headers):
    return sorted(name for name in headers if name.startswith("x-bowline"))


@pytest.mark.parametrize("token", [None, "a-token-that-somebody-guessed-0123456", ""])
@pytest.mark.parametrize("hop", [NEWEST, "1;1", "4;0"])
def test_a_client_chooses_no_side_and_reads_no_epoch(world, traffic_rig, hop, token):
    assert world.cli("legacy", "route", "new")[0] == 0
    client = traffic_rig.Client(world.new if token else world.legacy)
    headers = {"X-Bowline-Hop": hop, **({"X-Bowline-Token": token} if token is not None else {}), "X-bowline-Epoch": "1", "X-Bowline-More": "2"}
    if token:
        # At the side that does not serve locally yet, a wrong token is not sent on, for it could come from an edge that sends it back.
        assert client.get("/", headers)[:2] == (508, "")
        assert world.cli("new", "route", "new")[0] == 0
    before = len(world.legacy.application.requests)
    status, side, answered = client.get("/", headers)
    assert (status, side) == ((508, "") if token == "" else (200, "new"))
    assert ours(answered) == []
    assert len(world.legacy.application.requests) == before
    assert all(ours(headers) == [] for _moment, _path, headers in world.new.application.requests)


def test_the_token_and_every_word_between_the_edges_reach_no_application_and_no_client(world, traffic_rig):
    for side in ("new", "legacy"):
        assert world.cli("legacy", "warmup", side)[0] == 0
        assert world.cli("legacy", "route", side)[0] == 0
        status, served, answered = traffic_rig.Client(world.legacy).get("/", {"X-Bowline-Token": "x", "X-Bowline-Hop": NEWEST} if side == "legacy" else {})
        assert (status, served, ours(answered)) == (200, side, [])
    seen = [headers for side in (world.legacy, world.new) for _moment, _path, headers in side.application.requests]
    assert seen and all(ours(headers) == [] and world.token not in str(headers) for headers in seen)


@pytest.mark.parametrize("value", ["", "x", "0" * 32])
def test_who_does_not_know_the_proof_meets_no_edge(world, traffic_rig, value):
    status, side, answered = traffic_rig.Client(world.legacy).get("/", {"X-Bowline-Proof": value})
    assert (status, side, ours(answered)) == (200, "legacy", [])
    assert [ours(headers) for _moment, _path, headers in world.legacy.application.requests] == [[]]


def test_two_edges_with_different_tokens_do_not_forward_for_ever(world, traffic_rig):
    """One host was restored from an old copy; both edges send to the other one, as in the midst of a switch."""
    world.new.kill_edge()
    world.run("new", token="another-token-0123456789-0123456789")
    world.new.start_edge(world.new.edge.argv, world.user)
    assert world.cli("new", "status")[1]["route"] == "peer"
    assert world.cli("legacy", "route", "new")[0] == 0
    status, _side, _headers = traffic_rig.Client(world.legacy).get()
    assert status == 508
    assert (world.legacy.application.requests, world.new.application.requests) == ([], [])
    # So the warm-up of a switch does not pass, and nothing is released to it.
    code, answer = world.cli("legacy", "ask", "new")
    assert (code, answer["failure"]["code"]) == (5, "warmup_failed")
    assert "508" in answer["failure"]["message"]


def test_an_application_tells_no_epoch(world):
    """Behind a peer without an edge it could make our route newer than any number that an edge can read, or end a switch with a crash."""
    assert world.cli("new", "route", "new")[0] == 0
    world.new.reload(lambda: world.run("new", state="absent", proxy=world.proxy("new"), command=f"{world.home}/x.pyz"))
    world.new.edge.stop()
    for told in ("999999999999999", "soon", "-1"):
        world.new.application.headers = {"X-Bowline-Epoch": told}
        assert world.cli("legacy", "route", "new")[0] == 0
        assert world.cli("legacy", "warmup", "new")[0] == 0
        assert world.cli("legacy", "status")[1]["epoch"] < 10**13
        assert world.cli("legacy", "route", "legacy")[0] == 0


def service(world, **changes):
    side = world.legacy
    return [{"name": "app", "listen": f"127.0.0.1:{side.edge_port}", "local": f"127.0.0.1:{side.application.port}", "clients": None, "group": None, **changes}]


def ask_from(world, source):
    connection = http.client.HTTPConnection("127.0.0.1", world.legacy.edge_port, timeout=5, source_address=(source, 0))
    try:
        connection.request("GET", "/", headers={"Host": "x"})
        return connection.getresponse().status
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        return None
    finally:
        connection.close()


def test_only_the_clients_of_a_listener_get_as_far_as_http(world):
    assert ask_from(world, "127.0.0.2") == 200, "the host itself, without a word about it"
    world.run("legacy", services=service(world, clients=["127.0.0.1", "192.0.2.0/24"]))
    assert (ask_from(world, "127.0.0.1"), ask_from(world, "127.0.0.2")) == (200, None)
    assert world.cli("legacy", "warmup", "legacy")[0] == 0


@pytest.mark.parametrize("listen", ["0.0.0.0:18080", "[::]:18080", "192.0.2.10:18080", "edge:18080"])
def test_a_listener_for_others_says_who_they_are(world, listen):
    with pytest.raises(FleetError) as failure:
        world.run("legacy", services=service(world, listen=listen))
    assert failure.value.code == "option_invalid" and "app.clients is empty" in failure.value.message
    assert "172.18.0.0/16" in failure.value.message


_KNOCK = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.recv(99))"


def knock(path, user, group):
    argv = ["/usr/bin/python3", "-c", _KNOCK, path]
    done = subprocess.run(argv, user=user, group=group, extra_groups=[], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip()[2:10] if done.returncode == 0 else done.stderr.strip().splitlines()[-1].split(":")[0]


@root
def test_a_socket_is_for_the_group_of_the_proxy_and_nobody_else(world, traffic_rig):
    path = f"{world.legacy.directory}/run/clients/app"
    services = service(world, listen=f"unix@{path}", group="www-data")
    proxy = world.proxy("legacy")
    proxy["upstreams"][0]["via"] = f"unix:{path}"
    try:
        world.run("legacy", services=services)
        world.legacy.reload(lambda: world.run("legacy", services=services, proxy=proxy))
        assert traffic_rig.Client(world.legacy).get()[:2] == (200, "legacy")
        assert knock(path, "www-data", "www-data") == "HTTP/1.1"
        assert knock(path, "nobody", "nogroup") == "PermissionError"
        assert not traffic_rig.port_open(world.legacy.edge_port)
        mine = [name for name in os.listdir(f"{world.legacy.directory}/run") if name.endswith(".sock")]
        assert len(mine) > 3
        assert {knock(f"{world.legacy.directory}/run/{name}", "www-data", "www-data") for name in mine} == {"PermissionError"}
    finally:
        world.run("legacy")
        traffic_rig.wait_until("the port", lambda: traffic_rig.port_open(world.legacy.edge_port))


@root
def test_nobody_reads_the_token_and_the_process_owns_nothing_but_its_sockets(world):
    directory = world.legacy.directory
    seen = {name: os.lstat(f"{directory}/{name}") for name in os.listdir(directory)}
    modes = {name: (pwd.getpwuid(entry.st_uid).pw_name, stat.S_IMODE(entry.st_mode)) for name, entry in seen.items()}
    assert modes.pop("run") == (world.user, 0o711)
    assert modes["haproxy.cfg"] == ("root", 0o640)
    assert {owner for owner, _mode in modes.values()} == {"root"} and not any(mode & 0o022 for _owner, mode in modes.values())
    assert stat.S_IMODE(os.lstat(f"{directory}.private").st_mode) == 0o700
    assert sorted(os.listdir(f"{directory}.private")) == ["insertion.json", "token"]
    holding = [name for name in modes if world.token in open(f"{directory}/{name}", encoding="utf-8").read()]
    assert holding == ["haproxy.cfg"]
    os.chmod(f"{directory}/haproxy.cfg", 0o644)
    assert world.run("legacy")["changed"] is True
    assert stat.S_IMODE(os.stat(f"{directory}/haproxy.cfg").st_mode) == 0o640
    uids = {os.stat(f"/proc/{pid}").st_uid for pid in [world.legacy.edge.process.pid]}
    assert uids == {pwd.getpwnam(world.user).pw_uid}


def test_the_token_is_in_no_result_no_diff_and_no_command_line(world):
    results = [world.run("legacy", check=True, token="another-token-of-the-pair-0123456789"), world.run("legacy", check=True, hold_max=12.0)]
    for answer in results:
        assert answer["plan"] and "bowline_token str(****" in answer["diff"]["after"]
        assert world.token not in json.dumps(answer) and "another-token" not in json.dumps(answer)
    lines = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert "haproxy.cfg" in lines and world.token not in lines
    with pytest.raises(FleetError) as failure:
        world.run("legacy", token="too-short$")
    assert failure.value.code == "option_invalid" and "too-short" not in str(failure.value.as_failure())


@pytest.mark.parametrize("record", ["private", "planted"])
def test_what_the_process_can_write_is_never_run(world, record, tmp_path):
    """Where the record lay before, and where it lies now without one."""
    canary = tmp_path / "canary"
    argv = ["sh", "-c", f"id > {canary}"]
    planted = {"driver": "nginx", "config": str(world.legacy.site), "upstreams": {}, "check": argv, "reload": argv, "digest": "x"}
    with open(f"{world.legacy.directory}/insertion.json", "w", encoding="utf-8") as file:
        json.dump(planted, file)
    try:
        if record == "planted":
            os.rename(f"{world.legacy.directory}.private/insertion.json", f"{world.legacy.directory}.private/kept")
            with pytest.raises(FleetError) as failure:
                world.run("legacy", state="absent")
            assert failure.value.code == "option_invalid" and "proxy" in failure.value.remedy
        with pytest.raises(FleetError) as failure:
            world.run("legacy")
        assert failure.value.code == "edge_outdated"
        world.run("legacy", state="absent", proxy=world.proxy("legacy") if record == "planted" else None)
        assert not canary.exists() and not os.path.exists(world.legacy.directory)
    finally:
        world.legacy.edge.stop()


def test_a_link_where_the_admin_socket_was_leads_root_nowhere(world, tmp_path):
    victim = socket.socket(socket.AF_UNIX)
    victim.bind(str(tmp_path / "v"))
    victim.listen()
    victim.settimeout(0.3)
    (tmp_path / "edge" / "run").mkdir(parents=True)
    (tmp_path / "edge" / "run" / "admin.sock").symlink_to(tmp_path / "v")
    with pytest.raises(FleetError) as failure:
        HAProxy(str(tmp_path / "edge")).info()
    assert failure.value.code == "unreachable"
    with pytest.raises(TimeoutError):
        victim.accept()


def test_an_edge_that_answers_without_end_is_given_up(tmp_path):
    (tmp_path / "run").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "run" / "admin.sock"))
    server.listen()

    def drip():
        connection, _address = server.accept()
        try:
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(FleetError) as failure:
        HAProxy(str(tmp_path), timeout=0.5).info()
    assert failure.value.code == "unreachable" and time.monotonic() - begun < 5


SECRET = "Basic aHVi" + "OnNlY3JldA=="


@pytest.fixture
def planted(world):
    """A proxy with a secret in its configuration and the edge not in it yet."""
    world.run("legacy", state="absent", proxy=world.proxy("legacy"))
    world.legacy.edge.stop()
    world.run("legacy")
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    before = world.legacy.site.read_text()
    world.legacy.site.write_text(before.replace("proxy_set_header Host", f'proxy_set_header Authorization "{SECRET}";\n        proxy_set_header Host'))
    yield world
    world.run("legacy", state="absent", proxy=world.proxy("legacy"))
    world.legacy.edge.stop()
    world.legacy.site.write_text(before)


def test_of_the_proxy_nothing_is_shown_but_the_block_that_changes(planted):
    world = planted
    answers = [world.run("legacy", check=check, proxy=world.proxy("legacy")) for check in (True, False)]
    answers.append(world.run("legacy", check=True, state="absent", proxy=world.proxy("legacy")))
    text = json.dumps(answers)
    assert SECRET not in text and "proxy_set_header" not in text
    assert f"server 127.0.0.1:{world.legacy.edge_port};" in answers[0]["diff"]["after"] and answers[0]["diff"] == answers[1]["diff"]
    # nginx -t quotes the line that it does not understand.
    world.run("legacy", state="absent", proxy=world.proxy("legacy"))
    world.legacy.edge.stop()
    world.run("legacy")
    world.legacy.start_edge(world.legacy.edge.argv, world.user)
    broken = world.legacy.site.read_text().replace("proxy_set_header Authorization", f'"{SECRET}"')
    whole = world.legacy.site.read_text()
    world.legacy.site.write_text(broken)
    try:
        with pytest.raises(FleetError) as failure:
            world.run("legacy", proxy=world.proxy("legacy"))
    finally:
        world.legacy.site.write_text(whole)
    assert failure.value.code == "proxy_check_failed"
    assert SECRET not in str(failure.value.as_failure()) and "unknown directive" in failure.value.message and "hub.conf:" in failure.value.message


def test_address_rules_of_the_proxy_are_warned_about(world):
    site = world.legacy.site
    before = site.read_text()
    site.write_text(before.replace("location / {", "location /internal { allow 192.0.2.0/24; deny all; }\n    location / {"))
    try:
        warnings = world.run("legacy", check=True, proxy=world.proxy("legacy"))["warnings"]
        assert len(warnings) == 1 and "allow" in warnings[0] and "set_real_ip_from" in warnings[0]
        findings = run_edge_info(world.legacy.directory, False, world.proxy("legacy"), world.runner)["findings"]
        assert [(found["code"], found["level"], found["object"]) for found in findings] == [("address_rules", "warn", str(site))]
        site.write_text(site.read_text().replace("server_name", "real_ip_header X-Forwarded-For;\n    server_name"))
        assert world.run("legacy", check=True, proxy=world.proxy("legacy"))["warnings"] == []
    finally:
        site.write_text(before)


def upgrade(world, path, method="GET", protocol="websocket"):
    connection = socket.create_connection(("127.0.0.1", world.legacy.edge_port), 10)
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: Upgrade", f"Upgrade: {protocol}", "Sec-WebSocket-Version: 13", "Content-Length: 0"]
    connection.sendall("\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).encode())
    return connection


@pytest.mark.parametrize(("method", "protocol"), [("GET", "websocket"), ("POST", "websocket"), ("GET", "h2c"), ("GET", "anything/1")])
def test_who_only_asks_for_an_upgrade_is_in_flight_and_is_not_cut(world, traffic_rig, method, protocol):
    with upgrade(world, "/slow", method, protocol) as slow, upgrade(world, "/socket") as opened:
        traffic_rig.wait_until("the slow request", lambda: world.legacy.application.slow == 1)
        assert b" 101 " in opened.recv(1000)
        status = world.cli("legacy", "status")[1]
        assert (status["in_flight"], status["upgraded"]) == (1, 1)
        code, answer = world.cli("legacy", "hold", "--seconds", "5", "--drain", "0.2")
        assert (code, answer["failure"]["code"]) == (4, "in_flight"), "the drain waits for it"
        # Not even a release without a drain cuts it, or what shares its backend.
        assert world.cli("legacy", "route", "new")[0] == 0
        answer = world.cli("legacy", "release")[1]
        assert (answer["closed_upgraded"], answer["left_upgraded"]) == (0, 1)
        world.legacy.application.finish()
        assert slow.recv(1000).startswith(b"HTTP/1.1 200 ")
        traffic_rig.wait_until("the end of the request", lambda: world.cli("legacy", "status")[1]["in_flight"] == 0)
        assert world.cli("legacy", "hold", "--seconds", "5", "--drain", "2")[0] == 0, "an open websocket does not block the drain"
        assert world.cli("legacy", "release")[1]["closed_upgraded"] == 1
        assert opened.recv(1000) == b""


@root
@pytest.mark.parametrize(("changes", "word"), [
    ({"user": "root"}, "user is root"), ({"user": "0", "group": "0"}, "user is root"), ({"user": "nobody-at-all"}, "does not know"),
    ({"user": "65534"}, "needs a group"), ({"user": None, "group": "daemon"}, "needs a user"), ({"user": "ha\nproxy"}, "does not know"),
    ({"group": "no-such; group"}, "does not know"),
])  # fmt: skip
def test_a_user_is_known_and_is_not_root(world, changes, word):
    before = {name: os.stat(f"{world.legacy.directory}/{name}").st_mtime_ns for name in os.listdir(world.legacy.directory)}
    with pytest.raises(FleetError) as failure:
        world.run("legacy", **changes)
    assert failure.value.code == "option_invalid" and word in failure.value.message
    assert before == {name: os.stat(f"{world.legacy.directory}/{name}").st_mtime_ns for name in before}
