# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions of the store, without the store: who may take a lease, and what several hosts together say about one step."""

from __future__ import annotations

import statistics
import typing as t

from .._core.errors import FleetError
from .._core.result import plain
from .model import HostStep, Lease, Report, utc

# Order in which the status of one host decides for all: a failure anywhere is a failure.
_RANK = ("failed", "started", "done", "skipped", "planned")
# Where a run is that has reached a step of this status.
_STANDS = {"started": "in", "failed": "failed in"}


def lease_verdict(lease: t.Optional[Lease], now: float, presence: str, same_process: bool, given_up: bool = False) -> str:
    """``free``, ``ours``, ``stale`` (may be taken over) or ``held``.

    ``presence`` is that of the holder's process: alive, gone or unknown (another machine). A process that is seen to be gone loses its
    lease at once, one that is seen to live keeps it even past its expiry (a seed can take hours), and of one that cannot be seen the
    expiry decides, or ``given_up``: somebody who says that it is dead.
    """
    if lease is None or lease.operation_id is None:
        return "free"
    if same_process:
        return "ours"
    if presence == "gone" or (presence == "unknown" and (given_up or lease.expires_at <= now)):
        return "stale"
    return "held"


def locked_out(holders: t.Sequence[t.Mapping[str, t.Any]]) -> FleetError:
    """``locked`` with every holder of a lease, what its run does, and what to type when that run hangs or is dead.

    Of each holder: subject, holder, age, operation_id, kind, step (id, name, status, age; None before the first one), host, pid, presence, expires_in.
    """
    remedies = dict.fromkeys(_way_past(holder) for holder in holders)
    return FleetError(
        "locked",
        " ".join(_sentence(holder) for holder in holders) + " Nothing was changed.",
        remedy=" ".join(["Let that run end.", *remedies]),
        details={"leases": list(holders), **{key: holders[0][key] for key in ("holder", "age", "subject")}},
    )


def _sentence(holder: t.Mapping[str, t.Any]) -> str:
    step = holder["step"]
    doing = "before its first step" if step is None else f"{_STANDS.get(step['status'], 'behind')} {step['id']} {step['name']} since {step['age']:g} s"
    return f"{holder['subject']} is held by {holder['holder']} since {holder['age']:g} s (operation {holder['operation_id']}, {holder['kind']}, {doing})."


def _way_past(holder: t.Mapping[str, t.Any]) -> str:
    pid, host = holder["pid"], holder["host"]
    if holder["presence"] == "alive":
        return f"Its process lives; if it hangs, type `kill {pid}` on {host}, then run the same command again: it takes over at once and goes on from there."
    return (
        f"Its process cannot be seen from here: `ps -p {pid}` on {host} (in its container, if it ran in one) tells whether it lives. If it is dead, run the"
        f" same command again with `-e operation_take_over={holder['operation_id']}`; without that the lease ends in {holder['expires_in']:g} s."
    )


def marked(
    before: HostStep, status: str, now: float, reports: t.Sequence[Report] = (), failure: t.Optional[t.Mapping[str, t.Any]] = None
) -> HostStep:
    """``before`` after its host said ``status`` at ``now`` and its roles said ``reports``; ``reported`` leaves the step running."""
    status = "started" if status == "reported" else status
    evidence, bookmark = dict(before.evidence), dict(before.bookmark)
    for report in reports:
        evidence[report.role] = {**evidence.get(report.role, {}), **plain(report.evidence)}
        if report.bookmark:
            # The first bookmark of a role is the state before it touched anything; a second call must not replace it.
            bookmark[report.role] = {**plain(report.bookmark), **bookmark.get(report.role, {})}
    return HostStep(
        host=before.host,
        status=status,
        started_at=before.started_at if before.started_at is not None else now,
        ended_at=None if status == "started" else now,
        changed=before.changed or any(report.changed for report in reports),
        evidence=evidence,
        bookmark=bookmark,
        failure=failure,
    )


def merged_step(identity: t.Mapping[str, t.Any], hosts: t.Sequence[HostStep], expected: t.Optional[float]) -> dict[str, t.Any]:
    """One step over all its hosts: changed if any changed, from the first start to the last end, the worst status.

    ``identity`` has id, name and position. ``evidence`` and ``bookmark`` are keyed by host, then by role. ``seconds`` is None while it
    runs.
    """
    status = next((rank for rank in _RANK if any(host.status == rank for host in hosts)), "planned")
    failures = sorted((host.failure for host in hosts if host.failure), key=lambda failure: "elsewhere" in (failure.get("details") or {}))
    starts = [host.started_at for host in hosts if host.started_at is not None]
    ends = [host.ended_at for host in hosts if host.ended_at is not None]
    started = min(starts) if starts else None
    ended = max(ends) if ends and status in ("done", "failed", "skipped") else None
    return {
        "id": identity["id"],
        "name": identity["name"],
        "position": identity["position"],
        "status": status,
        "changed": any(host.changed for host in hosts),
        "seconds": round(max(0.0, ended - started), 3) if started is not None and ended is not None else None,
        "expected_seconds": expected,
        "started_at": utc(started),
        "ended_at": utc(ended),
        "evidence": {host.host: dict(host.evidence) for host in hosts if host.evidence},
        "bookmark": {host.host: dict(host.bookmark) for host in hosts if host.bookmark},
        # A host that was only ended together with the one that failed does not know the cause.
        "failure": dict(failures[0]) if failures else None,
    }


def expected_seconds(history: t.Sequence[tuple[bool, float]]) -> t.Optional[float]:
    """Median of earlier successful runs, given as (changed, seconds). Runs that found nothing to do count only when there are no others."""
    working = [seconds for changed, seconds in history if changed]
    chosen = working or [seconds for _changed, seconds in history]
    return round(statistics.median(chosen), 1) if chosen else None
