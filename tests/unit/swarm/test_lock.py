# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock as a model: runs take their steps in a random order, stand still in any place, and die; time is a number."""

from __future__ import annotations

import random
import threading

import pytest
from fake_cluster import Cluster

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record import keep
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.lock import STATE, TOKEN, Lock
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.wire import OutOfSequence

TTL = 60.0


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def lock(cluster, clock, **more):
    return Lock(cluster, "web", ttl=TTL, clock=clock, **more)


def code(call):
    with pytest.raises(FleetError) as caught:
        call()
    return caught.value.code


def test_the_second_waits_and_is_told_who_holds():
    cluster, clock = Cluster(), Clock()
    first, second = lock(cluster, clock, owner="anna@ci", reason="deploy 7", operation="op-1"), lock(cluster, clock)
    assert first.attempt() and not second.attempt()
    failure = second.locked(3)
    assert (failure.code, failure.details["owner"], failure.details["reason"], failure.details["operation"]) == ("locked", "anna@ci", "deploy 7", "op-1")
    first.release()
    assert cluster.stored["config"] == {} and second.attempt()


def test_a_lock_that_beats_is_never_taken_over():
    cluster, clock = Cluster(), Clock()
    first, second = lock(cluster, clock), lock(cluster, clock)
    assert first.attempt()
    for _beat in range(20):
        clock.now += TTL / 4
        first.beat()
        assert not second.attempt()


def test_a_dead_holder_is_taken_over_after_its_ttl_and_no_sooner():
    cluster, clock = Cluster(), Clock()
    first, second = lock(cluster, clock), lock(cluster, clock)
    assert first.attempt() and not second.attempt()
    clock.now += TTL - 1
    assert not second.attempt()
    clock.now += 1
    assert second.attempt()
    # The first wakes up: it writes nothing any more, and what it gives back is not the lock of the second.
    assert code(first.check) == "lease_lost" and code(first.beat) == "lease_lost"
    first.release()
    second.check()
    second.beat()


def test_the_ttl_of_the_holder_counts_not_only_that_of_who_waits():
    """A run with a short lock_ttl would take the lock of a live one with a long one, between two of its beats."""
    cluster, clock = Cluster(), Clock()
    first = lock(cluster, clock)
    second = Lock(cluster, "web", ttl=4, clock=clock)
    assert first.attempt() and not second.attempt()
    clock.now += TTL - 1
    assert not second.attempt()
    clock.now += 1
    assert second.attempt()


def test_a_holder_stops_at_half_its_ttl():
    cluster, clock = Cluster(), Clock()
    first = lock(cluster, clock)
    assert first.attempt()
    clock.now += TTL / 2
    first.check()
    clock.now += 0.1
    assert code(first.check) == "lease_lost"
    # And stays stopped, even if the clock went back.
    clock.now -= 10
    assert code(first.check) == "lease_lost"


def test_a_lock_that_was_removed_by_hand_is_lost():
    cluster, clock = Cluster(), Clock()
    first = lock(cluster, clock)
    assert first.attempt()
    cluster.stored["config"].clear()
    assert code(first.beat) == "lease_lost" and code(first.check) == "lease_lost"


def test_a_release_that_was_cut_short_is_swept_not_taken_over():
    """What is marked as released is deleted, so that the delete of the one who marked it can come late and meet nobody."""
    cluster, clock = Cluster(), Clock()
    first, second = lock(cluster, clock), lock(cluster, clock)
    assert first.attempt()
    kept, cluster.config_remove = cluster.config_remove, lambda name: None
    first.release()
    left = next(iter(cluster.stored["config"].values()))
    assert left["Spec"]["Labels"][STATE] == "released"
    cluster.config_remove = kept
    assert not second.attempt() and second.attempt()
    assert left["ID"] not in cluster.stored["config"]


def test_names_fit_and_do_not_meet():
    names = [keep.name_of("lock", "web"), keep.name_of("lock", "x" * 80), keep.name_of("lock", "x" * 81), keep.name_of("lock", end=".r1")]
    names += [keep.name_of("x" * 80, end=".r12"), keep.name_of("rollout", end=".r1"), keep.name_of("rollout", "r1")]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 64 and name[-1].isalnum() for name in names)
    assert keep.name_of("lock", "web") == "bowline.lock.web" and keep.name_of("web", end=".r3") == "bowline.web.r3"
    # A stack that is called lock: its first revision is not the lock of a stack that is called r1.
    assert keep.name_of("lock", end=".r1") != keep.name_of("lock", "r1")


# --- the model


