# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Smoke without a side: units are rendered, answers come from a record. Pure."""

from __future__ import annotations

import datetime
import ssl
import typing as t

from .render import render_stack

# Expectations about an answer that are held against the field of the same name in the record, with what a check without them expects.
_EXPECTED = ("status", "read_write", "version", "rc", "hostname")
_DEFAULTS: dict[str, dict[str, t.Any]] = {"http": {"status": 200}, "tls": {"min_days": 14}}


def recorded(gates: t.Sequence[t.Mapping[str, t.Any]], manifests: t.Any, stack: str, approved: t.Collection[str] = ()) -> dict[str, t.Any]:
    """Result of the checks in mode recorder: ``passed``, ``total``, ``checks[{name, type, ok, evidence}]`` and ``not_applicable`` names.

    A unit check holds when the unit is rendered with its digest; an answer is judged by the check's ``recorded`` value. An exchange changes
    the side, so it is real only and stands in ``not_applicable``. A check of any other kind without a record has failed: not run is never
    passed.
    """
    texts = {unit.name: unit.text for unit in render_stack(manifests, stack or "none", approved=approved)} if manifests else {}
    judged = [_judged(gate, texts) for gate in gates if gate.get("type") != "exchange"]
    return {
        "mode": "recorder",
        "passed": sum(1 for item in judged if item["ok"]),
        "total": len(judged),
        "checks": judged,
        "not_applicable": [gate.get("name") for gate in gates if gate.get("type") == "exchange"],
    }


def _judged(gate: t.Mapping[str, t.Any], texts: t.Mapping[str, str]) -> dict[str, t.Any]:
    findings = _unit_findings(gate, texts) if gate.get("type") == "unit" else _answer_findings(gate)
    evidence = f"{gate.get('name')}: {'; '.join(findings)}." if findings else "as recorded"
    return {"name": gate.get("name"), "type": gate.get("type"), "ok": not findings, "evidence": evidence}


def _unit_findings(gate: t.Mapping[str, t.Any], texts: t.Mapping[str, str]) -> list[str]:
    text = texts.get(str(gate.get("unit")))
    if text is None:
        return [f"{gate.get('unit')} is not rendered from the manifests"]
    return [] if "X-Bowline-Digest=sha256:" in text else [f"{gate.get('unit')} has no digest"]


def _answer_findings(gate: t.Mapping[str, t.Any]) -> list[str]:
    answer = gate.get("recorded")
    if not isinstance(answer, t.Mapping) or not answer:
        return ["has no recorded answer, and what was not run is not passed"]
    gate = {**_DEFAULTS.get(str(gate.get("type")), {}), **gate}
    findings = [
        f"{key} {answer.get(key)!r} was recorded, {gate[key]!r} is wanted"
        for key in _EXPECTED
        if key in gate and not _equal(gate[key], answer.get(key))
    ]
    findings += [
        f"json {key} {_item(answer.get('json'), key)!r} was recorded, {value!r} is wanted"
        for key, value in dict(gate.get("json") or {}).items()
        if _item(answer.get("json"), key) != value
    ]
    if "body_contains" in gate and str(gate["body_contains"]) not in str(answer.get("body", "")):
        findings.append(f"the recorded body lacks {gate['body_contains']!r}")
    headers = {str(name).lower(): value for name, value in dict(answer.get("headers") or {}).items()}
    findings += [
        f"header {name} {headers.get(str(name).lower())!r} was recorded, {value!r} is wanted"
        for name, value in dict(gate.get("headers") or {}).items()
        if headers.get(str(name).lower()) != value
    ]
    if "min_days" in gate:
        findings += _days_findings(gate["min_days"], answer.get("not_after"))
    return findings


def _item(value: t.Any, key: str) -> t.Any:
    return value.get(key) if isinstance(value, t.Mapping) else None


def _equal(wanted: t.Any, seen: t.Any) -> bool:
    """Lists hold any of their items; version 15 is every 15.x."""
    if isinstance(wanted, (list, tuple)):
        return seen in wanted
    return bool(seen == wanted) or (seen is not None and str(seen).split(".", maxsplit=1)[0] == str(wanted))


def _days_findings(wanted: t.Any, not_after: t.Any) -> list[str]:
    """``not_after`` in ISO 8601, or as openssl writes it."""
    try:
        end = datetime.datetime.fromisoformat(str(not_after).replace("Z", "+00:00"))
    except ValueError:
        try:
            end = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(not_after)), datetime.timezone.utc)
        except ValueError:
            return [f"not_after {not_after!r} is no time"]
    if end.tzinfo is None:
        end = end.replace(tzinfo=datetime.timezone.utc)
    left = (end - datetime.datetime.now(datetime.timezone.utc)).days
    return [] if left >= float(wanted) else [f"the certificate ends in {left} days, {wanted} are wanted"]
