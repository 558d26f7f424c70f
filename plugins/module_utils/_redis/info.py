# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What redis_sync_info answers: both sides as they are, nothing written, no lock taken."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from . import alone, facts, plan, queues
from .model import SIDES, Options, Server, other
from .redis import Redis
from .run import described, judgement


def info(options: Options) -> t.Dict[str, t.Any]:
    """A side that cannot be read is null with an entry in ``failures``; it is never taken for one that is closed."""
    servers = {side: Redis(options.endpoint(side), alone.INFO) for side in SIDES}
    try:
        return _info(options, servers)
    finally:
        for server in servers.values():
            server.close()


def _info(options: Options, servers: t.Mapping[str, Redis]) -> t.Dict[str, t.Any]:
    seen: t.Dict[str, t.Optional[Server]] = {}
    failures: t.Dict[str, t.Any] = {}
    for side in SIDES:
        try:
            seen[side] = facts.read(servers[side])
        except FleetError as error:
            seen[side], failures[side] = None, error.as_failure()
    legacy, new = seen["legacy"], seen["new"]
    phase, findings = "unknown", []
    if legacy is not None and new is not None:
        phase = plan.phase(legacy, new, {side: options.endpoint(side) for side in SIDES})
        findings = judgement(options, servers, legacy, new, plan.serving(phase))
    serves = plan.serving(phase) if phase != "unknown" else _alone(seen)
    return {
        "changed": False,
        "phase": phase,
        "serving": serves,
        "servers": {side: None if server is None else server.as_dict() for side, server in seen.items()},
        "lag": _lag(seen, serves),
        "jobs": _jobs(options, servers[serves], failures) if serves in SIDES and seen[serves] is not None else [],
        "holder": _holder(servers, seen),
        "findings": [finding.as_dict() for finding in findings],
        "failures": failures,
    }


def _alone(seen: t.Mapping[str, t.Optional[Server]]) -> str:
    """With one side silent the other one serves if it is a master that a move has touched: a switch closes the source before it opens the target."""
    return next((server.side for server in seen.values() if server is not None and server.master is None and server.link_user), "unknown")


def _lag(seen: t.Mapping[str, t.Optional[Server]], serves: str) -> t.Optional[t.Dict[str, t.Any]]:
    """Bytes of the stream that the follower has not applied; null unless it has a link."""
    if serves not in SIDES:
        return None
    master, follower = seen[serves], seen[other(serves)]
    if master is None or follower is None or follower.master is None or not follower.link_up:
        return None
    return {"side": follower.side, "bytes": max(master.offset - follower.offset, 0), "copying": follower.copying}


def _jobs(options: Options, server: Redis, failures: t.Dict[str, t.Any]) -> t.List[t.Dict[str, t.Any]]:
    try:
        return [described(queues.read(server, layout)) for layout in options.layouts]
    except FleetError as error:
        failures["jobs"] = error.as_failure()
        return []


def _holder(servers: t.Mapping[str, Redis], seen: t.Mapping[str, t.Optional[Server]]) -> t.Optional[t.Dict[str, t.Any]]:
    for side, server in seen.items():
        found = alone.clients(servers[side]) if server is not None else []
        if found:
            return {"side": side, "id": int(found[0].get("id", "0")), "addr": found[0].get("addr", ""), "age": int(found[0].get("age", "0"))}
    return None
