# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal makes of what a play hands it: reports of roles, results of failed tasks, findings. Pure."""

from __future__ import annotations

import typing as t

from .._core.argspec import unknown_keys
from .._core.errors import FleetError
from .model import HostStep, Report, unix
from .plan import marked, merged_step


def reports_of(given: t.Sequence[t.Mapping[str, t.Any]]) -> list[Report]:
    """The reports of roles: each is ``{role, report: {changed, evidence, bookmark}}``.

    Raises FleetError ``evidence_missing`` for a role without a report: a step whose doing nobody saw is not done.
    """
    found = []
    for entry in given:
        role, report = str(entry.get("role")), entry.get("report")
        short = role.rpartition(".")[2]
        wrong = (
            ["it is missing"]
            if not isinstance(report, t.Mapping)
            else unknown_keys(f"{short}_step", report, ("changed", "evidence", "bookmark"))
        )
        if isinstance(report, t.Mapping) and not isinstance(report.get("changed"), bool):
            wrong.append(f"changed is {report.get('changed')!r}, expected true or false")
        if wrong or not isinstance(report, t.Mapping):
            raise FleetError(
                "evidence_missing",
                f"Role {role} ended without a usable fact {short}_step: {'; '.join(wrong)}.",
                remedy=f"This is a defect of the role: its last task must set {short}_step to {{changed, evidence, bookmark}}.",
                details={"role": role},
            )
        found.append(Report(short, report["changed"], report.get("evidence") or {}, report.get("bookmark") or {}))
    return found


def planned(given: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The steps that are part of this run, as ``{id, name}``: those whose ``wanted`` is not false."""
    return [{key: value for key, value in step.items() if key != "wanted"} for step in given if step.get("wanted") is not False]


def failure_of(result: t.Optional[t.Mapping[str, t.Any]], task: t.Optional[str]) -> dict[str, t.Any]:
    """``{code, message, remedy, details}`` of a failed task: its own when it has one, else ``task_failed`` with its message.

    ``result`` is empty on a host that did not fail itself but is ended together with one that did.
    """
    result = result or {}
    own = result.get("failure")
    if isinstance(own, t.Mapping) and own.get("code"):
        findings = ((result.get("invocation") or {}).get("module_args") or {}).get("findings")
        return {
            "code": str(own["code"]),
            "message": str(own.get("message", "")),
            "remedy": str(own.get("remedy", "")),
            "details": {**({"findings": findings} if findings else {}), **(own.get("details") or {})},
        }
    for item in result.get("results") or []:
        if isinstance(item, t.Mapping) and item.get("failed"):
            return failure_of(item, task)
    if not result:
        return {"code": "task_failed", "message": "A task failed on another host.", "remedy": "", "details": {"elsewhere": True}}
    if "censored" in result:
        message = "Its result is hidden because it may hold secrets."
    else:
        message = str(result.get("msg") or result.get("stderr") or "It gave no message.").strip()
    details: dict[str, t.Any] = {"task": task} if task else {}
    if isinstance(result.get("rc"), int):
        details["rc"] = result["rc"]
    return {"code": "task_failed", "message": f"{task}: {message}" if task else message, "remedy": "", "details": details}


def refusal(code: str, findings: t.Sequence[t.Mapping[str, t.Any]]) -> FleetError:
    """The failure with all findings; the message counts those of level fail."""
    blocking = [finding for finding in findings if finding.get("level", "fail") == "fail"]
    count = f"{len(blocking)} findings" if len(blocking) != 1 else "1 finding"
    remedies = {str(finding["remedy"]) for finding in blocking if finding.get("remedy")}
    remedy = remedies.pop() if len(remedies) == 1 else "Follow the remedy of each finding, then run again."
    return FleetError(code, f"{count}, nothing was changed.", remedy=remedy, details={"findings": [dict(f) for f in findings]})


def checked(
    document: t.Mapping[str, t.Any],
    step: t.Mapping[str, str],
    host: str,
    status: str,
    now: float,
    *,
    reports: t.Sequence[Report] = (),
    failure: t.Optional[t.Mapping[str, t.Any]] = None,
) -> dict[str, t.Any]:
    """The journal of check mode, which lives in the play alone: ``document`` with the step marked as the store would mark it."""
    steps = [dict(entry) for entry in document.get("steps") or []]
    entry = next((entry for entry in steps if entry["id"] == step["id"]), None)
    if entry is None:
        entry = {"id": step["id"], "name": step.get("name") or step["id"], "position": len(steps) + 1}
        steps.append(entry)
    before = HostStep(host, "planned")
    if status != "started" and entry.get("status"):
        before = HostStep(
            host,
            entry["status"],
            started_at=unix(entry.get("started_at")),
            changed=bool(entry.get("changed")),
            evidence=entry.get("evidence", {}).get(host, {}),
            bookmark=entry.get("bookmark", {}).get(host, {}),
        )
    steps[steps.index(entry)] = merged_step(entry, [marked(before, status, now, reports, failure)], entry.get("expected_seconds"))
    return {**document, "steps": steps}
