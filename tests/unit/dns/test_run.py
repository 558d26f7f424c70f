# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of every run, on a provider in memory: check mode is the real run without its writes; lagging servers decide the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.wait import Deadline
from ansible_collections.bowline.fleet.plugins.module_utils._dns.model import Answer, Record, RRset, Server
from ansible_collections.bowline.fleet.plugins.module_utils._dns.plan import conflict
from ansible_collections.bowline.fleet.plugins.module_utils._dns.run import Clock, connect, info, run

NAME = "hub.bowline.test."
OWNER = "cutover/hub-1"


def a(*values, ttl=300, **more):
    return RRset(NAME, "A", ttl, tuple(values), **more)


class FakeClock(Clock):
    """Time passes only in waits."""

    def __init__(self):
        self.seconds = 1_000_000.0

    def now(self):
        return int(self.seconds)

    def _sleep(self, seconds):
        self.seconds += seconds

    def deadline(self, seconds):
        return Deadline(seconds, clock=lambda: self.seconds, sleep=self._sleep)


class FakeDns:
    """A provider whose second server follows ``lag`` seconds after the first; ``lag`` None stands for never."""

    has_ttl = can_write = can_own = True
    types = frozenset(("A", "CNAME"))

    def __init__(self, rrset, clock, lag=0.0, silent=False, proxied=None):
        self.record, self.clock, self.lag, self.silent, self.proxied = Record(rrset), clock, lag, silent, proxied
        self.old, self.changed_at, self.writes = rrset, clock.seconds, []
        self.meddle = lambda: None

    def dress(self, rrset):
        return rrset if self.proxied is None else replace(rrset, proxied=self.proxied)

    def read(self, key):
        return self.record

    def servers(self, key):
        return (Server("ns1", "192.0.2.1"), Server("ns2", "192.0.2.2"))

    def ask(self, server, key):
        if server.name == "ns1" or not self.writes:
            shown = self.record.rrset
        else:
            shown = self.record.rrset if self.lag is not None and self.clock.seconds >= self.changed_at + self.lag else self.old
        if self.silent and server.name == "ns2":
            return Answer(server, None, error="did not answer")
        return Answer(server, replace(shown, proxied=False) if shown else None, serial=len(self.writes))

    def view(self, key):
        return ""

    def apply(self, key, before, after):
        self.meddle()
        if self.record != before:
            raise conflict(key.name, key.type, (), (), "It was changed meanwhile. ")
        self.old, self.record, self.changed_at = before.rrset, after, self.clock.seconds
        self.writes.append(after)


@pytest.fixture
def clock():
    return FakeClock()


def params(**options):
    return {
        "provider": "rfc2136",
        "provider_options": {},
        "zone": "bowline.test",
        "name": "hub",
        "type": "A",
        "resolvers": None,
        "state": "present",
        "values": None,
        "ttl": 300,
        "ttl_during": 60,
        "previous": None,
        "expect_current": None,
        "owner": None,
        "max_changes": 5,
        "verify": "authoritative",
        "on_timeout": "fail",
        "wait_old_ttl": False,
        "wait": True,
        "wait_timeout": 30,
        **options,
    }


def do(dns, clock, check_mode=False, resolve=None, **options):
    return run(params(**options), lambda: dns, check_mode, clock=clock, resolve=resolve or (lambda server, key: Answer(server, None)))


@pytest.mark.parametrize(
    ("there", "options"),
    [
        pytest.param(None, {"values": ["10.0.0.2"]}, id="create"),
        pytest.param(a("10.0.0.1"), {"values": ["10.0.0.2"], "expect_current": ["10.0.0.1"], "owner": OWNER}, id="replace"),
        pytest.param(a("10.0.0.1"), {"state": "prepared"}, id="lower"),
        pytest.param(a("10.0.0.1"), {"state": "absent"}, id="remove"),
    ],
)
def test_check_then_real_then_again(clock, there, options):
    dns = FakeDns(there, clock, lag=3)
    predicted = do(dns, clock, check_mode=True, **options)
    assert dns.writes == []
    real = do(dns, clock, **options)
    for key in ("changed", "plan", "diff", "record", "previous"):
        assert real[key] == predicted[key], key
    assert len(dns.writes) == 1 and real["changed"]
    assert (real["verified"], predicted["verified"]) == (True, False)
    again = do(dns, clock, **options)
    assert (again["changed"], again["plan"], len(dns.writes)) == (False, [], 1)


