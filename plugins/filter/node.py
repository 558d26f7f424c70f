# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of nodes: what machines say of themselves."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import FleetError
from ..module_utils._node.status import read


def node_statuses(hosts: t.Iterable[t.Mapping[str, t.Any]], register: str) -> list[dict[str, t.Any]]:
    """``hosts`` are variables of hosts; one without ``register`` was not asked."""
    found = []
    for host in hosts:
        seen = host.get(register)
        if seen is None:
            continue
        reached = not seen.get("unreachable", False)
        told = {"text": str(seen.get("stdout") or "")} if reached else {"message": str(seen.get("msg") or "")}
        found.append({"node": str(host.get("node_name") or host["inventory_hostname"]), "reached": reached, **told})
    return found


def node_status(text: str, wanted: t.Iterable[str] = ()) -> dict[str, t.Any]:
    """The document of one machine as the option ``status`` of node_instance takes it. ``wanted`` are names of modules that have to be there."""
    try:
        beat = read(text).heartbeat(wanted)
    except FleetError as error:
        raise AnsibleFilterError(f"[{error.code}] {error.message} Remedy: {error.remedy}") from error
    names = ("boot_id", "sequence", "enrolled", "modules_active", "services_ready", "certificate_not_after")
    return {**{name: getattr(beat, name) for name in names}, "failed_units": list(beat.failed_units), "runtimes": list(beat.runtimes)}


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"node_status": node_status, "node_statuses": node_statuses}
