# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""dns_record against real servers. What the world holds is always read past the module, with kdig."""

from __future__ import annotations

import base64
import json
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._dns.run import connect, run
from bowline_dns_rig import do, do_while_transferring, look, params

OWNER = "cutover/hub-1"

# What servers may answer differently; everything else is asked of knot alone.
every_maker = pytest.mark.parametrize("pair", ["knot", "bind", "powerdns"], indirect=True)


@every_maker
def test_check_real_again_for_a_whole_cutover_and_its_way_back(pair):
    lower = {"state": "prepared", "expect_current": ["10.0.0.1"], "owner": OWNER}
    serial = pair.primary.serial()
    predicted = do(pair, check_mode=True, **lower)
    assert pair.primary.serial() == serial
    started = int(time.time())
    prepared = do_while_transferring(pair, **lower)
    assert (prepared["plan"], prepared["diff"], prepared["record"]) == (predicted["plan"], predicted["diff"], predicted["record"])
    assert [step["action"] for step in prepared["plan"]] == ["set_ttl", "own"]
    assert pair.primary.dig("hub.bowline.test", "A") == pair.secondary.dig("hub.bowline.test", "A") == ["60 A 10.0.0.1"]
    assert started + 300 <= prepared["ready_at"] <= int(time.time()) + 301
    again = do(pair, **lower)
    assert again["changed"] is False
    assert abs(again["ready_at"] - prepared["ready_at"]) <= 5

    move = {"values": ["10.0.0.2"], "ttl": 60, "expect_current": ["10.0.0.1"], "owner": OWNER}
    predicted = do(pair, check_mode=True, **move)
    moved = do_while_transferring(pair, **move)
    assert (moved["plan"], moved["diff"]) == (predicted["plan"], predicted["diff"])
    assert [(step["action"], step["disruptive"]) for step in moved["plan"]] == [("replace", True)]
    assert moved["diff"]["before"] == "hub.bowline.test. 60 IN A 10.0.0.1\n; owner cutover/hub-1\n"
    assert pair.secondary.dig("hub.bowline.test", "A") == ["60 A 10.0.0.2"]
    assert moved["max_stale_until"] >= again["ready_at"], "caches that were filled before the TTL was lowered count"
    assert do(pair, **move)["changed"] is False
    assert look(pair)["stale_seconds"] > 200

    back = {"previous": moved["previous"], "expect_current": ["10.0.0.2"], "owner": OWNER}
    restored = do_while_transferring(pair, **back)
    assert restored["changed"] and do(pair, **back)["changed"] is False
    assert pair.primary.dig("hub.bowline.test", "A") == ["60 A 10.0.0.1"]

    do_while_transferring(pair, previous=prepared["previous"], owner=OWNER)
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.1"]
    assert pair.primary.dig("_bowline-a.hub.bowline.test", "TXT") == [], "nobody owned it before"


@every_maker
def test_create_and_remove(pair):
    made = do_while_transferring(pair, name="new", values=["10.0.0.9", "10.0.0.8"], expect_current="absent", owner=OWNER)
    assert made["previous"]["present"] is False
    assert pair.secondary.dig("new.bowline.test", "A") == ["300 A 10.0.0.8", "300 A 10.0.0.9"]
    gone = do_while_transferring(pair, name="new", previous=made["previous"], expect_current=["10.0.0.8", "10.0.0.9"], owner=OWNER)
    assert [step["action"] for step in gone["plan"]] == ["remove", "disown"]
    assert pair.secondary.dig("new.bowline.test", "ANY") == []
    assert do(pair, name="new", state="absent", owner=OWNER)["changed"] is False


def test_expectation_that_does_not_hold_writes_nothing(pair):
    serial = pair.primary.serial()
    for check_mode in (True, False):
        with pytest.raises(FleetError) as failure:
            do(pair, check_mode, values=["10.0.0.2"], expect_current=["10.0.0.7"])
        assert failure.value.code == "conflict"
        assert failure.value.details == {"expected": ["10.0.0.7"], "seen": ["10.0.0.1"]}
    assert pair.primary.serial() == serial


@every_maker
@pytest.mark.parametrize("edit", ["del hub.bowline.test. A", "add hub.bowline.test. 300 A 10.0.0.66"])
def test_edit_between_reading_and_writing_is_a_conflict(pair, edit):
    given = params(pair, values=["10.0.0.2"])
    provider = connect(given, [])
    write = provider.apply

    def edited_first(*arguments):
        pair.edit(edit)
        write(*arguments)

    provider.apply = edited_first
    with pytest.raises(FleetError) as failure:
        run(given, lambda: provider, False)
    assert failure.value.code == "conflict"
    assert "changed meanwhile" in failure.value.message
    assert "300 A 10.0.0.2" not in pair.primary.dig("hub.bowline.test", "A")


