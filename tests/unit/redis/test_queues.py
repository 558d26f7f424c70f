# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which jobs there are, by the keys of each kind of worker, and when that is proven."""

from __future__ import annotations

import fnmatch

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._redis import queues
from ansible_collections.bowline.fleet.plugins.module_utils._redis.model import Layout

SEP = "\x06\x16"
SIDEKIQ = {
    "queues": {"default", "mail"}, "queue:default": ["a", "b"], "schedule": {"x": 1.0}, "processes": {"h:1:abc", "h:2:dead"},
    "h:1:abc": {"info": "{}", "busy": "1", "beat": "100.0", "quiet": "false"}, "h:1:abc:work": {"t1": "{}"},
}  # fmt: skip


class Keys:
    """A server of keys: lists, sets, hashes and sorted sets (a hash of floats)."""

    side = "legacy"

    def __init__(self, keys) -> None:
        self.keys = dict(keys)
        self.db = 0

    def ask(self, *words):
        name, *rest = words
        found = self.keys.get(rest[0] if rest else "")
        if name == "SELECT":
            self.db = rest[0]
            return "OK"
        if name == "TYPE":
            return {list: "list", set: "set", str: "string", type(None): "none"}.get(type(found)) or ("zset" if self._scored(found) else "hash")
        if name == "HMGET":
            return [(found or {}).get(part) for part in rest[1:]]
        if name == "HGET":
            return (found or {}).get(rest[1])
        if name == "SCAN":
            # As a server does it: a glob in which a backslash quotes.
            pattern = rest[2].replace("\\*", "[*]").replace("\\?", "[?]").replace("\\-", "-")
            return ["0", [key for key in self.keys if fnmatch.fnmatchcase(key, pattern)]]
        if name == "PTTL":
            return (found or {}).get("pttl", 60000)
        if name == "EXISTS":
            return int(found is not None)
        return sorted(found or ()) if name == "SMEMBERS" else len(found or ())

    @staticmethod
    def _scored(found) -> bool:
        return bool(found) and all(isinstance(item, float) for item in found.values())


def test_sidekiq():
    found = queues.read(Keys(SIDEKIQ), Layout("sidekiq"))
    assert found.queues == {"default": 2, "mail": 0} and found.scheduled == {"schedule": 1, "retry": 0}
    # A process that died is in the set until somebody looks; it has no record of its own.
    assert found.busy == {"h:1:abc": 1} and found.processes == {"h:1:abc": "100.0"} and not found.quiet and not found.idle
    older = {**SIDEKIQ, "h:1:abc": {"info": "{}", "busy": "0", "beat": "1", "quiet": "true"}, "h:1:abc:work": {}, "h:1:abc:workers": {"t": "{}", "u": "{}"}}
    assert queues.read(Keys(older), Layout("sidekiq")).busy == {"h:1:abc": 2}
    spaced = {f"app:{key}": value for key, value in SIDEKIQ.items()}
    assert queues.read(Keys(spaced), Layout("sidekiq", prefix="app:")).queues == {"default": 2, "mail": 0}


def test_a_worker_of_the_closed_side_is_no_worker_but_what_it_said_last_counts():
    """Its record came along in the switch and ends after 60 s; it beats no more."""
    old = {"info": "{}", "busy": "0", "beat": "50.0", "quiet": "true", "pttl": 47000}
    keys = {**SIDEKIQ, "processes": {"h:1:abc", "old"}, "old": old}
    found = queues.read(Keys(keys), Layout("sidekiq"))
    assert list(found.processes) == ["h:1:abc"] and found.busy == {"h:1:abc": 1, "old": 0}
    assert list(queues.read(Keys({**keys, "old": {**old, "pttl": 49000}}), Layout("sidekiq")).processes) == ["h:1:abc", "old"]
    working = queues.read(Keys({"processes": {"old"}, "old": {**old, "busy": "1"}}), Layout("sidekiq"))
    assert working.processes == {} and not working.idle


def test_celery():
    keys = {"celery": ["a"], f"celery{SEP}3": ["b", "c"], "_kombu.binding.mail": {f"mail{SEP}{SEP}mail"}, "mail": ["d"], "unacked": {"t": "{}"},
            "celery-task-meta-1": "x"}  # fmt: skip
    found = queues.read(Keys(keys), Layout("celery"))
    assert found.queues == {"celery": 1, f"celery{SEP}3": 2, "mail": 1} and found.busy == {"unacked": 1} and found.processes is None


