# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the page says of a Swarm stack, service by service. Pure; page.py makes tables of it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .data import Document, Run, duration, words_of

KINDS = ("stack", "stack_rollback")
ROLE = "swarm_stack"
_RESTARTS = {"none": "no task", "some": "some tasks", "all": "all tasks"}


@dataclass(frozen=True)
class Table:
    """Without rows the page says ``missing``."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[t.Any, ...]]
    missing: str


def words(run: Run) -> Document:
    """What the role said of the stack, and what the module said of a failure in its place."""
    said = words_of(run.steps, ROLE)
    details = (run.failure or {}).get("details")
    return {**(said[-1] if said else {}), **(details if isinstance(details, t.Mapping) else {})}


def cards(run: Run) -> list[tuple[str, str, str]]:
    """Name, value and kind of what stands at the head of the page."""
    said = words(run)
    outcome = str(said.get("outcome") or "not told")
    kind = {"converged": "good", "unchanged": "good", "rollback_failed": "bad", "not told": "none"}.get(outcome, "warn")
    changed = [entry for entry in _plan(said) if entry.get("service")]
    back = said.get("rollback_duration_s")
    return [
        ("Stack", outcome.replace("_", " "), kind),
        ("Revision", _revision(said), ""),
        ("Services changed" if run.outcome == "succeeded" else "Services to change", str(len(changed)) if changed or said else "not told", ""),
        ("Way back took", duration(back) if isinstance(back, (int, float)) else "not needed" if run.outcome == "succeeded" else "not told", ""),
    ]


def tables(run: Run) -> list[Table]:
    """Sections of the page in their order."""
    said = words(run)
    return [
        Table("Services", ("Service", "Wave", "Action", "Replaces", "Why", "What was done", "Image now"), _services(said), "No service was to be changed."),
        Table("What stopped it", ("Service", "Node", "State", "Error", "Exit", "Last lines"), _failed(said), "No task stood in the way."),
        Table("What was done", ("After", "What", "Of"), _done(said), "Nothing was written."),
        Table("Gates", ("Gate", "When", "Verdict", "Values"), _gates(said), "No gate was asked."),
        Table("Images pulled first", ("Image", "On"), _pulled(said), "No image had to be pulled before."),
    ]


def _revision(said: Document) -> str:
    found = said.get("revision")
    number = found.get("number") if isinstance(found, t.Mapping) else found
    return "not told" if number is None else str(number)


def _entries(value: t.Any) -> list[Document]:
    return [entry for entry in value or [] if isinstance(entry, t.Mapping)] if isinstance(value, (list, tuple)) else []


def _plan(said: Document) -> list[Document]:
    return _entries(said.get("plan"))


def _services(said: Document) -> list[tuple[t.Any, ...]]:
    live = {entry.get("name"): entry for entry in _entries(said.get("services")) if entry.get("name")}
    planned = {entry.get("service"): entry for entry in _plan(said) if entry.get("service")}
    rows = []
    for name in sorted({*live, *planned}, key=lambda one: (_wave(planned.get(one, {})), str(one))):
        plan = planned.get(name, {})
        rows.append((
            name, plan.get("wave"), plan.get("action", "none"), _RESTARTS.get(str(plan.get("restarts")), "no task"),
            ", ".join(map(str, plan.get("reasons") or [])), _history(said, str(name)), live.get(name, {}).get("image"),
        ))
    return rows


def _wave(plan: Document) -> int:
    wave = plan.get("wave")
    return wave if isinstance(wave, int) else 0


def _history(said: Document, service: str) -> str:
    """When what happened to one service, in one line."""
    found = [entry for entry in _entries(said.get("steps")) if entry.get("subject") == service or service in (entry.get("services") or [])]
    return ", ".join(f"{str(entry.get('action')).replace('_', ' ')} after {_seconds(entry.get('at'))}" for entry in found)


def _failed(said: Document) -> list[tuple[t.Any, ...]]:
    """Tasks of the services that failed; each either stands below its service or is one entry with it."""
    rows = []
    for entry in _entries(said.get("services")):
        tasks = _entries(entry.get("tasks") or entry.get("evidence")) or ([entry] if "state" in entry or "error" in entry else [])
        for task in tasks:
            log = task.get("log") or []
            lines = "\n".join(map(str, log[-5:])) if isinstance(log, (list, tuple)) else log
            rows.append((entry.get("service") or task.get("service"), task.get("node"), task.get("state"), task.get("error"), task.get("exit_code"), lines))
    return rows


def _done(said: Document) -> list[tuple[t.Any, ...]]:
    found = []
    for entry in _entries(said.get("steps")):
        of = [entry.get("subject") or "", *(entry.get("services") or [])]
        found.append((_seconds(entry.get("at")), str(entry.get("action")).replace("_", " "), ", ".join(map(str, of))))
    return found


def _gates(said: Document) -> list[tuple[t.Any, ...]]:
    evidence = said.get("evidence") if isinstance(said.get("evidence"), t.Mapping) else {}
    found = _entries(said.get("gates")) or _entries((evidence or {}).get("gates"))
    return [(entry.get("name"), entry.get("when"), entry.get("verdict"), entry.get("values") or entry.get("message")) for entry in found]


def _pulled(said: Document) -> list[tuple[t.Any, ...]]:
    evidence = said.get("evidence") if isinstance(said.get("evidence"), t.Mapping) else {}
    found = _entries(said.get("prepull")) or _entries((evidence or {}).get("prepull"))
    return [(entry.get("image"), ", ".join(map(str, entry.get("nodes") or []))) for entry in found]


def _seconds(value: t.Any) -> str:
    return duration(float(value)) if isinstance(value, (int, float)) else "–"
