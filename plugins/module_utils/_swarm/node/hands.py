# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single writes to a node, each as one change of one field over whatever else is there."""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..client.engine import Engine, OutOfSequence
from ..model import Json
from ..verdict.quorum import hostname

# The version of a node moves with each report of its state as well, so a conflict is common and means little.
_TRIES = 20


def find(nodes: t.Sequence[Json], name: str) -> t.Optional[Json]:
    """The node of this id or unique hostname; None without one. Raises FleetError ``node_ambiguous``."""
    by_id = [node for node in nodes if node["ID"] == name]
    found = by_id or [node for node in nodes if hostname(node) == name]
    if len(found) > 1:
        ids = ", ".join(f"{node['ID']} ({node['Status']['State']})" for node in found)
        raise FleetError("node_ambiguous", f"{len(found)} nodes are called {name}: {ids}. Nothing was changed.", "Give the id of the one that is meant.")
    return found[0] if found else None


def missing(nodes: t.Sequence[Json], name: str) -> FleetError:
    known = ", ".join(sorted(hostname(node) for node in nodes))
    return FleetError("node_missing", f"The cluster has no node {name}. Its nodes: {known}. Nothing was changed.", "Correct node.")


def set_node(engine: Engine, node_id: str, **fields: t.Any) -> bool:
    """Set fields of the NodeSpec (Role, Availability, Labels) and leave the others as they are then. False when nothing was to be done."""
    for tries in range(_TRIES):
        node = engine.node(node_id)
        spec = {**node["Spec"], **fields}
        if spec == node["Spec"]:
            return False
        try:
            engine.node_update(node_id, int(node["Version"]["Index"]), spec)
            return True
        except OutOfSequence:
            if tries == _TRIES - 1:
                raise
    return False
