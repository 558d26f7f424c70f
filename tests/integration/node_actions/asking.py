# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Short ways to ask for actions on a `Fleet`, to let its machines fall silent, and to compare the rows of its store."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.action import run_action
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import ACTION
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.importing import UNKNOWN
from ansible_collections.bowline.fleet.plugins.module_utils._node.instance import World
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Heartbeat
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from ansible_collections.bowline.fleet.plugins.module_utils._store import process
from fleet import Fleet, typed

# Counted by writes, not by what the row says.
COUNTERS = {"revision"}
WELL = {"boot_id": "b2", "enrolled": True, "modules_active": True, "services_ready": True}


def ask(home: Fleet, state="pending", verb="reboot", name="web-1", fingerprint="f1", check=False, **given) -> dict:
    world = World(home.opened, process.owner_of(os.getpid()), home.call, home.host, home.pause, home.clock, lambda addresses: home.reached)
    named = {} if "action_id" in given else {"name": name, "verb": verb, "fingerprint": fingerprint}
    return run_action(typed(ACTION, {**named, "state": state, "mode": "recorder", **given}), world, check)


def refused(home: Fleet, code: str, *given, **more) -> FleetError:
    with pytest.raises(FleetError) as error:
        ask(home, *given, **more)
    assert error.value.code == code, f"{error.value.code}: {error.value.message}"
    return error.value


def steps(done: dict) -> list[str]:
    return [step["action"] for step in done["plan"]]


def listens(home: Fleet) -> None:
    """Somebody listens, and has for an hour."""
    with home.opened(False) as database:
        Beats(database, home.clock).listens("sweep", home.clock() - 3600)


def quiet(home: Fleet, seconds: float, *others: str) -> None:
    """Time goes by in which somebody listens, and only ``others`` speak."""
    home.skew += seconds
    listens(home)
    for name in others:
        speaks(home, name)


def speaks(home: Fleet, name: str, **changed) -> None:
    with home.opened(False) as database:
        beats, instance = Beats(database, home.clock), NodeStore(database).live(name)
        last = beats.last(instance.id)
        beats.heard(Heartbeat(instance.id, 0.0, changed.get("boot_id", last.boot_id), last.sequence + 1, True, True, True,
                              certificate_not_after=changed.get("certificate_not_after"), document=changed.get("document", {})))  # fmt: skip


def events(home: Fleet, name="web-1") -> list[str]:
    with home.opened(True) as database:
        return [event.after for event in reversed(NodeStore(database).events(name, 100)) if event.type == "action"]


def read(fleet: Fleet) -> dict[tuple[str, str], dict]:
    """Every row of templates, nodes and live machines by its table and name."""
    with fleet.opened(True) as database:
        store = NodeStore(database)
        rows = {("fleet", "name"): {"name": store.named()}}
        rows |= {("template", one.name): asdict(one) for one in store.templates()}
        rows |= {("node", one.name): asdict(one) for one in store.nodes()}
        rows |= {("instance", one.node): asdict(one) for one in store.instances(None, 1000) if one.terminated_at is None}
    return {key: {name: value for name, value in row.items() if name not in COUNTERS} for key, row in rows.items()}


def unequal(before: dict, after: dict) -> dict:
    """What of each row is not as it was, of all that can be known. The phase is derived anew by each look."""
    found = {}
    for key, row in before.items():
        new = after.get(key, {})
        names = [name for name in row if not (key[0] == "instance" and name in {*UNKNOWN, "phase"}) and row[name] != new.get(name)]
        if names:
            found[key] = {name: (row[name], new.get(name)) for name in names}
    return found
