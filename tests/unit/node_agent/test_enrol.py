# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may become a member: host keys and their pins, requests and what is signed for them, the one CA of a fleet."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node import enrol, hostkeys
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Instance, Node, Template
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import Held, NodeStore, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import SqliteDatabase
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore
from ansible_collections.bowline.fleet.plugins.plugin_utils.authority import FileAuthority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

DAY = 86400.0
KEY, OTHER = (f"ssh-ed25519 {letter * 68}" for letter in "AB")
PEM = serialization.Encoding.PEM


class Fleet:
    """Two nodes with a machine each, one without; a CA in a folder; what answers at an address."""

    def __init__(self, folder):
        self.now, self.folder, self.answers = 1_800_000_000.0, folder, ""
        database = SqliteDatabase(sqlite3.connect(":memory:"), "memory")
        database.migrate()
        self.store = NodeStore(database, lambda: self.now)
        self.authority = FileAuthority(str(folder / "authority"), self.store.fleet(), lambda: self.now)
        state = StateStore(database, Owner("ann", "ann", "host", 7, "m", "b", "n", "ann"), lambda _other, _me: "unknown", lambda: self.now)
        subjects = ["template/edge", *map(subject_of, ("a", "b", "empty"))]
        numbers = state.open("node", subjects, [], lease_ttl=9e9)["lease_numbers"]
        self.held = {subject: Held(subject, numbers[subject]) for subject in subjects}
        self.store.put_template(self.held["template/edge"], Template("edge"))
        for name in ("a", "b", "empty"):
            self.store.put_node(self.held[subject_of(name)], Node(name, "edge"))
        self.machines = {name: self.store.reserve(self.held[subject_of(name)], Instance(f"i-{name}", name, "static", 0, 0.0)) for name in ("a", "b")}

    def run(self, name="a", state="enrolled", check_mode=False, **given):
        params = {"state": state, "name": name, "addresses": [f"10.0.0.{ord(name[0])}", name], "port": 22, "host_key": f"{KEY} root@{name}",
                  "expected_host_key": "", "csr": "", "certificate": "", **given}  # fmt: skip
        return enrol.run(params, self.store, self.authority, lambda: self.answers, check_mode)

    def known_hosts(self):
        return self.authority.known_hosts()

    def end(self, name, **changed):
        self.store.save(self.held[subject_of(name)], replace(self.machines[name], **changed))


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    monkeypatch.setattr("ansible_collections.bowline.fleet.plugins.module_utils._core.lock.home", lambda: str(tmp_path / "locks"))
    made = Fleet(tmp_path)
    made.run(state="authority")
    return made


