# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of the store: operations, their leases and their journal. Every backend passes the same tests."""

from __future__ import annotations

import json
import secrets
import time
import typing as t
from dataclasses import asdict
from datetime import datetime, timezone

from .._core.errors import FleetError
from .._core.redact import redact
from .._core.result import plain
from . import process
from .database import Database, Row, Transaction
from .model import HostStep, Lease, Owner, Report, unix, utc
from .plan import expected_seconds, lease_verdict, locked_out, marked, merged_step

# Enough for a steady median, few enough to follow a service that grows.
_HISTORY = 20


class StateStore:
    """Operations of one fleet.

    ``owner`` is the process of this run. ``presence`` tells whether another owner's process is alive, gone or unknown. ``clock`` gives unix
    seconds: leases are compared across machines, so the wall clock is the only one they share.
    """

    def __init__(
        self,
        database: Database,
        owner: Owner,
        presence: t.Callable[[Owner, Owner], str] = process.presence,
        clock: t.Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._owner = owner
        self._presence = presence
        self._clock = clock

    def close(self) -> None:
        self._database.close()

    def open(
        self,
        kind: str,
        subjects: t.Sequence[str],
        steps: t.Sequence[t.Mapping[str, str]],
        *,
        lease_ttl: float = 900,
        reason: t.Optional[str] = None,
        vcs_ref: t.Optional[str] = None,
        parameters: t.Optional[t.Mapping[str, t.Any]] = None,
        take_over: t.Optional[str] = None,
    ) -> dict[str, t.Any]:
        """Take the leases of all ``subjects`` and begin an operation; all or nothing.

        An operation that a dead run left behind is ended as abandoned and returned as ``previous``. The same process asking again for the
        same kind and subjects gets the operation it has. ``take_over`` is the id of an operation whose process somebody has seen to be dead.
        Raises FleetError ``locked``.
        """
        wanted = sorted(set(subjects))
        now = self._clock()
        with self._database.transaction() as transaction:
            leases = {subject: _lease(transaction, subject) for subject in wanted}
            verdicts = {subject: self._verdict(lease, now, take_over) for subject, lease in leases.items()}
            held = [lease for subject, lease in leases.items() if lease is not None and verdicts[subject] == "held"]
            if held:
                raise locked_out([self._at_work(transaction, lease, now) for lease in held])
            ours = _one_operation(transaction, leases.values()) if set(verdicts.values()) == {"ours"} else None
            if ours is not None and (ours["kind"], json.loads(ours["subjects"])) == (kind, wanted):
                return self._opened(transaction, ours["id"], previous=None)
            previous = self._abandon(transaction, wanted, now)
            operation_id = _new_id(now)
            numbers = {subject: (lease.number if lease else 0) + 1 for subject, lease in leases.items()}
            transaction.execute(
                "INSERT INTO operation (id, kind, subjects, leases, lease_ttl, owner, actor, reason, vcs_ref, parameters, started_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    operation_id,
                    kind,
                    _text(wanted),
                    _text(numbers),
                    lease_ttl,
                    _text(asdict(self._owner)),
                    self._owner.actor,
                    redact(reason),
                    vcs_ref,
                    _text(redact(parameters or {})),
                    now,
                ),
            )
            for subject in wanted:
                transaction.execute("INSERT INTO operation_subject (operation_id, subject) VALUES (?, ?)", (operation_id, subject))
                transaction.execute(
                    "INSERT INTO lease (subject, number, operation_id, owner, taken_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (subject) DO UPDATE SET number = excluded.number, operation_id = excluded.operation_id,"
                    " owner = excluded.owner, taken_at = excluded.taken_at, expires_at = excluded.expires_at",
                    (subject, numbers[subject], operation_id, _text(asdict(self._owner)), now, now + lease_ttl),
                )
            for position, step in enumerate(steps, start=1):
                _plan_step(transaction, operation_id, step, position)
            _event(transaction, operation_id, now, "opened", {"previous": previous["id"] if previous else None})
            return self._opened(transaction, operation_id, previous)

    def mark(
        self,
        operation_id: str,
        step: t.Mapping[str, str],
        host: str,
        status: str,
        *,
        reports: t.Sequence[Report] = (),
        failure: t.Optional[t.Mapping[str, t.Any]] = None,
    ) -> dict[str, t.Any]:
        """Record that ``host`` started, reported on, did, failed or skipped ``step``, and renew the leases.

        Each of ``reports`` is added to what this host has said in this step; ``started`` begins anew. A step that was not planned is
        appended. Raises FleetError ``lease_lost`` or ``operation_unknown``.
        """
        now = self._clock()
        with self._database.transaction() as transaction:
            operation = _operation(transaction, operation_id)
            self._renew(transaction, operation, now)
            known = transaction.execute("SELECT id FROM step WHERE operation_id = ? AND id = ?", (operation_id, step["id"]))
            if not known:
                last = transaction.execute("SELECT COALESCE(MAX(position), 0) AS last FROM step WHERE operation_id = ?", (operation_id,))[
                    0
                ]["last"]
                _plan_step(transaction, operation_id, step, last + 1)
            before = HostStep(host, "planned")
            if status != "started":
                before = next((seen for seen in _host_steps(transaction, operation_id, step["id"]) if seen.host == host), before)
            after = marked(before, status, now, reports, failure)
            transaction.execute(
                "INSERT INTO step_host (operation_id, step_id, host, status, started_at, ended_at, changed, evidence, bookmark, failure)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (operation_id, step_id, host) DO UPDATE SET status = excluded.status,"
                " started_at = excluded.started_at, ended_at = excluded.ended_at, changed = excluded.changed, evidence = excluded.evidence,"
                " bookmark = excluded.bookmark, failure = excluded.failure",
                (
                    operation_id,
                    step["id"],
                    host,
                    after.status,
                    after.started_at,
                    after.ended_at,
                    int(after.changed),
                    _text(redact(after.evidence)),
                    _text(redact(after.bookmark)),
                    _text(redact(after.failure)) if after.failure else None,
                ),
            )
            return self._document(transaction, _operation(transaction, operation_id))

    def end(self, operation_id: str, outcome: str, result: t.Optional[t.Mapping[str, t.Any]] = None) -> dict[str, t.Any]:
        """End the operation and release its leases. One that has ended keeps its first outcome and nothing is written.

        Raises FleetError ``lease_lost`` when another run has taken over, ``operation_unknown``.
        """
        now = self._clock()
        with self._database.transaction() as transaction:
            operation = _operation(transaction, operation_id)
            if operation["ended_at"] is not None and operation["outcome"] != "abandoned":
                return self._document(transaction, operation)
            self._renew(transaction, operation, now)
            transaction.execute(
                "UPDATE operation SET ended_at = ?, outcome = ?, result = ? WHERE id = ?",
                (now, outcome, _text(redact(result or {})), operation_id),
            )
            transaction.execute(
                "UPDATE lease SET operation_id = NULL, owner = NULL, expires_at = ? WHERE operation_id = ?", (now, operation_id)
            )
            _event(transaction, operation_id, now, "closed", {"outcome": outcome})
            return self._document(transaction, _operation(transaction, operation_id))

    def note(self, operation_id: str, kind: str, data: t.Mapping[str, t.Any]) -> None:
        """Add an event to the operation: a decision, an acceptance, something seen."""
        with self._database.transaction() as transaction:
            _operation(transaction, operation_id)
            _event(transaction, operation_id, self._clock(), kind, redact(data))

    def operations(
        self, *, operation_id: t.Optional[str] = None, subject: t.Optional[str] = None, kind: t.Optional[str] = None, limit: int = 10
    ) -> list[dict[str, t.Any]]:
        """Operations with steps and events, the latest first. Raises FleetError ``operation_unknown`` for an id that does not exist."""
        with self._database.transaction() as transaction:
            if operation_id is not None:
                return [self._document(transaction, _operation(transaction, operation_id))]
            named = "id IN (SELECT operation_id FROM operation_subject WHERE subject = ?)"
            wanted = {condition: value for condition, value in (("kind = ?", kind), (named, subject)) if value is not None}
            found = transaction.execute(
                f"SELECT * FROM operation WHERE {' AND '.join(['1 = 1', *wanted])} ORDER BY started_at DESC, id DESC LIMIT ?",
                [*wanted.values(), limit],
            )
            return [self._document(transaction, row) for row in found]

    def lease(self, subject: str) -> t.Optional[dict[str, t.Any]]:
        """Who holds ``subject`` now, with the age in seconds; None when nobody does."""
        with self._database.transaction() as transaction:
            lease = _lease(transaction, subject)
        if lease is None or lease.operation_id is None:
            return None
        return _holder(lease, self._clock())

    def _verdict(self, lease: t.Optional[Lease], now: float, take_over: t.Optional[str]) -> str:
        if lease is None or lease.owner is None:
            return "free"
        same = process.same_process(lease.owner, self._owner)
        return lease_verdict(lease, now, self._presence(lease.owner, self._owner), same, given_up=lease.operation_id == take_over)

    def _at_work(self, transaction: Transaction, lease: Lease, now: float) -> dict[str, t.Any]:
        """The holder of a lease that is held, and what it does."""
        owner, operation = t.cast(Owner, lease.owner), _operation(transaction, t.cast(str, lease.operation_id))
        begun = [step for step in self._steps(transaction, operation) if step["status"] != "planned"]
        step = {key: begun[-1][key] for key in ("id", "name", "status")} if begun else None
        if step is not None:
            step["age"] = round(now - t.cast(float, unix(begun[-1]["ended_at"] or begun[-1]["started_at"])), 1)
        known = {"host": owner.host, "pid": owner.pid, "presence": self._presence(owner, self._owner)}
        return {**_holder(lease, now), **known, "kind": operation["kind"], "step": step}

    def _renew(self, transaction: Transaction, operation: Row, now: float) -> None:
        """Every write proves that the leases are still ours, by their numbers."""
        for subject, number in json.loads(operation["leases"]).items():
            lease = _lease(transaction, subject)
            if lease is None or lease.operation_id != operation["id"] or lease.number != number:
                holder = _holder(lease, now) if lease is not None and lease.operation_id is not None else {}
                raise FleetError(
                    "lease_lost",
                    f"Operation {operation['id']} no longer holds {subject}"
                    + (f": {holder['holder']} took it {holder['age']:g} s ago." if holder else ": it was released.")
                    + " Nothing was written.",
                    remedy="Let the other run end; then run the same command again.",
                    details={"subject": subject, "lease_number": number, **holder},
                )
            transaction.execute("UPDATE lease SET expires_at = ? WHERE subject = ?", (now + operation["lease_ttl"], subject))

    def _abandon(self, transaction: Transaction, subjects: t.Sequence[str], now: float) -> t.Optional[dict[str, t.Any]]:
        """End what dead runs left open on ``subjects``, release their other leases; the latest of them as it was, or None."""
        left: dict[str, Row] = {}
        for subject in subjects:
            for row in transaction.execute(
                "SELECT operation.* FROM operation JOIN operation_subject ON operation_subject.operation_id = operation.id"
                " WHERE operation_subject.subject = ? AND operation.ended_at IS NULL",
                (subject,),
            ):
                left[row["id"]] = row
        for operation_id in left:
            transaction.execute("UPDATE operation SET ended_at = ?, outcome = 'abandoned' WHERE id = ?", (now, operation_id))
            transaction.execute(
                "UPDATE lease SET operation_id = NULL, owner = NULL, expires_at = ? WHERE operation_id = ?", (now, operation_id)
            )
            _event(transaction, operation_id, now, "taken_over", {"by": str(self._owner)})
        if not left:
            return None
        latest = max(left.values(), key=lambda row: (row["started_at"], row["id"]))
        steps = [step for step in self._steps(transaction, latest) if step["status"] != "planned"]
        return {
            "id": latest["id"],
            "kind": latest["kind"],
            "actor": latest["actor"],
            "started_at": utc(latest["started_at"]),
            "last_step": {key: steps[-1][key] for key in ("id", "name", "status", "started_at")} if steps else None,
        }

    def _opened(self, transaction: Transaction, operation_id: str, previous: t.Optional[dict[str, t.Any]]) -> dict[str, t.Any]:
        document = self._document(transaction, _operation(transaction, operation_id))
        return {**document, "takeover": previous is not None, "previous": previous}

    def _document(self, transaction: Transaction, row: Row) -> dict[str, t.Any]:
        events = transaction.execute("SELECT at, kind, data FROM event WHERE operation_id = ? ORDER BY position", (row["id"],))
        ended = row["ended_at"]
        return {
            "id": row["id"],
            "kind": row["kind"],
            "subjects": json.loads(row["subjects"]),
            "lease_numbers": json.loads(row["leases"]),
            "actor": row["actor"],
            "host": json.loads(row["owner"])["host"],
            "reason": row["reason"],
            "vcs_ref": row["vcs_ref"],
            "parameters": json.loads(row["parameters"]),
            "started_at": utc(row["started_at"]),
            "ended_at": utc(ended),
            "seconds": round(ended - row["started_at"], 3) if ended is not None else None,
            "outcome": row["outcome"],
            "result": json.loads(row["result"]) if row["result"] else None,
            "steps": self._steps(transaction, row),
            "events": [{"at": utc(event["at"]), "kind": event["kind"], "data": json.loads(event["data"])} for event in events],
        }

    def _steps(self, transaction: Transaction, row: Row) -> list[dict[str, t.Any]]:
        hosts: dict[str, list[HostStep]] = {}
        for seen in transaction.execute("SELECT * FROM step_host WHERE operation_id = ? ORDER BY host", (row["id"],)):
            hosts.setdefault(seen["step_id"], []).append(_host_step(seen))
        history = _history(transaction, row["kind"], row["started_at"], row["id"])
        return [
            merged_step(step, hosts.get(step["id"], []), expected_seconds(history.get(step["id"], [])))
            for step in transaction.execute("SELECT * FROM step WHERE operation_id = ? ORDER BY position", (row["id"],))
        ]


