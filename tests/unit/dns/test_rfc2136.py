# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes over the wire: one update message with its prerequisites, and keys that never leave the process in clear."""

from __future__ import annotations

import builtins

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._dns import rfc2136
from ansible_collections.bowline.fleet.plugins.module_utils._dns.model import Key, Ownership, Record, RRset, Server
from ansible_collections.bowline.fleet.plugins.module_utils._dns.nameserver import library

dns = pytest.importorskip("dns.message")

SECRET = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTAwMDA="
KEY = Key("hub.bowline.test.", "A", "bowline.test.")
OLD = RRset(KEY.name, "A", 60, ("10.0.0.1",))
NEW = RRset(KEY.name, "A", 60, ("10.0.0.2",))
SOA = "bowline.test. 60 IN SOA ns1 admin 7 1 1 1 1"


class Wire:
    """A server that answers from ``zone`` (lines of a zone file) and keeps the updates that it gets."""

    def __init__(self, monkeypatch, zone, rcode="NOERROR"):
        import dns.query
        import dns.rcode
        import dns.rrset

        self.updates = []

        def ask(message, *_where):
            answer = dns.message.make_response(message)
            answer.flags |= 0x0400
            question = message.question[0]
            for line in zone:
                name, ttl, _class, rtype, value = line.split(None, 4)
                if (name, rtype) == (str(question.name), dns.rdatatype.to_text(question.rdtype)):
                    answer.answer.append(dns.rrset.from_text(name, int(ttl), "IN", rtype, value))
            return answer, False

        def update(message, *_where):
            self.updates.append(message.to_text().split(";ZONE\n")[1].splitlines())
            answer = dns.message.make_response(message)
            answer.set_rcode(dns.rcode.from_text(rcode))
            return answer

        monkeypatch.setattr(dns.query, "udp_with_fallback", ask)
        monkeypatch.setattr(dns.query, "tcp", update)


def provider():
    return rfc2136.Rfc2136(Server("server", "192.0.2.53"), "bowline.test.", None)


def test_update_of_an_owned_record(monkeypatch):
    text = "v=bowline1 owner=me stale_until=5"
    wire = Wire(monkeypatch, [SOA, "hub.bowline.test. 60 IN A 10.0.0.1", f'_bowline-a.hub.bowline.test. 60 IN TXT "{text}"'])
    server = provider()
    before = server.read(KEY)
    assert before == Record(OLD, Ownership("me", stale_until=5))
    server.apply(KEY, before, Record(NEW, Ownership("me", stale_until=99)))
    assert wire.updates == [
        [
            "bowline.test. IN SOA",
            ";PREREQ",
            "hub.bowline.test. 0 IN A 10.0.0.1",
            f'_bowline-a.hub.bowline.test. 0 IN TXT "{text}"',
            "hub.bowline.test. NONE CNAME",
            ";UPDATE",
            "hub.bowline.test. ANY A",
            "hub.bowline.test. 60 IN A 10.0.0.2",
            "_bowline-a.hub.bowline.test. ANY TXT",
            '_bowline-a.hub.bowline.test. 60 IN TXT "v=bowline1 owner=me stale_until=99"',
            ";ADDITIONAL",
        ]
    ]


def test_update_that_creates_and_one_that_removes(monkeypatch):
    wire = Wire(monkeypatch, [SOA])
    server = provider()
    server.apply(KEY, server.read(KEY), Record(NEW))
    assert wire.updates.pop()[2:-1] == [
        "hub.bowline.test. NONE A",
        "_bowline-a.hub.bowline.test. NONE TXT",
        "hub.bowline.test. NONE CNAME",
        ";UPDATE",
        "hub.bowline.test. ANY A",
        "hub.bowline.test. 60 IN A 10.0.0.2",
    ]
    wire = Wire(monkeypatch, [SOA, "hub.bowline.test. 60 IN A 10.0.0.1"])
    server.apply(KEY, server.read(KEY), Record(None))
    assert wire.updates.pop()[2:-1] == [
        "hub.bowline.test. 0 IN A 10.0.0.1",
        "_bowline-a.hub.bowline.test. NONE TXT",
        ";UPDATE",
        "hub.bowline.test. ANY A",
    ]


