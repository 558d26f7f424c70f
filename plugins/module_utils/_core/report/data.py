# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One reading of the collected document for all renderings, and the result for programs."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..errors import FleetError
from ..redact import redact
from ..result import finding_line
from ..visible import visible

Document = t.Mapping[str, t.Any]

# Raised when a key of the result goes or changes its meaning; a new key does not raise it. docs/result.md has the shape.
SCHEMA_VERSION = 1

# Which role's evidence a part of the document stands in.
_ROLES = {"pg": "pg_move", "probe": "traffic_probe", "dns": "dns", "edges": "edge"}


@dataclass(frozen=True)
class StepView:
    """One step; ``start`` and ``end`` are unix seconds, None when it did not start or did not end."""

    id: str
    name: str
    status: str
    changed: bool
    seconds: t.Optional[float]
    expected: t.Optional[float]
    start: t.Optional[float]
    end: t.Optional[float]
    evidence: Document = field(default_factory=dict)
    bookmark: Document = field(default_factory=dict)
    failure: t.Optional[Document] = None


@dataclass(frozen=True)
class Run:
    """The document, read once. ``end`` is the last moment that is known; ``ended`` is false for a run that nobody closed."""

    data: Document
    id: str
    kind: str
    subject: str
    outcome: str
    ended: bool
    start: t.Optional[float]
    end: t.Optional[float]
    seconds: t.Optional[float]
    steps: tuple[StepView, ...]
    serving: t.Optional[str]
    phase: t.Optional[str]
    failure: t.Optional[Document]

    def part(self, name: str) -> Document:
        """A part of the document, over what its role said in the journal; empty when neither has it."""
        given = self.data.get(name)
        words = words_of(self.steps, _ROLES.get(name, ""))
        return {**{key: value for one in words for key, value in one.items()}, **(given if isinstance(given, t.Mapping) else {})}

    def figure(self, name: str) -> t.Any:
        """A figure of the document, else the last that any role said under this name; None when nobody measured it."""
        for given in (self.data, *(self.data.get(part) for part in _ROLES)):
            if isinstance(given, t.Mapping) and given.get(name) is not None:
                return given[name]
        said = [words[name] for words in words_of(self.steps) if words.get(name) is not None]
        return said[-1] if said else None


def read(data: t.Any) -> Run:
    """``data`` without secrets, as a `Run`. Raises FleetError ``evidence_missing`` when there is no operation in it."""
    if not isinstance(data, t.Mapping) or not isinstance(data.get("operation"), t.Mapping):
        raise FleetError(
            "evidence_missing", "A report needs the operation that it is about.", remedy="Pass operation_journal.operation as operation."
        )
    data = t.cast(Document, told(data))
    operation: Document = data["operation"]
    steps = tuple(_step(entry) for entry in data.get("steps") or operation.get("steps") or [])
    pg = data["pg"] if isinstance(data.get("pg"), t.Mapping) else {}
    # What was said before somebody else served is stale, so a phase counts only when it was said last.
    last = next((words for words in reversed(words_of(steps, "pg_move")) if "serving" in words or "phase" in words), {})
    stands = (_standing(steps) or {}).get("serving")
    start, closed = unix(operation.get("started_at")), unix(operation.get("ended_at"))
    moments = [moment for step in steps for moment in (step.start, step.end) if moment is not None]
    end = closed if closed is not None else max(moments, default=start)
    failure = data.get("failure") or next((step.failure for step in steps if step.failure), None)
    outcome = data.get("outcome") or operation.get("outcome") or ("failed" if failure else "unfinished")
    subjects = operation.get("subjects") or [operation.get("id", "")]
    return Run(
        data=data,
        id=str(operation.get("id", "")),
        kind=str(operation.get("kind", "operation")),
        subject=", ".join(str(subject).partition("/")[2] or str(subject) for subject in subjects),
        outcome=str(outcome),
        ended=closed is not None or data.get("outcome") is not None,
        start=start,
        end=end,
        seconds=round(end - start, 3) if start is not None and end is not None else None,
        steps=steps,
        serving=side_name(data.get("serving") or (stands if stands != "unknown" else None) or pg.get("serving") or last.get("serving")),
        phase=data.get("phase") or pg.get("phase_after") or pg.get("phase") or last.get("phase"),
        failure=failure if isinstance(failure, t.Mapping) else None,
    )


