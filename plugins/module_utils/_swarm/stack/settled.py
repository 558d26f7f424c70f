# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack that needs no change has to run, too: nothing is reported as unchanged that nobody could use."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..model import Json
from ..verdict import watch
from ..verdict.converge import Limits
from .writer import failed


def require(engine: t.Any, live: t.Mapping[str, Json], limits: Limits) -> None:
    """Every service is as its spec says now, or becomes it within ``limits``. Raises the failure of the first that does not; writes nothing."""
    applied = {str(service["ID"]): service["Spec"] for service in live.values()}
    # One good look is enough where nothing was changed.
    chosen = replace(limits, monitor=0.0)
    verdicts = watch.wait(engine, applied, {name: chosen for name in applied}, before=engine.tasks({"service": sorted(applied)}) if applied else ())
    cause = failed(verdicts)
    if cause:
        cause.details.update(outcome="left")
        cause.message += " Nothing was changed: the stack is as it was wanted, and does not run."
        cause.remedy = "Mend the cause that the tasks name; swarm_stack with revision: previous goes back to the version before."
        raise cause
