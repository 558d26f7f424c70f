# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node is taken for dead on proof only: everything that is missing in one answer."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.node.proof import refuse_unproven

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=timezone.utc)
GOOD = {"power": "off", "source": "bmc of n1", "observed_at": (NOW - timedelta(seconds=299)).isoformat()}


def node(state: str = "down") -> dict:
    return {"ID": "id1", "Description": {"Hostname": "n1"}, "Status": {"State": state}}


@pytest.mark.parametrize("proof", [GOOD, {**GOOD, "observed_at": str(NOW.timestamp())}, {**GOOD, "observed_at": "2026-11-28T02:59:00Z"}])
def test_a_fresh_look_at_the_power_is_proof(proof):
    refuse_unproven(node(), proof, NOW)


@pytest.mark.parametrize(("proof", "state", "said"), [
    pytest.param(None, "down", "power is missing", id="none"),
    pytest.param({**GOOD, "power": "on"}, "down", "power is on, not off", id="it is on"),
    pytest.param({**GOOD, "source": " "}, "down", "source is missing", id="nobody saw it"),
    pytest.param({**GOOD, "observed_at": (NOW - timedelta(seconds=301)).isoformat()}, "down", "301 s old", id="old"),
    pytest.param({**GOOD, "observed_at": (NOW + timedelta(seconds=61)).isoformat()}, "down", "-61 s old", id="from the future"),
    pytest.param({**GOOD, "observed_at": "2026-11-28T02:59:00"}, "down", "no moment", id="no time zone"),
    pytest.param({**GOOD, "observed_at": "yesterday"}, "down", "no moment", id="no moment"),
    pytest.param(GOOD, "ready", "sees n1 as ready", id="it answers"),
])  # fmt: skip
def test_anything_less_is_refused(proof, state, said):
    with pytest.raises(FleetError, match=said) as failure:
        refuse_unproven(node(state), proof, NOW)
    assert failure.value.code == "not_proven_dead"


def test_all_that_is_missing_is_said_at_once():
    with pytest.raises(FleetError) as failure:
        refuse_unproven(node("ready"), {}, NOW)
    assert len(failure.value.details["faults"]) == 4