def test_rq():
    keys = {"rq:queues": {"rq:queue:high"}, "rq:queue:high": ["a"], "rq:wip:high": {"j:e": 1.0}, "rq:scheduled:high": {"k": 2.0}, "rq:workers": {"rq:worker:w"},
            "rq:worker:w": {"last_heartbeat": "2026"}}  # fmt: skip
    found = queues.read(Keys(keys), Layout("rq"))
    assert (found.queues, found.busy, found.scheduled, found.quiet) == ({"high": 1}, {"high": 1}, {"scheduled:high": 1}, False)
    assert queues.read(Keys({**keys, "rq:suspended": "1"}), Layout("rq")).quiet


def test_patterns_of_ones_own():
    keys = {"jobs:a": ["1", "2"], "jobs:b": ["3"], "work:1": {"x", "y"}, "later": {"m": 1.0}, "other": ["z"]}
    layout = Layout("keys", keys=({"pattern": "jobs:*", "kind": "queue"}, {"pattern": "work:*", "kind": "busy"}, {"pattern": "later", "kind": "scheduled"}))
    found = queues.read(Keys(keys), layout)
    assert (found.queues, found.busy, found.scheduled) == ({"jobs:a": 2, "jobs:b": 1}, {"work:1": 2}, {"later": 1})
    assert found.left() == {"jobs:a": 2, "jobs:b": 1, "work:1": 2, "later": 1} and "later" not in found.left(["later"])


def test_the_connection_is_back_in_its_database():
    server = Keys({})
    queues.read(server, Layout("celery", db=4))
    assert server.db == 0


# --- proofs -----------------------------------------------------------------------------------------------------------------------


class Turns(Keys):
    """Its keys change with each answer that is asked for."""

    def __init__(self, *turns) -> None:
        super().__init__(turns[0])
        self.turns = list(turns)

    def ask(self, *words):
        if words[0] == "SELECT" and words[1] == 5:
            self.keys = dict(self.turns.pop(0) if len(self.turns) > 1 else self.turns[0])
        return super().ask(*words)


def process(quiet="true", busy="0", beat="1"):
    return {"processes": {"p"}, "p": {"info": "{}", "busy": busy, "beat": beat, "quiet": quiet}}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(queues, "_APART", 0.001)


LAYOUT = [Layout("sidekiq", db=5)]


def test_idle_is_seen_twice_and_by_two_beats():
    turns = (process("false", "1"), process("true", "1"), process(beat="2"), process(beat="2"), process(beat="2"), process(beat="3"))
    server = Turns(*turns)
    assert queues.wait_idle(server, LAYOUT, 5)[0].idle
    assert len(server.turns) == 1 and server.keys["p"]["beat"] == "3"


def test_a_job_between_two_idle_looks_counts():
    server = Turns(process(), process(busy="1", beat="2"), process(beat="3"), process(beat="4"))
    assert queues.wait_idle(server, LAYOUT, 5)[0].idle and server.keys["p"]["beat"] == "4"


@pytest.mark.parametrize(("turn", "said"), [
    pytest.param(process("false"), "takes jobs still", id="not quiet"),
    pytest.param(process(busy="2"), "works on 2", id="busy"),
    pytest.param(process(), "not beaten again", id="no second beat"),
])  # fmt: skip
def test_what_is_not_idle_is_named(turn, said):
    with pytest.raises(FleetError) as failed:
        queues.wait_idle(Turns(turn), LAYOUT, 0.01)
    assert failed.value.code == "queue_not_empty" and said in failed.value.message


def test_no_worker_is_no_idle_worker():
    with pytest.raises(FleetError) as failed:
        queues.wait_idle(Turns({}), LAYOUT, 0.01)
    assert failed.value.code == "worker_missing"


def test_empty_is_seen_twice_and_what_may_be_lost_is_named():
    full = {**process(), "queues": {"default"}, "queue:default": ["a"], "schedule": {"x": 1.0, "y": 2.0}}
    with pytest.raises(FleetError) as failed:
        queues.wait_empty(Turns(full), LAYOUT, 0.01)
    assert failed.value.details["left"] == ["default: 1", "schedule: 2"]
    with pytest.raises(FleetError) as failed:
        queues.wait_empty(Turns({**full, "queue:default": []}, full), LAYOUT, 0.01, ["schedule"])
    assert failed.value.details["left"] == ["default: 1"]
    empty = {**full, "queue:default": []}
    assert queues.wait_empty(Turns(empty), LAYOUT, 0.01, ["schedule"])[0].queues == {"default": 0}
    looked = Turns(empty, full)
    assert queues.wait_empty(looked, LAYOUT, 0, ["schedule"], once=True)[0].idle and looked.keys["queue:default"] == []


def test_without_a_layout_nothing_is_proven():
    with pytest.raises(FleetError) as failed:
        queues.wait_empty(Turns({}), [], 0.01)
    assert failed.value.code == "layout_missing"
