# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Providers by name, and what they have: regions and types of machines. A name that nobody has is refused with the nearest one."""

from __future__ import annotations

import difflib
import typing as t

from ..._core.errors import FleetError
from ..machine.model import KINDS
from .local import Local
from .model import Provider
from .role import Role
from .static import Static

NAMES = (*KINDS, "static")
VERBS = ("validate", "read", "create", "power", "destroy", "list", "console_tail")
# What each cannot do, and where its identity stands.
_LACKS = {"static": ("power", "console_tail")}
_IDENTITY = {
    "local_qemu": "UUID and metadata of the domain", "local_nspawn": "name of the machine and a file beside its root file system",
    "static": "SSH host key and a file on the host", "role": "whatever the role keeps",
}  # fmt: skip


def named(name: str, options: t.Optional[t.Mapping[str, t.Any]] = None) -> Provider:
    """The provider of this name. Raises FleetError "provider_unknown"."""
    given = options or {}
    if name in KINDS:
        return Local(name, given)
    if name == "static":
        return Static(given)
    if name.startswith("role:"):
        return Role(name, given)
    raise _unknown("provider", name, (*NAMES, "role:<namespace>.<collection>.<role>"))


def placed(provider: Provider, region: t.Optional[str], instance_type: t.Optional[str]) -> None:
    """Raise FleetError "provider_unknown" for a region or type that the provider does not have; one without a list has whatever is asked for."""
    for field, value, known in (("region", region, provider.catalogue.regions), ("instance_type", instance_type, tuple(provider.catalogue.types))):
        if value and known and value not in known:
            raise _unknown(field, value, known)


def info(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The result of node_provider_info."""
    names = [str(params["provider"])] if params.get("provider") else list(NAMES)
    shown = []
    for name in names:
        provider = named(name, params.get("provider_options"))
        placed(provider, params.get("region"), params.get("instance_type"))
        base = name.partition(":")[0]
        shown.append({
            "name": name,
            "verbs": [verb for verb in VERBS if verb not in _LACKS.get(base, ())],
            "identity": _IDENTITY[base],
            "regions": list(provider.catalogue.regions),
            "types": [{"name": kind, **provider.catalogue.types[kind]} for kind in sorted(provider.catalogue.types)],
        })  # fmt: skip
    return {"changed": False, "providers": shown}


def _unknown(field: str, given: str, known: t.Sequence[str]) -> FleetError:
    near = difflib.get_close_matches(given, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
    return FleetError("provider_unknown", f"{field}: {given!r} is not there. {hint}", remedy="Correct the name; nothing was asked or changed.",
                      details={"field": field, "given": given, "known": list(known)})  # fmt: skip
