# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gate that looks several times: what it takes to fail, to know nothing, and to pass."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.checkers import CHECKERS
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.gates import Checker, NoData, Seen, Tools
from ansible_collections.bowline.fleet.plugins.module_utils._core.samples import gate_findings, run_gate
from ansible_collections.bowline.fleet.plugins.module_utils._core.wait import Deadline

WORDS = {"+": Seen({"value": 1}), "-": Seen({"value": 0}, ("too low",)), "0": NoData("3 samples"), "!": OSError(111, "refused"),
         "?": FleetError("tool_missing", "no")}


class Clock:
    def __init__(self):
        self.now, self.beats = 0.0, 0

    def deadline(self, seconds):
        return Deadline(seconds, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        self.now += max(seconds, 0.001)

    def beat(self):
        self.beats += 1


def run(script, source=True, **keys):
    """A gate over a source that answers as ``script`` says; what it says last stays."""
    left = list(script)

    def check(spec, tools):
        word = WORDS[left.pop(0) if len(left) > 1 else left[0]]
        if isinstance(word, Exception):
            raise word
        return word

    checkers, clock = {"fake": Checker(check, {}, source=source)}, Clock()
    (gate,), said = gate_findings("gates", [{"name": "it", "type": "fake", **keys}], checkers)
    assert said == []
    return run_gate(gate, checkers, Tools(None), deadline=clock.deadline, beat=clock.beat), clock


@pytest.mark.parametrize(
    ("script", "keys", "verdict", "samples"),
    [
        ("+", {}, "passed", 3), ("+", {"count": 1}, "passed", 1), ("++-", {}, "failed", 3), ("-", {}, "failed", 1),
        ("-+", {"failure_limit": 1}, "passed", 3), ("-+-", {"failure_limit": 1}, "failed", 3),
        pytest.param("!!!!+", {}, "passed", 7, id="a source that was away for a moment has said nothing"),
        pytest.param("!", {}, "error", 5, id="five times in a row is more than four"),
        pytest.param("!", {"error_limit": 0}, "error", 1, id="no patience"),
        pytest.param("!!+!!+!!+", {"error_limit": 2}, "passed", 9, id="never three in a row"),
        pytest.param("?", {}, "error", 5, id="a tool that is missing is an error of the source"),
        pytest.param("0", {}, "failed", 1, id="no data is a failure"),
        pytest.param("0", {"on_no_data": "inconclusive"}, "inconclusive", 3, id="unless it is said to be neither"),
        pytest.param("+0+", {"on_no_data": "inconclusive"}, "inconclusive", 3, id="once is enough not to know"),
        pytest.param("0-", {"on_no_data": "inconclusive"}, "failed", 2, id="a failure is a failure"),
    ],
)
def test_verdict(script, keys, verdict, samples):
    judged, clock = run(script, **keys)
    assert (judged.verdict, len(judged.samples)) == (verdict, samples)
    assert clock.beats >= samples and judged.reason
    assert [sample["verdict"] for sample in judged.as_data()["samples"]] == [sample.verdict for sample in judged.samples]


def test_who_asks_the_subject_itself_takes_silence_for_a_failure():
    assert run("!", source=False)[0].verdict == "failed"


def test_it_waits_as_told():
    judged, clock = run("+", initial_delay=30, interval=7)
    assert [round(sample.at) for sample in judged.samples] == [30, 37, 44]
    assert clock.beats > 9


def test_whoever_beats_may_end_it():
    def gone():
        raise FleetError("lease_lost", "gone")

    with pytest.raises(FleetError, match="gone"):
        run_gate(gate_findings("gates", [{"name": "a", "type": "tcp", "host": "x", "port": 1}], CHECKERS)[0][0], CHECKERS, Tools(None), beat=gone)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"type": "prometheus", "name": "a", "url": "http://x", "query": "up", "maximum": 3}, "gates[0].maximum: unknown key. Did you mean max?"),
        ({"type": "prometheus", "name": "a", "url": "localhost:9090", "query": "up"}, "gates[0].url: must be the http or https address"),
        ({"type": "prometheus", "name": "a", "url": "http://x", "query": "up", "compare_to": "latest"}, "gates[0].compare_to: must be stable"),
        ({"type": "nagios", "name": "a"}, "gates[0].type: must be one of"),
        ({"type": "tcp", "name": "a", "host": "x", "port": 1, "when": "before"}, "gates[0].when: must be one of pre, wave, preview, step, post."),
        ({"type": "tcp", "name": "a", "host": "x", "port": 1, "count": 0}, "gates[0].count: must be 1 or more."),
        ({"type": "tcp", "name": "a", "host": "x", "port": 1, "wave": 2}, "gates[0].wave: is for gates with when: wave."),
        ({"type": "http", "name": "a", "url": "http://x", "jmespath": "a ==="}, "gates[0].jmespath: must be a JMESPath expression"),
        ({"type": "tcp", "name": "a", "host": "x", "port": 1, "on_no_data": "pass"}, "gates[0].on_no_data: must be one of fail, inconclusive."),
        ("tcp", "gates[0].type: must be one of"),
    ],
)
def test_what_is_wrong_with_a_gate(gate, said):
    assert any(sentence.startswith(said) for sentence in gate_findings("gates", [gate], CHECKERS)[1])


def test_all_of_it_at_once():
    wrong = [{"type": "tcp", "name": "a", "host": "x"}, {"type": "none"}, {"type": "tcp", "name": "a", "host": "x", "port": 1}]
    said = gate_findings("gates", wrong, CHECKERS)[1]
    assert len(said) == 3 and "gates: the name 'a' is given twice." in said
