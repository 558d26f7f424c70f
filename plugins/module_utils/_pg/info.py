# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the pair for pg_cutover_info: no lock, no write, and an unreadable side is null, never "not fenced"."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.runner import Runner
from . import facts, plan, status
from .engines.physical import facts as physical_facts, run as physical_run
from .model import FORWARD, REVERSE, Facts
from .options import parse
from .replication import pair, reasons, sync
from .server import fence
from .server.postgres import Server, load


def info(params: t.Mapping[str, t.Any], runner: Runner) -> dict[str, t.Any]:
    """Phase, serving side and the way back, as both servers tell them now."""
    options = parse(params)
    load()
    if physical_facts.is_moved(options):
        both = physical_facts.sites(options, runner, "pg_cutover_info")
        try:
            return physical_run.info(both)
        except FleetError as error:
            if error.code not in ("unreachable", "connection_lost", "control_failed"):
                raise
            return _unreadable(error)
        finally:
            both.close()
    servers = {"legacy": Server(options.legacy, "pg_cutover_info"), "new": Server(options.new, "pg_cutover_info")}
    halves: dict[str, facts.Half] = {}
    failures: dict[str, t.Any] = {}
    try:
        for side, server in servers.items():
            try:
                halves[side] = facts.read(server)
            except FleetError as error:
                failures[side] = error.as_failure()
        if failures:
            return _partly(halves, failures, _promised(servers, halves))
        return _both(servers["legacy"], servers["new"], facts.join(halves["legacy"], halves["new"]))
    finally:
        for server in servers.values():
            server.close()


def _unreadable(error: FleetError) -> dict[str, t.Any]:
    """A side of a physical pair that should answer does not, or its files cannot be read: which one serves cannot be said."""
    side = error.details.get("side", "legacy")
    return {**_partly({}, {side: error.as_failure()}, "async"), "engine": "physical"}


def _both(legacy: Server, new: Server, observed: Facts) -> dict[str, t.Any]:
    found = plan.phase(observed)
    others = [
        row["datname"]
        for row in legacy.admin.rows(
            f"SELECT datname FROM pg_database WHERE {fence.NO_TEMPLATE} AND datname NOT IN (%s, 'postgres') ORDER BY 1",
            legacy.dbname,
        )
    ]
    lag = {FORWARD: pair.lag(legacy, FORWARD), REVERSE: pair.lag(new, REVERSE)}
    errors = {
        FORWARD: reasons.apply_errors(new, FORWARD) if observed.forward.subscription else None,
        REVERSE: reasons.apply_errors(legacy, REVERSE) if observed.reverse.subscription else None,
    }
    return {
        "changed": False,
        "engine": "logical",
        "phase": found,
        "serving": plan.serving(found),
        "epoch": {"legacy": observed.legacy.epoch or None, "new": observed.new.epoch or None},
        "facts": status.described(observed),
        "lag": lag,
        "apply_errors": errors,
        "databases_not_moved": others,
        "holder": fence.holder(legacy.admin, legacy.dbname),
        "rollback": status.rollback(legacy, new, observed, found, thorough=found in ("new", "new_armed")),
        "failures": {},
    }


def _promised(servers: t.Mapping[str, Server], halves: t.Mapping[str, facts.Half]) -> str:
    """The guarantee as the side that answers knows it."""
    if "legacy" in halves:
        return "sync" if sync.noted(servers["legacy"]) else "async"
    return "sync" if "new" in halves and sync.read(None, servers["new"]).holds else "async"


def _partly(halves: t.Mapping[str, facts.Half], failures: t.Mapping[str, t.Any], guarantee: str) -> dict[str, t.Any]:
    """One side cannot be read. The other one serves if it was opened by the last switch, or was never closed; else nobody can say."""
    return {
        "changed": False,
        "engine": "logical",
        "phase": "unknown",
        "serving": serving_of_one(halves),
        "epoch": {side: (halves[side].side.epoch or None) if side in halves else None for side in ("legacy", "new")},
        "facts": {side: {"exists": half.side.exists, "fenced": half.side.fenced} for side, half in halves.items()}
        | {side: None for side in failures},
        "lag": {},
        "apply_errors": {},
        "databases_not_moved": [],
        "holder": None,
        "rollback": {"armed": False, "guarantee": guarantee, "lag_ms": None, "reason": f"{' and '.join(failures)} cannot be read"},
        "failures": dict(failures),
    }


def serving_of_one(halves: t.Mapping[str, facts.Half]) -> str:
    """A switch opens a side only after the other one is fenced, so one open side is the one that serves, whatever the other would say."""
    for side, half in halves.items():
        opened = half.side.epoch.endswith(":commit") or side == "legacy"
        if half.side.exists and not half.side.fenced and opened:
            return side
    return "unknown"
