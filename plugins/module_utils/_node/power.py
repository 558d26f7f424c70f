# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A power cycle: the power is taken away and given back, each looked at before the next call, so that a run that was killed between them goes on."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._core.errors import FleetError
from .._core.wait import Deadline
from .machine.model import Identity, Observed
from .model import Instance
from .phase import Facts, is_ours, phase, seen
from .protocols import Provider
from .health import shown
from .store import Held, NodeStore

_POLL = 2.0
# Seconds in which a machine may do what it was asked for before it is asked once more.
_PATIENCE = 30.0


def identity_of(store: NodeStore, instance: Instance) -> Identity:
    """The tag that the machine of a row carries."""
    return Identity(store.fleet(), instance.id, instance.node, instance.node, instance.spec_hash, instance.generation)


def cycle(store: NodeStore, held: Held, provider: Provider, node: str, since: float, seconds: float, pause: t.Callable[[float], None]) -> None:
    """Power off without asking, then on. Done when the machine was seen to come on after ``since``.

    Raises FleetError ``provider_timeout`` after ``seconds``, ``identity_mismatch``, ``no_machine``, ``lease_lost``.
    """
    deadline, asked = Deadline(seconds, store.now, pause), {"hard": 0.0, "on": 0.0}
    while True:
        facts = _look(store, held, provider, node)
        instance, sighting = facts.instance, facts.sighting
        if instance is None:
            raise FleetError("no_machine", f"{node} has no machine any more.", "Nothing is left to do.")
        if isinstance(sighting, Observed) and not is_ours(sighting, instance):
            raise FleetError("identity_mismatch", f"{sighting.provider_id} is not the machine of {node}. It was not touched.", "Find out whose it is.")
        if isinstance(sighting, Observed) and sighting.power == "on" and (instance.powered_at or 0.0) > since:
            return
        if deadline.expired():
            last = sighting.power if isinstance(sighting, Observed) else "no answer that can be relied on"
            raise FleetError("provider_timeout", f"{node}: waited {seconds:g} s for its power; last seen: {last}.", "Run the same command again.",
                             {"last_seen": last})  # fmt: skip
        to = {"on": "hard", "off": "on"}.get(sighting.power if isinstance(sighting, Observed) else "")
        if to is not None and store.now() - asked[to] >= _PATIENCE:
            asked[to] = store.now()
            provider.power(identity_of(store, instance), to)
            continue
        deadline.pause(_POLL)
        store.alive(held)


def _look(store: NodeStore, held: Held, provider: Provider, node: str) -> Facts:
    """What its provider shows now, written down."""
    known = store.known(node)
    if known.instance is None:
        return Facts(store.now())
    sighting = provider.read(identity_of(store, known.instance))
    now = store.now()
    facts = Facts(now, seen(known.instance, sighting, now), sighting, known.heartbeat, known.receivers, known.actions)
    if facts.instance is None:
        return facts
    after = shown(facts.instance, phase(facts), now)
    if after != known.instance:
        store.save(held, after, reason=phase(facts).reason)
    return replace(facts, instance=after)
