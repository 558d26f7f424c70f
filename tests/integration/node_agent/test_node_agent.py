# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agent, enrolment and sweep on a machine with systemd, sshd and nothing else of ours."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.slow]

AGENT = {"ansible.builtin.include_role": {"name": "bowline.fleet.node_agent"}}
NO_AGENT = {"ansible.builtin.include_role": {"name": "bowline.fleet.node_agent", "tasks_from": "absent"}}
UNITS = "/etc/systemd/system/bowline-heartbeat.*"


def test_the_agent_speaks_by_a_timer(machine, waited):
    foreseen, _step = machine.play([AGENT], "--check", facts="node_agent_step")
    assert foreseen == 2 and machine.shell(f"ls {UNITS} /usr/libexec/bowline /run/bowline/status.json") == ""
    changed, step = machine.play([AGENT], facts="node_agent_step")
    assert changed >= foreseen and step["changed"]
    status = machine.status()
    assert status["unmet_conditions"] == ["enrolled"] and status["problems"] == [] and status["agent"] == step["evidence"]["digest"]
    assert machine.shell("systemctl is-active bowline-heartbeat.timer; systemctl is-enabled bowline-heartbeat.timer").split() == ["active", "enabled"]
    assert machine.shell("stat -c %a:%U /run/bowline /run/bowline/status.json /usr/libexec/bowline/bowline-node.pyz").split() == [
        "700:root", "644:root", "755:root"]  # fmt: skip
    assert machine.play([AGENT])[0] == 0
    assert machine.play([AGENT], node_agent_interval=1)[0] > 0
    seen = machine.status()["seq"]
    waited(lambda: machine.status()["seq"] > seen, "the timer")


def test_what_is_broken_is_said(machine, waited):
    """A service of ours that failed, a full disk below the status, a file system that is read-only, a systemctl that hangs."""
    machine.shell("printf '[Unit]\\nX-Bowline-Stack=hub\\nX-Bowline-Module=web\\n[Service]\\nExecStart=/bin/false\\n[Install]\\nWantedBy=multi-user.target\\n'"
                  " > /etc/systemd/system/hub-web.service; systemctl daemon-reload; systemctl enable --now hub-web")  # fmt: skip
    waited(lambda: machine.status()["modules"].get("web", {}).get("units") == {"hub-web.service": "failed"}, "the failed unit")
    assert machine.status()["failed_units"] == ["hub-web.service"] and "services_ready" in machine.status()["unmet_conditions"]
    machine.shell("systemctl disable --now hub-web; rm /etc/systemd/system/hub-web.service; systemctl daemon-reload; systemctl reset-failed")
    beat = "/usr/libexec/bowline/bowline-node.pyz heartbeat 2>&1; echo rc=$?"
    small = "unshare -m sh -c 'mount -t tmpfs -o {} tmpfs /run/bowline && {}; {}'"
    full = machine.shell(small.format("size=4k", "head -c 4096 /dev/zero > /run/bowline/x", beat))
    assert "No space left on device" in full and "rc=3" in full
    readonly = machine.shell(small.format("ro", "true", beat))
    assert "Read-only file system" in readonly and "rc=3" in readonly
    hang = "unshare -m sh -c 'printf \"#!/bin/sh\\nexec sleep 60\\n\" > /tmp/hang; chmod 755 /tmp/hang; mount --bind /tmp/hang /usr/bin/systemctl && {}'"
    hanging = machine.shell(hang.format(beat))
    assert "systemctl show said nothing for 5 s" in hanging and "rc=1" in hanging
    waited(lambda: machine.status()["phase"] == "bootstrapping" and machine.status()["problems"] == [], "a machine that is well again")


def test_nothing_is_left(machine):
    assert machine.play([NO_AGENT], "--check")[0] > 0 and machine.shell(f"ls {UNITS}") != ""
    assert machine.play([NO_AGENT])[0] > 0
    assert machine.shell(f"ls {UNITS} /usr/libexec/bowline/bowline-node.pyz /run/bowline/status.json /etc/systemd/system/timers.target.wants/bowline*") == ""
    assert machine.shell("systemctl list-units --all --no-legend 'bowline*'") == ""
    assert machine.play([NO_AGENT])[0] == 0
    assert json.dumps(machine.output).count("DEPRECATION") == 0
