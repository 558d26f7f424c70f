# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine that does not come on, made stuck in each way: what node_instance and node_instance_info say of it, and that what they name helps.

What is typed here is what docs/runbooks/nodes.md says. A machine that boots and is not ready, and one that runs and is silent, are members: test_broken.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TYPED = (Path(__file__).resolve().parents[3] / "docs/runbooks/nodes.md").read_text(encoding="utf-8")


def names(told: dict) -> tuple[str, str]:
    return told["phase"], told["recovery"].get("stuck", "")


def test_pending_because_the_host_has_no_room(hosted):
    fleet = hosted(room=16)
    error = fleet.refused("no_space", "running")
    assert "No space left" in error.message
    told = fleet.told("recovery", "events")
    assert names(told) == ("pending", "pending") and told["events"][0]["reason"].startswith("[no_space]")
    fleet.skew += 301
    assert fleet.told()["health"] == "stalled" and fleet.told()["conditions"]["stalled"]["reason"] == "queue_or_quota"
    fleet.grow(1024)
    before = fleet.skew
    assert fleet.run("present")["instance"]["power"] == "on" and fleet.skew == before, "nothing is waited for"
    assert names(fleet.told())[0] == "provisioning" and fleet.leader()


def test_pending_because_the_provider_is_disabled(hosted):
    fleet = hosted()
    assert "mode=real" in fleet.refused("provider_disabled", "running", mode="disabled").remedy and "`mode: real`" in TYPED
    assert fleet.rows() == [] and fleet.run("present", mode="real")["instance"]["power"] == "on"


def test_provisioning_and_the_machine_never_came(hosted):
    """The run was killed before its call: nobody knows whether it is on its way, so it is looked for, and asked for once more."""
    fleet = hosted()
    assert fleet.killed("I2", "present", mode="real")
    told = fleet.told("recovery", "actions")
    assert names(told) == ("provisioning", "provisioning_no_machine") and told["actions"][0]["verb"] == "create" and not fleet.place.exists()
    before = fleet.skew
    made = fleet.run("present")["instance"]
    assert fleet.skew - before >= 50 and made["power"] == "on" and fleet.leader()
    assert [path.name for path in (fleet.host_folder / "nspawn").iterdir()] == ["web-1"]


def test_provisioning_and_the_machine_is_silent(hosted):
    """Its SSH server does not start. It gets one power cycle, and the message has what it said last; then somebody goes to its console."""
    fleet = hosted()
    fleet.run("present")
    fleet.run("stopped", drain={"enabled": False})
    (fleet.place / "root/etc/systemd/system/ssh.service").symlink_to("/dev/null")
    error = fleet.refused("no_contact", "running", boot_factor=0.05)
    assert "switched off and on before" in error.message and "Reached target" in error.message, error.message
    told = fleet.told("recovery", "actions", "conditions")
    assert names(told) == ("provisioning", "provisioning_no_word") and told["health"] in ("stalled", "unknown")
    assert told["conditions"]["contacted"]["reason"] == "waiting_for_contact" and [one["verb"] for one in told["actions"]] == ["power_cycle"]
    fleet.inside("sh", "-c", "rm /etc/systemd/system/ssh.service; systemctl daemon-reload; systemctl start ssh")
    made = fleet.run("present", wait_for="contacted")["instance"]
    assert made["phase"] == "bootstrapping" and fleet.told("actions")["actions"] == []
