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
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import render
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.model import (
    EdgeSpec,
    Peer,
    Service,
    State,
    Warmup,
    map_text,
    parse_map,
    spec_from_json,
)

SPEC = EdgeSpec(
    side="legacy",
    directory="/var/lib/bowline/edge",
    services=(Service("app", "0.0.0.0:18080", "backend:3000"), Service("web", "[::]:18081", "192.0.2.7:8080")),
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
    text = render.config(SPEC)
    for service in SPEC.services:
        listener = section(text, f"frontend {service.name}")
        assert f"bind {service.listen}" in listener
        assert listener.index("http-request lua.edge") < min(index for index, line in enumerate(listener) if line.startswith("use_backend"))
        assert section(text, f"frontend {service.name}.warmup.peer")[-2] == f"default_backend {service.name}.peer"
    assert "server local backend:3000 resolvers system init-addr last,libc,none" in section(text, "backend app.local")
    assert "server local 192.0.2.7:8080" in section(text, "backend web.local.upgraded")


def test_the_peer_is_verified_by_chain_and_name():
    lines = section(render.config(SPEC), "backend app.peer")
    server = next(line for line in lines if line.startswith("server"))
    for words in (
        "192.0.2.20:443 ssl",
        "verify required",
        "ca-file /var/lib/bowline/edge/peer-ca.pem",
        "sni str(hub.example.com)",
        "verifyhost hub.example.com",
    ):
        assert words in server
    assert "ca-file @system-ca" in render.config(replace(SPEC, peer=replace(SPEC.peer, ca_file=None)))
    assert "[2001:db8::1]:443 ssl" in render.config(replace(SPEC, peer=replace(SPEC.peer, address="2001:db8::1")))


def test_the_edge_keeps_an_idle_connection_longer_than_any_proxy_does():
    # HAProxy closes it after the shorter one of the two.
    minutes = {name: int(value) for name, value in re.findall(r"timeout (client|http-keep-alive) (\d+)m$", render.config(SPEC), re.M)}
    nginx, traefik, caddy = 60, 90, 120
    assert min(minutes["client"], minutes["http-keep-alive"]) * 60 > max(nginx, traefik, caddy)


def test_the_mark_changes_with_everything_that_a_reload_makes_effective():
    marks = {
        render.mark(render.config(spec, ca))
        for spec, ca in ((SPEC, b"a"), (SPEC, b"b"), (replace(SPEC, hold_max=10.0), b"a"), (replace(SPEC, user="haproxy"), b"a"))
    }
    assert len(marks) == 4 and all(mark.startswith("bowline-edge ") for mark in marks)
    assert render.config(SPEC, b"a") == render.config(SPEC, b"a")


def test_all_faults_are_named_at_once():
    bad = replace(
        SPEC,
        directory="/var/lib/" + "x" * 60,
        services=(Service("App", "18080", "backend"), Service("web", "*:1\n  x", "a:1"), Service("web", "a:1", "b:1")),
        peer=Peer("a b", 70000, "hub\nx"),
        warmup=Warmup("nobody", "hub.example.com", "up"),
        hold_max=0,
    )
    with pytest.raises(FleetError) as failure:
        render.validate(bad)
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
    render.validate(SPEC)
