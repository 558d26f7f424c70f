# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of bench-swarm: what counts as reported as success, and what misses a target."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("bowline_bench_swarm", Path(__file__).parents[2] / "bench" / "swarm.py")
bench = importlib.util.module_from_spec(SPEC)
sys.modules["bowline_bench_swarm"] = bench
SPEC.loader.exec_module(bench)

more = sys.modules["swarm_more"]

FIRST = next(iter(bench.FAULTS))


def sample(way="ours", what=FIRST, seconds=10.0, code=2, good=False, **more):
    return bench.Sample(way, what, seconds, code, good, **{"restored": True, **more})


def row(samples, name, ways=bench.WAYS):
    return next(one for one in bench.rows(bench.Samples(samples), ways) if one.what.startswith(name))


@pytest.mark.parametrize(("code", "good", "expected"), [(0, False, "1 of 1"), (0, True, "0 of 1"), (2, False, "0 of 1"), (None, False, "0 of 1")])
def test_reported_as_success(code, good, expected):
    assert row([sample(code=code, good=good)], "failed updates reported as success").values["ours"] == expected


def test_only_ours_has_a_target_and_the_others_are_shown():
    found = row([sample(), sample("cli", code=0), sample("community", code=0)], "failed updates reported as success")
    assert found.values == {"ours": "0 of 1", "cli": "1 of 1", "community": "1 of 1"}
    assert found.met is True


@pytest.mark.parametrize(("ours", "met"), [(14.9, True), (15.1, False)])
def test_no_op_over_the_other_module(ours, met):
    assert row([sample(what="no-op", seconds=ours), sample("community", "no-op", 10.0)], "no-op run").met is met


def test_what_was_not_measured_meets_nothing():
    found = row([sample("cli")], "no-op run")
    assert found.ratio is None and found.met is False
    assert "NO" in bench.markdown([found], bench.WAYS, "a machine")


def test_details_of_a_failure_are_read_from_what_ansible_prints():
    said = 'localhost | FAILED! => {"failure": {"code": "crash_loop", "details": {"rollback_duration_s": 4.5}}}\nmore'
    assert bench._failure(said) == {"rollback_duration_s": 4.5}
    assert bench._failure("no JSON") == {}


def test_failed_requests_of_a_drain_are_those_of_all_managers():
    drained, quorum = more.of_drains({"ours": [0, 0, 0], "cli": [3, 0, 9]}, {"ours": 400, "cli": 410}, [])
    assert (drained.values, drained.met) == ({"ours": "0 + 0 + 0 of 400", "cli": "3 + 0 + 9 of 410"}, True) and quorum.met is True
    drained, quorum = more.of_drains({"ours": [0, 1, 0], "cli": []}, {"ours": 1, "cli": 0}, ["m1: no leader"])
    assert (drained.met, quorum.met) == (False, False)
    assert more.of_drains({"ours": [], "cli": []}, {"ours": 0, "cli": 0}, [])[0].met is False


@pytest.mark.parametrize(("seconds", "met"), [([11.0, 12.9, 40.0], True), ([13.1], False), ([], False)])
def test_a_takeover_over_the_ttl_of_the_lock(seconds, met):
    assert more.of_takeovers(seconds).met is met


@pytest.mark.parametrize(
    ("report", "shown", "met"),
    [
        ('<testsuites><testsuite tests="4" failures="0" errors="0" skipped="1"/></testsuites>', "0 of 3", True),
        ('<testsuites><testsuite tests="4" failures="1" errors="1" skipped="0"/></testsuites>', "2 of 4", False),
        ('<testsuites><testsuite tests="2" failures="0" errors="0" skipped="2"/></testsuites>', "not run", False),
        ("", "not run", False),
    ],
)
def test_what_tests_count(report, shown, met):
    found = more.of_report("x", report)
    assert (found.values["ours"], found.met) == (shown, met)


def test_the_tests_that_count_exist():
    files = {name.partition("::")[0] for names in more.COUNTED.values() for name in names}
    assert [name for name in files if not (more.TESTS / name).is_file()] == []
