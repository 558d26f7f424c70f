# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hooks without a machine: what evidence may say, the order of containers, what undo brings back, and who does not answer."""

from __future__ import annotations

import itertools
import json
import socket
import threading

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._node.agent.host import Places
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks import plan
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.argspec import HOOK
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.docker import Docker, Refused, left_running, read
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.evidence import ending, evidence, failed, taken, words
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.model import Blocker, Container, Unanswered
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.record import Record
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.run import run
from ansible_collections.bowline.fleet.plugins.module_utils._node.hooks.systemd import Systemd
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Evidence, Template
from ansible_collections.bowline.fleet.plugins.module_utils._node.outside import Outside, evidence_of
from ansible_collections.bowline.fleet.plugins.module_utils._node.plan import LifeStep
from node_objects import NOW as NOW_SECONDS
from node_objects import instance, node, view

NOW = "2026-12-01T12:00:00Z"
GOOD = {"hook": "docker", "stage": "drain", "outcome": "empty", "blockers": [], "changed": ["web"]}


# --- evidence ---------------------------------------------------------------------------------------------------------------------


def test_evidence_is_taken_with_the_moment_of_who_takes_it():
    assert taken({**GOOD, "observed_at": "2099-01-01T00:00:00Z"}, "docker", "drain", NOW) == {**GOOD, "observed_at": NOW}
    some = taken({"outcome": "blocked", "blockers": [{"name": "web"}, {"name": "pinned", "subject": "shop_db"}]}, "role:a.b.c", "drain", NOW)["blockers"]
    assert some == [{"name": "web", "reason": "", "override": ""}, {"name": "shop_db (pinned)", "reason": "", "override": ""}]
    assert taken(evidence("docker", "drain", "empty", (), [f"c{number}" for number in range(150)]), "docker", "drain", NOW)["changed"][-1] == "51 more"


@pytest.mark.parametrize("given", [
    None, {}, [], "empty", 7, {**GOOD, "outcome": "fine"}, {**GOOD, "outcome": None}, {**GOOD, "hook": "native"}, {**GOOD, "stage": "undo"},
    {**GOOD, "blockers": [{"name": "web"}]}, {**GOOD, "outcome": "blocked", "blockers": ["web"]}, {**GOOD, "outcome": "blocked", "blockers": [{"reason": "x"}]},
    {**GOOD, "outcome": "blocked", "blockers": {"name": "web"}}, {**GOOD, "changed": "web"}, {**GOOD, "changed": [{"a": 1}]}, {**GOOD, "changed": ["x"] * 101},
    {**GOOD, "evil": 1}, {**GOOD, "outcome": "blocked", "blockers": [{"name": ["a"]}]},
])  # fmt: skip
def test_what_is_no_evidence_is_a_blocker_by_name(given):
    said = taken(given, "docker", "drain", NOW)
    assert (said["outcome"], said["stage"], said["observed_at"]) == ("blocked", "drain", NOW)
    assert [one["name"] for one in said["blockers"]] == ["docker"] and said["blockers"][0]["reason"].startswith("its evidence cannot be used")


def test_who_reads_it_sees_what_stays_and_what_overrides_it():
    said = [taken(one, "a", "drain", NOW) for one in (
        {"outcome": "empty"}, {"outcome": "blocked"}, {"outcome": "blocked", "blockers": [{"name": "x", "reason": "y", "override": "z"}]},
    )]  # fmt: skip
    assert words(said) == ["a: something stays: it runs.", "a: x stays: y; z overrides it."]
    assert [(one["hook"], one["outcome"], len(one["blockers"])) for one in ending(said, ["hooks", "memberships"])] == [
        ("hooks", "blocked", 1), ("memberships", "blocked", 1)]  # fmt: skip
    assert ending(said[:1], ["hooks"])[0]["outcome"] == "released" == ending([], ["hooks"])[0]["outcome"]


@pytest.mark.parametrize(("result", "blockers"), [
    ({"msg": "Timed out after 3 second(s)."},
     [("a", "it did not answer: Timed out after 3 second(s). Mend it, or take it out of hooks of the node", "")]),
    (None, [("a", "it did not answer: no reason was given. Mend it, or take it out of hooks of the node", "")]),
    ({"failure": {"code": "locked", "message": "held by 7.", "remedy": "Wait", "details": None}}, [("a", "held by 7. Remedy: Wait", "")]),
    ({"failure": {"details": {"findings": [{"code": "pinned", "object": "shop_db", "message": "here alone", "remedy": "accept: [pinned]"}, 7]}}},
     [("shop_db", "here alone", "accept: [pinned]")]),
])  # fmt: skip
def test_a_hook_that_fails_is_a_blocker_with_all_that_it_has_found(result, blockers):
    said = taken(failed(result, "a"), "a", "drain", NOW)
    assert [(one["name"], one["reason"], one["override"]) for one in said["blockers"]] == blockers and said["outcome"] == "blocked"


