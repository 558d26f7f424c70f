# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of bench-nodes: medians, and their ratio to ping."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.bowline.fleet.tests.loading import load

bench = load(Path(__file__).parents[2] / "bench" / "nodes.py", "bowline_bench_nodes")


def test_the_page_has_the_medians_and_their_ratio_to_ping():
    lines = bench.report({"ping": [2.0, 9.0, 1.0], "node_instance": [3.0, 2.5, 50.0]}, 50, 10)
    assert lines[0].startswith("50 nodes of a recorder") and "3 rounds" in lines[0]
    assert lines[-2:] == ["| ping | 2.00 | 1.00 | 9.00 | 1.00 |", "| node_instance | 3.00 | 2.50 | 50.00 | 1.50 |"]


def test_what_is_promised():
    assert bench.missed({"ping": [2.0], "node_instance": [4.0]}) is False
    assert bench.missed({"ping": [2.0], "node_instance": [4.1]}) is True
