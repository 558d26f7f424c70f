# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of a cutover and the incident file of a rollback, in Markdown."""

from __future__ import annotations

import re
import typing as t

from .data import RUNBOOK, Document, Run, clock, duration, findings_of, read, said_by

_ROLLBACK_OBJECTIVE = 30.0


def cutover_log(data: t.Any) -> str:
    """The entry of the cutover log: who, what, when, how long, what was compared, and how to go back."""
    run = read(data)
    operation: Document = run.data["operation"]
    pg, probe = run.part("pg"), run.part("probe")
    lines = [
        f"# {_cell(run.kind.capitalize())} of {_cell(run.subject)}",
        "",
        f"- Outcome: **{_cell(run.outcome)}**{_because(run)}",
        f"- Operation: {_cell(run.id)}, by {_cell(operation.get('actor'))} on {_cell(operation.get('host'))}",
        f"- Started {clock(run.start, with_date=True)}, ended {clock(run.end, with_date=True) if run.ended else 'not recorded'}",
        f"- Took {duration(run.seconds)}",
        f"- Reason: {_cell(operation.get('reason') or 'none given')}",
        f"- Inventory at {_cell(operation.get('vcs_ref') or 'no revision given')}",
        f"- Serving: {_cell(run.serving or 'not read')}; phase: {_cell(run.phase or 'not read')}",
        "",
        "## Figures",
        "",
        *_rows(
            ("What", "Runbook", "This run"), [(what, book, measured(run) or "not measured") for _section, what, book, measured in RUNBOOK]
        ),
        *_probe(probe),
        *_verified(pg),
        "",
        "## Steps",
        "",
        *_steps(run),
        "",
        "## Bookmarks",
        "",
        *_bookmarks(run),
        "",
        "## Versions",
        "",
        *([f"- {_cell(name)}: {_cell(value)}" for name, value in run.part("versions").items()] or ["Not collected in this run."]),
        "",
    ]
    return "\n".join(lines)


def incident(data: t.Any) -> str:
    """The incident file of a rollback; complete at the end of the run, and readable while it still runs."""
    run = read(data)
    operation: Document = run.data["operation"]
    reached = run.figure("seconds_to_200")
    if reached is None:
        objective = f"not measured yet; the objective is {duration(_ROLLBACK_OBJECTIVE)}"
    else:
        verdict = "reached" if reached <= _ROLLBACK_OBJECTIVE else "missed"
        objective = f"{duration(float(reached))}; the objective of {duration(_ROLLBACK_OBJECTIVE)} was {verdict}"
    pg, probe = run.part("pg"), run.part("probe")
    window = pg.get("window_ms")
    lines = [
        f"# Rollback of {_cell(run.subject)}",
        "",
        f"- State: **{_cell(run.outcome if run.ended else 'under way')}**{_because(run)}",
        f"- Trigger: {_cell(operation.get('reason') or 'none given')}, by {_cell(operation.get('actor'))}",
        f"- Started: {clock(run.start, with_date=True)} (operation {_cell(run.id)})",
        f"- Until legacy answered 200: {objective}",
        f"- Serving: {_cell(run.serving or 'not read')}; phase: {_cell(run.phase or 'not read')}",
        f"- Writes paused: {f'{window:g} ms' if isinstance(window, (int, float)) else 'not measured'}",
        *_probe(probe, "- "),
        *_verified(pg, "- "),
        *_accepted(pg),
        "",
        "## Timeline",
        "",
        *_steps(run),
        "",
        "## Restored values",
        "",
        *_bookmarks(run),
        "",
        "## Root cause",
        "",
        *_block(run.data.get("root_cause") or "To be written before this incident is closed."),
        "",
        "## Next step",
        "",
        *_block(run.figure("next") or "Find the cause, then run the cutover again; rows that were copied stay and are followed."),
        "",
    ]
    return "\n".join(lines)


def _because(run: Run) -> str:
    if run.failure is None:
        return ""
    remedy = f" Remedy: {_cell(run.failure.get('remedy'))}" if run.failure.get("remedy") else ""
    findings = "".join(f" {_cell(line)}" for line in findings_of(run))
    return f" ({_cell(run.failure.get('code'))}: {_cell(run.failure.get('message'))}{findings}{remedy})"


