# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host is asked before anything is done to it, on this host: its programs, packages, accounts, locales, ports."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core import askers
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.gates import Tools, run_gates
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed


def runner(argv, *, env=None, stdin=None, timeout=None):
    known = {**os.environ, **(env or {})}
    done = subprocess.run(list(argv), capture_output=True, text=True, input=stdin, timeout=timeout, env=known, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


def ask(check):
    """The one check and its evidence; what was found, or "" when it passed."""
    try:
        (told,) = run_gates([{"name": "it", **check}], askers.ASKERS, Tools(runner), check_mode=True)["checks"]
    except FleetError as failure:
        (told,) = failure.details["checks"]
    return ", ".join(told["findings"]), told["evidence"]


@pytest.mark.parametrize(
    "check",
    [
        {"type": "account", "account": "root"},
        {"type": "account", "account": "root", "kind": "group"},
        {"type": "file", "path": "/etc/passwd"},
        {"type": "file", "path": "/etc", "kind": "directory"},
        {"type": "file", "path": "/dev/null", "kind": "any"},
        {"type": "package", "package": "dpkg"},
        {"type": "package", "package": "dpkg=1"},
        {"type": "program", "program": "sh"},
        {"type": "program", "program": "/bin/sh"},
        {"type": "python", "module": "json"},
        {"type": "locale", "locale": "C.UTF-8"},
        {"type": "locale", "locale": "POSIX"},
        {"type": "resolves", "host": "localhost"},
        {"type": "root"},
    ],
)
def test_what_is_there(check):
    assert ask(check)[0] == ""


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"type": "account", "account": "nowhere"}, "user nowhere does not exist"),
        ({"type": "account", "account": "nowhere", "kind": "group"}, "group nowhere does not exist"),
        ({"type": "file", "path": "/nowhere"}, "/nowhere does not exist"),
        ({"type": "file", "path": "/etc/passwd/x"}, "/etc/passwd/x does not exist"),
        ({"type": "file", "path": "/etc"}, "/etc is a directory, a file is wanted"),
        ({"type": "package", "package": "bowline-nowhere"}, "package bowline-nowhere is not installed, and apt knows no source of it"),
        ({"type": "program", "program": "/etc/passwd"}, "/etc/passwd is not there, or is no program"),
        ({"type": "python", "module": "nowhere"}, "has no module nowhere"),
        ({"type": "locale", "locale": "xx_XX.UTF-8"}, "locale xx_XX.UTF-8 is not there and cannot be made here"),
        ({"type": "resolves", "host": "nowhere.invalid"}, "nowhere.invalid does not resolve here"),
        ({"type": "resolves", "host": "x" * 64}, "does not resolve here: "),
        ({"type": "image", "image": "bowline-nowhere:1", "pull": "never"}, "image bowline-nowhere:1 is not on this host, and pull is never"),
    ],
)
def test_what_is_not(check, said):
    assert said in ask(check)[0]


def test_a_host_without_the_program_that_is_asked_says_so(monkeypatch):
    monkeypatch.setattr(askers, "_PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    assert ask({"type": "locale", "locale": "C"})[0].startswith("tool_missing: locale is not on this host")


def test_a_way_is_open_when_somebody_refuses_and_closed_when_nobody_does(servers, closed_port):
    assert ask({"type": "reach", "host": "127.0.0.1", "port": servers["http"]})[0] == ""
    assert ask({"type": "reach", "host": "127.0.0.1", "port": closed_port, "listening": False})[0] == ""
    said, evidence = ask({"type": "reach", "host": "127.0.0.1", "port": closed_port})
    assert (said, evidence["cause"]) == (f"nobody listens at 127.0.0.1 port {closed_port}", "refused")
    said, evidence = ask({"type": "reach", "host": "nowhere.invalid", "port": 1})
    assert evidence["cause"] == "name"
    with socket.socket() as full:
        # A listener whose queue is full drops what comes, as a firewall does (listen(2), backlog).
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with contextlib.ExitStack() as waiting:
            for _number in range(3):
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            said, evidence = ask({"type": "reach", "host": "127.0.0.1", "port": full.getsockname()[1], "timeout": 0.5, "listening": False})
    assert (evidence["cause"], "no answer" in said) == ("silent", True)


def test_a_postgresql_says_whether_it_speaks_tls(servers, postgres):
    said, evidence = ask({"type": "reach", "host": "127.0.0.1", "port": postgres, "postgres_tls": True})
    assert (said, evidence["cause"]) == ("the PostgreSQL there speaks no TLS", "no_tls")
    said, evidence = ask({"type": "reach", "host": "127.0.0.1", "port": servers["http"], "postgres_tls": True, "timeout": 0.5})
    assert (said, evidence["cause"]) == ("what listens there is no PostgreSQL", "stranger")


def test_one_of_the_certificates_holds_for_the_name(certificates):
    chains = [certificates.foreign.read_text(), certificates.good.read_text()]
    asked = {"type": "certificate", "chains": chains, "hostname": "hub.bowline.test", "ca_file": str(certificates.ca)}
    assert ask(asked)[0] == ""
    assert "hostname mismatch" in ask({**asked, "hostname": "other.bowline.test"})[0].lower()
    assert "self-signed" in ask({**asked, "ca_file": None})[0] or "unable to get" in ask({**asked, "ca_file": None})[0]
