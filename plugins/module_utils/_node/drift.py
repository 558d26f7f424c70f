# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine carries beside what its node wants, by the last word of the machine itself. Pure."""

from __future__ import annotations

import typing as t

from .._store.model import utc
from .model import Heartbeat, Json, Node

_NOT_WORKING = ("failed", "inactive", "deactivating")


def digest_of(ref: t.Any) -> str:
    """The digest of ``registry/name@sha256:…``; empty for a reference without one."""
    digest = str(ref).rpartition("@")[2]
    return digest if digest.startswith("sha256:") else ""


def drift(node: Node, beat: t.Optional[Heartbeat]) -> t.Optional[Json]:
    """How far the machine is from its node; None while nobody knows, because it has not said which modules it carries.

    ``attach``, ``detach`` and ``update`` are names of modules, ``missing`` what is wanted by digest, ``extra`` what is there by digest,
    ``mismatched`` both digests by name. ``disruption_pct`` is the share of its services that a repair touches. A node that wants no module says
    nothing about those of its machine, so they are told and no drift. What the machine does not say is null: masked units and levels of integrity.
    """
    carried = beat.document.get("modules") if beat is not None else None
    if beat is None or not isinstance(carried, t.Mapping):
        return None
    wanted = {str(module["name"]): digest_of(module.get("ref", "")) for module in node.modules}
    missing = {name: digest for name, digest in wanted.items() if name not in carried}
    extra = {str(name): str(module["digest"]) for name, module in carried.items() if name not in wanted}
    both = {name: {"want": digest, "have": str(carried[name]["digest"])} for name, digest in wanted.items() if name in carried}
    mismatched = {name: pair for name, pair in both.items() if pair["want"] and pair["want"] != pair["have"]}
    units = {name: module["units"] for name, module in carried.items()}
    touched = sum(len(units[name]) for name in (*mismatched, *(extra if wanted else ())))
    services = sum(map(len, units.values()))
    failed = sorted({unit for states in units.values() for unit, state in states.items() if state in _NOT_WORKING} | set(beat.failed_units))
    return {
        "drift": bool(missing or mismatched or (extra and wanted)),
        "attach": sorted(missing),
        "detach": sorted(extra) if wanted else [],
        "update": sorted(mismatched),
        "missing": missing,
        "extra": extra,
        "mismatched": mismatched,
        "units": {"failed": failed, "masked": None},
        "level": None,
        "disruption_pct": round(100 * touched / services) if services else 0,
        "observed_at": utc(beat.received_at),
    }
