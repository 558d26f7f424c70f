# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that a wildcard answers for: what the name itself holds is told apart from what is only shown."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from bowline_dns_rig import do, look

OWNER = "cutover/hub-1"

pytestmark = pytest.mark.parametrize("pair", ["knot", "bind", "powerdns"], indirect=True)


def test_foreign_text_above_the_ownership_name_is_no_owner(pair):
    made = do(pair, name="a.text", values=["10.0.0.2"], owner=OWNER, wait=False)
    assert made["record"]["owner"] == OWNER
    again = do(pair, name="a.text", values=["10.0.0.3"], owner=OWNER, expect_current=["10.0.0.2"], wait=False)
    assert again["changed"]
    gone = do(pair, name="a.text", previous=made["previous"], owner=OWNER, wait=False)
    assert [step["action"] for step in gone["plan"]] == ["remove", "disown"]
    assert pair.primary.dig("a.text.bowline.test", "TXT") == ['300 TXT "v=spf1 -all"'], "the wildcard shows again"


def test_foreign_text_at_the_ownership_name_stays(pair):
    pair.edit('add _bowline-a.hub.bowline.test. 300 TXT "somebody else wrote this"')
    made = do(pair, values=["10.0.0.2"], owner=OWNER, expect_current=["10.0.0.1"], wait=False)
    assert made["record"]["owner"] == OWNER
    do(pair, previous=made["previous"], owner=OWNER, wait=False)
    assert pair.primary.dig("_bowline-a.hub.bowline.test", "TXT")[0].endswith('"somebody else wrote this"')


def test_a_record_of_its_own_under_a_wildcard_and_back(pair):
    expect = {"name": "a.wild", "expect_current": ["10.9.9.9"], "owner": OWNER, "wait": False}
    lowered = do(pair, state="prepared", **expect)
    assert lowered["previous"]["present"] is False
    assert pair.primary.dig("a.wild.bowline.test", "A") == ["60 A 10.9.9.9"]
    moved = do(pair, values=["10.0.0.2"], **expect)
    assert pair.primary.dig("a.wild.bowline.test", "A") == ["60 A 10.0.0.2"]
    assert pair.primary.dig("b.wild.bowline.test", "A") == ["300 A 10.9.9.9"], "the wildcard is as it was"
    assert do(pair, values=["10.0.0.2"], **expect)["changed"] is False
    assert moved["max_stale_until"] >= lowered["ready_at"]
    pair.transfer()
    do(pair, name="a.wild", previous=lowered["previous"], owner=OWNER, wait=False)
    pair.transfer()
    seen = do(pair, name="a.wild", state="absent", owner=OWNER)
    assert (seen["changed"], seen["verified"]) == (False, True), "a wildcard that answers is no record of the name"
    assert pair.primary.dig("a.wild.bowline.test", "A") == ["300 A 10.9.9.9"]
    assert pair.primary.dig("_bowline-a.a.wild.bowline.test", "TXT") == []


def test_equal_record_of_its_own_is_told_from_the_wildcard(pair):
    pair.edit("add a.wild.bowline.test. 300 A 10.9.9.9")
    pair.transfer()
    assert look(pair, name="a.wild")["record"]["present"] is True
    assert do(pair, name="a.wild", values=["10.9.9.9"])["changed"] is False
    pair.edit("del a.wild.bowline.test.")
    pair.transfer()
    assert look(pair, name="a.wild")["record"]["present"] is False


def test_wildcard_alias_does_not_stand_beside(pair):
    made = do(pair, name="a.alias", values=["10.0.0.2"], expect_current="absent", owner=OWNER, wait=False)
    assert made["plan"][0]["action"] == "create" and "CNAME" in str(made["plan"])
    assert pair.primary.dig("a.alias.bowline.test", "A") == ["300 A 10.0.0.2"]


def test_the_wildcard_itself(pair):
    moved = do(pair, name="*.wild", values=["10.0.0.2"], owner=OWNER, expect_current=["10.9.9.9"], wait=False)
    do(pair, name="*.wild", previous=moved["previous"], owner=OWNER, wait=False)
    assert pair.primary.dig("b.wild.bowline.test", "A") == ["300 A 10.9.9.9"]


def test_what_a_wildcard_shows_is_expected_like_a_record(pair):
    with pytest.raises(FleetError) as failure:
        do(pair, name="a.wild", values=["10.0.0.2"], expect_current=["10.0.0.7"])
    assert failure.value.code == "conflict"
    assert failure.value.details["seen"] == ["10.9.9.9"]


def test_a_move_that_is_given_up_leaves_the_zone_as_it_was(pair):
    """A record of its own keeps its values and gets its TTL back; one that was made over a wildcard goes."""
    for name, values, before in (("hub", ["10.0.0.1"], pair.primary.dig("hub.bowline.test", "A")), ("a.wild", ["10.9.9.9"], ["300 A 10.9.9.9"])):
        do(pair, name=name, state="prepared", expect_current=values, owner=OWNER, wait=False)
        assert pair.primary.dig(f"{name}.bowline.test", "A") == [before[0].replace("300", "60", 1)]
        predicted = do(pair, name=name, state="released", expect_current=values, owner=OWNER, wait=False, check_mode=True)
        given_up = do(pair, name=name, state="released", expect_current=values, owner=OWNER, wait=False)
        assert predicted["plan"] == given_up["plan"] and given_up["plan"][-1]["action"] == "disown"
        assert pair.primary.dig(f"{name}.bowline.test", "A") == before
        assert pair.primary.dig(f"_bowline-a.{name}.bowline.test", "TXT") == []
        assert do(pair, name=name, state="released", expect_current=values, owner=OWNER, wait=False)["changed"] is False
