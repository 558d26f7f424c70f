# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gates that look several times: a verdict over samples, with a limit for what may fail and another one for a source that does not answer."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .errors import FleetError
from .gates import REQUIRED, Checker, Keys, NoData, Seen, Spec, Tools, number, one_of, read_entries, text, whole
from .wait import Deadline

WHEN = ("pre", "wave", "preview", "step", "post")


GATE: Keys = {
    "name": (text, REQUIRED),
    "type": (text, REQUIRED),
    "when": (one_of(*WHEN), "post"),
    "wave": (whole, None),
    "interval": (number, 10.0),
    "count": (whole, 3),
    "initial_delay": (number, 0.0),
    "timeout": (number, 5.0),
    "failure_limit": (whole, 0),
    "error_limit": (whole, 4),
    "on_no_data": (one_of("fail", "inconclusive"), "fail"),
    "on_inconclusive": (one_of("pause", "fail"), "pause"),
}


@dataclass(frozen=True)
class Sample:
    """One look: ``verdict`` is passed, failed, no_data or error; ``at`` in seconds since the gate began."""

    at: float
    verdict: str
    evidence: t.Mapping[str, t.Any]
    findings: t.Tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """The end of one gate: passed, failed, inconclusive or error, why, and every sample."""

    name: str
    type: str
    verdict: str
    reason: str
    samples: t.Tuple[Sample, ...]

    def as_data(self) -> t.Dict[str, t.Any]:
        samples = [{"at": round(s.at, 3), "verdict": s.verdict, "evidence": dict(s.evidence), "findings": list(s.findings)} for s in self.samples]
        return {"name": self.name, "type": self.type, "verdict": self.verdict, "reason": self.reason, "samples": samples}


def gate_findings(where: str, gates: t.Sequence[t.Any], checkers: t.Mapping[str, Checker]) -> t.Tuple[t.List[t.Dict[str, t.Any]], t.List[str]]:
    """``gates`` with defaults filled in, and a sentence for everything that is wrong with them. Pure."""
    read: t.List[t.Dict[str, t.Any]] = []
    said: t.List[str] = []
    for place, found in read_entries(where, gates, GATE, checkers, said, said):
        said += [f"{place}.count: must be 1 or more."] if found.get("count") == 0 else []
        said += [f"{place}.wave: is for gates with when: wave."] if found.get("wave") is not None and found.get("when") != "wave" else []
        read.append(found)
    return read, said


def judge(gate: Spec, samples: t.Sequence[Sample]) -> t.Tuple[str, str]:
    """The verdict over ``samples`` and why; ``waiting`` while more are to be taken. Pure.

    Errors of the source count only in a row, and never as a sample: a source that was away for a moment has said nothing. No data is a failure
    unless ``on_no_data`` says that it is neither.
    """
    behind = [sample.verdict for sample in reversed(samples)]
    errors = next((position for position, verdict in enumerate(behind) if verdict != "error"), len(behind))
    if errors > gate["error_limit"]:
        return "error", f"its source gave no answer {errors} times in a row: {', '.join(samples[-1].findings)}"
    silent = [sample for sample in samples if sample.verdict == "no_data"]
    bad = [sample for sample in samples if sample.verdict == "failed" or (sample.verdict == "no_data" and gate["on_no_data"] == "fail")]
    if len(bad) > gate["failure_limit"]:
        return "failed", f"{len(bad)} of {len(samples)} samples are bad, {gate['failure_limit']} may be: {', '.join(bad[-1].findings)}"
    told = [sample for sample in samples if sample.verdict != "error"]
    if len(told) < gate["count"]:
        return "waiting", f"{len(told)} of {gate['count']} samples"
    if silent and gate["on_no_data"] == "inconclusive":
        return "inconclusive", f"{len(silent)} of {len(told)} samples had too little data: {', '.join(silent[-1].findings)}"
    return "passed", f"{len(told) - len(bad)} of {len(told)} samples are good"


def run_gate(
    gate: Spec,
    checkers: t.Mapping[str, Checker],
    tools: Tools,
    *,
    deadline: t.Callable[[float], Deadline] = Deadline,
    beat: t.Callable[[], None] = lambda: None,
) -> Judgement:
    """Take samples of ``gate`` until there is a verdict. ``beat`` is called before each, and may end the run by raising."""
    clock, checker = deadline(0), checkers[gate["type"]]
    _pause(gate["initial_delay"], deadline, beat)
    samples: t.List[Sample] = []
    while True:
        beat()
        samples.append(_sample(gate, checker, tools, clock))
        verdict, reason = judge(gate, samples)
        if verdict != "waiting":
            return Judgement(gate["name"], gate["type"], verdict, reason, tuple(samples))
        _pause(gate["interval"], deadline, beat)


def _pause(seconds: float, deadline: t.Callable[[float], Deadline], beat: t.Callable[[], None]) -> None:
    limit = deadline(seconds)
    while not limit.expired():
        beat()
        limit.pause(min(5.0, seconds))


def _sample(gate: Spec, checker: Checker, tools: Tools, clock: Deadline) -> Sample:
    """What cannot be asked is an error where a source is asked about the subject, and a failure where the subject itself is asked."""
    try:
        seen = checker.check(gate, tools)
    except NoData as error:
        return Sample(clock.elapsed(), "no_data", {}, (str(error),))
    except FleetError as error:
        # A tool or right that is missing here says nothing about the subject.
        return Sample(clock.elapsed(), "error", {}, (f"{error.code}: {error.message.rstrip('.')}",))
    except (OSError, EOFError, ValueError) as error:
        said = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
        return Sample(clock.elapsed(), "error" if checker.source else "failed", {}, (said,))
    return _as_sample(seen, clock)


def _as_sample(seen: Seen, clock: Deadline) -> Sample:
    return Sample(clock.elapsed(), "failed" if seen.findings else "passed", seen.evidence, seen.findings)
