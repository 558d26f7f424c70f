# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures as inline SVG. Colours are classes of the page's style sheet, so that dark mode and print follow it."""

from __future__ import annotations

import math
import typing as t
from html import escape

from .data import Document, Run, clock, duration, observations, side_name, unix

_WIDTH = 960
_LEFT = 190
_RIGHT = 100
_SIDES = ("legacy", "new")


def axis_step(span: float, most: int = 8) -> float:
    """A round step in seconds that gives at most ``most`` ticks over ``span``."""
    rounds = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
    return next((step for step in rounds if span / step <= most), math.ceil(span / most / 86400) * 86400)


def steps_chart(run: Run) -> str:
    """Steps as bars over time; a thin mark shows what was expected. Empty when no step started."""
    started = [step for step in run.steps if step.start is not None]
    if not started:
        return ""
    begin = min(t.cast(float, step.start) for step in started)
    finish = max([run.end or begin, *(step.end or t.cast(float, step.start) for step in started)])
    span = max(finish - begin, 0.001)
    scale = (_WIDTH - _LEFT - _RIGHT) / span
    row, top = 26, 26
    height = top + row * len(run.steps) + 8
    parts = [_time_axis(span, scale, top - 8, height - 8)]
    for number, step in enumerate(run.steps):
        y = top + number * row
        label = f"{step.id}  {step.name}"
        parts.append(f'<text class="label" x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(_short(label, 28))}</text>')
        if step.start is None:
            parts.append(f'<text class="quiet" x="{_LEFT}" y="{y + 15}">not run</text>')
            continue
        x = _LEFT + (step.start - begin) * scale
        last = step.end if step.end is not None else finish
        width = max((last - step.start) * scale, 2)
        kind = {"done": "done" if step.changed else "same", "failed": "failed", "started": "open"}.get(step.status, "same")
        title = f"{label}: {step.status}, {duration(step.seconds)}" + (
            f", expected {duration(step.expected)}" if step.expected is not None else ""
        )
        parts.append(
            f'<rect class="bar {kind}" x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="15" rx="3"><title>{escape(title)}</title></rect>'
        )
        right = x + width
        if step.expected is not None and step.expected * scale > 2:
            mark = min(x + step.expected * scale, _WIDTH - 4)
            parts.append(f'<line class="mark" x1="{mark:.1f}" x2="{mark:.1f}" y1="{y + 1}" y2="{y + 22}"/>')
            right = min(max(right, mark), _WIDTH - 75)
        caption = {"started": "did not end", "failed": "failed"}.get(step.status, duration(step.seconds))
        parts.append(f'<text class="value" x="{right + 6:.1f}" y="{y + 15}">{escape(caption)}</text>')
    return _svg(height, "Steps over time", parts)


def availability_chart(run: Run) -> str:
    """Answers per second stacked by side, failures, the highest latency, and the hold. Empty without a series."""
    series = [point for point in run.part("probe").get("series") or [] if unix(point.get("t")) is not None]
    if not series:
        return ""
    points = _columns(sorted(series, key=lambda point: t.cast(float, unix(point["t"]))), 480)
    begin = points[0]["t"]
    span = max(points[-1]["t"] + points[-1]["width"] - begin, 1.0)
    left, right, top, plot = 56, 64, 24, 170
    bottom = top + plot
    scale = (_WIDTH - left - right) / span
    peak = max(max(point["ok"] + point["failed"] for point in points), 1)
    slowest = max(max(point["max_ms"] for point in points), 1.0)
    parts = [_time_axis(span, scale, top, bottom, left=left, below=True)]
    for share in (0.5, 1.0):
        y = bottom - plot * share
        parts.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{peak * share:.0f}</text>')
        parts.append(f'<text class="tick latency-text" x="{_WIDTH - right + 6}" y="{y + 4:.1f}">{duration(slowest * share / 1000)}</text>')
    for point in points:
        x, y = left + (point["t"] - begin) * scale, float(bottom)
        width = max(point["width"] * scale - 0.4, 0.8)
        for kind in (*_SIDES, "unknown", "failed"):
            if point[kind] <= 0:
                continue
            tall = plot * point[kind] / peak
            y -= tall
            parts.append(f'<rect class="side-{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(tall, 1.5):.1f}"/>')
    line = " ".join(
        f"{left + (point['t'] - begin + point['width'] / 2) * scale:.1f},{bottom - plot * point['max_ms'] / slowest:.1f}"
        for point in points
        if point["ok"] + point["failed"] > 0
    )
    parts.append(f'<polyline class="latency" points="{line}"/>')
    held = _hold(run)
    if held is not None:
        x1, x2 = (left + (min(max(moment, begin), begin + span) - begin) * scale for moment in held)
        parts.append(f'<rect class="hold" x="{x1:.1f}" y="{top}" width="{max(x2 - x1, 3):.1f}" height="{plot}"/>')
        parts.append(f'<text class="value" x="{min(x1, _WIDTH - 160):.1f}" y="{top - 8}">hold {escape(duration(held[1] - held[0]))}</text>')
    parts.append(f'<text class="tick" x="{left}" y="{bottom + 34}">0 is {escape(clock(begin, with_date=True))}</text>')
    return _svg(bottom + 40, "Answers per second by side, failures and highest latency", parts)


