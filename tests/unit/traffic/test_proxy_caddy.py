# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Caddyfiles: upstreams of reverse_proxy. The edge goes in, and the file comes back byte for byte."""

from __future__ import annotations

import pytest

APP = {"app:3000": "edge:18080"}

# As people publish them: one line, sites side by side, snippets, handles, checks, transports.
FILES = {
    "one line": ("hub.example.org\nreverse_proxy app:3000\n", "reverse_proxy edge:18080"),
    "a site": ("hub.example.org {\n\treverse_proxy app:3000\n}\n", "hub.example.org { reverse_proxy edge:18080 }"),
    "no newline at the end": ("hub.example.org {\n    encode zstd gzip\n    reverse_proxy app:3000\n}", "encode zstd gzip reverse_proxy edge:18080 }"),
    "carriage returns": ("hub.example.org {\r\n\treverse_proxy app:3000\r\n}\r\n", "reverse_proxy edge:18080"),
    "global options": ("{\n\temail me@example.org\n\tservers {\n\t\ttrusted_proxies static private_ranges\n\t}\n}\n\nhub.example.org {\n"
                       "\treverse_proxy app:3000\n}\n",
                       "reverse_proxy edge:18080"),
    "a scheme": ("hub.example.org {\n\treverse_proxy http://app:3000\n}\n", "reverse_proxy edge:18080"),
    "a matcher": ("hub.example.org {\n\treverse_proxy /api/* app:3000\n\treverse_proxy * web:80\n}\n",
                  "reverse_proxy /api/* edge:18080 reverse_proxy * web:80"),
    "a named matcher": ("hub.example.org {\n\t@ws header Connection *Upgrade*\n\treverse_proxy @ws app:3000\n\treverse_proxy app:3000\n}\n",
                        "reverse_proxy @ws edge:18080 reverse_proxy edge:18080"),
    "several servers": ("hub.example.org {\n\treverse_proxy app:3000 app:3001 spare:3000 {\n\t\tlb_policy cookie\n\t\tlb_try_duration 5s\n\t}\n}\n",
                        "reverse_proxy edge:18080 { lb_try_duration 5s } }"),
    "to": ("hub.example.org {\n\treverse_proxy {\n\t\tto app:3000\n\t\tto spare:3000\n\t\tflush_interval -1\n\t}\n}\n",
           "reverse_proxy { to edge:18080 flush_interval -1 } }"),
    "active and passive checks": (
        "hub.example.org {\n\treverse_proxy app:3000 {\n\t\thealth_uri /up\n\t\thealth_interval 2s\n\t\thealth_headers {\n\t\t\tHost x\n\t\t}\n"
        "\t\tfail_duration 30s\n\t\tmax_fails 1\n\t\tunhealthy_latency 1s\n\t\theader_up X-Real-IP {remote_host}\n\t}\n}\n",
        "reverse_proxy edge:18080 { header_up X-Real-IP {remote_host} } }",
    ),
    "the address as Host": ("hub.example.org {\n\treverse_proxy app:3000 {\n\t\theader_up Host {upstream_hostport}\n\t}\n}\n",
                            "reverse_proxy edge:18080 { header_up Host app:3000 } }"),
    "handles": ("hub.example.org {\n\thandle_path /files/* {\n\t\tfile_server\n\t}\n\thandle {\n\t\troute {\n\t\t\treverse_proxy app:3000\n\t\t}\n\t}\n}\n",
                "route { reverse_proxy edge:18080 } } }"),
    "a transport": ("hub.example.org {\n\treverse_proxy app:3000 {\n\t\ttransport http {\n\t\t\tkeepalive 30s\n\t\t}\n\t}\n}\n",
                    "reverse_proxy edge:18080 { transport http { keepalive 30s } } }"),
    "a line that goes on": ("hub.example.org {\n\treverse_proxy \\\n\t\tapp:3000 \\\n\t\tspare:3000\n}\n", "reverse_proxy \\ edge:18080 \\"),
    "a comment and quotes": ('hub.example.org {\n\t# reverse_proxy app:3000\n\trespond /x "reverse_proxy app:3000\n" 200\n'
                             '\treverse_proxy "app:3000" # here\n}\n',
                             "reverse_proxy edge:18080 # here"),
    "a snippet with arguments": ("(proxy) {\n\tencode gzip\n\treverse_proxy {args[0]}\n}\nhub.example.org {\n\timport proxy app:3000\n}\n",
                                 "import proxy edge:18080"),
    "a heredoc": ("hub.example.org {\n\trespond /x <<END\n\treverse_proxy app:3000\n\tEND 200\n\treverse_proxy app:3000\n}\n",
                  "END 200 reverse_proxy edge:18080 }"),
    "local port": ("hub.example.org {\n\treverse_proxy app:3000\n}\nfiles.example.org {\n\treverse_proxy :8080\n}\n", "reverse_proxy :8080"),
}  # fmt: skip


