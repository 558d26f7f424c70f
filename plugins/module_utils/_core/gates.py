# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gates: named checks that must all pass. Closed by default: an empty answer, an error, a missing tool and a check not run have failed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .argspec import unknown_keys
from .errors import FleetError
from .runner import Runner
from .unit_log import last_lines, own_words
from .wait import Deadline

FAILURES = {
    "check_failed": "A gate did not pass; every failed check is listed with what was seen.",
    "unknown_key": "A check has a key that its type does not know; the nearest known one is named.",
    "invalid_value": "A check lacks a key that its type needs, or has a value that cannot be read.",
}

REQUIRED = object()
NULLABLE = frozenset(("active", "enabled", "restarts", "status", "min_days"))

Reader = t.Callable[[t.Any], t.Any]
# Key of a check -> how its value is read, and its default (`REQUIRED` when there is none). A reader raises ValueError.
Keys = t.Mapping[str, tuple[Reader, t.Any]]
Spec = t.Mapping[str, t.Any]


class NoData(ValueError):
    """A source answered, and has nothing to say about what was asked, or too little: neither passed nor failed."""


@dataclass(frozen=True)
class Seen:
    """What a checker saw. It passed if there are no ``findings``; each says what was seen and what is wanted."""

    evidence: t.Mapping[str, t.Any]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tools:
    """What a checker may use. ``secrets`` collects what must never leave the process."""

    runner: Runner
    secrets: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Checker:
    """One type of check. ``writes`` says whether a check of this type may change something, so that check mode only plans it.

    ``source`` says that it asks something else about the subject, so that no answer is no verdict about the subject.
    """

    check: t.Callable[[Spec, Tools], Seen]
    keys: Keys
    writes: t.Callable[[Spec], bool] = lambda spec: False
    source: bool = False


@dataclass(frozen=True)
class Outcome:
    """The end of one check; ``ok`` is None when it was only planned."""

    name: str
    type: str
    ok: bool | None
    evidence: t.Mapping[str, t.Any]
    findings: tuple[str, ...] = ()
    seconds: float = 0.0


