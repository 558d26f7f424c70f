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
from ..._core.preflight import Finding
from .. import records
from ..converge import Limits, fresh
from ..model import Change, Json, StackPlan
from ..placement import eligible, mode_of, published, replicas_of
from .deploy import Forward

# 24 h, in nanoseconds.
DELAY = 24 * 3600 * 10**9


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
            found.append(Finding("canary_impossible", f"services.{change.service}", f"{change.service} cannot have a canary: {why}.",
                                 "Name the services that can in canary.services, or deploy the whole stack."))  # fmt: skip
    return found


class Canary(Forward):
    """Posts the new spec to a share of the replicas and leaves the rest; the record stays open until promotion or abort."""

    def run(self) -> None:
        """Raises FleetError with the cause; the way back is that of a deployment."""
        changes = chosen(self.plan, self.options.canary_services, self.desired.name)
        self.plan = replace(self.plan, changes=tuple(changes), remove={})
        self._open()
        super().run()
        self._gates("step")
        record = records.find(self.writer.engine, records.ROLLOUT, self.desired.name)
        if record is not None:
            records.advance(self.writer.engine, record, "observing", {"share": self.options.share})

    def _open(self) -> None:
        there = records.find(self.writer.engine, records.ROLLOUT, self.desired.name)
        if there is None:
            data = {"content": self.digest, "services": {change.service: (change.before or {}).get("Spec") for change in self.plan.changes}}
            records.begin(
                self.writer.engine, records.ROLLOUT, self.desired.name, data, step=f"share {self.options.share}", reason=self.options.reason,
                operation=self.options.operation,
            )  # fmt: skip
        else:
            records.advance(self.writer.engine, there, f"share {self.options.share}", {"share": self.options.share})

    def spec_of(self, change: Change) -> Json:
        """The new spec with settings that let Swarm replace only what is still missing from the share, new ones first."""
        spec = change.after or {}
        return {**spec, "UpdateConfig": {**(spec.get("UpdateConfig") or {}), "Parallelism": max(1, self._missing(change)), "Delay": DELAY,
                                         "Order": "start-first", "FailureAction": "pause"}}  # fmt: skip

    def limits(self, name: str) -> Limits:
        change = next(change for change in self.plan.changes if change.service == name)
        return replace(self.options.limits, share=self._wanted(change))

    def _wanted(self, change: Change) -> int:
        return count(replicas_of(change.after or {}), self.options.share or 0)

    def _missing(self, change: Change) -> int:
        live = change.before or {}
        tasks = self.writer.engine.tasks({"service": [str(live["ID"])]})
        new = [task for task in tasks if task.get("DesiredState") == "running" and fresh(task, live["Spec"], ())]
        already = len(new) if (live["Spec"].get("UpdateConfig") or {}).get("Delay") == DELAY else 0
        if already > self._wanted(change):
            raise FleetError(
                "rollout_open",
                f"{change.service} has {already} replicas of the new version, more than {self.options.share} % are. Nothing was taken back.",
                "Give a larger share, promote with state: present, or abort with revision: stable.",
            )
        return self._wanted(change) - already
