# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Short ways to nodes, machines and facts."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import Identity, Observed
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Action, Heartbeat, Instance, Node, Receiver
from ansible_collections.bowline.fleet.plugins.module_utils._node.phase import Facts
from ansible_collections.bowline.fleet.plugins.module_utils._node.plan import View

NOW = 1_000_000.0
ID = "11111111-1111-4111-8111-111111111111"


def instance(**changed) -> Instance:
    """A machine that runs since an hour."""
    base = Instance(ID, "edge-1", "local", 1, NOW - 3600, spec_hash="v1:a", phase="running", phase_since=NOW - 3600, provider_id="local:///edge-1",
                    machine_created_at=NOW - 3600, power="on", powered_at=NOW - 3600)  # fmt: skip
    return replace(base, **changed)


def machine(instance_id=ID, node="edge-1", power="on", provider_id="local:///edge-1", created_at=NOW - 3600, fleet="home", addresses=("192.0.2.7",)):
    tag = Identity(fleet, instance_id, node, node, "v1:a") if instance_id else None
    return Observed(provider_id, power, tag, addresses, "lease", created_at)


def beat(age=10.0, **changed) -> Heartbeat:
    base = Heartbeat(ID, NOW - age, "boot-1", 7, True, True, True, certificate_not_after=NOW + 90 * 86400)
    return replace(base, **changed)


def opened(verb, attempted_at=NOW - 5) -> Action:
    return Action(ID, verb, f"{ID}/{verb}", attempts=1, attempted_at=attempted_at)


LISTENER = Receiver("r", NOW - 86400, NOW)


def facts(**changed) -> Facts:
    """Those of a machine that runs and is well."""
    given = {"now": NOW, "instance": instance(), "sighting": machine(), "heartbeat": beat(), "receivers": (LISTENER,), **changed}
    return Facts(**given)


def node(**changed) -> Node:
    return replace(Node("edge-1", "edge", lifecycle_class="ephemeral", revision=1), **changed)


def view(**changed) -> View:
    """That of a node whose machine runs and is well; ``facts`` may be a dictionary of what is different."""
    given = dict(changed)
    given["facts"] = facts(**given.get("facts", {}))
    return View(given.pop("node", node()), given.pop("facts"), given.pop("fleet", "home"), **given)
