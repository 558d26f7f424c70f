# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what Prometheus measured: one number within bounds, or beside the same number of the stable version.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries: GET /api/v1/query with ``query``; ``{"status": "success", "data":
{"resultType": "vector" | "scalar", "result": …}}``, a value is ``[seconds, "text"]``; an error has ``error`` and ``errorType``.
"""

from __future__ import annotations

import json
import math
import typing as t
from urllib.parse import quote, urlsplit

from .gates import REQUIRED, Keys, NoData, Seen, Spec, Tools, mapping, number, text, whole
from .web import HTTP, ask, fill, words_of


def _signed(value: t.Any) -> float:
    """A number that may be negative."""
    try:
        found = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError) as error:
        raise ValueError("a number") from error
    if not math.isfinite(found):
        raise ValueError("a number")
    return found


def _base(value: t.Any) -> str:
    found = urlsplit(text(value))
    if found.scheme not in ("http", "https") or not found.hostname or found.query or found.fragment:
        raise ValueError("the http or https address of a Prometheus, without a query")
    return text(value)


def _track(value: t.Any) -> str:
    if value != "stable":
        raise ValueError("stable")
    return "stable"


PROMETHEUS: Keys = {
    "url": (_base, REQUIRED),
    "query": (text, REQUIRED),
    "min": (_signed, None),
    "max": (_signed, None),
    "compare_to": (_track, None),
    "max_ratio": (number, 1.2),
    "samples_query": (text, None),
    "min_samples": (whole, 20),
    "request_headers": (mapping, {}),
    "secret_files": (mapping, {}),
    "connect_to": (text, None),
    "ca_file": (text, None),
}


def check_prometheus(spec: Spec, tools: Tools) -> Seen:
    """``{track}`` in a query is ``canary``, and ``stable`` for what it is compared with.

    Raises NoData for an empty answer, NaN, too few samples, or nothing to compare with; ValueError for what cannot be judged.
    """
    _refuse_senseless(spec)
    words = words_of(spec, tools)
    evidence: dict[str, t.Any] = {"query": spec["query"]}
    if spec["samples_query"] is not None:
        evidence["samples"] = _value(spec, words, spec["samples_query"], "canary")
        if evidence["samples"] < spec["min_samples"]:
            raise NoData(f"{evidence['samples']:g} samples, at least {spec['min_samples']} are wanted")
    value = evidence["value"] = _value(spec, words, spec["query"], "canary")
    findings = []
    if spec["min"] is not None and value < spec["min"]:
        findings.append(f"{value:g} was seen, at least {spec['min']:g} is wanted")
    if spec["max"] is not None and value > spec["max"]:
        findings.append(f"{value:g} was seen, at most {spec['max']:g} is wanted")
    if spec["compare_to"] is not None:
        stable = evidence["stable"] = _value(spec, words, spec["query"], "stable")
        if value > stable * spec["max_ratio"]:
            findings.append(f"{value:g} was seen, {stable:g} of stable times {spec['max_ratio']:g} is the most that is wanted")
    return Seen(evidence, tuple(findings))


def _refuse_senseless(spec: Spec) -> None:
    if spec["min"] is None and spec["max"] is None and spec["compare_to"] is None:
        raise ValueError("min, max or compare_to is missing, so that nothing could be wrong")
    if spec["compare_to"] is not None and "{track}" not in spec["query"]:
        raise ValueError("compare_to needs {track} in the query, or the version would be compared with itself")


def _value(spec: Spec, words: t.Mapping[str, str], query: str, track: str) -> float:
    address = f"{spec['url'].rstrip('/')}/api/v1/query?query={quote(query.replace('{track}', track), safe='')}"
    defaults = {key: default for key, (_reader, default) in HTTP.items() if default is not REQUIRED}
    # The address is quoted already; only what stands in headers has words to fill in.
    asked = {**defaults, "url": address, "request_headers": fill(spec["request_headers"], words)}
    answer = ask(asked, spec)
    try:
        body = json.loads(answer.text)
    except ValueError as error:
        raise ValueError(f"Prometheus answered {answer.status} with no JSON") from error
    if not isinstance(body, dict) or body.get("status") != "success":
        said = (body.get("error") if isinstance(body, dict) else "") or answer.status
        raise ValueError(f"Prometheus answered {said}")
    return _number_of(body.get("data") or {}, query)


def _number_of(data: t.Mapping[str, t.Any], query: str) -> float:
    found: t.Any = data.get("result") or []
    pairs: list[t.Any] = [found] if data.get("resultType") == "scalar" else [item.get("value") for item in found if isinstance(item, dict)]
    if not pairs:
        raise NoData(f"no series answers {query!r}")
    if len(pairs) > 1:
        raise ValueError(f"{len(pairs)} series answer {query!r}; one number is wanted: aggregate them")
    try:
        value = float(pairs[0][1])
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{pairs[0]!r} is no value of Prometheus") from error
    if math.isnan(value):
        raise NoData(f"{query!r} is NaN: nothing was measured")
    return value