def told(data: t.Any) -> t.Any:
    """``data`` as others than the operator may see it: no secret, nothing unseen, and rows that differ as a count.

    Keys of rows can be names and addresses of people; the journal holds them.
    """
    return _counted(visible(redact(data)))


def _counted(value: t.Any) -> t.Any:
    if isinstance(value, list):
        return [_counted(item) for item in value]
    if not isinstance(value, dict):
        return value
    done = {key: _counted(item) for key, item in value.items() if key != "mismatches"}
    if "mismatches" in value:
        done["mismatches"] = [_without_keys(entry) for entry in value["mismatches"] or []]
    return done


def _without_keys(entry: t.Any) -> t.Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("keys"), list):
        return _counted(entry)
    return {**{key: item for key, item in entry.items() if key != "keys"}, "differing_keys": len(entry["keys"])}


def operation_result(data: t.Any, report: t.Optional[str] = None) -> dict[str, t.Any]:
    """The result of a run for programs. What was not measured is null.

    ``planned_steps`` are ids: of the steps that a check run went through, of all steps that a real run had planned. ``steps`` are those
    that ran. ``report`` is the path of the page.
    """
    run = read(data)
    probe, pg = run.part("probe"), run.part("pg")
    rollback = pg.get("rollback") if isinstance(pg.get("rollback"), t.Mapping) else {}
    ran = [step for step in run.steps if step.status != "planned"]
    check = run.id == "check"
    return {
        "schema_version": SCHEMA_VERSION,
        "outcome": run.outcome,
        "kind": run.kind,
        "operation": run.id,
        "serving": run.serving,
        "standing": _standing(run.steps),
        "phase": run.phase,
        "window_ms": pg.get("window_ms"),
        "seconds": run.seconds,
        "steps": [{"id": step.id, "name": step.name, "seconds": step.seconds, "changed": step.changed} for step in ran],
        "planned_steps": [step.id for step in (ran if check else run.steps)],
        "probe": {key: probe.get(key) for key in ("requests", "failed", "failures", "max_ms", "longest_write_gap_ms")} if probe else None,
        "served_by_old_after_release": run.figure("served_by_old_after_release"),
        "rollback": {"armed": (rollback or {}).get("armed"), "seconds_to_200": run.figure("seconds_to_200")},
        "failure": run.failure,
        "report": report,
    }


def _standing(steps: t.Iterable[StepView]) -> t.Optional[dict[str, t.Any]]:
    """What the last step said of the world: the sentence, who serves, whether clients are held, and what to type next."""
    words = next((words for words in reversed(words_of(steps)) if "held" in words and "next" in words), None)
    return None if words is None else {key: words.get(key) for key in ("said", "serving", "held", "next")}


def findings_of(run: Run) -> list[str]:
    """Each finding of the failure on one line, unless its message says them already."""
    failure = run.failure or {}
    found = [entry for entry in (failure.get("details") or {}).get("findings") or [] if isinstance(entry, t.Mapping)]
    return [finding_line(entry) for entry in found if str(entry.get("message")) not in str(failure.get("message"))]


def outcome_of(data: t.Any) -> str:
    """How an operation that is about to be closed ended.

    Succeeded only when every step is done or was skipped on purpose. A cutover that failed and then took the step that switches back is
    rolled back; so is a deployment of a stack whose module says that everything is as it was.
    """
    run = read(data)
    if run.failure is None and all(step.status in ("done", "skipped") for step in run.steps):
        return "succeeded"
    if run.kind == "stack" and ((run.failure or {}).get("details") or {}).get("outcome") == "rolled_back":
        return "rolled_back"
    back = any(step.id == "R3" and step.status == "done" for step in run.steps)
    return "rolled_back" if back and run.kind == "cutover" and run.serving == "legacy" else "failed"