class Turns:
    """Threads of which one runs at a time; who goes next, and how much time passes, is drawn."""

    def __init__(self, seed):
        self.random, self.clock = random.Random(seed), Clock()
        self._gates, self._back, self._current = {}, threading.Semaphore(0), None
        self.frozen_until: dict[str, float] = {}

    def add(self, name, work):
        gate = threading.Semaphore(0)
        self._gates[name] = gate

        def body():
            gate.acquire()
            try:
                work()
            finally:
                del self._gates[name]
                self._back.release()

        threading.Thread(target=body, daemon=True).start()

    def step(self):
        """Called by a run wherever another one may go first."""
        name = self._current
        if self.random.random() < 0.02:
            # Stands still for a time that can be more than the lock's.
            self.frozen_until[name] = self.clock.now + self.random.choice([10, 40, 70, 200])
        gate = self._gates[name]
        self._back.release()
        gate.acquire()

    def run(self, turns):
        for _turn in range(turns):
            if not self._gates:
                return True
            awake = [name for name in self._gates if self.frozen_until.get(name, 0) <= self.clock.now]
            self.clock.now += self.random.choice([0, 0, 0, 0.1, 1, 5])
            if not awake:
                continue
            self._current = self.random.choice(sorted(awake))
            self._gates[self._current].release()
            self._back.acquire()
        return not self._gates


class World:
    """Three runs on two services. A run takes the lock, plans each write from what it reads, and beats when it is due."""

    def __init__(self, seed):
        self.turns = Turns(seed)
        self.cluster = Cluster(self.turns.step)
        self.held: list[tuple[str, float]] = []
        self.ended: dict[str, str] = {}
        self.broken: list[str] = []
        self.landed: list[tuple[str, str]] = []
        for name in ("front", "back"):
            number = len(self.cluster.stored["service"]) + 1
            self.cluster.stored["service"][name] = {"ID": name, "Version": {"Index": -number}, "Spec": {"Name": name, "by": ""}}
        for name in ("one", "two", "three"):
            self.turns.add(name, lambda name=name: self.work(name))

    def work(self, name):
        mine = Lock(self.cluster, "web", ttl=TTL, owner=name, clock=self.turns.clock)
        while not mine.attempt():
            self.turns.step()
        self.held.append((name, self.turns.clock.now))
        beaten = self.turns.clock.now
        try:
            for service in ("front", "back", "front", "back"):
                planned = self.cluster.service(service)
                for _look in range(self.turns.random.randrange(6)):
                    self.turns.step()
                    if self.turns.clock.now - beaten > TTL / 4:
                        beaten = self.turns.clock.now
                        mine.beat()
                mine.check()
                self.alone(name, mine)
                self.write(name, planned)
            self.ended[name] = "done"
        except FleetError as failure:
            self.ended[name] = failure.code
        finally:
            mine.release()

    def alone(self, name, mine):
        """Whoever may write now is the one whom the cluster calls the holder."""
        tokens = [one["Spec"]["Labels"][TOKEN] for one in self.cluster.stored["config"].values()]
        if tokens != [mine._token]:
            self.broken.append(f"{name} believes that it holds the lock")

    def write(self, name, planned):
        last = self.held[-1][0]
        self.cluster.service_update(planned["ID"], planned["Version"]["Index"], {"Name": planned["ID"], "by": name})
        taken = [holder for holder, _at in self.held]
        # Others may have taken over between the check and the write; then they had not written this service.
        later = taken[taken.index(name) + 1 :]
        if any((service, by) in self.landed for service, by in [(planned["ID"], other) for other in later]):
            self.broken.append(f"a stale write of {name} landed on what {later} had written (last holder then: {last})")
        self.landed.append((planned["ID"], name))


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 300, 50)])
def test_one_writer_in_every_order(seeds):
    outcomes = set()
    for seed in seeds:
        world = World(seed)
        assert world.turns.run(20000), (seed, world.held, world.ended)
        assert world.broken == [], seed
        outcomes |= set(world.ended.values())
        # The services are of the last holder that came through, as a whole.
        done = [name for name, _at in world.held if world.ended[name] == "done"]
        if done and done[-1] == world.held[-1][0]:
            last = {one["Spec"]["by"] for one in world.cluster.stored["service"].values()}
            assert last == {done[-1]}, seed
    # The orders are not all harmless ones.
    assert {"done", "lease_lost"} <= outcomes


def test_the_model_sees_a_lock_that_does_not_hold():
    """Without the holder's own limit, and without versions at the writes, the model finds a seed that breaks each."""

    def breaks(change):
        for seed in range(300):
            world = World(seed)
            change(world)
            world.turns.run(20000)
            if world.broken:
                return True
        return False

    class Careless(Lock):
        def check(self):
            pass

    def unversioned(world):
        def write(name, version, spec):
            world.turns.step()
            world.cluster.stored["service"][name] = {"ID": name, "Version": {"Index": 0}, "Spec": spec}

        world.cluster.service_update = write

    assert breaks(unversioned)
    original = globals()["Lock"]
    globals()["Lock"] = Careless
    try:
        assert breaks(lambda world: None)
    finally:
        globals()["Lock"] = original


def test_a_stale_write_is_refused_by_its_version():
    cluster = Cluster()
    made = cluster.service_create({"Name": "web"})
    planned = cluster.service(made)
    cluster.service_update(made, planned["Version"]["Index"], {"Name": "web", "by": "new"})
    with pytest.raises(OutOfSequence):
        cluster.service_update(made, planned["Version"]["Index"], {"Name": "web", "by": "stale"})
