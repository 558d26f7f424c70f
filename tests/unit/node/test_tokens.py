# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lets a machine in: a token is of one key, a certificate of one machine, and nothing of either is kept that could be stolen."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Instance
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import Held, NodeStore, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._node.tokens import BACKDATED, GRACE, Certificate, Tokens
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore
from node_world import fresh

NOW = 1_000_000.0


class Gate:
    def __init__(self) -> None:
        self.now, self.database = NOW, fresh()
        self.tokens = Tokens(self.database, lambda: self.now)
        state = StateStore(self.database, Owner("ann", "ann", "here", 1), clock=lambda: self.now)
        opened = state.open("node", [subject_of("edge-1")], [])
        self.held = Held(subject_of("edge-1"), opened["lease_numbers"][subject_of("edge-1")])
        self.nodes = NodeStore(self.database, lambda: self.now)
        self.nodes.reserve(self.held, Instance("i-1", "edge-1", "local", 0, 0.0))

    def refused(self, token: str, key: str) -> str:
        with pytest.raises(FleetError) as failure:
            self.tokens.bind(token, key)
        assert token not in failure.value.message
        return failure.value.code


@pytest.fixture
def gate():
    return Gate()


def test_a_token_is_of_the_first_key_that_comes_with_it(gate):
    token = gate.tokens.issue(gate.held, "i-1")
    assert gate.tokens.bind(token, "key-a") == "i-1"
    assert gate.tokens.bind(token, "key-a") == "i-1", "a reply that was lost is given again"
    assert [event.type for event in gate.nodes.events("edge-1")] == ["reserved"]
    assert gate.refused(token, "key-b") == "token_bound"
    event = gate.nodes.events("edge-1")[0]
    assert (event.type, event.severity, event.before, event.after) == ("token_bound", "critical", "key-a", "key-b")
    assert gate.tokens.bind(token, "key-a") == "i-1"


def test_a_token_ends(gate):
    used, unused = gate.tokens.issue(gate.held, "i-1", 60), ""
    gate.tokens.bind(used, "key-a")
    unused = gate.tokens.issue(gate.held, "i-1", 60)
    gate.now += 60
    assert (gate.refused(used, "key-a"), gate.refused(unused, "key-a"), gate.refused("never-issued", "key-a")) == ("token_expired",) * 3


def test_a_newer_token_replaces_one_that_was_not_used(gate):
    first, second = gate.tokens.issue(gate.held, "i-1"), gate.tokens.issue(gate.held, "i-1")
    assert gate.refused(first, "key-a") == "token_expired"
    assert gate.tokens.bind(second, "key-a") == "i-1"


def test_no_token_is_kept(gate):
    token = gate.tokens.issue(gate.held, "i-1")
    with gate.database.transaction() as transaction:
        kept = str(transaction.execute("SELECT * FROM node_token"))
    assert token not in kept and len(token) >= 43


def test_a_certificate_lets_in_until_it_is_over_or_revoked(gate):
    gate.tokens.signed(Certificate("7f", "i-1", "key-a", NOW - BACKDATED, NOW + 100))
    assert gate.tokens.lets_in("7f").instance == "i-1" and gate.tokens.lets_in("80") is None
    gate.now += 100
    assert gate.tokens.lets_in("7f") is None
    assert gate.tokens.lets_in("7f", GRACE) is not None, "for its renewal"
    gate.now += GRACE
    assert gate.tokens.lets_in("7f", GRACE) is None


def test_revocation_leaves_nothing_of_worth(gate):
    token = gate.tokens.issue(gate.held, "i-1")
    gate.tokens.bind(token, "key-a")
    gate.tokens.signed(Certificate("7f", "i-1", "key-a", NOW - BACKDATED, NOW + 100))
    assert gate.tokens.worth("i-1") == gate.tokens.revoke(gate.held, "i-1", "terminated") == 2
    assert gate.tokens.worth("i-1") == gate.tokens.revoke(gate.held, "i-1", "again") == 0
    assert gate.tokens.lets_in("7f", GRACE) is None and gate.refused(token, "key-a") == "token_expired"


def test_issue_and_revocation_want_the_lease(gate):
    stale = Held(gate.held.subject, gate.held.number + 1)
    for call in (lambda: gate.tokens.issue(stale, "i-1"), lambda: gate.tokens.revoke(stale, "i-1", "x")):
        with pytest.raises(FleetError) as failure:
            call()
        assert failure.value.code == "lease_lost"
