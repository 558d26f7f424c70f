# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page: one self-contained HTML file, no script, nothing loaded from anywhere, readable in light, dark and print."""

from __future__ import annotations

import json
import typing as t
from html import escape

from . import stack
from .data import RUNBOOK, Document, Run, clock, duration, findings_of, observations, read, said_by, unix
from .figures import availability_chart, names_chart, steps_chart, window_chart
from .style import STYLE

# Longer values of evidence are cut; result.json and the journal hold them whole.
_LONGEST = 600

_TITLES = {
    "cutover": "Cutover", "rollback": "Rollback", "cancel": "Move given up", "stack": "Deployment", "stack_rollback": "Way back",
}
_OUTCOMES = {
    "succeeded": ("good", "Succeeded"),
    "failed": ("bad", "Failed"),
    "rolled_back": ("warn", "Rolled back"),
    "abandoned": ("warn", "Killed, taken over by the next run"),
    "unfinished": ("warn", "Did not end"),
}


def report_html(data: t.Any) -> str:
    """The page of one run; see the package's description for ``data``."""
    run = read(data)
    title = f"{_TITLES.get(run.kind, run.kind.capitalize())} of {run.subject}"
    sections = [
        ("Steps", _figure(steps_chart(run), "No step was started.", _STEPS_KEY) + _steps(run)),
        *(_of_stack(run) if run.kind in stack.KINDS else _of_move(run)),
        ("Bookmarks", _said(run, "bookmark", "No step left a bookmark.")),
        ("What each step saw", _said(run, "evidence", "No step left evidence.")),
    ]
    if run.kind not in stack.KINDS:
        sections.append(("Beside the runbook", _runbook(run)))
    body = "".join(f"<section><h2>{escape(name)}</h2>{content}</section>" for name, content in sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main>{_head(run, title)}{body}<footer>Operation {escape(run.id)}. Times are UTC. "
        f"What was not measured is said to be missing. Made by bowline.fleet.</footer></main></body></html>\n"
    )


def _of_move(run: Run) -> list[tuple[str, str]]:
    """Sections of a cutover, a way back, a move that was given up."""
    return [
        ("Availability", _figure(availability_chart(run), "The probe's series was not collected in this run.", _SIDES_KEY) + _probe(run)),
        ("Window", _window(run)),
        ("Verification", _verification(run)),
        ("Name servers", _names(run)),
        ("Edges", _edges(run)),
        ("Decisions", _decisions(run)),
    ]


def _of_stack(run: Run) -> list[tuple[str, str]]:
    """Sections of a deployment of a Swarm stack, service by service."""
    found = [(one.title, _table(one.head, one.rows) if one.rows else _missing(one.missing)) for one in stack.tables(run)]
    return [*found, ("Decisions", _decisions(run))]


def _head(run: Run, title: str) -> str:
    kind, said = _OUTCOMES.get(run.outcome, ("warn", run.outcome))
    operation: Document = run.data["operation"]
    facts = [
        ("Started", clock(run.start, with_date=True)),
        ("Ended", clock(run.end, with_date=True) if run.ended else "no end was recorded"),
        ("By", " on ".join(str(operation[key]) for key in ("actor", "host") if operation.get(key)) or "–"),
        ("Reason", operation.get("reason") or "none given"),
        ("Inventory", operation.get("vcs_ref") or "no revision given"),
    ]
    lines = "".join(f"<div><dt>{name}</dt><dd>{escape(str(value))}</dd></div>" for name, value in facts)
    check = '<p class="note warn">Check mode: this is what a real run would do. Nothing was written.</p>' if run.id == "check" else ""
    return (
        f'<header><div class="badge {kind}">{escape(said)}</div><h1>{escape(title)}</h1><dl class="facts">{lines}</dl></header>'
        f"{check}{_failure(run)}{_cards(run)}{_warnings(run)}"
    )


def _failure(run: Run) -> str:
    if run.failure is None:
        return ""
    step = next((step for step in run.steps if step.status == "failed"), None)
    where = f"<p>In step {escape(step.id)} {escape(step.name)}.</p>" if step else ""
    remedy = run.failure.get("remedy")
    findings = "".join(f"<li>{escape(line)}</li>" for line in findings_of(run))
    return (
        f'<div class="note bad"><h2>{escape(str(run.failure.get("code", "failed")))}</h2>'
        f"<p>{escape(str(run.failure.get('message', '')))}</p>{f'<ul>{findings}</ul>' if findings else ''}{where}"
        + (f"<p><b>Remedy:</b> {escape(str(remedy))}</p>" if remedy else "")
        + "</div>"
    )


