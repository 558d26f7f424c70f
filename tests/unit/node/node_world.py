# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A world in which machines live and die, as a model: a provider with faults, machines that speak, hooks, controllers that are killed.

Every call and every write is a tick. At a tick a controller may be killed, or be frozen while another one does its whole work. The model itself holds
what may never be: two machines of one node, a machine deleted before its time, a hand on a foreign one.
"""

from __future__ import annotations

import random
import sqlite3
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.drive import Life
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import Identity, NotFound, Observed, Unknown
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Evidence, Heartbeat, Instance, Node, Template
from ansible_collections.bowline.fleet.plugins.module_utils._node.plan import Desired, LifeStep, plan
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import Held, NodeStore, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import SqliteDatabase
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

TTL = 60.0
SLOWEST = 45.0
# Written down here once more: what judges does not ask what is judged.
BEFORE_DELETION = ("guards", "drain", "hooks", "memberships", "dns", "volumes", "credentials")
OUTSIDE = ("hooks", "memberships", "dns", "volumes", "credentials", "traces")


_KEPT: list[sqlite3.Connection] = []


def fresh() -> SqliteDatabase:
    """A store in memory with the template of edge-1; it is made once and copied."""
    if not _KEPT:
        _KEPT.append(_connection())
    connection = sqlite3.connect(":memory:")
    _KEPT[0].backup(connection)
    return SqliteDatabase(connection, "memory")


def _connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    database = SqliteDatabase(connection, "memory")
    database.migrate()
    nodes, state = NodeStore(database), StateStore(database, Owner("ann", "ann", "here", 1))
    opened = state.open("node", ["template/edge"], [])
    nodes.put_template(Held("template/edge", opened["lease_numbers"]["template/edge"]), Template("edge"))
    state.end(opened["id"], "succeeded")
    return connection


class Killed(BaseException):
    """kill -9: nothing of the controller runs any more."""


class Broken(AssertionError):
    """Something that may never be."""


@dataclass
class Box:
    """One machine at the provider."""

    provider_id: str
    name: str
    identity: Identity | None
    power: str
    born: float
    seen_from: float
    on_at: float
    boot: int = 1
    said: float = 0.0
    sequence: int = 0
    credentials: bool = False
    shown: bool = False


class World:
    """``cloud`` makes a machine at each call and shows it late; a local provider makes one a tag and says when nothing is in flight."""

    def __init__(self, seed: int, cloud: bool) -> None:
        self.random, self.cloud = random.Random(seed), cloud
        self.now = 1_000_000.0
        self.boxes: list[Box] = []
        self.foreign: list[Box] = []
        self.ticks, self.kill_at = 0, 0
        # The label of a tick at which a controller is killed, and the how manieth of these.
        self.kill_on: tuple[str, int] = ("", 0)
        self.may_end = False
        # Finalizers and hooks that fail, and whether calls of the provider are heard at all.
        self.broken: set[str] = set()
        self.deaf = False
        # Whether machines are made with credentials.
        self.given = False
        # Seconds after which each machine is seen; drawn when it is None.
        self.late: float | None = None
        self.freeze_at, self.meanwhile = 0, None
        self.faults = True
        self.calls: list[str] = []
        self.numbers = 0
        self.finished: set[tuple[str, str]] = set()
        self.enrolled: set[str] = set()
        self.hidden_until = self.mute_until = 0.0
        self.dead: set[int] = set()
        self.database = fresh()
        self.plain = NodeStore(self.database, lambda: self.now)
        self.beats = Beats(self.database, lambda: self.now)
        self.fleet = self.plain.fleet()

    # --- time ---------------------------------------------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """A slow controller: more time passes than it asked for."""
        self.now += max(seconds, 1.0) * 7
        self.speak()

    def speak(self) -> None:
        self.beats.listens("r", 0.0)
        for box in self.boxes:
            if box.power == "on" and self.now - box.on_at > 20 and box.identity is not None and self.now - box.said >= 25:
                box.said, box.sequence = self.now, box.sequence + 1
                ready = box.identity.instance_id in self.enrolled and self.now - box.on_at > 40
                jump = self.random.choice((0, -86400 * 365, 86400 * 365))
                try:
                    self.beats.heard(Heartbeat(box.identity.instance_id, 0.0, f"boot-{box.boot}", box.sequence, ready, ready, ready,
                                               document={"sent_at": self.now + jump}))  # fmt: skip
                except FleetError:
                    pass  # no row knows this machine: the receiver refuses it

    def tick(self, what: str) -> None:
        self.ticks += 1
        if self.kill_at and self.ticks == self.kill_at:
            self.kill_at = 0
            raise Killed(what)
        if self.kill_on[0] == what:
            self.kill_on = (what, self.kill_on[1] - 1)
            if not self.kill_on[1]:
                self.kill_on = ("", 0)
                raise Killed(what)
        if self.freeze_at and self.ticks >= self.freeze_at and what.startswith("write") and self.meanwhile is not None:
            work, self.meanwhile = self.meanwhile, None
            work()

    def mine(self) -> list[Box]:
        return [box for box in self.boxes if box.identity is not None and box.identity.fleet == self.fleet]

    def chance(self, share: float) -> bool:
        return self.faults and self.random.random() < share


class Provider:
    """As `drive.Provider` wants it, with lost replies, late machines, lapses of memory and silence."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _shown(self) -> list[Box]:
        world = self.world
        hidden = world.faults and world.now < world.hidden_until
        found = [box for box in (*world.boxes, *world.foreign) if box.seen_from <= world.now and not (hidden and box.shown)]
        for box in found:
            box.shown = True
        return found

    def _observed(self, box: Box) -> Observed:
        return Observed(box.provider_id, box.power, box.identity, ("192.0.2.7",), "lease", box.born, {"credentials": box.credentials})

    def read(self, identity):
        world = self.world
        world.tick("read")
        if world.faults and world.now < world.mute_until:
            return Unknown("transient", "no answer")
        if world.now > world.hidden_until + 70 and world.chance(0.08):
            # A lapse of memory: it does not show what it has shown before.
            world.hidden_until = world.now + world.random.uniform(5, 40)
        shown = self._shown()
        found = [box for box in shown if box.identity is not None and box.identity.instance_id == identity.instance_id]
        found = found or [box for box in shown if box.name == identity.name]
        if found:
            return self._observed(found[0])
        in_flight = any(box.seen_from > world.now for box in world.boxes)
        return NotFound(final=not world.cloud and not in_flight and not (world.faults and world.now < world.hidden_until))

    def list(self, identity):
        self.world.tick("list")
        return [self._observed(box) for box in self._shown() if box.name == identity.name]

    def create(self, identity, spec):
        world = self.world
        world.tick("before create")
        world.calls.append("create")
        if world.deaf or world.chance(0.1):
            return Unknown("transient", "the call was lost")
        if not world.cloud and any(box.identity is not None and box.identity.instance_id == identity.instance_id for box in world.boxes):
            return Unknown("transient", "it is there already")
        world.numbers += 1
        drawn = world.random.uniform(0, SLOWEST) if world.faults and world.random.random() < (0.7 if world.cloud else 0.3) else 0.0
        late = drawn if world.late is None else world.late
        shown = world.now + late
        world.boxes.append(Box(f"cloud:///{world.numbers}", identity.name, identity, "on", world.now, shown, shown, credentials=world.given))
        if len(world.mine()) > 1:
            raise Broken(f"two machines of one node: {world.mine()}")
        world.tick("after create")
        return Unknown("transient", "the reply was lost") if world.chance(0.2) else NotFound()

    def _own(self, identity) -> list[Box]:
        return [box for box in self.world.boxes if box.identity is not None and box.identity.instance_id == identity.instance_id]

    def power(self, identity, to):
        world = self.world
        world.tick("before power")
        world.calls.append(f"power {to}")
        if world.deaf or world.chance(0.1):
            return Unknown("transient", "the call was lost")
        for box in self._own(identity):
            if to == "on" and box.power != "on":
                box.on_at, box.boot, box.sequence = world.now, box.boot + 1, 0
            box.power = "off" if to == "hard" else to
        world.tick("after power")
        return Unknown("transient", "the reply was lost") if world.chance(0.2) else NotFound()

    def forget(self, identity):
        self.world.tick("before forget")
        self.world.calls.append("forget")
        for box in self._own(identity):
            box.credentials = False
        self.world.tick("after forget")
        return NotFound()

    def destroy(self, identity):
        world = self.world
        world.tick("before destroy")
        world.calls.append("destroy")
        self._refuse_early(identity.instance_id)
        if world.chance(0.1):
            return Unknown("transient", "the call was lost")
        for box in self._own(identity):
            world.boxes.remove(box)
        world.tick("after destroy")
        return Unknown("transient", "the reply was lost") if world.chance(0.2) else NotFound()

    def _refuse_early(self, instance: str) -> None:
        row = self.world.plain.live("edge-1")
        if row is None or row.id != instance:
            return
        skipped = {skip.finalizer for skip in row.skipped}
        early = [name for name in BEFORE_DELETION
                 if name in row.finalizers or (name in OUTSIDE and name not in skipped and (instance, name) not in self.world.finished)]
        if not self.world.may_end and self._own(Identity("", instance, "", "", "")):
            raise Broken("a machine is deleted that nobody asked to end")
        if row.delete_requested_at is None or early:
            raise Broken(f"the machine is deleted before {early}")


