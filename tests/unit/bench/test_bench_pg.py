# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make bench-pg` makes of its samples: ratios, targets, the table, the forecast, the exit code. No server."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = str(Path(__file__).resolve().parents[2] / "bench")


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, BENCH)
    yield importlib.import_module("pg")
    sys.path.remove(BENCH)


@pytest.fixture
def samples(bench):
    """``samples("logical", "cutover", "164M", 0.2, 0.1)`` is one sample for each pause; every client waits twice the database pause."""
    def make(way, direction, scale, *pauses):
        own = {} if way == "runbook" else {"wait": 0.2, "window_ms": 110.0, "database_ms": 100.0}
        return [bench.Sample(way, direction, scale, pause, **own) for pause in pauses]

    return make


def ratio(found, what, way="logical", scale="164M", direction="cutover"):
    return next(ratio for ratio in found if ratio.what.startswith(what) and (ratio.way, ratio.scale, ratio.direction) == (way, scale, direction))


@pytest.mark.parametrize(("scale", "ours", "limit", "met"), [
    ("20M", 9.0, None, None),
    ("163M", 9.0, None, None),
    ("164M", 0.5, 1 / 20, True),
    ("164M", 0.51, 1 / 20, False),
    ("788M", 0.5, 1 / 20, True),
    ("789M", 0.1, 1 / 100, True),
    ("789M", 0.11, 1 / 100, False),
    ("1600M", 0.11, 1 / 100, False),
])
def test_the_pause_is_judged_against_the_runbooks_of_the_same_size(bench, samples, scale, ours, limit, met):
    found = bench.ratios(samples("runbook", "cutover", scale, 10.0) + samples("logical", "cutover", scale, ours))
    pause = ratio(found, "pause / runbook's", scale=scale)
    assert (pause.limit, pause.met) == (limit, met)
    assert pause.value == pytest.approx(ours / 10)


def test_it_is_the_median_that_counts_and_each_direction_for_itself(bench, samples):
    found = bench.ratios([
        *samples("runbook", "cutover", "164M", 9, 10, 11, 10, 400),
        *samples("physical", "cutover", "164M", 0.1, 0.2, 0.3, 0.2, 5.0), *samples("physical", "rollback", "164M", 1, 1, 1, 1, 0.1)])
    assert ratio(found, "pause / runbook's", "physical").value == pytest.approx(0.02)
    assert ratio(found, "pause / runbook's", "physical", direction="rollback").met is False


def test_a_dump_is_only_reported_and_its_clients_are_judged(bench, samples):
    ours = samples("dump", "cutover", "164M", 9) + samples("dump", "rollback", "164M", 9)
    found = bench.ratios(samples("runbook", "cutover", "164M", 10) + ours)
    assert [(one.direction, one.met) for one in found if one.what.startswith("pause")] == [("cutover", None), ("rollback", None)]
    assert [one.met for one in found if one.what.startswith("longest")] == [True, True]


@pytest.mark.parametrize(("scales", "way", "large", "met"), [
    (("164M", "1600M"), "logical", 0.15, True),
    (("164M", "1600M"), "logical", 0.16, False),
    (("164M", "1600M"), "dump", 9.0, None),
    (("164M", "1600M"), "runbook", 9.0, None),
    (("20M", "1600M"), "logical", 9.0, None),
    (("164M", "789M"), "logical", 9.0, None),
])
def test_growth_is_judged_from_the_smallest_size_to_the_largest(bench, samples, scales, way, large, met):
    found = bench.ratios(samples(way, "cutover", scales[0], 0.1) + samples(way, "cutover", scales[1], large))
    grown = ratio(found, f"pause / pause at {scales[0]}", way, scale=scales[1])
    assert (grown.met, grown.value) == (met, pytest.approx(large * 10))


def test_a_client_may_wait_three_database_pauses(bench):
    def waits(*seconds):
        return bench.ratios([bench.Sample("logical", "cutover", "164M", 0.2, wait, 120.0, 100.0) for wait in seconds])

    assert ratio(waits(0.1, 0.3, 9.0), "longest wait").met is True
    assert ratio(waits(0.1, 0.31, 9.0), "longest wait").met is False


def test_what_was_not_measured_has_no_ratio(bench, samples):
    found = bench.ratios(samples("logical", "cutover", "164M", 0.2))
    assert [one.what for one in found] == ["longest wait of a client / database pause"]
    assert bench.ratios(samples("runbook", "cutover", "164M", 9.0)) == []
    assert bench.ratios([]) == []


