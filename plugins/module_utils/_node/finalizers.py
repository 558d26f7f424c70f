# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a machine: nine finalizers in one fixed order, each with who does it, what proves it, and what it waits for. Pure.

Credentials go before the machine does, so that a deletion that is stuck leaves no machine that is still let in.
"""

from __future__ import annotations

import typing as t


class Finalizer(t.NamedTuple):
    """``waits_for`` names those that have to be gone before this one is begun. ``may_skip`` is false where a skip would be a force over a guard."""

    name: str
    does: str
    done_by: str
    probe: str
    waits_for: t.Tuple[str, ...]
    may_skip: bool = True


_FIRST = ("guards", "drain", "hooks")
_BEFORE_DESTRUCTION = (*_FIRST, "memberships", "dns", "volumes", "credentials")

FINALIZERS: t.Tuple[Finalizer, ...] = (
    Finalizer("guards", "nothing protects the node", "node_instance", "no guard holds", (), may_skip=False),
    Finalizer("drain", "its work is elsewhere", "hook roles", "each hook says empty, or nothing runs on it", _FIRST[:1]),
    Finalizer("hooks", "hooks before the end have run", "hook roles", "each says released", _FIRST[:2]),
    Finalizer("memberships", "it has left its clusters, load balancers and overlays", "hook roles", "no member list has it", _FIRST),
    Finalizer("dns", "no name leads to it", "dns_record", "the authoritative answer", _FIRST),
    Finalizer("volumes", "volumes that outlive it are detached", "provider", "none is attached", _FIRST),
    Finalizer("credentials", "nobody takes it for a member any more", "node_instance", "certificate denied; tokens, keys and leases gone", _FIRST),
    Finalizer("provider", "the machine is deleted", "node_instance", "identity verified, then the provider says not found", _BEFORE_DESTRUCTION),
    Finalizer("traces", "seed files, address leases, host keys and monitoring are gone", "node_instance, role", "none is found",
              (*_BEFORE_DESTRUCTION, "provider")),
)  # fmt: skip

NAMES: t.Tuple[str, ...] = tuple(finalizer.name for finalizer in FINALIZERS)
BY_NAME: t.Mapping[str, Finalizer] = {finalizer.name: finalizer for finalizer in FINALIZERS}


def in_order(names: t.Iterable[str]) -> t.Tuple[str, ...]:
    """``names`` in the fixed order; an unknown one is left out."""
    wanted = set(names)
    return tuple(name for name in NAMES if name in wanted)


def stands_before(name: str, left: t.Collection[str]) -> t.Tuple[str, ...]:
    """What of ``left`` has to be gone before ``name`` is begun. A failed membership holds the machine back, and not its credentials."""
    return tuple(other for other in BY_NAME[name].waits_for if other in left)
