# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gate passes only on an answer that was seen and is right. Everything here is about the other cases."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.checkers import CHECKERS
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.gates import REQUIRED, Checker, Seen, Tools, run_gates, whole
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._core.wait import Deadline


class Clock:
    def __init__(self):
        self.now = 0.0

    def deadline(self, seconds):
        return Deadline(seconds, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        self.now += seconds


class FakeRunner:
    def __init__(self, rc=0, out="", err="", missing=False):
        self.answer, self.missing, self.calls = Completed(rc, out, err), missing, []

    def __call__(self, argv, *, env=None, stdin=None, timeout=None):
        self.calls.append(list(argv))
        if self.missing:
            raise FleetError("tool_missing", f"{argv[0]} was not found.", remedy=f"Install {argv[0]}.")
        return self.answer


def scripted(*verdicts):
    """A type of check that passes and fails as told; the last verdict stays."""
    left = list(verdicts)

    def check(spec, tools):
        verdict = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(verdict, Exception):
            raise verdict
        return Seen({"seen": verdict}, () if verdict == "good" else (f"{verdict} was seen",))

    return {"fake": Checker(check, {"level": (whole, REQUIRED)}, writes=lambda spec: spec["level"] > 1)}


def run(checks, checkers=None, runner=None, **options):
    return run_gates(checks, checkers or CHECKERS, Tools(runner or FakeRunner()), **options)


def failure_of(*arguments, **options):
    with pytest.raises(FleetError) as failure:
        run(*arguments, **options)
    return failure.value


def fake(**keys):
    return {"name": "one", "type": "fake", "level": 1, **keys}


def test_passed_and_total_come_with_evidence():
    done = run([fake(), fake(name="two")], scripted("good"))
    assert (done["passed"], done["total"], done["planned"]) == (2, 2, [])
    assert done["checks"][1] == {"name": "two", "type": "fake", "ok": True, "evidence": {"seen": "good"}, "findings": [], "seconds": 0.0}


def test_all_failed_checks_are_named_and_all_are_run():
    failure = failure_of([fake(), fake(name="two"), fake(name="three")], scripted("bad", "good", "worse"))
    assert failure.code == "check_failed"
    assert failure.message == "2 of 3 checks failed: one: bad was seen; three: worse was seen."
    assert failure.details["failed"] == ["one", "three"]
    assert (failure.details["passed"], failure.details["total"]) == (1, 3)


@pytest.mark.parametrize(
    "trouble",
    [
        OSError(5, "Input/output error"),
        ValueError("not a number"),
        EOFError(),
        TimeoutError("timed out"),
        FleetError("tool_missing", "no tool"),
    ],
)
def test_a_check_that_could_not_be_run_has_failed(trouble):
    failure = failure_of([fake()], scripted(trouble))
    assert failure.details["checks"][0]["ok"] is False
    assert str(getattr(trouble, "strerror", None) or trouble) in failure.message


def test_a_mistake_of_ours_is_no_failed_gate():
    with pytest.raises(KeyError):
        run([fake()], scripted(KeyError("ours")))


def test_no_checks_prove_nothing():
    assert failure_of([]).code == "invalid_value"


@pytest.mark.parametrize(
    ("checks", "code", "said"),
    [
        ([{"name": "a", "type": "htttp"}], "invalid_value", "checks[0].type: must be one of"),
        (["up"], "invalid_value", "is 'str'"),
        (
            [{"name": "a", "type": "http", "url": "http://x", "stauts": 200}],
            "unknown_key",
            "checks[0].stauts: unknown key. Did you mean status?",
        ),
        ([{"name": "a", "type": "http"}], "invalid_value", "checks[0].url: is missing."),
        ([{"name": "a", "type": "http", "url": None}], "invalid_value", "checks[0].url: is missing."),
        ([{"name": "a", "type": "tcp", "host": "x", "port": "http"}], "invalid_value", "checks[0].port: must be a number."),
        ([{"name": "a", "type": "tcp", "host": "", "port": 1}], "invalid_value", "checks[0].host: must be a text that is not empty."),
        ([{"name": "a", "type": "tcp", "host": "x", "port": True}], "invalid_value", "checks[0].port: must be a number."),
        ([{"name": "a", "type": "tcp", "host": "x", "port": 1, "wait_timeout": -1}], "invalid_value", "must be a number from 0"),
        ([{"name": "a", "type": "tcp", "host": "x", "port": 1, "repeat": 0}], "invalid_value", "must be 1 or more"),
        ([{"name": "a", "type": "unit", "unit": "x", "active": "yes"}], "invalid_value", "must be true or false"),
        ([{"name": "a", "type": "command", "argv": "true"}], "invalid_value", "must be a list of texts"),
        ([{"name": "a", "type": "command", "argv": []}], "invalid_value", "must be a list of texts"),
        ([{"name": "a", "type": "exchange", "url": "http://x", "requests": []}], "invalid_value", "a list of requests"),
        (
            [{"name": "a", "type": "exchange", "url": "http://x", "requests": [{"url": "/", "boddy": 1}]}],
            "invalid_value",
            "Did you mean body?",
        ),
        ([{"name": "a", "type": "tcp", "host": "x", "port": 1}] * 2, "invalid_value", "the name 'a' is given twice"),
    ],
)
def test_mistakes_in_checks_are_found_before_any_is_run(checks, code, said):
    failure = failure_of(checks)
    assert failure.code == code
    assert said in failure.message


def test_all_mistakes_are_said_at_once():
    failure = failure_of([{"name": "a", "type": "tcp", "hots": "x"}, {"name": "b", "type": "nothing"}])
    assert failure.code == "unknown_key"
    for said in ("Did you mean host?", "checks[0].host: is missing", "checks[0].port: is missing", "checks[1].type"):
        assert said in failure.message


def test_waits_until_it_becomes_true_and_not_longer():
    clock = Clock()
    done = run([fake(wait_timeout=10, interval=1)], scripted("bad", "bad", "good"), deadline=clock.deadline)
    assert done["checks"][0]["evidence"] == {"seen": "good", "attempts": 3}
    assert (clock.now, done["checks"][0]["seconds"]) == (2.0, 2.0)


def test_says_at_the_deadline_what_was_seen_last():
    clock = Clock()
    failure = failure_of([fake(wait_timeout=3, interval=2)], scripted("bad", "worse"), deadline=clock.deadline)
    assert "worse was seen" in failure.message
    assert clock.now == 3.0


def test_a_row_with_a_gap_is_no_row():
    clock = Clock()
    failure = failure_of([fake(repeat=3)], scripted("good", "good", "bad", "good"), deadline=clock.deadline)
    assert "bad was seen (time 3 of 3 in a row)" in failure.message
    done = run([fake(repeat=3, wait_timeout=5)], scripted("good", "bad", "good"), deadline=clock.deadline)
    assert done["checks"][0]["evidence"]["in_a_row"] == 3


def test_check_mode_plans_what_may_write_and_runs_the_rest():
    checks = [fake(), fake(name="two", level=2)]
    done = run(checks, scripted("good"), check_mode=True)
    assert (done["passed"], done["total"], done["planned"]) == (1, 2, ["two"])
    assert done["checks"][1]["ok"] is None
    assert run(checks, scripted("good"))["passed"] == 2


@pytest.mark.parametrize(
    ("check", "writes"),
    [
        ({"type": "http", "url": "http://x", "method": "GET"}, False),
        ({"type": "http", "url": "http://x", "method": "POST"}, True),
        ({"type": "exchange", "url": "http://x", "requests": [{"url": "/"}]}, False),
        ({"type": "exchange", "url": "http://x", "requests": [{"url": "/"}, {"url": "/", "method": "DELETE"}]}, True),
        ({"type": "command", "argv": ["true"]}, True),
        ({"type": "command", "argv": ["true"], "read_only": True}, False),
        ({"type": "tcp", "host": "127.0.0.1", "port": 1}, False),
        ({"type": "unit", "unit": "x.service"}, False),
        ({"type": "postgres", "host": "/nowhere", "dbname": "x", "user": "x"}, False),
    ],
)
def test_what_counts_as_writing(check, writes, monkeypatch):
    quiet = {name: Checker(lambda spec, tools: Seen({}), checker.keys, checker.writes) for name, checker in CHECKERS.items()}
    assert run([{"name": "a", **check}], quiet, check_mode=True)["planned"] == (["a"] if writes else [])


UNIT = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "NRestarts": "0"}


