# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx: upstream blocks and plain proxy_pass. The edge goes in, and the file comes back byte for byte."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies import nginx_text

APP = {"app": "edge:18080"}
PLAIN = {"app:3000": "edge:18080"}

# As people publish them: what is typed on the first evening, what generators write, what grew over years.
UPSTREAMS = {
    "one line": "upstream app { server backend:3000; }\n",
    "usual": "http {\n  upstream app {\n    least_conn;\n    server backend:3000 max_fails=0;\n    server spare:3000 backup;\n    keepalive 16;\n  }\n}\n",
    "comments": "# upstream app { server no:1; }\nupstream app {\n    # server old:1;\n    server backend:3000; # the } one\n}\n",
    "quotes": "log_format x 'upstream app { server no:1; }';\nupstream app{server backend:3000;}",
    "carriage returns": "upstream app {\r\n    server backend:3000;\r\n}\r\n",
    "no newline at the end": "upstream  app\n{\n\tserver unix:/run/app#1.sock;\n}",
    "neighbours": "upstream app2 { server other:1; }\nupstream app { server backend:3000; }\nupstream web { server frontend:80; }\n",
    "tricky body": "upstream app {\n#| server looks:1;\n\n\n    server backend:3000;\n\n}\n",
    "balancing": "upstream app {\n    zone app 64k;\n    ip_hash;\n    sticky cookie srv_id;\n    server backend:3000;\n    server backend:3001;\n}\n",
    "docker, resolved at run time": "upstream app {\n  resolver 127.0.0.11 valid=5s;\n  zone app 64k;\n  server backend:3000 resolve;\n}\n",
    "rails": "upstream app {\n  server unix:/srv/app/shared/sockets/puma.sock fail_timeout=0;\n}\nserver {\n  listen 80;\n"
    "  location @rails { proxy_pass http://app; }\n}\n",
    "include": "upstream app {\n    server backend:3000;\n    include /etc/nginx/more.servers;\n    keepalive 8;\n}\n",
    "include alone": "upstream app {\n    include /etc/nginx/app.servers;\n}\n",
    "lua beside": "init_by_lua_block { local t = { a = 1 } }\nupstream app { server backend:3000; }\n",
    "a map with braces": 'map $uri $x { "~^/a{1,2}" 1; default 0; }\nupstream app { server backend:3000; }\nlog_format j "{${x}}";\n',
    "text of bytes": "upstream app { server backend:3000; } # caf\udce9\n",
}


@pytest.fixture
def nginx(editor):
    return editor("nginx", "/etc/nginx/conf.d/site.conf")


@pytest.mark.parametrize("text", UPSTREAMS.values(), ids=UPSTREAMS.keys())
def test_an_upstream_there_and_back(nginx, text):
    active = nginx.active(text, APP)
    assert "server edge:18080;" in active
    assert "backend" not in active.replace("'upstream app { server no:1; }'", "") and "spare" not in active and "include" not in active
    assert nginx.insert(text, {"app": "unix:/run/edge/app"}).count("server unix:/run/edge/app;") == 1


def test_only_named_upstreams_change_and_keepalive_stays_behind_the_server(nginx):
    text = UPSTREAMS["usual"] + UPSTREAMS["neighbours"].replace("app {", "third {")
    active = nginx.active(text, {"app": "edge:1", "web": "edge:2"})
    assert "upstream app { server edge:1; keepalive 16; }" in active
    assert "upstream web { server edge:2; }" in active
    assert "server other:1;" in active and "upstream third { server backend:3000; }" in active


