# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page, the log, the incident and the result: complete for a good run, honest for a failed, a killed and an empty one."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.finding import Finding
from ansible_collections.bowline.fleet.plugins.module_utils._core.report.data import duration, operation_result, outcome_of, read
from ansible_collections.bowline.fleet.plugins.module_utils._core.report.figures import axis_step
from ansible_collections.bowline.fleet.plugins.module_utils._core.report.lines import brief, failure_lines, heartbeat_line, plan_lines, step_line
from ansible_collections.bowline.fleet.plugins.module_utils._core.report.page import report_html
from ansible_collections.bowline.fleet.plugins.module_utils._core.report.text import cutover_log, incident

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs" / "result.schema.json").read_text(encoding="utf-8"))
AT = "2026-11-21T10:00:{:06.3f}Z"
VOID = {"br", "meta", "link", "img", "hr", "input"}


def step(key, status, begins=None, ends=None, changed=False, said=None, failure=None):
    return {
        "id": key,
        "name": f"name of {key}",
        "position": 1,
        "status": status,
        "changed": changed,
        "seconds": ends - begins if ends is not None else None,
        "expected_seconds": 2.0,
        "started_at": AT.format(begins) if begins is not None else None,
        "ended_at": AT.format(ends) if ends is not None else None,
        "evidence": {"localhost": said or {}},
        "bookmark": {"localhost": {"dns": {"previous": "old"}}} if changed else {},
        "failure": failure,
    }


def operation(ended=30.0, outcome="succeeded", kind="cutover"):
    return {
        "id": "20261121T100000Z-aaaaaa",
        "kind": kind,
        "subjects": ["cutover/hub-1"],
        "actor": "ann",
        "host": "ops",
        "started_at": AT.format(0),
        "ended_at": AT.format(ended) if ended is not None else None,
        "outcome": outcome,
        "events": [{"at": AT.format(0), "kind": "opened", "data": {}}],
    }


SERIES = [{"t": 1795255200 + n, "ok": 20, "failed": 0, "max_ms": 15 + n, "by_side": {"legacy" if n < 10 else "target": 20}} for n in range(20)]
GOOD = {
    "operation": operation(),
    "steps": [
        step("C9", "done", 0, 2, True, {"pg_move": {"phase": "armed", "serving": "legacy"}}),
        step("C11", "done", 2, 5, True, {"pg_move": {"phase_before": "armed", "serving": "new"}}),
        step("C13", "done", 5, 7, False, {"pg_move": {"phase": "new", "serving": "new", "window_ms": 187.4, "rollback": {"armed": True}}}),
        step("C16", "done", 7, 8, False, {"traffic_probe": {
            "requests": 400, "failed": 0, "failures": [], "max_ms": 34, "longest_write_gap_ms": 210, "series": SERIES,
        }}),
    ],
}
FAILURE = {"code": "link_auth", "message": "password rejected", "remedy": "correct the passfile", "details": {}}
FAILED = {
    "operation": operation(outcome="failed"),
    "steps": [step("C6", "failed", 0, 3, failure=FAILURE), step("C11", "planned")],
}
KILLED = {"operation": operation(ended=None, outcome=None), "steps": [step("C6", "done", 0, 3, True), step("C11", "started", 3)]}
EMPTY = {"operation": {"id": "x"}}
ALL = [pytest.param(data, id=name) for name, data in (("good", GOOD), ("failed", FAILED), ("killed", KILLED), ("empty", EMPTY))]


class Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loads = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("data", ALL)
def test_the_page_is_whole_and_loads_nothing(data):
    page = report_html(data)
    seen = Balance()
    seen.feed(page)
    assert seen.open == []
    assert not {"script", "link", "img", "iframe", "object"} & set(seen.tags)
    assert seen.loads == [] and "url(" not in page and "@import" not in page
    for figure in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(figure)


def test_a_good_run_shows_its_figures_from_the_journal_alone():
    page = report_html(GOOD)
    for text in ("Cutover of hub-1", "Succeeded", "187 ms", "0 of 400", "armed", "name of C11", "210 ms"):
        assert text in page
    assert page.count('class="side-legacy"') >= 10 and page.count('class="side-new"') >= 10


