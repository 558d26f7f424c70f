# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State in a map file, the edge's description, and the rendered configuration."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import faults, render
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.model import (
    EdgeSpec,
    Peer,
    Service,
    State,
    Warmup,
    map_text,
    parse_epoch,
    parse_map,
    spec_from_json,
)

TOKEN = "a-token-of-the-pair-_0123456789"
SPEC = EdgeSpec(
    side="legacy",
    directory="/var/lib/bowline/edge",
    services=(
        Service("app", "0.0.0.0:18080", "backend:3000", ("192.0.2.5", "2001:db8::/64")),
        Service("web", "[::]:18081", "192.0.2.7:8080", ("192.0.2.5",)),
        Service("unix", "/var/lib/bowline/edge/run/clients/app", "127.0.0.1:8080", gid=33),
    ),
    peer=Peer("192.0.2.20", 443, "hub.example.com", "/etc/ca.pem"),
    warmup=Warmup("app", "hub.example.com"),
)


def test_state_survives_the_map_file():
    state = State("peer", 1790000000000, 1790000005000)
    assert parse_map(map_text(state)) == state
    assert map_text(state) == "edge peer:1790000000000:1790000005000\n"
    assert state.held(1790000004999) and not state.held(1790000005000)


@pytest.mark.parametrize("text", ["", "edge", "edge both:1:0", "other local:1:0", "edge local:1", "edge local:-1:0", "edge local:1:0 more"])
def test_an_unreadable_state_is_never_taken_for_one(text):
    with pytest.raises(FleetError) as failure:
        parse_map(text)
    assert failure.value.code == "edge_state_unreadable"


def test_description_survives_json():
    assert spec_from_json(json.loads(json.dumps(SPEC.as_json()))) == SPEC
    with pytest.raises(FleetError):
        spec_from_json({"side": "legacy"})


def test_sides_and_routes_are_two_words_for_one_thing():
    for side in ("legacy", "new"):
        spec = replace(SPEC, side=side)
        assert {spec.serves(spec.route_to(wanted)) for wanted in ("legacy", "new")} == {"legacy", "new"}
        assert spec.route_to(side) == "local"


def section(text, name):
    """The lines of one section of the configuration."""
    body = text.split(f"\n{name}\n", 1)[1]
    lines = []
    for line in body.split("\n"):
        if line and not line.startswith(" "):
            break
        lines.append(line.strip())
    return lines


def test_every_service_has_listener_backends_and_warmup_of_its_own():
    text = render.config(SPEC, TOKEN)
    for service in SPEC.services:
        listener = section(text, f"frontend {service.name}")
        assert (f"bind unix@{service.listen} mode 660" if service.socket() else f"bind {service.listen}") in listener
        rejects = [line for line in listener if line.startswith("tcp-request")]
        assert rejects == [f"tcp-request connection reject if {{ src -m found }} !{{ src {' '.join(service.clients)} }}"][: len(service.clients)]
        assert listener.index("http-request lua.edge") < min(index for index, line in enumerate(listener) if line.startswith("use_backend"))
        assert section(text, f"frontend {service.name}.warmup.peer")[-2] == f"default_backend {service.name}.peer"
    assert "server local backend:3000 resolvers system init-addr last,libc,none" in section(text, "backend app.local")
    assert "server local 192.0.2.7:8080" in section(text, "backend web.local.upgrade")


def test_the_peer_is_verified_by_chain_and_name():
    lines = section(render.config(SPEC, TOKEN), "backend app.peer")
    server = next(line for line in lines if line.startswith("server"))
    for words in (
        "192.0.2.20:443 ssl",
        "verify required",
        "ca-file /var/lib/bowline/edge/peer-ca.pem",
        "sni str(hub.example.com)",
        "verifyhost hub.example.com",
    ):
        assert words in server
    assert "ca-file @system-ca" in render.config(replace(SPEC, peer=replace(SPEC.peer, ca_file=None)), TOKEN)
    assert "[2001:db8::1]:443 ssl" in render.config(replace(SPEC, peer=replace(SPEC.peer, address="2001:db8::1")), TOKEN)


