# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence: what a hook says of one stage. Pure.

It comes from a machine, or from somebody else's role: sizes and kinds are held to what is documented, and what does not fit is never "empty". The moment
is that of the controller that took it, since the clock of a machine decides nothing.
"""

from __future__ import annotations

import typing as t

from ..._core.visible import one_line
from .model import OUTCOMES, Blocker

Json = t.Dict[str, t.Any]

KEYS = ("hook", "stage", "outcome", "blockers", "changed", "observed_at")
_TEXT, _MANY = 300, 100
# What each stage may say when it is done.
_DONE: t.Mapping[str, t.Tuple[str, ...]] = {"observe": ("empty",), "drain": ("empty", "released"), "undo": ("released",), "leave": ("released", "empty")}


def evidence(hook: str, stage: str, outcome: str, blockers: t.Sequence[Blocker] = (), changed: t.Sequence[str] = ()) -> Json:
    """Evidence of our own hooks; who takes it adds ``observed_at``."""
    shown = [{"name": one.name, "reason": one.reason, "override": one.override} for one in blockers]
    more = [f"{len(changed) - _MANY + 1} more"] if len(changed) > _MANY else []
    return {"hook": hook, "stage": stage, "outcome": outcome, "blockers": shown[:_MANY], "changed": [*changed[: _MANY - len(more)], *more]}


def blocked(hook: str, stage: str, reason: str, override: str = "") -> Json:
    """Evidence in place of that of a hook that has given none."""
    return evidence(hook, stage, "blocked", [Blocker(hook, reason, override)])


def failed(result: t.Any, hook: str) -> Json:
    """The answer in place of that of a hook whose task has failed with ``result``: all of its findings, its own words, or that it did not answer."""
    given = result if isinstance(result, t.Mapping) else {}
    failure = given.get("failure")
    if not isinstance(failure, t.Mapping):
        why = one_line(given.get("msg") or "no reason was given")[:200].rstrip(".")
        reason = f"it did not answer: {why}. Mend it, or take it out of hooks of the node"
        return {"outcome": "blocked", "blockers": [{"name": hook, "reason": reason, "override": ""}]}
    details = failure.get("details")
    found = [one for one in (details.get("findings") or () if isinstance(details, t.Mapping) else ()) if isinstance(one, t.Mapping)]
    shown = [{"name": one_line(one.get("object") or one.get("field") or one.get("code"))[:_TEXT], "reason": one_line(one.get("message"))[:_TEXT],
              "override": one_line(one.get("remedy") or "")[:_TEXT]} for one in found[:_MANY]]  # fmt: skip
    remedy = f" Remedy: {one_line(failure['remedy'])[:120]}" if failure.get("remedy") else ""
    words_of_it = one_line(failure.get("message"))[: _TEXT - len(remedy)] + remedy
    return {"outcome": "blocked", "blockers": shown or [{"name": hook, "reason": words_of_it, "override": ""}]}


def taken(given: t.Any, hook: str, stage: str, observed_at: str) -> Json:
    """``given`` as evidence of ``hook`` in ``stage``; what is no such evidence is a blocker that says why. Nothing is raised."""
    try:
        found = _taken(given, hook, stage)
    except ValueError as error:
        found = blocked(hook, stage, f"its evidence cannot be used: {error}")
    return {**found, "observed_at": observed_at}


def words(given: t.Sequence[Json]) -> t.List[str]:
    """What stays, a sentence each: who says it, what, why, and what overrides that. ``given`` is evidence that was `taken`."""
    found = []
    for one in (one for one in given if one["outcome"] == "blocked"):
        for blocker in one["blockers"] or [{"name": "something", "reason": "it runs", "override": ""}]:
            override = f"; {blocker['override']} overrides it" if blocker["override"] else ""
            found.append(f"{one['hook']}: {blocker['name']} stays: {blocker['reason']}{override}.")
    return found


def ending(given: t.Sequence[Json], names: t.Sequence[str]) -> t.List[Json]:
    """Evidence for each finalizer of ``names``, which is done when all hooks have let go; what holds one of them back holds the finalizer back."""
    held = [{**blocker, "name": f"{one['hook']}: {blocker['name']}"} for one in given for blocker in one["blockers"]]
    outcome = "blocked" if any(one["outcome"] == "blocked" for one in given) else "released"
    return [{"hook": name, "stage": "leave", "outcome": outcome, "blockers": held[:_MANY], "changed": []} for name in names]


def blockers(given: t.Any) -> t.List[Json]:
    """The blockers of evidence. Raises ValueError for what is none."""
    return [_blocker(one) for one in _many("blockers", given)]


def _taken(given: t.Any, hook: str, stage: str) -> Json:
    if not isinstance(given, t.Mapping) or not given:
        raise ValueError("it has set none")
    unknown = sorted(set(map(str, given)) - set(KEYS))
    if unknown:
        raise ValueError(f"{one_line(unknown[0])[:40]} is no key of it; it takes {', '.join(KEYS)}")
    for name, wanted in (("hook", hook), ("stage", stage)):
        if given.get(name, wanted) != wanted:
            raise ValueError(f"its {name} is {one_line(given[name])[:40]}, and {wanted} was asked")
    outcome, found = given.get("outcome"), blockers(given.get("blockers") or [])
    if outcome not in OUTCOMES:
        raise ValueError(f"its outcome is {one_line(outcome)[:40]}; it takes {', '.join(OUTCOMES)}")
    if outcome != "blocked" and (found or outcome not in _DONE[stage]):
        raise ValueError(f"it says {outcome} " + ("beside blockers" if found else f"after {stage}"))
    changed = [_text("changed", one) for one in _many("changed", given.get("changed") or [])]
    return {"hook": hook, "stage": stage, "outcome": outcome, "blockers": found, "changed": changed}


def _many(name: str, value: t.Any) -> t.Sequence[t.Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} is no list")
    if len(value) > _MANY:
        raise ValueError(f"{name} has {len(value)} entries; it takes {_MANY}")
    return value


def _text(name: str, value: t.Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} has an entry that is no text")
    return one_line(value)[:_TEXT]


def _blocker(given: t.Any) -> Json:
    if not isinstance(given, t.Mapping) or not given.get("name"):
        raise ValueError("a blocker has no name")
    found = {name: _text(f"blockers.{name}", given.get(name) or "").rstrip(".") for name in ("name", "reason", "override")}
    # Hook swarm names the kind of a blocker, and what it is about as its subject.
    return {**found, "name": f"{_text('blockers.subject', given['subject'])} ({found['name']})"} if given.get("subject") else found
