# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.endpoint import Endpoint, options

FILES = {"ca_path": "/tls/ca.pem", "client_cert": "/tls/cert.pem", "client_key": "/tls/key.pem"}


def judged(given, env=None):
    return options(given, env or {}, exists=lambda path: path.startswith("/tls/"))


def refused(given, env=None):
    with pytest.raises(FleetError) as caught:
        judged(given, env)
    return caught.value


@pytest.mark.parametrize(
    ("given", "env", "endpoint"),
    [
        pytest.param({}, {}, Endpoint("unix:///var/run/docker.sock", "unix", "unix:///var/run/docker.sock"), id="the local socket"),
        pytest.param({}, {"DOCKER_HOST": "unix:///tmp/d.sock"}, Endpoint("unix:///tmp/d.sock", "unix", "unix:///tmp/d.sock"), id="DOCKER_HOST"),
        pytest.param({"docker_host": ["unix:///a"]}, {"DOCKER_HOST": "unix:///b"}, Endpoint("unix:///a", "unix", "unix:///a"), id="the option comes first"),
        pytest.param({"docker_host": "tcp://m1:2376", **FILES}, {}, Endpoint("tcp://m1:2376", "tls", "https://m1:2376", "m1", 2376), id="one as a text"),
        pytest.param({"docker_host": ["tcp://m1"], **FILES}, {}, Endpoint("tcp://m1", "tls", "https://m1:2376", "m1", 2376), id="the port of TLS"),
        pytest.param({"docker_host": ["tcp://[::2]:99"], **FILES}, {}, Endpoint("tcp://[::2]:99", "tls", "https://[::2]:99", "::2", 99), id="IPv6"),
        pytest.param({"docker_host": ["https://m1:443"]}, {}, Endpoint("https://m1:443", "tls", "https://m1:443", "m1", 443), id="a CA of the system"),
        pytest.param({"docker_host": ["ssh://ops@m1:2222"]}, {}, Endpoint("ssh://ops@m1:2222", "ssh", "ssh://ops@m1:2222", "m1", 2222), id="ssh"),
        pytest.param({"docker_host": ["tcp://m"], "allow_plaintext": True}, {}, Endpoint("tcp://m", "plain", "http://m:2375", "m", 2375), id="plain"),
    ],
)
def test_an_address_is_read_as_the_cli_reads_it(given, env, endpoint):
    assert judged(given, env).endpoints == (endpoint,)


def test_the_folder_of_certificates_counts_as_for_the_cli():
    """DOCKER_CERT_PATH with DOCKER_TLS_VERIFY; an option takes its place as a whole."""
    env = {"DOCKER_HOST": "tcp://m1:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/tls"}
    found = judged({}, env)
    assert (found.endpoints[0].kind, found.ca_path, found.client_cert, found.client_key) == ("tls", "/tls/ca.pem", "/tls/cert.pem", "/tls/key.pem")
    assert judged({"ca_path": "/tls/other.pem"}, env).client_cert == ""
    assert judged({"docker_host": ["unix:///a"]}, {"DOCKER_CERT_PATH": "/nowhere"}).ca_path == ""


@pytest.mark.parametrize("host", ["tcp://m1:2375", "http://m1", "tcp://10.0.0.1"])
def test_plain_tcp_is_refused_by_a_code_of_its_own(host):
    failure = refused({"docker_host": [host]})
    assert (failure.code, host in failure.message) == ("insecure_endpoint", True)
    # The remedy works.
    assert judged({"docker_host": [host.replace("http", "https")], **FILES}).endpoints[0].kind == "tls"
    assert judged({"docker_host": [host], "allow_plaintext": True}).endpoints[0].kind == "plain"


def test_all_findings_come_at_once():
    given = {
        "docker_host": ["m1:2376", "tcp://m2:99999", "unix://relative", "tcp://-oProxyCommand=x", "tcp://m3/path", "tcp://user:pw@m4"],
        "ca_path": "/nowhere/ca.pem",
        "client_cert": "/tls/cert.pem",
        "api_version": "1.40",
        "timeout": 0.5,
    }
    failure = refused(given)
    fields = [finding["field"] for finding in failure.details["findings"]]
    assert failure.code == "option_invalid"
    assert fields == ["docker_host"] * 6 + ["ca_path", "client_key", "api_version", "timeout"]
    assert all(finding["remedy"] for finding in failure.details["findings"])


@pytest.mark.parametrize("version", ["1.9", "1.40", "2", "latest", "1.41.0"])
def test_versions_are_compared_as_numbers(version):
    assert refused({"api_version": version}).code == "option_invalid"


@pytest.mark.parametrize("version", ["auto", "1.41", "1.100", "2.0"])
def test_versions_that_are_taken(version):
    assert judged({"api_version": version}).api_version == version
