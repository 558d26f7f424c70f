# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures of the probe, from lines made by hand."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import prober
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.lines import parse, series, served_by_after, summary
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.prober import Lines, folded
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.probe import _plan


def line(sent, ms=10.0, worker="dns", side="legacy", status=200, ok=None, **more):
    return {"t": sent, "ms": ms, "worker": worker, "side": side, "status": status, "ok": status in (200, 201) if ok is None else ok, **more}


def test_figures_of_nothing_are_none_and_not_zero_latency():
    seen = summary([])
    assert (seen["requests"], seen["failed"]) == (0, 0)
    assert {seen[name] for name in ("p50_ms", "p99_ms", "max_ms", "longest_write_gap_ms")} == {None}


def test_failures_count_and_have_no_latency():
    lines = [line(1.0), line(1.05, ms=35000.0, status=None, side=None, error="timeout"), line(1.1, ms=30.0), {"t": 1.2, "beat": True}]
    seen = summary(lines)
    assert (seen["requests"], seen["failed"], seen["max_ms"]) == (3, 1, 30.0)
    assert seen["failures"] == [lines[1]]
    assert summary(lines, since=1.06)["requests"] == 1


def test_gaps_are_between_successes_of_one_worker():
    lines = [line(0.0), line(0.05, worker="pinned"), line(0.1, status=503), line(0.3), line(0.31), line(0.35, worker="pinned", ms=400.0)]
    gaps = summary(lines)["gaps"]
    assert [(gap["worker"], gap["ms"]) for gap in gaps] == [("pinned", 690.0), ("dns", 300.0)]


def test_the_write_gap_is_of_writers_only():
    lines = [line(0.0, worker="writer", key="a"), line(0.2), line(0.05, worker="writer", key="b"), line(9.0)]
    assert summary(lines)["longest_write_gap_ms"] == 50.0


def test_percentiles_are_of_real_requests():
    seen = summary([line(index / 100, ms=float(index + 1)) for index in range(100)])
    assert (seen["p50_ms"], seen["p99_ms"], seen["max_ms"]) == (51.0, 100.0, 100.0)


def test_an_answer_counts_by_the_moment_it_arrives():
    held_then_old = line(9.0, ms=1500.0)
    lines = [line(9.9), held_then_old, line(10.1, side="new"), line(10.2, status=503), {"t": 11.0, "beat": True}]
    assert served_by_after(lines, "legacy", 10.0) == 2
    assert served_by_after(lines[:1], "legacy", 10.0) == 0


def test_without_a_header_that_names_the_side_nothing_was_measured():
    assert served_by_after([line(9.9, side=None), line(10.1, side=None)], "legacy", 10.0) is None
    assert served_by_after([line(9.9), line(10.1, side=None)], "legacy", 10.0) == 0


def test_series_has_one_entry_per_second():
    assert series([line(1.99), line(1.0), line(1.5, status=500, side="new", ms=100.0)]) == [
        {"t": 1, "ok": 1, "failed": 1, "max_ms": 100.0, "sides": {"legacy": 1, "new": 1}},
        {"t": 2, "ok": 1, "failed": 0, "max_ms": 10.0, "sides": {"legacy": 1}},
    ]


def test_a_line_cut_off_by_a_kill_is_left_out():
    text = json.dumps(line(1.0)) + "\n" + json.dumps(line(2.0))[:20]
    assert parse(text) == [line(1.0)]


def test_sides_are_told_with_first_and_last():
    seen = summary([line(1.0), line(2.0), line(3.0, side="new")])["sides"]
    assert seen["legacy"] == {"requests": 2, "first": 1.01, "last": 2.01}
    assert seen["new"]["requests"] == 1


def test_dns_answers_are_read_with_the_shortest_ttl_of_a_chain():
    question = b"\x03hub\x07example\x00\x00\x01\x00\x01"
    alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0c"
    address = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x0a"
    header = b"\x00\x07\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00"
    assert prober._first_address(header + question + alias + address, 7) == ("192.0.2.10", 5.0)


def test_wrong_dns_answers_are_errors():
    question = b"\x03hub\x00\x00\x01\x00\x01"
    for header in (b"\x00\x07\x81\x83", b"\x00\x08\x81\x80", b"\x00\x07\x81\x80"):
        with pytest.raises(OSError):
            prober._first_address(header + b"\x00\x01\x00\x00\x00\x00\x00\x00" + question, 7)


def test_probe_plan():
    config = {"url": "https://hub.example.com"}
    cases = [
        ((False, None, config, False), ["start"]),
        ((True, config, config, True), []),
        ((True, config, config, False), ["restart"]),
        ((True, {"url": "other"}, config, True), ["restart"]),
        ((True, config, None, True), ["stop"]),
        ((False, config, None, False), []),
    ]
    for case, actions in cases:
        assert [step.action for step in _plan(*case)] == actions, case


def test_old_answers_that_were_summed_up_give_the_same_figures():
    """But for median and percentile, which are of the lines that are left. A failed request is never summed up."""
    lines = [{**line(index / 10, ms=float(index % 7)), "worker": f"w{index % 2}", **({"key": "k"} if index % 2 else {})} for index in range(60)]
    lines[20]["again"] = True
    lines[30] = {**lines[30], "ok": False, "status": 503}
    lines[40]["ms"] = 900.0
    # As the probe writes them: when they are answered.
    lines.sort(key=lambda entry: entry["t"] + entry["ms"] / 1000)
    whole, once = summary(lines), folded(lines, 3.0)
    twice = folded(once, 5.0)
    assert len(twice) < len(once) < len(lines)
    for kept in (once, twice):
        seen = summary(kept)
        same = ("requests", "failed", "again", "failures", "max_ms", "longest_write_gap_ms", "workers", "sides")
        assert {name: seen[name] for name in same} == {name: whole[name] for name in same}
        assert seen["gaps"][0] == whole["gaps"][0]
    assert sum(1 for entry in twice if "sum" in entry) == 2 and [entry["status"] for entry in twice if entry.get("ok") is False] == [503]


def test_the_file_of_lines_stays_small(tmp_path):
    file = Lines(str(tmp_path / "lines"), keep=0.0, limit=4000)
    for index in range(200):
        file.write(line(float(index)))
    file.close()
    text = (tmp_path / "lines").read_text()
    assert len(text) < 9000 and summary(parse(text))["requests"] == 200