@pytest.mark.parametrize(("data", "texts"), [
    pytest.param(FAILED, ["link_auth", "password rejected", "correct the passfile", "In step C6", "not run"], id="failed"),
    pytest.param(KILLED, ["Did not end", "did not end", "no end was recorded"], id="killed"),
    pytest.param(EMPTY, ["not read", "not measured", "No step was started", "No probe ran", "No comparison of the rows"], id="empty"),
])
def test_what_is_missing_is_said(data, texts):
    page = report_html(data)
    for text in texts:
        assert text in page
    assert "Both sides are equal" not in page


def test_rows_that_differ_are_shown():
    page = report_html({**GOOD, "pg": {"verify": {"tables": 1, "rows": 2, "equal": False, "mismatches": [{"table": "public.users", "keys": [7]}]}}})
    assert "Both sides differ" in page and "public.users" in page


@pytest.mark.parametrize("render", [report_html, cutover_log, incident, lambda data: str(operation_result(data))])
def test_secrets_and_markup_never_get_through(render):
    data = copy.deepcopy(GOOD)
    data["operation"]["reason"] = "<script>alert(1)</script> password=canary-1"
    data["steps"][0]["name"] = '"><img src=x onerror=alert(1)>'
    data["steps"][0]["evidence"] = {"h": {"pg_move": {"dsn": "postgresql://hub:canary-2@db/hub", "<b>": "</code><script>"}}}
    data["failure"] = {"code": "auth", "message": "token: canary-3 </svg><script>", "remedy": ""}
    text = render(data)
    assert "canary" not in text
    if render is not report_html:
        return
    seen = Balance()
    seen.feed(text)
    assert not {"script", "img", "b-evil"} & set(seen.tags)


def test_the_result_has_the_agreed_keys_and_null_for_what_was_not_measured():
    result = operation_result(GOOD, "/srv/report.html")
    assert result == {
        "schema_version": 1,
        "outcome": "succeeded",
        "kind": "cutover",
        "operation": "20261121T100000Z-aaaaaa",
        "serving": "new",
        "standing": None,
        "phase": "new",
        "window_ms": 187.4,
        "seconds": 30.0,
        "steps": [
            {"id": "C9", "name": "name of C9", "seconds": 2, "changed": True},
            {"id": "C11", "name": "name of C11", "seconds": 3, "changed": True},
            {"id": "C13", "name": "name of C13", "seconds": 2, "changed": False},
            {"id": "C16", "name": "name of C16", "seconds": 1, "changed": False},
        ],
        "planned_steps": ["C9", "C11", "C13", "C16"],
        "probe": {"requests": 400, "failed": 0, "failures": [], "max_ms": 34, "longest_write_gap_ms": 210},
        "served_by_old_after_release": None,
        "rollback": {"armed": True, "seconds_to_200": None},
        "failure": None,
        "report": "/srv/report.html",
    }
    empty = operation_result(EMPTY)
    assert set(empty) == set(result)
    assert (empty["serving"], empty["window_ms"], empty["probe"], empty["rollback"]) == (None, None, None, {"armed": None, "seconds_to_200": None})


@pytest.mark.parametrize("data", ALL)
def test_the_result_is_as_it_is_documented(data):
    """docs/result.schema.json; the results of real runs are held against it in tests/cutover and tests/integration/operation."""
    jsonschema.validate(operation_result(data), SCHEMA)


@pytest.mark.parametrize("wrong", [{"schema_version": 2}, {"serving": "target"}, {"unknown_key": 1}, {"standing": {"said": "x"}}])
def test_a_result_that_is_not_as_documented_is_seen(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**operation_result(GOOD), **wrong}, SCHEMA)


def test_how_it_stands_is_what_the_last_step_saw():
    stands = {"said": "legacy serves. Next: nothing", "serving": "legacy", "held": False, "next": "nothing", "unread": []}
    data = {**GOOD, "steps": [*GOOD["steps"], step("end", "done", 30, 31, said={"rollback": stands})]}
    result = operation_result(data)
    jsonschema.validate(result, SCHEMA)
    assert result["standing"] == {key: stands[key] for key in ("said", "serving", "held", "next")}
    assert result["serving"] == "legacy"


def test_a_failed_request_is_shown_with_its_cause():
    failed = {"t": 1795254005.5, "worker": "late", "address": "10.0.0.2", "side": None, "status": None, "error": "timed out", "ms": 35000.1, "ok": False}
    data = {"operation": operation(), "steps": [step("C16", "done", 7, 8, False, {"traffic_probe": {"requests": 9, "failed": 1, "failures": [failed]}})]}
    assert operation_result(data)["probe"]["failures"] == [failed]
    page = report_html(data)
    assert all(word in page for word in ("Failed at", "late", "10.0.0.2", "timed out", "35000.1"))
    assert "Failed at" not in report_html(GOOD)


