# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider none: says what somebody has to change, and sees when it has been changed."""

from __future__ import annotations

import threading

import bowline_dns_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError


def byhand(pair, **options):
    place = {"resolver": pair.primary.where, "authority_port": pair.port, "timeout": 1, **options.pop("place", {})}
    return {"provider": "none", "all_options": place, "expect_current": ["10.0.0.1"], "owner": "cutover/hub-1", **options}


def test_says_what_to_change_and_changes_nothing(pair):
    serial = pair.primary.serial()
    told = [rig.do(pair, check_mode, **byhand(pair, values=["10.0.0.2"], wait=False)) for check_mode in (True, False)]
    assert told[0]["instructions"] == told[1]["instructions"]
    assert pair.primary.serial() == serial
    assert (told[1]["changed"], told[1]["verified"], told[1]["plan"]) == (False, False, [])
    what, seen, _ask = told[1]["instructions"]
    assert "From: hub.bowline.test. 300 IN A 10.0.0.1. To: hub.bowline.test. 300 IN A 10.0.0.2." in what
    assert pair.primary.where in seen and pair.secondary.where in seen
    assert told[1]["previous"]["records"] == told[1]["record"]["records"] == ["10.0.0.1"]
    lowered = rig.do(pair, **byhand(pair, state="prepared", wait=False))
    assert "To: hub.bowline.test. 60 IN A 10.0.0.1." in lowered["instructions"][0] and lowered["ready_at"]
    assert rig.do(pair, **byhand(pair, values=["10.0.0.1"]))["instructions"] == []


def test_waits_until_every_server_shows_it(pair):
    def somebody():
        pair.edit("del hub.bowline.test. A", "add hub.bowline.test. 300 A 10.0.0.2")
        pair.transfer()

    hand = threading.Thread(target=somebody)
    hand.start()
    try:
        done = rig.do(pair, **byhand(pair, values=["10.0.0.2"], wait_timeout=30))
    finally:
        hand.join()
    assert (done["verified"], done["instructions"], done["record"]["records"]) == (True, [], ["10.0.0.2"])


def test_deadline_says_what_was_last_seen_and_what_is_to_do(pair):
    pair.edit("del hub.bowline.test. A", "add hub.bowline.test. 300 A 10.0.0.2")
    with pytest.raises(FleetError) as failure:
        rig.do(pair, **byhand(pair, values=["10.0.0.2"], wait_timeout=0.2))
    assert failure.value.code == "verify_timeout"
    assert [server["address"] for server in failure.value.details["lagging"]] == [pair.secondary.address]
    assert failure.value.details["instructions"][0].startswith(("Change hub.bowline.test. A", "Make sure"))
    alone = rig.do(pair, **byhand(pair, values=["10.0.0.2"], wait_timeout=5, ignore_servers=["ns2"]))
    assert alone["verified"] is True


def test_name_that_is_something_else_is_a_conflict(pair):
    with pytest.raises(FleetError) as failure:
        rig.do(pair, **byhand(pair, values=["10.0.0.2"], expect_current=["10.0.0.7"]))
    assert failure.value.code == "conflict"


def test_servers_by_address_and_nobody_who_answers(pair):
    given = {"resolver": None, "servers": [pair.primary.where]}
    assert "ns2" not in str(rig.do(pair, **byhand(pair, place=given, values=["10.0.0.2"], wait=False))["instructions"])
    with pytest.raises(FleetError) as failure:
        rig.do(pair, **byhand(pair, place={"resolver": None, "servers": ["127.0.53.9:9"], "timeout": 0.2}, values=["10.0.0.2"]))
    assert failure.value.code == "no_authority"
    with pytest.raises(FleetError) as failure:
        rig.do(pair, **byhand(pair, zone="elsewhere.test", name="hub", values=["10.0.0.2"]))
    assert failure.value.code == "no_authority"