@pytest.mark.parametrize(
    ("shown", "wanted", "said"),
    [
        ({}, {}, None),
        ({"ActiveState": "failed"}, {}, "ActiveState is 'failed'"),
        ({"ActiveState": "activating"}, {}, "ActiveState is 'activating'"),
        ({"UnitFileState": "disabled"}, {}, "UnitFileState is 'disabled'"),
        ({"UnitFileState": ""}, {"enabled": False}, "UnitFileState is ''"),
        ({"NRestarts": "2"}, {}, "restarted it 2 times"),
        ({"NRestarts": "2"}, {"restarts": 2}, None),
        ({"NRestarts": "2"}, {"restarts": None}, None),
        ({"NRestarts": ""}, {}, "an unknown number of"),
        (
            {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": "", "NRestarts": "0"},
            {"active": False, "enabled": None},
            "LoadState",
        ),
        ({"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"}, {"active": False, "enabled": False}, None),
        ({"ActiveState": "active"}, {"active": False}, "'inactive' is wanted"),
    ],
)
def test_unit(shown, wanted, said):
    runner = FakeRunner(out="".join(f"{key}={value}\n" for key, value in {**UNIT, **shown}.items()))
    check = {"name": "unit", "type": "unit", "unit": "hub.service", **wanted}
    if said is None:
        assert run([check], runner=runner)["passed"] == 1
    else:
        assert said in failure_of([check], runner=runner).message
    assert runner.calls[0][-1] == "hub.service"


@pytest.mark.parametrize("runner", [FakeRunner(), FakeRunner(rc=1, err="no bus"), FakeRunner(missing=True), FakeRunner(out="gibberish\n")])
def test_unit_without_an_answer_has_failed(runner):
    assert failure_of([{"name": "unit", "type": "unit", "unit": "hub.service"}], runner=runner).code == "check_failed"


@pytest.mark.parametrize(
    ("runner", "wanted", "said"),
    [
        (FakeRunner(out="ready\n"), {"stdout_contains": "ready"}, None),
        (FakeRunner(rc=3), {"rc": 3}, None),
        (FakeRunner(rc=1, err="boom"), {}, "ended with 1, 0 is wanted: 'boom'"),
        (FakeRunner(rc=124), {"timeout": 7}, "tool did not end within 7 s"),
        (FakeRunner(), {"stdout_contains": "ready"}, "its output lacks 'ready'"),
        (FakeRunner(missing=True), {}, "tool_missing: tool was not found (Install tool.)"),
    ],
)
def test_command(runner, wanted, said):
    check = {"name": "tool", "type": "command", "argv": ["tool", "--now"], **wanted}
    if said is None:
        assert run([check], runner=runner)["passed"] == 1
    else:
        assert said in failure_of([check], runner=runner).message


def test_postgres_without_its_library_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    failure = failure_of([{"name": "db", "type": "postgres", "host": "127.0.0.1", "dbname": "hub", "user": "hub"}])
    assert "python3-psycopg" in failure.message


def test_a_failed_check_says_where_it_asked():
    def nobody(spec, tools):
        raise ConnectionRefusedError(111, "Connection refused")

    checkers = {name: Checker(nobody, CHECKERS[name].keys) for name in ("http", "tcp")}
    checks = [
        {"name": "up", "type": "http", "url": "https://hub.example/up", "connect_to": "192.0.2.1"},
        {"name": "door", "type": "tcp", "host": "127.0.0.1", "port": 3000},
    ]
    failure = failure_of(checks, checkers)
    assert "up (https://hub.example/up through 192.0.2.1): ConnectionRefusedError" in failure.message
    assert "door (127.0.0.1:3000): ConnectionRefusedError" in failure.message


def test_a_failed_check_shows_the_last_words_of_its_unit():
    log = "hub-m-web.service: Started\n\nlistening\n" + "".join(f"line {n}\n" for n in range(6)) + "x" * 5000 + "\n"
    runner = FakeRunner(out=log)
    failure = failure_of([fake(log_of="hub-m-web.service")], scripted("bad"), runner)
    assert "one: bad was seen, last log lines of hub-m-web.service: line 2 | line 3 | line 4 | line 5 | xxx" in failure.message
    assert len(failure.message) < 600 and "Started" not in failure.message
    assert failure.details["checks"][0]["evidence"]["log"][:2] == ["hub-m-web.service: Started", "listening"]
    assert "--unit=hub-m-web.service" in runner.calls[0]
    for silent in (FakeRunner(missing=True), FakeRunner(rc=1, out="x")):
        assert "last log lines of u.service: none" in failure_of([fake(log_of="u.service")], scripted("bad"), silent).message
    assert run([fake(log_of="u.service")], scripted("good"), runner)["passed"] == 1 and len(runner.calls) == 1
