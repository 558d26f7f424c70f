# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every provider can be asked: seven verbs, each as the description of one call. Nothing here calls anything; whoever does hands the result back.

A result is a task's, as Ansible returns it, a failed or unreachable one too. A parser never raises for a result: what cannot be relied on is `Unknown`.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..machine.model import POWERS, Identity, Observed, Sighting, Unknown

T_co = t.TypeVar("T_co", covariant=True)
Result = t.Mapping[str, t.Any]

FAILURES: t.Dict[str, str] = {
    "provider_unavailable": "The provider gave no answer that can be relied on, which is not an empty one.",
    "provider_unknown": "No provider, region or type of machine has this name; the near miss is named.",
}

# Where a call is made: on the host that makes machines, or on the machine itself.
HOSTS = ("provider", "node")
# How a failure of a module of ours is to be read; anything else may pass by itself.
_CLASSES = {
    "provider_disabled": "disabled", "privileges": "auth", "unsafe_path": "auth", "no_space": "quota", "name_clash": "conflict",
    "identity_mismatch": "conflict", "immutable_change": "conflict", "option_invalid": "unsupported", "unknown_key": "unsupported",
    "tool_missing": "unsupported", "image_not_published": "unsupported",
}  # fmt: skip


@dataclass(frozen=True)
class Call(t.Generic[T_co]):
    """One task. ``module`` is a module by its full name, or ``role`` with the arguments of include_role; ``parse`` turns its result into the answer."""

    module: str
    arguments: t.Mapping[str, t.Any]
    parse: t.Callable[[Result], T_co]
    host: str = "provider"


@dataclass(frozen=True)
class Catalogue:
    """Regions by name, and types of machines by name with what they have."""

    regions: t.Tuple[str, ...] = ()
    types: t.Mapping[str, t.Mapping[str, t.Any]] = field(default_factory=dict)


class Provider(t.Protocol):
    """A verb that a provider does not have is answered by `Unknown` with the code unsupported."""

    name: str
    catalogue: Catalogue

    def validate(self, spec: t.Mapping[str, t.Any]) -> t.Tuple[Finding, ...]:
        """All that is wrong with a spec, before anything is made."""

    def read(self, identity: Identity) -> Call[Sighting]:
        """The machine with this identity; one of another identity that has its name; or what is known instead."""

    def create(self, identity: Identity, spec: t.Mapping[str, t.Any]) -> Call[Sighting]:
        """Make it, its identity in the same call. Safe to repeat."""

    def power(self, identity: Identity, to: str) -> t.Union[Call[Sighting], Unknown]:
        """``to`` is on, off, or hard, which is off without asking the guest."""

    def destroy(self, identity: Identity) -> Call[Sighting]:
        """Remove it, and no other. One that is gone is `NotFound`."""

    def list(self, fleet: str) -> t.Union[Call[t.Sequence[Observed]], Unknown]:
        """Every machine of the fleet. Its parser raises FleetError "provider_unavailable": no answer is no empty list."""

    def console_tail(self, identity: Identity, lines: int) -> t.Union[Call[t.Sequence[str]], Unknown]:
        """The last lines that the machine has said; empty when that is not known."""


def troubled(result: Result) -> t.Optional[Unknown]:
    """Why a result says nothing about the machine; None for one that does."""
    if result.get("unreachable"):
        return Unknown("transient", f"The host did not answer: {result.get('msg', '')}")
    if result.get("failed"):
        failure = result.get("failure") or {}
        said = failure.get("message") or result.get("msg") or "It failed and said nothing."
        return Unknown(_CLASSES.get(str(failure.get("code")), "transient"), str(said))
    return None


def observed(given: t.Any) -> t.Union[Observed, Unknown]:
    """A machine as a result has it. What lacks a part, or has a power that is none, is `Unknown`: half an answer is none."""
    try:
        whose = given["identity"]
        identity = None
        if whose is not None:
            fleet, instance_id, node, name, spec_hash = (str(whose[word]) for word in ("fleet", "instance_id", "node", "name", "spec_hash"))
            identity = Identity(fleet, instance_id, node, name, spec_hash, int(whose["generation"]))
        created = given.get("created_at")
        found = Observed(str(given["provider_id"]), str(given["power"]), identity, tuple(map(str, given.get("addresses") or ())),
                         str(given.get("address_source") or ""), None if created is None else float(created), dict(given.get("details") or {}))  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Unknown("unsupported", f"The answer is no machine ({type(error).__name__}: {error}).")
    return found if found.power in POWERS and found.provider_id else Unknown("unsupported", f"The answer is no machine (power {found.power!r}).")


def unavailable(unknown: Unknown) -> FleetError:
    return FleetError(
        "provider_unavailable",
        f"The provider gave no answer that can be relied on ({unknown.code}): {unknown.message}",
        remedy="Mend what it says, then run again; no machine is taken for gone meanwhile.",
        details={"class": unknown.code},
    )


def unsupported(provider: str, verb: str) -> Unknown:
    return Unknown("unsupported", f"{provider} cannot {verb}.")
