# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hook docker on a real engine: what has stopped stays stopped, what comes back is that and no other, and nobody is taken for empty who does not answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bowline.fleet.plugins.module_utils._core import faults
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks import containers
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.argspec import HOOK
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.run import run


class Hook:
    """Hook docker as its module runs it. ``unit``: docker.service is this engine, as far as systemctl is asked."""

    def __init__(self, engine, folder):
        self.engine, self.folder, self.unit = engine, folder / "hooks", False

    def __call__(self, stage, check=False, **given):
        validated = ArgumentSpecValidator(HOOK).validate({"hook": "docker", "stage": stage, "socket": self.engine.socket, "folder": str(self.folder),
                                                          "stop_engine": self.unit, "timeout": 30, **given})  # fmt: skip
        assert not validated.error_messages, validated.error_messages
        return run(validated.validated_parameters, check, self.systemctl)

    def systemctl(self, argv, *, env=None, stdin=None, timeout=None):
        verb, names = argv[1], argv[argv.index("--") + 1 :]
        if verb == "show":
            states = {"docker.service": "active" if self.unit and self.engine.runs() else "inactive"}
            return Completed(0, "\n\n".join(f"Id={name}\nLoadState=loaded\nActiveState={states.get(name, 'inactive')}" for name in names), "")
        {"stop": self.engine.stop, "start": self.engine.start}[verb]()
        return Completed(0, "", "")

    def killed(self, fault, stage) -> bool:
        """The stage in a process of its own, ended at ``fault`` as by kill -9; False when it never came there."""
        pid = os.fork()
        if pid == 0:
            faults.arm(fault)
            with contextlib.suppress(BaseException):
                self(stage)
            os._exit(0)
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])

    @property
    def record(self):
        return self.folder / "docker.json"


@pytest.fixture
def hook(engine, tmp_path):
    return Hook(engine, tmp_path)


def life(engine):
    """A site: an application that needs its database, one that was stopped by hand and starts with the engine, one that failed, one that has no policy."""
    labels = ("--label", "com.docker.compose.project=site", "--label")
    engine.make("db", "--restart", "unless-stopped", *labels, "com.docker.compose.service=db")
    engine.make("a-web", "--restart", "always", *labels, "com.docker.compose.service=web", "--label", "com.docker.compose.depends_on=db:service_started:false")
    engine.make("z-edge", "--restart", "on-failure:3", "--label", "bowline.drain.order=-5")
    engine.make("by-hand", "--restart", "always")
    engine.docker("stop", "by-hand")
    engine.make("plain", "--label", "bowline.drain.order=7")
    return engine.states()


def test_a_container_that_always_restarts_stays_stopped_and_comes_back(engine, hook):
    before = life(engine)
    look = hook("observe")
    assert (look["changed"], look["evidence"]["outcome"], look["evidence"]["blockers"]) == (False, "blocked", []) and not hook.record.exists()
    foreseen = hook("drain", check=True)
    assert engine.states() == before and not hook.record.exists(), "check mode changes nothing"
    done = hook("drain")
    assert done["plan"] == foreseen["plan"] and done["diff"] == foreseen["diff"]
    stops = [step["reason"].partition(" ")[0] for step in done["plan"] if step["action"] == "stop"]
    assert stops == ["z-edge", "a-web", "db", "plain"], "by label, and who needs another one before that one"
    assert done["evidence"]["outcome"] == "empty" and done["evidence"]["changed"] == ["a-web", "by-hand", "db", "plain", "z-edge"]
    assert set(engine.states().values()) == {(False, "no")}
    assert stat.S_IMODE(hook.record.stat().st_mode) == 0o600 and hook.record.stat().st_uid == 0 and stat.S_IMODE(hook.folder.stat().st_mode) == 0o700
    again = hook("drain")
    assert not again["changed"] and again["evidence"] == done["evidence"]
    engine.stop()
    engine.start()
    assert set(engine.states().values()) == {(False, "no")}, "and an engine that starts again starts none of them"
    foreseen = hook("undo", check=True)
    undone = hook("undo")
    assert undone["plan"] == foreseen["plan"] and undone["evidence"]["outcome"] == "released"
    starts = [step["reason"].rpartition(" ")[2] for step in undone["plan"] if step["action"] == "start"]
    assert starts == ["plain", "db", "a-web", "z-edge"]
    assert engine.states() == before and not hook.record.exists()
    assert not hook("undo")["changed"]