def test_a_look_is_never_done_by_what_was_taken_back():
    assert taken({"outcome": "released"}, "docker", "observe", NOW)["outcome"] == "blocked"
    assert taken({"outcome": "empty"}, "docker", "undo", NOW)["outcome"] == "blocked"


def test_nobody_writes_on_the_terminal_of_who_reads_it():
    said = taken({"outcome": "blocked", "blockers": [{"name": "a\x1b[2J\nfail: b", "reason": "r" * 5000}]}, "docker", "drain", NOW)["blockers"][0]
    assert "\x1b" not in said["name"] and "\n" not in said["name"] and len(said["reason"]) == 300


def test_only_a_word_about_work_says_that_there_is_none():
    """What undo has taken back, or what was looked at before it, does not make a machine empty."""
    given = [{"hook": "docker", "outcome": "released", "observed_at": None, "blockers": [], "changed": ["web"], "stage": stage}
             for stage in ("drain", "undo", "leave", "observe", None)]  # fmt: skip
    kept, wrong = evidence_of(given, NOW_SECONDS)
    assert wrong == [] and [one.stage for one in kept] == ["drain", "undo", "leave", "observe", ""]
    counted = [bool(view(node=node(hooks=("docker",)), evidence=(one,)).evidence_of("docker")) for one in kept]
    assert counted == [True, False, False, True, True]


def test_a_step_is_proven_by_a_word_about_that_very_step():
    drain, undo = (LifeStep(action, "", subject="docker") for action in ("drain", "undo"))

    def seen(step, stage):
        given = Evidence("docker", "released", NOW_SECONDS, changed=("web",), stage=stage)
        return Outside(node(), Template("edge"), [given], None, None, False, lambda: NOW_SECONDS).probe(step, instance())

    assert [seen(drain, stage) for stage in ("", "drain", "undo", "leave")] == ["done", "done", "not", "not"]
    assert [seen(undo, stage) for stage in ("", "drain", "undo", "leave")] == ["done", "not", "done", "not"]


def test_what_holds_a_finalizer_back_is_named():
    given = Evidence("memberships", "blocked", NOW_SECONDS, ({"name": "swarm: m1", "reason": "no majority", "override": ""},), stage="leave")
    with pytest.raises(FleetError) as raised:
        Outside(node(), Template("edge"), [given], None, None, False, lambda: NOW_SECONDS).apply(LifeStep("finish", "", subject="memberships"), instance())
    assert raised.value.code == "evidence_missing" and "swarm: m1 stays: no majority" in raised.value.message


def test_evidence_by_hand_is_held_to_the_same_form():
    given = {"hook": "docker", "outcome": "blocked", "observed_at": None, "blockers": [{"reason": "no name"}], "changed": [], "stage": None}
    kept, (wrong,) = evidence_of([given], NOW_SECONDS)
    assert kept == () and wrong.code == "option_invalid" and "each blocker is a name" in wrong.message


# --- containers -------------------------------------------------------------------------------------------------------------------


def container(name, *needs, **more):
    return Container(**{"id": name, "name": name, "running": True, "needs": needs, **more})


def test_who_needs_another_one_stops_first_in_every_order_of_the_engine():
    wanted = ["front", "web", "db", "aside", "last"]
    every = [container("front", "web"), container("web", "db"), container("db"), container("aside"), container("last", order=1)]
    for given in itertools.permutations(every):
        assert [one.name for one in plan.in_order(given)][:2] == ["front", "web"]
        assert sorted(one.name for one in plan.in_order(given)) == sorted(wanted) and plan.in_order(given)[-1].name == "last"
    assert len(plan.in_order([container("a", "b"), container("b", "a"), container("c", "c", "gone")])) == 3, "a circle, and one that is gone"


def inspected(name, labels=None, host=None, **state):
    return {"Id": f"id-{name}", "Name": f"/{name}", "State": {"Running": True, **state}, "Config": {"Labels": labels}, "HostConfig": host or {}}