def test_check_plans_what_it_went_through():
    data = {"operation": {**operation(), "id": "check"}, "steps": [step("C1", "done", 0, 1), step("C2", "planned")]}
    assert operation_result(data)["planned_steps"] == ["C1"]
    assert operation_result({**data, "operation": operation()})["planned_steps"] == ["C1", "C2"]


def test_a_phase_from_before_the_switch_is_not_the_phase_now():
    data = {"operation": operation(), "steps": GOOD["steps"][:2]}
    assert (read(data).serving, read(data).phase) == ("new", None)


@pytest.mark.parametrize(("steps", "outcome"), [
    pytest.param([step("C1", "done", 0, 1), step("C2", "skipped", 0, 1)], "succeeded", id="all done"),
    pytest.param([step("C1", "done", 0, 1), step("C2", "planned")], "failed", id="a step that did not run"),
    pytest.param([step("C1", "failed", 0, 1, failure=FAILURE)], "failed", id="failed"),
    pytest.param(
        [step("C12", "failed", 0, 1, failure=FAILURE), step("R3", "done", 1, 2, True, {"pg_move": {"serving": "legacy"}})], "rolled_back", id="went back"
    ),
    pytest.param(
        [step("C12", "failed", 0, 1, failure=FAILURE), step("R3", "done", 1, 2, True, {"pg_move": {"serving": "nobody"}})], "failed", id="not arrived"
    ),
])
def test_outcome_of(steps, outcome):
    assert outcome_of({"operation": operation(ended=None, outcome=None), "steps": steps}) == outcome


def test_a_report_about_nothing_is_refused():
    for data in (None, {}, {"operation": None}):
        with pytest.raises(FleetError) as failure:
            report_html(data)
        assert failure.value.code == "evidence_missing"


def test_the_incident_is_readable_under_way_and_complete_at_the_end():
    begun = incident({"operation": operation(ended=None, outcome=None, kind="rollback"), "steps": [step("R1", "started", 0)]})
    assert "under way" in begun and "not measured yet" in begun
    done = incident({"operation": operation(kind="rollback"), "steps": [step("R1", "done", 0, 1, True)], "seconds_to_200": 8.4})
    assert "8.4 s; the objective of 30.0 s was reached" in done and "previous = `old`" in done
    late = incident({"operation": operation(kind="rollback"), "seconds_to_200": 41})
    assert "was missed" in late


def test_the_incident_names_what_was_accepted_by_whom_and_what_is_missing():
    said = {"pg_move": {"accepted": {"accept_loss": {"actor": "ann", "reason": "hub-new burnt"}}, "loss": {"position": "0/5A2F", "tables": []}}}
    said["rollback"] = {"next": "keep clients from hub-new"}
    text = incident({"operation": operation(kind="rollback"), "steps": [step("R3", "done", 0, 1, True, said)]})
    assert "- Accepted: accept_loss, by ann; reason: hub-new burnt" in text
    assert "- Loss, position: `0/5A2F`" in text and "tables" not in text
    assert text.endswith("## Next step\n\nkeep clients from hub-new\n")
    assert "Accepted" not in incident({"operation": operation(kind="rollback")})