@pytest.fixture
def caddy(editor):
    return editor("caddy", "/etc/caddy/Caddyfile")


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES.keys())
def test_there_and_back(caddy, text, expected):
    assert expected in caddy.active(text, APP)
    assert "reverse_proxy unix//run/edge/app" in caddy.active(text, {"app:3000": "unix:/run/edge/app"}) or "reverse_proxy edge:18080" not in expected


def test_ports_are_what_the_scheme_says(caddy):
    assert "reverse_proxy edge:1" in caddy.active("a {\n\treverse_proxy app\n}\n", {"app:80": "edge:1"})
    assert "reverse_proxy edge:1" in caddy.active("a {\n\treverse_proxy :8080\n}\n", {"localhost:8080": "edge:1"})
    assert "reverse_proxy edge:1" in caddy.active("a {\n\treverse_proxy unix//run/app.sock\n}\n", {"unix:/run/app.sock": "edge:1"})


REFUSED = {
    "nothing": ("", ["proxy_upstream_missing"], "has no 'reverse_proxy app:3000'"),
    "another": ("a {\n\treverse_proxy web:80\n}\n", ["proxy_upstream_missing"], "It has reverse_proxy web:80"),
    "an import": ("a {\n\timport sites/*\n}\n", ["proxy_upstream_missing"], "import sites/*"),
    "a placeholder": ("a {\n\treverse_proxy {$APP}\n}\n", ["proxy_upstream_missing"], "reverse_proxy {$APP}"),
    "TLS": ("a {\n\treverse_proxy https://app:3000\n}\n", ["proxy_unsupported"], "(line 2) speaks https"),
    "TLS by transport": ("a {\n\treverse_proxy app:3000 {\n\t\ttransport http {\n\t\t\ttls_insecure_skip_verify\n\t\t}\n\t}\n}\n",
                         ["proxy_unsupported"], "TLS"),
    "h2c": ("a {\n\treverse_proxy h2c://app:3000\n}\n", ["proxy_unsupported"], "h2c"),
    "FastCGI": ("a {\n\treverse_proxy app:3000 {\n\t\ttransport fastcgi\n\t}\n}\n", ["proxy_unsupported"], "fastcgi"),
    "no admin interface": ("{\n\tadmin off\n}\na {\n\treverse_proxy app:3000\n}\n", ["proxy_unsupported"], "line 2 has admin off"),
    "JSON": ('{"apps": {"http": {}}}', ["proxy_unsupported"], "is JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "codes", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_taken_is_named(caddy, text, codes, words):
    seen, message = caddy.refused(text, APP)
    assert seen == codes and words in message


def test_ways_past_the_edge_are_noted(caddy):
    text = "a {\n\treverse_proxy app:3000 app:3001\n}\nb {\n\treverse_proxy app:3001\n\tforward_auth app:3000 {\n\t\turi /auth\n\t}\n}\n"
    assert [note.message.split(" in ")[0] for note in caddy.plan(text, **APP).notes] == ["reverse_proxy", "forward_auth"]


def test_how_long_it_waits_for_an_answer(caddy):
    text = "a {\n\treverse_proxy app:3000 {\n\t\ttransport http {\n\t\t\tresponse_header_timeout 1m30s\n\t\t}\n\t}\n}\n"
    assert caddy.plan(text, **APP).timeout == 90
    assert caddy.plan("a {\n\treverse_proxy app:3000\n}\n", **APP).timeout is None


def test_rules_that_judge_addresses(caddy):
    rules = caddy.driver.address_rules
    assert rules("a {\n\t@out not remote_ip 10.0.0.0/8\n\tabort @out\n}\n") == ("remote_ip",)
    assert rules("{\n\tservers {\n\t\ttrusted_proxies static 10.0.0.2\n\t}\n}\na {\n\t@out client_ip 10.0.0.0/8\n}\n") == ()
    assert rules("a {\n\treverse_proxy app:3000 # remote_ip\n}\n") == ()