@pytest.mark.parametrize("there", [None, a("10.0.0.1", ttl=777)], ids=["absent", "present"])
def test_previous_brings_everything_back(clock, there):
    dns = FakeDns(there, clock)
    moved = do(dns, clock, values=["10.0.0.2"], expect_current=["10.0.0.1"] if there else "absent", owner=OWNER)
    back = do(dns, clock, previous=moved["previous"], expect_current=["10.0.0.2"], owner=OWNER)
    assert dns.record == Record(there)
    assert back["record"] == moved["previous"]
    assert do(dns, clock, previous=moved["previous"], expect_current=["10.0.0.2"], owner=OWNER)["changed"] is False


def test_a_proxied_name_is_known_by_plan_and_previous_without_changing_them(clock):
    dns = FakeDns(a("10.0.0.1", proxied=True), clock, proxied=False)
    moved = do(dns, clock, values=["10.0.0.2"])
    assert [step["action"] for step in moved["plan"]] == ["replace", "set_proxied"]
    assert moved["previous"]["proxied"] is True


def test_staleness_is_counted_from_the_last_server(clock):
    dns = FakeDns(a("10.0.0.1"), clock, lag=10)
    started = clock.now()
    done = do(dns, clock, values=["10.0.0.2"])
    assert done["max_stale_until"] == started + 10 + 300


def test_waits_until_caches_have_forgotten(clock):
    dns = FakeDns(a("10.0.0.1"), clock)
    done = do(dns, clock, values=["10.0.0.2"], wait_old_ttl=True, wait_timeout=5)
    assert clock.now() == done["max_stale_until"]


def test_lagging_server_is_named_at_the_deadline(clock):
    dns = FakeDns(a("10.0.0.1"), clock, lag=None)
    with pytest.raises(FleetError) as failure:
        do(dns, clock, values=["10.0.0.2"])
    assert failure.value.code == "verify_timeout"
    assert "ns2 at 192.0.2.2:53: 10.0.0.1 (ttl 300)" in failure.value.message
    assert "ns1" not in failure.value.message
    assert [entry["name"] for entry in failure.value.details["lagging"]] == ["ns2"]
    assert clock.seconds == 1_000_030.0
    assert dns.record.rrset == a("10.0.0.2")


def test_revert_puts_back_and_still_fails(clock):
    dns = FakeDns(a("10.0.0.1"), clock, lag=None)
    with pytest.raises(FleetError) as failure:
        do(dns, clock, values=["10.0.0.2"], on_timeout="revert", owner=OWNER, expect_current=["10.0.0.1"])
    assert (failure.value.code, failure.value.details["reverted"]) == ("verify_timeout", True)
    assert dns.record == Record(a("10.0.0.1"))


def test_revert_never_undoes_another_change(clock):
    dns = FakeDns(a("10.0.0.1"), clock, lag=None)
    ask = dns.ask

    def edited(server, key):
        if dns.writes and clock.seconds > 1_000_020:
            dns.record = Record(a("10.0.0.66"))
        return ask(server, key)

    dns.ask = edited
    with pytest.raises(FleetError) as failure:
        do(dns, clock, values=["10.0.0.2"], on_timeout="revert")
    assert failure.value.details["reverted"] is False
    assert failure.value.details["previous"]["records"] == ["10.0.0.1"]
    assert dns.record.rrset == a("10.0.0.66")


def test_edit_between_reading_and_writing(clock):
    dns = FakeDns(a("10.0.0.1"), clock)
    dns.meddle = lambda: setattr(dns, "record", Record(a("10.0.0.66")))
    with pytest.raises(FleetError) as failure:
        do(dns, clock, values=["10.0.0.2"])
    assert (failure.value.code, dns.writes) == ("conflict", [])


@pytest.mark.parametrize("check_mode", [True, False])
def test_silent_server_stops_the_preparation_only(clock, check_mode):
    dns = FakeDns(a("10.0.0.1"), clock, silent=True)
    with pytest.raises(FleetError) as failure:
        do(dns, clock, check_mode, state="prepared")
    assert (failure.value.code, dns.writes) == ("no_authority", [])
    moved = do(dns, clock, check_mode, values=["10.0.0.2"], wait=False)
    assert moved["verified"] is False
    assert moved["warnings"] == ["No usable answer from ns2 at 192.0.2.2:53: did not answer"]


def test_silent_server_does_not_prove_absence(clock):
    dns = FakeDns(a("10.0.0.1"), clock, silent=True)
    with pytest.raises(FleetError) as failure:
        do(dns, clock, state="absent")
    assert failure.value.code == "verify_timeout"


