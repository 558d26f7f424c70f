# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How work leaves a machine, as an operator sees it: done, taken back, or blocked with everything that stays by its name."""

from __future__ import annotations

import pytest
from playbooks import Site


@pytest.fixture
def site(engine, tmp_path):
    return lambda *hooks: Site(tmp_path, hooks, node_hooks_docker_socket=engine.socket, node_hooks_docker_engine=False)


def test_drained_kept_drained_and_brought_back(engine, site):
    one = site("docker", "role:a.site.quiet")
    engine.make("web", "--restart", "always")
    before = engine.states()
    assert one.play("drain", check=True) > 0 and engine.states() == before and one.phase() == "running"
    assert one.play("drain") > 0 and one.phase() == "drained" and engine.states() == {"web": (False, "no")}
    engine.stop()
    engine.start()
    assert engine.states() == {"web": (False, "no")} and one.play("drain") == 0
    assert one.play("drain", node_drain_state="running") > 0 and one.phase() == "running" and engine.states() == before


def test_a_hook_that_does_not_answer(engine, site):
    """Blocked, by its name; what the hook before it has stopped runs again, and so does the node."""
    one = site("docker", "role:a.site.hangs")
    engine.make("web", "--restart", "always")
    before = engine.states()
    one.play("drain", fails="drain_blocked", node_drain_timeout=6)
    assert "role:a.site.hangs: role:a.site.hangs stays: it did not answer" in one.said and "What the drain had changed was taken back." in one.said
    assert engine.states() == before and one.phase() == "running"
