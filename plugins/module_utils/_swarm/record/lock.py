# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run at a time on a stack, a service or a drain: a config of the cluster, without trust in any clock but one's own.

Making the config takes the lock, because the second one of a name is refused. The holder moves its version with each beat. Whoever waits takes
over when the version stood still for the TTL on its own clock, by a write that carries that version: of two who wait, one wins. A release first
marks the config, again by its version, and then deletes it: a marked config is never taken over, only deleted, so a late delete meets nobody.
"""

from __future__ import annotations

import threading
import time
import typing as t
import uuid

from ..._core.errors import FleetError
from ..client.wire import Exists, Gone, OutOfSequence
from ..model import Json
from . import keep

TTL = 60.0
WAIT = 900.0

# Beats for each TTL: three may be lost before half of it is over and the holder stops.
BEATS = 4

POLL = 1.0

TOKEN, STATE, BEAT, LIFE = (f"bowline.{word}" for word in ("token", "state", "beat", "ttl"))

HELD, RELEASED = "held", "released"


def boottime() -> float:
    """Seconds that go on while the machine sleeps; the monotonic clock of Linux stands still then (clock_gettime(2))."""
    kind = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if kind is None else time.clock_gettime(kind)


class Configs(t.Protocol):
    """What of `Engine` a lock needs."""

    def configs(self, wanted: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> tuple[Json, ...]: ...
    def config(self, name: str) -> Json: ...
    def config_create(self, body: Json) -> str: ...
    def config_update(self, name: str, version: int, spec: Json) -> None: ...
    def config_remove(self, name: str) -> None: ...


class Watch:
    """How long the version of somebody else's lock has stood still, as seen from here."""

    def __init__(self) -> None:
        self._seen: t.Tuple[str, int] = ("", -1)
        self._since = 0.0

    def still(self, config: Json, now: float) -> float:
        """Seconds since ``config`` was first seen with this version; 0 when it moved."""
        seen = (str(config.get("ID")), keep.version_of(config))
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since