class Work:
    """Hooks and everything else outside, some of which does not answer at times."""

    def __init__(self, world: World) -> None:
        self.world = world

    def evidence(self, node: Node) -> t.Sequence[Evidence]:
        return ()

    def reachable(self, node: Node) -> bool:
        return True

    def probe(self, step: LifeStep, instance: Instance) -> str:
        self.world.tick("probe")
        if self.world.chance(0.1):
            return "unknown"
        if step.action == "await_contact":
            return "not"
        if step.action == "enrol":
            return "done" if instance.id in self.world.enrolled else "not"
        return "done" if (instance.id, step.subject) in self.world.finished else "not"

    def apply(self, step: LifeStep, instance: Instance) -> None:
        self.world.tick("before work")
        if step.subject in self.world.broken or self.world.chance(0.08):
            raise FleetError("check_failed", f"{step.subject} does not answer", "")
        if step.action == "enrol":
            self.world.enrolled.add(instance.id)
        elif step.action == "finish":
            self.world.finished.add((instance.id, step.subject))
        elif step.action == "drain":
            self.world.finished.add((instance.id, step.subject))
        self.world.tick("after work")


class Ticking(NodeStore):
    """The store, with a tick before and after each write."""

    def __init__(self, world: World) -> None:
        super().__init__(world.database, lambda: world.now)
        self.world = world


