# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxies of this machine a cutover's test holds against the cutover: its own ones, and a door to the lab's containers."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.tests.loading import load

CUTOVER = Path(__file__).resolve().parents[2] / "cutover"
SUBNETS = [ipaddress.IPv4Network("10.78.10.0/24"), ipaddress.IPv4Network("10.78.11.0/24")]


@pytest.fixture(scope="module")
def sockets():
    return load(CUTOVER / "sockets.py", "bowline_cutover_sockets")


@pytest.fixture
def started():
    """Starts a process with a command line; it says that it runs, and waits to be ended."""
    processes = []

    def start(*words):
        argv = [sys.executable, "-c", "import sys; print(); sys.stdout.flush(); sys.stdin.read()", *words]
        processes.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert processes[-1].stdout.readline() == b"\n"
        return processes[-1]

    yield start
    for process in processes:
        process.communicate()


@pytest.mark.parametrize(("words", "leads"), [
    pytest.param(["haproxy", "-W", "-db", "-f", "/var/lib/bowline/edge-hub/haproxy.cfg"], True, id="an edge that listens on the host"),
    pytest.param(["haproxy", "-W", "-db", "-f", "/tmp/pytest-of-root/pytest-1/haproxy.cfg"], False, id="the edge of another test"),
    pytest.param(["docker-proxy", "-proto", "tcp", "-host-ip", "0.0.0.0", "-container-ip", "10.78.10.7", "-container-port", "18080"], True,
                 id="a published port of the lab"),
    pytest.param(["docker-proxy", "-proto", "tcp", "-host-ip", "0.0.0.0", "-container-ip", "172.17.0.2"], False, id="of somebody else"),
])
def test_only_what_leads_to_an_edge_is_met(sockets, started, words, leads):
    assert sockets.leads_to_an_edge(started(*words).pid, SUBNETS) is leads


def test_a_proxy_that_has_ended_leads_nowhere(sockets, started):
    process = started("haproxy", "-f", "/var/lib/bowline/edge-hub/haproxy.cfg")
    process.communicate()
    assert sockets.leads_to_an_edge(process.pid, SUBNETS) is False
