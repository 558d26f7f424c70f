# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine that breaks while it works: what is said of it, and that the remedy of docs/runbooks/nodes.md works. The tests build on each other."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

UNIT = "[Unit]\\nX-Bowline-Stack=hub\\nX-Bowline-Module=web\\n[Service]\\nExecStart={}\\n[Install]\\nWantedBy=multi-user.target\\n"
RELEASED = [{"hook": "credentials", "outcome": "released"}]


def test_a_member_by_the_key_that_its_console_has_told(member):
    """Provisioned by the playbook: certificate, pin, agent; its host has no credentials any more, and a second look changes nothing."""
    seen = member.swept()
    assert (seen["outcome"], seen["phase"], seen["health"]) == ("heard", "running", "ok"), seen
    shown = member.run("running", check=True)
    told = member.shell("cut -d' ' -f1-2 /etc/ssh/ssh_host_ed25519_key.pub")
    assert shown["plan"] == [] and shown["instance"]["host_key"] == told
    assert f"{member.address},web-1 {told} web-1 {shown['instance']['id']}\n" == member.known_hosts().read_text()
    assert not (member.place / "credentials").exists()
    assert member.ssh("true", str(member.known_hosts())).returncode == 0


def test_the_agent_is_killed(member):
    member.shell("systemctl disable --now bowline-heartbeat.timer; systemctl stop bowline-heartbeat.service; rm /usr/libexec/bowline/bowline-node.pyz")
    assert member.swept_until("silent") == ["ok", "late"]
    told = member.told()
    assert (told["phase"], told["health"], told["recovery"]["stuck"]) == ("running", "silent", "silent")
    assert told["conditions"]["heartbeat_fresh"]["reason"] == "silent" and "restart the agent" in told["recovery"]["automatic"]
    assert "changed=0" not in member.role("node_agent")
    seen = member.swept()
    assert (seen["outcome"], seen["health"]) == ("heard", "ok") and member.told()["recovery"] == {}


def test_the_network_is_cut(member, waited):
    member.link("down")
    try:
        assert member.swept()["outcome"] == "unreached"
        member.swept_until("silent")
        assert member.told()["recovery"]["stuck"] == "silent"
        # Nobody takes it for empty, and its power is on for its provider: it is not gone.
        assert "cannot be reached" in member.refused("drain_blocked", "drained").message
        assert member.run("absent", check=True, force=True, evidence=RELEASED)["instance"]["reason"] == ""
    finally:
        member.link("up")
    waited(lambda: member.swept()["outcome"] == "heard", "its network")
    member.beat()
    assert member.swept()["health"] == "ok"


def test_the_host_key_is_swapped(member):
    member.shell("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh")
    assert member.ssh("true", str(member.known_hosts())).returncode == 255, "the pin refuses it"
    before = member.known_hosts().read_text()
    said = member.role("node_enrol", fails=True)
    assert "host_key_changed" in said and member.known_hosts().read_text() == before
    member.role("node_enrol", "absent")
    member.role("node_enrol")
    assert member.ssh("true", str(member.known_hosts())).returncode == 0 and member.known_hosts().read_text() != before
    member.beat()
    assert member.swept()["health"] == "ok"


def test_a_disk_is_full(member):
    member.shell("mount -t tmpfs -o size=4M tmpfs /tmp && head -c 4M /dev/zero >/tmp/all; systemctl start bowline-heartbeat.service")
    seen = member.swept()
    assert (seen["phase"], seen["health"]) == ("running", "degraded"), seen
    condition = member.told()["conditions"]["services_ready"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("false", "service_failed", "/tmp is full")
    assert "/tmp is full" in member.refused("services_not_ready", "running", status=member.beat()).message
    member.shell("rm /tmp/all; umount /tmp")
    assert member.run("running", status=member.beat())["instance"]["phase"] == "running" and member.swept()["health"] == "ok"


def test_bootstrapping_and_a_unit_fails(member):
    """A new boot in which a service of ours does not start: the unit is named by both, mended on the machine, and the same command goes on."""
    member.shell(f"printf '{UNIT.format('/bin/false')}' >/etc/systemd/system/hub-web.service; systemctl daemon-reload; systemctl enable hub-web")
    member.run("stopped")
    member.run("present", wait_for="contacted")
    error = member.refused("services_not_ready", "running", status=member.beat())
    assert "hub-web.service" in error.message
    told = member.told()
    assert (told["phase"], told["recovery"]["stuck"]) == ("bootstrapping", "bootstrapping")
    assert (told["conditions"]["services_ready"]["reason"], told["conditions"]["services_ready"]["message"]) == ("services_not_ready", "hub-web.service")
    assert "code=exited, status=1" in member.shell("journalctl -u hub-web.service")
    member.shell("sed -i 's,/bin/false,/bin/sleep infinity,' /etc/systemd/system/hub-web.service; systemctl daemon-reload; systemctl restart hub-web")
    assert member.run("running", status=member.beat())["instance"]["phase"] == "running"
    member.shell("systemctl disable --now hub-web; rm /etc/systemd/system/hub-web.service; systemctl daemon-reload")


def test_it_is_destroyed_behind_our_back(member):
    """Its end is gone through all the same, the credentials first; the next one has the next generation."""
    member.pull()
    shown = member.run("absent", check=True, evidence=RELEASED)
    assert (shown["instance"]["phase"], shown["instance"]["reason"]) == ("terminated", "vanished")
    error = member.refused("finalizers_pending", "absent")
    assert "credentials" in error.details["failures"] and member.told("conditions")["phase"] == "terminating"
    done = member.run("absent", evidence=RELEASED)
    finished = [step["subject"] for step in done["plan"] if step["action"] == "finish"]
    assert finished == ["credentials", "provider", "traces"] and done["instance"]["id"] is None
    assert member.run("present")["instance"]["generation"] == 2 and member.leader()
