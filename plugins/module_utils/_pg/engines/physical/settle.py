# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ending a physical window whose module is dead, hung or has failed: by the module itself, by the watchdog, by the next run.

The commit is the promotion of the target. So the target is stopped first, and what its control file then says is the verdict: "shut down
in recovery" (or the trace of a crash in recovery) means that it was not promoted and, being stopped, cannot be; anything else means
promoted, and the source never opens again. The source takes writes only by a compare-and-set of the epoch in its own catalog.
"""

from __future__ import annotations

import typing as t

from ...._core.errors import FleetError
from ...._core.wait import Deadline, wait_for
from ...routers.clients import Clients
from ...server import fence
from ...server.postgres import Server
from .facts import PhysicalDirection, Site, ask
from .seed import drop_slot, start_standby, stopped_in_recovery

SOURCE, TARGET = "source", "target"


# --- fence --------------------------------------------------------------------------------------------------------------------------


def turn(server: Server, epoch: str, fenced: bool, expect: str | None = None) -> bool:
    """Fence or open every database of the cluster durably; False, and nothing written, when the epoch is not ``expect``."""
    return fence.turn(server.admin, server.dbname, epoch, fenced, expect, cluster=True)


def epoch_of(server: Server) -> str:
    """The epoch as it stands in the catalog, with its end: ``<id>:open``, ``:commit`` or ``:abort``; "" when there is none."""
    return (fence.settings_of(server.admin, server.dbname) or {}).get("pgcut.epoch", "")


def end_sessions(server: Server, before: t.Any) -> None:
    """End every client session of the cluster that began before ``before``: its default is that of the fence."""
    server.admin.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND backend_start <= %s"
        " AND application_name NOT LIKE 'bowline %%'",
        before,
    )


def reopen(source: Server, observed: str) -> None:
    """Let the source take writes again, if its epoch is ``seen`` still; sessions that began under the fence would go on refusing them."""
    if turn(source, f"{observed.rsplit(':', 1)[0]}:abort", False, observed):
        source.admin.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'idle'"
            " AND application_name NOT LIKE 'bowline %'"
        )


# --- ending a window ------------------------------------------------------------------------------------------------------------------


def settle(
    direction: PhysicalDirection, clients: Clients, limit: Deadline, *, sent: bool, epoch: str = "", warn: t.Callable[[str], None] = lambda _text: None
) -> str:
    """Give the writes back to the source, or finish what the promotion of the target has begun. Returns who serves: source or target.

    ``sent`` is false only when it is certain that no promotion was asked for and that nobody is left who could ask. With ``epoch`` only
    that one is ended.
    Raises FleetError "outcome_unknown" when the target cannot be proven to be unpromoted; the source then stays as it is.
    """
    if sent and _promoted(direction.target, limit):
        open_target(direction, clients, limit)
        return TARGET
    start_source(direction.source, limit)
    observed = epoch_of(direction.source.server)
    if epoch and observed not in (f"{epoch}:open", f"{epoch}:abort"):
        return SOURCE
    if observed.endswith(":open"):
        # Again, now that the source runs and whoever else is at work would have met it: still stopped and still a standby.
        if sent and not stopped_in_recovery(direction.target):
            raise FleetError(
                "locked",
                f"{direction.target.server.endpoint} was started meanwhile, so another run is at work; {direction.source.side} stays fenced.",
                remedy="Wait for that run, or run again.",
            )
        reopen(direction.source.server, observed)
    clients.serve(direction.source.side)
    try:
        start_standby(direction.target)
    except FleetError as error:
        warn(f"The standby was not started again, the next run will do it: {error.message}")
    direction.target.server.close()
    forget_way_back(direction, warn)
    return SOURCE


def forget_way_back(direction: PhysicalDirection, warn: t.Callable[[str], None]) -> None:
    """The target was not opened; its slot would hold log for ever."""
    try:
        drop_slot(direction.target.server, direction.back)
    except FleetError as error:
        warn(f"Slot {direction.back} stays on {direction.target.side} until the next run: {error.message}")


def _promoted(target: Site, limit: Deadline) -> bool:
    """Stop the target unless it is a primary, and read the verdict from its directory."""

    def verdict() -> bool | None:
        target.server.close()
        try:
            if target.control.running():
                if not ask(target)["recovery"]:
                    return True
                target.server.close()
                target.control.stop("fast", max(2.0, min(10.0, limit.remaining())))
            return not stopped_in_recovery(target)
        except FleetError:
            return None

    observed = wait_for(
        verdict,
        lambda found: found is not None,
        limit,
        what=f"{target.server.endpoint} to be stopped, or to say that it was promoted",
        code="outcome_unknown",
        remedy=f"Make {target.server.endpoint} and its host reachable and run again; until then the other side stays closed, nothing is lost.",
    )
    return bool(observed)


def start_source(source: Site, limit: Deadline) -> None:
    """Have the source run and answer: a shutdown that was begun is brought to its end first."""
    source.server.close()
    while True:
        try:
            if source.control.running():
                ask(source)
                return
            source.control.start(max(5.0, limit.remaining()))
        except FleetError as error:
            # 57P03 while it shuts down or starts; a server that hangs in its shutdown is ended like a crash, which loses nothing.
            source.server.close()
            if limit.expired():
                if "shutting down" not in error.message:
                    raise
                source.control.stop("immediate", 10)
        limit.pause(0.02)


def open_target(direction: PhysicalDirection, clients: Clients, limit: Deadline) -> None:
    """The target was promoted: let it take writes, and send the clients to it."""
    server = direction.target.server
    start_source(direction.target, limit)
    wait_for(
        lambda: ask(direction.target)["recovery"],
        lambda recovery: recovery is False,
        limit,
        what=f"{server.endpoint} to end its recovery",
        code="outcome_unknown",
        interval=0.005,
        remedy="Look at its log and run again; the other side stays closed.",
    )
    observed = epoch_of(server)
    if observed.endswith(":open"):
        turn(server, f"{observed.rsplit(':', 1)[0]}:commit", False, observed)
    end_sessions(server, server.admin.value("SELECT clock_timestamp()"))
    clients.serve(direction.target.side)