def test_what_the_engine_says_is_read():
    site, other = {"com.docker.compose.project": "site"}, {"com.docker.compose.project": "other", "com.docker.compose.service": "db"}
    found = read([
        inspected("db", {**site, "com.docker.compose.service": "db"}, {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}),
        inspected("odb", other),
        inspected("web", {**site, "com.docker.compose.depends_on": "db:service_healthy:true,gone:x:y", "bowline.drain.order": "12"}),
        inspected("side", None, {"NetworkMode": "container:id-web", "AutoRemove": True}),
        inspected("old", {"bowline.drain.order": "first"}, {"Links": ["/db:/old/alias", "/gone:/old/x"]}, Running=False, Restarting=True),
        inspected("task", {"com.docker.swarm.task.id": "t"}, {"RestartPolicy": {"Name": ""}}, Paused=True),
    ])  # fmt: skip
    assert [one.needs for one in found] == [(), (), ("id-db",), ("id-web",), ("id-db",), ()]
    assert [(one.policy, one.retries, one.order) for one in found][:3] == [("on-failure", 3, 0), ("no", 0, 0), ("no", 0, 12)]
    assert found[3].auto_remove and found[4].running and found[4].order == 0 and found[5].task and found[5].paused and found[5].policy == "no"


def test_only_what_a_drain_has_done_is_taken_back():
    every = [container("a", policy="always"), container("b", running=False, policy="always"), container("c", running=False), container("r", auto_remove=True)]
    assert [one.name for one in every if plan.remembered(one)] == ["a", "b"]
    parts = {one.id: plan.remembered(one) for one in every[:2]}
    stopped = [container("a", running=False), container("b", running=False)]
    assert [[one.name for one in some] for some in plan.starting(stopped, parts)] == [["a"], ["b", "a"]]
    parts["a"]["finished"] = "then"
    assert plan.starting([container("a", running=False, finished="later", policy="always")], parts) == ((), ()), "somebody else has run it since"


class Answers(threading.Thread):
    """An engine that says ``answer`` to the first question."""

    def __init__(self, path, answer):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.answer = answer

    def run(self):
        connection = self.listener.accept()[0]
        connection.recv(65536)
        connection.sendall(self.answer)
        connection.close()
        self.listener.close()


@pytest.mark.parametrize(("answer", "error"), [
    (b"", Unanswered), (b"HTTP/1.1 200 OK\r\n\r\nno json", Unanswered), (b"nonsense\r\n\r\n", Unanswered),
    (b'HTTP/1.1 409 Conflict\r\nContent-Length: 18\r\n\r\n{"message":"busy"}', Refused), (b"HTTP/1.1 500 E\r\nContent-Length: 2\r\n\r\n[]", Refused),
])  # fmt: skip
def test_an_engine_that_says_nonsense(tmp_path, answer, error):
    engine = Answers(tmp_path / "s", answer)
    engine.start()
    with pytest.raises(error):
        Docker(str(tmp_path / "s"), 2.0).containers()
    engine.join(5)


def test_containers_that_outlive_their_engine_are_seen(tmp_path):
    shim = "/usr/bin/containerd-shim-runc-v2\0-namespace\0{}\0-id\0{}\0"
    for pid, text, space in (("self", "", 1), ("7", shim.format("moby", "a" * 64), 1), ("8", shim.format("k8s.io", "b" * 64), 1),
                             ("9", shim.format("moby", "c" * 64), 2), ("10", "", 1), ("11", "sh\0-namespace\0moby\0", 1)):  # fmt: skip
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns/pid").symlink_to(f"pid:[{space}]")
        (tmp_path / pid / "cmdline").write_text(text)
    assert left_running(str(tmp_path)) == ("a" * 12,)


# --- units ------------------------------------------------------------------------------------------------------------------------


class Machine:
    """systemctl, and unit files below ``root``; ``states`` by unit. ``hangs`` names verbs that never end, ``stays`` units that do not stop."""

    def __init__(self, root):
        self.root, self.states, self.said, self.hangs, self.stays = root, {}, [], (), ()
        (root / "etc/systemd/system").mkdir(parents=True)

    def unit(self, name, active="active", enabled=True, data=""):
        (self.root / "etc/systemd/system" / name).write_text("[Unit]\nX-Bowline-Stack=hub\nX-Bowline-Module=m\n")
        self.states[name] = {"ActiveState": active, "UnitFileState": "enabled" if enabled else "disabled", "StateDirectory": data}

    def __call__(self, argv, *, env=None, stdin=None, timeout=None):
        verb, names = argv[1], argv[argv.index("--") + 1 :]
        if verb in self.hangs:
            return Completed(124, "", "")
        if verb == "show":
            always = {"LoadState": "loaded", "ActiveEnterTimestampMonotonic": "1", "ActiveState": "inactive"}
            shown = [{"Id": name, **always, **self.states.get(name, {})} for name in names]
            return Completed(0, "\n\n".join("\n".join(f"{key}={value}" for key, value in one.items()) for one in shown), "")
        self.said.append((verb, *names))
        for name in names:
            if verb in ("stop", "start") and name not in self.stays:
                self.states[name]["ActiveState"] = "inactive" if verb == "stop" else "active"
            if verb in ("enable", "disable"):
                self.states[name]["UnitFileState"] = f"{verb}d"
            if verb == "kill":
                self.stays = ()
        return Completed(0, "", "")

    def run(self, stage, check=False, **given):
        validated = ArgumentSpecValidator(HOOK).validate({"hook": "native", "stage": stage, "folder": str(self.root / "hooks"), "timeout": 0.5, **given})
        return run(validated.validated_parameters, check, self, Systemd(self, Places(str(self.root))))


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    made.unit("hub-web.service")
    made.unit("hub-jobs.service", enabled=False)
    made.unit("hub-off.service", active="inactive")
    return made


