# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traefik's dynamic files: the servers of a service, in YAML and TOML. The edge goes in, and the file comes back byte for byte."""

from __future__ import annotations

import pytest
import yaml

try:
    import tomllib
except ImportError:
    tomllib = None

APP = {"app": "edge:18080"}
URL = {"servers": [{"url": "http://edge:18080"}]}
ROUTER = "  routers:\n    app:\n      rule: Host(`hub.example.org`)\n      service: app\n      tls: {}\n"

FILES = {
    "usual": ("http:\n" + ROUTER + "  services:\n    app:\n      loadBalancer:\n        servers:\n          - url: http://backend:3000\n", URL),
    "services first": ("http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n          - url: http://backend:3000\n" + ROUTER, URL),
    "no newline at the end": ("http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n        - url: \"http://backend:3000/\"", URL),
    "carriage returns": ("http:\r\n  services:\r\n    app:\r\n      loadBalancer:\r\n        servers:\r\n          - url: http://backend:3000\r\n", URL),
    "list as deep as its key": ("http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n        - url: http://backend:3000\n"
                                "        passHostHeader: true\n",
                                {**URL, "passHostHeader": True}),
    "several and weights": ("http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n          - url: http://backend:3000\n            weight: 2\n"
                            "          # spare\n          - url: http://spare:3000\n        sticky:\n          cookie:\n            name: srv\n",
                            {**URL, "sticky": {"cookie": {"name": "srv"}}}),
    "checks": ("http:\n  services:\n    app:\n      loadBalancer:\n        healthCheck:\n          path: /up\n          interval: 2s\n          headers:\n"
               "            X-A: b\n        servers:\n          - url: http://backend:3000\n        passiveHealthCheck:\n"
               "          maxFailedAttempts: 1\n", URL),
    "neighbours": ("http:\n  services:\n    web:\n      loadBalancer:\n        servers:\n          - url: http://web:80\n\n    app:\n      # ours\n"
                   "      loadBalancer:\n        servers:\n          - url: http://backend:3000 # here\n\n    api:\n      loadBalancer:\n        servers:\n"
                   "          - url: http://api:80\ntls:\n  options: {}\n", URL),
    "quoted keys and a comment above": ("# app\n\"http\":\n  'services':\n    \"app\":\n      loadBalancer:\n        servers:\n"
                                        "          - url: 'http://backend:3000'\n", URL),
    "lower case": ("http:\n  services:\n    app:\n      loadbalancer:\n        servers:\n          - url: http://backend:3000\n"
                   "        healthcheck:\n          path: /\n", URL),
    "flow list": ("http:\n  services:\n    app:\n      loadBalancer:\n        servers: [{url: \"http://backend:3000\"}, {url: \"http://b:1\"}]\n", URL),
    "a template elsewhere": ("{{ if true }}\nhttp:\n{{ end }}\n  services:\n    app:\n      loadBalancer:\n        servers:\n"
                             "          - url: http://backend:3000\n", None),
}  # fmt: skip

TOML = {
    "usual": ("[http.routers.app]\n  rule = \"Host(`hub.example.org`)\"\n  service = \"app\"\n\n[http.services.app.loadBalancer]\n"
              "  [[http.services.app.loadBalancer.servers]]\n    url = \"http://backend:3000\"\n", URL),
    "nested headers": ("[http]\n  [http.services]\n    [http.services.app]\n      [http.services.app.loadBalancer]\n"
                       "        [[http.services.app.loadBalancer.servers]]\n          url = \"http://backend:3000\"\n", URL),
    "several, checks, neighbours": (
        "[[http.services.app.loadBalancer.servers]]\nurl = 'http://backend:3000'\n\n[[http.services.app.loadBalancer.servers]]\nurl = \"http://b:1\"\n"
        "[http.services.app.loadBalancer.healthCheck]\npath = \"/up\"\n[http.services.app.loadBalancer.healthCheck.headers]\nX-A = \"b\"\n\n"
        "[http.services.app.loadBalancer.sticky.cookie]\nname = \"srv\"\n[[http.services.web.loadBalancer.servers]]\nurl = \"http://web:80\"",
        {**URL, "sticky": {"cookie": {"name": "srv"}}},
    ),
    "a quoted name": ("[http.services.\"app\".loadBalancer]\npassHostHeader = true\n[[http.services.\"app\".loadBalancer.servers]]\n"
                      "url = \"http://backend:3000\"\n",
                      {**URL, "passHostHeader": True}),
}  # fmt: skip