def _cards(run: Run) -> str:
    if run.kind in stack.KINDS:
        return _cards_of([*stack.cards(run), ("Whole run" if run.ended else "Until the last sign", duration(run.seconds), "")])
    probe, pg = run.part("probe"), run.part("pg")
    window = pg.get("window_ms")
    rollback = pg.get("rollback") if isinstance(pg.get("rollback"), t.Mapping) else {}
    armed = (rollback or {}).get("armed")
    failed = probe.get("failed")
    cards = [
        ("Serving" if run.ended else "Serving, last read", run.serving or "not read", "" if run.serving else "none"),
        ("Writes paused", f"{window:.0f} ms" if isinstance(window, (int, float)) else "not measured", "" if window is not None else "none"),
        (
            "Failed requests",
            f"{failed} of {probe.get('requests')}" if failed is not None else "not measured",
            "none" if failed is None else "bad" if failed else "good",
        ),
        ("Whole run" if run.ended else "Until the last sign", duration(run.seconds), ""),
        (
            "Way back",
            {True: "armed", False: "not armed"}.get(t.cast(bool, armed), "not read"),
            {True: "good", False: "bad"}.get(t.cast(bool, armed), "none"),
        ),
    ]
    reached = run.figure("seconds_to_200")
    if reached is not None:
        cards.append(("Until legacy answered", duration(float(reached)), ""))
    return _cards_of(cards)


def _cards_of(cards: t.Iterable[tuple[str, str, str]]) -> str:
    body = "".join(f'<div class="card {kind}"><span>{escape(name)}</span><b>{escape(value)}</b></div>' for name, value, kind in cards)
    return f'<div class="cards">{body}</div>'


def _warnings(run: Run) -> str:
    warnings = run.data.get("warnings") or []
    if not warnings:
        return ""
    return '<div class="note warn"><ul>' + "".join(f"<li>{escape(str(warning))}</li>" for warning in warnings) + "</ul></div>"


_STEPS_KEY = (
    '<p class="key"><i class="done"></i>changed <i class="same"></i>nothing to do <i class="failed"></i>failed '
    '<i class="open"></i>did not end <i class="mark"></i>expected</p>'
)
_SIDES_KEY = (
    '<p class="key"><i class="side-legacy"></i>legacy <i class="side-new"></i>new '
    '<i class="side-unknown"></i>side not told <i class="side-failed"></i>failed '
    '<i class="latency"></i>highest latency (right scale) <i class="hold"></i>hold</p>'
)


def _figure(svg: str, missing: str, key: str = "") -> str:
    return f"<figure>{svg}{key}</figure>" if svg else _missing(missing)


def _missing(text: str) -> str:
    return f'<p class="missing">{escape(text)}</p>'