def unix(moment: t.Any) -> t.Optional[float]:
    """ISO 8601 text or unix seconds as unix seconds; None for nothing and for what is no time."""
    if isinstance(moment, bool) or moment is None:
        return None
    if isinstance(moment, (int, float)):
        return float(moment)
    try:
        found = datetime.fromisoformat(str(moment).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def clock(moment: t.Optional[float], with_date: bool = False) -> str:
    """A moment in UTC for people; a dash for none."""
    if moment is None:
        return "–"
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC" if with_date else "%H:%M:%S")


def duration(seconds: t.Optional[float]) -> str:
    """A duration for people; a dash for none."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def side_name(side: t.Any) -> t.Optional[str]:
    """The side ``target`` of the application's header is the side ``new``."""
    return "new" if side == "target" else side


def _step(entry: Document) -> StepView:
    return StepView(
        id=str(entry.get("id", "")),
        name=str(entry.get("name") or entry.get("id", "")),
        status=str(entry.get("status") or "planned"),
        changed=bool(entry.get("changed")),
        seconds=entry.get("seconds"),
        expected=entry.get("expected_seconds"),
        start=unix(entry.get("started_at")),
        end=unix(entry.get("ended_at")),
        evidence=entry.get("evidence") or {},
        bookmark=entry.get("bookmark") or {},
        failure=entry.get("failure"),
    )


def said_by(document: Document) -> t.Iterator[tuple[str, Document]]:
    """What roles said, as (role, their words); the host is named only when there are several."""
    for host, roles in document.items():
        for role, words in roles.items() if isinstance(roles, t.Mapping) else ():
            yield (f"{role} on {host}" if len(document) > 1 else str(role)), words if isinstance(words, t.Mapping) else {"": words}


def words_of(steps: t.Iterable[StepView], role: t.Optional[str] = None) -> list[Document]:
    """What ``role`` (None: every role) said, in the order in which the steps started."""
    began = sorted((step for step in steps if step.start is not None), key=lambda step: t.cast(float, step.start))
    return [
        words
        for step in began
        for roles in step.evidence.values()
        if isinstance(roles, t.Mapping)
        for name, words in roles.items()
        if (role is None or name == role) and isinstance(words, t.Mapping)
    ]


def observations(run: Run) -> list[dict[str, t.Any]]:
    """What name servers answered, as ``{at, server, values, ttl}`` in order of time.

    As collected, else from what role dns said at its steps.
    """
    found = [
        {
            "at": unix(entry.get("at")),
            "server": str(entry.get("server")),
            "values": list(entry.get("values") or []),
            "ttl": entry.get("ttl"),
        }
        for entry in run.part("dns").get("observations") or []
    ]
    if not found:
        for step in run.steps:
            for words in words_of([step], "dns"):
                servers = words.get("servers")
                servers = servers.get("servers") if isinstance(servers, t.Mapping) else servers
                found += [
                    {
                        "at": step.end,
                        "server": _server(entry),
                        "values": list(entry.get("records") or entry.get("values") or []),
                        "ttl": entry.get("ttl"),
                    }
                    for entry in servers or []
                    if isinstance(entry, t.Mapping) and not entry.get("error")
                ]
    return sorted((entry for entry in found if entry["at"] is not None), key=lambda entry: t.cast(float, entry["at"]))


def _server(entry: Document) -> str:
    return str(entry.get("server") or entry.get("address") or entry.get("name"))


def _took(run: Run, step_id: str) -> t.Optional[str]:
    return next((duration(step.seconds) for step in run.steps if step.id == step_id and step.status == "done"), None)


def _milliseconds(value: t.Any) -> t.Optional[str]:
    return duration(value / 1000) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _seconds(value: t.Any) -> t.Optional[str]:
    return duration(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _count(run: Run) -> t.Optional[str]:
    value = run.figure("served_by_old_after_release")
    return f"{value} requests" if isinstance(value, int) else None


def _lost(run: Run) -> t.Optional[str]:
    verify = run.part("pg").get("verify")
    return "0 (compared row by row)" if isinstance(verify, t.Mapping) and verify.get("equal") is True else None


# What runbook 000 says, and where a run measured the same. The reader of a value gets the run and returns text, or None.
RUNBOOK: tuple[tuple[str, str, str, t.Callable[[Run], t.Optional[str]]], ...] = (
    ("header", "Whole move", "60–90 min", lambda run: duration(run.seconds) if run.kind == "cutover" and run.ended else None),
    ("3.1", "Target from start to a running stack", "about 5 min", lambda run: _took(run, "C2")),
    ("2, 3.3–3.4", "Database without writes", "10–30 min", lambda run: _milliseconds(run.part("pg").get("window_ms"))),
    (
        "3.3–3.5",
        "Longest time without an answered write",
        "10–30 min",
        lambda run: _milliseconds(run.part("probe").get("longest_write_gap_ms")),
    ),
    ("3.5", "Clients still answered by the old side", "up to 5 min", _count),
    ("4", "Rollback until legacy answers 200", "10 min or less", lambda run: _seconds(run.figure("seconds_to_200"))),
    ("4", "Rows lost by a rollback", "all later writes", lambda run: _lost(run) if run.kind == "rollback" else None),
)
