# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the probe's lines say. Pure: lines in, figures out."""

from __future__ import annotations

import json
import typing as t

GAP_MS = 100.0
_KEEP = 20

Line = dict[str, t.Any]


def parse(text: str) -> list[Line]:
    """All whole lines, in the order of their writing; a last line that is cut off, as by a kill, is left out."""
    lines = []
    for raw in text.split("\n"):
        if not raw:
            continue
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict) and "t" in line:
            lines.append(line)
    return lines


def ended(line: Line) -> float:
    """Unix time of the answer (or of giving up)."""
    return float(line["t"]) + float(line["ms"]) / 1000


def summary(lines: t.Sequence[Line], since: float = 0.0) -> dict[str, t.Any]:
    """The figures of all requests sent at or after ``since`` (unix time). Latencies are of successful ones; None without any.

    Old answers that the probe has summed up count, but for median and percentile; of their gaps the longest of each worker.
    """
    sums = [line["sum"] for line in lines if "sum" in line and line["t"] >= since]
    requests = [line for line in lines if "worker" in line and line["t"] >= since]
    good = [line for line in requests if line["ok"]]
    bad = [line for line in requests if not line["ok"]]
    latencies = sorted(line["ms"] for line in good)
    gaps = _gaps(good, sums)
    writes = [line for line in good if "key" in line]
    write_gaps = _gaps(writes, [known for known in sums if known["writes"]], minimum=0.0)
    names = {line["worker"] for line in requests} | {known["worker"] for known in sums}
    return {
        "requests": len(requests) + sum(known["requests"] for known in sums),
        "failed": len(bad),
        "again": sum(1 for line in requests if line.get("again")) + sum(known["again"] for known in sums),
        "failures": bad[-_KEEP:],
        "p50_ms": _percentile(latencies, 0.50),
        "p99_ms": _percentile(latencies, 0.99),
        "max_ms": max([*latencies[-1:], *(known["max_ms"] for known in sums)], default=None),
        "gaps": sorted(gaps, key=lambda gap: gap["ms"], reverse=True)[:_KEEP],
        "longest_write_gap_ms": max((gap["ms"] for gap in write_gaps), default=None),
        "workers": {name: _worker(name, requests, sums) for name in sorted(names)},
        "sides": _sides(good, sums),
    }


def served_by_after(lines: t.Sequence[Line], side: str, moment: float) -> int | None:
    """Answers of ``side`` that arrived after ``moment`` (unix time), whatever their status, also those sent before it and held.

    None when no answer at all named a side: then nobody can tell.
    """
    if not any(line.get("side") for line in lines):
        return None
    return sum(1 for line in lines if line.get("side") == side and ended(line) > moment)


def series(lines: t.Sequence[Line], since: float = 0.0) -> list[dict[str, t.Any]]:
    """One entry per second in which an answer arrived: ok, failed, longest latency, answers by side. Sorted by time."""
    buckets: dict[int, dict[str, t.Any]] = {}
    for line in lines:
        if "worker" not in line or line["t"] < since:
            continue
        second = int(ended(line))
        bucket = buckets.setdefault(second, {"t": second, "ok": 0, "failed": 0, "max_ms": 0.0, "sides": {}})
        bucket["ok" if line["ok"] else "failed"] += 1
        bucket["max_ms"] = max(bucket["max_ms"], line["ms"])
        if line["side"]:
            bucket["sides"][line["side"]] = bucket["sides"].get(line["side"], 0) + 1
    return [buckets[second] for second in sorted(buckets)]


def _worker(name: str, lines: t.Sequence[Line], sums: t.Sequence[Line]) -> dict[str, t.Any]:
    requests = [line for line in lines if line["worker"] == name]
    known = [entry for entry in sums if entry["worker"] == name]
    return {
        "requests": len(requests) + sum(entry["requests"] for entry in known),
        "failed": sum(1 for line in requests if not line["ok"]),
        "max_ms": max([line["ms"] for line in requests] + [entry["max_ms"] for entry in known], default=None),
        "last": max([ended(line) for line in requests if line["ok"]] + [entry["last"] for entry in known], default=None),
    }


def _sides(good: t.Sequence[Line], sums: t.Sequence[Line]) -> dict[str, t.Any]:
    sides: dict[str, dict[str, t.Any]] = {}
    for name, counted in (pair for known in sums for pair in known["sides"].items()):
        seen = sides.setdefault(name, {"requests": 0, "first": counted["first"], "last": counted["last"]})
        seen["requests"] += counted["requests"]
        seen["first"], seen["last"] = min(seen["first"], counted["first"]), max(seen["last"], counted["last"])
    for line in good:
        if not line["side"]:
            continue
        moment = ended(line)
        seen = sides.setdefault(line["side"], {"requests": 0, "first": moment, "last": moment})
        seen["requests"] += 1
        seen["first"] = min(seen["first"], moment)
        seen["last"] = max(seen["last"], moment)
    return sides


def _gaps(good: t.Sequence[Line], sums: t.Sequence[Line] = (), minimum: float = GAP_MS) -> list[dict[str, t.Any]]:
    """Times longer than ``minimum`` ms without a successful answer, per worker."""
    last: dict[str, float] = {known["worker"]: known["last"] for known in sums}
    gaps = [known["gap"] for known in sums if known["gap"] and known["gap"]["ms"] > minimum]
    for line in sorted(good, key=ended):
        moment = ended(line)
        before = last.get(line["worker"])
        if before is not None and (moment - before) * 1000 > minimum:
            gaps.append({"worker": line["worker"], "from": before, "to": moment, "ms": round((moment - before) * 1000, 1)})
        last[line["worker"]] = moment
    return gaps


def _percentile(ordered: t.Sequence[float], share: float) -> float | None:
    """Nearest rank; None of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
