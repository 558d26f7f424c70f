# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The write pause of the engine physical: fence and drain the source, stop it cleanly, prove the position, promote the target.

The steps have the names of the logical window: W0 slot for the way back on the target, W1 fence, W2 sessions ended, W3 source stopped,
W4 its control file says cleanly, W5 its shutdown checkpoint replayed by the target, W6 nothing is left to fail, W7 promotion, W8 open.
"""

from __future__ import annotations

import time
import typing as t

from ...._core.errors import FleetError
from ...._core.wait import Deadline
from ...model import Options
from ...routers.clients import Clients
from ...server import sessions
from ...server.process import CLEAN
from ...window.watchdog import COMMIT, FENCE, OPENED, STOP, Watchdog
from ...window.window import Opened, Pause, ms
from . import seed as physical_seed
from .facts import PhysicalDirection, follows
from .settle import TARGET, end_sessions, forget_way_back, reopen, settle, turn

# How long the standby may need for what is on its way before a window is tried; the limit of the logical engine.
_PING_LIMIT = 0.5
# Giving the writes back after the source was stopped: two stops and a start.
_WAY_BACK = 20.0


def ready(direction: PhysicalDirection, options: Options) -> None:
    """The last gates before clients are held: streaming and near, nobody in a long transaction, little left to write at the shutdown."""
    if not follows(direction.target, direction.source):
        raise FleetError(
            "apply_lagging",
            f"{direction.target.server.endpoint} does not stream. No window was opened.",
            remedy="Run state: armed, which has it stream again; look at its log if it does not.",
        )
    busy = [entry for entry in _busy(direction) if entry["writes"] and entry["age"] > options.drain_grace]
    if busy and options.on_active == "abort":
        raise FleetError(
            "active_transactions",
            f"Transactions on {direction.source.server.endpoint} are older than drain_grace: {_listed(busy)}. No window was opened.",
            remedy="End them, raise drain_grace, or set on_active: terminate.",
            details={"sessions": busy},
        )
    # Learned now, while nobody waits: who owns the directories.
    for site in (direction.source, direction.target):
        site.control.running()
    # Both shutdowns write what is dirty: most of it is written now, before anybody waits.
    for site in (direction.source, direction.target):
        site.server.admin.run("CHECKPOINT")
    for _attempt in range(20):
        level = direction.source.server.admin.value("SELECT pg_current_wal_flush_lsn()::text")
        if physical_seed.wait_replayed(direction.target, level, 30) < _PING_LIMIT:
            return
    raise FleetError(
        "apply_lagging",
        f"{direction.target.server.endpoint} needs more than {_PING_LIMIT} s to replay a commit. No window was opened.",
        remedy=f"{physical_seed.resume(direction.target)} Then run again when the source writes less, or give the standby more room.",
    )


class PhysicalWindow(Pause):
    """One attempt to move the writes along ``road``."""

    def __init__(self, direction: PhysicalDirection, options: Options, clients: Clients, watchdog: Watchdog, warn: t.Callable[[str], None]) -> None:
        super().__init__(options, clients, watchdog)
        self._direction = direction
        self._warn = warn
        self._last_word = ""
        self.position: dict[str, t.Any] = {}

    def run(self) -> Opened:
        """Move the writes. Raises FleetError after the writes are back on the source, or "outcome_unknown", "router_failed" as they say."""
        source, target = self._direction.source, self._direction.target
        self._limit = Deadline(self._options.max_window)
        backends = {site.side: site.server.admin.pid for site in (source, target)}
        self._watchdog.window(self._opened.epoch, source.side, backends, self._options.max_window, "physical")
        began = fenced = self._clock = time.monotonic()
        self._opened.held_at = time.time()
        try:
            self._clients.pause(source.side)
            self._step("pause")
            fenced = self._close()
            self._stop()
            self._promote()
        except FleetError as error:
            self._abort(error)
        self._opened.database_ms = ms(time.monotonic() - fenced)
        self._release(target.side)
        now = time.monotonic()
        self._opened.window_ms, self._opened.pause_ms = ms(now - fenced), ms(now - began)
        return self._opened

    def _close(self) -> float:
        source = self._direction.source.server
        self._say(FENCE)
        if not follows(self._direction.target, self._direction.source):
            raise FleetError("window_aborted", f"{self._direction.target.server.endpoint} does not stream any more.", remedy="Run again.")
        physical_seed.keep_slot(self._direction.target.server, self._direction.back)
        self._step("W0")
        turn(source, f"{self._opened.epoch}:open", True)
        fenced = time.monotonic()
        self._step("W1")
        self._opened.drained = self._drain(source.admin.value("SELECT clock_timestamp()"))
        self._step("W2")
        return fenced

    def _drain(self, before: t.Any) -> sessions.Drained:
        """End idle sessions of every database, wait for the others. Whoever slips through is ended by the shutdown: committed and streamed
        before it, or refused."""
        source, drained = self._direction.source.server, sessions.Drained()
        deadline = Deadline(self._options.drain_grace)
        waited: set[int] = set()
        while True:
            # Again in every round: a session that has ended its transaction could begin another one under its old default.
            drained.idle += _end_idle(self._direction, before)
            busy = _busy(self._direction)
            if not busy:
                break
            waited |= {entry["pid"] for entry in busy}
            self._left()
            if deadline.expired():
                if self._options.on_active == "abort":
                    raise FleetError(
                        "active_transactions",
                        f"Sessions on {source.endpoint} were still busy after {self._options.drain_grace:g} s: {_listed(busy)}."
                        " The window was given up and writes are back.",
                        remedy="End them, raise drain_grace, or set on_active: terminate.",
                        details={"sessions": busy},
                    )
                drained.terminated = len(busy)
                break
            time.sleep(0.005)
        drained.waited = len(waited) - drained.terminated
        drained.idle = max(0, drained.idle - drained.waited)
        return drained

    def _stop(self) -> None:
        """W3 to W5: the source ends, and every byte of its log is replayed."""
        source = self._direction.source
        self._left()
        self._say(STOP)
        source.server.close()
        source.control.stop("fast", self._left())
        self._step("W3")
        data = source.control.controldata()
        if data["Database cluster state"] != CLEAN:
            raise FleetError(
                "window_aborted",
                f"{source.server.endpoint} was not shut down cleanly (pg_controldata: {data['Database cluster state']}).",
                remedy="Look at its log, raise max_window, run again.",
            )
        self._step("W4")
        self._prove(data)
        self._step("W5")

    def _prove(self, data: t.Mapping[str, str]) -> None:
        """The shutdown checkpoint is the last record that the source wrote; a standby that has replayed a record has replayed it whole."""
        target, checkpoint = self._direction.target.server, data["Latest checkpoint location"]
        deadline = Deadline(self._left())
        while True:
            observed = target.admin.rows(
                "SELECT pg_last_wal_replay_lsn()::text AS at, coalesce(pg_last_wal_replay_lsn() > %s::pg_lsn, false) AS there,"
                " (SELECT system_identifier::text FROM pg_control_system()) AS system, pg_is_in_recovery() AS recovery",
                checkpoint,
            )[0]
            if observed["system"] != data["Database system identifier"] or not observed["recovery"]:
                raise FleetError(
                    "window_aborted",
                    f"{target.endpoint} is no standby of this cluster any more.",
                    remedy=f"Find who promoted it; then {physical_seed.anew(self._direction.target)}",
                )
            if observed["there"]:
                self.position = {"checkpoint": checkpoint, "replayed": observed["at"], "timeline": int(data["Latest checkpoint's TimeLineID"])}
                return
            if deadline.expired():
                raise FleetError(
                    "window_aborted",
                    f"{target.endpoint} has replayed up to {observed['at']}, and the shutdown checkpoint is at {checkpoint}.",
                    remedy=f"{physical_seed.resume(self._direction.target)} Then run again; the writes are back.",
                )
            time.sleep(0.002)

    def _promote(self) -> None:
        """W6 and W7. The promotion is asked for in a session of the standby, which ends with it: no late command can promote anything."""
        target, epoch = self._direction.target.server, self._opened.epoch
        self._left()
        target.admin.run("SELECT 1")
        self._say(COMMIT)
        self._step("W6")
        asked = target.admin.value(
            "SELECT CASE WHEN (SELECT 'pgcut.epoch=' || %s = ANY (s.setconfig) FROM pg_db_role_setting s JOIN pg_database d"
            " ON d.oid = s.setdatabase WHERE d.datname = %s AND s.setrole = 0) THEN pg_promote(false) ELSE false END",
            f"{epoch}:open",
            target.dbname,
        )
        if not asked:
            raise FleetError("window_aborted", f"Epoch {epoch} is not the one on {target.endpoint}.", remedy="Run again.")
        while target.admin.value("SELECT pg_is_in_recovery()"):
            self._left()
            time.sleep(0.002)
        self._step("W7")
        if not turn(target, f"{epoch}:commit", False, f"{epoch}:open"):
            raise FleetError("window_aborted", f"Epoch {epoch} was ended by another run.", remedy="Run again.")
        end_sessions(target, target.admin.value("SELECT clock_timestamp()"))
        self._step("W8")
        self._say(OPENED)

    def _abort(self, error: FleetError) -> None:
        """Give the writes back to the source and raise ``error``; return only when the target turns out to be promoted."""
        source = self._direction.source.server
        limit = Deadline(_WAY_BACK)
        if self._last_word in ("", FENCE):
            try:
                reopen(source, f"{self._opened.epoch}:open")
                self._clients.serve(source.side)
                forget_way_back(self._direction, self._warn)
            except FleetError as lost:
                if lost.code not in ("connection_lost", "unreachable"):
                    raise
                settle(self._direction, self._clients, limit, sent=False, warn=self._warn)
        else:
            # Two stops and a start may last longer than what is left of max_window; it is this module that gives the writes back.
            self._watchdog.say(self._last_word, _WAY_BACK)
            if settle(self._direction, self._clients, limit, sent=self._last_word == COMMIT, warn=self._warn) == TARGET:
                self._say(OPENED)
                return
        self._watchdog.say("done")
        self._abandoned(error, source.side)

    def _say(self, word: str) -> None:
        self._watchdog.say(word)
        self._last_word = word


def _end_idle(direction: PhysicalDirection, before: t.Any) -> int:
    return int(
        direction.source.server.admin.value(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND state = 'idle' AND backend_start <= %s AND application_name NOT LIKE 'bowline %%'",
            before,
        )
    )


def _busy(direction: PhysicalDirection) -> list[dict[str, t.Any]]:
    """Open transactions of clients in every database; ``writes`` is false as long as nothing was written."""
    return direction.source.server.admin.rows(
        "SELECT pid, datname, usename, application_name, state, backend_xid IS NOT NULL AS writes,"
        " extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age"
        " FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND application_name NOT LIKE 'bowline %'"
        " ORDER BY pid"
    )


def _listed(busy: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    return ", ".join(
        f"pid {row['pid']} ({row['application_name'] or row['usename']}, {row['age']:.1f} s, {row['state']})" for row in busy
    )
