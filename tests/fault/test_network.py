# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network falls silent before, in and after W7: given up, unknown, or done, and never two open sides."""

from __future__ import annotations

import json
import signal
import time

import bench
import pytest
from bench import PAIRS, Watch, Writers
from far import Far
from line import REPLY, REQUEST, Line

QUICK = {"max_window": 3, "drain_grace": 1, "window_attempts": 1, "verify": "none"}


def through(world, side: str, line: Line) -> dict:
    """Parameters with which the module reaches ``side`` through ``line``; the servers and the clients have their own ways."""
    return {side: {**world.params("new")[side], "port": line.port}}


def stop_at(process, world) -> None:
    bench.wait(lambda: bench.stopped(process), 30, "the point")


def ended(process) -> dict:
    out, err = process.communicate(timeout=60)
    assert out.strip(), err
    return json.loads(out)["failure"]


@pytest.mark.parametrize("point", ["W0", "W3", "W5", "W6"] if bench.ALL else ["W3"])
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_silence_before_the_commit_gives_the_window_up(world, point):
    with Line(world.new.port) as line, Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("new", fault=f"{point}:stop", **QUICK, **through(world, "new", line))
        stop_at(process, world)
        line.cut()
        process.send_signal(signal.SIGCONT)
        back = bench.wait(lambda: world.open_sides() == ["legacy"], QUICK["max_window"] + 1, "the writes")
        failure = ended(process)
        assert (failure["code"], failure["details"]["cause"]["code"]) == ("window_aborted", "connection_lost"), failure
        assert "did not answer" in failure["message"]
        line.heal()
        entry = {"fault": "silence before the commit", "point": point, "back": round(back, 3), "code": failure["code"]}
        bench.settle(world, "new", clients, watch, entry, verify="hash")


@pytest.mark.parametrize(("what", "open_side"), [(REQUEST, []), (REPLY, ["new"])])
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_silence_in_the_commit_is_unknown_until_the_target_can_be_read(world, what, open_side):
    """The source stays closed, whatever the target did; once it can be read, the watchdog gives back or routes without being asked."""
    with Line(world.new.port) as line, Writers(world) as clients, Watch(world) as watch:
        line.trap(b":commit", what)
        failure = ended(world.spawn("new", **QUICK, **through(world, "new", line)))
        assert failure["code"] == "outcome_unknown", failure
        assert world.open_sides() == open_side
        line.heal()
        wanted = open_side or ["legacy"]
        back = bench.wait(lambda: world.open_sides() == wanted, 15, "the watchdog")
        entry = {"fault": f"silence in the commit ({what})", "point": "W7", "back": round(back, 3), "code": failure["code"]}
        bench.settle(world, "new", clients, watch, entry, verify="hash")


@pytest.mark.whole
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_silence_after_the_commit_leaves_the_target_open(world):
    with Line(world.new.port) as line, Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("new", fault="W7:stop", **QUICK, **through(world, "new", line))
        stop_at(process, world)
        line.cut()
        acknowledged = len(clients.acknowledged)
        process.send_signal(signal.SIGCONT)
        failure = ended(process)
        assert failure["code"] == "connection_lost", failure
        assert world.open_sides() == ["new"] and len(clients.acknowledged) > acknowledged
        line.heal()
        entry = {"fault": "silence after the commit", "point": "W7", "code": failure["code"]}
        bench.settle(world, "new", clients, watch, entry, verify="hash")


@pytest.mark.whole
@pytest.mark.parametrize("world", bench.pairs(), ids=bench.label, indirect=True)
def test_a_silent_source_gets_its_writes_back_when_it_answers(world):
    """The module can tell nobody; the watchdog goes on trying, so that nobody has to come."""
    with Line(world.legacy.port) as line, Writers(world) as clients, Watch(world) as watch:
        process = world.spawn("new", fault="W4:stop", **QUICK, **through(world, "legacy", line))
        stop_at(process, world)
        line.cut()
        process.send_signal(signal.SIGCONT)
        failure = ended(process)
        assert failure["code"] == "connection_lost" and "watchdog" in failure["message"], failure
        assert world.open_sides() == []
        line.heal()
        back = bench.wait(lambda: world.open_sides() == ["legacy"], 15, "the watchdog")
        time.sleep(0.1)
        entry = {"fault": "silent source", "point": "W4", "back": round(back, 3), "code": failure["code"]}
        bench.settle(world, "new", clients, watch, entry, verify="hash")


@pytest.fixture
def far(worlds):
    worlds.stop()
    world = Far(*PAIRS[-1])
    try:
        world.start()
        world.reset()
        world.ok("armed")
        yield world
    finally:
        world.stop()


@pytest.mark.whole
@pytest.mark.parametrize("point", ["W4", "W6"])
def test_a_host_that_drops_every_packet(far, point):
    """Replication, module and clients lose the new host alike; nobody is told by a reset."""
    with Writers(far) as clients, Watch(far) as watch:
        process = far.spawn("new", fault=f"{point}:stop", **QUICK)
        stop_at(process, far)
        far.host.silent(True)
        process.send_signal(signal.SIGCONT)
        back = bench.wait(far.legacy.takes_writes, QUICK["max_window"] + 1, "the writes")
        failure = ended(process)
        assert (failure["code"], failure["details"]["cause"]["code"]) == ("window_aborted", "connection_lost"), failure
        acknowledged = len(clients.acknowledged)
        bench.wait(lambda: len(clients.acknowledged) > acknowledged, 10, "writes while the host is silent")
        far.host.silent(False)
        assert far.open_sides() == ["legacy"]
        bench.settle(far, "new", clients, watch, {"fault": "host silent", "point": point, "back": round(back, 3), "code": failure["code"]})