SERVER = "server {\n    listen 443 ssl;\n    server_name hub.example.org;\n    location / {\n        %s\n    }\n}\n"
HOST = "proxy_set_header Host $host;"
PASSES = {
    "plain": (SERVER % f"{HOST} proxy_pass http://app:3000;", "proxy_pass http://edge:18080;"),
    "a path": (SERVER % f"{HOST} proxy_pass http://app:3000/api/;", "proxy_pass http://edge:18080/api/;"),
    "quoted": (SERVER % f'{HOST} proxy_pass "http://app:3000";', "proxy_pass http://edge:18080;"),
    "the whole file": ("events {}\nhttp {\n" + SERVER % f"{HOST} proxy_pass http://app:3000;" + "}\n", "proxy_pass http://edge:18080;"),
    "a captured path": ("server { location ~ ^/a/(.*)$ { %s proxy_pass http://app:3000/$1$is_args$args; } }\n" % HOST,
                        "set $bowline_edge edge:18080; proxy_pass http://$bowline_edge/$1$is_args$args;"),
    "variables, as linuxserver's images have it": (
        SERVER % "include /config/nginx/proxy.conf;\n        set $upstream_app app;\n        set $upstream_port 3000;\n        set $upstream_proto http;\n"
        "        proxy_pass $upstream_proto://$upstream_app:$upstream_port;",
        "set $bowline_edge edge:18080; proxy_pass http://$bowline_edge;",
    ),
    "a variable with the scheme": ("server { resolver 127.0.0.11; set $up http://app:3000; location / { %s proxy_pass $up; } }\n" % HOST,
                                   "set $bowline_edge edge:18080; proxy_pass http://$bowline_edge;"),
    "a variable and a path": ("server { set $up app:3000; location / { %s proxy_pass http://$up/x; } }\n" % HOST,
                              "set $bowline_edge edge:18080; proxy_pass http://$bowline_edge/x;"),
    "Host from the level above": (f"server {{ {HOST} location / {{ proxy_pass http://app:3000; }} }}\n", "location / { proxy_pass http://edge:18080; }"),
    "an include that may set Host": (SERVER % "include proxy_params; proxy_pass http://app:3000;", "include proxy_params; proxy_pass http://edge:18080;"),
    # What nginx derives from the address, the application and the client go on seeing.
    "no Host at all": ("server { location / { proxy_pass http://app:3000; } }\n",
                       "proxy_pass http://edge:18080; proxy_set_header Host app:3000; proxy_redirect http://app:3000/ /; proxy_redirect default;"),
    "no Host and a path": ("server { location /two/ { proxy_pass http://app:3000/one/; } }\n",
                           "proxy_set_header Host app:3000; proxy_redirect http://app:3000/one/ /two/; proxy_redirect default;"),
    "headers above without Host": ('server { proxy_set_header X-A "a;b"; location / { proxy_pass http://app:3000; } }\n',
                                   'proxy_pass http://edge:18080; proxy_set_header X-A "a;b"; proxy_set_header Host app:3000;'),
    "$proxy_host": ("server { location / { proxy_set_header Host $proxy_host; proxy_pass http://app:3000; } }\n",
                    "location / { proxy_pass http://edge:18080; proxy_set_header Host app:3000;"),
    "redirects of its own": ("server { proxy_redirect off; location / { proxy_pass http://app:3000; } }\n",
                             "proxy_pass http://edge:18080; proxy_set_header Host app:3000; }"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PASSES.values(), ids=PASSES.keys())
def test_a_plain_address_there_and_back(nginx, text, expected):
    active = nginx.active(text, PLAIN)
    assert expected in active
    assert "http://app:3000" not in active.replace("proxy_redirect http://app:3000", "").replace("set $up http://app:3000", "")


def test_every_place_with_the_address_is_taken_and_a_default_port_is_one(nginx):
    text = f"server {{ {HOST} location / {{ proxy_pass http://app; }}\n"
    text += " location /a { proxy_pass http://app:80/a; } location /b { proxy_pass http://b; } }\n"
    active = nginx.active(text, {"app": "edge:1"})
    assert active.count("http://edge:1") == 2 and "http://edge:1/a" in active and "http://b" in active


def test_a_unix_socket_is_replaced_and_can_replace(nginx):
    text = f"server {{ {HOST} location / {{ proxy_pass http://unix:/run/app.sock:/x/; }} }}\n"
    assert "proxy_pass http://edge:1/x/;" in nginx.active(text, {"unix:/run/app.sock": "edge:1"})
    assert "proxy_pass http://unix:/run/e:/x/;" in nginx.active(text, {"unix:/run/app.sock": "unix:/run/e"})


def test_what_an_include_sets_is_read_where_nginx_tells_its_files(nginx):
    text = SERVER % "include proxy_params; proxy_pass http://app:3000;"
    assert "Host app" not in nginx.active(text, PLAIN, files={"/etc/nginx/proxy_params": HOST})
    assert 'proxy_set_header X-A 1; proxy_set_header Host app:3000;' in nginx.active(
        "server { include other; location / { proxy_pass http://app:3000; } }\n", PLAIN, files={"/etc/nginx/other": "proxy_set_header X-A 1;"}
    )


REFUSED = {
    "nothing": ("", ["proxy_upstream_missing"] * 2, "has no"),
    "another name": ("upstream apps { server a:1; }", ["proxy_upstream_missing"] * 2, "It has upstream apps"),
    "a comment": ("# upstream app { server a:1; }", ["proxy_upstream_missing"] * 2, "has no"),
    "only an include": ("http { include sites/*; }", ["proxy_upstream_missing"] * 2, "include sites/*"),
    "no server": ("upstream app { } upstream web { server a:1; }", ["proxy_unsupported"], "no server"),
    "a balancer in lua": ("upstream app { balancer_by_lua_block { x } server a:1; }\nupstream web { server a:1; }", ["proxy_unsupported"], "a block"),
    "twice": ("upstream app { server a:1; }\nupstream app { server a:1; }\nupstream web { server b:1; }", ["proxy_unsupported"], "line 1 and line 2"),
    "of stream": ("stream { upstream app { server a:1; } }\nupstream web { server b:1; }", ["proxy_unsupported"], "not of http"),
    "TLS to the application": ("upstream app { server a:1; } server { location / { proxy_pass https://app; } }\nupstream web { server b:1; }",
                               ["proxy_unsupported"], "proxy_pass https://app (line 1)"),
    "gRPC": ("upstream app { server a:1; } server { location / { grpc_pass grpc://app; } }\nupstream web { server b:1; }", ["proxy_unsupported"], "gRPC"),
    "a text over lines": ("log_format x 'a\nb'; upstream app { server a:1; }\nupstream web { server b:1; }", ["proxy_unsupported"], "line 2 is shared"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "codes", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_taken_is_named_with_all_others(nginx, text, codes, words):
    seen, message = nginx.refused(text, {"app": "edge:1", "web": "edge:2"})
    assert seen == codes and words in message


@pytest.mark.parametrize(
    ("line", "spoken"),
    [("proxy_pass https://app:3000;", "TLS"), ("uwsgi_pass app:3000;", "uwsgi"), ("fastcgi_pass app:3000;", "FastCGI"), ("grpc_pass grpc://app:3000;", "gRPC")],
)
def test_another_protocol_to_a_plain_address_is_refused(nginx, line, spoken):
    codes, message = nginx.refused(SERVER % line, PLAIN)
    assert codes == ["proxy_unsupported"] and spoken in message and "line 5" in message


def test_tls_in_another_file_is_seen(nginx):
    files = {"/etc/nginx/sites/a": "server { location / { proxy_pass https://app; } }"}
    codes, message = nginx.refused("upstream app { server a:1; }", APP, files=files)
    assert codes == ["proxy_unsupported"] and "/etc/nginx/sites/a line 1" in message


def test_ways_past_the_edge_are_noted(nginx):
    text = "upstream app { server backend:3000; }\nupstream cable { server backend:3000; }\nserver { location /x { proxy_pass http://backend:3000; } }\n"
    notes = nginx.plan(text, app="edge:1").notes
    assert [(note.code, note.name) for note in notes] == [("proxy_bypass", "app")] * 2
    assert "upstream cable (line 2)" in notes[0].message and "line 3" in notes[1].message
    assert nginx.plan(text, **{"app": "edge:1", "cable": "edge:1", "backend:3000": "edge:1"}).notes == ()
    site = {"/etc/nginx/site.conf": "server { location / { proxy_pass http://app; } location /x { proxy_pass http://backend:3000; } }"}
    for upstream in ("upstream app { server backend:3000; }", "upstream app { include app.servers; }"):
        noted = [note.message for note in nginx.plan(upstream, site, **APP).notes]
        assert len(noted) == ("backend" in upstream) and all("site.conf line 1" in message and "backend:3000" in message for message in noted)
    other = nginx.plan(SERVER % "proxy_pass http://app:3000;", {"/x.conf": "server { location / { proxy_pass http://app:3000; } }"}, **PLAIN).notes
    assert len(other) == 1 and "/x.conf line 1" in other[0].message


TIMEOUTS = {
    "default": ("upstream app { server a:1; } server { location / { proxy_pass http://app; } }", {}, 60),
    "nearest": ("upstream app { server a:1; } server { proxy_read_timeout 1h; location / { proxy_read_timeout 3s; proxy_pass http://app; } }", {}, 3),
    "the shortest": ("upstream app { server a:1; } server { proxy_read_timeout 5m; location / { proxy_pass http://app; }"
                     " location /a { proxy_read_timeout 500ms; proxy_pass http://app; } }", {}, 0.5),
    "of another file": ("upstream app { server a:1; } server { location / { proxy_pass http://app; } }", {"/n": "http { proxy_read_timeout 1m30s; }"}, 90),
    "included": ("upstream app { server a:1; } server { location / { include p; proxy_pass http://app; } }", {"/etc/p": "proxy_read_timeout 7;"}, 7),
}  # fmt: skip


@pytest.mark.parametrize(("text", "files", "seconds"), TIMEOUTS.values(), ids=TIMEOUTS.keys())
def test_how_long_it_waits_for_an_answer(nginx, text, files, seconds):
    assert nginx.plan(text, files, **APP).timeout == seconds


def test_rules_that_judge_addresses(nginx):
    rules = nginx.driver.address_rules
    assert rules("location / { allow 10.0.0.0/8; deny all; }") == ("allow",)
    assert rules("deny 1.2.3.4; geo $x { default 0; } # limit_req x;") == ("deny", "geo")
    assert rules("allow 10.0.0.0/8; real_ip_header X-Forwarded-For;") == ()
    assert rules("location / { deny all; }") == ()


def test_the_files_of_a_dump():
    dump = "nginx: ok\n# configuration file /a:\nuser x;\n\n# configuration file /b/c:\ninclude /a;\n"
    assert nginx_text.dumped(dump) == {"/a": "user x;\n\n", "/b/c": "include /a;\n"}