def balancer(tree):
    service = tree["http"]["services"]["app"]
    return service.get("loadBalancer") or service["loadbalancer"]


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES.keys())
def test_yaml_there_and_back(editor, text, expected):
    inserted = editor("traefik", "/etc/traefik/dynamic/hub.yml").insert(text, APP)
    assert 'url: "http://edge:18080"' in inserted
    if expected:
        assert balancer(yaml.safe_load(inserted)) == expected
        before, after = yaml.safe_load(text), yaml.safe_load(inserted)
        for tree in (before, after):
            del tree["http"]["services"]["app"]
        assert before == after, "nothing else is changed"


@pytest.mark.parametrize(("text", "expected"), TOML.values(), ids=TOML.keys())
def test_toml_there_and_back(editor, text, expected):
    inserted = editor("traefik", "/etc/traefik/dynamic/hub.toml").insert(text, {"app@file": "edge:18080"})
    if tomllib:
        assert balancer(tomllib.loads(inserted)) == expected
    assert inserted.count('url = "http://edge:18080"') == 1


SERVICE = "http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n          - url: %s\n"
REFUSED = {
    "nothing": ("", APP, ["proxy_upstream_missing"], "http.services.app"),
    "another": (SERVICE.replace("app:", "web:") % "http://a:1", APP, ["proxy_upstream_missing"], "It has web"),
    "only routers": ("http:\n" + ROUTER, APP, ["proxy_upstream_missing"], "http.services.app"),
    "of tcp": ("tcp:\n  services:\n    app:\n      loadBalancer:\n        servers:\n          - address: a:1\n", APP,
               ["proxy_upstream_missing"], "http.services"),
    "weighted": ("http:\n  services:\n    app:\n      weighted:\n        services:\n          - name: a\n", APP, ["proxy_upstream_missing"], "loadBalancer"),
    "flow": ("http: {services: {app: {loadBalancer: {servers: [{url: \"http://a:1\"}]}}}}\n", APP, ["proxy_upstream_missing"], "block style"),
    "an anchor": ("x: &lb\n  servers: []\nhttp:\n  services:\n    app:\n      loadBalancer: *lb\n", APP, ["proxy_upstream_missing"], "block style"),
    "TLS": (SERVICE % "https://a:1", APP, ["proxy_unsupported"], "(line 5) speaks https"),
    "h2c": (SERVICE % "h2c://a:1", APP, ["proxy_unsupported"], "h2c"),
    "Host of the server": (SERVICE % "http://a:1" + "        passHostHeader: false\n", APP, ["proxy_unsupported"], "line 7"),
    "a path that is kept": (SERVICE % "http://a:1/x" + "            preservePath: true\n", APP, ["proxy_unsupported"], "preservePath"),
    "a template": (SERVICE % "http://a:1" + "          {{ range . }}\n          - url: http://x\n          {{ end }}\n", APP,
                   ["proxy_unsupported"], "template"),
    "a url from a template": (SERVICE % "'{{ env `APP` }}'", APP, ["proxy_unsupported"], "url from a template"),
    "twice": (SERVICE % "http://a:1" + "    app:\n      loadBalancer:\n        servers:\n          - url: http://b:1\n", APP,
              ["proxy_unsupported"], "line 5 and line 9"),
    "a socket": (SERVICE % "http://a:1", {"app": "unix:/run/e"}, ["proxy_unsupported"], "unix sockets"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "upstreams", "codes", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_taken_is_named(editor, text, upstreams, codes, words):
    seen, message = editor("traefik", "/etc/traefik/dynamic/hub.yml").refused(text, upstreams)
    assert seen == codes and words in message


def test_ways_past_the_edge_are_noted(editor):
    text = SERVICE % "http://a:1" + "    cable:\n      loadBalancer:\n        servers:\n          - url: http://a:1/\n"
    notes = editor("traefik", "/x.yml").plan(text, **APP).notes
    assert [note.code for note in notes] == ["proxy_bypass"] and "Service cable" in notes[0].message


def test_rules_that_judge_addresses(editor):
    rules = editor("traefik", "/x.yml").driver.address_rules
    assert rules("http:\n  middlewares:\n    in:\n      ipAllowList:\n        sourceRange: [10.0.0.0/8]\n") == ("ipAllowList",)
    assert rules("http:\n  middlewares:\n    in:\n      ipAllowList:\n        ipStrategy: {depth: 1}\n") == ()
