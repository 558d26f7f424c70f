# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Swarm changes in no place, and a way back that does not come up: each remedy that the module names is tried."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stacks import CRASH, Stack  # noqa: E402

NETWORK = """\
version: "3.8"
services:
  one: {{image: {image}, networks: [inside], deploy: {{endpoint_mode: dnsrr, update_config: {{monitor: 1s}}}}}}
networks: {{inside: {{name: {name}_{network}, driver: overlay, attachable: {attachable}}}}}
"""


def test_a_service_in_another_mode_is_made_anew_when_asked_and_comes_back_in_the_old_one(swarm_lab, stack, tmp_path):
    anew = Stack(swarm_lab, tmp_path, stack("d-anew"), waves=2, port=18461)
    one, text = f"{anew.name}_one", anew.file.read_text(encoding="utf-8")
    wanted = [str(anew.write("global.yml", text.replace("replicas: 1", "mode: global", 1)))]
    anew.ok()
    before, versions = anew.specs(), anew.versions()
    failure = anew.fails(compose=wanted)
    assert failure["code"] == "recreate_needed" and f"allow_recreate: [{one}]" in json.dumps(failure), failure
    assert (anew.versions(), anew.ours("lock"), list(anew.statuses())) == (versions, [], [1])
    # The wave behind it fails: it was removed and made anew, and is so once more.
    failure = anew.fails(compose=wanted, allow_recreate=[one], env=CRASH)
    assert failure["details"]["outcome"] == "rolled_back", failure
    assert json.dumps(anew.specs()) == json.dumps(before) and len(anew.tasks()) == 2
    done = anew.ok(compose=wanted, allow_recreate=[one])
    assert [(step["action"], step["restarts"]) for step in done["plan"]] == [("recreate", "all")]
    assert "Global" in anew.specs()[one]["Mode"] and len(anew.tasks()) == 4
    assert anew.ok(compose=wanted)["outcome"] == "unchanged"


@pytest.mark.whole
def test_a_network_that_changes_is_refused_and_another_one_is_moved_to(swarm_lab, stack, tmp_path):
    moved = Stack(swarm_lab, tmp_path, stack("d-moved"), waves=1)

    def files(network, attachable):
        text = NETWORK.format(image=moved.image, name=moved.name, network=network, attachable=attachable)
        return [str(moved.write(f"{network}-{attachable}.yml", text))]

    moved.ok(compose=files("inside", "true"))
    versions = moved.versions()
    # Naming the service does not help: its network would still be in use.
    failure = moved.fails(compose=files("inside", "false"), allow_recreate=[f"{moved.name}_one"])
    assert failure["code"] == "recreate_needed" and "Attachable True becomes False" in failure["message"], failure
    assert moved.versions() == versions
    assert moved.ok(compose=files("other", "false"))["outcome"] == "converged"
    names = [one["Name"] for one in moved.api.networks(filters={"label": [f"com.docker.stack.namespace={moved.name}"]})]
    assert names == [f"{moved.name}_other"] and len(moved.tasks()) == 1


def label(lab, node, *words):
    lab.docker("node", "update", *words, node)


def stopped(process):
    return "T" in Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def test_a_way_back_that_does_not_come_up_says_which_service_and_is_gone_on_with_when_that_is_mended(swarm_lab, stack, tmp_path):
    """While the new version fails, somebody takes the place of the old one away. The other service comes back all the same."""
    lost, home = Stack(swarm_lab, tmp_path, stack("d-lost"), waves=2, port=18471), swarm_lab.managers[1]["name"]
    two = f"{lost.name}_two"
    pinned = str(lost.write("home.yml", 'version: "3.8"\nservices: {two: {deploy: {placement: {constraints: [node.labels.d-lost==home]}}}}\n'))
    label(swarm_lab, home, "--label-add", "d-lost=home")
    try:
        lost.ok(compose=[str(lost.file), pinned])
        before = lost.specs()
        process = lost.spawn(fault="R1:stop", env={"VERSION": "2", **CRASH}, pending_timeout=2)
        try:
            swarm_lab.wait("the new version to fail", lambda: stopped(process), 120)
            label(swarm_lab, home, "--label-rm", "d-lost")
        finally:
            os.kill(process.pid, signal.SIGCONT)
            out, err = process.communicate(timeout=120)
        failure = json.loads(out or err)["failure"]
        assert (failure["code"], failure["details"]["outcome"], failure["details"]["cause"]["details"]["wave"]) == ("rollback_failed", "rollback_failed", 1)
        assert [(entry["service"], entry["code"]) for entry in failure["details"]["lost"]] == [(two, "unschedulable")], failure["details"]["lost"]
        assert two in failure["message"] and "constraints" in failure["message"] and "revision: stable" in failure["remedy"]
        statuses = lost.statuses()
        assert statuses[max(statuses)] == "rollback_failed" and lost.ours("lock") == []
        # Nothing is given up for the failure of one, and it is not written again while its task waits for a node: that would be left waiting for good.
        pace = {**before[two]["UpdateConfig"], "FailureAction": "continue"}
        assert lost.specs() == {**before, two: {**before[two], "UpdateConfig": pace}} and len(lost.tasks()) == 1
        failure = lost.fails(revision="stable")
        assert failure["code"] == "unschedulable" and failure["message"].startswith(f"{two}: No node can take a task"), failure
        label(swarm_lab, home, "--label-add", "d-lost=home")
        tasks = swarm_lab.wait("the task to find its place", lambda: len(lost.tasks()) == 2 and lost.tasks())
        assert lost.ok(revision="stable")["outcome"] == "converged"
        assert (json.dumps(lost.specs()), lost.tasks()) == (json.dumps(before), tasks)
    finally:
        swarm_lab.docker("node", "update", "--label-rm", "d-lost", home, check=False)