def _history(transaction: Transaction, kind: str, before: float, own_id: str) -> dict[str, list[tuple[bool, float]]]:
    """(changed, seconds) of the successful steps of the latest operations of this kind, by step id."""
    rows = transaction.execute(
        "SELECT step_host.operation_id AS operation_id, step_id, MIN(step_host.started_at) AS started, MAX(step_host.ended_at) AS ended,"
        " MAX(changed) AS changed, SUM(CASE WHEN status = 'done' THEN 0 ELSE 1 END) AS other FROM step_host JOIN (SELECT id FROM operation"
        " WHERE kind = ? AND started_at <= ? AND id <> ? ORDER BY started_at DESC LIMIT ?) AS recent ON recent.id = step_host.operation_id"
        " GROUP BY step_host.operation_id, step_id",
        (kind, before, own_id, _HISTORY),
    )
    found: dict[str, list[tuple[bool, float]]] = {}
    for row in rows:
        if row["other"] == 0 and row["ended"] is not None:
            found.setdefault(row["step_id"], []).append((bool(row["changed"]), row["ended"] - row["started"]))
    return found


def _plan_step(transaction: Transaction, operation_id: str, step: t.Mapping[str, str], position: int) -> None:
    transaction.execute(
        "INSERT INTO step (operation_id, id, name, position) VALUES (?, ?, ?, ?)",
        (operation_id, step["id"], step.get("name") or step["id"], position),
    )


