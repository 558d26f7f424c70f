# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the watchdog does with a physical window. It never promotes; of a server that was promoted it finishes the opening."""

from __future__ import annotations

import os
import signal
import typing as t

from ...._core.errors import FleetError
from ...._core.runner import Runner
from ...._core.wait import Deadline
from ...model import OTHER, Options
from ...routers.clients import Clients, clients
from ...server import fence
from ...window.watchdog import FENCE, HOLD, OPENED, STOP, own_lock
from .facts import PhysicalDirection, ask, sites
from .settle import epoch_of, forget_way_back, open_target, reopen, settle

_LIMIT = 20.0


def rescue(options: Options, runner: Runner | None, window: t.Mapping[str, t.Any], cause: str) -> bool:
    """Settle ``window``; False asks to be called again."""
    if runner is None:
        return True
    if cause == "deadline" and window["word"] != OPENED and os.getppid() == window["pid"]:
        # A hung module could go on later with a command that no catalog orders: stopping the source. Its end of the pipe is open, so the
        # process with this number is the module.
        os.kill(window["pid"], signal.SIGKILL)
    both = sites(options, runner, "watchdog")
    direction = both.direction(OTHER[window["source"]])
    router = clients(options, runner)
    try:
        return _settle(direction, router, window)
    finally:
        both.close()
        router.close()


def _settle(direction: PhysicalDirection, router: Clients, window: t.Mapping[str, t.Any]) -> bool:
    for site in (direction.target, direction.source):
        try:
            if not own_lock(site.server, window["backends"][site.side]):
                return True
        except FleetError as error:
            if error.code not in ("unreachable", "connection_lost"):
                raise
            site.server.close()
    word, epoch, limit = window["word"], window["epoch"], Deadline(_LIMIT)
    if word == HOLD:
        _release(direction, router)
        return True
    if word == OPENED:
        open_target(direction, router, limit)
        return True
    if word == FENCE and direction.source.control.running():
        reopen(direction.source.server, f"{epoch}:open")
        _release(direction, router)
        forget_way_back(direction, lambda _text: None)
        return True
    if word == STOP and not _end_stop(direction, epoch):
        return True
    settle(direction, router, limit, sent=word not in (FENCE, STOP), epoch=epoch)
    return True


def _release(direction: PhysicalDirection, router: Clients) -> None:
    """A source that is closed by now was left by a later switch, which routes the clients itself."""
    row = ask(direction.source)
    if not row["recovery"] and not fence.is_fenced(row["settings"]):
        router.serve(direction.source.side)


def _end_stop(direction: PhysicalDirection, epoch: str) -> bool:
    """The module was about to stop the source, and its command may still be on its way: bring the stop to its end.

    False when the source has left this epoch, so that another run is at work.
    """
    source = direction.source
    if source.control.running():
        try:
            if epoch_of(source.server) != f"{epoch}:open":
                return False
        except FleetError:
            source.server.close()
        source.server.close()
        source.control.stop("fast", 10)
    return True