def _probe(probe: Document, bullet: str = "") -> list[str]:
    if not probe:
        return [*([] if bullet else [""]), f"{bullet}Requests: no probe ran, or its result was not read."]
    return [
        *([] if bullet else [""]),
        f"{bullet}Requests: {_cell(probe.get('requests'))}, failed: {_cell(probe.get('failed'))}, "
        f"highest latency: {_cell(probe.get('max_ms'))} ms.",
    ]


def _verified(pg: Document, bullet: str = "") -> list[str]:
    verify = pg.get("verify")
    if not isinstance(verify, t.Mapping) or not verify:
        return [f"{bullet}Rows: not compared in this run."]
    label = {True: "equal", False: "DIFFERENT"}.get(t.cast(bool, verify.get("equal")), "not compared to the end")
    return [f"{bullet}Rows: {_cell(verify.get('rows'))} in {_cell(verify.get('tables'))} tables compared, {label}."]


def _accepted(pg: Document) -> list[str]:
    """What somebody accepted by name, and what is known to be missing through it."""
    accepted, loss = pg.get("accepted"), pg.get("loss")
    lines = [
        f"- Accepted: {_cell(name)}, by {_cell(label.get('actor'))}; reason: {_cell(label.get('reason') or 'none given')}"
        for name, label in (accepted.items() if isinstance(accepted, t.Mapping) else ())
        if isinstance(label, t.Mapping)
    ]
    known = loss.items() if isinstance(loss, t.Mapping) else ()
    return [*lines, *(f"- Loss, {_cell(name)}: {_code(value)}" for name, value in known if value not in (None, {}, []))]


def _steps(run: Run) -> list[str]:
    rows = []
    for step in run.steps:
        label = {"done": "changed" if step.changed else "nothing to do", "planned": "not run", "started": "did not end"}.get(
            step.status, step.status
        )
        rows.append((step.id, step.name, clock(step.start), duration(step.seconds), label))
    return _rows(("Step", "Name", "Start", "Took", "Outcome"), rows) if rows else ["No step was recorded."]


def _bookmarks(run: Run) -> list[str]:
    lines = [
        f"- {_cell(step.id)} {_cell(role)}: {'; '.join(f'{_cell(key)} = {_code(value)}' for key, value in words.items())}"
        for step in run.steps
        for role, words in said_by(step.bookmark)
    ]
    return lines or ["No step left a bookmark."]


def _rows(head: t.Sequence[str], rows: t.Sequence[t.Sequence[t.Any]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)]


# What can begin markup inside of a line; https://spec.commonmark.org/0.31.2/#backslash-escapes lets each stand for itself. An underscore
# inside of a word begins nothing. ``:`` before ``//`` and ``.`` behind ``www``, so that GitHub makes no link of a bare address:
# https://github.github.com/gfm/#autolinks-extension-
_MARKUP = re.compile(r"[\\`*\[\]<>|~$]|!(?=\[)|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w]{1,40};)|:(?=//)|(?<=www)\.", re.IGNORECASE)
# What begins a heading, a list or a rule when it begins a line. A number is one when a dot or parenthesis follows.
_BEGINS = re.compile(r"\A(?:#|[-+](?=[-\s]|\Z)|=(?==*\Z)|\d{1,9}(?=[.)](?:\s|\Z)))")


def _cell(value: t.Any) -> str:
    """One line of Markdown that is text and nothing else: it cannot end a cell, begin a block, or become a link, an image or HTML."""
    text = _MARKUP.sub(r"\\\g<0>", _words(value))
    return _BEGINS.sub(lambda match: f"{match.group()}\\" if match.group().isdigit() else f"\\{match.group()}", text)


def _code(value: t.Any) -> str:
    """A code span. Nothing is markup inside, and nothing but a backtick ends it."""
    return f"`{_words(value).replace('`', chr(39)) or ' '}`"


def _block(value: t.Any) -> list[str]:
    return [_cell(line) for line in str(value).splitlines() if line.strip()]


def _words(value: t.Any) -> str:
    return " ".join(str("–" if value is None else value).split())