def _operation(transaction: Transaction, operation_id: str) -> Row:
    rows = transaction.execute("SELECT * FROM operation WHERE id = ?", (operation_id,))
    if not rows:
        raise FleetError("operation_unknown", f"The store has no operation {operation_id}.", remedy="Open one, or name the store it is in.")
    return rows[0]


def _one_operation(transaction: Transaction, leases: t.Iterable[t.Optional[Lease]]) -> t.Optional[Row]:
    """The operation that all ``leases`` belong to, or None when they belong to several."""
    ids = {lease.operation_id for lease in leases if lease is not None and lease.operation_id is not None}
    return _operation(transaction, ids.pop()) if len(ids) == 1 else None


def _lease(transaction: Transaction, subject: str) -> t.Optional[Lease]:
    rows = transaction.execute("SELECT * FROM lease WHERE subject = ?", (subject,))
    if not rows:
        return None
    row = rows[0]
    owner = Owner(**json.loads(row["owner"])) if row["owner"] else None
    return Lease(row["subject"], row["number"], row["operation_id"], owner, row["taken_at"], row["expires_at"])


def _host_steps(transaction: Transaction, operation_id: str, step_id: str) -> list[HostStep]:
    rows = transaction.execute("SELECT * FROM step_host WHERE operation_id = ? AND step_id = ?", (operation_id, step_id))
    return [_host_step(row) for row in rows]


