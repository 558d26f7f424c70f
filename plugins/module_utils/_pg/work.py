# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one run over two servers knows, and what it has found out so far."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core.errors import FleetError
from .._core.finding import Finding
from .._core.runner import Runner
from .engines import choice as engine
from .model import Link, Options
from .options import link_of
from .routers.clients import Clients, clients
from .server import fence
from .server.postgres import Server
from .window.verify import Verification
from .window.watchdog import Watchdog
from .window.window import Opened

# A second run waits this long for the first one: longer than a window with its clean-up, shorter than an operator's patience.
LOCK_WAIT = 30.0


@dataclass
class Work:
    """One run. ``guard`` is None where no window can open; ``check`` reads only. Below them, each step notes what it found or did."""

    options: Options
    runner: Runner
    guard: t.Optional[Watchdog]
    check: bool
    legacy: Server
    new: Server
    clients: Clients
    opened: t.Optional[Opened] = None
    frozen: t.Optional[Verification] = None
    verified: t.Optional[t.Dict[str, t.Any]] = None
    kept: t.Optional[t.Dict[str, t.Any]] = None
    findings: t.List[Finding] = field(default_factory=list)
    warnings: t.List[str] = field(default_factory=list)
    # A guarantee that could not be given: told when everything else is done.
    unmet: t.Optional[FleetError] = None
    loss: t.Optional[t.Dict[str, t.Any]] = None
    choice: engine.Choice = field(default_factory=lambda: engine.Choice("", ""))
    restarted: t.Optional[float] = None
    owner_code: t.List[str] = field(default_factory=list)

    @property
    def link(self) -> Link:
        return link_of(self.options)

    def server(self, side: str) -> Server:
        return self.legacy if side == "legacy" else self.new

    def lock(self, *servers: Server) -> None:
        """The run lock of ``servers``, always in this order, so that two runs cannot wait for each other."""
        fence.lock_run(servers or (self.legacy, self.new), min(LOCK_WAIT, self.options.wait_timeout))

    def close(self) -> None:
        self.legacy.close()
        self.new.close()
        self.clients.close()


def begin(options: Options, runner: Runner, guard: t.Optional[Watchdog], check: bool) -> Work:
    """Nothing is connected yet; each server is, when it is first asked."""
    purpose = f"pg_cutover {options.state}"
    return Work(options, runner, guard, check, Server(options.legacy, purpose), Server(options.new, purpose), clients(options, runner))