HOSTILE = [
    "![x](http://evil.example/x.png)",
    "![x][r]\n\n[r]: http://evil.example/x.png",
    "[click](javascript:alert(1))",
    "[r]: http://evil.example/\n[r]",
    "<http://evil.example/>",
    "<img src=http://evil.example/x.png>",
    "<script>alert(1)</script>",
    "<!-- ",
    "a\n\n    code",
    "a\n# heading\n- list\n1. number\n1) number\n+ plus\n> quote\n---",
    "***bold*** __strong__ _em_ ~~gone~~",
    "# heading",
    "- item",
    "+ item",
    "12. item",
    "12) item",
    "> quote",
    "---",
    "===",
    "| a | b |",
    "`` `code` ``",
    "``` \nfence",
    "~~~\nfence",
    "\\[a\\](http://evil.example/)",
    "\\",
    "`[a](http://evil.example/)`",
    "&lt;b&gt; &#60;b&#62;",
    "a  \nb\\\nc",
]
FIELDS = [
    pytest.param(lambda data, said: data["operation"].update(reason=said, actor=said, host=said, vcs_ref=said), id="operation"),
    pytest.param(lambda data, said: data["operation"].update(subjects=[said], id=said, kind=said), id="subject"),
    pytest.param(lambda data, said: data.update(failure={"code": said, "message": said, "remedy": said}, outcome=said), id="failure"),
    pytest.param(lambda data, said: data["steps"][0].update(name=said, id=said, status=said), id="step"),
    pytest.param(lambda data, said: data["steps"][0].update(bookmark={"h": {said: {said: said}}}), id="bookmark"),
    pytest.param(lambda data, said: data.update(versions={said: said}, serving=said, phase=said), id="versions"),
    pytest.param(lambda data, said: data.update(root_cause=said, next=said), id="words"),
    pytest.param(lambda data, said: data.update(probe={"requests": said, "failed": said, "max_ms": said}), id="probe"),
    pytest.param(lambda data, said: data.update(pg={
        "verify": {"rows": said, "tables": said}, "accepted": {said: {"actor": said, "reason": said}}, "loss": {said: said},
    }), id="loss"),
]


def parsed(markdown):
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(markdown)
    return [token for block in tokens for token in (block, *(block.children or []))]


@pytest.mark.parametrize("render", [cutover_log, incident])
@pytest.mark.parametrize("put", FIELDS)
def test_a_hostile_message_is_text_in_markdown(render, put):
    """Read by a real renderer: the same blocks and the same markup as with a word that harms nobody, and no link, image or HTML."""

    def kinds(said):
        data = {"operation": dict(GOOD["operation"]), "steps": [dict(GOOD["steps"][0])]}
        put(data, said)
        found = [token.type for token in parsed(render(data))]
        # Words of several lines make more lines, never other markup.
        return [kind for kind in found if kind not in ("text", "text_special", "softbreak")]

    harmless = kinds("word")
    assert not {"image", "link_open", "html_inline", "html_block", "fence"} & set(harmless)
    assert [said for said in HOSTILE if kinds(said) != harmless] == []


def test_a_table_cell_of_the_log_cannot_be_left():
    data = copy.deepcopy(GOOD)
    data["steps"][0]["name"] = "a | b\n# c `d`"
    line = next(line for line in cutover_log(data).splitlines() if line.startswith("| C9"))
    assert line.count(" | ") == 4 and "a \\| b # c \\`d\\`" in line


def test_ordinary_words_stay_readable_in_markdown():
    data = copy.deepcopy(GOOD)
    data["operation"]["reason"] = "pg_cutover: 2.5 s (planned), rc -1, a_b, hub@example.org #4"
    assert "- Reason: pg_cutover: 2.5 s (planned), rc -1, a_b, hub@example.org #4\n" in cutover_log(data)


UNSEEN = "a\x1b[2J\x07\x9b\u202eb\u200bc"


@pytest.mark.parametrize("render", [report_html, cutover_log, incident, lambda data: str(operation_result(data))])
def test_what_cannot_be_seen_gets_into_no_report(render):
    data = copy.deepcopy(GOOD)
    data["operation"]["reason"] = data["steps"][0]["name"] = UNSEEN
    data["failure"] = {"code": UNSEEN, "message": UNSEEN, "remedy": UNSEEN}
    data["steps"][1]["evidence"] = {"h": {"pg_move": {UNSEEN: UNSEEN}}}
    text = render(data)
    assert [one for one in "\x1b\x07\x9b\u202e\u200b" if one in text] == []
    assert "u202eb" in text


@pytest.mark.parametrize("lines", [
    pytest.param(lambda said: failure_lines({"code": said, "message": said, "remedy": said}, said=said), id="failure"),
    pytest.param(lambda said: failure_lines({"code": "x", "details": {"findings": [{"level": said, "field": said, "message": said, "remedy": said}]}}),
                 id="findings"),
    pytest.param(lambda said: failure_lines({"code": "task_failed", "message": ""}, {"stderr": said, "stdout": said}), id="printed"),
    pytest.param(lambda said: plan_lines([{"action": said, "reason": said}]), id="plan"),
    pytest.param(lambda said: ["        " + step_line({**GOOD["steps"][0], "id": said, "name": said, "evidence": {"h": {"r": {said: said}}}}, 2, ended=True)],
                 id="step"),
    pytest.param(lambda said: [heartbeat_line({"id": said}, 1.0, said)], id="heartbeat"),
])
def test_a_server_writes_no_line_of_its_own_to_the_terminal(lines):
    text = "\n".join(lines("ok\x1b[1A\x1b[2K\nPLAY RECAP\rhub-1 : ok=1\u2028failed=0\x85"))
    assert [line for line in text.split("\n") if not line.startswith("        ")] == []
    assert text.replace("\n", "").isprintable() and len(text.splitlines()) == len(text.split("\n"))