def _host_step(row: Row) -> HostStep:
    return HostStep(
        host=row["host"],
        status=row["status"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        changed=bool(row["changed"]),
        evidence=json.loads(row["evidence"]),
        bookmark=json.loads(row["bookmark"]),
        failure=json.loads(row["failure"]) if row["failure"] else None,
    )


def _event(transaction: Transaction, operation_id: str, at: float, kind: str, data: t.Mapping[str, t.Any]) -> None:
    transaction.execute(
        "INSERT INTO event (operation_id, position, at, kind, data)"
        " SELECT ?, COALESCE(MAX(position), 0) + 1, ?, ?, ? FROM event WHERE operation_id = ?",
        (operation_id, at, kind, _text(data), operation_id),
    )


def _holder(lease: Lease, now: float) -> dict[str, t.Any]:
    return {
        "subject": lease.subject,
        "holder": str(lease.owner),
        "operation_id": lease.operation_id,
        "since": utc(lease.taken_at),
        "age": round(now - lease.taken_at, 1),
        "expires_in": round(max(0.0, lease.expires_at - now), 1),
        "held_by_number": lease.number,
    }


def _new_id(now: float) -> str:
    """Sorts by time, unique without asking anyone."""
    return f"{datetime.fromtimestamp(now, timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _text(value: t.Any) -> str:
    return json.dumps(plain(value), sort_keys=True, default=str)
