# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the bench of the store counts as a heartbeat, and its page."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing

SPEC = importlib.util.spec_from_file_location("bowline_bench_store", Path(__file__).parents[2] / "bench" / "store.py")
bench = importlib.util.module_from_spec(SPEC)
sys.modules["bowline_bench_store"] = bench
SPEC.loader.exec_module(bench)


def test_a_heartbeat_is_the_latest_row_and_the_count_and_largest_gap_of_its_hour(tmp_path):
    database = open_for_writing(tmp_path / "store.db")
    database.join("_bench", bench.HEARTBEAT)
    with database.transaction() as transaction:
        for at in (7200.0, 7230.0, 7320.0, 7350.0, 10_801.0):
            bench.beat(transaction, "a", at)
        bench.beat(transaction, "b", 7200.0)
        assert [(row["instance"], row["at"]) for row in transaction.execute("SELECT * FROM heartbeat ORDER BY instance")] == [("a", 10_801.0), ("b", 7200.0)]
        hours = transaction.execute("SELECT hour, seen, largest_gap FROM heartbeat_hour WHERE instance = 'a' ORDER BY hour")
    assert [tuple(row.values()) for row in hours] == [(2, 4, 90.0), (3, 1, 3451.0)]
    database.close()


def test_the_page_has_the_medians_and_their_ratio_to_a_file():
    calls = {"own sqlite": {"cold": [0.04, 0.02, 0.03], "cpu": [0.03], "warm": [0.001]}, "library sqlite": {"cold": [0.3], "cpu": [0.3], "warm": [0.002]}}
    lines = bench.report(calls, {"sqlite": {"each": 333.4, "sweep": 33333.4}}, {"sqlite": 0.0071}, 10)
    assert "| library sqlite | 300.0 | 10.00 | 300.0 | 10.00 | 2.0 | 2.00 |" in lines
    assert "| sqlite | 333 | 10.0 | 33333 | 1000 |" in lines and lines[-1] == "| sqlite | 7 |"