@every_maker
def test_cname_that_appears_before_the_write_is_a_conflict(pair):
    given = params(pair, name="new", values=["10.0.0.2"])
    provider = connect(given, [])
    write = provider.apply

    def edited_first(*arguments):
        pair.edit("add new.bowline.test. 300 CNAME hub.bowline.test.")
        write(*arguments)

    provider.apply = edited_first
    with pytest.raises(FleetError) as failure:
        run(given, lambda: provider, False)
    assert failure.value.code == "conflict"


def test_lagging_secondary_is_named(pair):
    with pytest.raises(FleetError) as failure:
        do(pair, values=["10.0.0.2"], wait_timeout=0.2)
    assert failure.value.code == "verify_timeout"
    assert f"ns2.bowline.test. at {pair.secondary.where}: 10.0.0.1 (ttl 300)" in failure.value.message
    assert [server["address"] for server in failure.value.details["lagging"]] == [pair.secondary.address]
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.2"]


@every_maker
def test_lagging_secondary_takes_the_change_back(pair):
    with pytest.raises(FleetError) as failure:
        do(pair, values=["10.0.0.2"], ttl=60, wait_timeout=0.2, on_timeout="revert")
    assert (failure.value.code, failure.value.details["reverted"]) == ("verify_timeout", True)
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.1"]


def test_server_that_is_left_out_by_name_is_not_waited_for(pair):
    for ignored in ("NS2", "ns2.bowline.test.", pair.secondary.address):
        done = do(pair, values=["10.0.0.2"], ignore_servers=[ignored])
        assert done["verified"] is True
        assert [server["address"] for server in done["evidence"]["servers"]] == [pair.primary.address]
    for ignored, code in ((["ns3"], "invalid_value"), (["ns1", "ns2"], "no_authority")):
        with pytest.raises(FleetError) as failure:
            do(pair, values=["10.0.0.3"], ignore_servers=ignored)
        assert failure.value.code == code
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.2"]


def test_ttl_comes_back_to_what_it_was_and_a_second_run_changes_nothing(pair):
    pair.edit("del hub.bowline.test. A", "add hub.bowline.test. 900 A 10.0.0.1")
    run_of_a_cutover = [
        {"state": "prepared", "values": ["10.0.0.2"], "expect_current": ["10.0.0.1"]},
        {"values": ["10.0.0.2"], "expect_current": ["10.0.0.1"]},
        {"state": "settled"},
    ]
    first = [do(pair, **step, owner=OWNER, wait=False)["changed"] for step in run_of_a_cutover]
    assert first == [True, True, True]
    assert pair.primary.dig("hub.bowline.test", "A") == ["900 A 10.0.0.2"]
    assert [do(pair, **step, owner=OWNER, wait=False)["changed"] for step in run_of_a_cutover] == [False, False, False]


def test_without_wait_the_result_says_that_it_is_not_verified(pair):
    done = do(pair, values=["10.0.0.2"], wait=False)
    assert done["verified"] is False
    seen = look(pair)
    assert seen["consistent"] is False
    assert len(seen["serials"]) == 2
    assert len(seen["differences"]) == 1 and seen["differences"][0].startswith("ns2.bowline.test.")
    pair.transfer()
    assert look(pair)["consistent"] is True


def test_verified_waits_for_all_servers_and_writes_nothing(pair):
    serial = pair.primary.serial()
    assert do(pair, state="verified", values=["10.0.0.1"])["verified"] is True
    with pytest.raises(FleetError) as failure:
        do(pair, state="verified", values=["10.0.0.2"], wait_timeout=0)
    assert failure.value.code == "verify_timeout"
    assert len(failure.value.details["lagging"]) == 2
    assert pair.primary.serial() == serial


def test_resolver_is_asked_in_addition(pair):
    told = f"{pair.secondary.where}"
    with pytest.raises(FleetError) as failure:
        do(pair, state="verified", values=["10.0.0.2"], verify="resolvers", resolvers=[told], wait=False)
    assert failure.value.details["lagging"][-1]["name"] == told


def test_silent_secondary_stops_prepared_and_is_named(pair):
    pair.secondary.stop()
    serial = pair.primary.serial()
    with pytest.raises(FleetError) as failure:
        do(pair, state="prepared", provider_options={"timeout": 0.3})
    assert failure.value.code == "no_authority"
    assert f"{pair.secondary.where}" in failure.value.message
    assert pair.primary.serial() == serial
    entry = [server for server in look(pair, provider_options={"timeout": 0.3})["servers"] if server["address"] == pair.secondary.address][0]
    assert entry["error"] and entry["records"] == []


