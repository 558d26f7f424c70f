# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traefik by docker labels: what the container of an edge needs, from the labels of the application's container."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.labels import of_application

ROUTER, SERVICE = "traefik.http.routers.", "traefik.http.services."
RULE = {f"{ROUTER}app.rule": "Host(`hub.example.org`)"}
PORT = {f"{SERVICE}app.loadbalancer.server.port": "3000"}
OURS = {
    f"{ROUTER}app-bowline.rule": "Host(`hub.example.org`)",
    f"{ROUTER}app-bowline.service": "app-bowline",
    f"{ROUTER}app-bowline.priority": "24",
    f"{SERVICE}app-bowline.loadbalancer.server.port": "18080",
}

# As people publish them.
CONTAINERS = {
    "usual": ({"traefik.enable": "true", **RULE, **PORT}, {"traefik.enable": "true", **OURS}),
    "port left to Traefik": (RULE, OURS),
    "compose's own": ({"com.docker.compose.project": "hub", "org.opencontainers.image.title": "app", **RULE}, OURS),
    "TLS": ({**RULE, f"{ROUTER}app.tls": "true", f"{ROUTER}app.tls.certresolver": "le", f"{ROUTER}app.entrypoints": "websecure"},
            {**OURS, f"{ROUTER}app-bowline.tls": "true", f"{ROUTER}app-bowline.tls.certresolver": "le", f"{ROUTER}app-bowline.entrypoints": "websecure"}),
    "network": ({"traefik.docker.network": "web", "traefik.constraint-label": "public", **RULE},
                {"traefik.docker.network": "web", "traefik.constraint-label": "public", **OURS}),
    "middlewares": ({**RULE, f"{ROUTER}app.middlewares": "auth@file,gz", "traefik.http.middlewares.gz.compress": "true"},
                    {**OURS, f"{ROUTER}app-bowline.middlewares": "auth@file,gz", "traefik.http.middlewares.gz.compress": "true"}),
    "a priority": ({**RULE, f"{ROUTER}app.priority": "100"}, {**OURS, f"{ROUTER}app-bowline.priority": "101"}),
    "checks and cookies stay behind": ({**RULE, **PORT, f"{SERVICE}app.loadbalancer.healthcheck.path": "/up",
                                        f"{SERVICE}app.loadbalancer.sticky.cookie": "true"}, OURS),
    "the service named": ({**RULE, f"{ROUTER}app.service": "app", **PORT}, OURS),
    "upper case": ({"traefik.http.routers.app.Rule": "Host(`hub.example.org`)"}, OURS),
    "a router to elsewhere": ({**RULE, f"{ROUTER}dash.rule": "Path(`/d`)", f"{ROUTER}dash.service": "api@internal"}, OURS),
    "tcp beside": ({**RULE, "traefik.tcp.routers.x.rule": "HostSNI(`*`)"}, OURS),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_the_application_s_rules_at_a_higher_priority(given, expected):
    labels, faults = of_application("hub-app-1", given, "", "18080")
    assert faults == [] and labels == expected


def test_two_routers_and_two_services():
    given = {
        f"{ROUTER}web.rule": "Host(`a`)", f"{ROUTER}web.service": "web", f"{SERVICE}web.loadbalancer.server.port": "80",
        f"{ROUTER}cable.rule": "Host(`a`) && PathPrefix(`/cable`)", f"{ROUTER}cable.service": "cable", f"{SERVICE}cable.loadbalancer.server.port": "81",
    }  # fmt: skip
    _labels, faults = of_application("hub-app-1", given, "", "18080")
    assert [fault.code for fault in faults] == ["proxy_unsupported"] and "hub-app-1/<service>" in faults[0].remedy
    labels, faults = of_application("hub-app-1", given, "cable", "18081")
    assert faults == [] and f"{ROUTER}cable-bowline.rule" in labels and f"{ROUTER}web-bowline.rule" not in labels
    # The more special rule stays the more special one.
    web, _faults = of_application("hub-app-1", given, "web", "18080")
    assert int(web[f"{ROUTER}web-bowline.priority"]) < len(given[f"{ROUTER}cable.rule"])


REFUSED = {
    "no labels": ({}, "proxy_upstream_missing", "has no label"),
    "only a service": (PORT, "proxy_upstream_missing", "has no label"),
    "the default rule": ({f"{ROUTER}app.entrypoints": "web"}, "proxy_unsupported", "no rule of its own"),
    "TLS to the application": ({**RULE, f"{SERVICE}app.loadbalancer.server.scheme": "https"}, "proxy_unsupported", "speaks https"),
    "h2c": ({**RULE, f"{SERVICE}app.loadbalancer.server.scheme": "h2c"}, "proxy_unsupported", "speaks h2c"),
    "the server's own Host": ({**RULE, f"{SERVICE}app.loadbalancer.passhostheader": "false"}, "proxy_unsupported", "Host"),
    "an edge itself": ({f"{ROUTER}app-bowline.rule": "Host(`a`)"}, "proxy_unsupported", "is an edge's"),
    "elsewhere alone": ({f"{ROUTER}d.rule": "Path(`/d`)", f"{ROUTER}d.service": "api@internal"}, "proxy_upstream_missing", "router d"),
}


@pytest.mark.parametrize(("given", "code", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_taken_is_named(given, code, words):
    _labels, faults = of_application("hub-app-1", given, "", "18080")
    assert [fault.code for fault in faults] == [code] and words in faults[0].message and faults[0].remedy


def test_a_service_that_is_not_there():
    _labels, faults = of_application("hub-app-1/other", {**RULE, **PORT}, "other", "18080")
    assert [fault.code for fault in faults] == ["proxy_upstream_missing"] and "It has app" in faults[0].message
