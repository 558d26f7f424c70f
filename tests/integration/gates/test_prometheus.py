# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus measured, asked of a real one (Debian's 2.42), and expressions over a JSON body."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.checkers import CHECKERS
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.gates import Tools, run_gates
from ansible_collections.bowline.fleet.plugins.module_utils._core.samples import gate_findings, run_gate

TOOLS = Tools(lambda *_arguments, **_options: None)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A Prometheus that measures nothing: its language has constants of every kind."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "prometheus.yml").write_text("global: {}\n", encoding="utf-8")
    argv = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def judged(url, query, **keys):
    (gate,), said = gate_findings("gates", [{"name": "it", "type": "prometheus", "url": url, "query": query, "count": 1, "error_limit": 0, **keys}], CHECKERS)
    assert said == []
    return run_gate(gate, CHECKERS, TOOLS)


@pytest.mark.parametrize(
    ("query", "keys", "verdict", "said"),
    [
        ("vector(0.5)", {"max": 0.5}, "passed", ""),
        ("scalar(vector(3))", {"min": 3, "max": 3}, "passed", ""),
        ("vector(-1)", {"min": -2}, "passed", ""),
        ("vector(0.06)", {"max": 0.05}, "failed", "0.06 was seen, at most 0.05 is wanted"),
        ("vector(0.9)", {"min": 1}, "failed", "0.9 was seen, at least 1 is wanted"),
        ('up{job="none"}', {"max": 1}, "failed", "no series answers"),
        ("vector(0) / vector(0)", {"max": 1}, "failed", "is NaN: nothing was measured"),
        ('up{job="none"}', {"max": 1, "on_no_data": "inconclusive"}, "inconclusive", "no series answers"),
        ("vector(0.01)", {"max": 1, "samples_query": "vector(19)"}, "failed", "19 samples, at least 20 are wanted"),
        ("vector(0.01)", {"max": 1, "samples_query": "vector(20)"}, "passed", ""),
        ('label_replace(vector(1), "a", "b", "", "") or vector(2)', {"max": 9}, "error", "2 series answer"),
        ("rate(", {"max": 1}, "error", "parse error"),
        ("vector(1)", {}, "error", "min, max or compare_to is missing"),
        ("vector(1)", {"compare_to": "stable"}, "error", "needs {track} in the query"),
    ],
)
def test_a_number_within_bounds(prometheus, query, keys, verdict, said):
    found = judged(prometheus, query, **keys)
    assert found.verdict == verdict and said in found.reason, found


@pytest.mark.parametrize(("ratio", "verdict"), [(2.0, "passed"), (1.9, "failed")])
def test_beside_the_stable_version(prometheus, ratio, verdict):
    """`canary` has 6 letters and answers 2, `stable` 1: what stands for {track} decides."""
    query = 'sum(label_replace(vector(2), "t", "canary", "", "") * on(t) label_replace(vector(1), "t", "{track}", "", "")) or vector(1)'
    found = judged(prometheus, query, compare_to="stable", max_ratio=ratio)
    assert (found.verdict, found.samples[0].evidence["value"], found.samples[0].evidence["stable"]) == (verdict, 2.0, 1.0)


def test_a_prometheus_that_is_not_there_is_an_error_and_for_a_plain_check_a_failure(prometheus):
    nobody = f"http://127.0.0.1:{free_port()}"
    assert judged(nobody, "vector(1)", max=1).verdict == "error"
    with pytest.raises(FleetError, match="Connection refused"):
        run_gates([{"name": "it", "type": "prometheus", "url": nobody, "query": "vector(1)", "max": 1}], CHECKERS, TOOLS)
    assert run_gates([{"name": "it", "type": "prometheus", "url": prometheus, "query": "vector(1)", "max": 1}], CHECKERS, TOOLS)["passed"] == 1


@pytest.mark.parametrize(
    ("path", "expression", "said"),
    [
        ("/up", "status == 'ok' && checks.lag < `10`", None),
        ("/up", "checks.lag > `10`", "gives false, true is wanted"),
        ("/up", "checks.lagg < `10`", "gives null, true is wanted"),
        ("/up", "status", 'gives "ok", true is wanted'),
        ("/up", "abs(status)", "cannot be asked of this body"),
        ("/", "status", "is no JSON"),
    ],
)
def test_an_expression_over_the_body(servers, path, expression, said):
    check = {"name": "it", "type": "http", "url": f"http://127.0.0.1:{servers['http']}{path}", "jmespath": expression}
    if said is None:
        assert run_gates([check], CHECKERS, TOOLS)["passed"] == 1
        return
    with pytest.raises(FleetError) as failure:
        run_gates([check], CHECKERS, TOOLS)
    assert said in failure.value.message