def test_dead_primary_is_named(pair):
    pair.primary.stop()
    with pytest.raises(FleetError) as failure:
        do(pair, values=["10.0.0.2"], provider_options={"timeout": 0.3})
    assert failure.value.code == "unreachable"
    assert failure.value.details == {"server": "server", "address": pair.primary.address, "port": pair.port}
    assert f"{pair.primary.where}" in failure.value.message


@every_maker
@pytest.mark.parametrize(
    ("field", "value"),
    [("secret", base64.b64encode(b"w" * 32).decode()), ("name", "nobody"), ("algorithm", "hmac-sha512")],
)
def test_wrong_key_is_found_before_anything_is_written(pair, tmp_path, field, value):
    key = json.loads(pair.key_file.read_text(encoding="utf-8"))
    (tmp_path / "key").write_text(json.dumps({**key, field: value}), encoding="utf-8")
    with pytest.raises(FleetError) as failure:
        do(pair, check_mode=True, values=["10.0.0.2"], provider_options={"key_file": str(tmp_path / "key")})
    assert failure.value.code == "tsig_error"
    assert value not in failure.value.message or field != "secret"
    assert key["secret"] not in str(failure.value.as_failure())


@every_maker
def test_key_without_permission_is_refused(pair, tmp_path):
    secret = base64.b64encode(b"r" * 32).decode()
    (tmp_path / "key").write_text(f'key "reader" {{\n  algorithm hmac-sha256;\n  secret "{secret}";\n}};\n', encoding="utf-8")
    with pytest.raises(FleetError) as failure:
        do(pair, values=["10.0.0.2"], provider_options={"key_file": str(tmp_path / "key")})
    assert failure.value.code in ("refused", "tsig_error")
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.1"]


@every_maker
def test_unsigned_update_is_refused(pair):
    with pytest.raises(FleetError) as failure:
        do(pair, values=["10.0.0.2"], provider_options={"key_file": None})
    assert failure.value.code in ("refused", "zone_not_found"), failure.value.message


@every_maker
@pytest.mark.parametrize("zone", ["elsewhere.test", "test"])
def test_zone_that_the_server_does_not_hold(pair, zone):
    with pytest.raises(FleetError) as failure:
        do(pair, zone=zone, values=["10.0.0.2"])
    assert failure.value.code == "zone_not_found", failure.value.message


@every_maker
def test_name_below_a_delegation_is_not_taken_for_an_absent_one(pair):
    with pytest.raises(FleetError) as failure:
        do(pair, name="hub.sub", values=["10.0.0.2"], expect_current="absent")
    assert failure.value.code == "zone_not_found"
    assert "delegation" in failure.value.message


def test_name_outside_the_zone(pair):
    with pytest.raises(FleetError) as failure:
        do(pair, name="hub.elsewhere.test.", values=["10.0.0.2"])
    assert failure.value.code == "zone_not_found", failure.value.message


@pytest.mark.parametrize(
    ("name", "rtype", "value", "code"),
    [
        ("alias", "A", "10.0.0.2", "cname_conflict"),
        ("hub", "CNAME", "alias.bowline.test", "cname_conflict"),
        ("@", "CNAME", "hub.test", "apex_cname"),
    ],
)
def test_cname_beside_other_records(pair, name, rtype, value, code):
    with pytest.raises(FleetError) as failure:
        do(pair, name=name, type=rtype, values=[value])
    assert failure.value.code == code


@every_maker
def test_equal_values_in_another_spelling_change_nothing(pair):
    assert do(pair, name="ALIAS.bowline.test.", type="CNAME", values=["HUB.Bowline.Test"])["changed"] is False
    assert do(pair, name="text", type="TXT", values=["onetwo"])["changed"] is False
    replaced = do(pair, name="text", type="TXT", values=['say "hi"; ünï'], expect_current=['"one" "two"'], wait=False)
    assert replaced["changed"] is True
    assert do(pair, name="text", type="TXT", values=['say "hi"; ünï'], wait=False)["changed"] is False


def test_record_of_another_owner_is_left_alone(pair):
    do(pair, values=["10.0.0.1"], owner="somebody else", wait=False)
    serial = pair.primary.serial()
    for owner in (OWNER, None):
        with pytest.raises(FleetError) as failure:
            do(pair, values=["10.0.0.2"], owner=owner, expect_current=["10.0.0.1"])
        assert failure.value.code == "not_owner"
        assert "somebody else" in failure.value.message
    assert pair.primary.serial() == serial


@every_maker
def test_update_whose_reply_is_lost_is_judged_by_what_is_there(pair, monkeypatch):
    import dns.query

    send = dns.query.tcp

    def lost(*arguments, **options):
        send(*arguments, **options)
        raise EOFError

    monkeypatch.setattr(dns.query, "tcp", lost)
    done = do(pair, values=["10.0.0.2"], wait=False)
    assert done["record"]["records"] == ["10.0.0.2"]
