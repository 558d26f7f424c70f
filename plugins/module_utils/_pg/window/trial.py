# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A window that always ends where it began: the real pause, the real proof, the real comparison, and no opening of the target.

It is a `Window` up to W6. Where the switch has its one commit, this one ends the epoch on the target, which is from then on unable to
open, and gives the writes back to the source. The watchdog needs to know nothing of it: it never hears that a commit was sent.
"""

from __future__ import annotations

from ..._core.errors import FleetError
from ..._core.result import Step
from ..model import Options
from ..server import fence, sessions
from .watchdog import OPENED
from .window import Window


def steps(options: Options) -> tuple[Step, ...]:
    """One more step after those of state armed. A trial is never done already: it is asked for each time."""
    if not options.trial_window:
        return ()
    return (Step("trial", "a window that verifies and gives the writes back", disruptive=True),)


class Trial(Window):
    """One attempt. ``window_ms`` is until the clients of the source are released, ``database_ms`` until the source takes writes again."""

    def _open(self) -> None:
        source, target, epoch = self._direction.source, self._direction.target, self._opened.epoch
        self._left()
        for server, fenced in ((target, True), (source, False)):
            if not fence.turn(server.admin, server.dbname, f"{epoch}:abort", fenced, f"{epoch}:open"):
                raise FleetError("window_aborted", f"Epoch {epoch} was ended by the watchdog.", remedy="Raise max_window, or run again.")
        self._step("abort")
        # A side takes writes again, only clients may still be held: no reason to end a module that is alive.
        self._watchdog.say(OPENED)

    def _finish(self) -> None:
        """Sessions that began under the fence would stay read only; all older ones ended in W2."""
        source = self._direction.source
        sessions.end_now(source, sessions.now_on(source))
        self._step("sessions")
        self._release(source.side)
