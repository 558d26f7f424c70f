# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every type of check against a real server, right and wrong in each way that a server can be."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.checkers import CHECKERS
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.gates import Tools, run_gates
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed

HOSTNAME = "hub.bowline.test"


def run(check, check_mode=False):
    tools = Tools(lambda *_arguments, **_options: None)
    return run_gates([{"name": "it", **check}], CHECKERS, tools, check_mode=check_mode)


def evidence(check):
    return run(check)["checks"][0]["evidence"]


def finding(check):
    with pytest.raises(FleetError) as failure:
        run(check)
    assert failure.value.code == "check_failed"
    return failure.value.message


@pytest.fixture
def page(servers):
    return lambda path, **keys: {"type": "http", "url": f"http://127.0.0.1:{servers['http']}{path}", **keys}


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/up", {}),
        ("/up", {"json": {"status": "ok", "checks": {"db": True}}, "headers": {"x-served-by": "target"}, "max_ms": 2000}),
        ("/", {"headers": {"Content-Type": "text/html"}, "body_contains": "<title>Hub</title>"}),
        ("/nothing", {"status": [404, 410]}),
        ("/nothing", {"status": "404"}),
        ("/empty", {}),
    ],
)
def test_http_as_wanted(app, page, path, keys):
    assert evidence(page(path, **keys))["status"] in (200, 404)


@pytest.mark.parametrize(
    ("path", "keys", "said"),
    [
        ("/nothing", {}, "status 404 was seen, 200 is wanted"),
        ("/up", {"json": {"checks": {"db": 1}}}, "json.checks.db true was seen, 1 is wanted"),
        ("/up", {"json": {"checks": {"lag": None}}}, "json.checks.lag 0 was seen, null is wanted"),
        ("/up", {"json": {"gone": "x"}}, "json.gone null was seen"),
        ("/up", {"json": []}, "json {"),
        ("/", {"json": {}}, "is no JSON"),
        ("/empty", {"json": {}}, "is no JSON"),
        ("/empty", {"body_contains": "Hub"}, "the body (0 bytes) lacks 'Hub'"),
        ("/", {"headers": {"Content-Type": "text"}}, "header Content-Type"),
        ("/", {"headers": {"X-None": "1"}}, "header X-None None was seen"),
        ("/slow", {"max_ms": 100}, "at most 100 is wanted"),
        ("/slow", {"timeout": 0.1}, "timed out"),
        ("/trickle", {"timeout": 0.3}, "did not end in time"),
        ("/broken", {}, "broke off"),
        ("/garbage", {}, "no HTTP answer"),
    ],
)
def test_http_that_must_not_pass(app, page, path, keys, said):
    assert said in finding(page(path, **keys))


def test_http_refused_connection_and_bad_address(closed_port):
    assert "Connection refused" in finding({"type": "http", "url": f"http://127.0.0.1:{closed_port}/"})
    assert "is no http or https address" in finding({"type": "http", "url": "ftp://127.0.0.1/"})


def test_http_that_becomes_true(app, page):
    app.down = 3
    assert evidence(page("/up", wait_timeout=5, interval=0.01, repeat=2))["attempts"] == 4


def test_https_goes_elsewhere_and_keeps_name_and_certificate(app, servers, certificates):
    check = {
        "type": "http",
        "url": f"https://{HOSTNAME}/host",
        "connect_to": f"127.0.0.1:{servers['https']}",
        "ca_file": str(certificates.ca),
    }
    assert evidence({**check, "body_contains": HOSTNAME})["status"] == 200
    assert "certificate verify failed" in finding({**check, "ca_file": str(certificates.foreign)})
    assert "certificate verify failed" in finding({**check, "url": "https://else.bowline.test/host"})
    assert "certificate verify failed" in finding({key: value for key, value in check.items() if key != "ca_file"})
    assert "No such file" in finding({**check, "ca_file": "/nowhere/ca.pem"})


def test_free(servers, closed_port):
    assert evidence({"type": "free", "host": "127.0.0.1", "port": closed_port}) == {"listening": False}
    assert "answers, and nobody may" in finding({"type": "free", "host": "127.0.0.1", "port": servers["http"]})


@pytest.mark.parametrize("rc", [0, 3])
def test_a_port_may_be_held_by_its_unit(servers, rc):
    asked = []

    def systemctl(argv, **_options):
        asked.append(argv)
        return Completed(rc, "", "")

    checks = [{"name": "it", "type": "free", "host": "127.0.0.1", "port": servers["http"], "unit": "web.service"}]
    if rc == 0:
        assert run_gates(checks, CHECKERS, Tools(systemctl))["checks"][0]["evidence"] == {"listening": True, "active": True}
    else:
        with pytest.raises(FleetError, match="web.service, which may, is not active"):
            run_gates(checks, CHECKERS, Tools(systemctl))
    assert asked == [["systemctl", "is-active", "--quiet", "--", "web.service"]]


def test_tcp(servers, closed_port):
    assert evidence({"type": "tcp", "host": "127.0.0.1", "port": servers["http"]})["port"] == servers["http"]
    assert "Connection refused" in finding({"type": "tcp", "host": "127.0.0.1", "port": closed_port})


