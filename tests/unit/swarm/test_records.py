# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from fake_cluster import Cluster

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record import records
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.wire import OutOfSequence


@pytest.mark.parametrize(("kind", "subject", "code"), [(records.ROLLOUT, "web", "rollout_open"), (records.DRAIN, "abc123", "drain_open")])
def test_open_work_refuses_other_writers_with_owner_step_and_reason(kind, subject, code):
    cluster = Cluster()
    begun = records.begin(cluster, kind, subject, {"original": {"a": [1]}}, step="first", reason="kernel\n update", owner="anna@ci")
    records.advance(cluster, begun, "second", {"samples": 3})
    with pytest.raises(FleetError) as caught:
        records.begin(cluster, kind, subject, {}, step="first")
    assert caught.value.code == code
    assert {"owner": "anna@ci", "step": "second", "reason": "kernel update", "position": {"samples": 3}}.items() <= caught.value.details.items()
    found = records.find(cluster, kind, subject)
    assert found.data == {"original": {"a": [1]}}
    records.close(cluster, found)
    records.close(cluster, found)
    records.refuse(cluster, kind, subject)


def test_work_on_other_subjects_does_not_matter():
    cluster = Cluster()
    for subject in ("b", "a"):
        records.begin(cluster, records.DRAIN, subject, {}, step="x")
    records.refuse(cluster, records.DRAIN, "c")
    records.refuse(cluster, records.ROLLOUT, "a")
    assert [record.subject for record in records.every(cluster, records.DRAIN)] == ["a", "b"]


@pytest.mark.parametrize(("constraint", "refused"), [("node.id != n1", True), ("node.id!=n1", True), ("node.id==n1", False), ("node.id!=n2", False)])
def test_a_spec_that_a_drain_has_changed_is_nobody_elses_to_write(constraint, refused):
    cluster, spec = Cluster(), {"TaskTemplate": {"Placement": {"Constraints": ["node.role==worker", constraint]}}}
    records.refuse_drained(cluster, [spec])
    records.begin(cluster, records.DRAIN, "n1", {}, step="moving")
    if refused:
        with pytest.raises(FleetError) as caught:
            records.refuse_drained(cluster, [{}, spec])
        assert caught.value.code == "drain_open"
    else:
        records.refuse_drained(cluster, [{}, spec])


def test_two_who_move_the_same_record_do_not_write_over_each_other():
    cluster = Cluster()
    begun = records.begin(cluster, records.ROLLOUT, "web", {}, step="one")
    records.advance(cluster, begun, "two")
    with pytest.raises(OutOfSequence):
        records.advance(cluster, begun, "aborted")
    assert records.find(cluster, records.ROLLOUT, "web").step == "two"
