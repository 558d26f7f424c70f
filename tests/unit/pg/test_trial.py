# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A trial never opens its target: every turn of a fence that it makes is recorded, with a failure planted at every call."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg import options as given
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import pair
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import fence, sessions
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import trial
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.trial import Trial, steps
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.watchdog import COMMIT
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.window import Window


def options(**more):
    side = {"host": "h", "dbname": "hub"}
    return given.parse({"state": "armed", "legacy": side, "new": side, "trial_window": True, "max_window": 3, "drain_grace": 1, **more})


@dataclass
class World:
    """Two sides with a fence and an epoch, and a call at which it fails, before or after its effect; ``calls`` names all of them."""

    fails_at: int = -1
    late: bool = False
    source: str = "legacy"
    calls: list = field(default_factory=list)
    said: list = field(default_factory=list)
    opened: list = field(default_factory=list)

    def __post_init__(self):
        self.fenced = {"legacy": self.source != "legacy", "new": self.source != "new"}
        self.epoch = {"legacy": "", "new": ""}

    def call(self, name, effect=lambda: None):
        self.calls.append(name)
        broken = len(self.calls) - 1 == self.fails_at
        if broken and not self.late:
            raise FleetError("connection_lost", f"{name} failed.")
        answer = effect()
        if broken:
            raise FleetError("connection_lost", f"{name} failed late.")
        return answer

    def turn(self, session, _dbname, epoch, fenced, expect=None):
        def effect():
            if expect is not None and self.epoch[session.side] != expect:
                return False
            self.epoch[session.side], self.fenced[session.side] = epoch, fenced
            if not fenced:
                self.opened.append(session.side)
            assert not all(not closed for closed in self.fenced.values()), "both sides are open"
            return True

        return self.call(f"turn {session.side} {epoch.split(':')[1]}", effect)


class Parts:
    """Router, watchdog, carrier and snapshots: each of their calls may fail, too."""

    def __init__(self, world):
        self._world = world

    def say(self, word):
        self._world.said.append(word)

    def window(self, *_words):
        return None

    def __getattr__(self, name):
        return lambda *_words: self._world.call(name)


def attempt(monkeypatch, world, kind=Trial):
    def server(side):
        admin = SimpleNamespace(side=side, pid=1, run=lambda text: world.call(f"{side} {text}"))
        return SimpleNamespace(side=side, dbname="hub", endpoint=side, admin=admin, close=lambda: None)

    monkeypatch.setattr(fence, "turn", world.turn)
    monkeypatch.setattr(sessions, "now_on", lambda server: world.call("now"))
    monkeypatch.setattr(sessions, "end", lambda *words: world.call("end", sessions.Drained))
    monkeypatch.setattr(sessions, "end_now", lambda *words: world.call("end_now"))
    monkeypatch.setattr(sessions, "end_idle", lambda server: world.call("end_idle"))
    monkeypatch.setattr(sessions, "prepared", lambda server: world.call("prepared", list))
    for name in ("mark", "see_mark", "advance"):
        monkeypatch.setattr(pair, name, lambda *words, name=name: world.call(name))
    parts = Parts(world)
    target = "new" if world.source == "legacy" else "legacy"
    direction = pair.Direction(server(world.source), server(target), "pgcut_fwd", "pgcut_rev")
    return kind(direction, options() if kind is Trial else options(state="new", trial_window=False), parts, parts, parts, parts).run()


def points(monkeypatch):
    world = World()
    attempt(monkeypatch, world)
    return len(world.calls)


@pytest.mark.parametrize("source", ["legacy", "new"])
def test_undisturbed_it_ends_where_it_began(monkeypatch, source):
    world = World(source=source)
    opened = attempt(monkeypatch, world)
    assert world.opened == [source] and COMMIT not in world.said
    assert world.epoch["legacy"] == world.epoch["new"] and world.epoch["new"].endswith(":abort")
    assert [step["name"] for step in opened.steps][-5:] == ["abort", "sessions", "route", "warmup", "resume"]


def test_a_failure_at_any_call_never_opens_the_target_and_gives_the_writes_back(monkeypatch):
    for source, number, late in itertools.product(("legacy", "new"), range(points(monkeypatch)), (False, True)):
        world = World(number, late, source)
        try:
            attempt(monkeypatch, world)
        except FleetError:
            pass
        target = "new" if source == "legacy" else "legacy"
        assert target not in world.opened and world.fenced[target], (source, number, late, world.calls)
        assert world.fenced[source] is False, (source, number, late, world.calls)
        assert COMMIT not in world.said


def test_the_fake_world_sees_an_opening(monkeypatch):
    """The same world with a real window: else the test above could not fail."""
    world = World()
    attempt(monkeypatch, world, Window)
    assert world.opened == ["new"] and COMMIT in world.said


def test_it_is_one_more_step_and_never_done_already():
    assert [(step.action, step.disruptive) for step in steps(options())] == [("trial", True)]
    assert steps(options(trial_window=False)) == ()
    assert trial.Trial.run is Window.run
