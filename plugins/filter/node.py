# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter of the playbook sweep: what hosts answered, as documents of nodes."""

from __future__ import annotations

import typing as t


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


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"node_statuses": node_statuses}
