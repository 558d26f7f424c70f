# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of a run, as pg_cutover documents it."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from .._core.errors import FleetError
from .._core.result import Step, result
from . import plan, status
from .engines.dump import copy_window
from .model import SIDES, Facts
from .preflight import judge
from .replication import pair
from .work import Work


def of_run(work: Work, steps: t.Sequence[Step], found: str, reached: str, after: Facts) -> dict[str, t.Any]:
    predicted = predicted_ms(work, found)
    outcome = result(
        steps,
        before={"phase": found, "serving": plan.serving(found)},
        after={"phase": reached, "serving": plan.serving(reached)},
        warnings=work.warnings,
        evidence={"facts": status.described(after), **judge.size(work), "accepted_owner_code": work.owner_code},
        rollback=status.rollback(work.legacy, work.new, after, plan.phase(after)),
    )
    return {**outcome, **common(work, found, reached, predicted)}


def predicted_ms(work: Work, found: str) -> float | None:
    serves = plan.serving(found)
    if work.options.state == "finished" or serves not in SIDES or not (work.check or work.options.state in plan.STATES[:3]):
        return None
    direction = pair.direction(work.legacy, work.new, "new" if serves == "legacy" else "legacy")
    dumped = work.choice.engine == "dump" and serves == "legacy"
    copied = not dumped and found not in ("empty", "prepared", "seeding")
    try:
        predicted = status.predicted_window_ms(work.options, work.clients, direction, copied=copied)
        if dumped:
            size = work.legacy.admin.value("SELECT pg_catalog.pg_database_size(%s::name)", work.legacy.dbname)
            predicted += copy_window.copy_seconds(int(size)) * 1000
        return predicted
    except FleetError as error:
        work.warnings.append(f"The window cannot be predicted: {error.message}")
        return None


def common(work: Work, found: str, reached: str, predicted: float | None) -> dict[str, t.Any]:
    opened = work.opened
    return {
        "phase_before": found,
        "phase_after": reached,
        "serving": plan.serving(reached),
        "engine": work.choice.engine or None,
        "engine_reason": work.choice.reason,
        "window_ms": opened.window_ms if opened else None,
        "database_ms": opened.database_ms if opened else None,
        "pause_ms": opened.pause_ms if opened else None,
        "restart_ms": work.restarted,
        "hold": {"from": opened.held_at, "until": opened.released_at} if opened else None,
        "steps": opened.steps if opened else [],
        "drained": asdict(opened.drained) if opened else None,
        "sequences": opened.sequences if opened else None,
        "verify": work.verified,
        "loss": work.loss,
        "snapshot": work.kept,
        "findings": [finding.as_dict() for finding in work.findings],
        "predicted_window_ms": predicted,
    }
