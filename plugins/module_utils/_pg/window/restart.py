# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One restart of legacy that makes its wal_level logical, while the clients are held. The server stays the one that serves."""

from __future__ import annotations

import json
import time
import typing as t

from ..._core.errors import FleetError
from ..._core.wait import Deadline, wait_for
from ..model import Options
from ..routers.clients import Clients
from ..server import helper, sessions, system_settings
from ..server.postgres import Row, Server
from ..server.process import Control
from .watchdog import DONE, STARTED, STOPPING, Watchdog

# Fast stop and start; a server that was just checkpointed needs a second for either.
_STOP, _START = 60.0, 60.0
WAL_LEVEL = "wal_level"
# What the watchdog waits for: draining, both of them, and the commands of the router.
_WHOLE = 180.0


def restart(legacy: Server, options: Options, clients: Clients, control: Control, guard: Watchdog) -> float:
    """Restart legacy. The milliseconds that clients were held; every session of ``legacy`` is closed afterwards, its run lock is gone.

    Raises FleetError "active_transactions" or "control_failed"; until the stop nothing has changed for anybody, and after it the server
    runs again or the failure says that it does not.
    """
    same_server(legacy, control)
    helper.note(legacy, helper.SYSTEM + WAL_LEVEL, json.dumps(system_settings.written(legacy, WAL_LEVEL)))
    was = json.loads(helper.notes(legacy.db)[helper.SYSTEM + WAL_LEVEL])
    legacy.admin.run("ALTER SYSTEM SET wal_level = 'logical'")
    # The stop writes a checkpoint; what is written now is not written while clients wait.
    legacy.admin.run("CHECKPOINT")
    guard.restart(legacy.side, {legacy.side: legacy.admin.pid}, _WHOLE)
    began = time.monotonic()
    try:
        clients.pause(legacy.side)
        _drain(legacy, options)
    except FleetError:
        system_settings.put_back(legacy, WAL_LEVEL, was)
        helper.forget(legacy, helper.SYSTEM + WAL_LEVEL)
        clients.serve(legacy.side)
        guard.say(DONE)
        raise
    legacy.close()
    guard.say(STOPPING)
    try:
        control.stop("fast", _STOP)
    finally:
        # Whatever the stop said: legacy serves, so it has to run.
        control.start(_START)
    guard.say(STARTED)
    level = wait_for(
        lambda: _level(legacy),
        lambda value: value != "",
        Deadline(_START),
        what=f"{legacy.endpoint} to answer after its restart",
        code="control_failed",
        remedy="Look at the server's log, remove the reason, start it if it does not run, and run again.",
    )
    clients.serve(legacy.side)
    guard.say(DONE)
    if level != "logical":
        raise FleetError(
            "restart_required",
            f"wal_level of {legacy.endpoint} is {level} after ALTER SYSTEM and a restart. Clients are served as before.",
            remedy="Correct what sets it past postgresql.auto.conf, restart the server, and run again; this names it:"
            " SELECT source, sourcefile FROM pg_settings WHERE name = 'wal_level';",
        )
    return round((time.monotonic() - began) * 1000, 1)


def give_back(legacy: Server, notes: t.Mapping[str, str]) -> list[str]:
    """Take the setting back where `restart` has made it: the next start of the server, which is its operator's, has the one from before. Warnings."""
    noted = notes.get(helper.SYSTEM + WAL_LEVEL)
    if noted is None or system_settings.written(legacy, WAL_LEVEL) != "logical":
        return []
    slots = legacy.admin.rows("SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary ORDER BY 1")
    if slots:
        # Such a server does not start: RestoreSlotFromDisk in src/backend/replication/slot.c.
        names = ", ".join(row["slot_name"] for row in slots)
        return [f"wal_level of {legacy.endpoint} stays logical: slots of others need it ({names}). Without them: ALTER SYSTEM RESET wal_level."]
    system_settings.put_back(legacy, WAL_LEVEL, json.loads(noted))
    running = legacy.admin.value("SELECT current_setting('wal_level')")
    return [f"postgresql.auto.conf of {legacy.endpoint} is as before the move; its wal_level is {running} until its next restart."]


def same_server(legacy: Server, control: Control) -> None:
    """What would be restarted has to be the server that the control connection talks to."""
    if not control.running():
        raise _other(legacy, control, "does not run")
    if not control.data_directory:
        return
    there = control.controldata()["Database system identifier"]
    if there != str(legacy.admin.value("SELECT system_identifier::text FROM pg_control_system()")):
        raise _other(legacy, control, f"is another cluster (system identifier {there})")


def _other(legacy: Server, control: Control, what: str) -> FleetError:
    return FleetError(
        "control_failed",
        f"What legacy.{control.kind.replace('pg_ctl', 'data_directory')} names {what}, but {legacy.endpoint} answers.",
        remedy="Name the container, unit or data directory of that server; behind legacy.command_prefix when it is on another host.",
    )


def _drain(legacy: Server, options: Options) -> None:
    """Wait until nothing is in flight that a client would miss. Raises FleetError "active_transactions".

    Without a router clients go on sending, so only what was open when the wait began is waited for; the stop rolls back the rest.
    """
    began, deadline = sessions.now_on(legacy), Deadline(options.drain_grace)
    held = options.router.type != "none"
    while True:
        busy = _in_flight(legacy, began, held)
        if not busy:
            return
        if deadline.expired():
            if options.on_active == "terminate":
                return
            named = ", ".join(f"pid {row['pid']} ({row['name']}, {row['age']:.1f} s, {row['state']})" for row in busy)
            raise FleetError(
                "active_transactions",
                f"Sessions on {legacy.endpoint} were still busy after {options.drain_grace:g} s: {named}. It was not restarted.",
                remedy="End them, raise drain_grace, or set on_active: terminate.",
                details={"sessions": [dict(row) for row in busy]},
            )
        deadline.pause(0.02)


def _in_flight(legacy: Server, began: t.Any, held: bool) -> list[Row]:
    return legacy.admin.rows(
        "SELECT pid, coalesce(nullif(application_name, ''), usename) AS name, state,"
        " extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND state <> 'idle' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        " AND application_name NOT LIKE 'bowline %%' AND (%s OR xact_start < %s) ORDER BY pid",
        held,
        began,
    )


def _level(legacy: Server) -> str:
    """wal_level as the running server says; "" while it does not answer."""
    try:
        return str(legacy.admin.value("SELECT current_setting('wal_level')"))
    except FleetError:
        legacy.close()
        return ""
