# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following a switch that runs as a job: as many looks as it takes, in one task; and the sentence about a pair."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.bowline.fleet.plugins.action import pg_cutover_follow
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.follow import Follower, summary

HELD = {"serving": "legacy", "holder": {"pid": 7}}


def test_a_job_is_followed_until_the_side_serves_or_it_has_ended():
    follower = Follower("new", 300)
    assert [follower.over(False, HELD, now) for now in (0, 1000, 9000)] == [False] * 3
    assert follower.over(False, {"serving": "new", "holder": {"pid": 7}}, 9001)
    assert Follower("new", 300).over(True, {"serving": "legacy"}, 0)


def test_a_job_that_nobody_works_for_is_lost_after_a_while():
    follower = Follower("new", 300)
    gone = {"serving": "nobody", "holder": None, "phase": "window_forward"}
    assert not follower.over(False, gone, 0) and not follower.over(False, gone, 299)
    # Whoever holds the lock again, or a server that cannot be read, says nothing against the job.
    assert not follower.over(False, HELD, 299.5) and not follower.over(False, gone, 300) and not follower.over(False, {"serving": "unknown"}, 400)
    assert not follower.over(False, gone, 500)
    with pytest.raises(FleetError) as failure:
        follower.over(False, gone, 800)
    assert (failure.value.code, failure.value.details) == ("job_lost", {"serving": "nobody", "phase": "window_forward"})


class World:
    """A host: ``answers`` of the two modules in turn, the last one for ever."""

    def __init__(self, monkeypatch, *answers):
        self.answers, self.looks, self.now = list(answers), 0, 0.0
        monkeypatch.setattr(pg_cutover_follow, "Deadline", lambda seconds: Limit(self, seconds))
        monkeypatch.setattr(pg_cutover_follow.time, "monotonic", lambda: self.now)

    def look(self, name):
        job, pair = self.answers[0]
        if name.endswith("info"):
            self.looks += 1
            if len(self.answers) > 1:
                self.answers.pop(0)
            return pair
        if isinstance(job, Exception):
            if len(self.answers) > 1:
                self.answers.pop(0)
            raise job
        return job


class Limit:
    def __init__(self, world, seconds):
        self.world, self.end = world, world.now + seconds

    def expired(self):
        return self.world.now >= self.end

    def pause(self, seconds):
        self.world.now += seconds


def follow(world, **options):
    action = object.__new__(pg_cutover_follow.ActionModule)
    action._remote_expand_user = lambda path: path
    action.get_shell_option = lambda name, default=None: default
    action._execute_module = lambda module_name, module_args, task_vars: world.look(module_name)
    params = {"job": "j1.2", "state": "new", "legacy": {}, "new": {}, "timeout": 90000, "interval": 1, "lost_after": 300, "unreachable_for": 60}
    return action.work({**params, **options}, {})


RUNS = {"finished": False}
SERVES = (RUNS, {"serving": "new", "phase": "switched_cleanup"})


def test_thousands_of_looks_are_one_task(monkeypatch):
    world = World(monkeypatch, *[(RUNS, HELD)] * 5000, SERVES)
    done = follow(world)
    assert (done["serving"], done["finished"], done["changed"], world.looks) == ("new", False, False, 5001)
    # A job that still compares rows has not told when it released the clients.
    assert done["since"] is None and done["at"] > 0


def test_the_moment_is_that_of_the_job_when_it_is_known(monkeypatch):
    assert follow(World(monkeypatch, ({"finished": True, "hold": {"until": 17.5}}, SERVES[1])))["since"] == 17.5
    done = follow(World(monkeypatch, ({"finished": True}, HELD)))
    assert (done["serving"], done["since"]) == ("legacy", None)


def test_the_failure_of_the_job_is_the_failure(monkeypatch):
    failure = {"code": "open_transactions", "message": "x", "remedy": "y", "details": {}}
    job = {"finished": True, "failed": True, "msg": "[open_transactions] x", "failure": failure, "invocation": {"module_args": {"a": 1}}}
    done = follow(World(monkeypatch, (RUNS, HELD), (job, HELD)))
    assert (done["failed"], done["failure"]) == (True, failure) and "invocation" not in done


def test_a_host_that_is_silent_for_a_moment_is_asked_again(monkeypatch):
    silence = AnsibleConnectionFailure("no route")
    assert follow(World(monkeypatch, *[(silence, None)] * 50, SERVES))["serving"] == "new"
    with pytest.raises(AnsibleConnectionFailure):
        follow(World(monkeypatch, (RUNS, HELD), *[(silence, None)] * 70, SERVES))


def test_the_time_ends(monkeypatch):
    with pytest.raises(FleetError) as failure:
        follow(World(monkeypatch, (RUNS, HELD)), timeout=20)
    assert failure.value.code == "timeout" and "serving is legacy" in failure.value.message


@pytest.mark.parametrize(("facts", "more", "sentence"), [
    ({"serving": "new", "window_ms": 312.4, "rollback": {"armed": True}}, {"since": 1790000000},
     "new serves since 14:13:20 UTC, writes paused 312 ms, way back armed"),
    ({"serving": "new"}, {"since": 1790000000, "at": 1790000009}, "new serves since 14:13:20 UTC"),
    ({"serving": "new"}, {"at": 1790000000}, "new serves at 14:13:20 UTC"),
    ({"serving": "new", "window_ms": None, "rollback": {"armed": True}}, {"since": 1790000000, "window_ms": 99.6},
     "new serves since 14:13:20 UTC, writes paused 100 ms, way back armed"),
    ({"serving": "new", "rollback": {"armed": False}}, {}, "new serves, way back not armed"),
    ({"serving": "legacy", "predicted_window_ms": 200.0, "rollback": {"armed": False}}, {},
     "legacy serves, a switch would pause writes for about 200 ms"),
    ({"serving": "new", "window_ms": 5, "verify": {"equal": True, "rows": 1234567}}, {}, "new serves, writes paused 5 ms, 1,234,567 rows equal"),
    ({"serving": "new", "verify": {"equal": True, "mode": "position", "rows": None}}, {}, "new serves, both sides at one position of the log"),
    ({"serving": "new", "verify": {"equal": False, "rows": 3}}, {}, "new serves"),
    ({"serving": "nobody"}, {}, "nobody serves"),
    ({"serving": "unknown"}, {"since": 1790000000}, "who serves is not known"),
    ({}, {}, "who serves is not known"),
])  # fmt: skip
def test_one_sentence_about_a_pair(facts, more, sentence):
    assert summary(facts, **more) == sentence
