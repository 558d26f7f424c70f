# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that do not fit, against a server on loopback that wants one of its clients, as an engine with --tlsverify does."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client import certificate, diagnose
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


class Authority:
    def __init__(self, folder, name):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = self._write(f"{name}-ca.pem", self._signed(self.subject, self.key, -DAY, DAY, True))

    def issue(self, name, begins=-DAY, ends=DAY, address="127.0.0.1", password=None):
        """Paths of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, begins, ends, False, address)
        secret = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        file = self.folder / f"{name}.key"
        file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
        return self._write(f"{name}.pem", cert), str(file)

    def _signed(self, subject, key, begins, ends, authority, address=None):
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(NOW + begins).not_valid_after(NOW + ends)
        made = made.add_extension(x509.BasicConstraints(authority, None), True)
        if address:
            names = [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName("engine.example.org")]
            made = made.add_extension(x509.SubjectAlternativeName(names), False)
        return made.sign(self.key, hashes.SHA256())

    def _write(self, name, cert):
        (self.folder / name).write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        return str(self.folder / name)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("theirs"), "theirs")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(diagnose, "QUIET", 0.2)


@pytest.fixture
def serve(ours):
    servers = []

    def start(cert, verify=True, tls=True):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_words):
                pass

            def do_GET(self):
                swarm = {"ControlAvailable": True, "Cluster": {"ID": "c1"}}
                content = json.dumps({"ApiVersion": "1.41"} if self.path.endswith("/version") else {"Swarm": swarm}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        class Server(http.server.ThreadingHTTPServer):
            def finish_request(self, request, client_address):
                # In the thread of the one who asks; who does not agree is left alone.
                try:
                    super().finish_request(context.wrap_socket(request, server_side=True) if tls else request, client_address)
                except OSError:
                    pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*cert)
        if verify:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(ours.path)
        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"tcp://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def connect(host, ca, client=(None, None), **more):
    return Engine.connect({"docker_host": [host], "ca_path": ca, "client_cert": client[0], "client_key": client[1], **more})


def failure(*words, **more):
    with pytest.raises(FleetError) as caught:
        connect(*words, **more)
    return caught.value


def test_both_sides_agree(ours, serve):
    assert connect(serve(ours.issue("engine")), ours.path, ours.issue("client")).cluster_id == "c1"


def test_no_certificate_of_ours_and_one_of_another_ca_are_rejected(ours, theirs, serve):
    host = serve(ours.issue("engine"))
    assert failure(host, ours.path).code == "tls_rejected"
    seen = failure(host, ours.path, theirs.issue("client"))
    assert (seen.code, seen.details["stage"]) == ("tls_rejected", "tls")


def test_an_expired_certificate_of_ours_is_told_from_a_wrong_one(ours, serve):
    seen = failure(serve(ours.issue("engine")), ours.path, ours.issue("late", -3 * DAY, -2 * DAY))
    assert seen.code == "tls_expired" and "our certificate" in seen.message and "ended on" in seen.message


@pytest.mark.parametrize(("begins", "ends", "word"), [(-3 * DAY, -2 * DAY, "ended on"), (2 * DAY, 3 * DAY, "is not valid before")])
def test_an_expired_certificate_of_the_engine(ours, serve, begins, ends, word):
    seen = failure(serve(ours.issue("engine", begins, ends)), ours.path, ours.issue("client"))
    assert seen.code == "tls_expired" and "the engine's certificate" in seen.message and word in seen.message


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_another_ca_and_another_name_are_untrusted(ours, theirs, serve):
    client = ours.issue("client")
    assert failure(serve(ours.issue("engine")), theirs.path, client).code == "tls_untrusted"
    elsewhere = serve(ours.issue("elsewhere", address="192.0.2.1"))
    seen = failure(elsewhere, ours.path, client)
    assert seen.code == "tls_untrusted" and "tls_hostname" in seen.remedy
    # The remedy: a name that it has; and another one is refused as well.
    assert connect(elsewhere, ours.path, client, tls_hostname="engine.example.org").cluster_id == "c1"
    assert failure(elsewhere, ours.path, client, tls_hostname="else.example.org").code == "tls_untrusted"
    assert connect(elsewhere, ours.path, client, validate_certs=False).cluster_id == "c1"


def test_where_no_tls_is_spoken(ours, serve):
    seen = failure(serve(ours.issue("engine"), tls=False), ours.path, ours.issue("client"))
    assert (seen.code, seen.details["stage"]) == ("endpoint_unreachable", "tls")


def test_a_key_of_another_certificate_and_one_with_a_password(ours, serve):
    host, (cert, _key) = serve(ours.issue("engine")), ours.issue("client")
    _other, key = ours.issue("other")
    assert failure(host, ours.path, (cert, key)).code == "option_invalid"
    # Nobody is asked for the password.
    seen = failure(host, ours.path, ours.issue("locked", password=b"canary"))
    assert seen.code == "option_invalid" and "canary" not in seen.message


def test_a_bundle_of_the_environment_does_not_take_the_place_of_ours(ours, theirs, serve, monkeypatch):
    """Requests prefers REQUESTS_CA_BUNDLE to what a session was told."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", theirs.path)
    assert connect(serve(ours.issue("engine")), ours.path, ours.issue("client")).cluster_id == "c1"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ours.path)
    assert failure(serve(ours.issue("engine")), theirs.path, ours.issue("client")).code == "tls_untrusted"


@pytest.mark.parametrize("days", [1, 30, 40 * 365])
def test_dates_are_read_from_the_certificate(ours, days):
    """After 2049 a year has four digits."""
    path, _key = ours.issue("dated", -days * DAY, days * DAY)
    found = certificate.of_file(path)
    assert (found.begins, found.ends) == (int((NOW - days * DAY).timestamp()), int((NOW + days * DAY).timestamp()))
    assert found.fault() == "" and "ended" in found.fault(time.time() + (days + 1) * 86400)


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_dates(tmp_path, content):
    (tmp_path / "x.pem").write_bytes(content)
    assert certificate.of_file(str(tmp_path / "x.pem")) is None and certificate.of_file(str(tmp_path / "nothing")) is None