def request(key=None, name="root", extensions=()):
    key = key or ed25519.Ed25519PrivateKey.generate()
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
    for extension in extensions:
        made = made.add_extension(extension, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(key, algorithm).public_bytes(PEM).decode()


def refused(code, call):
    with pytest.raises(FleetError) as failure:
        call()
    assert failure.value.code == code, failure.value
    return failure.value


# --- the CA -----------------------------------------------------------------------------------------------------------------------


def test_a_ca_is_made_once_and_by_its_entry_only(tmp_path, monkeypatch):
    monkeypatch.setattr("ansible_collections.bowline.fleet.plugins.module_utils._core.lock.home", lambda: str(tmp_path / "locks"))
    fleet = Fleet(tmp_path)
    assert "The fleet has no CA" in refused("authority_missing", fleet.run).message
    foreseen = fleet.run(state="authority", check_mode=True)
    assert foreseen["changed"] and not (tmp_path / "authority").exists(), "check mode writes nothing"
    made = fleet.run(state="authority")
    assert made["changed"] and made["plan"] == foreseen["plan"] and not fleet.run(state="authority")["changed"]
    file = tmp_path / "authority" / f"{fleet.store.fleet()}.pem"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "PRIVATE" not in str(made) and made["ca"].startswith("-----BEGIN CERTIFICATE")
    authority = x509.load_pem_x509_certificate(made["ca"].encode())
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and constraints.value.ca and constraints.value.path_length == 0


def test_a_second_ca_is_not_made_where_the_first_is_lost(fleet, tmp_path):
    """Two controllers with one store, or a folder that was lost."""
    (tmp_path / "authority" / f"{fleet.store.fleet()}.pem").unlink()
    assert "is not here" in refused("authority_missing", lambda: fleet.run(state="authority")).message
    fleet.authority.make()
    assert "is another one" in refused("authority_missing", lambda: fleet.run(state="authority")).message
    refused("authority_missing", fleet.run)
    (tmp_path / "authority" / f"{fleet.store.fleet()}.pem").write_text("x")
    refused("authority_missing", fleet.run)


def test_two_controllers_that_make_a_ca_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("ansible_collections.bowline.fleet.plugins.module_utils._core.lock.home", lambda: str(tmp_path / "locks"))
    fleet = Fleet(tmp_path)
    make = fleet.authority.make
    monkeypatch.setattr(fleet.authority, "make", lambda: (fleet.store.keep_ca_fingerprint("f" * 64), make())[1])
    assert "is another one" in refused("authority_missing", lambda: fleet.run(state="authority")).message
    assert fleet.store.ca_fingerprint() == "f" * 64


# --- what is signed ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())], ids=["ed25519", "p256"])
def test_what_is_signed_is_what_the_fleet_says_and_not_what_was_asked(fleet, key):
    greedy = request(key, "i-b", [x509.BasicConstraints(ca=True, path_length=9), x509.SubjectAlternativeName([x509.DNSName("evil.example.org")])])
    given = fleet.run(csr=greedy)
    leaf, ca = (x509.load_pem_x509_certificate(given[name].encode()) for name in ("certificate", "ca"))
    leaf.verify_directly_issued_by(ca)
    assert leaf.subject.rfc4514_string() == "CN=i-a" and leaf.public_key() == key.public_key()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(f"spiffe://{fleet.store.fleet()}/instance/i-a")]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    starts, ends = (moment.timestamp() - fleet.now for moment in (leaf.not_valid_before_utc, leaf.not_valid_after_utc))
    assert (starts, ends) == (-600.0, 90 * DAY) and given["certificate_not_after"] == fleet.now + 90 * DAY
    assert given["identity"] == f'{{"fleet": "{fleet.store.fleet()}", "instance": "i-a", "node": "a"}}\n'


@pytest.mark.parametrize("csr", [
    "x", "A" * 20_000, request(rsa.generate_private_key(65537, 2048)), request(ec.generate_private_key(ec.SECP384R1())),
    # Ed25519 signs the whole: a byte that is turned is seen.
    request().replace("MI", "MJ", 1)], ids=["no request", "long", "rsa", "p384", "damaged"])  # fmt: skip
def test_a_request_that_is_none(fleet, csr):
    refused("csr_invalid", lambda: fleet.run(csr=csr))
    assert fleet.known_hosts() == "", "nothing is pinned for it"


def test_a_request_that_somebody_else_has_signed(fleet):
    """The public key of one, the signature of another: nobody has shown that he has the private one."""
    one, two = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    der = x509.load_pem_x509_csr(request(one).encode()).public_bytes(serialization.Encoding.DER)
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    swapped = der.replace(one.public_key().public_bytes(*raw), two.public_key().public_bytes(*raw))
    assert swapped != der
    refused("csr_invalid", lambda: fleet.run(csr=x509.load_der_x509_csr(swapped).public_bytes(PEM).decode()))


def test_a_second_run_signs_nothing_until_two_thirds_are_over(fleet):
    key = ed25519.Ed25519PrivateKey.generate()
    first = fleet.run(csr=request(key))
    assert [step["action"] for step in first["plan"]] == ["pin", "sign"]
    again = fleet.run(csr=request(key), certificate=first["certificate"])
    assert not again["changed"] and again["certificate"] == first["certificate"]
    fleet.now += 59.9 * DAY
    assert not fleet.run(csr=request(key), certificate=first["certificate"])["changed"]
    fleet.now += 0.2 * DAY
    renewed = fleet.run(csr=request(key), certificate=first["certificate"])
    assert [step["reason"] for step in renewed["plan"]] == ["two thirds of the life of its certificate are over"]
    assert renewed["certificate_not_after"] == fleet.now + 90 * DAY


def test_certificates_that_do_not_stay(fleet):
    key = ed25519.Ed25519PrivateKey.generate()
    good = fleet.run(csr=request(key))["certificate"]
    other = fleet.run("b", csr=request(key), host_key=OTHER)["certificate"]
    foreign = Fleet(fleet.folder / "foreign")
    foreign.run(state="authority")
    theirs = foreign.run(csr=request(key))["certificate"]
    plans = [fleet.run(csr=request(csr_key), certificate=text)["plan"] for csr_key, text in ((key, "x"), (key, theirs), (None, good), (key, other))]
    assert [[step["reason"] for step in plan] for plan in plans] == [
        *[["its certificate is not of this CA"]] * 2, *[["its certificate is of another key or instance"]] * 2]  # fmt: skip