def test_the_table_has_a_row_for_each_figure_and_says_what_was_missed(bench, samples):
    measured = [
        *samples("runbook", "cutover", "164M", 7.0, 8.0, 7.5), *samples("runbook", "cutover", "1600M", 50.0),
        *samples("logical", "cutover", "164M", 0.1, 0.3, 0.2), *samples("logical", "cutover", "1600M", 0.6)]
    assert bench.table(measured, {"164M": 165_200_000, "1600M": 1_601_000_000}) == [
        "| way | | 164M (165 MB) | 1600M (1601 MB) |",
        "|---|---|---|---|",
        "| **runbook, cutover** | pause, s | **7.5 (7.0–8.0)** | **50.0 (50.0–50.0)** |",
        "| **logical, cutover** | pause, s | **0.20 (0.10–0.30)** | **0.60 (0.60–0.60)** |",
        "| logical, cutover | the module's window, s | 0.11 (0.11–0.11) | 0.11 (0.11–0.11) |",
        "| logical, cutover | the module's database pause, s | 0.10 (0.10–0.10) | 0.10 (0.10–0.10) |",
        "| logical, cutover | longest wait of a client, s | 0.20 (0.20–0.20) | 0.20 (0.20–0.20) |",
        "| logical, cutover | pause / runbook's | 1/38 (≤ 1/20: met) | 1/83 (≤ 1/100: **missed**) |",
        "| runbook, cutover | pause / pause at 164M |  | 6.67 |",
        "| logical, cutover | pause / pause at 164M |  | 3.00 (≤ 1.5: **missed**) |",
        "| logical, cutover | longest wait of a client / database pause | 2.00 (≤ 3: met) | 2.00 (≤ 3: met) |",
    ]


def test_the_notes_count_the_switches(bench, samples):
    equal = bench.notes(samples("logical", "cutover", "164M", *[1] * 5) + samples("logical", "rollback", "164M", *[1] * 5))
    assert equal[-1] == "Switches of each figure: 5."
    uneven = bench.notes(samples("logical", "cutover", "1600M", *[1] * 5) + samples("dump", "cutover", "1600M", *[1] * 3))
    assert uneven[-1] == "Switches of each figure: 5; dump cutover 1600M: 3."
    assert bench.notes(samples("logical", "cutover", "164M", 1))[-1] == "Fewer than 5 samples: too few for a judgement."


def test_the_ways_take_turns_and_a_large_dump_has_fewer(bench):
    assert bench.turns(["runbook", "dump"], "164M", 2) == ["runbook", "dump"] * 2
    assert bench.turns(["runbook", "dump"], "1600M", 5) == ["runbook", "dump"] * 3 + ["runbook"] * 2
    assert bench.turns(["dump"], "1600M", 2) == ["dump"] * 2


@pytest.mark.parametrize(("scale", "rows"), [("164M", 126_600), ("789M", 637_000), ("1600M", 1_299_000)])
def test_sizes_are_those_of_the_lab(bench, scale, rows):
    assert bench.documents(scale) == pytest.approx(rows, rel=0.002)


@pytest.mark.parametrize("scale", ["", "164", "M", "9M", "1.6G", "-20M", "20MB"])
def test_what_is_no_size_is_refused(bench, scale):
    with pytest.raises(ValueError, match="is no size"):
        bench.megabytes(scale)


def test_the_forecast_learns_from_what_was_done(bench):
    forecast = bench.Forecast([2.0, 2.0, 4.0, 6.0])
    assert forecast.left == 14.0
    forecast.did(4.0)
    assert forecast.left == 24.0
    forecast.did(2.0)
    assert forecast.left == 15.0
    forecast.did(1.0)
    forecast.did(1.0)
    assert forecast.left == 0


def test_there_is_a_guess_for_every_step_in_the_order_of_the_run(bench):
    ways = list(bench.WAYS)
    assert set(bench.PREPARING) == set(bench.ROUND) == set(ways)
    found = bench.guesses(ways, ["100M", "200M"], 3)
    assert len(found) == 2 * (len(ways) + 3 * len(ways))
    assert found[0] == pytest.approx(bench.PREPARING["runbook"][0] + 100 * bench.PREPARING["runbook"][1])
    assert bench.guesses(["runbook"], ["100M"], 2)[1] == pytest.approx(bench.ROUND["runbook"][0] + 100 * bench.ROUND["runbook"][1])