def text(value: t.Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text that is not empty")
    return value


def flag(value: t.Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def number(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a number")
    try:
        found = float(value)
    except ValueError as error:
        raise ValueError("a number") from error
    if not 0 <= found < float("inf"):
        raise ValueError("a number from 0")
    return found


def whole(value: t.Any) -> int:
    if number(value) != int(number(value)):
        raise ValueError("a whole number")
    return int(number(value))


def one_of(*words: str) -> t.Callable[[t.Any], str]:
    def read(value: t.Any) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return read


def texts(value: t.Any) -> list[str]:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(item, (str, int)) for item in value):
        raise ValueError("a list of texts that is not empty")
    return [str(item) for item in value]


def mapping(value: t.Any) -> dict[str, t.Any]:
    if not isinstance(value, t.Mapping):
        raise ValueError("a dictionary")
    return {str(key): item for key, item in value.items()}


def anything(value: t.Any) -> t.Any:
    return value


COMMON: Keys = {
    "name": (text, REQUIRED),
    "type": (text, REQUIRED),
    "timeout": (number, 5.0),
    "repeat": (whole, 1),
    "interval": (number, 0.2),
    "wait_timeout": (number, 0.0),
    "log_of": (text, None),
}


def read_checks(checks: t.Sequence[t.Any], checkers: t.Mapping[str, Checker]) -> list[dict[str, t.Any]]:
    """``checks`` with defaults filled in. Raises FleetError ``unknown_key`` or ``invalid_value`` with everything that is wrong, at once."""
    unknown: list[str] = []
    wrong: list[str] = []
    read = [found for _place, found in read_entries("checks", checks, COMMON, checkers, unknown, wrong)]
    wrong += [f"checks[{position}].repeat: must be 1 or more." for position, check in enumerate(read) if check.get("repeat") == 0]
    if not checks:
        wrong.append("checks: is empty, and a gate without checks proves nothing.")
    if unknown or wrong:
        raise FleetError(
            "unknown_key" if unknown else "invalid_value",
            " ".join(unknown + wrong),
            remedy="Correct the checks; none was run.",
            details={"keys": unknown, "values": wrong},
        )
    return read


def read_entries(
    where: str, entries: t.Sequence[t.Any], common: Keys, checkers: t.Mapping[str, Checker], unknown: list[str], wrong: list[str]
) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """Place and content of each entry whose type is known, read by the ``common`` keys and those of its type; sentences as of `read_keys`.

    Names that are given twice are told when all entries were taken.
    """
    names = []
    for position, entry in enumerate(entries):
        place = f"{where}[{position}]"
        if not isinstance(entry, t.Mapping) or entry.get("type") not in checkers:
            seen = entry.get("type") if isinstance(entry, t.Mapping) else type(entry).__name__
            wrong.append(f"{place}.type: must be one of {', '.join(sorted(checkers))}; is {seen!r}.")
            continue
        found = read_keys(place, entry, {**common, **checkers[entry["type"]].keys}, unknown, wrong)
        names.append(found.get("name"))
        yield place, found
    wrong += [f"{where}: the name {name!r} is given twice." for name in sorted({str(name) for name in names if names.count(name) > 1})]


def read_keys(where: str, given: Spec, keys: Keys, unknown: list[str], wrong: list[str]) -> dict[str, t.Any]:
    """``given`` read by ``keys``; sentences about what is wrong are added to ``unknown`` and ``wrong``.

    Null is the default, but for an expectation of `NULLABLE` it says that nothing is expected.
    """
    unknown += unknown_keys(where, given, keys)
    read = {}
    for key, (reader, default) in keys.items():
        if given.get(key) is None and default is not REQUIRED:
            read[key] = None if key in given and key in NULLABLE else default
        elif given.get(key) is None:
            wrong.append(f"{where}.{key}: is missing.")
        else:
            try:
                read[key] = reader(given[key])
            except ValueError as error:
                wrong.append(f"{where}.{key}: must be {error}.")
    return read


def run_gates(
    checks: t.Sequence[t.Any],
    checkers: t.Mapping[str, Checker],
    tools: Tools,
    *,
    check_mode: bool = False,
    deadline: t.Callable[[float], Deadline] = Deadline,
) -> dict[str, t.Any]:
    """Run all ``checks`` in order: ``passed``, ``total``, ``planned`` names, ``checks``. Check mode only plans those that may write.

    Raises FleetError ``check_failed`` that lists every failed check, after all of them were run.
    """
    specs = read_checks(checks, checkers)
    outcomes = [_run(spec, checkers[spec["type"]], tools, check_mode, deadline) for spec in specs]
    summary: dict[str, t.Any] = {
        "passed": sum(1 for outcome in outcomes if outcome.ok),
        "total": len(outcomes),
        "planned": [outcome.name for outcome in outcomes if outcome.ok is None],
        "checks": [_as_data(outcome) for outcome in outcomes],
    }
    failed = [outcome for outcome in outcomes if outcome.ok is False]
    if failed:
        asked = {spec["name"]: _asked(spec) for spec in specs}
        said = "; ".join(f"{outcome.name}{asked[outcome.name]}: {', '.join(outcome.findings)}" for outcome in failed)
        raise FleetError(
            "check_failed",
            f"{len(failed)} of {len(outcomes)} checks failed: {said}.",
            remedy="Look at what was seen. A check that needs time to become true takes wait_timeout.",
            details={**summary, "failed": [outcome.name for outcome in failed]},
        )
    return summary


def _asked(spec: Spec) -> str:
    """`` (where a check asked)``, for its failure; empty for one that asks at no address."""
    where = spec.get("url") or (f"{spec['host']}:{spec['port']}" if spec.get("host") and spec.get("port") else "")
    via = f" through {spec['connect_to']}" if where and spec.get("connect_to") else ""
    return f" ({where}{via})" if where else ""


def _run(spec: Spec, checker: Checker, tools: Tools, check_mode: bool, deadline: t.Callable[[float], Deadline]) -> Outcome:
    planned = Outcome(spec["name"], spec["type"], None, {"planned": "not run in check mode, because it may write"})
    if check_mode and checker.writes(spec):
        return planned
    limit, clock = deadline(spec["wait_timeout"]), deadline(0)
    attempts = 0
    while True:
        seen, attempts = _in_a_row(spec, checker, tools, deadline), attempts + 1
        if not seen.findings or limit.expired():
            break
        limit.pause(spec["interval"])
    evidence: dict[str, t.Any] = {
        **seen.evidence,
        **({"attempts": attempts} if attempts > 1 else {}),
        **({"in_a_row": spec["repeat"]} if spec["repeat"] > 1 else {}),
    }
    findings = seen.findings
    if findings and spec["log_of"]:
        evidence["log"] = last_lines(tools.runner, spec["log_of"])
        findings += (f"last log lines of {spec['log_of']}: {own_words(evidence['log'], spec['log_of'], 5) or 'none'}",)
    return replace(planned, ok=not findings, evidence=evidence, findings=findings, seconds=round(clock.elapsed(), 3))


def _in_a_row(spec: Spec, checker: Checker, tools: Tools, deadline: t.Callable[[float], Deadline]) -> Seen:
    for turn in range(1, spec["repeat"] + 1):
        if turn > 1:
            deadline(spec["interval"]).pause(spec["interval"])
        seen = _guarded(spec, checker, tools)
        if seen.findings:
            counted = f" (time {turn} of {spec['repeat']} in a row)" if spec["repeat"] > 1 else ""
            return replace(seen, findings=tuple(finding + counted for finding in seen.findings))
    return seen


def _guarded(spec: Spec, checker: Checker, tools: Tools) -> Seen:
    """Whatever goes wrong in a checker is a finding. Only these: anything else is a mistake of ours and must be seen as one."""
    try:
        return checker.check(spec, tools)
    except FleetError as error:
        remedy = f" ({error.remedy})" if error.remedy else ""
        return Seen({}, (f"{error.code}: {error.message.rstrip('.')}{remedy}",))
    except (OSError, EOFError, ValueError) as error:
        return Seen({}, (f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}",))


def _as_data(outcome: Outcome) -> dict[str, t.Any]:
    return {
        "name": outcome.name,
        "type": outcome.type,
        "ok": outcome.ok,
        "evidence": dict(outcome.evidence),
        "findings": list(outcome.findings),
        "seconds": outcome.seconds,
    }
