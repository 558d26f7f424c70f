# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a node is proven to be off, so that what it ran may be started elsewhere and its vote be taken. Pure."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ..._core.errors import FleetError
from ..model import Json
from ..verdict.quorum import hostname

# Older proof says nothing: a machine that was off five minutes ago may have been started since.
MAX_AGE = 300.0


def refuse_unproven(node: Json, proof: t.Optional[t.Mapping[str, t.Any]], now: datetime) -> None:
    """Raise FleetError ``not_proven_dead`` with everything that is missing. ``proof`` has power, source, observed_at (ISO 8601 or Unix seconds)."""
    name, wrong = hostname(node), []
    if node["Status"]["State"] == "ready":
        wrong.append(f"the cluster sees {name} as ready")
    given = proof or {}
    if given.get("power") != "off":
        wrong.append(f"dead_proof.power is {given.get('power') or 'missing'}, not off")
    if not str(given.get("source") or "").strip():
        wrong.append("dead_proof.source is missing: who saw it, as the name of a BMC or of a provider")
    seen = _moment(given.get("observed_at"))
    if seen is None:
        wrong.append("dead_proof.observed_at is no moment: ISO 8601 with a time zone, or Unix seconds")
    else:
        age = (now - seen).total_seconds()
        if not -60 <= age <= MAX_AGE:
            wrong.append(f"dead_proof.observed_at is {age:.0f} s old; {MAX_AGE:.0f} s at most")
    if wrong:
        said = f"It is not proven that {name} is off: {'; '.join(wrong)}. Nothing was changed."
        raise FleetError("not_proven_dead", said, "Power it off, look at its power, and run again within five minutes.", {"faults": wrong})


def _moment(value: t.Any) -> t.Optional[datetime]:
    text = str(value or "").strip()
    try:
        return datetime.fromtimestamp(float(text), timezone.utc)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        seen = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return seen if seen.tzinfo else None
