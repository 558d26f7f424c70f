# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who answers a request: every combination of what both edges were told, and every moment of a switch and back."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.model import SIDES, Hop, State, parse_hop
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.routing import decide, lua

OTHER = {"legacy": "new", "new": "legacy"}


def walk(entry, edges):
    """The side that answers a request at ``entry``, and how often it was forwarded; ``edges`` is what each side's edge was told."""
    side, hop, forwards = entry, None, 0
    while True:
        to, hop = decide(edges[side], hop)
        if to != "peer":
            return (side if to == "local" else to), forwards
        side, forwards = OTHER[side], forwards + 1


STATES = [State(route, epoch) for route in ("local", "peer") for epoch in (1, 2, 3)]


@pytest.mark.parametrize(("legacy", "new"), list(itertools.product(STATES, STATES)))
@pytest.mark.parametrize("entry", SIDES)
def test_no_combination_loops_and_the_newest_route_wins(entry, legacy, new):
    edges = {"legacy": legacy, "new": new}
    served, forwards = walk(entry, edges)
    assert served in SIDES and forwards <= 2
    if legacy.epoch == new.epoch:
        return
    newest = max(SIDES, key=lambda side: edges[side].epoch)
    told = newest if edges[newest].route == "local" else OTHER[newest]
    # A side that was told to serve itself, by an older route, still does: that is why the serving side's edge is the one to switch.
    expected = entry if entry != newest and edges[entry].route == "local" else told
    assert served == expected


def history():
    """The world through a switch, back, and again: (edges, held edge, serving side; None inside the window)."""
    edges = {"legacy": State("local", 10), "new": State("peer", 9)}
    steps = [(dict(edges), None, "legacy")]
    epoch = 10
    for source, target in (("legacy", "new"), ("new", "legacy"), ("legacy", "new")):
        steps.append((dict(edges), source, source))
        steps.append((dict(edges), source, None))
        epoch += 1
        edges[source] = State("peer", epoch)
        steps.append((dict(edges), source, target))
        steps.append((dict(edges), None, target))
        epoch += 1
        edges[target] = State("local", epoch)
        steps.append((dict(edges), None, target))
    return steps


def journeys(steps, start, side, hop, forwarders):
    """Every way in which a request that is at ``side`` from step ``start`` on can end: (step, side, forwards), one hop at any later step.

    An edge that forwarded a request counts it as in flight until it is answered, so no window of that edge opens before.
    """
    for at in range(start, len(steps)):
        edges, held, serving = steps[at]
        if serving is None and held in forwarders:
            return
        if held == side:
            # It waits here; what happens after the release is covered by a later step.
            continue
        to, onward = decide(edges[side], hop)
        if to == "peer":
            yield from journeys(steps, at, OTHER[side], onward, [*forwarders, side])
        else:
            yield at, side if to == "local" else to, len(forwarders)


@pytest.mark.parametrize("entry", SIDES)
def test_at_every_moment_of_a_switch_and_back_only_the_serving_side_answers(entry):
    steps = history()
    seen = set()
    for start in range(len(steps)):
        for at, side, forwards in journeys(steps, start, entry, None, []):
            assert side == steps[at][2], f"answered by {side} at step {at}, entered at step {start}"
            assert forwards <= 2
            seen.add(side)
    assert seen == set(SIDES)


def test_one_side_switches_alone_while_the_other_is_dead_or_not_yet_told():
    edges = {"legacy": State("local", 10), "new": State("peer", 9)}
    edges["legacy"] = State("peer", 20)
    assert [walk(side, edges)[0] for side in SIDES] == ["new", "new"]
    edges["new"] = State("peer", 30)
    assert [walk(side, edges)[0] for side in SIDES] == ["legacy", "legacy"]


def test_the_plain_rule_that_every_forwarded_request_is_local_would_serve_the_fenced_side():
    """Why epochs: without them a request through the edge that is not told yet comes to the side that was just fenced."""
    edges = {"legacy": State("peer", 20), "new": State("peer", 9)}
    side, hop = "new", None
    _side, hop = decide(edges[side], hop)
    assert decide(edges["legacy"], hop)[0] == "peer"
    assert decide(replace(edges["legacy"], epoch=0), hop)[0] == "local"


@pytest.mark.parametrize(("count", "expected"), [(3, "peer"), (4, "loop"), (99, "loop")])
def test_more_than_three_hops_are_refused(count, expected):
    assert decide(State("peer", 10), Hop(count, 1))[0] == expected


@pytest.mark.parametrize(("state", "expected"), [(State("local", 10), "local"), (State("peer", 10), "loop")])
def test_what_an_edge_with_another_token_sends_is_served_here_or_not_at_all(state, expected):
    # Its hop is dropped, so without this rule two such edges would forward for ever.
    assert decide(state, None, foreign=True) == (expected, None)


@pytest.mark.parametrize("value", [None, "", "1", "1;", ";1", "1;x", "-1;5", "1;5;6", "1111;5", "1;1234567890123456", " 1;5"])
def test_what_no_edge_wrote_is_no_hop(value):
    assert parse_hop(value) is None


def test_hop_survives_the_wire():
    assert parse_hop(Hop(2, 1790000000000).encode()) == Hop(2, 1790000000000)


def test_lua_has_every_value_filled_in():
    text = lua("/var/lib/edge/edge.map", 30.0)
    assert not re.search(r"@\w+@", text)
    assert '"/var/lib/edge/edge.map", 30000' in text