def window_chart(steps: t.Sequence[Document]) -> str:
    """The window as one bar, cut by its steps. Empty without times."""
    timed = [(str(step.get("name")), float(step["ms"])) for step in steps if isinstance(step.get("ms"), (int, float)) and step["ms"] >= 0]
    total = sum(ms for _name, ms in timed)
    if total <= 0:
        return ""
    parts, x, lane = [], 0.0, [0.0, 0.0, 0.0]
    for number, (name, ms) in enumerate(timed):
        width = (_WIDTH - 4) * ms / total
        parts.append(
            f'<rect class="cut c{number % 6}" x="{x + 2:.1f}" y="6" width="{max(width - 1, 0.5):.1f}" height="30">'
            f"<title>{escape(name)}: {ms:.1f} ms</title></rect>"
        )
        text = f"{name} {ms:.0f} ms"
        needed, place = 6.4 * len(text) + 14, min(x + 2, _WIDTH - 6.4 * len(text) - 4)
        free = next((number for number, taken in enumerate(lane) if place >= taken), None)
        # A label that finds no room is in the table below the figure.
        if free is not None and width > 3:
            lane[free] = place + needed
            parts.append(f'<text class="value" x="{place:.1f}" y="{54 + 16 * free}">{escape(text)}</text>')
        x += width
    return _svg(56 + 16 * sum(1 for taken in lane if taken), "Window by step", parts)


def names_chart(run: Run) -> str:
    """What each name server answered over time, coloured by side. Empty without observations."""
    dns = run.part("dns")
    seen: dict[str, list[tuple[float, str]]] = {}
    for entry in observations(run):
        seen.setdefault(entry["server"], []).append((entry["at"], _side_of(entry["values"], dns.get("sides"))))
    if not seen:
        return ""
    moments = [moment for entries in seen.values() for moment, _side in entries]
    begin, finish = min(moments), max([*moments, run.end or 0])
    span = max(finish - begin, 1.0)
    scale = (_WIDTH - _LEFT - _RIGHT) / span
    top, row = 26, 24
    height = top + row * len(seen) + 8
    parts = [_time_axis(span, scale, top - 8, height - 8)]
    for number, (server, entries) in enumerate(sorted(seen.items())):
        y = top + number * row
        entries = sorted(entries)
        parts.append(f'<text class="label" x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(_short(server, 28))}</text>')
        for index, (moment, side) in enumerate(entries):
            until = entries[index + 1][0] if index + 1 < len(entries) else finish
            x, width = _LEFT + (moment - begin) * scale, max((until - moment) * scale, 2)
            title = f"{server} at {clock(moment)}: {side}"
            parts.append(
                f'<rect class="side-{side}" x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="14"><title>{escape(title)}</title></rect>'
            )
    return _svg(height, "Answers of the name servers over time", parts)


def _columns(series: t.Sequence[Document], most: int) -> list[dict[str, t.Any]]:
    """The series by second, joined into at most ``most`` columns; rates stay per second, latency and failures keep their worst."""
    begin, finish = t.cast(float, unix(series[0]["t"])), t.cast(float, unix(series[-1]["t"]))
    width = max(1.0, float(math.ceil((finish - begin + 1) / most)))
    found: dict[int, dict[str, t.Any]] = {}
    for point in series:
        slot = int((t.cast(float, unix(point["t"])) - begin) // width)
        column = found.setdefault(
            slot,
            {"t": begin + slot * width, "width": width, "ok": 0.0, "failed": 0.0, "max_ms": 0.0, "legacy": 0.0, "new": 0.0, "unknown": 0.0},
        )
        answered, failures = float(point.get("ok") or 0), float(point.get("failed") or 0)
        sides = {side_name(side): count for side, count in (point.get("by_side") or point.get("sides") or {}).items()}
        named = {side: min(float(sides.get(side) or 0), answered) for side in _SIDES}
        column["ok"] += answered / width
        column["failed"] = max(column["failed"], failures)
        column["max_ms"] = max(column["max_ms"], float(point.get("max_ms") or 0))
        for side in _SIDES:
            column[side] += named[side] / width
        column["unknown"] += max(0.0, answered - sum(named.values())) / width
    return [found[slot] for slot in sorted(found)]


def _hold(run: Run) -> t.Optional[tuple[float, float]]:
    hold = run.part("hold") or run.part("pg").get("hold") or {}
    begin, until = unix(hold.get("from")), unix(hold.get("until", run.data.get("released_at")))
    return (begin, until) if begin is not None and until is not None and until >= begin else None


def _side_of(values: t.Any, sides: t.Any) -> str:
    wanted = sorted(str(value) for value in values or [])
    for side in _SIDES:
        if isinstance(sides, t.Mapping) and wanted and wanted == sorted(str(value) for value in sides.get(side) or []):
            return side
    return "unknown"


def _time_axis(span: float, scale: float, top: float, bottom: float, left: int = _LEFT, below: bool = False) -> str:
    step = axis_step(span)
    parts = []
    for number in range(int(span / step + 1e-9) + 1):
        x = left + number * step * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        text = "0" if number == 0 else duration(number * step).replace(".0 s", " s").replace(" min 00 s", " min")
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 14 if below else top - 4}" text-anchor="middle">{text}</text>')
    return "".join(parts)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _svg(height: float, title: str, parts: t.Sequence[str]) -> str:
    name = escape(title)
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{name}"><title>{name}</title>{"".join(parts)}</svg>'