def staged(bench, name, pause, stopped):
    """A way without servers; ``pause`` may be what is wrong with it."""

    class Staged:
        directions = bench.WAYS[name].directions

        def __init__(self, _pg, scale):
            self.name, self.scale = name, scale
            self.world = self
            self.clusters = (self, self)

        def value(self, _text, dbname):
            return "15.1"

        def stop(self):
            stopped.append(name)

        def prepare(self):
            return 165_000_000

        def switch(self, direction):
            if isinstance(pause, Exception):
                raise pause
            own = {} if name == "runbook" else {"wait": pause, "window_ms": pause * 1000, "database_ms": pause * 1000}
            return bench.Sample(name, direction, self.scale, pause, **own)

    return Staged


@pytest.mark.parametrize(("logical", "code"), [(0.1, 0), (1.0, 1), (AssertionError("lost: 1"), 2)])
def test_the_exit_code_tells_met_missed_and_given_up(bench, monkeypatch, tmp_path, capsys, logical, code):
    stopped = []
    for name, pause in (("runbook", 10.0), ("logical", logical)):
        monkeypatch.setitem(bench.WAYS, name, staged(bench, name, pause, stopped))
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "OUT", tmp_path / "build" / "bench")
    monkeypatch.setattr(bench, "tree", lambda: None)
    monkeypatch.setattr(bench, "room", lambda *_given: None)
    monkeypatch.setattr(bench, "rig", lambda: None)
    monkeypatch.setattr(bench.signal, "signal", lambda *_given: None)
    monkeypatch.setattr(sys, "argv", ["pg.py", "--scales", "164M", "--ways", "logical", "runbook"])
    assert bench.main() == code
    out, err = capsys.readouterr()
    assert sorted(stopped) == ["logical", "runbook"]
    if code == 2:
        assert "lost: 1" in err and not (tmp_path / "build").exists()
        return
    report = json.loads((tmp_path / "build" / "bench" / "pg.json").read_text())
    assert (report["ok"], report["command"]) == (code == 0, "make bench-pg ARGS='--scales 164M --ways logical runbook'")
    assert len(report["samples"]) == 15 and report["database_bytes"] == {"164M": 165_000_000}
    assert ("missed: logical cutover at 164M" in out) == (code == 1)
    assert err.count(" elapsed, about ") == 2 + 15
    assert "[ 15/15] 164M logical rollback: pause" in err


def test_pairs_that_would_fill_the_disk_are_not_begun(bench, monkeypatch):
    usage = bench.shutil.disk_usage("/")
    monkeypatch.setattr(bench.shutil, "disk_usage", lambda _folder: usage._replace(free=7_000_000_000))
    bench.room(["runbook", "logical"], ["20M", "164M"])
    with pytest.raises(RuntimeError, match="8 GB are needed"):
        bench.room(["runbook", "logical"], ["164M", "400M"])


@pytest.fixture
def runbook_way(bench, tmp_path):
    """Starts it with programs that write down how they were called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    calls = tmp_path / "calls"
    for name in ("pg_dump", "pg_restore", "stop-legacy"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {calls}\necho rows\nexit "$(cat {tmp_path}/{name}.code 2>/dev/null || echo 0)"\n')
        (programs / name).chmod(0o755)
    env = {**bench.os.environ, "PATH": f"{programs}{bench.os.pathsep}{bench.os.environ['PATH']}"}

    def run(answer):
        argv = [bench.RUNBOOK, "legacy's", "new's", tmp_path / "dumps", "stop-legacy", "now"]
        done = subprocess.run(argv, env=env, input=answer, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.split(), calls.read_text().splitlines() if calls.exists() else []

    return run


def test_the_runbook_is_followed_to_the_letter(runbook_way, tmp_path):
    code, said, calls = runbook_way("\n")
    assert code == 0
    assert [word for word in said if word != "rows"] == ["services", "dump", "stop", "copy", "restore", "clients"]
    assert calls == ["pg_dump -Fc -d legacy's", "stop-legacy now", f"pg_restore --clean --if-exists -d new's {tmp_path}/dumps/new/cutover-final.dump"]
    assert (tmp_path / "dumps" / "new" / "cutover-final.dump").read_text() == "rows\n"


def test_the_runbook_dumps_nothing_before_the_services_have_stopped(runbook_way):
    assert runbook_way("") == (1, ["services"], [])


def test_clients_do_not_go_to_a_server_that_was_not_restored(runbook_way, tmp_path):
    (tmp_path / "pg_restore.code").write_text("1")
    code, said, _calls = runbook_way("\n")
    assert code == 1 and "clients" not in said


def test_a_bench_finds_the_servers_of_the_tests_by_itself():
    """As `make bench-pg` starts it: no conftest has prepared a path."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    text = "import pg_verify; print(pg_verify.rig().World.__name__)"
    done = subprocess.run([sys.executable, "-c", text], cwd=BENCH, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "World\n"), done.stderr
