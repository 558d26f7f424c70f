# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Forward: pre-pull, objects, wave by wave, gates, what is no longer wanted. Every step can be repeated after a kill: the world says what is left."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.checkers import CHECKERS
from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.gates import Tools
from ..._core.samples import gate_findings, run_gate
from ..checkers import checkers
from ..model import Change, Desired, Json, StackPlan
from ..spec.names import ids_of, with_ids
from ..verdict.converge import Limits
from . import prepull
from .options import Options
from .writer import Writer, failed

KINDS = ("networks", "configs", "secrets")


@dataclass
class Forward:
    """``baseline`` has the live specs of before the first write; ``since`` is when the operation began, in unix seconds; ``digest`` is that of the content.

    ``touched`` are the services that were written, as the engine gave them back; ``tasks`` those of before the first write.
    """

    writer: Writer
    options: Options
    desired: Desired
    plan: StackPlan
    baseline: t.Mapping[str, Json]
    tools: Tools
    since: float
    digest: str = ""
    touched: t.Dict[str, Json] = field(default_factory=dict)
    tasks: t.Sequence[Json] = ()
    evidence: t.Dict[str, t.Any] = field(default_factory=lambda: {"gates": [], "prepull": []})

    def run(self) -> None:
        """Steps 5 to 7. Raises FleetError with the cause; what was written stays for the way back."""
        self._prepull()
        hit("S4")
        self._create_objects()
        hit("S5")
        self._gates("pre")
        for wave in sorted({self._wave_of(name) for name in self._names()}):
            self._wave(wave)
            self._gates("wave", wave)
        self._gates("post")
        self._remove()

    def limits(self, name: str) -> Limits:
        return self.options.limits

    def _names(self) -> t.Set[str]:
        return {change.service for change in self.plan.changes if change.after is not None}

    def _wave_of(self, name: str) -> int:
        return self.desired.waves.get(name, 0)

    def _auth(self) -> t.Mapping[str, str]:
        """Credentials reach Swarm only where that is asked for."""
        return self.desired.auth if self.options.registry_auth else {}

    def _prepull(self) -> None:
        chosen = prepull.wanted(self.plan.changes, self.options.prepull)
        if not chosen:
            prepull.sweep(self.writer.engine, self.desired.name)
            return
        self.writer.check()
        seconds = self.options.limits.wait_timeout
        self.evidence["prepull"] = prepull.pull(
            self.writer.engine, self.desired.name, chosen, self._auth(), seconds, self.writer.check, self.writer.deadline
        )
        self.writer.note("prepull", ", ".join(sorted({entry["image"] for entry in self.evidence["prepull"]})))

    def _create_objects(self) -> None:
        make = {"networks": self.writer.engine.network_create, "configs": self.writer.engine.config_create, "secrets": self.writer.engine.secret_create}
        bodies: t.Mapping[str, t.Mapping[str, Json]] = {
            "networks": self.desired.networks, "configs": self.desired.configs, "secrets": self.desired.secrets,
        }  # fmt: skip
        for kind in KINDS:
            for name in self.plan.create.get(kind) or ():
                self.writer.check()
                make[kind](bodies[kind][name])
                self.writer.note("create", name, kind=kind[:-1])

    def _wave(self, wave: int) -> None:
        changes = [change for change in self.plan.changes if change.after is not None and self._wave_of(change.service) == wave]
        world = self.writer.engine.world()
        ids = ids_of(world)
        # Services of earlier waves are looked at until the end: one that dies after its wave has not been deployed.
        self.tasks = self.tasks or world.tasks
        live = {str(service["Spec"]["Name"]): service for service in world.services}
        for change in changes:
            if change.action in ("create", "update", "recreate"):
                hit("S6")
                self.touched[change.service] = self._write(change, ids)
                hit("S7")
            elif self._touched(change.service, live):
                # A run that was killed has written it, and nobody has seen yet what became of it.
                self.touched[change.service] = live[change.service]
        verdicts = self.writer.wait(list(self.touched.values()), {name: self.limits(name) for name in self.touched}, self.tasks)
        cause = failed(verdicts, wave)
        if cause:
            raise cause
        names = sorted(change.service for change in changes if change.service in self.touched)
        if names:
            self.writer.note("converged", f"wave {wave}", services=names)
        hit("S8")

    def _touched(self, name: str, live: t.Mapping[str, Json]) -> bool:
        return name in live and live[name]["Spec"] != self.baseline.get(name)

    def _write(self, change: Change, ids: t.Mapping[str, t.Mapping[str, str]]) -> Json:
        spec, auth = with_ids(self.spec_of(change), ids), self._auth().get(change.service)
        if change.before is None:
            return self.writer.create(spec, auth)
        if change.action == "recreate":
            # What cannot be changed in place is made anew.
            self.writer.remove(change.before)
            self.writer.gone([str(change.before["ID"])], self.options.limits.wait_timeout)
            return self.writer.create(spec, auth)
        return self.writer.update(change.before, spec, auth)

    def spec_of(self, change: Change) -> Json:
        """What is posted for ``change``."""
        return change.after or {}

    def _gates(self, when: str, wave: t.Optional[int] = None) -> None:
        """Raises FleetError "gate_failed" for the first gate that did not pass; one that knows nothing is another failure than one that says no."""
        types = {**CHECKERS, **checkers(self.writer.engine, self.desired.name, self.since)}
        gates, _said = gate_findings("gates", [*self.desired.gates, *self.options.gates], types)
        for gate in gates:
            if gate["when"] != when or (wave is not None and gate["wave"] not in (None, wave)):
                continue
            judged = run_gate(gate, types, self.tools, beat=self.writer.check, deadline=self.writer.deadline)
            self.evidence["gates"].append({**judged.as_data(), "when": when, "wave": wave})
            self.writer.note("gate", judged.name, verdict=judged.verdict)
            if judged.verdict != "passed":
                where = f"{when} {wave}" if wave is not None else when
                paused = judged.verdict == "inconclusive" and gate["on_inconclusive"] == "pause"
                raise FleetError(
                    "gate_failed",
                    f"Gate {judged.name} ({where}): {judged.verdict}: {judged.reason}.",
                    "Give it data and run the same command again, or go back with revision: stable." if paused else "Mend what it saw.",
                    {"gate": judged.as_data(), "when": when, "wave": wave, "paused": paused},
                )

    def _remove(self) -> None:
        """Services first; what they used is free when their tasks are gone."""
        gone = [change.before for change in self.plan.changes if change.action == "remove" and change.before is not None]
        for service in gone:
            self.writer.remove(service)
            hit("S9")
        if gone:
            self.writer.gone([str(service["ID"]) for service in gone], self.options.limits.wait_timeout)

    def collect(self, keep: t.Mapping[str, t.Collection[str]]) -> t.List[str]:
        """Delete networks, configs and secrets that the plan removes, but for what ``keep`` names; returns warnings. No failure of the deployment."""
        world, said = self.writer.engine.world(), []
        ids = {**ids_of(world), "networks": {str(item["Name"]): str(item["Id"]) for item in world.networks}}
        for kind in ("configs", "secrets", "networks"):
            for name in self.plan.remove.get(kind) or ():
                if name in keep.get(kind, ()) or name not in ids[kind]:
                    continue
                try:
                    self.writer.delete(kind, ids[kind][name], name)
                except FleetError as error:
                    if error.code == "lease_lost":
                        raise
                    said.append(f"{kind[:-1]} {name} was not removed: {error.message}")
        hit("S10")
        return said
