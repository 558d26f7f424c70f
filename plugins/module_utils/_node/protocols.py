# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a life is driven through: who makes machines, and who works on them and around them."""

from __future__ import annotations

import typing as t

from .machine.model import Identity, Observed, Sighting
from .model import Evidence, Instance, Node
from .plan import LifeStep


class Provider(t.Protocol):
    """What makes machines. No answer of a call is believed: it is read afterwards what there is."""

    def read(self, identity: Identity) -> Sighting:
        """The machine with this tag; one of another tag that has its name; or what is known instead."""

    def list(self, identity: Identity) -> t.Sequence[Observed]:
        """Machines that carry the tag of this node in this fleet, or the name of its machine. Raises FleetError ``provider_unavailable``."""

    def create(self, identity: Identity, spec: t.Mapping[str, t.Any]) -> Sighting:
        """Ask for a machine, with its tag in the same call."""

    def power(self, identity: Identity, to: str) -> Sighting:
        """Switch it on or off; ``hard`` is off without asking it."""

    def forget(self, identity: Identity) -> Sighting:
        """Take back the credentials that it was made with; its host has no secret of it any more."""

    def destroy(self, identity: Identity) -> Sighting:
        """Delete the machine with this tag, and no other."""


class Work(t.Protocol):
    """What is done elsewhere: on the machine, by hooks, by name servers. ``evidence`` is what hooks have seen so far."""

    def evidence(self, node: Node) -> t.Sequence[Evidence]:
        """The last words of the hooks of a node."""

    def reachable(self, node: Node) -> bool:
        """Whether the hooks of a node can be asked."""

    def probe(self, step: LifeStep, instance: Instance) -> str:
        """done, not or unknown."""

    def apply(self, step: LifeStep, instance: Instance) -> None:
        """Do it. Raises FleetError when that cannot be."""
