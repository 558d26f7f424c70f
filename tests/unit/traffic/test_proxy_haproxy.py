# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""haproxy.cfg: the servers of a backend. The edge goes in, and the file comes back byte for byte."""

from __future__ import annotations

import pytest

APP = {"app": "edge:18080"}
EDGE = "server bowline-edge edge:18080 no-check no-agent-check no-backup"
HTTP = "defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\n"
WEB = "frontend web\n    bind :80\n    default_backend app\n\n"

FILES = {
    "usual": (HTTP + WEB + "backend app\n    server app1 backend:3000 check\n", f"backend app {EDGE}"),
    "no newline at the end": (HTTP + "backend app\n\tserver app1 backend:3000", f"backend app {EDGE}"),
    "carriage returns": ((HTTP + "backend app\n    server app1 backend:3000\n").replace("\n", "\r\n"), f"backend app {EDGE}"),
    "listen": (HTTP + "listen app\n    bind :80\n    option forwardfor\n    server s1 backend:3000\n", f"option forwardfor {EDGE}"),
    "mode of its own": ("defaults\n    mode tcp\nbackend app\n    mode http\n    server s1 backend:3000\n", f"mode http {EDGE}"),
    "several servers": (HTTP + "backend app\n    balance leastconn\n    cookie SRV insert indirect nocache\n    server s1 10.0.0.1:80 cookie s1 check\n"
                        "    server s2 10.0.0.2:80 cookie s2 check backup\n    use-server s2 if { path /x }\n", f"nocache {EDGE}"),
    "a template": (HTTP + "backend app\n    server-template web 3 backend:3000 check resolvers docker init-addr libc,none\n",
                   f"{EDGE} resolvers docker init-addr last,libc,none"),
    "resolvers of docker": (HTTP + "resolvers docker\n    nameserver dns 127.0.0.11:53\nbackend app\n    option httpchk GET /up\n"
                            "    server s1 backend:3000 check resolvers docker init-addr none\n",
                            f"{EDGE} resolvers docker init-addr last,libc,none"),
    "default-server": (HTTP + "backend app\n    default-server inter 2s fall 3 maxconn 64 check\n    server s1 backend:3000\n",
                       f"{EDGE} maxconn 64 init-addr last,libc"),
    "TLS taken back": (HTTP + "backend app\n    default-server ssl verify none\n    server s1 backend:3000 no-ssl\n", EDGE),
    "named defaults": ("defaults web\n    mode http\ndefaults raw\n    mode tcp\nbackend app from web\n    server s1 backend:3000\n", EDGE),
    "quotes and comments": (HTTP + "backend app # the app\n    # server old backend:2\n    http-request set-header X-A \"server x # y\" # z\n"
                            "    server 's1' backend:3000 # here\n", f'X-A "server x # y" # z {EDGE}'),
    "a socket": (HTTP + "backend app\n    server s1 unix@/run/app.sock\n", EDGE),
    "rules": (HTTP + "backend app\n    acl up path /up\n    http-request deny if !up { src 10.0.0.1 }\n    http-response set-header X-B 1\n"
              "    stick-table type ip size 1k\n    server s1 backend:3000 weight 10 slowstart 10s\n", EDGE),
}  # fmt: skip


@pytest.fixture
def haproxy(editor):
    return editor("haproxy", "/etc/haproxy/haproxy.cfg")


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES.keys())
def test_there_and_back(haproxy, text, expected):
    active = haproxy.active(text, APP)
    assert expected in active and active.count("server bowline-edge") == 1
    assert "backend:3000" not in active and "10.0.0.2" not in active and "use-server" not in active
    assert "server bowline-edge unix@/run/edge/app no-check" in haproxy.active(text, {"app": "unix:/run/edge/app"})


def test_an_address_needs_no_resolver(haproxy):
    active = haproxy.active(FILES["resolvers of docker"][0], {"app": "127.0.0.1:18080"})
    assert "server bowline-edge 127.0.0.1:18080 no-check no-agent-check no-backup" in active and "resolvers docker init" not in active


REFUSED = {
    "nothing": ("", ["proxy_upstream_missing"], "has no backend or listen app"),
    "another": (HTTP + "backend web\n    server a b:1\n", ["proxy_upstream_missing"], "It has backend web"),
    "no server": (HTTP + "backend app\n    http-request return status 200\n", ["proxy_upstream_missing"], "with a server"),
    "tcp": ("backend app\n    server s1 backend:3000\n", ["proxy_unsupported"], "mode tcp"),
    "TLS": (HTTP + "backend app\n    server s1 backend:3000 ssl verify none\n", ["proxy_unsupported"], "server s1 (line 8) has ssl"),
    "TLS by default": (HTTP + "backend app\n    default-server ssl verify none\n    server s1 backend:3000\n", ["proxy_unsupported"], "has ssl"),
    "PROXY protocol": (HTTP + "backend app\n    server s1 backend:3000 send-proxy-v2\n", ["proxy_unsupported"], "send-proxy-v2"),
    "HTTP/2": (HTTP + "backend app\n    server s1 backend:3000 proto h2\n", ["proxy_unsupported"], "proto"),
    "twice": (HTTP + "listen app\n    bind :80\n    server s1 a:1\nbackend app\n    server s1 b:1\n", ["proxy_unsupported"], "line 7 and line 10"),
    "conditions": (HTTP + "backend app\n    .if defined(X)\n    server s1 a:1\n    .endif\n", ["proxy_unsupported"], ".if"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "codes", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_taken_is_named(haproxy, text, codes, words):
    seen, message = haproxy.refused(text, APP)
    assert seen == codes and words in message


def test_ways_past_the_edge_are_noted(haproxy):
    text = HTTP + "backend app\n    server s1 backend:3000\nbackend cable\n    server s1 backend:3000\nbackend web\n    server s1 web:80\n"
    notes = haproxy.plan(text, **APP).notes
    assert [note.code for note in notes] == ["proxy_bypass"] and "backend cable (line 10)" in notes[0].message


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("    server s1 a:1", 30),
        ("    timeout server 1m\n    server s1 a:1", 60),
        ("    timeout server 2500\n    server s1 a:1", 2.5),
        ("    server s1 a:1 maxconn 10", 5),
        ("    timeout queue 9s\n    server s1 a:1 maxconn 10", 9),
    ],
)
def test_how_long_it_waits_for_an_answer(haproxy, lines, seconds):
    assert haproxy.plan(f"{HTTP}backend app\n{lines}\n", **APP).timeout == seconds


def test_rules_that_judge_addresses(haproxy):
    rules = haproxy.driver.address_rules
    assert rules("frontend a\n    acl out src 10.0.0.0/8\n") == ("src",)
    assert rules("frontend a\n    acl out src 10.0.0.0/8\n    http-request set-src hdr(x-forwarded-for)\n") == ()
    assert rules("frontend a\n    acl up path /up # src\n") == ()
