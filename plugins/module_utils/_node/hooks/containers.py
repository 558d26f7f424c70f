# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hook docker: containers stop in their order and stay stopped, also when the engine starts again; undo brings back those, and no other."""

from __future__ import annotations

import typing as t

from ..._core.faults import hit
from ..._core.result import Step
from ..._core.wait import Deadline
from . import plan
from .docker import Docker, Refused, left_running
from .model import Asked, Blocker, Container, Silent, Told, Unanswered
from .record import Record
from .systemd import Systemd

# The socket first: a connection to it would start the engine again.
ENGINE = ("docker.socket", "docker.service")
# Containers that something starts again and again end a drain as blockers, also with force.
_PASSES = 10
_POLL = 0.2


class Containers:
    """The stages of hook docker on one machine. Each converges: what was done already is passed over."""

    def __init__(self, docker: Docker, systemd: Systemd, record: Record, asked: Asked, deadline: Deadline) -> None:
        self._docker, self._systemd, self._record = docker, systemd, record
        self._asked, self._deadline = asked, deadline
        self.told = Told(changed=self._changed())

    def observe(self) -> Told:
        told, seen = self.told, self._look()
        if seen is not None:
            # What hook swarm is going to move stands in nobody's way before it has.
            later = ("swarm_task",) if "swarm" in self._asked.after else ()
            told.blockers = plan.held(seen[1], seen[0], self._asked.after, (*self._asked.accept, *later))
            told.before = told.after = _running(seen[1])
        return told

    def drain(self, check: bool) -> Told:
        told = self.told
        for turn in range(_PASSES):
            seen = self._look()
            if seen is None:
                break
            member, containers = seen
            told.before, told.after = told.before if turn else _running(containers), _running(containers)
            told.blockers = plan.held(containers, member, self._asked.after, self._asked.accept)
            steps = [] if told.blockers else plan.stopping(containers)
            told.steps += steps
            if check or told.blockers or not steps:
                break
            self._remember(containers)
            told.changed = self._changed()
            told.blockers = self._stop(containers)
            if told.blockers:
                break
        else:
            told.blockers = [Blocker(name, "something starts it again and again", "stop what starts it") for name in told.after]
        if not told.blockers and seen is not None:
            self._note_ends(seen[1], check)
            self._stop_engine(told, check)
        told.changed = self._changed()
        return told

    def undo(self, check: bool) -> Told:
        told = self.told
        if not self._record.there:
            return told
        told.changed = []
        off = [name for name in self._record.units if name not in self._systemd.active(self._record.units)]
        if off:
            told.steps.append(Step("start_engine", f"the drain has stopped {', '.join(off)}"))
        seen = None if off and check else self._started(off)
        if seen is None and check:
            return told
        if seen is None:
            # Nothing could be started, so nothing is taken back, and what is known about it stays.
            raise Unanswered("no engine runs on the machine; start it, then run the same command again")
        start, policy = plan.starting(seen[1], self._record.parts)
        told.before = _running(seen[1])
        told.steps += [Step("start", f"the drain has stopped {one.name}") for one in start]
        told.steps += [Step("restore", f"{one.name} had restart policy {self._record.parts[one.id]['policy']}") for one in policy]
        if check:
            return told
        told.blockers = self._start(start, policy)
        last = self._look()
        told.after = _running(last[1]) if last else []
        told.blockers += [Blocker(one.name, "it was started and does not run") for one in start if last and one.name not in told.after]
        told.changed = sorted({one.name for one in (*start, *policy)} | set(off))
        if not told.blockers:
            self._record.remove()
        return told

    def leave(self) -> Told:
        told, seen = self.told, self._look()
        if seen is not None and seen[0]:
            told.blockers = [Blocker("swarm", "the engine is still a member of its Swarm", "hook swarm lets it leave")]
        return told

    # --- looks --------------------------------------------------------------------------------------------------------------------

    def _look(self) -> t.Optional[t.Tuple[bool, t.Tuple[Container, ...]]]:
        """Whether it is in a Swarm, and its containers; None when there is no engine that runs. Raises Unanswered for one that does not answer."""
        try:
            return self._docker.member(), self._docker.containers()
        except Silent:
            if self._systemd.active(ENGINE):
                raise
        except Refused as error:
            raise Unanswered(f"the engine says: {error}") from error
        left = left_running()
        if left:
            raise Unanswered(f"the engine is off, and containers of it run on (live-restore): {', '.join(left)}")
        return None

    def _changed(self) -> t.List[str]:
        return sorted(str(part["name"]) for part in self._record.parts.values()) + list(self._record.units)

    # --- drain --------------------------------------------------------------------------------------------------------------------

    def _remember(self, containers: t.Sequence[Container]) -> None:
        """Written before anything is touched. Of what an earlier run has written the policy stays, since that run may have set the one of now."""
        for one in containers:
            new, known = plan.remembered(one), self._record.parts.get(one.id)
            if new is None:
                continue
            if known is None:
                self._record.parts[one.id] = new
            else:
                known.update({"policy": one.policy, "retries": one.retries} if one.policy != "no" else {})
                known.update({"running": True, "paused": one.paused, "finished": ""} if one.running else {})
        self._record.write()
        hit("H1")

    def _note_ends(self, containers: t.Sequence[Container], check: bool) -> None:
        """When each stopped: one that somebody starts and stops later has another moment, and is theirs."""
        ended = [one for one in containers if not one.running and one.id in self._record.parts and not self._record.parts[one.id]["finished"]]
        for one in ended:
            self._record.parts[one.id]["finished"] = one.finished
        if ended and not check:
            self._record.write()

    def _stop(self, containers: t.Sequence[Container]) -> t.List[Blocker]:
        """Every policy first: an engine that restarts meanwhile starts nothing."""
        ordered = plan.in_order(containers)
        for one in ordered:
            if one.policy != "no" and not one.task:
                try:
                    self._docker.keep_policy(one.id, "no")
                    hit("H2")
                except Refused as error:
                    return [Blocker(one.name, f"the engine does not change its restart policy: {error}")]
        found = []
        for one in ordered:
            blocker = self._stopped(one) if one.running else None
            if blocker is not None:
                found.append(blocker)
                # All that are left are late as well, and each is named; one that is refused in time ends it here.
                if not self._deadline.expired():
                    break
            hit("H2")
        return found

    def _stopped(self, one: Container) -> t.Optional[Blocker]:
        late = Blocker(one.name, f"it has not stopped in {self._deadline.seconds:.0f} s", "node_drain_on_timeout: force, or a longer node_drain_timeout")
        seconds = self._deadline.remaining()
        if seconds <= 0 and not self._asked.force:
            return late
        try:
            self._docker.stop(one.id, seconds)
        except Refused as error:
            return Blocker(one.name, f"the engine does not stop it: {error}")
        except Unanswered:
            if not self._deadline.expired():
                raise
            return self._stopped(one) if self._asked.force and seconds > 0 else late
        return None

    def _stop_engine(self, told: Told, check: bool) -> None:
        if not self._asked.stop_engine:
            return
        active = self._systemd.active(ENGINE)
        if not active:
            told.blockers = [Blocker("docker.service", "the engine answers and is no unit of systemd", "node_hooks_docker_engine: false lets it run")]
            return
        told.steps.append(Step("stop_engine", f"{', '.join(active)} runs", True))
        if check:
            return
        self._record.units = sorted({*self._record.units, *active}, key=ENGINE.index)
        self._record.write()
        failed = self._systemd.change("stop", [name for name in ENGINE if name in active], self._deadline.remaining())
        if failed or self._systemd.active(ENGINE):
            told.blockers = [Blocker("docker.service", failed or "it was stopped and runs", "node_hooks_docker_engine: false lets it run")]

    # --- undo ---------------------------------------------------------------------------------------------------------------------

    def _started(self, off: t.Sequence[str]) -> t.Optional[t.Tuple[bool, t.Tuple[Container, ...]]]:
        failed = self._systemd.change("start", list(off), self._deadline.remaining())
        if failed:
            raise Unanswered(failed)
        while True:
            try:
                seen = self._look()
            except Silent:
                seen = None
            if seen is not None or not off:
                return seen
            if self._deadline.expired():
                raise Unanswered(f"{', '.join(off)} was started, and the engine does not answer")
            self._deadline.pause(_POLL)

    def _start(self, start: t.Sequence[Container], policy: t.Sequence[Container]) -> t.List[Blocker]:
        failed = []
        for one in start:
            try:
                self._docker.start(one.id)
                hit("H3")
                if self._record.parts[one.id]["paused"]:
                    self._docker.pause(one.id)
            except Refused as error:
                failed.append(Blocker(one.name, f"the engine does not start it: {error}"))
        for one in policy:
            part = self._record.parts[one.id]
            try:
                self._docker.keep_policy(one.id, part["policy"], part["retries"])
            except Refused as error:
                failed.append(Blocker(one.name, f"it does not get its restart policy back: {error}"))
        return failed


def _running(containers: t.Sequence[Container]) -> t.List[str]:
    return [one.name for one in plan.in_order(containers) if one.running]
