# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock between processes, on a real cluster: one that is frozen and woken writes nothing any more (tests/unit/swarm/test_lock.py has the model)."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

TTL = 4.0


class Writer:
    """A process of locker.py; `until` waits for what it says."""

    def __init__(self, lab, name, service, **more):
        connection = {**lab.connection(), "docker_host": [one["docker_host"] for one in lab.managers]}
        given = {"connection": connection, "subject": "e-lock", "service": service, "name": name, "ttl": TTL, "wait": 120, "writes": 10**6, **more}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("locker.py")), json.dumps(given)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        self.said, self._lines = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def until(self, *words, times=1, seconds=90):
        """The ``times``-th saying of one of ``words`` from now on."""
        while times:
            said = self._lines.get(timeout=seconds)
            self.said.append(said)
            times -= said["word"] in words
        return said

    def signal(self, number):
        os.kill(self.process.pid, number)

    def end(self):
        self.signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def service(swarm_lab, stack):
    """A service without tasks: nothing but its writers moves its version."""
    name = stack("e-lock")
    api = swarm_lab.api()
    spec = {"Name": name, "Labels": {}, "TaskTemplate": {"ContainerSpec": {"Image": swarm_lab.image("1")}}, "Mode": {"Replicated": {"Replicas": 0}}}
    made = api._result(api._post_json(api._url("/services/create"), data=spec), True)["ID"]
    yield made


@pytest.fixture
def writer(swarm_lab, service):
    made = []

    def start(name, **more):
        made.append(Writer(swarm_lab, name, service, **more))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.mark.parametrize("turn", [3, *(pytest.param(turn, marks=pytest.mark.whole) for turn in (1, 2, 5, 8, 13))])
def test_a_holder_that_was_frozen_and_woken_writes_nothing_stale(swarm_lab, service, writer, turn):
    first = writer("first")
    first.until("wrote", times=turn)
    # It beats: one that waits for longer than the TTL does not get the lock of a live one.
    impatient = writer("impatient", wait=TTL * 1.5)
    assert impatient.until("failed", "held")["code"] == "locked"
    first.signal(signal.SIGSTOP)
    second = writer("second", writes=40)
    second.until("wrote", times=3)
    first.signal(signal.SIGCONT)
    # What it said before it was frozen comes first.
    stopped = first.until("failed", "ended")
    assert stopped["code"] in ("lease_lost", "conflict")
    second.until("ended")
    # Each write of the second found its own name there, but for the first one.
    seen = [said["after"] for said in second.said if said["word"] == "wrote"]
    assert seen[0] == "first" and set(seen[1:]) == {"second"}, seen
    assert swarm_lab.api().inspect_service(service)["Spec"]["Labels"]["by"] == "second"
    # Given back: nothing of the lock is left.
    assert [one for one in swarm_lab.api().configs() if one["Spec"]["Name"] == "bowline.lock.e-lock"] == []


def test_a_killed_holder_is_taken_over(writer):
    first = writer("first")
    first.until("wrote")
    first.process.kill()
    waiting = writer("second", writes=1)
    began, held = waiting.until("waits")["at"], waiting.until("held")["at"]
    print(f"takeover / TTL: {(held - began) / TTL:.2f}")
    # Not sooner than the TTL of the one who waits; how much later is a matter of the machine.
    assert TTL <= held - began < TTL * 10