@pytest.mark.parametrize(
    ("rcode", "code"),
    [
        ("NXRRSET", "conflict"),
        ("YXRRSET", "conflict"),
        ("REFUSED", "refused"),
        ("SERVFAIL", "refused"),
        ("NOTZONE", "zone_not_found"),
        ("NOTAUTH", "zone_not_found"),
    ],
)
def test_codes_of_an_update(monkeypatch, rcode, code):
    Wire(monkeypatch, [SOA, "hub.bowline.test. 60 IN A 10.0.0.1"], rcode)
    server = provider()
    with pytest.raises(FleetError) as failure:
        server.apply(KEY, server.read(KEY), Record(NEW))
    assert failure.value.code == code
    assert rcode in failure.value.message or code == "conflict"


def test_zone_that_names_a_server_without_address(monkeypatch):
    Wire(monkeypatch, [SOA, "bowline.test. 60 IN NS ns1.bowline.test."])
    with pytest.raises(FleetError) as failure:
        provider().servers(KEY)
    assert failure.value.code == "no_authority"
    assert "ns1.bowline.test." in failure.value.message


def test_servers_are_all_addresses_of_all_names(monkeypatch):
    zone = [
        SOA,
        "bowline.test. 60 IN NS ns1.bowline.test.",
        "ns1.bowline.test. 60 IN A 192.0.2.1",
        "ns1.bowline.test. 60 IN AAAA 2001:db8::1",
    ]
    Wire(monkeypatch, zone)
    assert [server.address for server in provider().servers(KEY)] == ["192.0.2.1", "2001:db8::1"]
    only_ipv4 = rfc2136.Rfc2136(Server("server", "192.0.2.53"), "bowline.test.", None, ipv6=False)
    assert [server.address for server in only_ipv4.servers(KEY)] == ["192.0.2.1"]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"name": "cutover", "algorithm": "hmac-sha256", "secret": "{SECRET}"}}',
        f'{{"name": "cutover", "algorithm": "HMAC-SHA256.", "secret": "{SECRET}"}}',
        f'# made by tsig-keygen\nkey "cutover" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n',
        f"key cutover {{ secret {SECRET}; }};",
    ],
    ids=["json", "json, other spelling", "BIND", "BIND, bare"],
)
def test_keys(tmp_path, text):
    path, secrets = tmp_path / "key", []
    path.write_text(text, encoding="utf-8")
    key = rfc2136.read_key(path, secrets)
    assert (key.name, key.algorithm, key.secret) == ("cutover", "hmac-sha256.", SECRET)
    assert secrets == [SECRET]
    assert SECRET not in repr(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"name": "x"}',
        f'{{"name": "", "secret": "{SECRET}"}}',
        f'{{"name": "x", "secret": "{SECRET}", "algorithm": "rot13"}}',
        'key "x" { secret "a b"; };',
    ],
)
def test_what_is_no_key(tmp_path, text):
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FleetError) as failure:
        rfc2136.read_key(path, [])
    assert failure.value.code == "auth"
    assert SECRET not in str(failure.value.as_failure())


def test_key_file_that_cannot_be_read(tmp_path):
    with pytest.raises(FleetError) as failure:
        rfc2136.connect({"server": "192.0.2.1", "key_file": str(tmp_path / "gone")}, "bowline.test.", [])
    assert failure.value.code == "auth"
    assert "No such file" in failure.value.message


def test_missing_library_names_the_package(monkeypatch):
    load = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "dns":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FleetError) as failure:
        library()
    assert failure.value.code == "tool_missing"
    assert "python3-dnspython" in failure.value.remedy