def test_the_edge_keeps_an_idle_connection_longer_than_any_proxy_does():
    # HAProxy closes it after the shorter one of the two.
    days = {name: int(value) for name, value in re.findall(r"timeout (client|http-keep-alive) (\d+)d$", render.config(SPEC, TOKEN), re.M)}
    assert min(days["client"], days["http-keep-alive"]) > 7


def test_the_edge_has_no_patience_and_no_size_of_its_own():
    """Row by row what a proxy in front may allow: an hour without a byte, 32 kB of headers and more, what is odd, and a slow accept of 127 s."""
    config = render.config(SPEC, TOKEN)
    for name in ("client", "server", "tunnel", "http-keep-alive"):
        assert re.findall(rf"^    timeout {name} (\S+)$", config, re.M) == ["20d"], name
    assert "timeout connect 150s" in section(config, "defaults")
    assert "timeout http-request" not in config and "timeout queue" not in config
    sizes = {name: int(value) for name, value in re.findall(r"^    tune\.(\S+) (\d+)$", config, re.M)}
    assert sizes["bufsize"] - sizes["maxrewrite"] >= 200 * 1024 and sizes["http.maxhdr"] >= 1000
    for option in ("accept-invalid-http-request", "accept-invalid-http-response", "abortonclose", "http-no-delay"):
        assert f"option {option}" in section(config, "defaults"), option
    assert "forwardfor" not in config


def test_the_mark_changes_with_everything_that_a_reload_makes_effective():
    marks = {
        render.mark(render.config(spec, token, ca))
        for spec, token, ca in (
            (SPEC, TOKEN, b"a"), (SPEC, TOKEN, b"b"), (replace(SPEC, hold_max=10.0), TOKEN, b"a"), (replace(SPEC, uid=7, gid=7), TOKEN, b"a"),
            (SPEC, TOKEN[::-1], b"a"),
        )
    }  # fmt: skip
    assert len(marks) == 5 and all(mark.startswith("bowline-edge ") for mark in marks)
    assert render.config(SPEC, TOKEN, b"a") == render.config(SPEC, TOKEN, b"a")


def test_all_faults_are_named_at_once():
    bad = replace(
        SPEC,
        directory="/var/lib/" + "x" * 60,
        services=(Service("App", "18080", "backend"), Service("web", "*:1\n  x", "a:1"), Service("web", "a:1", "b:1", ("a",))),
        peer=Peer("a b", 70000, "hub\nx"),
        warmup=Warmup("nobody", "hub.example.com", "up"),
        hold_max=0,
    )
    with pytest.raises(FleetError) as failure:
        faults.validate(bad)
    assert failure.value.code == "option_invalid"
    for word in (
        "directory",
        "'App'",
        "App.listen",
        "App.local",
        "web.listen",
        "twice",
        "warmup.service",
        "warmup.path",
        "peer.address",
        "peer.hostname",
        "peer.port",
        "hold_max",
    ):
        assert any(word in fault for fault in failure.value.details["faults"]), word
    faults.validate(SPEC)


HOSTILE = ["a\nglobal", "a;b", 'a"b', "a'b", "a{b", "a}b", "a%[b]", "a$b", "a b", "a#b", "a\\b", "a\x00b", "a\tb", "é", "", "a\n"]


