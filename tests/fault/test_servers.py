# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of a whole server at each step of the window, source or target, in both directions."""

from __future__ import annotations

import json
import signal

import bench
import pytest
from bench import ALL, OTHER, Watch, Writers

STEPS = ("W0", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8")
SAMPLE = [("W2", "source", "new"), ("W7", "target", "new")]
CASES = [(point, victim, to) for to in ("new", "legacy") for point in STEPS for victim in ("source", "target")] if ALL else SAMPLE


@pytest.mark.parametrize(("point", "victim", "to"), CASES)
@pytest.mark.parametrize("pair", bench.pairs(), ids=bench.label, indirect=True)
def test_a_killed_server_never_leaves_two_sides_open(pair, point, victim, to):
    world = pair
    if world.open_sides() == [to]:
        world.ok(OTHER[to], verify="none")
    cluster = world.side(to if victim == "target" else OTHER[to])
    with Writers(world) as clients, Watch(world) as watch:
        process = world.spawn(to, fault=f"{point}:stop", verify="none", window_attempts=1, max_window=4, drain_grace=1)
        bench.wait(lambda: bench.stopped(process), 30, "the point")
        cluster.stop(9)
        process.send_signal(signal.SIGCONT)
        # A dead source before the commit: nobody can serve until it is back. After W6 all is proven, so the commit needs no source any more.
        serves = to if point in ("W7", "W8") or (victim, point) == ("source", "W6") else OTHER[to]
        back = None
        if cluster.name != serves:
            back = round(bench.wait(world.side(serves).takes_writes, 6, "the writes"), 3)
        out, err = process.communicate(timeout=60)
        outcome = json.loads(out or err)
        assert "failure" in outcome or (victim, point) == ("source", "W8"), outcome
        cluster.start()
        bench.wait(lambda: world.open_sides() == [serves], 10, "the watchdog")
        entry = {"fault": f"{victim} killed", "point": point, "back": back, "code": outcome.get("failure", {}).get("code")}
        bench.settle(world, to, clients, watch, entry)
