# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of the timeline, for a terminal or a log. Pure."""

from __future__ import annotations

import typing as t

from ..finding import sentence
from ..result import page
from ..visible import one_line, visible
from .data import Document, duration, said_by

_INDENT = " " * 8
# What a program printed is shown to its last lines; the rest is seen with -v.
_TAIL = 12


def step_line(step: Document, total: int, ended: bool = False) -> str:
    """``[ 6/16] C6 Seed …`` at the start, ``[ 6/16] C6 Seed  12.3 s (expected 10 s) changed · phase seeded`` at the end."""
    head = f"[{step['position']:>2}/{total}] {one_line(step['id']):<4} {one_line(step['name'])}"
    expected = f"(expected {duration(step['expected_seconds'])})" if step.get("expected_seconds") is not None else ""
    if not ended:
        return f"{head} … {expected}".rstrip()
    verdict = {"done": "changed" if step["changed"] else "ok", "failed": "FAILED"}.get(step["status"], step["status"])
    words = brief(step.get("evidence") or {})
    return " ".join(part for part in (f"{head:<34}", f"{duration(step.get('seconds')):>9}", expected, verdict) if part) + (
        f" · {words}" if words else ""
    )


def heartbeat_line(step: Document, seconds: float, task: str) -> str:
    """``C6 Seed runs for 35 s (expected 60 s) · pg_move : Bring the pair to seeded``."""
    expected = f" (expected {duration(step['expected_seconds'])})" if step.get("expected_seconds") is not None else ""
    return f"{_INDENT}{one_line(step['id'])} runs for {duration(round(seconds)).replace('.0 s', ' s')}{expected}{f' · {one_line(task)}' if task else ''}"


def brief(evidence: Document, most: int = 90) -> str:
    """The sentence of the last role, whole; the plain values of what it said where it has none."""
    said = [words for _role, words in said_by(evidence)]
    if said and isinstance(said[-1].get("said"), str):
        return one_line(said[-1]["said"])
    pairs = [f"{key} {value}" for key, value in (said[-1].items() if said else ()) if isinstance(value, (str, int, float)) and value != ""]
    text = one_line(", ".join(pairs))
    return text if len(text) <= most else text[: most - 1] + "…"


def failure_lines(failure: Document, result: t.Optional[Document] = None, said: t.Optional[str] = None) -> list[str]:
    """Code, message and remedy; findings one by one; for a failure without a code also the end of what its program printed.

    Whatever a server says, each line that is begun here begins with the indent.
    """
    result = result or {}
    lines = [f"{_INDENT}{one_line(failure.get('code', 'failed'))}"]
    findings = [entry for entry in (failure.get("details") or {}).get("findings") or [] if isinstance(entry, t.Mapping)]
    if findings:
        for entry in findings:
            words = (entry.get("level", "fail"), entry.get("code"), sentence(entry))
            lines.append(f"{_INDENT}  {': '.join(map(one_line, words))}")
            if entry.get("remedy"):
                lines.append(f"{_INDENT}    remedy: {one_line(entry['remedy'])}")
    else:
        lines += [f"{_INDENT}  {line}" for line in _lines(failure.get("message", ""))]
        if failure.get("remedy"):
            lines.append(f"{_INDENT}  remedy: {one_line(failure['remedy'])}")
    codes = [entry.get("code") for entry in findings if entry.get("level", "fail") == "fail"] or [failure.get("code", "failed")]
    lines.append(f"{_INDENT}  see: {', '.join(page(one_line(code)) for code in dict.fromkeys(codes))}")
    if said:
        lines.append(f"{_INDENT}  task: {one_line(said)}")
    if failure.get("code") == "task_failed":
        for name in ("stderr", "stdout", "module_stderr", "module_stdout"):
            printed = _lines(result.get(name) or "")[-_TAIL:]
            lines += [f"{_INDENT}  {name}: {line}" for line in printed if line.strip()]
    return lines


def _lines(text: t.Any) -> list[str]:
    return str(visible(str(text))).split("\n")


def plan_lines(plan: t.Any) -> list[str]:
    """The steps of a module's plan, one line each."""
    if not isinstance(plan, (list, tuple)):
        return []
    return [
        f"{_INDENT}  - {one_line(step.get('action'))}: {one_line(step.get('reason'))}{' (clients can notice)' if step.get('disruptive') else ''}"
        for step in plan
        if isinstance(step, t.Mapping)
    ]


def summary_line(operation: Document, result: Document, check: bool) -> list[str]:
    """How the run ended, with the figures that were measured."""
    subject = ", ".join(str(name).partition("/")[2] or str(name) for name in operation.get("subjects") or [])
    verdict = f"{str(operation.get('kind', 'run')).replace('_', ' ').capitalize()} of {subject}: {result['outcome']}{' (check mode)' if check else ''}"
    probe = result.get("probe") or {}
    facts = [f"took {duration(result['seconds'])}" if result.get("seconds") is not None else ""]
    facts.append(f"serving {result['serving']}" if result.get("serving") else "")
    facts.append(f"writes paused {result['window_ms']:g} ms" if isinstance(result.get("window_ms"), (int, float)) else "")
    facts.append(f"{probe['failed']} of {probe['requests']} requests failed" if probe.get("failed") is not None else "")
    lines = [one_line(f"{verdict} · {' · '.join(fact for fact in facts if fact)}".rstrip(" ·"))]
    if result.get("failure"):
        lines.append(f"  {one_line(result['failure'].get('code'))}: {one_line(result['failure'].get('message'))}")
        if result["failure"].get("remedy"):
            lines.append(f"  remedy: {one_line(result['failure']['remedy'])}")
    if result.get("report") and not check:
        lines.append(f"  report: {one_line(result['report'])}")
    return lines
