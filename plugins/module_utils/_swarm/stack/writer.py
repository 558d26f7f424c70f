# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes of one run on one stack: each under the lock, each with the version that it was planned from, each waited for."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..client.wire import Gone, OutOfSequence
from ..model import STACK_LABEL, Json, Verdict
from ..verdict import watch
from ..verdict.converge import Limits

# Swarm moves the version of a service by itself when an update ends; somebody else's write is told by the spec.
_TRIES = 5
# What the engine says of a network, config or secret that a task which is ending still uses.
_IN_USE = ("in use", "active endpoints")


@dataclass
class Writer:
    """``check`` raises when the lock is lost. ``steps`` collects what was done, ``written`` the names of the services that were touched."""

    engine: t.Any
    stack: str
    check: t.Callable[[], None]
    deadline: t.Callable[[float], Deadline] = Deadline
    steps: t.List[Json] = field(default_factory=list)
    written: t.Set[str] = field(default_factory=set)
    clock: Deadline = field(default_factory=lambda: Deadline(0))

    def note(self, action: str, subject: str, **more: t.Any) -> None:
        """One entry of what was done, with seconds since the run began."""
        self.steps.append({"at": round(self.clock.elapsed(), 2), "action": action, "subject": subject, **more})

    def create(self, spec: Json, auth: t.Optional[str] = None) -> Json:
        """The new service as the engine has it."""
        self.check()
        self.written.add(str(spec["Name"]))
        made = self.engine.service_create(spec, auth)
        self.note("create", str(spec["Name"]))
        return t.cast(Json, self.engine.service(made))

    def update(self, live: Json, spec: Json, auth: t.Optional[str] = None) -> Json:
        """The service with ``spec``, as the engine has it now. Raises OutOfSequence when somebody else has changed it since ``live`` was read."""
        now = live
        for turn in range(_TRIES):
            self.check()
            self.written.add(str(spec["Name"]))
            try:
                self.engine.service_update(str(live["ID"]), int(now["Version"]["Index"]), spec, auth)
                break
            except OutOfSequence:
                now = self.engine.service(str(live["ID"]))
                if now["Spec"] != live["Spec"] or turn == _TRIES - 1:
                    raise
        self.note("update", str(spec["Name"]))
        return t.cast(Json, self.engine.service(str(live["ID"])))

    def remove(self, live: Json) -> None:
        self.check()
        self.written.add(str(live["Spec"]["Name"]))
        try:
            self.engine.service_remove(str(live["ID"]))
        except Gone:
            return
        self.note("remove", str(live["Spec"]["Name"]))

    def wait(self, services: t.Sequence[Json], limits: t.Mapping[str, Limits], before: t.Sequence[Json]) -> t.List[Verdict]:
        """The verdict of each of ``services``, as they were read back; limits by name."""
        applied = {str(service["ID"]): service["Spec"] for service in services}
        by_id = {str(service["ID"]): limits[str(service["Spec"]["Name"])] for service in services}
        return watch.wait(self.engine, applied, by_id, before=before, beat=self.check, deadline=self.deadline)

    def gone(self, ids: t.Sequence[str], seconds: float) -> None:
        """Wait until no task of services that were removed is left; only then are their networks free."""
        limit = self.deadline(seconds)
        while ids:
            self.check()
            left = [task for task in self.engine.tasks() if task.get("ServiceID") in ids and (task.get("Status") or {}).get("State") == "running"]
            if not left:
                return
            if limit.expired():
                raise FleetError(
                    "timeout",
                    f"{len(left)} tasks of removed services still run after {seconds:g} s, such as {left[0].get('ID')} on node {left[0].get('NodeID')}.",
                    "Look at that node; when it is back, run the same command again.",
                )
            limit.pause(0.5)

    def delete(self, kind: str, identity: str, name: str, seconds: float = 60) -> None:
        """Delete a network, config or secret; what a task that is ending still uses is waited for."""
        limit = self.deadline(seconds)
        remove = {"networks": self.engine.network_remove, "configs": self.engine.config_remove, "secrets": self.engine.secret_remove}[kind]
        while True:
            self.check()
            try:
                remove(identity)
                break
            except Gone:
                return
            except FleetError as error:
                if limit.expired() or not any(word in error.message for word in _IN_USE):
                    raise
            limit.pause(0.5)
        self.note("remove", name, kind=kind[:-1])

    def live(self) -> t.Dict[str, Json]:
        """The services of the stack by name, as they are now."""
        found = self.engine.services({"label": [f"{STACK_LABEL}={self.stack}"]})
        return {str(service["Spec"]["Name"]): service for service in found}


def failed(verdicts: t.Sequence[Verdict], wave: t.Optional[int] = None) -> t.Optional[FleetError]:
    """The failure of a wave: the first verdict by its code, all of them in the details; None when all converged."""
    bad = [verdict for verdict in verdicts if verdict.code not in ("converged", "waiting")]
    if not bad:
        return None
    places = [
        f"{entry['service']}.{entry['slot'] or '-'} on {entry['node'] or 'no node'}: {entry['state']}, {entry['error'] or 'no error'}"
        + ("" if entry["exit_code"] is None else f" (exit code {entry['exit_code']})")
        for verdict in bad
        for entry in [{**item, "service": verdict.service} for item in verdict.evidence[:1]]
    ]
    said = " ".join(verdict.message for verdict in bad) + (f" Last: {'; '.join(places)}." if places else "")
    services = [{"service": verdict.service, "code": verdict.code, "message": verdict.message, "tasks": list(verdict.evidence)} for verdict in bad]
    return FleetError(bad[0].code, said, "", {"services": services, **({} if wave is None else {"wave": wave})})