def _with(field, value):
    service = SPEC.services[0]
    peer, warmup = SPEC.peer, SPEC.warmup
    rest = SPEC.services[1:]
    return {
        "side": lambda: replace(SPEC, side=value),
        "directory": lambda: replace(SPEC, directory=f"/var/{value}"),
        "services.name": lambda: replace(SPEC, services=(*rest, replace(service, name=value))),
        "services.listen": lambda: replace(SPEC, services=(*rest, replace(service, listen=f"{value}:80"))),
        "services.listen port": lambda: replace(SPEC, services=(*rest, replace(service, listen=f"127.0.0.1:80{value}"))),
        "services.listen socket": lambda: replace(SPEC, services=(*rest, replace(service, listen=f"{SPEC.directory}/run/x/{value}", clients=()))),
        "services.local": lambda: replace(SPEC, services=(*rest, replace(service, local=f"{value}:80"))),
        "services.clients": lambda: replace(SPEC, services=(*rest, replace(service, clients=(value,)))),
        "services.clients network": lambda: replace(SPEC, services=(*rest, replace(service, clients=(f"192.0.2.0/24{value or ' '}",)))),
        "peer.address": lambda: replace(SPEC, peer=replace(peer, address=value)),
        "peer.hostname": lambda: replace(SPEC, peer=replace(peer, hostname=value)),
        "warmup.host": lambda: replace(SPEC, warmup=replace(warmup, host=value)),
        "warmup.path": lambda: replace(SPEC, warmup=replace(warmup, path=value)),
        "warmup.service": lambda: replace(SPEC, warmup=replace(warmup, service=value)),
    }[field]()


FIELDS = [
    "side", "directory", "services.name", "services.listen", "services.listen port", "services.listen socket", "services.local", "services.clients",
    "services.clients network", "peer.address", "peer.hostname", "warmup.host", "warmup.path", "warmup.service",
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_no_value_becomes_more_than_a_word_of_the_configuration(field):
    faults.validate(SPEC)
    for value in HOSTILE:
        if (field, value) == ("services.listen port", ""):
            continue
        with pytest.raises(FleetError) as failure:
            faults.validate(_with(field, value))
        assert failure.value.code == "option_invalid", (field, value)


def test_words_of_the_proxy_are_words():
    assert all(faults.via(value) for value in ("edge:18080", "127.0.0.1:1", "[::1]:80", "unix:/var/lib/bowline/edge/run/clients/app"))
    assert not any(faults.via(value.format(bad)) for bad in HOSTILE for value in ("{}:80", "unix:/a/{}", "a:80{}") if (bad, value) != ("", "a:80{}"))
    assert faults.upstream("app_1.x-y") and not any(faults.upstream(bad) for bad in HOSTILE)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "192.0.2.1/24", "fe80::1%eth0", "192.0.2", "any"])
def test_a_network_is_one_and_not_everybody(network):
    with pytest.raises(FleetError):
        faults.validate(replace(SPEC, services=(replace(SPEC.services[0], clients=(network,)),)))


@pytest.mark.parametrize(
    ("listen", "asked", "expected"),
    [
        ("127.0.0.1:80", [], ("127.0.0.0/8", "::1")),
        ("[::1]:80", [], ("127.0.0.0/8", "::1")),
        ("localhost:80", [], ("127.0.0.0/8", "::1")),
        ("127.0.0.1:80", ["127.0.0.9"], ("127.0.0.9",)),
        ("0.0.0.0:80", [], ()),
        ("[::]:80", [], ()),
        ("edge:80", [], ()),
        ("/a/socket", [], ()),
    ],
)
def test_without_a_word_only_this_host_may_connect_and_only_to_its_own_address(listen, asked, expected):
    assert faults.clients(listen, asked) == expected


@pytest.mark.parametrize("path", ["/var/lib/bowline/edge/run/app", "/run/app.sock", "/var/lib/bowline/edge/run/../../x/app", "/var/lib/bowline/edge/run/a/b/c"])
def test_a_socket_lies_where_the_edge_may_make_it_and_only_its_group_goes(path):
    with pytest.raises(FleetError) as failure:
        faults.validate(replace(SPEC, services=(replace(SPEC.services[2], listen=path), SPEC.services[0])))
    assert "/var/lib/bowline/edge/run/clients/unix" in failure.value.message


def test_a_told_epoch_leaves_room_for_newer_ones():
    assert parse_epoch("1790000000000") == 1790000000000
    assert {parse_epoch(told) for told in ("99999999999999", "soon", "-1", "1\n", "", None, "\uff11")} == {0}


def test_the_token_is_masked_wherever_the_configuration_is_shown():
    text = render.config(SPEC, TOKEN)
    assert TOKEN in text and TOKEN not in render.masked(text) and TOKEN not in render.masked(f"parsing [x:9]: 'proc.bowline_token str({TOKEN})'")
