# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What probably made a machine fail: what changed before, weighed by kind and age, against machines that had the same change and are well. Pure.

It points where to look first. It proves nothing, and nothing is done by it alone.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .model import Json

# Another digest of the module that fails weighs more than any other change of a module.
OWN_MODULE = 12.0
WEIGHTS: t.Mapping[str, float] = {"provider": 6.0, "module": 5.0, "spec": 4.0, "policy": 4.0, "authority": 4.0, "hook": 3.0, "operator": 3.0}
HALF_LIFE = 6 * 3600.0
NAMED, SHARED_BY_FAILING, SHARED_BY_HEALTHY = 2.0, 1.5, 0.3
_FAILING, _HEALTHY = 2, 3
_SHOWN = 10


@dataclass(frozen=True)
class Change:
    """Something that changed at ``at``. ``kind`` is one of `WEIGHTS`, ``subject`` what it is about (a module, a field, a verb).

    ``key`` is equal for the same change of another machine; ``what`` is a sentence without its end.
    """

    kind: str
    subject: str
    at: float
    what: str
    key: str = ""


@dataclass(frozen=True)
class Failing:
    """A machine that fails since ``onset``. ``modules`` are those of it that do not work, ``units`` the names of what failed."""

    onset: float
    modules: t.FrozenSet[str] = frozenset()
    units: t.Tuple[str, ...] = ()


@dataclass(frozen=True)
class Other:
    """Another machine: whether it fails as well, and the keys of what changed on it."""

    failing: bool
    keys: t.FrozenSet[str] = frozenset()


def attribute(failing: Failing, changes: t.Sequence[Change], others: t.Sequence[Other] = ()) -> Json:
    """``candidates`` (the likeliest first, with score, share and why), ``top_candidate``, ``confidence`` and ``reasoning``.

    What came after the machine began to fail is no candidate. ``confidence`` is high, medium, low, or insufficient without a candidate.
    """
    weighed = sorted((_weighed(failing, change, others) for change in changes if change.at <= failing.onset), key=lambda one: (-one["score"], one["what"]))
    total = sum(one["score"] for one in weighed)
    for one in weighed:
        one["share"] = round(one["score"] / total, 3)
        one["score"] = round(one["score"], 3)
    confidence = _confidence([one["share"] for one in weighed])
    return {
        "candidates": weighed[:_SHOWN],
        "top_candidate": weighed[0]["what"] if weighed else None,
        "confidence": confidence,
        "reasoning": _reasoning(weighed, confidence),
    }


def _weighed(failing: Failing, change: Change, others: t.Sequence[Other]) -> Json:
    own = change.kind == "module" and change.subject in failing.modules
    age = failing.onset - change.at
    score, why = (OWN_MODULE if own else WEIGHTS[change.kind]) * 0.5 ** (age / HALF_LIFE), [f"{_time(age)} before it began to fail"]
    if own:
        why.append("it is the module that does not work")
    if any(_names(unit, change.subject) for unit in failing.units):
        score, why = score * NAMED, [*why, f"{next(unit for unit in failing.units if _names(unit, change.subject))} names it"]
    same = [other for other in others if change.key and change.key in other.keys]
    ill, well = sum(other.failing for other in same), sum(not other.failing for other in same)
    if ill >= _FAILING:
        score, why = score * SHARED_BY_FAILING, [*why, f"{ill} other machines had it and fail"]
    if well >= _HEALTHY:
        score, why = score * SHARED_BY_HEALTHY, [*why, f"{well} other machines had it and are well"]
    return {"kind": change.kind, "subject": change.subject, "what": change.what, "age": round(age), "score": score, "why": why}


def _names(unit: str, subject: str) -> bool:
    """Whether ``subject`` stands in the name of a unit as words of it: ``web`` in ``hub-web.service``, not in ``webhook.service``."""
    return bool(subject) and re.search(rf"(?<![A-Za-z0-9]){re.escape(subject)}(?![A-Za-z0-9])", unit) is not None


def _confidence(shares: t.Sequence[float]) -> str:
    if not shares:
        return "insufficient"
    second = shares[1] if len(shares) > 1 else 0.0
    if shares[0] >= 0.6 and shares[0] >= 2 * second:
        return "high"
    return "medium" if shares[0] >= 0.35 else "low"


def _reasoning(weighed: t.Sequence[Json], confidence: str) -> str:
    if not weighed:
        return "Nothing is known to have changed before it began to fail."
    top = weighed[0]
    said = f"{top['what']}: {', '.join(top['why'])}. It has {top['share']:.0%} of what all changes weigh."
    return said if confidence == "high" else f"{said} The others are not far behind: look at them too." if confidence == "low" else said


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