class Lock:
    """The lock of one subject, in the hands of one run. `attempt`, `beat` and `release` are one step each, so that a test can order them."""

    def __init__(
        self,
        engine: Configs,
        subject: str,
        *,
        ttl: float = TTL,
        reason: str = "",
        operation: str = "",
        owner: str = "",
        clock: t.Callable[[], float] = boottime,
    ) -> None:
        self._engine, self.subject, self.ttl, self._clock = engine, subject, ttl, clock
        self._token = uuid.uuid4().hex
        self._labels = {
            keep.KIND: "lock",
            keep.SUBJECT: subject,
            keep.OWNER: keep.said(owner or keep.whoami()),
            keep.REASON: keep.said(reason),
            keep.OPERATION: keep.said(operation),
            LIFE: f"{ttl:g}",
            TOKEN: self._token,
            STATE: HELD,
        }
        self._watch = Watch()
        self._id = ""
        self._beaten = 0.0
        self._count = 0
        self._lost = ""
        self._seen: t.Optional[Json] = None

    @property
    def name(self) -> str:
        return keep.name_of("lock", self.subject)

    @property
    def interval(self) -> float:
        return self.ttl / BEATS

    def attempt(self) -> bool:
        """One try to take the lock; false when somebody else has it, or may have it."""
        started = self._clock()
        labels = {**self._labels, keep.SINCE: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), BEAT: "0"}
        try:
            return self._took(self._engine.config_create(keep.body(self.name, labels, b"lock")), started)
        except Exists:
            pass
        there = self._there()
        if there is None:
            return False
        theirs = keep.labels_of(there)
        if theirs.get(TOKEN) == self._token and theirs.get(STATE) == HELD:
            return self._took(str(there["ID"]), started)
        self._seen = there
        if theirs.get(STATE) == RELEASED:
            self._swept(there)
        elif self._watch.still(there, self._clock()) >= max(self.ttl, _number(theirs.get(LIFE))):
            return self._taken_over(there, labels)
        return False

    def beat(self) -> None:
        """Show life. Raises FleetError "lease_lost" when it came too late, or another run has the lock."""
        self.check()
        started = self._clock()
        try:
            there = self._engine.config(self._id)
            labels = keep.labels_of(there)
            if labels.get(TOKEN) != self._token:
                raise self._lose(f"{labels.get(keep.OWNER)} has taken it over")
            self._count += 1
            spec = keep.relabelled(there, {**labels, BEAT: str(self._count)})
            # Seen too late: who waits may be about to take over.
            self.check()
            self._engine.config_update(self._id, keep.version_of(there), spec)
        except (OutOfSequence, Gone) as error:
            raise self._lose("somebody else has changed or removed it") from error
        self._beaten = started

    def check(self) -> None:
        """Before each write. Raises FleetError "lease_lost" when the last beat is older than half the TTL."""
        if not self._id:
            raise self._lose("it is not held")
        if self._lost:
            raise self._lose(self._lost)
        age = self._clock() - self._beaten
        if age > self.ttl / 2:
            raise self._lose(f"the last sign of life is {age:.0f} s old, of {self.ttl:g} s")

    def release(self) -> None:
        """Give it back; a lock that is not ours any more is left alone."""
        held, self._id = self._id, ""
        if not held or self._lost:
            return
        try:
            there = self._engine.config(held)
            labels = keep.labels_of(there)
            if labels.get(TOKEN) != self._token:
                return
            self._engine.config_update(held, keep.version_of(there), keep.relabelled(there, {**labels, STATE: RELEASED}))
            self._engine.config_remove(held)
        except (OutOfSequence, Gone):
            return

    def locked(self, waited: float) -> FleetError:
        """The failure of who waited in vain."""
        theirs = keep.labels_of(self._seen) if self._seen else {}
        owner, since, reason = (theirs.get(key, "") for key in (keep.OWNER, keep.SINCE, keep.REASON))
        life = max(self.ttl, _number(theirs.get(LIFE)))
        return FleetError(
            "locked",
            f"{self.subject} was held for {waited:g} s by {owner or 'somebody'} since {since or 'a time that is not known'}"
            f"{f' ({reason})' if reason else ''}. Nothing was changed.",
            f"Wait for its end. A run that is dead is taken over by itself when lock_wait is more than {life:g} s.",
            {"subject": self.subject, "owner": owner, "since": since, "reason": reason, "operation": theirs.get(keep.OPERATION, ""), "lock": self.name},
        )

    def _there(self) -> t.Optional[Json]:
        return next((one for one in self._engine.configs(keep.wanted("lock", self.subject)) if (one.get("Spec") or {}).get("Name") == self.name), None)

    def _took(self, config_id: str, started: float) -> bool:
        self._id, self._beaten, self._lost, self._seen = config_id, started, "", None
        return True

    def _swept(self, there: Json) -> None:
        try:
            self._engine.config_remove(str(there["ID"]))
        except Gone:
            pass

    def _taken_over(self, there: Json, labels: t.Mapping[str, str]) -> bool:
        started = self._clock()
        try:
            self._engine.config_update(str(there["ID"]), keep.version_of(there), keep.relabelled(there, labels))
        except (OutOfSequence, Gone):
            return False
        return self._took(str(there["ID"]), started)

    def _lose(self, why: str) -> FleetError:
        self._lost = self._lost or why
        return FleetError(
            "lease_lost",
            f"The lock of {self.subject} is lost: {self._lost}. This run stops; what it had written stays.",
            "Look at what works on it now (swarm_stack_info), then run the same command again.",
            {"subject": self.subject, "lock": self.name},
        )


class Held:
    """A lock that beats in a thread of its own as long as the block lasts.

    ``with Held(engine, "web", reason="deploy") as lock: … lock.check() …``. Raises FleetError "locked" after ``wait`` seconds.
    """

    def __init__(
        self,
        engine: t.Any,
        subject: str,
        *,
        wait: float = WAIT,
        ttl: float = TTL,
        reason: str = "",
        operation: str = "",
        pause: t.Callable[[float], None] = time.sleep,
    ) -> None:
        # Connections of its own: the run may wait for an answer while the thread has to speak.
        self._engine = engine.clone()
        self.lock = Lock(self._engine, subject, ttl=ttl, reason=reason, operation=operation)
        self._wait, self._pause = wait, pause
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"bowline-lock-{subject}", daemon=True)

    def __enter__(self) -> Lock:
        started = boottime()
        while not self.lock.attempt():
            if boottime() - started >= self._wait:
                self._engine.close()
                raise self.lock.locked(self._wait)
            self._pause(min(POLL, self.lock.ttl / 10))
        self._thread.start()
        return self.lock

    def __exit__(self, *_error: t.Any) -> None:
        self._end.set()
        self._thread.join()
        try:
            self.lock.release()
        except FleetError:
            # The work is done; what is left of the lock is taken over after its TTL.
            pass
        finally:
            self._engine.close()

    def _beat(self) -> None:
        while not self._end.wait(self.lock.interval):
            try:
                self.lock.beat()
            except FleetError as error:
                # What is unreachable now may come back before half the TTL is over; `check` knows when it did not.
                if error.code == "lease_lost":
                    return


def _number(text: t.Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return 0.0