def test_tls(servers, certificates):
    check = {"type": "tls", "host": "127.0.0.1", "port": servers["https"], "hostname": HOSTNAME, "ca_file": str(certificates.ca)}
    assert evidence(check)["days"] in (19, 20)
    assert "20.0 days, 30 are wanted" in finding({**check, "min_days": 30})
    assert "7.0 days, 14 are wanted" in finding({**check, "port": servers["short"]})
    assert evidence({**check, "port": servers["short"], "min_days": 5})["days"] in (6, 7)
    assert "IP address mismatch" in finding({**check, "hostname": "127.0.0.1"})
    assert "unable to get local issuer" in finding({**check, "ca_file": str(certificates.foreign)})
    assert "SSL" in finding({**check, "port": servers["http"]})


def mutation(port, **wrong):
    return {
        "type": "exchange",
        "url": f"http://127.0.0.1:{port}",
        "requests": [
            {"url": "/ledger", "method": "POST", "body": {"key": "smoke-{unique}", "amount": 1}, "status": 201},
            {"url": "/ledger/smoke-{unique}", "json": {"key": "smoke-{unique}", "amount": 1, **wrong}},
            {"url": "/up"},
            {"url": "/ledger/smoke-{unique}", "method": "DELETE", "status": 204, "cleanup": True},
        ],
    }


def test_exchange_leaves_nothing(app, servers):
    first, second = (evidence(mutation(servers["http"]))["requests"] for _turn in range(2))
    assert [entry["status"] for entry in first] == [201, 200, 200, 204]
    assert first[1]["url"] != second[1]["url"], "every run has its own token"
    assert app.ledger == {}


def test_exchange_that_fails_cleans_up_and_stops(app, servers):
    with pytest.raises(FleetError) as failure:
        run(mutation(servers["http"], amount=2))
    assert "GET /ledger/smoke-{unique}: json.amount 1 was seen, 2 is wanted" in failure.value.message
    assert [entry["status"] for entry in failure.value.details["checks"][0]["evidence"]["requests"]] == [201, 200, None, 204]
    assert app.ledger == {}


def test_exchange_whose_cleanup_fails_has_failed(app, servers):
    check = mutation(servers["http"])
    check["requests"][-1]["url"] = "/ledger/else"
    assert "DELETE /ledger/else: status 404 was seen" in finding(check)


def test_exchange_that_writes_is_only_planned_in_check_mode(app, servers):
    done = run(mutation(servers["http"]), check_mode=True)
    assert (done["planned"], done["passed"], app.writes) == (["it"], 0, [])


def test_login_keeps_cookie_and_token_and_shows_neither(app, servers, tmp_path):
    (tmp_path / "password").write_text("canary-password\n", encoding="utf-8")
    check = {
        "name": "login",
        "type": "exchange",
        "url": f"http://127.0.0.1:{servers['http']}",
        "secret_files": {"password": str(tmp_path / "password")},
        "requests": [
            {"url": "/login", "method": "POST", "body": {"user": "smoke", "password": "{password}"}, "save": {"token": "auth.token"}},
            {"url": "/me", "request_headers": {"Authorization": "Bearer {token}"}},
        ],
    }
    tools = Tools(lambda *_arguments, **_options: None)
    done = run_gates([check], CHECKERS, tools)
    assert done["passed"] == 1
    for canary in ("canary-password", "long-lived-token-1", "abc"):
        assert canary not in json.dumps(done)
    assert tools.secrets == ["canary-password", "long-lived-token-1"]
    check["requests"][0]["save"] = {"token": "auth.gone"}
    assert "the answer holds no auth.gone" in finding(check)
    check["secret_files"] = {"password": str(tmp_path / "gone")}
    assert "No such file" in finding(check)


def database(port, **keys):
    return {"type": "postgres", "host": "127.0.0.1", "port": port, "dbname": "hub", "user": "fenced", "sslmode": "disable", **keys}


def test_postgres(postgres, closed_port, tmp_path):
    seen = evidence(database(postgres, user="postgres", read_write=True))
    assert evidence(database(postgres, user="postgres", version=int(seen["version"].split(".")[0])))
    assert evidence(database(postgres, user="postgres", version=seen["version"]))
    assert "9 is wanted" in finding(database(postgres, version=9))
    assert evidence(database(postgres, read_write=False))["read_write"] is False
    assert "the database is read-only, read-write is wanted" in finding(database(postgres, read_write=True))
    assert "the database is read-write, read-only is wanted" in finding(database(postgres, user="postgres", read_write=False))
    assert "Connection refused" in finding(database(closed_port))
    assert "does not exist" in finding(database(postgres, dbname="gone"))


def test_postgres_password_comes_from_a_file(postgres, tmp_path):
    passfile = tmp_path / "pass"
    passfile.write_text("*:*:*:*:canary-database\n", encoding="utf-8")
    passfile.chmod(0o600)
    assert evidence(database(postgres, user="hub", passfile=str(passfile), read_write=True))["read_write"] is True
    passfile.write_text("*:*:*:*:canary-wrong\n", encoding="utf-8")
    said = finding(database(postgres, user="hub", passfile=str(passfile)))
    assert "password authentication failed" in said and "canary" not in said


def test_disk_is_judged_by_what_holds_a_path_that_does_not_exist_yet(tmp_path):
    seen = evidence({"type": "disk", "path": str(tmp_path / "not" / "there"), "free_bytes": 1})
    assert seen["directory"] == str(tmp_path)
    assert seen["free_bytes"] > 0
    assert "MB are wanted" in finding({"type": "disk", "path": str(tmp_path), "free_bytes": seen["free_bytes"] * 1000})
