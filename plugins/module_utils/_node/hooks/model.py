# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a hook is about: parts of work on one machine, what stands in the way of a drain, and what is remembered for the way back.

A hook has four stages. ``observe`` looks and changes nothing; ``drain`` ends the work and keeps it from coming back by itself; ``undo`` takes back what
drains have changed, and nothing else; ``leave`` is the goodbye of a machine that is going to be removed.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.result import Step

STAGES = ("observe", "drain", "undo", "leave")
OUTCOMES = ("empty", "released", "blocked")
# The hooks that node_hook has; hook swarm is a role of its own, and so is every ``role:<fqcn>``.
OWN = ("docker", "native")

# Blockers that somebody may accept, by the word for it.
ACCEPTED: t.Mapping[str, str] = {
    "auto_remove": "containers that are deleted when they stop, so that nothing brings them back",
    "data": "units whose data lie on this machine",
    "swarm_task": "tasks of a Swarm that hook swarm has left, such as jobs",
}


class Unanswered(Exception):
    """The engine or systemd gave no answer that can be relied on. That is never taken for "nothing runs"."""


class Silent(Unanswered):
    """Nobody listens there: the engine is off, or not installed."""


@dataclass(frozen=True)
class Blocker:
    """Something that stays on the machine. ``override`` says how to go on all the same; empty where nothing does."""

    name: str
    reason: str
    override: str = ""


def accept(word: str) -> str:
    """The override of a blocker that may be accepted by ``word``, for operators of the playbooks."""
    return f"node_hooks_accept: [{word}]"


@dataclass(frozen=True)
class Container:
    """One container. ``policy`` and ``retries`` are its restart policy, ``order`` its label, ``needs`` ids of containers that it depends on.

    ``finished`` is when it stopped last, in the words of the engine. ``task``: it is a task of a Swarm.
    """

    id: str
    name: str
    running: bool
    paused: bool = False
    policy: str = "no"
    retries: int = 0
    order: int = 0
    needs: t.Tuple[str, ...] = ()
    auto_remove: bool = False
    task: bool = False
    finished: str = ""


@dataclass(frozen=True)
class Unit:
    """One unit with marks of ours. ``running`` until it has stopped altogether; ``steady`` are seconds for which it is active; ``data`` its folders."""

    name: str
    running: bool
    enabled: bool
    active: bool = False
    steady: float = 0.0
    data: t.Tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """Options of one call. ``after`` are hooks that stand before this one and have said empty; ``force`` kills what has not stopped in time."""

    after: t.Tuple[str, ...] = ()
    accept: t.Tuple[str, ...] = ()
    force: bool = False
    stop_engine: bool = True


@dataclass
class Told:
    """What came of one stage: ``before`` and ``after`` are names of what runs, ``changed`` of what a drain has changed, or what undo has taken back."""

    steps: t.List[Step] = field(default_factory=list)
    blockers: t.List[Blocker] = field(default_factory=list)
    changed: t.List[str] = field(default_factory=list)
    before: t.List[str] = field(default_factory=list)
    after: t.List[str] = field(default_factory=list)