def _table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[t.Any]], kind: str = "") -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell if isinstance(cell, _Html) else escape(_text(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


class _Html(str):
    """Text that is markup already."""


def _text(value: t.Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
        if isinstance(value, (dict, list, tuple))
        else str(value)
    )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _steps(run: Run) -> str:
    if not run.steps:
        return ""
    rows = []
    for step in run.steps:
        said = {"done": "changed" if step.changed else "nothing to do", "planned": "not run", "started": "did not end"}.get(
            step.status, step.status
        )
        kind = {"failed": "bad", "started": "warn", "done": "good" if step.changed else "quiet"}.get(step.status, "quiet")
        gates = step.failure.get("code") if step.failure else ", ".join(role for role, _words in said_by(step.evidence))
        state = _Html(f'<span class="state {kind}">{escape(said)}</span>')
        rows.append((step.id, step.name, state, clock(step.start), duration(step.seconds), duration(step.expected), gates or "–"))
    return _table(("Step", "Name", "Outcome", "Start", "Took", "Expected", "Evidence from, or failure"), rows)


def _probe(run: Run) -> str:
    probe = run.part("probe")
    if not probe:
        return _missing("No probe ran, or its result was not read.")
    rows = [
        ("Requests", probe.get("requests")),
        ("Failed", probe.get("failed")),
        (
            "Median, 99th percentile, highest",
            ", ".join(f"{probe[key]:g} ms" for key in ("p50_ms", "p99_ms", "max_ms") if probe.get(key) is not None) or None,
        ),
        (
            "Longest time without an answered write",
            f"{probe['longest_write_gap_ms']:g} ms" if probe.get("longest_write_gap_ms") is not None else None,
        ),
        ("Answered by the old side after the release", run.figure("served_by_old_after_release")),
    ]
    figures = _table(("Probe", ""), [(name, "not measured" if value is None else value) for name, value in rows], "pairs")
    failures = [line for line in probe.get("failures") or [] if isinstance(line, t.Mapping)]
    if not failures:
        return figures
    lines = [
        (clock(unix(line.get("t"))), line.get("worker"), line.get("address"), line.get("side"), line.get("error") or line.get("status"), line.get("ms"))
        for line in failures
    ]
    return figures + _table(("Failed at", "Worker", "Address", "Answered by", "Status or error", "After ms"), lines)


def _window(run: Run) -> str:
    pg = run.part("pg")
    if not pg:
        return _missing("No result of the switch was collected in this run.")
    rows = [
        ("Writes paused", f"{pg['window_ms']:g} ms" if pg.get("window_ms") is not None else "no window was opened, or it was not measured"),
        ("Phase", " → ".join(str(pg[key]) for key in ("phase_before", "phase_after") if pg.get(key)) or None),
        ("Engine", pg.get("engine")),
        ("Sessions drained", _pairs(pg.get("drained"))),
        ("Sequences carried over", pg.get("sequences")),
    ]
    steps = [step for step in pg.get("steps") or [] if isinstance(step, t.Mapping)]
    figure = window_chart(steps)
    table = _table(("Step of the window", "ms"), [(step.get("name"), step.get("ms")) for step in steps], "numbers") if steps else ""
    return (_figure(figure, "") if figure else "") + _table(("Switch", ""), [row for row in rows if row[1] is not None], "pairs") + table


def _verification(run: Run) -> str:
    verify = run.part("pg").get("verify")
    if not isinstance(verify, t.Mapping) or not verify:
        return _missing("No comparison of the rows was made in this run.")
    equal = verify.get("equal")
    said = {True: "Both sides are equal.", False: "Both sides differ."}.get(t.cast(bool, equal), "The comparison did not end.")
    kind = {True: "good", False: "bad"}.get(t.cast(bool, equal), "warn")
    rows = [
        ("Tables", verify.get("tables")),
        ("Rows", verify.get("rows")),
        ("Took", duration(verify["seconds"]) if isinstance(verify.get("seconds"), (int, float)) else None),
    ]
    found = verify.get("mismatches") or []
    return (
        f'<p class="note {kind}">{said}</p>'
        + _table(("Comparison", ""), rows, "pairs")
        + (_table(("Mismatch",), [(entry,) for entry in found]) if found else "")
    )


def _names(run: Run) -> str:
    dns = run.part("dns")
    if not dns:
        return _missing("No name server was read in this run.")
    figure = names_chart(run)
    rows = [("Name", dns.get("name")), ("Values", _pairs(dns.get("sides") or dns.get("values"))), ("Before", dns.get("previous"))]
    stale = unix(dns.get("max_stale_until"))
    if stale is not None:
        rows.append(("No cache answers the old values after", clock(stale, with_date=True)))
    seen = [
        (clock(entry["at"]), entry["server"], ", ".join(map(str, entry["values"])) or "no record", entry["ttl"])
        for entry in observations(run)
    ]
    return (
        _figure(
            figure,
            "Answers over time were not collected; the table shows what was.",
            _SIDES_KEY.partition('<i class="side-unknown">')[0] + "</p>",
        )
        + _table(("Name", ""), [row for row in rows if row[1]], "pairs")
        + (_table(("At", "Server", "Values", "TTL"), seen) if seen else "")
    )


def _edges(run: Run) -> str:
    edges = {side: state for side, state in run.part("edges").items() if isinstance(state, t.Mapping)}
    if not edges:
        return _missing("The edges were not read in this run.")
    keys = [key for key in ("route", "hold", "in_flight", "inserted", "epoch") if any(key in state for state in edges.values())]
    return _table(("Side", *keys), [(side, *(state.get(key) for key in keys)) for side, state in edges.items()])


def _decisions(run: Run) -> str:
    operation: Document = run.data["operation"]
    rows = [
        (clock(unix(entry.get("at"))), entry.get("who"), entry.get("what"), entry.get("reason"))
        for entry in run.data.get("decisions") or []
    ]
    for event in operation.get("events") or []:
        words = ", ".join(f"{key} {_text(value)}" for key, value in (event.get("data") or {}).items() if value is not None)
        rows.append((clock(unix(event.get("at"))), operation.get("actor"), f"{event.get('kind')}{': ' + words if words else ''}", None))
    return _table(("At", "Who", "What", "Reason"), rows) if rows else _missing("No decision was recorded.")


def _said(run: Run, what: str, missing: str) -> str:
    rows = []
    for step in run.steps:
        for role, words in said_by(step.bookmark if what == "bookmark" else step.evidence):
            # The series is the figure above.
            for number, (key, value) in enumerate((key, value) for key, value in words.items() if key != "series"):
                rows.append(
                    (step.id if number == 0 else "", role if number == 0 else "", key, _Html(f"<code>{escape(_text(value))}</code>"))
                )
    return _table(("Step", "Role", "", ""), rows, "words") if rows else _missing(missing)


def _runbook(run: Run) -> str:
    rows = [
        (f"§ {section}" if section[0].isdigit() else section, what, book, measured(run) or "not measured")
        for section, what, book, measured in RUNBOOK
    ]
    return _table(("Runbook", "", "It says", "This run"), rows)


def _pairs(value: t.Any) -> t.Optional[str]:
    if not isinstance(value, t.Mapping):
        return None if value is None else _text(value)
    return ", ".join(
        f"{key} {_text(item) if not isinstance(item, (list, tuple)) else ' '.join(map(str, item))}" for key, item in value.items()
    )
