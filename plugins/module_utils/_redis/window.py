# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switch: pause the writes of the source, close it, prove that the target has everything, open the target.

Not the command FAILOVER, which does the same in the server: it leads the old side to the address that it sees of the new one (a tunnel or a
bridge of containers shows another one), and opens the target before the source is closed for good, so that a connection that breaks at that
moment leaves two masters (src/replication.c, abortFailover).

REPLICAOF closes: a server that follows answers every write with READONLY. It also cuts its followers off, whatever they have not read yet; so
the writes are paused first, until the target has applied what the source has written. The proof is made behind the close, when neither side can
move any more: one history, one offset, the same number of keys in each database. "Lag is 0" before it would prove nothing.

The pause is of one second at most and is renewed while the run goes on, so it ends by itself soon after the run does.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.faults import hit
from .._core.wait import Deadline
from . import alone, facts, watchdog
from .model import SIDES, Options, other
from .redis import Redis

_LEASE_MS = 1000
_RENEW = 0.3
_LOOK = 0.002
_BACKOFF = 0.5
_LEAST = 0.5


@dataclass(frozen=True)
class Opened:
    """A switch that was made: ``window_ms`` from the pause to the opening, the proven ``offset`` and ``keys``."""

    window_ms: float
    attempts: int
    offset: int
    keys: t.Mapping[int, int]


def switch(options: Options, servers: t.Mapping[str, Redis], to: str, guard: watchdog.Watchdog) -> Opened:
    """Side ``to`` serves. Raises FleetError "window_aborted" when the writes stayed where they were, "outcome_unknown" when nobody can tell."""
    aborted: t.Optional[FleetError] = None
    for attempt in range(1, options.window_attempts + 1):
        if aborted is not None:
            Deadline(60).pause(_BACKOFF * 2 ** (attempt - 2))
            alone.again(servers[side] for side in SIDES)
            wanted = facts.read(servers[to])
            if wanted.master != servers[other(to)].endpoint.peer:
                raise aborted
        patience = {side: server.timeout for side, server in servers.items()}
        try:
            for server in servers.values():
                # A server that stands still must not be waited for longer than the pause may last.
                server.timeout = min(server.timeout, max(options.max_window, _LEAST))
            return _attempt(options, servers, to, guard, attempt)
        except FleetError as error:
            if error.code != "window_aborted" or guard.last != watchdog.DONE:
                raise
            aborted = error
        finally:
            for side, server in servers.items():
                server.timeout = patience[side]
    raise t.cast(FleetError, aborted)


def _attempt(options: Options, servers: t.Mapping[str, Redis], to: str, guard: watchdog.Watchdog, attempt: int) -> Opened:
    source, target = servers[other(to)], servers[to]
    ids = {side: server.id for side, server in servers.items()}
    hit("W0")
    guard.window(source.side, ids, options.max_window + 1)
    try:
        begun = time.monotonic()
        pause(source)
        hit("W1")
        _level(source, target, Deadline(options.max_window))
        hit("W2")
        guard.say(watchdog.CLOSE)
        source.ask("REPLICAOF", *target.endpoint.peer)
        hit("W3")
        offset, keys = _proof(source, target)
        guard.say(watchdog.OPEN)
        hit("W4")
        target.ask("REPLICAOF", "NO", "ONE")
        hit("W5")
        if target.info("replication").get("role") != "master":
            raise FleetError("window_aborted", f"{to} took REPLICAOF NO ONE and follows still.", remedy="Run again.")
        window = (time.monotonic() - begun) * 1000
        guard.say(watchdog.OPENED)
        source.ask("CLIENT", "UNPAUSE")
        hit("W6")
        guard.say(watchdog.DONE)
    except FleetError as error:
        if _settled(servers, source.side, ids, guard, error) != to:
            raise _aborted(source.side, error) from error
        # The answer to the opening was lost on its way; the server did it.
        after = facts.read(target)
        return Opened((time.monotonic() - begun) * 1000, attempt, after.offset, after.keys)
    return Opened(round(window, 2), attempt, offset, keys)


def _settled(servers: t.Mapping[str, Redis], source: str, ids: t.Mapping[str, int], guard: watchdog.Watchdog, error: FleetError) -> str:
    """The side that serves after an attempt that failed. What cannot be settled here is left to the watchdog, which tries for a minute."""
    try:
        serves = watchdog.settle(servers, source, guard.last, ids)
    except FleetError as silent:
        raise FleetError(
            "outcome_unknown" if guard.last in (watchdog.OPEN, watchdog.OPENED) else "window_aborted",
            f"The write pause of {source} failed ({error.message}), and what came of it cannot be read ({silent.message}). "
            f"{source} stays closed until {other(source)} answers; a watchdog gives the writes back when it does within {watchdog.PATIENCE:g} s.",
            remedy="Make both servers reachable from this host, then run the same command again.",
            details={"cause": error.as_failure(), "silent": silent.as_failure()},
        ) from error
    guard.say(watchdog.DONE)
    return serves


def _aborted(source: str, error: FleetError) -> FleetError:
    return FleetError(
        "window_aborted",
        f"{error.message} {source} takes the writes again; no write was lost.",
        remedy=error.remedy or "Run again.",
        details={"cause": error.code, **error.details},
    )


def pause(source: Redis) -> None:
    """Writes wait for a second at most; reads go on."""
    source.ask("CLIENT", "PAUSE", _LEASE_MS, "WRITE")


def _level(source: Redis, target: Redis, deadline: Deadline) -> None:
    """Until the target has applied all that the paused source has written. A ping of the source moves both, every ten seconds."""
    renewed = time.monotonic()
    while True:
        there, here = target.info("replication"), source.info("replication")
        if there.get("master_link_status") == "up" and there.get("slave_repl_offset") == here.get("master_repl_offset"):
            return
        if deadline.expired():
            raise FleetError(
                "window_aborted",
                f"In {deadline.seconds:g} s {target.side} did not apply what {source.side} had written: {there.get('slave_repl_offset')} of "
                f"{here.get('master_repl_offset')}, link {there.get('master_link_status')}.",
                remedy="Look at the link between the servers and at the load of the new one; raise max_window if the application can wait longer.",
            )
        if time.monotonic() - renewed > _RENEW:
            pause(source)
            renewed = time.monotonic()
        deadline.pause(_LOOK)


def _proof(source: Redis, target: Redis) -> t.Tuple[int, t.Mapping[int, int]]:
    """Both sides are closed: one history, one offset, the same keys."""
    here, there = (server.info("replication", "keyspace") for server in (source, target))
    for side, info in ((source.side, here), (target.side, there)):
        if info.get("role") != "slave":
            raise FleetError("window_aborted", f"{side} is not closed though it was.", remedy="Run again.")
    seen = [(info.get("master_replid"), info.get("slave_repl_offset"), facts.keyspace(info)) for info in (here, there)]
    names = ("history", "offset", "keys by database")
    differences = [f"{name} {ours} on {source.side}, {theirs} on {target.side}" for name, ours, theirs in zip(names, *seen) if ours != theirs]
    if differences:
        raise FleetError("window_aborted", f"The sides were not equal at the close: {'; '.join(differences)}.", remedy="Run again.")
    return int(here.get("slave_repl_offset", "0")), facts.keyspace(here)