def _ticked(name: str) -> t.Callable[..., t.Any]:
    def call(self: Ticking, *given: t.Any, **more: t.Any) -> t.Any:
        self.world.tick(f"write {name}")
        done = getattr(NodeStore, name)(self, *given, **more)
        self.world.tick(f"wrote {name}")
        return done

    return call


for _name in ("reserve", "save", "attempt", "over", "did", "alive"):
    setattr(Ticking, _name, _ticked(_name))


class Controllers:
    """Commands of several controllers on one node."""

    def __init__(self, world: World, node: Node) -> None:
        self.world, self.node, self.pid, self.own_host = world, node, 0, False

    def _state(self) -> StateStore:
        self.pid += 1
        owner = Owner("ann", "ann", f"host-{self.pid}", self.pid, "m", "b", "n", str(self.pid))
        world = self.world

        def presence(other: Owner, _me: Owner) -> str:
            return "gone" if other.pid in world.dead else "unknown"

        self._state_last = StateStore(world.database, owner, presence, lambda: world.now)
        return self._state_last

    def _open(self, state: StateStore, name: str = "", take_over: bool = False) -> Held:
        subject = subject_of(name or self.node.name)
        if take_over:
            self.world.now += TTL + 1
        opened = state.open("node", [subject], [], lease_ttl=TTL)
        self._operation = opened["id"]
        return Held(subject, opened["lease_numbers"][subject])

    def life(self, held: Held) -> Life:
        world = self.world

        def new_id() -> str:
            return f"{world.random.getrandbits(64):016x}"

        return Life(Ticking(world), held, Provider(world), Work(world), world.pause, new_id=new_id, own_host=self.own_host)

    def command(self, desired: Desired) -> tuple[str, list[LifeStep]]:
        """``done``, ``killed`` or the code of the failure, and the steps that were done."""
        state, world = self._state(), self.world
        pid, row, before = self.pid, world.plain.live(self.node.name), world.may_end
        # Who asked for the end: this command, one before it that had begun, or a machine made with something else.
        world.may_end = desired.state == "absent" or row is None or row.delete_requested_at is not None or row.spec_hash != desired.spec_hash
        try:
            return self._command(state, pid, desired)
        finally:
            world.may_end = before

    def _command(self, state: StateStore, pid: int, desired: Desired) -> tuple[str, list[LifeStep]]:
        try:
            held = self._open(state)
            operation = self._operation
        except FleetError as error:
            return error.code, []
        try:
            steps = self.life(held).run(self.node, desired)
        except Killed:
            self.world.dead.add(pid)
            return "killed", []
        except FleetError as error:
            if error.code != "lease_lost":
                state.end(operation, "failed")
            self.error = error
            return error.code, []
        state.end(operation, "succeeded")
        return "done", steps

    def checked(self, desired: Desired) -> tuple[list[LifeStep], list[LifeStep], list[LifeStep]]:
        """What check mode shows, what the run then does, and what a second run would do, under one lease."""
        life = self.life(self._open(self._state()))
        self.world.may_end = True
        planned = self._planned(life, desired)
        return planned, life.run(self.node, desired), self._planned(life, desired)

    def _planned(self, life: Life, desired: Desired) -> list[LifeStep]:
        life._node, life._desired = self.node, desired
        return list(plan(life.look(), desired))


def stray(world: World, rows: t.Iterable[Instance]) -> list[Box]:
    """Machines of ours that no live row knows."""
    known = {row.id for row in rows if row.terminated_at is None}
    return [box for box in world.mine() if box.identity is None or box.identity.instance_id not in known]


__all__ = ["Box", "Broken", "Controllers", "Identity", "World", "replace", "stray"]
