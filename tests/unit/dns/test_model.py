# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Equal means equal: spellings of names, values, servers and ownership texts."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._dns.model import Key, Ownership, absolute, normal_values, parse_server


@pytest.mark.parametrize(
    ("name", "zone", "normal"),
    [
        ("hub", "bowline.test.", "hub.bowline.test."),
        ("HUB.Bowline.test", "bowline.test.", "hub.bowline.test."),
        ("hub.bowline.test.", "bowline.test.", "hub.bowline.test."),
        ("@", "bowline.test.", "bowline.test."),
        ("bowline.test", "bowline.test.", "bowline.test."),
        ("notbowline.test", "bowline.test.", "notbowline.test.bowline.test."),
        ("*.hub", "bowline.test.", "*.hub.bowline.test."),
        ("_dmarc", "bowline.test.", "_dmarc.bowline.test."),
        ("büro", "bowline.test.", "xn--bro-hoa.bowline.test."),
        ("hub.x", "", "hub.x."),
    ],
)
def test_absolute_names(name, zone, normal):
    assert absolute(name, zone) == normal


@pytest.mark.parametrize("name", ["", "a..b", "a b", "x" * 64, ".".join(["x" * 60] * 5), "hub;rm", "@"])
def test_what_is_no_name(name):
    with pytest.raises(FleetError) as failure:
        absolute(name)
    assert failure.value.code == "invalid_value"


@pytest.mark.parametrize(
    ("rtype", "values", "normal"),
    [
        ("A", ["10.0.0.2", " 10.0.0.1 ", "10.0.0.1"], ("10.0.0.1", "10.0.0.2")),
        ("AAAA", ["2001:DB8:0:0::1"], ("2001:db8::1",)),
        ("CNAME", ["Hub.Example"], ("hub.example.",)),
        ("MX", ["010  Mail.Example."], ("10 mail.example.",)),
        ("SRV", ["0 5 443 Hub.Example"], ("0 5 443 hub.example.",)),
        ("SRV", ["0 0 0 ."], ("0 0 0 .",)),
        ("CAA", ['0 ISSUE "ca.example"', "0 issue ca.example"], ('0 issue "ca.example"',)),
        ("TXT", ["v=spf1 -all", '"v=spf1" " -all"'], ('"v=spf1 -all"',)),
        ("TXT", ['say "hi"', r'"say \"hi\""'], (r'"say \"hi\""',)),
        ("TXT", ["ü", r'"\195\188"'], (r'"\195\188"',)),
        ("TXT", ["x" * 300], ('"' + "x" * 255 + '" "' + "x" * 45 + '"',)),
        ("TXT", [""], ('""',)),
    ],
)
def test_spellings_of_one_value_are_one_value(rtype, values, normal):
    assert normal_values(rtype, values) == normal


def test_all_bad_values_are_named_at_once():
    with pytest.raises(FleetError) as failure:
        normal_values("A", ["10.0.0.1", "10.0.0.300", "::1"])
    assert failure.value.code == "invalid_value"
    assert "10.0.0.300, ::1" in failure.value.message


@pytest.mark.parametrize(
    ("rtype", "value"), [("TXT", '"open'), ("MX", "mail.example"), ("SRV", "1 2 3"), ("CNAME", "a b"), ("CAA", "0 issue")]
)
def test_values_that_are_none(rtype, value):
    with pytest.raises(FleetError):
        normal_values(rtype, [value])


@pytest.mark.parametrize(
    "owner",
    [Ownership("cutover/hub-1"), Ownership("a b=c ü", 5, 9), Ownership("x", stale_until=0), Ownership("x", ttl=900)],
    ids=["plain", "hard to write", "no lowering", "usual ttl"],
)
def test_ownership_is_read_as_it_was_written(owner):
    assert Ownership.parse(owner.text()) == owner


@pytest.mark.parametrize("text", ["", "heritage=external-dns", "v=spf1 -all", "owner=hub", "v= owner=hub"])
def test_a_foreign_text_is_no_owner(text):
    assert Ownership.parse(text) is None


@pytest.mark.parametrize("text", ["v=bowline1", "v=bowline1 owner=", "v=bowline2 subject=hub"])
def test_a_text_of_ours_that_cannot_be_read_is_an_owner_of_its_own(text):
    assert Ownership.parse(text).owner.startswith("unknown text")


def test_owner_names():
    assert Key("hub.bowline.test.", "AAAA").owner_name == "_bowline-aaaa.hub.bowline.test."
    assert Key("*.bowline.test.", "A").owner_name == "_bowline-a._wildcard.bowline.test."


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 53),
        ("192.0.2.1:5353", "192.0.2.1", 5353),
        ("2001:db8::1", "2001:db8::1", 53),
        ("[2001:db8::1]:54", "2001:db8::1", 54),
    ],
)
def test_servers(text, address, port):
    server = parse_server(text)
    assert (server.address, server.port) == (address, port)


@pytest.mark.parametrize("text", ["", "ns1.example", "192.0.2.1:", "1.2.3.4.5"])
def test_what_is_no_server(text):
    with pytest.raises(FleetError):
        parse_server(text)