@pytest.mark.parametrize("render", [report_html, cutover_log, incident, lambda data: str(operation_result(data))])
def test_keys_of_rows_that_differ_are_counted_not_shown(render):
    found = {"equal": False, "tables": 1, "rows": 9, "mismatches": [{"table": "public.users", "keys": ["(ann@example.org)", "(bob@example.org)"]}]}
    data = copy.deepcopy(GOOD)
    data["pg"] = {"verify": found}
    data["steps"][1]["evidence"] = {"h": {"pg_move": {"verify": found}}}
    data["steps"][1]["failure"] = {"code": "rows_differ", "message": "", "details": {"verify": found}}
    text = render(data)
    assert "example.org" not in text
    assert "differing_keys" in text or render in (cutover_log, incident)


def test_a_long_series_stays_a_small_page_and_keeps_its_worst_second():
    series = [{"t": 1795255200 + n, "ok": 20, "failed": 3 if n == 5000 else 0, "max_ms": 10, "by_side": {"legacy": 20}} for n in range(20000)]
    page = report_html({**GOOD, "probe": {"series": series}})
    assert len(page) < 200_000
    assert page.count('class="side-failed" x') == 1


@pytest.mark.parametrize(("span", "step_"), [(0.05, 0.01), (9, 2), (77, 10), (600, 120), (86400 * 40, 86400 * 5)])
def test_axis_steps_are_round_and_few(span, step_):
    assert axis_step(span) == step_


@pytest.mark.parametrize(("seconds", "text"), [(None, "–"), (0.187, "187 ms"), (12.34, "12.3 s"), (125, "2 min 05 s"), (7260, "2 h 01 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_lines_of_the_timeline():
    entry = {**GOOD["steps"][2], "position": 6}
    assert step_line(entry, 16) == "[ 6/16] C13  name of C13 … (expected 2.0 s)"
    assert step_line(entry, 16, ended=True).endswith("2.0 s (expected 2.0 s) ok · phase new, serving new, window_ms 187.4")
    assert heartbeat_line(entry, 35.2, "pg_move : Seed").strip() == "C13 runs for 35 s (expected 2.0 s) · pg_move : Seed"
    assert brief({}) == ""
    sentence = "new serves since 03:12:04 UTC, writes paused 312 ms, way back armed; " + "and what else an operator has to read at three in the morning"
    assert brief({"hub-1": {"pg_move": {"window_ms": 312, "said": sentence}}}) == sentence


def test_a_failure_shows_each_finding_and_the_end_of_what_a_program_printed():
    findings = [{"code": "no_space", "field": "disk", "message": "full", "remedy": "free some", "level": "fail"}] * 2
    lines = failure_lines({"code": "preflight_failed", "message": "2 findings", "details": {"findings": findings}}, said="judge")
    assert sum("no_space: disk: full" in line for line in lines) == 2 and lines[-1].strip() == "task: judge"
    of_a_database = Finding("keyless_table", "fail", "public.logs", "Table public.logs has no key.").as_dict()
    (line,) = (line for line in failure_lines({"code": "x", "details": {"findings": [of_a_database]}}) if "has no key" in line)
    assert line.strip() == "fail: keyless_table: public.logs: Table public.logs has no key."
    lines = failure_lines({"code": "task_failed", "message": "rc 1"}, {"stderr": "\n".join(f"line {n}" for n in range(100))})
    assert "line 99" in lines[-1] and len(lines) < 20


def test_a_plan_says_what_clients_can_notice():
    plan = [{"action": "route", "reason": "new serves", "disruptive": True}]
    assert [line.strip() for line in plan_lines(plan)] == ["- route: new serves (clients can notice)"]
    assert plan_lines(None) == []
