# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of a life between power and work: a machine speaks, is ready, and needs nothing any more of what it was given for its first boot."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .health import listening_since
from .machine.model import Identity, Observed
from .model import Instance, Node
from .phase import Clocks, Facts, is_ours
from .plan import Desired, LifeStep
from .protocols import Provider, Work
from .store import Held, NodeStore

# A machine is asked for once, and once more when nothing came of it; what is left is for the next run.
CALLS = 2


class Boot:
    """A part of `drive.Life`, which has all that is named here without a value."""

    _store: NodeStore
    _held: Held
    _provider: Provider
    _work: Work
    _clocks: Clocks
    _node: Node
    _desired: Desired
    _facts: t.Callable[[], Facts]
    _live: t.Callable[[], Instance]
    _identity: t.Callable[[Instance], Identity]
    _keep: t.Callable[..., Instance]
    _until: t.Callable[..., None]

    def _contact(self, step: LifeStep) -> None:
        def probe() -> str:
            facts = self._facts()
            if facts.in_contact() and facts.now - (facts.contacted_at() or 0.0) < self._clocks.silent:
                return "done"
            if facts.instance is not None and self._work.probe(step, facts.instance) == "done":
                self._keep(contacted_at=self._store.now())
                return "done"
            return facts.power() or "not seen"

        try:
            self._until(probe, "T3", "no_contact", "a word of the machine")
        except FleetError as error:
            if error.code != "no_contact" or not self._cycled():
                raise
            self._until(probe, "T3", "no_contact", "a word of the machine (switched off and on before)")

    def _cycled(self) -> bool:
        """Take the power of a machine that has never spoken since it came on, and give it back, once until it speaks."""
        facts = self._facts()
        instance, node = facts.instance, self._store.node(self._node.name) or self._node
        held = node.guarded(("protected", "no_stop", "no_remediation"), facts.now)
        if instance is None or facts.power() != "on" or facts.in_contact() or held or facts.opened("power_cycle") or not is_ours(facts.sighting, instance):
            return False
        self._store.attempt(self._held, instance.id, "power_cycle", self._desired.actor)
        for to in ("hard", "on"):
            self._store.alive(self._held)
            self._provider.power(self._identity(instance), to)
            # Each of them is seen, so that the time of its boot begins anew.
            self._facts()
        return True

    def _services(self, _step: LifeStep) -> None:
        def probe() -> str:
            facts = self._facts()
            beat = facts.heartbeat
            if beat is not None and beat.good():
                return "done"
            said = "no report" if beat is None else ", ".join(beat.failed_units) or ("modules" if not beat.modules_active else "services")
            if listening_since(facts.receivers, facts.now) is None:
                message = f"{self._node.name} is not ready: {said}. Nobody listens to what it says next, so nothing was waited for."
                remedy = "Mend what it names, then run the same command again, with what it says then."
                raise FleetError("services_not_ready", message, remedy, {"last_seen": said})
            return said

        self._until(probe, "T4", "services_not_ready", "modules and services")

    def _forget(self, _step: LifeStep) -> None:
        def probe() -> str:
            facts = self._facts()
            if facts.instance is None or not isinstance(facts.sighting, Observed) or not is_ours(facts.sighting, facts.instance):
                return "unknown"
            return "not" if facts.sighting.details.get("credentials") else "done"

        def ask() -> None:
            self._store.alive(self._held)
            self._provider.forget(self._identity(self._live()))

        self._until(probe, "T4", "provider_timeout", "its credentials to be gone", ask, CALLS)