def test_verify_none_asks_nobody_and_claims_nothing(clock):
    dns = FakeDns(a("10.0.0.1"), clock, lag=None)
    done = do(dns, clock, values=["10.0.0.2"], verify="none")
    assert (done["verified"], done["evidence"]["servers"]) == (False, [])


def test_resolvers_are_waited_for_by_value(clock):
    dns = FakeDns(a("10.0.0.1"), clock)
    started = clock.seconds

    def resolve(server, key):
        fresh = clock.seconds >= started + 12
        return Answer(server, a("10.0.0.2", ttl=17) if fresh else a("10.0.0.1", ttl=5))

    done = do(dns, clock, values=["10.0.0.2"], verify="resolvers", resolvers=["192.0.2.99"], resolve=resolve)
    assert done["verified"] and clock.seconds >= started + 12


def test_verified_compares_values_only_and_never_writes(clock):
    dns = FakeDns(a("10.0.0.1", ttl=17), clock)
    assert do(dns, clock, state="verified", values=["10.0.0.1"])["changed"] is False
    with pytest.raises(FleetError) as failure:
        do(dns, clock, state="verified", values=["10.0.0.2"])
    assert (failure.value.code, dns.writes) == ("verify_timeout", [])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "invalid_value"),
        ({"values": []}, "invalid_value"),
        ({"values": ["hub"]}, "invalid_value"),
        ({"values": ["10.0.0.2"], "ttl": 0}, "ttl_out_of_range"),
        ({"values": ["10.0.0.2"], "ttl": 2**31}, "ttl_out_of_range"),
        ({"values": ["10.0.0.2"], "ttl_during": -1}, "ttl_out_of_range"),
        ({"values": ["10.0.0.2"], "expect_current": "gone"}, "invalid_value"),
        ({"values": ["10.0.0.2"], "expect_current": []}, "invalid_value"),
        ({"values": ["10.0.0.2"], "type": "TXT"}, "invalid_value"),
        ({"values": ["10.0.0.2"], "resolvers": ["ns1.example"]}, "invalid_value"),
        ({"previous": {"presnet": True}}, "unknown_key"),
        ({"previous": {"records": ["10.0.0.2"], "ttl": 5}}, "invalid_value"),
        ({"previous": {"present": True, "records": ["10.0.0.2"]}}, "ttl_out_of_range"),
        ({"previous": {"present": True, "records": [], "ttl": 5}}, "invalid_value"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(clock, options, code):
    dns = FakeDns(a("10.0.0.1"), clock)
    with pytest.raises(FleetError) as failure:
        do(dns, clock, **options)
    assert (failure.value.code, dns.writes) == (code, [])


def test_info_names_differences_and_what_is_left_of_staleness(clock):
    dns = FakeDns(a("10.0.0.1"), clock, lag=5)
    do(dns, clock, values=["10.0.0.2"], wait=False, owner=OWNER, expect_current=["10.0.0.1"])
    seen = info(params(), lambda: dns, clock=clock)
    assert (seen["consistent"], seen["stale_seconds"], seen["record"]["owner"]) == (False, 300, OWNER)
    assert seen["differences"] == ["ns2 at 192.0.2.2:53: 10.0.0.1 (ttl 300), serial 1"]
    clock.seconds += 400
    seen = info(params(), lambda: dns, clock=clock)
    assert (seen["consistent"], seen["stale_seconds"], seen["changed"]) == (True, 0, False)


def test_unreadable_server_is_a_difference_even_when_nothing_exists(clock):
    seen = info(params(), lambda: FakeDns(None, clock, silent=True), clock=clock)
    assert seen["consistent"] is False


@pytest.mark.parametrize(
    ("given", "code", "hint"),
    [
        ({"provider_options": {"sever": "192.0.2.1"}}, "unknown_key", "Did you mean server?"),
        ({"provider": "hosts", "provider_options": {"server": "192.0.2.1"}}, "unknown_key", "Known: adopt, path."),
        ({"zone": None, "provider_options": {"server": "192.0.2.1"}}, "invalid_value", "zone"),
        ({"provider_options": {}}, "invalid_value", "provider_options.server"),
    ],
)
def test_provider_options_are_checked_by_name(given, code, hint):
    with pytest.raises(FleetError) as failure:
        connect(params(**given), [])
    assert failure.value.code == code
    assert hint in failure.value.message
