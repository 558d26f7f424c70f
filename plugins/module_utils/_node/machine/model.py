# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a provider says about one machine: it is there, it is not there, or nobody knows. The three are never mixed up.

Every provider answers in these words, whatever it is made of: a hypervisor, a container manager, a cloud, a host that stands already.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

# Power of a machine. `building` is a machine that the provider still makes.
POWERS = ("on", "off", "building")


@dataclass(frozen=True)
class Identity:
    """Whose machine it is. It is written with the machine, in one call, and read back before anything is done to it.

    ``instance_id`` is a UUID; ``name`` is the machine's name at its provider, made from the node's; ``spec_hash`` is ``v1:<sha256>`` of the
    declared attributes; ``generation`` counts the machines that a node has had, from 1.
    """

    fleet: str
    instance_id: str
    node: str
    name: str
    spec_hash: str
    generation: int = 1


@dataclass(frozen=True)
class Observed:
    """A machine that is there. ``identity`` is None for one that nobody of ours has made; ``provider_id`` is a URI.

    ``created_at`` is in unix seconds by the provider's clock, None when it does not say. ``addresses`` are global ones, the best first.
    """

    provider_id: str
    power: str
    identity: t.Optional[Identity] = None
    addresses: t.Tuple[str, ...] = ()
    address_source: str = ""
    created_at: t.Optional[float] = None
    details: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NotFound:
    """The provider answered and has no such machine. ``final``: it cannot come late, because no call that makes it is in flight."""

    final: bool = False


@dataclass(frozen=True)
class Unknown:
    """No answer that can be relied on. ``code`` is one of auth, rate_limit, transient, unsupported, disabled; never read as NotFound."""

    code: str
    message: str


Sighting = t.Union[Observed, NotFound, Unknown]
