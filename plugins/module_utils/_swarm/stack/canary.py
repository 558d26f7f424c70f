# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some replicas of the new version beside the old ones, without a second service: an update that stops after its first step.

Swarm starts the next step of an update after ``delay``; a day is longer than any look at a canary takes, and a longer one is posted anew.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import replace

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..model import Change, Json, StackPlan
from ..record import records
from ..spec.placement import eligible, mode_of, published, replicas_of
from ..verdict.converge import Limits, fresh
from .deploy import Forward

# 24 h, in nanoseconds.
DELAY = 24 * 3600 * 10**9
SECOND = 10**9


def count(replicas: int, share: int) -> int:
    """How many replicas are ``share`` percent, rounded up, but never all of them."""
    return min(replicas - 1, math.ceil(replicas * share / 100))


def chosen(plan: StackPlan, names: t.Sequence[str], stack: str) -> t.List[Change]:
    """The changes that the canary is about: those of ``names`` (with or without the name of the stack), or all."""
    wanted = {name if name.startswith(f"{stack}_") else f"{stack}_{name}" for name in names}
    return [change for change in plan.changes if change.action != "none" and (not wanted or change.service in wanted)]


def findings(changes: t.Sequence[Change], nodes: t.Sequence[Json]) -> t.List[Finding]:
    """Why a service cannot have a canary: it is new, has one replica, is global, or takes a port of every node."""
    found = []
    for change in changes:
        spec, why = change.after or {}, ""
        if change.action != "update":
            why = f"its plan is to {change.action} it, and a canary runs beside what is there"
        elif mode_of(spec) != "replicated":
            why = f"it is {mode_of(spec)}, and a canary is a part of its replicas"
        elif replicas_of(spec) < 2:
            why = f"it has {replicas_of(spec)} replicas, two are needed"
        elif published(spec, "host") and replicas_of(spec) >= len(eligible(spec, nodes)):
            why = "its host port is taken on every node that it can run on"
        if why:
            found.append(Finding("canary_impossible", "fail", field=f"services.{change.service}", message=f"{change.service} cannot have a canary: {why}.",
                                 remedy="Name the services that can in canary.services, or deploy the whole stack."))  # fmt: skip
    return found


class Canary(Forward):
    """Posts the new spec to a share of the replicas and leaves the rest; the record stays open until promotion or abort."""

    def run(self) -> None:
        """Raises FleetError with the cause; the way back is that of a deployment."""
        self.changes = {change.service: change for change in chosen(self.plan, self.options.canary_services, self.desired.name)}
        self.missing = {name: missing(self.writer.engine, change, self.options.share or 0) for name, change in self.changes.items()}
        # What has its share is watched, and not written: another write would start the next step of the update.
        changes = tuple(change if self.missing[name] else replace(change, action="none") for name, change in self.changes.items())
        self.plan = replace(self.plan, changes=changes, remove={})
        self._record("posting")
        super().run()
        self._gates("step")
        self._record("observing")

    def _record(self, step: str) -> None:
        engine, position = self.writer.engine, {"share": self.options.share}
        there = records.find(engine, records.ROLLOUT, self.desired.name)
        if there is None:
            before = {name: (change.before or {}).get("Spec") for name, change in self.changes.items()}
            data = {"content": self.digest, "services": before}
            there = records.begin(engine, records.ROLLOUT, self.desired.name, data, step=step, reason=self.options.reason, operation=self.options.operation)
        records.advance(engine, there, step, position)

    def spec_of(self, change: Change) -> Json:
        """The new spec with settings that let Swarm replace only what is still missing from the share, new ones first."""
        spec = change.after or {}
        # With the same settings a larger share would be the same spec, which Swarm takes for no update at all.
        delay = DELAY + (self.options.share or 0) * SECOND
        settings = {"Parallelism": self.missing[change.service], "Delay": delay, "Order": "start-first", "FailureAction": "pause"}
        return {**spec, "UpdateConfig": {**(spec.get("UpdateConfig") or {}), **settings}}

    def limits(self, name: str) -> Limits:
        return replace(self.options.limits, share=count(replicas_of(self.changes[name].after or {}), self.options.share or 0))


def missing(engine: t.Any, change: Change, share: int) -> int:
    """How many more replicas the share asks for. Raises FleetError "rollout_open" when there are more than that already."""
    live, wanted, already = change.before or {}, count(replicas_of(change.after or {}), share), 0
    if int((live["Spec"].get("UpdateConfig") or {}).get("Delay") or 0) >= DELAY:
        tasks = engine.tasks({"service": [str(live["ID"])]})
        already = sum(1 for task in tasks if task.get("DesiredState") == "running" and fresh(task, live["Spec"], ()))
    if already > wanted:
        raise FleetError(
            "rollout_open",
            f"{change.service} has {already} replicas of the new version, more than {share} % are. Nothing was taken back.",
            "Give a larger share, promote with state: present, or abort with revision: stable.",
        )
    return wanted - already


def open_as_wanted(engine: t.Any, plan: StackPlan, names: t.Sequence[str], stack: str, share: int, position: t.Mapping[str, t.Any]) -> bool:
    """Whether the canary stands already as it is asked for, and nothing is to be written."""
    return position.get("share") == share and not any(missing(engine, change, share) for change in chosen(plan, names, stack))
