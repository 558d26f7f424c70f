# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An application with a queue: producers that follow the side that takes writes, and a worker with Sidekiq's keys that runs each job once."""

from __future__ import annotations

import json
import threading
import time

from bowline_redis_rig import OTHER, Said, World

QUEUE, RUNNING = "queue:default", "running"
# As Sidekiq does it every ten seconds.
BEAT = 0.1


class Producer(threading.Thread):
    """Pushes numbered jobs; a refused one is sent to the other side, as the application does whose requests were held meanwhile."""

    def __init__(self, world: World, name: str, side: str) -> None:
        super().__init__(daemon=True)
        self.world, self.label, self.side = world, name, side
        self.acknowledged: list[str] = []
        self.doubtful: list[str] = []
        self.times: list[float] = []
        self.refused = 0
        self._stop = threading.Event()

    def run(self) -> None:
        number, client = 0, None
        while not self._stop.is_set():
            job = f"{self.label}-{number}"
            try:
                client = client or self.world.servers[self.side].client(timeout=5)
                client("LPUSH", QUEUE, job)
            except Said as error:
                # READONLY: it was not pushed, so it may be sent again.
                assert "READONLY" in str(error) or "LOADING" in str(error), error
                self.refused += 1
                self.side, client = OTHER[self.side], None
                continue
            except OSError:
                if client is not None:
                    self.doubtful.append(job)
                self.side, client = OTHER[self.side], None
            else:
                self.acknowledged.append(job)
                self.times.append(time.monotonic())
                # The pace of a producer: the worker keeps up with all of them.
                self._stop.wait(0.002)
            number += 1

    def stop(self) -> None:
        self._stop.set()
        self.join(20)
        assert not self.is_alive()

    def longest_gap(self) -> float:
        return max((later - earlier for earlier, later in zip(self.times, self.times[1:])), default=0.0)


class Worker(threading.Thread):
    """Takes a job by BRPOPLPUSH, runs it (``ran`` is the world outside), and takes it off. Quiet when ``quiet`` exists, as after TSTP."""

    def __init__(self, world: World, side: str, ran: list[str]) -> None:
        super().__init__(daemon=True)
        self.world, self.side, self.ran = world, side, ran
        self.identity = f"{side}:1:abc"
        self.quiet = world.home / f"quiet-{side}"
        self.quiet.unlink(missing_ok=True)
        self.refused = 0
        self._stop = threading.Event()

    def run(self) -> None:
        client = self.world.servers[self.side].client(timeout=20)
        last, taken = 0.0, None
        while not self._stop.is_set():
            quiet = self.quiet.exists()
            if time.monotonic() - last > BEAT:
                last = time.monotonic()
                self._beat(client, quiet, taken)
            if quiet:
                self._stop.wait(0.01)
                continue
            taken = client("BRPOPLPUSH", QUEUE, RUNNING, "0.05")
            if taken is not None:
                self.ran.append(taken)
                client("LREM", RUNNING, 1, taken)
                taken = None

    def _beat(self, client, quiet: bool, taken) -> None:
        try:
            client("MULTI")
            client("SADD", "processes", self.identity)
            client("HSET", self.identity, "info", json.dumps({"queues": ["default"]}), "busy", int(taken is not None), "beat", f"{time.time():.6f}",
                   "quiet", str(quiet).lower())  # fmt: skip
            client("EXPIRE", self.identity, 60)
            client("EXEC")
        except Said:
            # Its side was closed: a quiet worker only tells less.
            self.refused += 1
            client("DISCARD")

    def stop(self) -> None:
        self._stop.set()
        self.join(20)
        assert not self.is_alive()


def pushed(producers) -> set[str]:
    return {job for producer in producers for job in producer.acknowledged}
