# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What queues hold and who works, by the keys of each kind of worker. Only reads.

Where the keys are from:

- Sidekiq: lib/sidekiq/launcher.rb (`processes`, `<identity>` with busy, beat, quiet, `<identity>:work`; `:workers` before 6.5), lib/sidekiq/api.rb
  (`queues`, `queue:<name>`, `schedule`, `retry`). A process writes what it does every ten seconds, so one answer says what was; `beat` tells when.
- Celery: kombu/transport/redis.py (`_kombu.binding.<exchange>`, queues as lists, one more for each priority, `unacked`). Tasks with a countdown
  wait in `unacked` too. Workers register nowhere.
- RQ: rq/registry.py, rq/worker (`rq:queues`, `rq:queue:<name>`, `rq:wip:<name>`, `rq:scheduled:<name>`, `rq:workers`, `rq:suspended`).
"""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.wait import Deadline
from .model import Jobs, Layout
from .redis import Redis

_SIZES = {"list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN"}
# kombu joins a queue and its priority, and the parts of a binding, with these two characters.
_KOMBU_SEP = "\x06\x16"
_APART = 1.0
# Sidekiq beats every 10 s and gives its record 60 s at each beat; one that is older than 12 s has missed a beat.
_RECORD, _MISSED = 60.0, 12.0
_MOST_KEYS = 100_000


def read(server: Redis, layout: Layout) -> Jobs:
    """What ``layout`` holds now. Leaves the connection in database 0."""
    server.ask("SELECT", layout.db)
    try:
        return {"sidekiq": _sidekiq, "celery": _celery, "rq": _rq, "keys": _keys}[layout.kind](server, layout)
    finally:
        server.ask("SELECT", 0)


def _sidekiq(server: Redis, layout: Layout) -> Jobs:
    key = layout.prefix
    names = sorted({*layout.queues, *server.ask("SMEMBERS", f"{key}queues")})
    processes, busy, quiet = {}, {}, True
    for identity in sorted(server.ask("SMEMBERS", f"{key}processes")):
        beat, working, still, stopped = server.ask("HMGET", key + identity, "beat", "busy", "info", "quiet")
        if still is None:
            # A process that died stays in the set until somebody looks; its own record is gone after 60 s.
            continue
        # A worker of the side that was closed cannot take its record away, which came along in the switch; it only grows old.
        left = server.ask("PTTL", key + identity)
        if left < 0 or left > (_RECORD - _MISSED) * 1000:
            processes[identity] = beat or ""
        quiet = quiet and stopped == "true"
        listed = max(server.ask("HLEN", f"{key}{identity}:{part}") for part in ("work", "workers"))
        busy[identity] = max(int(working or 0), listed)
    return Jobs(
        "sidekiq",
        {name: server.ask("LLEN", f"{key}queue:{name}") for name in names},
        busy,
        {name: server.ask("ZCARD", key + name) for name in ("schedule", "retry")},
        processes,
        quiet,
    )


def _celery(server: Redis, layout: Layout) -> Jobs:
    key = layout.prefix
    names = set(layout.queues) or {"celery"}
    for binding in _scan(server, f"{_literal(key)}_kombu.binding.*"):
        if server.ask("TYPE", binding) == "set":
            names |= {member.rpartition(_KOMBU_SEP)[2] for member in server.ask("SMEMBERS", binding)}
    queues = {name: server.ask("LLEN", key + name) for name in sorted(names) if server.ask("TYPE", key + name) in ("list", "none")}
    for name in sorted(names):
        queues.update({found[len(key) :]: server.ask("LLEN", found) for found in _scan(server, f"{_literal(key + name)}{_KOMBU_SEP}*")})
    return Jobs("celery", queues, {"unacked": server.ask("HLEN", f"{key}unacked")})


def _rq(server: Redis, layout: Layout) -> Jobs:
    found = {member.rpartition("rq:queue:")[2] for member in server.ask("SMEMBERS", "rq:queues")}
    names = sorted({*layout.queues, *found})
    workers = {name: server.ask("HGET", name, "last_heartbeat") or "" for name in sorted(server.ask("SMEMBERS", "rq:workers"))}
    return Jobs(
        "rq",
        {name: server.ask("LLEN", f"rq:queue:{name}") for name in names},
        {name: server.ask("ZCARD", f"rq:wip:{name}") for name in names},
        {f"scheduled:{name}": server.ask("ZCARD", f"rq:scheduled:{name}") for name in names},
        workers,
        server.ask("EXISTS", "rq:suspended") == 1,
    )


def _keys(server: Redis, layout: Layout) -> Jobs:
    held: t.Dict[str, t.Dict[str, int]] = {"queue": {}, "busy": {}, "scheduled": {}}
    for wanted in layout.keys:
        for found in _scan(server, layout.prefix + wanted["pattern"]):
            kind = server.ask("TYPE", found)
            held[wanted["kind"]][found] = server.ask(_SIZES[kind], found) if kind in _SIZES else int(kind != "none")
    return Jobs("keys", held["queue"], held["busy"], held["scheduled"])


def _scan(server: Redis, pattern: str) -> t.List[str]:
    """Keys that fit a glob. Raises FleetError "option_invalid" when they are no queues any more but a data set."""
    cursor, found = "0", set()
    while True:
        cursor, keys = server.ask("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        found.update(keys)
        if len(found) > _MOST_KEYS:
            raise FleetError("option_invalid", f"More than {_MOST_KEYS} keys fit {pattern!r}.", remedy="Give a pattern of the keys that hold jobs.")
        if cursor == "0":
            return sorted(found)


def _literal(text: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\^-" else char for char in text)


# --- proofs -----------------------------------------------------------------------------------------------------------------------


def wait_idle(server: Redis, layouts: t.Sequence[Layout], seconds: float) -> t.List[Jobs]:
    """Until no worker works and none takes a next job, seen twice and by two beats of each process. Raises FleetError "queue_not_empty"."""

    def left(seen: t.Sequence[Jobs]) -> t.List[str]:
        said = [f"{name} works on {size}" for jobs in seen for name, size in jobs.busy.items() if size]
        return said + [f"{jobs.layout}: a worker takes jobs still" for jobs in seen if not jobs.quiet]

    return _twice(server, layouts, seconds, left, _stale)


def _stale(before: t.Sequence[Jobs], now: t.Sequence[Jobs]) -> t.List[str]:
    """Processes whose word is the same one as before. RQ writes its registry at once, so a beat says nothing more there."""
    pairs = [(then.processes or {}, jobs.processes or {}) for then, jobs in zip(before, now) if jobs.layout == "sidekiq"]
    return [f"{name} has not beaten again" for then, jobs in pairs for name, beat in jobs.items() if then.get(name, beat) == beat]


def wait_empty(server: Redis, layouts: t.Sequence[Layout], seconds: float, accepted: t.Collection[str] = (), *, once: bool = False) -> t.List[Jobs]:
    """Until queues, schedules and jobs in progress are empty, seen twice (``once``: looked at once). Raises FleetError "queue_not_empty"."""

    def left(seen: t.Sequence[Jobs]) -> t.List[str]:
        return [f"{name}: {size}" for jobs in seen for name, size in jobs.left(accepted).items()]

    return _twice(server, layouts, seconds, left, lambda _before, _now: [], once)


def _twice(
    server: Redis,
    layouts: t.Sequence[Layout],
    seconds: float,
    left: t.Callable[[t.Sequence[Jobs]], t.List[str]],
    stale: t.Callable[[t.Sequence[Jobs], t.Sequence[Jobs]], t.List[str]],
    once: bool = False,
) -> t.List[Jobs]:
    if not layouts:
        raise FleetError(
            "layout_missing",
            "No layout says which keys are queues. Nothing was changed.",
            remedy="Name the worker's: layouts: [{kind: sidekiq}], celery, rq, or keys with patterns of your own.",
        )
    deadline = Deadline(seconds)
    good: t.Optional[t.List[Jobs]] = None
    while True:
        seen = _all(server, layouts)
        said = left(seen)
        if said:
            good = None
        elif good is None and not once:
            good, said = seen, ["it was so only once"]
        else:
            said = stale(good or seen, seen)
            if not said:
                return seen
        if deadline.expired():
            raise FleetError(
                "queue_not_empty",
                f"Waited {seconds:g} s on {server.side}: {'; '.join(said[:20])}. Nothing was changed.",
                remedy="Let the worker finish, raise drain_timeout, or name schedules that may be lost in accept_scheduled_loss.",
                details={"left": said[:200]},
            )
        # Not bounded by the deadline: two looks are a second apart, or they are one.
        Deadline(_APART).pause(_APART)


def _all(server: Redis, layouts: t.Sequence[Layout]) -> t.List[Jobs]:
    found = [read(server, layout) for layout in layouts]
    missing = [jobs.layout for jobs in found if jobs.processes is not None and not jobs.processes]
    if missing:
        raise FleetError(
            "worker_missing",
            f"No process of {', '.join(missing)} is registered on {server.side}, so nobody can tell what it does. Nothing was changed.",
            remedy="Start the worker, or correct db and prefix of its layout; a worker that is quiet goes on to register.",
        )
    return found
