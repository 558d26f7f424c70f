# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How work leaves a machine, as an operator sees it: done, taken back, or blocked with everything that stays by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.tests.loading import load
from playbooks import Site


@pytest.fixture
def names(tmp_path):
    """A pair of name servers; the zone has hub.bowline.test."""
    rig = load(Path(__file__).resolve().parents[1] / "dns" / "rig.py", "bowline_dns_rig")
    assert not rig.missing(rig.Knot), f"{', '.join(rig.missing(rig.Knot))}: not installed; scripts/packages installs them"
    pair = rig.Knot(tmp_path / "names")
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()


@pytest.fixture
def site(engine, tmp_path):
    return lambda *hooks: Site(tmp_path, hooks, node_hooks_docker_socket=engine.socket, node_hooks_docker_engine=False)


def test_a_hook_that_does_not_answer(engine, site):
    """Blocked, by its name; what the hook before it has stopped runs again, and so does the node."""
    one = site("docker", "role:a.site.hangs")
    engine.make("web", "--restart", "always")
    before = engine.states()
    one.play("drain", fails="drain_blocked", node_drain_timeout=6)
    assert "role:a.site.hangs: role:a.site.hangs stays: it did not answer" in one.said and "What the drain had changed was taken back." in one.said
    assert engine.states() == before and one.phase() == "running"


def test_a_machine_that_cannot_be_reached_is_not_empty(tmp_path):
    """Nor one whose hook has found something: both come at once, and nothing is changed."""
    one = Site(tmp_path, ["docker", "role:a.site.full"], ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
    one.play("drain", fails="drain_blocked")
    assert "docker stays: the machine cannot be reached" in one.said and "job-7 stays: no room elsewhere; site_accept: job-7 overrides it" in one.said
    assert one.phase() == "running"


def test_drained_kept_drained_and_brought_back(engine, tmp_path):
    """The only manager of a Swarm, which is accepted; hook swarm is first, and its engine runs on, since a member has to leave by itself."""
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        connection = {"docker_host": [f"unix://{engine.socket}"]}
        hooks = ["swarm", "docker", "role:a.site.quiet"]
        one = Site(tmp_path, hooks, node_hooks_docker_socket=engine.socket, swarm_cluster_connection=connection, swarm_cluster_accept_quorum_loss=True)
        one.group("swarm_managers")
        engine.make("web", "--restart", "always")
        assert one.play("drain") > 0 and one.phase() == "drained" and engine.runs()
        assert engine.docker("node", "ls", "--format", "{{.Availability}}") == "Drain" and engine.states() == {"web": (False, "no")}
        engine.stop()
        engine.start()
        assert engine.states() == {"web": (False, "no")}, "also when the engine starts again"
        assert one.play("drain", node_drain_state="running") > 0 and one.phase() == "running"
        assert engine.docker("node", "ls", "--format", "{{.Availability}}") == "Active" and engine.states() == {"web": (True, "always")}
    finally:
        engine.docker("swarm", "leave", "--force")


def test_terminated_with_its_names(engine, tmp_path, names):
    """Its work leaves it, others forget it, its name is gone from the name servers, and then the machine; check mode does nothing of that."""
    at = {"server": names.primary.address, "port": names.port, "authority_port": names.port, "key_file": str(names.key_file)}
    record = {"provider": "rfc2136", "provider_options": at, "zone": "bowline.test", "name": "hub", "type": "A", "ignore_servers": ["ns2"]}
    one = Site(tmp_path, ["docker", "role:a.site.quiet"], labels={"dns_name": "hub.bowline.test"}, node_hooks_docker_socket=engine.socket,
               node_hooks_docker_engine=False, node_terminate_dns=[record])  # fmt: skip
    engine.make("web", "--restart", "always")
    assert one.play("terminate", check=True) > 0 and engine.states() == {"web": (True, "always")} and names.primary.dig("hub.bowline.test", "A") != []
    assert one.play("terminate") > 0 and one.fleet.machines() == [] and one.phase() == "no_instance"
    assert engine.states() == {"web": (False, "no")} and names.primary.dig("hub.bowline.test", "A") == []
