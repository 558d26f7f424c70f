# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wait inside the write pause: it ends when the target has all, renews the pause meanwhile, and gives up in time."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.wait import Deadline
from ansible_collections.bowline.fleet.plugins.module_utils._redis import watchdog, window


class Side:
    """One server: ``told`` are its answers to INFO in turn, the last one again and again; ``asked`` is everything else."""

    def __init__(self, side, *told, id=1, silent=False) -> None:
        self.side, self.told, self.asked, self.id, self.silent = side, list(told), [], id, silent

    def info(self, *_sections):
        if self.silent:
            raise FleetError("unreachable", "no answer")
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]

    def ask(self, *words):
        if self.silent:
            raise FleetError("unreachable", "no answer")
        self.asked.append(" ".join(map(str, words)))
        return "PONG"


class Clock:
    """Time passes by pauses alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def deadline(self, seconds):
        return Deadline(seconds, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(window.time, "monotonic", lambda: made.now)
    return made


def master(offset):
    return {"role": "master", "master_repl_offset": str(offset)}


def replica(offset, link="up"):
    return {"role": "slave", "slave_repl_offset": str(offset), "master_link_status": link}


def test_it_waits_until_the_target_has_applied_all(clock):
    source, target = Side("legacy", master(9)), Side("new", replica(3), replica(8), replica(9, "down"), replica(9))
    window._level(source, target, clock.deadline(5))
    assert target.told == [replica(9)] and source.asked == []


def test_it_renews_the_pause_and_gives_up_in_time(clock):
    source, target = Side("legacy", master(9)), Side("new", replica(3))
    with pytest.raises(FleetError) as failed:
        window._level(source, target, clock.deadline(1.0))
    assert failed.value.code == "window_aborted" and "3 of 9" in failed.value.message
    assert source.asked == ["CLIENT PAUSE 1000 WRITE"] * 3 and clock.now < 1.1


IDS = {"legacy": 5, "new": 6}


@pytest.mark.parametrize(("word", "target", "serves", "told"), [
    pytest.param(watchdog.PAUSE, replica(9), "legacy", [], id="paused"),
    pytest.param(watchdog.CLOSE, replica(9), "legacy", [], id="closed"),
    pytest.param(watchdog.OPEN, replica(9), "legacy", ["PING", "CLIENT KILL ID 6"], id="not opened"),
    pytest.param(watchdog.OPEN, {"role": "master"}, "new", ["PING", "CLIENT KILL ID 6"], id="opened"),
    pytest.param(watchdog.OPENED, {"role": "master"}, "new", ["PING", "CLIENT KILL ID 6"], id="opened and said"),
])  # fmt: skip
def test_who_serves_after_a_module_died(word, target, serves, told):
    """What the dead one had sent is ended before the role of the target is believed; the target is never opened."""
    sides = {"legacy": Side("legacy", replica(9)), "new": Side("new", target)}
    assert watchdog.settle(sides, "legacy", word, IDS) == serves
    assert sides["new"].asked == told
    given = ["PING", "CLIENT KILL ID 5", "REPLICAOF NO ONE"] if serves == "legacy" else []
    assert sides["legacy"].asked == [*given, "CLIENT UNPAUSE"]


def test_a_silent_target_counts_as_not_opened_only_before_anybody_could_open_it():
    sides = {"legacy": Side("legacy", replica(9)), "new": Side("new", {}, silent=True)}
    assert watchdog.settle(sides, "legacy", watchdog.CLOSE, IDS) == "legacy"
    sides["legacy"].asked.clear()
    with pytest.raises(FleetError):
        watchdog.settle(sides, "legacy", watchdog.OPEN, IDS)
    assert sides["legacy"].asked == []