# --- who enrols -------------------------------------------------------------------------------------------------------------------


def test_the_question_alone_writes_nothing(fleet):
    asked = fleet.run()
    assert [step["action"] for step in asked["plan"]] == ["pin", "sign"] and asked["certificate"] == "" and fleet.known_hosts() == ""
    foreseen = fleet.run(csr=request(), check_mode=True)
    assert foreseen["changed"] and fleet.known_hosts() == ""


def test_who_does_not_enrol(fleet):
    assert "Did you mean a" in refused("node_unknown", lambda: fleet.run("aa")).message
    refused("no_machine", lambda: fleet.run("empty"))
    fleet.end("a", delete_requested_at=fleet.now, finalizers=("provider",))
    assert "no certificate any more" in refused("finalizers_pending", lambda: fleet.run(csr=request())).message
    assert fleet.known_hosts() == ""


def test_a_key_that_is_not_the_pinned_one(fleet):
    fleet.run(csr=request())
    assert fleet.known_hosts() == f"10.0.0.97,a {KEY} a i-a\n"
    assert "another host key than the one that was pinned" in refused("host_key_changed", lambda: fleet.run(csr=request(), host_key=OTHER)).message
    assert fleet.known_hosts() == f"10.0.0.97,a {KEY} a i-a\n"
    fleet.run(csr=request(), addresses=["10.0.0.9"], port=2222)
    assert fleet.known_hosts() == f"[10.0.0.9]:2222 {KEY} a i-a\n", "a machine that moved keeps its key"
    assert fleet.run("a", "absent", check_mode=True)["changed"] and fleet.known_hosts() != ""
    assert fleet.run("a", "absent")["changed"] and fleet.known_hosts() == "" and not fleet.run("a", "absent")["changed"]
    fleet.run(csr=request(), host_key=OTHER)


def test_the_address_of_another_machine(fleet):
    fleet.run(csr=request())
    given = {"csr": request(), "addresses": ["10.0.0.97"], "host_key": OTHER}
    assert "the machine of a, which lives" in refused("host_key_changed", lambda: fleet.run("b", **given)).message
    fleet.end("a", terminated_at=fleet.now)
    fleet.run("b", **given)
    assert fleet.known_hosts() == f"10.0.0.97 {OTHER} b i-b\n", "the key of a machine that is gone is forgotten"


def test_lines_of_somebody_else_stay(fleet):
    theirs = f"# by hand\n@cert-authority * {OTHER}\nold.example.org {OTHER}\n10.0.0.98 {OTHER} root@b\n"
    fleet.authority.write_known_hosts(theirs)
    fleet.run(csr=request())
    assert fleet.known_hosts() == theirs + f"10.0.0.97,a {KEY} a i-a\n"
    assert "not of this fleet" in refused("host_key_changed", lambda: fleet.run("b", csr=request())).message
    fleet.run("a", "absent")
    assert fleet.known_hosts() == theirs


@pytest.mark.parametrize(("given", "answers", "why"), [
    pytest.param({"expected_host_key": OTHER}, "", "than the one that was expected", id="provider says otherwise"),
    pytest.param({"host_key": "ssh-dss AAAA"}, "", "no public key of ssh", id="no key"),
    pytest.param({"host_key": f"{KEY}\nevil {OTHER}"}, "", "no public key of ssh", id="two lines"),
    pytest.param({}, f"# c\n10.0.0.97 {OTHER}\n", "somebody stands between", id="somebody between"),
])  # fmt: skip
def test_a_key_that_is_not_believed(fleet, given, answers, why):
    fleet.answers = answers
    assert why in refused("host_key_changed", lambda: fleet.run(csr=request(), **given)).message
    assert fleet.known_hosts() == ""


def test_what_was_seen_is_evidence(fleet):
    fleet.answers = f"10.0.0.97 {KEY}\n"
    assert fleet.run(csr=request(), expected_host_key=f"{KEY} x")["evidence"] == {"host_key": KEY, "scanned": True, "expected": True}
    refused("option_invalid", lambda: fleet.run(addresses=["-oProxyCommand=x", "a b", ""]))


def test_names():
    assert hostkeys.names_of(["a", "a", "fe80::1%eth0", "-x", "b,c", "d\n"], 22) == ("a", "fe80::1%eth0")
    assert hostkeys.names_of(["a"], 2222) == ("[a]:2222",)