def test_units_stop_and_exactly_those_come_back(machine):
    before = json.dumps(machine.states)
    foreseen, done = machine.run("drain", check=True), machine.run("drain")
    assert done["plan"] == foreseen["plan"] and done["evidence"]["outcome"] == "empty"
    assert machine.said == [("disable", "hub-off.service", "hub-web.service"), ("stop", "hub-jobs.service", "hub-web.service")]
    assert done["evidence"]["changed"] == ["hub-jobs.service", "hub-off.service", "hub-web.service"] and not machine.run("drain")["changed"]
    undone = machine.run("undo")
    assert undone["evidence"]["outcome"] == "released" and json.dumps(machine.states) == before and not machine.run("undo")["changed"]
    assert machine.run("leave")["evidence"]["outcome"] == "released"


def test_a_look_at_work_is_not_empty_and_a_unit_that_is_still_stopping_runs(machine):
    assert machine.run("observe")["evidence"]["outcome"] == "blocked" and machine.run("drain", check=True)["evidence"]["outcome"] == "blocked"
    machine.run("drain")
    machine.states["hub-web.service"]["ActiveState"] = "deactivating"
    assert machine.run("observe")["evidence"]["outcome"] == "blocked"


def test_a_second_drain_forgets_nothing_of_the_first(machine):
    machine.run("drain")
    machine.states["hub-off.service"]["ActiveState"] = "active"
    assert machine.run("drain")["changed"] and machine.run("undo")["evidence"]["outcome"] == "released"
    assert {name: state["ActiveState"] for name, state in machine.states.items()} == dict.fromkeys(machine.states, "active")
    assert machine.states["hub-web.service"]["UnitFileState"] == "enabled" and machine.states["hub-jobs.service"]["UnitFileState"] == "disabled"


def test_a_unit_with_data_wants_a_word(machine):
    machine.unit("hub-db.service", data="hub/db")
    said = machine.run("drain")["evidence"]
    assert said["blockers"] == [{"name": "hub-db.service", "reason": "it keeps data in /var/lib/hub/db on this machine",
                                 "override": "node_hooks_accept: [data]"}] and machine.said == []  # fmt: skip
    assert machine.run("drain", accept=["data"])["evidence"]["outcome"] == "empty"


def test_a_systemd_or_a_unit_that_does_not_answer_blocks(machine):
    machine.hangs = ("show",)
    assert "said nothing" in machine.run("observe")["evidence"]["blockers"][0]["reason"]
    machine.hangs, machine.stays = (), ("hub-web.service",)
    said = machine.run("drain")["evidence"]
    assert [one["name"] for one in said["blockers"]] == ["hub-web.service"] and "force" in said["blockers"][0]["override"]
    assert machine.run("drain", force=True, timeout=0)["evidence"]["outcome"] == "empty" and ("kill", "hub-web.service") in machine.said


def test_a_unit_that_does_not_come_back_keeps_the_record(machine):
    machine.run("drain")
    machine.stays = ("hub-web.service",)
    said = machine.run("undo")["evidence"]
    assert said["outcome"] == "blocked" and said["blockers"][0]["override"] == "see journalctl -u hub-web.service"
    machine.stays = ()
    assert machine.run("undo")["evidence"]["changed"] == ["hub-web.service"]


def test_a_record_that_others_can_change_is_not_believed(machine):
    machine.run("drain")
    (machine.root / "hooks/native.json").chmod(0o666)
    with pytest.raises(FleetError) as raised:
        Record(str(machine.root / "hooks"), "native").read()
    assert raised.value.code == "unsafe_path"


def test_a_blocker_is_shown_once_for_each_thing():
    assert evidence("x", "drain", "blocked", [Blocker("a", "b")] * 150)["blockers"] == [{"name": "a", "reason": "b", "override": ""}] * 100
