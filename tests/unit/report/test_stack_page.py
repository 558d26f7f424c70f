# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of a Swarm stack: what happened, service by service, from what the role said or from the details of the failure."""

from __future__ import annotations

import re

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.report.data import operation_result, outcome_of
from ansible_collections.bowline.fleet.plugins.module_utils._core.report.page import report_html

PLAN = [
    {"action": "create", "config": "shop_page-12ab", "reason": "config shop_page-12ab", "disruptive": False},
    {"action": "update", "service": "shop_front", "wave": 1, "restarts": "all", "reasons": ["image app:1 becomes app:<2>"]},
    {"action": "update", "service": "shop_back", "wave": 0, "restarts": "none", "reasons": ["labels changed"]},
]
STEPS = [
    {"at": 5.5, "action": "update", "subject": "shop_back"},
    {"at": 28.25, "action": "converged", "subject": "wave 0", "services": ["shop_back"]},
    {"at": 28.6, "action": "update", "subject": "shop_front"},
]


def run(status="done", kind="stack", evidence=None, failure=None):
    outcome = "succeeded" if status == "done" else None
    operation = {"id": "20261128T064631Z-81f145", "kind": kind, "subjects": ["stack/shop"], "started_at": 1, "ended_at": 90, "outcome": outcome}
    step = {"id": "S1", "name": "Deploy", "status": status, "changed": True, "started_at": 2, "ended_at": 80, "seconds": 78.0, "failure": failure,
            "evidence": {"localhost": {"swarm_stack": evidence}} if evidence else {}}
    return {"operation": operation, "steps": [step]}


def failed(**details):
    return run("failed", failure={
        "code": "crash_loop", "message": "shop_front: 4 tasks failed.", "remedy": "Mend it.", "details": {"plan": PLAN, "steps": STEPS, **details},
    })


def rows(html, title):
    """Cells of the table of a section, a row a list; the section's text where it has no table."""
    section = re.search(rf"<section><h2>{title}</h2>(.*?)</section>", html, re.S).group(1)
    body = re.search(r"<tbody>(.*?)</tbody>", section, re.S)
    return [re.findall(r"<td>(.*?)</td>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", body.group(1), re.S)] if body else section


def test_services_in_the_order_of_their_waves():
    evidence = {"outcome": "converged", "revision": 7, "plan": PLAN, "steps": STEPS, "services": [
        {"name": "shop_front", "image": "app:2"}, {"name": "shop_back", "image": "app:1"}, {"name": "shop_cron", "image": "cron:1"},
    ]}
    html = report_html(run(evidence=evidence))
    found = rows(html, "Services")
    assert [row[0] for row in found] == ["shop_back", "shop_cron", "shop_front"]
    assert found[0][2:] == ["update", "no task", "labels changed", "update after 5.5 s, converged after 28.2 s", "app:1"]
    assert found[2][3:5] == ["all tasks", "image app:1 becomes app:&lt;2&gt;"]
    assert "Availability" not in html and "Beside the runbook" not in html
    assert ">7<" in html and "Succeeded" in html


def test_a_failure_says_which_task_and_what_it_wrote():
    html = report_html(failed(outcome="rolled_back", rollback_duration_s=36.4, services=[
        {"service": "shop_front", "code": "crash_loop", "tasks": [
            {"node": "m2", "state": "failed", "error": "task: non-zero exit (3)", "exit_code": 3, "log": ["<starting>", "no database"]},
        ]},
    ]))
    assert rows(html, "What stopped it") == [["shop_front", "m2", "failed", "task: non-zero exit (3)", "3", "&lt;starting&gt;\nno database"]]
    assert "rolled back" in html and "36.4 s" in html
    assert [row[0] for row in rows(html, "Services")] == ["shop_back", "shop_front"]


@pytest.mark.parametrize(("kind", "outcome", "expected"), [
    ("stack", "rolled_back", "rolled_back"), ("stack", "rollback_failed", "failed"), ("stack", "left", "failed"), ("stack", None, "failed"),
    ("stack_rollback", "rolled_back", "failed"),
])
def test_outcome(kind, outcome, expected):
    data = failed(outcome=outcome)
    data["operation"]["kind"] = kind
    assert outcome_of(data) == expected


@pytest.mark.parametrize("evidence", [{}, {"plan": None, "steps": "none", "services": [None, {"name": None}]}, {"plan": [{"service": "a", "wave": "x"}]}])
def test_what_was_not_said_is_said_to_be_missing(evidence):
    html = report_html(run(evidence=evidence))
    assert "Nothing was written." in html and "No gate was asked." in html
    assert operation_result(run(evidence=evidence))["kind"] == "stack"