def test_the_engine_itself_stops_and_starts(engine, hook, monkeypatch):
    # Other engines of this host, those of a lab among them, are none of this test's.
    monkeypatch.setattr(containers, "left_running", tuple)
    hook.unit = True
    before = life(engine)
    foreseen, done = hook("drain", check=True), hook("drain")
    assert done["plan"] == foreseen["plan"] and done["plan"][-1]["action"] == "stop_engine"
    assert not engine.runs() and done["evidence"]["outcome"] == "empty" and done["evidence"]["changed"][-1] == "docker.service"
    assert hook("observe")["evidence"]["outcome"] == "empty" and not hook("drain")["changed"]
    assert hook("undo")["evidence"]["outcome"] == "released" and engine.states() == before
    hook.unit = False
    hook("drain")
    engine.stop()
    said = hook("undo")["evidence"]
    assert said["outcome"] == "blocked" and "no engine runs" in said["blockers"][0]["reason"] and hook.record.exists(), "nothing was taken back"
    engine.start()
    assert hook("undo")["evidence"]["outcome"] == "released" and engine.states() == before
    assert "is no unit of systemd" in hook("drain", stop_engine=True)["evidence"]["blockers"][0]["reason"]


@pytest.mark.parametrize("fault", ["H1", "H2.6"])
def test_killed_in_the_middle(engine, hook, fault):
    before = life(engine)
    assert hook.killed(fault, "drain")
    assert hook("drain")["evidence"]["outcome"] == "empty" and set(engine.states().values()) == {(False, "no")}
    assert hook.killed("H3.2", "undo")
    assert hook("undo")["evidence"]["outcome"] == "released" and engine.states() == before


def test_what_somebody_else_does_meanwhile_is_theirs(engine, hook):
    for name in ("stays-off", "gone", "other-policy", "runs"):
        engine.make(name, "--restart", "always")
    hook("drain")
    engine.docker("start", "stays-off")
    engine.docker("stop", "stays-off")
    engine.docker("rm", "gone")
    engine.docker("update", "--restart", "on-failure", "other-policy")
    engine.docker("start", "runs")
    assert hook("undo")["evidence"]["changed"] == ["other-policy", "runs", "stays-off"]
    assert engine.states() == {"stays-off": (False, "always"), "other-policy": (True, "on-failure"), "runs": (True, "always")}


def test_blockers_come_all_at_once_before_anything_is_done(engine, hook):
    engine.make("web", "--restart", "always")
    engine.make("job-1", "--rm")
    engine.make("job-2", "--rm")
    seen = hook("drain")
    assert [one["name"] for one in seen["evidence"]["blockers"]] == ["job-1", "job-2"] and not seen["changed"] and not hook.record.exists()
    assert {one["override"] for one in seen["evidence"]["blockers"]} == {"node_hooks_accept: [auto_remove]"} and engine.states()["web"] == (True, "always")
    assert hook("drain", accept=["auto_remove"])["evidence"]["outcome"] == "empty" and list(engine.states()) == ["web"]


def test_one_that_does_not_stop_is_a_blocker_and_force_kills_it(engine, hook):
    engine.make("slow", "--restart", "always", stop=600)
    engine.make("behind", "--label", "bowline.drain.order=1")
    seen = hook("drain", timeout=1)["evidence"]
    assert seen["outcome"] == "blocked" and [one["name"] for one in seen["blockers"]] == ["slow", "behind"] and "force" in seen["blockers"][0]["override"]
    assert hook("drain", timeout=1, force=True)["evidence"]["outcome"] == "empty"
    assert hook("undo")["evidence"]["outcome"] == "released" and engine.states() == {"slow": (True, "always"), "behind": (True, "no")}


def test_an_engine_that_does_not_answer_is_not_empty(engine, hook):
    engine.make("web")
    os.kill(engine.daemon(), signal.SIGSTOP)
    try:
        for stage in ("observe", "drain", "leave"):
            seen = hook(stage, timeout=1)["evidence"]
            assert seen["outcome"] == "blocked" and "does not answer" in seen["blockers"][0]["reason"], stage
    finally:
        os.kill(engine.daemon(), signal.SIGCONT)
    hook.record.parent.mkdir(mode=0o700)
    hook.record.write_text("{")
    hook.record.chmod(0o600)
    assert "cannot be read as the record" in hook("drain")["evidence"]["blockers"][0]["reason"] and engine.states() == {"web": (True, "no")}


def test_a_member_of_a_swarm_is_for_hook_swarm_first(engine, hook):
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    try:
        engine.make("web", "--restart", "always")
        engine.make("task", "--label", "com.docker.swarm.task.id=t1")
        assert [one["name"] for one in hook("drain")["evidence"]["blockers"]] == ["swarm"]
        assert [one["name"] for one in hook("drain", after=["swarm"])["evidence"]["blockers"]] == ["task"]
        assert hook("leave")["evidence"]["outcome"] == "blocked"
        assert hook("drain", after=["swarm"], accept=["swarm_task"])["evidence"]["outcome"] == "empty"
        assert "task" not in json.dumps(hook("undo")["evidence"]) and engine.states() == {"web": (True, "always"), "task": (False, "no")}
    finally:
        engine.docker("swarm", "leave", "--force")
    assert hook("leave")["evidence"]["outcome"] == "released"
